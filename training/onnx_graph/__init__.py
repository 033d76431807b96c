"""Building the self-contained ONNX graphs of a bundle."""
