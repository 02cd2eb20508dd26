"""A bundle is verified before anything of it is loaded: whatever differs is refused, with a code that says what."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, ModelError
from cellmark.schemas.manifest import bundle_files
from cellmark.schemas.manifest.bundle_files import REQUIRED, write_manifest
from cellmark.schemas.manifest.manifest import MANIFEST_NAME, seal
from cellmark.schemas.manifest.manifest_section import canonical_json

OPTIONAL = (
    "markers.csv",
    "report.html",
    "MODEL_CARD.md",
    "cell_map.parquet",
    "training_summary.json",
    "reference_profile.json",
)
FILES = (*REQUIRED, *OPTIONAL, MANIFEST_NAME)


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))


def manifest_of(folder: Path) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((folder / MANIFEST_NAME).read_bytes())
    return raw


def reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A manifest changed by someone who knows how to make digests right again."""
    raw = manifest_of(folder)
    change(raw)
    (folder / MANIFEST_NAME).write_bytes(seal(raw))


def refused(folder: Path) -> dict[str, list[str]]:
    """Codes of the refusal, and where each was found."""
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    found: dict[str, list[str]] = {}
    for finding in caught.value.findings:
        found.setdefault(finding.code, []).append(finding.where)
    return found


def test_a_whole_bundle_opens_with_its_parts(tiny_bundle: Bundle, folder: Path) -> None:
    bundle = Bundle.open(str(folder))
    assert bundle.manifest == tiny_bundle.manifest
    assert bundle.digest == bundle.manifest.bundle_digest
    assert len(bundle.panel) == bundle.manifest.panel.n_genes == len(bundle.genes)
    assert set(bundle.manifest.files) == set(FILES) - {MANIFEST_NAME}
    assert set(bundle.expectations) >= {"suites"} or bundle.expectations


