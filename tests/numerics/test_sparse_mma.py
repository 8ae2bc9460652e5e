"""Do sparse instructions select B by the metadata and then compute what the named blocking says?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stcsim.errors import StcsimError, UnsupportedError
from stcsim.isa import DTYPES, instructions
from stcsim.isa.instructions import Instruction, parse
from stcsim.numerics import mma, mma_sp
from stcsim.numerics.codes import values
from stcsim.numerics.evidence.draws import draw
from stcsim.numerics.formats import code_type, encoded
from stcsim.numerics.rules import datapath
from stcsim.numerics.sparse.sparse24 import Sparse24, expand

SPARSE = {
    f"{arch} {each.name}": (arch, each)
    for arch in ("sm_80", "sm_89", "sm_90", "sm_100")
    for each in instructions.available(arch)
    if each.sparse and each.n == 8 and each.m != 128
}
GROUP = {"tf32": (2, 1), "int4": (8, 2), "uint4": (8, 2)}  # elements in a group, elements of an index
SIX = np.array([0b0100, 0b1000, 0b1001, 0b1100, 0b1101, 0b1110], np.uint8)


def some(name: str, shape: tuple[int, ...], rng: np.random.Generator, kind: str = "normal") -> np.ndarray:
    form = DTYPES[name]
    if form.is_float:
        return draw(kind, form, (form.min_exponent, form.max_exponent), shape, rng)
    return rng.integers(0, 1 << form.bits, shape, dtype=np.int64).astype(code_type(form))


def operands(instruction: Instruction, seed: int, kind: str = "normal") -> tuple[Sparse24, np.ndarray, np.ndarray]:
    """Return a compressed A with every encoding, B and C."""
    rng = np.random.default_rng(seed)
    group, _ = GROUP.get(instruction.a, (4, 1))
    nibbles = rng.choice(SIX if group > 2 else SIX[[0, 5]], (instruction.m, instruction.k // group))
    kept = some(instruction.a, (instruction.m, instruction.k // 2), rng, kind)
    b = some(instruction.b, (instruction.k, instruction.n), rng, kind)
    return Sparse24(kept, nibbles, instruction.a, instruction.k), b, some(instruction.c, (instruction.m, instruction.n), rng)


def selected_rows(a: Sparse24, i: int) -> list[int]:
    """Return the rows of B that row i of A meets, straight from PTX: index pairs of four elements, halves or pairs."""
    group, pair = GROUP.get(a.dtype, (4, 1))
    rows = []
    for g, nibble in enumerate(a.metadata[i].tolist()):
        if group == 2:
            rows.append(2 * g + {0b0100: 0, 0b1110: 1}[nibble])
            continue
        for index in (nibble & 3, nibble >> 2):
            rows += [g * group + index * pair + at for at in range(pair)]
    return rows


@pytest.mark.parametrize("label", SPARSE)
@pytest.mark.parametrize("kind", ["normal", "random bits"])
def test_kept_blocking_is_the_dense_rule_on_selected_rows(label: str, kind: str) -> None:
    arch, instruction = SPARSE[label]
    a, b, c = operands(instruction, 1, kind)

    d = mma_sp(instruction.name, a, b, c, arch=arch)

    half = replace(instruction, sparse=False, k=instruction.k // 2)  # the dense instruction of the kept products
    if half.name not in {each.name for each in instructions.available(arch)}:
        pytest.skip(f"no dense instruction of k = {half.k}")
    for i in range(0, instruction.m, 5):
        row = np.zeros((half.m, half.k), a.values.dtype)
        row[i] = a.values[i]
        assert np.array_equal(mma(half.name, row, b[selected_rows(a, i)], c, arch=arch)[i], d[i])


@pytest.mark.parametrize("label", SPARSE)
def test_engines_agree(label: str) -> None:
    arch, instruction = SPARSE[label]
    for kind in ("normal", "random bits"):
        a, b, c = operands(instruction, 2, kind)
        for blocking in ("kept", "expanded"):
            options = {"arch": arch, "blocking": blocking}
            fast, reference = (mma_sp(instruction.name, a, b, c, engine=engine, **options) for engine in ("fast", "reference"))
            assert np.array_equal(fast, reference)


@pytest.mark.parametrize("label", SPARSE)
def test_expanded_blocking_is_the_dense_instruction_on_expanded_a(label: str) -> None:
    arch, instruction = SPARSE[label]
    dense = [each for each in instructions.available(arch) if not each.sparse and instruction.k % each.k == 0]
    whole = [each for each in dense if replace(each, sparse=True, k=instruction.k) == instruction]
    rule = datapath(instruction, arch).rule
    if not whole or (rule is not None and rule.adds_c_last):
        pytest.skip("no dense instruction that can be chained to the same sum (emulated fp8 adds C at each of them)")
    a, b, c = operands(instruction, 3)

    d, expanded, step = c, expand(a), whole[-1].k
    for k in range(0, instruction.k, step):
        d = mma(whole[-1].name, expanded[:, k : k + step], b[k : k + step], d, arch=arch)

    assert np.array_equal(mma_sp(instruction.name, a, b, c, arch=arch, blocking="expanded"), d)


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_the_two_blockings_differ(arch: str) -> None:
    name, differ, count = "mma.sp.m16n8k32.f32.f16.f16.f32", 0, 0
    for seed in range(48):
        a, b, c = operands(parse(name), seed)
        kept, expanded = (mma_sp(name, a, b, c, arch=arch, blocking=each) for each in ("kept", "expanded"))
        differ, count = differ + int((kept != expanded).sum()), count + kept.size
    assert 0.2 < differ / count < 0.6  # so that one run on a GPU decides


@pytest.mark.parametrize("poison", [0x7C00, 0x7E00], ids=["inf", "nan"])
def test_infinity_in_a_row_that_is_not_selected(poison: int) -> None:
    name = "mma.sp.m16n8k16.f32.f16.f16.f32"
    ones = Sparse24(np.full((16, 8), 0x3C00, np.uint16), np.full((16, 4), 0b0100, np.uint8), "fp16", 16)  # keeps elements 0 and 1
    b = np.full((16, 8), 0x3C00, np.uint16)
    b[2::4] = poison

    assert (values(mma_sp(name, ones, b, arch="sm_80"), "fp32") == 8).all()
    assert (mma_sp(name, ones, b, arch="sm_80", blocking="expanded") == 0x7FFFFFFF).all()  # 0 * inf


def test_the_worked_example_selects_its_rows() -> None:
    # Row 0 keeps elements (0,3) of the first group and (1,2) of the second: rows 0, 3, 5 and 6 of B, as powers of two.
    name = "mma.sp.m16n8k16.f32.f16.f16.f32"
    metadata = np.full((16, 4), 0b0100, np.uint8)
    metadata[0, :2] = 0b1100, 0b1001
    kept = np.zeros((16, 8), np.uint16)
    kept[0, :4] = 0x3C00
    b = encoded(np.repeat(2.0 ** np.arange(-8, 8)[:, None], 8, axis=1), DTYPES["fp16"])

    d = mma_sp(name, Sparse24(kept, metadata, "fp16", 16), b, arch="sm_80")

    assert (values(d, "fp32")[0] == 2.0**-8 + 2.0**-5 + 2.0**-3 + 2.0**-2).all()


@pytest.mark.parametrize("label", [label for label in SPARSE if ".s32." in label and "sm_80" in label])
def test_integers_equal_the_product_with_expanded_a(label: str) -> None:
    arch, instruction = SPARSE[label]
    a, b, c = operands(instruction, 4)
    exact = (values(expand(a), a.dtype) @ values(b, instruction.b) + c.view(np.int32)).astype(np.int64)

    d = mma_sp(instruction.name, a, b, c, arch=arch)

    assert np.array_equal(d.astype(np.int64) & 0xFFFFFFFF, exact & 0xFFFFFFFF)


def test_batches_broadcast() -> None:
    name = "mma.sp.m16n8k32.f32.f16.f16.f32"
    a, b, _ = operands(parse(name), 5)
    many = np.stack([b, b[::-1], np.roll(b, 1, axis=0)])

    d = mma_sp(name, a, many[:, None], np.zeros((2, 16, 8), np.float32), arch="sm_80")

    assert d.shape == (3, 2, 16, 8)
    for which in range(3):
        assert np.array_equal(d[which, 1], mma_sp(name, a, many[which], arch="sm_80"))


def test_undefined_encodings_are_refused() -> None:
    name = "mma.sp.m16n8k16.f32.f16.f16.f32"
    a, b, _ = operands(parse(name), 6)
    swapped = replace(a, metadata=np.full_like(a.metadata, 0b0001))  # indices 1 and 0
    equal = replace(a, metadata=a.metadata.copy())
    equal.metadata[3, 2] = 0b0101

    mma_sp(name, swapped, b, arch="sm_80", ordered=False)
    refused = ((swapped, True, "row 0, group 0"), (equal, True, "row 3, group 2"), (equal, False, "row 3, group 2"))
    for bad, ordered, place in refused:
        with pytest.raises(StcsimError, match=place):
            mma_sp(name, bad, b, arch="sm_80", ordered=ordered)


def test_unordered_indices_select_in_their_order() -> None:
    name = "mma.sp.m16n8k16.f32.f16.f16.f32"
    a, b, c = operands(parse(name), 7)
    backwards = a.values.reshape(16, 4, 2)[..., ::-1].reshape(16, 8)
    flipped = Sparse24(backwards, a.metadata >> 2 | (a.metadata & 3) << 2, "fp16", 16)

    assert np.array_equal(mma_sp(name, flipped, b, c, arch="sm_90", ordered=False), mma_sp(name, a, b, c, arch="sm_90"))


def sentences() -> list[tuple[str, str]]:
    """Return what each bad call says, and how it should begin."""
    a, b, _ = operands(parse("mma.sp.m16n8k32.f32.f16.f16.f32"), 8)
    name, dense, codes = "mma.sp.m16n8k32.f32.f16.f16.f32", "mma.m16n8k16.f32.f16.f16.f32", np.zeros((16, 16), np.uint16)
    calls = [
        (lambda: mma_sp(dense, a, b, arch="sm_80"), f"{dense}: expected a sparse instruction, found a dense one"),
        (lambda: mma(name, codes, b, arch="sm_80"), f"{name}: expected a dense instruction, found a sparse one"),
        (
            lambda: mma_sp(name, replace(a, dtype="bf16"), b, arch="sm_80"),
            f"{name}: A: expected a compressed matrix of fp16, found bf16",
        ),
        (lambda: mma_sp(name, a, b[:16], arch="sm_80"), f"{name}: B: expected shape (..., 32, 8), found (16, 8)"),
        (lambda: mma_sp(name, a, b, arch="sm_75"), f"{name}: expected an instruction of sm_75 (it has no mma.sp)"),
        (lambda: mma_sp(name, a, b, arch="sm_80", blocking="both"), "blocking: expected one of kept, expanded, found 'both'"),
        (lambda: mma_sp(name, a, b, arch="sm_80", engine="quick"), "engine: expected one of fast, reference, found 'quick'"),
        (lambda: mma(dense, codes.astype(int), codes[:, :8], arch="sm_80"), f"{dense}: A: expected fp16 as an array of uint16"),
        (
            lambda: mma(dense, np.stack([codes] * 2), np.stack([codes[:, :8]] * 3), arch="sm_80"),
            "batch dimensions of A, B, C: expected shapes that broadcast, found (2,), (3,), ()",
        ),
    ]  # fmt: skip
    said = []
    for call, start in calls:
        with pytest.raises((StcsimError, UnsupportedError)) as caught:
            call()
        said.append((str(caught.value), start))
    return said


def test_bad_calls_are_one_sentence() -> None:
    for said, start in sentences():
        assert said.startswith(start)
        assert "\n" not in said
