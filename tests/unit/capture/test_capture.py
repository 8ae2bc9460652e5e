"""Does capture see every product a module runs, the right way round, and say what it could not read?

What it makes of the steps between the products is in ``test_capture_steps.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stcsim.capture import capture
from stcsim.errors import TraceError
from stcsim.trace import Conv2d, Gemm, Memory, Trace, load_trace

REASON = "the model code is not installed (pip install stcsim[torch])"
torch = pytest.importorskip("torch", reason=REASON)
pytest.importorskip("transformers", reason=REASON)
nn, functional = torch.nn, torch.nn.functional

from tests.unit.modules import Runs  # noqa: E402

Row = tuple[int, int, int, int, str | None, str | None]


def rows(trace: Trace) -> list[Row]:
    """Return (m, n, k, batch, weight, what grows) of the GEMMs of a trace, as often as they are launched."""
    gemms = [op for op in trace.ops if isinstance(op, Gemm) for _ in range(op.count)]
    return [(op.m, op.n, op.k, op.batch, op.weight_operand, op.scales_with_batch) for op in gemms]


def products(trace: Trace) -> list[Gemm | Conv2d]:
    return [op for op in trace.ops if not isinstance(op, Memory)]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trace]:
    """Return a function that captures a module made here."""

    def run(made: Any, *shape: int, batch: int = 1) -> Trace:
        monkeypatch.setattr(sys.modules[__name__], "made_here", lambda: made, raising=False)
        return capture(f"{__name__}:made_here", batch, shape)

    return run


def weight(*shape: int) -> Any:
    return nn.Parameter(torch.zeros(shape))


# --- other batches and inputs (tests/unit/test_networks.py captures every shipped trace again)


@pytest.mark.parametrize("name", ["resnet34", "bert-base", "llama-3-8b-decode"])
def test_rescaling_a_trace_equals_capturing_at_that_batch(name: str) -> None:
    rescaled, captured = load_trace(name).with_batch(4), capture(name, batch=4)
    assert captured == rescaled.changed(source=captured.source)


def test_another_input_shape() -> None:
    trace = capture("bert-base", batch=2, input_shape=(64,))
    assert (trace.batch, trace.input_shape, trace.title) == (2, {"tokens": 64}, "BERT-base encoder with pooler, 64 tokens")
    assert rows(trace)[0] == (768, 128, 768, 1, "a", "n")


# --- which operand is the weight, and what grows


def test_linear_layers_with_and_without_bias(seen: Callable[..., Trace]) -> None:
    trace = seen(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4, bias=False)), 5, 8, batch=3)
    assert rows(trace) == [(16, 15, 8, 1, "a", "n"), (4, 15, 16, 1, "a", "n")]
    assert [(op.name, op.origin) for op in products(trace)] == [("0", "Linear: aten.linear"), ("2", "Linear: aten.linear")]


def test_a_product_of_two_activations_has_no_weight(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda _, x: torch.bmm(x, x.transpose(1, 2))), 5, 8, batch=2)
    assert rows(trace) == [(5, 5, 8, 2, None, "batch")]


def test_einsum_with_the_weight_first(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda self, x: torch.einsum("oi,bin->bon", self.mix, x), mix=weight(20, 8)), 8, 10, batch=3)
    assert rows(trace) == [(20, 30, 8, 1, "a", "n")]


def test_experts_are_one_gemm_each_though_expanded_over_the_batch(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda self, x: x[:, None] @ self.experts, experts=weight(3, 8, 24)), 5, 8, batch=4)
    assert rows(trace) == [(24, 20, 8, 3, "a", "n")]
    assert trace.weight_elements == 3 * 8 * 24


def test_a_weight_expanded_by_hand_is_still_one_weight(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda self, x: torch.bmm(self.w.expand(x.shape[0], 6, 8), x), w=weight(6, 8)), 8, 5, batch=4)
    assert rows(trace) == [(6, 20, 8, 1, "a", "n")]


def test_a_masked_weight_is_a_weight(seen: Callable[..., Trace]) -> None:
    from torch.nn.utils import prune

    pruned = prune.random_unstructured(nn.Linear(8, 4), "weight", 0.5)
    assert rows(seen(pruned, 8)) == [(4, 1, 8, 1, "a", "n")]


def test_a_product_of_parameters_is_folded_and_is_a_weight(seen: Callable[..., Trace]) -> None:
    parts = {"queries": weight(5, 8), "project": nn.Linear(8, 8)}
    trace = seen(Runs(lambda self, x: self.project(self.queries) @ x.transpose(1, 2), **parts), 7, 8, batch=2)
    assert rows(trace) == [(5, 14, 8, 1, "a", "n")]
    assert trace.source.notes == "a product of parameters (320 MACs) is folded, made once when an engine is built"


def test_learned_queries_that_are_repeated_for_each_sample_are_not_folded(seen: Callable[..., Trace]) -> None:
    def forward(self: Any, x: Any) -> Any:
        return self.project(self.queries.repeat(x.shape[0], 1, 1)) @ x.transpose(1, 2)

    trace = seen(Runs(forward, queries=weight(5, 8), project=nn.Linear(8, 8)), 7, 8)
    assert rows(trace) == [(8, 5, 8, 1, "a", "n"), (5, 7, 8, 1, None, "batch")] and trace.rescalable


def test_results_that_nothing_reads_are_left_out_and_said(seen: Callable[..., Trace]) -> None:
    def forward(self: Any, x: Any) -> Any:
        self.unused(x).relu()
        return self.codes(self.layer(x).argmax(-1))

    parts = {"unused": nn.Linear(8, 16), "layer": nn.Linear(8, 4), "codes": nn.Embedding(4, 8)}
    trace = seen(Runs(forward, **parts), 8)
    assert [op.name for op in trace.ops] == ["layer", "codes"]
    assert trace.source.notes == "products whose results nothing reads are left out (128 MACs)"


def test_bilinear_layers_and_distances_are_products(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda self, x: self.both(x, x), both=nn.Bilinear(8, 8, 4)), 8, batch=3)
    assert rows(trace) == [(32, 3, 8, 1, "a", "n"), (4, 1, 8, 3, None, "batch")]
    codes = seen(Runs(lambda self, x: torch.cdist(self.layer(x), self.codes), layer=nn.Linear(8, 8), codes=weight(32, 8)), 5, 8)
    assert rows(codes) == [(8, 5, 8, 1, "a", "n"), (32, 5, 8, 1, "a", "n")] and not codes.source.unhandled


def test_rows_looked_up_in_a_table_are_no_weight(seen: Callable[..., Trace]) -> None:
    table = nn.Embedding(7, 8)
    trace = seen(Runs(lambda self, x: x @ self.table(torch.arange(5)).t(), table=table), 3, 8)
    assert rows(trace)[0][4] is None


def test_an_activation_written_into_zeros_is_no_weight(seen: Callable[..., Trace]) -> None:
    def forward(_: Any, x: Any) -> Any:
        cache = torch.zeros(x.shape[0], 9, 8)
        cache[:, :5] = x
        return x @ cache.transpose(1, 2)

    assert rows(seen(Runs(forward), 5, 8)) == [(5, 9, 8, 1, None, "batch")]


def test_fused_attention_is_two_products(seen: Callable[..., Trace]) -> None:
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    one = seen(Runs(lambda _, x: fused(x, x, x)), 2, 6, 16, batch=3)
    two = seen(Runs(lambda _, x: functional.scaled_dot_product_attention(x, x, x)), 2, 6, 16, batch=3)
    assert rows(one) == rows(two) == [(6, 6, 16, 6, None, "batch"), (6, 16, 6, 6, None, "batch")]


def test_inference_mode_hides_nothing(seen: Callable[..., Trace]) -> None:
    def forward(self: Any, x: Any) -> Any:
        with torch.inference_mode():
            return self.layer(x)

    assert rows(seen(Runs(forward, layer=nn.Linear(8, 4)), 5, 8)) == [(4, 5, 8, 1, "a", "n")]


def test_single_query_rows_of_heads_that_share_keys_are_stacked(seen: Callable[..., Trace]) -> None:
    def attend(_: Any, x: Any) -> Any:
        return functional.scaled_dot_product_attention(x[:, :, :1], x[:, :2], x[:, :2], enable_gqa=True)

    assert rows(seen(Runs(attend), 8, 6, 16, batch=3)) == [(4, 6, 16, 6, None, "batch"), (4, 16, 6, 6, None, "batch")]


def test_attention_by_hand_is_two_products_too(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda _, x: torch.softmax(x @ x.transpose(-1, -2) / 4, -1) @ x), 2, 6, 16, batch=3)
    assert rows(trace) == [(6, 6, 16, 6, None, "batch"), (6, 16, 6, 6, None, "batch")]


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_a_recurrent_layer_is_one_product_for_all_steps_and_one_for_each(
    seen: Callable[..., Trace], cell: Any, gates: int
) -> None:
    trace = seen(cell(6, 8, batch_first=True), 3, 6, batch=2)
    assert rows(trace) == [(8 * gates, 6, 6, 1, "a", "n"), *[(8 * gates, 2, 8, 1, "a", "n")] * 3]
    assert [op.count for op in trace.ops] == [1, 3, 3]
    steps = trace.ops[2]
    assert isinstance(steps, Memory) and steps.inputs == (trace.ops[1].name, trace.ops[0].name)
    assert trace.rescalable and not trace.source.unhandled


def test_layers_and_directions_of_an_lstm(seen: Callable[..., Trace]) -> None:
    trace = seen(nn.LSTM(6, 8, num_layers=2, bidirectional=True, proj_size=5), 3, 6, batch=2)  # three samples of a sequence of 2
    assert [(op.m, op.n, op.k, op.count) for op in trace.ops if isinstance(op, Gemm)] == [
        *[(32, 6, 6, 1), (32, 3, 5, 2), (5, 3, 8, 2)] * 2,
        *[(32, 6, 10, 1), (32, 3, 5, 2), (5, 3, 8, 2)] * 2,
    ]
    second = next(op for op in trace.ops if op.name == "l1_reverse.input")
    assert second.inputs == ("l0.projection", "l0_reverse.projection")
    read = seen(nn.Sequential(nn.LSTM(6, 8, bidirectional=True), Runs(lambda _, x: x[0].relu()), nn.Linear(16, 2)), 3, 6)
    assert read.ops[-2].inputs == ("0.l0.cell", "0.l0_reverse.cell")


def test_a_recurrent_cell_shows_its_products(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda self, x: self.cell(x)[0], cell=nn.LSTMCell(6, 8)), 6, batch=2)
    assert sorted(rows(trace)) == [(32, 2, 6, 1, "a", "n"), (32, 2, 8, 1, "a", "n")]


def test_experts_take_as_many_rows_each(seen: Callable[..., Trace]) -> None:
    def choose(self: Any, x: Any) -> Any:
        rows = x.repeat_interleave(2, 0)
        ends = x[0, :4].to(torch.int32)
        return torch._grouped_mm(rows, self.experts, offs=ends)

    assert rows(seen(Runs(choose, experts=weight(4, 8, 24)), 8, batch=6)) == [(24, 3, 8, 4, "a", "n")]
    few = seen(Runs(choose, experts=weight(4, 8, 24)), 8, batch=1)  # two rows keep two of four experts busy
    assert few.source.notes == ""
    assert (rows(few), few.rescalable, few.macs) == ([(24, 1, 8, 2, "a", "n")], True, 2 * 8 * 24)
    five = products(few.with_batch(5))[0]  # ten rows: two and a half for each of four, rounded up
    assert isinstance(five, Gemm)
    assert (five.n, five.batch, five.spread_rows, five.experts, five.macs) == (3, 4, 10, 4, 10 * 8 * 24)


def test_experts_whose_rows_are_constants_take_those(seen: Callable[..., Trace]) -> None:
    def choose(self: Any, x: Any) -> Any:
        return torch._grouped_mm(x[0], self.experts, offs=torch.tensor([1, 1, 6, 7], dtype=torch.int32))

    trace = seen(Runs(choose, experts=weight(4, 8, 24)), 7, 8)
    assert [row[:5] for row in rows(trace)] == [(24, 1, 8, 2, "a"), (24, 5, 8, 1, "a")]


def test_one_weight_of_two_layers_is_counted_once(seen: Callable[..., Trace]) -> None:
    shared = nn.Linear(8, 8)
    trace = seen(nn.Sequential(shared, nn.ReLU(), shared), 8)
    first, second = products(trace)
    assert (first.name, first.weight_of) == ("0", "") and second.weight_of == "0"
    assert trace.weight_elements == 64


def test_positions_that_are_multiplied_are_not_the_networks_work(seen: Callable[..., Trace]) -> None:
    def forward(self: Any, x: Any) -> Any:
        frequencies = torch.arange(8.0)[:, None] @ torch.arange(5.0)[None]
        return self.layer(x) * frequencies.sum()

    assert rows(seen(Runs(forward, layer=nn.Linear(8, 4)), 5, 8)) == [(4, 5, 8, 1, "a", "n")]


def test_a_module_says_how_many_launches_it_stands_for(seen: Callable[..., Trace]) -> None:
    step = nn.Linear(8, 8)
    step.launches = 50  # type: ignore[assignment, unused-ignore]
    assert [op.count for op in seen(nn.Sequential(step, nn.Linear(8, 4)), 8).ops] == [50, 1]


# --- convolutions


def test_grouped_strided_conv_keeps_its_geometry(seen: Callable[..., Trace]) -> None:
    trace = seen(nn.Conv2d(16, 32, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=4), 16, 10, 20, batch=2)
    kept = {
        "r": 3,
        "s": 5,
        "stride": (2, 1),
        "padding": (1, 2),
        "dilation": (1, 2),
        "groups": 4,
        "origin": "Conv2d: aten.convolution",
    }
    assert trace.ops == (Conv2d(name="conv", batch=2, c=16, h=10, w=20, k=32, **kept),)


def test_conv1d_is_one_row_high(seen: Callable[..., Trace]) -> None:
    (conv,) = seen(nn.Conv1d(8, 16, 3, stride=2, padding=1), 8, 10).ops
    assert isinstance(conv, Conv2d)
    assert (conv.h, conv.w, conv.r, conv.s, conv.stride, conv.padding, conv.p, conv.q) == (1, 10, 1, 3, (1, 2), (0, 1), 1, 5)


def test_filters_computed_from_the_input_are_no_weight(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda _, x: functional.conv2d(x, x.mean(0, keepdim=True).expand(4, 2, 3, 3)[..., :2, :2])), 2, 3, 3)
    assert rows(trace) == [(4, 4, 8, 1, None, "n")]


def test_transposed_convolutions_of_one_and_two_axes(seen: Callable[..., Trace]) -> None:
    up = nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=(1, 0), output_padding=1, groups=2, dilation=(2, 1))
    (conv,) = seen(up, 4, 5, 7, batch=2).ops
    assert isinstance(conv, Conv2d) and conv.transposed and (conv.c, conv.k, conv.r, conv.s) == (4, 6, 3, 2)
    assert (conv.p, conv.q) == tuple(up.to("meta")(torch.zeros(2, 4, 5, 7, device="meta")).shape[2:])
    (row,) = seen(nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1), 4, 9).ops
    assert isinstance(row, Conv2d) and (row.h, row.w, row.r, row.s, row.stride, row.p, row.q) == (1, 9, 1, 3, (1, 2), 1, 20)


def test_a_3d_convolution_is_its_implicit_gemm(seen: Callable[..., Trace]) -> None:
    trace = seen(nn.Conv3d(8, 12, (3, 3, 1), stride=(1, 2, 2), padding=(1, 1, 0), groups=2), 8, 4, 6, 6, batch=2)
    assert rows(trace) == [(6, 2 * 4 * 3 * 3, 4 * 9, 2, "a", "n")]
    up = seen(nn.ConvTranspose3d(8, 12, 4, stride=2, padding=1), 8, 4, 4, 4)
    assert rows(up) == [(12, 8**3, 8 * 64 // 8, 1, "a", "n")]


# --- what a capture cannot do


def test_products_that_are_not_read_are_listed(seen: Callable[..., Trace]) -> None:
    def forward(self: Any, x: Any) -> Any:
        torch.linalg.qr(x), torch.cdist(x, x, p=1.0)
        return self.layer(x)

    trace = seen(Runs(forward, layer=nn.Linear(8, 4)), 4, 8, 8)
    assert rows(trace) == [(4, 32, 8, 1, "a", "n")]
    assert {word.split(".")[1] for word in trace.source.unhandled} <= {"linalg_qr", "cdist", "_cdist_forward", "_euclidean_dist"}
    assert len(trace.source.unhandled) == 2


def test_shapes_that_do_not_follow_the_batch_fix_it(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda _, x: x @ x.t()), 8, batch=2)
    reason = "matmul (gemm) does not follow the batch: m is 2, at twice the batch 4, n is 2, at twice the batch 4"
    assert trace.rescalable is False and trace.source.fixed_batch == (reason,)
    with pytest.raises(TraceError) as refused:
        trace.with_batch(4)
    assert str(refused.value) == f"made_here: batch: expected 2 ({reason}), found 4"


def test_a_module_that_refuses_twice_the_batch_is_fixed_too(seen: Callable[..., Trace]) -> None:
    trace = seen(Runs(lambda self, x: self.layer(x.view(2, 8)), layer=nn.Linear(8, 4)), 8, batch=2)
    assert (rows(trace), trace.rescalable) == ([(4, 2, 8, 1, "a", None)], False)
    (reason,) = trace.source.fixed_batch
    assert reason.startswith("the network does not take twice the batch: ") and "aten.view" in reason


def test_token_ids_where_the_module_reads_tokens(seen: Callable[..., Trace]) -> None:
    assert rows(seen(nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 4)), 6)) == [(4, 6, 8, 1, "a", "n")]


def test_causal_transformers_run_without_values() -> None:
    trace = capture(f"{__name__}:gpt2", input_shape=(16,))
    assert len(products(trace)) == 2 * 6 + 1 and trace.name == "gpt2" and trace.source.library == __name__.partition(".")[0]


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_layer=2))


BAD = [
    ("import_me_not:Net", (3,), "expected an importable module 'import_me_not', found ModuleNotFoundError"),
    (f"{__name__}:gpt3", (16,), r"expected 'gpt3' in module '.*', found none \(did you mean 'gpt2'\?\)"),
    (f"{__name__}:REASON", (16,), "expected a callable that returns a torch.nn.Module, found str"),
    (f"{__name__}:rows_of_nothing", (16,), "expected a callable that returns a torch.nn.Module, found list"),
    (f"{__name__}:gpt2", None, "input: expected the shape of one sample without the batch, such as .*, found none"),
    ("torch.nn:ReLU", (8,), "expected at least one matrix product or convolution, found none"),
    ("torch.nn:Linear", (8,), "expected a network that can be built, found TypeError"),
    ("resnet34", (224, 224), r"input: expected 3 numbers \(channels, height, width\), found 224x224"),
    ("resnet34", (3, 0, 224), "input: expected a whole number above 0, found 0"),
]


def rows_of_nothing() -> list[Row]:
    return []


@pytest.mark.parametrize(("name", "shape", "sentence"), BAD, ids=[name for name, _, _ in BAD])
def test_a_capture_that_cannot_be_is_one_sentence(name: str, shape: tuple[int, ...] | None, sentence: str) -> None:
    with pytest.raises(TraceError, match=f"^capture {name}: {sentence}"):
        capture(name, input_shape=shape)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_that_cannot_be(batch: int) -> None:
    with pytest.raises(TraceError, match=f"capture resnet34: batch: expected a whole number above 0, found {batch}"):
        capture("resnet34", batch)


def test_a_factory_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net_in_this_folder.py").write_text("import torch\n\n\ndef make():\n    return torch.nn.Linear(8, 4)\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    trace = capture("net_in_this_folder:make", input_shape=(8,))
    sys.modules.pop("net_in_this_folder")
    assert rows(trace) == [(4, 1, 8, 1, "a", "n")]
    assert sys.path == before
