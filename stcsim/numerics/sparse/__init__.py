"""Pruning, the compressed format, and how it lies in registers and memory."""
