"""Is a whole product the chain of its instructions, and a convolution the product of its filters and patches?"""

from __future__ import annotations

import numpy as np
import pytest

from stcsim.errors import StcsimError
from stcsim.isa import DTYPES
from stcsim.numerics import conv2d, gemm, mma, mma_sp, values
from stcsim.numerics.conv import filter_matrix
from stcsim.numerics.formats import encoded, float_format
from stcsim.numerics.sparse.sparse24 import Sparse24, compress
from tests.numerics.matrices import random_sparse


def normal(shape: tuple[int, ...], seed: int, name: str = "fp16") -> np.ndarray:
    return encoded(np.random.default_rng(seed).standard_normal(shape), float_format(name))


def small(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return fp16 codes of whole numbers from -4 to 4, whose products are exact everywhere."""
    return encoded(np.random.default_rng(seed).integers(-4, 5, shape).astype(float), float_format("fp16"))


def pruned(codes: np.ndarray) -> np.ndarray:
    """Return the codes with the last two of each four along k set to zero, in a different place in each row."""
    kept = codes.copy().reshape(*codes.shape[:-1], -1, 4)
    drop = np.random.default_rng(9).random(kept.shape).argsort(axis=-1) < 2
    kept[drop] = 0
    return kept.reshape(codes.shape)


def test_a_gemm_is_the_chain_of_its_instructions() -> None:
    name, m, n, k = "mma.m16n8k16.f32.f16.f16.f32", 19, 21, 43
    a, b, c = normal((m, k), 1), normal((k, n), 2), normal((m, n), 3, "fp32")
    whole_a, whole_b = np.pad(a, ((0, 13), (0, 5))), np.pad(b, ((0, 5), (0, 3)))  # to 32 x 48 and 48 x 24
    d = np.pad(c, ((0, 13), (0, 3)))
    for i in range(0, 32, 16):
        for j in range(0, 24, 8):
            for kk in range(0, 48, 16):
                tile = slice(i, i + 16), slice(j, j + 8)
                d[tile] = mma(name, whole_a[i : i + 16, kk : kk + 16], whole_b[kk : kk + 16, j : j + 8], d[tile], arch="sm_80")

    assert np.array_equal(gemm(a, b, c, arch="sm_80"), d[:m, :n])
    assert np.array_equal(gemm(a, b, c, arch="sm_80", engine="reference"), d[:m, :n])
    assert np.array_equal(gemm(a.view(np.float16), b.view(np.float16), c.view(np.float32), arch="sm_80"), d[:m, :n])


@pytest.mark.parametrize("blocking", ["kept", "expanded"])
def test_a_sparse_gemm_is_the_chain_of_its_instructions(blocking: str) -> None:
    name, m, n, k = "mma.sp.m16n8k32.f32.f16.f16.f32", 16, 8, 80
    a, b = pruned(normal((m, k), 4)), normal((k, n), 5)
    whole_a, whole_b, d = np.pad(a, ((0, 0), (0, 16))), np.pad(b, ((0, 16), (0, 0))), None
    for kk in range(0, 96, 32):
        part = compress(whole_a[:, kk : kk + 32], "fp16")
        d = mma_sp(name, part, whole_b[kk : kk + 32], d, arch="sm_80", blocking=blocking)

    assert np.array_equal(gemm(a, b, arch="sm_80", sparsity="2:4", blocking=blocking), d)
    assert np.array_equal(gemm(compress(a, "fp16"), b, arch="sm_80", blocking=blocking, engine="reference"), d)


def test_padding_never_meets_a_value_of_b() -> None:
    b = np.full((4, 8), 0x7C00, np.uint16)  # infinity everywhere: a padded zero times it would be NaN
    a = np.full((1, 4), 0x3C00, np.uint16) * np.array([1, 1, 0, 0], np.uint16)

    assert (gemm(a, b, arch="sm_80", sparsity="2:4") == 0x7F800000).all()
    assert (gemm(a[:, :2], b[:2], arch="sm_90") == 0x7F800000).all()


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize(("a_type", "b_type"), [("int8", "int8"), ("uint8", "int8")])
def test_int8_is_exact(arch: str, a_type: str, b_type: str) -> None:
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 256, (33, 70)).astype(np.uint8), rng.integers(0, 256, (70, 9)).astype(np.uint8)
    exact = values(a, a_type).astype(np.int64) @ values(b, b_type).astype(np.int64)

    d = gemm(a, b, arch=arch, dtype=a_type, b_dtype=b_type)

    assert d.dtype == np.int32 and np.array_equal(d, exact)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int4", "uint4"])
def test_sparse_integers_are_exact(dtype: str) -> None:
    a = random_sparse(dtype, (20, 264), seed=7)
    b = np.random.default_rng(8).integers(0, 1 << DTYPES[dtype].bits, (264, 11)).astype(np.uint8)
    exact = values(a, dtype).astype(np.int64) @ values(b, dtype).astype(np.int64)

    assert np.array_equal(gemm(a, b, arch="sm_80", dtype=dtype, sparsity="2:4"), exact)


def test_int32_sums_wrap() -> None:
    c = np.full((1, 1), 2**31 - 1, np.int32)
    assert gemm(np.ones((1, 32), np.int8), np.ones((32, 1), np.int8), c, arch="sm_80", dtype="int8")[0, 0] == -(2**31) + 31


@pytest.mark.parametrize("dtype", ["bf16", "tf32", "e4m3", "e5m2"])
@pytest.mark.parametrize("sparsity", [None, "2:4"])
def test_every_type_runs_on_hopper(dtype: str, sparsity: str | None) -> None:
    a, b = normal((8, 96), 10, dtype), normal((96, 16), 11, dtype)
    a = a.reshape(8, -1, 2) * np.array([0, 1], a.dtype) if dtype == "tf32" else pruned(a)
    a = a.reshape(8, 96)
    exact = values(a, dtype) @ values(b, dtype)

    d = values(gemm(a, b, arch="sm_90", dtype=dtype, sparsity=sparsity), "fp32")

    assert np.abs(d - exact).max() <= (2e-2 if dtype[0] == "e" else 1e-5)  # fp8 sums keep 13 bits
    same = gemm(a, b, arch="sm_90", dtype=dtype, sparsity=sparsity, engine="reference")
    assert np.array_equal(values(same, "fp32"), d)


def test_half_accumulators_and_batches() -> None:
    a, b = normal((2, 1, 16, 32), 12), normal((3, 32, 8), 13)

    d = gemm(a, b, arch="sm_80", acc_dtype="fp16")

    assert d.shape == (2, 3, 16, 8) and d.dtype == np.uint16
    assert np.array_equal(d[1, 2], gemm(a[1, 0], b[2], arch="sm_80", acc_dtype="fp16"))


def plain_convolution(x: np.ndarray, w: np.ndarray, stride: int, padding: int, dilation: int, groups: int) -> np.ndarray:
    """Return the convolution by its definition."""
    batch, channels, _, _ = x.shape
    filters, depth, r, s = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    p = (x.shape[2] - dilation * (r - 1) - 1) // stride + 1
    q = (x.shape[3] - dilation * (s - 1) - 1) // stride + 1
    d = np.zeros((batch, filters, p, q))
    for f, y, z in np.ndindex(filters, p, q):
        first = f // (filters // groups) * depth
        patch = x[
            :,
            first : first + depth,
            y * stride : y * stride + dilation * r : dilation,
            z * stride : z * stride + dilation * s : dilation,
        ]
        d[:, f, y, z] = (patch[:, :, :r, :s] * w[f]).sum(axis=(1, 2, 3))
    return d


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (2, 3, 1, 2)])
@pytest.mark.parametrize("sparsity", [None, "2:4"])
def test_convolution_by_its_definition(stride: int, padding: int, dilation: int, groups: int, sparsity: str | None) -> None:
    x, w = small((2, 8, 9, 10), 14), small((6, 8 // groups, 3, 2), 15)
    w = pruned(np.ascontiguousarray(w.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)  # groups of four along channels
    exact = plain_convolution(values(x, "fp16"), values(w, "fp16"), stride, padding, dilation, groups)

    d = conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups, arch="sm_80", sparsity=sparsity)

    assert np.array_equal(values(d, "fp32"), exact)


def test_a_compressed_filter_is_the_same_convolution() -> None:
    x = normal((1, 8, 5, 5), 16)
    w = pruned(np.ascontiguousarray(normal((4, 8, 3, 3), 17).transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    compressed = compress(filter_matrix(w), "fp16")

    assert np.array_equal(
        conv2d(x, compressed, filter_shape=(3, 3), padding=1, arch="sm_90"), conv2d(x, w, padding=1, arch="sm_90", sparsity="2:4")
    )


def test_channels_run_fastest_in_the_reduction() -> None:
    # 2^24 + 1 + 1 truncates when the ones come in another block: on Ampere the eight channels of one tap are one block.
    x = encoded(np.array([4096.0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), float_format("fp16")).reshape(1, 2, 1, 8)
    x = np.ascontiguousarray(x.transpose(0, 3, 2, 1))  # 8 channels, 1 x 2 pixels
    assert values(conv2d(x, x, arch="sm_80"), "fp32").item() == 2.0**24 + 2  # tap 0: 2^24 + 1 + 1; tap 1: one more, truncated


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda a, b: gemm(a, b[:-1], arch="sm_80"),
            "gemm: B: expected shape (..., 32, n), with a row for each column of A, found (31, 8)",
        ),
        (
            lambda a, b: gemm(a, b, b, arch="sm_80"),
            "gemm: C: expected fp32 as an array of uint32 or float32, found an array of uint16",
        ),
        (lambda a, b: gemm(a, b, b, arch="sm_80", acc_dtype="fp16"), "gemm: C: expected shape (..., 16, 8), found (32, 8)"),
        (
            lambda a, b: gemm(a, b, arch="sm_80", sparsity="1:4"),
            "sparsity: expected one of dense, 2:4, found '1:4' (did you mean '2:4'?)",
        ),
        (lambda a, b: gemm(a, b, arch="sm_80", dtype="haf"), "dtype: expected one of fp16, bf16, tf32, int8, "),
        (lambda a, b: gemm(a, b, arch="sm_80", acc_dtype="bf16"), "acc_dtype: expected one of fp32, fp16, int32, found 'bf16'"),
        (lambda a, b: gemm(a[0], b, arch="sm_80"), "gemm: A: expected shape (..., m, k) with at least one column, found (32,)"),
        (
            lambda a, b: gemm(a, b, arch="sm_80", instruction="mma.m16n8k16.f32.bf16.bf16.f32"),
            "gemm: instruction: expected a dense instruction of fp16 x fp16 that can be chained, found 'mma.m16n8k16.f32.bf16",
        ),
        (lambda a, b: gemm(a, b, arch="sm_80", sparsity="2:4"), "row 0, group 0 "),
        (
            lambda a, b: conv2d(a, b, arch="sm_80"),
            "conv2d: w: expected shape (filters, c / groups, r, s), none of them 0, found ",
        ),
        (
            lambda a, b: conv2d(a[None, None], np.zeros((2, 1, 17, 1), np.uint16), arch="sm_80"),
            "conv2d: x: expected an image of at least",
        ),
        (
            lambda a, b: conv2d(a, Sparse24(a, a, "fp16", 64), arch="sm_80"),
            "conv2d: expected filter_shape (r, s) beside a compressed w",
        ),
    ],
)
def test_bad_calls_are_one_sentence(call, sentence: str) -> None:
    with pytest.raises(StcsimError) as caught:
        call(normal((16, 32), 18), normal((32, 8), 19))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "shape"), [("sm_70", "m8n8k4"), ("sm_75", "m16n8k8"), ("sm_80", "m16n8k16"), ("sm_90", "m16n8k16")]
)
def test_wmma_gives_the_bits_of_the_chain_that_it_is_compiled_to(arch: str, shape: str) -> None:
    name = f"mma.{shape}.f32.f16.f16.f32"
    a, b = normal((32, 64), 30), normal((64, 16), 31)
    chain = gemm(a, b, arch=arch, instruction=name)
    assert np.array_equal(gemm(a, b, arch=arch, instruction="wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32"), chain)
    whole = mma("wmma.m16n16k16.f32.f16.f16.f32", a[:16, :16], b[:16], arch=arch)
    assert np.array_equal(whole, gemm(a[:16, :16], b[:16], arch=arch, instruction=name))


@pytest.mark.parametrize(
    ("relative", "known"), [("sm_72", "sm_70"), ("sm_87", "rtx3090"), ("sm_103", "sm_100"), ("sm_121", "sm_120")]
)
@pytest.mark.parametrize("sparsity", ["dense", "2:4"])
def test_a_relative_computes_as_the_one_that_was_measured(relative: str, known: str, sparsity: str) -> None:
    if relative == "sm_72" and sparsity == "2:4":
        pytest.skip("Volta has no sparse instruction")
    a, b = pruned(normal((16, 64), 32)), normal((64, 8), 33)
    assert np.array_equal(gemm(a, b, arch=relative, sparsity=sparsity), gemm(a, b, arch=known, sparsity=sparsity))


@pytest.mark.parametrize("sparsity", ["dense", "2:4"])
def test_integers_of_tcgen05_are_exact(sparsity: str) -> None:
    a = random_sparse("int8", (64, 128), seed=34)
    b = np.random.default_rng(35).integers(0, 256, (128, 16)).astype(np.uint8)
    part, k = (".sp", 64) if sparsity == "2:4" else ("", 32)
    name = f"tcgen05.mma{part}.cta_group::1.kind::i8.m64n16k{k}.s32.s8.u8"
    d = gemm(a, b, arch="sm_100a", dtype="int8", b_dtype="uint8", sparsity=sparsity, instruction=name)
    assert np.array_equal(d, values(a, "int8").astype(np.int64) @ b.astype(np.int64))
