"""Calls on disk: a copy of an `.h5ad` with new `obs` columns, or a table with a JSON file beside it."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from cellmark.schemas.atomic_output import refuse_existing, whole_file
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_TYPE,
    COARSE_COLUMNS,
    CROSS_SPECIES,
    MAJORITY_CELL_TYPE,
    MAJORITY_COLUMNS,
    NEW_POPULATION,
    SECOND_CELL_TYPE,
    TYPES_KEY,
    UNASSIGNED,
    UNS_KEY,
    calls_among,
    levels_among,
)
from cellmark.schemas.errors import OutputError

from .copy_file import RemoteCells, copy_file, reserve_space

if TYPE_CHECKING:
    from anndata import AnnData


TYPE_COLUMNS = (CELL_TYPE, BEST_CELL_TYPE, SECOND_CELL_TYPE, MAJORITY_CELL_TYPE)
UNASSIGNED_COLOR = "#d3d3d3"
"""Light grey, scanpy's `na_color`."""
FEW = """
#1f77b4 #ff7f0e #279e68 #d62728 #aa40fc #8c564b #e377c2 #b5bd61 #17becf #aec7e8
#ffbb78 #98df8a #ff9896 #c5b0d5 #c49c94 #f7b6d2 #dbdb8d #9edae5 #ad494a #8c6d31
""".split()  # noqa: SIM905
"""`scanpy.plotting.palettes.default_20`: what scanpy itself gives up to twenty categories."""
MANY = """
#FFFF00 #1CE6FF #FF34FF #FF4A46 #008941 #006FA6 #A30059 #FFDBE5 #7A4900 #0000A6
#63FFAC #B79762 #004D43 #8FB0FF #997D87 #5A0007 #809693 #6A3A4C #1B4400 #4FC601
#3B5DFF #4A3B53 #FF2F80 #61615A #BA0900 #6B7900 #00C2A0 #FFAA92 #FF90C9 #B903AA
#D16100 #DDEFFF #000035 #7B4F4B #A1C299 #300018 #0AA6D8 #013349 #00846F #372101
#FFB500 #C2FFED #A079BF #CC0744 #C0B9B2 #C2FF99 #001E09 #00489C #6F0062 #0CBD66
#EEC3FF #456D75 #B77B68 #7A87A1 #788D66 #885578 #FAD09F #FF8A9A #D157A0 #BEC459
#456648 #0086ED #886F4C #34362D #B4A8BD #00A6AA #452C2C #636375 #A3C8C9 #FF913F
#938A81 #575329 #00FECF #B05B6F #8CD0FF #3B9700 #04F757 #C8A1A1 #1E6E00 #7900D7
#A77500 #6367A9 #A05837 #6B002C #772600 #D790FF #9B9700 #549E79 #FFF69F #201625
#72418F #BC23FF #99ADC0 #3A2465 #922329 #5B4534 #FDE8DC #404E55 #0089A3 #CB7E98
#A4E804 #324E72
""".split()  # noqa: SIM905
"""`scanpy.plotting.palettes.default_102`, for more."""


def type_colors(cell_types: Sequence[str]) -> dict[str, str]:
    """A colour for each of a model's types, by its place among them, so that a type keeps its colour from file to file;
    grey for `unassigned`. More than 102 types share colours.
    """
    palette = FEW if len(cell_types) <= len(FEW) else MANY
    return {
        **{name: palette[place % len(palette)] for place, name in enumerate(cell_types)},
        UNASSIGNED: UNASSIGNED_COLOR,
    }


def color_keys(columns: Sequence[str]) -> list[str]:
    """Where scanpy keeps the colours of columns in `uns`."""
    return [f"{column}_colors" for column in columns]


def color_lists(frame: pd.DataFrame, colors: Mapping[str, str]) -> dict[str, list[str]]:
    """Entries of `uns` for the columns of types in a frame of calls."""
    return {
        f"{column}_colors": [colors[name] for name in frame[column].cat.categories]
        for column in TYPE_COLUMNS
        if column in frame
    }


TABLES = (".csv", ".parquet")
FORMATS = (".h5ad", *TABLES)


