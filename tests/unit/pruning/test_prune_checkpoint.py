"""Is a checkpoint pruned as asked, is the rest of it untouched, and does what is written say what it is?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stcsim
from stcsim.checkpoint import open_checkpoint
from stcsim.checkpoint.bitmask import Bitmask24, unpack_bitmask
from stcsim.numerics import keep_mask, prune
from stcsim.numerics.sparse.filter_orders import as_matrix, from_matrix, reduction_order
from stcsim.pruning import slabs
from tests.unit.checkpoints import drawn, write

Arrays = dict[str, np.ndarray[Any, Any]]

NETWORK: Arrays = {
    "layers.0.up.weight": drawn(32, 64, seed=1),
    "layers.1.conv.weight": drawn(16, 16, 3, 3, seed=2),
    "layers.2.odd.weight": drawn(16, 20, seed=3),
    "layers.3.seven.weight": drawn(16, 7, seed=4),
    "lm_head.weight": drawn(48, 32, seed=5),
    "norm.weight": drawn(32, seed=6),
    "wte.weight": drawn(48, 32, seed=7),
}


def arrays_of(path: Path) -> Arrays:
    with open_checkpoint(path) as file:
        return {name: np.array(tensor.codes()) for name, tensor in file.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "in.safetensors", NETWORK)


def test_hidden_weights_are_pruned_along_the_reduction_and_everything_else_is_as_it_was(source: Path, tmp_path: Path) -> None:
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors")
    found = arrays_of(tmp_path / "out.safetensors")
    conv = NETWORK["layers.1.conv.weight"]
    assert list(found) == list(NETWORK)
    assert np.array_equal(found["layers.0.up.weight"], prune(NETWORK["layers.0.up.weight"]))
    assert np.array_equal(found["layers.1.conv.weight"], from_matrix(prune(as_matrix(conv, "rsc")), conv.shape, "rsc"))
    for name in ("layers.2.odd.weight", "layers.3.seven.weight", "lm_head.weight", "norm.weight", "wte.weight"):
        assert np.array_equal(found[name], NETWORK[name])
    assert {row.name: row.reason for row in report.weights} == {
        "layers.0.up": "",
        "layers.1.conv": "",
        "layers.2.odd": "k = 20 is no multiple of 16",
        "layers.3.seven": "k = 7 is no multiple of 4",
        "lm_head": "head (see only)",
    }
    assert report.other_tensors == 2


def test_what_stays_and_what_it_takes_is_counted(source: Path, tmp_path: Path) -> None:
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors")
    row = report.weights[0]
    w = NETWORK["layers.0.up.weight"].astype(np.float64)
    assert row.kept_share == pytest.approx(float(np.abs(prune(w)).sum() / np.abs(w).sum()), rel=1e-12)
    assert (row.dense_bytes, row.compressed_bytes) == (32 * 64 * 2, 32 * 64 * 2 * 9 // 16)
    assert report.weights[1].order == "rsc" and row.order == ""
    assert (report.source_bytes, report.target_bytes) == (source.stat().st_size, (tmp_path / "out.safetensors").stat().st_size)
    found, pruned = arrays_of(tmp_path / "out.safetensors"), [weight.tensor for weight in report.pruned]
    kept, total = (sum(np.abs(each[name], dtype=np.float64).sum() for name in pruned) for each in (found, NETWORK))
    assert report.kept_share == pytest.approx(kept / total, rel=1e-12)


@pytest.mark.parametrize("pattern", ["1:4", "2:8", "4:8-pairs"])
def test_other_patterns(pattern: str, source: Path, tmp_path: Path) -> None:
    stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", pattern=pattern)
    w = NETWORK["layers.0.up.weight"]
    assert np.array_equal(arrays_of(tmp_path / "out.safetensors")["layers.0.up.weight"], prune(w, pattern))


@pytest.mark.parametrize("method", ["2d-best", "2d-greedy"])
def test_two_dimensional_methods_hold_2_4_along_columns_too(method: str, source: Path, tmp_path: Path) -> None:
    stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", method=method)
    found = arrays_of(tmp_path / "out.safetensors")
    w, conv = NETWORK["layers.0.up.weight"], NETWORK["layers.1.conv.weight"]
    assert np.array_equal(found["layers.0.up.weight"], prune(w, method=method))
    assert reduction_order(found["layers.0.up.weight"].T) == "both"
    assert reduction_order(as_matrix(found["layers.1.conv.weight"], "rsc").T) == "both"
    assert np.array_equal(as_matrix(found["layers.1.conv.weight"], "rsc"), prune(as_matrix(conv, "rsc"), method=method))


def test_the_order_of_memory_for_filters_is_another_pattern(source: Path, tmp_path: Path) -> None:
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", conv_order="crs")
    assert reduction_order(arrays_of(tmp_path / "out.safetensors")["layers.1.conv.weight"]) == "crs"
    assert report.weights[1].order == "crs"


def test_only_and_keep_dense_speak_as_run_does(source: Path, tmp_path: Path) -> None:
    def pruned(**options: Any) -> list[str]:
        out = tmp_path / "out.safetensors"
        return [row.name for row in stcsim.prune_checkpoint(source, out, **options).pruned]

    assert pruned(only=["lm_head"]) == ["lm_head"]
    assert pruned(only=["layers.2.odd.weight"]) == ["layers.2.odd"]
    assert pruned(only=["1-3"]) == ["layers.0.up", "layers.1.conv", "layers.2.odd"]
    assert pruned(keep_dense=["first"]) == ["layers.1.conv"]
    assert pruned(keep_dense=["*.conv"], only=["layers.*"]) == ["layers.0.up", "layers.2.odd"]
    assert pruned(only=["last"]) == ["lm_head"]  # heads are counted last


def test_layers_are_counted_by_their_names_with_numbers_as_numbers(tmp_path: Path) -> None:
    names = ["h.0", "h.1", "h.10", "h.2"]
    source = write(tmp_path / "in.safetensors", {f"{name}.weight": drawn(16, 16) for name in names})
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", only=["3"])
    assert [row.name for row in report.weights] == ["h.0", "h.1", "h.2", "h.10"]
    assert [row.name for row in report.pruned] == ["h.2"]


def test_codes_of_bf16_and_fp8_are_pruned_by_what_they_stand_for(tmp_path: Path) -> None:
    codes = np.array([[0x3F80, 0xC000, 0x8000, 0x4040] * 4] * 2, np.uint16)  # 1, -2, -0, 3
    small = np.array([[0x38, 0xC0, 0x7E, 0x80] * 8] * 2, np.uint8)  # e4m3: 1, -2, 448, -0
    write(tmp_path / "in.safetensors", {"a.weight": codes, "b.weight": small}, {"b.weight": "F8_E4M3"})
    report = stcsim.prune_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    found = arrays_of(tmp_path / "out.safetensors")
    assert found["a.weight"].tolist() == [[0, 0xC000, 0, 0x4040] * 4] * 2
    assert found["b.weight"].tolist() == [[0, 0xC0, 0x7E, 0] * 8] * 2
    assert [row.kept_share for row in report.weights] == [5 / 6, 450 / 451]


def test_gpt_2_lies_as_inputs_and_outputs_and_is_pruned_along_inputs(tmp_path: Path) -> None:
    w = drawn(16, 48)
    write(tmp_path / "in.safetensors", {"h.0.attn.c_attn.weight": w, "h.0.attn.c_attn.bias": drawn(48)})
    report = stcsim.prune_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    assert (report.weights[0].m, report.weights[0].k) == (48, 16)
    assert np.array_equal(arrays_of(tmp_path / "out.safetensors")["h.0.attn.c_attn.weight"], prune(w, axis=0))


def test_experts_are_pruned_each(tmp_path: Path) -> None:
    w = drawn(3, 32, 16)
    write(tmp_path / "in.safetensors", {"mlp.experts.down_proj": w, "mlp.gate.weight": drawn(3, 32)})
    report = stcsim.prune_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    assert np.array_equal(arrays_of(tmp_path / "out.safetensors")["mlp.experts.down_proj"], prune(w))
    assert [row.reason for row in report.weights if row.name == "mlp.gate"] == ["router of experts (see only)"]


@pytest.mark.parametrize("options", [{}, {"method": "2d-best"}, {"permute": True}])
def test_slabs_of_any_size_give_the_same_file(
    options: dict[str, Any], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpt = {"mlp.c_fc.weight": drawn(16, 64), "mlp.c_proj.weight": drawn(64, 16, seed=9)}
    source = write(tmp_path / "in.safetensors", {**NETWORK, **gpt, "mlp.c_fc.bias": drawn(64)})
    whole = stcsim.prune_checkpoint(source, tmp_path / "whole.safetensors", masks=tmp_path / "whole.npz", **options)
    monkeypatch.setattr(slabs, "_SLAB_ELEMENTS", 200)
    parts = stcsim.prune_checkpoint(source, tmp_path / "parts.safetensors", masks=tmp_path / "parts.npz", **options)
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "parts.safetensors").read_bytes()
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "parts.npz").read_bytes()
    for one, other in zip(whole.weights, parts.weights, strict=True):
        assert (one.kept_share or 0) == pytest.approx(other.kept_share or 0, rel=1e-12)
        assert (one.kept_share_unpermuted or 0) == pytest.approx(other.kept_share_unpermuted or 0, rel=1e-12)


def test_masks_are_written_and_taken_again_in_bytes_and_bits(source: Path, tmp_path: Path) -> None:
    stcsim.prune_checkpoint(source, tmp_path / "a.safetensors", method="2d-greedy", masks=tmp_path / "m.safetensors")
    stcsim.prune_checkpoint(source, tmp_path / "b.safetensors", method="2d-greedy", masks=tmp_path / "b.npz", pack_masks=True)
    masks, bits = arrays_of(tmp_path / "m.safetensors"), arrays_of(tmp_path / "b.npz")
    expected = keep_mask(NETWORK["layers.0.up.weight"], method="2d-greedy")
    assert list(masks) == ["layers.0.up.weight", "layers.1.conv.weight"] and np.array_equal(masks["layers.0.up.weight"], expected)
    assert np.array_equal(bits["layers.0.up.weight"], np.packbits(expected, axis=-1, bitorder="little"))
    for mask in ("m.safetensors", "b.npz"):
        report = stcsim.prune_checkpoint(source, tmp_path / "again.safetensors", mask=tmp_path / mask)
        assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()
        assert {row.reason for row in report.weights if not row.is_pruned} == {"no mask"}


@pytest.mark.parametrize(
    "name", ["layers.0.up", "layers.0.up._weight_mask", "layers.0.up.weight_mask", "layers.0.up.__weight_mma_mask"]
)
def test_masks_are_found_under_the_names_that_other_programs_give_them(name: str, source: Path, tmp_path: Path) -> None:
    keep = keep_mask(drawn(32, 64, seed=11))
    np.savez(tmp_path / "m.npz", **{name: keep.astype(np.float32)})
    stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", mask=tmp_path / "m.npz")
    found = arrays_of(tmp_path / "out.safetensors")["layers.0.up.weight"]
    assert np.array_equal(found, np.where(keep, NETWORK["layers.0.up.weight"], 0))


def test_a_mask_of_filters_in_the_order_of_memory_is_taken_and_named(source: Path, tmp_path: Path) -> None:
    keep = keep_mask(drawn(16, 144, seed=12)).reshape(16, 16, 3, 3)
    np.savez(tmp_path / "m.npz", **{"layers.1.conv.weight": keep})
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", mask=tmp_path / "m.npz")
    assert [row.order for row in report.pruned] == ["crs"]


def test_scores_say_what_stays(source: Path, tmp_path: Path) -> None:
    scores = drawn(32, 64, seed=13, dtype="float32")
    np.savez(tmp_path / "s.npz", **{"layers.0.up": scores})
    stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", scores=tmp_path / "s.npz", only=["layers.0.up"])
    expected = prune(NETWORK["layers.0.up.weight"], scores=scores)
    assert np.array_equal(arrays_of(tmp_path / "out.safetensors")["layers.0.up.weight"], expected)


def test_an_archive_of_numpy_becomes_another(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "in.npz", w1=drawn(16, 32), b1=drawn(16))
    stcsim.prune_checkpoint(tmp_path / "in.npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        assert np.array_equal(found["w1"], prune(drawn(16, 32))) and np.array_equal(found["b1"], drawn(16))


def folder_of(path: Path) -> Path:
    """A Hugging Face folder of two shards, with files beside them."""
    path.mkdir()
    write(path / "model-00001-of-00002.safetensors", {"a.weight": drawn(32, 64), "norm.weight": drawn(64)})
    write(path / "model-00002-of-00002.safetensors", {"b.weight": drawn(16, 32, seed=1), "lm_head.weight": drawn(8, 16, seed=2)})
    places = {"a.weight": 1, "norm.weight": 1, "b.weight": 2, "lm_head.weight": 2}
    index = {
        "metadata": {"total_size": 5504},
        "weight_map": {n: f"model-0000{at}-of-00002.safetensors" for n, at in places.items()},
    }
    (path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (path / "config.json").write_text('{"hidden_size": 64}', encoding="utf-8")
    (path / "tokenizer.json").write_text("{}", encoding="utf-8")
    (path / "pytorch_model.bin").write_bytes(b"the dense weights again")
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text("{}", encoding="utf-8")
    (path / ".cache").mkdir()
    (path / ".cache" / "lock").touch()
    return path


def names_in(path: Path) -> list[str]:
    return sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())


def test_a_folder_keeps_its_shards_and_its_other_files_but_not_the_dense_weights(tmp_path: Path) -> None:
    source, out = folder_of(tmp_path / "in"), tmp_path / "out"
    report = stcsim.prune_checkpoint(source, out)
    assert names_in(out) == [
        "1_Pooling/config.json", "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "tokenizer.json",
    ]  # fmt: skip
    assert report.left_out == ("pytorch_model.bin",)
    assert np.array_equal(arrays_of(out)["b.weight"], prune(drawn(16, 32, seed=1)))
    for name in ("config.json", "model.safetensors.index.json"):
        assert (out / name).read_bytes() == (source / name).read_bytes()


def test_a_folder_in_the_layout_sparse_24_bitmask_says_so_and_is_read_again(tmp_path: Path) -> None:
    source, out = folder_of(tmp_path / "in"), tmp_path / "out"
    stcsim.prune_checkpoint(source, out, layout="sparse-24-bitmask")
    found = arrays_of(out / "model-00001-of-00002.safetensors")
    index = json.loads((out / "model.safetensors.index.json").read_text(encoding="utf-8"))
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert sorted(index["weight_map"]) == [
        "a.bitmask", "a.compressed", "a.shape", "b.bitmask", "b.compressed", "b.shape", "lm_head.weight", "norm.weight",
    ]  # fmt: skip
    sparsity = config["quantization_config"]["sparsity_config"]
    assert (sparsity["format"], sparsity["sparsity_structure"], sparsity["ignore"]) == ("sparse-24-bitmask", "2:4", ["lm_head"])
    assert config["hidden_size"] == 64 and config["quantization_config"]["quant_method"] == "compressed-tensors"
    assert np.array_equal(found["a.weight"], prune(drawn(32, 64)))  # seen through
    again = tmp_path / "again"
    stcsim.prune_checkpoint(out, again)
    assert np.array_equal(arrays_of(again)["a.weight"], prune(drawn(32, 64)))
    assert json.loads((again / "config.json").read_text(encoding="utf-8")) == {"hidden_size": 64}
    assert sorted(json.loads((again / "model.safetensors.index.json").read_text(encoding="utf-8"))["weight_map"]) == [
        "a.weight", "b.weight", "lm_head.weight", "norm.weight",
    ]  # fmt: skip


def test_the_parts_of_sparse_24_bitmask_are_those_of_compressed_tensors(source: Path, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", layout="sparse-24-bitmask", masks=tmp_path / "m.npz")
    parts = safetensors.load_file(tmp_path / "out.safetensors")
    assert parts["layers.0.up.shape"].tolist() == [[32], [64]] and parts["layers.0.up.shape"].dtype == np.int64
    packed = Bitmask24(parts["layers.0.up.compressed"], parts["layers.0.up.bitmask"], (32, 64))
    assert np.array_equal(unpack_bitmask(packed), prune(NETWORK["layers.0.up.weight"]))
    assert "layers.1.conv.weight" in parts and "layers.0.up.weight" not in parts  # filters stay in place, with zeros
    assert np.array_equal(arrays_of(tmp_path / "m.npz")["layers.0.up.weight"], keep_mask(NETWORK["layers.0.up.weight"]))


def test_the_strings_in_a_header_are_kept_and_torch_reads_the_file(tmp_path: Path) -> None:
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    w = torch.from_numpy(drawn(16, 32)).to(torch.bfloat16)
    safetensors.save_file({"a.weight": w}, tmp_path / "in.safetensors", metadata={"format": "pt"})
    stcsim.prune_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    found = safetensors.load_file(tmp_path / "out.safetensors")["a.weight"]
    keep = torch.from_numpy(keep_mask(w.view(torch.uint16).numpy(), dtype="bf16"))
    assert found.equal(w * keep) and found.dtype == torch.bfloat16
    with safetensors.safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_progress_reaches_the_end(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    stcsim.prune_checkpoint(source, tmp_path / "out.safetensors", progress=lambda done, of: seen.append((done, of)))
    assert len(seen) == len(NETWORK) and seen[-1][0] == seen[-1][1] == sum(each.nbytes for each in NETWORK.values())


def test_what_is_pruned_is_exactly_2_4_to_inspect(source: Path, tmp_path: Path) -> None:
    report = stcsim.prune_checkpoint(source, tmp_path / "out.safetensors")
    found = stcsim.inspect_checkpoint(tmp_path / "out.safetensors")
    exact = {weight.name for weight in found.weights if weight.state == "2:4"}
    assert exact == {row.tensor for row in report.pruned}
