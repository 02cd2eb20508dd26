"""Which names of an input are no genes: spike-ins, control probes, antibodies, a counter's summary rows, metadata."""

import re
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .gene_tables import ALIAS, ORGANISMS, load_gene_table
from .mangled_gene_names import ensembl_id, loose_keys
from .name_list import NameList

_ = r"[-_. ]"  # what stands between the words of a name; R writes dots for others
_MEASURED = rf"(counts?|genes?|features?|umis?|reads?|molecules?|transcripts?|mito\w*|ribo\w*|ercc|top{_}?\d+\w*)"
NO_GENES = {
    "spike-ins": rf"(gspikein{_})?(ercc{_}\d{{4,5}}.*|sirv\w*\d\w*|phix.*|spike{_}?ins?.*)|.+{_}spike{_}?in"
    r"|r\d_\d+_\d+",
    "summary rows of a counter": r"(x?__|_?)(no_?features?|ambiguous|too_?low_?aqual|not_?aligned"
    r"|alignment_?not_?unique|unmapped|multimapp(ed|ing)|unaligned|no_?gene)|__[a-z]\w*|\*"
    rf"|n_(unmapped|multimapping|nofeature|ambiguous)|unassigned({_}.*)?"
    r"|unassigned(ambig|multi|nofeat|unmap|sec|chim|dup|map|frag|nonsplit|over|single|read)\w+",
    "control probes": rf"neg(ative)?{_}?(control|ctrl|probe|prb).*|negative{_}?\d*|blank{_}?\d*|antisense{_}.+"
    rf"|(unassigned|deprecated){_}?codeword.*|genomic{_}?control.*|intergenic{_}region.*|system{_}?control{_}?\d*"
    rf"|false{_}?code{_}?\d*|(control|ctrl){_}?(probe|codeword).*|codeword{_}?\d+",
    "antibodies": rf".+[-_.:| ]totalseq{_}?[a-d]?{_}?\d*|.+[-_.:|](adt|prot|protein|antibody|pabo|cite|hto)(-\d+)?"
    rf"|.+[-_:|.]ab(-\d+)?|.+[-_|.]ahs\d{{4}}.*|(adt|prot|protein|ab|antibody|cite|abseq|anti|totalseq\w?)[-_.:|].+"
    rf"|(mouse|rat|human|(armenian |syrian )?hamster)?{_}*ig(g\d?[abc]?|m){_}*(k|kappa|lambda)?,?{_}*"
    rf"(iso(type)?|control|ctrl|ctl)*{_}*(control|ctrl|ctl)?",
    "hashtags": rf"(hto|hashtag)[-_.: ]?\d+.*|(cmo|lmo){_}?\d{{3}}.*|(hto|cmo|lmo)[-_.: ].+"
    rf"|sampletag{_}?\d+.*|hashtag.*",
    "guides": rf"(sg|sgrna|grna|crispr)[-_.: ].+|.+{_}(sgrna|grna){_}?\d*|non{_}?targeting.*",
    "peaks": r"[\w.]+:\d+-\d+|(chr)?(\d{1,2}|x|y|mt?)[_-]\d+[-_]\d{3,}",
    "columns of metadata": rf"(n|num|total|mean|median|log|log1p|log10)({_}(total|n))?"
    rf"({_}?{_MEASURED}|{_}(mt|rb|hb))({_}.*)?"
    rf"|(pct|perc|percent|percentage|frac|fraction){_}.+|(percent|pct)({_MEASURED}|mt|rb|hb)|log10genesperumi"
    rf"|(mt|mito|mitochondrial|ribo|rb|hb){_}?(frac|fraction|pct|perc|percent|percentage|ratio|counts?|score)"
    rf"|.*doublet{_}?(score|class).*|predicted{_}doublets?|(scrublet|scdblfinder){_}.*"
    rf"|(s|g2m|g1|cc){_}(score|difference).*|.*_snn_res.*|phase|size{_}?factors?|lib(rary)?{_}?size"
    rf"|(leiden|louvain|seurat{_}?clusters?|clusters?|kmeans)({_}?(id|\d.*))?"
    rf"|(batch|sample|donor|patient|subject|plate|lane|replicate)s?({_}?(id|name))?|sex|age|gender|barcodes?"
    rf"|orig{_}ident|cell{_}?(type|id|index|name|barcode|label)s?|(x{_})?(umap|tsne|pca|pc|phate){_}\d+"
    rf"|fov|center{_}[xyz]|[xyz]{_}centroid|unnamed:{_}\d+|n?umis?"
    rf"|(grand{_}?)?totals?|sum|(umi|gene|read|rna|adt|total){_}(counts?|umis?|reads?)",
}
"""What each kind is called in a note, and its names, whole and in any case."""
_ANY = "|".join(f"(?P<k{number}>{text})" for number, text in enumerate(NO_GENES.values()))
_WORDS = "unspliced|ambiguous|intron(ic)?|nascent"
_TWIN = rf"(?P<word>{_WORDS})[-_.: ](?P<after>.+)|(?P<before>.+)[-_.: ](?P<ending>{_WORDS}|[UAI])"
_ANTIGEN = (
    r"CD\d+[A-Za-z]*([-_. ]\d)?|CD45R[ABO]+(-\d)?|HLA[-_. ]?(DR|DP|DQ|ABC|A-B-C|A,B,C)(-\d)?|Ig[GMDAE]\d?[a-c]?(-\d)?"
    r"|PD-?L?[12](-\d)?|TIM-?\d|LAG-?3|CTLA-?4|[CX]+CR\d+(-\d)?|TCR[-_. ]?\w*|B220|Ly-?6[A-Z]|F4[-/_.]80|TIGIT-1"
)
"""Antigens as panels of antibodies name them, some of which are names of genes too."""
FEWEST_ANTIGENS, FEWEST_PROTEINS, CROWDED = 5, 2, 0.6
"""Antibodies without a mark are taken for such from so many antigens on that no gene has as its symbol, so many of
which no gene has as any name; between these all names are antibodies where this part of them are antigens."""
MOST_IDS, LEAST_ANTIGENS = 0.8, 0.2
"""Share of Ensembl ids among the names from which on no gene is named otherwise, if this share of the other names are
antigens: where ids were looked up, genes without one keep their symbols, such as `CD3EAP`.
"""
TWINS = "unspliced and ambiguous twins of genes"
NO_NAME = 255
NAMES_TO_ASK, LEAST_EXACT = 200, 0.4
"""Names that tell whether a list is spelled as the tables are, and the share of them that must be."""
FEWEST_TWINS, TWIN_SHARE = 3, 0.05
"""Twins by a single letter are taken for such from this number and this share of all names on."""


