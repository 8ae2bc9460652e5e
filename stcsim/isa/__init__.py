"""What the instruction set knows: element types, and the instructions of tensor cores."""

from stcsim.isa.columns import DType
from stcsim.isa.elements import DTYPES, code_dtype, dtype, output_dtype, timed_types, type_bytes

__all__ = ["DTYPES", "DType", "code_dtype", "dtype", "output_dtype", "timed_types", "type_bytes"]
