"""Evaluation on a file that took no part in training, through the exported graph and the checked path of every door."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.checks.check_labels import label_column_findings
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.checks.likely_columns import likely_totals
from cellmark.schemas.errors import Finding, InputError, LabelError, ParameterError, raise_if_refused
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.near_names import given_as
from cellmark.schemas.normalization import dense_counts

from ..cells.labelled_cells import LabelledCells
from ..config import TrainingConfig
from ..evaluation.descendants import NO_NAMES, with_credit
from ..evaluation.evaluate import evaluate, intervals
from ..export.check_parity import open_session

COLUMNS = ("from", "to")


def read_label_map(path: Path) -> dict[str, str]:
    """A table with the columns `from` and `to` (CSV, UTF-8). Raises `ParameterError` for any other.

    A name is looked up once: `a` to `b` and `b` to `c` leaves what was `a` at `b`.
    """
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise ParameterError(_finding("the columns from and to", ", ".join(reader.fieldnames or ()) or "none"))
            for number, row in enumerate(reader, start=2):
                name, to = ((row[column] or "").strip() for column in COLUMNS)
                if not name or not to:
                    raise ParameterError(_finding("two names in each row", f"line {number} without one"))
                if found.setdefault(name, to) != to:
                    raise ParameterError(_finding("one name for each label", f"{name!r} to {found[name]!r} and {to!r}"))
    except OSError as error:
        raise ParameterError(_finding("a file that can be read", error.strerror or str(error))) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ParameterError(_finding("a table in CSV, UTF-8", str(error))) from None
    return found


def unused(labels: Sequence[str], cell_types: Sequence[str], label_map: dict[str, str]) -> list[str]:
    """Names in the map that neither the file's labels nor the model's types have, sorted."""
    return sorted(set(label_map) - set(labels) - set(cell_types))


def harmonize(
    labels: np.ndarray, calls: np.ndarray, cell_types: Sequence[str], label_map: dict[str, str]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Labels and calls as numbers of names that both sides share.

    `labels`: str [cells], of the file; `calls`: int [cells], numbers of `cell_types`. The map is applied to both, so
    that it can make the file's labels coarser as well as the model's: `CD4 T` and `CD8 T` to `T` where the file says no
    more than `T`. Returns label numbers (-1 for a label that no type of the model is brought to), call numbers, and the
    names, in the order of the types that first have them.
    """
    coarse = [label_map.get(name, name) for name in cell_types]
    names = tuple(dict.fromkeys(coarse))
    numbers = {name: number for number, name in enumerate(names)}
    of_type = np.array([numbers[name] for name in coarse], dtype=int)
    codes = np.array([numbers.get(label_map.get(label, label), -1) for label in labels.tolist()], dtype=int)
    return codes, of_type[calls], names


def _finding(expected: str, found: str) -> Finding:
    return Finding(
        "PARAMETER_INVALID",
        where="test_labels",
        expected=expected,
        found=found,
        remedy="Give a CSV file such as: from,to / CD4 T,T cell / CD8 T,T cell.",
    )


CHUNK = 2048


def check_independent(config: TrainingConfig) -> None:
    """Raise what a wrong `config.test_data` will raise before hours went into training: no file, no column."""
    if config.test_data is None:
        return
    if config.test_labels is not None:
        read_label_map(config.test_labels)
    with _opened(config):
        pass


@contextmanager
def _opened(config: TrainingConfig) -> Iterator[tuple[CellSource, str | None]]:
    """The independent file and its column of library sizes, None where they are summed as training's are.

    Raises `LabelError` without the labels, `InputError` without the library sizes: summed ones are of another scale
    than those that the model learned from.
    """
    assert config.test_data is not None  # noqa: S101
    layer, sizes = config.test_layer or config.layer, config.test_library_size or config.library_size
    with open_cells(config.test_data, replace(config.reading, layer=layer)) as source:
        raise_if_refused(label_column_findings(source.obs, config.test_label or config.label), LabelError)
        if sizes is not None and sizes not in source.obs.columns:
            raise InputError.of(
                "LIBRARY_SIZE_COLUMN_UNKNOWN",
                where="test_library_size",
                expected=f"a column of library sizes in {config.test_data.name}"
                + (", as in the training data" if config.library_size else ""),
                found=f"no column {sizes!r}; obs has {', '.join(map(str, source.obs.columns)) or 'no columns'}",
                remedy=f"Did you mean {given_as('--test-library-size', likely)}?"
                if (likely := likely_totals(source.obs, sizes))
                else "Name the column of each cell's total count with --test-library-size.",
            )
        yield source, sizes


