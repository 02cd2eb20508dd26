"""Cells of one organism under a model of another: genes named by their one-to-one orthologs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import Finding, ParameterError, ReadError
from .declared_organism import organism_name
from .gene_ids import MIXED, UNKNOWN, detect_gene_names
from .gene_tables import ORGANISMS, load_gene_table
from .map_gene_names import best_choices
from .name_list import NameList
from .resolve_gene_names import resolve_gene_names

SHIPPED = "Ensembl's one-to-one orthologs, as shipped"
HOMOLOGY_TYPES = ("ortholog_one2one", "ortholog_one2many", "ortholog_many2many")
"""What BioMart's column of the homology type says."""


@dataclass(frozen=True)
class CrossSpecies:
    """What an answer across species says of itself. `cells`, `model`: organisms. `n_named`: genes of the input that
    were named by their ortholog. `source`: of the orthologs.
    """

    cells: str
    model: str
    n_named: int
    source: str

    @property
    def text(self) -> str:
        return f"{self.cells} cells, {self.model} model"


@dataclass(frozen=True, eq=False)
class Orthologs:
    """Pairs of genes that are one another's only ortholog. `names`: by organism, object [pairs], current symbols where
    cellmark has a table of the organism, else the table's own names. `also`: by organism, the pair that each further
    name is of.
    """

    names: dict[str, np.ndarray]
    also: dict[str, dict[str, int]]
    source: str

    def named(self, listed: NameList, *, cells: str, model: str) -> np.ndarray:
        """Object [names]: the name in `model` of each gene of `cells`, empty for one without a single ortholog.

        Two names of one gene count as the better of them alone, as where names are mapped within an organism.
        """
        pair = dict(zip(self.names[cells], range(len(self.names[cells])), strict=True)) | self.also[cells]
        named = np.full(len(listed.names), "", dtype=object)
        known = next((organism for organism in ORGANISMS if organism == cells), None)
        if known is None:
            found = [(row, pair.get(name)) for row, name in enumerate(listed.names.tolist())]
        else:
            resolved, symbols = resolve_gene_names(listed, known), load_gene_table(known).symbols
            rows = np.flatnonzero(resolved.gene >= 0)
            genes, ways = resolved.gene[rows].tolist(), resolved.way[rows].tolist()
            chosen, _ = best_choices(list(zip(rows.tolist(), genes, ways, strict=True)))
            found = [(row, pair.get(symbols[gene])) for row, gene, _ in chosen]
        for row, number in found:
            if number is not None:
                named[row] = self.names[model][number]
        return named


@lru_cache(maxsize=1)
def shipped_orthologs() -> Orthologs:
    """Human and mouse, from `schemas/data` (its README.md names the source)."""
    with as_file(files("cellmark.schemas") / "data" / "orthologs_human_mouse.parquet") as path:
        table = pd.read_parquet(path)
    return Orthologs(
        {name: table[name].to_numpy(dtype=object) for name in ORGANISMS}, {"human": {}, "mouse": {}}, SHIPPED
    )


def read_orthologs(path: Path) -> Orthologs:
    """The one-to-one pairs of a table (.csv, .tsv, .txt) with genes of two organisms.

    A column is of the organism that its header names (`human`, `Mouse gene name`) or, without one, that its values are
    of. A column of BioMart's homology types is obeyed. Genes with several partners are left out. Raises `ReadError`
    when there is no such file, and `ParameterError` for one that names no two organisms.
    """
    if not path.is_file():
        raise ReadError.of(
            "FILE_NOT_FOUND",
            where=str(path),
            expected="a table of orthologs",
            found="no such file",
            remedy="Check the path.",
        )
    try:
        separator = "\t" if path.suffix.lower() != ".csv" else ","
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise _odd_table(path, str(error).splitlines()[0]) from error
    columns: dict[str, list[str]] = {}
    for header in table:
        values = table[header].str.strip()
        if values.isin(HOMOLOGY_TYPES).any():
            table = table[values == HOMOLOGY_TYPES[0]]
        elif (organism := _organism_of(str(header), values)) is not None:
            columns.setdefault(organism, []).append(str(header))
    if len(columns) != 2:
        raise _odd_table(path, f"columns of {', '.join(columns) or 'none'}: {', '.join(map(str, table))}")
    pairs = pd.DataFrame({name: _names(table, headers, name) for name, headers in columns.items()})
    kept = pairs[(pairs != "").all(axis=1)].drop_duplicates()
    first, second = pairs.columns
    kept = kept[~kept[first].duplicated(keep=False) & ~kept[second].duplicated(keep=False)]
    also = {
        name: {
            str(text): number
            for header in headers
            for number, text in enumerate(table.loc[kept.index, header].str.strip())
            if text
        }
        for name, headers in columns.items()
    }
    return Orthologs({name: kept[name].to_numpy(dtype=object) for name in columns}, also, path.name)


def _organism_of(header: str, values: pd.Series) -> str | None:
    named = organism_name(header)
    if named is not None:
        return named
    organism = detect_gene_names(values[values != ""].to_numpy(dtype=object)).organism
    return None if organism in (MIXED, UNKNOWN) else organism


def _names(table: pd.DataFrame, headers: Sequence[str], organism: str) -> pd.Series:
    """One name of each row's gene: its current symbol where it is known, else the first column's."""
    names = table[headers[0]].str.strip()
    known = next((name for name in ORGANISMS if name == organism), None)
    for header in reversed(headers if known is not None else ()):
        assert known is not None  # noqa: S101
        gene = resolve_gene_names(NameList(table[header].str.strip().to_numpy(dtype=object)), known).gene
        names = names.where(gene < 0, load_gene_table(known).symbols[gene])
    return names


def _odd_table(path: Path, found: str) -> ParameterError:
    return ParameterError.of(
        "PARAMETER_INVALID",
        where="ortholog_table",
        expected="a .csv, or a .tsv with tabs, that has a column of genes for each of two organisms",
        found=f"{path.name}, {found}",
        remedy="Name its columns after the organisms, such as human and mouse.",
    )


def cross_species_note(facts: CrossSpecies, lost: str, where: str) -> Finding:
    """The warning that every answer across species carries. `lost`: genes of the model that have no ortholog there."""
    return Finding(
        "CROSS_SPECIES",
        where=where,
        expected=f"cells of {facts.model}, as the model's",
        found=f"cells of {facts.cells}: {facts.n_named:,} genes were named by {facts.source}, and "
        f"{lost} have none here and count as not measured",
        remedy="Calls across species are less sure: compare them with known markers of the types. Many cells may stay "
        "unassigned, as unlike those of the training; cellmark_best_cell_type has a type for these too.",
        severity="warning",
    )
