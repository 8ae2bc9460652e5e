"""Do steps that are one kernel come together, with what they read and write, and nothing that only looks like them?"""

from __future__ import annotations

from stcsim.capture.composites import put_together
from stcsim.trace import Gemm, Memory, Op


def gemm(name: str, *inputs: str, weight: bool = True) -> Gemm:
    return Gemm(name=name, m=8, n=8, k=8, weight_operand="a" if weight else None, inputs=inputs)


def step(name: str, *inputs: str, read: int = 64, written: int = 64, constant: int = 0) -> Memory:
    operator = name.rpartition(".")[2].partition("#")[0]
    fields = {"elements_read": read, "elements_written": written, "constant_elements": constant}
    return Memory(name=name, operator=operator, inputs=inputs, **fields)


def names(ops: tuple[Op, ...]) -> list[str]:
    return [op.name for op in ops]


def moved(op: Op) -> tuple[int, int, int]:
    assert isinstance(op, Memory)
    return op.elements_read, op.elements_written, op.constant_elements


def rms_norm(source: str = "x", scale_reads: tuple[str, ...] = ("x", "norm.rsqrt")) -> list[Op]:
    return [
        step("norm.pow", source),
        step("norm.mean", "norm.pow", written=8),
        step("norm.add", "norm.mean", read=8, written=8),
        step("norm.rsqrt", "norm.add", read=8, written=8),
        step("norm.mul", *scale_reads, read=72),
        step("norm.mul#2", "norm.mul", constant=8),
    ]


def test_rms_norm() -> None:
    ops = put_together([gemm("x"), *rms_norm(), gemm("y", "norm.mul#2")])
    assert names(ops) == ["x", "norm", "y"] and ops[2].inputs == ("norm",)
    norm = ops[1]
    assert isinstance(norm, Memory) and norm.operator == "rms_norm" and norm.inputs == ("x",)
    assert moved(norm) == (64, 64, 8)


def test_rms_norm_without_weights_and_of_the_networks_input() -> None:
    parts = rms_norm(scale_reads=("norm.rsqrt",))[:-1]
    parts[0] = step("norm.pow")
    ops = put_together([*parts, gemm("y", "norm.mul")])
    assert names(ops) == ["norm", "y"] and ops[0].inputs == () and moved(ops[0]) == (64, 64, 0)


def test_a_sum_behind_the_norm_is_not_in_it() -> None:
    ops = put_together([gemm("x"), *rms_norm(), step("add", "norm.mul#2", "x")])
    assert names(ops) == ["x", "norm", "add"] and ops[2].inputs == ("norm", "x")


def test_a_mean_of_squares_that_scales_something_else_is_no_norm() -> None:
    ops = [gemm("x"), gemm("z"), *rms_norm(scale_reads=("z", "norm.rsqrt"))]
    assert put_together(ops) == tuple(ops)


def test_squares_that_somebody_else_reads_are_no_norm() -> None:
    ops = [gemm("x"), *rms_norm(), step("sum", "norm.pow")]
    assert put_together(ops) == tuple(ops)


ROPE = [
    gemm("q"),
    step("a.mul", "q", constant=16),
    step("a.neg", "q", read=32, written=32),
    step("a.cat", "a.neg", "q"),
    step("a.mul#2", "a.cat", constant=16),
    step("a.add", "a.mul", "a.mul#2", read=128),
]


def test_rope() -> None:
    ops = put_together([*ROPE, gemm("k", "a.add", weight=False)])
    assert names(ops) == ["q", "a.rope", "k"] and ops[1].inputs == ("q",) and ops[2].inputs == ("a.rope",)
    assert moved(ops[1]) == (64, 64, 32)


def test_rope_on_a_part_of_each_head() -> None:
    part = step("a.cat#2", "a.add", "q", read=128, written=128)
    ops = put_together([*ROPE, part, gemm("k", "a.cat#2", weight=False)])
    assert names(ops) == ["q", "a.rope", "k"] and moved(ops[1]) == (128, 128, 32)


def test_names_stay_apart() -> None:
    other = [op.changed(name=f"{op.name}#9", inputs=tuple(f"{name}#9" for name in op.inputs)) for op in ROPE]
    assert names(put_together([*ROPE, *other])) == ["q", "a.rope", "q#9", "a.rope#2"]


def test_a_sum_with_something_else_is_no_rope() -> None:
    ops = [gemm("z"), *ROPE[:-1], step("a.add", "z", "a.mul#2", read=128)]
    assert put_together(ops) == tuple(ops)


def test_keys_repeated_for_the_heads_that_share_them() -> None:
    copy = step("copy", "k", written=256)
    ops = put_together([gemm("q"), gemm("k"), copy, gemm("qk", "q", "copy", weight=False)])
    assert names(ops) == ["q", "k", "qk"] and ops[2].inputs == ("q", "k")
    kept = [gemm("k"), copy, gemm("o", "copy")]
    assert put_together(kept) == tuple(kept)


def test_keys_put_behind_a_cache() -> None:
    joined = step("a.cat", "k", read=64, written=1024, constant=960)
    ops = put_together([gemm("k"), joined, gemm("qk", "a.cat", weight=False)])
    assert names(ops) == ["k", "a.cache_update", "qk"] and moved(ops[1]) == (64, 64, 0)
    kept = [gemm("k"), joined, gemm("o", "a.cat")]
    assert put_together(kept) == tuple(kept)


def test_two_results_put_together_are_no_cache() -> None:
    kept = [gemm("k"), gemm("l"), step("cat", "k", "l", read=128, written=128), gemm("qk", "cat", weight=False)]
    assert put_together(kept) == tuple(kept)
