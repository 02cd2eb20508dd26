"""A proven bundle becomes a version in MLflow's registry, whole or not at all."""

import importlib.metadata
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CALL_COLUMNS,
    CELL_TYPE,
    COARSE_CELL_TYPE,
    COARSE_COLUMNS,
    LABEL_SET,
    SECOND_CELL_TYPE,
    level_columns,
)
from cellmark.schemas.errors import Finding
from cellmark.schemas.manifest.bundle_files import ANNOTATOR
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.registry_tags import restore_champion
from cellmark.schemas.tracking.tracking_uri import public_uri, registry_of

from .described_model import create_name, describe, version_tags
from .logged_model import (
    MODEL_FOLDER,
    StoredModel,
    create_logged_model,
    link_measures,
    name_version,
    send_files,
    where_models_are_found,
)
from .measures import held_out, manifest_metrics, run_name
from .registry_elsewhere import registry_elsewhere, run_beside

if TYPE_CHECKING:
    import onnx
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

LOADER_MODULE = "cellmark_loader"
LOADER = '''"""Loads this model with the package cellmark, which checks the cells before the model sees them."""


def _load_pyfunc(path):
    try:
        from cellmark.serving.pyfunc import load_model
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("cellmark"):
            raise
        raise ModuleNotFoundError(
            "this model checks its input with the package cellmark, which is not installed here, or is older than the "
            "model. Install it: pip install 'cellmark[cpu]'. Without cellmark, load the tensor form, which checks "
            "nothing: the same address followed by /tensor, such as models:/NAME@ALIAS/tensor.",
            name=error.name,
        ) from None
    return load_model(path)
'''
"""Where MLflow finds `_load_pyfunc`: text beside the bundle, so that a machine without cellmark gets a plain answer."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry. `aliases`: those that it was given at registration. `notes`: what was put right in
    its name's earlier versions. `registry`: where it is, without credentials; None where its run is.
    """

    name: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    notes: tuple[Finding, ...] = field(default=(), compare=False)
    registry: str | None = None

    @property
    def uri(self) -> str:
        """What `--model` takes: `models:/name/version`."""
        return f"models:/{self.name}/{self.version}"


def register_bundle(bundle: Bundle, *, name: str, run_id: str, client: "MlflowClient") -> RegisteredVersion:
    """Log a bundle as a model of a run (see `write_model`) and register that as a version.

    The model is a LoggedModel of the run's experiment and has the manifest's measures. The version carries digests and
    headline measures as tags and becomes `challenger`; the first of its name also becomes `champion`. A registry that
    does not know the run gets a copy of run and model, see `registry_elsewhere.py`. Raises `RegistryError`
    (`REGISTRY_REFUSED`) when something did not arrive; what was registered by then is taken back. The run's artifacts
    stay.
    """
    with ExitStack() as undo:
        stored = _log_model(bundle, name=name, run_id=run_id, client=client, undo=undo)
        registry = registry_elsewhere(client, run_id)
        if registry is None:
            version = _register(bundle, stored, name=name, client=client)
        else:
            with run_beside(client, run_id, registry) as copy:
                version = replace(register_bundle(bundle, name=name, run_id=copy, client=registry), run_id=run_id)
                title = run_name(name, version=version.version, held_out=held_out(bundle.manifest))
                registry.set_tag(copy, "mlflow.runName", title)
        undo.pop_all()
    uri = registry_of(client)
    return version if uri == client.tracking_uri else replace(version, registry=public_uri(uri))


def _log_model(bundle: Bundle, *, name: str, run_id: str, client: "MlflowClient", undo: ExitStack) -> StoredModel:
    """The bundle as a model of a run, whole; `undo` takes it back."""
    facts, description = version_tags(bundle.manifest), describe(bundle.manifest)
    stored = create_logged_model(client, client.get_run(run_id), name=name, facts=facts, description=description)
    if stored.model_id is not None:
        undo.callback(client.delete_logged_model, stored.model_id)
    with tempfile.TemporaryDirectory(prefix="cellmark-model-") as scratch:
        folder = write_model(bundle, Path(scratch) / MODEL_FOLDER, run_id=run_id, model_id=stored.model_id)
        send_files(client, stored, folder)
    link_measures(client, stored, manifest_metrics(bundle.manifest))
    return stored


