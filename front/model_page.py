"""A model in three lines of text, and as a small table for notebooks."""

from html import escape
from typing import TYPE_CHECKING, Any

from cellmark.schemas.manifest.verdict import verdict

if TYPE_CHECKING:
    from .model_facts import ModelFacts

PARTS = ("test", "independent", "validation")
LONGEST_LIST = 8
STYLE = (
    "color:inherit;border-collapse:collapse;font-size:0.9em;margin:0.4em 0",
    "text-align:left;padding:0.15em 1.2em 0.15em 0;border:0",
    "text-align:right;padding:0.15em 1.2em 0.15em 0;border:0;font-variant-numeric:tabular-nums",
)
"""Without colours of its own: a notebook may be light or dark. Of the table, of text, of numbers."""


def model_lines(model: "ModelFacts") -> list[str]:
    """What it is, how right it is, which types it knows."""
    return [_title(model), _measures(model), _listed(model.types)]


def model_table(model: "ModelFacts") -> str:
    """HTML: the title, the measures, a row for each type, the verdict. All text of the model is escaped."""
    table, text, number = STYLE
    measured = _measured(model)
    per_type = measured[1].get("per_type", {}) if measured else {}
    rows = "".join(
        f'<tr><td style="{text}">{escape(name)}</td>'
        + "".join(f'<td style="{number}">{value}</td>' for value in _numbers(per_type.get(name)))
        + f'<td style="{text}"><div style="width:{100 * _f1(per_type.get(name)):.0f}px;height:0.6em;'
        'background:currentColor;opacity:0.45"></div></td></tr>'
        for name in model.types
    )
    heads = "".join(
        f'<th style="{style}">{head}</th>'
        for style, head in ((text, "cell type"), (number, "cells"), (number, "F1"), (text, ""))
    )
    measures = _measures(model)
    place = f"models:/{model.name}/{model.version}" if model.version else str(model.folder)
    return (
        f"<div><strong>{escape(_title(model))}</strong><br>{escape(measures[:1].upper() + measures[1:])}"
        f'<table style="{table}"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        f'<div style="opacity:0.75;font-size:0.85em">{escape(verdict(model.bundle.manifest))}<br>'
        f"{escape(place)}, {escape(model.digest[:12])}</div></div>"
    )


def _title(model: "ModelFacts") -> str:
    version = f" version {model.version}" if model.version else ""
    return f"Model {model.name!r}{version}: {len(model.types)} types, {len(model.genes):,} genes"


def _measured(model: "ModelFacts") -> tuple[str, dict[str, Any]] | None:
    """The first part that was measured, cells never seen first."""
    metrics = model.metrics
    return next(
        ((part, metrics[part]) for part in PARTS if metrics.get(part, {}).get("accuracy") is not None),
        None,
    )


def _measures(model: "ModelFacts") -> str:
    measured = _measured(model)
    if measured is None:
        return "not measured on any labelled cells"
    part, values = measured
    n_cells = values["n_cells"]
    return (
        f"right for {round(values['accuracy'] * n_cells):,} of {n_cells:,} {part} cells, "
        f"macro-F1 {values['macro_f1']:.3f}"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else ""
    return ", ".join(names[:LONGEST_LIST]) + more


def _f1(values: dict[str, Any] | None) -> float:
    return float((values or {}).get("f1") or 0.0)


def _numbers(values: dict[str, Any] | None) -> tuple[str, str]:
    return ("", "") if values is None else (f"{values['support']:,}", f"{_f1(values):.3f}")
