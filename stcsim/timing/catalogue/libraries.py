"""Whose 2:4 kernels are taken: what each library has for each family of GPUs, by search or by rules of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from stcsim.isa import DType
from stcsim.timing.catalogue import cutlass, pytorch, vllm
from stcsim.timing.catalogue.families import listed
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.row import Menu
from stcsim.timing.catalogue.rules import Rules, row_for
from stcsim.words import Library

DEFAULT = Library.CUSPARSELT.value
"""The library of all runs that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The 2:4 kernels that one library has for one family of GPUs.

    Attributes:
        types: names of the element types; empty for all that the GPU has.
        menus: its kernels, of which a search takes the fastest; ``None`` for those of the family (``families.Family.sparse``).
        menus_of: its kernels for single types, by their names, where they are others.
        rules: tables by which it takes one kernel without a search, in place of menus.
        has_convolutions: whether it runs convolutions 2:4.
        m_multiple: what the features of a GEMM must be a multiple of.
        k_bytes_multiple: the same of a dense row, in bytes.
    """

    types: tuple[str, ...] = ()
    menus: tuple[Menu, ...] | None = ()
    menus_of: tuple[tuple[str, tuple[Menu, ...]], ...] = ()
    rules: tuple[Rules, ...] = ()
    has_convolutions: bool = False
    m_multiple: int = 1
    k_bytes_multiple: int = 1

    def takes(self, dtype: DType) -> bool:
        """Whether it has kernels for ``dtype``."""
        return not self.types or dtype.name in self.types


_UNIVERSAL = (cutlass.GENERATOR, cutlass.UNIVERSAL_16_BITS, cutlass.UNIVERSAL_8_BITS)
_AMPERE_TYPES = ("fp16", "bf16", "tf32", "int8", "int4")
_OF_FAMILY = Stock(menus=None, has_convolutions=True)
_CUTLASS_86 = Stock(types=_AMPERE_TYPES, menus=(*_UNIVERSAL, cutlass.TWO_STAGES))
_CORE = Stock(types=("fp16", "bf16", "tf32", "int8"), rules=pytorch.CORE, m_multiple=32, k_bytes_multiple=128)
_TENSORRT = Stock(types=("fp16", "int8"), menus=None, has_convolutions=True)

LIBRARIES: Mapping[Library, Mapping[str, Stock]] = {
    Library.CUSPARSELT: {"sm80": _OF_FAMILY, "sm86": _OF_FAMILY, "sm89": _OF_FAMILY, "sm90": _OF_FAMILY},
    Library.CUTLASS: {
        "sm80": Stock(types=_AMPERE_TYPES, menus=_UNIVERSAL),
        "sm86": _CUTLASS_86,
        "sm89": replace(_CUTLASS_86, types=(*_AMPERE_TYPES, "fp8"), menus_of=(("fp8", (cutlass.ADA_FP8,)),)),
        "sm90": Stock(types=("fp16", "bf16", "tf32", "int8", "fp8"), menus=(cutlass.HOPPER, cutlass.HOPPER_STREAM_K)),
    },
    Library.TORCH: {"sm80": _CORE, "sm86": _CORE, "sm89": _CORE},
    Library.TORCHAO: {"sm90": Stock(types=("fp8",), rules=pytorch.AO)},
    Library.VLLM: {"sm90": Stock(types=("fp16", "bf16", "int8", "fp8"), rules=vllm.RULES)},
    Library.TENSORRT: {
        "sm80": _TENSORRT,
        "sm86": _TENSORRT,
        "sm89": _TENSORRT,
        "sm90": Stock(types=("fp16", "int8", "fp8"), menus=None, has_convolutions=True),
    },
    Library.NONE: {},
}
"""What each library has. cuSPARSELt's menus are the families' own, for types that it lacks (int4) too.

No tile of TensorRT is public: the families' menus stand for its (assumed); it times dense and 2:4 and keeps the faster.
"""


def stock_of(library: str, family: str) -> Stock | None:
    """Return what ``library`` has for a family of GPUs; ``None`` where that is nothing."""
    return LIBRARIES[Library(library)].get(family)


def has(library: str) -> str:
    """Return what a library has, in words: ``"fp8 on sm90"``."""
    by_types: dict[str, list[str]] = {}
    for family, stock in LIBRARIES[Library(library)].items():
        by_types.setdefault(", ".join(stock.types) or "every type", []).append(family)
    return "; ".join(f"{types} on {', '.join(families)}" for types, families in by_types.items()) or "none"


def libraries_with(family: str, dtype: DType) -> tuple[str, ...]:
    """Return the libraries that have 2:4 kernels for a type on a family of GPUs."""
    found = ((library.value, stock_of(library, family)) for library in Library)
    return tuple(name for name, stock in found if stock is not None and stock.takes(dtype))


def why_not(library: str, family: str, dtype: DType, m: int, k: int, is_conv: bool) -> str | None:
    """Return why ``library`` does not run a GEMM with ``m`` features and a reduction of ``k`` 2:4; ``None`` if it does."""
    if library == Library.NONE:
        return "library none: no 2:4 kernel is taken"
    stock = stock_of(library, family)
    if stock is None or not stock.takes(dtype):
        return f"{library} has no 2:4 {dtype.name} kernels on {family}"
    if is_conv and not stock.has_convolutions:
        return f"{library} has no 2:4 convolutions"
    k_multiple = stock.k_bytes_multiple * 8 // dtype.bits or 1
    if m % stock.m_multiple or k % k_multiple:
        return f"{library} takes m in multiples of {stock.m_multiple} and k in multiples of {k_multiple}"
    return None


def own_menu(library: str, family: str, dtype: DType) -> tuple[Kernel, ...] | None:
    """Return the kernels that a library has for a type; ``None`` where they are those of the family."""
    if library == DEFAULT:
        return None
    stock = stock_of(library, family)
    return None if stock is not None and stock.menus is None else _kernels(library, family, dtype.name)


def ruled(library: str, family: str, dtype: DType, m: int, n: int) -> Kernel | None:
    """Return the one kernel that a library takes for a GEMM by its rules; ``None`` for a library that searches."""
    stock = None if library == DEFAULT else stock_of(library, family)
    row = None if stock is None else row_for(stock.rules, dtype, m, n)
    if row is None:
        return None
    rows = [each for menu in _menus(library, family, dtype.name) for each in menu.rows]
    return _kernels(library, family, dtype.name)[rows.index(row)]


@cache
def sources(library: str, family: str) -> dict[Kernel, str]:
    """Return where each 2:4 kernel that a library does not share with its family is known from."""
    stock = stock_of(library, family)
    menus = [menu for name in (stock.types if stock else ()) for menu in _menus(library, family, name)]
    return {kernel: menu.source for menu in reversed(menus) for kernel in menu.kernels()}


@cache
def _kernels(library: str, family: str, dtype: str) -> tuple[Kernel, ...]:
    """Return a library's kernels for a type, made once: a search tells them apart by identity."""
    return listed(_menus(library, family, dtype))


@cache
def _menus(library: str, family: str, dtype: str) -> tuple[Menu, ...]:
    stock = stock_of(library, family)
    if stock is None:
        return ()
    own = dict(stock.menus_of).get(dtype) or stock.menus
    return own or tuple(menu for rules in stock.rules if dtype in rules.types for menu in rules.menus)
