"""Calls on disk: a copy of an `.h5ad` with new `obs` columns, or a table with a JSON file beside it."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from cellmark.schemas.atomic_output import output_name, refuse_existing, whole_file
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.columns import (
    COARSE_COLUMNS,
    CROSS_SPECIES,
    LEVEL_STEM,
    MAJORITY_COLUMNS,
    NEW_POPULATION,
    TYPES_KEY,
    UNS_KEY,
    calls_among,
    levels_among,
)
from cellmark.schemas.errors import OutputError

from .column_names import column_name, filled_prefix, renamed_columns
from .copy_file import RemoteCells, copy_file, reserve_space
from .type_colors import color_keys, color_lists, type_colors

if TYPE_CHECKING:
    from anndata import AnnData


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
            remedy=output_name(path, formats),
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


def write_calls(
    frame: pd.DataFrame,
    path: Path,
    *,
    source: CellSource,
    origin: Path | None,
    force: bool,
    columns_prefix: str | None = None,
) -> None:
    """Write calls (`Annotator.annotate`'s frame) by the extension of `path`.

    `source`: the cells they belong to. `origin`: the file of the cells; see `write_into`. Where another process reads
    the cells, it is the one that opens their copy as well. `columns_prefix`: in place of `cellmark`, see `column_name`;
    the facts then name it, and a .parquet has the cell ids as pandas' index.
    """
    check_output(path, force=force)
    facts, prefix = frame.attrs[UNS_KEY], None
    if columns_prefix is not None:
        prefix = filled_prefix(columns_prefix, facts["model"])
        facts["columns_prefix"] = prefix
    if path.suffix in TABLES:
        write_table(renamed_columns(frame, prefix).reset_index(), facts, path, force=force, indexed=prefix is not None)
        return
    uns = uns_entries(frame, prefix)
    with whole_file(path, force=force) as draft:
        if isinstance(source, RemoteCells):
            source.write_into(draft, frame, uns, prefix=prefix)
        else:
            write_into(draft, frame, uns, source=source, origin=origin, prefix=prefix)


def write_into(
    draft: Path,
    frame: pd.DataFrame,
    uns: dict[str, Any],
    *,
    source: CellSource,
    origin: Path | None,
    prefix: str | None = None,
) -> None:
    """Write an `.h5ad` over the empty file `draft`. `uns`: see `uns_entries`. `origin`: the file of the cells; an
    `.h5ad` is copied byte by byte and then given its columns, so everything else in it stays as it is. Other formats
    are written as AnnData does. `prefix`: see `column_name`.
    """
    if origin is not None and origin.suffix.lower() == ".h5ad" and has_obs_group(origin):
        copy_file(origin, draft)
        reserve_space(draft, _size_of(frame))
        add_calls(draft, frame, uns, prefix)
    else:
        _write_anndata(draft, frame, uns, whole_input(source, origin), prefix)


def write_table(frame: pd.DataFrame, facts: dict[str, Any], path: Path, *, force: bool, indexed: bool = False) -> None:
    """A table by its extension, and its facts as JSON beside it. `indexed`: pandas is to take the first column of a
    .parquet as the index.
    """
    frame = frame.copy()
    frame.attrs = {}
    # The facts are moved first, so that a table is never there without them.
    with whole_file(path, force=force) as draft, whole_file(facts_path(path), force=force) as draft_facts:
        draft_facts.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if indexed and path.suffix == ".parquet":
            _write_indexed(frame, draft)
        elif path.suffix == ".parquet":
            frame.to_parquet(draft, index=False)
        else:
            frame.to_csv(draft, index=False)


def _write_indexed(frame: pd.DataFrame, draft: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # An index would stand last; as a table of cells it stands first.
    table = pa.Table.from_pandas(frame.set_index(frame.columns[0]), preserve_index=True)
    pq.write_table(table.select(list(frame.columns)), draft)


def add_calls(path: Path, frame: pd.DataFrame, uns: dict[str, Any], prefix: str | None = None) -> None:
    """Write the call columns and their entries of `uns` into an `.h5ad`, touching nothing but older calls."""
    with h5py.File(path, "r+") as file:
        add_calls_to(file, frame, uns, prefix)


def add_calls_to(root: Any, frame: pd.DataFrame, uns: dict[str, Any], prefix: str | None = None) -> None:
    """The same for an open AnnData, an HDF5 file or a zarr group."""
    from anndata.io import write_elem

    obs = root["obs"]
    # Writers other than h5py keep text at a fixed length, which comes as bytes.
    order = [name.decode() if isinstance(name, bytes) else str(name) for name in obs.attrs["column-order"]]
    frame = renamed_columns(frame[written_columns(frame)], prefix)
    columns = list(frame.columns)
    for column in columns:
        if column in obs:
            del obs[column]
        # Read back as an array: h5py refuses pandas' own.
        values = frame[column].array
        write_elem(obs, column, values if isinstance(values, pd.Categorical) else np.asarray(values))
    outdated = outdated_columns(frame, list(obs), prefix)
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


def put_calls(adata: "AnnData", frame: pd.DataFrame, uns: dict[str, Any], prefix: str | None = None) -> None:
    """Write the call columns into `obs` and their entries into `uns`. `frame`: cells in the order of `adata`."""
    frame = renamed_columns(frame[written_columns(frame)], prefix)
    columns, outdated = list(frame.columns), outdated_columns(frame, list(adata.obs), prefix)
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


def outdated_columns(frame: pd.DataFrame, present: Sequence[str], prefix: str | None = None) -> list[str]:
    """Those of the columns `present` that only some calls have: of an older call they must not stand beside these."""
    theirs = column_name(LEVEL_STEM, prefix)
    levels = levels_among(LEVEL_STEM + name.removeprefix(theirs) for name in present if name.startswith(theirs))
    some = [column_name(column, prefix) for column in (*COARSE_COLUMNS, CROSS_SPECIES, *levels)]
    return [column for column in some if column not in frame and column in present]


def uns_entries(frame: pd.DataFrame, prefix: str | None = None) -> dict[str, Any]:
    """What calls write into `uns`, plain values: their facts, and the colours of their types for scanpy."""
    entries = {UNS_KEY: frame.attrs[UNS_KEY], **color_lists(frame, type_colors(frame.attrs[TYPES_KEY]))}
    return {column_name(key, prefix): entry for key, entry in entries.items()}


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


def _write_anndata(draft: Path, frame: pd.DataFrame, uns: dict[str, Any], adata: "AnnData", prefix: str | None) -> None:
    put_calls(adata, frame, uns, prefix)
    # AnnData empties the file first; that the room is there is what matters.
    reserve_space(draft, adata.__sizeof__())
    adata.write_h5ad(draft)


def _size_of(frame: pd.DataFrame) -> int:
    return int(frame.memory_usage(index=False, deep=True).sum())
