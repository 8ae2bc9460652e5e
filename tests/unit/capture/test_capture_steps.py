"""Does capture see the steps between the products: what they are, what they move, whose output they read?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stcsim.capture import capture
from stcsim.trace import Conv2d, Gemm, Memory
from tests.unit.made import captured, elements, steps

REASON = "the model code is not installed (pip install stcsim[torch])"
torch = pytest.importorskip("torch", reason=REASON)
pytest.importorskip("transformers", reason=REASON)
nn, functional = torch.nn, torch.nn.functional


class Runs(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """A layer, and what a function makes of its output."""

    def __init__(self, forward: Callable[..., Any], layer: Any = None, **parts: Any) -> None:
        super().__init__()
        self.function, self.layer = forward, layer or nn.Linear(8, 8, bias=False)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.function(self, self.layer(x))


# --- what a step is and moves

STEPS = [
    (nn.BatchNorm2d(8), (8, 6, 6), "batch_norm", (288, 288, 32)),
    (nn.LayerNorm(6), (8, 6, 6), "layer_norm", (288, 288, 12)),
    (nn.RMSNorm(6), (8, 6, 6), "rms_norm", (288, 288, 6)),
    (nn.GroupNorm(2, 8), (8, 6, 6), "group_norm", (288, 288, 16)),
    (nn.InstanceNorm2d(8), (8, 6, 6), "instance_norm", (288, 288, 0)),
    (nn.ReLU(), (8, 6, 6), "relu", (288, 288, 0)),
    (nn.ReLU(inplace=True), (8, 6, 6), "relu", (288, 288, 0)),
    (nn.ReLU6(), (8, 6, 6), "relu6", (288, 288, 0)),
    (nn.GELU("tanh"), (8, 6, 6), "gelu", (288, 288, 0)),
    (nn.PReLU(8), (8, 6, 6), "prelu", (288, 288, 8)),
    (nn.Softmax(-1), (8, 6, 6), "softmax", (288, 288, 0)),
    (nn.MaxPool2d(2, return_indices=False), (8, 6, 6), "max_pool", (288, 72, 0)),
    (nn.AvgPool2d(3), (8, 6, 6), "avg_pool", (288, 32, 0)),
    (nn.AdaptiveAvgPool2d(1), (8, 6, 6), "avg_pool", (288, 8, 0)),
    (nn.Upsample(scale_factor=2, mode="bilinear"), (8, 6, 6), "upsample", (288, 1152, 0)),
    (nn.ZeroPad2d(1), (8, 6, 6), "pad", (288, 512, 0)),
    (nn.GLU(1), (8, 6, 6), "glu", (288, 144, 0)),
    (nn.PixelShuffle(2), (8, 6, 6), "pixel_shuffle", (288, 288, 0)),
]


@pytest.mark.parametrize(("module", "shape", "operator", "moved"), STEPS, ids=[f"{row[2]} {row[0]}" for row in STEPS])
def test_a_step_is_called_by_its_word(module: Any, shape: tuple[int, ...], operator: str, moved: tuple[int, int, int]) -> None:
    trace = captured(nn.Sequential(nn.Conv2d(8, 8, 1), module), *shape)
    (conv, step) = trace.ops
    assert isinstance(conv, Conv2d) and isinstance(step, Memory)
    assert (step.operator, step.name, step.inputs, elements(step)) == (operator, "1", ("0",), moved)
    assert step.scales_with_batch and trace.rescalable


def test_activations_grow_with_the_batch_and_constants_do_not() -> None:
    trace = captured(nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)), 8, 6, 6, batch=2)
    assert elements(trace.ops[1]) == (576, 576, 32)
    assert elements(trace.with_batch(5).ops[1]) == (1440, 1440, 32)


def test_what_a_step_reads_of_a_table_is_rows() -> None:
    trace = captured(nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 4)), 6)
    step = trace.ops[0]
    assert isinstance(step, Memory) and (step.operator, step.inputs) == ("embedding", ())
    assert elements(step) == (48, 48, 0) and trace.ops[1].inputs == ("0",)


def test_a_broadcast_operand_is_read_once() -> None:
    trace = captured(Runs(lambda _, y: y * y.mean(-1, keepdim=True).expand_as(y)), 5, 8)
    assert [elements(op) for op in trace.ops[1:]] == [(40, 5, 0), (45, 40, 0)]


def test_the_same_operand_twice_is_read_once() -> None:
    assert elements(captured(Runs(lambda _, y: y * y), 5, 8).ops[1]) == (40, 40, 0)


def test_a_cast_and_a_copy() -> None:
    trace = captured(Runs(lambda _, y: y.to(torch.float16).transpose(1, 2).contiguous()), 5, 8)
    assert [step[0] for step in steps(trace)] == ["cast", "copy"]


def test_an_operator_without_a_better_word_keeps_its_name() -> None:
    assert [step[0] for step in steps(captured(Runs(lambda _, y: y.cumsum(-1)), 5, 8))] == ["cumsum"]


def test_operators_of_other_libraries_are_steps_by_their_name() -> None:
    torch.library.define("stcsim_test::roi_align", "(Tensor x, int size) -> Tensor")
    torch.library.register_fake("stcsim_test::roi_align", lambda x, size: x.new_empty(len(x), size))
    trace = captured(Runs(lambda _, y: torch.ops.stcsim_test.roi_align(y, 3)), 8)
    assert steps(trace) == [("roi_align", "roi_align", ("layer",), "")]
    assert trace.ops[1].origin == "Runs: stcsim_test.roi_align" and elements(trace.ops[1]) == (8, 3, 0)


# --- what is left out


def forward_masked(self: Any, y: Any) -> Any:
    length = y.shape[1]
    mask = torch.full((length, length), float("-inf")).triu(1)
    positions = torch.arange(length)[:, None] * torch.exp(torch.arange(4) / -4.0)
    angles = torch.cat((positions.sin(), positions.cos()), -1)
    kept = (y.detach() > 0).to(torch.int64)
    return y + angles + mask.sum() + kept.argmax(-1).unsqueeze(-1).float()


def test_masks_positions_and_integers_are_left_out() -> None:
    trace = captured(Runs(forward_masked), 5, 8)
    assert [step[0] for step in steps(trace)] == ["add", "add", "add"]


def test_weights_made_of_parameters_are_left_out() -> None:
    from torch.nn import utils

    trace = captured(utils.parametrizations.weight_norm(nn.Linear(8, 4)), 5, 8)
    assert steps(trace) == []


def test_dropout_does_nothing() -> None:
    assert steps(captured(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Dropout1d(0.5), nn.AlphaDropout()), 8)) == []


def test_views_are_looked_through() -> None:
    layer = Runs(lambda _, y: y.view(-1, 2, 4).transpose(1, 2)[:, 1:].unsqueeze(0).relu().squeeze(0).split(1)[0].neg())
    trace = captured(layer, 5, 8)
    assert steps(trace) == [("relu", "relu", ("layer",), "layer"), ("neg", "neg", ("relu",), "layer")]


# --- who reads whom


def test_in_place_steps_stand_between() -> None:
    trace = captured(Runs(lambda _, y: y.add_(1).mul_(y.sigmoid()) + 1), 5, 8)
    assert [(op, inputs) for op, _, inputs, _ in steps(trace)] == [
        ("add", ("layer",)),
        ("sigmoid", ("add",)),
        ("mul", ("add", "sigmoid")),
        ("add", ("mul",)),
    ]


def test_a_write_into_a_part_adds_to_what_is_there() -> None:
    def forward(self: Any, y: Any) -> Any:
        cache = torch.zeros(y.shape[0], 9, 8)
        cache[:, :5] = y
        cache[:, 5:] = y[:, :4].relu()
        return self.last(cache)

    trace = captured(Runs(forward, last=nn.Linear(8, 2)), 5, 8)
    assert [(op, inputs) for op, _, inputs, _ in steps(trace)] == [
        ("copy", ("layer",)),
        ("relu", ("layer",)),
        ("copy", ("relu",)),
    ]
    assert trace.ops[-1].inputs == ("copy", "copy#2")


def test_rows_written_into_a_buffer_are_what_is_moved() -> None:
    def forward(self: Any, y: Any) -> Any:
        return self.cache.index_copy_(1, torch.arange(1), y) * 1

    trace = captured(Runs(forward, cache=nn.Buffer(torch.zeros(2, 9, 8))), 1, 8, batch=2)
    assert elements(trace.ops[1]) == (16, 16, 0) and trace.ops[2].inputs == ("index_copy",)


def test_operands_stand_in_their_order() -> None:
    trace = captured(Runs(lambda self, y: torch.bmm(y.transpose(1, 2), self.other(y)), other=nn.Linear(8, 3)), 5, 8)
    assert trace.ops[-1].inputs == ("layer", "other")


def test_names_are_paths_and_no_name_is_given_twice() -> None:
    act = nn.ReLU()
    net = nn.Sequential(nn.Conv2d(8, 8, 1), act, nn.Sequential(nn.Conv2d(8, 8, 1), act))
    assert [op.name for op in captured(net, 8, 4, 4).ops] == ["0", "1", "2.0", "1#2"]


# --- a batch of one may be laid out as no other is


def test_copies_that_one_sample_does_not_need_are_there_for_all() -> None:
    trace = captured(Runs(lambda _, y: y.transpose(0, 1).reshape(-1, 8).relu()), 5, 8, batch=1)
    assert [step[0] for step in steps(trace)] == ["copy", "relu"] and trace.rescalable
    assert elements(trace.ops[1]) == (40, 40, 0)


# --- three networks, layer by layer


def test_a_block_of_resnet34() -> None:
    trace = capture("resnet34")
    block = "resnet.encoder.stages.1.layers.1"
    conv1, conv2 = f"{block}.layer.0.convolution", f"{block}.layer.1.convolution"
    before = "resnet.encoder.stages.1.layers.0.activation"
    assert [step for step in steps(trace) if step[1].startswith(block)] == [
        ("batch_norm", f"{block}.layer.0.normalization", (conv1,), conv1),
        ("relu", f"{block}.layer.0.activation", (f"{block}.layer.0.normalization",), conv1),
        ("batch_norm", f"{block}.layer.1.normalization", (conv2,), conv2),
        ("add", f"{block}.add", (f"{block}.layer.1.normalization", before), conv2),
        ("relu", f"{block}.activation", (f"{block}.add",), conv2),
    ]
    assert [op for op, _, _, into in steps(trace) if not into] == ["max_pool", "avg_pool"]


def test_a_layer_of_bert() -> None:
    trace = capture("bert-base")
    layer, hidden = "encoder.layer.3", "encoder.layer.2.output.LayerNorm"
    attention, inner, outer = f"{layer}.attention.output", f"{layer}.intermediate.dense", f"{layer}.output"
    qk = f"{layer}.attention.self.qk"
    assert [step for step in steps(trace) if step[1].startswith(layer)] == [
        ("softmax", f"{layer}.attention.self.softmax", (qk,), qk),
        ("add", f"{attention}.add", (f"{attention}.dense", hidden), f"{attention}.dense"),
        ("layer_norm", f"{attention}.LayerNorm", (f"{attention}.add",), ""),
        ("gelu", f"{layer}.intermediate.intermediate_act_fn.gelu", (inner,), inner),
        ("add", f"{outer}.add", (f"{outer}.dense", f"{attention}.LayerNorm"), f"{outer}.dense"),
        ("layer_norm", f"{outer}.LayerNorm", (f"{outer}.add",), ""),
    ]


def test_a_layer_of_llama() -> None:
    trace = capture("transformers:llama", arguments={"num_hidden_layers": 2, "num_key_value_heads": 8})
    layer, before = "model.layers.1", "model.layers.0.add#2"
    attention, mlp = f"{layer}.self_attn", f"{layer}.mlp"
    found = [step for step in steps(trace) if step[1].startswith(layer)]
    assert found == [
        ("rms_norm", f"{layer}.input_layernorm", (before,), ""),
        ("rope", f"{attention}.rope", (f"{attention}.q_proj",), ""),
        ("rope", f"{attention}.rope#2", (f"{attention}.k_proj",), ""),
        ("cache_update", f"{attention}.cache_update", (f"{attention}.rope#2",), f"{attention}.rope#2"),
        ("cache_update", f"{attention}.cache_update#2", (f"{attention}.v_proj",), f"{attention}.v_proj"),
        ("softmax", f"{attention}.softmax", (f"{attention}.qk",), f"{attention}.qk"),
        ("add", f"{layer}.add", (before, f"{attention}.o_proj"), f"{attention}.o_proj"),
        ("rms_norm", f"{layer}.post_attention_layernorm", (f"{layer}.add",), ""),
        ("silu", f"{mlp}.act_fn.silu", (f"{mlp}.gate_proj",), f"{mlp}.gate_proj"),
        ("mul", f"{mlp}.mul", (f"{mlp}.act_fn.silu", f"{mlp}.up_proj"), f"{mlp}.up_proj"),
        ("add", f"{layer}.add#2", (f"{layer}.add", f"{mlp}.down_proj"), f"{mlp}.down_proj"),
    ]
    qk = next(op for op in trace.ops if op.name == f"{attention}.qk")
    assert isinstance(qk, Gemm) and qk.inputs == (f"{attention}.rope", f"{attention}.cache_update")
