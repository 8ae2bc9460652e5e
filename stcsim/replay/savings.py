"""What pruning brings, layer by layer and by groups of alike layers: always what the whole network gains, its clock included."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from stcsim.replay.choice import Chooser
from stcsim.replay.planned import Network, Planned, turned
from stcsim.result import LayerRow, PruneGroup
from stcsim.trace import Memory
from stcsim.trace.names import alike, patterns_for

Group = tuple[int, ...]
"""Places of alike layers in a network."""


def groups_of(steps: Sequence[Planned]) -> tuple[Group, ...]:
    """Return the groups of alike layers (``names.alike``) that have the choice between dense and 2:4, in the network's order."""
    found: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, step in enumerate(steps):
        if step.has_choice and not isinstance(step.op, Memory):
            gemm = step.op.gemm() if step.op.kind == "conv2d" else step.op
            found[alike(step.op.name, gemm.m, gemm.n, gemm.k, gemm.batch, step.element.name)].append(at)
    return tuple(map(tuple, found.values()))


def with_savings(rows: dict[int, LayerRow], steps: Sequence[Planned], chooser: Chooser, best: Network) -> dict[int, LayerRow]:
    """Return ``rows``, by place, with what each pruned layer saves, ranked by it (ties: order of the network)."""
    pruned = [at for at in rows if best.sides[at] and steps[at].has_choice]
    saved = {at: chooser.lost_us(best, (at,)) for at in pruned}
    ranked = sorted(pruned, key=lambda at: -saved[at])
    ranks = {at: rank for rank, at in enumerate(ranked, 1)}
    return {at: replace(row, saved_us=saved.get(at, 0.0), prune_rank=ranks.get(at)) for at, row in rows.items()}


def prune_groups(rows: dict[int, LayerRow], groups: Iterable[Group], chooser: Chooser, best: Network) -> tuple[PruneGroup, ...]:
    """Return the groups with what they save, the largest saving first, and what pruning them one after the other brings."""
    names = [row.name for row in rows.values() if row.weight_bytes]
    saved = {group: chooser.lost_us(best, [at for at in group if best.sides[at]]) for group in groups}
    ranked = sorted(saved, key=lambda group: (not _pruned(group, best), -saved[group]))
    running_us = _running(ranked, chooser, best)
    return tuple(
        _prune_group(group, [rows[at] for at in group], names, best, saved[group], so_far_us)
        for group, so_far_us in zip(ranked, running_us, strict=True)
    )


def _pruned(group: Group, network: Network) -> int:
    return sum(network.sides[at] for at in group)


def _running(ranked: Sequence[Group], chooser: Chooser, best: Network) -> list[float]:
    """Return what is saved when the pruned layers of the groups so far are pruned, in a network that is dense otherwise."""
    sides = turned(best.sides, [at for group in ranked for at in group], False)
    dense_us = chooser.settle(sides).time_us
    saved = []
    for group in ranked:
        sides = turned(sides, [at for at in group if best.sides[at]], True)
        saved.append(dense_us - chooser.settle(sides).time_us)
    return saved


def _prune_group(
    group: Group, rows: Sequence[LayerRow], names: Sequence[str], best: Network, saved_us: float, running_us: float
) -> PruneGroup:
    own, first = [row.name for row in rows], rows[0]
    stored = [(row, best.sides[at]) for row, at in zip(rows, group, strict=True) if not row.weight_of]
    return PruneGroup(
        patterns=patterns_for(own, set(names) - set(own)),
        layers=tuple(own),
        m=first.m,
        n=first.n,
        k=first.k,
        batch=first.batch,
        launches=sum(row.count for row in rows),
        pruned=_pruned(group, best),
        dense_us=math.fsum(row.count * row.dense.time_us for row in rows if row.dense),
        sparse_us=math.fsum(row.count * row.sparse.time_us for row in rows if row.sparse),
        chosen_us=math.fsum(row.count * row.chosen.time_us for row in rows),
        saved_us=saved_us,
        running_us=running_us,
        weight_bytes=sum(row.weight_bytes for row, _ in stored),
        compressed_bytes=sum(row.compressed_bytes if pruned else row.weight_bytes for row, pruned in stored),
    )
