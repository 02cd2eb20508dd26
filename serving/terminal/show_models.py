"""What people see of the registry in a terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellmark.schemas.manifest.verdict import WEAK
from cellmark.schemas.tracking import registry_tags as tags

from ..models.list_models import ModelEntry, ModelList, VersionEntry
from ..models.model_source import ModelSource
from ..models.promote import Promotion

NOTHING = "-"


def print_models(found: ModelList) -> None:
    """One row per registered model."""
    console = Console(highlight=False)
    if not found.models:
        console.print(f"No models are registered at {found.uri}. `cellmark train` registers one.", markup=False)
        return
    table = Table(title=f"Models registered at {found.uri}", box=SIMPLE_HEAD)
    for column in ("model", "champion", "challenger", "accuracy", "macro-F1", "types", "trained"):
        table.add_column(column, justify="left" if column in ("model", "trained") else "right", overflow="fold")
    for entry in found.models:
        shown = entry.champion or (entry.versions[-1] if entry.versions else None)
        table.add_row(
            Text(entry.name),
            entry.aliases.get(tags.CHAMPION, NOTHING),
            entry.aliases.get(tags.CHALLENGER, NOTHING),
            *_measures(shown),
            shown.created[:10] if shown else NOTHING,
        )
    console.print(table)
    console.print("Measures are the champion's, on its own test cells.", style="dim")


def print_model(entry: ModelEntry) -> None:
    """One row per version, newest first, then who moved which alias."""
    n_versions = len(entry.versions)
    table = Table(title=f"{entry.name}: {n_versions} version{'s' if n_versions != 1 else ''}", box=SIMPLE_HEAD)
    for column in ("version", "aliases", "accuracy", "macro-F1", "types", "trained"):
        table.add_column(column, justify="left" if column in ("aliases", "trained") else "right")
    for version in reversed(entry.versions):
        champion = tags.CHAMPION in version.aliases
        table.add_row(
            version.version,
            Text(", ".join(version.aliases) or NOTHING, style="bold" if champion else ""),
            *_measures(version),
            version.created[:10],
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for version in reversed(entry.versions):
        for line in history(version):
            console.print(f"version {version.version}: {line}", markup=False)
    console.print(f"Look inside one: cellmark models show models:/{entry.name}@champion", style="dim", markup=False)


def history(version: VersionEntry) -> list[str]:
    """What became of a version's aliases, in words."""
    lines = []
    if tags.PROMOTED_AT in version.tags:
        lines.append(
            f"made {version.tags.get(tags.PROMOTED_TO, tags.CHAMPION)} on {version.tags[tags.PROMOTED_AT]} "
            f"by {version.tags.get(tags.PROMOTED_BY, 'unknown')}, after version "
            f"{version.tags.get(tags.PROMOTED_FROM) or 'none'}"
        )
    lines += [
        f"{alias} until {version.tags[tags.until(alias)]}, then version "
        f"{version.tags.get(tags.replaced_by(alias), 'unknown')}"
        for alias in (tags.CHAMPION, tags.CHALLENGER)
        if tags.until(alias) in version.tags
    ]
    return lines


def print_bundle(source: ModelSource) -> None:
    """What a bundle is, from its manifest."""
    manifest = source.bundle.manifest
    test = manifest.metrics.get("test", {})
    facts = {
        "model": f"{source.name} version {source.version}" if source.version else f"{source.name} (not registered)",
        "trained" if manifest.imported is None else "imported": manifest.created,
        "cellmark": manifest.code.version,
        "training cells": f"{sum(manifest.learned_cells.values()):,} of {manifest.training_data.n_cells:,}",
        "split": manifest.split.strategy,
        "genes": f"{manifest.panel.n_genes:,} of {manifest.n_genes_measured:,} measured",
        "organism": manifest.organism or NOTHING,
        "test accuracy": _number(test.get("accuracy")),
        "test macro-F1": _number(test.get("macro_f1")),
        "bundle digest": manifest.bundle_digest,
        "training data": manifest.training_data.digest,
        "folder": str(source.bundle.folder),
    }
    if (imported := manifest.imported) is not None:
        facts |= {"from": f"{imported.tool} ({imported.classifier})", **imported.description}
        facts["not measured"] = "accuracy, calibration, novelty: every cell gets a type"
    console = Console(highlight=False)
    table = Table(show_header=False, title=f"{source.uri}")
    for name, value in facts.items():
        table.add_row(name, Text(value, overflow="fold"))
    console.print(table)
    types = Table(title=f"{len(manifest.cell_types)} cell types")
    for column in ("cell type", "training cells", "test cells", "precision", "recall", "F1"):
        types.add_column(column, justify="left" if column == "cell type" else "right", overflow="fold")
    for name in manifest.cell_type_names:
        row = test.get("per_type", {}).get(name, {})
        types.add_row(
            Text(name),
            str(manifest.learned_cells.get(name, 0 if manifest.imported is None else NOTHING)),
            str(row.get("support", 0 if manifest.imported is None else NOTHING)),
            *(_number(row.get(measure)) for measure in ("precision", "recall", "f1")),
        )
    console.print(types)


def print_promotion(promotion: Promotion) -> None:
    """What moved, and how to go back."""
    console = Console(highlight=False, soft_wrap=True)
    if not promotion.moved:
        console.print(
            f"Version {promotion.new} of {promotion.name} is {promotion.alias} already; nothing was changed.",
            markup=False,
        )
        return
    before = f"it was version {promotion.old}" if promotion.old else "no version was before"
    console.print(
        f"{promotion.alias} of {promotion.name} is now version {promotion.new}; {before} "
        f"({promotion.who}, {promotion.when}).",
        markup=False,
    )
    if promotion.verdict:
        console.print(promotion.verdict, style="yellow" if promotion.verdict.startswith(WEAK) else "none", markup=False)
    if promotion.old:
        to = "" if promotion.alias == tags.CHAMPION else f" --to {promotion.alias}"
        console.print(
            f"To go back: cellmark models promote {promotion.name} --version {promotion.old}{to}",
            style="dim",
            markup=False,
        )


def _measures(version: VersionEntry | None) -> tuple[str, str, str]:
    if version is None:
        return NOTHING, NOTHING, NOTHING
    return (
        _number(version.measure(tags.TEST_ACCURACY)),
        _number(version.measure(tags.TEST_MACRO_F1)),
        version.tags.get(tags.N_CELL_TYPES, NOTHING),
    )


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"
