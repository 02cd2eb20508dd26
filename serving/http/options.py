"""Options of the routes: query parameters, or fields of a multipart form. Models are their documentation too."""

from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cellmark.schemas.api.strict_json import printable
from cellmark.schemas.cells.reading_options import InputKind, ReadingOptions
from cellmark.schemas.errors import Finding, ParameterError

from ..scoring.attribute import DEFAULT_TOP
from ..scoring.call_options import CallOptions, Floors

Options = TypeVar("Options", bound="RouteOptions")


class RouteOptions(BaseModel):
    """No option is ignored: an unknown name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InputOptions(RouteOptions):
    """How to read the cells of an upload."""

    layer: str | None = Field(
        default=None, description="Uploaded .h5ad: where the raw counts are, a layer's name or `raw`. Default: X."
    )
    library_size: str | None = Field(
        default=None,
        description="Uploaded .h5ad: obs column with each cell's total count over all genes. Default: the sum over the "
        "file's genes.",
    )
    recover_counts: bool = Field(
        default=False,
        description="Compute raw counts from normalised values. Refused where the result would not be exact.",
    )
    input: InputKind = Field(
        default="auto",
        description="What the values are: `counts`, or `log1p` for ln(1 + counts per 10,000). `auto` takes values as "
        "`log1p` where they prove it in every cell.",
    )
    orthologs: bool = Field(
        default=False,
        description="For mouse cells under a human model, or the reverse: name genes by their one-to-one orthologs. "
        "The answer's `cross_species` and the note `CROSS_SPECIES` say so.",
    )
    min_panel_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Smallest share (0 to 1) of the model's genes that the input must have. Default: the model's.",
    )
    min_attribution_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="Smallest share (0 to 1) of the model's attribution mass that the input's genes must carry. 0 "
        "turns the limit off. Default: the model's.",
    )
    max_unknown_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="Largest share (0 to 1) of all counts that may be of names which no human or mouse gene table has. "
        "1 turns the limit off. Default: 0.25.",
    )

    @property
    def reading(self) -> ReadingOptions:
        """How to read the cells."""
        return ReadingOptions(
            layer=self.layer,
            library_size=self.library_size,
            recover_counts=self.recover_counts,
            input=self.input,
            orthologs=self.orthologs,
        )

    @property
    def floors(self) -> Floors:
        """What the input must have of the model's genes."""
        return Floors(
            min_panel_share=self.min_panel_share,
            min_attribution_share=self.min_attribution_share,
            max_unknown_share=self.max_unknown_share,
        )


class ValidateOptions(InputOptions):
    """Options of `POST /validate`."""


class AnnotateOptions(InputOptions):
    """Options of `POST /annotate`."""

    probabilities: bool = Field(default=False, description="Also give the probability of every cell type.")
    label_set_error: float | None = Field(
        default=None,
        description="Error rate of the label sets. Choose one that the model was calibrated for. Default: the model's.",
    )
    as_sample: bool = Field(
        default=False,
        description="Judge all cells of the request as one sample, whose shift as a whole raises the novelty "
        "threshold; the answer's `sample_shift` says so. Fewer than 100 cells keep the model's. Default: each cell by "
        "itself.",
    )

    @property
    def calls(self) -> CallOptions:
        """How calls are made."""
        return CallOptions(
            probabilities=self.probabilities, label_set_error=self.label_set_error, as_sample=self.as_sample
        )


class MapOptions(AnnotateOptions):
    """Options of `POST /map`."""

    rows: bool = Field(
        default=False,
        description="Also give the values of the model's genes in every cell, in the form of a JSON body by rows, so "
        "that `/attribute` can be asked about some of them without the file.",
    )
    own: bool = Field(
        default=False,
        description="Uploaded .h5ad: also give the maps that it brings (`obsm`, such as X_umap) and its columns of "
        "clusters or types.",
    )


class AttributeOptions(InputOptions):
    """Options of `POST /attribute`."""

    top: Annotated[int, Field(ge=1)] = Field(
        default=DEFAULT_TOP, description="Number of genes per cell, by absolute attribution."
    )
    target: str | None = Field(default=None, description="Cell type to explain. Default: each cell's call.")
    against: str | None = Field(
        default=None,
        description="Explain why the target and not this cell type. `second`: the second best type of each cell.",
    )

    layout: Literal["rows", "csr"] = Field(
        default="rows",
        description="`rows`: the strongest genes of each cell. `csr`: the attributions of all genes, as a sparse "
        "matrix in CSR form (JSON only; `top` does not apply).",
    )


class ModelOptions(RouteOptions):
    """Options of `GET /model`."""

    genes: bool = Field(default=False, description="Also give the names of the model's genes.")


class MarkersOptions(RouteOptions):
    """Options of `GET /markers`."""

    cell_type: str | None = Field(default=None, description="Show the markers of this cell type only.")
    top: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Number of markers per cell type. Default: all."
    )
    format: Literal["json", "csv"] | None = Field(
        default=None, description="Format of the answer. Default: the one that the header Accept prefers, else JSON."
    )


class AdminOptions(RouteOptions):
    """Options of `POST /admin/reload` and `POST /admin/rollback`."""

    model: str | None = Field(
        default=None,
        description="Name of a served model. Default: all of them for a reload, the first for a rollback.",
    )


def parse_options(
    kind: type[Options], query: Iterable[tuple[str, str]], form: Iterable[tuple[str, str]] = ()
) -> Options:
    """Options named in the query or in a form. An empty field of a form is a field that nobody filled in. Raises
    `ParameterError` with all that are unknown, given twice or out of their range.
    """
    findings: list[Finding] = []
    given: dict[str, str] = {}
    filled = [(name, text) for name, text in form if text or name not in kind.model_fields]
    for name, text in (*query, *filled):
        if name in given:
            findings.append(_invalid(name, "one value", "several", "Give it once, in the query or in the form."))
        given[name] = text
    try:
        options = kind.model_validate(given)
    except ValidationError as error:
        known = ", ".join(kind.model_fields)
        for wrong in error.errors(include_url=False, include_context=False):
            name = str(wrong["loc"][0])
            if wrong["type"] == "extra_forbidden":
                findings.append(_invalid(name, f"one of {known}", "another option", "Check its spelling."))
            else:
                expected = wrong["msg"].removeprefix("Input should be ")
                findings.append(_invalid(name, expected, repr(printable(given[name])), "Give such a value."))
    if findings:
        raise ParameterError(*findings)
    return options


def _invalid(name: str, expected: str, found: str, remedy: str) -> Finding:
    return Finding("PARAMETER_INVALID", where=printable(name), expected=expected, found=found, remedy=remedy)
