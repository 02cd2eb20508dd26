"""The inputs of a batch, also from a sheet of samples, and what their outputs are called."""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from cellmark.schemas.cells.reading import reading
from cellmark.schemas.errors import ParameterError, ReadError

from ..outputs.write_calls import FORMATS

SUMMARY = "summary.csv"
EXTENSIONS = (".h5ad", ".zarr", ".h5", ".loom", ".mtx", ".csv", ".tsv", ".txt", ".zip", ".npz")
MOST_SAMPLES = 100_000


def batch_inputs(given: Sequence[Path]) -> tuple[list[Path], list[str | None]]:
    """Inputs, those that a sheet lists in its place, and the names of their samples, None where no sheet says one.

    A sheet is a `.csv` whose header begins with `sample,path`; paths are relative to its folder. Raises `ReadError` for
    a sheet with a line that names no sample or no file, or with a sample twice.
    """
    inputs: list[Path] = []
    names: list[str | None] = []
    for path in given:
        for name, listed in _samples(path) if is_sheet(path) else [(None, path)]:
            inputs.append(listed)
            names.append(name)
    return inputs, names


def is_sheet(path: Path) -> bool:
    """Whether a file lists samples and their files."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            start = file.readline(200).decode("utf-8-sig", errors="replace")
    except OSError:
        return False  # the reader says what is wrong with it
    return [name.strip().strip('"').lower() for name in start.split(",")[:2]] == ["sample", "path"]


def _samples(sheet: Path) -> list[tuple[str, Path]]:
    with reading(sheet, "a sheet of samples"), sheet.open(encoding="utf-8-sig", newline="") as lines:
        rows = [row for row in islice(csv.reader(lines), 1, MOST_SAMPLES) if any(row)]
    samples = [(row[0].strip(), row[1].strip() if len(row) > 1 else "") for row in rows]
    twice = {name for name, number in Counter(name for name, _ in samples).items() if number > 1}
    wrong = [f"{name or 'no sample'}: {path or 'no path'}" for name, path in samples if not _is_name(name) or not path]
    if not samples or twice or wrong:
        raise ReadError.of(
            "TABLE_INVALID",
            where=str(sheet),
            expected="samples and their files: a name, that could be a file's, and a path in every line",
            found="no sample" if not samples else "; ".join([*(f"{name} twice" for name in sorted(twice)), *wrong][:5]),
            remedy="Write one line for each sample: sample,path.",
        )
    return [(name, sheet.parent / path) for name, path in samples]


def _is_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not set(name) & set('/\\:*?"<>|') and name.isprintable()


def output_names(
    inputs: Sequence[Path],
    folder: Path,
    *,
    format: str,  # noqa: A002
    names: Sequence[str | None] = (),
) -> list[Path]:
    """One output per input, named after it; its name depends on the inputs, not on their order.

    `names`: those that a sheet gives, which win. Inputs of one name are named after the first folder in which their
    paths differ, as the samples of `per_sample_outs/SAMPLE/...`; what that cannot tell apart gets a number.
    """
    suffix = f".{format.removeprefix('.')}"
    if suffix not in FORMATS:
        raise ParameterError.not_a_choice("format", choices="parquet, csv or h5ad", found=repr(format))
    found: list[str | None] = list(names) or [None] * len(inputs)
    alike: dict[str, list[int]] = defaultdict(list)
    for number, path in enumerate(inputs):
        if found[number] is None:
            alike[_stem(path)].append(number)
    chosen: dict[int, str] = {}
    for stem, numbers in alike.items():
        folders = {number: Path(os.path.abspath(inputs[number])).parent.parts for number in numbers}
        chosen |= {number: name or stem for number, name in _by_folder(folders).items()}
    taken = {Path(SUMMARY).stem, *(name for name in found if name is not None)}
    for number in sorted(chosen, key=lambda number: (os.path.abspath(inputs[number]), number)):
        name, copies = chosen[number], 2
        while name in taken:
            name, copies = f"{chosen[number]}-{copies}", copies + 1
        taken.add(name)
        found[number] = name
    return [folder / f"{name}{suffix}" for name in found]


def _by_folder(parts: dict[int, tuple[str, ...]]) -> dict[int, str]:
    """Names of inputs by the parts of their paths: the first part that differs, and the next one of those alike."""
    if len(set(parts.values())) == 1:
        return dict.fromkeys(parts, "")  # the same path, up to an extension: a number tells them apart
    groups: dict[str, dict[int, tuple[str, ...]]] = defaultdict(dict)
    for number, path in parts.items():
        groups[path[0] if path else ""][number] = path[1:]
    if len(groups) == 1:
        return _by_folder(next(iter(groups.values())))
    return {
        number: f"{first}-{rest}" if rest else first
        for first, group in groups.items()
        for number, rest in _by_folder(group).items()
    }


def _stem(path: Path) -> str:
    """A file's name without the extension of its format; a folder of cells has none, however its name ends."""
    name = path.name.removesuffix(".gz")
    is_folder = path.is_dir() and not name.lower().endswith(".zarr")
    ends = [name[-len(end) :] for end in EXTENSIONS if name.lower().endswith(end) and len(name) > len(end)]
    if is_folder:
        return path.name
    return name.removesuffix(ends[0] if ends else path.suffix if path.is_file() else "")