def _register(bundle: Bundle, stored: StoredModel, *, name: str, client: "MlflowClient") -> RegisteredVersion:
    """A version of a model that is logged, with its aliases, or nothing."""
    manifest, run_id = bundle.manifest, stored.run_id
    facts, description = version_tags(manifest), describe(manifest)
    with ExitStack() as undo:
        if create_name(client, name, manifest):
            undo.callback(client.delete_registered_model, name)
        challenger = client.get_registered_model(name).aliases.get(tags.CHALLENGER)
        with where_models_are_found(client):
            created = client.create_model_version(
                name, stored.source, run_id=run_id, tags=facts, description=description, model_id=stored.model_id
            )
        version = str(created.version)
        undo.callback(client.delete_model_version, name, version)
        if challenger is not None:
            undo.callback(client.set_registered_model_alias, name, tags.CHALLENGER, challenger)
        client.set_registered_model_alias(name, tags.CHALLENGER, version)
        name_version(client, stored, name=name, version=version)
        note = restore_champion(client, name, registering=version)
        undo.pop_all()
    champion = client.get_registered_model(name).aliases.get(tags.CHAMPION)
    aliases = (tags.CHALLENGER, *([tags.CHAMPION] if str(champion) == version else []))
    return RegisteredVersion(name, version, run_id, aliases, () if note is None else (note,))


def write_model(bundle: Bundle, folder: Path, *, run_id: str | None = None, model_id: str | None = None) -> Path:
    """The model's folder as MLflow lays it out. `folder` must not exist. `model_id`: of its LoggedModel.

    Its pyfunc flavor checks cells as cellmark's other doors do, with the bundle in the subfolder `bundle/`. The
    subfolder `tensor/` is a model of its own, of `mlflow.onnx` and its pyfunc flavor, for machines without cellmark.
    The onnx flavor of `folder` is the same graph: the bundle's annotator, byte by byte.
    """
    import mlflow.onnx
    import mlflow.pyfunc
    import onnx
    from mlflow.models import Model

    digests = {tags.BUNDLE_DIGEST: bundle.digest, tags.MANIFEST_DIGEST: bundle.manifest.manifest_digest}
    graph = onnx.load(bundle.path(ANNOTATOR))
    place = MODEL_FOLDER if model_id is None else f"models:/{model_id}"
    model = Model(artifact_path=place, run_id=run_id, model_id=model_id)
    with tempfile.TemporaryDirectory(prefix="cellmark-loader-") as scratch:
        loader = Path(scratch) / f"{LOADER_MODULE}.py"
        loader.write_text(LOADER, encoding="utf-8")
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=LOADER_MODULE,
            code_paths=[str(loader)],
            mlflow_model=model,
            pip_requirements=[f"cellmark[cpu]=={importlib.metadata.version('cellmark')}"],
            metadata=digests,
        )
    shutil.copytree(bundle.folder, folder / tags.BUNDLE_FOLDER)
    tensor = folder / tags.TENSOR_FOLDER
    mlflow.onnx.save_model(
        graph,
        str(tensor),
        mlflow_model=Model(artifact_path=f"{place}/{tags.TENSOR_FOLDER}", run_id=run_id),
        signature=signature_of(graph),
        pip_requirements=model_requirements(),
        onnx_execution_providers=["CPUExecutionProvider"],
        metadata={
            **digests,
            "genes": list(bundle.panel.symbols),
            "gene_ids": list(bundle.panel.gene_ids or ()),
            "cell_types": bundle.manifest.cell_type_names,
        },
        # By default the weights go to a side file of a random name.
        save_as_external_data=False,
    )
    # mlflow serialises the graph anew; the bundle's own bytes are the ones that its digest is of.
    shutil.copyfile(bundle.path(ANNOTATOR), tensor / "model.onnx")
    model.flavors["python_function"]["data"] = tags.BUNDLE_FOLDER
    graph_flavor = dict(Model.load(str(tensor)).flavors["onnx"])
    model.add_flavor("onnx", **{**graph_flavor, "data": f"{tags.TENSOR_FOLDER}/{graph_flavor['data']}"})
    model.signature = gated_signature(bundle.manifest)
    model.save(str(folder / "MLmodel"))
    return folder


def gated_signature(manifest: Manifest) -> "ModelSignature":
    """The columns that come out, and parameters. None for what goes in: a frame may have any genes in any order, and
    cellmark says more of what is wrong than MLflow's comparison with a schema.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    text = {CELL_TYPE, BEST_CELL_TYPE, SECOND_CELL_TYPE, LABEL_SET, COARSE_CELL_TYPE}
    names = [name for name in CALL_COLUMNS if manifest.ontology is not None or name not in COARSE_COLUMNS]
    for number, _ in enumerate(manifest.levels.levels if manifest.levels is not None else (), start=1):
        names += level_columns(number)
        text.add(level_columns(number)[0])
    columns = [ColSpec(DataType.string if name in text else DataType.float, name) for name in names]
    params = [ParamSpec(name, DataType.string, None) for name in ("library_size", "layer", "genes")]
    params += [ParamSpec(name, DataType.boolean, False) for name in ("recover_counts", "orthologs", "as_sample")]
    params.append(ParamSpec("input", DataType.string, "auto"))
    return ModelSignature(outputs=Schema(columns), params=ParamSchema(params))


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
