"""The names of all human and mouse genes, as shipped in `schemas/data` (sources and releases are in its README.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from typing import Literal

import numpy as np
import pandas as pd

from .mangled_gene_names import loose_keys

Organism = Literal["human", "mouse"]
ORGANISMS: tuple[Organism, ...] = ("human", "mouse")
SYMBOL, ENSEMBL, ENTREZ, PREVIOUS, ALIAS = range(5)
"""Kinds of names, best first: a name that is one gene's symbol and another's alias stands for the first."""
UNKNOWN, AMBIGUOUS = -1, -2
RELEASE = "GENCODE 48 (human) and M37 (mouse), HGNC of 2026-06-20"


@dataclass(frozen=True)
class GeneTable:
    """One organism's names.

    `symbols`: object [genes], current symbols. Of each distinct name: `names`, object; `gene`, int32, number of its
    gene, or `AMBIGUOUS` when the best kind has several; `kind`, uint8, its best. All genes that a name may stand for
    are in `all_genes` and `all_kinds`, from `starts[i]` to `starts[i + 1]`, best kind first.
    """

    organism: Organism
    symbols: np.ndarray
    names: np.ndarray
    gene: np.ndarray
    kind: np.ndarray
    starts: np.ndarray
    all_genes: np.ndarray
    all_kinds: np.ndarray

    def find(self, names: Sequence[str] | np.ndarray) -> np.ndarray:
        """Place of each name among `names`, int64, -1 for one that is not there."""
        return np.asarray(self._index.get_indexer(pd.Index(np.asarray(names, dtype=object), dtype=object)))

    def find_loosely(self, keys: Sequence[str] | np.ndarray) -> np.ndarray:
        """As `find`, by `loose_keys`; `AMBIGUOUS` where several genes' names are alike."""
        index, places, _ = self._loose_index
        found = index.get_indexer(pd.Index(np.asarray(keys, dtype=object), dtype=object))
        return np.asarray(np.where(found >= 0, places[found], UNKNOWN))

    def alike(self, key: str) -> tuple[int, ...]:
        """The genes whose names are alike where `find_loosely` says `AMBIGUOUS`."""
        return self._loose_index[2].get(key, ())

    def candidates(self, place: int) -> list[tuple[int, int]]:
        """Genes that the name at `place` may stand for, each with the kind that the name is of it, best first."""
        rows = slice(self.starts[place], self.starts[place + 1])
        return list(zip(self.all_genes[rows].tolist(), self.all_kinds[rows].tolist(), strict=True))

    @cached_property
    def _index(self) -> pd.Index:
        index: pd.Index = pd.Index(self.names, dtype=object)
        return index

    @cached_property
    def _loose_index(self) -> tuple[pd.Index, np.ndarray, dict[str, tuple[int, ...]]]:
        """The distinct keys; of each the place of its best name or `AMBIGUOUS`; the genes of the ambiguous ones."""
        # Ids have no other spelling that is worth the time.
        spelled = np.flatnonzero((self.kind != ENSEMBL) & (self.kind != ENTREZ))
        keys = pd.Index(loose_keys(self.names[spelled]), dtype=object)
        shared = np.asarray(keys.duplicated(keep=False))
        groups: dict[str, list[int]] = {}
        for key, place in zip(keys[shared], spelled[shared].tolist(), strict=True):
            groups.setdefault(key, []).append(place)
        best, alike = [], {}
        for key, places in groups.items():
            first = [place for place in places if self.kind[place] == self.kind[places].min()]
            genes = dict.fromkeys(
                gene for place in first for gene, kind in self.candidates(place) if kind == self.kind[place]
            )
            best.append(first[0] if len(genes) == 1 else AMBIGUOUS)
            if len(genes) > 1:
                alike[key] = tuple(genes)
        distinct = np.concatenate([np.asarray(keys[~shared]), np.array(list(groups), dtype=object)])
        place = np.concatenate([spelled[~shared], np.array(best, dtype=np.int64)])
        return pd.Index(distinct, dtype=object), place, alike


@lru_cache(maxsize=len(ORGANISMS))
def load_gene_table(organism: Organism) -> GeneTable:
    """The table of an organism, read once per process in about a tenth of a second."""
    import pyarrow.parquet as pq

    with as_file(files("cellmark.schemas") / "data" / f"genes_{organism}.parquet") as path:
        table = pq.read_table(path).combine_chunks()
    genes = table["gene"].chunk(0)
    names = table["name"].to_numpy()
    codes = genes.indices.to_numpy().astype(np.int32)
    kinds = table["kind"].to_numpy()
    first = np.flatnonzero(np.concatenate(([True], names[1:] != names[:-1])))
    ambiguous = table["n_genes"].to_numpy()[first] > 1
    return GeneTable(
        organism,
        genes.dictionary.to_numpy(zero_copy_only=False),
        names[first],
        np.where(ambiguous, np.int32(AMBIGUOUS), codes[first]),
        kinds[first],
        np.append(first, len(names)),
        codes,
        kinds,
    )
