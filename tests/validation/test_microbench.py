"""How far from silicon is one instruction? Published microbenchmarks where this checkout stands beside them; prints the errors.

Every row that a configured GPU covers is compared: FMA/clk/SM, and the completion latency of each instruction once. H800 PCIe is
``h100-pcie`` (same die, SMs and clocks), GeForce Ada ``rtx4090``; RTX 2080 Ti is ``t4`` with GeForce's half rate of FP32
accumulation. Rows of wgmma say TFLOPS and no clock: they count as shares of the vendor's peak, which is how the papers read them.

What is left out, and why, stands in ``why_excluded``; what is compared and off by more than the goal, in ``EXPLAINED``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from stcsim.arch import Arch, load_arch
from stcsim.isa.instructions import parse
from stcsim.timing.microbenchmark import Microbench, microbench

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "microbench"
pytestmark = pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published microbenchmarks in {PUBLISHED}")

FILES = ("microbench_mma_ampere_sun2022.csv", "microbench_mma_h100_sxm.csv", "microbench_wgmma_hopper.csv")
GEFORCE_TURING = ("tensor_core.fma_per_clk_per_sm.fp16=256",)
GPUS: dict[str, tuple[str, tuple[str, ...]]] = {
    "A100": ("a100", ()),
    "RTX 2080 Ti": ("t4", GEFORCE_TURING),
    "GeForce Ada sm_89": ("rtx4090", ()),
    "H100 SXM5": ("h100", ()),
    "H100 (unspecified)": ("h100", ()),
    "H800 PCIe": ("h100-pcie", ()),
}
WIDE_N = 256  # the reference of rows that say "of wide-N rate"
RELATIVE = {"0.97-0.99 of wide-N rate": 0.98, "~0.6 of wide-N rate": 0.6}

#: Gates at what was reached, over everything compared, the explained rows included.
MEAN_GATE, WORST_GATE = 0.02, 0.10

#: (label, figure) off by more than the goal of 12 %, with the reason.
EXPLAINED = {
    ("A100 mma.sp.m16n8k16.f32.f16.f16.f32 4 warps", "FMA/clk/SM"): (
        "an interval of 8.0 cycles; tf32 m16n8k8 and s8 m16n8k32 need 6.8 with the same registers and depth, f16 accumulation "
        "6.6, its own 8 warps 6.35. Its ILP was not transcribed, and none gives it (2: 832, 3: 1165, 4: 1200 FMA/clk/SM): "
        "the loop, or the copy of the table"
    ),
}


@dataclass(frozen=True)
class Compared:
    file: str
    label: str
    figure: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1

    @property
    def line(self) -> str:
        return f"{self.error:+7.1%}  {self.predicted:8.1f} for {self.measured:8.1f} {self.figure:10} {self.label}"


def why_excluded(row: dict[str, str]) -> str | None:
    """Return why a row is not compared; ``None`` where it is."""
    if row["ab_type"] == "b1":
        return "b1: no instruction of stcsim (binary, no multiply-accumulate)"
    if row["gpu"] == "H100 SXM5" and row["ab_type"] == "s4":
        return "s4 on H100: emulated on CUDA cores, the arch has no int4 rate"
    if row.get("data_init") == "random":
        return "random data: the power limit lowers the clock, which is the GEMM model's business"
    if row["ab_type"] == "e4m3" and row.get("instruction_family") == "dense mma.sync":
        return "e4m3 mma.sync on H100: 8.8 cycles is below any latency, the loop lost its chain (its 16 and 32 warps fit to 4 %)"
    return None


@cache
def gpu_of(row_gpu: str) -> Arch:
    name, settings = GPUS[row_gpu]
    return load_arch(name, settings)


def name_of(row: dict[str, str]) -> str:
    """Return the instruction of a row in PTX words; an accumulator that is not stated is the wide one."""
    wide = "s32" if row["ab_type"] in ("s8", "s4") else "f32"
    d, a = row["cd_type"] or wide, row["ab_type"]
    if "mode" in row:
        return f"wgmma{'.sp' if row['mode'] == 'sparse' else ''}.{row['shape'].removeprefix('sp.')}.{d}.{a}.{a}"
    return f"mma{'.sp' if row['instruction_family'].startswith('sparse') else ''}.{row['shape']}.{d}.{a}.{a}.{d}"


def loop_of(row: dict[str, str]) -> tuple[int, int]:
    """Return warps and ILP of a row; a range is its middle, nothing means enough of both.

    Where the ILP was not transcribed it is that of the dense instruction of the same depth in table 3: at 4 warps 3 (full depth)
    and 4 (half), at 8 warps 2 and 3, but 2 for f16/f32 mma.sp, which says so.
    """
    if "mode" in row:
        return 4, 1
    warps = {"8..32": 16, "": 16}.get(row["warps_per_sm"]) or int(row["warps_per_sm"])
    if row["ilp"]:
        return warps, int(row["ilp"])
    known = parse(name_of(row))
    full = known.products * {"f16": 16, "tf32": 32, "s8": 8}[row["ab_type"]] >= 256
    return warps, {4: 3, 8: 2}.get(warps, 4) + (not full)


def predict(row: dict[str, str], name: str) -> Microbench:
    warps, ilp = loop_of(row)
    operands = None if "mode" not in row else "ss" if row["operand_source"].startswith("SS") else "rs"
    return microbench(parse(name), gpu_of(row["gpu"]), warps, ilp, operands)[0]


def measured_fma(row: dict[str, str]) -> float:
    """Return FMA/clk/SM of a row: as stated, from TOPS at the vendor's peak clock, or from the predicted wide rate."""
    if "mode" not in row:
        return float(row["fma_per_clk_sm"])
    gpu, text = gpu_of(row["gpu"]), row["tflops_or_tops"]
    if text in RELATIVE:
        known = parse(name_of(row))
        wide = predict(row, known.name.replace(f"n{known.n}k", f"n{WIDE_N}k"))
        return RELATIVE[text] * wide.points[0].fma_per_clk_per_sm
    return float(text) * 1e12 / (2 * gpu.sm.count * gpu.clock.peak_mhz * 1e6)


