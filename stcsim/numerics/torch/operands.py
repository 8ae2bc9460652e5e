"""Tensors as operands: scaled, rounded to the codes of a type, and laid out as A and B of a product."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from stcsim.errors import StcsimError
from stcsim.isa import DType
from stcsim.numerics.codes import Codes
from stcsim.numerics.encoding import encode
from stcsim.numerics.sparse.sparse24 import Sparse24, compress

_CACHE_BYTES = 1 << 29
"""Codes of weights that are kept for the next call."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a product.

    Attributes:
        tensor: numbers; of a weight the matrix (..., m, k) itself, as a view.
        arrange: puts the codes of the tensor as the product wants them: (..., m, k) of A, (..., k, n) of B.
        owner: the parameter that the tensor is a view of; ``None`` for activations.
    """

    tensor: torch.Tensor
    arrange: Callable[[Codes], Codes]
    owner: torch.Tensor | None = None


class Encoded(NamedTuple):
    """An operand as codes.

    Attributes:
        codes: as the product wants them; of a compressed matrix those that are kept.
        scale: what a code of 1 stands for, fp32: one number, or (..., m); ``None`` for types that are not scaled.
        beyond: elements that were finite and overflowed or saturated.
        sparse: the compressed matrix, where it is one.
        why_dense: why the matrix is not compressed, where it was to be.
    """

    codes: Codes
    scale: npt.NDArray[np.float32] | None
    beyond: int
    sparse: Sparse24 | None = None
    why_dense: str = ""


def owner_of(tensor: torch.Tensor, default: torch.Tensor | None = None) -> torch.Tensor | None:
    """Return the parameter that a tensor is or is a view of, which makes it a weight; else ``default``."""
    for each in (tensor, tensor._base if tensor._is_view() else None):
        if isinstance(each, nn.Parameter):
            return each
    return default


def encode_factor(factor: Factor, form: DType, amax: float | npt.NDArray[Any] | None, where: str) -> Encoded:
    """Return the codes of a factor; weights are scaled by channel, activations by tensor.

    Args:
        factor: what is encoded.
        form: the element type.
        amax: the largest magnitude to scale for; by default the largest that is there.
        where: the name of the operand in errors.

    Raises:
        StcsimError: when a type that has no infinity is given what is not finite.
    """
    numbers = factor.tensor
    if not form.needs_scale:
        codes, beyond = _rounded(numbers, form)
        return Encoded(factor.arrange(codes), None, beyond)
    numbers = numbers.float()
    if not bool(torch.isfinite(numbers).all()):
        raise StcsimError(where, f"finite numbers to encode as {form.name}", "NaN or infinity")
    scale = _scale(numbers, form, amax, factor.owner is not None, where)
    codes, beyond = _rounded(numbers / scale, form)
    return Encoded(factor.arrange(codes), (scale.squeeze(-1) if scale.dim() else scale).numpy(), beyond)


def compressed(encoded: Encoded, form: DType, channels: int) -> Encoded:
    """Return a weight as a compressed matrix, or as it is with the reason why it cannot run 2:4.

    Args:
        encoded: the weight as a matrix (..., m, k).
        form: its element type.
        channels: neighbours along k of which groups are made: all of k, or the channels at one tap of a filter.
    """
    if channels % form.sparse_group:
        return encoded._replace(why_dense=f"{channels} channels along k are no multiple of {form.sparse_group}")
    try:
        sparse = compress(encoded.codes, form.name)
        return encoded._replace(codes=sparse.values, sparse=sparse)
    except StcsimError as error:
        return encoded._replace(why_dense=f"not pruned: {error}")


class WeightCache:
    """Codes of weights for one call of a network: what a recurrent layer reads in every step is encoded once."""

    def __init__(self) -> None:
        """Start with none."""
        self.clear()

    def clear(self) -> None:
        """Forget all codes, as before a call: weights may have been changed since where no version says so."""
        self._kept: OrderedDict[tuple[Any, ...], tuple[torch.Tensor, Encoded]] = OrderedDict()
        self._bytes = 0

    def get(self, factor: Factor, key: tuple[Any, ...], make: Callable[[], Encoded]) -> Encoded:
        """Return what ``make`` returns, from the cache where the weight has not changed since."""
        owner, view = factor.owner, factor.tensor
        if not isinstance(owner, nn.Parameter) or owner.is_inference():
            return make()
        whole = (id(owner), owner._version, view.shape, view.stride(), view.storage_offset(), *key)
        if whole in self._kept:
            self._kept.move_to_end(whole)
            return self._kept[whole][1]
        encoded = make()
        self._kept[whole] = (owner, encoded)  # the owner, so that nothing else comes to be called by its id
        self._bytes += _bytes(encoded)
        while self._bytes > _CACHE_BYTES and len(self._kept) > 1:
            self._bytes -= _bytes(self._kept.popitem(last=False)[1][1])
        return encoded


def _bytes(encoded: Encoded) -> int:
    return int(encoded.codes.nbytes) + (0 if encoded.sparse is None else int(encoded.sparse.metadata.nbytes))


def _rounded(numbers: torch.Tensor, form: DType) -> tuple[Codes, int]:
    """Return the codes nearest to numbers, and how many finite ones were beyond the range of the type."""
    numbers = numbers.detach()
    if str(numbers.dtype) == f"torch.{form.torch}" and not form.dropped_bits:
        words = numbers.contiguous().view(torch.int16).numpy()
        return words.view(np.uint16), 0
    return encode(numbers, form.name), _beyond(numbers, form)


def _beyond(numbers: torch.Tensor, form: DType) -> int:
    """Return how many finite numbers are so far above the largest one of a type that they do not round to it."""
    last_place = 2.0 ** (form.max_exponent - form.fraction_bits) if form.is_float else 1.0
    limit = form.largest + last_place / 2
    least, most = (float(each) for each in numbers.aminmax())
    if max(-least, most) < limit:  # false for NaN
        return 0
    return int(((numbers.abs() >= limit) & torch.isfinite(numbers)).sum())


def _scale(numbers: torch.Tensor, form: DType, amax: float | npt.NDArray[Any] | None, by_row: bool, where: str) -> torch.Tensor:
    """Return the scale of a tensor, or of each row of a matrix; zeros are scaled by 1."""
    if amax is None:
        largest = numbers.abs().amax(-1, keepdim=True) if by_row else numbers.abs().amax()
    else:
        largest = torch.as_tensor(np.asarray(amax, np.float32))
        if largest.dim():
            if not by_row or largest.numel() != numbers.shape[:-1].numel():
                rows = numbers.shape[:-1].numel() if by_row else 1
                raise StcsimError(where, f"{rows} largest magnitudes, one for each channel, or one for all", str(largest.numel()))
            largest = largest.reshape(*numbers.shape[:-1], 1)
    return torch.where(largest > 0, largest / form.largest, torch.ones_like(largest))