def test_a_file_names_all_that_it_lists_by_standard_sha256(tiny_bundle: Bundle) -> None:
    for name, entry in tiny_bundle.manifest.files.items():
        content = tiny_bundle.path(name).read_bytes()
        assert (entry.sha256, entry.size) == (hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize("place", [0.0, 0.3, 0.77, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_any_file_is_refused(folder: Path, name: str, place: float) -> None:
    content = bytearray((folder / name).read_bytes())
    content[round(place * (len(content) - 1))] ^= 1 << (len(content) % 8)
    (folder / name).write_bytes(content)
    found = refused(folder)
    if name == MANIFEST_NAME:
        codes = {"BUNDLE_MANIFEST_INVALID", "BUNDLE_DIGEST_MISMATCH", "BUNDLE_FORMAT_UNKNOWN"}
        assert set(found) <= codes
        assert list(found.values()) == [[MANIFEST_NAME]]
    else:
        assert found == {"BUNDLE_DIGEST_MISMATCH": [name]}


def test_every_byte_of_the_manifest_counts(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    content = path.read_bytes()
    for place in range(0, len(content), 13):
        changed = bytearray(content)
        changed[place] ^= 4
        path.write_bytes(changed)
        refused(folder)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refused(folder) == {"BUNDLE_FILE_MISSING": [name]}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_file_that_the_manifest_does_not_list_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    reseal(folder, lambda raw: raw["files"].pop(name))
    assert refused(folder) == {"BUNDLE_FILE_MISSING": [name]}


def test_a_truncated_and_a_grown_file_are_both_named(folder: Path) -> None:
    (folder / "annotator.onnx").write_bytes((folder / "annotator.onnx").read_bytes()[:-1])
    with (folder / "markers.csv").open("ab") as file:
        file.write(b"\n")
    assert refused(folder) == {"BUNDLE_DIGEST_MISMATCH": ["annotator.onnx", "markers.csv"]}


@pytest.mark.parametrize("name", ["extra.pkl", ".hidden", "deep/er/file.txt", "deep/manifest.json"])
def test_an_additional_file_is_named(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("x")
    assert refused(folder) == {"BUNDLE_FILE_UNLISTED": [name]}


def test_an_additional_pipe_is_refused_without_waiting_for_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert refused(folder) == {"BUNDLE_FILE_UNLISTED": ["pipe"]}
    (folder / "annotator.onnx").unlink()
    (folder / "pipe").rename(folder / "annotator.onnx")
    assert refused(folder) == {"BUNDLE_FILE_MISSING": ["annotator.onnx"]}


@pytest.mark.parametrize("version", [0, 2, "1", 1.0, True, None])
def test_another_format_version_is_refused(folder: Path, version: object) -> None:
    reseal(folder, lambda raw: raw.update(format_version=version))
    assert refused(folder) == {"BUNDLE_FORMAT_UNKNOWN": [MANIFEST_NAME]}


def test_a_manifest_without_a_format_version_is_refused(folder: Path) -> None:
    reseal(folder, lambda raw: raw.pop("format_version"))
    assert refused(folder) == {"BUNDLE_FORMAT_UNKNOWN": [MANIFEST_NAME]}


@pytest.mark.parametrize(
    "name",
    ["../outside.txt", "deep/../../outside.txt", "/etc/hostname", "./annotator.onnx", "deep//file", "deep\\file",
     "..", "", "a\0b", "x" * 5000],
    ids=["up", "deep up", "absolute", "dot", "double slash", "backslash", "parent", "empty", "nul", "too long"],
)  # fmt: skip
def test_a_listed_path_that_escapes_is_refused_though_the_digests_are_right(folder: Path, name: str) -> None:
    (folder.parent / "outside.txt").write_text("x")
    entry = {"sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}
    reseal(folder, lambda raw: raw["files"].update({name: entry}))
    assert refused(folder)["BUNDLE_PATH_UNSAFE"] == [name]


def test_the_manifest_cannot_list_itself_or_the_folder(folder: Path) -> None:
    entry = {"sha256": "0" * 64, "size": 1}
    for name in (".", MANIFEST_NAME):
        copy = Path(shutil.copytree(folder, folder.parent / f"copy{len(name)}"))
        reseal(copy, lambda raw, name=name: raw["files"].update({name: entry}))  # type: ignore[misc]
        refused(copy)


@pytest.mark.parametrize("inside", [True, False])
def test_a_link_is_refused_wherever_it_leads(folder: Path, inside: bool) -> None:
    target = folder / "markers.csv" if inside else folder.parent / "annotator.onnx"
    if not inside:
        shutil.copy(folder / "annotator.onnx", target)
    (folder / "annotator.onnx").unlink()
    (folder / "annotator.onnx").symlink_to(target)
    assert refused(folder)["BUNDLE_PATH_UNSAFE"] == ["annotator.onnx"]


def test_a_link_to_a_folder_is_refused(folder: Path) -> None:
    (folder / "more").symlink_to(folder.parent, target_is_directory=True)
    assert refused(folder)["BUNDLE_PATH_UNSAFE"] == ["more"]


def test_a_linked_manifest_is_refused(folder: Path) -> None:
    (folder / MANIFEST_NAME).rename(folder.parent / MANIFEST_NAME)
    (folder / MANIFEST_NAME).symlink_to(folder.parent / MANIFEST_NAME)
    assert set(refused(folder)) == {"BUNDLE_MANIFEST_INVALID"}


def test_a_file_below_a_folder_is_part_of_the_bundle_when_listed(folder: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "figures" / "confusion.svg").write_text("<svg/>")
    raw = {key: value for key, value in manifest_of(folder).items() if key != "files"}
    write_manifest(folder, raw)
    assert "figures/confusion.svg" in Bundle.open(folder).manifest.files


def test_a_manifest_below_a_folder_is_listed_like_any_file(folder: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "figures" / MANIFEST_NAME).write_text("{}")
    write_manifest(folder, {key: value for key, value in manifest_of(folder).items() if key != "files"})
    assert f"figures/{MANIFEST_NAME}" in Bundle.open(folder).manifest.files


def write_raw(folder: Path, content: bytes) -> None:
    (folder / MANIFEST_NAME).write_bytes(content)


def test_another_byte_form_of_the_same_manifest_is_refused(folder: Path) -> None:
    content = (folder / MANIFEST_NAME).read_bytes()
    forms = [
        content[:-1], content + b"\n", b" " + content, json.dumps(manifest_of(folder)).encode(),
        content.replace(b'{"', b'{ "', 1), b"\xef\xbb\xbf" + content, content.decode().encode("utf-16"),
        content.replace(b'"name":"tiny"', b'"name":"other","name":"tiny"'),
        content.replace(b'"name":"tiny"', b'"name":"\\u0074iny"'),
    ]  # fmt: skip
    for form in forms:
        assert form != content
        write_raw(folder, form)
        assert set(refused(folder)) == {"BUNDLE_MANIFEST_INVALID"}, form[:60]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]\n", b"null\n", b'"text"\n', b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000,
        b'{"format_version":1,"a":NaN}\n', b'{"format_version":1,"a":Infinity}\n',
        b'{"format_version":1,"a":"\\ud800"}\n', b'{"format_version":1,"a":' + b"9" * 5000 + b"}\n",
    ],
)  # fmt: skip
def test_a_manifest_that_is_no_canonical_json_object_is_refused(folder: Path, content: bytes) -> None:
    write_raw(folder, content)
    assert set(refused(folder)) == {"BUNDLE_MANIFEST_INVALID"}


def test_a_manifest_without_digests_is_refused(folder: Path) -> None:
    for name in ("bundle_digest", "manifest_digest"):
        raw = manifest_of(folder)
        del raw[name]
        write_raw(folder, canonical_json(raw))
        assert set(refused(folder)) == {"BUNDLE_DIGEST_MISMATCH"}
        raw[name] = "0" * 64
        write_raw(folder, canonical_json(raw))
        assert set(refused(folder)) == {"BUNDLE_DIGEST_MISMATCH"}
        reseal(folder, lambda raw: None)
        Bundle.open(folder)


def test_a_sealed_manifest_that_lacks_fields_is_refused_with_the_field(folder: Path) -> None:
    reseal(folder, lambda raw: raw["split"].pop("strategy"))
    with pytest.raises(BundleError, match=r"split\.strategy"):
        Bundle.open(folder)


def test_fields_that_this_version_does_not_know_are_no_trouble(folder: Path) -> None:
    reseal(folder, lambda raw: raw.update(a_later_field={"score": "knn"}))
    Bundle.open(folder)


def test_a_huge_manifest_is_refused_before_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / MANIFEST_NAME).open("r+b") as file:
        file.truncate(bundle_files.LARGEST_MANIFEST + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("was read"))
    assert set(refused(folder)) == {"BUNDLE_MANIFEST_INVALID"}


def test_no_folder_and_no_bundle_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="MODEL_UNKNOWN"):
        Bundle.open(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="MODEL_UNKNOWN"):
        Bundle.open(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert set(refused(tmp_path / "empty")) == {"BUNDLE_MANIFEST_INVALID"}
    (tmp_path / "empty" / MANIFEST_NAME).mkdir()
    assert set(refused(tmp_path / "empty")) == {"BUNDLE_MANIFEST_INVALID"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
def test_a_file_that_may_not_be_read_is_refused(folder: Path) -> None:
    (folder / "markers.csv").chmod(0)
    refused(folder)


def test_a_file_that_cannot_be_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(bundle_files, "file_digest", fail)
    assert set(refused(folder)) == {"BUNDLE_CONTENT_INVALID"}


def rewrite_genes(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Bundle:
    """A bundle whose genes were changed and sealed again, opened."""
    path = folder / "genes.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    write_manifest(folder, {key: value for key, value in manifest_of(folder).items() if key != "files"})
    return Bundle.open(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda genes: genes.iloc[::-1],
        lambda genes: genes.iloc[1:],
        lambda genes: genes.rename(columns={"gene_symbol": "symbol"}),
        lambda genes: genes.assign(gene_symbol=genes["gene_symbol"].iloc[0]),
    ],
    ids=["order", "fewer", "column", "repeated"],
)
def test_genes_that_are_not_the_manifests_panel_are_refused(
    folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    bundle = rewrite_genes(folder, change)
    with pytest.raises(BundleError, match="BUNDLE_CONTENT_INVALID"):
        _ = bundle.panel


@pytest.mark.parametrize("name", ["genes.parquet", "markers.parquet", "expectations.json"])
def test_a_sealed_file_of_another_kind_is_refused_when_it_is_read(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"neither parquet nor JSON")
    write_manifest(folder, {key: value for key, value in manifest_of(folder).items() if key != "files"})
    bundle = Bundle.open(folder)
    with pytest.raises(BundleError, match="BUNDLE_CONTENT_INVALID"):
        getattr(bundle, name.split(".")[0])


def test_a_cell_type_has_its_number_or_is_refused_with_those_there_are(tiny_bundle: Bundle) -> None:
    assert tiny_bundle.check_cell_type("NK cell") == 1
    with pytest.raises(ModelError, match="CELL_TYPE_UNKNOWN") as caught:
        tiny_bundle.check_cell_type("NK", where="target")
    assert caught.value.findings[0].where == "target"
    assert "B cell, NK cell, T cell" in caught.value.findings[0].remedy


def test_the_panel_digest_is_of_the_genes_in_order(tiny_bundle: Bundle) -> None:
    symbols = "\n".join(tiny_bundle.genes["gene_symbol"]).encode()
    assert tiny_bundle.manifest.panel.digest == hashlib.sha256(symbols).hexdigest()
    assert np.isfinite(tiny_bundle.genes["baseline"]).all()
