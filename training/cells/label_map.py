"""Labels of another file brought to the model's, so that both sides can be compared: `--test-labels map.csv`."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellmark.schemas.errors import Finding, ParameterError

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
