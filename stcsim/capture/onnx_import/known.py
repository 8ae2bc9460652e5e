"""What a rule for the shapes of one operator is given: its attributes, and what is known of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stcsim.capture.onnx_import.values import Shape, Value


class NotKnown(Exception):
    """Something a rule asks for is not there, or depends on data."""


@dataclass(frozen=True, slots=True)
class Known:
    """A node as a rule sees it; what it asks for is there, or it stops.

    Attributes:
        attributes: by name, as ONNX has them.
        inputs: ``None`` stands for an input left out.
    """

    attributes: Mapping[str, Any]
    inputs: Sequence[Value | None]

    def has(self, index: int) -> bool:
        """Whether an input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def shape(self, index: int, axes: int | None = None) -> Shape:
        """Return the shape of an input, which has that many axes where they are told.

        Raises:
            NotKnown: when it is not there, not known, or of another rank.
        """
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None or value.shape is None or axes not in (None, len(value.shape)):
            raise NotKnown
        return value.shape

    def numbers(self, index: int) -> list[int]:
        """Return an input that holds whole numbers, whatever its shape.

        Raises:
            NotKnown: when its values are not known.
        """
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None or value.data is None:
            raise NotKnown
        return [int(number) for number in value.data.reshape(-1)]

    def number(self, name: str, default: int | None = None) -> int:
        """Return an attribute that is a whole number.

        Raises:
            NotKnown: when it is another thing, or missing without a default.
        """
        found = self.attributes.get(name, default)
        if not isinstance(found, int):
            raise NotKnown
        return found

    def count(self, name: str, default: int | None = None) -> int:
        """Return an attribute that counts something, which is 1 or more.

        Raises:
            NotKnown: when it does not.
        """
        found = self.number(name, default)
        if found < 1:
            raise NotKnown
        return found


class Rule(NamedTuple):
    """How the outputs of an operator come about.

    Attributes:
        shapes: those of its first outputs; ``None`` where one is not known.
        elements: of each output, the input whose element type it has, the name of the type, or that of the attribute which tells
            it with an @ before; the last stands for all others.
    """

    shapes: Callable[[Known], Sequence[Shape | None]]
    elements: tuple[int | str, ...] = (0,)
