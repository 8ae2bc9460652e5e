"""Small models of transformers, and what torch's counter says they multiply: ``python -m tests.unit.capture.architectures``."""

from __future__ import annotations

import re
import warnings
from typing import Any

Sizes = dict[str, Any]
Row = tuple[str, Sizes, tuple[str, ...]]

S: Sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100}
KV: Sizes = {**S, "num_key_value_heads": 2}
IDS = ("input_ids=1x32:int64",)
PX = ("pixel_values=1x3x32x32",)
V = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "image_size": 32,
    "patch_size": 8,
}
ED: Sizes = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "vocab_size": 100,
}
EDI = ("input_ids=1x32:int64", "decoder_input_ids=1x16:int64")
SND: Sizes = {
    **{k: S[k] for k in S if k != "vocab_size"},
    "conv_dim": [32] * 3,
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 2, 2],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
ROWS: list[Row] = [
    ("BertModel", S, IDS),
    ("RobertaModel", S, IDS),
    ("ElectraModel", {**S, "embedding_size": 64}, IDS),
    ("AlbertModel", {**S, "embedding_size": 32}, IDS),
    ("DistilBertModel", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "vocab_size": 100}, IDS),
    ("DebertaModel", {**S, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, IDS),
    ("DebertaV2Model", {**S, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": True}, IDS),
    ("LongformerModel", {**S, "attention_window": [8, 8]}, IDS),
    ("BigBirdModel", {**S, "attention_type": "original_full"}, IDS),
    ("MPNetModel", S, IDS),
    (
        "ModernBertModel",
        {**S, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 3, "sep_token_id": 4},
        IDS,
    ),
    ("XLNetModel", {"d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 128, "vocab_size": 100}, IDS),
    (
        "FunnelModel",
        {
            "d_model": 64,
            "n_head": 4,
            "d_head": 16,
            "d_inner": 128,
            "block_sizes": [1, 1],
            "num_decoder_layers": 1,
            "vocab_size": 100,
        },
        IDS,
    ),
    ("GPT2LMHeadModel", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}, IDS),
    ("GPTNeoXForCausalLM", S, IDS),
    ("GPTJForCausalLM", {"n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "vocab_size": 100}, IDS),
    (
        "OPTForCausalLM",
        {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 128,
            "vocab_size": 100,
            "word_embed_proj_dim": 64,
        },
        IDS,
    ),
    ("BloomForCausalLM", {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}, IDS),
    ("LlamaForCausalLM", KV, IDS),
    ("MistralForCausalLM", KV, IDS),
    ("Qwen2ForCausalLM", KV, IDS),
    ("Gemma2ForCausalLM", {**KV, "head_dim": 16}, IDS),
    ("Qwen3ForCausalLM", {**KV, "head_dim": 16}, IDS),
    ("PhiForCausalLM", S, IDS),
    ("FalconForCausalLM", {k: S[k] for k in S if k != "intermediate_size"}, IDS),
    ("MixtralForCausalLM", {**KV, "num_local_experts": 4, "num_experts_per_tok": 2}, IDS),
    (
        "Qwen2MoeForCausalLM",
        {**KV, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 64},
        IDS,
    ),
    ("MambaForCausalLM", {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8, "vocab_size": 100}, IDS),
    ("RwkvForCausalLM", {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "attention_hidden_size": 64}, IDS),
    (
        "T5ForConditionalGeneration",
        {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 100},
        EDI,
    ),
    ("BartForConditionalGeneration", ED, EDI),
    ("MarianMTModel", {**ED, "decoder_vocab_size": 100, "pad_token_id": 0, "decoder_start_token_id": 0}, EDI),
    ("PegasusForConditionalGeneration", ED, EDI),
    (
        "WhisperForConditionalGeneration",
        {
            **ED,
            "num_mel_bins": 8,
            "max_source_positions": 32,
            "max_target_positions": 32,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
        },
        ("input_features=1x8x64", "decoder_input_ids=1x16:int64"),
    ),
    ("Wav2Vec2Model", SND, ("input_values=1x1600",)),
    ("HubertModel", SND, ("input_values=1x1600",)),
    ("WavLMModel", SND, ("input_values=1x1600",)),
    ("ViTModel", V, PX),
    ("DeiTModel", V, PX),
    ("BeitModel", V, PX),
    ("Dinov2Model", {k: V[k] for k in V if k != "intermediate_size"}, PX),
    (
        "SwinModel",
        {"image_size": 32, "patch_size": 4, "embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4},
        PX,
    ),
    (
        "Swinv2Model",
        {"image_size": 32, "patch_size": 4, "embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4},
        PX,
    ),
    ("ConvNextModel", {"hidden_sizes": [16, 32], "depths": [1, 2], "num_stages": 2}, PX),
    ("ResNetModel", {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 2]}, PX),
    ("RegNetModel", {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 2], "groups_width": 8}, PX),
    (
        "SegformerForSemanticSegmentation",
        {
            "hidden_sizes": [16, 32, 32, 64],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 4],
            "decoder_hidden_size": 32,
        },
        ("pixel_values=1x3x64x64",),
    ),
    ("PoolFormerModel", {"hidden_sizes": [16, 32, 32, 64], "depths": [1, 1, 1, 1]}, ("pixel_values=1x3x64x64",)),
    (
        "MobileViTModel",
        {"image_size": 64, "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 16, 16, 24, 24, 32, 64]},
        ("pixel_values=1x3x64x64",),
    ),
    ("CLIPVisionModel", V, PX),
    ("CLIPTextModel", S, IDS),
    ("SiglipVisionModel", V, PX),
    (
        "DPTForDepthEstimation",
        {
            **V,
            "image_size": 64,
            "num_hidden_layers": 4,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [16, 16, 32, 32],
            "fusion_hidden_size": 16,
        },
        ("pixel_values=1x3x64x64",),
    ),
    (
        "PerceiverModel",
        {
            "d_model": 64,
            "d_latents": 32,
            "num_latents": 8,
            "num_self_attends_per_block": 2,
            "num_self_attention_heads": 2,
            "num_cross_attention_heads": 2,
        },
        ("inputs=1x32x64",),
    ),
    (
        "EncodecModel",
        {"num_filters": 8, "hidden_size": 32, "codebook_size": 32, "codebook_dim": 32, "upsampling_ratios": [4, 2]},
        ("input_values=1x1x1600",),
    ),
    (
        "VitsModel",
        {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "ffn_dim": 128,
            "flow_size": 64,
            "spectrogram_bins": 33,
            "vocab_size": 38,
            "upsample_initial_channel": 32,
            "upsample_rates": [4, 4],
            "upsample_kernel_sizes": [8, 8],
            "prior_encoder_num_flows": 2,
            "depth_separable_num_layers": 2,
            "duration_predictor_num_flows": 2,
            "use_stochastic_duration_prediction": False,
            "speaking_rate": 1.0,
            "noise_scale": 0.0,
        },
        IDS,
    ),
    ("MobileBertModel", {**S, "embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32}, IDS),
    (
        "DacModel",
        {
            "encoder_hidden_size": 8,
            "downsampling_ratios": [2, 4],
            "decoder_hidden_size": 32,
            "n_codebooks": 2,
            "codebook_size": 16,
            "codebook_dim": 4,
        },
        ("input_values=1x1x1600",),
    ),
]

#: What FlopCounterMode does not count: recurrent layers (steps of the two-layer LSTMs of EnCodec).
UNCOUNTED = {"EncodecModel": 8 * 819_200}


def counted(name: str, sizes: Sizes, inputs: tuple[str, ...]) -> int:
    """Return the multiply-accumulates of a model on the CPU, with random weights, by FlopCounterMode."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from stcsim.capture.factory import given
    from stcsim.capture.pretrained import _model
    from stcsim.capture.tensors import read_shapes

    config, kind = _model(name, name, sizes)
    torch.manual_seed(0)
    model = kind(config).eval().requires_grad_(False)
    if name == "VitsModel":  # whose output is as long as this says: as without data
        for parameter in model.duration_predictor.proj.parameters():
            parameter.zero_()
    if sizes.get("num_experts_per_tok"):
        model.set_experts_implementation("eager")
    tensors = given(read_shapes(name, inputs), 1).by_name
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(**tensors)
    flops: int = counter.get_total_flops()
    return flops // 2 + UNCOUNTED.get(name, 0)


def captured(name: str, sizes: Sizes, inputs: tuple[str, ...]) -> tuple[int, int]:
    """Return the multiply-accumulates of the trace, and those that it says are folded."""
    from stcsim.capture import capture

    trace = capture(f"transformers:{name}", arguments=sizes, inputs=inputs)
    folded = re.search(r"parameters \(([\d,]+) MACs\)", trace.source.notes)
    return trace.macs, int(folded[1].replace(",", "")) if folded else 0


def main() -> None:
    """Print a line for each model, and how many are equal."""
    warnings.simplefilter("ignore")
    equal = 0
    for row in ROWS:
        (macs, folded), expected = captured(*row), counted(*row)
        equal += macs + folded == expected
        print(
            f"{row[0]:34}{macs:>12,} + {folded:>10,} folded {expected:>12,} {'equal' if macs + folded == expected else 'DIFFERS'}"
        )
    print(f"{equal} of {len(ROWS)} equal")


if __name__ == "__main__":
    main()
