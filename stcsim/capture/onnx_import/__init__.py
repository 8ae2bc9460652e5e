"""ONNX files in, traces out. The library onnx lives here; PyTorch does not."""
