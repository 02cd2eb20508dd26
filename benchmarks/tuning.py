"""Does stopping trials early change which one wins, and what does it save? `python benchmarks/tuning.py`.

A search without any stopping is run once: every trial has all its epochs. What a trial gives depends on its settings
and the seed alone, so each rule of stopping can then be replayed on the curves exactly, with Optuna's own pruner: which
trial wins among the same trials, and how much processor time would not have been spent. `--again` also runs the search
itself under the rules of `--patience` and `--prune-after`, where later trials are drawn in the light of what earlier
ones gave.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.checks.split import split_cells
from cellmark.schemas.normalization import normalize
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.cells.labelled_cells import read_labelled
from cellmark.training.network.fit import Epoch, FitSettings
from cellmark.training.network.fit_settings import FitData
from cellmark.training.presets import preset
from cellmark.training.tuning.tune import Tuned, tune
from cellmark.training.tuning.tune_settings import Trial, TuneSettings

PATIENCES = (None, 3, 5, 10)
PRUNE_AFTER = (None, 0, 5, 10)
"""None: no pruner."""


class Watch:
    """Keeps the trials and the processor seconds of each."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.cpu: list[float] = []
        self._clock = time.process_time()

    def note(self, finding: object) -> None:
        print(finding)

    def trial(self, trial: Trial) -> None:
        now = time.process_time()
        self.trials.append(trial)
        self.cpu.append(now - self._clock)
        self._clock = now


def read(path: Path, label: str, *, seed: int, max_genes: int) -> FitData:
    with open_cells(path) as source:
        cells = read_labelled(source, label=label, donor=None, library_size=None, min_cells=10)
    split = split_cells(cells.codes, None, hold_out=(), seed=seed)
    counts, sizes, codes = cells.counts[split.train], cells.library_size[split.train], cells.codes[split.train]
    columns = choose_panel(counts, sizes, normalize(counts, sizes), codes, max_genes=max_genes)
    chosen = cells.counts[:, columns]
    chosen.sort_indices()
    return FitData(
        normalize(chosen, cells.library_size), cells.codes, split.train, split.validation, len(cells.cell_types)
    )


def search(data: FitData, base: FitSettings, settings: TuneSettings, *, seed: int) -> tuple[Tuned, Watch]:
    watch = Watch()
    tuned = tune(
        data, base=base,
        settings=settings, seed=seed, listener=watch,
    )  # fmt: skip
    return tuned, watch


def stops_at(epochs: Sequence[Epoch], patience: int | None) -> tuple[int, Epoch]:
    """Epochs that are run, and the one that is kept: the rule of `fit`."""
    best = epochs[0]
    for epoch in epochs:
        if epoch.validation_loss < best.validation_loss - 1e-4:
            best = epoch
        elif patience is not None and epoch.number - best.number >= patience:
            return epoch.number, best
    return len(epochs), best


def replay(trials: Sequence[Trial], *, patience: int | None, prune_after: int | None) -> tuple[int, list[int]]:
    """The winner's number, and the epochs that each trial runs."""
    pruner = (
        optuna.pruners.NopPruner() if prune_after is None else optuna.pruners.MedianPruner(n_warmup_steps=prune_after)
    )
    study = optuna.create_study(direction="maximize", pruner=pruner)
    lengths, worth = [], {}
    for recorded in trials:
        length, kept = stops_at(recorded.epochs, patience)
        trial = study.ask()
        for epoch in recorded.epochs[:length]:
            trial.report(epoch.validation_accuracy, epoch.number)
            if epoch.number < len(recorded.epochs) and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                length = epoch.number
                break
        else:
            study.tell(trial, kept.validation_accuracy)
            worth[recorded.number] = (-kept.validation_accuracy, kept.validation_loss, recorded.number)
        lengths.append(length)
    return min(worth, key=lambda number: worth[number]), lengths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--data", default="pbmc3k.h5ad")
    parser.add_argument("--label", default="cell_type")
    parser.add_argument("--max-genes", type=int, default=2000)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--preset", default="default")
    parser.add_argument("--plain", action="store_true", help="trials at a constant learning rate, as published")
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--prune-after", type=int, default=5)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    base = preset(given.preset).fit
    for seed in given.seeds:
        data = read(given.shared / given.data, given.label, seed=seed, max_genes=given.max_genes)
        settings = TuneSettings(
            n_trials=given.trials, max_epochs=given.epochs, pruner="none", plain=given.plain, base_first=not given.plain
        )
        tuned, watch = search(data, base, settings, seed=seed)
        cpu = np.array(watch.cpu)
        whole = [len(trial.epochs) for trial in watch.trials]
        print(
            f"{given.data}, seed {seed}: {len(data.train)} training and {len(data.validation)} validation cells x "
            f"{data.x.shape[1]} genes; {len(watch.trials)} trials of {given.epochs} epochs, {cpu.sum():.0f} CPU s; "
            f"winner: trial {tuned.best_number} ({tuned.best_value:.4f}); trials with that value: "
            f"{(tuned.trials['value'] == tuned.best_value).sum()}"
        )
        print(f"{'patience':>9s} {'prune after':>12s} {'winner':>7s} {'same':>5s} {'value there':>12s} {'epochs':>7s} "
              f"{'CPU saved':>10s}")  # fmt: skip
        for patience in PATIENCES:
            for prune_after in PRUNE_AFTER:
                winner, lengths = replay(watch.trials, patience=patience, prune_after=prune_after)
                value = stops_at(watch.trials[winner].epochs, None)[1].validation_accuracy
                saved = 1 - float(np.sum(cpu * np.array(lengths) / np.array(whole)) / cpu.sum())
                same = "yes" if winner == tuned.best_number else "no"
                print(f"{patience!s:>9s} {prune_after!s:>12s} {winner:7d} {same:>5s} {value:12.4f} {sum(lengths):7d} "
                      f"{saved:10.0%}", flush=True)  # fmt: skip
        if given.again:
            rules = TuneSettings(
                n_trials=given.trials, max_epochs=given.epochs, patience=given.patience, prune_after=given.prune_after,
                plain=given.plain, base_first=not given.plain,
            )  # fmt: skip
            again, spent = search(data, base, rules, seed=seed)
            print(f"searched again with patience {given.patience}, pruning after {given.prune_after} epochs: "
                  f"trial {again.best_number} ({again.best_value:.4f}), {sum(spent.cpu):.0f} CPU s, settings "
                  f"{'the same' if again.settings == tuned.settings else 'others'}")  # fmt: skip


if __name__ == "__main__":
    main()
