"""Where a run and its version are to be seen, in lines for a terminal."""

from ..tracking.register import RegisteredVersion


def where_to_look(version: RegisteredVersion, tracking_uri: str, pages: tuple[str | None, str]) -> list[str]:
    """The store of the run, the command that opens it, its page, and the registry where that is elsewhere. `pages`: as
    in `pages_of`.
    """
    lines = [f"MLflow: {tracking_uri}", *(f"  {page}" for page in pages if page is not None)]
    return lines if version.registry is None else [*lines, f"Registry: {version.registry}"]
