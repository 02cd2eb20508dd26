"""Single sections of the report: how far to trust the calls, what held-out cells looked like, and each type's panel."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..drift.drift_report import judged_size, limits_of
from ..drift.drift_words import NAMES, size_in_words
from ..manifest.marker_table import donors_holding
from ..reference_profile import FEWEST_CELLS, ReferenceProfile
from . import curves, tables
from .evidence import TypeEvidence
from .examples import example_chart
from .facts import ReportFacts, percent
from .spread_charts import feature_chart, violin_chart
from .tables import dot_chart, expression


def trust_facts(facts: ReportFacts) -> dict[str, Any]:
    """Pictures and tables of calibration, unknown cells and the second annotator."""
    manifest = facts.manifest
    calibration, novelty, evaluation = manifest.calibration, manifest.novelty, manifest.evaluation
    bins = calibration is not None and calibration.uncalibrated.bins and calibration.calibrated.bins
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(row.cell_type for row in novelty.left_out) if novelty is not None else ():
        of_type = [row for row in novelty.left_out if row.cell_type == name]  # type: ignore[union-attr]
        cells = novelty.left_out_cells(name)  # type: ignore[union-attr]
        rows.append(
            {
                "name": name,
                "folds": len(of_type),
                "n": sum(row.n_unknown for row in of_type),
                "auroc": sum(row.auroc for row in of_type) / len(of_type),
                "confidence": sum(row.auroc_of_confidence for row in of_type) / len(of_type),
                "refused": cells.refused / cells.n,  # type: ignore[union-attr]
                "known": cells.known_refused,  # type: ignore[union-attr]
            }
        )
    return {
        "reliability": curves.reliability_chart(calibration.uncalibrated, calibration.calibrated)
        if calibration is not None and bins
        else None,
        "coverage": curves.coverage_chart(evaluation.confidence)
        if evaluation is not None and len(evaluation.confidence) > 1
        else None,
        "left_out": curves.left_out_chart(novelty.left_out) if novelty is not None and novelty.left_out else None,
        "left_out_rows": rows,
        "auroc": novelty.mean_left_out("auroc") if novelty is not None else None,
        "unknown": novelty.left_out_cells() if novelty is not None else None,
        "distilled": _distilled(facts),
        "level": novelty.left_out_level or "full" if novelty is not None else None,
    }


def _distilled(facts: ReportFacts) -> list[tuple[str, str, str]]:
    """Measure, value and source of each number of the second annotator."""
    entry, measured = facts.manifest.distilled, facts.manifest.metrics.get("distilled")
    if entry is None or not measured:
        return []
    agreement, on = measured.get("agreement") or {}, f"{measured['n_cells']:,} {measured['part']} cells"
    rows = [(f"Calls as the ensemble does, {on}", percent(agreement.get("same_call")), "metrics.distilled.agreement")]
    if entry.calibration is not None:
        error = entry.calibration.calibrated.expected_calibration_error
        rows.append(("Calibration error, held-out folds", percent(error), "distilled.calibration"))
    if entry.novelty is not None:
        refused = percent(entry.novelty.test_refusal_rate)
        rows.append(("Known cells of the test part that stay unassigned", refused, "distilled.novelty"))
    for level in entry.label_sets.levels if entry.label_sets is not None else ():
        name = f"Label sets at {percent(level.error_rate, 0)}: with the label, held-out folds"
        rows.append((name, percent(level.coverage), "distilled.label_sets"))
    return rows


SHOWN_LEVELS = (0, 4, 9, 14, 18)
"""Places of 5, 25, 50, 75 and 95 % among the profile's levels."""
MEASURES = (
    ("confidence", "Confidence", False),
    ("novelty", "Novelty", False),
    ("library_size", "Library size", True),
    ("genes_detected", "Genes detected", True),
    ("mitochondrial_share", "Mitochondrial share", False),
)
MOST_DONORS = 12


def reference_view(profile: ReferenceProfile | None, cell_types: Sequence[str]) -> dict[str, Any]:
    """What the section shows; empty for a model without a profile."""
    if profile is None:
        return {}
    charts = []
    for measure, title, log in MEASURES:
        spreads = {}
        for name in cell_types:
            quantiles = profile.cell_types[name].quantiles(measure) if name in profile.cell_types else None
            if quantiles is not None:
                spreads[name] = [float(quantiles[place]) for place in SHOWN_LEVELS]
        if spreads:
            chart = tables.spread_chart(spreads, list(cell_types), label=title.lower(), of="held-out", log=log)
            charts.append({"title": title, "chart": chart, "source": f"cell_types.*.{measure}"})
    return {
        "n": profile.overall.n_cells,
        "n_answers": profile.overall.n_answers,
        "part": profile.part,
        "unassigned": profile.overall.unassigned,
        "charts": charts,
        "fewest": FEWEST_CELLS,
        "donors": _donors(profile),
    }


