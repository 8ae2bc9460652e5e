"""How fast the timing wing is: engine, selection, networks, first compile, memory. One warm process unless said otherwise."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import stcsim
from stcsim.timing.board.setup import Setup
from stcsim.timing.catalogue.menu import find
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.engine.fast import simulate
from stcsim.timing.lowering.lower import lower
from stcsim.trace import trace_names
from tests.shapes import cut_of, problem


def fastest_s(work: Callable[[], object], times: int = 5) -> float:
    """Return the shortest of ``times`` runs, in seconds, after one that is not counted."""
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def test_engine_rate() -> None:
    arch, each = stcsim.load_arch("a100"), problem(8192, 8192, 8192)
    kernel, _ = find("sm80", False, each.dtype, None, "sm80_128x128x32_s5_2x2")
    plan = lower(cut_of(arch, each, kernel))
    rate = plan.tile_iterations / fastest_s(lambda: simulate(plan)) / 1e6
    print(f"\nfast engine: {rate:.1f} M tile-iterations a second on one core (at least 10)")
    assert rate >= 10


def test_gemm_with_selection() -> None:
    arch = stcsim.load_arch("a100")
    taken_s = fastest_s(lambda: stcsim.gemm(4096, 4096, 4096, arch))
    print(f"\n4096^3 dense and 2:4 with selection: {1e3 * taken_s:.0f} ms (at most 60)")
    assert taken_s <= 0.06


def test_selection_of_one_gemm() -> None:
    archs = [stcsim.load_arch(name) for name in ("a100", "h100")]
    sizes = [(m, n, k) for m in (1024, 4096, 12288) for n in (1, 64, 1024, 4096) for k in (256, 2048, 8192)]
    taken_ms = [
        1e3 * fastest_s(lambda: time_gemm(Setup(arch), problem(*size), sparse), 1)  # noqa: B023 (called at once)
        for arch in archs for size in sizes for sparse in (False, True)
    ]  # fmt: skip
    print(f"\none GEMM with selection: {statistics.median(taken_ms):.1f} ms in the median of {len(taken_ms)} (at most 10)")
    assert statistics.median(taken_ms) <= 10


@pytest.mark.parametrize("name", ["a100", "h100"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "2:4"])
def test_very_large_gemm(name: str, sparse: bool) -> None:
    arch, each = stcsim.load_arch(name), problem(65_536, 65_536, 65_536)
    taken_s = fastest_s(lambda: time_gemm(Setup(arch), each, sparse), 1)
    print(f"\n65,536^3 {'2:4' if sparse else 'dense'} on {name} with selection: {taken_s:.2f} s (at most 2)")
    assert taken_s <= 2


@pytest.mark.parametrize("name", ["a100", "h100"])
def test_every_trace(name: str) -> None:
    arch, taken = stcsim.load_arch(name), {}
    stcsim.gemm(256, 256, 256, arch)
    for trace in map(stcsim.load_trace, trace_names()):
        start = time.perf_counter()
        stcsim.run(trace, arch)
        taken[trace.name] = time.perf_counter() - start
    slowest = max(taken, key=lambda each: taken[each])
    print(f"\n{len(taken)} traces on {name}, dense and 2:4: {slowest} is slowest with {taken[slowest]:.2f} s (at most 3.5)")
    assert taken[slowest] <= 3.5


def test_resnet34_with_selection() -> None:
    arch, trace = stcsim.load_arch("a100"), stcsim.load_trace("resnet34")
    taken_s = fastest_s(lambda: stcsim.run(trace, arch))
    print(f"\nResNet-34 dense and 2:4 with selection and intervals: {taken_s:.3f} s (at most 0.15)")
    assert taken_s <= 0.15


def test_first_run_ever(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "stcsim", "run", "resnet34", "--arch", "a100"], env=environment, check=True, capture_output=True
    )
    taken_s = time.perf_counter() - start
    print(f"\nfirst stcsim run ever, compiling: {taken_s:.1f} s (at most 20): {done.stderr.decode().strip()}")
    assert taken_s <= 20 and b"compiling" in done.stderr


@pytest.mark.parametrize("name", trace_names())
def test_memory_of_a_trace(name: str) -> None:
    code = (  # VmHWM, not ru_maxrss: that one starts from this process's own
        f"import stcsim; stcsim.run(stcsim.load_trace('{name}'), stcsim.load_arch('h100')); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    start = time.perf_counter()
    peak_kib = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    print(f"\n{name} on h100: {peak_kib / 1024:.0f} MiB (at most 1024), {time.perf_counter() - start:.1f} s as a whole process")
    assert peak_kib < 1 << 20
