"""The search for settings as a picture: what every trial gave and the best value so far."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .figure_style import BLUE, GREY, ORANGE, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


def tuning_figure(trials: pd.DataFrame, *, metric: str, best_number: int | None) -> "Figure":
    """Values of complete and pruned trials, the best so far as a line, and the trial that was chosen.

    `trials`: as `trials_frame` gives. A pruned trial's value is that of its last epoch. Failed ones have none.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.5, 3.8)
    axes = figure.add_subplot()
    complete, pruned = (trials[trials["state"] == state] for state in ("complete", "pruned"))
    axes.plot(pruned["number"], pruned["value"], "x", color=GREY, markersize=5, label=f"pruned ({len(pruned)})")
    axes.plot(complete["number"], complete["value"], "o", color=BLUE, markersize=5, label=f"complete ({len(complete)})")
    if len(complete):
        numbers, best = complete["number"].to_numpy(), np.maximum.accumulate(complete["value"].to_numpy(dtype=float))
        last = max(int(trials["number"].max()), int(numbers[-1]))
        axes.step(np.append(numbers, last), np.append(best, best[-1]), where="post", color=ORANGE, label="best so far")
    if best_number is not None:
        (value,) = trials.loc[trials["number"] == best_number, "value"]
        axes.plot(
            [best_number],
            [value],
            "o",
            color="none",
            markeredgecolor=ORANGE,
            markersize=12,
            markeredgewidth=1.5,
            label=f"chosen: trial {best_number} ({value:.3f})",
        )
    axes.set(xlabel="trial", ylabel=f"{METRICS[metric]} on validation cells", title=f"Search over {len(trials)} trials")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    plain(axes)
    return figure
