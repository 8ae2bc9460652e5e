"""The timing wing: how long a GEMM takes on a described GPU, and what it waits for."""
