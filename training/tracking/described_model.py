"""What MLflow's pages say of a registered model and of its versions: tags and descriptions."""

import shlex
from typing import TYPE_CHECKING

from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.verdict import verdict
from cellmark.schemas.tracking import registry_tags as tags

from .measures import held_out

if TYPE_CHECKING:
    from mlflow import MlflowClient

TASK = "cell type annotation"


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
        tags.VERDICT: verdict(manifest),
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
    if manifest.imported is not None:
        lines.insert(
            0, f"Imported from {manifest.imported.tool}: probabilities do not sum to one, every cell gets a type."
        )
    if test.get("accuracy") is not None:
        lines.append(
            f"On {test['n_cells']:,} test cells ({held_out(manifest)}): accuracy {test['accuracy']:.4f}, "
            f"macro-F1 {test['macro_f1']:.4f}."
        )
    lines.append(verdict(manifest))
    lines.append(f"Bundle digest `{manifest.bundle_digest}`.")
    return "\n\n".join(lines)


def describe_name(name: str, manifest: Manifest) -> str:
    """What MLflow's page of the registered model says, in Markdown: what holds for all its versions."""
    kind = f"{manifest.organism} cells" if manifest.organism else "cells"
    uri = shlex.quote(f"models:/{name}@{tags.CHAMPION}")
    return (
        f"Names the type of single {kind} from their RNA counts. Registered by cellmark.\n\n"
        f"`{tags.CHAMPION}` is the version in use, `{tags.CHALLENGER}` the newest one.\n\n"
        f"```console\ncellmark annotate CELLS.h5ad --model {uri} -o calls.parquet\n"
        f"cellmark report --model {uri} -o report.html\n```"
    )


def name_tags(manifest: Manifest) -> dict[str, str]:
    """What a search over registered models goes by."""
    found = {"registered_by": "cellmark", "task": TASK, "organism": manifest.organism}
    return {key: value for key, value in found.items() if value}


def create_name(client: "MlflowClient", name: str, manifest: Manifest) -> bool:
    """Make the registered model; False when it was there, which then gets what it lacks of description and tags."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, tags=name_tags(manifest), description=describe_name(name, manifest))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    else:
        return True
    model = client.get_registered_model(name)
    if not model.description:
        client.update_registered_model(name, describe_name(name, manifest))
    for key, value in name_tags(manifest).items():
        if key not in (model.tags or {}):
            client.set_registered_model_tag(name, key, value)
    return False
