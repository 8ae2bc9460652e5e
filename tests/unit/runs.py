"""Hand-made results and a hand-made trace: numbers that are easy to add up, no simulation."""

from __future__ import annotations

from dataclasses import replace

from stcsim.replay.rows import Case, Cases
from stcsim.replay.totals import totals
from stcsim.result import Gains, Interval, KernelResult, LayerRow, MemoryResult, MemoryRow, PruneGroup, RunResult, Trust
from stcsim.trust.verdict import verdict_of

ENERGY_SHARES = {"mac": 0.5, "smem": 0.2, "l2": 0.1, "dram": 0.1, "idle": 0.1}
"""Of the energy of every kernel here."""


def helps(factor: float) -> dict[str, float]:
    """Return gains that say: more L2 bandwidth helps, a faster tensor pipe a little."""
    gains = dict.fromkeys(("tensor", "smem", "ingress", "l2", "dram", "latency", "launch", "power"), 0.0)
    return gains | ({"tensor": 0.01, "l2": 0.02} if factor < 1.2 else {"tensor": 0.03, "l2": 0.08})


def kernel(time_us: float, macs: int, peak_tops: float, bound: str, name: str = "sm80_128x128x32_s4_2x2") -> KernelResult:
    """Return a kernel of ``time_us``: 2 us launch, half of the rest goes to ``bound``, the other half to the epilogue."""
    tops = 2 * macs / time_us / 1e6
    return KernelResult(
        kernel=name,
        time_us=time_us,
        tops=tops,
        share_of_peak=tops / peak_tops,
        cycles=(time_us - 2.0) * 1410.0,
        clock_mhz=1410.0,
        watts=250.0,
        energy_uj=250.0 * time_us,
        energy_parts_uj={part: 250.0 * time_us * share for part, share in ENERGY_SHARES.items()},
        most_time=bound,
        breakdown={"launch": 2.0, bound: (time_us - 2.0) / 2, "epilogue": (time_us - 2.0) / 2, "tail": 0.0},
        bytes={"l2_read": 4_000_000, "write": 802_816, "dram_read": 1_000_000, "dram_write": 0},
        ctas=98,
        ctas_per_sm=1,
        waves=0.9,
        roofline_us=time_us / 2,
        bounds_us={bound: time_us / 1.5},
        gains=Gains(helps),
        time_us_interval=Interval(0.9 * time_us, 1.2 * time_us),
    )


def layer(
    name: str,
    shape: tuple[int, int, int],
    dense_us: float | None,
    sparse_us: float | None,
    why: str | None = None,
    batch: int = 1,
    count: int = 1,
    weights: bool = True,
    bounds: tuple[str, str] = ("tensor", "smem"),
) -> LayerRow:
    """Return a row of fp16; a time of ``None`` leaves its side out."""
    m, n, k = shape
    macs, stored = m * n * k * batch, m * k * batch * 2 if weights else 0
    dense = kernel(dense_us, macs, 312.0, bounds[0]) if dense_us else None
    sparse = kernel(sparse_us, macs, 624.0, bounds[1], "sp80_256x128x64_s3_4x2") if sparse_us else None
    best = "2:4" if sparse and (dense is None or sparse.time_us < dense.time_us) else "dense"
    chosen = sparse if best == "2:4" else dense
    assert chosen is not None
    return LayerRow(
        name=name,
        kind="gemm",
        m=m,
        n=n,
        k=k,
        batch=batch,
        count=count,
        dtype="fp16",
        macs=macs,
        dense=dense,
        sparse=sparse,
        not_sparse_because=why,
        best=best,
        chosen=chosen,
        speedup=dense.time_us / sparse.time_us if dense and sparse else None,
        weight_bytes=stored,
        compressed_bytes=stored * 9 // 16 if sparse else stored,
        metadata_bytes=stored // 16 if sparse else 0,
    )


def step(name: str, operator: str, time_us: float, count: int = 1) -> MemoryRow:
    """Return a memory operation of ``time_us``: 2 us launch, the rest DRAM, at 100 W."""
    moved = {"read": 1_000_000, "write": 1_000_000, "dram_read": 1_000_000, "dram_write": 0}
    parts = {"launch": 2.0, "latency": 0.0, "dram": time_us - 2.0}
    energy = {part: 100.0 * time_us * share for part, share in ENERGY_SHARES.items()}
    kernel = MemoryResult(time_us, 1410.0, 100.0, 100.0 * time_us, energy, "dram", parts, moved)
    return MemoryRow(name, operator, count, "fp16", kernel, kernel, kernel)