def _donors(profile: ReferenceProfile) -> dict[str, Any]:
    """How each donor differs from the others, a row for each measure; the donors that differ most, where there are
    many.
    """
    if not profile.donors:
        return {}
    limits = limits_of(profile)
    names = sorted(
        profile.donors,
        key=lambda donor: (
            -max(
                (
                    judged_size(name, effect) / limits[name].moved
                    for name, effect in profile.donors[donor].effects.items()
                ),
                default=0.0,
            )
        ),
    )[:MOST_DONORS]
    names = sorted(names)
    rows = [
        {
            "measure": NAMES[measure],
            "effect": limit.effect,
            "moved": size_in_words(measure, limit.moved),
            "effects": [
                size_in_words(measure, profile.donors[donor].effects[measure])
                if measure in profile.donors[donor].effects
                else "–"
                for donor in names
            ],
        }
        for measure, limit in limits.items()
        if limit.donors is not None
    ]
    return {"names": names, "rows": rows, "n": len(profile.donors)}


SHOWN, DRAWN, NEGATIVE, VIOLINS = 15, 8, 6, 3
COLUMNS = (
    ("fraction_in", "% in", "cells of the type with a count"),
    ("fraction_out", "% out", "the same of all other cells"),
    ("log2_fold_change", "log2FC", "how much more the type has of it"),
    ("auc", "AUC", "how well it alone tells the type; 1 is perfect, 0.5 chance"),
    ("p_value_adj", "p adj", "permutation test, Benjamini-Hochberg"),
    ("donors", "donors", "in how many donors it holds"),
    ("stability", "stable", "share of resamples that select it"),
)
PERCENTS = ("fraction_in", "fraction_out", "stability")


def type_panels(facts: ReportFacts, types: list[TypeEvidence]) -> list[dict[str, Any]]:
    """For each type: its markers as rows and as dots, what it lacks, and its minimal combination."""
    names = facts.manifest.cell_type_names
    examples = {one.cell_type: one for one in facts.examples.examples} if facts.examples is not None else {}
    panels = []
    for evidence in types:
        best = evidence.markers.head(SHOWN)
        best = best.assign(donors=donors_holding(best))
        columns = [column for column in COLUMNS if column[0] in best and best[column[0]].notna().any()]
        genes = [str(symbol) for symbol in best["gene_symbol"].head(DRAWN)]
        mean, fraction = expression(facts.markers, genes, names)
        panels.append(
            {
                "evidence": evidence,
                "columns": columns,
                "rows": [
                    [str(row["gene_symbol"]), *(_cell(name, row[name]) for name, _, _ in columns)]
                    for _, row in best.iterrows()
                ],
                "dots": dot_chart(mean, fraction, genes, names, own=[evidence.number - 1] * len(genes))
                if genes
                else None,
                "negative": [str(symbol) for symbol in evidence.negative["gene_symbol"].head(NEGATIVE)],
                "combination": combination(evidence.markers),
                **_spread(facts, evidence),
                "example": examples.get(evidence.name),
                "example_chart": example_chart(examples[evidence.name]) if evidence.name in examples else None,
            }
        )
    return panels


def _spread(facts: ReportFacts, evidence: TypeEvidence) -> dict[str, Any]:
    """Violins of the type's best markers and their means over the UMAP; nothing of a bundle that does not tell."""
    spread = facts.spread
    if spread is None:
        return {"violins": None, "features": []}
    best = [str(symbol) for symbol in evidence.markers["gene_symbol"].head(VIOLINS)]
    genes = [gene for gene in best if gene in spread.genes and spread.genes[gene].densities]
    names = facts.manifest.cell_type_names
    on_map = [] if spread.bins is None else [gene for gene in best if gene in spread.bins.means]
    return {
        "violins": violin_chart(spread, genes, names, own=evidence.number - 1) if genes else None,
        "features": [
            {"gene": gene, "chart": feature_chart(spread.bins, gene), "largest": f"{max(spread.bins.means[gene]):.1f}"}
            for gene in on_map
            if spread.bins is not None
        ],
    }


def combination(markers: pd.DataFrame) -> dict[str, Any] | None:
    """Genes with thresholds, precision and recall of a type's minimal combination; None where none was sought."""
    if "in_minimal_combination" not in markers or "combination_threshold" not in markers:
        return None
    chosen = markers[markers["in_minimal_combination"].fillna(False).astype(bool)]
    if chosen.empty:
        return None
    first = chosen.iloc[0]
    genes = [(str(row["gene_symbol"]), f"{row['combination_threshold']:.2f}") for _, row in chosen.iterrows()]
    return {"genes": genes, "precision": first["combination_precision"], "recall": first["combination_recall"]}


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return "–"
    if isinstance(value, str):
        return value
    if name in PERCENTS:
        return f"{100 * value:.0f}"
    return f"{value:.1g}" if name == "p_value_adj" else f"{value:.2f}"
