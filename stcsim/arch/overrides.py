"""Values laid over an architecture file (``--set``): absolute as YAML has them, or relative to the value beneath.

``l2.capacity_mib=80`` replaces a value, ``x1.5`` multiplies it, ``+8`` and ``-8`` add to it. A leaf that must be an integer is
rounded after a factor. What became of a relative value is in its source: ``--set x1.5 of 40``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from stcsim.arch.layers import Entry, Layer, parse_yaml, shown, stack
from stcsim.arch.leaf import Source
from stcsim.arch.tree import EXPECTED, NUMBERS
from stcsim.errors import ArchError, closest, quoted

_CHANGE = re.compile(r"([x×+-])\s*(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})", re.IGNORECASE | re.ASCII)
_FACTOR = ("x", "×")
_MOST_BENEATH = 1e6
"""The bound that every leaf has (``stcsim.arch.leaf``); what is larger is refused wherever it stands."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value that changes the one beneath: ``x1.5``, ``+8`` or ``-8``."""

    is_factor: bool
    amount: Decimal

    def __str__(self) -> str:
        """Return it as a user writes it."""
        amount = self.amount.normalize()
        return f"x{amount:f}" if self.is_factor else f"{amount:+f}"

    def of(self, beneath: int | float, kind: type[int] | type[float]) -> tuple[int | float, bool]:
        """Return what ``beneath`` becomes, exact in decimal digits, and whether it was rounded to an integer."""
        before = Decimal(str(beneath))
        exact = before * self.amount if self.is_factor else before + self.amount
        if kind is float:
            return float(exact), False
        whole = exact.to_integral_value(ROUND_HALF_UP)
        if whole != exact and not self.is_factor:
            return float(exact), False  # 1.5 SMs more are no rounding but a mistake, which the range of the leaf refuses
        return int(whole), whole != exact


def parse_change(text: str) -> Change | None:
    """Return the relative value that ``text`` is: ``x1.5`` (or ``×1.5``), ``+8``, ``-8``; ``None`` for any other text."""
    found = _CHANGE.fullmatch(text.strip())
    if found is None:
        return None
    sign, amount = found[1].lower(), Decimal(found[2])
    return Change(sign in _FACTOR, -amount if sign == "-" else amount)


def with_overrides(below: Layer, overrides: Mapping[str, object] | Sequence[str]) -> Layer:
    """Lay overrides (``--set``) over a layer, one after the other, so that the last one counts.

    Args:
        below: the layer of a file.
        overrides: ``path=value`` texts, values in YAML or relative, or a mapping of paths to such values.

    Raises:
        ArchError: a text without ``=``, a value that is no YAML, a path that no architecture file has, or a relative value where
            there is no number beneath.
    """
    layer: Layer = {}
    for path, value in _settings(overrides):
        where = "overrides " + quoted(path).strip("'")
        if path not in EXPECTED:
            raise ArchError(
                where, "the dotted path of one value, e.g. l2.capacity_mib", f"{shown(path)}{closest(path, EXPECTED)}"
            )
        change = _change(path, value, where)
        if change is not None:
            layer[path] = _changed(path, layer.get(path, below.get(path)), change, where)
        else:
            source = Source(kind="assumed", source="--set") if "." in path else None
            layer[path] = Entry(parse_yaml(value.yaml, where) if isinstance(value, _Text) else value, source, where)
    return stack(below, layer)


@dataclass(frozen=True, slots=True)
class _Text:
    """A value as a user typed it, in YAML unless it is relative."""

    yaml: str


def _settings(overrides: Mapping[str, object] | Sequence[str]) -> Iterator[tuple[str, object]]:
    if isinstance(overrides, Mapping):
        yield from overrides.items()
        return
    for text in _override_texts(overrides):
        path, equals, value = text.partition("=")
        if not equals:
            raise ArchError("overrides", "path=value, e.g. l2.capacity_mib=80", shown(text))
        yield path.strip(), _Text(value)


def _override_texts(overrides: object) -> list[str]:
    is_array = hasattr(overrides, "dtype")  # of numbers, which are no texts
    several = list(overrides) if isinstance(overrides, Iterable) and not is_array else [None]
    many = [overrides] if isinstance(overrides, str) else several
    texts = [each for each in many if isinstance(each, str)]
    if len(texts) < len(many):
        expected = "path=value texts such as 'l2.capacity_mib=80', or a mapping of paths to values"
        raise ArchError("overrides", expected, shown(overrides))
    return texts


def _change(path: str, value: object, where: str) -> Change | None:
    """Return a relative value, ``None`` for an absolute one."""
    text = value.yaml if isinstance(value, _Text) else value
    if isinstance(value, Change) or path not in NUMBERS or not isinstance(text, str):
        return value if isinstance(value, Change) else None
    change = parse_change(text)
    if change is None and text.strip().lower().startswith(_FACTOR):
        raise ArchError(where, "a factor such as x1.5", shown(text))
    return change


def _changed(path: str, beneath: Entry | None, change: Change, where: str) -> Entry:
    before = None if beneath is None else beneath.value
    if isinstance(before, bool) or not isinstance(before, int | float) or not abs(before) <= _MOST_BENEATH:
        raise ArchError(where, "an absolute value, as there is no number beneath to change", f"{change} of {shown(before)}")
    value, is_rounded = change.of(before, NUMBERS[path])
    of = f"{change} of {before:.12g}"
    source = Source(kind="assumed", source=f"--set {of}, rounded" if is_rounded else f"--set {of}")
    return Entry(value, source, f"{where} {of}")
