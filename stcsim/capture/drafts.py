"""What a product's reader is given, and what it returns: one call of an operator, and operations without a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from stcsim.capture.storages import Storages
from stcsim.capture.values import Values


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operator: its name without namespace and overload, its arguments, the tensors it returned, what is known."""

    operator: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: Sequence[torch.Tensor]
    storages: Storages
    values: Values


@dataclass(frozen=True, slots=True)
class Draft:
    """An operation without its name.

    Attributes:
        kind: ``"gemm"``, ``"conv2d"`` or ``"memory"``.
        fields: of the operation.
        part: what it is called where the module's path does not say it.
        reads: what it reads: tensors, or earlier drafts of the same call by their place.
        weight: the tensor that is its weight, if it has one.
    """

    kind: str
    fields: Mapping[str, Any]
    part: str
    reads: Sequence[torch.Tensor | int]
    weight: torch.Tensor | None = None


def gemm(
    sizes: tuple[int, int, int, int],
    reads: Sequence[torch.Tensor | int],
    weight: torch.Tensor | None = None,
    part: str = "matmul",
    count: int = 1,
) -> Draft:
    """Return one GEMM of (m, n, k, batch)."""
    m, n, k, batch = sizes
    operand = "a" if weight is not None else None
    return Draft("gemm", {"m": m, "n": n, "k": k, "batch": batch, "weight_operand": operand, "count": count}, part, reads, weight)


def memory(
    operator: str, elements: tuple[int, int], reads: Sequence[torch.Tensor | int], part: str = "", count: int = 1
) -> Draft:
    """Return one step that moves (read, written) elements."""
    fields = {"operator": operator, "elements_read": elements[0], "elements_written": elements[1], "count": count}
    return Draft("memory", fields, part or operator, reads)
