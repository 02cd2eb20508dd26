import numpy as np
import pandas as pd

from cellmark.training.figures.figures import tuning_figure


def trials(states: list[str], values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"number": range(len(states)), "state": states, "value": values})


def test_the_line_is_the_best_complete_value_so_far() -> None:
    frame = trials(["complete", "pruned", "complete", "failed", "complete"], [0.5, 0.9, 0.4, np.nan, 0.7])
    figure = tuning_figure(frame, metric="accuracy", best_number=4)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["best so far"].get_ydata().tolist() == [0.5, 0.5, 0.7, 0.7]
    assert lines["pruned (1)"].get_xdata().tolist() == [1]
    assert lines["complete (3)"].get_xdata().tolist() == [0, 2, 4]
    assert lines["chosen: trial 4 (0.700)"].get_ydata() == [0.7]
    assert axes.get_ylabel() == "accuracy on validation cells"


def test_a_search_without_a_complete_trial_is_a_picture_too() -> None:
    figure = tuning_figure(trials(["failed"], [np.nan]), metric="macro_f1", best_number=None)
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylabel() == "macro-F1 on validation cells"
