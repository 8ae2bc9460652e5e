"""How far from silicon? Measured GEMM times of real GPUs, where this checkout stands beside them; prints the errors.

The gates hold what was reached, so that a change that loses accuracy is seen; they are no claim that the model is right.
"""

from __future__ import annotations

import pytest

from stcsim.study.validate import ValidationReport, validate
from tests.validation.tables import MEASURED, needs_measured

pytestmark = needs_measured

# GPU, sparsity, type: largest mean absolute error, and largest absolute median
GATES = {
    ("a100", "dense", "bf16"): (0.058, 0.02),
    ("a100-pcie", "dense", "fp16"): (0.048, 0.02),
    ("a100-pcie", "dense", "bf16"): (0.038, 0.02),
    ("a100-pcie", "2:4", "fp16"): (0.047, 0.02),
    ("a100-pcie", "2:4", "bf16"): (0.048, 0.02),
    ("h100", "dense", "bf16"): (0.056, 0.02),
    ("h100-pcie", "dense", "fp16"): (0.068, 0.02),
    ("h100-pcie", "dense", "bf16"): (0.066, 0.02),
    ("h100-pcie", "dense", "fp8e4m3"): (0.075, 0.02),
    ("h100-pcie", "2:4", "bf16"): (0.061, 0.02),
    ("h100-pcie", "2:4", "fp8e4m3"): (0.047, 0.02),
}


@pytest.fixture(scope="module")
def report() -> ValidationReport:
    return validate([MEASURED / f"{name}.csv" for name in ("a100", "a100-pcie", "h100", "h100-pcie")], grades="A")


@pytest.mark.parametrize("cell", GATES, ids=" ".join)
def test_no_accuracy_is_lost(cell: tuple[str, str, str], report: ValidationReport) -> None:
    mean, median = GATES[cell]
    found = next(each for each in report.cells if each.label == (*cell, "A"))
    print(f"\n{' '.join(cell)}: mean {found.mean_abs:.1%}, median {found.median:+.1%}, 90th percentile {found.p90_abs:.1%}")
    assert found.mean_abs <= mean and abs(found.median) <= median
    assert found.mean_abs < found.roofline_mean_abs / 1.8


@pytest.mark.parametrize(
    ("gpu", "dtype", "gate"),
    [("a100-pcie", "fp16", 0.082), ("a100-pcie", "bf16", 0.08), ("h100-pcie", "bf16", 0.094), ("h100-pcie", "fp8e4m3", 0.096)],
)
def test_the_speedup_of_two_four(gpu: str, dtype: str, gate: float, report: ValidationReport) -> None:
    found = next(each for each in report.speedups if each.label == (gpu, dtype, "A"))
    print(f"\n{gpu} {dtype}: speedup off by {found.mean_abs:.3f}, the roofline's by {found.roofline_mean_abs:.2f}")
    assert found.mean_abs <= gate < found.roofline_mean_abs
