"""A result back from its document: every field is looked at, and what does not belong there is refused."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from stcsim.errors import StcsimError, closest, quoted
from stcsim.result.kernel import Gains, KernelResult

T = TypeVar("T")

_GAINS = ("gains", "gains_half_more", "bound")
_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def build(kind: type[T], value: object, place: str) -> T:
    """Return an object of the dataclass ``kind`` from the plain mapping that ``document.plain`` made of one.

    Args:
        kind: a dataclass of this package.
        value: what was read.
        place: what to call it in errors.

    Raises:
        StcsimError: for a field that is missing, unknown, or of another type; names its path.
    """
    if not isinstance(value, Mapping):
        raise StcsimError(place, f"an object with the fields of a {kind.__name__}", quoted(value))
    content = dict(value)
    if kind is KernelResult:
        tenth, half, _ = (content.pop(name, None) for name in _GAINS)
        content["gains"] = Gains.saved(tenth, half)
    hints, known = _hints(kind), {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := next((name for name in content if name not in known), None):
        raise StcsimError(f"{place}: {unknown}", f"a field of a {kind.__name__}", f"{quoted(unknown)}{closest(unknown, known)}")
    for name, field in known.items():
        if name not in content and _is_required(field):
            raise StcsimError(f"{place}: {name}", "a value", "no such field")
    return kind(**{name: _read(hints[name], each, f"{place}: {name}") for name, each in content.items()})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _read(hint: Any, value: object, place: str) -> Any:
    """Return ``value`` as what a field is annotated with."""
    if hint is Any or hint is Gains:
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _read(next(each for each in arguments if each is not type(None)), value, place)
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, place)
    if origin is tuple:
        if not isinstance(value, list):
            raise StcsimError(place, "a list", quoted(value))
        return tuple(_read(arguments[0], each, f"{place}[{at}]") for at, each in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise StcsimError(place, "an object", quoted(value))
        return {name: _read(arguments[1], each, f"{place}: {name}") for name, each in value.items()}
    fits = isinstance(value, int | float if hint is float else hint) and (hint is bool or not isinstance(value, bool))
    if not fits:
        raise StcsimError(place, _WORDS[hint], quoted(value))
    return value
