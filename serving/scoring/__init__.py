"""Cells through the ONNX graphs: calls, attributions, label sets, votes."""
