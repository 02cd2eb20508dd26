"""What files do to gene names: case, R's `make.names`, prefixes of a joint reference, versions, copies, dates."""

import re
from collections.abc import Sequence

import numpy as np

GENOMES = {
    "hg18": "human",
    "hg19": "human",
    "hg38": "human",
    "grch37": "human",
    "grch38": "human",
    "mm9": "mouse",
    "mm10": "mouse",
    "mm39": "mouse",
    "grcm38": "mouse",
    "grcm39": "mouse",
}
"""Names of assemblies that a joint reference puts before its genes: `hg19_MS4A1`, `mm10___Cd79a`."""
_PREFIX = re.compile(rf"({'|'.join(GENOMES)})[_.-]+(?=.)", re.IGNORECASE)
_FIRST_TWO = {name[:2] for name in GENOMES}
_ENSEMBL = re.compile(r"(ENS[A-Z]{0,6}G\d{11})(\.\d+)?(_PAR_Y)?", re.IGNORECASE)
_COPY = re.compile(r"(.+)[.-]\d{1,3}")
_BEFORE_DIGIT = re.compile(r"X(?=\d)")
_LOOSE = bytes(c if chr(c).isalnum() or c == 10 else ord(".") for c in range(128)) + bytes(range(128, 256))

_MONTHS = {
    1: ("jan", "january"),
    2: ("feb", "february"),
    3: ("mar", "march", "mrz", "maerz"),
    4: ("apr", "april"),
    5: ("may", "mai"),
    6: ("jun", "june"),
    7: ("jul", "july"),
    8: ("aug", "august"),
    9: ("sep", "sept", "september"),
    10: ("oct", "october", "okt"),
    11: ("nov", "november"),
    12: ("dec", "december", "dez"),
}
_MONTH_NUMBER = {name: number for number, names in _MONTHS.items() for name in names}
_MONTH_BEGINS = {name[:3] for name in _MONTH_NUMBER}
_STEMS = {
    1: ("JAN",),
    2: ("FEB",),
    3: ("MARCH", "MARC", "MAR"),
    4: ("APR",),
    5: ("MAY",),
    6: ("JUN",),
    7: ("JUL",),
    8: ("AUG",),
    9: ("SEPT", "SEP"),
    10: ("OCT",),
    11: ("NOV",),
    12: ("DEC",),
}
_DAY_MONTH = re.compile(r"(\d{1,2})[-/. ]{1,2}([A-Za-z]{3,9})\.?(?:[-/. ]{1,2}(?:\d{2}|\d{4}))?")
_MONTH_DAY = re.compile(r"([A-Za-z]{3,9})[-/. ]{1,2}(\d{1,2})(?:[-/., ]{1,2}(?:\d{2}|\d{4}))?")
_NUMBERS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(?:\d{4}|\d{2})")
_ISO = re.compile(r"\d{4}-(\d{2})-(\d{2})(?:[ T]00:00(?::00)?)?")


def loose_keys(names: Sequence[str] | np.ndarray) -> list[str]:
    """Each name in upper case, with a dot for whatever is neither a letter nor a digit.

    `HLA-A`, `HLA.A`, `hla_a` have one key: R writes the second for the first, and Seurat dashes for underscores.
    """
    listed = list(names)
    keys = _translated("\n".join(listed)).split("\n")
    if len(keys) == len(listed):
        return keys
    # A line break within a name.
    return [_translated(name.replace("\n", " ")) for name in listed]


def _translated(text: str) -> str:
    return text.upper().encode("ascii", "xmlcharrefreplace").translate(_LOOSE).decode("ascii")


def genome_prefix(name: str) -> tuple[str | None, str]:
    """The organism of an assembly's name before a gene's, and the name without it; None where there is no prefix."""
    if name[:2].lower() not in _FIRST_TWO:  # ten times as fast as the pattern
        return None, name
    found = _PREFIX.match(name)
    return (GENOMES[found[1].lower()], name[found.end() :]) if found else (None, name)


def ensembl_id(name: str) -> tuple[str, bool] | None:
    """An Ensembl gene id of any species without its version, and whether it had one; None for other names."""
    if name[:3].upper() != "ENS":
        return None
    found = _ENSEMBL.fullmatch(name)
    return (found[1].upper(), found[2] is not None) if found else None


def without_x(name: str) -> str | None:
    """What R's `make.names` put an X before (`X7SK`), or None."""
    return name[1:] if _BEFORE_DIGIT.match(name) else None


def copied_from(name: str) -> str | None:
    """The name that `make.unique` (`TBCE.1`) or scanpy's `var_names_make_unique` (`TBCE-1`) may have numbered."""
    found = _COPY.fullmatch(name) if name[-1:].isdigit() else None
    return found[1] if found else None


def dated_symbols(name: str) -> tuple[str, ...]:
    """The symbols that a spreadsheet may have read as this date; empty when it is no date.

    `1-Mar`, `Mar-01`, `01.03.2020`, `3/1/2020`, `2020-03-01 00:00:00` all give `MARCH1`, `MARC1` and `MAR1`: which of
    them it was, the date does not say (Ziemann, Eren & El-Osta 2016, Genome Biology 17:177).
    """
    if not (name[:1].isdigit() or name[:3].lower() in _MONTH_BEGINS):
        return ()
    pairs: list[tuple[int, int]] = []
    if found := _DAY_MONTH.fullmatch(name):
        pairs.append((_MONTH_NUMBER.get(found[2].lower(), 0), int(found[1])))
    elif found := _MONTH_DAY.fullmatch(name):
        pairs.append((_MONTH_NUMBER.get(found[1].lower(), 0), int(found[2])))
    elif found := _ISO.fullmatch(name):
        pairs.append((int(found[1]), int(found[2])))
    elif found := _NUMBERS.fullmatch(name):
        pairs.append((int(found[3]), int(found[1])))
        if found[2] != ".":  # with slashes or dashes, the month stands first in some countries
            pairs.append((int(found[1]), int(found[3])))
    return tuple(
        dict.fromkeys(f"{stem}{day}" for month, day in pairs if 1 <= day <= 31 for stem in _STEMS.get(month, ()))
    )
