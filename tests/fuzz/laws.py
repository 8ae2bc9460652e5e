"""What must hold of every result, whatever the input; of each sentence what stands before " | " names the law."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from stcsim.report.clock import allowed_w

_EXACT, _SUMS = 1e-9, 1e-6


def of_result(result: Any, arch: Any, alone: bool = False, out_bytes: int = 0, shipped: bool = False) -> list[str]:
    """Return what is wrong with a result.

    Args:
        result: of ``run`` or ``gemm``.
        arch: the GPU that it ran on.
        alone: whether it is a plain GEMM with cold weights, of which nothing is fused.
        out_bytes: of an element of D, where it is known.
        shipped: whether the GPU is one that ships, whose numbers fit each other.
    """
    return [*_of_rows(result, arch, alone, out_bytes, shipped), *_of_memory(result), *_of_totals(result), *_as_json(result)]


def canonical(result: Any) -> str:
    """Return a result as JSON, with sorted keys."""
    return json.dumps(result.to_dict(), sort_keys=True, allow_nan=False)


def _as_json(result: Any) -> Iterator[str]:
    try:
        canonical(result)
    except ValueError as error:
        yield f"result is no JSON | {error}"


def _of_rows(result: Any, arch: Any, alone: bool, out_bytes: int, shipped: bool) -> Iterator[str]:
    limits = arch.power.board_limit_w, arch.power.burst_ratio
    most_w = allowed_w(result.duration, *limits) * _ABOVE_LIMIT if shipped else math.inf
    for row in result.rows:
        element = arch.element(row.dtype)
        if row.kind == "gemm" and row.macs != row.m * row.n * row.k * row.batch:
            yield f"MACs of a row are not its sizes' product | {row.macs}"
        for kernel, sparse in ((row.dense, False), (row.sparse, True), (row.chosen, row.best == "2:4")):
            if kernel is not None:
                label = "2:4" if sparse else "dense"
                for each in (
                    *_of_kernel(kernel, row, arch, sparse, element, most_w),
                    *_alone(kernel, row, arch, sparse, element, out_bytes, alone),
                ):
                    yield f"{label} {each}"
        if not 0 <= row.metadata_bytes <= row.compressed_bytes <= row.weight_bytes:
            yield f"bytes of weights do not shrink | {row.metadata_bytes} {row.compressed_bytes} {row.weight_bytes}"
        if alone and row.dense and row.sparse and row.sparse.time_us != row.dense.time_us:
            if (row.best == "2:4") != (row.sparse.time_us < row.dense.time_us):
                yield f"best is not the faster side | {row.dense.time_us} {row.sparse.time_us} {row.best}"


def _of_kernel(kernel: Any, row: Any, arch: Any, sparse: bool, element: Any, most_w: float) -> Iterator[str]:
    """Yield what is wrong with one kernel, held against closed forms of the GPU."""
    time_us = kernel.time_us
    if not (math.isfinite(time_us) and time_us > 0):
        yield f"time is not finite and above 0 | {time_us}"
        return
    parts = kernel.breakdown.values()
    if abs(sum(parts) - time_us) > _SUMS * time_us or min(parts) < -_SUMS * time_us:
        yield f"breakdown does not sum to the time, or a part is negative | {kernel.breakdown} of {time_us}"
    per_clk = getattr(arch.tensor_core.fma_per_clk_per_sm, element.name) * ((arch.sparse_rate_ratio or 1) if sparse else 1)
    if row.kind == "gemm":
        least_us = row.macs / (arch.sm.count * per_clk * kernel.clock_mhz)
        if time_us < least_us * (1 - _EXACT):
            yield f"faster than the tensor cores at this clock | {time_us} < {least_us}"
    dram_us = kernel.bytes["dram_read"] / (arch.dram.bandwidth_gb_per_s * 1e3)
    if time_us < dram_us * (1 - _EXACT):
        yield f"faster than its DRAM reads at peak bandwidth | {time_us} < {dram_us}"
    if abs(kernel.tops * time_us - 2e-6 * row.macs) > _SUMS * 2e-6 * row.macs:
        yield f"TOPS are not operations over time | {kernel.tops}"
    if abs(kernel.energy_uj - kernel.watts * time_us) > _SUMS * kernel.energy_uj:
        yield f"energy is not power times time | {kernel.energy_uj}"
    for name, bound in kernel.bounds_us.items():
        if time_us < bound * (1 - _EXACT):
            yield f"below its own lower bound {name} | {time_us} < {bound}"
    if kernel.clock_mhz > max(arch.clock.sustained_mhz, arch.clock.boost_mhz) * (1 + _EXACT):
        yield f"clock above the GPU's | {kernel.clock_mhz}"
    if min(kernel.bytes.values()) < 0 or kernel.ctas < 1 or kernel.ctas_per_sm < 1:
        yield f"bytes or CTAs below their least | {kernel.bytes} {kernel.ctas}"
    if kernel.watts > most_w:
        yield f"draws far more than the board may | {kernel.watts:.0f} of {most_w / _ABOVE_LIMIT:.0f} W"


_ABOVE_LIMIT = 1.05
"""The clock settles in steps, so that a kernel may draw a little more than the board's limit; none was seen above 3.8 %."""


