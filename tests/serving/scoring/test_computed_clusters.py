"""Clusters that are computed for a vote: within types, the same again, written beside the calls, and without torch."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CLUSTER, MAJORITY_CELL_TYPE, MAJORITY_SHARE
from cellmark.schemas.errors import CellmarkError
from cellmark.serving import Annotator, ComputedClusters
from cellmark.serving.scoring.majority import resolution_for
from cellmark.training.populations.group_cells import cluster_counts
from fixtures.places import ARCHIVES

ARCHIVE = ARCHIVES / "v1"


def test_clusters_are_many_and_each_is_of_one_type(new_cells: ad.AnnData) -> None:
    types = new_cells.obs["cell_type"].to_numpy()
    sizes = []
    for resolution in (0.5, 5.0):
        codes = cluster_counts(sp.csr_matrix(new_cells.X), resolution=resolution, seed=0)
        assert (pd.crosstab(codes, types) > 0).sum(axis=1).max() == 1
        assert np.array_equal(np.bincount(codes), sorted(np.bincount(codes), reverse=True))
        sizes.append(codes.max() + 1)
    assert sizes[0] == 3
    assert sizes[1] > 6


def test_calls_stay_and_the_vote_is_that_of_the_computed_clusters(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    before = new_cells.X.copy()
    found = annotator.annotate(new_cells, over=ComputedClusters(resolution=1.0))
    assert (before != new_cells.X).nnz == 0
    plain = annotator.annotate(new_cells)
    pd.testing.assert_frame_equal(found[list(plain.columns)], plain)
    given = annotator.annotate(new_cells, over=found[CLUSTER])
    for column in (MAJORITY_CELL_TYPE, MAJORITY_SHARE):
        assert found[column].tolist() == given[column].tolist()
    assert CLUSTER not in given
    again = annotator.annotate(new_cells, over=ComputedClusters(resolution=1.0))
    pd.testing.assert_frame_equal(found, again)


@pytest.mark.parametrize("name", ["calls.h5ad", "calls.csv", "calls.parquet"])
def test_clusters_are_written_beside_the_majority(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_file: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    ran = cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out, "--over-computed", "--resolution", 1)
    assert ran.status == 0, ran.err
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    table = ad.read_h5ad(out).obs if out.suffix == ".h5ad" else readers[out.suffix](out)
    cells = ad.read_h5ad(new_file)
    expected = Annotator.load(tiny_bundle.folder).annotate(cells, over=ComputedClusters(resolution=1.0))
    assert table[CLUSTER].astype(str).tolist() == expected[CLUSTER].astype(str).tolist()
    assert table[MAJORITY_CELL_TYPE].tolist() == expected[MAJORITY_CELL_TYPE].tolist()


def test_values_that_are_no_counts_are_refused_as_without_a_vote(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    wrong = new_cells.copy()
    wrong.X = wrong.X * 0.5
    annotator = Annotator.load(tiny_bundle.folder)
    with pytest.raises(CellmarkError) as plain:
        annotator.annotate(wrong)
    with pytest.raises(CellmarkError) as voted:
        annotator.annotate(wrong, over=ComputedClusters())
    assert voted.value.findings == plain.value.findings


@pytest.mark.parametrize("n_cells", [1, 2])
def test_a_cell_or_two_are_one_cluster(tiny_bundle: Bundle, new_cells: ad.AnnData, n_cells: int) -> None:
    found = Annotator.load(tiny_bundle.folder).annotate(new_cells[:n_cells].copy(), over=ComputedClusters())
    assert found[CLUSTER].tolist() == ["0"] * n_cells


def test_more_cells_than_are_clustered_at_once_are_refused_before_any_work(
    tiny_bundle: Bundle, new_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellmark.serving.scoring.majority.MOST_CELLS", 119)
    seen: list[int] = []
    with pytest.raises(CellmarkError, match="INPUT_TOO_LARGE"):
        Annotator.load(tiny_bundle.folder).annotate(new_cells, over=ComputedClusters(), on_progress=seen.append)
    assert seen == []


def test_without_the_package_of_leiden_the_remedy_is_named_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cellmark.serving.scoring.training_steps.find_spec",
        lambda name: None if name == "graspologic_native" else object(),
    )
    with pytest.raises(
        CellmarkError, match=r"no graspologic_native.*pip install 'cellmark\[clusters\]'.*EXTRA_MISSING"
    ):
        ComputedClusters()


@pytest.mark.parametrize("resolution", [0, -1, 1000, float("nan")])
def test_a_resolution_outside_its_range_is_refused(resolution: float) -> None:
    with pytest.raises(CellmarkError, match="PARAMETER_INVALID"):
        ComputedClusters(resolution=resolution)


@pytest.mark.parametrize(
    ("n_cells", "resolution"), [(1, 5), (4_999, 5), (5_000, 10), (20_000, 15), (99_999, 20), (100_000, 25), (10**6, 30)]
)
def test_the_resolution_grows_with_the_number_of_cells(n_cells: int, resolution: float) -> None:
    assert resolution_for(n_cells) == resolution


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--over", "leiden", "--over-computed"), "give only one of them"), (("--resolution", 1), "--over-computed")],
)
def test_options_that_contradict_each_other_are_refused(
    cellmark: Callable[..., Any],
    tiny_bundle: Bundle,
    new_file: Path,
    tmp_path: Path,
    options: tuple[Any, ...],
    told: str,
) -> None:
    ran = cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", tmp_path / "calls.csv", *options)
    assert ran.status == 2
    assert told in ran.err


def test_a_process_that_votes_loads_no_torch(new_file: Path) -> None:
    program = """
        import sys
        import anndata
        from cellmark.serving import Annotator, ComputedClusters

        cells = anndata.read_h5ad(sys.argv[2])
        frame = Annotator.load(sys.argv[1], min_panel_share=0.01).annotate(cells, over=ComputedClusters())
        assert "cellmark_cluster" in frame
        print(sorted({"torch", "mlflow", "bentoml", "onnx"} & set(sys.modules)))
        """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), ARCHIVE, new_file], capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == "[]", ran.stderr
