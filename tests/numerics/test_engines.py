"""Do the fast engine and the reference agree on every bit, for every row of the rule table?

``stcsim evidence million`` does the same with a million dot products for each row.
"""

from __future__ import annotations

import numpy as np
import pytest

from stcsim.isa import DTYPES, instructions
from stcsim.isa.instructions import parse
from stcsim.numerics import mma
from stcsim.numerics.codes import values
from stcsim.numerics.engine import fast, reference
from stcsim.numerics.evidence.draws import CLASSES, main_rows, operands, rows, special_codes
from stcsim.numerics.formats import code_type, encoded, float_format
from stcsim.numerics.rules import Datapath, datapath

ROWS, MAIN = dict(rows()), dict(main_rows())


def assert_same_bits(path: Datapath, a: np.ndarray, b: np.ndarray, c: np.ndarray, what: str) -> None:
    found, wanted = fast.multiply(path, a, b, c), reference.multiply(path, a, b, c)
    at = np.argwhere(found != wanted)
    assert not at.size, f"{what}: {len(at)} differ, first {at[0]}: {found[tuple(at[0])]:#x}, reference {wanted[tuple(at[0])]:#x}"


@pytest.mark.parametrize("label", MAIN)
def test_fast_equals_reference(label: str) -> None:
    for name in CLASSES:
        a, b, c = operands(MAIN[label], name, batch=20, m=12, n=12, seed=2)  # 7 * 2,880 dot products
        assert_same_bits(MAIN[label], a, b, c, name)


@pytest.mark.small
def test_fast_equals_reference_with_every_mix_and_shape() -> None:
    for label, path in ROWS.items():
        for name in CLASSES:
            a, b, c = operands(path, name, batch=2, m=3, n=9, seed=3)
            assert_same_bits(path, a, b, c, f"{label}, {name}")


@pytest.mark.parametrize("label", MAIN)
def test_every_pair_of_special_values(label: str) -> None:
    path = MAIN[label]
    edges_a, edges_b = special_codes(float_format(path.a.name)), special_codes(float_format(path.b.name))
    addends = special_codes(float_format(path.c.name))[[0, 11, 5, 8, 19, 9, 1]]  # +0, -0, small, inf, -inf, NaN, least
    a = np.zeros((len(addends), len(edges_a), path.products), edges_a.dtype)
    b = np.zeros((len(addends), path.products, len(edges_b)), edges_b.dtype)
    a[:, :, 1], b[:, 1, :] = edges_a, edges_b
    c = np.broadcast_to(addends[:, None, None], (len(addends), len(edges_a), len(edges_b)))

    assert_same_bits(path, a, b, c, label)


