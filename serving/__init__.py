"""A bundle names new cells and shows the genes behind each call: `from cellmark.serving import Annotator`, or `Client`
for a service that runs elsewhere.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .annotator import Annotator
    from .client.client import Client
    from .scoring.majority import ComputedClusters

__all__ = ["Annotator", "Client", "ComputedClusters"]


def __getattr__(name: str) -> Any:
    # Late, so that the command line can list its commands without pandas or anndata.
    if name == "Annotator":
        from .annotator import Annotator

        return Annotator
    if name == "Client":
        from .client.client import Client

        return Client
    if name == "ComputedClusters":
        from .scoring.majority import ComputedClusters

        return ComputedClusters
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
