"""Where channels may be permuted, by the names of modules: rows of networks whose layers stand beside each other in a known way.

A file of weights has no graph. A row says: in a module that holds just these parts, the makers' outputs go, element by element
(activations, products of two makers, batch norm at inference), into the taker's inputs. So both may be permuted alike. A module
with anything else in it, e.g. a norm between that the row does not know, is refused and said so.

Sources: modelling code of transformers 5.23, torchvision, timm and torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """One way in which layers stand beside each other.

    Attributes:
        name: of what, for people.
        makers: modules that put the channels out, relative to the scope; ``{i}`` is a number.
        taker: the module that takes them in; ``{j}`` is the number after ``{i}``.
        norm: the batch norm between, whose vectors are permuted along; empty for none.
        norm_may_precede: networks of other authors have the norm of that number before the maker, so sizes must tell.
        blocks: how often the channels stand one after the other in a maker's outputs (gate and up in one matrix).
        heads: channels are those of attention's values: they may be permuted within a head alone.
        queries: the module of the queries, which must be as many as the taker's inputs: a gate among them would need the order.
        fused: the maker puts out queries and keys before the values.
        beside: pattern of names, relative to the scope, that may stand in it without touching the channels.
    """

    name: str
    makers: tuple[str, ...]
    taker: str
    norm: str = ""
    norm_may_precede: bool = False
    blocks: int = 1
    heads: bool = False
    queries: str = ""
    fused: bool = False
    beside: str = ""


_LAYER = r"\w*(attn|attention)\w*(\..*)?|(\w*layer_?norm\w*|norm\d?|norm\w*)\..*"
"""A transformer layer's own attention and norms, which read and write its stream, not the channels inside its MLP."""
_QK = r"[qk]_(proj|norm|layernorm)\..*|rotary_emb\..*"
_RESIDUAL = r"(conv|bn)\d\..*|(downsample|shortcut)\..*"
_SEQUENCE = r"(layers?)\.\d+\.(convolution|normalization|conv|norm)\..*|shortcut\..*"

FAMILIES: tuple[Family, ...] = (
    Family("gated MLP (Llama, Mistral, Qwen, Gemma)", ("gate_proj", "up_proj"), "down_proj"),
    Family("gated MLP in one matrix (Phi-3)", ("gate_up_proj",), "down_proj", blocks=2),
    Family("gated MLP (Llama as Meta stores it, Mixtral)", ("w1", "w3"), "w2"),
    Family("gated MLP (T5 v1.1)", ("wi_0", "wi_1"), "wo", beside="layer_norm.*"),
    Family("MLP (T5)", ("wi",), "wo", beside="layer_norm.*"),
    Family("MLP (BERT)", ("intermediate.dense",), "output.dense", beside=_LAYER + r"|output\.LayerNorm\..*"),
    Family("MLP (GPT-2)", ("c_fc",), "c_proj"),
    Family("MLP (OPT, BART, Whisper, CLIP, ViT)", ("fc1",), "fc2", beside=_LAYER),
    Family("MLP (Phi, GPT-J)", ("fc_in",), "fc_out"),
    Family("MLP (DistilBERT)", ("lin1",), "lin2"),
    Family("MLP (torch.nn.TransformerEncoderLayer)", ("linear1",), "linear2", beside=_LAYER),
    Family("MLP (GPT-NeoX, Bloom, Falcon)", ("dense_h_to_4h",), "dense_4h_to_h"),
    Family("values of attention (Llama and most)", ("v_proj",), "o_proj", heads=True, queries="q_proj", beside=_QK),
    Family("values of attention (OPT, BART, Whisper, CLIP)", ("v_proj",), "out_proj", heads=True, queries="q_proj", beside=_QK),
    Family(
        "values of attention (BERT)", ("self.value",), "output.dense", heads=True, queries="self.query",
        beside=r"self\.(query|key)\..*|output\.LayerNorm\..*",
    ),
    Family(
        "values of attention (ViT)", ("attention.value",), "output.dense", heads=True, queries="attention.query",
        beside=r"attention\.(query|key)\..*",
    ),
    Family("values of attention (T5)", ("v",), "o", heads=True, queries="q", beside=r"[qk]\..*|relative_attention_bias\..*"),
    Family("values of attention (DistilBERT)", ("v_lin",), "out_lin", heads=True, queries="q_lin", beside=r"[qk]_lin\..*"),
    Family("values of attention (GPT-2)", ("c_attn",), "c_proj", heads=True, fused=True, beside=r"bias|masked_bias"),
    Family("values of attention (Phi-3)", ("qkv_proj",), "o_proj", heads=True, fused=True, beside=r"rotary_emb\..*"),
    Family("ResNet block (torchvision, timm)", ("conv{i}",), "conv{j}", norm="bn{i}", norm_may_precede=True, beside=_RESIDUAL),
    Family(
        "ResNet block (transformers)", ("layer.{i}.convolution",), "layer.{j}.convolution", norm="layer.{i}.normalization",
        beside=_SEQUENCE,
    ),
    Family("ResNet block (stcsim's zoo)", ("layers.{i}.conv",), "layers.{j}.conv", norm="layers.{i}.norm", beside=_SEQUENCE),
)  # fmt: skip

HEAD_DIMS = ("head_dim", "d_kv", "attention_head_dim")
"""Keys of a configuration that say how many channels a head has."""
WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads")
"""Keys that say it by a quotient; where two of them say different things, nobody knows."""
SECTIONS = (("vision_model", "vision_config"), ("vision_tower", "vision_config"), ("visual", "vision_config"),
            ("text_model", "text_config"), ("language_model", "text_config"))  # fmt: skip
"""Parts of a network that have a configuration of their own."""
