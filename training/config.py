"""What a training run was asked to do."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from cellmark.schemas.cells.reading_options import InputKind, ReadingOptions
from cellmark.schemas.errors import Finding, ParameterError

from .choices import Device, EvaluationLevel
from .markers.marker_ranking import MarkerSettings
from .network.fit import FitSettings
from .presets import DEFAULT
from .setting_bounds import Advice, AtLeast1, ShareAboveZero, problem, problems_in
from .tuning.tune_settings import TuneSettings

LONGEST_LIST = 20
"""Genes that are named one by one among the parameters."""


def model_name(name: str) -> str:
    """Raises `ValueError` for a name that MLflow does not take for a registered model, or a model URI cannot hold."""
    if not name or set(name) & set('/:@.%"\\') or name != name.strip():
        raise ValueError("not a model's name")
    return name


OF_ONTOLOGY = ("ontology",)
"""In place of columns of levels: those that the terms of the Cell Ontology give."""
NAME_ADVICE = Advice("Use letters, digits, - and _.", 'a name without / : @ . % " or \\')


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training run; paths are where to read and write, all else goes to MLflow's parameters.

    `label`, `donor`: columns of `obs`. `hold_out`: donors for the test part. `test_share`: of the cells otherwise; with
    0 there is no test part, donors or not, and the model is registered without measures on unseen cells of this file.
    `library_size`: an `obs` column, None to
    sum over all genes. `genes_of`: cells that wait for the model, of which only the names of genes are read: genes that
    they lack are not learned from. `test_data`: an independent labelled file, evaluated as well; `test_label`,
    `test_layer` and `test_library_size`: where its columns and layer have other names than here; `test_labels`: a CSV
    file (`from`, `to`) that brings its labels and the model's types to shared names. `ontology`: a CSV file (`label`,
    `ontology_id`) with terms of the Cell Ontology. `levels`: columns of `obs` with coarser names of the types, or
    `OF_ONTOLOGY`. `min_cells`: types with fewer are
    left out. `max_unknown_share`: see `unknown_findings`. `max_genes`: largest panel, None for all genes that pass the
    filter.

    `preset`: the name of the bundle that the settings were taken from; the settings themselves are what counts:
    `TrainingConfig(data, preset="published", **preset("published").settings())`. `fit`: of a network, or where the
    search for its settings (`tune`) starts. `n_members`: networks whose logits are averaged, with those of
    logistic regression where `linear_member`. `distill`: also fit one
    network to the members' answers. `figures`: a folder to keep the pictures in. `cell_map`: keep held-out
    cells' places in the plane, labels and calls in the bundle, without ids, for the report. `real_examples`: keep a
    real cell of each type there, its call and the genes behind it, in place of a drawn one. `evaluate`: with `full`
    also what takes long.
    """

    data: Path
    label: str = "cell_type"
    donor: str | None = None
    hold_out: tuple[str, ...] = ()
    test_share: Annotated[
        float,
        Field(ge=0, le=0.5, allow_inf_nan=False),
        Advice("Give a share such as 0.2; 0 for no test part.", "from 0 to 0.5"),
    ] = 0.2
    name: Annotated[str, AfterValidator(model_name), NAME_ADVICE] = "cellmark"
    layer: str | None = None
    library_size: str | None = None
    genes_by_cells: bool = False
    input: InputKind = "auto"
    max_unknown_share: Annotated[float, Field(ge=0, le=1), Advice("Give a share such as 0.25.")] | None = None
    genes_of: Path | None = None
    test_data: Path | None = None
    test_label: str | None = None
    test_layer: str | None = None
    test_library_size: str | None = None
    test_labels: Path | None = None
    ontology: Path | None = None
    levels: tuple[str, ...] = ()
    min_cells: Annotated[int, Field(ge=3), Advice("Three parts need three cells of every type.")] = 10
    max_genes: Annotated[int, Field(ge=2), Advice(expected="at least 2, or 0 for all")] | None = DEFAULT.max_genes
    min_panel_share: Annotated[ShareAboveZero, Advice("Give a share such as 0.5.")] = 0.5
    seed: Annotated[int, Field(ge=0, lt=2**32), Advice("Give another seed.", "a whole number from 0 to 2**32 - 1")] = 0
    device: Device = "cpu"
    preset: str = "default"
    fit: FitSettings = DEFAULT.fit
    tune: TuneSettings = DEFAULT.tune
    n_members: AtLeast1 = DEFAULT.n_members
    linear_member: bool = DEFAULT.linear_member
    markers: MarkerSettings = DEFAULT.markers
    distill: bool = False
    evaluate: EvaluationLevel = "fast"
    figures: Path | None = None
    cell_map: bool = True
    real_examples: bool = False

    def __post_init__(self) -> None:
        problems = [
            *problems_in(self),
            *self._conflicts(),
            *problems_in(self.fit),
            *problems_in(self.fit.shape),
            *problems_in(self.tune, prefix="tune."),
            *problems_in(self.tune.space, prefix="tune.space."),
            *problems_in(self.markers, prefix="markers."),
        ]
        if problems:
            raise ParameterError(*problems)

    @property
    def reading(self) -> ReadingOptions:
        """How `data` is read."""
        return ReadingOptions(
            layer=self.layer,
            library_size=self.library_size,
            genes_by_cells=self.genes_by_cells,
            input=self.input,
        )

    def _conflicts(self) -> list[Finding]:
        """Settings that do not go together."""
        of_test = ("test_label", "test_labels", "test_layer", "test_library_size")
        found = [
            problem(name, "an independent file as well", repr(getattr(self, name)), "Name the file with --test.")
            for name in of_test
            if getattr(self, name) is not None and self.test_data is None
        ]
        if self.test_share == 0 and self.hold_out:
            found.append(
                problem(
                    "hold_out", "no test donors with a test share of 0", repr(self.hold_out), "Omit one of the two."
                )
            )
        if self.hold_out and self.donor is None:
            found.append(
                problem("hold_out", "a donor column as well", repr(self.hold_out), "Name the column with --donor.")
            )
        if self.real_examples and not self.cell_map:
            found.append(
                problem(
                    "real_examples",
                    "a bundle that may hold cells",
                    "no_cell_map as well, which keeps all cells out",
                    "Omit one of the two.",
                )
            )
        if self.levels == OF_ONTOLOGY and self.ontology is None:
            found.append(
                problem(
                    "levels",
                    "the terms of the labels as well",
                    "'ontology' without them",
                    "Give the map that `cellmark ontology DATA --label COLUMN -o map.csv` writes: --ontology map.csv. "
                    "A column of obs that is called ontology has to be renamed.",
                )
            )
        if len(set(self.levels)) < len(self.levels):
            found.append(problem("levels", "each column once", ", ".join(self.levels), "Name each column once."))
        if self.tune.study_name is not None and self.tune.study is None:
            found.append(
                problem(
                    "tune.study_name",
                    "a study as well",
                    repr(self.tune.study_name),
                    "Name its file or database with --study.",
                )
            )
        both = sorted(set(self.markers.include_genes) & set(self.markers.exclude_genes))
        if both:
            found.append(
                problem(
                    "markers.exclude_genes",
                    "genes that are not to be included as well",
                    ", ".join(both[:5]),
                    "Take them out of one of the two lists.",
                )
            )
        return found

    def parameters(self) -> dict[str, Any]:
        """Everything that shaped the model, flat, without paths of this machine."""
        apart = ("data", "genes_of", "test_data", "test_labels", "ontology", "figures", "fit", "tune", "markers")
        flat = {key: value for key, value in asdict(self).items() if key not in apart}
        flat["hold_out"], flat["levels"] = ",".join(self.hold_out), ",".join(self.levels)
        flat["data"] = self.data.name
        flat["genes_of"] = self.genes_of.name if self.genes_of else None
        flat["test_data"] = self.test_data.name if self.test_data else None
        flat["test_labels"] = self.test_labels.name if self.test_labels else None
        flat["ontology"] = self.ontology.name if self.ontology else None
        fit = asdict(self.fit)
        shape = fit.pop("shape")
        markers = asdict(self.markers)
        for key in ("include_genes", "exclude_genes"):
            markers[key] = _listed(markers[key])
        return {
            **flat,
            **{f"fit.{key}": value for key, value in {**fit, **shape}.items()},
            **{f"tune.{key}": value for key, value in self._tune_parameters().items()},
            **{f"markers.{key}": value for key, value in markers.items()},
        }

    def _tune_parameters(self) -> dict[str, Any]:
        if self.tune.n_trials == 0:
            return {"n_trials": 0}
        tune = asdict(self.tune)
        space = tune.pop("space")
        # A file or address of a database is of this machine; the name says which study it was.
        del tune["study"]
        return {**tune, **{f"space.{key}": value for key, value in space.items()}}


def _listed(genes: tuple[str, ...]) -> str:
    more = f" and {len(genes) - LONGEST_LIST} more" if len(genes) > LONGEST_LIST else ""
    return ",".join(genes[:LONGEST_LIST]) + more
