"""Sums of floats are exact, since those of Python's own ``sum`` differ between its versions (3.12 made them compensated)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

import stcsim
from stcsim.result import RunResult


@pytest.fixture(scope="module")
def result() -> RunResult:
    return stcsim.run(stcsim.load_trace("resnet34"), stcsim.load_arch("a40"), dtype="int8")


def test_the_energy_of_a_kernel_is_the_exact_sum_of_its_parts(result: RunResult) -> None:
    kernels = [side for row in (*result.rows, *result.memory) for side in (row.dense, row.sparse) if side is not None]
    assert all(kernel.energy_uj == math.fsum(kernel.energy_parts_uj.values()) for kernel in kernels)
    assert any(kernel.energy_uj != _one_by_one(kernel.energy_parts_uj.values()) for kernel in kernels)  # it makes a difference


def test_the_time_of_a_memory_operation_is_the_exact_sum_of_its_parts(result: RunResult) -> None:
    kernels = [row.dense for row in result.memory if row.dense is not None]
    assert kernels and all(kernel.time_us == math.fsum(kernel.breakdown.values()) for kernel in kernels)


def test_a_group_takes_the_exact_sum_of_its_layers(result: RunResult) -> None:
    rows = {row.name: row for row in result.rows}
    for group in result.groups:
        times_us = [(rows[name].count, rows[name].dense) for name in group.layers]
        assert group.dense_us == math.fsum(count * side.time_us for count, side in times_us if side)


def _one_by_one(parts: Iterable[float]) -> float:
    total = 0.0
    for part in parts:
        total += part
    return total
