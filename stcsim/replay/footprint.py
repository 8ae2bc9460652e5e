"""Does a network fit the GPU's memory: its weights, the activations alive at once, and what a cache of earlier tokens holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from stcsim.isa import DType, type_bytes
from stcsim.replay.residency import fused_scores
from stcsim.replay.schedule import Step
from stcsim.result import Footprint, LayerRow
from stcsim.trace import Gemm, Memory, Op

TypeOf = Callable[[Op], DType]

_CACHE = "cache_update"
"""The operator that appends keys or values to those of earlier tokens."""


def footprint(rows: Iterable[LayerRow], steps: Sequence[Step], type_of: TypeOf, capacity_bytes: int) -> Footprint:
    """Return the memory of a network; weights that several layers share are stored once.

    Weights are those of GEMMs and convolutions: a trace does not hold the size of an embedding table. What a framework keeps
    beside (workspaces, fragments, its own context) is not counted.
    """
    stored = [row for row in rows if not row.weight_of]
    return Footprint(
        dense_weight_bytes=sum(row.weight_bytes for row in stored),
        sparse_weight_bytes=sum(row.compressed_bytes for row in stored),
        best_weight_bytes=sum(row.compressed_bytes if row.is_pruned else row.weight_bytes for row in stored),
        activation_bytes=peak_activation_bytes(steps, type_of),
        cache_bytes=cache_bytes(steps, type_of),
        capacity_bytes=capacity_bytes,
    )


def peak_activation_bytes(steps: Sequence[Step], type_of: TypeOf) -> int:
    """Return the most bytes of activations that are alive at once; each lives from its making to its last reader.

    What a kernel makes and uses itself takes no memory, nor do the scores of fused attention. In a trace without edges every
    operation reads what the one before it wrote. Caches are counted apart.
    """
    made, last = _lifetimes(steps, type_of)
    ends: dict[int, int] = {}
    alive = peak = 0
    for at in range(len(steps)):
        alive += made[at]
        peak = max(peak, alive)
        ends[last[at]] = ends.get(last[at], 0) + made[at]
        alive -= ends.pop(at, 0)
    return peak


def _lifetimes(steps: Sequence[Step], type_of: TypeOf) -> tuple[list[int], list[int]]:
    """Return for each step the bytes it leaves behind, and the step that reads them last."""
    home = {name: at for at, step in enumerate(steps) for name in step.names}
    on_chip = set(fused_scores(steps)) | set(fused_scores(steps).values())
    edges = any(op.inputs for step in steps for op in step.ops)
    last = [at if edges else min(at + 1, len(steps) - 1) for at in range(len(steps))]
    outside: set[str] = set()
    for at, step in enumerate(steps):
        for name in (name for op in step.ops for name in op.inputs if name not in step.names):
            last[home[name]] = max(last[home[name]], at)
            outside.add(name)
    made = []
    for step in steps:
        left = {op.name for op in step.ops} & outside or {step.ops[-1].name}
        kept = [op for op in step.ops if op.name in left - on_chip and not _is_cache(op)]
        made.append(sum(op.output_elements * type_bytes(type_of(op).out) for op in kept))
    return made, last


def cache_bytes(steps: Sequence[Step], type_of: TypeOf) -> int:
    """Return the bytes of all keys and values that attention reads from a cache, new ones included; 0 without one.

    A cache is as large as the operand of the product that reads it.
    """
    written = {op.name: op for step in steps for op in step.ops if _is_cache(op)}
    elements = {name: op.output_elements for name, op in written.items()}
    for op in (op for step in steps for op in step.ops if isinstance(op, Gemm)):
        for name in op.inputs:
            if name in elements:
                elements[name] = max(elements[name], op.batch * op.n * op.k)
    return sum(count * type_bytes(type_of(written[name]).out) * written[name].count for name, count in elements.items())


def _is_cache(op: Op) -> bool:
    return isinstance(op, Memory) and op.operator == _CACHE