@lru_cache(maxsize=8)
def names_of_no_genes(listed: NameList) -> dict[str, np.ndarray]:
    """The numbers of the names that are no genes, by kind, ascending. A name that a gene table has is a gene's.

    Remembered for the last lists of names.
    """
    names = [name.strip() for name in listed.names.tolist()]
    texts, kinds = pa.array(names, type=pa.large_string()), list(NO_GENES)
    found: dict[int, str] = {}
    for number in _matching(texts, _ANY):
        hit = re.fullmatch(_ANY, names[number], re.IGNORECASE)
        found[number] = (
            kinds[int(next(name for name, text in hit.groupdict().items() if text is not None)[1:])] if hit else ""
        )
    for number in _twins(names, _matching(texts, _TWIN)):
        found.setdefault(number, TWINS)
    loosely = _is_respelled(names)
    known = _kinds_in_tables([names[number] for number in found], loosely=loosely) < NO_NAME
    left = [number for number, is_known in zip(found, known, strict=True) if not is_known]
    antigens = _antigens(names, _matching(texts, _ANTIGEN), loosely=loosely)
    antigens = [number for number in antigens if found.get(number) != "antibodies"]
    found |= dict.fromkeys(antigens, "antibodies")
    left = sorted({*left, *antigens})
    return {
        kind: np.array(numbers, dtype=np.int64)
        for kind in (*kinds, TWINS)
        if (numbers := sorted(number for number in left if found[number] == kind))
    }


def _matching(texts: pa.Array, pattern: str) -> list[int]:
    """Numbers of the names that match as a whole, in any case; RE2 is ten times as fast here as Python's `re`."""
    matches = pc.match_substring_regex(texts, f"^(?:{pattern})$", ignore_case=True)
    return np.flatnonzero(matches.to_numpy(zero_copy_only=False)).tolist()


