"""A bundle names new cells and shows the genes behind each call: `from cellmark.serving import Annotator`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .annotator import Annotator
    from .scoring.majority import ComputedClusters

__all__ = ["Annotator", "ComputedClusters"]


def __getattr__(name: str) -> Any:
    # Late, so that the command line can list its commands without pandas or anndata.
    if name == "Annotator":
        from .annotator import Annotator

        return Annotator
    if name == "ComputedClusters":
        from .scoring.majority import ComputedClusters

        return ComputedClusters
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
