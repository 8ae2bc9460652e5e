"""The numerics wing: what tensor cores compute, bit for bit, dense and 2:4."""
