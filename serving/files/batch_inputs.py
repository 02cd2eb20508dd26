"""The inputs of a batch, also from sheets of samples, folders and patterns, and what their outputs are called."""

import csv
import glob
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from cellmark.schemas.cells.reading import reading
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ParameterError, ReadError

from ..outputs.write_calls import FORMATS
from ..remote.urls import url_of

SUMMARY = "summary.csv"
EXTENSIONS = (".h5ad", ".zarr", ".h5", ".loom", ".mtx", ".csv", ".tsv", ".txt", ".zip", ".npz")
IN_FOLDERS = (".h5ad", ".h5", ".loom", ".zarr.zip")
"""Files that a folder of samples is searched for; tables are not, since a folder may hold others."""
OF_CELL_RANGER = ("raw_feature_bc_matrix", "raw_gene_bc_matrices_h5", "molecule_info", "sample_raw_feature_bc_matrix")
"""A folder with one of these is one sample's, of which only the filtered matrix is meant."""
MOST_SAMPLES = 100_000
LONGEST_NAME = 200
"""Bytes, which leaves room for extensions within the 255 of file systems."""


@dataclass(frozen=True)
class BatchInput:
    """One sample of a batch. `name`: of its outputs, which no other sample of the batch has. `donor`: who gave the
    cells. `layer`, `library_size`: as in `ReadingOptions`, for this sample alone. `metadata`: further columns of the
    sheet that lists it, which go into the summary as they are.
    """

    path: Path
    name: str
    donor: str | None = None
    layer: str | None = None
    library_size: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def reading(self, common: ReadingOptions) -> ReadingOptions:
        """How this sample is read: as its line of the sheet says, else as all of the batch."""
        return replace(
            common,
            layer=common.layer if self.layer is None else self.layer,
            library_size=common.library_size if self.library_size is None else self.library_size,
        )


def sheet_columns(donor: str | None, metadata: Mapping[str, str], taken: Sequence[str]) -> dict[str, str]:
    """What a sheet says of a sample, as columns of the summary; one that is `taken` there begins with `sheet_`."""
    said = {"donor": donor} if donor is not None else {}
    return said | {f"sheet_{name}" if name in taken else name: value for name, value in metadata.items()}


def batch_inputs(given: Sequence[Path]) -> list[BatchInput]:
    """Every input that was given, and those that a sheet, a folder of samples or a pattern lists, in its place.

    A sheet is a `.csv` whose header begins with `sample,path`; paths are relative to its folder, and may be URLs. Its
    columns `donor`, `layer` and `library_size` are fields of `BatchInput`, an empty one None; others are metadata. A
    pattern is a path that does not exist, with `*`, `?` or `[`. Names depend on the inputs, not on their order (see
    `names_of`). Raises `ReadError` for a pattern that matches nothing, and for sheets with a line that names no sample
    or no file, or with a sample twice.
    """
    listed: list[BatchInput] = []
    for path in (match for one in given for match in _matches(one)):
        if is_sheet(path):
            listed += _samples(path)
        else:
            listed += [BatchInput(one, "") for one in _folder_of_samples(path) or [path]]
    twice = [name for name, number in Counter(one.name for one in listed if one.name).items() if number > 1]
    if twice:
        raise ReadError.of(
            "TABLE_INVALID",
            where="sheets of samples",
            expected="each sample once",
            found=f"{', '.join(twice[:5])} in several sheets",
            remedy="Rename them in one of the sheets.",
        )
    names = names_of([one.path for one in listed], [one.name or None for one in listed])
    return [replace(one, name=name) for one, name in zip(listed, names, strict=True)]


def _matches(path: Path) -> list[Path]:
    """What a pattern matches, sorted; any other path, or URL, as it is."""
    if url_of(path) is not None or os.path.lexists(path) or not glob.has_magic(str(path)):
        return [path]
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        folder = next(parent for parent in path.parents if not glob.has_magic(str(parent)))
        raise ReadError.of(
            "FILE_NOT_FOUND",
            where=str(path),
            expected="a pattern that matches files or folders of cells",
            found="no match" if folder.is_dir() else f"no folder {folder}",
            remedy="Correct the pattern: `*` stands for any name within one folder, `**` for any number of folders.",
        )
    return [Path(one) for one in found]


def _folder_of_samples(path: Path) -> list[Path]:
    """The files and folders of cells in a folder, sorted; none where the folder is itself an input, or that of one
    sample in several forms.
    """
    try:
        if not os.path.isdir(path) or _is_one_input(path):
            return []
        inside = sorted(one for one in path.iterdir() if not one.name.startswith("."))
        found = [
            one for one in inside if (_is_one_input(one) if one.is_dir() else one.name.lower().endswith(IN_FOLDERS))
        ]
    except OSError:
        return []  # the reader says what is wrong with it
    stems = [_stem(one).removesuffix(".zarr") for one in found]
    return [] if len(set(stems)) < len(stems) or set(stems) & set(OF_CELL_RANGER) else found


