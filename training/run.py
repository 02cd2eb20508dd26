"""One training run, from labelled cells to a proven bundle, from top to bottom."""

from pathlib import Path

from cellmark.schemas.atomic_output import refuse_existing
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import CellSource

from .config import TrainingConfig
from .evaluation.out_of_fold import fit_out_of_fold, plan_folds
from .listener import Listener
from .network.fit import torch_device
from .steps.chapters import Chapters, TrainedModel
from .steps.distilled_annotator import distill_and_prove, export_and_prove
from .steps.evaluate_training import evaluate_training
from .steps.explain_training import explain_training
from .steps.fitted_networks import fit_networks, measure_calls
from .steps.shown_cells import show_cells
from .steps.training_cells import prepare_training_cells
from .steps.write_bundle import assemble_manifest, bundle_parts, write_bundle
from .tuning.tune import tune

__all__ = ["Listener", "TrainedModel", "train"]
Opened = CellSource | None


def train(
    config: TrainingConfig, folder: Path, listener: Listener, *, source: Opened = None, query: Opened = None
) -> TrainedModel:
    """Train, evaluate, export and prove a model; write its bundle to `folder`, which must not exist.

    `config`: the data and all settings. `folder`: nothing is left in it on failure. `listener`: is notified of steps,
    epochs and findings. `source`: opened cells, in place of the file `config.data`, which then is only their name;
    `query`: in place of `config.genes_of`.

    Raises `InputError` or `LabelError` for data that cannot be used, `OutputError` when `folder` exists, `ExportError`
    when a graph does not answer as the network does.
    """
    torch_device(config.device)  # better now than after minutes of reading
    refuse_existing(folder, force=None)
    seed, device = config.seed, config.device
    prepared = prepare_training_cells(config, listener, source, query)
    config, cells, data = prepared.settings(config), prepared.cells, prepared.data

    tuned = None
    if config.tune.n_trials:
        listener.step("Searching for settings")
        tuned = tune(
            data, base=config.fit, settings=config.tune, seed=seed, device=device, name=config.name, listener=listener
        )

    listener.step("Fitting the networks")
    fitted = fit_networks(data, tuned.settings if tuned else config.fit, config, on_epoch=listener.epoch)

    listener.step("Cross-validating")
    plan = plan_folds(cells.codes, cells.donors, data.seen, seed=seed)
    held_out = fit_out_of_fold(
        data, plan, members=fitted.variations, seed=seed, device=device, min_cells=config.min_cells
    )
    trust = measure_calls(
        held_out, fitted.classifiers, fitted.member_logits, prepared, learned=fitted.learned, seed=seed
    )

    listener.step("Explaining cells and ranking markers")
    explained = explain_training(fitted, trust.calls, prepared, config)

    listener.step("Exporting and proving the graphs")
    graphs = export_and_prove(fitted.classifiers, explained.baselines, trust, prepared)

    distilled = None
    if config.distill:
        listener.step("Distilling one network")
        distilled = distill_and_prove(fitted, held_out, explained.baselines, prepared, config)

    evaluated = evaluate_training(
        config,
        prepared,
        fitted,
        held_out,
        trust=trust,
        explained=explained,
        graphs=graphs,
        distilled=distilled,
        listener=listener,
    )

    listener.step("Summarising cells for the report")
    shown = show_cells(config, prepared, fitted, trust=trust, explained=explained, annotator=graphs.annotator)

    listener.step("Writing the bundle")
    run = Chapters(config, prepared, tuned, fitted, held_out, trust, explained, graphs, distilled, evaluated, shown)
    manifest = write_bundle(folder, bundle_parts(run), assemble_manifest(run))
    return run.model(Bundle.open(folder), manifest)
