"""One file of cells in, one file of calls out, as `files/annotate_file.py` does, with the model behind a service."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.columns import UNS_KEY
from cellmark.schemas.errors import Finding, ParameterError, RequestError
from cellmark.schemas.quality.quality_report import QualityReport

from ..outputs.write_calls import check_not_input, check_output, write_calls
from ..reader.open_apart import open_source
from ..scoring.call_options import PLAIN_CALLS, CallOptions, Floors
from ..terminal.show import cell_progress, waiting
from .client import Client


def annotate_remotely(
    client: Client,
    path: Path,
    out: Path,
    reading: ReadingOptions = AS_IT_IS,
    calls: CallOptions = PLAIN_CALLS,
    *,
    with_quality: bool = False,
    data_docs: Path | None = None,
    trusted: bool = False,
    force: bool = False,
    columns_prefix: str | None = None,
) -> tuple[pd.DataFrame, QualityReport | None]:
    """Annotate `path` into `out` (by its extension) and return the calls, and no report of quality.

    The arguments are those of `annotate_file`, and so are the errors; `with_quality` is not heeded, since the model's
    suites are where the model is.
    """
    check_output(out, force=force)
    check_not_input(out, [path], origin=path)
    with open_source(path, reading, trusted=trusted, may_write=out.suffix == ".h5ad") as source:
        with cell_progress(path.name, source.n_obs) as advance:
            frame = _called(client, source, reading.once_open(), calls, on_progress=advance)
        write_calls(frame, out, source=source, origin=path, force=force, columns_prefix=columns_prefix)
    return frame, None


def _called(
    client: Client,
    source: CellSource,
    reading: ReadingOptions,
    calls: CallOptions,
    *,
    on_progress: Callable[[int], None],
) -> pd.DataFrame:
    """The calls of a sample; of one that does not fit in one request each cell by itself, with a note on that."""
    try:
        return client.call(source, reading, calls, on_progress=on_progress)
    except RequestError as error:
        if error.code != "REQUEST_TOO_LARGE" or not calls.as_sample:
            raise
    frame = client.call(source, reading, replace(calls, as_sample=False), on_progress=on_progress)
    in_pieces = Finding(
        "SAMPLE_IN_PIECES",
        where=source.name,
        expected="a sample that fits in one request, to be judged as a whole",
        found=f"{source.n_obs:,} cells in several, each judged by itself",
        remedy="The model's fixed threshold stands. To judge the whole sample: cellmark annotate --model.",
        severity="warning",
    )
    frame.attrs[UNS_KEY]["notes"].append(in_pieces.to_dict())
    return frame


def open_client(url: str, key_file: Path | None, floors: Floors) -> Client:
    """The client that a command was asked for, once the service has named its model: in a batch, a service that cannot
    be reached or refuses the key would otherwise be found out file by file. Raises as `Client` and `Client.model`.
    """
    key = None if key_file is None else read_key(key_file)
    client = Client(
        url,
        key,
        min_panel_share=floors.min_panel_share,
        min_attribution_share=floors.min_attribution_share,
        max_unknown_share=floors.max_unknown_share,
    )
    with waiting(f"Asking {url}"):
        client.model()
    return client


def read_key(path: Path) -> str:
    """The key in a file of one line. Raises `ParameterError`; no message shows what the file holds."""
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) else "other characters than ASCII"
        raise _no_key(path, str(found)) from None
    if len(lines) != 1:
        raise _no_key(path, f"{len(lines)} words")
    return lines[0]


def _no_key(path: Path, found: str) -> ParameterError:
    return ParameterError.of(
        "PARAMETER_INVALID",
        where="key_file",
        expected="a file of one line, the API key as it was shown",
        found=f"{path}: {found}",
        remedy="Write the key and nothing else into it, and keep it to yourself: chmod 600 FILE.",
    )
