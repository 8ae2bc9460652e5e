"""What a curve runs over: the grammar of ``over`` and of ``gemm``, as frozen values.

An axis is a name, ``=`` and values with commas between; they are put in ascending order, each once::

    batch=1..2048             doubles: 1, 2, 4, … and no further than 2048
    seq=128..1024:128         steps: 128, 256, … and no further than 1024
    batch=1,8,24..96:24       each of these
    resolution=224,800x1280   height x width; 224 is 224x224
    m,n,k=1024..16384         one value for several sizes of a GEMM
    sm.count=80..160:8        a leaf of the GPU (``stcsim.study.leaf_axis``)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stcsim.arch.overrides import Change
from stcsim.errors import StcsimError, closest
from stcsim.study.leaf_axis import check_leaf, leaf_title, leaf_values
from stcsim.words import text as word_text

Value = int | float | tuple[int, int] | Change
"""A point of an axis: a number, height and width of an image, or what changes a leaf of the GPU: ``x1.5``, ``+8``."""

NETWORK_AXES = {
    "batch": "batch",
    "resolution": "image size (pixels)",
    "seq": "sequence length (tokens)",
    "cached": "cached tokens",
}
"""Axes of a trace, with what a figure writes below them."""

GEMM_AXES = ("m", "n", "k")
_MAX_VALUES = 1000
_NUMBER = re.compile("0{0,90}[1-9][0-9]{0,8}")
_GEMM = re.compile("(m|[0-9]+)x(n|[0-9]+)x(k|[0-9]+)")
_VALUES = "numbers with commas between, or ranges such as 1..64 (doubling) or 64..512:64 (steps)"
_IMAGES = f"heights x widths such as 800x1280, {_VALUES}"


@dataclass(frozen=True, slots=True)
class Axis:
    """What varies, and its values in ascending order.

    Attributes:
        names: one of ``NETWORK_AXES``, or one or more of m, n and k, which then take the same value, or the dotted path of a
            leaf of the GPU.
    """

    names: tuple[str, ...]
    values: tuple[Value, ...]

    @property
    def leaf(self) -> str | None:
        """Dotted path of the leaf of the GPU that varies, ``None`` where the work does."""
        return self.names[0] if "." in self.names[0] else None

    @property
    def title(self) -> str:
        """Name with its unit, as a figure says it: ``"batch"``, ``"m = n = k"``, ``"l2.capacity_mib (MiB)"``."""
        if self.leaf is not None:
            return leaf_title(self.leaf, self.values)
        return NETWORK_AXES.get(self.names[0], " = ".join(self.names))


@dataclass(frozen=True, slots=True)
class GemmPattern:
    """A GEMM D[m x n] = A[m x k] . B[k x n] with its free sizes ``None``; A is the weight and the sparse operand."""

    m: int | None = None
    n: int | None = None
    k: int | None = None

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the free sizes."""
        return tuple(name for name in GEMM_AXES if getattr(self, name) is None)

    @property
    def title(self) -> str:
        """The sizes in one word: ``"10240×10240×k"``."""
        return "×".join(str(getattr(self, name) or name) for name in GEMM_AXES)

    def sizes(self, value: int) -> tuple[int, int, int]:
        """Return m, n and k with ``value`` in every free place."""
        return self.m or value, self.n or value, self.k or value


def parse_axis(text: str) -> Axis:
    """Return the axis that ``text`` describes, e.g. ``"batch=1..2048"``.

    Raises:
        StcsimError: when it is no axis, or has too many values.
    """
    words, equals, values = word_text(text, "over", "an axis and its values, e.g. 'batch=1..64'").partition("=")
    names = tuple(word.strip().lower() for word in words.split(","))
    if len(names) == 1 and "." in names[0]:
        return _leaf_axis(names[0], equals, values)
    known = (*NETWORK_AXES, *GEMM_AXES)
    for name in names:
        if name not in known:
            expected = f"one of {', '.join(known)}, or a leaf of the GPU such as sm.count"
            raise StcsimError("over", expected, f"'{name}'{closest(name, known)}")
    if len(set(names)) < len(names) or len(names) > 1 and not set(names) <= set(GEMM_AXES):
        raise StcsimError("over", "one axis, or several of m, n and k with one value", f"'{words}'")
    if not equals:
        raise StcsimError("over", f"values, e.g. {words}=64..512", f"'{text}'")
    found: set[Value] = set()
    for word in values.split(","):
        found.update(_values(word.strip(), names[0], len(found)))
    return Axis(tuple(sorted(names, key=known.index)), tuple(sorted(found, key=value_order)))


def _leaf_axis(path: str, equals: str, values: str) -> Axis:
    check_leaf(path)
    if not equals:
        raise StcsimError("over", f"values, e.g. {path}=x0.5,x1,x2", f"'{path}'")
    return Axis((path,), leaf_values(path, values, _MAX_VALUES))


def parse_gemm(text: str) -> GemmPattern:
    """Return the GEMM that ``text`` describes, e.g. ``"10240x10240xk"``: a number, or its own letter, in each place.

    Raises:
        StcsimError: when it is none.
    """
    words = word_text(text, "gemm", "sizes such as '4096x4096xk'").lower().replace("×", "x").split("x")
    if len(words) != len(GEMM_AXES) or not all(
        w == name or _NUMBER.fullmatch(w) for w, name in zip(words, GEMM_AXES, strict=True)
    ):
        raise StcsimError("gemm", "sizes above 0 with an x between and letters for what varies, e.g. 4096x4096xk", f"'{text}'")
    return GemmPattern(*(None if word in GEMM_AXES else int(word) for word in words))


def is_gemm(text: str) -> bool:
    """Say whether ``text`` is meant as a GEMM, not as a trace: three sizes or letters with an x between."""
    return _GEMM.fullmatch(text.strip().lower().replace("×", "x")) is not None


def value_order(value: Value) -> tuple[float, int]:
    """Return what to sort values by: numbers by size, images by pixels and then height."""
    if isinstance(value, tuple):
        return value[0] * value[1], value[0]
    return float(value.amount) if isinstance(value, Change) else value, 0


def _values(word: str, name: str, already: int) -> Iterator[Value]:
    """Yield the values of one number, range or image size; ``already`` were found before it."""
    where = f"over {name}"
    height, by, width = word.lower().partition("x")
    if by and name == "resolution":
        yield _number(height, where, word), _number(width, where, word)
        return
    start, dots, rest = word.partition("..")
    if not dots:
        numbers: Sequence[int] = [_number(word, where, word)]
    else:
        stop, colon, step = rest.partition(":")
        numbers = _range(_number(start, where, word), _number(stop, where, word), _number(step, where, word) if colon else None)
    if not numbers:
        raise StcsimError(where, "a range that ends above its start", f"'{word}'")
    if already + len(numbers) > _MAX_VALUES:
        raise StcsimError(where, f"at most {_MAX_VALUES} values", str(already + len(numbers)))
    yield from ((number, number) if name == "resolution" else number for number in numbers)


def _range(start: int, stop: int, step: int | None) -> Sequence[int]:
    if step is not None:
        return range(start, stop + 1, step)
    return [start << doublings for doublings in range((stop // start).bit_length())]


def _number(text: str, where: str, word: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise StcsimError(where, _IMAGES if where.endswith("resolution") else _VALUES, f"'{word}'")
    return int(text)
