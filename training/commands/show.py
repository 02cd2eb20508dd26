"""What people see of a training, and of suggested ontology terms, in a terminal."""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellmark.schemas.atomic_output import free_name
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.manifest_evaluation import LabelAuditEntry
from cellmark.schemas.manifest.manifest_trust import Folds, LabelSetLevel, NoveltyEntry
from cellmark.schemas.manifest.next_batch import LEVEL, next_batch
from cellmark.schemas.manifest.verdict import verdict, weaknesses
from cellmark.schemas.report.evidence import resting_on_few

from ..evaluation.cell_ontology import Suggestion
from ..train_and_register import RegisteredModel
from .show_registered import where_to_look

PARTS = ("validation", "test", "independent")


def trust_lines(manifest: Manifest) -> list[str]:
    """What was measured by cross-validation, a sentence each."""
    lines = []
    evaluation, calibration, novelty = manifest.evaluation, manifest.calibration, manifest.novelty
    if evaluation is not None:
        beside = evaluation.baseline_macro_f1
        rival = f"; logistic regression {beside.value:.3f}" if beside is not None else ""
        lines.append(
            f"Cross-validation over {evaluation.folds}: accuracy {evaluation.accuracy.value:.3f}, "
            f"macro-F1 {evaluation.macro_f1.value:.3f}{rival}"
        )
        if few := resting_on_few(evaluation.per_type):
            lines.append(f"This macro-F1 {few}.")
        if evaluation.hardly_learned:
            lines.append("Some types could hardly be learned there and count as wrong. The report names them.")
        lines += _doubtful_labels(evaluation.label_audit)
    if calibration is not None:
        scores = {"held-out": calibration.calibrated, "test": calibration.test_calibrated}
        each = [
            f"{score.expected_calibration_error:.1%} on {score.n_cells:,} {part} cells"
            for part, score in scores.items()
            if score is not None
        ]
        lines.append(f"Calibration error: {', '.join(each)}")
    if novelty is not None:
        refused = novelty.false_refusal_rate if novelty.test_refusal_rate is None else novelty.test_refusal_rate
        alike = ", in samples of the same laboratory" if novelty.folds == "cells" else ""
        lines.append(f"Unassigned: {refused:.1%} of known cells{alike}{_by_donor(novelty)}")
        unknown = novelty.left_out_cells()
        if unknown is not None:
            types = sorted({row.cell_type for row in novelty.left_out})
            lines[-1] += (
                f", {unknown.refused:,} of {unknown.n:,} cells of types that a network was not shown "
                f"({', '.join(types)})"
            )
    if manifest.label_sets is not None and manifest.label_sets.levels:
        level = manifest.label_sets.levels[0]
        lines.append(
            f"Label sets at {level.error_rate:.0%}: {level.coverage:.1%} hold the label, "
            f"{level.mean_size:.2f} types on average{_of_donors(manifest.label_sets.folds, level)}"
        )
    return [*lines, *_levels(manifest)]


def _levels(manifest: Manifest) -> list[str]:
    """A line for each level, and one on coarser labels of an independent file."""
    lines = [
        f"Level {number} ({level.name}, cellmark_level_{number}): accuracy {level.accuracy:.3f}, "
        f"macro-F1 {level.macro_f1:.3f}, calibration error {level.calibrated:.1%}"
        for number, level in enumerate(manifest.evaluation.levels if manifest.evaluation is not None else (), start=1)
    ]
    credited = manifest.metrics.get("independent", {}).get("with_descendants")
    if credited and credited["n_cells"]:
        lines.append(
            f"Independent file with its coarser labels, of which every type below is right: {credited['n_cells']:,} "
            f"cells, accuracy {credited['accuracy']:.3f}, macro-F1 {credited['macro_f1']:.3f}"
        )
    return lines


def _of_donors(folds: Folds, level: LabelSetLevel) -> str:
    shares = level.coverage_per_fold.values()
    if folds == "cells" or not shares:
        return ", in samples of the same laboratory" if folds == "cells" else ""
    return f" ({min(shares):.1%} to {max(shares):.1%} of a donor by thresholds of the others{_of_next(shares)})"


def _by_donor(novelty: NoveltyEntry) -> str:
    rates = novelty.refused_per_fold.values()
    if novelty.folds == "cells" or not rates:
        return ""
    return f" ({min(rates):.1%} to {max(rates):.1%} of a donor by the threshold of the others{_of_next(rates)})"


def _of_next(shares: Collection[float]) -> str:
    found = next_batch(shares)
    if found is None:
        return ""
    return f"; of the next donor {found.low:.1%} to {found.high:.1%}, with probability {LEVEL:.0%}"


def _doubtful_labels(audit: LabelAuditEntry | None) -> list[str]:
    if audit is None or not audit.n_doubtful:
        return []
    pairs = ", ".join(f"{pair.n_doubtful} {pair.label} called {pair.called}" for pair in audit.pairs[:3])
    return [
        f"Labels to look at: {audit.n_doubtful:,} of {audit.n_cells:,} cells, which calls and markers contradict "
        f"({pairs}); evaluation/label_doubts.csv of the run lists them"
    ]


