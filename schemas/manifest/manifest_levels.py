"""The manifest's section on levels: types grouped from coarse to fine, and calls made of their summed probabilities."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from .manifest_section import Section
from .manifest_trust import flattened


class LevelGroup(Section):
    """Types that have one name at a level. A type that the level does not name is a group by itself, of its own name.
    `ontology_id`: of the term that lies above them, None where it was not asked for or there is none.
    """

    name: str = Field(min_length=1)
    cell_types: list[str] = Field(min_length=1)
    ontology_id: str | None = None


class LevelEntry(Section):
    """One level. `name`: the column of training data that it is of, or `ontology 1`. `temperature`: T of the sums p,
    which are served as p ** (1 / T) / sum(p ** (1 / T)); 1 where that did not make cross-validated confidence better.
    """

    name: str
    groups: list[LevelGroup] = Field(min_length=2)
    temperature: float = Field(default=1.0, gt=0)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(group.name for group in self.groups)

    def members(self, cell_types: Sequence[str]) -> np.ndarray:
        """Which group each type is in, float32 of 0 and 1, types x groups."""
        members = np.zeros((len(cell_types), len(self.groups)), dtype=np.float32)
        members[np.arange(len(cell_types)), self.group_of(cell_types)] = 1
        return members

    def group_of(self, cell_types: Sequence[str]) -> np.ndarray:
        """Number of each type's group, int [types]."""
        places = {name: number for number, group in enumerate(self.groups) for name in group.cell_types}
        return np.array([places[name] for name in cell_types], dtype=int)


class LevelsEntry(Section):
    """`levels`: the coarsest first; each holds every type once, and each group lies within one of the level before."""

    source: Literal["columns", "ontology"]
    levels: list[LevelEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _nested(self) -> "LevelsEntry":
        types = sorted(name for group in self.levels[0].groups for name in group.cell_types)
        for number, level in enumerate(self.levels):
            held = sorted(name for group in level.groups for name in group.cell_types)
            if held != types or len(set(held)) != len(held) or len(set(level.names)) != len(level.groups):
                raise ValueError(f"level {level.name!r} does not hold every type once")
            if number and not nested(self.levels[number - 1].group_of(types), level.group_of(types)):
                raise ValueError(f"level {level.name!r} does not lie within the one before")
        return self


def nested(coarse: np.ndarray, fine: np.ndarray) -> bool:
    """Whether each fine group lies within one coarse group. Both: int [types], numbers of groups."""
    pairs = np.unique(np.stack([fine, coarse]), axis=1)
    return bool(len(np.unique(pairs[0])) == pairs.shape[1])


def level_sums(probabilities: np.ndarray, members: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probability of each group, of sum 1 for each cell, cells x groups. `probabilities`: cells x types; `members`:
    types x groups, see `LevelEntry.members`.
    """
    return flattened(probabilities @ members, temperature)


def level_calls(
    probabilities: np.ndarray, members: np.ndarray, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Number of the most probable group, int32 [cells], and its probability, float32 [cells]. Where the best type has a
    probability above one half, it is of that group.
    """
    sums = level_sums(probabilities, members, temperature)
    called = sums.argmax(axis=1)
    return called.astype(np.int32), np.take_along_axis(sums, called[:, None], axis=1)[:, 0].astype(np.float32)
