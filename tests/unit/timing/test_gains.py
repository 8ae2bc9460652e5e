"""What would help a GEMM: asked for only when looked at, each resource by itself, and what a user finds who changes the GPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from random import Random

import pytest

import stcsim
from stcsim.arch import Arch, load_arch
from stcsim.result import Gains, KernelResult, RunResult
from stcsim.timing.board.setup import Setup
from stcsim.timing.choice.outcome import time_gemm
from stcsim.timing.choice.resources import MORE, with_more
from stcsim.timing.problem import Problem
from stcsim.trace import Gemm
from tests.shapes import problem
from tests.unit.runs import helps, kernel, layer, run_of
from tests.unit.small_networks import network

A100, H100 = load_arch("a100"), load_arch("h100")
NOTHING = dict.fromkeys(MORE, 0.0)

GROWS = {
    "tensor": {"tensor_core.issue_efficiency"},
    "smem": {"shared_memory.bandwidth_bytes_per_clk"},
    "ingress": {"l2.port_bytes_per_clk_per_sm"},
    "l2": {"l2.bandwidth_bytes_per_clk"},
    "dram": {"dram.bandwidth_gb_per_s"},
    "power": {"power.board_limit_w"},
}
SHRINKS = {
    "latency": {"l2.near_latency_cycles", "l2.far_latency_cycles", "dram.latency_cycles", "kernel.load_latency_cycles"},
    "launch": {"launch.graph_us", "launch.stream_us", "launch.early_us"},
}


class Asked:
    """What stands in for a simulation: remembers with how much more it was asked."""

    def __init__(self, answer: Callable[[float], dict[str, float]]) -> None:
        self.answer, self.factors = answer, list[float]()

    def __call__(self, factor: float) -> dict[str, float]:
        self.factors.append(factor)
        return self.answer(factor)


def test_nothing_is_simulated_before_the_first_look() -> None:
    asked = Asked(helps)
    gains = Gains(asked)
    assert not gains.known and gains == Gains(helps) and "…" in repr(gains)
    assert asked.factors == []


def test_each_factor_is_simulated_once() -> None:
    asked = Asked(helps)
    gains = Gains(asked)
    assert (gains["l2"], gains["tensor"], gains["dram"]) == (0.02, 0.01, 0.0)
    assert asked.factors == [1.1] and not gains.known
    assert gains.half_more["l2"] == 0.08 and gains.bound == "l2"
    assert asked.factors == [1.1, 1.5] and gains.known
    gains.look()
    assert len(gains) == 8 and list(gains) == list(helps(1.1)) and asked.factors == [1.1, 1.5]


def test_a_look_finds_out_all() -> None:
    asked = Asked(helps)
    gains = Gains(asked)
    gains.look()
    assert gains.known and sorted(asked.factors) == [1.1, 1.5]


def test_bound_is_what_half_as_much_again_saves_most_of() -> None:
    # a tenth more of the tensor rate saves most, but little more comes after it
    def early(factor: float) -> dict[str, float]:
        return NOTHING | ({"tensor": 0.04, "dram": 0.03} if factor == 1.1 else {"tensor": 0.05, "dram": 0.12})

    gains = Gains(early)
    assert max(gains, key=lambda resource: gains[resource]) == "tensor" and gains.bound == "dram"


def test_nothing_bounds_what_nothing_helps() -> None:
    assert Gains(lambda factor: dict(NOTHING)).bound is None


def test_gains_do_not_tell_results_apart() -> None:
    assert Gains(helps) == Gains(lambda factor: dict(NOTHING))
    assert Gains(helps) != helps(1.1)
    assert kernel(10.0, 1000, 312.0, "l2") == kernel(10.0, 1000, 312.0, "l2")


def changes(arch: Arch, resource: str, factor: float) -> dict[str, tuple[object, object]]:
    """Return leaves that differ, before and after."""
    pairs = zip(arch.leaves(), with_more(arch, resource, factor).leaves(), strict=True)
    return {before.path: (before.value, after.value) for before, after in pairs if before.value != after.value}


@pytest.mark.parametrize("resource", MORE)
def test_more_of_a_resource_changes_its_own_leaves_and_no_others(resource: str) -> None:
    grows, shrinks = GROWS.get(resource, set()), SHRINKS.get(resource, set())
    found = changes(H100, resource, 1.5)
    unmovable = {path for path in grows | shrinks if not H100.value(path)}  # null, or 0
    assert grows | shrinks and set(found) == (grows | shrinks) - unmovable
    for path, (before, after) in found.items():
        assert isinstance(before, int | float)
        assert after == pytest.approx(1.5 * before if path in grows else before / 1.5)


def test_waits_of_a_launch_and_of_memory_shrink() -> None:
    found = changes(H100, "latency", 2) | changes(H100, "launch", 2)
    assert {"l2.near_latency_cycles", "dram.latency_cycles", "launch.graph_us", "launch.early_us"} <= set(found)
    assert all(after == before / 2 for before, after in found.values() if isinstance(before, int | float))


def test_a_value_that_the_gpu_does_not_have_stays_so() -> None:
    assert A100.launch.early_us is None
    more = with_more(A100, "launch", 1.5)
    assert more.launch.early_us is None and more.launch.graph_us == pytest.approx(A100.launch.graph_us / 1.5)


def test_a_resource_may_exceed_what_a_file_may_say() -> None:
    before = A100.tensor_core.issue_efficiency
    more = with_more(A100, "tensor", 1.5).tensor_core.issue_efficiency
    assert more == pytest.approx(1.5 * before) and more > 1
    assert A100.tensor_core.issue_efficiency == before  # the GPU itself is as it was


def side(result: RunResult, sparse: bool = False) -> KernelResult:
    found = result.rows[0].sparse if sparse else result.rows[0].dense
    assert found is not None
    return found


@pytest.mark.parametrize("sparse", [False, True])
def test_a_higher_limit_helps_a_board_that_is_held_down(sparse: bool) -> None:
    limited = side(stcsim.gemm(8192, 8192, 4096, load_arch("a100", ["power.board_limit_w=200"])), sparse)
    assert limited.clock_mhz < A100.clock.sustained_mhz
    assert limited.bound == "power" and limited.gains["power"] > 0.03
    # at 10 % more power the clock grows by less than 10 %, and so does the rate
    assert limited.gains["power"] < 1 - 1 / 1.1


def test_a_higher_limit_does_not_help_a_board_that_has_room() -> None:
    roomy = side(stcsim.gemm(8192, 16, 8192, A100))
    assert roomy.clock_mhz == A100.clock.sustained_mhz
    assert roomy.gains["power"] == roomy.gains.half_more["power"] == 0


@pytest.mark.parametrize("sparse", [False, True])
def test_a_tiny_gemm_waits_for_its_launch(sparse: bool) -> None:
    tiny = side(stcsim.gemm(64, 16, 64, A100), sparse)
    # a launch is so much of its time, and that much shorter
    saved_us = A100.launch.graph_us * (1 - 1 / 1.5)
    assert tiny.bound == "launch" and tiny.gains.half_more["launch"] == pytest.approx(saved_us / tiny.time_us, rel=1e-6)


@pytest.mark.parametrize("sparse", [False, True])
def test_large_weights_with_few_tokens_wait_for_dram(sparse: bool) -> None:
    unlimited = load_arch("a100", ["power.board_limit_w=2000"])
    streaming = side(stcsim.gemm(8192, 16, 8192, unlimited), sparse)
    assert streaming.bound == "dram"
    # most of what it would save if DRAM were all of the time, and no more than that
    assert 0.06 < streaming.gains["dram"] < 1 - 1 / 1.1
    assert 0.2 < streaming.gains.half_more["dram"] < 1 - 1 / 1.5


def test_no_clock_but_the_networks_is_asked_of_a_layer() -> None:
    trace = network(Gemm(name="a", m=4096, n=4096, k=4096), Gemm(name="b", m=4096, n=4096, k=4096))
    row = stcsim.run(trace, load_arch("a100", ["power.board_limit_w=150"])).rows[0]
    assert row.chosen.clock_mhz < A100.clock.sustained_mhz and row.chosen.gains.half_more["power"] == 0


def seeded(count: int) -> list[Problem]:
    shapes = list(product((256, 1024, 4096), (16, 256, 2048), (512, 2048), ("fp16", "int8")))
    return [problem(*shape) for shape in Random(20).sample(shapes, count)]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("arch", [A100, H100], ids=["a100", "h100"])
def test_what_bounds_a_gemm_is_what_a_changed_gpu_shows(arch: Arch, sparse: bool) -> None:
    same = 0
    for each in seeded(10):
        now = time_gemm(Setup(arch), each, sparse)
        more = {name: 1 - time_gemm(Setup(with_more(arch, name, 1.5)), each, sparse).time_us / now.time_us for name in MORE}
        assert now.bound is not None
        # gains choose among the best few kernels, a search among all, of which it leaves out some by estimate
        assert more[now.bound] >= max(more.values()) - 0.02, (each, now.bound, more)
        assert now.gains.half_more[now.bound] == pytest.approx(more[now.bound], abs=0.02), (each, now.bound, more)
        same += now.bound == max(more, key=lambda name: more[name])
    assert same >= 9


def never(factor: float) -> dict[str, float]:
    raise AssertionError("looked")


def exported(gains: Gains) -> dict[str, object]:
    """Return a kernel's entry in the JSON of a run."""
    row = layer("fc", (256, 64, 256), 10.0, None)
    assert row.dense is not None
    one = replace(row.dense, gains=gains)
    document = run_of(replace(row, dense=one, chosen=one)).to_dict()
    entry: dict[str, object] = json.loads(json.dumps(document))["rows"][0]["dense"]
    return entry