def _alone(kernel: Any, row: Any, arch: Any, sparse: bool, element: Any, out_bytes: int, alone: bool) -> Iterator[str]:
    """Yield what is wrong with the bytes of a kernel that begins cold and with nothing fused."""
    from stcsim.timing.problem import a_row_bytes

    if not alone:
        return
    a = row.batch * row.m * a_row_bytes(element, row.k, sparse)
    b = row.batch * row.n * row.k * element.bits // 8
    d = row.batch * row.m * row.n * (out_bytes or 1)
    if kernel.bytes["l2_read"] < a + b:
        yield f"reads less from L2 than A and B once | {kernel.bytes['l2_read']} < {a} + {b}"
    if kernel.bytes["dram_read"] < a:
        yield f"reads less from DRAM than a cold A | {kernel.bytes['dram_read']} < {a}"
    if out_bytes and kernel.bytes["write"] < d * (1 - _SKIPPED_AHEAD):
        yield f"writes less than D once | {kernel.bytes['write']} < {d}"
    least = max(a, a + b + d - arch.l2.capacity_mib * 2**20) / (arch.dram.bandwidth_gb_per_s * 1e3)
    if kernel.time_us < least * (1 - _EXACT):
        yield f"below the roofline of DRAM | {kernel.time_us} < {least}"


_SKIPPED_AHEAD = 0.003
"""Kernels of many equal rounds are skipped ahead in, and the last round's writes are an estimate."""


def _of_memory(result: Any) -> Iterator[str]:
    for step in result.memory:
        for one in (step.dense, step.chosen):
            if one and not (one.time_us >= 0 and math.isfinite(one.time_us)):
                yield f"memory step: time is not finite and from 0 on | {one}"
            elif one and not math.isclose(sum(one.breakdown.values()), one.time_us, rel_tol=_SUMS, abs_tol=1e-12):
                yield f"memory step: breakdown does not sum to the time | {one}"


def _of_totals(result: Any) -> Iterator[str]:
    sums = result.totals
    summed = sum(each.count * each.chosen.time_us for each in (*result.rows, *result.memory))
    if not math.isclose(summed, sums.best_us, rel_tol=_EXACT):
        yield f"rows do not sum to best_us | {summed} {sums.best_us}"
    sides = [each for each in (sums.dense_us, sums.sparse_us) if each is not None]
    if sums.dense_us is not None and sums.best_us > min(sides) * (1 + _EXACT):
        yield f"best_us is above the better of dense and 2:4 | {sums.best_us} of {sides}"
    for name in ("best", "dense", "sparse"):
        split, total = getattr(sums, f"{name}_split"), getattr(sums, f"{name}_us")
        if split and not math.isclose(split.layers + split.memory + split.launch, total, rel_tol=_EXACT):
            yield f"{name}_split does not sum to {name}_us | {split}"
    if sums.macs != sum(row.count * row.macs for row in result.rows):
        yield f"totals.macs is not the sum of rows | {sums.macs}"
