"""Switching a mechanism off: it costs accuracy where it should, changes what it says it does, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import groupby, product

import pytest

from stcsim.arch import load_arch
from stcsim.study.measured import Measured
from stcsim.study.validate import predict
from tests.validation.ablation import MEASURED, Effect, ablate, altered, cell_of, of_instructions, sample, table
from tests.validation.mechanisms import MECHANISMS, Mechanism, instead_of
from tests.validation.test_microbench import PUBLISHED

BY_NAME = {each.name: each for each in MECHANISMS}
#: A mechanism and a cell that needs it; the least percentage points of mean absolute error that it costs to do without.
NEEDED = {
    ("fills share the shared-memory port", "h100-pcie 2:4 bf16"): 2,
    ("B read again for every 64 rows (wgmma)", "h100-pcie 2:4 bf16"): 2,
    ("share of the L2 for data that all SMs read", "a100-pcie dense bf16"): 2,
    ("prologue", "a100 dense bf16"): 2,
    ("split-K", "a100 dense bf16"): 2,
    ("at most two slices in Ampere 2:4", "a100-pcie 2:4 bf16"): 1,
    ("clusters that share by multicast", "h100 dense bf16"): 2,
    ("power limit", "h100-pcie dense bf16"): 2,
    ("stream-K, among CUTLASS's tiles", "h100-pcie dense bf16"): 0,
}
SHAPES = (
    (4096, 4096, 4096), (2048, 2048, 2048), (4096, 2048, 4096), (4096, 1, 256), (1000, 96, 8000), (2304, 256, 2304),
    (16_384, 512, 3072),
)  # fmt: skip


@pytest.fixture(scope="module")
def effects() -> dict[tuple[str, str], Effect]:
    if not MEASURED.is_dir():
        pytest.skip(f"no measured tables in {MEASURED}")
    rows, found = sample(16), {}
    for name, cell in NEEDED:
        [found[name, cell]] = ablate([BY_NAME[name]], {cell: rows[cell]}, jobs=1)
    return found


@pytest.mark.parametrize("case", NEEDED, ids=": ".join)
def test_doing_without_costs_accuracy(case: tuple[str, str], effects: dict[tuple[str, str], Effect]) -> None:
    print("\n" + table([effects[case]]))
    assert 100 * effects[case].cost >= NEEDED[case]


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published microbenchmarks in {PUBLISHED}")
@pytest.mark.parametrize("mechanism", [each for each in MECHANISMS if not each.cells], ids=lambda each: each.name)
def test_published_rates_need_what_no_gemm_shows(mechanism: Mechanism) -> None:
    most = max(of_instructions(mechanism), key=lambda effect: effect.cost)
    print("\n" + table([most]))
    assert most.cost > (0.01 if mechanism.name == "issue efficiency" else 0.05) and "rate of" in most.cell


def test_a_sample_is_always_the_same_and_never_of_a_lower_grade() -> None:
    if not MEASURED.is_dir():
        pytest.skip(f"no measured tables in {MEASURED}")
    once, again = sample(5), sample(5)
    assert once == again and len(once) == 11
    assert all(len(rows) == 5 and {row.grade for row in rows} == {"A"} for rows in once.values())


KINDS = (
    ("a100", "bf16"),
    ("a100-pcie", "bf16"),
    ("a100-pcie", "fp16"),
    ("h100", "bf16"),
    ("h100-pcie", "bf16"),
    ("h100-pcie", "fp8"),
)
UNMEASURED = tuple(
    Measured(gpu, sparse, name, "bf16", *shape, 1, 1.0, "stream", False, "randn", 100, gpu == "a100", "A", "here:1", {})
    for (gpu, name), sparse, shape in product(KINDS, (False, True), SHAPES)
)


@cache
def shipped_us() -> dict[str, list[float]]:
    """Return the times of the unmeasured GEMMs by cell, all mechanisms on."""
    return times_us(by_cell(UNMEASURED))


def times_us(cells: dict[str, list[Measured]]) -> dict[str, list[float]]:
    return {cell: [predict(row, load_arch(row.arch)).predicted_us for row in rows] for cell, rows in cells.items()}


def by_cell(rows: Iterable[Measured]) -> dict[str, list[Measured]]:
    return {cell: list(group) for cell, group in groupby(rows, cell_of)}


@pytest.mark.parametrize("mechanism", [each for each in MECHANISMS if each.cells], ids=lambda each: each.name)
def test_each_one_is_off_while_its_context_is_open_only(mechanism: Mechanism) -> None:
    cells = {cell: rows for cell, rows in by_cell(UNMEASURED).items() if mechanism.touches(cell)}
    shipped, off = shipped_us(), {}
    if mechanism.has_givens:
        with mechanism.given():
            shipped = times_us(cells)
    for cell, rows in cells.items():
        arch = altered(mechanism, rows[0].arch)
        with mechanism.off():
            off[cell] = [predict(mechanism.row(row), arch).predicted_us for row in rows]
    assert any(off[cell] != shipped[cell] for cell in cells)

    cell, rows = next(iter(cells.items()))
    assert times_us({cell: rows}) == {cell: shipped_us()[cell]}


def test_a_function_that_no_module_has_is_no_mechanism() -> None:
    with pytest.raises(AssertionError, match="no module has"), instead_of(lambda: 0, lambda: 1):
        pass
