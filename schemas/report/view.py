"""Everything that the report's template shows, in the order of its sections."""

import shlex
from typing import Any

import numpy as np

from ..manifest.manifest_evaluation import Estimate
from . import curves, tables
from .cell_map import CONFIDENCES, is_unassigned, legend, map_panels
from .confusions import confusion_views
from .evidence import TypeEvidence, evidence_of
from .facts import ReportFacts, count, interval, listed, percent, score
from .first_screen import first_screen
from .headline import tiles, warnings
from .marker_data import marker_data
from .sections import reference_view, trust_facts, type_panels

MOST_CELLS = 4_000
"""Cells on the map, as training keeps them."""
MOST_GENES = 96
PER_TYPE = 4


def make_view(facts: ReportFacts) -> dict[str, Any]:
    """Names of the template and what they stand for."""
    types = evidence_of(facts)
    manifest = facts.manifest
    return {
        "facts": facts,
        "manifest": manifest,
        "identity": facts.identity,
        "lede": lede(facts),
        "screen": first_screen(facts, types),
        "tiles": tiles(facts),
        "warnings": warnings(facts, types),
        "types": types,
        "panels": type_panels(facts, types),
        "overview": _overview(facts, types),
        "scores": score_rows(facts, types),
        "confusions": confusion_views(facts),
        "trust": trust_facts(facts),
        "partial": _partial(facts),
        "map": _map(facts),
        "data": _data(facts),
        "reference": reference_view(facts.reference, manifest.cell_type_names),
        "commands": commands(facts),
        "marker_data": marker_data(facts),
        "settings": settings_rows(manifest.network.parameters),
        "percent": percent,
        "score": score,
        "count": count,
        "interval": interval,
    }


def lede(facts: ReportFacts) -> str:
    """The model in one sentence."""
    manifest = facts.manifest
    organism = f"{manifest.organism} " if manifest.organism else ""
    donors = _all_donors(facts)
    of = f" of {count(len(donors), 'donor')}" if donors else ""
    return (
        f"Gives each single cell one of {count(len(manifest.cell_types), 'cell type')} from the raw counts of "
        f"{manifest.panel.n_genes:,} genes. It was made from "
        f"{count(manifest.training_data.n_cells, f'{organism}cell')}{of}, "
        f"{sum(manifest.learned_cells.values()):,} of them for training."
    )


def _all_donors(facts: ReportFacts) -> list[str]:
    parts = (facts.manifest.split.train, facts.manifest.split.validation, facts.manifest.split.test)
    return sorted({donor for part in parts for donor in part.donors or []})


