"""Which features of a file are genes, by the columns of `var` that say what kind each feature is, in any words."""

import re

import numpy as np
import pandas as pd

from ..errors import Finding

COLUMNS = {
    "featuretype",
    "featuretypes",
    "featureclass",
    "featureclasses",
    "featurekind",
    "featurecategory",
    "featuremodality",
    "featurebiotype",
    "modality",
    "modalities",
    "librarytype",
    "assaytype",
}
"""Columns that say what a feature is, by their names in lower case without punctuation."""
OTHER_COLUMNS = {"type", "types", "kind", "class", "category", "assay", "genetype", "omics", "omic"}
"""Columns that may say so, and are taken at their word only when all their values are known."""
_GENES = re.compile(
    r".*(geneexp|gex|transcriptom|rnaseq).*|(m|total|sc|sn|targeted|nuclear|cellular)?rnas?|genes?|transcripts?"
    r"|expression|wta|endogenous|predesigned.*|cdna|exp|tx"
)
_NOT_GENES = re.compile(
    r".*(antibod|antigen|abseq|totalseq|cite|surface|epitope|hash|sampletag|smk|multiplex|crispr|guide|grna|perturb"
    r"|peak|atac|chromatin|accessib|spikein|controlprobe|negprobe|codeword|falsecode|isotype|barcode|dextramer|tetramer"
    r"|metabolite|motif).*|(negative|genomic|system|.*probe)?controls?|negatives?|blanks?|proteins?|prot|proteom.*|adt.*"
    r"|abs?|abc|hto.*|cmos?|lmos?|custom.*|dna|methylation|vdj.*|[tb]cr|erccs?|sirvs?|metadata"
)
"""What the field writes for features that are genes, and for others, in lower case without punctuation."""
_BIOTYPE = re.compile(
    r".*(rna|genes?|coding|transcripts?|antisense|tec|intronic|overlapping|decay|lincrna|orf|artifact)"
)
"""Biotypes of genes as GENCODE and RefSeq write them; guides are named above, before this is asked."""
_CHROMOSOME = re.compile(r"(chr)?(\d+|[xyz]|mt?|un|[ivx]+)[pq]?")
_MISSING = {"", "nan", "none", "na", "null", "unknown"}
MOST_TYPES = 12
"""Distinct values that a column of types may have."""


def features_by_type(var: pd.DataFrame) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]], tuple[Finding, ...]]:
    """Bool [features]: which are genes; by column, the numbers of the others by what the file calls them; errors.

    An error is a column of types in unknown words alone, or without a word that means genes. A missing type, as
    joining files leaves it, is no sign of another kind of feature.
    """
    is_gene = np.ones(len(var), dtype=bool)
    others: dict[str, dict[str, np.ndarray]] = {}
    for number, column in enumerate(var.columns):
        name = _plain(str(column))
        if name not in COLUMNS and name not in OTHER_COLUMNS:
            continue
        codes, values = pd.factorize(var.iloc[:, number].astype(object).map(str))
        words = [*map(str, values)]
        if len(words) > MOST_TYPES * 4:
            continue
        meant = np.array([_meaning(word) for word in words])
        where = f"var[{str(column)!r}]"
        if name in COLUMNS and (error := _unknown_words(where, words, meant, codes)):
            return is_gene, {}, (error,)
        not_gene = _not_genes(meant, strict=name in OTHER_COLUMNS)
        if not not_gene.any():
            continue
        if not_gene[codes].all():
            return is_gene, {}, (_none_is_gene(where, words, codes),)
        for code in np.flatnonzero(not_gene):
            here = np.flatnonzero((codes == code) & is_gene)
            if len(here):
                others.setdefault(where, {})[words[code]] = here
        is_gene &= ~not_gene[codes]
    return is_gene, others, ()


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _meaning(word: str) -> str:
    """`gene`, `biotype`, `other`, `missing` or `unknown`."""
    plain = _plain(word)
    if word.strip().lower() in _MISSING:
        return "missing"
    if _GENES.fullmatch(plain):
        return "gene"
    if _NOT_GENES.fullmatch(plain):
        return "other"
    return "biotype" if _BIOTYPE.fullmatch(plain) else "unknown"


def _not_genes(meant: np.ndarray, *, strict: bool) -> np.ndarray:
    """Bool [words]: which are no genes. Beside words for genes, an unknown one is another kind of feature."""
    if strict and (meant == "unknown").any():
        return np.zeros(len(meant), dtype=bool)
    others: np.ndarray = meant == "other"
    # Not beside biotypes, of which there are more than anyone lists.
    return others | (meant == "unknown") if (meant == "gene").any() and not (meant == "biotype").any() else others


def _unknown_words(where: str, words: list[str], meant: np.ndarray, codes: np.ndarray) -> Finding | None:
    """The error of a column whose values repeat as types do, in unknown words alone."""
    unknown = [word for word, meaning in zip(words, meant, strict=True) if meaning == "unknown"]
    if not 2 <= len(unknown) <= MOST_TYPES or not set(meant) <= {"unknown", "missing"}:
        return None
    if len(codes) < 3 * len(unknown) or all(_is_something_else(word) for word in unknown):
        return None
    numbers = np.bincount(codes)
    most = words[numbers.argmax()]
    counted = ", ".join(f"{number} {word}" for word, number in zip(words, numbers, strict=True))
    column = where.removeprefix("var[").removesuffix("]")
    return Finding(
        "FEATURE_TYPES_UNKNOWN",
        where=where,
        expected="types of features in known words, such as Gene Expression and Antibody Capture",
        found=counted,
        remedy=f"Keep the genes alone: adata = adata[:, adata.var[{column}] == {most!r}].copy(), with the type that "
        f"means genes, then del adata.var[{column}]. A column that says something else needs another name.",
    )


def _is_something_else(word: str) -> bool:
    """Numbers, yes and no, chromosomes."""
    plain = word.strip().lower()
    is_number = re.fullmatch(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", plain) is not None
    return is_number or plain in ("true", "false") or _CHROMOSOME.fullmatch(_plain(plain)) is not None


def _none_is_gene(where: str, words: list[str], codes: np.ndarray) -> Finding:
    counted = ", ".join(f"{number} {word}" for word, number in zip(words, np.bincount(codes), strict=True))
    return Finding(
        "FEATURES_NOT_GENES",
        where=where,
        expected="Gene Expression",
        found=counted,
        remedy="Provide the part of the experiment that counted genes.",
    )
