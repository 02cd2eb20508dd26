"""Colours that stay apart for colour-blind readers, and names that stay readable."""

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from cellmark.training.figures.figure_style import CELLS, COLOURS, EXPRESSION, LONGEST_LABEL, SIGNED, short, type_styles

# Machado, Oliveira and Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1, on linear RGB.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(colours: np.ndarray, vision: str) -> np.ndarray:
    """CIELAB (D65) of sRGB colours as eyes of this kind see them."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISIONS[vision]).T, 0, 1)
    xyz = seen @ TO_XYZ.T / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def least_difference(colours: tuple[str, ...], vision: str) -> float:
    """The smallest distance in CIELAB between two of these, white and black."""
    seen = lab(np.array([to_rgb(colour) for colour in (*colours, "white", "black")]), vision)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    return float(distances[~np.eye(len(seen), dtype=bool)].min())


@pytest.mark.parametrize("vision", VISIONS)
def test_twenty_colours_of_types_differ_from_each_other_and_from_white_and_black(vision: str) -> None:
    assert len(set(COLOURS)) == 20
    assert least_difference(COLOURS, vision) > (25 if vision == "usual" else 12)  # just noticeable: 2.3
    assert least_difference(COLOURS[:8], vision) > 15


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("name", [CELLS, EXPRESSION])
def test_lightness_falls_throughout_the_maps_of_expression(name: str, vision: str) -> None:
    lightness = lab(colormaps[name](np.linspace(0, 1, 64))[:, :3], vision)[:, 0]
    assert (np.diff(lightness) < 0.6).all()
    assert lightness[0] - lightness[-1] > 60


@pytest.mark.parametrize("vision", VISIONS)
def test_the_two_sides_of_the_signed_map_are_told_apart(vision: str) -> None:
    assert np.linalg.norm(np.subtract(*lab(colormaps[SIGNED]([0.2, 0.8])[:, :3], vision))) > 40
    assert lab(colormaps[SIGNED]([0.5])[:, :3], vision)[0, 0] > 94


def test_160_types_have_styles_of_their_own() -> None:
    assert len(set(type_styles(160))) == 160
    assert type_styles(170)[160:] == type_styles(10)
    assert {style.shape for style in type_styles(20)} == {"o"}


def test_long_names_keep_both_ends() -> None:
    (name,) = short(["CD4-positive, alpha-beta memory T cell of the lamina propria, subtype 17"])
    assert len(name) <= LONGEST_LABEL + 1
    assert name.startswith("CD4-positive, al")
    assert name.endswith("subtype 17")
    assert short(["T cell", "a$b"]) == ["T cell", r"a\$b"]
