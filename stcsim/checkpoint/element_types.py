"""The types in which checkpoints store tensors: one row a type, with its name in safetensors and in numpy.

A name that ``stcsim.isa`` knows is spelled as there (``"fp16"``, ``"e4m3"``), so that every fact about the numbers comes from its
row; the others (``"int64"``, ``"bool"``) hold no weights of tensor cores.
"""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.isa import DTYPES


@dataclass(frozen=True, slots=True)
class StorageType:
    """One type of stored elements.

    Attributes:
        name: what stcsim calls it.
        safetensors: what the header of a safetensors file calls it.
        array: the numpy type of ``StoredTensor.codes``: that of the number where numpy has it, else the unsigned raw code.
        bits: of one element.
        onnx: its number in ONNX (``TensorProto.DataType``), 0 where ONNX has none.
    """

    name: str
    safetensors: str
    array: str
    bits: int
    onnx: int = 0

    @property
    def is_weight(self) -> bool:
        """Whether tensor cores may multiply numbers of this type, or of one they are rounded from."""
        return self.name in DTYPES


STORAGE_TYPES: tuple[StorageType, ...] = (
    StorageType("fp64", "F64", "<f8", 64, 11),
    StorageType("fp32", "F32", "<f4", 32, 1),
    StorageType("fp16", "F16", "<f2", 16, 10),
    StorageType("bf16", "BF16", "<u2", 16, 16),
    StorageType("e4m3", "F8_E4M3", "|u1", 8, 17),
    StorageType("e5m2", "F8_E5M2", "|u1", 8, 19),
    StorageType("e8m0", "F8_E8M0", "|u1", 8, 24),
    StorageType("e2m1", "F4", "|u1", 4, 23),
    StorageType("int64", "I64", "<i8", 64, 7),
    StorageType("int32", "I32", "<i4", 32, 6),
    StorageType("int16", "I16", "<i2", 16, 5),
    StorageType("int8", "I8", "|i1", 8, 3),
    StorageType("uint64", "U64", "<u8", 64, 13),
    StorageType("uint32", "U32", "<u4", 32, 12),
    StorageType("uint16", "U16", "<u2", 16, 4),
    StorageType("uint8", "U8", "|u1", 8, 2),
    StorageType("bool", "BOOL", "|u1", 8, 9),
    StorageType("int4", "", "|i1", 4, 22),
    StorageType("uint4", "", "|u1", 4, 21),
)
"""Every type; F4 has two elements in a byte, the first in the low four bits."""

BY_SAFETENSORS = {row.safetensors: row for row in STORAGE_TYPES if row.safetensors}
BY_ONNX = {row.onnx: row for row in STORAGE_TYPES if row.onnx}
