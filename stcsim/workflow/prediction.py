"""What a pass of a recipe's network costs on a GPU: captured, and simulated with just the pruned layers pruned."""

from __future__ import annotations

from collections.abc import Container

from stcsim.arch import Arch
from stcsim.capture.run import capture
from stcsim.replay import run
from stcsim.result import RunResult
from stcsim.trace import Memory, Trace
from stcsim.workflow.models import MODELS
from stcsim.workflow.recipe import Network
from stcsim.workflow.result import Speed

_UNSCALED = "fp16"
"""The type of products without weights, those of attention, where all others are of 8 bits."""


def trace_of(model: Network, classes: int, batch: int) -> Trace:
    """Return the trace of a recipe's network."""
    factory = MODELS[model.kind]
    name = f"{factory.__module__}:{factory.__name__}"
    arguments = {"classes": classes, **model.sizes}
    if model.length is not None:
        return capture(name, arguments=arguments, inputs=[f"x={batch}x{model.length}:int64"])
    return capture(name, batch, (1, 40) if model.kind == "conv1d" else (1, 8, 8), arguments=arguments)


def predict(trace: Trace, arch: Arch, dtype: str, pruned: Container[str]) -> Speed:
    """Return what a pass costs with every layer dense, and with the pruned ones as 2:4 where that is faster.

    Args:
        trace: the network at its batch.
        arch: the GPU, which has the type.
        dtype: of layers with weights.
        pruned: names of the layers whose weights are 2:4; all others stay dense.
    """
    layers = [op for op in trace.ops if not isinstance(op, Memory)]
    dense = [op.name for op in layers if op.weight_elements and op.name not in pruned]
    unscaled = {} if dtype == _UNSCALED else {op.name: _UNSCALED for op in layers if not op.weight_elements}
    result = run(trace, arch, dtype=dtype, keep_dense=dense, dtype_of=unscaled)
    return _speed(result, trace.batch, sum(op.weight_elements > 0 and op.name in pruned for op in layers))


def _speed(result: RunResult, batch: int, pruned: int) -> Speed:
    totals, memory, trust = result.totals, result.footprint, result.trust
    assert memory is not None and trust is not None, "a run makes both"
    dense_us, sparse_us = totals.dense_us or totals.best_us, totals.sparse_us or totals.best_us
    return Speed(
        arch=result.arch,
        dtype=result.dtype,
        batch=batch,
        dense_us=dense_us,
        dense_us_interval=totals.dense_us_interval,
        best_us=totals.best_us,
        best_us_interval=totals.best_us_interval,
        sparse_us=sparse_us,
        speedup=dense_us / totals.best_us,
        speedup_interval=totals.speedup_interval,
        dense_uj=totals.dense_uj or totals.best_uj,
        best_uj=totals.best_uj,
        weight_bytes=memory.dense_weight_bytes,
        pruned_bytes=memory.sparse_weight_bytes,
        activation_bytes=memory.activation_bytes,
        pruned=pruned,
        eligible=sum(row.sparse is not None for row in result.rows),
        faster=sum(row.is_pruned for row in result.rows),
        verdict=trust.verdict,
    )
