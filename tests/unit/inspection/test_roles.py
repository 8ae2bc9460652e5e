"""Is every tensor given the GEMM that it is the weight of, or the reason why it is none?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stcsim.inspection import Inspection, Weight, inspect_checkpoint
from tests.unit.checkpoints import drawn, write


def looked(tmp_path: Path, config: dict[str, Any] | None = None, **shapes: tuple[int, ...]) -> Inspection:
    """Inspect a folder of random weights; ``__`` in a name is a dot."""
    arrays = {name.replace("__", "."): drawn(*shape) for name, shape in shapes.items()}
    write(tmp_path / "model.safetensors", arrays)
    (tmp_path / "config.json").write_text(json.dumps(config or {}), encoding="utf-8")
    return inspect_checkpoint(tmp_path)


def gemms(found: Inspection) -> dict[str, tuple[str, int, int, int]]:
    return {weight.name: (weight.kind, weight.m, weight.k, weight.batch) for weight in found.weights}


def because(found: Inspection) -> dict[str, str | None]:
    return {weight.name: weight.not_eligible_because for weight in found.others}


def one(found: Inspection) -> Weight:
    (weight,) = found.weights
    return weight


def test_linear_layers_norms_biases_and_tables(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {"tie_word_embeddings": False},
        model__embed_tokens__weight=(100, 32),
        model__layers__0__self_attn__q_proj__weight=(32, 64),
        model__layers__0__self_attn__q_proj__bias=(32,),
        model__layers__0__input_layernorm__weight=(64,),
        model__norm__weight=(64,),
        pos_embed=(1, 17, 32),
        rope=(64,),
        lm_head__weight=(100, 32),
    )
    assert gemms(found) == {
        "model.layers.0.self_attn.q_proj.weight": ("linear", 32, 64, 1),
        "lm_head.weight": ("linear", 100, 32, 1),
    }
    assert because(found) == {
        "model.embed_tokens.weight": "an embedding: rows are looked up, not multiplied",
        "model.layers.0.self_attn.q_proj.bias": "a bias",
        "model.layers.0.input_layernorm.weight": "a norm",
        "model.norm.weight": "a norm",
        "pos_embed": "a parameter that is added, not multiplied with",
        "rope": "one dimension",
    }


def test_an_embedding_that_is_the_output_layer_too_is_a_weight(tmp_path: Path) -> None:
    shapes = {"model__embed_tokens__weight": (96, 32), "model__embed_positions__weight": (40, 32)}
    for config in ({"tie_word_embeddings": True}, {"architectures": ["GPT2LMHeadModel"]}):
        found = looked(tmp_path, config, **shapes)
        assert gemms(found) == {"model.embed_tokens.weight": ("embedding", 96, 32, 1)} and one(found).is_tied
    for config, more in (({"architectures": ["BertModel"]}, {}), ({"tie_word_embeddings": True}, {"lm_head__weight": (96, 32)})):
        assert "model.embed_tokens.weight" in because(looked(tmp_path, config, **shapes, **more))


def test_gpt2_stores_inputs_first_and_others_of_its_names_do_not(tmp_path: Path) -> None:
    shapes = {"h__0__attn__c_attn__weight": (32, 96), "h__0__attn__c_proj__weight": (32, 32)}
    assert gemms(looked(tmp_path, {"model_type": "gpt2"}, **shapes)) == {
        "h.0.attn.c_attn.weight": ("linear", 96, 32, 1),
        "h.0.attn.c_proj.weight": ("linear", 32, 32, 1),
    }
    turned = looked(tmp_path, None, **shapes, h__0__attn__c_attn__bias=(96,))  # the bias tells, for the square one beside it too
    assert [weight.along for weight in turned.weights] == ["k", "k"]
    assert [weight.m for weight in turned.weights] == [96, 32]
    plain = looked(tmp_path, None, **{**shapes, "h__0__attn__c_attn__weight": (96, 32)}, h__0__attn__c_attn__bias=(96,))
    assert [weight.m for weight in plain.weights] == [96, 32]


def test_any_matrix_with_a_bias_as_long_as_its_columns_lies_inputs_first(tmp_path: Path) -> None:
    assert gemms(looked(tmp_path, None, fc__weight=(32, 48), fc__bias=(48,))) == {"fc.weight": ("linear", 48, 32, 1)}
    assert gemms(looked(tmp_path, None, fc__weight=(48, 32), fc__bias=(48,))) == {"fc.weight": ("linear", 48, 32, 1)}


def test_filters_of_one_two_and_three_dimensions(tmp_path: Path) -> None:
    found = looked(
        tmp_path, None, a__weight=(8, 16, 3), b__weight=(8, 16, 3, 3), c__weight=(8, 16, 2, 2, 2), d__weight=(8, 32, 1, 1),
        stft_conv__weight=(8, 1, 256), depth__weight=(32, 1, 3, 3), up__deconv__weight=(16, 8, 2, 2), odd=(2, 2, 2, 2, 2, 2),
    )  # fmt: skip
    assert gemms(found) == {
        "a.weight": ("convolution", 8, 48, 1),
        "b.weight": ("convolution", 8, 144, 1),
        "c.weight": ("convolution", 8, 128, 1),
        "d.weight": ("convolution", 8, 32, 1),
        "stft_conv.weight": ("convolution", 8, 256, 1),
        "depth.weight": ("convolution", 32, 9, 1),
        "up.deconv.weight": ("convolution", 32, 16, 1),
    }
    along = {weight.name: weight.along for weight in found.weights}
    assert (along.pop("d.weight"), along.pop("up.deconv.weight")) == ("k", "c") and set(along.values()) == {"r,s,c"}
    assert because(found) == {"odd": "6 dimensions, which no layer known here has"}


def test_experts_are_gemms_of_a_batch_whichever_way_they_lie(tmp_path: Path) -> None:
    found = looked(
        tmp_path, {"num_local_experts": 4, "hidden_size": 32, "num_experts_per_tok": 2},
        layers__0__experts__gate_up_proj=(4, 32, 96), layers__0__experts__down_proj=(4, 48, 32), layers__1__moe__w1=(4, 96, 40),
    )  # fmt: skip
    assert gemms(found) == {
        "layers.0.experts.gate_up_proj": ("experts", 96, 32, 4),
        "layers.0.experts.down_proj": ("experts", 32, 48, 4),
        "layers.1.moe.w1": ("experts", 96, 40, 4),
    }
    assert found.experts_per_token == 2
    assert because(looked(tmp_path, None, blob=(5, 64, 64))) == {
        "blob": "three dimensions, none of which is known to be a reduction"
    }


def test_what_belongs_to_a_quantiser_is_no_weight(tmp_path: Path) -> None:
    arrays = {
        "fc.qweight": np.zeros((4, 32), np.int32), "fc.qzeros": np.zeros((1, 4), np.int32), "fc.weight_scale": drawn(32, 2),
        "ids": np.zeros((4, 4), np.int64), "u.weight": np.ones((16, 16), np.uint8), "none": np.zeros((0, 4), np.float16),
    }  # fmt: skip
    found = inspect_checkpoint(write(tmp_path / "a.safetensors", arrays))
    assert because(found) == {
        "fc.qweight": "packed by GPTQ or AWQ, a layout that is not read",
        "fc.qzeros": "packed by GPTQ or AWQ, a layout that is not read",
        "fc.weight_scale": "a scale or zero point of a quantiser",
        "ids": "int64, in which no tensor core multiplies",
        "u.weight": "uint8, of which the file does not say what stands for 0",
        "none": "no elements",
    }
    assert found.weights == ()


def test_a_graph_says_what_is_multiplied(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")
    from onnx import numpy_helper

    from tests.unit.onnx_graphs import model, node

    nodes = [
        node("Gather", "table x", "g"), node("MatMul", "g a", "h"), node("Conv", "h c", "i", group=2),
        node("MatMulInteger", "i q - z", "j"), node("com.microsoft.MatMulNBits", "j n", "l"), node("Add", "l b", "y"),
    ]  # fmt: skip
    arrays = {
        "table": drawn(30, 32), "a": drawn(32, 48), "c": drawn(8, 16, 3, 3), "q": np.ones((16, 16), np.int8), "z": np.int8(1),
        "n": np.ones((8, 1, 16), np.uint8), "b": drawn(4, 4),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    onnx.save(model(nodes, {"x": [1]}, tensors), tmp_path / "net.onnx")
    found = inspect_checkpoint(tmp_path / "net.onnx")
    assert gemms(found) == {"a": ("linear", 48, 32, 1), "c": ("convolution", 4, 144, 2)}
    assert because(found) == {
        "table": "an embedding: rows are looked up, not multiplied",
        "q": "quantised with zero points: its code 0 does not stand for 0",
        "z": "one dimension",
        "n": "packed for MatMulNBits, a layout that is not read",
        "b": "no product of the graph uses it",
    }