def _is_respelled(names: list[str]) -> bool:
    """Whether somebody changed the case of a list of genes, or its punctuation: few are in a table as they stand."""
    few = names[:: max(len(names) // NAMES_TO_ASK, 1)]
    return bool((_kinds_in_tables(few) < NO_NAME).mean() < LEAST_EXACT) if few else False


def _kinds_in_tables(names: list[str], *, loosely: bool = False) -> np.ndarray:
    """The best kind of each name in the gene tables, in this very spelling or `loosely` in any; `NO_NAME` for one that
    is in none.
    """
    best = np.full(len(names), NO_NAME)
    for organism in ORGANISMS if names else ():
        table = load_gene_table(organism)
        place = table.find_loosely(loose_keys(np.array(names, dtype=object))) if loosely else table.find(names)
        best = np.minimum(best, np.where(place >= 0, table.kind[place], NO_NAME))
    return best


def _antigens(names: list[str], candidates: list[int], *, loosely: bool) -> list[int]:
    """Numbers of the antibodies among names without a mark: see `FEWEST_ANTIGENS`."""
    if len(candidates) >= FEWEST_PROTEINS and _are_ids(names):
        n_others = sum(ensembl_id(name) is None for name in names)
        if len(candidates) >= LEAST_ANTIGENS * n_others:
            return candidates
    if loosely:
        # Other species have CD genes that are in no table, `cd74a` of zebrafish; antigens keep their capitals.
        candidates = [number for number in candidates if re.fullmatch(_ANTIGEN, names[number])]
    if len(candidates) < FEWEST_ANTIGENS:
        return []
    kinds = _kinds_in_tables([names[number] for number in candidates], loosely=loosely)
    repeated = _repeated(names, candidates)
    kinds[repeated] = NO_NAME
    places = np.flatnonzero(kinds >= ALIAS)
    if not loosely and len(places) >= FEWEST_ANTIGENS:
        # `Cd209A` is a gene, in one letter's case.
        respelled = _kinds_in_tables([names[candidates[place]] for place in places], loosely=True)
        is_gene = (kinds[places] == NO_NAME) & (respelled < ALIAS) & ~repeated[places]
        places = places[~is_gene]
    strange = [candidates[place] for place in places]
    if len(strange) < FEWEST_ANTIGENS or (kinds[places] == NO_NAME).sum() < FEWEST_PROTEINS:
        return []
    first, last = strange[0], strange[-1]
    # The last of a block of antibodies may be one that only its neighbours tell.
    last = len(names) - 1 if len(names) - 1 - last <= 2 else last
    crowd = sum(first <= number <= last for number in candidates)
    return list(range(first, last + 1)) if crowd >= CROWDED * (last - first + 1) else strange


def _are_ids(names: list[str]) -> bool:
    """Whether genes are named by their Ensembl ids, so that a name of an antigen is no gene's."""
    few = names[:: max(len(names) // NAMES_TO_ASK, 1)]
    return sum(ensembl_id(name) is not None for name in few) >= MOST_IDS * len(few)


def _repeated(names: list[str], candidates: list[int]) -> np.ndarray:
    """Bool [candidates]: a name that comes again, in any case, where it is antigens that do: an antibody named as its
    gene.
    """
    again = pd.Index([names[number].upper() for number in candidates]).duplicated()
    if again.any() and 2 * again.sum() < pd.Index([name.upper() for name in names]).duplicated().sum():
        again[:] = False
    return np.asarray(again)


def _twins(names: list[str], candidates: list[int]) -> list[int]:
    """Numbers of the names that say that they count the unspliced or ambiguous reads of another name of the list."""
    there = set(names) if candidates else set()
    sure: list[int] = []
    by_letter: list[int] = []
    for number in candidates:
        hit = re.fullmatch(_TWIN, names[number])  # in the very case: `HLA-A` is no twin, and `-a` none either
        if hit is None:
            continue
        base = hit["after"] or hit["before"]
        spliced = (f"{base}{mark}" for mark in ("", "-S", "_S", "-spliced", "_spliced", ".spliced"))
        if not there.isdisjoint((*spliced, *(f"spliced{mark}{base}" for mark in ":_-."))):
            (by_letter if len(hit["ending"] or _WORDS) == 1 else sure).append(number)
    enough = len(by_letter) >= max(FEWEST_TWINS, TWIN_SHARE * len(names))
    return sorted([*sure, *(by_letter if enough else ())])
