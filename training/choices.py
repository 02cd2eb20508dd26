"""The values that options and settings with a choice take: what the command line offers is what is checked.

Nothing is imported here: the help has to come at once.
"""

from typing import Literal

Device = Literal["cpu", "cuda"]
EvaluationLevel = Literal["fast", "full"]
PresetName = Literal["default", "published"]
Ranking = Literal["evidence", "published", "contribution"]
BaselineKind = Literal["mean", "zero", "random"]
Metric = Literal["accuracy", "macro_f1"]
Pruner = Literal["median", "none"]
Stop = Literal["last_epoch", "validation_loss", "train_loss"]
Method = Literal["wilcoxon", "t-test", "t-test_overestim_var", "logreg", "cosg"]
