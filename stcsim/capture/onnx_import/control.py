"""Nodes with bodies, If, Loop, Scan and SequenceMap: which body runs, and how often, as constants, shapes and values say.

A body whose turns are all the same is one set of operations with a count: sizes must not depend on what is in its states, and two
turns must read the same weights. One whose turns differ, as with a cache that grows or weights that each turn takes from a stack,
is walked turn by turn, and neighbours that are the same are put together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from stcsim.capture.onnx_import.node import MISSHAPEN, Unread
from stcsim.capture.onnx_import.sequences import scalar, sequence_of
from stcsim.capture.onnx_import.trips import TRUE, turns_of_loop
from stcsim.capture.onnx_import.turns import (
    MAX_TURNS,
    Slices,
    States,
    carried,
    from_outside,
    put_together,
    steady,
    times,
    unchanged,
)
from stcsim.capture.onnx_import.values import Value, label
from stcsim.errors import TraceError
from stcsim.trace import Memory

if TYPE_CHECKING:
    from stcsim.capture.onnx_import.graph import Walk

Inputs = Sequence[Value | None]

_TRIED = 2
"""Turns that are walked to see whether all are the same."""

UNKNOWN = Value(None)


def run_if(walk: Walk, node: onnx.NodeProto, inputs: Inputs) -> list[Value] | None:
    """Walk the branch that runs, and return its results; ``None`` when nothing is known of them."""
    bodies, condition = _bodies(node), inputs[0] if inputs else None
    if condition is not None and condition.data is not None and condition.elements == 1:
        chosen = bodies.get("then_branch" if condition.data.item() else "else_branch")
        return walk.body(chosen, {}) if chosen is not None else None
    found = [_tried(walk, body) for body in bodies.values()]
    ways = [each for each in found if each is not None]
    _left_out(walk, node, [way for way, _ in ways], "its condition depends on data; where that is an input, give its value")
    if len(ways) != 2:
        return None
    (way, first), (_, second) = ways
    return [from_outside(one, way.ops) if steady(one, other) else UNKNOWN for one, other in zip(first, second, strict=True)]


def run_loop(walk: Walk, node: onnx.NodeProto, inputs: Inputs) -> list[Value] | None:
    """Walk the body of a Loop as often as it runs, and return the last states and what all turns collected.

    Raises:
        Unread: a body that takes or returns something else.
    """
    body = _bodies(node)["body"]
    most, condition, *first = (*inputs, None, None)[: max(len(inputs), 2)]
    states = [value or UNKNOWN for value in first]
    if len(body.input) != len(states) + 2 or len(body.output) < len(states) + 1:
        raise Unread(MISSHAPEN)
    count, *names = [entry.name for entry in body.input]

    def turn(at: Walk, place: int | None, before: Sequence[Value]) -> list[Value]:
        number = Value((), TensorProto.INT64, role="index") if place is None else scalar(place)
        feeds = {count: replace(number, turn=_mark(place)), names[0]: TRUE, **dict(zip(names[1:], before, strict=True))}
        return at.body(body, feeds)[1:]

    turns = turns_of_loop(walk, body, most, condition, states)
    return _run(walk, node, turn, States(states, unchanged(body, names[1:], 1)), turns)


def run_scan(walk: Walk, node: onnx.NodeProto, inputs: Inputs) -> list[Value] | None:
    """Walk the body of a Scan for each slice of what it goes along.

    Raises:
        Unread: a body that takes something else.
    """
    body, attributes = _bodies(node)["body"], {each.name: helper.get_attribute_value(each) for each in node.attribute}
    scanned = attributes.get("num_scan_inputs", 0)
    values = [value or UNKNOWN for value in inputs]
    if not 0 < scanned <= len(values) or len(body.input) != len(values):
        raise Unread(MISSHAPEN)
    states = values[: len(values) - scanned]
    slices = Slices(values[len(states) :], attributes)
    names = [entry.name for entry in body.input]

    def turn(at: Walk, place: int | None, before: Sequence[Value]) -> list[Value]:
        return at.body(body, dict(zip(names, [*before, *slices.at(place)], strict=True)))

    axes = attributes.get("scan_output_axes", ())
    handed = States(states, unchanged(body, names[: len(states)], 0))
    return _run(walk, node, turn, handed, slices.turns, axes)


def run_map(walk: Walk, node: onnx.NodeProto, inputs: Inputs) -> list[Value] | None:
    """Walk the body of a SequenceMap for every item of its first input."""
    body = _bodies(node)["body"]
    items = inputs[0].items if inputs and inputs[0] is not None else None
    if items is None or len(items) > MAX_TURNS or len(body.input) != len(inputs):
        _left_out(walk, node, [_tried(walk, body, {})], "the length of its sequence depends on data")
        return None
    names, results, apart, starts = [entry.name for entry in body.input], list[list[Value]](), walk.apart(), list[int]()
    for place in range(len(items)):
        feeds = [value.items[place] if value is not None and value.items else value or UNKNOWN for value in inputs]
        starts.append(len(apart.ops))
        results.append(apart.body(body, dict(zip(names, feeds, strict=True))))
    ops, renamed = put_together(apart.ops, starts)
    walk.adopt(apart, ops)
    return [sequence_of([renamed(result[place]) for result in results]) for place in range(len(body.output))]


#: What walks each operator that has a body.
CONTROL: dict[str, Callable[[Walk, onnx.NodeProto, Inputs], list[Value] | None]] = {
    "If": run_if,
    "Loop": run_loop,
    "Scan": run_scan,
    "SequenceMap": run_map,
}

Turn = Callable[["Walk", "int | None", Sequence[Value]], list[Value]]


def _run(
    walk: Walk,
    node: onnx.NodeProto,
    turn: Turn,
    states: States,
    turns: int | None,
    axes: Sequence[int] = (),
) -> list[Value] | None:
    """Walk all turns, and return what the node does; with turns that nobody knows nothing is counted.

    Args:
        walk: where the operations go.
        node: a Loop or a Scan.
        turn: walks the body once.
        states: before the first turn.
        turns: how many there are; ``None`` when it depends on data.
        axes: along which results of the turns are put beside each other, 0 by default.
    """
    same = _same_turns(walk, turn, states) if turns is None or turns > _TRIED else None
    if turns is None or (same is None and turns > MAX_TURNS):
        reason = "how often it runs depends on data" if turns is None else f"{turns:,} turns that differ"
        _left_out(walk, node, [same[0] if same else _body_alone(walk, node)], reason)
        if same is None:
            return None
        return [from_outside(value, same[0].ops) for value in (*same[1], *(replace(each, shape=None) for each in same[2]))]
    if not turns:
        return [*states.first, *[UNKNOWN] * (len(node.output) - len(states.first))]
    if same is not None:
        apart, starts, last, collected = _walked(walk, turn, states, _TRIED)
        ops, renamed = put_together(apart.ops, starts)
        alike = 0 < len(ops) == starts[1] and not walk.reads_a_number(node.output, last)
        if alike or turns > MAX_TURNS:
            apart, last, results = (apart, last, collected[0]) if alike else same
            all_turns = times(ops, turns, _TRIED) if alike else times(apart.ops, turns)
            if all_turns is None:
                _left_out(walk, node, [apart], f"{turns:,} turns")
                return None
            walk.adopt(apart, all_turns)
            made = [renamed(value) for value in (*last, *_collected([results], axes, turns))]
            return [replace(value, data=None) for value in made]
    apart, starts, last, collected = _walked(walk, turn, states, turns)
    ops, renamed = put_together(apart.ops, starts)
    walk.adopt(apart, ops)
    return [renamed(value) for value in (*last, *_collected(collected, axes, turns))]


def _walked(walk: Walk, turn: Turn, states: States, turns: int) -> tuple[Walk, list[int], list[Value], list[list[Value]]]:
    """Return a walk of so many turns, where each begins, the states after them, and what they collected."""
    apart, last, starts, collected = walk.apart(), states.begin(), list[int](), list[list[Value]]()
    for place in range(turns):
        starts.append(len(apart.ops))
        last, results = states.split(turn(apart, place, last))
        collected.append(results)
    return apart, starts, last, collected


def _same_turns(walk: Walk, turn: Turn, states: States) -> tuple[Walk, list[Value], list[Value]] | None:
    """Return a walk of one turn that stands for all, with the last states and what it collects; ``None`` when turns differ."""
    apart, before = walk.apart(), states.begin(known=False)
    try:
        after, results = states.split(turn(apart, None, before), known=False)
    except TraceError:
        return None
    complete = not apart.notes.unhandled and not apart.notes.unsized
    return (apart, after, results) if complete and all(map(steady, before, after)) else None


def _collected(results: Sequence[Sequence[Value]], axes: Sequence[int], turns: int) -> list[Value]:
    """Return what the turns put beside each other."""
    found = []
    for place, values in enumerate(zip(*results, strict=True)):
        first, axis = values[0], axes[place] if place < len(axes) else 0
        if first.shape is None or any(value.shape != first.shape for value in values):
            found.append(UNKNOWN)
            continue
        axis %= len(first.shape) + 1
        shape = (*first.shape[:axis], turns, *first.shape[axis:])
        known = len(values) == turns and all(value.data is not None for value in values)
        data = np.stack([value.data for value in values], axis) if known else None
        made = carried(replace(sequence_of(values), shape=shape, element=first.element, items=None, data=data, role=first.role))
        found.append(made)
    return found


def _tried(walk: Walk, body: onnx.GraphProto, feeds: dict[str, Value] | None = None) -> tuple[Walk, list[Value]] | None:
    """Return a walk of a body that may not run, with its results; ``None`` when it does not fit what it is given."""
    apart = walk.apart()
    try:
        return apart, apart.body(body, feeds or {})
    except TraceError:
        return None


def _body_alone(walk: Walk, node: onnx.NodeProto) -> Walk:
    """Return a walk of a body of whose inputs nothing is known, which names its products at least."""
    tried = _tried(walk, _bodies(node)["body"])
    return walk.apart() if tried is None else tried[0]


def _left_out(walk: Walk, node: onnx.NodeProto, bodies: Sequence[Walk | tuple[Walk, list[Value]] | None], reason: str) -> None:
    """Note a node of which no body is counted: as a product when it may multiply, else as a step of unknown size."""
    ways = [each[0] if isinstance(each, tuple) else each for each in bodies if each is not None]
    multiply = sorted({name for body in _bodies(node).values() for name in walk.products_in(body)})
    if multiply:
        least = [sum(op.macs * op.count for op in way.ops) for way in ways] if node.op_type == "If" else []
        walk.notes.unhandled.miss(label(node), f"{node.op_type} of {', '.join(multiply)}", reason, min(least, default=0))
    elif any(isinstance(op, Memory) for way in ways for op in way.ops) or any(way.notes.unsized for way in ways):
        walk.notes.unsized.append(f"{label(node)}: {node.op_type}")


def _bodies(node: onnx.NodeProto) -> dict[str, onnx.GraphProto]:
    return {attribute.name: attribute.g for attribute in node.attribute if attribute.HasField("g")}


def _mark(place: int | None) -> str:
    return "" if place is None else f"[{place}]"