PEAK = {"peak_mhz": {"value": 1410}}
CORE = {"sparse_kept": {"value": 2}, "sparse_group": {"value": 4}}


def run_of(*rows: LayerRow, sparsity: str = "both", memory: tuple[MemoryRow, ...] = (), **inputs: object) -> RunResult:
    """Return a run of ``rows`` and ``memory`` at 1410 MHz: each pruned layer saves what its own time says."""
    inputs = {
        "arch": {"sm": {"count": 108}, "clock": PEAK, "tensor_core": CORE},
        "version": "0.1.0",
        **inputs,
    }
    ranked, layers = with_savings(rows), dict(enumerate(rows))
    steps = {len(rows) + at: step for at, step in enumerate(memory)}

    def case(results: list[KernelResult | MemoryResult]) -> Case:
        return Case((), (), [*results, *(step.chosen for step in memory)], 1410.0, False, 1410.0)

    dense = case([row.dense for row in rows if row.dense]) if all(row.dense for row in rows) else None
    sparse = case([row.sparse or row.chosen for row in rows]) if any(row.sparse for row in rows) else None
    sums = totals(layers, steps, Cases("2:4", dense, sparse, case([row.chosen for row in rows])))
    if sums.speedup is not None and sums.sparse_speedup is not None:
        best, pruned = (Interval(0.9 * ratio, 1.1 * ratio) for ratio in (sums.speedup, sums.sparse_speedup))
        sums = replace(sums, speedup_interval=best, sparse_speedup_interval=pruned)
    likely = sums.speedup_interval if any(row.best == "2:4" for row in rows) else sums.sparse_speedup_interval
    trust = Trust("board", 123, ("clock.sustained_mhz",), verdict_of(likely).value if likely else None, "by hand")
    groups = tuple(group_of(row, rows) for row in sorted(ranked, key=lambda row: -row.saved_us) if row.dense and row.sparse)
    return RunResult("a100", "toynet", "fp16", 8, sparsity, "fast", inputs, ranked, sums, memory, groups, None, trust)


def with_savings(rows: tuple[LayerRow, ...]) -> tuple[LayerRow, ...]:
    """Return ``rows`` with what each pruned one saves by itself, and its rank."""
    pruned = {row.name: (row, row.dense) for row in rows if row.best == "2:4" and row.dense is not None}
    saved = {name: row.count * (dense.time_us - row.chosen.time_us) for name, (row, dense) in pruned.items()}
    ranks = {name: rank for rank, name in enumerate(sorted(saved, key=lambda name: -saved[name]), 1)}
    return tuple(replace(row, saved_us=saved.get(row.name, 0.0), prune_rank=ranks.get(row.name)) for row in rows)


def group_of(row: LayerRow, rows: tuple[LayerRow, ...]) -> PruneGroup:
    """Return the group of one layer; what is saved so far counts all layers that save as much or more."""
    assert row.dense is not None and row.sparse is not None
    running = sum(each.saved_us for each in with_savings(rows) if each.saved_us >= row.saved_us)
    shape, pruned = (row.m, row.n, row.k, row.batch), row.best == "2:4"
    times = (row.count * side.time_us for side in (row.dense, row.sparse, row.chosen))
    weights = row.weight_bytes, row.compressed_bytes if pruned else row.weight_bytes
    return PruneGroup((row.name,), (row.name,), *shape, row.count, int(pruned), *times, row.saved_us, running, *weights)


TOYNET = run_of(
    layer("conv1", (64, 100_352, 147), 40.0, None, "reduction 147 is not a multiple of 16", bounds=("dram", "")),
    layer("layer1.0.conv1", (64, 25_088, 576), 22.0, 18.0),
    layer("layer4.2.conv2", (512, 392, 4608), 12.0, 14.0, bounds=("latency", "latency")),
    layer("encoder.layer.11.attention.qk", (128, 128, 64), 6.0, None, "no weight operand", batch=96, count=12, weights=False),
    layer("model.layers.31.mlp.down_proj", (4096, 2048, 14_336), 1000.0, 620.0, bounds=("tensor", "ingress")),
    layer("fc", (1000, 8, 512), 4.0, 4.0),
)

#: The fields of a trace of one layer.
TOY_TRACE = {
    "format_version": 1,
    "name": "toy",
    "title": "Toy",
    "source": {"model": "by hand", "library": "none", "version": "0"},
    "batch": 1,
    "input_shape": [3, 8, 8],
    "dtype": "fp16",
    "ops": [
        {"kind": "gemm", "name": "fc", "m": 256, "n": 128, "k": 512, "batch": 1, "weight_operand": "a", "scales_with_batch": "n"}
    ],
}
