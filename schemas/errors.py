"""Everything cellmark refuses, as one tree.

CellmarkError
├── InputError              the cells handed in
│   ├── ReadError           a file that cannot be read as cells
│   ├── CountsError         values that are not raw counts
│   ├── GeneOverlapError    genes that do not fit the model
│   ├── LibrarySizeError    library sizes missing or impossible
│   └── LabelError          labels, donors and splits of training data
├── RequestError            a body, route or parameter of the service
├── ModelError              the model asked for
│   ├── BundleError         a bundle that is damaged, unknown or unsafe
│   └── RegistryError       MLflow's registry
├── ExportError             a graph that does not answer as the network does
├── OutputError             a result that cannot be written
├── ParameterError          an argument outside its range
└── SetupError              this machine: devices, extras, processes

An error carries one or more findings, so that all problems of an input come at once.
"""

from collections.abc import Iterable
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, Literal, NotRequired, Self, TypedDict, Unpack

from .error_codes import CODES

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in an input or a model.

    `code`: a key of `CODES`. `where`: the argument, column or file. `remedy`: a sentence that says what to do.
    `examples`: a few offenders, such as cell ids or gene names.
    """

    code: str
    _: KW_ONLY
    where: str
    expected: str
    found: str
    remedy: str
    severity: Severity = "error"
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"{self.code} is not a documented code: add it to schemas/error_codes.py")

    def __str__(self) -> str:
        """The problem, what to do about it, a few offenders."""
        examples = f" For example: {', '.join(self.examples)}." if self.examples else ""
        return f"{self.where}: expected {self.expected}; found {self.found}. {self.remedy}{examples} [{self.code}]"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "examples": list(self.examples)}


class FindingFields(TypedDict):
    """What a finding says besides its code, as keywords of `CellmarkError.of`."""

    where: str
    expected: str
    found: str
    remedy: str
    severity: NotRequired[Severity]
    examples: NotRequired[tuple[str, ...]]


class CellmarkError(Exception):
    """Base of all errors that cellmark raises on purpose. `findings`: at least one, the gravest first. `headers`: of
    the answer over HTTP, such as Retry-After.

    Examples
    --------
    >>> try:
    ...     cm.load("no-such-folder")
    ... except cm.CellmarkError as error:
    ...     print(error.code, error.status)
    MODEL_UNKNOWN 404
    """

    def __init__(self, *findings: Finding) -> None:
        if not findings:
            raise ValueError("an error needs at least one finding")
        self.findings = findings
        self.headers: dict[str, str] = {}
        super().__init__("\n".join(str(finding) for finding in findings))

    @classmethod
    def of(cls, code: str, **finding: Unpack[FindingFields]) -> Self:
        """An error of one finding; the arguments are those of `Finding`."""
        return cls(Finding(code, **finding))

    def with_headers(self, **headers: str) -> Self:
        """The same error, with headers of its answer: `Retry_After="3"` is `Retry-After: 3`."""
        self.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self

    @property
    def code(self) -> str:
        """The code of its first finding, one of docs/errors.md."""
        return self.findings[0].code

    @property
    def status(self) -> int:
        """The HTTP status that this error is answered with."""
        return CODES[self.code].status

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.findings


class InputError(CellmarkError):
    """The cells handed in cannot be used."""


class ReadError(InputError):
    """A file cannot be read as cells."""


class CountsError(InputError):
    """Values are not raw counts."""


class GeneOverlapError(InputError):
    """The input's genes do not fit the model."""


class LibrarySizeError(InputError):
    """Library sizes are missing or impossible."""


class LabelError(InputError):
    """Labels, donors or splits of training data cannot be used."""


class RequestError(CellmarkError):
    """A body, route or parameter of the service is wrong."""


class ModelError(CellmarkError):
    """The model asked for cannot be had."""


class BundleError(ModelError):
    """A bundle is damaged, unknown or unsafe."""


class RegistryError(ModelError):
    """MLflow's registry does not answer, or does not hold what was asked for."""


class ExportError(CellmarkError):
    """An exported graph does not answer as the trained network does."""


class OutputError(CellmarkError):
    """A result cannot be written."""


class ParameterError(CellmarkError):
    """An argument is outside its range."""

    @classmethod
    def not_a_choice(cls, where: str, *, choices: str, found: str) -> Self:
        """A value outside a fixed list. `choices`: the list in words, such as "cpu or cuda"."""
        return cls.of("PARAMETER_INVALID", where=where, expected=choices, found=found, remedy="Name one of them.")


class SetupError(CellmarkError):
    """A device, an extra or a process that was asked for is not on the machine."""


def raise_if_refused(findings: Iterable[Finding], kind: type[CellmarkError] = InputError) -> tuple[Finding, ...]:
    """Raise `kind` when a finding is an error; the notes and warnings are returned otherwise."""
    found = tuple(findings)
    errors = tuple(finding for finding in found if finding.severity == "error")
    if errors:
        raise kind(*errors)
    return found
