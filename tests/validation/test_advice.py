"""A sample of ``stcsim evidence advice``: the two networks that once were advised wrongly, and others."""

from __future__ import annotations

import random

import pytest

from stcsim.study.evidence.advice import Case, cases, examine
from stcsim.trace import trace_names

KNOWN = (
    Case("llama-3-8b-prefill", "h100", "fp8", "epilogue"),  # the layer ranked first once cost 80 us
    Case("resnet34-2048x1024", "h100-pcie", "bf16", "none"),  # best of both once was slower than dense
)
QUICK = ("resnet18", "resnet34", "bert-base", "gpt2", "t5-small", "vgg16", "vit-b-16", "whisper-small", "llama-3-8b-decode")


def sample() -> list[Case]:
    """Return a few networks on each GPU."""
    return sorted(random.Random(14).sample(list(cases(QUICK)), 12), key=str)


@pytest.mark.parametrize("case", [*KNOWN, *sample()], ids=str)
def test_best_of_both_is_the_best_and_claims_are_what_a_run_says(case: Case) -> None:
    found = examine(case)
    assert not found.misses and found.checks > 3


def test_the_grid_names_networks_that_ship() -> None:
    grid = list(cases(trace_names()))
    assert len(grid) == len(set(grid)) == 39 * 2 * (3 * 5 + 2 * 3)  # five GPUs have fp8, three (Ampere) have not
    assert {case.dtype for case in grid if case.gpu.startswith("a")} == {"fp16", "int8"}