def measured_latency(row: dict[str, str]) -> float | None:
    text = next(row[name] for name in row if "latency" in name and "point" not in name)
    return float(text) if text else None


def rows_of(file: str) -> list[dict[str, str]]:
    with (PUBLISHED / file).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def compared() -> list[Compared]:
    found: dict[tuple[str, ...], Compared] = {}
    for file in FILES:
        for place, row in enumerate(rows_of(file)):
            if why_excluded(row) or row["gpu"] not in GPUS:
                continue
            name, bench = name_of(row), predict(row, name_of(row))
            words = [
                row["gpu"],
                name,
                *([f"{row['operand_source'][:2]}"] if "mode" in row else [f"{bench.points[0].warps} warps"]),
            ]
            found[file, str(place)] = Compared(
                file, " ".join(words), "FMA/clk/SM", bench.points[0].fma_per_clk_per_sm, measured_fma(row)
            )
            latency = measured_latency(row)
            if latency:
                once = (file, row["gpu"], name, bench.operands)
                found[once] = Compared(file, " ".join(words[:2]), "cycles", bench.latency_cycles, latency)
    return list(found.values())


def test_every_row_is_compared_or_excluded_for_a_reason(compared: list[Compared]) -> None:
    rows = [row for file in FILES for row in rows_of(file)]
    reasons = [reason for row in rows if (reason := why_excluded(row))]
    for reason in dict.fromkeys(reasons):
        print(f"\n{reasons.count(reason):3} rows not compared: {reason}", end="")
    assert {row["gpu"] for row in rows} == set(GPUS)
    assert len([each for each in compared if each.figure == "FMA/clk/SM"]) == len(rows) - len(reasons)


def test_no_accuracy_is_lost(compared: list[Compared]) -> None:
    for file in FILES:
        errors = [abs(each.error) for each in compared if each.file == file]
        print(f"\n{file}: {len(errors)} figures, mean error {sum(errors) / len(errors):.1%}, worst {max(errors):.1%}", end="")
    worst = sorted(compared, key=lambda each: -abs(each.error))
    print("\n" + "\n".join(each.line for each in worst[:12]))
    assert sum(abs(each.error) for each in compared) / len(compared) <= MEAN_GATE
    unexplained = [each for each in worst if (each.label, each.figure) not in EXPLAINED]
    assert abs(unexplained[0].error) <= WORST_GATE, unexplained[0].line


def test_what_is_explained_is_still_there(compared: list[Compared]) -> None:
    off = {(each.label, each.figure) for each in compared if abs(each.error) > 0.12}
    assert off == set(EXPLAINED)


def test_the_mechanisms_in_the_papers(compared: list[Compared]) -> None:
    """Small-k mma.sp stops at 65 % on A100 only, half-depth mma.sync at half of peak on H100; wgmma.sp SS waits for the port."""

    def best(arch: str, name: str, operands: str | None = None) -> float:
        return microbench(parse(name), load_arch(arch), 16, 4, operands)[0].points[0].share_of_peak

    assert best("a100", "mma.sp.m16n8k16.f32.f16.f16.f32") == pytest.approx(0.645, abs=0.01)
    assert best("rtx3090", "mma.sp.m16n8k16.f32.f16.f16.f32") > 0.97
    assert best("h100", "mma.m16n8k8.f32.f16.f16.f32") == pytest.approx(0.5, abs=0.01)
    ss, rs = (best("h100-pcie", "wgmma.sp.m64n256k32.f32.f16.f16", where) for where in ("ss", "rs"))
    assert ss / rs == pytest.approx(1308 / 1472, abs=0.005)
