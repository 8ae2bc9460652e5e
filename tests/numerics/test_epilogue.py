"""Does an epilogue round where its kernel does: each operation exact, then to nearest even, as Fractions say?"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from stcsim.errors import StcsimError
from stcsim.isa import DTYPES
from stcsim.numerics import Epilogue, conv2d, encode, gemm, values
from stcsim.numerics.epilogue import Activation, fused

ONE = np.ones((1, 1), np.float16)


def nearest(exact: Fraction, form: str = "fp32") -> Fraction:
    """Return the number of a format nearest to ``exact``, ties to even, by its definition; finite ones only."""
    row = DTYPES[form]
    if not row.is_float:
        return Fraction(min(max(round(exact), -(1 << row.bits - 1)), (1 << row.bits - 1) - 1))
    if not exact:
        return exact
    exponent = max(math.frexp(float(abs(exact)))[1] - 1, row.min_exponent)
    while Fraction(2) ** exponent > abs(exact) and exponent > row.min_exponent:
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= abs(exact):
        exponent += 1
    unit = Fraction(2) ** (exponent - row.fraction_bits)
    return round(exact / unit) * unit  # Python rounds halves to even


def floats(shape: tuple[int, ...], seed: int, spread: int = 8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.ldexp(rng.standard_normal(shape), rng.integers(-spread, spread + 1, shape)).astype(np.float32)


def fractions(x: np.ndarray) -> np.ndarray:
    return np.array([Fraction(float(each)) for each in x.ravel()], object).reshape(x.shape)


def rounded(x: np.ndarray, form: str = "fp32") -> np.ndarray:
    return np.array([nearest(each, form) for each in x.ravel()], object).reshape(x.shape)


M, N, K = 6, 7, 32


def operands() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A, B in fp16 and the sums in fp32 that sm_80 gives of them, as Fractions."""
    a, b = encode(floats((M, K), 1, 1), "fp16"), encode(floats((K, N), 2, 1), "fp16")
    return a, b, fractions(gemm(a, b, arch="sm_80").view(np.float32))


