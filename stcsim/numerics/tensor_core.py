"""One tensor-core instruction, or many of them side by side: raw codes in, raw codes out.

A sparse instruction first selects rows of B by the metadata, then runs the dense rule over the kept products. How hardware
cuts kept products into blocks is not published: ``blocking`` names the assumption.

- ``"kept"`` (S1, the default, assumed): only kept products take part, in compressed order, L of them to a block. Infinity or
  NaN in a row of B that is not selected has no effect.
- ``"expanded"`` (S2, the rival): the zeros of A take slots, L columns of the expanded A to a block, and 0 * inf is NaN.

Integers do not depend on it, nor do floating-point sums that are exact.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, UnsupportedError, quoted
from stcsim.isa import DTYPES, instructions
from stcsim.isa.capabilities import ArchLike, capability
from stcsim.isa.instructions import Instruction
from stcsim.numerics.codes import Codes, sparse_type, to_codes
from stcsim.numerics.orders import Cut
from stcsim.numerics.rules import Datapath, datapath
from stcsim.numerics.sparse.selection import kept_columns
from stcsim.numerics.sparse.sparse24 import Sparse24, expand
from stcsim.words import Blocking, Engine, flag, word


def mma(
    instruction: str, a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike | None = None, *, arch: ArchLike, engine: str = "fast"
) -> Codes:
    """Return D = A . B + C of a dense instruction, (..., m, n): codes in unsigned integers, or int32 numbers.

    Args:
        instruction: name in PTX words, e.g. ``"mma.m16n8k16.f32.f16.f16.f32"`` or ``"wgmma.m64n64k16.f32.f16.f16"``.
        a: (..., m, k) raw codes as unsigned integers (4-bit types: one in each byte), or the matching numpy or ml_dtypes array.
        b: (..., k, n), likewise.
        c: (..., m, n) of the accumulator's type; ``None`` is zero (wgmma with scale-d false).
        arch: a GPU (``"a100"`` or an ``Arch``), or a compute capability (``"sm_80"`` or ``"8.0"``).
        engine: ``"fast"``, or ``"reference"`` in exact Python integers, the same bits.

    Raises:
        UnsupportedError: when the instruction is unknown, sparse, or not on ``arch``.
        StcsimError: when an operand has another type or shape.
    """
    known = _known(instruction, arch, sparse=False)
    codes_a, codes_b = _operand(a, known.a, (known.m, known.k), "A", known), _operand(b, known.b, (known.k, known.n), "B", known)
    return product(datapath(known, capability(arch)), codes_a, codes_b, _addend(c, known), None, engine)


def mma_sp(
    instruction: str,
    a: Sparse24,
    b: npt.ArrayLike,
    c: npt.ArrayLike | None = None,
    *,
    arch: ArchLike,
    blocking: str = "kept",
    ordered: bool = True,
    engine: str = "fast",
) -> Codes:
    """Return D = A . B + C of a sparse instruction, (..., m, n): codes in unsigned integers, or int32 numbers.

    Args:
        instruction: e.g. ``"mma.sp.m16n8k32.f32.f16.f16.f32"`` or ``"wgmma.sp.m64n64k32.f32.f16.f16"``.
        a: (..., m, k) compressed.
        b: (..., k, n) raw codes, or the matching numpy or ml_dtypes array; rows that are not selected are never read in
            ``"kept"`` blocking.
        c: (..., m, n) of the accumulator's type; ``None`` is zero.
        arch: a GPU or a compute capability, as in ``mma``.
        blocking: ``"kept"`` (assumed) or ``"expanded"``: see the module.
        ordered: indices must ascend, as in ``mma.sp::ordered_metadata``; else unordered ones are taken as they stand.
        engine: ``"fast"`` or ``"reference"``.

    Raises:
        UnsupportedError: when the instruction is unknown, dense, or not on ``arch``.
        StcsimError: when an operand has another type or shape, or an encoding is undefined; row and group are named.
    """
    known = _known(instruction, arch, sparse=True)
    blocking, ordered = word(Blocking, blocking, "blocking"), flag(ordered, "ordered")
    path = datapath(known, capability(arch), blocking)
    if not isinstance(a, Sparse24):
        raise StcsimError(f"{known.name}: A", "a compressed matrix (numerics.compress makes one)", quoted(type(a).__name__))
    if sparse_type(a.dtype).name != known.a:
        raise StcsimError(f"{known.name}: A", f"a compressed matrix of {known.a}", a.dtype)
    columns = kept_columns(a, ordered)
    kept = _operand(a.values, known.a, (known.m, known.k // 2), "compressed A", known)
    codes_b = _operand(b, known.b, (known.k, known.n), "B", known)
    if blocking == Blocking.EXPANDED:
        return product(path, expand(a), codes_b, _addend(c, known), None, engine)
    return product(path, kept, codes_b, _addend(c, known), columns, engine)


def product(
    path: Datapath,
    a: Codes,
    b: Codes,
    c: Codes,
    columns: npt.NDArray[np.int32] | None,
    engine: str,
    workers: int | None = None,
    cut: Cut | None = None,
) -> Codes:
    """Return D of operands that have been checked, with leading batch dimensions broadcast; int32 results as numbers.

    With a ``cut`` C and D are of the type of sums, fp32 or int32.

    Raises:
        UnsupportedError: for an unknown engine.
        StcsimError: when batch dimensions do not broadcast.
    """
    taken = word(Engine, engine, "engine")
    try:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2], c.shape[:-2])
    except ValueError:
        shapes = ", ".join(str(each.shape[:-2]) for each in (a, b, c))
        raise StcsimError("batch dimensions of A, B, C", "shapes that broadcast", shapes) from None
    multiply: Any = import_module(f"stcsim.numerics.engine.{taken}").multiply
    options = {"workers": workers} if taken is Engine.FAST else {}
    chosen = None if columns is None else _batched(columns, lead)
    d: Codes = multiply(path, _batched(a, lead), _batched(b, lead), _batched(c, lead), chosen, cut, **options)
    return (d if path.d.is_float else d.view(path.d.numpy)).reshape(*lead, *d.shape[1:])


def _batched(array: npt.NDArray[Any], lead: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return (batch, rows, columns) with the leading dimensions broadcast to ``lead`` and flattened."""
    return np.broadcast_to(array, (*lead, *array.shape[-2:])).reshape(-1, *array.shape[-2:])


def _known(name: str, arch: ArchLike, sparse: bool) -> Instruction:
    """Return the instruction when ``arch`` has it and it is dense or sparse, as wanted."""
    known = instructions.parse(name)
    if known.sparse != sparse:
        raise UnsupportedError(
            name, f"a {'sparse' if sparse else 'dense'} instruction", f"a {'sparse' if known.sparse else 'dense'} one"
        )
    instructions.require(known, capability(arch))
    return known


def _operand(array: npt.ArrayLike, dtype: str, shape: tuple[int, int], what: str, instruction: Instruction) -> Codes:
    """Return the codes of an operand of the right type and shape."""
    codes = to_codes(array, DTYPES[dtype], f"{instruction.name}: {what}")
    if codes.shape[-2:] != shape:
        raise StcsimError(f"{instruction.name}: {what}", f"shape (..., {shape[0]}, {shape[1]})", str(codes.shape))
    return codes


def _addend(c: npt.ArrayLike | None, instruction: Instruction) -> Codes:
    """Return the codes of C, zeros when there is none."""
    shape = instruction.m, instruction.n
    return _operand(np.zeros(shape, DTYPES[instruction.c].numpy) if c is None else c, instruction.c, shape, "C", instruction)
