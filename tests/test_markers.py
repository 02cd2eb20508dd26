import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError, ParameterError
from cellmark.serving.markers import read_markers, select_markers


def test_all_markers_are_the_bundle_s_table(tiny_bundle: Bundle) -> None:
    table = read_markers(tiny_bundle.folder)
    pd.testing.assert_frame_equal(table, pd.read_parquet(tiny_bundle.path("markers.parquet")))
    assert set(table["cell_type"]) == {"B cell", "NK cell", "T cell"}


def test_the_first_ranks_of_one_type_come_in_order(tiny_bundle: Bundle) -> None:
    table = select_markers(tiny_bundle, "NK cell", top=4)
    assert set(table["cell_type"]) == {"NK cell"}
    assert list(table["rank"]) == [1, 2, 3, 4]
    assert list(table.index) == [0, 1, 2, 3]
    assert table["mean_contribution"].is_monotonic_decreasing


def test_the_first_marker_of_a_type_with_genes_of_its_own_is_one_of_them(tiny_bundle: Bundle) -> None:
    """The synthetic types were drawn with ten genes each: GENE0-9, GENE10-19, GENE20-29."""
    for number, name in enumerate(["B cell", "NK cell", "T cell"]):
        first = select_markers(tiny_bundle, name, top=1)["gene_symbol"]
        assert set(first) <= {f"GENE{number * 10 + offset}" for offset in range(10)}


def test_an_unknown_type_and_no_ranks_are_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(ModelError, match="B cell, NK cell, T cell"):
        select_markers(tiny_bundle, "Nope")
    with pytest.raises(ParameterError):
        select_markers(tiny_bundle, top=0)