def _is_one_input(folder: Path) -> bool:
    marks = (".zgroup", "zarr.json")
    return folder.suffix == ".zarr" or any((folder / mark).exists() for mark in marks) or any(folder.glob("*.mtx*"))


def is_sheet(path: Path) -> bool:
    """Whether a file lists samples and their files."""
    if path.suffix.lower() != ".csv" or not os.path.isfile(path):
        return False
    try:
        with path.open("rb") as file:
            start = file.readline(200).decode("utf-8-sig", errors="replace")
    except OSError:
        return False  # the reader says what is wrong with it
    return [name.strip().strip('"').lower() for name in start.split(",")[:2]] == ["sample", "path"]


def _samples(sheet: Path) -> list[BatchInput]:
    with reading(sheet, "a sheet of samples"), sheet.open(encoding="utf-8-sig", newline="") as lines:
        header, *rows = ([value.strip() for value in row] for row in islice(csv.reader(lines), MOST_SAMPLES + 2))
    rows = [row + [""] * (len(header) - len(row)) for row in rows if any(row)]
    if wrong := _wrong_lines(header, rows):
        raise ReadError.of(
            "TABLE_INVALID",
            where=str(sheet),
            expected="samples and their files: a name, that could be a file's, and a path in every line",
            found="; ".join(wrong[:5]),
            remedy="Write one line for each sample: sample,path.",
        )
    own = {name.lower(): number for number, name in enumerate(header) if name.lower() in OWN_COLUMNS}
    others = {name: number for number, name in enumerate(header) if number > 1 and name.lower() not in own and name}
    return [
        BatchInput(
            Path(row[1]) if url_of(row[1]) is not None else sheet.parent / row[1],
            row[0],
            **{name: row[number] or None for name, number in own.items()},
            metadata={name: row[number] for name, number in others.items()},
        )
        for row in rows
    ]


OWN_COLUMNS = ("donor", "layer", "library_size")


def _wrong_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """What is wrong with a sheet, in words. `rows`: each at least as long as the header."""
    columns = Counter(name.lower() for name in header if name)
    samples = Counter(row[0] for row in rows)
    return [
        *(["no sample"] if not rows else [f"more than {MOST_SAMPLES:,} samples"] if len(rows) > MOST_SAMPLES else []),
        *(f"the column {name} twice" for name, number in columns.items() if number > 1),
        *(f"{name} twice" for name, number in sorted(samples.items()) if number > 1),
        *(f"{row[0] or 'no sample'}: {row[1] or 'no path'}" for row in rows if not _is_name(row[0]) or not row[1]),
        *(f"{row[0]}: {len(row)} values for {len(header)} columns" for row in rows if len(row) > len(header)),
    ]


def _is_name(name: str) -> bool:
    is_free = name.lower() != Path(SUMMARY).stem and len(name.encode()) <= LONGEST_NAME
    return is_free and bool(name) and name[0] != "." and not set(name) & set('/\\:*?"<>|') and name.isprintable()


def output_names(inputs: Sequence[BatchInput], folder: Path, *, format: str) -> list[Path]:  # noqa: A002
    """One output per input, named after it."""
    suffix = f".{format.removeprefix('.')}"
    if suffix not in FORMATS:
        raise ParameterError.not_a_choice("format", choices="parquet, csv or h5ad", found=repr(format))
    return [folder / f"{one.name}{suffix}" for one in inputs]


def names_of(inputs: Sequence[Path], names: Sequence[str | None] = ()) -> list[str]:
    """One name per input, after its file; it depends on the inputs, not on their order.

    `names`: those that a sheet gives, which win. Inputs of one name are named after the first folder in which their
    paths differ, as the samples of `per_sample_outs/SAMPLE/...`; what that cannot tell apart gets a number.
    """
    inputs = [path if (url := url_of(path)) is None else Path(url.shown).with_name(url.name) for path in inputs]
    found: dict[int, str] = {number: name for number, name in enumerate(names) if name is not None}
    alike: dict[str, list[int]] = defaultdict(list)
    for number, path in enumerate(inputs):
        if number not in found:
            alike[_stem(path)].append(number)
    chosen: dict[int, str] = {}
    for stem, numbers in alike.items():
        folders = {number: Path(os.path.abspath(inputs[number])).parent.parts for number in numbers}
        chosen |= {number: name or stem for number, name in _by_folder(folders).items()}
    taken = {Path(SUMMARY).stem, *found.values()}
    for number in sorted(chosen, key=lambda number: (os.path.abspath(inputs[number]), number)):
        name, copies = chosen[number], 2
        while name in taken:
            name, copies = f"{chosen[number]}-{copies}", copies + 1
        taken.add(name)
        found[number] = name
    return [found[number] for number in range(len(inputs))]


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
    is_folder = os.path.isdir(path) and not name.lower().endswith(".zarr")
    ends = [name[-len(end) :] for end in EXTENSIONS if name.lower().endswith(end) and len(name) > len(end)]
    if is_folder:
        return path.name
    return name.removesuffix(ends[0] if ends else path.suffix if os.path.isfile(path) else "")
