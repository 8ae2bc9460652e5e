"""Values that are given for inputs of an ONNX graph, such as a sampling rate on which its branches depend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from stcsim.capture.onnx_import.inputs import InputAxes, Inputs
from stcsim.capture.onnx_import.values import MAX_EVALUATED, Value
from stcsim.errors import TraceError, closest

_TRUTH = {"true": 1, "false": 0}


class Given:
    """Values by the names of inputs.

    Args:
        words: ``"sr=16000"`` or ``"sizes=1,3,224"``, one for each input.

    Raises:
        TraceError: when one is not a name and numbers, or a name comes twice.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Read the words."""
        self._numbers: dict[str, list[int | float]] = {}
        for word in words:
            name, equals, text = word.rpartition("=")
            numbers = [_number(part.strip()) for part in text.split(",")]
            if not equals or not name or None in numbers:
                raise TraceError("value", "NAME=NUMBER (several with a comma between), e.g. sr=16000", f"'{word}'")
            if name in self._numbers:
                raise TraceError(f"value of '{name}'", "one", "two")
            self._numbers[name] = [number for number in numbers if number is not None]

    def applied(self, inputs: Inputs) -> Inputs:
        """Return the inputs with these values.

        Raises:
            TraceError: when there is no such input, or it holds another number of elements, or another type.
        """
        unknown = [name for name in self._numbers if name not in inputs.values]
        if unknown:
            known = f"an input of the file ({', '.join(inputs.values)})"
            raise TraceError("value", known, f"'{unknown[0]}'{closest(unknown[0], inputs.values)}")
        values = {name: _filled(name, inputs.values[name], numbers) for name, numbers in self._numbers.items()}
        return replace(inputs, values={**inputs.values, **values})

    def times(self, axes: InputAxes, inputs: Inputs, times: int) -> Inputs | None:
        """Return the same inputs for ``times`` the batch, or ``None`` without a batch axis."""
        larger = axes.times(inputs, times)
        return None if larger is None else self.applied(larger)


def _filled(name: str, value: Value, numbers: Sequence[int | float]) -> Value:
    """Return an input whose elements are known; numbers for one sample are repeated for the others."""
    where = f"value of '{name}'"
    if value.shape is None or value.elements > MAX_EVALUATED:
        raise TraceError(where, f"an input of at most {MAX_EVALUATED:,} elements", f"{value.elements:,}")
    if value.elements % len(numbers):
        expected = "1 number" if value.elements == 1 else f"1 number or {value.elements}"
        raise TraceError(where, expected, str(len(numbers)))
    return replace(value, data=_array(where, value, np.resize(np.array(numbers), value.shape)))


def _array(where: str, value: Value, numbers: Any) -> Any:
    """Return the numbers in the type of the input."""
    kind = TensorProto.DataType.Name(value.element)
    try:
        array = numbers.astype(helper.tensor_dtype_to_np_dtype(value.element))
        same = value.element not in _EXACT or bool((array == numbers).all())
    except (KeyError, TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise TraceError(where, f"numbers of the type {kind.lower()}", ", ".join(map(str, numbers.ravel()[:4].tolist())))
    return array


def _number(text: str) -> int | float | None:
    """Return the number, or ``None`` when it is none."""
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    for kind in (int, float):
        try:
            return kind(text) if len(text) < 40 else None
        except ValueError:
            continue
    return None


#: Types of which a number that changes when it is stored was meant for something else.
_EXACT = (
    TensorProto.BOOL, TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
    TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
)  # fmt: skip
