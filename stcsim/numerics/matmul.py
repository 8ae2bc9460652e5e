"""Whole products through the datapath: any m, n and k, the reduction in the order of a kernel.

Unless an ``Order`` says otherwise, each element of D is one chain of instructions from k = 0 up, as in a kernel without split-k;
m and n do not affect the arithmetic. The reduction is padded with zeros to whole instructions, which changes no bit. The chain is
the order of CUTLASS's main loop for every type but one: its default kernels for fp8 on Hopper add the accumulator to fp32
registers every four instructions (``order="promote=4"``), because ``wgmma`` keeps few bits in fp8. ``orders`` says which orders
the kernels of cuBLAS, cuSPARSELt and cuDNN were seen to have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, UnsupportedError, quoted
from stcsim.isa import DTYPES, DType, code_dtype, instructions
from stcsim.isa.capabilities import ArchLike, capability
from stcsim.isa.instructions import Instruction
from stcsim.numerics.codes import Codes, code_type, shape_of, sparse_type, to_codes
from stcsim.numerics.epilogue import Epilogue
from stcsim.numerics.orders import Cut, Order, Region
from stcsim.numerics.orders import order as to_order
from stcsim.numerics.rules import Datapath, datapath, sum_type
from stcsim.numerics.sparse.selection import kept_columns, padded
from stcsim.numerics.sparse.sparse24 import Sparse24, check_form, compress, expand
from stcsim.numerics.tensor_core import product
from stcsim.words import Blocking, Sparsity, flag, size, text, word

SPARSITIES = (Sparsity.DENSE, Sparsity.SPARSE)


def gemm(
    a: npt.ArrayLike | Sparse24,
    b: npt.ArrayLike,
    c: npt.ArrayLike | None = None,
    *,
    arch: ArchLike,
    dtype: str | None = None,
    b_dtype: str | None = None,
    acc_dtype: str | None = None,
    sparsity: str | None = None,
    instruction: str | None = None,
    blocking: str = "kept",
    ordered: bool = True,
    order: Order | str | None = None,
    epilogue: Epilogue | None = None,
    engine: str = "fast",
    workers: int | None = None,
) -> Codes:
    """Return D = A . B + C, (..., m, n): raw codes of the accumulator, or of the epilogue's output type; int32 as numbers.

    Args:
        a: (..., m, k) raw codes (``encode`` makes them of numbers) or the matching numpy, ml_dtypes or torch array, or a
            compressed matrix. tf32 takes float32, of which the datapath drops the low 13 bits; ``encode`` rounds instead.
        b: (..., k, n), likewise.
        c: (..., m, n) of ``acc_dtype``, fp32 where ``order`` is not the chain, of the epilogue's ``c_dtype`` where there is
            one (whose C is added after the sum); ``None`` is zero.
        arch: a GPU (``"a100"`` or an ``Arch``), or a compute capability (``"sm_80"`` or ``"8.0"``).
        dtype, b_dtype: element types of A (by default that of a compressed A, else fp16) and of B (by default that of A), by any
            of their names; fp8 is e4m3.
        acc_dtype: fp32, fp16 or int32; by default int32 for integers and fp32 for the others.
        sparsity: ``"dense"``, or ``"2:4"``, which runs the sparse instruction (tf32 1:2, 4-bit types 4:8 in pairs); A must be
            pruned.
        instruction: name of the one to build the product from; by default the one a library would take.
        blocking, ordered: of sparse instructions, as in ``mma_sp``.
        order: how the kernel adds, an ``Order`` or its text: ``"chain"`` (the default), ``"promote=4"``, ``"split-k=3"``,
            ``"stream-k=108,tile=128x128x64"``. Sums in any order but the chain are fp32.
        epilogue: what is done with the sums: scales, bias, activation, output type.
        engine: ``"fast"`` or ``"reference"``.
        workers: threads of the fast one.

    Raises:
        StcsimError: when types or shapes do not fit, ``arch`` has no instruction for them, or A is not 2:4.
    """
    types = input_types(a, dtype, b_dtype)
    if isinstance(a, Sparse24):
        check_form(a)
    accumulator = None if acc_dtype is None else _accumulator(acc_dtype)
    chosen = _instruction(capability(arch), instruction, types, accumulator, _is_sparse(a, sparsity))
    blocking, ordered = word(Blocking, blocking, "blocking"), flag(ordered, "ordered")
    path = datapath(chosen, capability(arch), blocking)
    k_padded = -(-_columns(a) // chosen.k) * chosen.k
    left = _left(a, chosen, k_padded, blocking, ordered)
    right = _right(b, chosen, _columns(a), k_padded)
    shape, taken = (left.codes.shape[-2], right.shape[-1]), to_order(order)
    threads = None if workers is None else size(workers, "workers")
    sums = _Sums(path, left, right, taken, chosen.k, engine, threads)
    if epilogue is None:
        return sums.added_to(_addend(c, sums.form, shape))
    if not isinstance(epilogue, Epilogue):
        raise UnsupportedError("epilogue", "an Epilogue", quoted(epilogue))
    epilogue.check(*shape)
    source = None if c is None else _addend(c, epilogue.source, shape)
    return epilogue.finished(
        sums.slices() if taken.serial else [sums.added_to(_addend(None, sums.form, shape))], sums.form, source
    )


class _Sums(NamedTuple):
    """The sums of a product, before an epilogue."""

    path: Datapath
    left: _Left
    right: Codes
    order: Order
    instruction_k: int
    engine: str
    workers: int | None

    @property
    def form(self) -> DType:
        """Their type."""
        return self.path.c if self.order.is_chain else sum_type(self.path)

    @property
    def regions(self) -> list[Region]:
        """The parts of D that are cut alike; none of a chain."""
        sizes = self.left.codes.shape[-2], self.right.shape[-1], self.right.shape[-2]
        return list(self.order.regions(*sizes, self.instruction_k))

    def added_to(self, c: Codes) -> Codes:
        """Return C with all that is added to it."""
        if self.order.is_chain:
            return self.part(slice(None), slice(None), c, None)
        regions = self.regions
        return _assembled([self.part(*each[:2], c, each.cut) for each in regions], regions, c.shape[-2:])

    def slices(self) -> list[Codes]:
        """Return the sum of each slice of k by itself; D is one region, as stream-k is not serial."""
        ((rows, columns, cut),) = self.regions
        zero = np.zeros((self.left.codes.shape[-2], self.right.shape[-1]), code_type(self.form))
        return [self.part(rows, columns, zero, Cut((each,), cut.promote_every)) for each in cut.slices]

    def part(self, rows: slice, columns: slice, c: Codes, cut: Cut | None) -> Codes:
        """Return the sums of some rows and columns."""
        a, chosen = self.left.codes[..., rows, :], self.left.columns
        chosen = None if chosen is None else chosen[..., rows, :]
        return product(self.path, a, self.right[..., columns], c[..., rows, columns], chosen, self.engine, self.workers, cut)


def _assembled(parts: list[Codes], regions: list[Region], shape: tuple[int, ...]) -> Codes:
    """Return D of its parts."""
    if len(parts) == 1:
        return parts[0]
    d = np.empty((*parts[0].shape[:-2], *shape), parts[0].dtype)
    for part, region in zip(parts, regions, strict=True):
        d[..., region.rows, region.columns] = part
    return d


def input_types(a: npt.ArrayLike | Sparse24, dtype: str | None, b_dtype: str | None) -> tuple[DType, DType]:
    """Return the types of A and B: of A by default that of a compressed one, else fp16; of B by default that of A.

    Raises:
        UnsupportedError: for a name that is no type which a tensor core takes.
    """
    first = (a.dtype if isinstance(a, Sparse24) else "fp16") if dtype is None else _lower(dtype, "dtype")
    second = first if b_dtype is None else _lower(b_dtype, "b_dtype")
    return code_dtype(first, "dtype", lambda row: row.rate != ""), code_dtype(second, "dtype", lambda row: row.rate != "")


def _accumulator(name: str) -> DType:
    return code_dtype(_lower(name, "acc_dtype"), "acc_dtype", lambda row: row.is_accumulator)


def _lower(name: str, argument: str) -> str:
    return text(name, argument, "the name of an element type").lower()


class _Left(NamedTuple):
    """A as the engines take it: codes, and the rows of B that they meet unless that is every row."""

    codes: Codes
    columns: npt.NDArray[np.int32] | None


def _left(a: npt.ArrayLike | Sparse24, instruction: Instruction, k: int, blocking: str, ordered: bool) -> _Left:
    """Return A with zeros up to ``k`` columns."""
    if not instruction.sparse:
        codes = to_codes(a, DTYPES[instruction.a], "gemm: A")  # type: ignore[arg-type]
        return _Left(np.pad(codes, [*[(0, 0)] * (codes.ndim - 1), (0, k - codes.shape[-1])]), None)
    sparse = a if isinstance(a, Sparse24) else compress(a, instruction.a)
    if sparse_type(sparse.dtype).name != instruction.a:
        raise StcsimError("gemm: A", f"a compressed matrix of {instruction.a}", sparse.dtype)
    whole = padded(sparse, k)
    columns = kept_columns(whole, ordered)
    return _Left(expand(whole), None) if blocking == Blocking.EXPANDED else _Left(whole.values, columns)


def _right(b: npt.ArrayLike, instruction: Instruction, k: int, k_padded: int) -> Codes:
    """Return B with zeros up to ``k_padded`` rows."""
    codes = to_codes(b, DTYPES[instruction.b], "gemm: B")
    if codes.ndim < 2 or codes.shape[-2] != k:
        raise StcsimError("gemm: B", f"shape (..., {k}, n), with a row for each column of A", str(codes.shape))
    return np.pad(codes, [*[(0, 0)] * (codes.ndim - 2), (0, k_padded - k), (0, 0)])


def _addend(c: npt.ArrayLike | None, form: DType, shape: tuple[int, int]) -> Codes:
    """Return the codes of C, zeros when there is none."""
    if c is None:
        return np.zeros(shape, code_type(form))
    codes = to_codes(c, form, "gemm: C")
    if codes.shape[-2:] != shape:
        raise StcsimError("gemm: C", f"shape (..., {shape[0]}, {shape[1]})", str(codes.shape))
    return codes


def _columns(a: npt.ArrayLike | Sparse24) -> int:
    """Return k, the columns of A before compression."""
    if isinstance(a, Sparse24):
        return a.k
    shape = shape_of(a)
    if len(shape) < 2 or not shape[-1]:
        raise StcsimError("gemm: A", "shape (..., m, k) with at least one column", str(shape))
    return int(shape[-1])


def _is_sparse(a: npt.ArrayLike | Sparse24, sparsity: str | None) -> bool:
    """Say whether the sparse instruction runs: where that was asked for, or A is compressed."""
    wanted = None if sparsity is None else word(SPARSITIES, sparsity, "sparsity")
    if wanted is Sparsity.DENSE and isinstance(a, Sparse24):
        raise UnsupportedError("sparsity", f"{Sparsity.SPARSE} for a compressed A", f"'{wanted}'")
    return wanted is Sparsity.SPARSE or isinstance(a, Sparse24)


def _instruction(arch: str, name: str | None, types: tuple[DType, DType], accumulator: DType | None, sparse: bool) -> Instruction:
    """Return the named instruction, or the one a library would take, checked against the types of the operands."""
    a, b, d = types[0].name, types[1].name, accumulator and accumulator.name
    if name is None:
        return instructions.gemm_instruction(arch, d or types[0].acc, a, b, sparse)
    known = instructions.parse(name)
    instructions.require(known, arch)
    if (known.a, known.b, known.sparse) != (a, b, sparse) or (d or known.d, known.c) != (known.d, known.d):
        wanted = f"{'a sparse' if sparse else 'a dense'} instruction of {a} x {b}{f' to {d}' if d else ''} that can be chained"
        raise UnsupportedError("gemm: instruction", wanted, f"'{known.name}'")
    return known
