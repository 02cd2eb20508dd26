"""The manifest's section on a model that another tool trained: what it is, and what nobody measured of it."""

from typing import Literal

from .manifest_section import Section


class ImportedEntry(Section):
    """`classifier`: the class that was fitted; `file_sha256`: of the tool's file; `description`: its maker's words.
    `clip`: standardised expression above it is taken as this much; `centred`: whether the mean is subtracted.

    `probabilities_sum_to_one`: False for one sigmoid per type, of which several or none may be large.
    `thresholds_measured`, `calibrated`: False, as the file holds no cells to measure novelty or calibration on.
    """

    tool: Literal["CellTypist"]
    classifier: str
    file_sha256: str
    description: dict[str, str] = {}
    clip: float
    centred: bool
    probabilities_sum_to_one: bool = False
    thresholds_measured: bool = False
    calibrated: bool = False