def fit_independent(
    config: TrainingConfig,
    cells: LabelledCells,
    panel: GenePanel,
    *,
    types_below: Mapping[str, frozenset[str]] = NO_NAMES,
) -> tuple[Finding, ...]:
    """What people should know of how `config.test_data` fits the model's genes and types, before networks are fitted.
    `types_below`: see `evaluate_independent`.

    Raises `InputError` where its genes do not fit, and `LabelError` (`LABELS_NOT_SHARED`) where none of its labels is
    one of the model's types.
    """
    if config.test_data is None:
        return ()
    try:
        with _checked(config, cells, panel) as (_, labels):
            names, sizes = np.unique(labels, return_counts=True)
    except InputError as error:  # so that nobody looks for it in the training data
        raise type(error)(*(replace(one, where=f"--test, {one.where}") for one in error.findings)) from None
    label_map = read_label_map(config.test_labels) if config.test_labels is not None else {}
    codes, _, types = harmonize(names, np.zeros(0, dtype=int), cells.cell_types, label_map)
    codes[[label_map.get(name, name) in types_below for name in names.tolist()]] = 0
    others = names[codes < 0][np.argsort(-sizes[codes < 0], kind="stable")]
    if len(others) == 0:
        return ()
    none = len(others) == len(names)
    n_others = int(sizes[codes < 0].sum())
    finding = Finding(
        "LABELS_NOT_SHARED",
        where="test_label",
        expected=f"labels that are types of the model, such as {', '.join(types[:3])}",
        found="none of them" if none else f"others for {n_others:,} of {sizes.sum():,} cells, which enter no measure",
        remedy="Map both to the same names with --test-labels map.csv (from,to)."
        + ("" if none else " Nothing needs to be done for types that the model does not know."),
        severity="error" if none else "warning",
        examples=tuple(others[:5].tolist()),
    )
    return raise_if_refused([finding], LabelError)


@contextmanager
def _checked(
    config: TrainingConfig, cells: LabelledCells, panel: GenePanel
) -> Iterator[tuple[CheckedCells, np.ndarray]]:
    """The independent file, open and checked but for its values, and its labels, str [cells]."""
    label = config.test_label or config.label
    with _opened(config) as (source, library_size):
        checked = CheckedCells(
            source,
            panel,
            library_size=library_size,
            n_genes_trained=cells.n_genes_measured,
            min_share=config.min_panel_share,
            max_unknown_share=config.max_unknown_share,
            to_train=True,
        )
        yield checked, source.obs[label].astype(str).to_numpy(dtype=str)


def evaluate_independent(
    config: TrainingConfig,
    cells: LabelledCells,
    panel: GenePanel,
    annotator: onnx.ModelProto,
    *,
    types_below: Mapping[str, frozenset[str]] = NO_NAMES,
) -> dict[str, Any]:
    """The measures of `evaluate` on `config.test_data`, and how many panel genes that file lacks.

    Labels that the model does not know are counted and left out. `config.test_labels`: a map that brings the file's
    labels and the model's types to names that both share; then `cell_types` are these names, in the order of the
    confusion matrix, and the map itself stands in `label_map`. Library sizes come from
    `config.test_library_size`, else from the same column as in training, else they are summed. `types_below`: names
    above the model's types, as `types_below_names` gives them; where the file has such labels, `with_descendants` holds
    the measures of `with_credit`. Raises as the readers and checks do.
    """
    session = open_session(annotator)
    calls = []
    with _checked(config, cells, panel) as (checked, labels):
        for aligned in checked.chunks(CHUNK):
            counts = dense_counts(aligned.counts, aligned.measured)
            feeds = {"counts": counts, "library_size": aligned.library_size.reshape(-1, 1)}
            calls.append(session.run(["probabilities"], feeds)[0].argmax(axis=1))
    label_map = read_label_map(config.test_labels) if config.test_labels is not None else {}
    codes, called, names = harmonize(labels, np.concatenate(calls), cells.cell_types, label_map)
    mapped: dict[str, Any] = {}
    if label_map:
        mapped = {
            "cell_types": list(names),
            "label_map": label_map,
            "unused_in_label_map": unused(np.unique(labels).tolist(), cells.cell_types, label_map),
        }
    known_as = np.array([label_map.get(label, label) for label in labels.tolist()], dtype=object)
    if credited := with_credit(known_as, np.concatenate(calls), cells.cell_types, label_map, types_below):
        mapped["with_descendants"] = credited
    accuracy, macro_f1 = intervals(codes[codes >= 0], called[codes >= 0], len(names), seed=config.seed)
    return {
        **evaluate(codes, called, names),
        "accuracy_interval": [accuracy.low, accuracy.high],
        "macro_f1_interval": [macro_f1.low, macro_f1.high],
        **mapped,
        "n_genes_missing": len(checked.match.missing),
        "library_size_source": checked.library_size_source,
    }