def show_training(registered: RegisteredModel, *, query: Path | None = None) -> None:
    """Measures, types, and the commands that come next. `query`: cells that wait for the model."""
    console = Console(highlight=False)
    metrics = registered.model.manifest.metrics
    overall = Table(title=Text(f"{registered.version.name} version {registered.version.version}"))
    for column in ("part", "cells", "accuracy", "macro-F1"):
        overall.add_column(column, justify="left" if column == "part" else "right")
    for part in PARTS:
        if part == "validation" and registered.model.manifest.network.learned_validation:
            continue  # what folds say of these cells is a part of the cross-validation below
        if part in metrics and metrics[part]["accuracy"] is not None:
            values = metrics[part]
            overall.add_row(part, str(values["n_cells"]), f"{values['accuracy']:.3f}", f"{values['macro_f1']:.3f}")
    console.print(overall)
    shown = next(
        (part for part in ("test", "independent", "validation") if metrics.get(part, {}).get("per_type")), None
    )
    if shown is not None:
        console.print(types_table(metrics[shown], part=shown))
        if few := resting_on_few(metrics[shown]["per_type"]):
            console.print(f"The macro-F1 of {shown} cells {few}.", markup=False, soft_wrap=True)
    if "distilled" in metrics:
        agreed = metrics["distilled"]
        same, cells = agreed["agreement"]["same_call"], f"{agreed['n_cells']} {agreed['part']} cells"
        console.print(
            f"The distilled annotator calls {same:.1%} of {cells} as the ensemble does; "
            f"macro-F1 {agreed['macro_f1']:.3f}. Use it with annotate --distilled.",
            soft_wrap=True,
        )
    for line in trust_lines(registered.model.manifest):
        console.print(line, soft_wrap=True)
    style = "yellow" if weaknesses(registered.model.manifest) else "none"
    console.print(verdict(registered.model.manifest), style=style, markup=False, soft_wrap=True)
    uri = f"models:/{registered.version.name}/{registered.version.version}"
    for line in where_to_look(registered.version, registered.tracking_uri, registered.pages):
        console.print(line, markup=False, soft_wrap=True)
    console.print("Next:")
    for command in next_commands(registered, query=query):
        console.print(f"  {command}", markup=False, soft_wrap=True)
    if query is None:
        console.print(
            f"Cells of your own: cellmark annotate CELLS.h5ad --model {shlex.quote(uri)} -o calls.parquet",
            markup=False,
            soft_wrap=True,
        )


def next_commands(registered: RegisteredModel, *, query: Path | None) -> list[str]:
    """What comes after a training, to be pasted: no output is there yet. `query`: cells that wait for the model."""
    uri = f"models:/{registered.version.name}/{registered.version.version}"
    commands = [
        ["report", "--model", uri, "-o", free_name("report.html")],
        ["markers", "--model", uri],
        ["serve", "--model", uri],
    ]
    if query is not None:
        commands.insert(0, ["annotate", str(query), "--model", uri, "-o", free_name("calls.parquet")])
    return [shlex.join(["cellmark", *words]) for words in commands]


def training_document(registered: RegisteredModel, *, query: Path | None) -> dict[str, Any]:
    """What `cellmark train --json` prints; docs/cli.md lists the keys, which stay."""
    manifest = registered.model.manifest
    return {
        "model": registered.version.name,
        "model_version": str(registered.version.version),
        "uri": registered.version.uri,
        "aliases": list(registered.version.aliases),
        "run_id": registered.version.run_id,
        "tracking_uri": registered.tracking_uri,
        "bundle": registered.bundle_folder,
        "bundle_digest": manifest.bundle_digest,
        "verdict": verdict(manifest),
        "cell_types": manifest.cell_type_names,
        "metrics": manifest.metrics,
        "next": next_commands(registered, query=query),
    }


def types_table(evaluation: dict[str, Any], *, part: str = "test") -> Table:
    """Precision, recall, F1 and support of each type on the cells of a part."""
    table = Table(title=f"{part.capitalize()} cells")
    for column in ("cell type", "precision", "recall", "F1", "cells"):
        table.add_column(column, justify="left" if column == "cell type" else "right")
    for name, values in evaluation["per_type"].items():
        numbers = (f"{values[key]:.3f}" for key in ("precision", "recall", "f1"))
        table.add_row(Text(name), *numbers, str(values["support"]))
    return table


def show_suggestions(suggestions: Sequence[Suggestion], version: str, out: Path) -> None:
    """Label, term and how it was found; what is left to people last."""
    table = Table(title=f"Cell Ontology {version}")
    for column in ("label", "term", "by"):
        table.add_column(column, overflow="fold")
    for one in sorted(suggestions, key=lambda one: one.ontology_id is None):
        term = f"{one.ontology_id} {one.name}" if one.ontology_id else "; ".join(one.candidates)
        table.add_row(Text(one.label), Text(term), Text(one.match, style="" if one.ontology_id else "yellow"))
    console = Console(highlight=False)
    console.print(table)
    n_found = sum(one.ontology_id is not None for one in suggestions)
    console.print(f"{n_found} of {len(suggestions)} labels have a term. Written to {out}", soft_wrap=True, markup=False)
