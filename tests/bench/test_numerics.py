"""How fast the bit-exact datapath is: on its own, beside MMA-Sim in the same run, and over a whole ResNet-34."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from stcsim.isa.instructions import parse
from stcsim.numerics import conv2d, gemm
from stcsim.numerics.conv import filter_matrix
from stcsim.numerics.engine import fast
from stcsim.numerics.formats import code_type, encoded, float_format
from stcsim.numerics.rules import datapath
from stcsim.numerics.sparse.sparse24 import Sparse24, compress
from stcsim.trace import Conv2d, Gemm, load_trace

NAME = "m16n8k16.f32.f16.f16.f32"


def shortest_s(call: Callable[[], object], times: int = 3) -> float:
    """Return the shortest of ``times`` calls in seconds, after one that compiles."""
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def half(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16).view(np.uint16)


def our_macs_per_s(instruction: str, arch: str, size: int) -> float:
    """Return multiply-accumulates per second of one thread, decoding and encoding included."""
    path, shape = datapath(parse(instruction), arch), (1, size, size)
    a, b = (encoded(np.random.default_rng(seed).standard_normal(shape), float_format(path.a.name)) for seed in (1, 2))
    c = np.zeros(shape, code_type(path.c))
    return size**3 / shortest_s(lambda: fast.multiply(path, a, b, c, workers=1))


def mmasim_macs_per_s(size: int) -> float:
    """Return multiply-accumulates per second of MMA-Sim: one call for the whole product, one thread."""
    torch = pytest.importorskip("torch")
    instruction = pytest.importorskip("mmasim.nv_ptx").MMA("Ampere", NAME)
    a, b = (torch.from_numpy(half(size, size, seed=seed).view(np.float16)) for seed in (1, 2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return size**3 / shortest_s(lambda: instruction(a, b, torch.zeros(size, size)), times=2)
    finally:
        torch.set_num_threads(threads)


def test_rate_beside_mmasim() -> None:
    ours, theirs = our_macs_per_s(f"mma.{NAME}", "sm_80", 512), mmasim_macs_per_s(256)
    rates = f"{ours / 1e6:.0f} M MAC/s; mmasim {theirs / 1e6:.1f} M MAC/s; {ours / theirs:.0f} times"
    print(f"\nfp16 to fp32 on sm_80, one thread: {rates}")
    assert ours >= 300e6
    assert ours >= 10 * theirs


@pytest.mark.parametrize(
    ("instruction", "arch"),
    [
        ("mma.m16n8k16.f16.f16.f16.f16", "sm_80"),
        ("mma.m16n8k16.f32.bf16.bf16.f32", "sm_80"),
        ("mma.m16n8k8.f32.tf32.tf32.f32", "sm_80"),
        ("wgmma.m64n256k16.f32.f16.f16", "sm_90"),
        ("wgmma.m64n256k32.f32.e4m3.e4m3", "sm_90"),
        ("mma.m16n8k32.f32.e4m3.e4m3.f32", "sm_90"),
    ],
)
def test_rate_of_other_rows(instruction: str, arch: str) -> None:
    rate = our_macs_per_s(instruction, arch, 384)
    print(f"\n{instruction} on {arch}, one thread: {rate / 1e6:.0f} M MAC/s")
    assert rate >= 100e6


def test_rate_of_int8() -> None:
    a, b = (np.random.default_rng(seed).integers(-128, 128, (512, 512)).astype(np.int8) for seed in (1, 2))
    taken_s = shortest_s(lambda: gemm(a, b, arch="sm_80", dtype="int8"))
    print(f"\nint8 on sm_80: {512**3 / taken_s / 1e6:.0f} M MAC/s")
    assert 512**3 / taken_s >= 300e6


def pruned_filter(op: Conv2d | Gemm, seed: int) -> np.ndarray | Sparse24:
    """Return random weights: compressed 2:4 along the input channels when they come in fours, else dense."""
    if isinstance(op, Gemm):
        weights, channels = half(op.m, op.k, seed=seed), op.k
    else:
        dense, channels = half(op.k, op.c // op.groups, op.r, op.s, seed=seed), op.c // op.groups
        if channels % 4:
            return dense
        weights = filter_matrix(dense)
    weights.reshape(len(weights), -1, 4)[..., [1, 2]] = 0
    return compress(weights, "fp16")


def run_op(op: Conv2d | Gemm, weights: np.ndarray | Sparse24, x: np.ndarray) -> None:
    if isinstance(op, Gemm):
        gemm(weights, x, arch="sm_80")
        return
    options = {"stride": op.stride, "padding": op.padding, "dilation": op.dilation, "groups": op.groups}
    conv2d(x, weights, filter_shape=(op.r, op.s), arch="sm_80", **options)


def test_a_whole_resnet34_forward_pass() -> None:
    trace = load_trace("resnet34")
    ops = [op for op in trace.ops if isinstance(op, Conv2d | Gemm) for _ in range(op.count)]
    work = []
    for seed, op in enumerate(ops):
        shape = (op.k, op.n) if isinstance(op, Gemm) else (op.batch, op.c, op.h, op.w)
        work.append((op, pruned_filter(op, seed), half(*shape, seed=seed)))
    run_op(*work[0])  # compiles

    start = time.perf_counter()
    for each in work:
        run_op(*each)
    taken_s = time.perf_counter() - start

    sparse = sum(isinstance(weights, Sparse24) for _, weights, _ in work)
    what = f"{sparse} of {len(work)} products 2:4, fp16 on sm_80"
    print(f"\nresnet34, batch {trace.batch}, {trace.macs / 1e9:.2f} GMAC, {what}: {taken_s:.1f} s")
    assert taken_s <= 60
