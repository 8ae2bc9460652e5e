"""Does ``encode`` round every number to the nearest code, ties to even, as ml_dtypes, numpy and exact arithmetic do?"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stcsim.errors import StcsimError
from stcsim.isa import DTYPES, DType
from stcsim.numerics import conv2d, encode, gemm, values
from stcsim.numerics.formats import code_type, encoded

ml_dtypes = pytest.importorskip("ml_dtypes")

SMALL_FLOATS = ("fp16", "bf16", "e4m3", "e5m2", "e2m1")
FLOATS = (*SMALL_FLOATS, "tf32", "fp32", "fp64")
INTEGERS = ("int8", "uint8", "int4", "uint4", "int32")


def native(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, DTYPES[name].numpy, DTYPES[name].numpy))


def finite_codes(name: str) -> np.ndarray:
    """Return codes of finite numbers: all of a type of at most 16 bits, else many, with both ends of the range among them."""
    form = DTYPES[name]
    if form.bits <= 16:
        codes = np.arange(1 << form.bits).astype(code_type(form))
    else:
        ends = np.concatenate([np.arange(1 << 14), (form.largest_code >> form.dropped_bits) - np.arange(1 << 14)])
        inner = np.random.default_rng(1).integers(0, form.largest_code >> form.dropped_bits, 1 << 16)
        codes = (np.concatenate([ends, inner]) << form.dropped_bits).astype(code_type(form))
        codes = np.concatenate([codes, codes | code_type(form).type(1 << form.bits - 1)])
    return codes[np.isfinite(values(codes, name))]


def neighbourhoods(name: str, kind: type) -> np.ndarray:
    """Return every number, every midpoint of two neighbours, the same beyond the ends, and one ulp of ``kind`` to each side."""
    grid = np.unique(values(finite_codes(name), name).astype(kind))
    with np.errstate(all="ignore"):
        beyond = (np.array([1.01, 1.1, 2, 100]) * DTYPES[name].largest).astype(kind)
        centres = np.concatenate([grid, grid[:-1] / 2 + grid[1:] / 2, beyond, -beyond, [0.0, -0.0, np.inf, -np.inf]]).astype(kind)
        return np.concatenate([centres, np.nextafter(centres, kind(np.inf)), np.nextafter(centres, kind(-np.inf))])


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_the_neighbourhood_of_every_code_is_rounded_as_ml_dtypes_and_numpy_do(name: str) -> None:
    x = neighbourhoods(name, np.float32)
    assert x.size > 3 * 2 ** (DTYPES[name].bits - 1)
    with np.errstate(all="ignore"):
        expected = x.astype(native(name)).view(code_type(DTYPES[name]))

    codes = encode(x, name, saturate=name == "e2m1")

    number = ~np.isnan(values(expected, name))
    assert np.array_equal(codes[number], expected[number])
    assert np.isnan(values(codes, name)[~number]).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*SMALL_FLOATS, "tf32", "fp32"])
def test_the_neighbourhood_of_every_code_is_rounded_as_the_specification_does(name: str, kind: type) -> None:
    x = neighbourhoods(name, kind).astype(np.float64)
    expected = encoded(x, DTYPES[name])

    codes = encode(x.astype(kind), name, saturate=name == "e2m1")

    number = ~np.isnan(values(expected, name))
    assert np.array_equal(codes[number], expected[number])
    assert (codes[~number] == DTYPES[name].nan_code).all()


@pytest.mark.parametrize("name", [*SMALL_FLOATS, "tf32"])
def test_no_neighbour_is_nearer_than_the_code_taken(name: str) -> None:
    rng = np.random.default_rng(2)
    x = np.ldexp(rng.standard_normal(3000), rng.integers(-30, 15, 3000)).astype(np.float32)
    x = x[np.abs(x) < DTYPES[name].largest]
    grid = np.unique(values(finite_codes(name), name)) if name != "tf32" else None

    for number, code in zip(x.tolist(), encode(x, name).tolist(), strict=True):
        taken = Fraction(float(values(np.array([code], code_type(DTYPES[name])), name)[0]))
        step = 1 << DTYPES[name].dropped_bits
        if grid is None:
            around = [Fraction(float(values(np.array([each], np.uint32), name)[0])) for each in (code - step, code + step)]
        else:
            at = int(np.searchsorted(grid, number))
            around = [Fraction(float(each)) for each in grid[max(0, at - 1) : at + 1]]
        assert all(abs(taken - Fraction(number)) <= abs(other - Fraction(number)) for other in around)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", FLOATS)
def test_codes_come_back_from_their_values(name: str, kind: type) -> None:
    codes = finite_codes(name)
    if DTYPES[name].bits == 64 and kind is np.float32:
        codes = encode(np.random.default_rng(3).standard_normal(1000).astype(np.float32), name)
    assert np.array_equal(encode(values(codes, name).astype(kind), name), codes)


@pytest.mark.parametrize(("exponent_bits", "fraction_bits"), [(3, 2), (2, 3), (8, 0), (4, 11)])
def test_a_new_row_of_the_table_is_all_that_a_new_type_needs(
    monkeypatch: pytest.MonkeyPatch, exponent_bits: int, fraction_bits: int
) -> None:
    bits, bias = 1 + exponent_bits + fraction_bits, (1 << exponent_bits - 1) - 1
    row = DType(name="made", bits=bits, exponent_bits=exponent_bits, fraction_bits=fraction_bits, bias=bias)
    monkeypatch.setitem(DTYPES, "made", row)
    x = np.ldexp(np.random.default_rng(6).standard_normal(4096), np.random.default_rng(7).integers(-8, 8, 4096)).astype(
        np.float32
    )
    assert np.array_equal(encode(x, "made"), encoded(x.astype(np.float64), row))
    codes = np.arange(1 << bits).astype(code_type(row))
    assert np.array_equal(encode(values(codes, "made"), "made"), codes)


@pytest.mark.small
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_round_to_even_and_clamp(name: str) -> None:
    form = DTYPES[name]
    low = -(1 << form.bits - 1) if form.signed else 0
    x = np.array([0.5, 1.5, 2.5, 0.49, 0.51, -0.5, low, low - 0.4, low - 1, -1e30, -np.inf, form.largest, 1e30, np.inf])
    expected = [0, 2, 2, 0, 1, 0, low, low, low, low, low, form.largest, form.largest, form.largest]

    assert values(encode(x, name), name).tolist() == expected
    if form.bits <= 8:
        codes = np.arange(1 << form.bits).astype(np.uint8)
        assert np.array_equal(encode(values(codes, name), name), codes)


@pytest.mark.small
def test_what_is_beyond_the_range_follows_the_type() -> None:
    x = np.array([1e30, -1e30, np.inf, -np.inf, np.nan, -np.nan])
    assert encode(x, "fp16").tolist() == [0x7C00, 0xFC00, 0x7C00, 0xFC00, 0x7FFF, 0x7FFF]
    assert encode(x, "fp16", saturate=True).tolist() == [0x7BFF, 0xFBFF, 0x7BFF, 0xFBFF, 0x7FFF, 0x7FFF]
    assert encode(x * 1e10, "bf16").tolist() == [0x7F80, 0xFF80, 0x7F80, 0xFF80, 0x7FFF, 0x7FFF]
    assert encode(x, "e4m3").tolist() == [0x7E, 0xFE, 0x7E, 0xFE, 0x7F, 0x7F]
    assert encode(x, "fp8", saturate=False).tolist() == [0x7F] * 6
    assert encode(x, "e5m2").tolist() == [0x7B, 0xFB, 0x7B, 0xFB, 0x7F, 0x7F]
    assert encode(x, "e5m2", saturate=False).tolist() == [0x7C, 0xFC, 0x7C, 0xFC, 0x7F, 0x7F]
    assert encode(x[:4], "e2m1").tolist() == [0x7, 0xF, 0x7, 0xF]
    # 464 is half way between 448 and the 480 that e4m3 has not: to even is 448. 65520 is half way between 65504 and 65536.
    assert encode([464.0, 464.5, 61440.0], "e4m3", saturate=False).tolist() == [0x7E, 0x7F, 0x7F]
    assert encode([65519.9, 65520.0], "fp16").tolist() == [0x7BFF, 0x7C00]


@pytest.mark.small
def test_tf32_is_rounded_here_and_cut_off_by_the_datapath() -> None:
    x = np.array([[1 + 2.0**-11 + 2.0**-12]], np.float32)  # three quarters of a step of tf32 above 1
    assert values(encode(x, "tf32"), "tf32").item() == 1 + 2.0**-10
    one = np.ones((1, 1), np.float32)
    assert values(gemm(x, one, arch="sm_80", dtype="tf32"), "fp32").item() == 1
    assert values(gemm(encode(x, "tf32"), one, arch="sm_80", dtype="tf32"), "fp32").item() == 1 + 2.0**-10


@pytest.mark.small
def test_whatever_holds_numbers_is_taken() -> None:
    x = np.array([[1.0, -2.5], [0.125, 3.0]])
    expected = encode(x, "e4m3")
    assert encode(x.tolist(), "e4m3").tolist() == expected.tolist()
    assert np.array_equal(encode(x.astype(np.float16), "e4m3"), expected)
    assert np.array_equal(encode(x.astype(">f4"), "e4m3"), expected)
    assert np.array_equal(encode(x.astype(ml_dtypes.bfloat16), "e4m3"), expected)
    assert np.array_equal(encode(np.array([[8, -20], [1, 24]], np.int8), "fp16"), encode(x * 8, "fp16"))
    assert np.array_equal(encode(x.T, "e4m3"), expected.T)
    assert encode(2.5, "fp16").shape == () and encode(np.zeros((0, 3)), "int8").shape == (0, 3)


@pytest.mark.parametrize("name", ["fp16", "bf16", "e4m3", "e5m2", "tf32", "int8", "uint8"])
def test_torch_tensors_are_operands_and_numbers(name: str) -> None:
    torch = pytest.importorskip("torch")
    codes = encode(np.random.default_rng(4).integers(0, 4, (16, 32)).astype(np.float32), name)
    kind = getattr(torch, DTYPES[name].torch)
    tensor = torch.tensor(values(codes, name)).to(kind)
    if tensor.is_floating_point():
        tensor.requires_grad_()

    product = gemm(tensor, tensor.T, arch="sm_90", dtype=name)

    assert np.array_equal(product, gemm(codes, codes.T, arch="sm_90", dtype=name))
    if DTYPES[name].is_float:
        assert np.array_equal(encode(tensor, "fp32"), encode(values(codes, name), "fp32"))
    image, filters = tensor.reshape(2, 4, 8, 8), tensor[:, :16].reshape(16, 4, 2, 2)
    by_codes = conv2d(codes.reshape(2, 4, 8, 8), codes[:, :16].reshape(16, 4, 2, 2), arch="sm_90", dtype=name)
    assert np.array_equal(conv2d(image, filters, arch="sm_90", dtype=name), by_codes)


def test_a_torch_type_is_not_mistaken_for_another_of_its_size() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(16, 16, dtype=torch.bfloat16)
    for call in (
        lambda: gemm(tensor, tensor, arch="sm_80"),
        lambda: conv2d(tensor[None, None], tensor[None, None], arch="sm_80"),
    ):
        with pytest.raises(StcsimError, match="expected fp16 as an array of uint16 or float16, found an array of bfloat16"):
            call()
    with pytest.raises(StcsimError, match="torch tensor: expected a dense one with data, found one of bfloat16 on meta"):
        gemm(tensor.to("meta"), tensor, arch="sm_80", dtype="bf16")


@pytest.mark.small
@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: encode([1.0], "haf"), "dtype: expected one of fp32, fp16,"),
        (lambda: encode([[1.0, np.nan]], "int8"), "encode, row 0, column 1: expected a number, as int8 has no NaN, found NaN"),
        (lambda: encode(np.nan, "e2m1"), "encode: expected a number, as e2m1 has no NaN, found NaN"),
        (
            lambda: encode(np.zeros(2, np.uint16), "fp16"),
            "encode: expected floats or signed integers up to 2**53 (unsigned ones are raw codes, which values() decodes), "
            "found an array of uint16",
        ),
        (lambda: encode([2**53 + 1], "fp16"), "encode: expected floats or signed integers up to 2**53"),
        (lambda: encode(["one"], "fp16"), "encode: expected floats or signed integers"),
        (
            lambda: encode([1.0], "int8", saturate=False),
            "saturate: expected True for int8, which has neither infinity nor NaN, found False",
        ),
        (lambda: encode([1.0], "e4m3", saturate=1), "saturate: expected True or False, found 1"),
        (
            lambda: gemm(np.ones((4, 4), np.float32), np.ones((4, 4), np.float32), arch="sm_80"),
            "gemm: A: expected fp16 as an array of uint16 or float16, found an array of float32 (numerics.encode rounds it)",
        ),
    ],
)
def test_what_cannot_be_encoded_is_one_sentence(call, sentence: str) -> None:
    with pytest.raises(StcsimError) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
