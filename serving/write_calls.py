"""Calls on disk: a copy of an `.h5ad` with new `obs` columns, or a table with a JSON file beside it."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from cellmark.schemas.atomic_output import refuse_existing, whole_file
from cellmark.schemas.cells import CellSource
from cellmark.schemas.columns import CALL_COLUMNS, UNS_KEY
from cellmark.schemas.errors import Finding, OutputError

from .copy_file import copy_file

TABLES = (".csv", ".parquet")
FORMATS = (".h5ad", *TABLES)


def check_output(path: Path, *, force: bool) -> None:
    """Raise `OutputError` before any work when an output has an unknown extension or is already there."""
    if path.suffix not in FORMATS:
        raise OutputError(
            Finding("OUTPUT_FORMAT_UNKNOWN", str(path), "a name that ends in " + ", ".join(FORMATS),
                    repr(path.suffix) if path.suffix else "no extension", "Give the output one of these extensions.")
        )  # fmt: skip
    refuse_existing(path, force=force)
    if path.suffix in TABLES:
        refuse_existing(facts_path(path), force=force)


def facts_path(table: Path) -> Path:
    """The JSON file beside a table."""
    return table.with_suffix(".json")


def write_calls(frame: pd.DataFrame, path: Path, *, source: CellSource, origin: Path | None, force: bool) -> None:
    """Write calls (`Annotator.annotate`'s frame) by the extension of `path`.

    `source`: the cells they belong to. `origin`: the file of the cells; an `.h5ad` is copied byte by byte and then
    given its columns, so everything else in it stays as it is.
    """
    check_output(path, force=force)
    facts = frame.attrs[UNS_KEY]
    if path.suffix in TABLES:
        write_table(frame.reset_index(), facts, path, force=force)
        return
    with whole_file(path, force=force) as draft:
        if origin is not None and origin.suffix == ".h5ad" and _has_obs_group(origin):
            copy_file(origin, draft)
            add_calls(draft, frame, facts)
        else:
            _write_anndata(draft, frame, facts, source)


def write_table(frame: pd.DataFrame, facts: dict[str, Any], path: Path, *, force: bool) -> None:
    """A table by its extension, and its facts as JSON beside it."""
    frame = frame.copy()
    frame.attrs = {}
    with whole_file(facts_path(path), force=force) as draft_facts, whole_file(path, force=force) as draft:
        draft_facts.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if path.suffix == ".parquet":
            frame.to_parquet(draft, index=False)
        else:
            frame.to_csv(draft, index=False)


def add_calls(path: Path, frame: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Write the call columns and `uns["cellmark"]` into an `.h5ad`, touching nothing else."""
    from anndata.io import write_elem

    with h5py.File(path, "r+") as file:
        obs = file["obs"]
        order = [str(name) for name in obs.attrs["column-order"]]
        for column in CALL_COLUMNS:
            if column in obs:
                del obs[column]
            # Read back as an array: h5py refuses pandas' own.
            values = frame[column].array
            write_elem(obs, column, values if isinstance(values, pd.Categorical) else np.asarray(values))
        new = [*order, *(column for column in CALL_COLUMNS if column not in order)]
        obs.attrs["column-order"] = np.array(new, dtype=h5py.string_dtype())
        if "uns" not in file:
            write_elem(file, "uns", {})
        if UNS_KEY in file["uns"]:
            del file["uns"][UNS_KEY]
        write_elem(file["uns"], UNS_KEY, storable(facts))


def storable(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts as AnnData can store them: no nulls, lists of strings as arrays, notes as JSON."""
    plain = {key: value for key, value in facts.items() if value is not None and key not in ("notes", "missing_genes")}
    return {
        **plain,
        "missing_genes": np.array(facts["missing_genes"], dtype=object),
        "notes": json.dumps(facts["notes"], ensure_ascii=False),
    }


def _has_obs_group(path: Path) -> bool:
    with h5py.File(path, "r") as file:
        obs = file.get("obs")
        return isinstance(obs, h5py.Group) and "column-order" in obs.attrs


def _write_anndata(draft: Path, frame: pd.DataFrame, facts: dict[str, Any], source: CellSource) -> None:
    import anndata

    obs = source.obs.copy()
    for column in CALL_COLUMNS:
        obs[column] = frame[column].to_numpy() if frame[column].dtype != "category" else frame[column].array
    var = getattr(source, "var", None)
    var = var.copy() if var is not None else pd.DataFrame(index=pd.Index(source.var_names.astype(str)))
    adata = anndata.AnnData(source.load(), obs=obs, var=var, uns={UNS_KEY: storable(facts)})
    adata.write_h5ad(draft)
