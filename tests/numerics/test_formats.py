"""Does every code decode and encode to itself, by both ways of decoding, and as ml_dtypes reads it?"""

from __future__ import annotations

import numpy as np
import pytest

from stcsim.errors import StcsimError
from stcsim.isa import DTYPES
from stcsim.numerics.codes import to_codes, values
from stcsim.numerics.formats import code_type, decode, decoded, encode, encoded, float_format

SHORT = ("fp16", "bf16", "e4m3", "e5m2", "e2m1")


def all_codes(name: str) -> np.ndarray:
    form = DTYPES[name]
    return np.arange(1 << form.bits).astype(code_type(form))


@pytest.mark.small
@pytest.mark.parametrize("name", SHORT)
def test_every_code_is_what_ml_dtypes_reads(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    native = np.dtype(np.float16 if name == "fp16" else getattr(ml_dtypes, DTYPES[name].numpy))

    with np.errstate(invalid="ignore"):
        read = all_codes(name).view(native).astype(np.float64)

    number = ~np.isnan(read)
    assert np.array_equal(values(all_codes(name), name), read, equal_nan=True)
    assert np.array_equal(np.signbit(values(all_codes(name), name))[number], np.signbit(read)[number])
    assert np.array_equal(to_codes(all_codes(name).view(native), DTYPES[name], "test"), all_codes(name))


@pytest.mark.small
@pytest.mark.parametrize("name", SHORT)
def test_every_code_survives_both_encoders(name: str) -> None:
    form, codes = float_format(name), all_codes(name)
    value, power = decoded(codes, form)

    back = encoded(value, form)

    for code, number in [(code, decode(code, form)) for code in codes.tolist()]:
        if number.kind == "nan":
            assert np.isnan(value[code]) and np.isnan(values(back[code : code + 1], name)[0]) and power[code] == 0
            continue
        assert encode(number, form) == code == back[code]
        if number.kind == "finite":
            sign = -1 if number.negative else 1
            assert value[code] == sign * number.significand * 2.0 ** (number.exponent - form.fraction_bits)
            assert power[code] == (2.0**number.exponent if number.significand else 0)


@pytest.mark.parametrize(("name", "mask"), [("fp32", 0xFFFFFFFF), ("tf32", 0xFFFFE000)])
def test_32_bit_codes_are_read_as_float32(name: str, mask: int) -> None:
    codes = np.random.default_rng(1).integers(0, 1 << 32, 100_000).astype(np.uint32)
    with np.errstate(invalid="ignore"):
        read = (codes & np.uint32(mask)).view(np.float32).astype(np.float64)  # tf32: the low 13 bits are dropped, not rounded

    assert np.array_equal(values(codes, name), read, equal_nan=True)

    number = ~np.isnan(read)
    assert np.array_equal(encoded(read, float_format(name))[number], (codes & np.uint32(mask))[number])
    for code in codes[number][:2000].tolist():
        assert encode(decode(code, float_format(name)), float_format(name)) == code & mask


def test_encoding_rounds_to_nearest_even() -> None:
    half = float_format("fp16")
    # 2048 + 1 lies between 2048 and 2050: even 2048. 2048 + 3: even 2052. 65519 rounds to the largest, 65520 to infinity.
    assert encoded(np.array([2049.0, 2051.0, 65519.0, 65520.0, -(2.0**-25), 2.0**-25 * 1.5]), half).tolist() == [
        0x6800, 0x6802, 0x7BFF, 0x7C00, 0x8000, 0x0001,
    ]  # fmt: skip
    # e4m3 has no infinity: beyond 448 (464 is half way to the next step, and goes to even) stands NaN.
    assert encoded(np.array([448.0, 464.0, 465.0, np.inf]), float_format("e4m3")).tolist() == [0x7E, 0x7E, 0x7F, 0x7F]
    # e2m1 has neither infinity nor NaN: 0, 0.5, 1, 1.5, 2, 3, 4, 6; 0.25 and 5 are half way and go to even, the rest to 6.
    found = encoded(np.array([0.25, 0.75, 5.0, -6.0, 1e9, -np.inf, np.nan]), float_format("e2m1")).tolist()
    assert found == [0x0, 0x2, 0x6, 0xF, 0x7, 0xF, 0x7]


def test_the_sixteen_numbers_of_fp4() -> None:
    sizes = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]  # OCP Microscaling Formats 1.0, E2M1
    assert values(np.arange(16, dtype=np.uint8), "fp4").tolist() == [*sizes, *(-size for size in sizes)]


@pytest.mark.parametrize(
    ("array", "name", "sentence"),
    [
        (
            np.zeros(2, np.float32),
            "fp16",
            "A: expected fp16 as an array of uint16 or float16, found an array of float32 (numerics.encode rounds it)",
        ),
        (np.zeros(2, np.int8), "uint8", "A: expected uint8 as an array of uint8, found an array of int8"),
        (np.array([3, 16], np.uint8), "int4", "A, column 1: expected a code of 4 bits, found 16"),
        (np.array([[[3], [99]]], np.uint8), "e2m1", "A, matrix (0), row 1, column 0: expected a code of 4 bits, found 99"),
        (np.array(16, np.uint8), "uint4", "A: expected a code of 4 bits, found 16"),
    ],
)
def test_a_wrong_array_is_one_sentence(array: np.ndarray, name: str, sentence: str) -> None:
    with pytest.raises(StcsimError) as caught:
        to_codes(array, DTYPES[name], "A")
    assert str(caught.value) == sentence


def test_an_unknown_type_is_one_sentence() -> None:
    with pytest.raises(StcsimError, match=r"element type: expected one of fp32, .*, found 'bf61' \(did you mean 'bf16'\?\)"):
        values(np.zeros(1, np.uint16), "bf61")
    with pytest.raises(StcsimError, match="expected a floating-point type, found 'int8'"):
        float_format("int8")
