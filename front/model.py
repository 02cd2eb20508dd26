"""A model in Python: what it is, what it calls cells, and why."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from cellmark.schemas.cells.reading_options import ReadingKeywords, ReadingOptions
from cellmark.schemas.errors import ParameterError

from .model_facts import ModelFacts
from .said_in_python import speaks_python, warn

if TYPE_CHECKING:
    import pandas as pd

    from cellmark.schemas.checks.checked_cells import CheckedCells
    from cellmark.serving.scoring.as_source import AnyCells
    from cellmark.serving.scoring.call_options import CallOptions
    from cellmark.serving.scoring.majority import Over

    from .drift import Drift


class Model(ModelFacts):
    """A trained model: names cells, explains calls, lists markers. `cm.train` and `cm.load` make one.

    Examples
    --------
    >>> cm.load(folder)
    Model 'tiny': 3 types, 92 genes
      right for 24 of 24 test cells, macro-F1 1.000
      B cell, NK cell, T cell
    """

    @speaks_python
    def annotate(
        self,
        cells: "AnyCells",
        *,
        inplace: bool = True,
        key_added: str = "cellmark",
        probabilities: bool = False,
        over: "Over | None" = None,
        sample: str | None = None,
        fixed_threshold: bool = False,
        label_set_error: float | None = None,
        **reading: Unpack[ReadingKeywords],
    ) -> "pd.DataFrame | None":
        """Name the type of every cell, as `cellmark annotate` does.

        Cells unlike all that the model learned are `unassigned`. Columns of `obs`: `cellmark_cell_type`,
        `cellmark_best_cell_type`, `cellmark_confidence`, `cellmark_second_cell_type`, `cellmark_margin`,
        `cellmark_novelty`, `cellmark_label_set`, two coarse ones of a model with an ontology, and two for each level of
        one with levels. `uns["cellmark"]` has the facts, `uns["cellmark_cell_type_colors"]` the colours for scanpy.
        Raises `InputError` with all problems of the cells; then nothing is written.

        Parameters
        ----------
        cells
            An AnnData, a data frame of cells x genes, or a path, with raw counts or ln(1 + counts per 10,000).
        inplace
            Write into the AnnData and return None; otherwise return the calls, indexed by cell id, and write nothing.
        key_added
            What the columns begin with, in place of `cellmark`.
        probabilities
            Also return a column `probability:<type>` for each type (not with `inplace`).
        over
            Clusters to vote over: a column of `obs`, values, or `cm.ComputedClusters()`.
        sample
            Column of `obs` that names the sample of each cell; by default all cells are one, whose shift raises the
            threshold. `fixed_threshold` keeps the model's.
        label_set_error
            Error rate of the label sets, one that the model was calibrated for.
        reading
            `layer`, `library_size`, `input`, `recover_counts`, `orthologs`, `ortholog_table`, `symbol_column`,
            `genes_by_cells`: see `cellmark.serving.Annotator.annotate`.

        Examples
        --------
        >>> model.annotate(adata)
        >>> adata.obs["cellmark_best_cell_type"].cat.categories.tolist()
        ['B cell', 'NK cell', 'T cell']
        """
        from .written_calls import require_anndata, write_calls

        if inplace:
            require_anndata(cells, "inplace", "Pass inplace=False: the calls are returned.")
        options = replace(
            _whole_samples(sample, fixed_threshold=fixed_threshold),
            probabilities=probabilities,
            label_set_error=label_set_error,
            over=over,
        )
        self.annotator.rules(label_set_error)
        with self._checked(cells, reading) as checked:
            vote = options.vote(checked)
            frame = self.annotator.call(checked, options)
            if vote is not None:
                frame = vote.add_to(frame)
            warn(checked.notes)
        if not inplace:
            return frame
        write_calls(frame, cells, key_added=key_added)
        return None

    @speaks_python
    def explain(
        self,
        cells: "AnyCells",
        *,
        target: str | None = None,
        against: str | None = None,
        top: int = 20,
        **reading: Unpack[ReadingKeywords],
    ) -> "pd.DataFrame":
        """List the genes behind each call, by absolute attribution, signed: one row per cell and gene.

        Columns: `cell_id`, `cell_type` (the call), `target`, `against`, `rank`, `gene_symbol`, `attribution` (of the
        logit), `counts`, `log1p_norm`, `baseline`, `direction` (such as `absent, for`), `convergence_delta`. Raises as
        `annotate`, and `ModelError` for an unknown type.

        Parameters
        ----------
        cells, reading
            As in `annotate`. Explain a few: `model.explain(adata[:100])`.
        target
            The type to explain, by default each cell's call.
        against
            Another type, or `second` for each cell's second best: why this and not that.
        top
            Genes for each cell.

        Examples
        --------
        >>> why = model.explain(adata[:2], top=3)
        >>> why.groupby("cell_id").size().tolist()
        [3, 3]
        """
        from cellmark.serving.scoring.attribute import Question

        question = Question(target, against, top)
        question.check(self.annotator.session)
        with self._checked(cells, reading) as checked:
            frame = self.annotator.explain_checked(checked, question)
            warn(checked.notes)
        return frame.drop(columns="gene")

    @speaks_python
    def markers(
        self, cell_type: str | None = None, *, top: int | None = None, negative: bool = False
    ) -> "pd.DataFrame":
        """The model's marker genes, of one type when named; `top` keeps the first ranks.

        `negative`: genes whose absence marks the type. docs/markers.md has the columns. Raises `ModelError` for an
        unknown type.

        Examples
        --------
        >>> model.markers("B cell", top=2)["gene_symbol"].tolist()
        ['GENE8', 'GENE7']
        """
        from cellmark.serving.scoring.markers import select_markers

        return select_markers(self.bundle, cell_type, top=top, negative=negative)

    @speaks_python
    def drift(
        self,
        cells: "AnyCells",
        *,
        sample: str | None = None,
        fixed_threshold: bool = False,
        **reading: Unpack[ReadingKeywords],
    ) -> "Drift":
        """Compare cells with the held-out cells of the training, as `cellmark drift` does.

        `sample`, `fixed_threshold`: as in `annotate`.
        Raises as `annotate`, and `ModelError` (`PROFILE_MISSING`) for a model of an earlier version.

        Examples
        --------
        >>> model.drift(adata).severity
        'ok'
        """
        from cellmark.schemas.reference_profile import read_profile
        from cellmark.serving.files.drift import drift_of_checked

        from .drift import Drift

        read_profile(self.bundle, distilled=self.annotator.session.distilled)
        name = os.fspath(cells) if isinstance(cells, str | os.PathLike) else "adata"
        options = _whole_samples(sample, fixed_threshold=fixed_threshold)
        with self._checked(cells, reading) as checked:
            return Drift(drift_of_checked(self.annotator, checked, options, name=name))

    @speaks_python
    def report(self, path: str | os.PathLike[str] = "report.html", *, force: bool = False) -> Path:
        """Write the model's report (`.html`, one page) or its card (`.md`), and return where.

        Raises `OutputError` for another extension and, without `force`, where something exists.

        Examples
        --------
        >>> model.report("report.html").name
        'report.html'
        """
        from cellmark.schemas.atomic_output import refuse_existing, whole_file
        from cellmark.schemas.report.facts import read_facts
        from cellmark.schemas.report.render import render_model_card, render_report
        from cellmark.serving.outputs.write_calls import check_format

        out = Path(path)
        check_format(out, (".html", ".md"))
        refuse_existing(out, force=force)
        facts = read_facts(self.bundle, name=self.name, version=self.version)
        with whole_file(out, force=force) as draft:
            text = render_model_card(facts) if out.suffix == ".md" else render_report(facts)
            draft.write_text(text, encoding="utf-8", newline="\n")
        return out

    @speaks_python
    def save(self, folder: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Copy the model to a new folder, or to a `.tar`, and return where. `cm.load` opens the folder.

        Raises `OutputError` where something exists.

        Examples
        --------
        >>> cm.load(model.save("pbmc-bundle")).digest == model.digest
        True
        """
        from cellmark.serving.models.carry_bundle import export_bundle

        export_bundle(self.bundle, Path(folder), force=force)
        return Path(folder)

    @speaks_python
    def register(self, name: str | None = None) -> str:
        """Register the model in MLflow (`MLFLOW_TRACKING_URI`) as a new version, and return its URI.

        The version becomes challenger; the first of its name also becomes champion. Raises `RegistryError`, and
        `SetupError` (`EXTRA_MISSING`) without the extra `train`.

        Examples
        --------
        >>> model.register("pbmc")  # doctest: +SKIP
        'models:/pbmc/1'
        """
        from cellmark.serving.scoring.training_steps import missing_training, needs_training

        if missing_training():
            raise needs_training("model.register")
        from cellmark.training.tracking.register_kept import register_kept

        made = register_kept(self.folder, name=name, on_step=lambda _: None, on_note=lambda note: warn([note]))
        return made.version.uri

    @contextmanager
    def _checked(self, cells: "AnyCells", reading: Any) -> "Iterator[CheckedCells]":
        """The cells, aligned; a file is read by a process of its own, since it is not trusted."""
        how = ReadingOptions(**reading)
        if isinstance(cells, str | os.PathLike):
            from cellmark.serving.files.annotate_file import open_checked

            with open_checked(self.annotator, Path(cells), how) as checked:
                yield checked
        else:
            yield self.annotator.check(cells, how)


def _whole_samples(sample: str | None, *, fixed_threshold: bool) -> "CallOptions":
    from cellmark.serving.scoring.call_options import CallOptions

    if fixed_threshold and sample is not None:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="sample",
            expected="samples, or a fixed threshold",
            found=f"sample={sample!r} with fixed_threshold=True",
            remedy="Omit one of the two.",
        )
    return CallOptions(as_sample=not fixed_threshold, sample=sample)
