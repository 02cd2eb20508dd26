"""Genes that may be markers: lists by symbol, by Ensembl id, from a file, or built in. The network sees all genes."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmark.schemas.errors import Finding, ParameterError, ReadError, Severity

from .marker_ranking import MarkerSettings

CD_ANTIGENS = """
CD1A CD1B CD1C CD1D CD1E CD2 CD3D CD3E CD3G CD4 CD5 CD6 CD7 CD8A CD8B CD9 MME ITGAL ITGAM ITGAX ITGAD ANPEP CD14
FCGR3A FCGR3B ITGB2 CD19 MS4A1 CR2 CD22 FCER2 CD24 IL2RA DPP4 CD27 CD28 ITGB1 TNFRSF8 PECAM1 FCGR2A FCGR2B FCGR2C
CD33 CD34 CR1 CD36 CD37 CD38 ENTPD1 CD40 ITGA2B GP9 GP1BA GP1BB GP5 SPN CD44 PTPRC CD46 CD47 CD48 ITGA1 ITGA2 ITGA3
ITGA4 ITGA5 ITGA6 ICAM3 ITGAV CD52 CD53 ICAM1 CD55 NCAM1 CD58 CD59 ITGB3 SELE SELL SELP CD63 FCGR1A CEACAM1 CEACAM8
CEACAM6 CEACAM3 CEACAM5 CD69 CD70 TFRC CD72 NT5E CD74 CD79A CD79B CD80 CD81 CD82 CD83 CD84 LILRA1 LILRA2 LILRA4
LILRA5 LILRA6 LILRB1 LILRB2 LILRB3 LILRB4 LILRB5 CD86 PLAUR C5AR1 FCAR THY1 LRP1 CD93 KLRD1 FAS CD96 ADGRE5 SLC3A2
CD99 SEMA4D CD101 ICAM2 ITGAE ITGB4 ENG VCAM1 SEMA7A CD109 MPL NECTIN1 NECTIN2 NECTIN3 CSF3R CSF1R CSF2RA KIT LIFR
IFNGR1 TNFRSF1A TNFRSF1B IL1R1 IL1R2 IL2RB IL3RA IL4R IL5RA IL6R IL7R IL9R IL6ST CSF2RB IL2RG PROM1 TNFRSF4 FLT3
MST1R TNFRSF9 SDC1 PDGFRA PDGFRB THBD F3 ACE CDH5 MCAM BSG PTPRJ SLAMF1 CD151 CTLA4 TNFSF8 CD40LG PVR ADAM8 ADAM10
ADAM17 BST1 KIR2DL1 KIR2DL2 KIR2DL3 KIR2DL4 KIR2DL5A KIR2DS1 KIR2DS2 KIR2DS4 KIR2DS5 KIR3DL1 KIR3DL2 KIR3DL3 KIR3DS1
KLRC1 KLRC2 CD160 KLRB1 SELPLG CD163 CD163L1 CD164 ALCAM DDR1 DDR2 HMMR SIGLEC1 SIGLEC5 L1CAM SIRPA SIRPB1 SIRPG
CD177 FASLG VPREB1 IGLL1 CD180 CXCR1 CXCR2 CXCR3 CXCR4 CXCR5 CXCR6 CCR1 CCR2 CCR3 CCR4 CCR5 CCR6 CCR7 CCR8 CCR9
CD200 PROCR TEK ENPP3 MSR1 LY75 MRC1 CD207 CD209 IL10RA IL10RB IL12RB1 IL13RA1 IL13RA2 IL15RA IL17RA IL18R1 IL18RAP
INSR IGF1R IGF2R LAG3 GGT1 IFITM1 CD226 MUC1 MELTF LY9 PRNP TSPAN7 PLXNC1 SLC4A1 ACKR1 GYPA GYPB GYPC KEL BCAM RHCE
RHD RHAG ICAM4 ABCB1 CD244 ALK CD247 CD248 ENPEP TNFSF4 TNFSF10 TNFSF11 TNFSF14 TNFRSF10A TNFRSF10B TNFRSF10C
TNFRSF10D TNFRSF11A TNFRSF12A TNFRSF13B TNFRSF13C TNFRSF17 TNFRSF14 NGFR BTLA PDCD1LG2 CD274 ICOSLG CD276 BTN3A1
ICOS PDCD1 MRC2 TLR1 TLR2 TLR4 TLR6 TLR10 BMPR1A BMPR1B LEPR ART1 ART4 ATP1B3 CLEC4M CD300A CD300C CD300E CD300LB
CD300LD CD300LF CD300LG CLEC10A CD302 CLEC4C NRP1 LAIR1 FCRL1 FCRL2 FCRL3 FCRL4 FCRL5 KDR ADGRE2 KLRK1 PTGFRN IGSF8
BST2 CDCP1 SLAMF7 CD320 F11R JAM2 JAM3 CDH1 CDH2 EPCAM SIGLEC6 SIGLEC7 SIGLEC9 FGFR1 FGFR2 FGFR3 FGFR4 NCR1 NCR2
NCR3 ABCG2 JAG1 ERBB2 FZD4 FZD9 FZD10 FCAMR SLAMF6 SLAMF8 TREM1 CRTAM TNFRSF18 TNFRSF21 IL21R EVI2B SDC2 S1PR1 PI16
HAVCR1 HAVCR2 CLEC4A CLEC4D CLEC7A CLEC9A CLEC12A
"""
SURFACE_GENES = tuple(CD_ANTIGENS.split())
"""Approved human symbols, as HGNC names them, of genes whose protein carries a CD number, written down by hand. Left
out are antigens that are sugars and not one gene's product (such as CD15, CD57, CD65), and proteins that are mostly
inside the cell (CD68, CD107a, CD107b, CD208, CD283, CD288, CD289) or secreted (CD66f, CD85e, CD255 to CD257, CD306).
"""


FILE_SUFFIXES = (".txt", ".list", ".csv", ".tsv")
N_EXAMPLES = 5
IS_SURFACE = frozenset(symbol.casefold() for symbol in SURFACE_GENES).__contains__

# Cytosolic ribosomal proteins with their paralogs and pseudogenes; RPS6KA1 and other kinases, RPS19BP1, antisense and
# read-through genes differ in their ends.
RIBOSOMAL = re.compile(r"(rpsa2?|rplp[0-2]|rp[ls]\d+[axyl]{0,2}\d?)(p\d*|-ps\d*)?")
MITOCHONDRIAL = re.compile(r"mt[-.].+")
HEMOGLOBIN = re.compile(r"hb(a[12]?|b|d|e1|g[12]|m|q1[ab]?|z|[ab]-[a-z0-9]+)")

BUILT_IN: dict[str, Callable[[str], object]] = {
    "ribosomal": RIBOSOMAL.fullmatch,
    "mitochondrial": MITOCHONDRIAL.fullmatch,
    "hemoglobin": HEMOGLOBIN.fullmatch,
    "surface": IS_SURFACE,
}
"""Lists that may be named in place of genes; each tells of a symbol in lower case whether it is in the list."""


@dataclass(frozen=True)
class GeneSelection:
    """`allowed`: bool [genes], which may be ranked. `findings`: of entries of a list that are not among the genes."""

    allowed: np.ndarray
    findings: tuple[Finding, ...]


def gene_list(text: str) -> tuple[str, ...]:
    """Entries of a list that was given as text: genes, built-in names and files between commas, in any mixture.

    What holds a slash or ends in one of `FILE_SUFFIXES` is a file, with one symbol, Ensembl id or built-in name a line;
    behind a `#` is a comment. Each entry comes once. Raises `ReadError` for a file that cannot be read and
    `ParameterError` where nothing is named.
    """
    entries: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        is_file = os.sep in part or "/" in part or part.lower().endswith(FILE_SUFFIXES)
        entries += read_gene_list(Path(part)) if is_file else [part] if part else []
    if not entries:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="genes",
            expected=f"genes, a file of them, or {', '.join(BUILT_IN)}",
            found=repr(text),
            remedy="Name at least one gene, or omit the option.",
        )
    return tuple(dict.fromkeys(entries))


def read_gene_list(path: Path) -> list[str]:
    """The genes in a file, one a line. Raises `ReadError`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise ReadError.of(
            "FILE_NOT_FOUND",
            where=str(path),
            expected="a file of genes",
            found="nothing there",
            remedy="Check the path.",
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or "bytes that are not UTF-8 text") from error
    genes = [line.split("#")[0].strip() for line in lines]
    several = [gene for gene in genes if re.search(r"[,;\t]", gene)]
    if several:
        raise _unreadable(path, f"lines with several, such as {several[0][:60]!r}")
    return [gene for gene in genes if gene]


