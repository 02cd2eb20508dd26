"""The same cells in any sound form get the same calls.

Forms: any order of genes and cells, genes beside the model's, columns of one name, sparse or dense, any type of number,
any door.
"""

import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from cellmark.serving import Annotator, Client
from cellmark.serving.app import make_app
from cellmark.serving.client.retry import NO_RETRY
from cellmark.serving.pyfunc import GatedModel
from cellmark.serving.reader.open_apart import open_apart
from fixtures.places import ARCHIVES

MODEL = ARCHIVES / "v1"
N_CELLS = 9
pytestmark = pytest.mark.filterwarnings("ignore:.*names are not unique")

DTYPES = ("float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
LIBRARY = "total"
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)

Layout = Literal[
    "csr", "csr, indices unsorted", "csr, zeros stored", "csr, 64-bit indices", "csc", "dense", "dense, by columns"
]
Door = Literal[
    "memory", "layer", "raw", "h5ad", "json by rows", "json by cells", "npz", "client", "pyfunc frame", "pyfunc arrays"
]


@pytest.fixture(scope="module")
def annotator() -> Annotator:
    return Annotator.load(MODEL)


@pytest.fixture(scope="module")
def client(annotator: Annotator) -> Iterator[TestClient]:
    with TestClient(make_app(annotator), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def base(annotator: Annotator) -> pd.DataFrame:
    """Counts of cells over the model's genes, small enough for every type."""
    symbols = annotator.bundle.panel.symbols
    generator = np.random.default_rng(5)
    rates = generator.gamma(0.7, 3.0, (N_CELLS, len(symbols)))
    counts = np.minimum(generator.poisson(rates), 60)
    counts[:, 0] += 1
    return pd.DataFrame(counts, index=[f"cell-{number}" for number in range(N_CELLS)], columns=symbols)


@pytest.fixture(scope="module")
def expected(annotator: Annotator, base: pd.DataFrame) -> pd.DataFrame:
    obs = pd.DataFrame({LIBRARY: totals(base)}, index=base.index)
    adata = ad.AnnData(sp.csr_matrix(base.to_numpy(dtype=np.float32)), obs=obs, var=pd.DataFrame(index=base.columns))
    return annotator.annotate(adata, library_size=LIBRARY)


def totals(base: pd.DataFrame) -> np.ndarray:
    """Library sizes beyond all counts that a form may add."""
    return base.sum(axis=1).to_numpy(dtype=np.float64) + 3000


@dataclass(frozen=True)
class Form:
    """A sound way to write cells down. `rows`: which, in their order. `ids`: their names. `columns`: the order of all
    columns. `n_extra`: genes beside the model's. `twice`: genes whose counts stand in two columns.
    """

    rows: tuple[int, ...]
    ids: tuple[str, ...]
    columns: tuple[int, ...]
    n_extra: int
    twice: tuple[int, ...]
    layout: Layout
    dtype: str
    door: Door
    seed: int


@st.composite
def forms(draw: st.DrawFn, n_genes: int = 52) -> Form:
    n_rows = draw(st.integers(1, N_CELLS))
    rows = draw(st.permutations(range(N_CELLS)))[:n_rows]
    ids = draw(st.lists(TEXT, min_size=n_rows, max_size=n_rows, unique=True))
    n_extra = draw(st.integers(0, 30))
    twice = draw(st.lists(st.integers(0, n_genes - 1), max_size=6, unique=True))
    door = draw(st.sampled_from(Door.__args__))  # type: ignore[attr-defined]
    if door.startswith(("json", "npz")):
        twice = []  # a request names every gene once
    columns = draw(st.permutations(range(n_genes + n_extra + len(twice))))
    layout = draw(st.sampled_from(Layout.__args__))  # type: ignore[attr-defined]
    dtype, seed = draw(st.sampled_from(DTYPES)), draw(st.integers(0, 2**32 - 1))
    return Form(tuple(rows), tuple(ids), tuple(columns), n_extra, tuple(twice), layout, dtype, door, seed)


def write_down(form: Form, base: pd.DataFrame) -> ad.AnnData:
    """The cells in that form."""
    generator = np.random.default_rng(form.seed)
    counts = base.to_numpy()[list(form.rows)].copy()
    parts, names = [counts], list(base.columns)
    for gene in form.twice:
        moved = generator.binomial(counts[:, gene], 0.5)
        counts[:, gene] -= moved
        parts.append(moved[:, None])
        names.append(base.columns[gene])
    parts.append(generator.poisson(2.0, (len(form.rows), form.n_extra)))
    names += [f"EXTRA-{number}" for number in range(form.n_extra)]
    dense = np.hstack(parts)[:, list(form.columns)].astype(form.dtype)
    obs = pd.DataFrame({LIBRARY: totals(base)[list(form.rows)]}, index=list(form.ids))
    var = pd.DataFrame(index=[names[column] for column in form.columns])
    adata = ad.AnnData(obs=obs, var=var)
    adata.X = laid_out(dense, form, generator)
    return adata


def laid_out(dense: np.ndarray, form: Form, generator: np.random.Generator) -> Any:
    if form.layout == "dense":
        return dense
    if form.layout == "dense, by columns":
        return np.asfortranarray(dense)
    wide = dense.astype(np.float32) if is_half(dense) else dense
    if form.layout == "csc":
        return sp.csc_matrix(wide)
    X = sp.csr_matrix(wide)
    if form.layout == "csr, zeros stored":
        row, column = np.divmod(np.arange(dense.size), dense.shape[1])
        X = sp.csr_matrix((wide.ravel(), (row, column)), shape=dense.shape)
    elif form.layout == "csr, indices unsorted":
        for row in range(X.shape[0]):
            part = slice(X.indptr[row], X.indptr[row + 1])
            order = generator.permutation(part.stop - part.start)
            X.indices[part], X.data[part] = X.indices[part][order], X.data[part][order]
        X.has_sorted_indices = False
    elif form.layout == "csr, 64-bit indices":
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def is_half(X: Any) -> bool:
    """Whether values are of half precision, which SciPy's matrices do not take."""
    return bool(X.dtype == np.float16)


def calls_of(adata: ad.AnnData, door: Door, annotator: Annotator, client: TestClient) -> pd.DataFrame:
    match door:
        case "memory":
            return annotator.annotate(adata, library_size=LIBRARY)
        case "layer":
            adata.layers["counts"], adata.X = adata.X, None
            return annotator.annotate(adata, layer="counts", library_size=LIBRARY)
        case "raw":
            few = adata[:, :3].copy()
            few.raw = adata
            return annotator.annotate(few, layer="raw", library_size=LIBRARY)
        case "h5ad":
            with tempfile.TemporaryDirectory() as folder:
                adata.write_h5ad(Path(folder) / "cells.h5ad")
                with open_apart(Path(folder) / "cells.h5ad") as source:
                    return annotator.annotate(source, library_size=LIBRARY)
        case "client":
            with Client("http://service", transport=client._transport, cells_per_request=4, retry=NO_RETRY) as asking:
                return asking.annotate(adata, library_size=LIBRARY)
        case "pyfunc frame":
            frame = adata.to_df()
            frame[LIBRARY] = adata.obs[LIBRARY]
            return GatedModel(annotator).predict(frame, {"library_size": LIBRARY})
        case "pyfunc arrays":
            arrays = {"genes": adata.var_names, "cell_ids": adata.obs_names, "library_size": adata.obs[LIBRARY]}
            return GatedModel(annotator).predict({**arrays, "counts": adata.X})
        case _:
            return served(adata, door, client)


def served(adata: ad.AnnData, door: Door, client: TestClient) -> pd.DataFrame:
    X = sp.csr_matrix(adata.X.astype(np.float32) if is_half(adata.X) else adata.X)
    sizes = adata.obs[LIBRARY].to_numpy()
    names = adata.var_names.tolist()
    rows: dict[str, Any] = {"genes": names, "cell_ids": adata.obs_names.tolist(), "indptr": X.indptr,
                            "indices": X.indices, "data": X.data, "library_sizes": sizes}  # fmt: skip
    media_type = "application/json"
    if door == "npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{key: np.array(value) for key, value in rows.items()})
        content, media_type = buffer.getvalue(), "application/x-npz"
    elif door == "json by rows":
        content = json.dumps({key: np.asarray(value).tolist() for key, value in rows.items()}).encode()
    else:
        cells = [
            {
                "cell_id": cell_id,
                "library_size": float(sizes[row]),
                "counts": {names[column]: float(X[row, column]) for column in X[row].indices},
            }
            for row, cell_id in enumerate(adata.obs_names)
        ]
        content = json.dumps({"genes": names, "cells": cells}).encode()
    response = client.post("/annotate", content=content, headers={"Content-Type": media_type})
    assert response.status_code == 200, response.text
    return pd.DataFrame(response.json()["cells"]).set_index("cell_id")


@settings(max_examples=150, derandomize=True)
@given(form=forms())
def test_any_sound_form_gets_the_same_calls(
    form: Form, annotator: Annotator, client: TestClient, base: pd.DataFrame, expected: pd.DataFrame
) -> None:
    calls = calls_of(write_down(form, base), form.door, annotator, client)
    same = expected.iloc[list(form.rows)]
    assert calls.index.tolist() == list(form.ids)
    for column in ("cellmark_best_cell_type", "cellmark_second_cell_type", "cellmark_cell_type"):
        assert calls[column].astype(str).tolist() == same[column].astype(str).tolist()
    for column in ("cellmark_confidence", "cellmark_margin"):
        np.testing.assert_allclose(calls[column].to_numpy(float), same[column].to_numpy(float), atol=1e-5)


@settings(max_examples=40, derandomize=True)
@given(form=forms())
def test_an_input_is_left_as_it_was(form: Form, annotator: Annotator, base: pd.DataFrame) -> None:
    adata, again = write_down(form, base), write_down(form, base)
    annotator.annotate(adata, library_size=LIBRARY)
    assert type(adata.X) is type(again.X)
    assert adata.X.dtype == again.X.dtype
    if sp.issparse(adata.X):
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(adata.X, part), getattr(again.X, part))
    else:
        np.testing.assert_array_equal(adata.X, again.X)
    pd.testing.assert_frame_equal(adata.obs, again.obs)
    assert adata.var_names.tolist() == again.var_names.tolist()
