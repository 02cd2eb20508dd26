"""What every answer of a model has to say of the model itself."""

from ..errors import Finding
from .manifest import Manifest


def notes_on_model(manifest: Manifest) -> tuple[Finding, ...]:
    """A warning for a model of another tool, nothing for one that cellmark trained."""
    if manifest.imported is None:
        return ()
    return (
        Finding(
            "MODEL_IMPORTED",
            where="model",
            expected="calibrated confidence and a threshold of novelty, measured on cells that were held out",
            found=f"a model imported from {manifest.imported.tool}: its confidence is not calibrated, and no cell "
            "stays unassigned",
            remedy="Every cell gets a type, also one of a type that the model has never seen, and confidence is the "
            "sigmoid of one type alone: it is no rate of right calls, and those of all types do not sum to one.",
            severity="warning",
        ),
    )
