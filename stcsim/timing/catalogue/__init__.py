"""Which kernels libraries have: rows of tiles, stages and instructions, by family of GPUs."""
