"""A model of CellTypist's becomes a bundle: another process reads its pickle, and training's step writes the graphs."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path

from cellmark.schemas.atomic_output import refuse_existing
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import OutputError, ReadError
from cellmark.schemas.genes.gene_panel import MIN_PANEL_SHARE, check_share
from cellmark.schemas.manifest.manifest import MANIFEST_NAME

from ..reader.celltypist_file import EXPECTED
from ..reader.open_apart import celltypist_apart
from ..reader.reader_server import start_reader
from ..scoring.training_steps import load_training_step

OF_THE_READER = ("CELLMARK_READ_SECONDS", "CELLMARK_READER_MEMORY_BYTES")


def import_celltypist(
    path: Path,
    out: Path,
    *,
    trust_pickle: bool = False,
    name: str | None = None,
    organism: str | None = None,
    min_panel_share: float = MIN_PANEL_SHARE,
    force: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> Bundle:
    """The bundle in `out` that answers as the model of `path` does.

    `trust_pickle`: read a pickle at all. `name`: of the model, by default the file's. `organism`: of its cells, by
    default what the names of the genes tell. `min_panel_share`: share of its genes that an input must have. `force`:
    replace a bundle. Needs the training extra. Raises `ReadError` for a file that is not trusted or no such model,
    `OutputError`, and `ExportError` for graphs that answer otherwise.
    """
    _require_file(path)
    check_share(min_panel_share)
    if not trust_pickle:
        raise ReadError.of(
            "PICKLE_UNTRUSTED",
            where=str(path),
            expected="--trust-pickle (trust_pickle=True in Python) for a file that can hold programs",
            found="a pickle, as all models of CellTypist are",
            remedy="If you know who made it, add --trust-pickle (trust_pickle=True in Python). cellmark runs nothing "
            "that is in it: it takes the arrays out in a process of its own.",
        )
    _refuse_output(out, force=force)
    write = load_training_step("imported_bundle")
    start_reader()
    try:
        model = celltypist_apart(path)
    except ReadError as error:
        raise _with_remedy(error) from error
    with path.open("rb") as handle:
        digest = file_digest(handle, "sha256").hexdigest()
    write(
        replace(model, file_sha256=digest),
        out,
        name=name or path.stem,
        organism=organism,
        min_panel_share=min_panel_share,
        force=force,
        on_step=on_step,
    )
    return Bundle.open(out)


def _require_file(path: Path) -> None:
    if path.is_file():
        return
    there = path.exists()
    raise ReadError.of(
        "FILE_UNREADABLE" if there else "FILE_NOT_FOUND",
        where=str(path),
        expected=EXPECTED,
        found="no file" if there else "nothing there",
        remedy="Give the path of its file. CellTypist keeps those that it downloads in ~/.celltypist/data/models.",
    )


def _refuse_output(out: Path, *, force: bool) -> None:
    refuse_existing(out, force=force)
    if out.exists() and not (out / MANIFEST_NAME).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError.of(
            "OUTPUT_EXISTS",
            where=str(out),
            expected="a new folder, or a bundle to replace",
            found="something else that exists",
            remedy="Name another folder.",
        )


def _with_remedy(error: ReadError) -> ReadError:
    """The reader's error; where it ran out of its limits, without the options that only cells have."""
    return ReadError(
        *(
            replace(finding, expected=EXPECTED, remedy=LIMITS)
            if any(name in finding.remedy for name in OF_THE_READER)
            else finding
            for finding in error.findings
        )
    )


LIMITS = (
    "If the file is sound, raise CELLMARK_READ_SECONDS or CELLMARK_READER_MEMORY_BYTES; else download it again, or "
    "save the model again with CellTypist."
)
