"""Labelled cells: labels checked, rare types dropped, a digest of what is learned from."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import CellSource, MemoryCells
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.cells.reading_options import NOT_KNOWN
from cellmark.schemas.errors import InputError, LabelError
from cellmark.training.cells.labelled_cells import LabelledCells, ids_of, read_labelled, subset

LABELS = ["T", "B", "T", "rare", "B", "T", "B", "NK", "NK", "NK"]


def labelled_adata() -> ad.AnnData:
    counts = np.random.default_rng(0).poisson(2, (10, 5)) + 1
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(LABELS), "donor": list("aabbaabbab"), "total": 1000.0},
        index=[f"cell-{number}" for number in range(10)],
    )
    adata = ad.AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs)
    adata.var_names = list("VWXYZ")
    return adata


def read(adata: ad.AnnData | CellSource, **settings: object) -> LabelledCells:
    source = adata if isinstance(adata, CellSource) else cells_from_anndata(adata)
    return read_labelled(source, label="cell_type", **{"min_cells": 3, **settings})  # type: ignore[arg-type]


def refused(adata: ad.AnnData, **settings: object) -> dict[str, str]:
    with pytest.raises(LabelError) as caught:
        read(adata, **settings)
    return {finding.code: str(finding) for finding in caught.value.findings}


def test_types_are_numbered_in_sorted_order_and_rare_ones_dropped_by_name_and_count() -> None:
    adata = labelled_adata()
    cells = read(adata, donor="donor")
    assert cells.cell_types == ("B", "NK", "T")
    kept = [number for number, label in enumerate(LABELS) if label != "rare"]
    assert [cells.cell_types[code] for code in cells.codes] == [LABELS[number] for number in kept]
    assert cells.cell_ids.tolist() == adata.obs_names[kept].tolist()
    assert cells.donors is not None
    assert cells.donors.tolist() == adata.obs["donor"].iloc[kept].tolist()
    np.testing.assert_array_equal(cells.counts.toarray(), adata.X[kept].toarray())
    np.testing.assert_array_equal(cells.library_size, np.asarray(adata.X.sum(axis=1)).ravel()[kept])
    assert cells.dropped == {"rare": 1}
    (note,) = cells.notes
    assert (note.code, note.severity) == ("CELL_TYPES_DROPPED", "warning")
    assert "rare (1)" in note.found
    assert cells.cells_per_type() == {"B": 3, "NK": 3, "T": 3}
    assert cells.cells_per_type(np.array([0, 1])) == {"B": 1, "NK": 0, "T": 1}


def test_library_sizes_of_a_column_are_used() -> None:
    cells = read(labelled_adata(), library_size="total")
    assert set(cells.library_size.tolist()) == {1000.0}
    assert cells.library_size_source == "given"


def test_wrong_columns_are_refused_together_with_the_columns_there_are() -> None:
    with pytest.raises(LabelError) as caught:
        read_labelled(cells_from_anndata(labelled_adata()), label="celltype", donor="patient")
    findings = {finding.code: finding.found for finding in caught.value.findings}
    assert set(findings) == {"LABEL_COLUMN_UNKNOWN", "DONOR_COLUMN_UNKNOWN"}
    assert all("cell_type, donor, total" in found for found in findings.values())


@pytest.mark.parametrize("missing", [None, np.nan, "", "  "])
def test_cells_without_a_label_are_refused_by_id(missing: object) -> None:
    adata = labelled_adata()
    labels = adata.obs["cell_type"].astype(object)
    labels.iloc[4] = missing
    adata.obs["cell_type"] = labels
    assert "cell-4" in refused(adata)["LABEL_MISSING"]


def test_a_donor_for_every_cell_is_asked_for() -> None:
    adata = labelled_adata()
    donors = adata.obs["donor"].astype(object)
    donors.iloc[2] = None
    adata.obs["donor"] = donors
    assert "1 cells without" in refused(adata, donor="donor")["DONOR_MISSING"]


def test_one_class_is_refused_with_the_sizes_of_all() -> None:
    text = refused(labelled_adata(), min_cells=4)["LABEL_ONE_CLASS"]
    assert "NK (3)" in text
    assert "--min-cells" in text


def test_wrong_counts_are_refused() -> None:
    adata = labelled_adata()
    adata.X.data[3] = 0.5
    with pytest.raises(InputError, match="COUNTS_NOT_WHOLE"):
        read(adata)


def test_counts_of_logarithms_are_recovered_and_learned_from() -> None:
    generator = np.random.default_rng(1)
    counts = generator.poisson(generator.gamma(1, 2, 80) * generator.lognormal(0, 0.5, (10, 1))).astype(np.float32)
    adata = labelled_adata()
    raw = ad.AnnData(sp.csr_matrix(counts), obs=adata.obs, var=pd.DataFrame(index=[f"GENE{n}" for n in range(80)]))
    logged = raw.copy()
    sc.pp.normalize_total(logged, target_sum=1e4)
    sc.pp.log1p(logged)
    expected, found = read(raw), read(logged)
    assert found.digest() == expected.digest()
    assert found.library_size_source == "summed"
    assert [note.code for note in found.notes] == ["COUNTS_RECOVERED", "CELL_TYPES_DROPPED"]
    assert "as asked" not in found.notes[0].remedy
    with pytest.raises(InputError, match="COUNTS_NOT_WHOLE"):
        read(logged, input="counts")
    with pytest.raises(InputError, match="COUNTS_NOT_NORMALISED"):
        read(raw, input="log1p")
    # Without the steps of counts they cannot be, and whoever needs them is refused.
    logged.X = logged.X.expm1().multiply(generator.uniform(0.5, 2, 80)).tocsr()
    sc.pp.normalize_total(logged, target_sum=1e4)
    sc.pp.log1p(logged)
    with pytest.raises(InputError, match="COUNTS_NOT_WHOLE"):
        read(logged)
    without = read(logged, without_depth=True)
    assert without.normalised
    assert without.library_size_source == NOT_KNOWN
    np.testing.assert_allclose(without.library_size, 1e4, rtol=1e-5)


def test_duplicate_genes_are_summed_and_counted_as_measured() -> None:
    adata = labelled_adata()
    source = cells_from_anndata(adata)
    source.var_names = np.array(["V", "W", "V", "Y", "Z"])
    cells = read(source)
    assert cells.gene_symbols == ("V", "W", "Y", "Z")
    assert cells.n_genes_measured == 5
    dense = adata.X.toarray()[[label != "rare" for label in LABELS]]
    np.testing.assert_array_equal(cells.counts.toarray()[:, 0], dense[:, 0] + dense[:, 2])


def test_values_stored_in_parts_are_one_value_before_any_logarithm() -> None:
    adata = labelled_adata()
    whole = read(adata)
    X = adata.X
    ones = np.repeat(X.indices, X.data.astype(int))
    indptr = np.r_[0, np.cumsum(np.asarray(X.sum(axis=1)).ravel().astype(int))]
    source = cells_from_anndata(adata)
    source.X = sp.csr_matrix((np.ones(len(ones), np.float32), ones, indptr), shape=X.shape)
    cells = read(source)
    assert cells.counts.nnz == whole.counts.nnz
    assert cells.digest() == whole.digest()


def test_the_digest_tells_any_change_of_what_is_learned_from() -> None:
    def digest(**changes: object) -> str:
        adata = labelled_adata()
        for what, change in changes.items():
            if what == "X":
                adata.X.data[0] += 1
            elif what == "var":
                adata.var_names = list("VWXZY")
            elif what == "ids":
                adata.obs_names = [f"c{number}" for number in range(10)]
            else:
                adata.obs[what] = change
        return read(adata, donor="donor", library_size="total").digest()

    changes: list[dict[str, object]] = [
        {}, {"X": True}, {"var": True}, {"ids": True}, {"total": 1001.0}, {"donor": list("aabbaabbaa")},
        {"cell_type": ["B", "T", *LABELS[2:]]},
    ]  # fmt: skip
    digests = [digest(**change) for change in changes]
    assert len(set(digests)) == len(changes)
    assert digest() == digests[0]


def test_ensembl_ids_come_from_the_columns_that_10x_and_cellxgene_use() -> None:
    names = np.array(["MS4A1", "GFP", "LYZ", "LYZ"])
    symbols = ("MS4A1", "GFP", "LYZ")
    ids = ["ENSG00000156738", None, "ENSG00000090382", "ENSG00000000001"]
    cells = MemoryCells(sp.csr_matrix((1, 4)), names, pd.DataFrame(index=["a"]))
    assert ids_of(cells, symbols) == (None,) * 3
    for column in ("gene_ids", "feature_id", "ensembl_id", "gene_id"):
        cells.var = pd.DataFrame({column: ids}, index=names)
        assert ids_of(cells, symbols) == ("ENSG00000156738", None, "ENSG00000090382")
    cells.var = pd.DataFrame({"gene_ids": list("abcd")}, index=names)
    assert ids_of(cells, symbols) == (None,) * 3


def test_an_organism_of_the_file_is_kept() -> None:
    adata = labelled_adata()
    assert read(adata).organism is None
    adata.uns["organism"] = "Homo sapiens"
    assert read(adata).organism == "Homo sapiens"


def test_a_subset_has_the_same_cells_in_the_order_asked_for() -> None:
    cells = read(labelled_adata(), donor="donor")
    part = subset(cells, np.array([5, 0]))
    assert part.cell_ids.tolist() == [cells.cell_ids[5], cells.cell_ids[0]]
    assert part.codes.tolist() == [cells.codes[5], cells.codes[0]]
    np.testing.assert_array_equal(part.counts.toarray(), cells.counts.toarray()[[5, 0]])
    assert part.n_obs == 2


def test_faults_of_labels_donors_and_values_come_at_once() -> None:
    adata = labelled_adata()
    adata.X.data[3] = 0.5
    adata.X.data[9] = np.nan
    adata.obs["donor"] = "d1"
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).replace({"rare": "unassigned"})
    adata.obs["total"] = 0.0
    adata.obs_names = ["twice", "twice", *adata.obs_names[2:]]
    found = refused(adata, donor="donor", library_size="total", held_out=True)
    assert set(found) == {
        "LABEL_RESERVED", "DONOR_ONE", "CELL_ID_DUPLICATE", "LIBRARY_SIZE_INVALID", "COUNTS_NOT_WHOLE", "COUNTS_NAN",
    }  # fmt: skip


def test_an_unknown_label_column_does_not_hide_the_faults_of_values() -> None:
    adata = labelled_adata()
    adata.X.data[3] = -1
    del adata.obs["cell_type"]
    assert set(refused(adata)) == {"LABEL_COLUMN_UNKNOWN", "COUNTS_NEGATIVE"}


def test_warnings_of_labels_are_notes() -> None:
    adata = labelled_adata()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).replace({"T": "unknown"})
    assert [note.code for note in read(adata).notes] == ["LABEL_PLACEHOLDER", "CELL_TYPES_DROPPED"]
