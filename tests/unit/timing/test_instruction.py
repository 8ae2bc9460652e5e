"""Does one instruction take the cycles that the rules say? Every figure here is worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stcsim import cli
from stcsim.arch import load_arch
from stcsim.isa.instructions import parse
from stcsim.timing.microbenchmark import Microbench, microbench

DENSE, HALF_DEPTH = "mma.m16n8k16.f32.f16.f16.f32", "mma.m16n8k8.f32.f16.f16.f32"
WGMMA_SP = "wgmma.sp.m64n256k32.f32.f16.f16"


def measure(name: str, arch: str, warps: int = 4, ilp: int = 1, operands: str | None = None, *settings: str) -> Microbench:
    return microbench(parse(name), load_arch(arch, settings), warps, ilp, operands)[0]


@pytest.mark.parametrize(
    ("warps", "ilp", "cycles", "fma", "bound"),
    [
        (1, 1, 24.7, 82.915, "latency"),  # 2048 / 24.7
        (4, 1, 24.7, 331.660, "latency"),  # each sub-core as above
        (4, 3, 27.2, 903.529, "latency"),  # max(24.7, 3 x 8.163) + 2.5; 12 x 2048 / 27.2
        (4, 4, 35.153, 932.153, "tensor"),  # 4 x 8.163 + 2.5
        (8, 2, 32.653, 1003.52, "tensor"),  # 2 warps x 2 x 8.163, which hides the 2.5
        (5, 2, 32.653, 627.2, "tensor"),  # the sub-core with two warps is the last: 10 x 2048 / 32.653
    ],
)
def test_warps_and_ilp_in_flight(warps: int, ilp: int, cycles: float, fma: float, bound: str) -> None:
    found = measure(DENSE, "a100", warps, ilp)
    assert found.interval_cycles == pytest.approx(8 / 0.98)  # 2048 MACs / 1024 x 4 sub-cores, at 0.98
    (point,) = found.points
    assert (point.round_cycles, point.fma_per_clk_per_sm) == (pytest.approx(cycles, abs=1e-3), pytest.approx(fma, abs=1e-2))
    assert point.bound == bound and point.share_of_peak == pytest.approx(point.fma_per_clk_per_sm / 1024)


@pytest.mark.parametrize(
    ("name", "arch", "latency", "interval", "limit", "peak"),
    [
        (HALF_DEPTH, "a100", 17.2, 4 / 0.98, "tensor", 1024),  # 24.7 - 7.5
        ("mma.sp.m16n8k32.f32.f16.f16.f32", "a100", 24.7, 8 / 0.98, "tensor", 2048),  # executes what DENSE does
        ("mma.sp.m16n8k16.f32.f16.f16.f32", "a100", 17.2, 6.2, "issue", 2048),  # not 4 / 0.98: the leaf
        ("mma.sp.m16n8k16.f32.f16.f16.f32", "a40", 33 - 8 / 0.98, 8 / 0.98, "tensor", 1024),  # half takes 8.16, not 7.5
        ("mma.m8n8k16.s32.s8.s8.s32", "a100", 17.2, 4, "issue", 2048),  # 1024 / 2048 x 4 = 2 is too fast
        ("mma.m8n8k16.s32.s8.s8.s32", "t4", 17.3, 4 / 0.99, "tensor", 1024),  # Turing has no deeper one
        (DENSE, "h100", 24.1, 4 / 0.98 / 0.667, "tensor", 2048),
        (HALF_DEPTH, "h100", 16.6, 4, "issue", 2048),  # 2 / 0.98 / 0.667 = 3.06 is too fast
        ("mma.sp.m16n8k32.f32.f16.f16.f32", "h100", 24.1, 7, "issue", 4096),  # 6.12 is too fast for mma.sp
        (DENSE, "rtx4090", 33, 32, "tensor", 256),
        ("mma.m16n8k16.f16.f16.f16.f16", "rtx4090", 33, 16, "tensor", 512),  # only FP32 accumulation is halved
        ("mma.m16n8k32.f16.e4m3.e4m3.f16", "rtx4090", 33, 16, "tensor", 1024),
    ],
)
def test_latency_and_interval_of_mma(name: str, arch: str, latency: float, interval: float, limit: str, peak: int) -> None:
    found = measure(name, arch)
    assert (found.latency_cycles, found.interval_cycles) == (pytest.approx(latency), pytest.approx(interval))
    assert (found.limit, found.peak_fma_per_clk_per_sm, found.operands) == (limit, peak, "registers")


@pytest.mark.parametrize(
    ("name", "operands", "cycles", "limit"),
    [
        ("wgmma.m64n256k16.f32.f16.f16", "ss", 128, "tensor"),  # 64 x 256 x 16 / 2048; the port needs (8192 + 2048) / 128 = 80
        (WGMMA_SP, "ss", 144, "smem"),  # (256 x 32 x 2 + 64 x 16 x 2) / 128
        (WGMMA_SP, "rs", 128, "tensor"),  # 64 x 256 x 16 / 2048, and B alone 16384 / 128: both
        ("wgmma.sp.m64n128k64.s32.s8.s8", "ss", 80, "smem"),  # (128 x 64 + 64 x 32) / 128
        ("wgmma.m64n8k16.f32.f16.f16", "ss", 18, "smem"),  # (8 x 16 x 2 + 64 x 16 x 2) / 128
        ("wgmma.m64n8k16.f32.f16.f16", "rs", 13.4, "issue"),
    ],
)
def test_wgmma_waits_for_the_slowest_of_three(name: str, operands: str, cycles: float, limit: str) -> None:
    found = measure(name, "h100", 8, 2, operands)
    assert (found.latency_cycles, found.limit) == (pytest.approx(cycles), limit)
    assert found.points[0].round_cycles == pytest.approx(2 * 2 * cycles / 0.98)  # two warpgroups share one queue
    assert found.points[0].fma_per_clk_per_sm == pytest.approx(found.macs * 0.98 / cycles)


def test_a_setting_moves_it() -> None:
    found = measure(WGMMA_SP, "h100", 4, 1, "rs", "shared_memory.bandwidth_bytes_per_clk=64")
    assert (found.latency_cycles, found.limit) == (256, "smem")
    slow = measure(
        DENSE, "a100", 4, 1, None, "tensor_core.fma_per_clk_per_sm.fp16=128", "tensor_core.fma_per_clk_per_sm.int8=null"
    )
    assert slow.latency_cycles == slow.interval_cycles == pytest.approx(64 / 0.98)  # never done before it was issued


def test_a_grid_where_nothing_was_asked_for() -> None:
    (found,) = microbench(parse(DENSE), load_arch("a40"))
    assert [(point.warps, point.ilp) for point in found.points] == [(w, i) for w in (1, 2, 4, 8, 16, 32) for i in (1, 2, 3, 4)]
    assert [each.operands for each in microbench(parse(WGMMA_SP), load_arch("h100"))] == ["ss", "rs"]
    assert {point.ilp for point in microbench(parse(DENSE), load_arch("a100"), ilp=6)[0].points} == {6}


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["microbench", *map(str, arguments)])
    return stop.value.code


def test_the_command_prints_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run(WGMMA_SP, "--arch", "h100", "--operands", "ss", "--json", tmp_path / "bench.json") == 0
    printed = capsys.readouterr().out
    assert "completion latency  144.0 cycles" in printed and "3,568.1" in printed and "shared-memory port" in printed
    written = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert (written["instruction"], written["arch"]) == (WGMMA_SP, "h100")
    assert [each["latency_cycles"] for each in written["operands"]] == [144.0]
    assert written["operands"][0]["points"][0]["bound"] == "smem"


def test_the_command_prints_warps_by_ilp(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run(DENSE, "--arch", "a100") == 0
    wide = capsys.readouterr().out
    assert "ILP 4" in wide and "1,004  98 %" in wide and "27.2" in wide
    monkeypatch.setenv("COLUMNS", "64")
    assert run(DENSE, "--arch", "a100") == 0
    narrow = capsys.readouterr().out
    assert "1,004  98 %" in narrow and "27.2" not in narrow  # the cycles leave first


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mma.m16n8k17.f32.f16.f16.f32", "-a", "a100"], "instruction: expected a tensor-core instruction such as"),
        ([WGMMA_SP, "-a", "a100"], f"{WGMMA_SP}: expected an instruction of sm_80 (it has no wgmma.sp), found one of sm_90"),
        (
            ["mma.sp.m16n8k32.f32.f16.f16.f32", "-a", "t4"],
            "expected an instruction of sm_75 (it has no mma.sp), found one of sm_80",
        ),
        (["mma.m16n8k64.s32.s4.s4.s32", "-a", "h100"], "h100: expected a type of its tensor cores (fp16, bf16, tf32, int8, fp8)"),
        (
            [DENSE, "-a", "a100", "--warps", 0],
            "--warps: expected a whole number from 1 to 64, which an SM of a100 holds, found 0",
        ),
        (
            [DENSE, "-a", "a40", "--warps", 49],
            "--warps: expected a whole number from 1 to 48, which an SM of a40 holds, found 49",
        ),
        (
            [WGMMA_SP, "-a", "h100", "--warps", 6],
            f"--warps: expected a multiple of 4, since {WGMMA_SP} takes a warpgroup, found 6",
        ),
        ([WGMMA_SP, "-a", "h100", "--set", "sm.max_warps=3"], "sm.max_warps: expected at least 4, since"),
        ([DENSE, "-a", "a100", "--ilp", 0], "--ilp: expected a whole number above 0, found 0"),
        (
            [DENSE, "-a", "a100", "--operands", "rs"],
            "--operands: expected a wgmma, whose A may be in shared memory, found mma.m16",
        ),
        ([WGMMA_SP, "-a", "h100", "--operands", "sr"], "--operands: expected one of ss, rs, found 'sr'"),
    ],
)
def test_what_cannot_be_measured(arguments: list[object], sentence: str, refused: Callable[..., str]) -> None:
    assert sentence in refused("microbench", *arguments)
