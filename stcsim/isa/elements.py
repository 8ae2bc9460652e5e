"""Element types of tensor cores: one row a type, which holds every fact about it that stcsim uses.

A new type is a new row of ``DTYPES`` and nothing else: its storage, its traffic, the key of its rate in architecture files, its
choice on the command line, its raw codes and its names in PTX, numpy and PyTorch all follow from the columns. What a tensor core
computes with it is no fact about the type: instructions stand in ``isa.instructions``, their arithmetic in ``numerics.rules``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from stcsim.errors import UnsupportedError, closest, quoted
from stcsim.isa.columns import DType

_E4M3 = DType(
    name="e4m3", bits=8, ptx="e4m3", numpy="float8_e4m3fn", torch="float8_e4m3fn",
    aliases=("fp8e4m3", "fp8_e4m3", "float8e4m3fn"),
    exponent_bits=4, fraction_bits=3, bias=7, has_nan=True,
    rate="fp8", acc="fp32", out="bf16", is_output=True,
    sparse_group=4, sparse_kept=2, metadata_bits=4, sparse_k_multiple=32,
)  # fmt: skip

#: Every element type by name. Order is that of lists in messages, of rates in architecture files and of columns.
DTYPES: dict[str, DType] = {
    row.name: row
    for row in (
        DType(
            name="fp32", bits=32, ptx="f32", numpy="float32", torch="float32", aliases=("float",),
            exponent_bits=8, fraction_bits=23, bias=127, has_inf=True, has_nan=True,
            acc="fp32", out="fp32", is_accumulator=True, is_output=True,
        ),
        DType(
            name="fp16", bits=16, ptx="f16", numpy="float16", torch="float16", aliases=("half",),
            exponent_bits=5, fraction_bits=10, bias=15, has_inf=True, has_nan=True,
            rate="fp16", acc="fp32", out="fp16", is_accumulator=True, is_output=True,
            sparse_group=4, sparse_kept=2, metadata_bits=4, sparse_k_multiple=16,
        ),
        DType(
            name="bf16", bits=16, ptx="bf16", numpy="bfloat16", torch="bfloat16",
            exponent_bits=8, fraction_bits=7, bias=127, has_inf=True, has_nan=True,
            rate="bf16", acc="fp32", out="bf16", is_output=True,
            sparse_group=4, sparse_kept=2, metadata_bits=4, sparse_k_multiple=16,
        ),
        DType(
            name="tf32", bits=32, ptx="tf32", numpy="float32", torch="float32",
            exponent_bits=8, fraction_bits=10, bias=127, has_inf=True, has_nan=True, dropped_bits=13,
            rate="tf32", acc="fp32", out="fp32", is_output=True,
            sparse_group=2, sparse_kept=1, metadata_bits=4, sparse_k_multiple=8,
        ),
        DType(
            name="int32", bits=32, ptx="s32", numpy="int32", torch="int32",
            acc="int32", out="int32", is_accumulator=True, is_output=True,
        ),
        DType(
            name="int8", bits=8, ptx="s8", numpy="int8", torch="int8",
            rate="int8", acc="int32", out="int8", is_output=True,
            sparse_group=4, sparse_kept=2, metadata_bits=4, sparse_k_multiple=32,
        ),
        DType(
            name="uint8", bits=8, ptx="u8", numpy="uint8", torch="uint8", signed=False,
            rate="int8", acc="int32", out="int8",
            sparse_group=4, sparse_kept=2, metadata_bits=4, sparse_k_multiple=32,
        ),
        _E4M3,
        DType(
            name="e5m2", bits=8, ptx="e5m2", numpy="float8_e5m2", torch="float8_e5m2",
            aliases=("fp8e5m2", "fp8_e5m2", "float8e5m2"),
            exponent_bits=5, fraction_bits=2, bias=15, has_inf=True, has_nan=True,
            rate="fp8", acc="fp32", out="bf16", is_output=True,
            sparse_group=4, sparse_kept=2, metadata_bits=4, sparse_k_multiple=32,
        ),
        replace(_E4M3, name="fp8", ptx="", aliases=("float8",), codes="e4m3"),
        DType(  # no library ships a GEMM in 4-bit integers: that one would write 8-bit ones is assumed
            name="int4", bits=4, ptx="s4", numpy="int4",
            rate="int4", acc="int32", out="int8",
            sparse_group=8, sparse_kept=4, sparse_pair=2, metadata_bits=4, sparse_k_multiple=64,
        ),
        DType(
            name="uint4", bits=4, ptx="u4", numpy="uint4", signed=False,
            rate="int4", acc="int32", out="int8",
            sparse_group=8, sparse_kept=4, sparse_pair=2, metadata_bits=4, sparse_k_multiple=64,
        ),
        DType(
            name="e2m1", bits=4, ptx="e2m1", numpy="float4_e2m1fn",
            aliases=("fp4", "fp4e2m1", "fp4_e2m1", "float4e2m1", "float4_e2m1fn_x2"),
            exponent_bits=2, fraction_bits=1, bias=1,
            rate="e2m1", acc="fp32", out="bf16",
            sparse_group=8, sparse_kept=4, sparse_pair=2, metadata_bits=4, sparse_k_multiple=64,
        ),
        DType(
            name="fp64", bits=64, ptx="f64", numpy="float64", torch="float64", aliases=("double",),
            exponent_bits=11, fraction_bits=52, bias=1023, has_inf=True, has_nan=True,
        ),
    )
}  # fmt: skip


def find(name: str, where: str, stands_for: Callable[[DType], str]) -> DType:
    """Return the row that stands for the type called ``name``, in any case of letters, by any of its names.

    Args:
        name: e.g. ``"fp16"``, ``"float16"``, ``"torch.float16"``, ``"F16"``.
        where: the place that an error names.
        stands_for: gives the name of the row to be used for a row, itself or another, or an empty text where it may not stand.

    Raises:
        UnsupportedError: when no such type is known, or it may not stand there.
    """
    row = _named(name) if isinstance(name, str) else None
    if row is None or not stands_for(row):
        known = [each.name for each in DTYPES.values() if stands_for(each) == each.name]
        words = [word for each in DTYPES.values() if stands_for(each) for word in each.names]
        raise UnsupportedError(where, f"one of {', '.join(known)}", f"{quoted(name)}{closest(name, words)}")
    return DTYPES[stands_for(row)]


def _named(name: str) -> DType | None:
    word = name.lower().removeprefix("torch.")
    return DTYPES.get(name) or next((row for row in DTYPES.values() if word in row.names), None)


def dtype(name: str) -> DType:
    """Return the input type that GEMMs called ``name`` are timed in.

    Raises:
        UnsupportedError: when no tensor core has it as an input.
    """
    return find(name, "dtype", lambda row: row.rate)


def timed_types() -> list[DType]:
    """Return the input types that GEMMs are timed in: those with a rate of their own."""
    return [row for row in DTYPES.values() if row.rate == row.name]


def output_dtype(name: str) -> DType:
    """Return the output type called ``name``.

    Raises:
        UnsupportedError: when GEMMs do not write it.
    """
    return find(name, "out_dtype", lambda row: row.name if row.is_output else "")


def type_bytes(name: str) -> int:
    """Return the storage bytes of one element of an output type.

    Raises:
        UnsupportedError: when GEMMs do not write it.
    """
    return output_dtype(name).bytes_of(1)


def code_dtype(name: str, where: str = "element type", fits: Callable[[DType], bool] = lambda row: True) -> DType:
    """Return the type of raw codes called ``name``: one with bit fields, so that ``fp8`` is e4m3.

    Args:
        name: of the type.
        where: the place that an error names.
        fits: which types may stand there.

    Raises:
        UnsupportedError: when no such type is known, or it does not fit.
    """
    return find(name, where, lambda row: (row.codes or row.name) if fits(row) else "")
