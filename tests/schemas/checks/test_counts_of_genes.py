"""What is no gene counts nowhere: neither as a gene nor in the library size."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.checks.counts_of_genes import GeneCells, counts_of_genes
from cellmark.schemas.errors import InputError
from cellmark.schemas.genes.gene_panel import GenePanel

GENES = ["MS4A1", "CD3D", "LYZ", "NKG7", "CD8A", "GNLY", "FOO1", "FOO2"]
PANEL = GenePanel(("MS4A1", "CD3D", "LYZ", "NKG7"))


def cells(names: list[str], extra: np.ndarray | None = None, n_obs: int = 30, **var: list[str]) -> ad.AnnData:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, size=(n_obs, len(GENES))) + 1
    X = counts if extra is None else np.hstack([counts, extra])
    frame = pd.DataFrame(var, index=[*GENES, *names][: X.shape[1]])
    return ad.AnnData(sp.csr_matrix(X.astype(np.float32)), var=frame)


def check(adata: ad.AnnData, **options: object) -> CheckedCells:
    return CheckedCells(cells_from_anndata(adata), PANEL, **options)  # type: ignore[arg-type]


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(1).poisson(50, size=(30, n))


CASES = {
    "types": (["CD20", "CD4"], noise(2), {"feature_types": ["GEX"] * 8 + ["ADT"] * 2}),
    "suffix": (["CD20:AB", "CD4:AB"], noise(2), {}),
    "summary rows": (["__no_feature", "N_unmapped"], noise(2), {}),
    "spike-ins": (["ERCC-00002", "ERCC-00130"], noise(2), {}),
    "metadata": (["n_counts", "percent_mito"], noise(2), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_that_of_the_genes_alone(case: str) -> None:
    names, extra, var = CASES[case]
    plain, mixed = check(cells([])).load(), (checked := check(cells(names, extra, **var))).load()
    np.testing.assert_array_equal(mixed.library_size, plain.library_size)
    np.testing.assert_array_equal(mixed.counts.toarray(), plain.counts.toarray())
    (note,) = [note for note in checked.notes if note.code == "FEATURES_DROPPED"]
    assert (note.severity, note.examples) == ("info", tuple(names))


def test_a_column_of_totals_is_found_by_its_values_whatever_its_name() -> None:
    counts = cells([]).X.sum(axis=1)
    for extra in (counts, np.hstack([counts, counts])):
        names = ["zzz", "yyy"][: extra.shape[1]]
        checked = check(cells(names, np.asarray(extra)))
        assert checked.source.var_names.tolist() == GENES
        np.testing.assert_array_equal(checked.load().library_size, np.asarray(counts).ravel())
    # A total over spike-ins too, which are left out by name.
    with_spikes = np.hstack([noise(1), np.asarray(counts) + noise(1)])
    assert check(cells(["ERCC-00002", "zzz"], with_spikes)).source.var_names.tolist() == GENES


def test_a_known_gene_with_half_of_all_counts_stays() -> None:
    adata = cells(["ALB"], np.asarray(cells([]).X.sum(axis=1)))
    assert check(adata).source.n_vars == 9
    few = cells(["zzz"], np.asarray(cells([]).X.sum(axis=1)))[:2].copy()
    assert check(few).source.n_vars == 9


def test_a_clean_input_is_handed_on_as_it_is() -> None:
    source = cells_from_anndata(cells([]))
    assert counts_of_genes(source) is source
    assert CheckedCells(source, PANEL).source is source


def test_a_model_without_the_rule_counts_as_in_its_training() -> None:
    names, extra, var = CASES["types"]
    adata = cells(names, extra, **var)
    checked = check(adata, feature_rule=None)
    np.testing.assert_array_equal(checked.load().library_size, np.asarray(adata.X.sum(axis=1)).ravel())
    assert [note.code for note in checked.notes if note.code.startswith("FEATURES")] == ["FEATURES_KEPT"]


def test_errors_come_with_all_others() -> None:
    adata = cells(["a", "b", "c", "d"], noise(4), feature_types=["alpha"] * 8 + ["beta"] * 4)
    adata.X.data[0] = 0.5
    with pytest.raises(InputError) as caught:
        check(adata).load()
    assert {finding.code for finding in caught.value.findings} == {"FEATURE_TYPES_UNKNOWN", "COUNTS_NOT_WHOLE"}


def test_no_gene_left_is_an_error() -> None:
    source = MemoryCells(
        sp.csr_matrix(noise(2)), np.array(["CD3:AB", "CD4:AB"]), pd.DataFrame(index=[*map(str, range(30))])
    )
    with pytest.raises(InputError) as caught:
        CheckedCells(source, PANEL)
    assert "FEATURES_NOT_GENES" in {finding.code for finding in caught.value.findings}


def test_chunks_takes_and_other_matrices_have_the_same_genes() -> None:
    names, extra, var = CASES["suffix"]
    adata = cells(names, extra, **var)
    adata.layers["counts"] = adata.X.copy()
    source = counts_of_genes(cells_from_anndata(adata))
    assert isinstance(source, GeneCells)
    assert {chunk.X.shape[1] for chunk in source.chunks(7)} == {8}
    assert source.take(np.array([1, 5])).shape == (2, 8)
    assert source.others[0].take(np.array([1, 5])).shape == (2, 8)
    assert len(source.var) == source.n_vars == 8
