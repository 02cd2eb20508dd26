"""ONNX graphs from networks, and the proof that both answer alike."""
