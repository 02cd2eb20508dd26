"""A corpus of broken inputs, each in a way or a place of its own, and each refused with its exact codes at every door.

The doors: Python (read directly and apart), `cellmark validate`, `cellmark annotate` as a batch, `POST /annotate`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.testclient import TestClient

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.http.settings import ServiceSettings
from corpus import broken, broken_bodies, broken_h5ad, broken_tables, broken_tenx, broken_values, doors
from corpus.corpus_model import human_model

PARTS = (broken_values, broken_h5ad, broken_tenx, broken_bodies, broken_tables)
LOCAL_ONLY = frozenset({"FILE_FORMAT_UNKNOWN"})
"""What the service says of a table, which it does not take."""

READ_SECONDS = 1
"""Processor time of a reader: one entry never ends."""
ONE_IN = 8
"""Entries of which one goes through the command `validate`, which loads the model each time; the rest through what it
calls.
"""

ENTRIES = [entry for part in PARTS for entry in part.entries()]

pytestmark = pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning", "ignore:.*names are not unique")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return human_model(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="module")
def annotator(model: Bundle) -> Annotator:
    return Annotator.load(model.folder)


@pytest.fixture(scope="module")
def client(annotator: Annotator) -> Iterator[TestClient]:
    settings = ServiceSettings(read_seconds=READ_SECONDS)
    with TestClient(make_app(annotator, settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """Builds an entry's input once."""
    folder = tmp_path_factory.mktemp("inputs")
    built: dict[str, Path] = {}

    def build(entry: Any) -> Path:
        if entry.name not in built:
            place = folder / str(len(built))
            place.mkdir()
            built[entry.name] = entry.build(place)
        return built[entry.name]

    return build


def test_the_corpus_is_large_and_every_entry_has_a_name_of_its_own() -> None:
    assert len(ENTRIES) >= 250
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("write", [name for name in vars(broken) if name.startswith("write_")])
def test_what_the_corpus_breaks_is_sound(write: str, annotator: Annotator, client: TestClient, tmp_path: Path) -> None:
    path = getattr(broken, write)(broken.cells(), tmp_path)
    layer = {"write_layer_h5ad": {"layer": "counts"}, "write_raw_h5ad": {"layer": "raw"}}.get(write, {})
    if doors.is_local(path):
        assert doors.python_door(annotator, path, layer, trusted=True) == {doors.ACCEPTED}
    if path.suffix in doors.UPLOADS:
        assert doors.http_door(client, path, layer) == {doors.ACCEPTED}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_broken_input_is_refused_with_its_codes(
    entry: Any,
    inputs: Callable[[Any], Path],
    annotator: Annotator,
    client: TestClient,
    model: Bundle,
    cellmark: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CELLMARK_READ_SECONDS", str(READ_SECONDS))
    path = inputs(entry)
    said = {}
    if doors.is_local(path):
        # Directly there are no limits and no other process: what needs either is left out.
        if not entry.apart_only and "INPUT_TOO_LARGE" not in entry.codes:
            said["python"] = doors.python_door(annotator, path, entry.options, trusted=True)
        if ENTRIES.index(entry) % ONE_IN == 0:
            said["validate"] = doors.validate_door(cellmark, model.folder, path, entry.options)
        elif path.exists():
            said["validate"] = doors.report_door(model, path, entry.options)
    assert said == dict.fromkeys(said, entry.codes)
    if doors.is_upload(path):
        taken = path.suffix in doors.UPLOADS or not path.suffix
        expected = (entry.at_http or entry.codes) if taken else LOCAL_ONLY
        assert doors.http_door(client, path, entry.options) == expected


def test_a_batch_refuses_each_with_its_codes_and_goes_on(
    inputs: Callable[[Any], Path],
    model: Bundle,
    cellmark: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CELLMARK_READ_SECONDS", str(READ_SECONDS))
    sound = broken.write_h5ad(broken.cells(), tmp_path)
    groups: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for entry in ENTRIES:
        if doors.is_local(inputs(entry)):
            groups[tuple(doors.flags(entry.options))].append(entry)
    for number, (flags, entries) in enumerate(groups.items()):
        folder = tmp_path / f"calls-{number}"
        files = [inputs(entry) for entry in entries] + ([] if flags else [sound])
        ran = cellmark("annotate", *files, "--model", model.folder, "-o", f"{folder}/", "--format", "csv", *flags)
        assert ran.status == 1
        assert "Traceback" not in ran.err
        summary = pd.read_csv(folder / "summary.csv").set_index("input")
        found = {entry.name: frozenset(summary.loc[str(inputs(entry)), "codes"].split(";")) for entry in entries}
        assert found == {entry.name: entry.codes for entry in entries}
        answered = sorted(path.suffix for path in folder.iterdir() if path.name not in ("summary.csv", ".cellmark"))
        assert answered == ([] if flags else [".csv", ".json"])  # of the sound one
