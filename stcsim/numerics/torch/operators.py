"""Operators of PyTorch that multiply, as products: one function an operator, in the table ``READERS``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stcsim.numerics.torch import layouts
from stcsim.numerics.torch.attention import attention
from stcsim.numerics.torch.convolutions import convolution
from stcsim.numerics.torch.operands import Factor, owner_of
from stcsim.numerics.torch.products import Product
from stcsim.numerics.torch.session import Session


def linear(session: Session, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``F.linear``: the weight is A, and all that lies before the last dimension of ``x`` is n."""
    if weight.dim() == 1:
        return linear(session, x, weight[None], bias).squeeze(-1)

    def exact() -> Tensor:
        return nn.functional.linear(x.float(), weight.float(), None if bias is None else bias.float())

    product = Product(
        kind="linear",
        part="linear",
        left=Factor(weight, layouts.as_they_lie, owner_of(weight, weight)),
        right=Factor(x, layouts.rows_to_columns),
        channels=weight.shape[1],
        exact=exact,
        finish=lambda d: d.t().reshape(*x.shape[:-1], weight.shape[0]),
        bias=bias,
    )
    return session.run(product).to(x.dtype)


def matmul(session: Session, left: Tensor, right: Tensor) -> Tensor:
    """Return ``torch.matmul``, with vectors and broadcast batches."""
    return multiply(session, left, right)


def addmm(session: Session, bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Return ``beta * bias + alpha * left @ right`` of matrices, batches of them, or a matrix and a vector."""
    return multiply(session, left, right, bias, float(beta), float(alpha))


def multiply(
    session: Session, left: Tensor, right: Tensor, bias: Tensor | None = None, beta: float = 1.0, alpha: float = 1.0
) -> Tensor:
    """Return ``beta * bias + alpha * left @ right``.

    A weight is A, wherever it stands; without one the first factor is. A matrix that all matrices of a batch meet is one product
    with more columns. A reduction of length 1 is no reduction: such an outer product is left to PyTorch.
    """
    bias = bias if beta else None
    rows, columns = left.dim() == 1, right.dim() == 1
    one, other = left[None] if rows else left, right[:, None] if columns else right

    def exact() -> Tensor:
        plain = left.float().matmul(right.float()) * alpha
        return plain if bias is None else plain + bias.float() * beta

    if one.shape[-1] == 1:
        session.note("matmul", "an outer product (k = 1), which no kernel sends to tensor cores")
        return exact().to(left.dtype)
    way = _way(_without_copies(one), _without_copies(other))
    source = None if bias is None else bias[..., None] if columns else bias
    by_row = source is not None and way.turned and source.dim() == 1 and beta == 1 and not columns

    def finish(d: Tensor) -> Tensor:
        result = way.back(d)
        result = result.squeeze(-1) if columns else result
        return result.squeeze(-2 if not columns else -1) if rows else result

    product = Product(
        kind="matmul",
        part="matmul",
        left=way.left,
        right=way.right,
        channels=one.shape[-1],
        exact=exact,
        finish=finish,
        bias=source if by_row else None,
        addend=None if source is None or by_row else way.there(source),
        alpha=alpha,
        beta=beta,
    )
    return session.run(product).to(left.dtype)


class _Way(NamedTuple):
    """How ``left @ right`` becomes A . B.

    Attributes:
        left: the factor A.
        right: the factor B.
        turned: D is the transposed result.
        back: brings D into the shape of the result.
        there: brings what is added to the result into the shape of D.
    """

    left: Factor
    right: Factor
    turned: bool
    back: Callable[[Tensor], Tensor]
    there: Callable[[Tensor], Tensor]


def _way(left: Tensor, right: Tensor) -> _Way:
    """Return what is A and what is B."""
    weight, other = owner_of(right), owner_of(left)
    swapped = weight is not None or (right.dim() == 2 and other is None and left.dim() > 2)
    if swapped and right.dim() == 2:
        shape = (*left.shape[:-1], right.shape[-1])
        a = Factor(right.t(), layouts.as_they_lie, weight)
        b = Factor(left, layouts.rows_to_columns)
        return _Way(a, b, True, lambda d: d.t().reshape(shape), lambda c: c.expand(shape).reshape(-1, shape[-1]).t())
    if swapped:
        a = Factor(right.transpose(-1, -2), layouts.as_they_lie, weight)
        b = Factor(left, layouts.transposed)
        return _Way(a, b, True, lambda d: d.transpose(-1, -2), lambda c: _matrix(c).transpose(-1, -2))
    a = Factor(left, layouts.as_they_lie, other)
    if left.dim() == 2 and right.dim() > 2:
        batch, rows, columns = right.shape[:-2], left.shape[0], right.shape[-1]
        b = Factor(right, layouts.batch_to_columns)
        return _Way(
            a,
            b,
            False,
            lambda d: d.reshape(rows, *batch, columns).movedim(0, -2),
            lambda c: c.expand(*batch, rows, columns).movedim(-2, 0).reshape(rows, -1),
        )
    return _Way(a, Factor(right, layouts.as_they_lie), False, lambda d: d, _matrix)


def _matrix(tensor: Tensor) -> Tensor:
    """Return a tensor with at least two dimensions."""
    return tensor if tensor.dim() > 1 else tensor[None]


def _without_copies(tensor: Tensor) -> Tensor:
    """Return one matrix of a batch that repeats it."""
    repeats = tensor.dim() > 2 and not any(tensor.stride(at) and tensor.shape[at] > 1 for at in range(tensor.dim() - 2))
    return tensor[(0,) * (tensor.dim() - 2)] if repeats and tensor.shape[:-2].numel() > 1 else tensor


def grouped_mm(
    session: Session, left: Tensor, right: Tensor, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: Any = None
) -> Tensor:
    """Return ``torch._grouped_mm`` of tokens sorted by expert, (tokens, k), with a weight for each expert, (experts, k, n)."""
    if offs is None or left.dim() != 2 or right.dim() != 3 or bias is not None:
        session.note("aten._grouped_mm", "only tokens sorted by expert are simulated")
        return torch._grouped_mm(left, right, offs, bias=bias, out_dtype=out_dtype)
    ends = [int(each) for each in offs]
    parts = [
        multiply(session, left[start:end], right[expert])
        for expert, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
        if end > start
    ]
    whole = torch.cat([*parts, left.new_zeros(left.shape[0] - (ends or [0])[-1], right.shape[-1])])
    return whole if out_dtype is None else whole.to(out_dtype)


READERS: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "matmul": matmul,
    "mm": matmul,
    "bmm": matmul,
    "mv": matmul,
    "dot": matmul,
    "addmm": addmm,
    "baddbmm": addmm,
    "addmv": addmm,
    "convolution": convolution,
    "_grouped_mm": grouped_mm,
    "scaled_dot_product_attention": attention,
}
"""Operators by the name that they have in aten, each with a function of the session and the operator's arguments."""
