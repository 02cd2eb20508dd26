"""`manifest.json`: what a bundle is, what it was made from, how well it did, and the digest of every file in it."""

from collections import Counter
from typing import Any, Literal

from pydantic import Field

from .manifest_evaluation import EvaluationEntry, OverlapEntry
from .manifest_imported import ImportedEntry
from .manifest_levels import LevelsEntry
from .manifest_ontology import OntologyEntry
from .manifest_section import Section, canonical_json, sha256
from .manifest_trust import CalibrationEntry, DistilledEntry, LabelSetsEntry, NoveltyEntry

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
OUTSIDE_BUNDLE_DIGEST = ("bundle_digest", "manifest_digest", "created", "environment")
"""Fields that may differ between two trainings that give the same model."""


class FileEntry(Section):
    """One file of the bundle, by its content."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class CellTypeEntry(Section):
    """One cell type, in the order of the graphs' outputs. `ontology_id`: its term of the Cell Ontology; `ancestors`:
    ids of the terms above it, the nearest first; `ontology_name`, `ancestor_names`: what these are called. None: the
    type was given no term.
    """

    name: str = Field(min_length=1)
    ontology_id: str | None = None
    ancestors: list[str] | None = None
    ontology_name: str | None = None
    ancestor_names: list[str] | None = None


class CodeEntry(Section):
    """The cellmark that made the bundle. `commit`: of its checkout, when there was one."""

    version: str
    commit: str | None = None


class TrainingDataEntry(Section):
    """What the model learned from. `digest`: SHA-256 over cell ids, gene names, counts, labels and donors. `genes_of`:
    name of the query whose genes alone were taken, None for all genes.
    """

    digest: str
    n_cells: int
    n_genes: int
    cells_per_type: dict[str, int]
    dropped_cell_types: dict[str, int] = {}
    library_size_source: Literal["given", "summed", "not known: normalised input"]
    counts_from: str = "X"
    genes_of: str | None = None


class SplitPart(Section):
    """One of the three parts. `cell_ids_sha256`: of the sorted ids, one a line; the ids stay with the MLflow run."""

    n_cells: int
    cells_per_type: dict[str, int]
    donors: list[str] | None = None
    cell_ids_sha256: str


class SplitEntry(Section):
    """How cells were divided: `train` fits, `validation` chooses, `test` is read once for the reported numbers.

    `none`: of an imported model, which was fitted on all its cells.
    """

    strategy: Literal["donor", "stratified", "none"]
    seed: int
    train: SplitPart
    validation: SplitPart
    test: SplitPart
    notes: list[str] = []


class NormalizationEntry(Section):
    """The scale inside the graphs."""

    formula: str
    counts_per: float
    log: Literal["natural", "log2"]


class PanelEntry(Section):
    """The genes of the graphs' inputs. `digest`: SHA-256 of the symbols in order, one a line. `library_fraction`: share
    of a training cell's library that they carry, the median over cells.
    """

    n_genes: int
    digest: str
    min_share: float
    filter: dict[str, Any] = {}
    overlap: OverlapEntry | None = None
    library_fraction: float | None = None


class NetworkEntry(Section):
    """The networks' shape, of each the sizes of its hidden layers, and how they were fitted. `linear_member`: whether
    logistic regression is one more member.
    """

    n_members: int
    hidden_units: list[list[int]]
    linear_member: bool = False
    parameters: dict[str, Any] = {}
    embedding_size: int

    @property
    def learned_validation(self) -> bool:
        """Whether the networks learned the validation part too, so that its measures come from those of the folds."""
        return self.parameters.get("stop") == "last_epoch"


class ParityEntry(Section):
    """What the proofs at export measured."""

    n_cells: int
    max_probability_difference: float
    n_label_ties: int
    max_convergence_delta: float
    max_attribution_difference: float | None = None


class Manifest(Section):
    """All that is known of a bundle. Null: not measured. `feature_rule`: version of the rule that left out what is no
    gene, null for a model that was trained on all features. `imported`: of a model that another tool trained.
    """

    format_version: int
    bundle_digest: str
    manifest_digest: str
    name: str
    created: str
    code: CodeEntry
    environment: dict[str, str] = {}
    training_data: TrainingDataEntry
    split: SplitEntry
    cell_types: list[CellTypeEntry]
    organism: str | None = None
    n_genes_measured: int
    feature_rule: int | None = None
    panel: PanelEntry
    normalization: NormalizationEntry
    baseline_kind: str
    network: NetworkEntry
    temperature: float = 1.0
    thresholds: dict[str, Any] | None = None
    calibration: CalibrationEntry | None = None
    novelty: NoveltyEntry | None = None
    label_sets: LabelSetsEntry | None = None
    distilled: DistilledEntry | None = None
    ontology: OntologyEntry | None = None
    levels: LevelsEntry | None = None
    evaluation: EvaluationEntry | None = None
    metrics: dict[str, Any]
    parity: ParityEntry
    golden_cells: Literal["drawn", "real"] = "drawn"
    imported: ImportedEntry | None = None
    files: dict[str, FileEntry]

    @property
    def learned_cells(self) -> dict[str, int]:
        """By type, the cells that the networks learned: of the training part, and of the validation part where that
        settled nothing.
        """
        parts = [self.split.train, *([self.split.validation] if self.network.learned_validation else [])]
        return dict(sum((Counter(part.cells_per_type) for part in parts), Counter()))

    @property
    def cell_type_names(self) -> list[str]:
        return [entry.name for entry in self.cell_types]

    @property
    def ranked_by(self) -> Literal["probabilities", "logits"]:
        """The output of the annotator that orders types: of sigmoids several may be 1 to the last digit."""
        return "probabilities" if self.imported is None else "logits"


def bundle_digest(raw: dict[str, Any]) -> str:
    """SHA-256 of the canonical manifest without its digests, its date and the environment."""
    return sha256(canonical_json({key: value for key, value in raw.items() if key not in OUTSIDE_BUNDLE_DIGEST}))


def manifest_digest(raw: dict[str, Any]) -> str:
    """SHA-256 of the canonical manifest without `manifest_digest` itself."""
    return sha256(canonical_json({key: value for key, value in raw.items() if key != "manifest_digest"}))


def seal(raw: dict[str, Any]) -> bytes:
    """The bytes of `manifest.json`: the digests filled in, canonical. `raw`: all fields but the two digests."""
    sealed = {key: value for key, value in raw.items() if key not in ("bundle_digest", "manifest_digest")}
    sealed["bundle_digest"] = bundle_digest(sealed)
    sealed["manifest_digest"] = manifest_digest(sealed)
    return canonical_json(sealed)
