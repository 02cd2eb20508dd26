"""What a registered model takes and refuses, without MLflow around it."""

import itertools
import json
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError, InputError, ReadError, RequestError
from cellmark.serving import Annotator
from cellmark.serving.pyfunc import GatedModel, load_model


@pytest.fixture(scope="module")
def model(tiny_bundle: Bundle) -> GatedModel:
    return load_model(tiny_bundle.folder)


@pytest.fixture(scope="module")
def counts(new_cells: ad.AnnData) -> pd.DataFrame:
    return new_cells.to_df()


@pytest.fixture(scope="module")
def expected(tiny_bundle: Bundle, new_cells: ad.AnnData) -> pd.DataFrame:
    return Annotator.load(tiny_bundle.folder).annotate(new_cells)


def csr_arrays(X: sp.csr_matrix) -> dict[str, np.ndarray]:
    return {"indptr": X.indptr, "indices": X.indices, "data": X.data}


def test_every_form_of_the_same_cells_gets_the_frame_of_annotate(
    model: GatedModel, new_cells: ad.AnnData, counts: pd.DataFrame, expected: pd.DataFrame
) -> None:
    names = {"genes": np.array(counts.columns), "cell_ids": list(counts.index)}
    turned = counts.iloc[:, np.random.default_rng(0).permutation(counts.shape[1])]
    forms: dict[str, Any] = {
        "frame": counts,
        "genes in another order": turned,
        "whole numbers": counts.astype("int64"),
        "nullable numbers": counts.astype("Int32"),
        "more columns": counts.assign(GFP=0.0, donor="d0"),
        "AnnData": new_cells,
        "arrays": {**names, "counts": counts.to_numpy()},
        "lists": {**names, "counts": counts.to_numpy().tolist(), "library_size": counts.sum(axis=1).tolist()},
        "sparse": {**names, "counts": sp.csc_matrix(counts.to_numpy())},
        "CSR": {**names, **csr_arrays(new_cells.X)},
    }
    for name, given in forms.items():
        pd.testing.assert_frame_equal(model.predict(given), expected, obj=name)
    by_gene = model.predict({gene: counts[gene].to_numpy() for gene in counts})
    pd.testing.assert_frame_equal(by_gene.reset_index(drop=True), expected.reset_index(drop=True))


def test_rows_with_lists_are_the_same_cells_in_any_batches(
    model: GatedModel, new_cells: ad.AnnData, expected: pd.DataFrame
) -> None:
    X = new_cells.X
    rows = [slice(start, stop) for start, stop in itertools.pairwise(X.indptr)]
    frame = pd.DataFrame(
        {
            "cell_id": new_cells.obs_names,
            "indices": [X.indices[row] for row in rows],
            "counts": [X.data[row] for row in rows],
            "total": new_cells.to_df().sum(axis=1).to_numpy(),
        }
    )
    genes = json.dumps(list(new_cells.var_names))
    pd.testing.assert_frame_equal(model.predict(frame, {"genes": genes}), expected)
    batches = [
        model.predict(frame.iloc[start : start + 40], {"genes": genes, "library_size": "total"}).astype(
            {"cellmark_cell_type": object}
        )
        for start in range(0, len(frame), 40)
    ]
    for name in ("cellmark_cell_type", "cellmark_confidence"):
        assert list(pd.concat(batches)[name]) == list(expected[name])
    with pytest.raises(RequestError, match="read_schema"):
        model.predict(frame)
    with pytest.raises(InputError, match="LIBRARY_SIZE_COLUMN_UNKNOWN"):
        model.predict(frame, {"genes": genes, "library_size": "depth"})
    with pytest.raises(RequestError, match="Omit the parameter genes"):
        model.predict(new_cells, {"genes": genes})


def test_no_input_is_changed(model: GatedModel, new_cells: ad.AnnData) -> None:
    turned = new_cells.X[:, ::-1].copy()
    assert not turned.has_sorted_indices
    names = list(new_cells.var_names[::-1])
    for given in ({"genes": names, **csr_arrays(turned)}, {"genes": names, "counts": turned}):
        before = {name: np.copy(values) for name, values in csr_arrays(turned).items()}
        model.predict(given)
        for name, values in csr_arrays(turned).items():
            np.testing.assert_array_equal(values, before[name], err_msg=name)


