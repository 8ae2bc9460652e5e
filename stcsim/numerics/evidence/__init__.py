"""Evidence about bits: random operands, the fast engine held against the reference, and what depends on assumptions."""
