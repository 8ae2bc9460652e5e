"""Operators of PyTorch that multiply, as products: one function an operator, in the table ``READERS``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from stcsim.numerics.codes import Codes
from stcsim.numerics.torch.operands import Factor
from stcsim.numerics.torch.products import Product
from stcsim.numerics.torch.session import Session


def linear(session: Session, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``F.linear``: the weight is A, and all that lies before the last dimension of ``x`` is n."""

    def exact() -> Tensor:
        return nn.functional.linear(x.float(), weight.float(), None if bias is None else bias.float())

    product = Product(
        kind="linear",
        part="linear",
        left=Factor(weight, _as_they_lie, owner_of(weight, weight)),
        right=Factor(x, _rows_to_columns),
        channels=weight.shape[1],
        exact=exact,
        finish=lambda sums: sums.t().reshape(*x.shape[:-1], weight.shape[0]),
        bias=bias,
    )
    return session.run(product).to(x.dtype)


def owner_of(tensor: Tensor, default: Tensor | None = None) -> Tensor | None:
    """Return the parameter that a tensor is or is a view of, which makes it a weight."""
    for each in (tensor, tensor._base if tensor._is_view() else None):
        if isinstance(each, nn.Parameter):
            return each
    return default


def _as_they_lie(codes: Codes) -> Codes:
    return codes


def _rows_to_columns(codes: Codes) -> Codes:
    """Return (..., k) as (k, n)."""
    return np.ascontiguousarray(codes.reshape(-1, codes.shape[-1]).T)


READERS: dict[str, Callable[..., Any]] = {
    "linear": linear,
}
"""Operators by the name that they have in aten, each with a function of the session and the operator's arguments."""
