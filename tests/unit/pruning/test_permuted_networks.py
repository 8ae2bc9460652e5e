"""Do real architectures compute the same after their channels were permuted, and is more of them kept?

Weights are random with spread channels, networks small. In float64 outputs agree to rounding, 1e-12 of the largest; they are not
equal bit for bit, since sums run in another order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stcsim
from stcsim.checkpoint import open_checkpoint

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")
safetensors = pytest.importorskip("safetensors.torch")
transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
WORDS = {"vocab_size": 50, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1}
IDS = {"input_ids": torch.arange(12)[None]}
BOTH = {**IDS, "decoder_input_ids": torch.arange(8)[None]}
IMAGE = {"pixel_values": torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "vocab_size": 50}
OPT = {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "word_embed_proj_dim": 32}
RESNET = {"depths": [2, 1], "hidden_sizes": [64, 128], "embedding_size": 16}

NETWORKS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], int]] = {
    "llama with grouped queries": ("Llama", "ForCausalLM", {**SIZES, **WORDS, "num_key_value_heads": 2}, IDS, 4),
    "phi-3": ("Phi3", "ForCausalLM", {**SIZES, **WORDS, "num_key_value_heads": 2}, IDS, 4),
    "bert": ("Bert", "ForSequenceClassification", {**SIZES, "vocab_size": 50}, IDS, 4),
    "gpt-2": ("GPT2", "LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, **WORDS}, IDS, 4),
    "vit": ("ViT", "ForImageClassification", {**SIZES, "image_size": 32, "patch_size": 8}, IMAGE, 4),
    "t5": ("T5", "ForConditionalGeneration", T5, BOTH, 10),
    "t5 1.1": ("T5", "ForConditionalGeneration", {**T5, "feed_forward_proj": "gated-gelu"}, BOTH, 10),
    "opt": ("OPT", "ForCausalLM", {**OPT, **WORDS}, IDS, 4),
    "resnet with bottlenecks": ("ResNet", "ForImageClassification", RESNET, IMAGE, 6),
    "resnet with basic blocks": ("ResNet", "ForImageClassification", {**RESNET, "layer_type": "basic"}, IMAGE, 3),
}  # fmt: skip
"""Class, its ending, configuration, inputs, and how many weights take permuted channels."""


def scattered(model: Any) -> Any:
    """Return ``model`` with random weights of unlike channels, and batch norms that have seen something."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = torch.exp(torch.randn(parameter.shape, generator=draw) / 2)
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * (0.2 if parameter.dim() > 1 else 1) * spread)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(torch.rand(buffer.shape, generator=draw) + 0.5)
    return model.eval()


def agree(before: Any, after: Any) -> bool:
    return bool((before - after).abs().max() <= 1e-12 * before.abs().max())


def run(model: Any, inputs: dict[str, Any]) -> Any:
    with torch.no_grad():
        doubles = {name: each.double() if each.is_floating_point() else each for name, each in inputs.items()}
        return model.double()(**doubles).logits


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_transformers_computes_the_same_and_keeps_more(name: str, tmp_path: Path) -> None:
    family, ending, config, inputs, takers = NETWORKS[name]
    kind = getattr(transformers, family + ending)
    model = scattered(kind(getattr(transformers, f"{family}Config")(**config)))
    model.save_pretrained(tmp_path / "in")
    stcsim.prune_checkpoint(tmp_path / "in", tmp_path / "permuted", permute="only")
    assert agree(run(model, inputs), run(kind.from_pretrained(tmp_path / "permuted").eval(), inputs))
    report = stcsim.prune_checkpoint(tmp_path / "in", tmp_path / "pruned", permute=True)
    permuted = [row for row in report.weights if row.permutation]
    assert len(permuted) == takers
    assert all((row.kept_share or 0) >= (row.kept_share_unpermuted or 1) for row in permuted)
    assert report.kept_share is not None and report.kept_share_unpermuted is not None
    assert report.kept_share > report.kept_share_unpermuted + 0.005


def test_grouped_queries_permuted_as_if_they_were_not_would_change_results(tmp_path: Path) -> None:
    """The scene fails if heads are mixed up: with a wrong number of heads outputs differ."""
    _, _, config, inputs, _ = NETWORKS["llama with grouped queries"]
    model = scattered(transformers.LlamaForCausalLM(transformers.LlamaConfig(**config)))
    model.save_pretrained(tmp_path / "in")
    said = (tmp_path / "in" / "config.json").read_text(encoding="utf-8")
    lie = said.replace('"head_dim": 8', '"head_dim": 16').replace('"num_key_value_heads": 2', '"num_key_value_heads": 1')
    (tmp_path / "in" / "config.json").write_text(lie, encoding="utf-8")
    stcsim.prune_checkpoint(tmp_path / "in", tmp_path / "wrong", permute="only")
    (tmp_path / "wrong" / "config.json").write_text(said, encoding="utf-8")
    after = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "wrong").eval()
    assert not agree(run(model, inputs), run(after, inputs))


def resnet_of(basic: bool) -> Any:
    from stcsim.capture.zoo.resnet import ResNet

    return ResNet((1, 1, 1, 1), group_width=0 if basic else 64, classes=16)


@pytest.mark.parametrize("basic", [True, False])
def test_the_resnets_of_the_zoo_compute_the_same(basic: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.pruning.permute.WIDTH", 16)  # a short search finds another order, which must do as well
    model = scattered(resnet_of(basic)).double()
    safetensors.save_file(model.state_dict(), tmp_path / "in.safetensors")
    report = stcsim.prune_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors", permute="only")
    with torch.no_grad():
        before = model(IMAGE["pixel_values"].double())
        model.load_state_dict(safetensors.load_file(tmp_path / "out.safetensors"))
        assert agree(before, model(IMAGE["pixel_values"].double()))
    assert sum(bool(row.permutation) for row in report.weights) == (4 if basic else 8)


@pytest.mark.parametrize("names", [lambda name: name, lambda name: f"encoder.{name}"], ids=["at the top", "in a module"])
def test_torch_s_own_transformer_layer_computes_the_same(names: Callable[[str], str], tmp_path: Path) -> None:
    model = scattered(torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)).double()
    safetensors.save_file({names(name): each for name, each in model.state_dict().items()}, tmp_path / "in.safetensors")
    stcsim.prune_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors", permute="only")
    x = torch.linspace(-1, 1, 5 * 32).reshape(1, 5, 32).double()
    with torch.no_grad():
        before = model(x)
        found = safetensors.load_file(tmp_path / "out.safetensors")
        model.load_state_dict({name: found[names(name)] for name in model.state_dict()})
        assert agree(before, model(x))
    with open_checkpoint(tmp_path / "in.safetensors") as file:
        assert not torch.from_numpy(file[names("linear1.bias")].codes().copy()).equal(found[names("linear1.bias")])
