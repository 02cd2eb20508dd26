"""An exported graph in onnxruntime, to prove and to evaluate it: on the CPU, whatever the network was trained on."""

from typing import TYPE_CHECKING

import onnx

from cellmark.schemas.telemetry import refuse_telemetry

if TYPE_CHECKING:
    import onnxruntime


def open_session(model: onnx.ModelProto) -> "onnxruntime.InferenceSession":
    """A session of the graph as it will be written."""
    refuse_telemetry()
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString(deterministic=True), providers=["CPUExecutionProvider"])
