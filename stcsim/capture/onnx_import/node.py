"""One node of an ONNX graph with what is known of its values: what every reader of operators is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stcsim.capture.onnx_import.values import Shape, Value

GUESSED = "unknown, taken to return what has the shape of its first input"

MISSHAPEN = "its inputs and attributes are not those of the operator"

BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a reader raises when a broken file's node lacks axes, inputs or attributes that the operator always has."""


class Unread(Exception):
    """A node that multiplies but of which no operation can be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node whose values are known as far as they can be.

    Attributes:
        operator: its type, with the domain in front unless it is ONNX's own.
        name: no other operation has it.
        origin: operator, for people.
        inputs: ``None`` stands for an input left out.
        is_guess: whether nobody knows the operator, so that its outputs are guessed.
    """

    operator: str
    name: str
    origin: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Any]
    is_guess: bool = False

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, text as text, or the default."""
        value = self.attributes.get(name, default)
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    def input(self, index: int) -> Value | None:
        """Return an input, ``None`` where the node has none there."""
        return self.inputs[index] if index < len(self.inputs) else None

    def tensor(self, index: int) -> tuple[Value, Shape]:
        """Return an input that must be there, with its shape.

        Raises:
            Unread: when it is not there, or its shape depends on data.
        """
        value = self.input(index)
        if value is None:
            raise Unread(f"no input {index}")
        if value.shape is None:
            raise Unread("its shapes depend on data")
        return value, value.shape

    def output_shape(self, index: int = 0) -> Shape:
        """Return the shape of an output.

        Raises:
            Unread: when it depends on data.
        """
        shape = self.outputs[index].shape
        if shape is None:
            raise Unread("its shapes depend on data")
        return shape


def sources(*values: Value | None) -> tuple[str, ...]:
    """Return the operations that computed ``values``, in order, each once."""
    return tuple(dict.fromkeys(name for value in values if value is not None for name in value.sources))