def test_json_does_not_look() -> None:
    entry = exported(Gains(never))
    assert (entry["gains"], entry["gains_half_more"], entry["bound"]) == (None, None, None)


def test_json_has_what_was_looked_for_the_most_helpful_first() -> None:
    gains = Gains(helps)
    gains.look()
    entry = exported(gains)
    assert isinstance(entry["gains"], dict) and isinstance(entry["gains_half_more"], dict)
    # half as much again saves 8 % for l2 and 3 % for tensor; all else keeps its order
    order = ["l2", "tensor", "smem", "ingress", "dram", "latency", "launch", "power"]
    assert list(entry["gains"]) == list(entry["gains_half_more"]) == order
    assert (entry["gains"]["l2"], entry["gains_half_more"]["l2"], entry["bound"]) == (0.02, 0.08, "l2")


def test_json_orders_by_half_more_even_where_a_tenth_says_otherwise() -> None:
    gains = Gains(lambda factor: NOTHING | ({"dram": 0.03, "l2": 0.02} if factor == 1.1 else {"dram": 0.03, "l2": 0.04}))
    gains.look()
    entry = exported(gains)
    assert isinstance(entry["gains"], dict) and list(entry["gains"])[:2] == ["l2", "dram"] and entry["bound"] == "l2"


def test_json_says_that_nothing_bounds_what_nothing_helps() -> None:
    gains = Gains(lambda factor: dict(NOTHING))
    gains.look()
    entry = exported(gains)
    assert entry["bound"] is None and entry["gains"] == NOTHING


def test_a_simulated_gemm_is_not_looked_at_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(lambda factor: dict(NOTHING))
    monkeypatch.setattr("stcsim.timing.choice.gains._with_more_of_each", lambda setup, cuts, factor: asked(factor))
    result = stcsim.gemm(256, 64, 256, A100)
    result.to_dict()
    assert asked.factors == [] and not side(result).gains.known
    side(result).gains.look()
    assert sorted(asked.factors) == [1.1, 1.5]
