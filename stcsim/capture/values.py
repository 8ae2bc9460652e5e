"""What tensors without data would hold, as far as that is known: small values are computed beside the shapes.

Model code looks at values: it takes the number in a constant, picks rows by a mask, or asks whether anything is padded.
Constants are known, since whatever makes them also runs here with data. What the network is fed with and what it computes
is not, so that it is taken as zeros, and the trace says so where that decided anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from stcsim.capture.storages import is_float
from stcsim.capture.unhandled import multiplying

#: Elements of the largest tensor whose values are computed: made of constants and inputs; made of anything else.
_EXACT_ELEMENTS, _ASSUMED_ELEMENTS = 2**20, 2**16

#: Bytes of values that are kept before those that nobody can read any more are dropped.
_KEPT_BYTES = 2**29

_SCALAR = "_local_scalar_dense"

Args = Sequence[Any]
Kwargs = Mapping[str, Any]


class Trust(IntEnum):
    """How sure a value is; what is made of several is as sure as the least of them."""

    KNOWN = 0
    FED = 1
    ASSUMED = 2


#: What a trace says of values that decided something.
TAKEN = {
    Trust.FED: "values of inputs are taken as 0 (masks as 1) where the network looks at them",
    Trust.ASSUMED: "values that the network computes are taken as 0 where its sizes depend on them",
}


@dataclass(slots=True)
class _Held:
    """Values of one storage, laid out as it is. ``storage`` is kept alive, so that no other takes its address."""

    storage: torch.UntypedStorage
    values: torch.UntypedStorage
    trust: Trust


class Values:
    """The values of all storages that have any.

    Attributes:
        looked_at: how sure the values were that decided anything, constants aside.
    """

    def __init__(self) -> None:
        self.looked_at: set[Trust] = set()
        self._held: dict[int, _Held] = {}
        self._bytes = 0

    def feed(self, tensors: Iterable[torch.Tensor]) -> None:
        """Remember that these are inputs: ids, counts and masks are as they are fed, numbers can be any."""
        for tensor in tensors:
            self._trust(tensor, Trust.ASSUMED if is_float(tensor) else Trust.FED)

    def forget(self, tensors: Iterable[torch.Tensor]) -> None:
        """Drop the values of these, which a training decides."""
        for tensor in tensors:
            held = self._held.pop(tensor.untyped_storage()._cdata, None)
            self._bytes -= held.values.nbytes() if held else 0

    def trust(self, tensor: torch.Tensor) -> Trust:
        """Return how sure the values of ``tensor`` are."""
        held = self._held.get(tensor.untyped_storage()._cdata)
        if held:
            return held.trust
        return Trust.ASSUMED if tensor.is_meta else Trust.KNOWN

    def known(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the values of ``tensor`` where they do not depend on what the network is fed with."""
        return self._value(tensor) if self.trust(tensor) is Trust.KNOWN else None

    def run(self, func: Any, shapes: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        """Run one operator on shapes, and on values beside; one whose shapes depend on values runs on those alone.

        Args:
            func: the operator.
            shapes: runs it on tensors without data.
            args, kwargs: of the operator.
        """
        name = func._schema.name.split("::")[-1] if isinstance(func, torch._ops.OpOverload) else ""
        tensors = tensors_in((args, kwargs))
        if not name or not any(tensor.is_meta for tensor in tensors) and not _on_meta(kwargs):
            return self._on_data(shapes, tensors, args, kwargs)
        if name in (_SCALAR, "equal") or (name == "_to_copy" and _leaves_meta(kwargs)):
            return self._look(func, name, args, kwargs)
        if name.startswith(("index", "_unsafe_index", "_index_put_impl")) and len(args) > 1 and isinstance(args[1], list | tuple):
            args = (args[0], self._places(args[1]), *args[2:])
        try:
            out = shapes(*self._moved(name, args), **self._moved(name, kwargs))
        except (NotImplementedError, RuntimeError) as error:
            if func._schema.is_mutable or multiplying(name):
                raise
            return self._by_values(func, name, args, kwargs, error)
        self._follow(func, name, args, kwargs, out)
        return out

    def hold(self, tensor: torch.Tensor, value: torch.Tensor, trust: Trust) -> None:
        """Remember what a tensor without data would hold."""
        storage = tensor.untyped_storage()
        self.forget([tensor])
        self._purge(storage.nbytes())
        values = torch.UntypedStorage(storage.nbytes(), device="cpu")
        held = _Held(storage, values, trust)
        self._held[storage._cdata] = held
        self._bytes += values.nbytes()
        _laid_out(tensor, values).copy_(value)

    def _trust(self, tensor: torch.Tensor, trust: Trust) -> None:
        storage = tensor.untyped_storage()
        held = self._held.get(storage._cdata)
        if held:
            held.trust = max(held.trust, trust)
        elif not tensor.is_meta and trust:
            self._held[storage._cdata] = _Held(storage, torch.UntypedStorage(0), trust)

    def _value(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the values of ``tensor``, which share memory as the tensors do, or ``None``."""
        if not tensor.is_meta:
            return tensor
        held = self._held.get(tensor.untyped_storage()._cdata)
        return _laid_out(tensor, held.values) if held else None

    def _needed(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the values of ``tensor``; those of one that has none are zeros, of a mask ones."""
        if trust := self.trust(tensor):
            self.looked_at.add(trust)
        value = self._value(tensor)
        if value is None:
            value = torch.full(tensor.shape, tensor.dtype == torch.bool, dtype=tensor.dtype, device="cpu")
        return value

    def _look(self, func: Any, name: str, args: Args, kwargs: Kwargs) -> Any:
        """Return what leaves the tensors: a number, a truth, or a tensor with data; no truth of what the network computes."""
        trust = max(map(self.trust, tensors_in(args)))
        truth = name == "equal" or (name == _SCALAR and args[0].dtype == torch.bool)
        if truth and trust is Trust.ASSUMED:
            return func(*args, **kwargs)  # which says why it cannot be
        out = func(*(self._needed(each) if isinstance(each, torch.Tensor) else each for each in args), **kwargs)
        for tensor in tensors_in(out):
            self._trust(tensor, trust)
        return out

    def _places(self, places: Sequence[Any]) -> list[Any]:
        """Return the indices with each mask as the places at which it is true."""
        found: list[Any] = []
        for each in places:
            if not isinstance(each, torch.Tensor) or each.dtype not in (torch.bool, torch.uint8):
                found.append(each)
                continue
            trust = self.trust(each)
            for axis in self._needed(each).nonzero(as_tuple=True):
                found.append(self._without_data(axis, trust))
        return found

    def _by_values(self, func: Any, name: str, args: Args, kwargs: Kwargs, error: Exception) -> Any:
        """Return the results of an operator that has no shapes without values, or say what it said."""
        tensors = tensors_in((args, kwargs))
        if not tensors or any(tensor.numel() > _EXACT_ELEMENTS for tensor in tensors):
            raise error
        trust = max(map(self.trust, tensors))
        needed = lambda each: self._needed(each) if isinstance(each, torch.Tensor) else each  # noqa: E731
        try:
            out = func(*tree_map(needed, tuple(args)), **_on_cpu(tree_map(needed, dict(kwargs))))
        except Exception:
            raise error from None
        return tree_map(lambda each: self._without_data(each, trust) if isinstance(each, torch.Tensor) else each, out)

    def _without_data(self, value: torch.Tensor, trust: Trust) -> torch.Tensor:
        """Return a tensor without data that stands for ``value``."""
        tensor = torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
        self.hold(tensor, value, trust)
        return tensor

    def _moved(self, name: str, arguments: Any) -> Any:
        """Return the arguments with tensors that have data among them moved to those that have none."""
        if name in ("copy_", "_to_copy"):
            return arguments

        def move(each: Any) -> Any:
            moves = isinstance(each, torch.Tensor) and not each.is_meta and each.dim()
            return self._without_data(each, self.trust(each)) if moves else each

        return tree_map(move, arguments)

    def _on_data(self, shapes: Callable[..., Any], tensors: Sequence[torch.Tensor], args: Args, kwargs: Kwargs) -> Any:
        """Run an operator on tensors that have data; what comes out is as sure as they are."""
        out = shapes(*args, **kwargs)
        trust = max(map(self.trust, tensors), default=Trust.KNOWN)
        for tensor in tensors_in(out) if trust else ():
            self._trust(tensor, trust)
        return out

    def _follow(self, func: Any, name: str, args: Args, kwargs: Kwargs, out: Any) -> None:
        """Compute the values of what ``out`` holds, if they are small."""
        outputs, inputs = tensors_in(out), tensors_in((args, kwargs))
        shared = {tensor.untyped_storage()._cdata for tensor in inputs}
        fresh = [tensor for tensor in outputs if tensor.untyped_storage()._cdata not in shared]
        if not fresh and not func._schema.is_mutable:
            return  # a view, which shares values as well
        written = fresh or tensors_in([arg for arg, spec in zip(args, func._schema.arguments, strict=False) if _is_written(spec)])
        trust = max(map(self.trust, inputs), default=Trust.KNOWN)
        limit = _ASSUMED_ELEMENTS if trust is Trust.ASSUMED else _EXACT_ELEMENTS
        unsure = torch.Tag.nondeterministic_seeded in func.tags or (multiplying(name) and trust is Trust.ASSUMED)
        if unsure or any(tensor.numel() > limit for tensor in (*outputs, *inputs)):
            self.forget(written)
            return
        self._compute(func, args, kwargs, out if fresh else None, written, trust)

    def _compute(self, func: Any, args: Args, kwargs: Kwargs, out: Any, written: Sequence[torch.Tensor], trust: Trust) -> None:
        values: dict[int, torch.Tensor] = {}

        def value(each: Any) -> Any:
            if not isinstance(each, torch.Tensor):
                return each
            found = self._value(each)
            return found if found is not None else torch.zeros(each.shape, dtype=each.dtype, device="cpu")

        try:
            result = func(*tree_map(value, tuple(args)), **_on_cpu(tree_map(value, dict(kwargs))))
        except Exception:  # of types in which CPUs do not run it
            self.forget(written)
            return
        values.update(zip(map(id, tensors_in(out)), tensors_in(result), strict=False))
        for tensor in written:
            computed = values.get(id(tensor))
            if computed is None:
                self._trust(tensor, trust)
            elif tensor.is_meta and computed.shape == tensor.shape:  # statistics of a norm are empty on CPUs
                self.hold(tensor, computed, trust)

    def _purge(self, more: int) -> None:
        """Drop what only this table keeps alive once there is too much."""
        if self._bytes + more < _KEPT_BYTES:
            return
        for key, held in list(self._held.items()):
            if torch._C._storage_Use_Count(key) <= 1:
                self._bytes -= held.values.nbytes()
                del self._held[key]


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Return the tensors among nested arguments."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _laid_out(tensor: torch.Tensor, values: torch.UntypedStorage) -> torch.Tensor:
    """Return the part of ``values`` that ``tensor`` is of its storage."""
    empty = torch.empty(0, dtype=tensor.dtype, device="cpu")
    return empty.set_(values, tensor.storage_offset(), tensor.size(), tensor.stride())  # type: ignore[call-overload, no-any-return, unused-ignore]


def _on_meta(kwargs: Kwargs) -> bool:
    return "device" in kwargs and torch.device(kwargs["device"] or "cpu").type == "meta"


def _leaves_meta(kwargs: Kwargs) -> bool:
    return kwargs.get("device") is not None and torch.device(kwargs["device"]).type != "meta"


def _on_cpu(kwargs: Kwargs) -> dict[str, Any]:
    return {name: torch.device("cpu") if name == "device" and value is not None else value for name, value in kwargs.items()}


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write
