"""Element types of tensor-core GEMMs and the 2:4 rule of each (names as on the command line)."""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.errors import UnsupportedError, closest


@dataclass(frozen=True, slots=True)
class DType:
    """One input element type.

    Attributes:
        name: the name used everywhere, e.g. ``"fp16"``.
        bits: storage bits of one element.
        mma_k: reduction length of one dense MMA instruction (256 bits of K; PTX ISA, ``mma.m16n8kX``).
        acc: accumulator type of GEMMs in this type.
        out: output type a library writes by default.
        sparse_group: elements in one structured-sparsity group (4, or 2 for tf32, which is 1:2 in hardware).
        sparse_kept: elements kept in a group.
        metadata_bits_per_group: index bits stored for a group (two 2-bit indices; PTX ISA, "sparse matrix storage").
        sparse_k_multiple: the reduction must be a multiple of this to run sparse (256 bits of compressed K;
            "Accelerating Inference with Sparsity" whitepaper: 16 for 16-bit, 32 for 8-bit types).
    """

    name: str
    bits: int
    mma_k: int
    acc: str
    out: str
    sparse_group: int
    sparse_kept: int
    metadata_bits_per_group: int
    sparse_k_multiple: int


DTYPES: dict[str, DType] = {
    row.name: row
    for row in (
        DType("fp16", 16, 16, "fp32", "fp16", 4, 2, 4, 16),
        DType("bf16", 16, 16, "fp32", "bf16", 4, 2, 4, 16),
        DType("tf32", 32, 8, "fp32", "fp32", 2, 1, 4, 8),
        DType("int8", 8, 32, "int32", "int8", 4, 2, 4, 32),
        DType("fp8", 8, 32, "fp32", "bf16", 4, 2, 4, 32),
    )
}

ALIASES = {"fp8e4m3": "fp8", "fp8e5m2": "fp8", "e4m3": "fp8", "e5m2": "fp8", "float16": "fp16", "bfloat16": "bf16"}

#: Storage bytes of accumulator and output types.
TYPE_BYTES = {"fp32": 4, "int32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1, "fp8e4m3": 1, "fp8e5m2": 1}


def dtype(name: str) -> DType:
    """Return the element type called ``name``.

    Raises:
        UnsupportedError: when no such type is known.
    """
    row = DTYPES.get(ALIASES.get(name, name))
    if row is None:
        known = ", ".join(DTYPES)
        raise UnsupportedError("dtype", f"one of {known}", f"'{name}'{closest(name, [*DTYPES, *ALIASES])}")
    return row


def type_bytes(name: str) -> int:
    """Return the storage bytes of an accumulator or output type.

    Raises:
        UnsupportedError: when no such type is known.
    """
    if name not in TYPE_BYTES:
        raise UnsupportedError("out_dtype", f"one of {', '.join(TYPE_BYTES)}", f"'{name}'")
    return TYPE_BYTES[name]
