"""The one list of operators that multiply inside: does it know those of PyTorch and of ONNX, and no others?"""

from __future__ import annotations

import pytest

from stcsim.capture.unhandled import Unhandled, least_macs, multiplying, stays_step

ATEN = """_cdist_forward _euclidean_dist _trilinear bilinear _pdist_forward addmm _int_mm _scaled_mm_v2 _grouped_mm baddbmm mv dot
    convolution slow_conv_dilated2d conv_tbc _convolution_mode lstm _thnn_fused_gru_cell _flash_attention_forward
    _transformer_encoder_layer_fwd linalg_qr linalg_svd linalg_inv_ex linalg_solve_triangular linalg_eigh linalg_lu_factor geqrf
    ormqr cholesky_solve matrix_exp fused_experts selective_scan_fwd gptq_marlin_gemm _fft_r2c""".split()

ONNX = """MatMul MatMulNBits MatMulBnb4 Gemm GemmFloat8 QGemm QLinearMatMul Conv ConvTranspose DeformConv QLinearConv
    NhwcFusedConv Einsum LSTM GRU RNN DynamicQuantizeLSTM Attention QAttention LongformerAttention GroupQueryAttention MoE QMoE
    CDist Inverse Det LinearClassifier SVMRegressor GatedRelativePositionBias BeamSearch EPContext ATen STFT DFT Rfft""".split()

HARMLESS = """add addcdiv dist upsample_bilinear2d upsample_trilinear3d grid_sampler_2d native_layer_norm embedding_bag lu_unpack
    _convert_weight_to_int4pack detach weight_norm index_add Add QLinearAdd QuantizeLinear DequantizeLinear DynamicQuantizeLinear
    RelativePositionBias RotaryEmbedding Resize GridSample RoiAlign TreeEnsemble Loop If Softmax Moments""".split()


@pytest.mark.parametrize("operator", [*ATEN, *ONNX])
def test_what_multiplies_inside_is_known_by_its_name(operator: str) -> None:
    row = multiplying(operator)
    assert row is not None and row.reason


@pytest.mark.parametrize("operator", HARMLESS)
def test_what_only_moves_data_is_not_on_the_list(operator: str) -> None:
    assert multiplying(operator) is None


def test_the_prefix_of_a_library_does_not_count() -> None:
    assert multiplying("com.microsoft.MoE") is multiplying("MoE") is multiplying("vllm::moe")
    assert multiplying("gemm.library.Relu") is None


def test_a_transform_is_missing_but_stays_a_step() -> None:
    assert stays_step("_fft_r2c") and stays_step("STFT") and not stays_step("MatMul") and not stays_step("Relu")


@pytest.mark.parametrize(
    ("operator", "shapes", "macs"),
    [
        ("_euclidean_dist", [(4, 40, 64), (4, 512, 64)], 4 * 40 * 512 * 64),
        ("_cdist_forward", [(40, 64), (512, 64)], 40 * 512 * 64),
        ("_trilinear", [(40, 64), (16, 64, 32), (40, 32)], 40 * 16 * 64 * 32),
        ("_euclidean_dist", [(64,)], 0),
        ("_cdist_forward", [], 0),
        ("linalg_qr", [(64, 64)], 0),
        ("relu", [(64, 64)], 0),
    ],
)
def test_shapes_bound_what_is_missing(operator: str, shapes: list[tuple[int, ...]], macs: int) -> None:
    assert least_macs(operator, shapes) == macs


def test_each_entry_says_where_what_and_why() -> None:
    missing = Unhandled()
    missing.miss("odd.bil", "aten._trilinear", least_macs=8)
    missing.miss("", "aten.linalg_qr")
    missing.miss("einsum", "Einsum", "3 operands", 4)
    assert missing == ["odd.bil: aten._trilinear", "aten.linalg_qr", "einsum: Einsum (3 operands)"] and missing.least_macs == 12
