"""Names that training writes into MLflow's registry and serving reads from it, and a name's first champion.

`client` is an `MlflowClient`; nothing of mlflow is imported here, so both worlds use this.
"""

import shlex
from typing import Any

from cellmark.schemas.errors import Finding

CHAMPION = "champion"
CHALLENGER = "challenger"

RUN_MODEL = "model"
"""What a run's URI calls its model: `runs:/RUN_ID/model`."""
BUNDLE_FOLDER = "bundle"
"""Subfolder of a version's artifacts that is the bundle."""
TENSOR_FOLDER = "tensor"
"""Subfolder that is a model of its own, which takes tensors and needs no cellmark."""

# Tags of a version, written when it is registered.
BUNDLE_DIGEST = "bundle_digest"
MANIFEST_DIGEST = "manifest_digest"
TRAINING_DATA_DIGEST = "training_data_digest"
TEST_ACCURACY = "test_accuracy"
TEST_MACRO_F1 = "test_macro_f1"
N_CELL_TYPES = "n_cell_types"
CELLMARK_VERSION = "cellmark_version"
VERDICT = "verdict"
"""Whether the version is weak, in a sentence."""

# Tags of a run whose version is in a registry of another store, and of its copy there.
REGISTERED_AT = "registered_at"
TRAINED_AT = "trained_at"
TRAINED_RUN = "trained_run_id"

FIRST_CHAMPION = "first_champion"
"""Tag of a name: the version that was its champion first. A name without it was never given one."""

# Tags of a version, written when it is given an alias.
PROMOTED_TO = "promoted_to"
PROMOTED_BY = "promoted_by"
PROMOTED_AT = "promoted_at"
PROMOTED_FROM = "promoted_from"


def until(alias: str) -> str:
    """Tag of a version that lost an alias: when."""
    return f"{alias}_until"


def replaced_by(alias: str) -> str:
    """Tag of a version that lost an alias: the version that has it since."""
    return f"{alias}_replaced_by"


PAGE = 1000


def restore_champion(client: Any, name: str, *, registering: str | None = None) -> Finding | None:
    """Make the oldest version of `name` its champion when none ever was; returns a note when something was changed.

    A champion that someone took away stays away: the name keeps in a tag that it had one. Versions without a bundle
    are not cellmark's and are left alone. `registering`: the version that is being registered; that it becomes the
    champion is no repair, so no note is returned for it. Raises what MLflow raises.
    """
    model = client.get_registered_model(name)
    aliases = model.aliases or {}
    given = (model.tags or {}).get(FIRST_CHAMPION)
    if given is not None and CHAMPION in aliases:
        return None
    # Names with a double quote are refused at training, so this filter cannot be closed early.
    found = client.search_model_versions(f'name="{name}"', max_results=PAGE, order_by=["version_number ASC"])
    versions = sorted(int(entry.version) for entry in found if BUNDLE_DIGEST in (entry.tags or {}))
    if not versions or given in {str(version) for version in versions}:
        return None
    champion = str(aliases.get(CHAMPION, versions[0]))
    if CHAMPION not in aliases:
        client.set_registered_model_alias(name, CHAMPION, champion)
    if CHALLENGER not in aliases:
        client.set_registered_model_alias(name, CHALLENGER, str(versions[-1]))
    client.set_registered_model_tag(name, FIRST_CHAMPION, champion)
    if CHAMPION in aliases or champion == registering:
        return None
    return Finding(
        code="ALIAS_RESTORED",
        where=f"models:/{name}@{CHAMPION}",
        expected="a champion among the versions of a registered model",
        found=f"none, since an earlier registration was cut short; version {champion} is the champion now",
        remedy=f"To choose another: cellmark models promote {shlex.quote(name)} --version NUMBER.",
        severity="warning",
    )
