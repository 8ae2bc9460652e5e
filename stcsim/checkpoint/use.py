"""What a tensor of a checkpoint is used for, where the file says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Order(StrEnum):
    """How the dimensions of a weight lie: ``m`` outputs, ``k`` the reduction."""

    MK = "m,k"
    KM = "k,m"
    CONV = "k,c,r,s"
    CONV_TRANSPOSED = "c,k,r,s"
    LOOK_UP = "rows that are looked up"
    PACKED = "packed by another program"


@dataclass(frozen=True, slots=True)
class Use:
    """How an operator of an ONNX graph uses an initialiser.

    Attributes:
        operator: e.g. ``"MatMul"``.
        nodes: names of the operators in the graph that use it so.
        order: how the dimensions lie for it.
        groups: of a convolution.
        zero_point: whether the numbers are quantised so that another code than 0 may stand for 0.
    """

    operator: str
    nodes: tuple[str, ...]
    order: Order
    groups: int = 1
    zero_point: bool = False
