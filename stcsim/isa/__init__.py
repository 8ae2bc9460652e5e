"""What the instruction set knows: element types, and the instructions of tensor cores."""

from stcsim.isa.elements import ALIASES, DTYPES, DType, dtype, type_bytes

__all__ = ["ALIASES", "DTYPES", "DType", "dtype", "type_bytes"]
