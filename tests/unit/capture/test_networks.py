"""Are the networks that ship the published ones: multiply-accumulates, parameters, and what is special about some?"""

from __future__ import annotations

import pytest

from stcsim.capture import capture, network_names
from stcsim.trace import Conv2d, Gemm, Memory, Trace, load_trace, trace_names
from tests.unit import published
from tests.unit.published import PUBLISHED, agrees

REASON = "the model code is not installed (pip install stcsim[torch])"
torch = pytest.importorskip("torch", reason=REASON)
pytest.importorskip("transformers", reason=REASON)
nn = torch.nn

#: Parameters of two and more dimensions that are added or looked up, not multiplied.
ADDED = ("cls_token", "position_embeddings", "pos_embed", "rel_pos_h", "rel_pos_w", "content_bias", "distance_bias")


def named(trace: Trace, name: str) -> Gemm | Conv2d:
    found = next(op for op in trace.ops if op.name == name)
    assert not isinstance(found, Memory)
    return found


def test_every_network_ships_and_is_compared() -> None:
    assert sorted(network_names()) == trace_names() == sorted(PUBLISHED)


@pytest.mark.parametrize("name", network_names())
def test_shipped_trace_is_what_capture_sees(name: str) -> None:
    shipped, captured = load_trace(name), capture(name)
    known = shipped.source.changed(version=captured.source.version)  # shapes must not depend on the version
    assert captured == shipped.changed(source=known)


def test_the_readme_holds_the_comparison() -> None:
    assert published.written(published.README.read_text(encoding="utf-8")) == published.table()


@pytest.mark.parametrize("name", [name for name, known in PUBLISHED.items() if known.gmacs])
def test_macs_are_the_published_ones(name: str) -> None:
    assert agrees(published.comparable_gmacs(name), PUBLISHED[name].gmacs)


@pytest.mark.parametrize("name", [name for name, known in PUBLISHED.items() if known.parameters and not known.exception])
def test_parameters_are_the_published_ones(name: str) -> None:
    assert agrees(published.comparable_parameters(name), PUBLISHED[name].parameters)


@pytest.mark.parametrize("name", [name for name, known in PUBLISHED.items() if known.exception])
def test_an_exception_is_one(name: str) -> None:
    """All of them are of parameters; one that agrees needs no excuse."""
    assert not agrees(published.comparable_parameters(name), PUBLISHED[name].parameters)


@pytest.mark.parametrize("name", network_names())
def test_every_weight_that_multiplies_is_in_the_trace_once(name: str) -> None:
    with torch.device("meta"):
        module = published.NETWORKS[name].build()
    weights = {
        id(weight): weight.numel()
        for part in module.modules()
        for field, weight in part.named_parameters(recurse=False)
        if weight.dim() > 1 and field not in ADDED and not isinstance(part, nn.Embedding)
    }
    assert load_trace(name).weight_elements == sum(weights.values())


# --- what is special about some


LLAMA = {"8b": (32, 32, 128), "70b": (80, 64, 128)}


@pytest.mark.parametrize("size", LLAMA)
@pytest.mark.parametrize(("phase", "tokens", "cached", "batch"), [("prefill", 2048, 0, 1), ("decode", 1, 1024, 8)])
def test_llama_by_hand(size: str, phase: str, tokens: int, cached: int, batch: int) -> None:
    layers, heads, head_size = LLAMA[size]
    all_of_them, embedding = published.parameters(f"llama-3-{size}-{phase}")
    norms = (2 * layers + 1) * heads * head_size
    weights = round((all_of_them - embedding) * 1e6) - norms
    attention = layers * heads * 2 * head_size * tokens * (tokens + cached)
    assert load_trace(f"llama-3-{size}-{phase}").macs == batch * (tokens * weights + attention)


def test_mixtral_spreads_two_choices_of_each_token_over_eight_experts() -> None:
    trace = load_trace("mixtral-8x7b-prefill")
    gate_up, down = [op for op in trace.ops if isinstance(op, Gemm) and ".0.mlp.experts" in op.name]
    assert (gate_up.batch, gate_up.m, gate_up.n, gate_up.k) == (8, 2 * 14336, 512 * 2 // 8, 4096)
    assert (down.batch, down.m, down.n, down.k) == (8, 4096, 128, 14336)
    assert (gate_up.weight_operand, gate_up.scales_with_batch) == ("a", "n")


def test_mixtral_by_hand() -> None:
    """Two of eight experts work for each of 512 tokens; 32 layers attend with 32 heads of 128."""
    all_of_them, embedding = published.parameters("mixtral-8x7b-prefill")
    experts, norms = 32 * 8 * 3 * 4096 * 14336, 65 * 4096
    active = round((all_of_them - embedding) * 1e6) - norms - experts * 6 // 8
    assert load_trace("mixtral-8x7b-prefill").macs == 512 * active + 32 * 32 * 2 * 128 * 512 * 512


def test_detectnet_answers_on_the_grid_of_peoplenet() -> None:
    """34 x 60 cells with 3 coverages and 12 corners, as its published outputs have."""
    trace = load_trace("detectnet-v2-resnet34")
    heads = [named(trace, name) for name in ("coverage", "boxes")]
    assert [(op.k, op.p, op.q) for op in heads if isinstance(op, Conv2d)] == [(3, 34, 60), (12, 34, 60)]


def test_mask_rcnn_heads_see_regions_of_every_image() -> None:
    trace = load_trace("mask-rcnn-r50-fpn").with_batch(2)
    linear, mask = named(trace, "box_head.layers.1"), named(trace, "mask_head.0")
    assert isinstance(linear, Gemm) and (linear.n, linear.k) == (2 * 1000, 256 * 7 * 7)
    assert isinstance(mask, Conv2d) and (mask.batch, mask.h) == (2 * 100, 14)
    assert any(isinstance(op, Conv2d) and op.transposed for op in trace.ops)


def test_retinanet_heads_are_shared_by_five_levels() -> None:
    levels = [op for op in load_trace("retinanet-r50-fpn").ops if isinstance(op, Conv2d) and op.name.startswith("class_head.0")]
    assert [(op.h, op.w) for op in levels] == [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]


def test_gnmt_steps_are_counted() -> None:
    trace = load_trace("gnmt")
    steps = [op for op in trace.ops if isinstance(op, Gemm) and op.count > 1]
    assert len(steps) == 8 + 1 + 8 and {op.count for op in steps} == {50} and {op.n for op in steps} == {1}


def test_transformer_xl_at_the_sizes_of_its_paper() -> None:
    """The authors' code prints n_all_param 151107538; it adds an output bias and three clusters, and shares two biases."""
    from stcsim.capture.zoo.transformer_xl import TransformerXL

    with torch.device("meta"):
        module = TransformerXL(267735, 410, 10, 2100, 16)
    softmax, shared_biases = 267735 + 3 * (410 + 1), 15 * 2 * 410
    assert sum(each.numel() for each in module.parameters()) + softmax - shared_biases == 151_107_538
