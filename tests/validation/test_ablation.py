"""Switching a mechanism off: it costs accuracy where it should, changes what it says it does, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import groupby, product

import pytest

from stcsim.arch import load_arch
from stcsim.isa import dtype as find_dtype
from stcsim.study.evidence import mechanisms, stand_ins
from stcsim.study.evidence.ablation import GPUS, Effect, ablation, altered, cell_of, effects_of, of_instructions, sample
from stcsim.study.evidence.advice import shared_kernels
from stcsim.study.evidence.mechanisms import MECHANISMS, Mechanism
from stcsim.study.evidence.stand_ins import FUNCTIONS, instead_of, shipped
from stcsim.study.measured import Measured, read_measured
from stcsim.study.validate import predict
from tests.validation.tables import MEASURED, PUBLISHED, needs_measured, needs_published

BY_NAME = {each.name: each for each in MECHANISMS}
#: A mechanism and a cell that needs it; the least percentage points of mean absolute error that it costs to do without.
NEEDED = {
    ("fills share the shared-memory port", "h100-pcie 2:4 bf16"): 2,
    ("B read again for every 64 rows (wgmma)", "h100-pcie 2:4 bf16"): 2,
    ("share of the L2 for data that all SMs read", "a100-pcie dense bf16"): 2,
    ("prologue", "a100 dense bf16"): 2,
    ("split-K", "a100 dense bf16"): 2,
    ("cuSPARSELt's Hopper kernels end with their tile", "h100-pcie 2:4 fp8"): 0,
    ("at most two slices in 2:4 of mma.sync, among n up to 64", "a100-pcie 2:4 bf16"): 0.5,
    ("clusters that share by multicast", "h100 dense bf16"): 2,
    ("power limit", "h100-pcie dense bf16"): 2,
    ("stream-K, among CUTLASS's tiles", "h100-pcie dense bf16"): 0,
    ("weights launched in turn are in L2 again if all fit", "l40s dense bf16"): 8,
    ("a set a little too large for the L2 keeps a part", "l40s dense bf16"): 4,
    ("reduction in the L2 at a share of its rate", "l40s dense bf16"): 1,
    ("a burst may pass the limit for a while", "h100-pcie dense fp8"): 3,
    ("a burst has a limit, too", "h100-pcie dense fp8"): 3,
    ("tens of milliseconds until the limit holds", "h100-pcie dense fp8"): 3,
}
SHAPES = (
    (4096, 4096, 4096), (2048, 2048, 2048), (4096, 2048, 4096), (4096, 1, 256), (1000, 96, 8000), (2304, 256, 2304),
    (16_384, 512, 3072), (2048, 16, 2304),
)  # fmt: skip


@cache
def measured() -> list[Measured]:
    return read_measured([MEASURED / f"{gpu}.csv" for gpu in GPUS])


@pytest.fixture(scope="module")
def effects() -> dict[tuple[str, str], Effect]:
    def effect(name: str, cell: str) -> Effect:
        rows = sample(measured(), 16, BY_NAME[name].among)[cell]
        return effects_of([BY_NAME[name]], {"": {cell: rows}}, jobs=1)[0]

    return {(name, cell): effect(name, cell) for name, cell in NEEDED}


@needs_measured
@pytest.mark.parametrize("case", NEEDED, ids=": ".join)
def test_doing_without_costs_accuracy(case: tuple[str, str], effects: dict[tuple[str, str], Effect]) -> None:
    effect = effects[case]
    print(f"\n{effect.mechanism}, {effect.cell}: {len(effect.moved)} of {len(effect.kept)} moved, cost {100 * effect.cost:.1f}")
    assert 100 * effect.cost >= NEEDED[case]


@needs_published
@pytest.mark.parametrize("mechanism", [each for each in MECHANISMS if not each.cells], ids=lambda each: each.name)
def test_published_rates_need_what_no_gemm_shows(mechanism: Mechanism) -> None:
    most = max(of_instructions(mechanism, [PUBLISHED]), key=lambda effect: effect.cost)
    assert most.cost > (0.01 if mechanism.name == "issue efficiency" else 0.05) and "rate of" in most.cell


@needs_measured
def test_a_sample_is_always_the_same_and_never_of_a_lower_grade() -> None:
    once, again = sample(measured(), 5), sample(measured(), 5)
    assert {row.arch for rows in once.values() for row in rows} == set(GPUS)
    assert once == again and len(once) == 20
    assert all(len(rows) == 5 and {row.grade for row in rows} == {"A"} for rows in once.values())


@needs_measured
def test_rows_of_its_own_are_sampled_for_a_mechanism_that_only_they_show() -> None:
    found = ablation([MEASURED], rows=2, only="matrix-vector", jobs=1)
    [effect] = found.effects
    assert (effect.cell, len(effect.kept)) == ("a100 dense bf16", 2) and effect.moved


KINDS = (
    ("a100", "bf16"),
    ("a100-pcie", "bf16"),
    ("a100-pcie", "fp16"),
    ("h100", "bf16"),
    ("h100-pcie", "bf16"),
    ("h100-pcie", "fp8"),
)
UNMEASURED = tuple(
    Measured(
        arch=gpu, sparse=sparse, dtype=name, out_dtype="bf16", m=m, n=n, k=k, batch=1, time_us=1.0, timing="stream",
        weight_copies=copies, data="randn", launches=100, launches_before=50, by_heuristic=gpu == "a100", grade="A",
        where="here:1", record={},
    )
    for (gpu, name), sparse, (m, n, k), copies in product(KINDS, (False, True), SHAPES, (0, 3))
)  # fmt: skip


def by_cell(rows: Iterable[Measured]) -> dict[str, list[Measured]]:
    return {cell: list(group) for cell, group in groupby(rows, cell_of)}


CELLS = by_cell(UNMEASURED)


@cache
def shipped_us(cell: str) -> list[float]:
    """Return the times of the unmeasured GEMMs of a cell, all mechanisms on."""
    return times_us(cell)


def times_us(cell: str) -> list[float]:
    return [predict(row, load_arch(row.arch)).predicted_us for row in CELLS[cell]]


def times_without_us(mechanism: Mechanism, cell: str) -> list[float]:
    arch = altered(mechanism, cell.split()[0])
    with mechanism.off():
        return [predict(mechanism.row(row), arch).predicted_us for row in CELLS[cell]]


def times_given_us(mechanism: Mechanism, cell: str) -> list[float]:
    if not mechanism.has_givens:
        return shipped_us(cell)
    with mechanism.given():
        return times_us(cell)


@pytest.mark.parametrize("mechanism", [each for each in MECHANISMS if each.cells], ids=lambda each: each.name)
def test_each_one_is_off_while_its_context_is_open_only(mechanism: Mechanism) -> None:
    touched = [cell for cell in CELLS if mechanism.touches(cell)]
    moved = next(cell for cell in touched if times_without_us(mechanism, cell) != times_given_us(mechanism, cell))
    assert times_us(moved) == shipped_us(moved)


def test_every_function_that_has_stand_ins_is_there_and_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"tensor_rate"}  # takes the place of warp_rate

    def instead(name: str, stand_in: object) -> object:
        used.add(name)
        assert stand_in is not shipped(name)
        return instead_of(name, stand_in)

    monkeypatch.setattr(mechanisms, "instead_of", instead)
    monkeypatch.setattr("stcsim.study.evidence.advice.instead_of", instead)
    for each in MECHANISMS:
        each.off()
        each.given()
    with shared_kernels(load_arch("a100")):
        pass
    assert used == set(FUNCTIONS) and all(callable(shipped(name)) for name in FUNCTIONS)


def test_a_stand_in_is_seen_wherever_the_function_was_taken_to_and_under_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from stcsim.timing.board import power
    from stcsim.timing.catalogue import families

    original = shipped("kernels")
    monkeypatch.setattr(power, "another_name_of_it", original, raising=False)
    with instead_of("kernels", lambda *_: ()):
        assert power.another_name_of_it("sm80", False) == families.kernels("sm80", False) == ()
        assert shipped("kernels") is not original
    assert power.another_name_of_it is families.kernels is original


def test_a_method_is_replaced_in_its_class() -> None:
    fp16, original = find_dtype("fp16"), shipped("metadata_bytes")
    assert fp16.metadata_bytes(64) == 8
    with instead_of("metadata_bytes", lambda *_: 0):
        assert fp16.metadata_bytes(64) == 0
    assert shipped("metadata_bytes") is original and fp16.metadata_bytes(64) == 8


def test_a_function_that_is_gone_is_no_mechanism(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stand_ins.FUNCTIONS, "gone", "stcsim.timing.problem:gone")
    with pytest.raises(AttributeError, match="gone"), instead_of("gone", lambda: 1):
        pass
