"""Do networks of the transformers library run on the datapath as they are, every product of them?"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (pip install stcsim[torch])")

from stcsim.numerics import torch as simulated  # noqa: E402

SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
IDS = torch.randint(3, 90, (2, 10), generator=torch.Generator().manual_seed(0))
IMAGE = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))

#: (model, configuration, arguments, products with attention as one operator)
NETWORKS = {
    "bert": ("BertModel", {**SIZES, "vocab_size": 100}, {"input_ids": IDS}, 17),
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}, {"input_ids": IDS}, 13),
    "llama": ("LlamaForCausalLM", {**SIZES, "num_key_value_heads": 2, "vocab_size": 100}, {"input_ids": IDS}, 19),
    "mixtral": ("MixtralForCausalLM", {**SIZES, "num_key_value_heads": 2, "vocab_size": 100}, {"input_ids": IDS}, None),
    "t5": ("T5EncoderModel", {"d_model": 64, "d_ff": 128, "num_layers": 2, "num_heads": 4, "d_kv": 16}, {"input_ids": IDS}, 16),
    "vit": ("ViTModel", {**SIZES, "image_size": 32, "patch_size": 8}, {"pixel_values": IMAGE}, 18),
    "whisper": (
        "WhisperModel",
        {"d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
         "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "max_source_positions": 50},
        {"input_features": torch.randn(1, 80, 100), "decoder_input_ids": IDS[:1]},
        24,
    ),
}  # fmt: skip


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("model_type", "dtype"), [("float32", "fp16"), ("bfloat16", "bf16"), ("bfloat16", "int8")])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_runs_whole(name: str, model_type: str, dtype: str, attention: str) -> None:
    kind, sizes, arguments, products = NETWORKS[name]
    torch.manual_seed(0)
    config = getattr(transformers, kind).config_class(**sizes, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    config._attn_implementation = attention
    model = getattr(transformers, kind)(config).eval()
    if "use_cache" in model.forward.__code__.co_varnames:
        arguments = {**arguments, "use_cache": False}
    with torch.no_grad():
        expected = model(**arguments)[0]
        model = model.to(getattr(torch, model_type))
        given = {
            key: each.to(model.dtype) if torch.is_tensor(each) and each.is_floating_point() else each
            for key, each in arguments.items()
        }
        reference = "network" if products else "layer"  # tokens may come to other experts in fp32
        with simulated.datapath("h100", dtype, sparse="auto", reference=reference) as record:
            result = model(**given)[0]
    assert result.dtype == model.dtype
    assert record.not_simulated == []
    assert products in (None, len(record.layers))
    assert all(row.errors.cosine > 0.998 for row in record.layers)
    assert (result.float() - expected).abs().mean() < 0.03 * expected.abs().mean()
