"""What the service answers, as models: the documentation of every answer, which tests hold the answers to."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..audit.receipt import Receipt
from ..cells.reading_options import LibrarySizeSource
from ..columns import levels_among
from ..manifest.manifest import (
    CellTypeEntry,
    NormalizationEntry,
    PanelEntry,
    ParityEntry,
    SplitEntry,
    TrainingDataEntry,
)
from ..manifest.manifest_imported import ImportedEntry
from ..manifest.manifest_levels import LevelsEntry


class Answer(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class FindingAnswer(Answer):
    """One thing found in an input. `code` is stable; `remedy` says what to do; `examples` names a few offenders."""

    code: str
    where: str
    expected: str
    found: str
    remedy: str
    severity: Literal["error", "warning", "info"]
    examples: list[str]


class Problem(Answer):
    """A refusal, as RFC 9457 has it, with all problems of the request at once. `code`: of the first finding.
    `request_id`: that of the header X-Request-ID and of the service's log. `error`: `detail` once more, below `/v2`.
    """

    type: str = Field(examples=["urn:cellmark:error:COUNTS_NEGATIVE"])
    title: str
    status: int
    detail: str
    code: str
    findings: list[FindingAnswer]
    request_id: str | None = None
    error: str | None = None


class ModelName(Answer):
    """The model that answered. `model_version`: of the registry, null for a bare bundle."""

    model: str
    model_version: str | None
    bundle_digest: str


class CrossSpeciesAnswer(Answer):
    """Cells of another organism than the model's. `cells`, `model`: organisms; `n_named`: genes of the input that were
    named by their ortholog; `source`: of the orthologs.
    """

    cells: str
    model: str
    n_named: int
    source: str


class InputFacts(ModelName):
    """The model that answered, and how the input fitted it.

    `library_size_source`: `given` with the request, `summed` over the input's genes, or not known, where values are
    ln(1 + counts per 10,000). `genes_source`: `keys` where the union of the cells' keys counts as measured, `genes`
    where the input names its genes. `missing_genes`: the first of the model's genes that were not measured;
    `genes_missing` counts all. `attribution_share`: share of the model's attribution mass that the input's genes carry,
    null for a model that does not know it.
    """

    library_size_source: LibrarySizeSource
    genes_source: Literal["genes", "keys"]
    counts_from: str
    n_cells: int
    genes_matched: int
    genes_missing: int
    missing_genes: list[str]
    attribution_share: float | None
    notes: list[FindingAnswer]
    cross_species: CrossSpeciesAnswer | None = Field(
        default=None, description="Only of genes that were named by orthologs: all calls are across species."
    )
    receipt: Receipt | None = Field(default=None, description="To find this answer in the audit log, or ask again.")


class Call(Answer):
    """The call of one cell. `cellmark_cell_type`: the best type, or `unassigned` where `cellmark_novelty` (larger is
    stranger) is above the answer's `novelty_threshold`, or the one that its `sample_shift` has for the best
    type. `cellmark_margin`: probability of the best type minus that of the second. `cellmark_label_set`: types among
    which the label is, but for the answer's `label_set_error`. `cellmark_coarse_cell_type`: the most specific type or
    ontology term that is sure, by summed probability. What the model has no measure of is null. A model with levels
    adds `cellmark_level_1` (the coarsest), the most probable group of types or `unassigned`, and
    `cellmark_level_1_confidence`, its probability, null where unassigned; and so on.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | float | None] = Field(init=False)

    cell_id: str
    cellmark_cell_type: str
    cellmark_best_cell_type: str
    cellmark_confidence: float
    cellmark_second_cell_type: str
    cellmark_margin: float
    cellmark_novelty: float | None
    cellmark_label_set: list[str] | None
    cellmark_coarse_cell_type: str | None
    cellmark_coarse_probability: float | None
    probabilities: dict[str, float] | None = Field(
        default=None, description="By cell type; only with `probabilities=true`."
    )

    @model_validator(mode="after")
    def _levels_alone(self) -> "Call":
        others = set(self.__pydantic_extra__) - set(levels_among(self.__pydantic_extra__))
        if others:
            raise ValueError(f"columns of levels, and not {', '.join(sorted(others))}")
        return self


class SampleShiftAnswer(Answer):
    """What became of the cells as one sample. `state`: `shifted`, its `thresholds` by best type are raised;
    `not_shifted`, they need not be; `beyond` what training showed, or too `few` cells: none is raised. `shift`: what
    its types have in common, null where that is not known; `cap`: the largest that counts. `foreign_types`: most cells
    called so are above the model's threshold, and theirs is lowered. Without `thresholds` the answer's
    `novelty_threshold` stands.
    """

    state: Literal["shifted", "not_shifted", "beyond", "few"]
    shift: float | None
    cap: float
    thresholds: dict[str, float] | None = None
    foreign_types: list[str] | None = None


