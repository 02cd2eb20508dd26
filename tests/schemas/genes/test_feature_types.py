"""What the columns of `var` say that a feature is."""

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.genes.feature_types import features_by_type

GENES = ["Gene Expression", "GEX", "gex", "RNA", "rna", "mRNA", "Gene", "genes", "scRNA-seq", "protein_coding"]
OTHERS = [
    "Antibody Capture", "ADT", "AB", "Protein", "prot", "HTO", "Hashtag oligos", "Multiplexing Capture",
    "CRISPR Guide Capture", "gRNA", "Peaks", "ATAC", "atac_peaks", "Custom", "spike-in", "Negative Control Codeword",
    "Unassigned Codeword", "Blank", "surface protein", "Chromatin Accessibility", "VDJ-T",
]  # fmt: skip


def var_of(words: list[object], column: str = "feature_types") -> pd.DataFrame:
    return pd.DataFrame({column: words}, index=[f"f{number}" for number in range(len(words))])


@pytest.mark.parametrize("gene", GENES)
@pytest.mark.parametrize("other", OTHERS)
def test_words_of_the_field_are_known_in_any_spelling(gene: str, other: str) -> None:
    is_gene, others, errors = features_by_type(var_of([gene] * 3 + [other] * 2))
    assert errors == ()
    assert is_gene.tolist() == [True] * 3 + [False] * 2
    assert others["var['feature_types']"][other].tolist() == [3, 4]


@pytest.mark.parametrize("column", ["feature_types", "Feature Type", "modality", "feature_class", "feature_biotype"])
def test_the_column_has_many_names(column: str) -> None:
    assert features_by_type(var_of(["rna", "adt"], column))[0].tolist() == [True, False]


def test_a_missing_type_is_a_gene_and_an_unknown_one_beside_genes_is_not() -> None:
    is_gene, _, _ = features_by_type(var_of(["GEX", None, np.nan, "Foo", "ADT"]))
    assert is_gene.tolist() == [True, True, True, False, False]
    assert features_by_type(var_of([None, None, "ADT"]))[0].tolist() == [True, True, False]


def test_a_file_of_other_features_alone_is_refused() -> None:
    _, _, (error,) = features_by_type(var_of(["ADT"] * 3 + ["HTO"]))
    assert (error.code, error.severity, error.found) == ("FEATURES_NOT_GENES", "error", "3 ADT, 1 HTO")


def test_unknown_words_that_repeat_as_types_do_are_refused() -> None:
    _, _, (error,) = features_by_type(var_of(["alpha"] * 50 + ["beta"] * 9))
    assert (error.code, error.found) == ("FEATURE_TYPES_UNKNOWN", "50 alpha, 9 beta")
    adata_var = var_of(["alpha"] * 50 + ["beta"] * 9)
    assert (adata_var["feature_types"] == "alpha").sum() == 50  # as the remedy keeps them
    assert "adata.var['feature_types'] == 'alpha'" in error.remedy


@pytest.mark.parametrize(
    "words",
    [
        ["protein_coding"] * 9 + ["lncRNA"] * 4 + ["IG_V_gene", "processed_pseudogene", "vault_something"],
        ["chr1"] * 9 + ["chrX"] * 4,
        ["1"] * 9 + ["2"] * 4 + ["MT"],
        [True] * 9 + [False] * 4,
        [0.5, 0.25] * 9,
        [f"description {number}" for number in range(60)],
        ["one word alone"] * 9,
    ],
)
@pytest.mark.parametrize("column", ["feature_type", "gene_type", "type"])
def test_columns_that_say_something_else_are_ignored(words: list[object], column: str) -> None:
    is_gene, others, errors = features_by_type(var_of(words, column))
    assert (is_gene.all(), others, errors) == (True, {}, ())


def test_a_column_of_a_vague_name_is_believed_only_when_all_its_words_are_known() -> None:
    assert features_by_type(var_of(["RNA", "RNA", "ADT"], "type"))[0].tolist() == [True, True, False]
    assert features_by_type(var_of(["RNA", "RNA", "ADT", "blue"], "type"))[0].all()
