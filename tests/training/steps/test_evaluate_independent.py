"""Labels of two files brought to shared names."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from cellmark.schemas.errors import InputError, LabelError, ParameterError
from cellmark.training.config import TrainingConfig
from cellmark.training.steps.evaluate_independent import (
    evaluate_independent,
    fit_independent,
    harmonize,
    read_label_map,
    unused,
)

if TYPE_CHECKING:
    import anndata as ad

    from cellmark.training.run import TrainedModel

TYPES = ("B", "CD4 T", "CD8 T", "NK")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_coarser_labels_of_the_file_make_the_models_types_coarser() -> None:
    labels = np.array(["B", "T", "T", "NK"])
    codes, calls, names = harmonize(labels, np.array([0, 1, 2, 2]), TYPES, {"CD4 T": "T", "CD8 T": "T"})
    assert names == ("B", "T", "NK")
    assert codes.tolist() == [0, 1, 1, 2]
    assert calls.tolist() == [0, 1, 1, 1]


def test_finer_labels_of_the_file_are_brought_to_the_models_type() -> None:
    labels = np.array(["naive B", "memory B", "NK", "CD34+"])
    codes, calls, names = harmonize(labels, np.array([0, 0, 3, 1]), TYPES, {"naive B": "B", "memory B": "B"})
    assert names == TYPES
    assert codes.tolist() == [0, 0, 3, -1]
    assert calls.tolist() == [0, 0, 3, 1]


def test_without_a_map_names_are_compared_as_they_stand() -> None:
    codes, calls, names = harmonize(np.array(["NK", "b"]), np.array([3, 0]), TYPES, {})
    assert (names, codes.tolist(), calls.tolist()) == (TYPES, [3, -1], [3, 0])


def test_a_map_is_read_with_other_columns_and_spaces_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "map.csv", '\ufefffrom,note,to\nCD4 T, x, T \n"a,b",,B\n')
    assert read_label_map(path) == {"CD4 T": "T", "a,b": "B"}


def test_names_that_neither_side_has_are_told() -> None:
    assert unused(["B"], TYPES, {"B": "b", "NK": "nk", "Tcell": "T"}) == ["Tcell"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\nx,y\n", "columns from and to"),
        ("from,to\nx,\n", "two names"),
        ("from,to\nx,y\nx,z\n", "one name for each"),
        ("", "columns from and to"),
        (b"from,to\n\xff\xfe,z\n", "UTF-8"),
        (None, "can be read"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str | bytes | None, says: str) -> None:
    path = tmp_path / "map.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ParameterError, match=says) as refused:
        read_label_map(path)
    assert refused.value.code == "PARAMETER_INVALID"


def test_an_independent_file_with_coarser_labels_is_compared_under_shared_names(
    trained: "TrainedModel", new_cells: "ad.AnnData", tiny_file: Path, tmp_path: Path
) -> None:
    other = new_cells.copy()
    other.obs["label"] = ["B cell" if name == "B cell" else "lymphoid" for name in other.obs["cell_type"]]
    other.write_h5ad(tmp_path / "other.h5ad")
    table = write(tmp_path / "map.csv", "from,to\nNK cell,lymphoid\nT cell,lymphoid\nILC,lymphoid\n")
    config = TrainingConfig(
        data=tiny_file, test_data=tmp_path / "other.h5ad", test_label="label", test_labels=table, name="tiny"
    )
    graph = onnx.load(trained.bundle.folder / "annotator.onnx")
    found = evaluate_independent(config, trained.cells, trained.bundle.panel, graph)
    assert found["cell_types"] == ["B cell", "lymphoid"]
    assert found["label_map"] == {"NK cell": "lymphoid", "T cell": "lymphoid", "ILC": "lymphoid"}
    assert found["unused_in_label_map"] == ["ILC"]
    assert found["n_unknown_cells"] == 0
    assert found["accuracy"] > 0.9
    assert np.sum(found["confusion"]) == other.n_obs
    low, high = found["accuracy_interval"]
    assert low <= found["accuracy"] <= high


def test_a_map_without_a_file_to_use_it_on_is_refused(tiny_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="test_labels"):
        TrainingConfig(data=tiny_file, test_labels=tmp_path / "map.csv")


def given(cells: "ad.AnnData", labels: list[str], path: Path, tiny_file: Path, **settings: Any) -> TrainingConfig:
    other = cells.copy()
    other.obs["label"] = labels
    other.write_h5ad(path)
    return TrainingConfig(data=tiny_file, test_data=path, test_label="label", **settings)


def test_a_file_that_shares_no_label_is_refused_before_networks_are_fitted(
    trained: "TrainedModel", new_cells: "ad.AnnData", tiny_file: Path, tmp_path: Path
) -> None:
    config = given(new_cells, ["b cells"] * new_cells.n_obs, tmp_path / "other.h5ad", tiny_file)
    with pytest.raises(LabelError) as refused:
        fit_independent(config, trained.cells, trained.bundle.panel)
    assert refused.value.code == "LABELS_NOT_SHARED"
    assert "--test-labels" in str(refused.value)
    table = write(tmp_path / "map.csv", "from,to\nb cells,B cell\n")
    mapped = replace(config, test_labels=table)
    assert fit_independent(mapped, trained.cells, trained.bundle.panel) == ()


def test_labels_that_the_model_does_not_know_are_named_with_their_cells(
    trained: "TrainedModel", new_cells: "ad.AnnData", tiny_file: Path, tmp_path: Path
) -> None:
    labels = ["B cell"] * (new_cells.n_obs - 5) + ["CD34+"] * 2 + ["mast"] * 3
    config = given(new_cells, labels, tmp_path / "other.h5ad", tiny_file)
    (finding,) = fit_independent(config, trained.cells, trained.bundle.panel)
    assert (finding.code, finding.severity, finding.examples) == ("LABELS_NOT_SHARED", "warning", ("mast", "CD34+"))
    assert f"others for 5 of {new_cells.n_obs} cells" in finding.found


def test_a_file_of_other_genes_is_refused_before_networks_are_fitted(
    trained: "TrainedModel", new_cells: "ad.AnnData", tiny_file: Path, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.var_names = [f"other{number}" for number in range(cells.n_vars)]
    config = given(cells, ["B cell"] * cells.n_obs, tmp_path / "other.h5ad", tiny_file)
    with pytest.raises(InputError) as refused:
        fit_independent(config, trained.cells, trained.bundle.panel)
    assert refused.value.code == "NO_GENES_SHARED"
    assert all(finding.where.startswith("--test, ") for finding in refused.value.findings)