@pytest.mark.parametrize("style", ["cutlass-3", "cutlass-2"])
@pytest.mark.parametrize("form", ["fp32", "fp16", "bf16", "e4m3", "e5m2", "int8"])
@pytest.mark.parametrize("with_c", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_every_operation_rounds_where_the_kernel_rounds(style: str, form: str, with_c: bool, with_bias: bool) -> None:
    a, b, sums = operands()
    alpha, beta, bias, c = np.float32(0.7), np.float32(-1.3), floats((M,), 3, 2), encode(floats((M, N), 4, 2), "fp16")
    exact_alpha, exact_beta = Fraction(float(alpha)), Fraction(float(beta))
    exact_bias = fractions(bias)[:, None] if with_bias else 0
    source = fractions(values(c, "fp16")) if with_c else None
    if style == "cutlass-3":
        x = rounded(exact_alpha * sums + exact_bias)
        x = x if source is None else rounded(exact_beta * source + x)
    else:
        x = rounded(exact_alpha * sums + (exact_bias if source is None else rounded(exact_beta * source)))
        x = rounded(x + exact_bias) if with_bias and source is not None else x
    expected = rounded(x, form)

    epilogue = Epilogue(alpha=0.7, beta=-1.3, bias=bias if with_bias else None, c_dtype="fp16", out_dtype=form, style=style)
    d = gemm(a, b, c if with_c else None, arch="sm_80", epilogue=epilogue)

    assert d.dtype == np.dtype(f"uint{DTYPES[form].code_bits}")
    assert np.array_equal(fractions(values(d, form)), expected)


def test_scales_are_multiplied_one_by_one_and_the_last_is_fused() -> None:
    a, b, sums = operands()
    rows, columns, bias = floats((M,), 5, 3), floats((N,), 6, 3), floats((N,), 7)
    x = rounded(sums * fractions(columns)[None, :])

    d = gemm(a, b, arch="sm_80", epilogue=Epilogue(row_scale=rows, column_scale=columns))
    assert np.array_equal(fractions(d.view(np.float32)), rounded(x * fractions(rows)[:, None]))

    d = gemm(a, b, arch="sm_80", epilogue=Epilogue(row_scale=rows, column_scale=columns, bias=bias, bias_along="column"))
    assert np.array_equal(fractions(d.view(np.float32)), rounded(x * fractions(rows)[:, None] + fractions(bias)[None, :]))

    d = gemm(
        a, b, arch="sm_80", epilogue=Epilogue(alpha=3.3, row_scale=rows, column_scale=columns, bias=bias, bias_along="column")
    )
    third = Fraction(float(np.float32(3.3))) * rounded(x * fractions(rows)[:, None]) + fractions(bias)[None, :]
    assert np.array_equal(fractions(d.view(np.float32)), rounded(third))


def test_integer_sums_are_rounded_to_fp32_first_and_requantised() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.integers(-128, 128, (5, 2048)).astype(np.int8), rng.integers(-128, 128, (2048, 6)).astype(np.int8)
    a[0], b[:, 0] = 127, 127  # 33,032,192: above 2^24
    a[0, 0] = 126
    sums = fractions((a.astype(np.int64) @ b.astype(np.int64)).astype(np.float64))
    scale, bias = rng.random(5).astype(np.float32) * 2e-4, rng.standard_normal(5).astype(np.float32)

    d = gemm(a, b, arch="sm_80", dtype="int8", epilogue=Epilogue(row_scale=scale, bias=bias, out_scale=37.5, out_dtype="int8"))

    x = rounded(rounded(sums) * fractions(scale)[:, None] + fractions(bias)[:, None])
    assert np.array_equal(fractions(values(d, "int8")), rounded(rounded(x * Fraction(75, 2)), "int8"))
    assert rounded(sums)[0, 0] != sums[0, 0]
    same = gemm(a, b, arch="sm_80", dtype="int8", epilogue=Epilogue(out_dtype="int32"))
    assert same.dtype == np.int32 and np.array_equal(fractions(same), rounded(sums))


def test_what_is_beyond_the_output_type_saturates_or_not() -> None:
    big = np.full((1, 1), 60000, np.float16)

    def written(dtype: str, **options: object) -> int:
        return int(gemm(big, big, arch="sm_80", epilogue=Epilogue(out_dtype=dtype, **options)).item())

    assert written("fp16") == 0x7C00 and written("fp16", saturate=True) == 0x7BFF
    assert written("e4m3") == 0x7E and written("e4m3", saturate=False) == 0x7F
    assert written("int8") == 127 and written("int8", alpha=-1) == 128
    assert written("uint8", activation="relu", alpha=-1) == 0


def test_a_single_rounding_is_not_two() -> None:
    rng = np.random.default_rng(9)
    a, b = floats((20_000,), 10, 3), floats((20_000,), 11, 3)
    c = np.concatenate([
        floats((5_000,), 12, 30), -(a[:5_000].astype(float) * b[:5_000]).astype(np.float32)[:5_000],  # cancellation
        np.ldexp(1.0, rng.integers(-149, -120, 5_000)).astype(np.float32), floats((5_000,), 13, 3),
    ])  # fmt: skip
    a[10_000:15_000] *= np.float32(2.0**-70)
    b[10_000:15_000] *= np.float32(2.0**-70)
    found = fused(a, b, c)
    exact = fractions(a) * fractions(b) + fractions(c)
    assert np.array_equal(fractions(found), rounded(exact))
    # the case that rounding in float64 and then in float32 gets wrong: 1 + 2^-24 and a little more than half a unit
    tie = fused(np.float32(1 + 2.0**-23), np.float32(2.0**-24 * (1 - 2.0**-23)), np.float32(1))
    assert Fraction(float(tie)) == nearest(Fraction(1) + Fraction(2) ** -24 * (1 - Fraction(2) ** -46))


def test_special_numbers_of_a_fused_operation_follow_ieee() -> None:
    inf, nan, big = np.float32(np.inf), np.float32(np.nan), np.float32(3e38)
    with np.errstate(all="ignore"):
        assert np.isnan(fused(inf, np.float32(0), np.float32(1))) and np.isnan(fused(nan, np.float32(1), np.float32(1)))
        assert fused(big, big, np.float32(1)) == inf and fused(big, np.float32(1), -big) == 0
        assert np.isnan(fused(inf, np.float32(1), -inf)) and fused(big, np.float32(2), -big) == big


def by_definition(activation: str, x: float) -> Fraction:
    """Return an activation to forty digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        z = mpmath.mpf(x)
        clamped = min(max(z + 3, 0), 6)
        cubic = mpmath.sqrt(2 / mpmath.pi) * (z + mpmath.mpf("0.044715") * z**3)
        value = {
            "relu": lambda: max(z, 0), "relu6": lambda: min(max(z, 0), 6), "gelu": lambda: z * mpmath.ncdf(z),
            "gelu-tanh": lambda: z * (1 + mpmath.tanh(cubic)) / 2, "silu": lambda: z / (1 + mpmath.exp(-z)),
            "sigmoid": lambda: 1 / (1 + mpmath.exp(-z)), "tanh": lambda: mpmath.tanh(z), "hardswish": lambda: z * clamped / 6,
            "none": lambda: z,
        }[activation]()  # fmt: skip
        mantissa, exponent = mpmath.frexp(value)
        return Fraction(int(mantissa * 2**180)) * Fraction(2) ** (int(exponent) - 180)


@pytest.mark.parametrize("activation", list(Activation))
def test_activations_are_the_exact_function_rounded_once(activation: str) -> None:
    x = np.concatenate([floats((400,), 14, 3), np.linspace(-12, 9, 600, dtype=np.float32)]).reshape(1, -1)

    d = applied(activation, x)

    expected = [nearest(by_definition(activation, each)) for each in x.ravel().tolist()]
    found = [Fraction(each) for each in values(d, "fp32").ravel().tolist()]
    off = [at for at in range(len(found)) if found[at] != expected[at]]
    assert len(off) <= (0 if "relu" in activation or activation == "none" else 1)  # a tie of float64 may fall to the other side
    assert np.isnan(values(applied(activation, np.full((1, 1), np.nan, np.float32)), "fp32")).all()


def applied(activation: str, x: np.ndarray) -> np.ndarray:
    """Return an activation of fp32 numbers through an epilogue: they are the C of a product that is zero."""
    one = np.ones((1, 1), np.float32)
    epilogue = Epilogue(activation=activation)
    return gemm(one, np.zeros_like(x), encode(x, "fp32"), arch="sm_80", dtype="tf32", epilogue=epilogue)


def test_activations_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    functions = {
        "relu": torch.relu, "relu6": torch.nn.functional.relu6, "gelu": torch.nn.functional.gelu,
        "gelu-tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"), "silu": torch.nn.functional.silu,
        "sigmoid": torch.sigmoid, "tanh": torch.tanh, "hardswish": torch.nn.functional.hardswish,
    }  # fmt: skip
    x = np.linspace(-9, 9, 4095, dtype=np.float32).reshape(1, -1)
    for name, function in functions.items():
        expected = function(torch.tensor(x, dtype=torch.float64)).numpy()
        assert np.abs(values(applied(name, x), "fp32") - expected).max() <= 2.0**-21, name  # half a unit of numbers from 8 to 16


def test_torch_agrees_where_it_rounds_as_often() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(15)
    a, b = rng.integers(-4, 5, (16, 64)).astype(np.float16), rng.integers(-4, 5, (64, 8)).astype(np.float16)  # exact sums
    bias = rng.integers(-64, 64, 16).astype(np.float32) / 8
    exact = torch.tensor(a.astype(np.float32)) @ torch.tensor(b.astype(np.float32)) + torch.tensor(bias)[:, None]
    for form in ("fp16", "bf16", "e5m2", "e4m3"):
        d = gemm(a, b, arch="sm_80", epilogue=Epilogue(bias=torch.tensor(bias).bfloat16(), activation="relu", out_dtype=form))
        theirs = torch.relu(exact).clamp(max=DTYPES[form].largest).to(getattr(torch, DTYPES[form].torch))
        assert np.array_equal(values(d, form), theirs.float().numpy()), form


def test_serial_split_k_rounds_to_the_output_type_between_slices() -> None:
    a, b = encode(floats((M, 128), 16, 1), "fp16"), encode(floats((128, N), 17, 1), "fp16")
    c, bias = encode(floats((M, N), 18, 1), "fp16"), floats((M,), 19, 1)
    slices = [fractions(gemm(a[:, k : k + 48], b[k : k + 48], arch="sm_80").view(np.float32)) for k in (0, 48, 96)]
    alpha = Fraction(float(np.float32(0.9)))
    d = rounded(rounded(fractions(values(c, "fp16")) * 2 + rounded(alpha * slices[0] + fractions(bias)[:, None])), "fp16")
    d = rounded(rounded(d + rounded(alpha * slices[1])), "fp16")
    x = rounded(d + rounded(alpha * slices[2]))
    expected = rounded(np.where(x > 0, x, Fraction(0)), "fp16")

    epilogue = Epilogue(alpha=0.9, beta=2, bias=bias, activation="relu", out_dtype="fp16")
    found = gemm(a, b, c, arch="sm_80", order="split-k-serial=3", epilogue=epilogue)

    assert np.array_equal(fractions(values(found, "fp16")), expected)
    assert not np.array_equal(found, gemm(a, b, c, arch="sm_80", order="split-k=3", epilogue=epilogue))
    single = Epilogue(out_dtype="fp32")
    assert np.array_equal(
        gemm(a, b, arch="sm_80", order="split-k-serial=3", epilogue=single),
        gemm(a, b, arch="sm_80", order="split-k=3", epilogue=single),
    )


def test_beta_of_zero_does_not_read_c() -> None:
    c = np.full((1, 1), 0x7FFF, np.uint16)
    assert gemm(ONE, ONE, c, arch="sm_80", epilogue=Epilogue(beta=0, out_dtype="fp16")).item() == 0x3C00
    assert gemm(ONE, ONE, c, arch="sm_80", epilogue=Epilogue(out_dtype="fp16")).item() == 0x7FFF


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_takes_an_epilogue_with_a_number_for_each_filter(groups: int) -> None:
    x, w = encode(floats((2, 8, 5, 6), 20, 1), "fp16"), encode(floats((6, 8 // groups, 3, 3), 21, 1), "fp16")
    bias, scale = floats((6,), 22, 1), floats((6,), 23, 1)
    sums = conv2d(x, w, padding=1, groups=groups, arch="sm_80").view(np.float32)
    c = encode(floats(sums.shape, 24, 1), "bf16")
    expected = fused(scale[:, None, None], sums, bias[:, None, None]) + values(c, "bf16").astype(np.float32)

    epilogue = Epilogue(bias=bias, row_scale=scale, activation="relu", out_dtype="bf16")
    d = conv2d(x, w, c, padding=1, groups=groups, arch="sm_80", epilogue=epilogue)

    assert np.array_equal(d, encode(np.maximum(expected, 0), "bf16"))
    with pytest.raises(StcsimError, match=r"conv2d: c: expected shape \(2, filters, 5, 6\), found \(2, 6, 5, 5\)"):
        conv2d(x, w, c[..., :5], padding=1, groups=groups, arch="sm_80", epilogue=epilogue)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Epilogue(alpha=[1.0]), "epilogue: alpha: expected a number, found [1.0]"),
        (lambda: Epilogue(beta="x"), "epilogue: beta: expected floats or signed integers, found an array of str"),
        (lambda: Epilogue(bias=1.0), "epilogue: bias: expected an array, with a number for each row or column, found 1.0"),
        (lambda: Epilogue(bias=np.zeros(4, np.uint16)), "epilogue: bias: expected floats or signed integers, found an "),
        (lambda: Epilogue(activation="rely"), "activation: expected one of none, relu, relu6, gelu, gelu-tanh, silu, "),
        (lambda: Epilogue(out_dtype="fp61"), "out_dtype: expected one of fp32, fp16, "),
        (lambda: Epilogue(c_dtype=4), "c_dtype: expected the name of an element type, found 4"),
        (lambda: Epilogue(style="cutlass-4"), "style: expected one of cutlass-3, cutlass-2, found 'cutlass-4'"),
        (lambda: Epilogue(bias_along="rows"), "bias_along: expected one of row, column, found 'rows'"),
        (lambda: Epilogue(out_dtype="int8", saturate=False), "saturate: expected True for int8, which has neither "),
        (
            lambda: gemm(ONE, ONE, arch="sm_80", epilogue=Epilogue(bias=[1.0, 2.0])),
            "epilogue: bias: expected shape (..., 1), a number for each row, found (2,)",
        ),
        (
            lambda: gemm(ONE, ONE, arch="sm_80", epilogue=Epilogue(column_scale=[1.0, 2.0])),
            "epilogue: column_scale: expected shape (..., 1), a number for each column, found (2,)",
        ),
        (lambda: gemm(ONE, ONE, arch="sm_80", epilogue="relu"), "epilogue: expected an Epilogue, found 'relu'"),
        (
            lambda: gemm(ONE, ONE, ONE, arch="sm_80", epilogue=Epilogue(out_dtype="bf16")),
            "gemm: C: expected bf16 as an array of uint16 or bfloat16, found an array of float16",
        ),
    ],
)  # fmt: skip
def test_what_is_no_epilogue_is_one_sentence(call, sentence: str) -> None:
    with pytest.raises(StcsimError) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
