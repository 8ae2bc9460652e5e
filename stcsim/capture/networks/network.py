"""What a row of the table of networks says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]
IMAGE = ("channels", "height", "width")

#: The library of the networks in ``stcsim.capture.zoo``.
OURS = "stcsim"


class Given(NamedTuple):
    """The arguments of a forward pass."""

    in_order: tuple[Any, ...] = ()
    by_name: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One row: a network, how to build it and what to feed it.

    Attributes:
        title: for people, with a place for each number of the input shape.
        model: class in ``library``.
        notes: its configuration, and the source of it.
        input_names, input_shape: of one sample; a capture may ask for other lengths.
        build: returns the module.
        inputs: from a batch and an input shape, its arguments, by name, in order, or both.
        batch: samples in one pass unless a capture asks for another.
    """

    title: str
    library: str
    model: str
    notes: str
    input_names: tuple[str, ...]
    input_shape: Shape
    build: Callable[[], nn.Module]
    inputs: Callable[[int, Shape], Given | dict[str, Any] | tuple[Any, ...]]
    batch: int = 1
