"""What a training run was asked to do."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cellmark.schemas.errors import Finding, ParameterError

from .fit import FitSettings

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training run; paths are where to read, all else goes to MLflow's parameters.

    `label`, `donor`: columns of `obs`. `hold_out`: donors for the test part. `library_size`: an `obs` column, None to
    sum over all genes. `test_data`: an independent labelled file, evaluated as well. `min_cells`: types with fewer are
    left out. `max_genes`: largest panel, None for all genes that pass the filter.
    """

    data: Path
    label: str = "cell_type"
    donor: str | None = None
    hold_out: tuple[str, ...] = ()
    name: str = "cellmark"
    layer: str | None = None
    library_size: str | None = None
    genes_by_cells: bool = False
    test_data: Path | None = None
    test_label: str | None = None
    min_cells: int = 10
    max_genes: int | None = 2000
    min_panel_share: float = 0.5
    seed: int = 0
    device: Device = "cpu"
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        problems = []

        def check(ok: bool, name: str, expected: str, remedy: str, *, of: object = self) -> None:
            if not ok:
                found = repr(getattr(of, name))
                problems.append(Finding("PARAMETER_INVALID", name, expected, found, remedy))

        check(self.min_cells >= 3, "min_cells", "at least 3", "Three parts need three cells of every type.")
        check(self.max_genes is None or self.max_genes >= 2, "max_genes", "at least 2, or 0 for all", "Raise it.")
        check(0 < self.min_panel_share <= 1, "min_panel_share", "above 0, at most 1", "Give a share such as 0.5.")
        check(0 <= self.seed < 2**32, "seed", "a whole number from 0 to 2**32 - 1", "Give another seed.")
        check(self.device in ("cpu", "cuda"), "device", "cpu or cuda", "Name one of them.")
        check(not (self.hold_out and self.donor is None), "hold_out", "a donor column as well",
              "Name the column with --donor.")  # fmt: skip
        named = bool(self.name) and not set(self.name) & set('/:@.%"\\') and self.name == self.name.strip()
        check(named, "name", 'a name without / : @ . % " or \\', "Use letters, digits, - and _.")
        # Written so that NaN fails.
        fit, shape = self.fit, self.fit.shape
        check(fit.max_epochs >= 1, "max_epochs", "at least 1", "Raise it.", of=fit)
        check(fit.patience >= 1, "patience", "at least 1", "Raise it.", of=fit)
        check(fit.batch_size >= 2, "batch_size", "at least 2", "Raise it: BatchNorm needs two cells.", of=fit)
        check(0 < fit.learning_rate < math.inf, "learning_rate", "above 0", "Give a rate such as 0.001.", of=fit)
        check(0 <= fit.weight_decay < math.inf, "weight_decay", "at least 0", "Give a value such as 0.0001.", of=fit)
        check(0 <= fit.noise < math.inf, "noise", "at least 0", "Give a standard deviation such as 1.", of=fit)
        check(0 <= shape.dropout < 1, "dropout", "at least 0, below 1", "Give a share such as 0.25.", of=shape)
        layers = len(shape.hidden_units) >= 1 and all(units >= 1 for units in shape.hidden_units)
        check(
            layers, "hidden_units", "one hidden layer or more, of 1 unit or more", "Give sizes such as 256.", of=shape
        )
        if problems:
            raise ParameterError(*problems)

    def parameters(self) -> dict[str, Any]:
        """Everything that shaped the model, flat, without paths of this machine."""
        flat = {key: value for key, value in asdict(self).items() if key not in ("data", "test_data", "fit")}
        flat["hold_out"] = ",".join(self.hold_out)
        flat["data"] = self.data.name
        flat["test_data"] = self.test_data.name if self.test_data else None
        fit = asdict(self.fit)
        shape = fit.pop("shape")
        return {**flat, **{f"fit.{key}": value for key, value in {**fit, **shape}.items()}}
