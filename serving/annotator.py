"""The Python door: `Annotator.load(model).annotate(adata)`."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellmark.schemas.called_cells import CalledCells
from cellmark.schemas.cells import CellSource, RowChunk
from cellmark.schemas.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_ID,
    CELL_TYPE,
    COARSE_CELL_TYPE,
    COARSE_PROBABILITY,
    CONFIDENCE,
    EXPLANATION_COLUMNS,
    LABEL_SET,
    MARGIN,
    NOVELTY,
    SECOND_CELL_TYPE,
    UNASSIGNED,
    UNS_KEY,
)
from cellmark.schemas.errors import Finding, ParameterError
from cellmark.schemas.panel_evidence import check_attribution_share

from .attribute import DEFAULT_TOP, EXPLAIN_VALUES, Question, attribute_cells, explanation_frame
from .call_rules import CallRules
from .label_sets import set_column
from .majority import Over, Vote
from .markers import select_markers
from .model_source import ModelSource, open_model
from .score import Calls, in_order, score
from .session import Device, ModelSession

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class AnswerFacts:
    """What every answer says of the model and the input; `notes` are warnings and remarks on the input.

    `attribution_share`: share of the model's attribution mass that the input's genes carry, None for a model that does
    not know it.
    """

    model: str
    model_version: str | None
    bundle_digest: str
    library_size_source: str
    counts_from: str
    n_cells: int
    genes_matched: int
    genes_missing: int
    missing_genes: tuple[str, ...]
    attribution_share: float | None
    notes: tuple[Finding, ...]
    distilled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain values; `distilled` only where it is so."""
        facts = asdict(self)
        if not self.distilled:
            del facts["distilled"]
        return {
            **facts,
            "missing_genes": list(self.missing_genes),
            "notes": [note.to_dict() for note in self.notes],
        }


