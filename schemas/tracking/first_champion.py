"""A name's first champion, given again where a registration was killed before it set the alias.

`client` is an `MlflowClient`; nothing of mlflow is imported here, so both worlds use this.
"""

import shlex
from typing import Any

from cellmark.schemas.errors import Finding
from cellmark.schemas.tracking import registry_tags as tags

PAGE = 1000


def restore_champion(client: Any, name: str, *, registering: str | None = None) -> Finding | None:
    """Make the oldest version of `name` its champion when none ever was; returns a note when something was changed.

    A champion that someone took away stays away: the name keeps in a tag that it had one. Versions without a bundle
    are not cellmark's and are left alone. `registering`: the version that is being registered; that it becomes the
    champion is no repair, so no note is returned for it. Raises what MLflow raises.
    """
    model = client.get_registered_model(name)
    aliases = model.aliases or {}
    given = (model.tags or {}).get(tags.FIRST_CHAMPION)
    if given is not None and tags.CHAMPION in aliases:
        return None
    # Names with a double quote are refused at training, so this filter cannot be closed early.
    found = client.search_model_versions(f'name="{name}"', max_results=PAGE, order_by=["version_number ASC"])
    versions = sorted(int(entry.version) for entry in found if tags.BUNDLE_DIGEST in (entry.tags or {}))
    if not versions or given in {str(version) for version in versions}:
        return None
    champion = str(aliases.get(tags.CHAMPION, versions[0]))
    if tags.CHAMPION not in aliases:
        client.set_registered_model_alias(name, tags.CHAMPION, champion)
    if tags.CHALLENGER not in aliases:
        client.set_registered_model_alias(name, tags.CHALLENGER, str(versions[-1]))
    client.set_registered_model_tag(name, tags.FIRST_CHAMPION, champion)
    if tags.CHAMPION in aliases or champion == registering:
        return None
    return Finding(
        code="ALIAS_RESTORED",
        where=f"models:/{name}@{tags.CHAMPION}",
        expected="a champion among the versions of a registered model",
        found=f"none, since an earlier registration was cut short; version {champion} is the champion now",
        remedy=f"To choose another: cellmark models promote {shlex.quote(name)} --version NUMBER.",
        severity="warning",
    )
