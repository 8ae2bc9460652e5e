"""What does a kernel find in L2? Every matrix here has 64 x 64 fp16 elements, 8 KiB, so that bytes add up by hand."""

from __future__ import annotations

import pytest

from stcsim.isa import dtype
from stcsim.replay.residency import Placed, Residency
from stcsim.replay.schedule import has_edges, schedule
from stcsim.timing.board.memory_op import Traffic
from stcsim.trace import Trace
from tests.unit.small_networks import ELEMENTS, network, residual_block, square, step

KIB = 1024
MATRIX = 8 * KIB
LAYER = 3 * MATRIX  # weight, activation in, activation out


def found(trace: Trace, capacity_bytes: int, fusion: str = "epilogue") -> dict[str, Placed]:
    steps = schedule(trace, fusion)
    placed = Residency(steps, lambda op: dtype("fp16"), has_edges(trace), capacity_bytes).placed()
    return {step.op.name: each for step, each in zip(steps, placed, strict=True)}


def in_l2(placed: Placed) -> tuple[bool, bool]:
    """Return whether A and B are."""
    assert placed.problem is not None
    return placed.problem.weights_in_l2, placed.problem.activations_in_l2


def test_an_activation_is_there_if_everything_since_and_the_reader_fit_beside_it() -> None:
    trace = network(square("a"), square("b", "a"), square("c", "a"))
    # b: its input, weight and output. c: these, and the three matrices of b
    assert in_l2(found(trace, LAYER)["b"]) == in_l2(found(trace, 2 * LAYER)["c"]) == (False, True)
    assert in_l2(found(trace, 2 * LAYER - 1)["c"]) == (False, False)


def test_what_cannot_fit_is_one_problem_whatever_was_there_before() -> None:
    trace = network(square("a"), square("b", "a"), square("c", "a"))
    problems = {found(trace, 2 * MATRIX)[name].problem for name in "abc"}
    assert len(problems) == 1  # so it is timed once; an operand that does not fit is cold


def test_weights_and_the_networks_input_stay_only_if_the_whole_network_does() -> None:
    trace = network(square("a"), square("b", "a"))
    assert in_l2(found(trace, 2 * LAYER)["a"]) == in_l2(found(trace, 2 * LAYER)["b"]) == (True, True)
    assert in_l2(found(trace, 2 * LAYER - 1)["a"]) == (False, False)
    assert in_l2(found(trace, 2 * LAYER - 1)["b"]) == (False, True)


def test_launches_that_repeat_count_each() -> None:
    trace = network(square("a"), square("b").changed(count=3), square("c", "a"))
    assert in_l2(found(trace, 4 * LAYER)["c"])[1] and not in_l2(found(trace, 4 * LAYER - 1)["c"])[1]


def test_one_operation_alone_has_its_data_where_a_single_gemm_has_it() -> None:
    assert in_l2(found(network(square("a")), 100 * LAYER)["a"]) == (False, True)


def test_without_edges_an_operation_reads_what_the_one_before_wrote() -> None:
    trace = network(square("a"), square("b"), square("scores", weight=False))
    assert in_l2(found(trace, LAYER)["b"]) == (False, True)
    assert in_l2(found(trace, LAYER)["scores"]) == (True, True)


@pytest.mark.parametrize(
    ("inputs", "expected"), [(("q", "k"), (False, True)), (("k", "q"), (True, False)), (("k",), (False, True))]
)
def test_both_operands_of_a_product_of_activations_are_looked_for(inputs: tuple[str, ...], expected: tuple[bool, bool]) -> None:
    trace = network(square("x"), square("q", "x"), square("v", "x"), square("k", "x"), square("scores", *inputs, weight=False))
    assert in_l2(found(trace, LAYER + MATRIX)["scores"]) == expected  # k was made just before, q two layers earlier


def test_a_shared_weight_may_still_be_there() -> None:
    trace = network(square("a"), square("b", "a", weight_of="a"), square("c", "b"), square("d", "c", weight_of="a"))
    assert in_l2(found(trace, LAYER)["b"])[0]
    assert in_l2(found(trace, 2 * LAYER)["d"])[0] and not in_l2(found(trace, 2 * LAYER - 1)["d"])[0]


