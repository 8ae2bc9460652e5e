"""How many turns a Loop of an ONNX graph takes: constants, shapes and given values say, or nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from stcsim.capture.onnx_import.live import live_nodes, read_names
from stcsim.capture.onnx_import.sequences import scalar
from stcsim.capture.onnx_import.turns import carried
from stcsim.capture.onnx_import.values import Value
from stcsim.errors import TraceError

if TYPE_CHECKING:
    from stcsim.capture.onnx_import.graph import Walk

MAX_COUNTED = 4_096
"""Turns after which a condition is asked no more."""

UNKNOWN = Value(None)

TRUE = scalar(1, TensorProto.BOOL)


def turns_of_loop(
    walk: Walk, body: onnx.GraphProto, most: Value | None, condition: Value | None, states: Sequence[Value]
) -> int | None:
    """Return how many turns a Loop takes, ``None`` when that depends on data.

    Only those nodes are walked, turn by turn, on which the condition depends.
    """
    if (most is not None and most.data is None) or (condition is not None and condition.data is None):
        return None
    limit = MAX_COUNTED if most is None or most.data is None else max(int(most.data.item()), 0)
    if condition is not None and condition.data is not None and not condition.data.item():
        return 0
    if body.output[0].name == body.input[1].name:
        return limit if most is not None else None
    reduced, kept = _deciding(body)
    names, before = [entry.name for entry in body.input], [*states]
    apart = walk.apart()
    for place in range(min(limit, MAX_COUNTED)):
        number = scalar(place) if place else Value((), TensorProto.INT64, role="index")
        feeds = {names[0]: number, names[1]: TRUE, **dict(zip(names[2:], before, strict=True))}
        if not place:  # a condition that holds whatever the turn is always holds
            unknown = {name: replace(carried(value), data=None) for name, value in zip(names[2:], before, strict=True)}
            always = _decided(walk.apart(), reduced, {**feeds, **unknown})[0]
            if always.data is not None and always.data.all():
                return limit if most is not None else None
            feeds[names[0]] = scalar(0)
        decision, *after = _decided(apart, reduced, feeds)
        if decision.data is None:
            return None
        if not decision.data.all():
            return place + 1
        before = [carried(after[kept.index(at)]) if at in kept else value for at, value in enumerate(before)]
    return limit if limit <= MAX_COUNTED and most is not None else None


def _decided(walk: Walk, body: onnx.GraphProto, feeds: dict[str, Value]) -> list[Value]:
    try:
        return walk.body(body, feeds)
    except TraceError:
        return [UNKNOWN] * len(body.output)


def _deciding(body: onnx.GraphProto) -> tuple[onnx.GraphProto, list[int]]:
    """Return the part of a Loop's body that its condition depends on, over all turns, and which states those are."""
    names = [entry.name for entry in body.input][2:]
    kept: list[int] = []
    while True:
        outputs = [body.output[0], *(body.output[1 + place] for place in kept)]
        nodes = live_nodes(body, [entry.name for entry in outputs])
        read = {name for node in nodes for name in read_names(node)} | {entry.name for entry in outputs}
        more = [place for place, name in enumerate(names) if name in read and place not in kept]
        if not more:
            return onnx.GraphProto(node=nodes, initializer=body.initializer, output=outputs), kept
        kept += more
