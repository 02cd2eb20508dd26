import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CALL_COLUMNS, COARSE_COLUMNS
from cellmark.schemas.errors import RegistryError
from cellmark.schemas.manifest.verdict import verdict
from cellmark.training.config import TrainingConfig
from cellmark.training.tracking.described_model import version_tags
from cellmark.training.tracking.register import RegisteredVersion, register_bundle, write_model
from cellmark.training.tracking.track import open_tracker

if TYPE_CHECKING:
    from cellmark.training.run import TrainedModel


@pytest.fixture
def client(mlflow_store: str) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_store)


@pytest.fixture
def run_id(client: MlflowClient, tmp_path: Path) -> str:
    return client.create_run(client.create_experiment("cellmark", artifact_location=str(tmp_path / "art"))).info.run_id


@pytest.fixture(scope="module")
def written(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tiny_bundle, tmp_path_factory.mktemp("written") / "model")


def aliases(client: MlflowClient, name: str = "tiny") -> dict[str, str]:
    return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}


def registered_names(client: MlflowClient) -> list[str]:
    return [model.name for model in client.search_registered_models()]


class FailingClient:
    """An `MlflowClient` of which one method raises."""

    def __init__(self, client: MlflowClient, method: str, *, after: int = 0) -> None:
        self._client, self._method, self._left = client, method, after

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._left -= 1
            if self._left < 0:
                raise MlflowException("the store says no")
        return getattr(self._client, name)


def test_the_models_graph_is_the_bundles_byte_by_byte(written: Path, tiny_bundle: Bundle) -> None:
    assert (written / "tensor" / "model.onnx").read_bytes() == tiny_bundle.path("annotator.onnx").read_bytes()


def test_nothing_that_is_logged_is_pickled(written: Path, tiny_bundle: Bundle) -> None:
    environment = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    bundle = {path.relative_to(tiny_bundle.folder) for path in tiny_bundle.folder.rglob("*") if path.is_file()}
    logged = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert logged == {
        *environment,
        "code/cellmark_loader.py",
        *(f"tensor/{name}" for name in (*environment, "model.onnx")),
        *(f"bundle/{name.as_posix()}" for name in bundle),
    }
    assert not any("python_model" in Model.load(str(folder)).flavors for folder in (written, written / "tensor"))


def test_the_whole_bundle_travels_with_the_model(written: Path, tiny_bundle: Bundle) -> None:
    assert Bundle.open(written / "bundle").manifest == tiny_bundle.manifest


def test_the_model_itself_is_gated_and_its_onnx_flavor_is_the_graph(written: Path) -> None:
    model = Model.load(str(written))
    assert set(model.flavors) == {"onnx", "python_function"}
    assert model.flavors["onnx"]["data"] == "tensor/model.onnx"
    gated = model.flavors["python_function"]
    assert (gated["loader_module"], gated["data"]) == ("cellmark_loader", "bundle")


def test_the_gated_signature_names_columns_and_parameters_and_lets_any_input_through(written: Path) -> None:
    signature = Model.load(str(written)).signature
    assert signature.inputs is None
    assert signature.outputs.input_names() == [name for name in CALL_COLUMNS if name not in COARSE_COLUMNS]
    assert {spec.name: spec.default for spec in signature.params} == {
        "library_size": None,
        "layer": None,
        "genes": None,
        "recover_counts": False,
        "input": "auto",
        "orthologs": False,
        "as_sample": False,
    }


def test_both_flavors_of_the_tensor_form_point_to_the_same_file_on_the_cpu(written: Path) -> None:
    model = Model.load(str(written / "tensor"))
    assert set(model.flavors) == {"onnx", "python_function"}
    assert model.flavors["onnx"]["data"] == model.flavors["python_function"]["data"] == "model.onnx"
    assert model.flavors["onnx"]["providers"] == ["CPUExecutionProvider"]


def test_the_tensor_form_carries_the_names_of_genes_and_types(written: Path, tiny_bundle: Bundle) -> None:
    metadata = Model.load(str(written / "tensor")).metadata
    assert metadata["genes"] == list(tiny_bundle.panel.symbols)
    assert metadata["gene_ids"] == list(tiny_bundle.panel.gene_ids or ())
    assert metadata["cell_types"] == tiny_bundle.manifest.cell_type_names
    assert metadata["bundle_digest"] == tiny_bundle.digest


def test_the_tensor_signature_is_the_graphs_and_has_no_column_per_gene(written: Path, tiny_bundle: Bundle) -> None:
    n_genes, n_types = len(tiny_bundle.panel), len(tiny_bundle.manifest.cell_types)
    signature = Model.load(str(written / "tensor")).signature
    assert [(spec.name, str(spec.type), spec.shape) for spec in signature.inputs.inputs] == [
        ("counts", "float32", (-1, n_genes)),
        ("library_size", "float32", (-1, 1)),
    ]
    outputs = {spec.name: spec.shape for spec in signature.outputs.inputs}
    assert outputs["probabilities"] == (-1, n_types)
    graph = onnx.load(tiny_bundle.path("annotator.onnx")).graph
    assert list(outputs) == [value.name for value in graph.output]


