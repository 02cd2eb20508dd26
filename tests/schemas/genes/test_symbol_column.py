"""Genes named by a column of var that the user names."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.errors import InputError
from cellmark.schemas.genes.symbol_column import named_by
from cellmark.serving import Annotator


def numbered(cells: ad.AnnData, column: str) -> ad.AnnData:
    """The same cells with numbers as names of genes, and the names in a column that nobody would look into."""
    var = pd.DataFrame({column: cells.var_names.to_numpy()}, index=[f"g{number}" for number in range(cells.n_vars)])
    return ad.AnnData(cells.X, obs=cells.obs[[]], var=var)


def test_calls_are_those_of_the_symbols(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    cells = numbered(new_cells, "what the lab calls them")
    with pytest.raises(InputError, match="NO_GENES_SHARED"):
        annotator.annotate(cells)
    frame = annotator.annotate(cells, symbol_column="what the lab calls them")
    pd.testing.assert_frame_equal(frame, annotator.annotate(new_cells))


def test_the_column_goes_before_names_that_are_symbols_too(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    cells = new_cells.copy()
    cells.var["turned"] = cells.var_names[::-1]
    turned = ad.AnnData(cells.X, obs=cells.obs[[]], var=pd.DataFrame(index=cells.var_names[::-1]))
    frame = annotator.annotate(cells, symbol_column="turned")
    pd.testing.assert_frame_equal(frame, annotator.annotate(turned))
    assert not np.allclose(frame["cellmark_margin"], annotator.annotate(new_cells)["cellmark_margin"])


def test_a_gene_without_a_symbol_keeps_its_name() -> None:
    var = pd.DataFrame({"symbol": pd.Categorical(["MS4A1", None, " "])}, index=["g1", "g2", "g3"])
    source = named_by(cells_from_anndata(ad.AnnData(np.ones((2, 3), dtype=np.float32), var=var)), "symbol")
    assert source.var_names.tolist() == source.var.index.tolist() == ["MS4A1", "g2", "g3"]
    assert source.load().shape == source.take(np.array([0, 1])).shape == (2, 3)


def test_index_is_the_names_of_var_unless_a_column_is_called_so() -> None:
    def source(**columns: list[str]) -> MemoryCells:
        cells = ad.AnnData(np.ones((2, 1), dtype=np.float32), var=pd.DataFrame(columns, index=["g1"]))
        return cells_from_anndata(cells)  # type: ignore[return-value]

    plain = source()
    assert named_by(plain, "index") is plain
    assert named_by(source(index=["MS4A1"]), "index").var_names.tolist() == ["MS4A1"]


def test_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    var = pd.DataFrame({f"c{number}": ["x"] for number in range(20)}, index=["g1"])
    cells = cells_from_anndata(ad.AnnData(np.ones((2, 1), dtype=np.float32), var=var))
    with pytest.raises(InputError, match="GENE_COLUMN_UNKNOWN") as caught:
        named_by(cells, "symbols")
    (finding,) = caught.value.findings
    assert finding.found == f"'symbols', where var has {', '.join(f'c{n}' for n in range(12))}, ..."
