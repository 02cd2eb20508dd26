"""Switches usage reports of libraries off, before they are imported.

onnxruntime's builds (1.29 and later) send, among other things, a model's file name and hashes of its graph, and write
an identifier to disk; BentoML, MLflow and Great Expectations report too. Cells and models are nobody else's business,
and a machine without a network should see no attempts to reach one.
"""

import os

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
}


def refuse_telemetry() -> None:
    """Turn telemetry off in this process and those it starts; a variable that the user has set is left as it is."""
    for variable, value in SWITCHES.items():
        os.environ.setdefault(variable, value)
