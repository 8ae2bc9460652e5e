"""A what-if: the smallest change that reaches a target is simulated, no smaller one does, and out of reach is an answer."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable

import pytest

import stcsim
from stcsim.errors import StcsimError
from stcsim.study.whatif.answers import Answer, WhatIf
from stcsim.study.whatif.knobs import knobs_of, short_names
from stcsim.study.whatif.search import what_if
from stcsim.study.whatif.target import Target, parse_target
from stcsim.study.whatif.work import work_of

SIZES = 2048, 1024, 1024
GEMM = "x".join(map(str, SIZES))
A100 = stcsim.load_arch("a100")
L2, SMEM = "l2.bandwidth_bytes_per_clk", "shared_memory.bandwidth_bytes_per_clk"


def best_us(changes: dict[str, float]) -> float:
    return stcsim.gemm(*SIZES, stcsim.load_arch("a100", changes)).totals.best_us


@pytest.fixture(scope="module")
def found() -> WhatIf:
    """A tenth less time, by clock, launch or shared memory."""
    bound = 0.9 * best_us({})
    return what_if(work_of(GEMM), A100, f"best_us <= {bound:.4f}", "clock,launch,dram")


def of(found: WhatIf, *varied: str) -> Answer:
    return next(answer for answer in found.answers if answer.varied == varied)


def test_a_target_reached_is_a_simulation_that_meets_it(found: WhatIf) -> None:
    assert not found.is_met_already and found.figure == best_us({})
    reached = [answer for answer in found.answers if answer.reached]
    assert len(reached) >= 2
    for answer in reached:
        figure = best_us({change.path: change.after for change in answer.changes})
        assert figure == answer.figure <= found.target.bound and answer.bound == {}


def test_no_smaller_change_of_a_number_alone_reaches_it(found: WhatIf) -> None:
    (clock,) = of(found, "clock").changes
    assert clock.factor == clock.after / clock.before > 1
    assert all(best_us({clock.path: clock.before * clock.factor ** (part / 10)}) > found.target.bound for part in range(1, 9))
    assert best_us({clock.path: clock.after / 1.02}) > found.target.bound


def test_a_cost_goes_down_where_a_rate_goes_up(found: WhatIf) -> None:
    (launch,) = of(found, "launch").changes
    assert launch.path == "launch.graph_us" and launch.factor < 1
    assert of(found, "launch").measure == pytest.approx(1 / launch.factor)


def test_together_is_no_larger_than_any_number_alone(found: WhatIf) -> None:
    together = of(found, "clock", "launch", "dram")
    alone = [answer.measure for answer in found.answers if answer.reached and len(answer.varied) == 1]
    assert together.reached and together.measure <= min(alone) * (1 + 1e-9)
    assert together.measure == pytest.approx(math.exp(sum(abs(math.log(change.factor)) for change in together.changes)))


def test_numbers_may_be_varied_alone_only(found: WhatIf, ran: Callable[..., str]) -> None:
    command = ("whatif", GEMM, "--arch", "a100", "--target", str(found.target), "--vary", "clock,launch,dram", "--alone")
    document = json.loads(ran(*command, "--json", "-"))
    assert {tuple(answer["varied"]) for answer in document["answers"]} == {("clock",), ("launch",), ("dram",)}
    assert document["runs"] < found.runs


def test_the_smallest_change_comes_first(found: WhatIf) -> None:
    measures = [answer.measure for answer in found.answers if answer.reached]
    assert measures == sorted(measures) and found.answers[0].reached


def test_two_servers_that_help_only_together_are_found_together() -> None:
    """A GPU whose L2 and shared memory are both short: more of one alone runs into the other."""
    starved = stcsim.load_arch("a100", {L2: 800, SMEM: 40})
    bound = 0.7 * stcsim.gemm(4096, 4096, 1024, starved).totals.best_us
    found = what_if(work_of("4096x4096x1024"), starved, f"best_us <= {bound:.3f}", "l2,smem", within=3)
    together = of(found, "l2", "smem")
    assert together.reached and len(together.changes) == 2
    assert all(not answer.reached or answer.measure > together.measure for answer in found.answers if answer is not together)


def test_an_integer_stays_one_and_the_next_smaller_does_not_do() -> None:
    small = stcsim.load_arch("a100", {"sm.count": 40})
    bound = 0.8 * stcsim.gemm(4096, 4096, 1024, small).totals.best_us
    (answer,) = what_if(work_of("4096x4096x1024"), small, f"best_us <= {bound:.3f}", "sm").answers
    (sms,) = answer.changes
    assert answer.reached and isinstance(sms.after, int)
    fewer = stcsim.load_arch(small, {"sm.count": sms.after - 1})
    assert stcsim.gemm(4096, 4096, 1024, fewer).totals.best_us > bound


def test_out_of_reach_is_an_answer_that_says_what_is_in_the_way() -> None:
    found = what_if(work_of(GEMM), A100, "sparse_speedup >= 50", "l2,launch")
    assert [answer.reached for answer in found.answers] == [False, False, False]
    for answer in found.answers:
        assert sum(answer.bound.values()) == pytest.approx(1) and list(answer.bound.values()) == sorted(
            answer.bound.values(), reverse=True
        )
        assert answer.figure >= found.figure


def test_a_target_met_already_needs_no_change(ran: Callable[..., str]) -> None:
    printed = ran("whatif", GEMM, "--arch", "a100", "--target", "sparse_speedup >= 0.1", "--vary", "l2")
    assert "a100 meets the target as it is." in printed and "not reachable" not in printed
    assert what_if(work_of(GEMM), A100, "sparse_speedup >= 0.1", "l2").runs == 1


def test_a_leaf_by_its_path_is_turned_both_ways() -> None:
    bound = 0.98 * best_us({})
    (answer,) = what_if(work_of(GEMM), A100, f"best_us <= {bound:.4f}", "kernel.prologue_cycles").answers
    assert answer.reached and answer.changes[0].factor < 1


def test_no_number_is_changed_beyond_its_range() -> None:
    (answer,) = what_if(work_of(GEMM), A100, "best_us <= 0.1", "dram.achieved_fraction").answers
    assert not answer.reached and all(change.after <= 1 for change in answer.changes)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("speedup >= 1.8", Target("speedup", True, 1.8)),
        ("Sparse_Speedup≥1.8×", Target("sparse_speedup", True, 1.8)),
        ("best_us<=250", Target("best_us", False, 250.0)),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


SHAPE = "target: expected a figure, >= or <=, and a number, e.g. 'sparse_speedup >= 1.8', found "


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1.8", SHAPE + "'1.8'"),
        ("speedup = 1.8", SHAPE + "'speedup = 1.8'"),
        ("speedup >= fast", SHAPE + "'speedup >= fast'"),
        ("speedup >= -1", SHAPE + "'speedup >= -1'"),
        ("speedup >= 0", "target: expected a bound above 0, found 'speedup >= 0'"),
        ("spedup >= 2", "target: expected one of speedup, "),
    ],
)
def test_what_is_no_target_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(StcsimError) as refusal:
        parse_target(text)
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize(
    ("vary", "sentence"),
    [
        ("l3", "vary: expected tensor, smem, l2, l2-size, dram, sm, clock, power, launch, or the path of a number such as "
         "l2.shared_fraction, found 'l3' (did you mean 'l2'?)"),
        ("sm.sms_per_gpc", "vary: expected tensor, "),
        (f"l2,{L2}", f"vary: expected each number once, found {L2} twice"),
        ("launch.early_us", "vary launch.early_us: expected a number above 0 at launch.early_us of a100, found null"),
        ("kernel.load_latency_cycles", "vary kernel.load_latency_cycles: expected a number above 0 at "
         "kernel.load_latency_cycles of a100, found 0.0"),
    ],
)  # fmt: skip
def test_what_cannot_be_varied_is_refused_in_one_sentence(vary: str, sentence: str) -> None:
    with pytest.raises(StcsimError) as refusal:
        knobs_of(vary, A100, "fp16")
    assert str(refusal.value).startswith(sentence)


def test_every_short_name_is_a_number_of_every_modern_gpu() -> None:
    for name in ("a100", "h100", "l40s"):
        assert len(knobs_of(short_names(), stcsim.load_arch(name), "int8")) == len(short_names())


def test_a_factor_is_above_1_and_a_gpu_without_sparsity_has_no_speedup() -> None:
    with pytest.raises(StcsimError, match=r"^within: expected a factor above 1, at most 1000, found 1$"):
        what_if(work_of(GEMM), A100, "speedup >= 2", "l2", within=1)
    with pytest.raises(StcsimError, match=r"^target speedup: expected a GPU with Sparse Tensor Cores, found one without"):
        what_if(work_of(GEMM), "t4", "speedup >= 2", "l2")


def test_numbers_that_contradict_each_other_are_refused_by_name() -> None:
    with pytest.raises(StcsimError, match=r"shared_memory\.max_per_cta_kib: expected at most shared_memory\.capacity_kib"):
        what_if(work_of(GEMM), A100, "best_us <= 1", "shared_memory.max_per_cta_kib")


def test_all_forms_have_the_same_answers(ran: Callable[..., str], found: WhatIf) -> None:
    command = ("whatif", GEMM, "--arch", "a100", "--target", str(found.target), "--vary", "clock,launch,dram")
    document = json.loads(ran(*command, "--json", "-"))
    assert document["schema"] == "stcsim/whatif-1" and document["inputs"]["vary"] == ["clock", "launch", "dram"]
    lines = list(csv.DictReader(ran(*command, "--csv", "-").splitlines()))
    assert len(lines) == 1 + len(document["answers"])
    for line, answer in zip(lines[1:], document["answers"], strict=True):
        assert (line["varied"].split(), float(line["figure"])) == (answer["varied"], answer["figure"])
        settings = line["changes"].split()
        assert stcsim.gemm(*SIZES, stcsim.load_arch("a100", settings)).totals.best_us == answer["figure"]
    printed = ran(*command)
    assert "The smallest change found is " in printed and f"--set {lines[1]['changes'].split()[0]}" in printed
    assert "dram: not reachable within ×4" in printed


def test_what_cannot_be_asked_is_refused_before_any_run(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.replay.run", lambda *_, **__: pytest.fail("a run began"))
    command = ("whatif", GEMM, "--arch", "a100")
    assert refused(*command, "--target", "speedup", "--vary", "l2").startswith("--target: expected a figure, ")
    assert refused(*command, "--target", "speedup >= 2", "--vary", "l3").startswith("--vary: expected tensor, ")
    assert refused(*command, "--target", "speedup >= 2", "--vary", "l2", "--within", 0.5).startswith(
        "--within: expected a factor"
    )
