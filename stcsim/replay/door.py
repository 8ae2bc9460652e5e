"""What the public functions are handed, looked at once: words, types, and which kernel is asked for."""

from __future__ import annotations

from stcsim.arch import Arch
from stcsim.errors import UnsupportedError
from stcsim.isa import DType, type_bytes
from stcsim.isa import dtype as find_dtype
from stcsim.timing.offers.heuristic import has_heuristics
from stcsim.trace import Conv2d, Memory, Op, Trace
from stcsim.words import Pick, text

MOST_ELEMENTS = 2**58
"""That a network may move in all: their bytes are counted in 64 bits, and an element has at most 8."""
_A_TYPE = "the name of an element type, e.g. 'fp16'"


def element_of(dtype: object, argument: str = "dtype") -> DType:
    """Return the element type called ``dtype``.

    Raises:
        UnsupportedError: when it is no text, or no such type is known.
    """
    name = text(dtype, argument, _A_TYPE).strip().lower()
    try:
        return find_dtype(name)
    except UnsupportedError as error:
        raise UnsupportedError(argument, error.expected, error.found) from None


def element_on(arch: Arch, dtype: object, argument: str = "dtype") -> DType:
    """Return the element type called ``dtype``, cut and stored as the GPU's pattern of structured sparsity has it.

    Raises:
        UnsupportedError: when it is no text, or no such type is known.
    """
    return arch.element(element_of(dtype, argument).name)


def out_type_of(out_dtype: object, element: DType) -> str:
    """Return the element type of results; ``None`` is what a library writes by default for inputs of ``element``.

    Raises:
        UnsupportedError: when it is no text, or no such type is known.
    """
    name = element.out if out_dtype is None else text(out_dtype, "out_dtype", _A_TYPE).strip().lower()
    type_bytes(name)
    return name


def kernel_of(arch: Arch, kernel: object) -> str | None:
    """Return the name of the kernel that is forced, ``"heuristic"``, or ``None`` for a search.

    Raises:
        UnsupportedError: when it is no text, or heuristics are asked for where nothing is known of them: a search in their place
            would be another kernel than the result says.
    """
    if kernel is None:
        return None
    name = text(kernel, "kernel", f"the name of a kernel, {Pick.SEARCH} or {Pick.HEURISTIC}").strip()
    if name.lower() == Pick.SEARCH:
        return None
    if name.lower() != Pick.HEURISTIC:
        return name
    if not has_heuristics(arch):
        generation = arch.generation.capitalize()
        expected = f"{Pick.SEARCH}, or the name of a kernel, since the heuristics of cuBLAS on {generation} are unknown"
        raise UnsupportedError("kernel", expected, f"'{Pick.HEURISTIC}'")
    return Pick.HEURISTIC.value


def check_countable(trace: Trace) -> None:
    """Do nothing where the bytes that a network moves can be counted.

    Raises:
        UnsupportedError: when there are too many of them, naming the operation that moves the most.
    """
    outputs = {op.name: op.output_elements for op in trace.ops}
    moved = {op.name: op.count * (_elements(op) + sum(outputs.get(name, 0) for name in op.inputs)) for op in trace.ops}
    if sum(moved.values()) > MOST_ELEMENTS:
        most = max(moved, key=lambda name: moved[name])
        expected = "operations that move at most 2^58 elements in all, launches counted"
        raise UnsupportedError(f"{trace.name}: {most}", expected, f"{float(moved[most]):.3g} in this one")


def _elements(op: Op) -> int:
    """Return elements that one launch reads and writes."""
    if isinstance(op, Memory):
        return op.elements_read + op.elements_written + op.constant_elements
    gemm = op.gemm() if isinstance(op, Conv2d) else op
    return gemm.batch * (gemm.m * gemm.k + gemm.k * gemm.n + gemm.m * gemm.n)
