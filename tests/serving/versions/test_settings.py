import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.serving.versions.loading import wishes_of
from cellmark.serving.versions.settings import RESOLVED, FollowSettings, Wish, models_of, wishes_to
from cellmark.serving.versions.version_record import ServedVersion
from cellmark.serving.versions.worker_paths import absolute_places
from fixtures.places import ROOT


def test_every_setting_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "following.md").read_text(encoding="utf-8")
    for name in FollowSettings().to_environment():
        assert f"| `{name}` |" in page


def test_what_cellmark_serve_found_survives_the_way_to_its_workers() -> None:
    version = ServedVersion("pbmc", "3", "/bundles/3", "0" * 64)
    wishes = (Wish("models:/pbmc@champion", version, cached=True), Wish("folder", None))
    settings = FollowSettings.from_environment({RESOLVED: wishes_to(wishes)})
    assert settings.wishes == wishes
    assert settings.start
    assert wishes_of("something else", settings) == wishes
    assert FollowSettings.from_environment({}).wishes == ()


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("models:/pbmc@champion", ("models:/pbmc@champion",)),
        ("/a folder, with a comma", ("/a folder, with a comma",)),
        ("models:/a@champion, models:/b/3,runs:/1/bundle", ("models:/a@champion", "models:/b/3", "runs:/1/bundle")),
        ('["/a folder", "models:/b@champion"]', ("/a folder", "models:/b@champion")),
    ],
)
def test_models_are_named_alone_with_commas_or_as_a_list(text: str, models: tuple[str, ...]) -> None:
    assert models_of(text) == models


@pytest.mark.parametrize("text", ["[", "[]", "[1]"])
def test_a_broken_list_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        models_of(text)


@pytest.mark.parametrize("model", [None, "", "models:/a@champion,models:/a@champion"])
def test_nothing_and_one_model_twice_are_refused(model: str | None) -> None:
    with pytest.raises(ParameterError):
        wishes_of(model, FollowSettings())


def test_a_challenger_that_is_served_is_refused() -> None:
    with pytest.raises(ParameterError, match="CELLMARK_SHADOW"):
        wishes_of("models:/a@champion", FollowSettings(shadow="models:/a@champion"))


@pytest.mark.parametrize(
    "variables",
    [{"CELLMARK_FOLLOW_SECONDS": "-1"}, {"CELLMARK_FOLLOW_SECONDS": "x"}, {"CELLMARK_SHADOW_SHARE": "1.1"}],
    ids=str,
)
def test_settings_out_of_range_are_refused(variables: dict[str, str]) -> None:
    with pytest.raises(ParameterError, match=next(iter(variables))):
        FollowSettings.from_environment(variables)


def test_relative_places_mean_the_same_for_workers_in_another_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(folder)
    given = {"CELLMARK_CACHE": "cache", "CELLMARK_HOME": "home", "MLFLOW_REGISTRY_URI": "sqlite:///registry.db"}
    found = absolute_places(given)
    assert found["CELLMARK_CACHE"] == str(folder / "cache")
    assert found["MLFLOW_TRACKING_URI"] == f"sqlite:///{folder}/home/mlflow.db"
    assert found["MLFLOW_REGISTRY_URI"] == f"sqlite:///{folder}/registry.db"
    assert absolute_places({"MLFLOW_TRACKING_URI": "http://host:5000"})["MLFLOW_TRACKING_URI"] == "http://host:5000"
