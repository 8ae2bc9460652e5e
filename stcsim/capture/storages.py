"""What every storage of a running network holds: weights, constants, masks or activations, and which operation wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import nn

#: A part of a storage: offset, shape and strides; ``None`` is all of it.
Region = tuple[int, tuple[int, ...], tuple[int, ...]] | None

#: Made of parameters and buffers alone; masks, ids and positions made of integer inputs; all else that the input decides.
Role = Literal["constant", "index", "activation"]


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of one storage.

    Attributes:
        storage: kept alive, so that no other takes its address.
        role: what its values depend on.
        weight: whether a product with it has a weight: made of parameters alone, and neither a product nor a look-up since.
        distinct: elements that an expansion did not repeat, when fewer than a tensor has.
        writes: where it was written and by which operations, in order; none for parameters and the network's own input.
    """

    storage: torch.UntypedStorage
    role: Role
    weight: bool = False
    distinct: int | None = None
    writes: tuple[tuple[Region, tuple[str, ...]], ...] = ()


class Storages:
    """The contents of all storages, so that views, which share one, are looked through.

    A linear layer multiplies by a transposed view of its weight, a pruned one by ``weight * mask``, a batched one by an
    expanded copy: all of them are weights, and shape alone does not say so.
    """

    def __init__(self) -> None:
        self._contents: dict[int, Content] = {}

    def add_module(self, module: nn.Module, recurse: bool) -> None:
        """Remember the parameters and buffers of ``module`` (a lazy or re-parametrised one makes new ones as it runs)."""
        for parameter in module.parameters(recurse):
            if not nn.parameter.is_lazy(parameter):
                self._contents[_address(parameter)] = Content(parameter.untyped_storage(), "constant", weight=True)
        for buffer in module.buffers(recurse):
            if not nn.parameter.is_lazy(buffer):
                self._contents.setdefault(_address(buffer), Content(buffer.untyped_storage(), "constant"))

    def add_weights(self, tensors: Iterable[torch.Tensor]) -> None:
        """Remember weights that are no parameters of a module."""
        for tensor in tensors:
            self._contents[_address(tensor)] = Content(tensor.untyped_storage(), "constant", weight=True)

    def add_inputs(self, tensors: Iterable[torch.Tensor]) -> None:
        """Remember what is fed to the network: numbers are activations, ids and masks are not."""
        for tensor in tensors:
            self._contents[_address(tensor)] = Content(tensor.untyped_storage(), "activation" if is_float(tensor) else "index")

    def role(self, tensor: torch.Tensor) -> Role:
        """Return what ``tensor`` depends on; one never seen was made outside of the network."""
        content = self._contents.get(_address(tensor))
        return content.role if content else "constant"

    def is_weight(self, tensor: torch.Tensor) -> bool:
        """Whether ``tensor`` is computed from at least one parameter and nothing that depends on the input."""
        content = self._contents.get(_address(tensor))
        return content is not None and content.weight

    def producers(self, tensor: torch.Tensor) -> tuple[str, ...]:
        """Return the names of the operations whose output ``tensor`` is, the earliest first."""
        content, region = self._contents.get(_address(tensor)), region_of(tensor)
        found: tuple[str, ...] = ()
        for written, names in reversed(content.writes if content else ()):
            if not apart(written, region):
                found = names + found
            if written == region or written is None:
                break
        return found

    def distinct(self, tensor: torch.Tensor) -> int:
        """Return the elements of ``tensor`` that an expansion did not repeat."""
        elements: int = prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
        content = self._contents.get(_address(tensor))
        return min(elements, content.distinct) if content and content.distinct else elements

    def place(self, tensor: torch.Tensor) -> tuple[int, ...]:
        """Return what tells one part of one storage from another."""
        return (_address(tensor), tensor.storage_offset(), *tensor.shape, *tensor.stride())

    def part(self, tensor: torch.Tensor) -> tuple[int, ...]:
        """Return what tells one weight from another, however it is transposed."""
        return (_address(tensor), tensor.storage_offset(), tensor.numel())

    def shares(self, outputs: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]) -> bool:
        """Whether every output lies in the storage of an input."""
        known = {_address(tensor) for tensor in inputs}
        return all(_address(tensor) in known for tensor in outputs)

    def write(
        self, tensor: torch.Tensor, content: Role, names: Sequence[str] = (), weight: bool = False, copied: int = 0
    ) -> None:
        """Remember what was written into ``tensor``; a part of a storage adds to what is there.

        Args:
            tensor: an output.
            content: its role.
            names: of the operations that wrote it.
            weight: as in ``Content``.
            copied: distinct elements of what it is a copy of; 0 when it is none.
        """
        storage, old, region = tensor.untyped_storage(), self._contents.get(_address(tensor)), region_of(tensor)
        kept = tuple(write for write in old.writes if write[0] != region) if old and region else ()
        writes = (*kept, (region, tuple(names)))
        self._contents[_address(tensor)] = Content(storage, content, weight, copied or None, writes)

    def sources(self, tensors: Iterable[torch.Tensor]) -> tuple[str, ...]:
        """Return the names of the operations whose output these tensors are, each once, in their order."""
        return tuple(dict.fromkeys(name for tensor in tensors for name in self.producers(tensor)))

    def held(self) -> Iterator[str]:
        """Yield the names of the operations that wrote what a tensor, not this table alone, still holds."""
        for key, content in self._contents.items():
            if torch._C._storage_Use_Count(key) > 1:
                yield from (name for _, names in content.writes for name in names)


def region_of(tensor: torch.Tensor) -> Region:
    """Return the part of its storage that ``tensor`` is."""
    if tensor.numel() * tensor.itemsize >= tensor.untyped_storage().nbytes():
        return None
    return tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())


def apart(one: Region, other: Region) -> bool:
    """Whether two parts of a storage have no element in common for sure."""
    if one is None or other is None:
        return False
    (start, shape, strides), (other_start, other_shape, other_strides) = sorted((one, other))
    if start + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) < other_start:
        return True
    if strides != other_strides:
        return False
    distance, outer = other_start - start, 0
    for stride, size in sorted(zip(strides, map(max, shape, other_shape), strict=True), reverse=True):
        if not stride or outer % stride:
            return False
        forth, rest = divmod(distance, stride)
        back = outer // stride - forth - bool(rest)  # from the next place along the axis outside of this one
        if forth >= size and (not outer or back >= size):
            return True
        distance, outer = rest, stride
    return False


def is_float(tensor: torch.Tensor) -> bool:
    """Whether ``tensor`` holds numbers rather than ids, counts or a mask."""
    return bool(tensor.is_floating_point() or tensor.is_complex())


def _address(tensor: torch.Tensor) -> int:
    """Return what tells one storage from another; views share it, and meta tensors have one too."""
    address: int = tensor.untyped_storage()._cdata
    return address
