"""Sees what is made while a module is built or fed: numbers that become tensors, and the values of buffers."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from stcsim.capture.values import Trust, Values, tensors_in


class Literals(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
    """Remembers what ``torch.tensor`` is given, which dispatch never sees."""

    _MAKERS = (torch.tensor, torch.as_tensor, torch.asarray)
    _INDEXED = (torch.Tensor.__getitem__, torch.Tensor.__setitem__)

    def __init__(self, values: Values) -> None:
        super().__init__()
        self._values = values

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function, and hold what it makes of numbers."""
        if func in self._INDEXED and isinstance(args[0], torch.Tensor) and args[0].is_meta:
            places = tuple(map(self._index, args[1])) if isinstance(args[1], tuple) else self._index(args[1])
            args = (args[0], places, *args[2:])
        out = func(*args, **(kwargs or {}))
        if func in self._MAKERS and out.is_meta and args and not tensors_in(args[0]):
            self._values.hold(out, func(*args, **{**(kwargs or {}), "device": "cpu"}), Trust.KNOWN)
        return out

    def _index(self, place: Any) -> Any:
        """Return a list of places as the tensor it becomes."""
        if not isinstance(place, list) or not all(isinstance(each, int) for each in place):
            return place
        tensor = torch.tensor(place, device="meta")
        self._values.hold(tensor, torch.tensor(place, device="cpu"), Trust.KNOWN)
        return tensor


class Build(TorchDispatchMode):  # type: ignore[misc, unused-ignore]
    """Remembers the values of the buffers of a module as it is built."""

    def __init__(self, values: Values) -> None:
        super().__init__()
        self._values = values

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operator."""
        return self._values.run(func, func, args, kwargs or {})
