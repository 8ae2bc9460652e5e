"""Does a network fit the memory? Every matrix here has 64 x 64 fp16 elements, 8 KiB, so that bytes add up by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

import stcsim
from stcsim.isa import DType, dtype
from stcsim.replay.footprint import cache_bytes, footprint, peak_activation_bytes
from stcsim.replay.schedule import schedule
from stcsim.report.trust import fit_text
from stcsim.result import Footprint, LayerRow, RunResult
from stcsim.trace import Gemm, Memory, Op, Trace
from tests.unit.runs import layer
from tests.unit.small_networks import ELEMENTS, network, residual_block, square, step

MATRIX = 2 * ELEMENTS
MIB = 1 << 20
GIB = 1 << 30


def fp16(_: Op) -> DType:
    return dtype("fp16")


def alive(trace: Trace, fusion: str = "epilogue") -> int:
    """Return the bytes of activations that are alive at the worst moment."""
    return peak_activation_bytes(schedule(trace, fusion), fp16)


def cached(trace: Trace) -> int:
    return cache_bytes(schedule(trace), fp16)


def test_in_a_chain_two_activations_are_alive() -> None:
    assert alive(network(square("a"))) == MATRIX
    assert alive(network(square("a"), square("b", "a"), square("c", "b"))) == 2 * MATRIX


def test_what_is_read_later_lives_until_then() -> None:
    # c reads a: a, b and c are there at once; d finds c alone
    trace = network(square("a"), square("b", "a"), square("c", "a", "b"), square("d", "c"))
    assert alive(trace) == 3 * MATRIX


def test_what_was_read_last_makes_room() -> None:
    # a, b and c at the third layer; a is gone when d is made of b and c
    trace = network(square("a"), square("b", "a"), square("c", "a"), square("d", "b", "c"))
    assert alive(trace) == 3 * MATRIX
    # with another reader of a at the end, it stays
    assert alive(network(*trace.ops, square("e", "a", "d"))) == 4 * MATRIX


def test_an_output_that_nobody_reads_takes_memory_while_it_is_made() -> None:
    # b beside a, which c reads; then b is gone
    trace = network(square("a"), square("b", "a"), square("c", "a"), square("d", "c"))
    assert alive(trace) == 2 * MATRIX


def test_the_worst_moment_may_be_in_the_middle() -> None:
    large = square("b", "a").changed(m=640)  # ten matrices
    assert alive(network(square("a"), large, square("c", "b"), square("d", "c"))) == 11 * MATRIX


def test_without_edges_each_operation_reads_what_the_one_before_wrote() -> None:
    assert alive(network(square("a"), square("b"), square("c"))) == 2 * MATRIX
    assert alive(network(square("a").changed(m=640), square("b"), square("c").changed(m=640))) == 11 * MATRIX


def test_what_a_kernel_makes_and_uses_itself_takes_no_memory() -> None:
    # a's product is read by its own relu alone
    trace = network(square("a"), step("relu", "relu", "a", into="a"), square("b", "relu"))
    assert alive(trace) == 2 * MATRIX
    # alone the relu is a kernel: a and relu, then relu and b
    assert alive(trace, "none") == 2 * MATRIX
    wide = network(square("a"), step("wide", "cat", "a", into="a", written=3 * ELEMENTS), square("b", "wide"))
    assert (alive(wide), alive(wide, "none")) == (4 * MATRIX, 4 * MATRIX)
    narrow = network(square("a").changed(m=640), step("pool", "max_pool", "a", into="a"), square("b", "pool"))
    assert (alive(narrow), alive(narrow, "none")) == (2 * MATRIX, 11 * MATRIX)


def test_a_product_that_others_read_too_is_kept_beside_what_rides_on_it() -> None:
    trace = network(square("a"), step("relu", "relu", "a", into="a"), square("b", "a", "relu"))
    assert alive(trace) == 3 * MATRIX


def test_a_residual_lives_over_the_branch_beside_it() -> None:
    # `second` waits for `shortcut`, which reads `stem` last: stem, first.relu and shortcut; then these two and their sum
    assert alive(residual_block()) == 3 * MATRIX


def test_launches_that_repeat_write_one_output() -> None:
    assert alive(network(square("a").changed(count=5), square("b", "a"))) == 2 * MATRIX


def test_bytes_follow_the_type_each_operation_writes() -> None:
    trace = network(square("a"), square("b", "a"))
    steps = schedule(trace)
    assert peak_activation_bytes(steps, lambda op: dtype("tf32")) == 2 * 2 * MATRIX  # four bytes an element
    mixed = {"a": dtype("tf32"), "b": dtype("fp16")}
    assert peak_activation_bytes(steps, lambda op: mixed[op.name]) == 3 * MATRIX
    # fp8 networks keep activations in bf16 between layers
    assert peak_activation_bytes(steps, lambda op: dtype("fp8")) == 2 * MATRIX


def test_a_network_of_nothing_needs_nothing() -> None:
    assert peak_activation_bytes((), fp16) == cache_bytes((), fp16) == 0


def attention(softmax_into: str = "qk") -> Trace:
    """Return q, k and their product, 16 matrices large, with its softmax, and the product with k once more."""
    return network(
        square("q"),
        square("k"),
        square("qk", "q", "k", weight=False).changed(batch=16),
        step("softmax", "softmax", "qk", into=softmax_into, read=16 * ELEMENTS, written=16 * ELEMENTS),
        square("pv", "softmax", "k", weight=False).changed(batch=16),
    )


def test_scores_of_fused_attention_take_no_memory() -> None:
    # q and k until qk, then k and the 16 matrices of pv
    assert alive(attention()) == 17 * MATRIX


def test_scores_that_are_written_take_memory() -> None:
    # k beside the scores and what softmax makes of them
    assert alive(attention(""), "none") == 33 * MATRIX


def decoder(count: int = 1) -> Trace:
    """Return attention of one new token over a cache of 64: keys and values are appended, then read."""
    return network(
        square("q"),
        square("k"),
        step("keys", "cache_update", "k", written=64).changed(count=count),
        square("v"),
        step("values", "cache_update", "v", written=64).changed(count=count),
        Gemm(name="qk", m=1, n=64, k=64, weight_operand=None, inputs=("q", "keys")),
        step("softmax", "softmax", "qk", into="qk", read=64, written=64),
        Gemm(name="pv", m=1, n=64, k=64, weight_operand=None, inputs=("softmax", "values")),
    )


def test_a_cache_is_as_large_as_the_operand_that_is_read_of_it() -> None:
    # one row of 64 is appended, 64 rows are read: a matrix of keys, one of values
    assert cached(decoder()) == 2 * MATRIX


def test_a_cache_without_a_reader_holds_what_is_written() -> None:
    trace = network(square("k"), step("keys", "cache_update", "k", written=64))
    assert cached(trace) == 2 * 64


def test_each_launch_of_an_update_has_a_cache_of_its_own() -> None:
    assert cached(decoder(count=3)) == 3 * 2 * MATRIX


def test_a_cache_has_as_many_matrices_as_products_read_it_at_once() -> None:
    heads = [op.changed(batch=8) if isinstance(op, Gemm) and not op.weight_elements else op for op in decoder().ops]
    assert cached(network(*heads)) == 2 * 8 * MATRIX


def test_caches_are_no_activations() -> None:
    # q waits for qk, k goes into the keys, v into the values: never more than q and one of them
    assert alive(decoder()) == 2 * MATRIX
    assert cached(residual_block()) == 0


def test_a_cache_that_is_kept_in_another_type_has_its_bytes() -> None:
    def type_of(op: Op) -> DType:
        return dtype("tf32" if isinstance(op, Memory) else "fp16")

    assert cache_bytes(schedule(decoder()), type_of) == 2 * 2 * MATRIX


LAYERS = (
    layer("pays", (64, 64, 64), 10.0, 6.0),  # 2:4 in best of both
    layer("does not", (64, 64, 64), 10.0, 12.0),  # may be pruned, is not
    layer("may not", (64, 64, 64), 10.0, None),
)


def footprint_of(rows: tuple[LayerRow, ...], capacity_bytes: int = GIB) -> Footprint:
    return footprint(rows, schedule(decoder()), fp16, capacity_bytes)


def test_weights_are_those_of_each_side() -> None:
    # 2:4 takes 9/16 of fp16: half the values, and 2 bits for each that is kept
    need, pruned = footprint_of(LAYERS), MATRIX * 9 // 16
    assert need.dense_weight_bytes == 3 * MATRIX
    assert need.sparse_weight_bytes == 2 * pruned + MATRIX
    assert need.best_weight_bytes == pruned + 2 * MATRIX


def test_shared_weights_count_once() -> None:
    shared = replace(LAYERS[0], name="again", weight_of="pays")
    assert footprint_of((*LAYERS, shared)) == footprint_of(LAYERS)


def test_a_footprint_has_activations_caches_and_capacity() -> None:
    need = footprint_of(LAYERS)
    assert (need.activation_bytes, need.cache_bytes, need.capacity_bytes) == (2 * MATRIX, 2 * MATRIX, GIB)


def test_a_network_fits_if_all_of_it_does() -> None:
    need = Footprint(100, 60, 70, activation_bytes=20, cache_bytes=5, capacity_bytes=125)
    assert need.total(100) == 125 and need.fits(100) and not need.fits(101)
    assert need.total(0) == 25 and need.fits(60)


WEIGHTS = 2 * 64 * MIB
"""Of two layers of 8192 x 4096 in fp16; pruned 72 MiB."""


def two_layers(capacity_mib: float) -> RunResult:
    """Return a run of two layers with 16 tokens on a GPU of so much memory."""
    trace = network(Gemm(name="up", m=8192, n=16, k=4096), Gemm(name="down", m=4096, n=16, k=8192, inputs=("up",)))
    return stcsim.run(trace, stcsim.load_arch("a100", [f"dram.capacity_gib={capacity_mib / 1024}"]))


@pytest.fixture(scope="module")
def roomy() -> RunResult:
    return two_layers(1024)


def test_a_run_has_the_footprint_of_its_network(roomy: RunResult) -> None:
    activations = 2 * 16 * (8192 + 4096)
    assert roomy.footprint == Footprint(WEIGHTS, WEIGHTS * 9 // 16, WEIGHTS * 9 // 16, activations, 0, GIB)


def test_a_gemm_by_itself_has_no_footprint() -> None:
    assert stcsim.gemm(256, 64, 256, stcsim.load_arch("a100")).footprint is None


def test_the_words_of_a_network_that_fits(roomy: RunResult) -> None:
    said = fit_text(roomy)
    assert said.plain == "weights 128 → 72.0 MiB, activations 384 KiB; fits 1 GiB"
    assert not said.spans and not said.style


def test_a_network_that_fits_in_2_4_alone_is_said_aloud() -> None:
    # 128.4 MiB dense, 72.4 MiB pruned, on 100 MiB
    said = fit_text(two_layers(100))
    assert "FITS 0 GiB ONLY IN 2:4 (as best of both; dense needs 0.1 GiB)" in said.plain
    assert "bold red" in {str(span.style) for span in said.spans}


def test_a_network_that_fits_with_all_of_it_pruned_says_so(roomy: RunResult) -> None:
    # as if best of both were dense, which it is where 2:4 takes longer
    assert roomy.footprint is not None
    need = replace(roomy.footprint, best_weight_bytes=WEIGHTS, capacity_bytes=100 * MIB)
    assert "ONLY IN 2:4 (with all of it pruned; dense needs" in fit_text(replace(roomy, footprint=need)).plain


def test_a_network_that_does_not_fit_at_all_says_so() -> None:
    said = fit_text(two_layers(60)).plain
    assert said.endswith("DOES NOT FIT 0 GiB, not even in 2:4 (0.1 GiB): times are those of a GPU that held it")


def test_the_cache_is_named_where_there_is_one(roomy: RunResult) -> None:
    assert roomy.footprint is not None
    need = replace(roomy.footprint, cache_bytes=3 * GIB, capacity_bytes=4 * GIB)
    said = fit_text(replace(roomy, footprint=need)).plain
    assert said == "weights 128 → 72.0 MiB, activations 384 KiB, KV cache 3.00 GiB; fits 4 GiB"