def check_format(path: Path, formats: Sequence[str]) -> None:
    """Raise `OutputError` when the name of an output ends in none of `formats`."""
    if path.suffix not in formats:
        names = ", ".join(formats[:-1]) + " or " + formats[-1]
        raise OutputError.of(
            "OUTPUT_FORMAT_UNKNOWN",
            where=str(path),
            expected=f"a name that ends in {names}",
            found=repr(path.suffix) if path.suffix else "no extension",
            remedy="Give the output one of these extensions.",
        )


def check_output(path: Path, *, force: bool, formats: Sequence[str] = FORMATS) -> None:
    """Raise `OutputError` before any work when an output has an unknown extension or is already there."""
    check_format(path, formats)
    refuse_existing(path, force=force)
    if path.suffix in TABLES:
        refuse_existing(facts_path(path), force=force)


def check_not_input(path: Path, inputs: Iterable[Path], *, origin: Path | None = None) -> None:
    """Raise `OutputError` when an output would replace cells that are read, whatever `--force` says.

    `origin`: the input that `path` is written for. As an `.h5ad` or `.zarr` it may take its place: it keeps all that is
    there.
    """
    for other in inputs:
        if path.suffix in (".h5ad", ".zarr") and other == origin:
            continue
        if os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other):
            raise OutputError.of(
                "OUTPUT_EXISTS",
                where=str(path),
                expected="another file than the inputs",
                found="an input, which would be lost",
                remedy="Name another output.",
            )


def facts_path(table: Path) -> Path:
    """The JSON file beside a table."""
    return table.with_suffix(".json")


def write_calls(frame: pd.DataFrame, path: Path, *, source: CellSource, origin: Path | None, force: bool) -> None:
    """Write calls (`Annotator.annotate`'s frame) by the extension of `path`.

    `source`: the cells they belong to. `origin`: the file of the cells; see `write_into`. Where another process reads
    the cells, it is the one that opens their copy as well.
    """
    check_output(path, force=force)
    if path.suffix in TABLES:
        write_table(frame.reset_index(), frame.attrs[UNS_KEY], path, force=force)
        return
    uns = uns_entries(frame)
    with whole_file(path, force=force) as draft:
        if isinstance(source, RemoteCells):
            source.write_into(draft, frame, uns)
        else:
            write_into(draft, frame, uns, source=source, origin=origin)


def write_into(
    draft: Path, frame: pd.DataFrame, uns: dict[str, Any], *, source: CellSource, origin: Path | None
) -> None:
    """Write an `.h5ad` over the empty file `draft`. `uns`: see `uns_entries`. `origin`: the file of the cells; an
    `.h5ad` is copied byte by byte and then given its columns, so everything else in it stays as it is. Other formats
    are written as AnnData does.
    """
    if origin is not None and origin.suffix.lower() == ".h5ad" and has_obs_group(origin):
        copy_file(origin, draft)
        reserve_space(draft, _size_of(frame))
        add_calls(draft, frame, uns)
    else:
        _write_anndata(draft, frame, uns, whole_input(source, origin))


def write_table(frame: pd.DataFrame, facts: dict[str, Any], path: Path, *, force: bool) -> None:
    """A table by its extension, and its facts as JSON beside it."""
    frame = frame.copy()
    frame.attrs = {}
    # The facts are moved first, so that a table is never there without them.
    with whole_file(path, force=force) as draft, whole_file(facts_path(path), force=force) as draft_facts:
        draft_facts.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if path.suffix == ".parquet":
            frame.to_parquet(draft, index=False)
        else:
            frame.to_csv(draft, index=False)


def add_calls(path: Path, frame: pd.DataFrame, uns: dict[str, Any]) -> None:
    """Write the call columns and their entries of `uns` into an `.h5ad`, touching nothing but older calls."""
    with h5py.File(path, "r+") as file:
        add_calls_to(file, frame, uns)


