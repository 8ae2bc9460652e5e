"""Studies from YAML: what a file says, and the one sentence for what it cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest

from stcsim.errors import StcsimError
from stcsim.study.sweeps.criteria import Constraint, Objective
from stcsim.study.sweeps.grid import Grid, count
from stcsim.study.sweeps.reading import load_study, read_study
from stcsim.study.sweeps.spec import Change, Study

WHOLE = """
title: More SMs or more L2 bandwidth?
arch: [a100, h100]
marks: l40s
trace: [bert-base, resnet34]
batch: 1..8
gemm: {m: 4096, n: "128..512:128", k: [1024, 2048]}
dtype: [fp16, INT8]
fusion: none
axes:
  sm.count: [x1, +8, -8, 120]
  l2.bandwidth_bytes_per_clk: [x1, x1.5]
variants:
  as it is: {}
  large L2: {l2.capacity_mib: 80, l2.shared_fraction: 1}
pattern: [2:4, 1:4]
constraints: [power.board_limit_w <= 400, best_watts < 350, fits]
objectives: [max speedup, minimise best_uj]
"""


def written(folder: Path, text: str) -> Path:
    """Write a study and return its file."""
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str) -> Study:
    return load_study(written(folder, text))


def test_a_study_says_what_is_run_on_what(tmp_path: Path) -> None:
    study = read(tmp_path, WHOLE)
    assert (study.archs, study.marks, study.title) == (("a100", "h100"), ("l40s",), "More SMs or more L2 bandwidth?")
    assert study.sources.traces == ("bert-base", "resnet34") and study.sources.batches == (1, 2, 4, 8)
    assert study.sources.gemms == (((4096,), (128, 256, 384, 512), (1024, 2048)),)
    assert study.options == {
        "dtype": ("fp16", "int8"),
        "library": ("cusparselt",),
        "fusion": ("none",),
        "duration": ("sustained",),
    }
    # 2 GPUs x 4 x 2 x 2 x 2 places and 1 beside the grid, 2 networks x 4 batches and 8 GEMMs on each, in 2 types
    assert count(study) == (2 * 32 + 1) * (8 + 8) * 2


def test_axes_are_leaves_then_variants_then_patterns(tmp_path: Path) -> None:
    sms, bandwidth, variant, pattern = read(tmp_path, WHOLE).axes
    assert [change.label for change in sms.changes] == ["x1", "+8", "-8", "120"]
    assert sms.changes[1] == Change("+8", (("sm.count", "+8"),)) and bandwidth.name == "l2.bandwidth_bytes_per_clk"
    assert variant.changes[0] == Change("as it is", ())
    assert variant.changes[1].settings == (("l2.capacity_mib", "80"), ("l2.shared_fraction", "1"))
    assert pattern.changes[1] == Change("1:4", (("tensor_core.sparse_kept", "1"), ("tensor_core.sparse_group", "4")))


def test_constraints_and_objectives_name_leaves_and_figures(tmp_path: Path) -> None:
    study = read(tmp_path, WHOLE)
    board, watts, fits = study.constraints
    assert board == Constraint("power.board_limit_w <= 400", "power.board_limit_w", "<=", 400) and board.of_gpu
    assert not watts.of_gpu and watts.holds(349.9) and not watts.holds(350.0) and not watts.holds(None)
    assert fits.holds(True) and not fits.holds(False) and not fits.holds(None)
    assert study.objectives == (Objective("speedup", "max"), Objective("best_uj", "min"))


def test_files_that_a_study_names_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text("base: a100\n", encoding="utf-8")
    assert read(tmp_path, "{arch: [big.yaml, a100], gemm: 64x64x64}").archs == (str(tmp_path / "big.yaml"), "a100")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[a100]", "s.yaml: study: expected a mapping of names to values, found ['a100']"),
        ("arhc: a100", "s.yaml: study: expected one of title, arch, trace"),
        ("gemm: 64x64x64", "s.yaml: arch: expected a GPU, e.g. arch: a100, found none"),
        ("arch: a100", "sizes such as 4096x4096x4096, found neither"),
        ("{arch: [], gemm: 64x64x64}", "s.yaml: arch: expected at least one value, found an empty list"),
        ("{arch: [a100, a100], gemm: 64x64x64}", "s.yaml: arch: expected each value once, found 'a100' twice"),
        ("{arch: [a100, " + "x" * 300 + "], trace: []}", "s.yaml: trace: expected at least one value"),
        ("{arch: a100, gemm: 64x64}", "s.yaml: gemm: expected sizes above 0"),
        ("{arch: a100, gemm: 64x64xk}", "expected three numbers, or a mapping of m, n and k to values, found '64x64xk'"),
        ("{arch: a100, gemm: {m: 1, n: 1}}", "s.yaml: gemm: expected a mapping of m, n and k to values, found one of m, n"),
        ("{arch: a100, gemm: {m: 0, n: 1, k: 1}}", "s.yaml: gemm: m: expected whole numbers above 0, found '0'"),
        ("{arch: a100, gemm: 64x64x64, batch: 2}", "s.yaml: batch: expected a trace that it belongs to, found GEMMs alone"),
        ("{arch: a100, trace: resnet34, batch: x2}", "s.yaml: batch: expected whole numbers above 0, found 'x2'"),
        ("{arch: a100, gemm: 64x64x64, dtype: fp17}", "found 'fp17'"),
        ("{arch: a100, gemm: 64x64x64, library: cublas}", "s.yaml: library: expected one of cusparselt"),
        ("{arch: a100, gemm: 64x64x64, fusion: all}", "s.yaml: fusion: expected one of epilogue, none, found 'all'"),
        ("{arch: a100, gemm: 64x64x64, pattern: 3:4}", "s.yaml: pattern: expected one of 2:4, 1:4, 1:8, 2:8, 4:8, found '3:4'"),
        ("{arch: a100, gemm: 64x64x64, axes: [sm.count]}", "s.yaml: axes: expected a mapping of names to values"),
        ("{arch: a100, gemm: 64x64x64, axes: {sm.cuont: x2}}", "found 'sm.cuont' (did you mean 'sm.count'?)"),
        ("{arch: a100, gemm: 64x64x64, axes: {name: x2}}", "s.yaml: axes: expected the dotted path of one value"),
        ("{arch: a100, gemm: 64x64x64, axes: {sm.count: []}}", "s.yaml: axes: sm.count: expected at least one value, found an"),
        ("{arch: a100, gemm: 64x64x64, axes: {sm.count: [8, 8]}}", "sm.count: expected each value once, found '8' twice"),
        ("{arch: a100, gemm: 64x64x64, axes: {sm.count: 9..8}}", "expected a range above 0 that ends above its start"),
        ("{arch: a100, gemm: 64x64x64, axes: {sm.count: '8..9:0'}}", "in steps above 0, found '8..9:0'"),
        ("{arch: a100, gemm: 64x64x64, axes: {sm.count: a..b}}", "expected values, or ranges such as 1..64 (doubling)"),
        ("{arch: a100, gemm: 64x64x64, axes: {sm.count: '1..9999:1'}}", "sm.count: expected at most 1,000 values, found more"),
        ("{arch: a100, gemm: 64x64x64, variants: {}}", "s.yaml: variants: expected at least one variant, found none"),
        ("{arch: a100, gemm: 64x64x64, variants: {big: {l2: 1}}}", "s.yaml: variants: big: expected the dotted path"),
        (
            "{arch: a100, gemm: 64x64x64, axes: {sm.count: x2}, variants: {big: {sm.count: 120}}}",
            "s.yaml: axes: expected sm.count in one place, found it in sm.count and in variant",
        ),
        ("{arch: a100, gemm: 64x64x64, constraints: speedup}", "constraints: expected a comparison with a number"),
        ("{arch: a100, gemm: 64x64x64, constraints: fit}", "found 'fit' (did you mean 'fits'?)"),
        ("{arch: a100, gemm: 64x64x64, constraints: best_watts <= 400W}", "without a unit, found 'best_watts <= 400W'"),
        ("{arch: a100, gemm: 64x64x64, constraints: '<= 4'}", "expected a name, a comparison and a number"),
        ("{arch: a100, gemm: 64x64x64, objectives: speedup}", "objectives: expected min or max and a name, e.g. max speedup"),
        ("{arch: a100, gemm: 64x64x64, objectives: max speed}", "found 'speed' (did you mean 'speedup'?)"),
        ("a: b: c", "s.yaml: the file: expected valid YAML, found a mistake in line 1"),
    ],
)
def test_a_bad_study_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(StcsimError) as error:
        read(tmp_path, text)
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_a_study_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StcsimError, match="s.yaml: expected a file .YAML. that can be read, found no such file"):
        load_study(tmp_path / "s.yaml")


def test_a_study_of_a_milliard_cells_is_refused_before_one_is_built() -> None:
    sizes = dict.fromkeys("mnk", "1..1000:1")
    with pytest.raises(StcsimError, match="study: expected at most 200,000 cells .*, found 1,000,000,000"):
        Grid(read_study({"arch": "no such GPU", "gemm": sizes}))
