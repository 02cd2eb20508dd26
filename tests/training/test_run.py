"""A whole training run on synthetic cells: what it leaves on disk, again and again the same, and how it refuses."""

import json
import pickletools
import socket
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import onnxruntime as ort
import pytest
import scanpy as sc
import scipy.sparse as sp
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.reading_options import NOT_KNOWN
from cellmark.schemas.errors import CellmarkError, Finding, InputError, LabelError, OutputError, ReadError
from cellmark.schemas.manifest.bundle_files import GENES, MARKERS
from cellmark.schemas.manifest.manifest import MANIFEST_NAME
from cellmark.schemas.manifest.manifest_section import sha256
from cellmark.schemas.normalization import normalize
from cellmark.schemas.reference_profile import read_profile
from cellmark.serving import Annotator
from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.contributions import mean_of_types
from cellmark.training.network.fit import FitSettings, predict_logits
from cellmark.training.run import TrainedModel, train
from cellmark.training.steps.evaluate_independent import check_independent
from fixtures.places import ROOT

if TYPE_CHECKING:
    import pandas as pd

SHORT = FitSettings(shape=NetworkShape((16,)), max_epochs=6)


class Hearing(Listener):
    """Writes down the steps and notes, and counts the rest."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[Finding] = []
        self.n_epochs = 0
        self.n_data = 0
        self.n_trials = 0

    def step(self, name: str) -> None:
        self.steps.append(name)

    def note(self, finding: Finding) -> None:
        self.notes.append(finding)

    def data(self, cells: object, split: object) -> None:
        self.n_data += 1

    def trial(self, trial: object) -> None:
        self.n_trials += 1

    def epoch(self, epoch: object) -> None:
        self.n_epochs += 1


@pytest.fixture(scope="module")
def donors_model(tiny_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, Hearing]:
    """Trained on all donors but one, with an independent test file that lacks genes and has a type of its own."""
    folder = tmp_path_factory.mktemp("donors")
    cells = tiny_cells.copy()
    cells.obs["donor"] = [f"d{number % 4}" for number in range(cells.n_obs)]
    cells.obs["total"] = np.asarray(cells.X.sum(axis=1)).ravel() * 2
    cells.uns["organism"] = "Homo sapiens"
    cells.write_h5ad(folder / "cells.h5ad")
    other = tiny_cells[::3, 5:].copy()
    other.obs["label"] = np.where(np.arange(other.n_obs) < 4, "Unheard of", other.obs["cell_type"])
    other.obs["n_counts"] = np.asarray(other.X.sum(axis=1)).ravel()
    other.layers["raw_counts"] = other.X.copy()
    other.write_h5ad(folder / "other.h5ad")
    config = TrainingConfig(
        data=folder / "cells.h5ad", donor="donor", hold_out=("d2",), library_size="total", name="donors", fit=SHORT,
        test_data=folder / "other.h5ad", test_label="label", test_library_size="n_counts", test_layer="raw_counts",
        seed=3,
    )  # fmt: skip
    listener = Hearing()
    return train(config, folder / "bundle", listener), listener


def test_the_listener_hears_every_step_note_and_epoch(donors_model: tuple[TrainedModel, Hearing]) -> None:
    model, listener = donors_model
    assert listener.steps[0] == "Reading cells"
    assert listener.steps[-1] == "Writing the bundle"
    assert len(set(listener.steps)) == len(listener.steps)
    assert listener.n_data == 1
    assert listener.n_epochs == len(model.fitted.epochs) == 6


def test_the_manifest_stores_data_split_and_settings(donors_model: tuple[TrainedModel, Hearing]) -> None:
    model, _ = donors_model
    manifest = model.bundle.manifest
    assert manifest == model.manifest
    assert manifest.name == "donors"
    assert manifest.organism == "Homo sapiens"
    assert manifest.cell_type_names == ["B cell", "NK cell", "T cell"]
    assert manifest.training_data.digest == model.cells.digest()
    assert manifest.training_data.library_size_source == "given"
    assert manifest.training_data.cells_per_type == {"B cell": 40, "NK cell": 40, "T cell": 40}
    assert manifest.n_genes_measured == 120
    split = manifest.split
    assert (split.strategy, split.seed, split.test.donors) == ("donor", 3, ["d2"])
    assert split.train.n_cells + split.validation.n_cells + split.test.n_cells == 120
    ids = "\n".join(sorted(model.cells.cell_ids[model.split.test])).encode()
    assert split.test.cell_ids_sha256 == sha256(ids)
    assert manifest.network.hidden_units == [[16]] * 5
    assert manifest.network.n_members == 5
    assert manifest.normalization.log == "natural"
    assert manifest.thresholds is None


def test_measures_are_those_of_the_registered_model_on_test_cells(donors_model: tuple[TrainedModel, Hearing]) -> None:
    model, _ = donors_model
    cells, test = model.cells, model.split.test
    columns = [cells.gene_symbols.index(symbol) for symbol in model.bundle.panel.symbols]
    x = normalize(cells.counts[:, columns], cells.library_size)
    logits = torch.stack([predict_logits(classifier, x) for classifier in model.fitted.classifiers])
    calls = logits.mean(dim=0).argmax(1).numpy()
    stored = model.bundle.manifest.metrics["test"]
    assert stored["n_cells"] == len(test)
    assert stored["accuracy"] == pytest.approx(accuracy_score(cells.codes[test], calls[test]))
    assert stored["macro_f1"] == pytest.approx(f1_score(cells.codes[test], calls[test], average="macro"))
    assert stored["confusion"] == confusion_matrix(cells.codes[test], calls[test], labels=[0, 1, 2]).tolist()
    names = np.array(cells.cell_types)
    assert model.test_calls["call"].tolist() == names[calls[test]].tolist()
    assert model.test_calls["label"].tolist() == names[cells.codes[test]].tolist()


def test_an_independent_file_is_evaluated_without_the_types_it_alone_has(
    donors_model: tuple[TrainedModel, Hearing],
) -> None:
    stored = donors_model[0].bundle.manifest.metrics["independent"]
    assert (stored["n_cells"], stored["n_unknown_cells"]) == (36, 4)
    missing = {f"GENE{number}" for number in range(5)} & set(donors_model[0].bundle.panel.symbols)
    assert stored["n_genes_missing"] == len(missing) > 0
    assert stored["library_size_source"] == "given"
    # As the Python door calls them, which sums the same library sizes.
    other = ad.read_h5ad(donors_model[0].bundle.folder.parent / "other.h5ad")
    calls = Annotator.load(donors_model[0].bundle.folder).annotate(other)["cellmark_best_cell_type"].to_numpy()
    labels = other.obs["label"].to_numpy()
    known = labels != "Unheard of"
    assert stored["accuracy"] == pytest.approx((calls == labels)[known].mean())


def test_panel_baselines_and_expression_come_from_training_cells_only(
    donors_model: tuple[TrainedModel, Hearing],
) -> None:
    model, _ = donors_model
    genes, cells, rows = model.bundle.genes, model.cells, model.split.train
    columns = [cells.gene_symbols.index(symbol) for symbol in genes["gene_symbol"]]
    x = normalize(cells.counts[rows][:, columns], cells.library_size[rows])
    np.testing.assert_allclose(genes["baseline"], mean_of_types(x, cells.codes[rows], 3), rtol=1e-6)
    np.testing.assert_allclose(genes["mean_expression"], x.toarray().mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(genes["fraction_expressing"], (x.toarray() > 0).mean(axis=0), rtol=1e-6)
    assert genes["attribution_share"].sum() == pytest.approx(1)
    for name in cells.cell_types:
        assert genes[f"attribution_share:{name}"].sum() == pytest.approx(1)
    markers: pd.DataFrame = model.bundle.markers
    assert len(markers) == 3 * len(genes)


def same_training(config: TrainingConfig, folder: Path) -> Bundle:
    return train(config, folder, Hearing()).bundle


def test_same_data_and_seed_give_the_same_files_to_the_byte(tiny_file: Path, tmp_path: Path) -> None:
    config = TrainingConfig(data=tiny_file, name="twin", fit=SHORT)
    moved = tmp_path / "elsewhere" / "other-name.h5ad"
    moved.parent.mkdir()
    moved.write_bytes(tiny_file.read_bytes())
    one, two = (
        same_training(config, tmp_path / "one"), same_training(replace(config, data=moved), tmp_path / "deeper" / "two")
    )  # fmt: skip
    assert one.digest == two.digest
    assert one.manifest.files == two.manifest.files
    manifests = [json.loads(bundle.path(MANIFEST_NAME).read_bytes()) for bundle in (one, two)]
    for manifest in manifests:
        for name in ("created", "environment", "manifest_digest"):
            manifest.pop(name)
    assert manifests[0] == manifests[1]
    other = same_training(replace(config, seed=1), tmp_path / "other")
    assert other.digest != one.digest


def test_no_file_of_the_bundle_names_this_machine_or_is_a_pickle(
    trained: TrainedModel, tiny_file: Path, tiny_cells: ad.AnnData
) -> None:
    checkout, folder = ROOT, trained.bundle.folder
    told = [str(checkout), str(tiny_file.parent), str(folder.parent), str(Path.home()) + "/", "/tmp/",
            tiny_file.name]  # fmt: skip
    if len(socket.gethostname()) > 5:  # a shorter one may stand among any bytes
        told.append(socket.gethostname())
    cell_ids = [str(name) for name in tiny_cells.obs_names]
    for path in sorted(folder.rglob("*")):
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for content in contents:
            for text in (*told, *cell_ids):
                assert text.encode() not in content, f"{text} in {path.name}"
            assert not is_pickle(content), path.name


def is_pickle(content: bytes) -> bool:
    if not content.startswith(b"\x80"):
        return False
    try:
        list(pickletools.genops(content))
    except ValueError:
        return False
    return True


def test_graphs_take_the_panel_and_answer_the_types(trained: TrainedModel) -> None:
    bundle = trained.bundle
    for name in ("annotator.onnx", "explainer.onnx"):
        session = ort.InferenceSession(str(bundle.path(name)))
        shapes = {value.name: value.shape for value in session.get_inputs()}
        assert shapes["counts"][1] == len(bundle.panel) == len(bundle.genes)
    assert bundle.path(GENES).exists()
    assert set(bundle.markers["gene_symbol"]) == set(bundle.panel.symbols)
    assert bundle.path(MARKERS).exists()


def change(name: str, value: object) -> Callable[[ad.AnnData], None]:
    def apply(cells: ad.AnnData) -> None:
        cells.obs[name] = value

    return apply


@pytest.mark.parametrize(
    ("changes", "settings", "error", "code"),
    [
        (lambda cells: None, {"label": "celltype"}, LabelError, "LABEL_COLUMN_UNKNOWN"),
        (change("cell_type", "B cell"), {}, LabelError, "LABEL_ONE_CLASS"),
        (lambda cells: None, {"donor": "donor", "hold_out": ("nobody",)}, LabelError, "HOLD_OUT_UNKNOWN"),
        (lambda cells: None, {"test_data": Path("nowhere.h5ad")}, ReadError, "FILE_NOT_FOUND"),
        (lambda cells: None, {"layer": "counts"}, ReadError, "LAYER_UNKNOWN"),
    ],
)
def test_data_that_cannot_be_used_are_refused_and_leave_nothing(
    tiny_cells: ad.AnnData, tmp_path: Path, changes: Callable[[ad.AnnData], None], settings: dict[str, object],
    error: type[CellmarkError], code: str,
) -> None:  # fmt: skip
    cells = tiny_cells.copy()
    changes(cells)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(error, match=code):
        train(TrainingConfig(data=tmp_path / "cells.h5ad", fit=SHORT, **settings), tmp_path / "new", Hearing())  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad"]


def test_an_independent_file_without_its_labels_is_refused_before_training(tiny_file: Path, tmp_path: Path) -> None:
    listener = Hearing()
    config = TrainingConfig(data=tiny_file, test_data=tiny_file, test_label="gate", fit=SHORT)
    with pytest.raises(LabelError, match="LABEL_COLUMN_UNKNOWN"):
        train(config, tmp_path / "new", listener)
    assert listener.steps == ["Reading cells"]


def test_a_folder_that_exists_is_refused_before_anything_is_read(tiny_file: Path, tmp_path: Path) -> None:
    listener = Hearing()
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        train(TrainingConfig(data=tiny_file, fit=SHORT), tmp_path, listener)
    assert listener.steps == []


def test_a_type_that_only_the_held_out_donor_has_is_left_out_with_a_note(
    tiny_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = tiny_cells.copy()
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    labels[:12] = "epsilon"
    donors = np.array([f"d{number % 3}" for number in range(cells.n_obs)])
    donors[:12] = "d0"
    cells.obs["cell_type"], cells.obs["donor"] = labels, donors
    cells.write_h5ad(tmp_path / "cells.h5ad")
    listener = Hearing()
    config = TrainingConfig(data=tmp_path / "cells.h5ad", donor="donor", hold_out=("d0",), fit=SHORT)
    model = train(config, tmp_path / "bundle", listener)
    assert model.manifest.cell_type_names == ["B cell", "NK cell", "T cell"]
    assert model.manifest.training_data.dropped_cell_types == {"epsilon": 12}
    assert any(
        note.code == "CELL_TYPES_DROPPED" and "epsilon (0 of 12 cells left)" in note.found for note in listener.notes
    )
    assert model.manifest.metrics["test"]["n_cells"] == int(((donors == "d0") & (labels != "epsilon")).sum())


def test_an_independent_file_without_the_library_sizes_of_training_is_refused(
    tiny_cells: ad.AnnData, tmp_path: Path
) -> None:
    """Summed over the genes of that file they would be of another scale, and nobody would know."""
    cells = tiny_cells.copy()
    cells.obs["n_counts"] = np.asarray(cells.X.sum(axis=1)).ravel()
    cells.write_h5ad(tmp_path / "other.h5ad")
    config = TrainingConfig(data=tmp_path / "cells.h5ad", library_size="total", test_data=tmp_path / "other.h5ad")
    with pytest.raises(InputError, match="LIBRARY_SIZE_COLUMN_UNKNOWN") as caught:
        check_independent(config)
    (finding,) = caught.value.findings
    assert "n_counts" in finding.found
    assert "--test-library-size" in finding.remedy
    check_independent(replace(config, test_library_size="n_counts"))
    check_independent(replace(config, library_size=None))
    with pytest.raises(InputError, match="LAYER"):
        check_independent(replace(config, library_size=None, test_layer="none"))


def test_a_model_of_normalised_values_makes_no_depth_up(tiny_cells: ad.AnnData, tmp_path: Path) -> None:
    cells = tiny_cells.copy()
    cells.X = sp.csr_matrix(sp.csr_matrix(cells.X).multiply(np.random.default_rng(0).uniform(0.4, 3, cells.n_vars)))
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    cells.write_h5ad(tmp_path / "tpm.h5ad")
    listener = Hearing()
    model = train(TrainingConfig(data=tmp_path / "tpm.h5ad", fit=SHORT, n_members=1), tmp_path / "bundle", listener)
    assert "no thinning" in next(note for note in listener.notes if note.code == "COUNTS_NORMALISED").remedy
    manifest = model.bundle.manifest
    assert manifest.network.parameters["least_counts"] == 1.0
    assert manifest.training_data.library_size_source == NOT_KNOWN
    assert manifest.evaluation is not None
    assert (manifest.evaluation.depth, model.bundle.library_size_range) == ([], None)
    assert "total_counts" in model.bundle.expectations["not_measured"]["cells"]
    assert read_profile(model.bundle).overall.library_size is None
    # Counts are called by it without a word on their depth.
    assert Annotator.load(model.bundle.folder).annotate(tiny_cells).attrs["cellmark"]["notes"] == []
