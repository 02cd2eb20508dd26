"""Markers in a terminal."""

import pandas as pd
import pytest

from cellmark.schemas.manifest.marker_table import marker_table
from cellmark.serving.terminal.show_markers import COLUMNS, MARKERS, show_markers


def two_types() -> pd.DataFrame:
    return marker_table(
        cell_type=["CD14+ Monocyte", "CD14+ Monocyte", "CD8+/CD45RA+ Naive Cytotoxic"],
        rank=[1, 2, 1],
        gene_symbol=["S100A8", "LYZ", "[red]"],
        marker_score=[12.3456, 3.2, 0.0123],
        fraction_in=[0.994, 1, 0.5],
        fraction_out=[0.103, 0.5, 0],
        log2_fold_change=[6.418, 5, -0.5],
        auc=[0.987, 0.9, 0.5],
        p_value_adj=[0.0012, 0.05, 1],
        donor_fraction=[1, 0.75, None],
        n_donors_holding=[4, 3, None],
        n_donors=[4, 4, None],
        stability=[1, 0.96, 0],
    )


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_what_decides_is_shown_within_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show_markers(two_types(), "Markers")
    lines = shown(capsys)
    assert max(map(len, lines)) <= 80
    for heading in [entry.heading for entry in COLUMNS]:
        assert heading in lines[1]
    row = next(line for line in lines if "S100A8" in line)
    assert row.split()[-9:] == ["S100A8", "12.3", "99%", "10%", "6.42", "0.99", "0.001", "4/4", "100%"]
    assert any("[red]" in line and line.split()[-2:] == ["-", "0%"] for line in lines)
    assert [line for line in lines[2:] if not line.strip()], "a gap between types"


def test_columns_without_any_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    old = two_types()[["cell_type", "rank", "gene_symbol", "marker_score", "fraction_in"]].assign(auc=None)
    show_markers(old, "Markers")
    assert shown(capsys)[1].split() == ["cell", "type", "rank", "gene", "score", "%", "in"]


def test_tables_of_earlier_versions_show_the_share_of_donors(capsys: pytest.CaptureFixture[str]) -> None:
    show_markers(two_types().drop(columns=["n_donors_holding", "n_donors"]), "Markers")
    row = next(line for line in shown(capsys) if "LYZ" in line)
    assert row.split()[-2:] == ["75%", "96%"]


def test_names_of_genes_stay_whole_beside_long_names_of_types(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = two_types().assign(
        population="new-1", in_panel=True, fraction_next=0.1, log2_fold_change_next=2.0,
        next_cell_type="CD8+/CD45RA+ Naive Cytotoxic", gene_symbol=["S100A8", "LINC0092", "MS4A1"],
    )  # fmt: skip
    show_markers(rows, "Genes of its own", columns=MARKERS)
    lines = shown(capsys)
    assert max(map(len, lines)) <= 80
    assert all(any(name in line for line in lines) for name in rows["gene_symbol"])
