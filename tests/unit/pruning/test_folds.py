"""Are channels permuted only where names say that nothing else needs their order, and by the same order everywhere?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stcsim
from stcsim.checkpoint import open_checkpoint
from stcsim.checkpoint.weights import gemm_weights
from stcsim.numerics import prune
from stcsim.pruning.folds import Fold, Refused, find_folds
from tests.unit.checkpoints import drawn, write

Arrays = dict[str, np.ndarray[Any, Any]]


def found(path: Path, arrays: Arrays, **config: Any) -> list[Fold | Refused]:
    with open_checkpoint(write(path / "in.safetensors", arrays)) as source:
        return list(find_folds(source, gemm_weights(source), config))


def mlp(scope: str, m: int = 16, channels: int = 32) -> Arrays:
    return {
        f"{scope}.fc1.weight": drawn(channels, m, seed=1),
        f"{scope}.fc1.bias": drawn(channels, seed=2),
        f"{scope}.fc2.weight": drawn(m, channels, seed=3),
    }


def test_the_hidden_channels_of_an_mlp_are_a_fold(tmp_path: Path) -> None:
    [fold] = found(tmp_path, mlp("h.0.mlp"))
    assert isinstance(fold, Fold)
    assert (fold.layers, fold.makers, fold.channels, fold.block) == (("h.0.mlp.fc2",), "fc1", 32, 32)
    assert [(each.tensor, each.axis) for each in fold.makes] == [("h.0.mlp.fc1.weight", 0), ("h.0.mlp.fc1.bias", 0)]
    assert [(each.tensor, each.axis) for each in fold.takes] == [("h.0.mlp.fc2.weight", 1)]


def test_what_stands_beside_and_is_not_known_forbids_it(tmp_path: Path) -> None:
    [fold] = found(tmp_path, {**mlp("h.0.mlp"), "h.0.mlp.ffn_norm.weight": drawn(32)})
    assert fold == Refused("h.0.mlp.fc2", "ffn_norm.weight beside them may need the channels in their order")
    [fold] = found(tmp_path, {**mlp("h.0"), "h.0.self_attn.q_proj.weight": drawn(16, 16), "h.0.layer_norm.weight": drawn(16)})
    assert isinstance(fold, Fold)  # the layer's own attention and norms read and write the stream


def test_sizes_that_do_not_fit_forbid_it(tmp_path: Path) -> None:
    gated = {"mlp.fc1.weight": drawn(64, 16), "mlp.fc2.weight": drawn(16, 32)}
    reason = "mlp.fc1.weight has shape (64, 16), and 32 along dimension 0 were to be expected"
    assert found(tmp_path, gated) == [Refused("mlp.fc2", reason)]


def attention(heads: int, kv_heads: int, head: int, m: int = 16) -> Arrays:
    return {
        "l.self_attn.q_proj.weight": drawn(heads * head, m),
        "l.self_attn.k_proj.weight": drawn(kv_heads * head, m),
        "l.self_attn.v_proj.weight": drawn(kv_heads * head, m),
        "l.self_attn.o_proj.weight": drawn(m, heads * head),
    }


def test_values_stay_within_their_head_and_go_to_every_head_that_shares_them(tmp_path: Path) -> None:
    [fold] = found(tmp_path, attention(4, 2, 8), head_dim=8)
    assert isinstance(fold, Fold)
    assert (fold.channels, fold.block) == (16, 8)
    assert fold.takes[0].places.shape == (2, 16)
    assert fold.takes[0].places[0].tolist() == [*range(0, 8), *range(16, 24)]  # the first query head of each pair
    assert fold.takes[0].places[1].tolist() == [*range(8, 16), *range(24, 32)]


@pytest.mark.parametrize(
    ("config", "block"),
    [
        ({"hidden_size": 32, "num_attention_heads": 4}, 8),
        ({"d_kv": 16}, 16),
        ({"n_embd": 32, "n_head": 8}, 4),
        ({"d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 4}, 8),
    ],
)
def test_configurations_say_how_many_channels_a_head_has(config: dict[str, int], block: int, tmp_path: Path) -> None:
    [fold] = found(tmp_path, attention(4, 4, 8), **config)
    assert isinstance(fold, Fold) and fold.block == block


@pytest.mark.parametrize(
    "config", [{}, {"d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 8}, {"hidden_size": 32}]
)
def test_heads_that_nobody_knows_forbid_it(config: dict[str, int], tmp_path: Path) -> None:
    reason = "how many channels a head has is not known: no config.json beside the weights says so"
    assert found(tmp_path, attention(4, 4, 8), **config) == [Refused("l.self_attn.o_proj", reason)]


def test_heads_that_do_not_divide_the_channels_forbid_it(tmp_path: Path) -> None:
    reason = "32 inputs and 32 outputs are no heads of 12 channels, as the configuration says"
    assert found(tmp_path, attention(4, 4, 8), head_dim=12) == [Refused("l.self_attn.o_proj", reason)]


def test_a_part_of_a_network_has_the_heads_of_its_own_configuration(tmp_path: Path) -> None:
    arrays = {name.replace("l.", "vision_model.l."): array for name, array in attention(4, 4, 8).items()}
    [fold] = found(tmp_path, arrays, head_dim=16, vision_config={"hidden_size": 32, "num_attention_heads": 4})
    assert isinstance(fold, Fold) and fold.block == 8


def block_of(channels: int = 16, groups: int = 1) -> Arrays:
    norm = {f"l.0.bn{at}.{part}": drawn(channels, seed=at) for at in (1, 2) for part in ("weight", "bias", "running_mean")}
    return {
        "l.0.conv1.weight": drawn(channels, 8, 1, 1),
        "l.0.conv2.weight": drawn(channels, channels // groups, 3, 3),
        "l.0.conv3.weight": drawn(8, channels, 1, 1),
        **norm,
    }


def test_batch_norms_between_are_permuted_along(tmp_path: Path) -> None:
    first, second = found(tmp_path, block_of())
    assert isinstance(first, Fold) and isinstance(second, Fold)
    assert [each.tensor for each in first.makes] == [
        "l.0.conv1.weight", "l.0.bn1.weight", "l.0.bn1.bias", "l.0.bn1.running_mean",
    ]  # fmt: skip
    assert (first.layers, second.layers) == (("l.0.conv2",), ("l.0.conv3",))


def test_convolutions_in_groups_neither_take_nor_make_permuted_channels(tmp_path: Path) -> None:
    assert found(tmp_path, block_of(groups=4)) == [
        Refused("l.0.conv2", "l.0.conv1.weight has shape (16, 8, 1, 1), and 4 along dimension 0 were to be expected"),
        Refused("l.0.conv3", "conv2 works in groups: it takes 4 of 16 channels"),
    ]


def test_squeeze_and_excitation_forbids_it(tmp_path: Path) -> None:
    folds = found(tmp_path, {**block_of(), "l.0.se.fc1.weight": drawn(4, 16, 1, 1)})
    assert folds[0] == Refused("l.0.conv2", "se.fc1.weight beside them may need the channels in their order")


def test_a_network_computes_the_same_with_its_channels_permuted(tmp_path: Path) -> None:
    arrays = {name: array.astype(np.float64) for name, array in mlp("mlp", 16, 64).items()}
    source = write(tmp_path / "in.safetensors", arrays)
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", permute="only")
    with open_checkpoint(tmp_path / "out.safetensors") as file:
        after = {name: np.array(tensor.codes()) for name, tensor in file.items()}
    order = [int(np.flatnonzero((arrays["mlp.fc1.weight"] == row).all(axis=1))[0]) for row in after["mlp.fc1.weight"]]
    assert sorted(order) == list(range(64)) and order != sorted(order)
    assert np.array_equal(after["mlp.fc1.bias"], arrays["mlp.fc1.bias"][order])
    assert np.array_equal(after["mlp.fc2.weight"], arrays["mlp.fc2.weight"][:, order])
    assert not report.pruned and [row.permutation for row in report.weights] == ["", "fc1"]


def test_pruning_after_a_permutation_keeps_more_and_says_how_much(tmp_path: Path) -> None:
    source = write(tmp_path / "in.safetensors", mlp("mlp", 16, 64))
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", permute=True)
    stcsim.prune_checkpoint(source, tmp_path / "permuted.safetensors", permute="only")
    stcsim.prune_checkpoint(tmp_path / "permuted.safetensors", tmp_path / "both.safetensors")
    assert (tmp_path / "both.safetensors").read_bytes() == (tmp_path / "out.safetensors").read_bytes()
    fc2, w = report.weights[1], drawn(16, 64, seed=3).astype(np.float64)
    assert fc2.kept_share_unpermuted == pytest.approx(np.abs(prune(w)).sum() / np.abs(w).sum(), rel=1e-12)
    assert fc2.kept_share is not None and fc2.kept_share > fc2.kept_share_unpermuted + 0.01
    assert report.weights[0].kept_share_unpermuted is None


def test_scores_decide_the_order_too(tmp_path: Path) -> None:
    scores = {"mlp.fc1": drawn(64, 16, seed=8), "mlp.fc2": -np.abs(drawn(16, 64, seed=9))}
    np.savez(tmp_path / "s.npz", **scores)
    source = write(tmp_path / "in.safetensors", mlp("mlp", 16, 64))
    stcsim.prune_checkpoint(source, tmp_path / "plain.safetensors", scores=tmp_path / "s.npz", masks=tmp_path / "plain.npz")
    stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", scores=tmp_path / "s.npz", permute=True)
    with open_checkpoint(tmp_path / "out.safetensors") as file:
        rows, after = np.array(file["mlp.fc1.bias"].codes()), np.array(file["mlp.fc2.weight"].codes())
    order = [int(np.flatnonzero(drawn(64, seed=2) == each)[0]) for each in rows]
    permuted, plain = scores["mlp.fc2"][:, order], np.load(tmp_path / "plain.npz")["mlp.fc2.weight"]
    assert permuted[after != 0].sum() > scores["mlp.fc2"][plain].sum()  # more score stays, of scores below zero


def test_layers_that_no_family_knows_are_named_in_a_file(tmp_path: Path) -> None:
    arrays = {
        "body.first.weight": drawn(32, 16, 3, 3, seed=1),
        "body.norm.weight": drawn(32, seed=2),
        "body.norm.bias": drawn(32, seed=3),
        "body.second.weight": drawn(16, 32, 3, 3, seed=4),
    }
    source = write(tmp_path / "in.safetensors", arrays)
    fold = "- makers: [body.first]\n  vectors: [body.norm.weight, body.norm.bias]\n  takers: [body.second]\n"
    (tmp_path / "fold.yaml").write_text(fold, encoding="utf-8")
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", fold=tmp_path / "fold.yaml")
    with open_checkpoint(tmp_path / "out.safetensors") as file:
        order = [int(np.flatnonzero(arrays["body.norm.bias"] == each)[0]) for each in file["body.norm.bias"].codes()]
        assert np.array_equal(file["body.norm.weight"].codes(), arrays["body.norm.weight"][order])
        first, second = file["body.first.weight"].codes(), file["body.second.weight"].codes()
        assert np.array_equal(first, np.where(first != 0, arrays["body.first.weight"][order], 0))
        assert np.array_equal(second, np.where(second != 0, arrays["body.second.weight"][:, order], 0))
    assert order != sorted(order) and report.weights[1].permutation == "body.first"


def test_a_norm_between_the_layers_of_an_mlp_forbids_it_wherever_it_is_stored(tmp_path: Path) -> None:
    for scope, norm in (("h.0.mlp", "norm"), ("h.0", "ffn_layernorm")):
        arrays = {**mlp(scope), f"{scope}.{norm}.weight": drawn(32), f"{scope}.self_attn_layer_norm.weight": drawn(16)}
        assert found(tmp_path, arrays) == [
            Refused(f"{scope}.fc2", f"{norm}.weight beside them may need the channels in their order")
        ]


def test_norms_that_stand_before_convolutions_forbid_it_in_the_whole_network(tmp_path: Path) -> None:
    arrays: Arrays = {}
    for at, (inputs, outputs) in enumerate([(16, 16), (16, 32)]):
        arrays |= {f"l.{at}.conv1.weight": drawn(outputs, inputs, 3, 3), f"l.{at}.conv2.weight": drawn(outputs, outputs, 3, 3)}
        arrays |= {f"l.{at}.bn1.weight": drawn(inputs), f"l.{at}.bn2.weight": drawn(outputs)}
    reason = "batch norms of this network stand before the convolutions of their number"
    assert found(tmp_path, arrays) == [Refused("l.0.conv2", reason), Refused("l.1.conv2", reason)]
    alike = {name: array for name, array in arrays.items() if name.startswith("l.0")}
    assert found(tmp_path, alike) == [Refused("l.0.conv2", "norms may stand before or behind")]
    bare = {name: array for name, array in alike.items() if "bn" not in name}
    assert isinstance(found(tmp_path, bare)[0], Fold)  # norms that were folded into the filters are nowhere


def test_a_gate_among_the_queries_forbids_it(tmp_path: Path) -> None:
    arrays = {**attention(4, 2, 8), "l.self_attn.q_proj.weight": drawn(64, 16)}
    reason = "64 queries for 32 inputs: some may be a gate, which would need the order"
    assert found(tmp_path, arrays, head_dim=8) == [Refused("l.self_attn.o_proj", reason)]


def test_heads_of_values_that_the_configuration_counts_otherwise_forbid_it(tmp_path: Path) -> None:
    reason = "32 inputs and 16 outputs are no heads of 8 channels, as the configuration says"
    assert found(tmp_path, attention(4, 2, 8), head_dim=8, num_key_value_heads=4) == [Refused("l.self_attn.o_proj", reason)]


@pytest.mark.parametrize(
    ("path", "config", "is_known"),
    [
        ("model.safetensors", "config.json", True),
        ("other.safetensors", "config.json", False),
        ("in/model.safetensors", "config.json", False),
    ],
)
def test_heads_are_read_from_the_configuration_of_the_same_model(path: str, config: str, is_known: bool, tmp_path: Path) -> None:
    (tmp_path / config).write_text('{"head_dim": 8}', encoding="utf-8")
    (tmp_path / path).parent.mkdir(exist_ok=True)
    source = write(tmp_path / path, attention(4, 2, 8))
    opened = source.parent if path.startswith("in/") else source
    out = tmp_path / ("out" if opened.is_dir() else "out.safetensors")
    report = stcsim.prune_checkpoint(opened, out, permute="only")
    [row] = [row for row in report.weights if row.name.endswith("o_proj")]
    assert bool(row.permutation) is is_known and bool(row.no_permutation) is not is_known


def test_filters_of_transposed_convolutions_stay_dense(tmp_path: Path) -> None:
    arrays = {"up.deconv.weight": drawn(16, 16, 2, 2), "a.weight": drawn(16, 16)}
    report = stcsim.prune_checkpoint(write(tmp_path / "in.safetensors", arrays), tmp_path / "out.safetensors")
    assert [row.reason for row in report.weights] == [
        "", "filters of a transposed convolution, each tap of which is a GEMM of its own",
    ]  # fmt: skip


def test_layers_that_take_the_same_channels_are_permuted_alike_and_weighed_together(tmp_path: Path) -> None:
    arrays = {
        "stem.weight": drawn(32, 16, seed=1), "left.weight": drawn(16, 32, seed=2), "right.weight": drawn(16, 32, seed=3),
        "dense.weight": drawn(16, 32, seed=4),
    }  # fmt: skip
    source = write(tmp_path / "in.safetensors", arrays)
    (tmp_path / "fold.yaml").write_text("- {makers: [stem], takers: [left, right, dense]}", encoding="utf-8")
    options: dict[str, Any] = {"fold": tmp_path / "fold.yaml", "keep_dense": ["dense"]}
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", **options)
    with open_checkpoint(tmp_path / "out.safetensors") as file:
        dense = np.array(file["dense.weight"].codes())
        order = [int(np.flatnonzero((arrays["dense.weight"] == column[:, None]).all(axis=0))[0]) for column in dense.T]
        for name in ("left.weight", "right.weight"):
            found = file[name].codes()
            assert np.array_equal(found, np.where(found != 0, arrays[name][:, order], 0))
    assert order != sorted(order) and sorted(order) == list(range(32))
    both = {row.name: row for row in report.weights}
    for name in ("left", "right"):
        assert both[name].kept_share_unpermuted is not None and both[name].permutation == "stem"
    assert sum(both[name].kept_share or 0 for name in ("left", "right")) > sum(
        both[name].kept_share_unpermuted or 2 for name in ("left", "right")
    )
    assert both["dense"].permutation == "stem" and both["dense"].kept_share is None


def test_what_a_file_says_goes_before_what_names_say(tmp_path: Path) -> None:
    arrays = {**mlp("mlp"), "other.weight": drawn(16, 32, seed=5)}
    source = write(tmp_path / "in.safetensors", arrays)
    (tmp_path / "fold.yaml").write_text("- {makers: [mlp.fc1], takers: [mlp.fc2, other]}", encoding="utf-8")
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", fold=tmp_path / "fold.yaml", permute="only")
    assert {row.name: row.permutation for row in report.weights} == {"mlp.fc1": "", "mlp.fc2": "mlp.fc1", "other": "mlp.fc1"}
