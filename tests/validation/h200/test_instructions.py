"""The datapath held against one H200: single instructions, every bit of every result."""

from __future__ import annotations

import pytest

from tests.validation.h200.instructions import CLASSES, PROBES, Probe, digest, draw, recorded, simulate

SPARSE = [each for each in PROBES if each.sparse]
ROUNDED = [each for each in SPARSE if each.element != "s8"]


@pytest.mark.parametrize("probe", PROBES, ids=lambda each: each.instruction)
def test_every_result_has_the_bits_that_the_gpu_gave(probe: Probe) -> None:
    hashes = recorded()[probe.instruction]
    for kind in CLASSES:
        registers = draw(probe, kind)
        assert registers.hash() == hashes[kind]["inputs"], "the inputs are no longer those that the GPU had"
        assert digest(simulate(probe, registers)) == hashes[kind]["results"], kind


@pytest.mark.parametrize("probe", ROUNDED, ids=lambda each: each.instruction)
def test_zeros_that_take_slots_do_not_give_these_bits(probe: Probe) -> None:
    """The rival of ``kept`` is refuted by numbers of unequal size, and by random bits."""
    for kind in ("wide", "bits"):
        assert digest(simulate(probe, draw(probe, kind), "expanded")) != recorded()[probe.instruction][kind]["results"], kind


@pytest.mark.parametrize("probe", SPARSE, ids=lambda each: each.instruction)
def test_small_integers_are_exact_in_any_order_so_the_registers_lie_as_described(probe: Probe) -> None:
    registers = draw(probe, "ints")
    for blocking in ("kept", "expanded"):
        assert digest(simulate(probe, registers, blocking)) == recorded()[probe.instruction]["ints"]["results"]


def test_the_record_covers_each_instruction_and_class_once() -> None:
    assert {name: tuple(kinds) for name, kinds in recorded().items()} == {each.instruction: CLASSES for each in PROBES}
