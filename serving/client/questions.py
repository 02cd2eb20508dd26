"""What a client asks: options as query parameters, the way that an input takes, the model behind the answers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ParameterError, RequestError

from ..scoring.as_source import as_source
from ..scoring.call_options import CallOptions, Floors
from .pieces import Piece

if TYPE_CHECKING:
    from ..scoring.as_source import AnyCells

ANY_FILE = "application/octet-stream"
UPLOADED = (".h5ad", ".h5", ".npz")
"""Files that the service reads itself. All others are read here and sent in pieces."""


def none_seen(n_cells: int) -> None:
    """No progress to show."""


@dataclass(frozen=True)
class ModelBehind:
    """What frames need of the model behind a service. `coarse_types`: empty for a model without coarse calls; `levels`:
    the names of each level's groups; `whole_samples`: whether it can judge a request as one sample.
    """

    digest: str
    cell_types: list[str]
    coarse_types: list[str]
    genes: frozenset[str]
    organism: str | None
    levels: tuple[tuple[str, ...], ...] = ()
    whole_samples: bool = False

    @classmethod
    def of(cls, told: dict[str, Any]) -> "ModelBehind":
        """The model that the answer of `GET /model?genes=true` describes."""
        types = [entry["name"] for entry in told["cell_types"]]
        coarse, genes = told.get("coarse_cell_types") or [], frozenset(told["genes"])
        levels = (told.get("levels") or {"levels": []})["levels"]
        names = tuple(tuple(group["name"] for group in level["groups"]) for level in levels)
        whole = told.get("whole_samples") is True
        return cls(told["bundle_digest"], types, coarse, genes, told["organism"], names, whole)


def reading_query(reading: ReadingOptions, floors: Floors) -> dict[str, str]:
    """Options that hold for all forms of cells. Raises `ParameterError` for what the service does not offer."""
    if reading.ortholog_table is not None:
        raise wrong(
            "ortholog_table",
            "the orthologs that the service has, of human and mouse",
            f"a table: {reading.ortholog_table}",
            "Ask with --orthologs (orthologs=True in Python), or annotate with the model at hand (--model).",
        )
    given = {name: value for name, value in vars(floors).items() if value is not None}
    orthologs = {"orthologs": "true"} if reading.orthologs else {}
    return {"input": reading.input, **orthologs, **{name: repr(float(value)) for name, value in given.items()}}


def call_query(options: CallOptions) -> dict[str, str]:
    query = {"probabilities": "true"} if options.probabilities else {}
    if options.label_set_error is not None:
        query["label_set_error"] = repr(options.label_set_error)
    if options.as_sample:
        query["as_sample"] = "true"
    return query


def file_query(reading: ReadingOptions) -> dict[str, str]:
    """Options that the service applies to a file that it reads itself."""
    query = {"recover_counts": "true"} if reading.recover_counts else {}
    if reading.layer is not None:
        query["layer"] = reading.layer
    return query | ({"library_size": reading.library_size} if isinstance(reading.library_size, str) else {})


def to_upload(cells: "AnyCells", reading: ReadingOptions) -> Path | None:
    """The file to upload, None for cells that are read here."""
    if not isinstance(cells, str | os.PathLike) or reading.genes_by_cells or reading.symbol_column:
        return None
    path = Path(cells)
    known = reading.library_size is None or isinstance(reading.library_size, str)
    return path if known and path.suffix.lower() in UPLOADED and path.is_file() else None


@contextmanager
def opened(cells: "AnyCells", reading: ReadingOptions) -> Iterator[CellSource]:
    """The cells; a file is closed again, a source that was handed in open stays open."""
    source = as_source(cells, reading)
    try:
        yield source
    finally:
        if source is not cells:
            source.close()


def keeps_changing() -> RequestError:
    return RequestError.of(
        "SERVICE_UNREACHABLE",
        where="model",
        expected="one model for all cells of the input",
        found="a service that changed its model during the request, several times",
        remedy="Ask again when the service has settled.",
    )


def only_piece(pieces: Iterator[Piece], source: CellSource, remedy: str) -> Iterator[Piece]:
    """The piece that all cells fit in. Raises `RequestError` (`REQUEST_TOO_LARGE`) where there is no such."""
    found = list(islice(pieces, 2))
    if len(found) > 1:
        raise RequestError.of(
            "REQUEST_TOO_LARGE",
            where=source.name,
            expected="cells that fit in one request",
            found=f"{source.n_obs:,} cells",
            remedy=remedy,
        )
    return iter(found)


def wrong(where: str, expected: str, found: str, remedy: str) -> ParameterError:
    return ParameterError.of("PARAMETER_INVALID", where=where, expected=expected, found=found, remedy=remedy)
