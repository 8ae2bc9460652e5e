"""Hand-made results and a hand-made trace: numbers that are easy to add up, no simulation."""

from __future__ import annotations

from stcsim.replay.rows import with_prune_ranks
from stcsim.replay.sides import Sides
from stcsim.replay.totals import totals
from stcsim.result import KernelResult, LayerRow, MemoryResult, MemoryRow, RunResult


def kernel(time_us: float, macs: int, peak_tops: float, bound: str, name: str = "sm80_128x128x32_s4_2x2") -> KernelResult:
    """Return a kernel of ``time_us``: 2 us launch, half of the rest in ``bound``, the other half in the epilogue."""
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
        bound=bound,
        breakdown={"launch": 2.0, bound: (time_us - 2.0) / 2, "epilogue": (time_us - 2.0) / 2, "tail": 0.0},
        bytes={"l2_read": 4_000_000, "dram_read": 1_000_000, "write": 802_816},
        ctas=98,
        ctas_per_sm=1,
        waves=0.9,
        roofline_us=time_us / 2,
        bounds_us={bound: time_us / 1.5},
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
    kernel = MemoryResult(time_us, 1410.0, 100.0, 100.0 * time_us, "dram", parts, moved)
    return MemoryRow(name, operator, count, "fp16", kernel, kernel)


def run_of(*rows: LayerRow, sparsity: str = "both", memory: tuple[MemoryRow, ...] = (), **inputs: object) -> RunResult:
    """Return a run of ``rows`` and ``memory`` at 1410 MHz."""
    ranked = with_prune_ranks(rows)
    sums = totals(ranked, memory, Sides((), 1410.0, 1410.0, 1410.0))
    inputs = {"arch": {"sm": {"count": 108}}, "version": "0.1.0", **inputs}
    return RunResult("a100", "toynet", "fp16", 8, sparsity, "fast", inputs, ranked, sums, memory)


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
