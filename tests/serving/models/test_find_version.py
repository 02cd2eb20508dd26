import pytest

from cellmark.schemas.errors import RegistryError
from cellmark.serving.models.find_version import LoggedUri, RunUri, VersionUri, parse_model_uri


@pytest.mark.parametrize(
    ("uri", "parsed"),
    [
        ("models:/pbmc@champion", VersionUri("pbmc", alias="champion")),
        ("models:/pbmc/3", VersionUri("pbmc", version="3")),
        ("models:/pbmc/latest", VersionUri("pbmc", version="latest")),
        ("models:/O'Brien lab/12", VersionUri("O'Brien lab", version="12")),
        (f"models:/m-{'0a' * 16}", LoggedUri(f"m-{'0a' * 16}")),
        ("runs:/0123abc/model", RunUri("0123abc", "model")),
        ("runs:/0123abc/model/bundle/", RunUri("0123abc", "model/bundle")),
    ],
)
def test_every_documented_form_is_taken_apart(uri: str, parsed: VersionUri | LoggedUri | RunUri) -> None:
    assert parse_model_uri(uri) == parsed


@pytest.mark.parametrize(
    "uri",
    ["models:/", "models:/a/b/c", "models:/pbmc/Production", "models:/pbmc@", "models:/p@a@b", "runs:/0123abc",
     "runs:/0123abc/../other", "runs:/0123abc//", "runs:/../x/y"],
)  # fmt: skip
def test_other_forms_are_refused(uri: str) -> None:
    with pytest.raises(RegistryError) as caught:
        parse_model_uri(uri)
    assert caught.value.code == "MODEL_UNKNOWN"


def test_a_name_without_a_version_is_not_guessed_but_the_remedy_names_one() -> None:
    with pytest.raises(RegistryError, match="models:/pbmc@champion"):
        parse_model_uri("models:/pbmc")


def test_half_of_an_id_is_no_name() -> None:
    with pytest.raises(RegistryError, match="copy it whole"):
        parse_model_uri("models:/m-2a7a58f88e6d4295")