def _overview(facts: ReportFacts, types: list[TypeEvidence]) -> dict[str, Any]:
    """Dots and heatmap of the best markers of all types; a gene that marks several is shown once."""
    names = facts.manifest.cell_type_names
    top = max(1, min(PER_TYPE, MOST_GENES // max(len(names), 1)))
    own: dict[str, int] = {}
    for evidence in types:
        for symbol in evidence.markers["gene_symbol"].head(top):
            own.setdefault(str(symbol), evidence.number - 1)
    if not own:
        return {}
    genes = list(own)
    mean, fraction = tables.expression(facts.markers, genes, names)
    return {
        "top": top,
        "dots": tables.dot_chart(mean, fraction, genes, names, own=list(own.values())),
        "heat": tables.heat_chart(mean, genes, names, own=list(own.values())),
        "sizes": tables.size_key(),
        "shares": tables.colour_key("the gene's largest"),
        "scale": tables.colour_key(f"{mean.max():.1f}"),
    }


def score_rows(facts: ReportFacts, types: list[TypeEvidence]) -> dict[str, Any]:
    """A row for every set of cells that the model was tried on."""
    manifest = facts.manifest
    rows: list[tuple[Any, ...]] = []
    evaluation = manifest.evaluation
    if evaluation is not None:
        name = f"{evaluation.n_folds} folds over {evaluation.folds}"
        rows.append((name, evaluation.n_cells, evaluation.accuracy, evaluation.macro_f1, "network", "evaluation"))
        if evaluation.baseline_accuracy and evaluation.baseline_macro_f1:
            rows.append(
                (
                    name,
                    evaluation.n_cells,
                    evaluation.baseline_accuracy,
                    evaluation.baseline_macro_f1,
                    "logistic regression",
                    "evaluation",
                )
            )
    learned = manifest.network.learned_validation  # its cells are some of the folds' then, and no row of their own
    for part, words in (("test", "test part"), ("independent", "independent file"), ("validation", "validation part")):
        if part == "validation" and learned:
            continue
        measured = manifest.metrics.get(part) or {}
        if measured.get("n_cells"):
            pair: list[Any] = [_measured(measured, "accuracy"), _measured(measured, "macro_f1")]
            if part == "test" and evaluation is not None and evaluation.test_accuracy and evaluation.test_macro_f1:
                pair = [evaluation.test_accuracy, evaluation.test_macro_f1]
            rows.append((words, measured["n_cells"], *pair, "network", f"metrics.{part}"))
        if credited := measured.get("with_descendants"):
            pair = [_measured(credited, "accuracy"), _measured(credited, "macro_f1")]
            where = f"metrics.{part}.with_descendants"
            rows.append((f"{words}, coarser labels too", credited["n_cells"], *pair, "network", where))
        told = manifest.metrics.get("distilled") or {}
        if told.get("part") == part:
            pair = [_measured(told, "accuracy"), _measured(told, "macro_f1")]
            rows.append((words, told["n_cells"], *pair, "distilled network", "metrics.distilled"))
        if part == "test" and evaluation is not None:
            baseline = (evaluation.test_baseline_accuracy, evaluation.test_baseline_macro_f1)
            if baseline[0] is not None and baseline[1] is not None:
                rows.append((words, measured["n_cells"], *baseline, "logistic regression", "evaluation"))
    shown = [
        {"on": on, "n": n, "accuracy": _estimate(accuracy), "macro_f1": _estimate(f1), "who": who, "source": source}
        for on, n, accuracy, f1, who, source in rows
    ]
    places = dict.fromkeys(one.source for one in types if one.source)
    chart = curves.folds_chart(evaluation.per_fold) if evaluation is not None and evaluation.per_fold else None
    return {
        "rows": shown,
        "folds": chart,
        "per_type_source": ", ".join(places),
        "validation_learned": learned,
    }


def _measured(part: dict[str, Any], name: str) -> Estimate:
    """A part's number, with its interval where it has one."""
    low, high = part.get(f"{name}_interval") or (None, None)
    return Estimate(value=part[name], low=low, high=high)


def _estimate(value: Estimate) -> dict[str, str]:
    limits = "" if value.low is None or value.high is None else f"{value.low:.3f} to {value.high:.3f}"
    return {"value": score(value.value), "interval": limits}


def _partial(facts: ReportFacts) -> dict[str, Any]:
    evaluation, overlap = facts.manifest.evaluation, facts.manifest.panel.overlap
    return {
        "depth": curves.depth_chart(evaluation.depth) if evaluation is not None and len(evaluation.depth) > 1 else None,
        "panel": curves.partial_panel_chart(evaluation.partial_panel)
        if evaluation is not None and len(evaluation.partial_panel) > 1
        else None,
        "missing": curves.missing_chart(overlap.curve, treatment=overlap.treatment, min_mass=overlap.min_mass)
        if overlap is not None and len(overlap.curve) > 1
        else None,
    }


def _map(facts: ReportFacts) -> dict[str, Any]:
    cells = facts.cell_map
    if cells is None or cells.empty:
        return {}
    if len(cells) > MOST_CELLS:
        cells = cells.iloc[np.linspace(0, len(cells) - 1, MOST_CELLS).astype(int)]
    names = facts.manifest.cell_type_names
    threshold = facts.manifest.novelty.threshold if facts.manifest.novelty is not None else None
    unassigned = is_unassigned(cells, threshold)
    wrong = (cells["label"] != cells["call"]).to_numpy() & ~unassigned
    return {
        "panels": map_panels(cells, names, threshold=threshold),
        "legend": legend(names, cells),
        "confidences": list(reversed([(label, css) for _, label, css in CONFIDENCES])),
        "n": len(cells),
        "n_wrong": int(wrong.sum()),
        "n_unassigned": int(unassigned.sum()),
        "part": str(cells["part"].iloc[0]) if "part" in cells else "held-out",
        "n_all": facts.manifest.split.test.n_cells or facts.manifest.split.validation.n_cells,
    }


def _data(facts: ReportFacts) -> dict[str, Any]:
    names, summary = facts.manifest.cell_type_names, facts.training
    cells = (
        summary.cells
        if summary is not None
        else {name: {"": n} for name, n in facts.manifest.training_data.cells_per_type.items()}
    )
    found: dict[str, Any] = {"donors": tables.donors_chart(cells, names)}
    if summary is not None and summary.library_size:
        found["library_size"] = tables.spread_chart(summary.library_size, names, label="library size")
    if summary is not None and summary.genes_detected:
        found["genes_detected"] = tables.spread_chart(summary.genes_detected, names, label="genes detected")
    return found


def commands(facts: ReportFacts) -> dict[str, str]:
    """How to call the model, by the name that it is registered under."""
    version = facts.identity.version if facts.identity is not None else None
    uri = f"models:/{facts.name}/{version}" if version else f"models:/{facts.name}@champion"
    quoted = shlex.quote(uri)
    first = facts.manifest.cell_type_names[0]
    return {
        "uri": uri,
        "shell": f"cellmark validate cells.h5ad --model {quoted}\n"
        f"cellmark annotate cells.h5ad --model {quoted} -o calls.csv\n"
        f"cellmark drift cells.h5ad --model {quoted} -o drift.html\n"
        f"cellmark explain cells.h5ad --model {quoted} --top 5 -o why.csv\n"
        f"cellmark markers --model {quoted} --cell-type {shlex.quote(first)}",
        "python": "import anndata\nfrom cellmark.serving import Annotator\n\n"
        'adata = anndata.read_h5ad("cells.h5ad")\n'
        f"annotator = Annotator.load({uri!r})\n"
        "calls = annotator.annotate(adata)   # raw counts in X\n"
        "why = annotator.explain(adata[:3].copy(), top=5)",
        "http": f"cellmark serve --model {quoted} --port 3000\n"
        "curl --fail -F file=@cells.h5ad http://127.0.0.1:3000/annotate\n"
        'curl --fail -F file=@cells.h5ad "http://127.0.0.1:3000/attribute?top=5"',
    }


def settings_rows(parameters: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings, flat and sorted."""
    rows: list[tuple[str, str]] = []
    for name, value in sorted(parameters.items()):
        if isinstance(value, dict):
            rows += settings_rows(value, f"{prefix}{name}.")
        else:
            shown = listed([str(part) for part in value]) if isinstance(value, list | tuple) else str(value)
            rows.append((prefix + name, shown))
    return rows
