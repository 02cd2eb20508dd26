from pathlib import Path

import pytest

from cellmark.schemas.errors import OutputError
from cellmark.training.figures.figure_style import new_figure
from cellmark.training.figures.figures import png, save_figures


def test_figures_and_bytes_become_files_of_their_names(tmp_path: Path) -> None:
    figure = new_figure(2, 1)
    save_figures({"one": figure, "two": b"png"}, tmp_path / "new" / "figures")
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "figures").iterdir()}
    assert written == {"one.png": png(figure), "two.png": b"png"}


def test_nothing_is_left_when_a_figure_cannot_be_drawn(tmp_path: Path) -> None:
    broken = new_figure(2, 1)
    broken.text(0.5, 0.5, r"$\frac{$")
    with pytest.raises(ValueError, match="frac"):
        save_figures({"one": b"png", "two": broken}, tmp_path / "figures")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(OutputError) as refused:
        save_figures({"one": b"png"}, tmp_path)
    assert refused.value.findings[0].code == "OUTPUT_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