def test_requirements_are_pinned_and_the_tensor_form_needs_neither_cellmark_nor_torch(written: Path) -> None:
    lines = (written / "tensor" / "requirements.txt").read_text().splitlines()
    assert [line.split("==")[0] for line in lines] == ["mlflow", "onnx", "numpy", "onnxruntime"]
    lines += (written / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines)
    assert lines[-1].startswith("cellmark[cpu]==")


def test_the_first_version_is_challenger_and_champion_the_next_is_challenger_only(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle
) -> None:
    first = register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert first == RegisteredVersion("tiny", "1", run_id, ("challenger", "champion"))
    assert aliases(client) == {"challenger": "1", "champion": "1"}
    second = register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert second == RegisteredVersion("tiny", "2", run_id, ("challenger",))
    assert aliases(client) == {"challenger": "2", "champion": "1"}
    assert second.uri == "models:/tiny/2"


def test_a_version_carries_digests_and_headline_measures(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle
) -> None:
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    version = client.get_model_version("tiny", "1")
    manifest = tiny_bundle.manifest
    assert version.tags == {
        "bundle_digest": manifest.bundle_digest,
        "manifest_digest": manifest.manifest_digest,
        "training_data_digest": manifest.training_data.digest,
        "test_accuracy": f"{manifest.metrics['test']['accuracy']:g}",
        "test_macro_f1": f"{manifest.metrics['test']['macro_f1']:g}",
        "n_cell_types": "3",
        "cellmark_version": manifest.code.version,
        "verdict": verdict(manifest),
    }
    assert version.run_id == run_id
    assert verdict(manifest) in version.description
    assert "B cell, NK cell, T cell" in version.description


def test_measures_that_were_not_taken_are_no_tags(tiny_bundle: Bundle) -> None:
    unmeasured = tiny_bundle.manifest.model_copy(update={"metrics": {"test": {"accuracy": None, "macro_f1": None}}})
    assert not {"test_accuracy", "test_macro_f1"} & set(version_tags(unmeasured))


@pytest.mark.parametrize(
    ("method", "after"),
    [("log_model_artifacts", 0), ("create_model_version", 0), ("set_registered_model_alias", 0),
     ("set_registered_model_alias", 1)],
)  # fmt: skip
def test_nothing_of_a_new_name_is_registered_when_a_step_fails(
    method: str, after: int, client: MlflowClient, run_id: str, tiny_bundle: Bundle
) -> None:
    failing: Any = FailingClient(client, method, after=after)
    with pytest.raises(MlflowException, match="says no"):
        register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=failing)
    assert registered_names(client) == []


@pytest.mark.parametrize("method", ["log_model_artifacts", "create_model_version", "set_registered_model_alias"])
def test_earlier_versions_and_aliases_stay_as_they_were_when_a_step_fails(
    method: str, client: MlflowClient, run_id: str, tiny_bundle: Bundle
) -> None:
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    failing: Any = FailingClient(client, method)
    with pytest.raises(MlflowException, match="says no"):
        register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=failing)
    assert aliases(client) == {"challenger": "1", "champion": "1"}
    assert [version.version for version in client.search_model_versions("name='tiny'")] == [1]


def test_a_challenger_that_had_moved_already_is_put_back(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    move = MlflowClient.set_registered_model_alias

    def move_then_fail(self: MlflowClient, name: str, alias: str, version: str) -> None:
        move(self, name, alias, version)
        if str(version) == "2":
            raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", move_then_fail)
    with pytest.raises(KeyboardInterrupt):
        register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert aliases(client) == {"challenger": "1", "champion": "1"}


def test_a_store_that_loses_a_file_in_silence_is_found_out(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = MlflowClient.log_model_artifacts

    def lose(self: MlflowClient, model_id: str, folder: str) -> None:
        (Path(folder) / "bundle" / "explainer.onnx").unlink()
        send(self, model_id, folder)

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", lose)
    with pytest.raises(RegistryError, match=r"bundle/explainer\.onnx"):
        register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert registered_names(client) == []


def test_trainings_that_end_at_once_get_a_version_each(client: MlflowClient, run_id: str, tiny_bundle: Bundle) -> None:
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    found: list[RegisteredVersion] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(version.version for version in found) == ["2", "3", "4"]
    assert aliases(client)["champion"] == "1"


def test_a_failed_registration_fails_the_run(
    mlflow_store: str, client: MlflowClient, trained: "TrainedModel", tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise MlflowException("the store says no")

    monkeypatch.setattr(MlflowClient, "create_model_version", refuse)
    with (
        pytest.raises(RegistryError, match="says no") as caught,
        open_tracker(TrainingConfig(data=tiny_file, name="tiny")) as tracker,
    ):
        tracker.register(trained)
    assert caught.value.code == "REGISTRY_REFUSED"
    assert client.get_run(tracker.run_id).info.status == "FAILED"
    assert registered_names(client) == []
