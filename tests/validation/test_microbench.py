"""How far from silicon is one instruction? Published microbenchmarks where this checkout stands beside them; prints the errors.

``stcsim evidence microbench PATH`` prints the same; here its errors are held.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stcsim.arch import load_arch
from stcsim.errors import TraceError
from stcsim.isa.instructions import parse
from stcsim.study.evidence.microbench import EXPLAINED, GPUS, PublishedRates, compare, rows_of, why_excluded
from stcsim.timing.microbenchmark import microbench
from tests.validation.tables import PUBLISHED, needs_published

FILES = ("microbench_mma_ampere_sun2022.csv", "microbench_mma_h100_sxm.csv", "microbench_wgmma_hopper.csv")
#: Gates at what was reached, over everything compared, the explained rows included.
MEAN_GATE, WORST_GATE = 0.02, 0.10


@pytest.fixture(scope="module")
def found() -> PublishedRates:
    return compare([PUBLISHED])


@needs_published
def test_every_row_is_compared_or_left_out_for_a_reason(found: PublishedRates) -> None:
    rows = [row for _, row in rows_of([PUBLISHED])]
    reasons = [reason for row in rows if (reason := why_excluded(row))]
    for reason, count in found.left_out:
        print(f"\n{count:3} rows not compared: {reason}", end="")
    assert {row["gpu"] for row in rows} == set(GPUS) and {each.table for each in found.compared} == set(FILES)
    assert sum(count for _, count in found.left_out) == len(reasons)
    assert len([each for each in found.compared if each.figure == "FMA/clk/SM"]) == len(rows) - len(reasons)


@needs_published
def test_no_accuracy_is_lost(found: PublishedRates) -> None:
    for file in FILES:
        errors = [abs(each.error) for each in found.compared if each.table == file]
        print(f"\n{file}: {len(errors)} figures, mean error {sum(errors) / len(errors):.1%}, worst {max(errors):.1%}", end="")
    worst = sorted(found.compared, key=lambda each: -abs(each.error))
    lines = [
        f"{each.error:+7.1%}  {each.predicted:8.1f} for {each.measured:8.1f} {each.figure:10} {each.label}" for each in worst
    ]
    print("\n" + "\n".join(lines[:12]))
    assert found.mean_abs <= MEAN_GATE
    assert all(abs(each.error) <= WORST_GATE for each in worst if not each.reason)


@needs_published
def test_what_is_explained_is_still_there(found: PublishedRates) -> None:
    assert {(each.label, each.figure) for each in found.compared if abs(each.error) > 0.12} == set(EXPLAINED)


def test_the_mechanisms_in_the_papers() -> None:
    """Small-k mma.sp stops at 65 % on A100 only, half-depth mma.sync at half of peak on H100; wgmma.sp SS waits for the port."""

    def best(arch: str, name: str, operands: str | None = None) -> float:
        return microbench(parse(name), load_arch(arch), 16, 4, operands)[0].points[0].share_of_peak

    assert best("a100", "mma.sp.m16n8k16.f32.f16.f16.f32") == pytest.approx(0.645, abs=0.01)
    assert best("rtx3090", "mma.sp.m16n8k16.f32.f16.f16.f32") > 0.97
    assert best("h100", "mma.m16n8k8.f32.f16.f16.f32") == pytest.approx(0.5, abs=0.01)
    ss, rs = (best("h100-pcie", "wgmma.sp.m64n256k32.f32.f16.f16", where) for where in ("ss", "rs"))
    assert ss / rs == pytest.approx(1308 / 1472, abs=0.005)


HEADER = "gpu,ab_type,cd_type,shape,instruction_family,warps_per_sm,ilp,fma_per_clk_sm"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "expected a .csv file with the columns gpu, ab_type, cd_type, shape"),
        ([HEADER.replace(",ilp", ""), ""], "a.csv: header: expected a column 'ilp'"),
        ([HEADER, "A100,f16,f32,m16n8k99,dense mma.sync,4,1,1000"], "a.csv:2: expected a microbenchmark of an instruction"),
        ([HEADER, "A100,f16,f32,m16n8k16,dense mma.sync,4,1,many"], "a.csv:2: expected a microbenchmark of an instruction"),
    ],
    ids=["no table", "no column", "no instruction", "no number"],
)
def test_a_table_that_cannot_be_read_is_refused(lines: list[str], sentence: str, tmp_path: Path) -> None:
    if lines:
        (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(TraceError, match=sentence.replace(".", r"\.")):
        compare([tmp_path])


def test_a_path_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nowhere: expected a table of microbenchmarks"):
        compare([tmp_path / "nowhere"])


def test_a_gpu_that_is_not_configured_is_left_out_by_name(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text(f"{HEADER}\nB200,f16,f32,m16n8k16,dense mma.sync,4,1,1000\nA100,f16,f32,m16n8k16,dense mma.sync,8,2,1000\n")
    found = compare([table])
    assert [each.gpu for each in found.compared] == ["A100"] and found.left_out[0][0].startswith("B200: none of A100,")
