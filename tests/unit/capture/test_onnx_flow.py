"""Branches and loops of ONNX files: is what runs counted as often as it runs, where the file, shapes or a given value say so?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stcsim import cli
from stcsim.errors import TraceError
from stcsim.trace import Gemm, Trace, load_trace

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")

from onnx import TensorProto, helper  # noqa: E402

from stcsim.capture import open_trace  # noqa: E402
from tests.unit.onnx_graphs import FLOAT, INT64, constant, gemms, model, node, weight  # noqa: E402

BOOL = TensorProto.BOOL
Read = Callable[..., Trace]


@pytest.fixture
def opened(tmp_path: Path) -> Read:
    def run(nodes: Sequence[Any], inputs: Mapping[str, Any], *tensors: Any, values: Sequence[str] = (), **more: Any) -> Trace:
        path = tmp_path / "net.onnx"
        onnx.save(model(nodes, inputs, tensors, **more), path)
        return open_trace(path, values=values)

    return run


def body(nodes: Sequence[Any], inputs: Sequence[tuple[str, int, Any]], outputs: Sequence[str], *tensors: Any) -> Any:
    """Return the graph inside of a node: inputs are (name, type, shape)."""
    entries = [helper.make_tensor_value_info(*each) for each in inputs]
    ends = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    return helper.make_graph(list(nodes), "body", entries, ends, initializer=list(tensors))


def number(name: str, value: float, kind: int = INT64) -> Any:
    return helper.make_tensor(name, kind, [], [value])


LOOP = [("i", INT64, ()), ("go", BOOL, ()), ("h", FLOAT, None)]
TRUE = number("true", True, BOOL)


def counts(trace: Trace) -> list[tuple[str, int]]:
    return [(op.name, op.count) for op in trace.ops if isinstance(op, Gemm)]


# --- If


def test_a_given_value_chooses_the_branch(opened: Read) -> None:
    arms = {
        "then_branch": body([node("MatMul", "x a", "t")], [], ["t"], weight("a", 8, 4)),
        "else_branch": body([node("MatMul", "x b", "e")], [], ["e"], weight("b", 8, 6)),
    }
    nodes = [node("Equal", "sr rate", "wide"), node("If", "wide", **arms)]
    more = {"inputs": {"x": (5, 8), "sr": ()}, "kinds": {"sr": INT64}}
    found = [gemms(opened(nodes, more["inputs"], number("rate", 16000), kinds=more["kinds"], values=[each]))[0][0]
             for each in ("sr=16000", "sr=8000")]  # fmt: skip
    assert found == [4, 6]
    with pytest.raises(TraceError, match="If of MatMul .its condition depends on data; where that is an input, give its value"):
        opened(nodes, more["inputs"], number("rate", 16000), kinds=more["kinds"])


def test_a_branch_that_shapes_decide(opened: Read) -> None:
    arms = {
        "then_branch": body([node("MatMul", "x a", "t")], [], ["t"], weight("a", 8, 4)),
        "else_branch": body([node("Relu", "x", "e")], [], ["e"]),
    }
    nodes = [node("Size", "x", "size"), node("Greater", "size limit", "large"), node("If", "large", **arms)]
    assert gemms(opened(nodes, {"x": (5, 8)}, number("limit", 39))) == [(4, 5, 8, 1, True, "n")]
    with pytest.raises(TraceError, match="at least one matrix product"):
        opened(nodes, {"x": (5, 8)}, number("limit", 40))


def test_what_comes_after_an_unknown_branch_is_read_where_both_agree_on_its_shape(opened: Read) -> None:
    arms = {
        "then_branch": body([node("Relu", "x", "t")], [], ["t"]),
        "else_branch": body([node("Neg", "x", "e")], [], ["e"]),
    }
    trace = opened(
        [node("If", "c", "y", **arms), node("MatMul", "y w", "z")], {"x": (5, 8), "c": ()}, weight("w", 8, 4), kinds={"c": BOOL}
    )
    assert gemms(trace)[0][:3] == (4, 5, 8) and trace.source.unhandled == () and trace.source.unsized == ("if: If",)


def test_the_smaller_branch_is_missing_at_least(opened: Read) -> None:
    arms = {
        "then_branch": body([node("MatMul", "h a", "t")], [], ["t"], weight("a", 4, 4)),
        "else_branch": body([node("MatMul", "h b", "e")], [], ["e"], weight("b", 4, 6)),
    }
    nodes = [node("MatMul", "x w", "h"), node("If", "c", **arms)]
    trace = opened(nodes, {"x": (5, 8), "c": ()}, weight("w", 8, 4), kinds={"c": BOOL})
    assert counts(trace) == [("matmul", 1)] and trace.source.unhandled[0].startswith("if: If of MatMul")
    assert trace.source.unhandled_macs == 5 * 4 * 4


# --- values


REFUSED = {
    "no number": (["sr=high"], "value: expected NAME=NUMBER .several with a comma between., e.g. sr=16000, found 'sr=high'"),
    "no name": (["16000"], "value: expected NAME=NUMBER"),
    "twice": (["sr=1", "sr=2"], "value of 'sr': expected one, found two"),
    "unknown": (["rate=1"], "value: expected an input of the file .x, sr., found 'rate'"),
    "another number of them": (["sr=1,2"], "value of 'sr': expected 1 number, found 2"),
    "another type": (["sr=1.5"], "value of 'sr': expected numbers of the type int64, found 1.5"),
    "too large for its type": ([f"sr={2**70}"], "value of 'sr': expected numbers of the type int64"),
    "a long axis": (["x=1"], "value of 'x': expected an input of at most 65,536 elements, found 80,000"),
}


@pytest.mark.parametrize(("values", "sentence"), REFUSED.values(), ids=REFUSED)
def test_values_that_do_not_fit_are_refused(opened: Read, values: list[str], sentence: str) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Cast", "sr", "f", to=FLOAT), node("Mul", "h f")]
    with pytest.raises(TraceError, match=sentence):
        opened(nodes, {"x": (10000, 8), "sr": ()}, weight("w", 8, 4), kinds={"sr": INT64}, values=values)


def test_a_value_of_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TraceError, match="values: expected an ONNX model, of whose inputs they are, found 'resnet34'"):
        open_trace("resnet34", values=["sr=1"])
    with pytest.raises(SystemExit) as ended:
        cli.main(["capture", "resnet34", "--value", "sr=1", "-o", str(tmp_path / "t.json")])
    assert ended.value.code == 2 and "--value: expected an ONNX model" in capsys.readouterr().err


def test_a_number_fills_an_input_at_every_batch(opened: Read) -> None:
    nodes = [node("ReduceMax", "lengths", "most", keepdims=0), node("Greater", "most four", "long"), node("MatMul", "x w", "h")]
    arms = {
        "then_branch": body([node("MatMul", "h v", "t")], [], ["t"]),
        "else_branch": body([node("Relu", "h", "e")], [], ["e"]),
    }
    tensors = (weight("w", 8, 4), weight("v", 4, 4), number("four", 4))
    trace = opened([*nodes, node("If", "long", **arms)], {"x": (2, 8), "lengths": (2,)}, *tensors,
                   kinds={"lengths": INT64}, values=["lengths=3,5"])  # fmt: skip
    assert [row[1] for row in gemms(trace)] == [2, 2] and trace.rescalable


def test_the_command_line_takes_values(tmp_path: Path) -> None:
    arms = {
        "then_branch": body([node("MatMul", "x a", "t")], [], ["t"], weight("a", 8, 4)),
        "else_branch": body([node("MatMul", "x b", "e")], [], ["e"], weight("b", 8, 6)),
    }
    onnx.save(model([node("If", "wide", **arms)], {"x": (5, 8), "wide": ()}, kinds={"wide": BOOL}), tmp_path / "net.onnx")
    for value, macs in (("wide=true", 160), ("wide=false", 240)):
        with pytest.raises(SystemExit) as ended:
            cli.main(["capture", str(tmp_path / "net.onnx"), "--value", value, "-o", str(tmp_path / "t.json")])
        assert not ended.value.code and load_trace(tmp_path / "t.json").macs == macs


# --- Loop


def test_a_constant_trip_count_is_a_count(opened: Read) -> None:
    turn = body([node("MatMul", "h w", "next"), node("Identity", "go", "on")], LOOP, ["on", "next"])
    trace = opened([node("Loop", "n true x", body=turn)], {"x": (5, 8)}, weight("w", 8, 8), number("n", 12), TRUE)
    assert counts(trace) == [("matmul", 12)] and trace.macs == 12 * 5 * 8 * 8
    assert trace.weight_elements == 64 and trace.rescalable and trace.source.unhandled == ()


def test_a_trip_count_that_shapes_decide_does_not_rescale(opened: Read) -> None:
    turn = body([node("MatMul", "h w", "next"), node("Identity", "go", "on")], LOOP, ["on", "next"])
    nodes = [node("Shape", "x", "sizes", start=0, end=1), node("Squeeze", "sizes", "n"), node("Loop", "n true x", body=turn)]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 8), TRUE)
    assert counts(trace) == [("matmul", 5)] and not trace.rescalable


def test_a_condition_ends_a_loop(opened: Read) -> None:
    turn = [node("MatMul", "h w", "next"), node("Add", "j one", "k"), node("Less", "k end", "on")]
    made = body(turn, [*LOOP, ("j", INT64, ())], ["on", "next", "k"])
    trace = opened([node("Loop", "- true x zero", "y last", body=made)], {"x": (5, 8)}, weight("w", 8, 8), number("one", 1),
                   number("end", 7), number("zero", 0), TRUE, outputs=["y"])  # fmt: skip
    assert counts(trace) == [("matmul", 7)]


@pytest.mark.parametrize(("go", "trips"), [(True, 0), (False, 3)])
def test_a_loop_that_does_not_run_costs_nothing(opened: Read, go: bool, trips: int) -> None:
    turn = body([node("MatMul", "h w", "next"), node("Identity", "go", "on")], LOOP, ["on", "next"])
    nodes = [node("Loop", "n start x", "y", body=turn), node("MatMul", "y w", "z", name="after")]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 8), number("n", trips), number("start", go, BOOL))
    assert counts(trace) == [("after", 1)]


def test_turns_that_grow_are_counted_each(opened: Read) -> None:
    turn = [node("Concat", "h x", "next", axis=0), node("MatMul", "next w", "out"), node("Identity", "go", "on")]
    made = body(turn, LOOP, ["on", "next", "out"])
    trace = opened([node("Loop", "n true x", "y -", body=made)], {"x": (5, 8)}, weight("w", 8, 4), number("n", 3), TRUE)
    assert trace.macs == sum(8 * 4 * 5 * rows for rows in (2, 3, 4))


def test_each_turn_takes_its_weight_from_a_stack(opened: Read) -> None:
    turn = [node("Gather", "stack i", "w"), node("MatMul", "h w", "next"), node("Identity", "go", "on")]
    made = body(turn, LOOP, ["on", "next"])
    trace = opened([node("Loop", "n true x", body=made)], {"x": (5, 8)}, weight("stack", 3, 8, 8), number("n", 3), TRUE)
    assert [row[:5] for row in gemms(trace)] == [(8, 5, 8, 1, True)] * 3 and trace.weight_elements == 3 * 64


def test_weights_that_a_loop_hands_on_unchanged_stay_weights(opened: Read) -> None:
    turn = [node("MatMul", "h v", "next"), node("Identity", "v", "same"), node("Identity", "go", "on")]
    made = body(turn, [*LOOP, ("v", FLOAT, None)], ["on", "next", "same"])
    trace = opened([node("Loop", "n true x w", "y -", body=made)], {"x": (5, 8)}, weight("w", 8, 8), number("n", 4), TRUE)
    assert gemms(trace) == [(8, 5, 8, 1, True, "n")] and counts(trace) == [("matmul", 4)]


def test_loops_within_loops_multiply(opened: Read) -> None:
    inner = body([node("MatMul", "g w", "last"), node("Identity", "ing", "ion")],
                 [("ii", INT64, ()), ("ing", BOOL, ()), ("g", FLOAT, None)], ["ion", "last"])  # fmt: skip
    turn = body([node("Loop", "m true h", "next", body=inner), node("Identity", "go", "on")], LOOP, ["on", "next"])
    trace = opened([node("Loop", "n true x", body=turn)], {"x": (5, 8)}, weight("w", 8, 8), number("n", 3), number("m", 4), TRUE)
    assert counts(trace) == [("matmul", 12)]


def test_what_a_loop_collects_is_read_on(opened: Read) -> None:
    turn = body([node("MatMul", "h w", "next"), node("Identity", "go", "on")], LOOP, ["on", "next", "next"])
    nodes = [node("Loop", "n true x", "last all", body=turn), node("MatMul", "all v", "z", name="after")]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 8), weight("v", 8, 4), number("n", 6), TRUE)
    assert gemms(trace)[1][:3] == (4, 30, 8) and trace.ops[-1].inputs == ("matmul",)


def test_a_trip_count_that_data_decides_is_told(opened: Read) -> None:
    turn = body([node("MatMul", "h w", "next"), node("Identity", "go", "on")], LOOP, ["on", "next"])
    nodes = [node("MatMul", "x w", "first", name="before"), node("Loop", "n true first", "y", body=turn)]
    inputs = {"x": (5, 8), "n": ()}
    trace = opened(nodes, inputs, weight("w", 8, 8), TRUE, kinds={"n": INT64})
    assert counts(trace) == [("before", 1)] and trace.source.unhandled == (
        "loop: Loop of MatMul (how often it runs depends on data)",
    )
    assert counts(opened(nodes, inputs, weight("w", 8, 8), TRUE, kinds={"n": INT64}, values=["n=9"])) == [
        ("before", 1),
        ("matmul", 9),
    ]


def test_too_many_turns_that_differ_are_told(opened: Read) -> None:
    turn = [node("Concat", "h x", "next", axis=0), node("MatMul", "next w", "out"), node("Identity", "go", "on")]
    made = body(turn, LOOP, ["on", "next", "out"])
    nodes = [node("MatMul", "x w", "y", name="before"), node("Loop", "n true x", "- out", body=made)]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 4), number("n", 2000), TRUE, outputs=["y", "out"])
    assert trace.source.unhandled == ("loop: Loop of MatMul (2,000 turns that differ)",)


def test_long_loops_are_walked_twice_at_most(opened: Read) -> None:
    turn = body([node("MatMul", "h w", "next"), node("Identity", "go", "on")], LOOP, ["on", "next"])
    trace = opened([node("Loop", "n true x", body=turn)], {"x": (5, 8)}, weight("w", 8, 8), number("n", 10**6), TRUE)
    assert counts(trace) == [("matmul", 10**6)]


# --- Scan and SequenceMap


def scanned(*tensors: Any) -> Any:
    turn = [node("MatMul", "s u", "a"), node("MatMul", "step w", "b", name="read"), node("Add", "a b", "next")]
    return body(turn, [("s", FLOAT, None), ("step", FLOAT, None)], ["next", "next"], *tensors)


def test_a_scan_goes_along_an_axis(opened: Read) -> None:
    scan = node("Scan", "s0 x", "last all", body=scanned(), num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1])
    nodes = [scan, node("MatMul", "all v", "z", name="after")]
    tensors = (weight("u", 6, 6), weight("w", 8, 6), weight("v", 6, 2))
    trace = opened(nodes, {"s0": (5, 6), "x": (5, 7, 8)}, *tensors)
    assert counts(trace) == [("matmul", 7), ("read", 7), ("after", 1)]
    assert [row[:3] for row in gemms(trace)] == [(6, 5, 6), (6, 5, 8), (2, 35, 6)] and trace.rescalable


def test_a_scan_over_weights_has_a_weight_for_each_turn(opened: Read) -> None:
    turn = body([node("MatMul", "s w", "next")], [("s", FLOAT, None), ("w", FLOAT, None)], ["next"])
    scan = node("Scan", "x stack", body=turn, num_scan_inputs=1)
    trace = opened([scan], {"x": (5, 8)}, weight("stack", 4, 8, 8))
    assert [row[:5] for row in gemms(trace)] == [(8, 5, 8, 1, True)] * 4 and trace.weight_elements == 4 * 64


def test_a_map_walks_every_item(opened: Read) -> None:
    each = body([node("MatMul", "item w", "out")], [("item", FLOAT, None)], ["out"])
    nodes = [
        node("SplitToSequence", "x", "s", axis=0),
        node("SequenceMap", "s", "m", body=each),
        node("ConcatFromSequence", "m", axis=0),
    ]
    trace = opened(nodes, {"x": (3, 5, 8)}, weight("w", 8, 4))
    assert counts(trace) == [("matmul", 3)] and trace.macs == 3 * 5 * 8 * 4


def test_sizes_of_a_step_after_a_loop_are_known(opened: Read) -> None:
    turn = body([node("Add", "h i", "next"), node("Identity", "go", "on")], [*LOOP[:2], ("h", INT64, ())], ["on", "next"])
    nodes = [node("Loop", "n true zero", "sum", body=turn), node("Reshape", "sum one", "rows"),
             node("Concat", "rows rest", "shape", axis=0), node("Reshape", "x shape", "z"), node("MatMul", "z w")]  # fmt: skip
    trace = opened(
        nodes,
        {"x": (6, 8)},
        weight("w", 4, 2),
        constant("one", [1]),
        constant("rest", [2, 4]),
        number("n", 4),
        number("zero", 0),
        TRUE,
    )
    assert trace.macs == 6 * 8 * 2


# --- files that are not meant to be read so


def test_a_loop_without_an_end_is_told(opened: Read) -> None:
    turn = body([node("MatMul", "h w", "next"), node("Identity", "go", "on")], LOOP, ["on", "next"])
    nodes = [node("MatMul", "x w", "y", name="before"), node("Loop", "- true x", "z", body=turn)]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 8), TRUE, outputs=["y", "z"])
    assert counts(trace) == [("before", 1)] and trace.source.unhandled == (
        "loop: Loop of MatMul (how often it runs depends on data)",
    )


def test_more_turns_than_a_trace_counts_are_told(opened: Read) -> None:
    turn = body([node("MatMul", "h w", "next"), node("Identity", "go", "on")], LOOP, ["on", "next"])
    nodes = [node("MatMul", "x w", "y", name="before"), node("Loop", "n true x", "z", body=turn)]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 8), number("n", 2**40), TRUE, outputs=["y", "z"])
    assert counts(trace) == [("before", 1)] and trace.source.unhandled == ("loop: Loop of MatMul (1,099,511,627,776 turns)",)


def test_loops_of_loops_that_grow_end(opened: Read) -> None:
    grown = [node("Concat", "h x", "next", axis=0), node("MatMul", "next w", "out"), node("Identity", "go", "on")]
    inner = body(grown, LOOP, ["on", "next"])
    for _ in range(2):
        inner = body([node("Loop", "n true h", "next", body=inner), node("Identity", "go", "on")], LOOP, ["on", "next"])
    nodes = [node("MatMul", "x w", "y", name="before"), node("Loop", "n true x", "z", body=inner)]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 4), number("n", 500), TRUE, outputs=["y", "z"])
    assert counts(trace) == [("before", 1)] and "more than 6,000 turns to look at" in trace.source.unhandled[0]


BROKEN = {
    "no body": node("Loop", "n true x", "z"),
    "a body of other inputs": node("Loop", "n true x", "z", body=body([node("Relu", "h", "on")], [("h", FLOAT, None)], ["on"])),
    "a Scan with an axis too many": node(
        "Scan", "x x", "z", num_scan_inputs=1, scan_input_axes=[1, 0],
        body=body([node("Relu", "h", "next")], [("h", FLOAT, None), ("s", FLOAT, None)], ["next"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_body_costs_its_node(opened: Read, broken: Any) -> None:
    nodes = [node("MatMul", "x w", "y", name="before"), broken]
    trace = opened(nodes, {"x": (5, 8)}, weight("w", 8, 8), number("n", 3), TRUE, outputs=["y", "z"])
    assert (
        counts(trace) == [("before", 1)]
        and "its inputs and attributes are not those of the operator" in trace.source.unhandled[0]
    )
