"""What the public functions are handed, looked at once: words, types, and which kernel is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from stcsim.arch import Arch
from stcsim.errors import TraceError, UnsupportedError
from stcsim.isa import DType, type_bytes
from stcsim.isa import dtype as find_dtype
from stcsim.timing.catalogue.libraries import has, libraries_with, stock_of
from stcsim.timing.offers.heuristic import has_heuristics
from stcsim.trace import Conv2d, Memory, Op, Trace
from stcsim.words import Library, Pick, Sparsity, flag, size, text, word

_MOST_ELEMENTS = 2**58
"""Elements that a network may move in one pass: bytes are added up in 64 bits, and the largest networks move 2^40."""
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


def library_of(library: object) -> str:
    """Return the name of the library whose 2:4 kernels are taken.

    Raises:
        UnsupportedError: when there is no such library.
    """
    return word(Library, library, "library").value


def library_for(arch: Arch, element: DType, modes: Sequence[str], library: object) -> str:
    """Return the name of the library whose 2:4 kernels one GEMM takes, where it has some for the GPU and the type.

    Raises:
        UnsupportedError: when there is no such library, or it lacks the 2:4 kernels that are asked for.
    """
    name = library_of(library)
    stock = stock_of(name, arch.kernel.family)
    if name == Library.NONE or all(mode == Sparsity.DENSE for mode in modes) or stock is not None and stock.takes(element):
        return name
    others = ", ".join((*libraries_with(arch.kernel.family, element), Library.NONE))
    expected = f"a library with 2:4 {element.name} kernels for {arch.name} ({others})"
    raise UnsupportedError("library", expected, f"'{name}', which has {has(name)}; {arch.name} is {arch.kernel.family}")


def warmth_of(weights_in_l2: object, weight_copies: object) -> tuple[bool, int]:
    """Return whether weights may be in L2 when a launch begins, and how many sets of them are launched in turn.

    A number of sets says that they may; without one they are cold, or with ``weights_in_l2`` the same in every launch.

    Raises:
        UnsupportedError: when one is no ``True`` or ``False``, or the other no whole number above 0.
    """
    warm = flag(weights_in_l2, "weights_in_l2")
    return (warm, 1) if weight_copies is None else (True, size(weight_copies, "weight_copies"))


def check_extent(trace: Trace) -> None:
    """Refuse a network whose bytes cannot be added up in 64 bits.

    Raises:
        TraceError: naming the operation that moves most.
    """
    if sum(_moved(op) for op in trace.ops) >= _MOST_ELEMENTS:
        most = max(trace.ops, key=_moved)
        where = f"{trace.name}: {most.kind} '{most.name}'"
        raise TraceError(where, f"a network that moves below {_MOST_ELEMENTS:.0e} elements", f"{_moved(most):.1e} of them here")


def _moved(op: Op) -> int:
    """Return the elements that all launches of an operation read and write."""
    if isinstance(op, Memory):
        return op.count * (op.elements_read + op.elements_written + op.constant_elements)
    read = op.batch * (op.c * op.h * op.w if isinstance(op, Conv2d) else op.k * (op.m + op.n))
    return op.count * (read + op.weight_elements + op.output_elements)
