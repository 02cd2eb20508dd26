"""JSON bodies read in one pass, by their types: no object for a number of a matrix, no tree that is checked afterwards.

What is not as documented is left to `requests.py`, which says all that is wrong in a body; of a large body only the
first thing is said, since a tree of it takes thirty times its bytes.
"""

import re
from functools import lru_cache
from typing import Annotated

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ..errors import RequestError
from .request_cells import LONGEST_NAME, GeneList
from .strict_json import LONGEST_INTEGER, invalid_json, printable

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Key = Annotated[str, Meta(max_length=LONGEST_NAME)]
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
"""Possessive: a long string is not remembered character by character."""
LONGEST_WHOLE = 18
"""Digits of a whole number that always fits into 64 bits."""
MOST_STRINGS, MOST_VALUES = 3_000_000, 30_000_000
"""Names and values of one body: what these take in memory is bounded before any is made."""


LONG_NUMBER = b"1" * (LONGEST_INTEGER + 1)
SMALL_BODY = 100_000
"""Bytes up to which a number of any length is read in no time."""
AS_DIGITS = bytes.maketrans(b"0123456789", b"1" * 10)


class CellOfJson(Struct, forbid_unknown_fields=True):
    """As `requests.CellCounts`."""

    cell_id: Name
    counts: dict[Key, float]
    library_size: float | UnsetType | None = UNSET


class BodyOfJson(Struct, forbid_unknown_fields=True):
    """Both forms of a body: `requests.CellsRequest` and `requests.CsrRequest`. Arrays are read later."""

    cells: list[CellOfJson] | UnsetType = UNSET
    genes: Raw = Raw(b"")
    cell_ids: list[Name] | UnsetType = UNSET
    indptr: Raw = Raw(b"")
    indices: Raw = Raw(b"")
    data: Raw = Raw(b"")
    library_sizes: Raw = Raw(b"")


_body = msgspec.json.Decoder(BodyOfJson)
_floats = msgspec.json.Decoder(list[float])
_names = msgspec.json.Decoder(list[Name])
ARRAYS = ("genes", "indptr", "indices", "data", "library_sizes")
MOST_REMEMBERED = 1024**2
"""Bytes of a list of genes that is remembered, so that it is recognised when it comes again."""


class NotAsDocumentedError(ValueError):
    """A body that is not read here. The message says the first thing that is wrong."""


def read_body(body: bytes) -> tuple[BodyOfJson, GeneList | None]:
    """The members of a body, and the genes that it lists, None where it does not.

    Raises `NotAsDocumentedError`, and `RequestError` for more than `MOST_STRINGS` names or `MOST_VALUES` values.
    """
    # A small body holds few of them.
    n_strings, n_values = (body.count(b'"') // 2, body.count(b",")) if len(body) > MOST_STRINGS else (0, 0)
    if n_strings > MOST_STRINGS or n_values > MOST_VALUES:
        found = f"{n_strings:,} names" if n_strings > MOST_STRINGS else f"{n_values:,} values"
        raise RequestError.of(
            "REQUEST_TOO_LARGE",
            where="body",
            expected=f"JSON of at most {MOST_STRINGS:,} names and {MOST_VALUES:,} values",
            found=found,
            remedy="Send fewer cells at a time, or send them as .npz or .h5ad, which are smaller than JSON.",
        )
    if len(body) > SMALL_BODY and LONG_NUMBER in body.translate(AS_DIGITS):
        raise NotAsDocumentedError(f"a number of more than {len(LONG_NUMBER) - 1} digits")
    try:
        read = _body.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise NotAsDocumentedError(str(error)) from None
    genes = _genes_of(read)
    n_members, n_colons = _members(read), body.count(b":")
    # Names that are given twice vanish in an object; that so many colons were read as were there says that none did.
    plain = b"\\" not in body and (n_colons == n_members or n_colons == n_members + _colons_of_names(read, genes))
    if not plain and STRING.sub(b"", body).count(b":") != n_members:
        raise NotAsDocumentedError("a name that is given twice in one object")
    return read, genes


def _members(read: BodyOfJson) -> int:
    """How many names of members a body has."""
    given = [name for name in ("cells", "cell_ids") if getattr(read, name) is not UNSET]
    n_members = len(given) + sum(bool(bytes(getattr(read, name))) for name in ARRAYS)
    return n_members + sum(2 + (cell.library_size is not UNSET) + len(cell.counts) for cell in read.cells or ())


def _colons_of_names(read: BodyOfJson, genes: GeneList | None) -> int:
    """How many colons the strings of a body hold, such as `run:AAAC`."""
    lists = (read.cell_ids or (), *(cell.counts for cell in read.cells or ()))
    ids = "".join(cell.cell_id for cell in read.cells or ())
    n_colons = ids.count(":") + sum("".join(names).count(":") for names in lists)
    return n_colons if genes is None else n_colons + genes.n_colons


def _genes_of(read: BodyOfJson) -> GeneList | None:
    text = bytes(read.genes)
    if text in (b"", b"null"):
        return None
    return _remembered(text) if len(text) <= MOST_REMEMBERED else _gene_list(text)


def _gene_list(text: bytes) -> GeneList:
    try:
        return GeneList(_names.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise NotAsDocumentedError(str(error)) from None


_remembered = lru_cache(maxsize=8)(_gene_list)


def numbers(raw: Raw, *, whole: bool = False) -> np.ndarray:
    """A list of finite numbers, float64, or int64 of at least 0 where they have to be `whole`. Raises
    `NotAsDocumentedError`.
    """
    text = bytes(raw)
    left = text.translate(None, b"0123456789, \t\n\r")
    if left == b"[]" and text.count(b"[") == 1:
        inner = text[text.index(b"[") + 1 : text.rindex(b"]")]
        if not inner.strip():
            return np.zeros(0, dtype=np.int64 if whole else np.float64)
        # The decoder has checked the syntax of what it skipped, so these are numbers between commas and white space.
        values = np.fromstring(inner, dtype=np.int64, sep=",")
        if values.max() < 10**LONGEST_WHOLE:
            return values if whole else values.astype(np.float64)
    if whole:
        raise NotAsDocumentedError("an array of whole numbers is expected")
    try:
        listed = _floats.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAsDocumentedError(str(error)) from None
    return np.fromiter(listed, dtype=np.float64, count=len(listed))


def first_mistake(error: NotAsDocumentedError) -> RequestError:
    """The error of a body that is too large for all its mistakes to be looked up."""
    return invalid_json("a body as documented", printable(str(error), longest=300))
