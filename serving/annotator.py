"""The Python door: `Annotator.load(model).annotate(adata)`."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from cellmark.schemas.calls.new_populations import CalledCells
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingKeywords, ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.columns import UNS_KEY

from .models.model_source import ModelSource, open_model
from .scoring.as_source import as_source, fit_input
from .scoring.attribute import DEFAULT_TOP, Question, explain_cells
from .scoring.call_options import NO_FLOORS, PLAIN_CALLS, CallOptions, Floors
from .scoring.call_rules import CallRules
from .scoring.called_cells import gather_called_cells
from .scoring.calls_frame import AnswerFacts, calls_frame, check_same_cells, copy_calls, mark_cross_species
from .scoring.judge_as_sample import judge_samples, samples_of
from .scoring.majority import Over
from .scoring.markers import select_markers
from .scoring.score import ChunkWatch, OutputsWatch, score
from .scoring.session import Device, ModelSession

if TYPE_CHECKING:
    from anndata import AnnData

    from .scoring.as_source import AnyCells


class Annotator:
    """A loaded, self-tested model: names cells, explains calls, lists markers. Safe to use from many threads."""

    def __init__(
        self,
        source: ModelSource,
        session: ModelSession,
        *,
        min_panel_share: float | None = None,
        min_attribution_share: float | None = None,
        max_unknown_share: float | None = None,
    ) -> None:
        self.floors = Floors(
            min_panel_share=min_panel_share,
            min_attribution_share=min_attribution_share,
            max_unknown_share=max_unknown_share,
        )
        self.floors.check(source.bundle)
        self.source = source
        self.session = session
        self.bundle = source.bundle
        self.cell_types: list[str] = self.bundle.manifest.cell_type_names
        self.baselines = self.bundle.genes["baseline"].to_numpy(dtype=np.float32)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str],
        *,
        device: Device = "cpu",
        threads: int = 1,
        min_panel_share: float | None = None,
        min_attribution_share: float | None = None,
        max_unknown_share: float | None = None,
        distilled: bool = False,
    ) -> "Annotator":
        """Load a model. Digests are verified first, then the golden cells are run.

        `open_model` and `ModelSession` say what is raised.

        Parameters
        ----------
        model
            A bundle folder or an MLflow URI (`models:/pbmc@champion`, `models:/pbmc/3`).
        device, threads
            Where onnxruntime computes, and with how many threads.
        min_panel_share
            Share of the panel that an input must have measured, in place of the model's own floor.
        min_attribution_share
            Share of the attribution mass that the measured genes must carry, in place of the model's own floor.
        max_unknown_share
            Share of all counts that may be of names which no human or mouse gene table has, by default 0.25.
        distilled
            Call with the model's second annotator, one network in place of the ensemble, where training made one. Its
            agreement stands in the manifest's metrics. Explanations stay the ensemble's.
        """
        source = open_model(model)
        session = ModelSession(source.bundle, device=device, threads=threads, distilled=distilled)
        return cls(
            source,
            session,
            min_panel_share=min_panel_share,
            min_attribution_share=min_attribution_share,
            max_unknown_share=max_unknown_share,
        )

    def check(
        self, cells: "AnyCells", reading: ReadingOptions = AS_IT_IS, *, floors: Floors = NO_FLOORS
    ) -> CheckedCells:
        """The input, aligned to the panel. Raises `InputError` with all that is visible without reading the values.

        `floors`: of this input, in place of the annotator's.
        """
        return fit_input(self.bundle, as_source(cells, reading), reading, floors=floors.or_else(self.floors))

    def annotate(
        self,
        cells: "AnyCells",
        *,
        probabilities: bool = False,
        label_set_error: float | None = None,
        over: Over | None = None,
        as_sample: bool = False,
        sample: str | None = None,
        copy_to: "AnnData | None" = None,
        on_progress: Callable[[int], None] = lambda n_cells: None,
        **reading: Unpack[ReadingKeywords],
    ) -> pd.DataFrame:
        """Call every cell. The frame returned is indexed by cell id.

        Columns: `cellmark_cell_type` (`unassigned` where the novelty is above the model's threshold),
        `cellmark_best_cell_type`, `cellmark_confidence` (probability of the best type),
        `cellmark_second_cell_type`, `cellmark_margin` (first minus second probability), `cellmark_novelty` (larger is
        more novel), `cellmark_label_set` (types joined by " | "), `cellmark_coarse_cell_type` and
        `cellmark_coarse_probability` (both only of a model with an ontology). What a model has no measure of is empty.
        Columns of types are categorical, with the types that some cell has, in the model's order.
        `frame.attrs["cellmark"]` says which model and how the input fitted. Raises `InputError` with all problems of
        the input.

        Parameters
        ----------
        cells
            Raw counts, or ln(1 + counts per 10,000), never changed: an AnnData (backed and lazy ones are read by rows),
            a data frame of cells x genes, or the path of a file, which this process reads.
        layer
            Where the counts are, by default `X`; `raw` for `adata.raw`.
        genes_by_cells
            Whether a table, given by its path, has genes as rows.
        library_size
            Name of an `obs` column, an array [cells], or None to sum over the input's genes.
        recover_counts
            Compute the counts that normalised values were made of, where that is exact.
        input
            What the values are: `counts`, `log1p` for ln(1 + counts per 10,000), or `auto`, which takes values as
            `log1p` where they prove it in every cell. Calls are then as from the counts; library sizes are not known.
        symbol_column
            Column of `var` that holds the gene symbols (`index`: `var_names`). By default looked for where needed.
        orthologs, ortholog_table
            Take cells of another organism than the model's, refused by default: name their genes by the one-to-one
            orthologs of human and mouse, or by those of a table. Adds `cellmark_cross_species`, which marks every call.
        probabilities
            Add a column `probability:<type>` for each type.
        label_set_error
            Error rate of the label sets, one of those that the model was calibrated for.
        over
            Clusters to vote over: an `obs` column, a value for each cell (a series by cell id, anything else in their
            order), or `ComputedClusters()`. Adds `cellmark_majority_cell_type`, `cellmark_majority_share`, and
            `cellmark_cluster` where they were computed.
        as_sample, sample
            Judge all cells as one sample, or those of each value of an `obs` column as one, and raise the threshold
            where a sample is shifted as a whole: `sample_shift` in the facts says so. By default each cell is judged by
            itself, by the model's threshold.
        copy_to
            An AnnData with the same cells, whose `obs` and `uns` (`cellmark` and the colours of types) are to be
            written. Pass `adata` itself to change it.
        on_progress
            Is called after each chunk with its number of cells.
        """
        options = CallOptions(
            probabilities=probabilities, label_set_error=label_set_error, over=over, as_sample=as_sample, sample=sample
        )
        self.rules(label_set_error)
        checked = self.check(cells, ReadingOptions(**reading))
        if copy_to is not None:
            check_same_cells(pd.Index(checked.cell_ids), copy_to.obs_names)
        vote = options.vote(checked)
        frame = self.call(checked, options, on_progress=on_progress)
        if vote is not None:
            frame = vote.add_to(frame)
        if copy_to is not None:
            copy_calls(frame, copy_to)
        return frame

    def call(
        self,
        checked: CheckedCells,
        options: CallOptions = PLAIN_CALLS,
        *,
        observe: ChunkWatch | None = None,
        observe_outputs: OutputsWatch | None = None,
        on_progress: Callable[[int], None] = lambda n_cells: None,
    ) -> pd.DataFrame:
        """As `annotate`, of an input that has passed `check`; `options.vote` comes after it. `observe` sees every chunk
        of the input, in order; `observe_outputs`: see `score`.
        """
        rules = self.rules(options.label_set_error)
        samples = samples_of(checked.source, options.sample)
        calls = score(
            checked,
            self.session,
            rules=rules,
            keep_probabilities=options.probabilities,
            observe=observe,
            observe_outputs=observe_outputs,
            on_progress=on_progress,
        )
        trust = {"novelty_threshold": rules.novelty_threshold, "label_set_error": rules.error_rate}
        facts = {**self.facts(checked).to_dict(), **trust}
        judged = judge_samples(rules, calls, options, samples)
        if judged is not None:
            rules = judged.rules
            facts["sample_shift"] = judged.facts(self.cell_types)
            facts["notes"] += [note.to_dict() for note in judged.notes(self.cell_types)]
        frame = calls_frame(calls, checked.cell_ids, self.cell_types, rules)
        mark_cross_species(frame, checked.genes.across)
        frame.attrs[UNS_KEY] = facts
        return frame

    def rules(self, label_set_error: float | None = None) -> CallRules:
        """When cells stay unassigned, and what label sets and coarse calls are. `label_set_error`: as in `annotate`.

        Raises `ParameterError` for an error rate that the model was not calibrated for.
        """
        return CallRules.of(self.bundle.manifest, error_rate=label_set_error, distilled=self.session.distilled)

    def explain(
        self,
        cells: "AnyCells",
        target: str | None = None,
        against: str | None = None,
        top: int = DEFAULT_TOP,
        *,
        on_progress: Callable[[int], None] = lambda n_cells: None,
        **reading: Unpack[ReadingKeywords],
    ) -> pd.DataFrame:
        """List the genes behind each call, by absolute attribution, signed: one row per cell and gene.

        Columns: `cell_id`, `cell_type` (the call), `target`, `against`, `rank`, `gene_symbol`, `attribution` (of the
        logit), `counts`, `log1p_norm`, `baseline` (ln(1 + counts per 10,000)), `direction` (such as `absent, for`),
        `convergence_delta` (what is left of completeness, per cell). Raises as `annotate`, and `ModelError` on an
        unknown type.

        Parameters
        ----------
        cells, on_progress, reading
            As in `annotate`.
        target
            The type to explain, by default each cell's call.
        against
            Another type or `second`, for "why this and not that".
        top
            Genes for each cell.
        """
        question = Question(target, against, top)
        question.check(self.session)
        checked = self.check(cells, ReadingOptions(**reading))
        return self.explain_checked(checked, question, on_progress=on_progress)

    def explain_checked(
        self, checked: CheckedCells, question: Question, *, on_progress: Callable[[int], None] = lambda n_cells: None
    ) -> pd.DataFrame:
        """As `explain`, of an input that has passed `check` and a question that has too."""
        result = explain_cells(self.session, checked, question, self.baselines, on_progress=on_progress)
        mark_cross_species(result, checked.genes.across)
        result.attrs[UNS_KEY] = self.facts(checked).to_dict()
        return result

    def called_cells(
        self,
        cells: "AnyCells",
        *,
        above: float | None = None,
        donor: str | None = None,
        as_sample: bool = False,
        sample: str | None = None,
        seed: int = 0,
        on_progress: Callable[[int], None] = lambda n_cells: None,
        **reading: Unpack[ReadingKeywords],
    ) -> CalledCells:
        """The unassigned cells with all their genes, and called ones beside them: what `PopulationSearch.find` takes.

        `above`: a novelty to go by in place of the model's threshold; `donor`: a column of `obs`; `as_sample`,
        `sample`: as in `annotate`; `seed`: of the draw of called cells, where a type has more than 2,000. Raises as
        `annotate`, and `ModelError` (`NOVELTY_MISSING`).
        """
        checked = self.check(cells, ReadingOptions(**reading))
        options = CallOptions(as_sample=as_sample, sample=sample)
        return gather_called_cells(self, checked, options, above=above, donor=donor, seed=seed, on_progress=on_progress)

    def markers(self, cell_type: str | None = None, *, top: int | None = None) -> pd.DataFrame:
        """The marker table, of one type when named; `top` keeps the first ranks. Raises `ModelError` as `explain`."""
        return select_markers(self.bundle, cell_type, top=top)

    def facts(self, checked: CheckedCells) -> AnswerFacts:
        """What an answer on this input says of itself."""
        return AnswerFacts.of(self.source, checked, distilled=self.session.distilled)
