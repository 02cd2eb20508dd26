"""A proven bundle becomes a version in MLflow's registry, whole or not at all."""

import importlib.metadata
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import Finding, RegistryError
from cellmark.schemas.manifest.bundle_files import ANNOTATOR
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.registry_tags import restore_champion

from .open_run import store_refusals

if TYPE_CHECKING:
    import onnx
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

MODEL_FOLDER = "model"
"""Where in a run's artifacts the model lies."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry. `aliases`: those that it was given at registration. `notes`: what was put right in
    its name's earlier versions.
    """

    name: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    notes: tuple[Finding, ...] = field(default=(), compare=False)

    @property
    def uri(self) -> str:
        """What `--model` takes: `models:/name/version`."""
        return f"models:/{self.name}/{self.version}"


def register_bundle(bundle: Bundle, *, name: str, run_id: str, client: "MlflowClient") -> RegisteredVersion:
    """Log a bundle to a run as a model of `mlflow.onnx` (with its pyfunc flavor) and register that as a version.

    `model.onnx` is the bundle's annotator, byte by byte; the bundle itself lies in the subfolder `bundle/`. The version
    carries digests and headline measures as tags and becomes `challenger`; the first of its name also becomes
    `champion`. Raises `RegistryError` (`REGISTRY_REFUSED`) when something did not arrive; what was registered by then
    is taken back. The run's artifacts stay.
    """
    with tempfile.TemporaryDirectory(prefix="cellmark-model-") as scratch:
        folder = write_model(bundle, Path(scratch) / MODEL_FOLDER, run_id=run_id)
        wanted = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        artifacts = client.get_run(run_id).info.artifact_uri
        with store_refusals(artifacts):
            client.log_artifacts(run_id, str(folder), MODEL_FOLDER)
            _check_arrived(client, run_id, wanted)
    source = f"{artifacts}/{MODEL_FOLDER}"
    with ExitStack() as undo:
        if _create_name(client, name):
            undo.callback(client.delete_registered_model, name)
        challenger = client.get_registered_model(name).aliases.get(tags.CHALLENGER)
        created = client.create_model_version(
            name, source, run_id=run_id, tags=version_tags(bundle.manifest), description=describe(bundle.manifest)
        )
        version = str(created.version)
        undo.callback(client.delete_model_version, name, version)
        if challenger is not None:
            undo.callback(client.set_registered_model_alias, name, tags.CHALLENGER, challenger)
        client.set_registered_model_alias(name, tags.CHALLENGER, version)
        note = restore_champion(client, name, registering=version)
        undo.pop_all()
    champion = client.get_registered_model(name).aliases.get(tags.CHAMPION)
    aliases = (tags.CHALLENGER, *([tags.CHAMPION] if str(champion) == version else []))
    return RegisteredVersion(name, version, run_id, aliases, () if note is None else (note,))


def write_model(bundle: Bundle, folder: Path, *, run_id: str | None = None) -> Path:
    """The model's folder as `mlflow.onnx` lays it out, with the bundle in it. `folder` must not exist."""
    import mlflow.onnx
    import onnx
    from mlflow.models import Model

    graph = onnx.load(bundle.path(ANNOTATOR))
    mlflow.onnx.save_model(
        graph,
        str(folder),
        mlflow_model=Model(artifact_path=MODEL_FOLDER, run_id=run_id),
        signature=signature_of(graph),
        pip_requirements=model_requirements(),
        onnx_execution_providers=["CPUExecutionProvider"],
        metadata={tags.BUNDLE_DIGEST: bundle.digest, tags.MANIFEST_DIGEST: bundle.manifest.manifest_digest},
        # By default the weights go to a side file of a random name.
        save_as_external_data=False,
    )
    # mlflow serialises the graph anew; the bundle's own bytes are the ones that its digest is of.
    shutil.copyfile(bundle.path(ANNOTATOR), folder / "model.onnx")
    shutil.copytree(bundle.folder, folder / tags.BUNDLE_FOLDER)
    return folder


def signature_of(graph: "onnx.ModelProto") -> "ModelSignature":
    """Tensors in and out, by the graph's names. One column per gene instead would cost 190 ms a call."""
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(values: Any) -> Schema:
        specs = []
        for value in values:
            tensor = value.type.tensor_type
            shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim)
            specs.append(TensorSpec(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type), shape, value.name))
        return Schema(specs)

    return ModelSignature(inputs=schema(graph.graph.input), outputs=schema(graph.graph.output))


def model_requirements() -> list[str]:
    """What an environment needs to run the model without cellmark."""
    requirements = [f"{name}=={importlib.metadata.version(name)}" for name in ("mlflow", "onnx", "numpy")]
    try:
        return [*requirements, f"onnxruntime=={importlib.metadata.version('onnxruntime')}"]
    except importlib.metadata.PackageNotFoundError:
        # The GPU build has releases of its own; its graphs run on any recent CPU build.
        return [*requirements, "onnxruntime>=1.22"]


def version_tags(manifest: Manifest) -> dict[str, str]:
    """Digests and headline measures of a version, for people and for serving."""
    test = manifest.metrics.get("test", {})
    measures = {tags.TEST_ACCURACY: test.get("accuracy"), tags.TEST_MACRO_F1: test.get("macro_f1")}
    return {
        tags.BUNDLE_DIGEST: manifest.bundle_digest,
        tags.MANIFEST_DIGEST: manifest.manifest_digest,
        tags.TRAINING_DATA_DIGEST: manifest.training_data.digest,
        tags.N_CELL_TYPES: str(len(manifest.cell_types)),
        tags.CELLMARK_VERSION: manifest.code.version,
        **{name: f"{value:.6g}" for name, value in measures.items() if value is not None},
    }


def describe(manifest: Manifest) -> str:
    """What MLflow's page of the version says, in Markdown."""
    test = manifest.metrics.get("test", {})
    lines = [
        f"Names {len(manifest.cell_types)} cell types from {manifest.panel.n_genes:,} genes; "
        f"trained on {manifest.split.train.n_cells:,} cells.",
        f"Cell types: {', '.join(manifest.cell_type_names)}.",
    ]
    if test.get("accuracy") is not None:
        lines.append(
            f"On {test['n_cells']:,} test cells: accuracy {test['accuracy']:.4f}, macro-F1 {test['macro_f1']:.4f}."
        )
    lines.append(f"Bundle digest `{manifest.bundle_digest}`.")
    return "\n\n".join(lines)


def _create_name(client: "MlflowClient", name: str) -> bool:
    """Make the registered model; False when it was there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return False
    return True


def _check_arrived(client: "MlflowClient", run_id: str, wanted: set[str]) -> None:
    """Compare what the artifact store lists with what was sent: some stores fail in silence."""
    there: set[str] = set()
    folders = [MODEL_FOLDER]
    while folders:
        for entry in client.list_artifacts(run_id, folders.pop()):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                there.add(entry.path.removeprefix(f"{MODEL_FOLDER}/"))
    missing = sorted(wanted - there)
    if missing:
        raise RegistryError.of(
            "REGISTRY_REFUSED",
            where="artifacts",
            expected=f"all {len(wanted)} files of the model in the artifact store",
            found=f"{len(missing)} missing",
            remedy="Check the artifact store and its rights, then train again.",
            examples=tuple(missing[:5]),
        )
