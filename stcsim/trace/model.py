"""What the values of a trace are built on: frozen models that refuse a bad field in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from stcsim.errors import TraceError, UnsupportedError, closest
from stcsim.isa import dtype as known_dtype

Size = Annotated[int, Field(strict=True, gt=0, lt=2**31)]
Offset = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
ElementCount = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class Model(BaseModel):
    """A frozen value that refuses bad fields with a ``TraceError``, built in Python or read from a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: What a sentence about a bad field calls this value.
    place: ClassVar[str] = ""

    #: Fields that came later: written only where they say something, so that a trace from before keeps its text and its hash.
    later: ClassVar[tuple[str, ...]] = ()

    if not TYPE_CHECKING:  # type checkers see the signature pydantic generates

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise _refusal(type(self), fields, error) from None

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        for name in self.later:
            if getattr(self, name) == type(self).model_fields[name].default:
                written.pop(name, None)
        return written

    def changed(self, **fields: object) -> Self:
        """Return the same value with some fields replaced, checked anew."""
        return type(self)(**{**dict(self), **fields})


@contextmanager
def inside(place: str, joint: str = " ") -> Iterator[None]:
    """Put ``place`` in front of the place a ``TraceError`` names.

    Raises:
        TraceError: the one that came, with ``place`` in front.
    """
    try:
        yield
    except TraceError as error:
        raise TraceError(f"{place}{joint}{error.where}", error.expected, error.found) from None


def checked_type(name: str) -> str:
    """Return the name of an element type.

    Raises:
        TraceError: for an unknown one.
    """
    try:
        known_dtype(name)
    except UnsupportedError as error:
        raise TraceError(error.where, error.expected, error.found) from None
    return name


def shorten(value: object, limit: int = 60) -> str:
    """Return ``value`` as a short quotation."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def quoted(name: object) -> str:
    """Return a name in quotes after a space, or nothing when there is none."""
    return f" {shorten(name)}" if isinstance(name, str) else ""


def _refusal(model: type[Model], fields: Mapping[str, object], error: ValidationError) -> TraceError:
    """Say in one sentence the first thing that is wrong; a misspelt field comes before the one it leaves missing."""
    problems = error.errors(include_url=False)
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    field = str(problem["loc"][0]) + "".join(f"[{step}]" for step in problem["loc"][1:] if isinstance(step, int))
    where = ": ".join(part for part in (model.place + quoted(fields.get("name")), field) if model.place or part is field)
    if problem["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return TraceError(where, f"one of {', '.join(known)}", f"'{field}'{closest(field, known)}")
    if problem["type"] == "missing":
        return TraceError(where, "a value", "no such field" if len(problem["loc"]) == 1 else "none")
    described = model.model_fields[str(problem["loc"][0])].description
    if described:
        return TraceError(where.partition("[")[0], described, shorten(fields[str(problem["loc"][0])]))
    limits = problem.get("ctx", {})
    phrase = _PHRASES.get(problem["type"])
    expected = phrase.format(**limits) if phrase else problem["msg"].removeprefix("Input should be ")
    return TraceError(where, expected, shorten(problem["input"]))


_PHRASES = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "int_type": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "too_long": "{max_length} values",
}
