"""Tensors of other programs: weights from files, and the bridge to PyTorch."""
