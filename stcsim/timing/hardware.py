"""Numbers of hardware that hold for every GPU that was measured, so that no architecture file has to repeat them.

What differs from GPU to GPU is a leaf of its file (``stcsim.arch``); what a library does is said where its kernels are described.
"""

from __future__ import annotations

THREADS_PER_WARP = 32
"""Threads of a warp (CUDA programming guide)."""
MOST_REGISTERS_PER_THREAD = 255
"""32-bit registers that one thread can have (CUDA programming guide, technical specifications from compute capability 5.0 on)."""

SUB_CORES = 4
"""Sub-cores of an SM, and warps of a warpgroup (CUDA programming guide)."""
WARPGROUP_M = 64
"""Rows of D that one ``wgmma`` computes (PTX ISA)."""
MMA_M, MMA_N, MMA_K_BITS = 16, 8, 256
"""One full-depth dense ``mma``: rows and columns of D, bits of a row of A (PTX ISA, ``mma.m16n8kX``)."""
PARTIAL_SUM_BYTES = 4
"""Bytes of an accumulator and of a partial sum: fp32 or int32 (PTX ISA)."""

MIN_ISSUE_CYCLES = 4.0
"""Between two ``mma`` of one sub-core. H100: half-depth shapes in every type, 4.00-4.05 (Johnsonms/NVIDIA-Hopper-Benchmark);
A100: s8 m8n8k16 at half of peak (arXiv 2206.02874)."""
HALF_DEPTH_CYCLES = 7.5
"""What the second half of k adds to the latency: 24.7 - 17.7 on A100 (arXiv 2206.02874, table 3), 24.1 - 16.0 on H100
(Johnsonms/NVIDIA-Hopper-Benchmark); where the half occupies the tensor core for longer, that is what it adds."""
ROUND_CYCLES = 2.5
"""What a warp loses in a round of two or more, unless other warps of its sub-core fill it: 1.4-3.3 at 4 warps in ten dense and
sparse rows of A100 (arXiv 2206.02874, tables 3 and 6). The cause is unpublished."""
WGMMA_FLOOR_CYCLES = 13.4
"""Shortest ``wgmma``: n = 8 with A in registers, 216.7 TFLOPS (H800 PCIe, arXiv 2402.13499, table X), and n = 16 at 0.6 of the
wide rate (H100, public model file)."""
