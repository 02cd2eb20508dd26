"""What somebody may have meant."""

from cellmark.schemas.near_names import in_quotes, near_names, plain_name

TYPES = ["CD14+ Monocyte", "CD19+ B", "CD56+ NK", "CD8+ Cytotoxic T", "Dendritic"]


def test_signs_and_case_do_not_matter() -> None:
    assert plain_name("CD14+ Monocyte") == plain_name("cd14.monocyte") == "cd14_monocyte"
    assert plain_name("nCount_RNA") == plain_name("n count rna")
    assert near_names("cd14 monocyte", TYPES) == ("CD14+ Monocyte",)


def test_a_slip_a_beginning_and_a_word_are_found_and_something_else_is_not() -> None:
    assert near_names("Dendritc", TYPES) == ("Dendritic",)
    assert near_names("CD8", TYPES)[0] == "CD8+ Cytotoxic T"
    assert near_names("NK", TYPES) == ("CD56+ NK",)
    assert near_names("KLRC", ["KLRC1AAAAAAAA", "LYZ"]) == ("KLRC1AAAAAAAA",)
    assert near_names("zzz", TYPES) == ()
    assert near_names("", TYPES) == ()


def test_the_same_name_in_other_letters_comes_first_and_few_are_named() -> None:
    first, *others = near_names("leiden", ["leiden_1", "leiden_2", "Leiden", "leiden_3"])
    assert first == "Leiden"
    assert len(set(others)) == 2
    assert len(near_names("leiden", [f"leiden_{number}" for number in range(9)], n=5)) == 5


def test_quoted() -> None:
    assert in_quotes(["a"]) == "'a'"
    assert in_quotes(["a", "b"]) == "'a' or 'b'"
    assert in_quotes(["a", "b", "it's"]) == "'a', 'b' or \"it's\""
