"""A program that fetches one model and ends: MLflow's 150 MB are in memory only while a version is on its way.

    python -m cellmark.serving.versions.fetch_program models:/pbmc@champion

Its last line is JSON: the bundle's folder, name, version and digest, or the findings of an error.
"""

import json
import sys
from typing import Any

from cellmark.schemas.errors import CellmarkError, RequestError

from ..models.model_source import open_model


def main() -> None:
    """Fetch, verify, report."""
    sys.stdout.write("\n" + json.dumps(fetched(sys.argv[1])) + "\n")


def fetched(model: str) -> dict[str, Any]:
    """What became of it, ready for JSON."""
    try:
        source = open_model(model)
    except CellmarkError as error:
        return {"kind": type(error).__name__, "findings": [finding.to_dict() for finding in error.findings]}
    except OSError as error:
        refused = RequestError.of(
            "SERVICE_FAILED",
            where=model,
            expected="a model that can be fetched",
            found=error.strerror or type(error).__name__,
            remedy="Check disk and network of the machine, then POST /admin/reload.",
        )
        return {"kind": "RequestError", "findings": [finding.to_dict() for finding in refused.findings]}
    folder = str(source.bundle.folder.resolve())
    return {"name": source.name, "version": source.version, "folder": folder, "digest": source.bundle.digest}


if __name__ == "__main__":
    main()
