"""What the names of an input's genes are: symbols or ids, and of which organism."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd

from .gene_tables import ENTREZ, ORGANISMS, PREVIOUS, SYMBOL, load_gene_table
from .mangled_gene_names import ensembl_id, genome_prefix, loose_keys
from .name_list import NameList
from .resolve_gene_names import row_numbers

Kind = Literal["symbol", "Ensembl", "versioned Ensembl", "Entrez", "mixed", "unknown"]
MIXED, UNKNOWN = "mixed", "unknown"
ENSEMBL_SPECIES = {
    "ENSG": "human",
    "ENSMUSG": "mouse",
    "ENSRNOG": "rat",
    "ENSDARG": "zebrafish",
    "ENSMMUG": "rhesus macaque",
    "ENSMFAG": "crab-eating macaque",
    "ENSSSCG": "pig",
    "ENSPTRG": "chimpanzee",
    "ENSCJAG": "marmoset",
    "ENSGALG": "chicken",
    "ENSBTAG": "cow",
    "ENSCAFG": "dog",
    "ENSOCUG": "rabbit",
}
MOST = 0.8
"""Share of the names of one kind from which on a list is said to be of it."""
SOME = 0.1
"""Share from which on a second kind or organism makes a list mixed."""
LEAST_KNOWN = 0.3
"""Share of symbols that must be known before their organism is stated."""
SPELLED = 0.3
"""Share of names in the very spelling of one organism alone, from which on the spelling tells the organism."""
FEWEST_STRANGE = 10
"""Names that only the other organism has, in any spelling, from which on the spelling is known to be changed."""


def ensembl_ids(var: pd.DataFrame, var_names: np.ndarray) -> list[str | None]:
    """The Ensembl id of each gene, from the column of `var` that files keep them in, else from the names themselves;
    None where unknown.
    """
    columns = (var[name] for name in ("gene_ids", "ensembl_id", "feature_id", "gene_id") if name in var.columns)
    for values in (*columns, var_names):
        texts = np.asarray(values).astype(str)
        if len(texts) and np.char.startswith(texts, "ENS").mean() > 0.5:
            return [text if text.startswith("ENS") else None for text in texts.tolist()]
    return [None] * len(var_names)


@dataclass(frozen=True)
class DetectedNames:
    """`kind_shares`: share of the names that are of each kind (a symbol is one that human or mouse knows in any
    spelling). `organism`: `human`, `mouse`, another species that Ensembl ids name, `mixed` or `unknown`.
    `organism_shares`: share of the names that only this organism has.
    """

    kind: Kind
    organism: str
    kind_shares: dict[str, float]
    organism_shares: dict[str, float]


def detect_gene_names(names: np.ndarray) -> DetectedNames:
    """What names are, from all of them. `names`: [genes]."""
    return detect_listed_names(NameList(names))


@lru_cache(maxsize=8)
def detect_listed_names(listed: NameList) -> DetectedNames:
    """As `detect_gene_names`, remembered for the last lists of names."""
    n_names = max(len(listed.names), 1)
    species: dict[str, int] = {}
    symbols, numbers, n_plain, n_versioned = [], [], 0, 0
    for name in map(str.strip, listed.names.tolist()):
        of, bare = genome_prefix(name)
        found = ensembl_id(bare)
        if found is not None:
            n_versioned += found[1]
            n_plain += not found[1]
            stem = found[0][:-11]
            of = ENSEMBL_SPECIES.get(stem, f"Ensembl's {stem}")
        elif bare.isascii() and bare.isdigit():
            numbers.append(bare)
        else:
            symbols.append(bare)
        if of is not None:
            species[of] = species.get(of, 0) + 1
    evidence = _Symbols(np.array(symbols, dtype=object))
    kinds = {
        "symbol": evidence.n_known / n_names,
        "Ensembl": n_plain / n_names,
        "versioned Ensembl": n_versioned / n_names,
        "Entrez": _n_entrez(numbers) / n_names,
    }
    if sum(species.values()) >= 0.5 * n_names:
        shares = {name: number / n_names for name, number in species.items()}
        organism = _leading(shares)
    elif kinds["Entrez"] >= MOST:
        shares, organism = {"human": kinds["Entrez"]}, "human"
    else:
        shares, organism = evidence.shares(n_names), evidence.organism(n_names)
    return DetectedNames(_kind(kinds), organism, kinds, shares)


class _Symbols:
    """The symbols that each organism has: exactly so (current and previous ones), and in any spelling."""

    def __init__(self, symbols: np.ndarray) -> None:
        keys = loose_keys(symbols)
        self.exact, self.loose, known = {}, {}, {}
        for organism in ORGANISMS:
            table = load_gene_table(organism)
            place, spelled = table.find(symbols), table.find_loosely(keys)
            self.exact[organism] = (place >= 0) & np.isin(table.kind[place], (SYMBOL, PREVIOUS))
            known[organism] = spelled != -1
            self.loose[organism] = (spelled >= 0) & np.isin(table.kind[spelled], (SYMBOL, PREVIOUS))
        self.n_known = int((known["human"] | known["mouse"]).sum())
        self.only_exact = {
            "human": int((self.exact["human"] & ~self.exact["mouse"]).sum()),
            "mouse": int((self.exact["mouse"] & ~self.exact["human"]).sum()),
        }
        self.only_loose = {
            "human": int((self.loose["human"] & ~known["mouse"]).sum()),
            "mouse": int((self.loose["mouse"] & ~known["human"]).sum()),
        }

    def shares(self, n_names: int) -> dict[str, float]:
        return {name: max(self.only_exact[name], self.only_loose[name]) / n_names for name in ORGANISMS}

    def organism(self, n_names: int) -> str:
        """Human symbols are in upper case and mouse symbols are not, unless somebody changed the case: then the genes
        tell that only one of the two has. Names spelled as a mouse's are taken at their word.
        """
        if self.n_known < LEAST_KNOWN * n_names:
            return UNKNOWN
        exact = {name: number / n_names for name, number in self.only_exact.items()}
        loose = self.only_loose
        if min(exact.values()) >= SOME:
            return MIXED
        if exact["mouse"] >= SPELLED:
            return "mouse"
        if exact["human"] >= SPELLED:
            return "mouse" if loose["mouse"] >= FEWEST_STRANGE and loose["mouse"] > loose["human"] else "human"
        leader = max(loose, key=lambda name: loose[name])
        return leader if loose[leader] >= FEWEST_STRANGE and loose[leader] > 2 * min(loose.values()) else UNKNOWN


def _n_entrez(numbers: list[str]) -> int:
    if not numbers:
        return 0
    table = load_gene_table("human")
    place = table.find(numbers)
    n_known = int(((place >= 0) & (table.kind[place] == ENTREZ)).sum())
    values = np.array([int(number[:18]) for number in numbers])
    return 0 if row_numbers(values, n_known) else n_known


def _leading(shares: dict[str, float]) -> str:
    """The organism that leads, or `mixed` when another has its part too."""
    ordered = sorted(shares, key=lambda name: shares[name], reverse=True)
    return MIXED if len(ordered) > 1 and shares[ordered[1]] >= SOME else ordered[0]


def _kind(shares: dict[str, float]) -> Kind:
    leader = max(shares, key=lambda name: shares[name])
    second = sorted(shares.values())[-2]
    kinds: dict[str, Kind] = {
        "symbol": "symbol",
        "Ensembl": "Ensembl",
        "versioned Ensembl": "versioned Ensembl",
        "Entrez": "Entrez",
    }
    if shares[leader] < MOST and second >= SOME:
        return "mixed"
    return kinds[leader] if shares[leader] >= LEAST_KNOWN else "unknown"
