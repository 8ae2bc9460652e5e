"""Sizes of an ONNX file's inputs: open axes are given sizes, and the axis of the batch is found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from stcsim.capture.onnx_import.values import INTEGERS, Role, Shape, Value
from stcsim.errors import TraceError, closest

BATCH = re.compile(r"batch|bs|b|n|samples?|.*batch.*", re.IGNORECASE)

#: What exporters write for an axis they know nothing of: no name, so that two of them need not be alike.
PLACEHOLDER = re.compile(r"\?|-\d+|none|null|unk_*\d*|unknown(_*\d+)?|dynamic|any|\*|_+", re.IGNORECASE)

FIRST = "batch"
"""The symbol of first axes of which nothing is said."""

Axis = int | str
"""A size, or the symbol of an open axis (an empty one has a name made of its input's and its place)."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a file, every axis with a size.

    Attributes:
        values: by name.
        symbols: sizes of open axes by their names in the file.
        batch: samples in one pass; ``None`` when no axis of the inputs can be it.
        sample: lengths of one sample, in the order of the file: by axis of the only input, else by name.
    """

    values: Mapping[str, Value]
    symbols: Mapping[str, int]
    batch: int | None
    sample: tuple[int, ...] | dict[str, int]


class InputAxes:
    """What a file says of the axes of its inputs.

    Args:
        graph: initializers that are listed as inputs too are none.

    Raises:
        TraceError: when an input is no tensor, or its rank is open.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Read the declarations."""
        stored = {tensor.name for tensor in graph.initializer}
        self._elements: dict[str, int] = {}
        self._axes: dict[str, list[Axis]] = {}
        self._unnamed: set[str] = set()
        for entry in graph.input:
            if entry.name in stored:
                continue
            kind = entry.type.optional_type.elem_type if entry.type.HasField("optional_type") else entry.type  # taken to be there
            tensor = kind.tensor_type
            if not kind.HasField("tensor_type") or not tensor.HasField("shape"):
                raise TraceError(f"input '{entry.name}'", "a tensor with a known number of axes", "none")
            self._elements[entry.name] = tensor.elem_type
            self._axes[entry.name] = [_axis(entry.name, place, dim) for place, dim in enumerate(tensor.shape.dim)]
            if tensor.shape.dim and self._axes[entry.name][0] == FIRST and tensor.shape.dim[0].dim_param != FIRST:
                self._unnamed.add(entry.name)

    def fixed(self, given: Sequence[str], batch: int | None) -> Inputs:
        """Return the inputs with sizes for all open axes.

        Args:
            given: whole shapes: ``"x=1x3x224x224"``; a file with one input needs no name.
            batch: size of the open batch axis, where there is one that ``given`` leaves open.

        Raises:
            TraceError: when a shape does not fit the file, or an axis stays open.
        """
        sizes = self._given_sizes(given)
        axis = self._batch_axis()
        if batch is not None and isinstance(axis, str):
            sizes.setdefault(axis, batch)
        self._refuse_open(sizes)
        inputs = self._sized(sizes, axis, 1)
        if inputs.batch is not None and inputs.batch < 1:
            raise TraceError("batch", "a whole number above 0", str(inputs.batch))
        return inputs

    def times(self, inputs: Inputs, times: int) -> Inputs | None:
        """Return the same inputs for ``times`` the batch, or ``None`` without a batch axis."""
        axis = self._batch_axis()
        return None if axis is None else self._sized(inputs.symbols, axis, times)

    def _given_sizes(self, given: Sequence[str]) -> dict[str, int]:
        """Return the sizes of open axes that whole shapes settle."""
        sizes: dict[str, int] = {}
        for words in given:
            where = f"inputs {words}"
            name, shape = self._given(where, words)
            axes = self._axes[name]
            if len(axes) != len(shape):
                raise TraceError(where, f"{len(axes)} axes ({_times(axes)})", str(len(shape)))
            if axes and name in self._unnamed and sizes.get(FIRST, shape[0]) != shape[0]:  # so that this one is no batch
                axes[0] = f"{name}[0]"
            for place, (axis, size) in enumerate(zip(axes, shape, strict=True)):
                fixed = sizes.setdefault(axis, size) if isinstance(axis, str) else axis
                if fixed != size:
                    same = f", as for '{axis}' elsewhere" if isinstance(axis, str) else ", as the file has it fixed"
                    raise TraceError(where, f"{fixed} on axis {place}{same}", str(size))
        return sizes

    def _given(self, where: str, words: str) -> tuple[str, Shape]:
        """Return the input that ``words`` name, and the sizes they give."""
        name, _, sizes = words.rpartition("=")
        name = name or (next(iter(self._axes)) if len(self._axes) == 1 else "")
        if name not in self._axes:
            known = f"NAME=SIZES for an input of the file ({', '.join(self._axes)})"
            raise TraceError(where, known, f"'{name}'{closest(name, self._axes)}" if name else "no name")
        parts = sizes.lower().split("x")
        if not all(part.isascii() and part.isdecimal() for part in parts):
            raise TraceError(where, "sizes with an x between, such as 1x3x224x224", f"'{sizes}'")
        return name, tuple(map(int, parts))

    def _refuse_open(self, sizes: Mapping[str, int]) -> None:
        """Say which axes of the first such input are open, and how to close them."""
        batch = self._batch_axis()
        for name, axes in self._axes.items():
            missing = [axis for axis in axes if isinstance(axis, str) and axis not in sizes]
            if not missing:
                continue
            usual = "224" if self._elements[name] not in INTEGERS and len(axes) == 4 else "128"
            shape = [sizes.get(str(axis), axis if isinstance(axis, int) else "1" if axis == batch else usual) for axis in axes]
            command = "batch 1, or " if missing == [batch] else ""
            where = f"input '{name}'"
            named = [(place, axis in _symbols(axes), axis) for place, axis in enumerate(axes) if axis in missing]
            places = ", ".join(f"{place} ({axis})" if is_named else str(place) for place, is_named, axis in named)
            expected = f"a size for every axis (give {command}e.g. the input {name}={_times(shape)})"
            raise TraceError(where, expected, f"dynamic axes {places}" if len(missing) > 1 else f"dynamic axis {places}")

    def _batch_axis(self) -> Axis | None:
        """Return the axis of the batch: an open one that is called so, else the first of the first input."""
        for axes in self._axes.values():
            for symbol in _symbols(axes):
                if BATCH.fullmatch(symbol):
                    return symbol
        return next((axes[0] for axes in self._axes.values() if axes), None)

    def _sized(self, sizes: Mapping[str, int], batch: Axis | None, times: int) -> Inputs:
        """Return the inputs with the batch axis ``times`` as long; a fixed one is the first of all inputs that have its size."""
        symbols = {name: size * times if name == batch else size for name, size in sizes.items()}
        values, shapes = {}, {}
        for name, axes in self._axes.items():
            shape = [axis if isinstance(axis, int) else symbols[axis] for axis in axes]
            if isinstance(batch, int) and axes and axes[0] == batch:
                shape[0] *= times
            shapes[name] = tuple(shape)
            role: Role = "index" if self._elements[name] in INTEGERS else "activation"
            values[name] = Value(tuple(shape), self._elements[name], role=role)
        count = batch if isinstance(batch, int) else None if batch is None else symbols[batch] // times
        return Inputs(values, symbols, count, self._sample(shapes, batch))

    def _sample(self, shapes: Mapping[str, Shape], batch: Axis | None) -> tuple[int, ...] | dict[str, int]:
        """Return the lengths of one sample, without the batch; those the file leaves open, if it does any."""
        lengths: dict[str, int] = {}
        named: set[str] = set()
        for name, axes in self._axes.items():
            for place, (axis, size) in enumerate(zip(axes, shapes[name], strict=True)):
                if axis == batch and (isinstance(batch, str) or place == 0):
                    continue
                label = axis if isinstance(axis, str) and axis in _symbols(axes) else f"{name}[{place}]"
                lengths[label] = size
                named.update([label] if label == axis else [])
        if len(self._axes) == 1 and (len(lengths) > 1 or not named) and 0 not in lengths.values():
            return tuple(lengths.values())
        return {label: size for label, size in lengths.items() if label in named or not named}


def _axis(name: str, place: int, dim: onnx.TensorShapeProto.Dimension) -> Axis:
    """Return a size, a symbol, or a made-up symbol for an axis of which nothing is said: if it is the first, the batch."""
    if dim.HasField("dim_value") and dim.dim_value > 0:
        return int(dim.dim_value)
    symbol = str(dim.dim_param).strip()
    if symbol and not PLACEHOLDER.fullmatch(symbol):
        return str(dim.dim_param)
    return f"{name}[{place}]" if place else FIRST


def _symbols(axes: Sequence[Axis]) -> list[str]:
    """Return the symbols the file itself uses."""
    return [axis for axis in axes if isinstance(axis, str) and not axis.endswith("]")]


def _times(sizes: Sequence[Axis]) -> str:
    return "x".join(map(str, sizes))