class Annotator:
    """A loaded, self-tested model: names cells, explains calls, lists markers. Safe to use from many threads."""

    def __init__(
        self,
        source: ModelSource,
        session: ModelSession,
        *,
        min_panel_share: float | None = None,
        min_attribution_share: float | None = None,
    ) -> None:
        self.min_panel_share = source.bundle.manifest.panel.min_share if min_panel_share is None else min_panel_share
        check_share(self.min_panel_share)
        check_attribution_share(min_attribution_share, source.bundle.panel.evidence)
        self.min_attribution_share = min_attribution_share
        self.source = source
        self.session = session
        self.bundle = source.bundle
        self.cell_types: list[str] = self.bundle.manifest.cell_type_names
        self._baselines = self.bundle.genes["baseline"].to_numpy(dtype=np.float32)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str],
        *,
        device: Device = "cpu",
        threads: int = 1,
        min_panel_share: float | None = None,
        min_attribution_share: float | None = None,
        distilled: bool = False,
    ) -> "Annotator":
        """The model behind a bundle folder or an MLflow URI (`models:/pbmc@champion`, `models:/pbmc/3`).

        Digests are verified first, then the golden cells are run. `min_panel_share`: share of the panel that an input
        must have measured, in place of the model's own floor; `min_attribution_share`: share of the attribution mass
        that the measured genes must carry, likewise. `distilled`: call with the model's second annotator, one
        network in place of the ensemble, where training made one; its agreement stands in the manifest's metrics.
        Explanations stay the ensemble's. `open_model` and `ModelSession` say what is raised.
        """
        source = open_model(model)
        session = ModelSession(source.bundle, device=device, threads=threads, distilled=distilled)
        return cls(source, session, min_panel_share=min_panel_share, min_attribution_share=min_attribution_share)

    def check(
        self,
        cells: "AnnData | CellSource",
        *,
        layer: str | None = None,
        library_size: str | np.ndarray | pd.Series | None = None,
        recover_counts: bool = False,
        min_panel_share: float | None = None,
        min_attribution_share: float | None = None,
    ) -> CheckedCells:
        """The input, aligned to the panel. Raises `InputError` with all that is visible without reading the values.

        `min_panel_share`, `min_attribution_share`: floors for this input, in place of the annotator's.
        """
        share = self.min_panel_share if min_panel_share is None else min_panel_share
        mass = self.min_attribution_share if min_attribution_share is None else min_attribution_share
        check_share(share)
        check_attribution_share(mass, self.bundle.panel.evidence)
        return CheckedCells(
            as_source(cells, layer=layer, recover_counts=recover_counts),
            self.bundle.panel,
            library_size=library_size,
            n_genes_trained=self.bundle.manifest.n_genes_measured,
            min_share=share,
            min_mass=mass,
            library_range=self.bundle.library_size_range,
        )

    def annotate(
        self,
        cells: "AnnData | CellSource",
        *,
        layer: str | None = None,
        library_size: str | np.ndarray | pd.Series | None = None,
        recover_counts: bool = False,
        probabilities: bool = False,
        label_set_error: float | None = None,
        over: Over | None = None,
        copy_to: "AnnData | None" = None,
        on_progress: Callable[[int], None] = lambda n_cells: None,
    ) -> pd.DataFrame:
        """The call of every cell, indexed by cell id.

        `cells`: raw counts in `X`, or in `layer` (`raw` for `adata.raw`); never changed. `library_size`: name of an
        `obs` column, an array [cells], or None to sum over the input's genes. `recover_counts`: compute
        the counts that normalised values were made of, where that is exact. `label_set_error`: error rate of the label
        sets, one of those that the model was calibrated for. `over`: clusters to vote over, an `obs` column, a value
        for each cell (a series by cell id and anything else in their order), or `ComputedClusters()`; adds
        `cellmark_majority_cell_type`, `cellmark_majority_share`, and `cellmark_cluster` where they were computed.
        `copy_to`: an AnnData with the same cells, whose `obs` and `uns["cellmark"]` are to
        be written (pass `adata` itself to change it).

        Columns: `cellmark_cell_type` (`unassigned` where the novelty is above the model's threshold),
        `cellmark_best_cell_type`, `cellmark_confidence` (probability of the best type),
        `cellmark_second_cell_type`, `cellmark_margin` (first minus second probability), `cellmark_novelty` (larger is
        stranger), `cellmark_label_set` (types joined by " | "), `cellmark_coarse_cell_type` and
        `cellmark_coarse_probability`, and with `probabilities` one `probability:<type>` each. What a model has no
        measure of is empty. `frame.attrs["cellmark"]` says which model and how the input fitted. Raises
        `InputError` with all problems of the input.
        """
        rules = self.rules(label_set_error)
        if copy_to is not None:
            check_same_cells(cells.obs.index.astype(str), copy_to.obs_names)
        checked = self.check(cells, layer=layer, library_size=library_size, recover_counts=recover_counts)
        vote = None if over is None else Vote(checked.source, checked.cell_ids, over)
        frame = self.call(checked, rules=rules, probabilities=probabilities, on_progress=on_progress)
        if vote is not None:
            frame = vote.add_to(frame)
        if copy_to is not None:
            copy_calls(frame, copy_to)
        return frame

    def call(
        self,
        checked: CheckedCells,
        *,
        rules: CallRules | None = None,
        probabilities: bool = False,
        observe: Callable[[RowChunk, PreparedChunk], None] | None = None,
        on_progress: Callable[[int], None] = lambda n_cells: None,
    ) -> pd.DataFrame:
        """As `annotate`, of an input that has passed `check`. `rules`: see `rules`; `observe` sees every chunk of it,
        in order.
        """
        rules = rules or self.rules()
        calls = score(
            checked, self.session, rules=rules, keep_probabilities=probabilities, observe=observe,
            on_progress=on_progress,
        )  # fmt: skip
        frame = calls_frame(calls, checked.cell_ids, self.cell_types, rules)
        facts = self.facts(checked).to_dict()
        trust = {"novelty_threshold": rules.novelty_threshold, "label_set_error": rules.error_rate}
        frame.attrs[UNS_KEY] = {**facts, **trust}
        return frame

    def rules(self, label_set_error: float | None = None) -> CallRules:
        """When cells stay unassigned, and what label sets and coarse calls are. `label_set_error`: as in `annotate`.

        Raises `ParameterError` for an error rate that the model was not calibrated for.
        """
        return CallRules.of(self.bundle.manifest, error_rate=label_set_error, distilled=self.session.distilled)

    def explain(
        self,
        cells: "AnnData | CellSource",
        target: str | None = None,
        against: str | None = None,
        top: int = DEFAULT_TOP,
        *,
        layer: str | None = None,
        library_size: str | np.ndarray | pd.Series | None = None,
        recover_counts: bool = False,
        on_progress: Callable[[int], None] = lambda n_cells: None,
    ) -> pd.DataFrame:
        """The `top` genes behind each call, by absolute attribution, signed: one row per cell and gene.

        `target`: the type to explain, by default each cell's call. `against`: another type or `second`, for "why this
        and not that". Columns: `cell_id`, `cell_type` (the call), `target`, `against`, `rank`, `gene`, `attribution`
        (of the logit), `counts`, `log1p_norm`, `baseline` (ln(1 + counts per 10,000)), `direction` (such as `absent,
        for`), `convergence_delta` (what is left of completeness, per cell). Raises as `annotate`, and `ModelError` on
        an unknown type.
        """
        question = Question(target, against, top)
        question.check(self.session)
        checked = self.check(cells, layer=layer, library_size=library_size, recover_counts=recover_counts)
        return self.explain_checked(checked, question, on_progress=on_progress)

    def explain_checked(
        self, checked: CheckedCells, question: Question, *, on_progress: Callable[[int], None] = lambda n_cells: None
    ) -> pd.DataFrame:
        """As `explain`, of an input that has passed `check` and a question that has too."""

        def work(chunk: RowChunk) -> tuple[PreparedChunk, pd.DataFrame | None, int]:
            prepared = checked.prepare(chunk)
            frame = None
            if prepared.cells is not None:
                ids = checked.cell_ids[chunk.start : chunk.start + chunk.X.shape[0]]
                explained = attribute_cells(self.session, prepared.cells, question)
                frame = explanation_frame(self.session, explained, ids, self._baselines, top=question.top)
            return prepared, frame, chunk.X.shape[0]

        n_rows = max(16, EXPLAIN_VALUES // max(len(self.bundle.panel), 1))
        frames = [pd.DataFrame(columns=list(EXPLANATION_COLUMNS))]
        for prepared, frame, n_cells in in_order(work, checked.source.chunks(n_rows)):
            checked.record(prepared)
            if frame is not None:
                frames.append(frame)
            on_progress(n_cells)
        checked.finish()
        result = pd.concat(frames[1:] or frames, ignore_index=True)
        result.attrs[UNS_KEY] = self.facts(checked).to_dict()
        return result

    def called_cells(
        self,
        cells: "AnnData | CellSource",
        *,
        layer: str | None = None,
        library_size: str | np.ndarray | pd.Series | None = None,
        recover_counts: bool = False,
        above: float | None = None,
        donor: str | None = None,
        seed: int = 0,
        on_progress: Callable[[int], None] = lambda n_cells: None,
    ) -> CalledCells:
        """The unassigned cells with all their genes, and called ones beside them: what `PopulationSearch.find` takes.

        `above`: a novelty to go by in place of the model's threshold; `donor`: a column of `obs`; `seed`: of the draw
        of called cells, where a type has more than 2,000. Raises as `annotate`, and `ModelError` (`NOVELTY_MISSING`).
        """
        from .called_cells import gather_called_cells

        checked = self.check(cells, layer=layer, library_size=library_size, recover_counts=recover_counts)
        return gather_called_cells(self, checked, above=above, donor=donor, seed=seed, on_progress=on_progress)

    def markers(self, cell_type: str | None = None, *, top: int | None = None) -> pd.DataFrame:
        """The marker table, of one type when named; `top` keeps the first ranks. Raises `ModelError` as `explain`."""
        return select_markers(self.bundle, cell_type, top=top)

    def facts(self, checked: CheckedCells) -> AnswerFacts:
        """What an answer on this input says of itself."""
        match, evidence = checked.match, self.bundle.panel.evidence
        return AnswerFacts(
            self.source.name,
            self.source.version,
            self.bundle.digest,
            checked.library_size_source,
            checked.source.counts_from,
            checked.source.n_obs,
            match.n_matched,
            len(match.missing),
            match.missing,
            evidence.mass(match.measured) if evidence is not None else None,
            checked.notes,
            self.session.distilled,
        )


def check_share(share: float) -> None:
    """Raise `ParameterError` unless a floor is above 0 and at most 1."""
    if not 0 < share <= 1:
        raise ParameterError(
            Finding(
                "PARAMETER_INVALID", "min_panel_share", "above 0, at most 1", str(share), "Give a share such as 0.5."
            )
        )


def as_source(cells: "AnnData | CellSource", *, layer: str | None = None, recover_counts: bool = False) -> CellSource:
    """A cell source of an AnnData; a source is returned as it is. `recover_counts`: see `open_cells`."""
    if isinstance(cells, CellSource):
        source = cells
    else:
        from cellmark.schemas.read_anndata import cells_from_anndata

        source = cells_from_anndata(cells, layer=layer)
    if not recover_counts:
        return source
    from cellmark.schemas.recover_counts import recover_source

    return recover_source(source)


def check_same_cells(theirs: pd.Index, ours: pd.Index) -> None:
    """Raise `ParameterError` unless an AnnData to write to has the cells that are annotated, in any order."""
    if len(theirs) != len(ours) or not theirs.isin(ours).all():
        raise ParameterError(
            Finding("PARAMETER_INVALID", "copy_to", "an AnnData with the cells that are annotated",
                    f"{len(ours)} cells, {int(theirs.isin(ours).sum())} of them among the {len(theirs)} annotated",
                    "Pass the AnnData that is annotated, or a copy of it.")
        )  # fmt: skip


def copy_calls(frame: pd.DataFrame, adata: "AnnData") -> None:
    """Write calls (`Annotator.annotate`'s frame) into `obs` and their facts, as AnnData can store them, into `uns`."""
    from .write_calls import storable, written_columns

    for column in written_columns(frame):
        adata.obs[column] = frame[column].reindex(adata.obs_names)
    adata.uns[UNS_KEY] = storable(frame.attrs[UNS_KEY])


def calls_frame(calls: Calls, cell_ids: np.ndarray, cell_types: list[str], rules: CallRules) -> pd.DataFrame:
    """Calls as a frame indexed by cell id; type columns are categorical, with the model's types in their order."""
    names = pd.Index(cell_types)
    called, novelty, coarse = calls.best, calls.novelty, calls.coarse
    categories = names
    if novelty is not None and rules.novelty_threshold is not None:
        categories = names.append(pd.Index([UNASSIGNED]))
        # Written so that NaN, which is like nothing, is unassigned too.
        assigned = novelty <= rules.novelty_threshold
        called = np.where(assigned, calls.best, len(names))
        if coarse is not None:
            coarse = np.where(assigned, coarse, -1)
    nothing = np.full(len(cell_ids), np.nan, dtype=np.float32)
    coarse_names = list(rules.coarse_names) if coarse is not None else []
    coarse_probability = calls.coarse_probability
    frame = pd.DataFrame(
        {
            CELL_TYPE: pd.Categorical.from_codes(called, categories=categories),
            BEST_CELL_TYPE: pd.Categorical.from_codes(calls.best, categories=names),
            CONFIDENCE: calls.confidence,
            SECOND_CELL_TYPE: pd.Categorical.from_codes(calls.second, categories=names),
            MARGIN: calls.margin,
            NOVELTY: nothing if novelty is None else novelty,
            LABEL_SET: set_column(calls.sets, len(cell_ids), cell_types),
            COARSE_CELL_TYPE: pd.Categorical.from_codes(
                np.full(len(cell_ids), -1) if coarse is None else coarse,
                categories=pd.Index(coarse_names, dtype=object),
            ),
            COARSE_PROBABILITY: nothing
            if coarse is None or coarse_probability is None
            else np.where(coarse >= 0, coarse_probability, np.float32("nan")),
        },
        index=pd.Index(cell_ids, name=CELL_ID),
    )
    if calls.probabilities is not None:
        columns = [f"probability:{name}" for name in cell_types]
        frame = frame.join(pd.DataFrame(calls.probabilities, index=frame.index, columns=columns))
    return frame
