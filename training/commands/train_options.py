"""Options of `cellmark train`, each stated once: name, help, type, default. The command's signature is made of them."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

from typer import Option as TyperOption

from cellmark.schemas.cells.reading_options import AS_IT_IS
from cellmark.schemas.option_groups import signed

from .. import choices
from .reading_options import READING, Json, Label, MaxUnknownShare, MinCells, complete_obs


class Option(NamedTuple):
    """One option. `kind`: its type; settings of a preset are None where nothing was given."""

    help: str
    kind: Any = str | None
    default: Any = None
    metavar: str | None = None


def _shared(annotation: Any, default: Any = None) -> Option:
    """An option that other commands have as well."""
    kind, shown = get_args(annotation)
    return Option._make((shown.help, kind, default, shown.metavar))


BASIC = {
    "label": _shared(Label, "cell_type"),
    "name": Option(help="Registered model. Every training adds a version.", kind=str, default="cellmark"),
    "donor": Option(help="Column of obs with the donors. With it, the test part consists of whole donors."),
    "hold_out": Option(
        help="Donors to hold out as the test part. Default: the donor that has enough cells of the most types.",
        metavar="DONOR[,DONOR]",
    ),
    **{name: _shared(READING[name], getattr(AS_IT_IS, name)) for name in ("layer", "library_size")},
    "genes_of": Option(
        help="Cells that you want to annotate: learn only from genes that they have. Nothing else of them is read.",
        kind=Path | None,
        metavar="QUERY",
    ),
    "preset": Option(
        help="Settings where none are given: cellmark's, for a laptop, or those of the published procedure.",
        kind=choices.PresetName,
        default="default",
    ),
}
EVALUATION = {
    "test": Option(help="Independent labelled file to evaluate on as well.", kind=Path | None),
    "test_share": Option(
        help="Share of the cells in the test part, when no donors are given. 0: no test part.", kind=float, default=0.2
    ),
    "test_label": Option(help="Column of obs with the cell types in the file given to --test. Default: as --label."),
    "test_layer": Option(help="Layer of the file given to --test with raw counts. Default: as --layer."),
    "test_library_size": Option(
        help="Column of obs with the library sizes in the file given to --test. Default: as --library-size.",
        metavar="OBS_COLUMN",
    ),
    "test_labels": Option(
        help="CSV file (columns from,to) that maps the labels of --test and the model's types to shared names.",
        kind=Path | None,
    ),
    "evaluate": Option(
        help="full also leaves out each cell type in turn, which takes minutes to an hour.",
        kind=choices.EvaluationLevel,
        default="fast",
    ),
}
TYPES = {
    "min_cells": _shared(MinCells, 10),
    "ontology": Option(
        help="CSV file (columns label,ontology_id) with the Cell Ontology terms of the labels, as `cellmark "
        "ontology` suggests them. Enables coarse calls. Needs the extra `ontology`.",
        kind=Path | None,
    ),
    "levels": Option(
        help="Columns of obs with coarser names of the cell types, in any order. Every cell then also gets a call and "
        "a probability at each of these levels. `ontology`: levels made from the terms given by --ontology.",
        metavar="OBS_COLUMN[,OBS_COLUMN]",
    ),
}
READING_CELLS = {
    name: _shared(option, getattr(AS_IT_IS, name)) for name, option in READING.items() if name not in BASIC
}
GENES = {
    "max_unknown_share": _shared(MaxUnknownShare),
    "max_genes": Option(
        help="Largest number of genes in the panel. 0: all genes that pass the filter. [2000; published: 0]",
        kind=int | None,
    ),
    "min_panel_share": Option(
        help="Smallest share (0 to 1) of the panel that an input to annotate must have measured.",
        kind=float,
        default=0.5,
    ),
}
COMPUTING = {
    "device": Option(help="Device to compute on. An error if cuda cannot be used.", kind=choices.Device, default="cpu"),
    "seed": Option(help="Random seed.", kind=int, default=0),
}
GENERAL = {**BASIC, **EVALUATION, **TYPES, **READING_CELLS, **GENES, **COMPUTING}
"""Settings of the run as a whole."""
NETWORKS = {
    "members": Option(
        help="Number of networks in the ensemble, whose logits are averaged. [5; published: 15]", kind=int | None
    ),
    "linear_member": Option(
        help="Logistic regression as one more member of the ensemble. [yes; published: no]", kind=bool | None
    ),
    "hidden_units": Option(help="Sizes of the hidden layers, in order. [256]", metavar="N[,N]"),
    "dropout": Option(help="Dropout: share of hidden units set to zero in training. [0.25]", kind=float | None),
    "learning_rate": Option(help="Learning rate. Members use 0.7 to 1.3 times this. [0.001]", kind=float | None),
    "noise": Option(
        help="Standard deviation of Gaussian noise added to the standardised inputs in training. [1]", kind=float | None
    ),
    "augmented": Option(
        help="Share of cells that are trained on with fewer counts or missing genes. [0.5; published: 0]",
        kind=float | None,
    ),
    "max_epochs": Option(
        help="Number of passes over the training cells, or the largest where --stop ends it. [20; with a loss: 60; "
        "published: 50]",
        kind=int | None,
    ),
    "stop": Option(
        help="When training ends: after the last epoch, or by the loss of validation cells, which are not learned "
        "then, or of training cells. [last_epoch; published: train_loss]",
        kind=choices.Stop | None,
    ),
    "patience": Option(
        help="Stop after this many epochs without a better loss. Implies --stop validation_loss where none is given. "
        "[10; published: 6]",
        kind=int | None,
    ),
    "gate_penalty": Option(
        help="Penalty on learned gene weights. A larger value uses fewer genes. 0: no gene weights. [0]",
        kind=float | None,
    ),
    "distill": Option(
        help="Also train one network that imitates the ensemble, for faster annotation (annotate --distilled).",
        kind=bool,
        default=False,
    ),
}
SEARCH = {
    "trials": Option(
        help="Number of settings to try in a search with Optuna. 0: no search. [0; published: 30]", kind=int | None
    ),
    "trial_epochs": Option(help="Largest number of epochs of a trial. [50]", kind=int | None),
    "trial_patience": Option(
        help="Stop a trial after this many epochs without a better validation loss. 0: never. [10]", kind=int | None
    ),
    "pruner": Option(
        help="median: stop trials that are worse than half of the earlier ones. none: never. [median]",
        kind=choices.Pruner | None,
    ),
    "tune_metric": Option(
        help="Metric on the validation cells that the search maximises. [accuracy]", kind=choices.Metric | None
    ),
    "space": Option(
        help="Range to search for n_layers, units, dropout, learning_rate or noise. Repeat the option for several.",
        kind=list[str] | None,
        metavar="NAME=LOW,HIGH",
    ),
    "time_budget": Option(
        help="Stop the search after this many seconds and use the best settings found.",
        kind=float | None,
        metavar="SECONDS",
    ),
    "study": Option(
        help="SQLite file or database URL (postgresql://...) that stores the trials. Makes the search resumable, "
        "and lets several processes share it.",
        metavar="FILE|URL",
    ),
    "study_name": Option(
        help="Name of the Optuna study. Default: made of the model's name, the data and the search settings."
    ),
}
MARKERS = {
    "ranking": Option(
        help="How to rank the genes of a type: by evidence, by the published marker score, or by contribution. "
        "[evidence; published: published]",
        kind=choices.Ranking | None,
    ),
    "baseline": Option(
        help="Reference expression for contributions: the mean over types, zero, or random. [mean; published: random]",
        kind=choices.BaselineKind | None,
    ),
    "permutations": Option(help="Number of label permutations for p-values. [1000]", kind=int | None),
    "include_genes": Option(
        help="Rank only these genes as markers: names separated by commas, a file, or a built-in list (surface, "
        "ribosomal, mitochondrial, hemoglobin).",
        metavar="FILE|GENE[,GENE]",
    ),
    "exclude_genes": Option(
        help="Genes to exclude from the markers, given as for --include-genes.", metavar="FILE|GENE[,GENE]"
    ),
}
RESULTS = {
    "bundle": Option(help="New folder for a copy of the bundle.", kind=Path | None),
    "json": _shared(Json, False),
}
OUTPUTS = {
    "no_cell_map": Option(
        help="Keep all cells out of the bundle and its report: no UMAP of held-out cells, no labels and calls of them, "
        "no real examples.",
        kind=bool,
        default=False,
    ),
    "real_examples": Option(
        help="Explain a real cell of each type in the report, with the counts of its strongest genes, in place of a "
        "drawn one.",
        kind=bool,
        default=False,
    ),
    "figures": Option(help="New folder for the pictures.", kind=Path | None),
}
GROUPS = {
    None: {**BASIC, **RESULTS},
    "Evaluation": EVALUATION,
    "Cell types": TYPES,
    "Reading cells": READING_CELLS,
    "Genes": GENES,
    "Networks": NETWORKS,
    "Search for settings": SEARCH,
    "Markers": MARKERS,
    "Computing": COMPUTING,
    "Outputs": OUTPUTS,
}
"""Options by their panel in the help; `--help` explains those without one."""


COMPLETED = ("label", "donor", "library_size")
"""Options that name a column of obs, which a shell completes."""


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose `**given` become one option for each row of `GROUPS`."""
    parameters = [one for one in inspect.signature(command).parameters.values() if one.kind != one.VAR_KEYWORD]
    for panel, options in GROUPS.items():
        for name, one in options.items():
            shown = TyperOption(
                f"--{name.replace('_', '-')}",
                help=one.help,
                metavar=one.metavar,
                rich_help_panel=panel,
                autocompletion=complete_obs if name in COMPLETED else None,
            )
            parameters.append(
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=Annotated[one.kind, shown]
                )
            )

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**given)

    return signed(run, parameters)
