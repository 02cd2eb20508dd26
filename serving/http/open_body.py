"""The cells in a received body: JSON, `.npz`, `.h5ad` or 10x `.h5`, each by the reader that it takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cellmark.schemas.api.request_cells import RequestCells, read_npz, unpacked_bytes
from cellmark.schemas.api.requests import LARGE_BODY, cells_from_body
from cellmark.schemas.cells.file_kind import file_kind
from cellmark.schemas.cells.read_arrow import FILE_MAGIC, LIBRARY_SIZE, STREAM_START
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import CellmarkError, Finding, ParameterError, ReadError

from ..reader.open_apart import is_tenx, open_apart, open_json_apart, open_npz_apart
from ..reader.reading_rules import ReadingRules
from .options import InputOptions
from .problems import without_path
from .receive import Body
from .settings import ServiceSettings

SMALL_NPZ, SMALL_ARRAYS = 8 * 1024**2, 64 * 1024**2
"""Bytes of an `.npz`, and of its arrays, up to which the service reads it itself. That is safe: the reading is Python's
zipfile, zlib and NumPy's header, the sizes are checked before an array is made, and nothing is unpickled. The limit is
for the time and the memory that reading takes from others.
"""
EXTENSIONS = (".h5ad", ".h5", ".npz", ".arrow")
ACCEPTED = ".h5ad, 10x .h5, .npz or .arrow"


@contextmanager
def open_body(
    body: Body, options: InputOptions, settings: ServiceSettings, *, may_write: bool = False
) -> Iterator[RequestCells]:
    """The cells of a body. Raises `RequestError` for a body of another form, and `InputError` for cells that cannot be
    read; no message names a path of this machine. `may_write`: a copy of an uploaded file is to be answered.
    """
    asked = options.reading
    try:
        if body.json is not None:
            _no_file_options(options, "JSON")
            if len(body.json) >= LARGE_BODY:
                recover = asked.recover_counts
                rules = settings.reading_rules
                with open_json_apart(body.json, name=body.name, recover_counts=recover, rules=rules) as source:
                    size, findings = source.library_size, source.findings
                    yield RequestCells(source, size, source.genes_source, findings, asked)
                return
            yield replace(_recovered(cells_from_body(bytes(body.json)), asked), asked=asked)
            return
        assert body.path is not None  # noqa: S101
        rules = settings.reading_rules
        path = _with_extension(body.path, rules)
        if path.suffix == ".npz":
            _no_file_options(options, "an .npz")
            recover = asked.recover_counts
            if path.stat().st_size <= SMALL_NPZ and (unpacked_bytes(path) or 0) <= SMALL_ARRAYS:
                cells = read_npz(path, name=body.name, limits=rules.limits)
                yield replace(_recovered(cells, asked), asked=asked)
                return
            with open_npz_apart(path, name=body.name, recover_counts=recover, rules=rules) as source:
                yield RequestCells(source, source.library_size, asked=asked)
            return
        with open_apart(path, asked, rules=rules, may_write=may_write) as source:
            column = options.library_size
            if path.suffix == ".arrow" and column is None and LIBRARY_SIZE in source.obs:
                column = LIBRARY_SIZE
            yield RequestCells(source, column, asked=asked)
    except CellmarkError as error:
        raise type(error)(*without_path(error.findings, body.folder)).with_headers(**error.headers) from error


def _recovered(cells: RequestCells, asked: ReadingOptions) -> RequestCells:
    """The same with counts recovered, if that was asked for."""
    if not asked.recover_counts:
        return cells
    from cellmark.schemas.cells.recover_counts import recover_source

    return replace(cells, source=recover_source(cells.source))


def _with_extension(path: Path, rules: ReadingRules) -> Path:
    """The file under a name that says what it is: by its extension in a form, by its first bytes in a bare body."""
    if path.suffix.lower() in EXTENSIONS:
        return path.rename(path.with_suffix(path.suffix.lower()))
    if path.suffix:
        raise ReadError.of(
            "FILE_FORMAT_UNKNOWN",
            where=path.name,
            expected=ACCEPTED,
            found=f"the extension {path.suffix!r}",
            remedy="Give the file the extension of what it is.",
        )
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        return path.rename(path.with_suffix(".npz"))
    if start.startswith((FILE_MAGIC, STREAM_START)):
        return path.rename(path.with_suffix(".arrow"))
    if start != b"\x89HDF\r\n\x1a\n":
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=path.name,
            expected=ACCEPTED,
            found=file_kind(path),
            remedy="Check that the whole file was sent: curl needs --data-binary, not -d.",
        )
    return path.rename(path.with_suffix(".h5" if is_tenx(path, rules=rules) else ".h5ad"))


def _no_file_options(options: InputOptions, form: str) -> None:
    findings = [
        Finding(
            "PARAMETER_INVALID",
            where=name,
            expected="an uploaded .h5ad, which has layers and obs columns",
            found=form,
            remedy=remedy,
        )
        for name, value, remedy in (
            ("layer", options.layer, "Omit it for this input."),
            ("library_size", options.library_size, "Send the numbers themselves with the cells."),
        )
        if value is not None
    ]
    if findings:
        raise ParameterError(*findings)
