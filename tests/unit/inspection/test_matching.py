"""Does every layer of a trace find its weight, and is what finds none, or two, said?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stcsim
from stcsim.errors import StcsimError
from stcsim.inspection import Match, inspect_checkpoint, match_layers, match_pruned
from stcsim.trace import Conv2d, Gemm, Trace
from tests.unit.checkpoints import drawn, pruned, write
from tests.unit.small_networks import network, square

Array = np.ndarray[Any, Any]


def layer(name: str, m: int = 16, k: int = 32, **more: Any) -> Gemm:
    return Gemm(name=name, m=m, n=8, k=k, **more)


def matched(tmp_path: Path, layers: list[Gemm | Conv2d], **weights: Array) -> Match:
    """Match layers with weights; ``__`` in a name is a dot."""
    path = write(tmp_path / "a.safetensors", {name.replace("__", "."): array for name, array in weights.items()})
    return match_layers(layers, inspect_checkpoint(path, magnitudes=False))


SPARSE, DENSE = pruned(16, 32), drawn(16, 32)


def test_layers_are_pruned_as_their_weights_are(tmp_path: Path) -> None:
    found = matched(tmp_path, [layer("a"), layer("b"), layer("c"), layer("qk", weight_operand=None)],
                    a__weight=SPARSE, b__weight=DENSE, d__weight=DENSE)  # fmt: skip
    assert found == Match(("a",), ("b",), ("c",), ("d.weight",))


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("layers.0.up_proj", "model__layers__0__up_proj__weight"),
        ("model.layers.0.up_proj", "layers__0__up_proj__weight"),
        ("model.layers.0.up_proj", "transformer__layers__0__up_proj__weight"),
        ("encoder.layer.3.output.dense", "bert__encoder__layer__3__output__dense__weight"),
        ("decoder.model.layers.0.fc", "layers__0__fc__weight"),
        ("rnn.l0.input", "rnn__weight_ih_l0"),
        ("rnn.l1_reverse.recurrent", "rnn__weight_hh_l1_reverse"),
        ("attn.in_proj", "attn__in_proj_weight"),
        ("fc", "fc"),
    ],
)
def test_names_differ_in_what_a_network_was_put_into(tmp_path: Path, name: str, weight: str) -> None:
    assert matched(tmp_path, [layer(name)], **{weight: SPARSE}).pruned == (name,)


@pytest.mark.parametrize(
    ("name", "weight"), [("layers.1.fc", "layers__0__fc"), ("encoder.fc1", "decoder__fc1"), ("a.fc", "b.fcx")]
)
def test_names_of_other_layers_do_not_match(tmp_path: Path, name: str, weight: str) -> None:
    found = matched(tmp_path, [layer(name), layer("known")], **{weight: SPARSE, "known": SPARSE})
    assert found.unmatched_layers == (name,) and found.pruned == ("known",) and len(found.unmatched_weights) == 1


def test_the_same_name_goes_before_the_end_of_another(tmp_path: Path) -> None:
    found = matched(tmp_path, [layer("fc")], draft__fc__weight=DENSE, fc__weight=SPARSE)
    assert (found.pruned, found.unmatched_weights) == (("fc",), ("draft.fc.weight",))


def test_two_weights_that_fit_and_disagree_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        StcsimError, match="layer fc: expected one weight that fits, found a.fc.weight and b.fc.weight, of which not all"
    ):
        matched(tmp_path, [layer("fc")], a__fc__weight=SPARSE, b__fc__weight=DENSE)
    assert matched(tmp_path, [layer("fc")], a__fc__weight=SPARSE, b__fc__weight=SPARSE).pruned == ("fc",)
    assert matched(tmp_path, [layer("fc")], a__fc__weight=SPARSE, b__fc__weight=drawn(8, 32)).pruned == ("fc",)  # sizes tell


def test_a_weight_of_other_sizes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StcsimError, match=r"layer fc: expected a weight of 16 x 32, found fc.weight, which is 32 x 32"):
        matched(tmp_path, [layer("fc")], fc__weight=drawn(32, 32))


def test_fused_projections_are_pruned_when_all_their_parts_are(tmp_path: Path) -> None:
    fused = layer("l.0.attn.qkv_proj", m=48)
    parts = {f"l__0__attn__{part}_proj__weight": SPARSE for part in "qkv"}
    assert matched(tmp_path, [fused], **parts).pruned == (fused.name,)
    assert matched(tmp_path, [fused], **{**parts, "l__0__attn__v_proj__weight": DENSE}).dense == (fused.name,)
    whole = matched(tmp_path, [layer(f"l.0.attn.{part}_proj") for part in "qkv"], l__0__attn__qkv_proj__weight=pruned(48, 32))
    assert len(whole.pruned) == 3 and not whole.unmatched_weights


def test_a_tied_output_layer_has_the_weight_of_the_embedding(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", {"model.embed_tokens.weight": pruned(64, 32)})
    (tmp_path / "config.json").write_text('{"tie_word_embeddings": true}', encoding="utf-8")
    found = match_layers([layer("lm_head", m=64)], inspect_checkpoint(tmp_path))
    assert found.pruned == ("lm_head",)


def test_filters_and_shared_weights_match(tmp_path: Path) -> None:
    conv = Conv2d(name="conv", batch=1, c=16, h=8, w=8, k=8, r=3, s=3)
    again = layer("again", weight_of="fc")
    found = matched(tmp_path, [conv, layer("fc"), again], conv__weight=pruned(8, 16, 3, 3, axis=1), fc__weight=SPARSE)
    assert found.pruned == ("conv", "fc", "again")


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StcsimError, match="sizes of the trace's layers, such as x, found such as fc.weight"):
        matched(tmp_path, [layer("x")], fc__weight=SPARSE)


TRACE = network(square("stem"), square("block.0.fc", "stem"), square("block.1.fc", "block.0.fc"), square("head", "block.1.fc"))


def listed(tmp_path: Path, text: str, trace: Trace = TRACE) -> Match:
    (tmp_path / "pruned.txt").write_text(text, encoding="utf-8")
    return match_pruned(trace, tmp_path / "pruned.txt")


def test_a_list_names_layers_and_patterns(tmp_path: Path) -> None:
    found = listed(tmp_path, "# those of the blocks\nblock.*.fc  # all\n\nlast\nnothing.here\n")
    assert found == Match(("block.0.fc", "block.1.fc", "head"), ("stem",), (), ("nothing.here",))


def test_a_list_that_names_no_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StcsimError, match="expected names of layers of small, one a line, such as stem, found such as 'hed'"):
        listed(tmp_path, "hed\n")
    with pytest.raises(StcsimError, match="such as stem, found none"):
        listed(tmp_path, "# nothing\n")


def test_a_list_of_absurd_numbers_names_no_layer(tmp_path: Path) -> None:
    with pytest.raises(StcsimError, match="names of layers of"):
        listed(tmp_path, "9" * 5000 + "\n1-" + "9" * 5000)


def test_a_list_for_a_network_without_weights_is_refused(tmp_path: Path) -> None:
    scores = Gemm(name="scores", m=16, n=16, k=16, weight_operand=None)
    with pytest.raises(StcsimError, match="names of layers of t, which has none with weights, found such as 'scores'"):
        listed(tmp_path, "scores\n", TRACE.changed(name="t", ops=(scores,)))
    with pytest.raises(StcsimError, match="expected a checkpoint, or a text file of layer names, found no such file"):
        match_pruned(TRACE, tmp_path / "nowhere.txt")
    (tmp_path / "a.dat").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StcsimError, match="a text file of layer names, found bytes that are no text"):
        match_pruned(TRACE, tmp_path / "a.dat")
    with pytest.raises(StcsimError, match="a pickle"):
        match_pruned(TRACE, tmp_path / "model.pt")


def test_a_run_times_just_what_a_checkpoint_has_pruned(tmp_path: Path) -> None:
    arrays = {"stem.weight": drawn(64, 64), "block.0.fc.weight": pruned(64, 64), "block.1.fc.weight": drawn(64, 64),
              "head.weight": pruned(64, 64)}  # fmt: skip
    names = stcsim.pruned_layers(TRACE, write(tmp_path / "a.safetensors", arrays))
    assert names == ("block.0.fc", "head")
    result = stcsim.run(TRACE, "a100", pruned_as=names)
    assert {row.name for row in result.rows if row.sparse is not None} == {"block.0.fc", "head"}
    same = stcsim.run(TRACE, "a100", keep_dense=["stem", "block.1.fc"])
    assert result.totals == same.totals
    assert {row.not_sparse_because for row in result.rows if row.sparse is None} == {"not among the layers that are pruned"}
    assert stcsim.rerun(result.inputs).totals == result.totals
    older = {name: value for name, value in stcsim.run(TRACE, "a100").inputs.items() if name != "pruned_as"}
    assert stcsim.rerun(older).totals == stcsim.run(TRACE, "a100").totals


def test_a_checkpoint_is_held_against_the_type_that_runs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", {"stem.weight": np.tile(np.array([1, 2, 0, 0], np.float16), (64, 16))})
    assert stcsim.pruned_layers(TRACE, path) == ("stem",) and stcsim.pruned_layers(TRACE, path, dtype="tf32") == ()


def test_a_graph_matches_its_own_weights_by_the_names_of_operators(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")
    from onnx import numpy_helper

    from tests.unit.onnx_graphs import model, node

    nodes = [node("MatMul", "x w", "a", name="/up/MatMul"), node("MatMul", "a v", "y", name="/down/MatMul")]
    tensors = [numpy_helper.from_array(pruned(64, 64, axis=0), "w"), numpy_helper.from_array(drawn(64, 64), "v")]
    onnx.save(model(nodes, {"x": [4, 64]}, tensors, kinds={"x": onnx.TensorProto.FLOAT16}), tmp_path / "net.onnx")
    trace = stcsim.open_trace(tmp_path / "net.onnx")
    assert stcsim.pruned_layers(trace, tmp_path / "net.onnx") == ("up.MatMul",)