class AnnotateAnswer(InputFacts):
    """Calls in the order of the input's cells. `novelty_threshold`, `label_set_error`: see `Call`; null where the model
    has no such measure. `sample_shift`: null where each cell was judged by itself, by `novelty_threshold`.
    """

    novelty_threshold: float | None
    label_set_error: float | None
    sample_shift: SampleShiftAnswer | None = None
    cells: list[Call]


class GeneAttribution(Answer):
    """What one gene does to a call. `attribution`: signed, of the logit; `log1p_norm` and `baseline`: ln(1 + counts per
    10,000); `counts`: null where the input was so normalised; `direction`: `absent`, `high` or `low` against the
    baseline, and `for` or `against` the target; `gene`: the symbol under its old name, for one more release.
    """

    rank: int
    gene_symbol: str
    attribution: float
    counts: float | None
    log1p_norm: float
    baseline: float
    direction: str
    gene: str


class Explanation(Answer):
    """Why a cell was called `target` (and not `against`). `convergence_delta`: what is left of completeness."""

    cell_id: str
    cell_type: str
    target: str
    against: str | None
    convergence_delta: float
    genes: list[GeneAttribution]


class AttributeAnswer(InputFacts):
    """Explanations in the order of the input's cells."""

    cells: list[Explanation]


class SparseCell(Answer):
    """A cell of a sparse answer: see `Explanation`."""

    cell_id: str
    cell_type: str
    target: str
    against: str | None
    convergence_delta: float


class SparseAttributeAnswer(InputFacts):
    """Attributions of all genes that have any, as a sparse matrix in CSR form, `cells` x `genes` (the model's, in its
    order): those of cell i are `attributions[indptr[i]:indptr[i + 1]]`, of the genes that `indices` numbers alike.
    """

    genes: list[str]
    cells: list[SparseCell]
    indptr: list[int]
    indices: list[int]
    attributions: list[float]


class ValidateAnswer(ModelName):
    """Everything there is to say of an input. `valid`: it would be annotated; errors come first in `findings`.

    `quality`: what Great Expectations found, null for an input that would be refused. `library_size_columns`: columns
    of `obs` that may hold library sizes, the likeliest first. What could not be found out of an input that cannot be
    read is null.
    """

    valid: bool
    n_cells: int | None
    n_genes: int | None
    library_size_source: LibrarySizeSource | None
    genes_source: Literal["genes", "keys"] | None
    genes_matched: int | None
    genes_missing: int | None
    missing_genes: list[str] | None
    attribution_share: float | None
    findings: list[FindingAnswer]
    quality: dict[str, Any] | None
    library_size_columns: list[str] | None = None


class UpdateAnswer(Answer):
    """How far the service is with the version that the model's alias names. `current`: it serves that one. `fetching`,
    `testing`: it is about to. `failed`: `wanted_version` stays out, `error` says why, and the one before serves on.
    `registry_unreachable`: MLflow does not answer. `cached`: it did not at the start, and the last good version that
    was kept on the machine serves. `pinned`: somebody went back, until the alias moves.
    """

    state: Literal["current", "fetching", "testing", "failed", "registry_unreachable", "pinned", "cached"]
    wanted_version: str | None
    error: list[FindingAnswer]
    pinned: bool


class ModelAnswer(ModelName):
    """The model's manifest, without its files. `genes`: the panel, with `genes=true`. `coarse_cell_types`: all that
    `cellmark_coarse_cell_type` may be, the most specific first; empty for a model without an ontology. `levels`: the
    groups of types at each level, null for a model without levels. `whole_samples`: whether it can judge the cells of a
    request as one sample (`as_sample`). `imported`: null for a model that cellmark trained; for one of another tool,
    that its probabilities do not sum to one and no threshold was measured. `update`: null for a model that follows no
    registry, and for a version that was named.
    """

    manifest_digest: str
    format_version: int
    created: str
    cellmark_version: str
    device: str
    organism: str | None
    cell_types: list[CellTypeEntry]
    n_genes_measured: int
    panel: PanelEntry
    normalization: NormalizationEntry
    baseline_kind: str
    temperature: float
    training_data: TrainingDataEntry
    split: SplitEntry
    metrics: dict[str, Any]
    parity: ParityEntry
    coarse_cell_types: list[str] = []
    levels: LevelsEntry | None = None
    whole_samples: bool = False
    imported: ImportedEntry | None = None
    genes: list[str] | None = None
    update: UpdateAnswer | None = None


class MarkersAnswer(ModelName):
    """Rows of the marker table; what is not measured is null. Columns as in the bundle's `markers.csv`; models of
    an earlier version lack some.
    """

    markers: list[dict[str, str | float | int | bool | None]]
