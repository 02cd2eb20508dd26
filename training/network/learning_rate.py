"""One network's learning rate, from batch to batch."""

import math

from .fit_settings import FitSettings

PLATEAU_PATIENCE = 3
PLATEAU_FACTOR = 0.5
PLATEAU_THRESHOLD = 1e-4
"""A loss is better when it is less by this share: with these values as `torch.optim.lr_scheduler.ReduceLROnPlateau`."""


class LearningRate:
    """Rises in a line over the first batches, then follows the schedule from epoch to epoch."""

    def __init__(self, settings: FitSettings) -> None:
        self._settings = settings
        self._steps = 0
        self._epochs = 0
        self._factor = 1.0
        self._best = math.inf
        self._waited = 0

    def next_step(self) -> float:
        """The rate of the next batch."""
        self._steps += 1
        warmed = min(1.0, self._steps / self._settings.warmup_steps) if self._settings.warmup_steps else 1.0
        return self._settings.learning_rate * warmed * self._factor

    def finish_epoch(self, train_loss: float) -> None:
        """All training cells were seen once more."""
        self._epochs += 1
        if self._settings.schedule == "cosine":
            self._factor = (1 + math.cos(math.pi * self._epochs / self._settings.max_epochs)) / 2
        elif self._settings.schedule == "plateau":
            if train_loss < self._best * (1 - PLATEAU_THRESHOLD):
                self._best, self._waited = train_loss, 0
            else:
                self._waited += 1
            if self._waited > PLATEAU_PATIENCE:
                self._factor, self._waited = self._factor * PLATEAU_FACTOR, 0