def test_a_path_is_read_by_a_separate_process(model: GatedModel, new_file: Path, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(model.predict(str(new_file), {"input": "counts"}), expected)


def test_logarithms_of_counts_per_10_000_get_the_calls_of_the_counts(
    model: GatedModel, counts: pd.DataFrame, expected: pd.DataFrame
) -> None:
    values = np.log1p(counts.div(counts.sum(axis=1), axis=0) * 1e4)
    answer = model.predict(values, {"input": "auto"})
    assert list(answer["cellmark_cell_type"]) == list(expected["cellmark_cell_type"])
    np.testing.assert_allclose(answer["cellmark_confidence"], expected["cellmark_confidence"], atol=1e-5)
    with pytest.raises(InputError, match="COUNTS_NOT_WHOLE"):
        model.predict(values, {"input": "counts"})


def test_a_column_of_library_sizes_is_no_gene(model: GatedModel, new_cells: ad.AnnData, counts: pd.DataFrame) -> None:
    total = counts.sum(axis=1) * 2
    answer = model.predict(counts.assign(total=total), {"library_size": "total", "layer": None, "orthologs": False})
    assert answer.attrs["cellmark"]["library_size_source"] == "given"
    arrays = {"genes": list(counts.columns), "counts": counts.to_numpy(), "library_size": total.to_numpy()[:, None]}
    np.testing.assert_array_equal(model.predict(arrays)["cellmark_confidence"], answer["cellmark_confidence"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda frame: frame.T, "MATRIX_TRANSPOSED"),
        (lambda frame: frame.iloc[:, :5], "TOO_FEW_GENES"),
        (lambda frame: frame.set_axis(range(frame.shape[1]), axis=1), "NO_GENES_SHARED"),
        (lambda frame: frame.where(frame > 0), "COUNTS_NAN"),
        (lambda frame: np.sqrt(frame), "COUNTS_NOT_WHOLE"),
        (lambda frame: frame.iloc[[0, 0]], "CELL_ID_DUPLICATE"),
        (lambda frame: frame.iloc[:0], "NO_CELLS"),
        (lambda frame: frame.astype(str), "NO_GENES"),
        (lambda frame: {"counts": frame.to_numpy(), "library_size": frame.sum(axis=1).to_numpy()}, "REQUEST_INVALID"),
        (lambda frame: {"genes": list(frame), "counts": frame.to_numpy(), "size": 1}, "REQUEST_INVALID"),
        (lambda frame: {"genes": list(frame), "indptr": [0]}, "REQUEST_INVALID"),
        (lambda frame: {"genes": list(frame), "counts": frame.iloc[:5].to_numpy().T}, "MATRIX_INVALID"),
        (lambda frame: {"genes": list(frame), "counts": frame.iloc[0].to_numpy()}, "REQUEST_INVALID"),
        (lambda frame: {"genes": list(frame), "counts": frame.astype(str).to_numpy()}, "REQUEST_INVALID"),
        (lambda frame: {"GENE0": [1, 2], "GENE1": [1]}, "REQUEST_INVALID"),
        (lambda frame: {}, "REQUEST_INVALID"),
        (lambda frame: frame.to_numpy(), "REQUEST_INVALID"),
        (lambda frame: [frame], "REQUEST_INVALID"),
        (lambda frame: "nowhere.h5ad", "FILE_NOT_FOUND"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(model: GatedModel, counts: pd.DataFrame, change: Any, code: str) -> None:
    with pytest.raises(CellmarkError) as refused:
        model.predict(change(counts))
    assert code in [finding.code for finding in refused.value.findings]
    assert isinstance(refused.value, (InputError, ReadError, RequestError))


def test_counts_without_names_are_led_to_the_tensor_form(model: GatedModel, counts: pd.DataFrame) -> None:
    with pytest.raises(RequestError, match="models:/NAME@ALIAS/tensor"):
        model.predict({"counts": counts.to_numpy(), "library_size": counts.sum(axis=1).to_numpy()})


def test_answers_name_the_version_that_mlflow_fetched(
    tiny_bundle: Bundle, counts: pd.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "bundle").symlink_to(tiny_bundle.folder)
    (tmp_path / "registered_model_meta").write_text("model_name: pbmc\nmodel_version: '3'\n")
    facts = load_model(tmp_path / "bundle").predict(counts).attrs["cellmark"]
    assert (facts["model"], facts["model_version"]) == ("pbmc", "3")