@pytest.mark.parametrize("label", ["sm_80 mma.m16n8k16.f32.f16.f16.f32", "sm_90 mma.m16n8k32.f16.e4m3.e4m3.f16"])
def test_threads_panels_and_lanes_change_nothing(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = MAIN[label]
    a, b, c = operands(path, "wide exponent", batch=3, m=70, n=150, seed=4)
    whole = fast.multiply(path, a, b, c, workers=1)

    monkeypatch.setattr(fast, "_THREAD_MACS", 1)
    monkeypatch.setattr(fast, "_PANEL_ELEMENTS", 128 * a.shape[2])

    assert np.array_equal(fast.multiply(path, a, b, c, workers=2), whole)
    assert np.array_equal(fast.multiply(path, a[:1], b[:1], c[:1], workers=2), whole[:1])


@pytest.mark.small
@pytest.mark.parametrize("satfinite", ["", ".satfinite"])
@pytest.mark.parametrize(("a", "b"), [("s8", "s8"), ("u8", "s8"), ("s4", "u4"), ("u4", "s4")])
def test_integers_equal_the_reference(a: str, b: str, satfinite: str) -> None:
    k = 32 if "8" in a else 64
    path = datapath(parse(f"mma.m16n8k{k}.s32.{a}.{b}.s32{satfinite}"), "sm_80")
    rng = np.random.default_rng(5)
    codes_a, codes_b = (rng.integers(0, 1 << form.bits, shape).astype(np.uint8) for form, shape in
                        ((path.a, (4, 5, 2 * k)), (path.b, (4, 2 * k, 6))))  # fmt: skip
    c = (rng.choice([0, 2**31 - 9000, -(2**31) + 9000, 77], (4, 5, 6)) % 2**32).astype(np.uint32)

    assert_same_bits(path, codes_a, codes_b, c, "random")


def test_int32_wraps_or_clamps() -> None:
    a, b = np.full((1, 1, 32), 127, np.uint8), np.full((1, 32, 1), 127, np.uint8)
    c = np.full((1, 1, 1), 2**31 - 1, np.uint32)
    for engine in (fast, reference):
        wrapped = engine.multiply(datapath(parse("mma.m16n8k32.s32.s8.s8.s32"), "sm_80"), a, b, c)
        clamped = engine.multiply(datapath(parse("mma.m16n8k32.s32.s8.s8.s32.satfinite"), "sm_80"), a, b, c)
        assert wrapped[0, 0, 0] == 2**31 - 1 + 32 * 127 * 127  # as unsigned code; a negative number
        assert clamped[0, 0, 0] == 2**31 - 1


def dot(name: str, arch: str, a: list[float], b: list[float], c: float) -> float:
    """Return one dot product of small numbers, padded with zeros, by the reference; checked against the fast engine."""
    path = datapath(parse(name), arch)
    forms = [float_format(each.name) for each in (path.a, path.b, path.c)]
    fill = [0.0] * (path.products - len(a))
    codes_a, codes_b = encoded(np.array([[a + fill]]), forms[0]), encoded(np.array([[b + fill]]).swapaxes(1, 2), forms[1])
    codes_c = encoded(np.array([[[c]]]), forms[2])
    assert_same_bits(path, codes_a, codes_b, codes_c, name)
    return float(values(reference.multiply(path, codes_a, codes_b, codes_c), path.d.name)[0, 0, 0])


AMPERE, HOPPER = ("mma.m16n8k16.f32.f16.f16.f32", "sm_80"), ("mma.m16n8k16.f32.f16.f16.f32", "sm_90")


def test_truncation_keeps_f_bits_below_the_largest_exponent() -> None:
    # 1 - 2^-24: kept with F = 24, and truncated to 24 significand bits: 1 - 2^-24 itself. With F = 23 (Volta) the term is lost.
    assert dot(*AMPERE, [1.0, -(2.0**-12)], [1.0, 2.0**-12], 0.0) == 1 - 2.0**-24
    assert dot("mma.m8n8k4.f32.f16.f16.f32", "sm_70", [1.0, -(2.0**-12)], [1.0, 2.0**-12], 0.0) == 1.0
    # Two terms of 2^-25 are each truncated to zero on Ampere; on Hopper (F = 25) they add up to 2^-24, below 1's last place.
    assert dot(*AMPERE, [1.0, -(2.0**-12), -(2.0**-12)], [1.0, 2.0**-13, 2.0**-13], 0.0) == 1.0
    assert dot(*HOPPER, [1.0, -(2.0**-12), -(2.0**-12)], [1.0, 2.0**-13, 2.0**-13], 0.0) == 1 - 2.0**-24


def test_products_are_not_renormalised() -> None:
    # 1.5 * 1.5 = 2.25 has exponent 0: so -2^-24 survives with F = 24, and 2.25 - 2^-24 truncates to 2.25 - 2^-22.
    assert dot(*AMPERE, [1.5, -(2.0**-12)], [1.5, 2.0**-12], 0.0) == 2.25 - 2.0**-22


def test_blocks_of_l_products_are_rounded_one_by_one() -> None:
    # 2^24 + 1 + 1 in one block is exact (2^24 + 2); the ninth product stands alone in Ampere's second block: 2^24 + 1 truncates.
    first, ninth = [4096.0, 1.0] + [0.0] * 6 + [1.0], [4096.0, 1.0] + [0.0] * 6 + [1.0]
    assert dot(*AMPERE, first, ninth, 0.0) == 2.0**24
    assert dot(*HOPPER, first, ninth, 0.0) == 2.0**24 + 2


def test_e8m13_keeps_thirteen_fraction_bits() -> None:
    # 1 + 2^-13 + 2^-14: the last term is below F = 13.
    c = 1 + 2.0**-13 + 2.0**-14
    assert dot("wgmma.m64n8k32.f32.e4m3.e4m3", "sm_90", [1.0], [0.0], c) == 1 + 2.0**-13
    assert dot("tcgen05.m64n8k32.f32.e4m3.e4m3", "sm_100", [1.0], [0.0], c) == c


def test_half_results_round_to_nearest_even() -> None:
    # 2048 + 1 is half way between 2048 and 2050; 2050 + 1 between 2050 and 2052.
    assert dot("mma.m16n8k16.f16.f16.f16.f16", "sm_80", [1.0], [1.0], 2048.0) == 2048.0
    assert dot("mma.m16n8k16.f16.f16.f16.f16", "sm_80", [1.0], [1.0], 2050.0) == 2052.0


def test_emulated_fp8_adds_c_last_and_to_nearest() -> None:
    c = 2.0**14  # its last place is 2^-9, of which 1.5 * 2^-10 is three quarters
    assert dot("mma.m16n8k32.f32.e4m3.e4m3.f32", "sm_90", [1.5 * 2.0**-5], [2.0**-5], c) == c + 2.0**-9
    assert dot("tcgen05.m64n8k32.f32.e4m3.e4m3", "sm_100", [1.5 * 2.0**-5], [2.0**-5], c) == c


@pytest.mark.parametrize(("out", "native"), [("fp32", np.float32), ("fp16", np.float16)])
@pytest.mark.parametrize("arch", ["sm_90", "sm_100"])
def test_emulated_fp8_is_two_half_instructions_and_an_addition(out: str, native: type, arch: str) -> None:
    """The rule as it was derived from GPU outputs: fp8 to fp16, HMMA over k with (k div 2) even, HMMA over the rest, then + C."""
    word = {"fp32": "f32", "fp16": "f16"}[out]
    rng = np.random.default_rng(7)
    a, b = (
        encoded(rng.standard_normal((16, 32)), float_format("e4m3")),
        encoded(rng.standard_normal((32, 8)), float_format("e5m2")),
    )
    c = rng.standard_normal((16, 8)).astype(native)
    wide_a, wide_b = values(a, "e4m3").astype(np.float16), values(b, "e5m2").astype(np.float16)  # exact
    first = np.arange(32) // 2 % 2 == 0
    half = f"mma.m16n8k16.{word}.f16.f16.{word}"

    chain = mma(half, wide_a[:, first], wide_b[first], arch=arch)
    chain = mma(half, wide_a[:, ~first], wide_b[~first], chain, arch=arch)

    d = mma(f"mma.m16n8k32.{word}.e4m3.e5m2.{word}", a, b, c, arch=arch)
    assert np.array_equal(d, (chain.view(native) + c).view(d.dtype))


@pytest.mark.parametrize("zeros", [(0.0, 1.0, -0.0), (-0.0, 1.0, -0.0), (-1.0, 0.0, -0.0)])
def test_a_zero_result_is_plus_zero(zeros: tuple[float, float, float]) -> None:
    x, y, c = zeros
    assert np.signbit(dot(*AMPERE, [x], [y], c)) == np.False_


def test_a_negative_sum_that_truncates_to_zero_is_plus_zero() -> None:
    least = 2.0**-133  # the least bf16; its square is far below the least fp32
    result = dot("mma.m16n8k16.f32.bf16.bf16.f32", "sm_80", [-least], [least], 0.0)
    assert result == 0.0 and not np.signbit(result)


def test_every_arch_has_rows_for_all_its_floating_instructions() -> None:
    for arch in instructions.ARCHS:
        for instruction in instructions.available(arch):
            path = datapath(instruction, arch)
            if path.rule is not None:
                assert path.products % min(path.rule.block_length, path.products) == 0, instruction.name
                assert min(path.rule.block_length, path.products) % 4 == 0, instruction.name
                assert path.c is path.d or path.products <= path.rule.block_length, instruction.name
            assert code_type(DTYPES[instruction.a]) == code_type(path.a)
