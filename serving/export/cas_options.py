"""What only the author of annotations knows, for the Cell Annotation Schema."""

import re
from dataclasses import dataclass

from cellmark.schemas.errors import ParameterError

LONGEST_TITLE = 200
ORCID = re.compile(r"(https://orcid\.org/)?\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
URL = re.compile(r"https?://[^\s/]+\S*")
MATRIX = re.compile(r"[^\s:]+:\S+")


@dataclass(frozen=True, kw_only=True)
class CasAuthor:
    """`name`: FIRST LAST. `matrix`: a resolvable id of the matrix, NAMESPACE:ACCESSION. `url`: of these annotations,
    which the Cell Annotation Platform asks for. `release`: of these annotations. `algorithm_url`: the repository of
    cellmark. Raises `ParameterError` for values that the schema does not allow.
    """

    name: str
    title: str
    description: str | None = None
    contact: str | None = None
    orcid: str | None = None
    matrix: str | None = None
    url: str | None = None
    release: str = "1.0.0"
    algorithm_url: str | None = None

    def __post_init__(self) -> None:
        if not self.title.strip() or len(self.title) > LONGEST_TITLE:
            raise _wrong("title", f"1 to {LONGEST_TITLE} characters", f"{len(self.title)}", "Shorten it.")
        if not self.name.strip():
            raise _wrong("author", "a first and a last name", repr(self.name), "Give one: --author 'FIRST LAST'.")
        for where, value, form, expected in (
            ("contact", self.contact, EMAIL, "an email address"),
            ("orcid", self.orcid, ORCID, "an ORCID, four groups of four digits"),
            ("matrix", self.matrix, MATRIX, "NAMESPACE:ACCESSION, such as CellXGene_dataset:8e10f1c4"),
            ("url", self.url, URL, "an address that begins with https://"),
            ("algorithm_url", self.algorithm_url, URL, "an address that begins with https://"),
        ):
            if value is not None and not form.fullmatch(value):
                raise _wrong(where, expected, repr(value), f"Correct it, or omit --{where.replace('_', '-')}.")


def _wrong(where: str, expected: str, found: str, remedy: str) -> ParameterError:
    return ParameterError.of("PARAMETER_INVALID", where=where, expected=expected, found=found, remedy=remedy)
