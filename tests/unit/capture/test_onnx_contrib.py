"""Operators that ONNX Runtime's optimizers and quantizers write: what they return, and what they multiply.

Shapes follow ONNX Runtime's docs/ContribOperators.md; where onnxruntime is installed, it is asked too.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from stcsim.capture.onnx_import.inference import Inference
from stcsim.capture.onnx_import.native import Native
from stcsim.capture.onnx_import.rewriting import rewritten
from stcsim.capture.onnx_import.values import Value
from stcsim.trace import Trace
from tests.unit.onnx_graphs import gemms, model, node, read, steps, weight

F, H, I8, U8, I32, I64 = (getattr(TensorProto, name) for name in "FLOAT FLOAT16 INT8 UINT8 INT32 INT64".split())

Shape = tuple[int, ...]


class Case(NamedTuple):
    """A node; its inputs by name: of numbers fed to it, or stored in the file, of type float unless ``kinds`` says so; results.

    Attributes:
        runs: whether ONNX Runtime has a kernel of it for processors.
    """

    node: onnx.NodeProto
    fed: Mapping[str, Shape]
    stored: Mapping[str, Shape | list[int]]
    returned: list[Shape]
    macs: int
    kinds: Mapping[str, int] = {}
    runs: bool = True


def ms(operator: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    """Return a node of ONNX Runtime."""
    return node(f"com.microsoft.{operator}", inputs, outputs, **attributes)


SCALE: dict[str, Shape] = {"s": (), "z": ()}
ATTENTION = 2 * 4 * 6 * 6 * 8  # 2 samples, 4 heads, 6 tokens, size 8; as often again for the values

CASES = {
    "Attention": Case(
        ms("Attention", "x w b", num_heads=4),
        {"x": (2, 6, 32)},
        {"w": (32, 96), "b": (96,)},
        [(2, 6, 32)],
        12 * 32 * 96 + 2 * ATTENTION,
    ),
    "Attention, values of another width": Case(
        ms("Attention", "x w b", num_heads=4, qkv_hidden_sizes=[32, 32, 64]),
        {"x": (2, 6, 32)},
        {"w": (32, 128), "b": (128,)},
        [(2, 6, 64)],
        12 * 32 * 128 + 3 * ATTENTION,
    ),
    "Attention with a cache": Case(
        ms("Attention", "x w b - p", "y q", num_heads=4, unidirectional=1),
        {"x": (2, 1, 32), "p": (2, 2, 4, 5, 8)},
        {"w": (32, 96), "b": (96,)},
        [(2, 1, 32), (2, 2, 4, 6, 8)],
        2 * 32 * 96 + 2 * ATTENTION // 6,
    ),
    "QAttention": Case(
        ms("QAttention", "x w b s t - z o", num_heads=4),
        {"x": (2, 6, 32)},
        {"w": (32, 96), "b": (96,), "s": (), "t": (), "z": (), "o": ()},
        [(2, 6, 32)],
        12 * 32 * 96 + 2 * ATTENTION,
        {"x": U8, "w": I8, "z": U8, "o": I8},
    ),
    "MultiHeadAttention": Case(
        ms("MultiHeadAttention", "q k v", num_heads=4),
        {"q": (2, 6, 32), "k": (2, 12, 32), "v": (2, 12, 64)},
        {},
        [(2, 6, 64)],
        2 * ATTENTION + 4 * ATTENTION,
    ),
    "MultiHeadAttention with a cache": Case(
        ms("MultiHeadAttention", "q k v - - - c d", "y e f", num_heads=4),
        {"q": (2, 1, 32), "k": (2, 1, 32), "v": (2, 1, 32), "c": (2, 4, 5, 8), "d": (2, 4, 5, 8)},
        {},
        [(2, 1, 32), (2, 4, 6, 8), (2, 4, 6, 8)],
        2 * ATTENTION // 6,
    ),
    "MultiHeadAttention of keys in a cache": Case(
        ms("MultiHeadAttention", "q k v", num_heads=4),
        {"q": (2, 6, 32), "k": (2, 4, 12, 8), "v": (2, 4, 12, 8)},
        {},
        [(2, 6, 32)],
        4 * ATTENTION,
    ),
    "MultiHeadAttention, packed": Case(
        ms("MultiHeadAttention", "q", num_heads=4), {"q": (2, 6, 4, 3, 8)}, {}, [(2, 6, 32)], 2 * ATTENTION, runs=False
    ),
    "MultiHeadAttention, keys and values packed": Case(
        ms("MultiHeadAttention", "q k", num_heads=4),
        {"q": (2, 6, 32), "k": (2, 6, 4, 2, 8)},
        {},
        [(2, 6, 32)],
        2 * ATTENTION,
        runs=False,
    ),
    "DecoderMaskedMultiHeadAttention": Case(
        ms("DecoderMaskedMultiHeadAttention", "q k v - - c d n", "y e f", num_heads=4, past_present_share_buffer=1),
        {"q": (2, 1, 32), "k": (2, 1, 32), "v": (2, 1, 32), "c": (2, 4, 9, 8), "d": (2, 4, 9, 8)},
        {"n": [5]},
        [(2, 1, 32), (2, 4, 9, 8), (2, 4, 9, 8)],
        2 * ATTENTION // 6,
        {"n": I32},
        runs=False,
    ),
    "DecoderMaskedSelfAttention": Case(
        ms("DecoderMaskedSelfAttention", "x w b - p - n", "y q", num_heads=4, past_present_share_buffer=1),
        {"x": (2, 1, 32), "p": (2, 2, 4, 6, 8)},
        {"w": (32, 96), "b": (96,), "n": [5]},
        [(2, 1, 32), (2, 2, 4, 6, 8)],
        2 * 32 * 96 + 2 * ATTENTION // 6,
        {"n": I32},
        runs=False,
    ),
    "GroupQueryAttention": Case(
        ms("GroupQueryAttention", "q k v c d l n", "y e f", num_heads=4, kv_num_heads=2),
        {"q": (2, 1, 32), "k": (2, 1, 16), "v": (2, 1, 16), "c": (2, 2, 5, 8), "d": (2, 2, 5, 8)},
        {"l": [5, 5], "n": [6]},
        [(2, 1, 32), (2, 2, 6, 8), (2, 2, 6, 8)],
        2 * ATTENTION // 6,
        {"l": I32, "n": I32},
    ),
    "GroupQueryAttention, packed": Case(
        ms("GroupQueryAttention", "q - - - - l n", "y e f", num_heads=4, kv_num_heads=2),
        {"q": (2, 6, 64)},
        {"l": [5, 5], "n": [6]},
        [(2, 6, 32), (2, 2, 6, 8), (2, 2, 6, 8)],
        2 * ATTENTION,
        {"l": I32, "n": I32},
    ),
    "PackedAttention": Case(
        ms("PackedAttention", "x w b o l", num_heads=4),
        {"x": (12, 32)},
        {"w": (32, 96), "b": (96,), "o": (2, 6), "l": (3,)},
        [(12, 32)],
        12 * 32 * 96 + 2 * ATTENTION,
        {"o": I32, "l": I32},
        runs=False,
    ),
    "PackedMultiHeadAttention": Case(
        ms("PackedMultiHeadAttention", "q k v - o l", num_heads=4),
        {"q": (12, 32), "k": (12, 32), "v": (12, 64)},
        {"o": (2, 6), "l": (3,)},
        [(12, 64)],
        3 * ATTENTION,
        {"o": I32, "l": I32},
        runs=False,
    ),
    "QOrderedAttention": Case(
        ms("QOrderedAttention", "x s s s s a b c s s s - - - - - s", num_heads=4, order_input=1, order_weight=0, order_output=1),
        {"x": (2, 6, 32)},
        {"s": (), "a": (32, 32), "b": (32, 32), "c": (32, 32)},
        [(2, 6, 32)],
        12 * 32 * 96 + 2 * ATTENTION,
        {"x": I8, "a": I8, "b": I8, "c": I8},
        runs=False,
    ),
    "EmbedLayerNormalization": Case(
        ms("EmbedLayerNormalization", "i - w p - g b", "y m"),
        {"i": (2, 6)},
        {"w": (40, 32), "p": (16, 32), "g": (32,), "b": (32,)},
        [(2, 6, 32), (2,)],
        0,
        {"i": I32},
    ),
    "SkipLayerNormalization": Case(
        ms("SkipLayerNormalization", "x k g b c", "y - - s"),
        {"x": (2, 6, 32), "k": (2, 6, 32)},
        {"g": (32,), "b": (32,), "c": (32,)},
        [(2, 6, 32), (2, 6, 32)],
        0,
    ),
    "SkipSimplifiedLayerNormalization": Case(
        ms("SkipSimplifiedLayerNormalization", "x k g", "y - - s"),
        {"x": (2, 6, 32), "k": (2, 6, 32)},
        {"g": (32,)},
        [(2, 6, 32), (2, 6, 32)],
        0,
    ),
    "FusedConv": Case(
        ms("FusedConv", "x w b", activation="Relu", pads=[1, 1, 1, 1], strides=[2, 2]),
        {"x": (2, 3, 8, 8)},
        {"w": (16, 3, 3, 3), "b": (16,)},
        [(2, 16, 4, 4)],
        2 * 16 * 16 * 27,
    ),
    "FusedConv with a residual": Case(
        ms("FusedConv", "x w b r", activation="LeakyRelu", activation_params=[0.1], group=4),
        {"x": (2, 4, 8, 8), "r": (2, 16, 6, 6)},
        {"w": (16, 1, 3, 3), "b": (16,)},
        [(2, 16, 6, 6)],
        2 * 16 * 36 * 9,
        runs=False,  # of images in groups only without a residual
    ),
    "FusedConv, clipped": Case(
        ms("FusedConv", "x w - r", activation="Clip", activation_params=[0.0, 6.0]),
        {"x": (2, 4, 8, 8), "r": (2, 16, 6, 6)},
        {"w": (16, 4, 3, 3)},
        [(2, 16, 6, 6)],
        2 * 16 * 36 * 36,
    ),
    "NhwcConv": Case(
        ms("NhwcConv", "x w b", strides=[2, 2]),
        {"x": (2, 9, 8, 4)},
        {"w": (16, 4, 3, 3), "b": (16,)},
        [(2, 4, 3, 16)],
        2 * 12 * 16 * 36,
        runs=False,
    ),
    "NhwcFusedConv": Case(
        ms("NhwcFusedConv", "x w b r", activation="Relu"),
        {"x": (2, 9, 8, 4), "r": (2, 7, 6, 16)},
        {"w": (16, 4, 3, 3), "b": (16,)},
        [(2, 7, 6, 16)],
        2 * 42 * 16 * 36,
        runs=False,
    ),
    "ConvTransposeWithDynamicPads": Case(
        ms("ConvTransposeWithDynamicPads", "x w p", strides=[2, 2], kernel_shape=[3, 3]),
        {"x": (1, 4, 5, 5)},
        {"w": (4, 8, 3, 3), "p": [1, 1, 1, 1]},
        [(1, 8, 9, 9)],
        25 * 4 * 8 * 9,
        {"p": I64},
    ),
    "QLinearConv with channels last": Case(
        ms("QLinearConv", "x s z w t o u v", channels_last=1),
        {"x": (2, 9, 8, 4)},
        {"w": (16, 4, 3, 3), "s": (), "z": (), "t": (), "o": (), "u": (), "v": ()},
        [(2, 7, 6, 16)],
        2 * 42 * 16 * 36,
        {"x": U8, "z": U8, "w": U8, "o": U8, "v": U8},
    ),
    "FusedGemm": Case(
        ms("FusedGemm", "x w b", activation="Relu", transB=1), {"x": (6, 32)}, {"w": (16, 32), "b": (16,)}, [(6, 16)], 6 * 32 * 16
    ),
    "FusedMatMul": Case(
        ms("FusedMatMul", "x w", transA=1, alpha=0.5), {"x": (2, 32, 6)}, {"w": (32, 16)}, [(2, 6, 16)], 12 * 32 * 16
    ),
    "FusedMatMul, rows before the batch": Case(
        ms("FusedMatMul", "x k", transBatchA=1, transBatchB=1, transB=1),
        {"x": (6, 2, 8), "k": (7, 2, 8)},
        {},
        [(2, 6, 7)],
        2 * 6 * 7 * 8,
    ),
    "TransposeMatMul": Case(
        ms("TransposeMatMul", "x w", transB=1), {"x": (2, 6, 32)}, {"w": (16, 32)}, [(2, 6, 16)], 12 * 32 * 16
    ),
    "GemmFastGelu": Case(
        ms("GemmFastGelu", "x w b"), {"x": (2, 6, 32)}, {"w": (32, 16), "b": (16,)}, [(2, 6, 16)], 12 * 32 * 16, runs=False
    ),
    "GemmFloat8": Case(
        ms("GemmFloat8", "x w", transB=1), {"x": (6, 32)}, {"w": (16, 32)}, [(6, 16)], 6 * 32 * 16, {"x": 17, "w": 17}, runs=False
    ),
    "QGemm": Case(
        ms("QGemm", "x s z w s o b u v", transB=1),
        {"x": (6, 32)},
        {"w": (16, 32), "s": (), "z": (), "o": (), "b": (16,), "u": (), "v": ()},
        [(6, 16)],
        6 * 32 * 16,
        {"x": U8, "z": U8, "w": U8, "o": U8, "b": I32, "v": U8},
    ),
    "DynamicQuantizeMatMul": Case(
        ms("DynamicQuantizeMatMul", "x w s z b"),
        {"x": (2, 6, 32)},
        {"w": (32, 16), "s": (), "z": (), "b": (16,)},
        [(2, 6, 16)],
        12 * 32 * 16,
        {"w": U8, "z": U8},
    ),
    "MatMulIntegerToFloat": Case(
        ms("MatMulIntegerToFloat", "x w s t"),
        {"x": (2, 6, 32)},
        {"w": (32, 16), "s": (), "t": ()},
        [(2, 6, 16)],
        12 * 32 * 16,
        {"x": U8, "w": U8},
    ),
    "MatMulInteger16": Case(
        ms("MatMulInteger16", "x w"), {"x": (6, 32)}, {"w": (32, 16)}, [(6, 16)], 6 * 32 * 16, {"x": 5, "w": 5}, runs=False
    ),
    "MatMulNBits": Case(
        ms("MatMulNBits", "x w s", K=32, N=16, bits=4, block_size=16),
        {"x": (2, 6, 32)},
        {"w": (16, 2, 8), "s": (32,)},
        [(2, 6, 16)],
        12 * 32 * 16,
        {"w": U8},
    ),
    "MatMulBnb4": Case(
        ms("MatMulBnb4", "x w s", K=32, N=16, block_size=16, quant_type=1),
        {"x": (2, 6, 32)},
        {"w": (256,), "s": (32,)},
        [(2, 6, 16)],
        12 * 32 * 16,
        {"w": U8},
    ),
    "MatMulFpQ4": Case(
        ms("MatMulFpQ4", "x w n"),
        {"x": (2, 6, 32)},
        {"w": (320,), "n": [32, 16]},
        [(2, 6, 16)],
        12 * 32 * 16,
        {"w": U8, "n": I64},
        runs=False,
    ),
    "MatMulBlockQuantizedFp8Weight": Case(
        ms("MatMulBlockQuantizedFp8Weight", "x w s", block_size=16),
        {"x": (2, 6, 32)},
        {"w": (16, 32), "s": (16, 2)},
        [(2, 6, 16)],
        12 * 32 * 16,
        {"w": 17},
        runs=False,
    ),
    "MatMulNBitsQkv": Case(
        ms("MatMulNBitsQkv", "x - g a s - b s - c s", "q k v", K=32, Nq=32, Nkv=16, bits=4, block_size=32),
        {"x": (2, 6, 32)},
        {"g": (32,), "a": (32, 1, 16), "b": (16, 1, 16), "c": (16, 1, 16), "s": (32,)},
        [(2, 6, 32), (2, 6, 16), (2, 6, 16)],
        12 * 32 * 64,
        {"a": U8, "b": U8, "c": U8},
        runs=False,
    ),
    "MatMulNBitsMlp": Case(
        ms("MatMulNBitsMlp", "x - - a s - b s", K=32, N=16, bits=4, block_size=32, activation="silu"),
        {"x": (2, 6, 32)},
        {"a": (16, 1, 16), "b": (16, 1, 16), "s": (16,)},
        [(2, 6, 16)],
        12 * 32 * 32,
        {"a": U8, "b": U8},
        runs=False,
    ),
    "MatMulNBitsQLoRA": Case(
        ms("MatMulNBitsQLoRA", "x w s a t b u", K=32, N=16, bits=4, block_size=32, lora_bits=4, lora_block_size=32),
        {"x": (2, 6, 32)},
        {"w": (16, 1, 16), "s": (16, 1), "a": (4, 1, 16), "t": (4, 1), "b": (16, 1, 16), "u": (16, 1)},
        [(2, 6, 16)],
        12 * (32 * 16 + 32 * 4 + 4 * 16),
        {"w": U8, "a": U8, "b": U8},
        runs=False,
    ),
    "RouterGateUpProj": Case(
        ms("RouterGateUpProj", "x w", "r y", router_size=4),
        {"x": (2, 6, 32)},
        {"w": (20, 32)},
        [(2, 6, 4), (2, 6, 8)],
        12 * 32 * 20,
        runs=False,
    ),
    "QOrderedMatMul": Case(
        ms("QOrderedMatMul", "x s w s s"),
        {"x": (2, 6, 32)},
        {"w": (32, 16), "s": ()},
        [(2, 6, 16)],
        12 * 32 * 16,
        {"x": I8, "w": I8},
        runs=False,
    ),
    "DynamicQuantizeLSTM": Case(
        ms("DynamicQuantizeLSTM", "x w r - - - - - s z s z", "y h c", hidden_size=8),
        {"x": (5, 2, 16)},
        {"w": (1, 16, 32), "r": (1, 8, 32), "s": (1,), "z": (1,)},
        [(5, 1, 2, 8), (1, 2, 8), (1, 2, 8)],
        10 * 32 * (16 + 8),
        {"w": U8, "r": U8, "z": U8},
    ),
    "MoE": Case(
        ms("MoE", "x r a - b", k=2, activation_type="gelu"),
        {"x": (12, 32), "r": (12, 4)},
        {"a": (4, 64, 32), "b": (4, 32, 64)},
        [(12, 32)],
        12 * 2 * 2 * 64 * 32,
    ),
    "MoE with a gate, of a few tokens": Case(
        ms("MoE", "x r a - b - c", k=2, activation_type="silu"),
        {"x": (1, 3, 32), "r": (3, 4)},
        {"a": (4, 64, 32), "b": (4, 32, 64), "c": (4, 64, 32)},
        [(1, 3, 32)],
        3 * 2 * 3 * 64 * 32,
        runs=False,
    ),
    "QMoE": Case(
        ms("QMoE", "x r a s - b s", k=1, activation_type="gelu", expert_weight_bits=4),
        {"x": (12, 32), "r": (12, 4)},
        {"a": (4, 64, 16), "b": (4, 32, 32), "s": (4, 64)},
        [(12, 32)],
        12 * 2 * 64 * 32,
        {"a": U8, "b": U8},
        runs=False,
    ),
    "MoEPacked": Case(
        ms("MoEPacked", "x r a u b", k=2),
        {"x": (12, 32), "r": (12, 4)},
        {"a": (4, 64, 18), "u": (4, 64, 18), "b": (4, 32, 36)},
        [(12, 32)],
        12 * 2 * 3 * 64 * 32,
        {"a": U8, "u": U8, "b": U8},
        runs=False,
    ),
    "RotaryEmbedding": Case(
        ms("RotaryEmbedding", "x i c s"),
        {"x": (2, 4, 6, 8)},
        {"i": [0], "c": (16, 4), "s": (16, 4)},
        [(2, 4, 6, 8)],
        0,
        {"i": I64},
    ),
    "GridSample": Case(ms("GridSample", "x g"), {"x": (2, 3, 8, 8), "g": (2, 5, 6, 2)}, {}, [(2, 3, 5, 6)], 0),
    "RelativePositionBias": Case(
        ms("RelativePositionBias", "w a b", max_distance=32),
        {},
        {"w": (32, 4), "a": [6], "b": [7]},
        [(1, 4, 6, 7)],
        0,
        {"a": I64, "b": I64},
        runs=False,
    ),
    "GatedRelativePositionBias": Case(
        ms("GatedRelativePositionBias", "q c p w b e", num_heads=4),
        {"q": (2, 6, 32), "p": (1, 4, 6, 6)},
        {"c": (32,), "w": (8, 8), "b": (8,), "e": (1, 4, 1, 1)},
        [(2, 4, 6, 6)],
        48 * 8 * 8,
        runs=False,
    ),
    "BiasGelu": Case(ms("BiasGelu", "x b"), {"x": (2, 6, 32)}, {"b": (32,)}, [(2, 6, 32)], 0),
    "FastGelu": Case(ms("FastGelu", "x b"), {"x": (2, 6, 32)}, {"b": (32,)}, [(2, 6, 32)], 0),
    "Gelu": Case(ms("Gelu", "x"), {"x": (2, 6, 32)}, {}, [(2, 6, 32)], 0),
    "QuickGelu": Case(ms("QuickGelu", "x"), {"x": (2, 6, 32)}, {}, [(2, 6, 32)], 0),
    "BiasSplitGelu": Case(ms("BiasSplitGelu", "x b"), {"x": (2, 6, 32)}, {"b": (32,)}, [(2, 6, 16)], 0, runs=False),
    "QLinearAveragePool with channels last": Case(
        ms("QLinearAveragePool", "x s z t o", kernel_shape=[2, 2], strides=[2, 2], channels_last=1),
        {"x": (2, 8, 6, 4)},
        {"s": (), "z": (), "t": (), "o": ()},
        [(2, 4, 3, 4)],
        0,
        {"x": U8, "z": U8, "o": U8},
    ),
    "QLinearWhere": Case(
        ms("QLinearWhere", "c x s z w s z s z"),
        {"c": (2, 1), "x": (2, 6), "w": (6,)},
        {"s": (), "z": ()},
        [(2, 6)],
        0,
        {"c": 9, "x": U8, "w": U8, "z": U8},
    ),
    "QLinearReduceMean": Case(
        ms("QLinearReduceMean", "x s z t o", axes=[2, 3], keepdims=0),
        {"x": (2, 4, 6, 6)},
        {"s": (), "z": (), "t": (), "o": ()},
        [(2, 4)],
        0,
        {"x": U8, "z": U8, "o": U8},
        runs=False,
    ),
    "GatherBlockQuantized": Case(
        ms("GatherBlockQuantized", "d i s", bits=4, block_size=16, quantize_axis=1, gather_axis=0),
        {"i": (2, 6)},
        {"d": (40, 16), "s": (40, 2)},
        [(2, 6, 32)],
        0,
        {"d": U8, "i": I64},
        runs=False,
    ),
    "CDist": Case(ms("CDist", "x w"), {"x": (6, 32)}, {"w": (40, 32)}, [(6, 40)], 6 * 40 * 32),
    "Rfft": Case(ms("Rfft", "x", normalized=0, onesided=1, signal_ndim=1), {"x": (2, 64)}, {}, [(2, 33, 2)], 0, runs=False),
    "RemovePadding": Case(
        ms("RemovePadding", "x n", "y o l m"),
        {"x": (2, 6, 32)},
        {"n": [6, 6]},
        [(12, 32), (2, 6), (3,), (1,)],
        0,
        {"n": I32},
        runs=False,
    ),
    "RestorePadding": Case(ms("RestorePadding", "x o"), {"x": (12, 32)}, {"o": (2, 6)}, [(2, 6, 32)], 0, {"o": I32}, runs=False),
    "LongformerAttention": Case(
        ms("LongformerAttention", "x w b m g c f", num_heads=4, window=2),
        {"x": (2, 8, 32), "m": (2, 8)},
        {"w": (32, 96), "b": (96,), "g": (32, 96), "c": (96,), "f": (2, 8)},
        [(2, 8, 32)],
        0,
        {"f": I32},
        runs=False,
    ),
    "SwiGLU": Case(ms("SwiGLU", "x"), {"x": (2, 6, 32)}, {}, [(2, 6, 16)], 0, runs=False),
}


def stored_tensor(name: str, content: Shape | list[int], kind: int) -> TensorProto:
    """Return sizes with their values, or a weight of that shape."""
    if isinstance(content, list):
        return helper.make_tensor(name, kind, [len(content)], content)
    return helper.make_tensor(
        name, kind, content, np.zeros(prod(content) * helper.tensor_dtype_to_np_dtype(kind).itemsize, np.int8).tobytes(), raw=True
    )


def made(case: Case) -> onnx.ModelProto:
    """Return the node as a model."""
    tensors = [stored_tensor(name, content, case.kinds.get(name, F)) for name, content in case.stored.items()]
    outputs = [name for name in case.node.output if name]
    return model([case.node], case.fed, tensors, opset=17, kinds=case.kinds, outputs=outputs)


@pytest.mark.parametrize("name", CASES)
def test_shapes_of_what_it_returns(name: str) -> None:
    case = CASES[name]
    values: dict[str, Value | None] = {
        key: Value(shape, case.kinds.get(key, F), role="index" if case.kinds.get(key) == I64 else "activation")
        for key, shape in case.fed.items()
    }
    for key, content in case.stored.items():
        data = np.array(content) if isinstance(content, list) else None
        values[key] = Value(
            (len(content),) if isinstance(content, list) else content, case.kinds.get(key, F), data=data, role="constant"
        )
    with Native() as native:
        inference = Inference({"": 17, "com.microsoft": 1}, {}, native)
        for each in rewritten(case.node, [values.get(key) for key in case.node.input]):
            values.update(zip(each.output, inference.outputs(each, [values.get(key) for key in each.input]), strict=True))
    found = [values[key] for key in case.node.output if key]
    assert [value and value.shape for value in found] == case.returned


def with_a_layer(case: Case) -> onnx.ModelProto:
    """Return the node, and a layer of 2 x 2 beside it, since a file must multiply somewhere."""
    graph = made(case)
    graph.graph.input.append(helper.make_tensor_value_info("beside", F, [2, 2]))
    graph.graph.initializer.append(weight("layer", 2, 2))
    graph.graph.node.append(node("MatMul", "beside layer", "out"))
    graph.graph.output.append(helper.make_tensor_value_info("out", F, None))
    return graph


#: Nodes whose products cannot be told without the data; the file is partial.
TOLD = ("LongformerAttention", "Rfft")


@pytest.mark.parametrize("name", CASES)
def test_multiply_accumulates(tmp_path: Path, name: str) -> None:
    trace: Trace = read(tmp_path, with_a_layer(CASES[name]))
    assert trace.macs - 8 == CASES[name].macs
    assert bool(trace.source.unhandled) == (name in TOLD)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.runs])
def test_onnx_runtime_returns_the_same(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime says what its own operators return")
    case = CASES[name]
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    whole = made(case)
    whole.ir_version = 10
    for entry in whole.graph.output:
        entry.ClearField("type")  # ONNX Runtime infers it
    session = runtime.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {key: np.ones(shape, helper.tensor_dtype_to_np_dtype(case.kinds.get(key, F))) for key, shape in case.fed.items()}
    assert [value.shape for value in session.run(None, feeds)] == case.returned


def test_what_is_fused_is_a_step_that_the_product_takes_in(tmp_path: Path) -> None:
    case = CASES["FusedConv, clipped"]
    trace = read(tmp_path, made(case))
    assert [(op.name, op.fuses_into) for op in trace.ops[1:]] == [("fusedconv.add", "fusedconv"), ("fusedconv.clip", "fusedconv")]
    assert [words[:1] for words in steps(trace)] == [("add",), ("clamp",)]


def test_channels_last_moves_nothing(tmp_path: Path) -> None:
    trace = read(tmp_path, made(CASES["NhwcConv"]))
    assert [op.name for op in trace.ops] == ["nhwcconv"]


def test_tokens_are_shared_out_among_the_experts(tmp_path: Path) -> None:
    rows = gemms(read(tmp_path, made(CASES["MoE with a gate, of a few tokens"])))
    assert [row[:4] for row in rows] == [
        (64, 2, 32, 2),
        (64, 1, 32, 2),
        (64, 2, 32, 2),
        (64, 1, 32, 2),
        (32, 2, 64, 2),
        (32, 1, 64, 2),
    ]


@pytest.mark.parametrize("name", ["DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QLinearConv with channels last", "QGemm"])
def test_quantized_on_the_way_is_8_bits(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, made(CASES[name])).dtype == "int8"
