"""A running service as an annotator: `Client(url, key).annotate(adata)`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import httpx
import numpy as np
import pandas as pd

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import ReadingKeywords, ReadingOptions
from cellmark.schemas.checks.library_size import given_library_size
from cellmark.schemas.columns import UNS_KEY
from cellmark.schemas.errors import CellmarkError, InputError, raise_if_refused
from cellmark.schemas.genes.symbol_column import named_by

from ..scoring.attribute import DEFAULT_TOP
from ..scoring.call_options import CallOptions, Floors
from ..scoring.calls_frame import check_same_cells, copy_calls, mark_cross_species
from ..scoring.majority import Over
from ..scoring.score import in_order
from .connection import Connection, Sent, open_http
from .frames import across_of, calls_of, explanations_of, facts_of, markers_of, renamed
from .pieces import Packing, Piece, check_ids
from .questions import (
    ANY_FILE,
    ModelBehind,
    call_query,
    file_query,
    keeps_changing,
    none_seen,
    only_piece,
    opened,
    reading_query,
    to_upload,
    wrong,
)
from .retry import Retry

if TYPE_CHECKING:
    from anndata import AnnData

    from ..scoring.as_source import AnyCells

CELLS_PER_REQUEST = 5_000
CELLS_PER_EXPLANATION = 500
AT_ONCE = 2
MOST_SWAPS = 3
"""Times that an input is sent again because the service changed its model meanwhile."""
NOT_WHOLE = "Annotate them with the model at hand, or without as_sample (--fixed-threshold)."


class Client:
    """A running cellmark service. Its answers are those that `Annotator` gives with the same model.

    Cells in memory are sent a few thousand at a time, several requests at once; files are uploaded as they are read.
    Requests are repeated when the service asks for it or cannot be reached. What the service refuses is raised as the
    same error, with its findings. Safe to use from several threads. Notes on the input as a whole, such as unusual
    library sizes, are made for each request and merged; `missing_genes` lists the first 50.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 600.0,
        cells_per_request: int = CELLS_PER_REQUEST,
        at_once: int = AT_ONCE,
        retry: Retry | None = None,
        min_panel_share: float | None = None,
        min_attribution_share: float | None = None,
        max_unknown_share: float | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Nothing is asked yet. Raises `ParameterError`.

        Parameters
        ----------
        url
            Where the service is, such as `https://annotate.example.org`. A path in it is kept: of a service of several
            models `.../models/pbmc`, or `.../models/pbmc/versions/3`, names one.
        key
            The API key or token, sent as `Authorization: Bearer`. It goes to `url` alone.
        timeout
            Seconds that an answer may take.
        cells_per_request, at_once
            Most cells in one request, and requests at the same time.
        retry
            When to ask again, by default for two minutes.
        min_panel_share, min_attribution_share, max_unknown_share
            As in `Annotator.load`.
        transport
            In place of the network, for tests.
        """
        for where, value in (("timeout", timeout), ("cells_per_request", cells_per_request), ("at_once", at_once)):
            if value <= 0:
                raise wrong(where, "a number above 0", str(value), "Omit it for the default.")
        self._http = open_http(url, key, timeout=timeout, transport=transport)
        self._connection = Connection(self._http, retry or Retry())
        self._cells_per_request, self._at_once = cells_per_request, at_once
        self.floors = Floors(
            min_panel_share=min_panel_share,
            min_attribution_share=min_attribution_share,
            max_unknown_share=max_unknown_share,
        )
        self._model: ModelBehind | None = None

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def annotate(
        self,
        cells: "AnyCells",
        *,
        probabilities: bool = False,
        label_set_error: float | None = None,
        over: Over | None = None,
        as_sample: bool = False,
        copy_to: "AnnData | None" = None,
        on_progress: Callable[[int], None] = none_seen,
        **reading: Unpack[ReadingKeywords],
    ) -> pd.DataFrame:
        """Call every cell: as `Annotator.annotate`, with the same parameters, frame and errors.

        A file is uploaded as a whole, unless a vote is wanted, and calls come in the order of its cells; one that is
        too large for the service, or in a format that it does not read, is read here and sent in pieces. The vote over
        clusters (`over`) is counted here. With `as_sample` all cells go in one request (`REQUEST_TOO_LARGE` where they
        do not fit). An `ortholog_table` is refused.
        """
        how = ReadingOptions(**reading)
        options = self._known(
            CallOptions(probabilities=probabilities, label_set_error=label_set_error, over=over, as_sample=as_sample)
        )
        if over is None and copy_to is None and (path := to_upload(cells, how)) is not None:
            uploaded = self._uploaded("/annotate", path, how, call_query(options))
            if uploaded is not None:
                on_progress(uploaded["n_cells"])
                return self._calls([uploaded], counts_from=uploaded["counts_from"], name=path.name)
        with opened(cells, how) as source:
            if copy_to is not None:
                check_same_cells(pd.Index(source.cell_ids), copy_to.obs_names)
            frame = self.call(source, how, options, on_progress=on_progress)
        if copy_to is not None:
            copy_calls(frame, copy_to)
        return frame

    def call(
        self,
        source: CellSource,
        reading: ReadingOptions,
        options: CallOptions,
        *,
        on_progress: Callable[[int], None] = none_seen,
    ) -> pd.DataFrame:
        """As `annotate`, of an opened source, whose counts were recovered if that was asked for."""
        vote = None
        if options.over is not None:
            from ..scoring.majority import Vote

            vote = Vote(source, source.cell_ids, options.over)
        options = self._known(options)
        query, size = call_query(options), None if options.as_sample else self._cells_per_request
        answers = self._asked("/annotate", source, reading, query, size, on_progress)
        frame = self._calls(answers, counts_from=source.counts_from, name=source.name, source=source)
        return frame if vote is None else vote.add_to(frame)

    def explain(
        self,
        cells: "AnyCells",
        target: str | None = None,
        against: str | None = None,
        top: int = DEFAULT_TOP,
        *,
        on_progress: Callable[[int], None] = none_seen,
        **reading: Unpack[ReadingKeywords],
    ) -> pd.DataFrame:
        """List the genes behind each call: as `Annotator.explain`, with the same parameters, frame and errors."""
        how = ReadingOptions(**reading)
        query = {name: value for name, value in (("target", target), ("against", against)) if value is not None}
        size = min(self._cells_per_request, CELLS_PER_EXPLANATION)
        with opened(cells, how) as source:
            answers = self._asked("/attribute", source, how, {**query, "top": str(top)}, size, on_progress)
            frame = explanations_of(answers)
            mark_cross_species(frame, across_of(answers))
            facts = facts_of(answers, counts_from=source.counts_from, notes=source.notes, name=source.name)
        frame.attrs[UNS_KEY] = facts
        return frame

    def validate(self, cells: "AnyCells", **reading: Unpack[ReadingKeywords]) -> dict[str, Any]:
        """Everything that the service finds about an input, the answer of `POST /validate`: `valid`, `findings`,
        `quality`. It goes in one request, and is refused (`REQUEST_TOO_LARGE`) where the service takes less.
        """
        how = ReadingOptions(**reading)
        if (path := to_upload(cells, how)) is not None:
            query = reading_query(how, self.floors) | file_query(how)
            return self._connection.ask("POST", "/validate", query=query, sent=Sent(ANY_FILE, path=path))
        with opened(cells, how) as source:
            check_ids(source)
            pieces = self._packing(source, how).pieces(max(source.n_obs, 1))
            (piece,) = only_piece(pieces, source, "Validate a part of the cells, or at hand: cellmark validate FILE.")
            query = reading_query(how, self.floors) | piece.query
            return self._connection.ask("POST", "/validate", query=query, sent=piece.sent)

    def markers(self, cell_type: str | None = None, *, top: int | None = None) -> pd.DataFrame:
        """The marker table, of one type when named; `top` keeps the first ranks. Raises `ModelError`."""
        given = (("cell_type", cell_type), ("top", top))
        query = {name: str(value) for name, value in given if value is not None}
        answer = self._connection.ask("GET", "/markers", query=query)
        return markers_of(answer)

    def model(self, *, genes: bool = False) -> dict[str, Any]:
        """What the service says of its model, the answer of `GET /model`. `genes`: with the names of its genes."""
        return self._connection.ask("GET", "/model", query={"genes": "true"} if genes else {})

    def _known(self, options: CallOptions) -> CallOptions:
        """Without `as_sample` for a model that does not know samples: it keeps its threshold at hand too."""
        knows = not options.as_sample or self._served().whole_samples
        return options if knows else replace(options, as_sample=False)

    def _served(self, digest: str | None = None) -> ModelBehind:
        """The model, asked once, and again when answers come from another one (`digest`)."""
        if self._model is None or digest not in (None, self._model.digest):
            self._model = ModelBehind.of(self.model(genes=True))
        return self._model

    def _calls(
        self, answers: list[dict[str, Any]], *, counts_from: str, name: str, source: CellSource | None = None
    ) -> pd.DataFrame:
        model = self._served(answers[0]["bundle_digest"])
        if model.digest != answers[0]["bundle_digest"]:
            raise keeps_changing()
        frame = calls_of(answers, model.cell_types, model.coarse_types, model.levels)
        mark_cross_species(frame, across_of(answers))
        notes = () if source is None else source.notes
        frame.attrs[UNS_KEY] = facts_of(answers, counts_from=counts_from, notes=notes, name=name)
        return frame

    def _uploaded(
        self, route: str, path: Path, reading: ReadingOptions, query: dict[str, str]
    ) -> dict[str, Any] | None:
        """The answer on a whole file, None for one that is larger than the service takes."""
        query = query | reading_query(reading, self.floors) | file_query(reading)
        try:
            return self._connection.ask("POST", route, query=query, sent=Sent(ANY_FILE, path=path))
        except CellmarkError as error:
            if error.code == "REQUEST_TOO_LARGE":
                return None
            raise renamed(error, counts_from="X", name=path.name) from None

    def _asked(
        self,
        route: str,
        source: CellSource,
        reading: ReadingOptions,
        query: dict[str, str],
        cells_per_request: int | None,
        on_progress: Callable[[int], None],
    ) -> list[dict[str, Any]]:
        """One model's answers on all pieces, in order; `cells_per_request`: None for one. Raises the first refusal."""
        check_ids(source)
        query = query | reading_query(reading, self.floors)

        def ask(piece: Piece) -> tuple[int, dict[str, Any]]:
            return piece.n_cells, self._connection.ask("POST", route, query=query | piece.query, sent=piece.sent)

        for swap in range(MOST_SWAPS):
            answers = []
            pieces = self._packing(source, reading).pieces(cells_per_request or max(source.n_obs, 1))
            if cells_per_request is None:
                pieces = only_piece(pieces, source, NOT_WHOLE)
            try:
                for n_cells, answer in in_order(ask, pieces, workers=self._at_once):
                    answers.append(answer)
                    if not swap:
                        on_progress(n_cells)
            except CellmarkError as error:
                raise renamed(error, counts_from=source.counts_from, name=source.name) from None
            if len({answer["bundle_digest"] for answer in answers}) == 1:
                return answers
        raise keeps_changing()

    def _packing(self, source: CellSource, reading: ReadingOptions) -> Packing:
        sizes, findings = given_library_size(source, reading.library_size)
        raise_if_refused(findings, InputError)
        model, named = self._served(), named_by(source, reading.symbol_column)
        return Packing(named, None if sizes is None else np.asarray(sizes), model.genes, model.organism)
