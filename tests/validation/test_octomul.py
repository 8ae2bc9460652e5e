"""GPUs that the shared tables do not hold: cuBLAS on an A40 and an RTX 4090, ``octomul.csv`` beside this file."""

from __future__ import annotations

from pathlib import Path

import pytest

from stcsim.study.validate import ValidationReport, validate

# GPU, type: largest mean absolute error. In int8 the small tile, alone on an SM, is predicted too fast: hence the large ones.
GATES = {("a40", "fp16"): 0.054, ("a40", "int8"): 0.067, ("rtx4090", "fp16"): 0.08, ("rtx4090", "int8"): 0.083}

# This card clocks 2,725 MHz, 6 % above that of the published tables, which the file follows; the roofline is nearer by chance.
WORSE_THAN_ROOFLINE = {("rtx4090", "fp16")}


@pytest.fixture(scope="module")
def report() -> ValidationReport:
    return validate([Path(__file__).with_name("octomul.csv")])


@pytest.mark.parametrize(("gpu", "dtype"), GATES)
def test_no_accuracy_is_lost(gpu: str, dtype: str, report: ValidationReport) -> None:
    found = next(each for each in report.cells if each.label == (gpu, "dense", dtype, "A"))
    print(f"\n{gpu} {dtype}: mean {found.mean_abs:.1%}, median {found.median:+.1%}")
    assert found.mean_abs <= GATES[gpu, dtype]
    assert (found.mean_abs > found.roofline_mean_abs) == ((gpu, dtype) in WORSE_THAN_ROOFLINE)