def select(
    gene_symbols: Sequence[str],
    gene_ids: Sequence[str | None] | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> GeneSelection:
    """The genes that may be ranked: those of `include` (all where it is empty) without those of `exclude`.

    Entries are symbols, Ensembl ids (their version does not count) or names of `BUILT_IN`, whatever their case, so that
    lists of human symbols also serve for mouse genes of the same name. Raises `ParameterError` when no gene is left.
    """
    symbols = [str(symbol).casefold() for symbol in gene_symbols]
    places: dict[str, list[int]] = {}
    for number, symbol in enumerate(symbols):
        places.setdefault(symbol, []).append(number)
    for number, gene_id in enumerate(gene_ids or ()):
        if gene_id:
            places.setdefault(_without_version(gene_id), []).append(number)
    included, unknown_included = _members(symbols, places, include)
    excluded, unknown_excluded = _members(symbols, places, exclude)
    allowed = (included if include else np.ones(len(symbols), dtype=bool)) & ~excluded
    if not allowed.any():
        examples = unknown_included or tuple(include) or tuple(exclude)
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="include_genes" if include else "exclude_genes",
            expected=f"lists that leave at least one of the {len(symbols)} genes, such as "
            f"{', '.join(gene_symbols[:3])}",
            found="none left",
            remedy="Name genes as the data do, by symbol or Ensembl id, or shorten the other list.",
            examples=examples[:N_EXAMPLES],
        )
    return GeneSelection(
        allowed,
        (
            *_unmatched("include_genes", unknown_included, len(include), "warning"),
            *_unmatched("exclude_genes", unknown_excluded, len(exclude), "info"),
        ),
    )