def add_calls_to(root: Any, frame: pd.DataFrame, uns: dict[str, Any]) -> None:
    """The same for an open AnnData, an HDF5 file or a zarr group."""
    from anndata.io import write_elem

    obs = root["obs"]
    # Writers other than h5py keep text at a fixed length, which comes as bytes.
    order = [name.decode() if isinstance(name, bytes) else str(name) for name in obs.attrs["column-order"]]
    columns = written_columns(frame)
    for column in columns:
        if column in obs:
            del obs[column]
        # Read back as an array: h5py refuses pandas' own.
        values = frame[column].array
        write_elem(obs, column, values if isinstance(values, pd.Categorical) else np.asarray(values))
    outdated = outdated_columns(frame, list(obs))
    for column in outdated:
        del obs[column]
    kept = [column for column in order if column not in outdated]
    new = [*kept, *(column for column in columns if column not in order)]
    obs.attrs["column-order"] = np.array(new, dtype=h5py.string_dtype()) if isinstance(root, h5py.Group) else new
    if "uns" not in root:
        write_elem(root, "uns", {})
    for key in {*uns, *color_keys([*columns, *outdated])} & set(root["uns"]):
        del root["uns"][key]
    for key, value in uns.items():
        write_elem(root["uns"], key, storable(value))


def put_calls(adata: "AnnData", frame: pd.DataFrame, uns: dict[str, Any]) -> None:
    """Write the call columns into `obs` and their entries into `uns`. `frame`: cells in the order of `adata`."""
    columns, outdated = written_columns(frame), outdated_columns(frame, list(adata.obs))
    for column in columns:
        adata.obs[column] = frame[column].array
    for column in outdated:
        del adata.obs[column]
    for key in color_keys([*columns, *outdated]):
        adata.uns.pop(key, None)
    adata.uns.update({key: storable(value) for key, value in uns.items()})


def written_columns(frame: pd.DataFrame) -> list[str]:
    """Columns of calls that belong into `obs`: all but single probabilities."""
    others = (*MAJORITY_COLUMNS, NEW_POPULATION, CROSS_SPECIES)
    return calls_among(frame.columns) + [column for column in others if column in frame]


def outdated_columns(frame: pd.DataFrame, present: Iterable[str]) -> list[str]:
    """Those of the columns `present` that only some calls have: of an older call they must not stand beside these."""
    some = (*COARSE_COLUMNS, CROSS_SPECIES, *levels_among(present))
    return [column for column in some if column not in frame and column in present]


def uns_entries(frame: pd.DataFrame) -> dict[str, Any]:
    """What calls write into `uns`, plain values: their facts, and the colours of their types for scanpy."""
    return {UNS_KEY: frame.attrs[UNS_KEY], **color_lists(frame, type_colors(frame.attrs[TYPES_KEY]))}


def storable(entry: dict[str, Any] | list[str]) -> dict[str, Any] | np.ndarray:
    """An entry of `uns_entries` as AnnData can store it: no nulls, lists of strings as arrays. Notes, and shifts
    of samples, whose names may hold a slash, as JSON.
    """
    if isinstance(entry, list):
        return np.array(entry, dtype=object)
    as_json: dict[str, Any] = {
        key: json.dumps(entry[key], ensure_ascii=False) for key in ("notes", "sample_shift") if key in entry
    }
    plain = {key: value for key, value in entry.items() if value is not None and key not in (*as_json, "missing_genes")}
    return {
        **plain,
        **as_json,
        "missing_genes": np.array(entry["missing_genes"], dtype=object),
    }


def has_obs_group(path: Path) -> bool:
    """Whether an `.h5ad` is laid out as since AnnData 0.7."""
    with h5py.File(path, "r") as file:
        obs = file.get("obs")
        return isinstance(obs, h5py.Group) and "column-order" in obs.attrs


def whole_input(source: CellSource, origin: Path | None) -> "AnnData":
    """All that the input holds: of a zarr store or an `.h5ad` from before AnnData 0.7 also `layers`, `obsm`, `uns`."""
    import anndata

    if origin is not None and origin.suffix.lower() in (".zarr", ".zip"):
        from cellmark.schemas.cells.read_zarr import open_store

        return anndata.read_zarr(open_store(origin))
    if origin is not None and origin.suffix.lower() == ".h5ad":
        return anndata.read_h5ad(origin)
    return anndata.AnnData(source.load(), obs=source.obs.copy(), var=source.var.copy())


def _write_anndata(draft: Path, frame: pd.DataFrame, uns: dict[str, Any], adata: "AnnData") -> None:
    put_calls(adata, frame, uns)
    # AnnData empties the file first; that the room is there is what matters.
    reserve_space(draft, adata.__sizeof__())
    adata.write_h5ad(draft)


def _size_of(frame: pd.DataFrame) -> int:
    return int(frame.memory_usage(index=False, deep=True).sum())
