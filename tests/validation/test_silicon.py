"""How far from silicon? Measured GEMM times of real GPUs, where this checkout stands beside them.

Half of all shapes had a part in a fit, half had none; each half has gates of its own (``gates.json``, written by
``python -m tests.validation.silicon``). They hold what was reached, so that a change that loses accuracy is seen, and say where
less was reached than had been asked for.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from stcsim.study.error_model.build import FITTED, part_of
from stcsim.study.measured import Measured
from stcsim.study.validate import Predicted, validate
from tests.validation import silicon
from tests.validation.silicon import ASKED, HALVES, Figure, Gate, figures_of, gate_of, gates, tables_in, write_gates
from tests.validation.tables import MEASURED, needs_measured

GATES = {gate.figure: gate for gate in gates()}


@pytest.fixture(scope="module")
def reached() -> dict[str, Figure]:
    return {figure.name: figure for figure in figures_of(validate(tables_in(MEASURED), grades="A").rows)}


@needs_measured
@pytest.mark.parametrize("gate", GATES.values(), ids=lambda gate: gate.figure)
def test_no_accuracy_is_lost(gate: Gate, reached: dict[str, Figure]) -> None:
    found = reached[gate.figure]
    print(f"\n{found.name} {found.reached:.3f} of {found.rows}, {found.asked} asked for")
    assert found.reached <= gate.gate


@needs_measured
def test_every_figure_has_a_gate(reached: dict[str, Figure]) -> None:
    assert set(reached) == set(GATES)
    assert all(figure.asked == GATES[name].asked for name, figure in reached.items())


@needs_measured
def test_what_was_asked_for_is_reached_but_for_what_the_gates_call_missed(reached: dict[str, Figure]) -> None:
    assert {name for name, found in reached.items() if found.missed} == {gate.figure for gate in GATES.values() if gate.missed}


@needs_measured
def test_a_plain_roofline_is_further_off_in_every_cell(reached: dict[str, Figure]) -> None:
    known = [found for found in reached.values() if not math.isnan(found.roofline)]
    assert [found.name for found in known if found.kind in ("mean", "speedup") and found.reached >= found.roofline] == []


def test_a_gate_that_asks_less_than_was_asked_for_says_so() -> None:
    for gate in GATES.values():
        assert gate.gate > gate.asked if gate.missed else gate.gate <= gate.asked + 0.0015, gate.figure
    boards = {gate.figure.split()[0] for gate in GATES.values()}
    assert boards == set(ASKED)


def row(m: int, error: float, sparse: bool = False, grade: str = "A") -> Predicted:
    """A bf16 row of 4096 x 4096 on an A100, of 100 us."""
    measured = Measured(
        arch="a100", sparse=sparse, dtype="bf16", out_dtype="bf16", m=m, n=4096, k=4096, batch=1, time_us=100.0, timing="graph",
        weight_copies=1, data="randn", launches=100, launches_before=50, by_heuristic=False, grade=grade, where="here:1",
        record={"dtype": "bf16"},
    )  # fmt: skip
    return Predicted(measured, 100.0 * (1 + error), 200.0, "", "")


def test_the_halves_have_figures_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(64 * at, 0.0) for at in range(1, 100)]
    parts = {seen: [each for each in rows if (part_of(each.measured) == FITTED) is seen] for seen in (True, False)}
    known = [
        *(row(each.measured.m, 0.1) for each in parts[False][:12]),
        *(row(each.measured.m, -0.03) for each in parts[True][:12]),
        row(parts[False][0].measured.m, 0.5, grade="B"),
        row(parts[False][0].measured.m, 0.0, sparse=True),
    ]
    figures = {each.name: each for each in figures_of(known)}

    assert HALVES == {"not fitted": False, "fitted": True}
    unseen, fitted = figures["a100 dense bf16, not fitted: mean"], figures["a100 dense bf16, fitted: mean"]
    assert (unseen.rows, unseen.reached, unseen.missed) == (12, pytest.approx(0.1), True)
    assert (fitted.rows, fitted.reached, fitted.asked, fitted.missed) == (12, pytest.approx(0.03), 0.055, False)
    assert figures["a100 dense bf16, fitted: median"].missed  # without its sign
    assert figures["a100 bf16, not fitted: speedup"].reached == pytest.approx(0.1)
    assert figures["a100 2:4 bf16, not fitted: mean"].asked == 0.05
    decades = [each for each in figures.values() if each.kind == "decade"]
    assert decades and all(each.rows >= silicon.DECADE_ROWS for each in decades)

    monkeypatch.setattr(silicon, "GATES", tmp_path / "gates.json")
    write_gates([unseen, fitted])
    assert gates() == [gate_of(unseen), gate_of(fitted)]
    assert gates()[0] == Gate(unseen.name, 0.055, 0.101, True)
    assert len(json.loads((tmp_path / "gates.json").read_text(encoding="utf-8"))) == 2