def _members(
    symbols: list[str], places: dict[str, list[int]], entries: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Genes that the entries name, bool [genes], and the entries that name neither a gene nor a list."""
    named = np.zeros(len(symbols), dtype=bool)
    unknown = []
    for entry in entries:
        if entry.casefold() in BUILT_IN:
            holds = BUILT_IN[entry.casefold()]
            named |= np.array([bool(holds(symbol)) for symbol in symbols], dtype=bool)
            continue
        found = places.get(entry.casefold()) or places.get(_without_version(entry))
        if found is None:
            unknown.append(entry)
        else:
            named[found] = True
    return named, tuple(unknown)


def _without_version(gene_id: str) -> str:
    """`ENSG00000156738.17` as `ensg00000156738`; symbols with a dot keep it."""
    folded = gene_id.casefold()
    return folded.split(".")[0] if folded.startswith("ens") else folded


def _unmatched(where: str, unknown: tuple[str, ...], n_entries: int, severity: Severity) -> tuple[Finding, ...]:
    if not unknown:
        return ()
    return (
        Finding(
            "GENE_LIST_UNMATCHED",
            where=where,
            expected="genes that can be ranked: of the panel, named as in the data",
            found=f"{len(unknown)} of {n_entries} entries that are not",
            remedy="They were ignored. Check their spelling, or that the panel's filter kept them.",
            severity=severity,
            examples=unknown[:N_EXAMPLES],
        ),
    )


def _unreadable(path: Path, found: str) -> ReadError:
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(path),
        expected="a text file with one gene a line",
        found=found,
        remedy="Write one symbol or Ensembl id a line; behind # is a comment.",
    )


def allowed_markers(
    symbols: Sequence[str],
    gene_ids: Sequence[str | None],
    settings: MarkerSettings,
    *,
    on_finding: Callable[[Finding], None],
) -> np.ndarray:
    """Whether a gene may be a marker, bool [genes]; `on_finding` is called with what a list names in vain."""
    chosen = select(symbols, gene_ids, include=settings.include_genes, exclude=settings.exclude_genes)
    for finding in chosen.findings:
        on_finding(finding)
    return chosen.allowed
