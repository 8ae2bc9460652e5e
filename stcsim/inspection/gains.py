"""What 2:4 brings for a checkpoint on a GPU: its weights as a network of GEMMs, dense beside what is pruned and what could be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stcsim import replay
from stcsim.arch import Arch, ArchOrName, load_arch
from stcsim.checkpoint.roles import Kind
from stcsim.errors import StcsimError
from stcsim.inspection.look import Inspection
from stcsim.inspection.weights import Weight
from stcsim.result import Interval, RunResult
from stcsim.trace import Gemm, Source, Trace
from stcsim.trust.verdict import verdict_of
from stcsim.words import size

TODAY, COULD_BE = "as it is", "all pruned that may be"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Gain:
    """What 2:4 brings at one number of tokens on one GPU.

    Attributes:
        arch: name of the GPU.
        tokens: columns of every GEMM; of a convolution output positions.
        what: ``as it is``, with the layers that are 2:4 in the file run 2:4, or ``all pruned that may be``, where each layer
            that may be pruned runs 2:4 if that makes the whole faster.
        layers: how many run 2:4.
        dense_us: predicted time of all GEMMs once, dense.
        sparse_us: with those layers 2:4.
        speedup: the first over the second; of nothing it is 1.
        interval: where measured speedups are to be expected, in 80 % of such cases.
        verdict: ``pays``, ``does not pay`` or ``cannot tell``; ``None`` of nothing.
        evidence: what was measured nearest to this GPU: ``board``, ``sibling`` or ``generation``.
        dense_weight_bytes: weights of all GEMMs, dense.
        sparse_weight_bytes: with those layers 2:4.
    """

    arch: str
    tokens: int
    what: str
    layers: int
    dense_us: float
    sparse_us: float
    speedup: float
    interval: Interval | None
    verdict: str | None
    evidence: str
    dense_weight_bytes: int
    sparse_weight_bytes: int


def gains_of(
    found: Inspection, archs: Sequence[ArchOrName], tokens: Sequence[int], progress: Progress | None = None
) -> tuple[Gain, ...]:
    """Return what is gained on each GPU at each number of tokens: as it is, if anything is, and with all pruned that may be.

    Args:
        found: what ``inspect_checkpoint`` returned.
        archs: the GPUs.
        tokens: columns of every GEMM.
        progress: called with (runs done, runs in all).

    Raises:
        StcsimError: when the checkpoint has no weight of a GEMM.
        UnsupportedError: when a GPU lacks a type, or a number of tokens is none.
    """
    if not found.weights:
        raise StcsimError(found.path, "at least one weight of a GEMM", "none")
    gains: list[Gain] = []
    cases = [(load_arch(arch), size(each, "tokens")) for arch in archs for each in tokens]
    for done, (arch, each) in enumerate(cases, 1):
        network = trace_of(found, each)
        gains += _gains(found, network, arch, each)
        if progress is not None:
            progress(done, len(cases))
    return tuple(gains)


def trace_of(found: Inspection, tokens: int) -> Trace:
    """Return the GEMMs of a checkpoint at a number of tokens as a trace: one operation for each weight, in the file's order.

    Experts get the share of the tokens that a router which is fair would send them.
    """
    experts = found.experts_per_token
    ops = tuple(
        Gemm(name=weight.name, m=weight.m, n=_columns(weight, tokens, experts), k=weight.k, batch=weight.batch)
        for weight in found.weights
    )
    source = Source(model=found.path, library="checkpoint", version="none")
    name = found.path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return Trace(name=name, title=name, source=source, batch=1, input_shape={"tokens": tokens}, dtype=_main(found), ops=ops)


def _columns(weight: Weight, tokens: int, per_token: int) -> int:
    if weight.kind != Kind.EXPERTS or not per_token:
        return tokens
    return max(1, -(-tokens * per_token // weight.batch))


def _main(found: Inspection) -> str:
    """Return the element type of most weights."""
    names = sorted({weight.element for weight in found.weights})
    return max(names, key=lambda name: sum(each.elements for each in found.weights if each.element == name))


def _gains(found: Inspection, network: Trace, arch: Arch, tokens: int) -> list[Gain]:
    types = {weight.name: weight.element for weight in found.weights if weight.element != network.dtype}
    whole = replay.run(network, arch, dtype_of=types, pruned_as=[weight.name for weight in found.eligible])
    pruned = [weight.name for weight in found.pruned]
    gains: list[Gain] = []
    if pruned and whole.totals.sparse_us is not None:
        as_it_is = replay.run(network, arch, dtype_of=types, pruned_as=pruned)
        totals, ran = as_it_is.totals, [row.name for row in as_it_is.rows if row.sparse is not None]
        likely = totals.sparse_speedup_interval
        assert totals.dense_us is not None and totals.sparse_us is not None and totals.sparse_speedup is not None
        gains.append(
            Gain(
                arch.name, tokens, TODAY, len(ran), totals.dense_us, totals.sparse_us, totals.sparse_speedup, likely,
                verdict_of(likely).value if likely else None, _evidence(as_it_is), *_weights(found, ran),
            )
        )  # fmt: skip
    totals, ran = whole.totals, [row.name for row in whole.rows if row.is_pruned]
    dense_us = totals.best_us if totals.dense_us is None else totals.dense_us
    verdict = whole.trust.verdict if whole.trust else None
    gains.append(
        Gain(
            arch.name, tokens, COULD_BE, len(ran), dense_us, totals.best_us, totals.speedup or 1.0, totals.speedup_interval,
            verdict if ran else None, _evidence(whole), *_weights(found, ran),
        )
    )  # fmt: skip
    return gains


def _evidence(result: RunResult) -> str:
    return result.trust.evidence if result.trust else ""


def _weights(found: Inspection, ran: Sequence[str]) -> tuple[int, int]:
    """Return bytes of all weights of GEMMs, dense and with some 2:4."""
    sparse = set(ran)
    dense = sum(weight.dense_bytes for weight in found.weights)
    return dense, sum(weight.compressed_bytes if weight.name in sparse else weight.dense_bytes for weight in found.weights)