def test_a_residual_is_read_beside_the_kernel_it_fuses_into() -> None:
    # `second` moves weight, input, output and the residual; `shortcut`, which made it, ran just before
    needed = LAYER + MATRIX
    assert found(residual_block(), needed)["second"].beside == Traffic(read=MATRIX)
    assert found(residual_block(), needed - 1)["second"].beside == Traffic(read=MATRIX, dram_read=MATRIX)


def test_a_batch_norm_folds_into_weights_but_not_alone() -> None:
    assert found(residual_block(), LAYER)["first"].beside == Traffic()
    alone = found(residual_block(), LAYER, "none")["first.norm"].beside
    assert alone == Traffic(read=MATRIX + 512, written=MATRIX, dram_read=512)  # 256 constants come from DRAM


def test_a_chain_of_memory_operations_moves_bytes_in_and_out_once() -> None:
    quarter = MATRIX // 4
    assert found(residual_block(), LAYER)["pool"].beside == Traffic(read=MATRIX, written=quarter)
    assert found(residual_block(), LAYER, "none")["scale"].beside == Traffic(read=quarter, written=quarter)


def test_a_memory_operation_writes_to_dram_what_does_not_fit() -> None:
    trace = network(square("a"), step("gelu", "gelu", "a"))
    assert found(trace, 2 * MATRIX)["gelu"].beside == Traffic(MATRIX, MATRIX)
    assert found(trace, 2 * MATRIX - 1)["gelu"].beside == Traffic(MATRIX, MATRIX, dram_read=MATRIX, dram_written=MATRIX)


def test_what_no_input_accounts_for_is_the_networks_own() -> None:
    trace = network(square("a"), step("cat", "cat", "a", read=4 * ELEMENTS, written=4 * ELEMENTS))
    moved = found(trace, 8 * MATRIX)["cat"].beside
    assert moved == Traffic(4 * MATRIX, 4 * MATRIX, dram_read=3 * MATRIX)  # a cache of earlier tokens, say


def test_a_slice_counts_for_the_part_that_is_read() -> None:
    trace = network(square("a"), step("silu", "silu", "a", read=ELEMENTS // 2, written=ELEMENTS // 2))
    assert found(trace, 2 * MATRIX)["silu"].beside == Traffic(MATRIX // 2, MATRIX // 2)


def test_fp8_networks_keep_activations_in_bf16_between_layers() -> None:
    trace = network(square("a"), step("gelu", "gelu", "a"))
    (_, gelu) = Residency(schedule(trace), lambda op: dtype("fp8"), True, 10**6).placed()
    assert gelu.beside == Traffic(MATRIX, MATRIX)


def attention(softmax_into: str = "qk", *more: object) -> Trace:
    return network(
        square("q"),
        square("k"),
        square("qk", "q", "k", weight=False),
        step("softmax", "softmax", "qk", into=softmax_into),
        square("pv", "softmax", "q", weight=False),
        *more,  # type: ignore[arg-type]
    )


def test_scores_of_fused_attention_stay_on_the_sm() -> None:
    placed = found(attention(), 20 * MATRIX)
    qk, pv = placed["qk"].problem, placed["pv"].problem
    assert qk and pv
    assert (qk.d_on_chip, pv.a_on_chip, qk.a_on_chip, pv.d_on_chip) == (True, True, False, False)
    assert qk.d_bytes == 0 and pv.a_bytes(False) == 0 and pv.b_bytes == MATRIX
    # pv finds q in L2: q's own bytes, k's three matrices, those of qk (two) and its own (two) are all that moves
    assert in_l2(found(attention(), LAYER + 5 * MATRIX)["pv"])[1]


@pytest.mark.parametrize("trace", [attention("", square("last")), attention("qk", square("reader", "softmax"))])
def test_scores_that_others_read_or_that_are_not_fused_are_written(trace: Trace) -> None:
    problem = found(trace, 20 * MATRIX)["qk"].problem
    assert problem is not None and not problem.d_on_chip and problem.d_bytes == MATRIX
    assert not any(each.problem.d_on_chip for each in found(trace, 20 * MATRIX, "none").values() if each.problem)
