"""Do registers and memory hold the compressed matrix where PTX, CUTLASS and torch say they do?"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from stcsim.errors import StcsimError, UnsupportedError
from stcsim.isa import DTYPES, instructions
from stcsim.numerics.formats import code_type
from stcsim.numerics.sparse.cutlass_layouts import (
    CutlassLayout,
    cutlass_hopper_layout,
    cutlass_layout,
    from_cutlass_hopper_layout,
    from_cutlass_layout,
)
from stcsim.numerics.sparse.layouts import RegisterImage, from_register_image, register_image
from stcsim.numerics.sparse.sparse24 import Sparse24, compress, expand, pack_metadata
from tests.numerics.matrices import random_sparse

pytestmark = pytest.mark.small


def instruction(dtype: str, k: int) -> str:
    out, a = "s32" if "int" in dtype else "f32", DTYPES[dtype].ptx
    return f"mma.sp.m16n8k{k}.{out}.{a}.{a}.{out}"


#: dtype, k, columns of A behind one register, first column of registers 2 and 3 (PTX ISA), selectors.
SHAPES = [
    *[(dtype, k, 4, wide, selectors) for dtype in ("fp16", "bf16") for k, wide, selectors in ((16, None, 4), (32, 16, 2))],
    *[("tf32", k, 2, wide, selectors) for k, wide, selectors in ((8, None, 4), (16, 8, 2))],
    *[(dtype, k, 8, wide, selectors) for dtype in ("int8", "uint8") for k, wide, selectors in ((32, None, 2), (64, 32, 1))],
    *[(dtype, k, 16, wide, selectors) for dtype in ("int4", "uint4") for k, wide, selectors in ((64, None, 2), (128, 64, 1))],
    *[(dtype, 64, 8, 32, 1) for dtype in ("e4m3", "e5m2")],
]


def tile(dtype: str, m: int, k: int, seed: int = 0) -> Sparse24:
    return compress(random_sparse(dtype, (m, k), seed), dtype)


def kept_between(s: Sparse24, row: int, columns: range) -> list[int]:
    """The kept codes of whole groups, in order of k."""
    return s.values[row, columns.start // 2 : columns.stop // 2].tolist()


def fields(word: int, bits: int) -> list[int]:
    return [int(word) >> at & (1 << bits) - 1 for at in range(0, 32, bits)]


@pytest.mark.parametrize(("dtype", "k", "step", "wide", "selectors"), SHAPES)
def test_registers_of_a_hold_what_ptx_says(dtype: str, k: int, step: int, wide: int | None, selectors: int) -> None:
    s = tile(dtype, 16, k)
    image = register_image(s, instruction(dtype, k), 0)
    assert image.a.shape == (32, 2 if wide is None else 4)
    for lane, register in product(range(32), range(image.a.shape[1])):
        g, t = divmod(lane, 4)
        row = g if register % 2 == 0 else g + 8
        first = step * t + (wide or 0) * (register // 2)
        assert fields(image.a[lane, register], DTYPES[dtype].bits) == kept_between(s, row, range(first, first + step))


def nibbles_of(word: int) -> list[int]:
    return fields(word, 4)


@pytest.mark.parametrize(("dtype", "k", "step", "wide", "selectors"), SHAPES)
def test_metadata_registers_hold_what_ptx_says(dtype: str, k: int, step: int, wide: int | None, selectors: int) -> None:
    s, two_rows = tile(dtype, 16, k), DTYPES[dtype].bits >= 16
    for selector in range(selectors):
        image = register_image(s, instruction(dtype, k), selector)
        named = range(selector * 4 // selectors, (selector + 1) * 4 // selectors)
        for lane in range(32):
            g, t = divmod(lane, 4)
            part = t - named.start
            if t not in named:
                expected = [0] * 8
            elif two_rows:  # four nibbles of row g, then four of row g + 8
                expected = [*s.metadata[g, 4 * part : 4 * part + 4], *s.metadata[g + 8, 4 * part : 4 * part + 4]]
            else:  # threads 0, 2: row g; 1, 3: row g + 8; threads 2, 3: the upper half of k
                expected = list(s.metadata[g + 8 * (part % 2), 8 * (part // 2) : 8 * (part // 2) + 8])
            assert nibbles_of(image.metadata[lane]) == expected


@pytest.mark.parametrize(("dtype", "k", "step", "wide", "selectors"), SHAPES)
def test_registers_give_the_tile_back(dtype: str, k: int, step: int, wide: int | None, selectors: int) -> None:
    s = compress(random_sparse(dtype, (2, 3, 16, k), 3), dtype)
    for selector in range(selectors):
        back = from_register_image(register_image(s, instruction(dtype, k), selector))
        np.testing.assert_array_equal(back.values, s.values, strict=True)
        np.testing.assert_array_equal(back.metadata, s.metadata, strict=True)
    nothing = register_image(compress(np.zeros((0, 16, k), code_type(DTYPES[dtype])), dtype), instruction(dtype, k), 0)
    assert from_register_image(nothing).metadata.shape == (0, 16, s.metadata.shape[-1])


def test_wgmma_is_four_warps_of_sixteen_rows() -> None:
    s = tile("fp16", 64, 32)
    image = register_image(s, "wgmma.sp.m64n128k32.f32.f16.f16", 1)
    assert (image.a.shape, image.metadata.shape) == ((128, 4), (128,))
    for warp in range(4):
        rows = slice(16 * warp, 16 * warp + 16)
        part = register_image(Sparse24(s.values[rows], s.metadata[rows], "fp16", 32), instruction("fp16", 32), 1)
        np.testing.assert_array_equal(image.a[32 * warp : 32 * warp + 32], part.a)
        np.testing.assert_array_equal(image.metadata[32 * warp : 32 * warp + 32], part.metadata)
    np.testing.assert_array_equal(expand(from_register_image(image)), expand(s))


def test_one_register_by_hand() -> None:
    codes = np.zeros((16, 32), np.uint16)
    codes[1, [4, 7]] = 0x1111, 0x2222  # group 1 of row 1, indices (0, 3): lane 4 * 1 + 1, register 0
    codes[9, [17, 18]] = 0x3333, 0x4444  # group 4 of row 9, indices (1, 2): lane 4, register 3
    image = register_image(compress(codes, "fp16"), "mma.sp.m16n8k32.f32.f16.f16.f32", 1)
    assert image.a[5].tolist() == [0x22221111, 0, 0, 0]
    assert image.a[4].tolist() == [0, 0, 0, 0x44443333]
    # Row 1 gives groups 0-3 = E, C, E, E to bits 0-15 of thread 2; row 9 groups 4-7 = 9, E, E, E to bits 16-31 of thread 3.
    assert [hex(word) for word in image.metadata[4:8]] == ["0x0", "0x0", "0xeeeeeece", "0xeee9eeee"]


def sentence(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises(StcsimError) as error:
        call(*arguments, **options)  # type: ignore[operator]
    return str(error.value)


def test_what_does_not_fit_an_instruction_is_refused() -> None:
    s = tile("fp16", 16, 32)
    half = "mma.sp.m16n8k32.f32.f16.f16.f32"
    assert sentence(register_image, s, half, 2) == f"sparsity selector of {half}: expected 0 or 1, found 2"
    assert sentence(register_image, s, "mma.sp.m16n8k16.f32.f16.f16.f32", 0) == (
        "A of mma.sp.m16n8k16.f32.f16.f16.f32: expected fp16 of (16, 16), found fp16 of (16, 32)"
    )
    assert "expected bf16 of (16, 32), found fp16 of (16, 32)" in sentence(register_image, s, half.replace(".f16", ".bf16"), 0)
    int8 = instruction("int8", 64)
    assert sentence(register_image, tile("int8", 16, 64), int8, 1) == f"sparsity selector of {int8}: expected 0, found 1"
    with pytest.raises(UnsupportedError, match="register image: expected an mma.sp or wgmma.sp instruction, found 'mma.m16n8k16"):
        register_image(s, "mma.m16n8k16.f32.f16.f16.f32")
    with pytest.raises(UnsupportedError):
        register_image(s, "mma.sp.m16n8k48.f32.f16.f16.f32")
    image = register_image(s, half)
    assert sentence(from_register_image, RegisterImage(half, 0, image.a[:, :2], image.metadata)) == (
        f"registers of {half}: expected shapes (..., 32, 4) and (..., 32), found (32, 2) and (32,)"
    )


def test_unordered_indices_are_for_the_plain_instruction_only() -> None:
    s = replace(tile("fp16", 16, 32), metadata=np.full((16, 8), 0b0001, np.uint8))
    assert register_image(s, "mma.sp.m16n8k32.f32.f16.f16.f32").metadata[0] == 0x11111111
    ordered = "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32"
    assert sentence(register_image, s, ordered).startswith("metadata at row 0, group 0: expected one of 0100,")


#: dtype, rows that one warp serves, k of the full-width tile, instructions by selector: (rows, selector).
STREAMS = [
    *[(dtype, 32, 32) for dtype in ("fp16", "bf16")],
    ("tf32", 32, 16),
    *[(dtype, 16, 64) for dtype in ("int8", "uint8", "e4m3", "e5m2")],
    *[(dtype, 16, 128) for dtype in ("int4", "uint4")],
]


@pytest.mark.parametrize(("dtype", "rows", "k"), STREAMS)
def test_the_stored_stream_of_cutlass_is_the_register_image(dtype: str, rows: int, k: int) -> None:
    m, pairs = 3 * rows, 2
    s = tile(dtype, m, pairs * k)
    stream = cutlass_layout(s).metadata.reshape(-1).view(np.uint32).reshape(pairs, m // rows, 32)
    for pair, block in product(range(pairs), range(m // rows)):
        words = np.zeros(32, np.uint32)  # two instructions of 16 rows share the lanes of 16-bit types, by selector
        for selector in range(rows // 16):
            top, left = block * rows + 16 * selector, pair * k
            part = compress(expand(s)[top : top + 16, left : left + k], dtype)
            words |= register_image(part, instruction(dtype, k), selector).metadata
        np.testing.assert_array_equal(stream[pair, block], words)


@pytest.mark.parametrize("dtype", instructions.sparse_inputs())
def test_the_cutlass_layout_gives_the_matrix_back(dtype: str) -> None:
    s = compress(random_sparse(dtype, (2, 64, 256), 4), dtype)
    layout = cutlass_layout(s)
    assert sorted(layout.metadata[0].ravel()) == sorted(pack_metadata(s, 8 * layout.metadata.itemsize)[0].ravel())
    back = from_cutlass_layout(layout)
    np.testing.assert_array_equal(back.metadata, s.metadata, strict=True)
    assert (back.dtype, back.k) == (dtype, 256)
    np.testing.assert_array_equal(cutlass_layout(compress(expand(s)[1], dtype)).metadata, layout.metadata[1])


def is_nan(codes: np.ndarray, dtype: str) -> np.ndarray:
    row = DTYPES[dtype]
    return np.zeros(codes.shape, np.bool_) if not row.is_float else (codes & row.magnitude_mask) > row.largest_code


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "int8", "tf32"])
@pytest.mark.parametrize("fill", [1.0, 0.6, 0.0])
@pytest.mark.parametrize(("m", "k"), [(32, 64), (64, 128), (96, 192), (32, 1024), (256, 64)])
def test_torch_makes_the_same_bits(dtype: str, fill: float, m: int, k: int) -> None:
    torch = pytest.importorskip("torch")
    conversions = pytest.importorskip("torch.sparse._semi_structured_conversions")
    types = {"fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8, "tf32": torch.float32}
    codes = random_sparse(dtype, (m, k), m + k, fill)
    signed = codes.view(codes.dtype.name.removeprefix("u"))
    dense = torch.from_numpy(signed.copy()).view(types[dtype])
    values, metadata = conversions.sparse_semi_structured_from_dense_cutlass(dense)
    layout = cutlass_layout(compress(codes, dtype))
    theirs = values.view(torch.from_numpy(signed).dtype).numpy().view(codes.dtype)
    assert (is_nan(theirs, dtype) == is_nan(layout.values, dtype)).all()  # torch's CPU gather rewrites 16-bit NaN patterns
    number = ~is_nan(layout.values, dtype) if DTYPES[dtype].bits == 16 else np.ones(layout.values.shape, np.bool_)
    np.testing.assert_array_equal(theirs[number], layout.values[number], strict=True)
    np.testing.assert_array_equal(metadata.numpy().view(layout.metadata.dtype), layout.metadata, strict=True)
    taken = from_cutlass_layout(CutlassLayout(layout.values, metadata.numpy(), dtype))  # torch's own tensors
    np.testing.assert_array_equal(expand(taken), expand(compress(codes, dtype)))


def test_limits_of_the_cutlass_layout() -> None:
    assert sentence(cutlass_layout, tile("e2m1", 32, 128)) == (
        "CUTLASS layout: expected a type that a sparse instruction takes "
        "(fp16, bf16, tf32, int8, uint8, int4, uint4, e4m3, e5m2), found 'e2m1'"
    )
    assert sentence(cutlass_layout, tile("fp16", 16, 32)) == (
        "CUTLASS layout of fp16: expected a multiple of 32 rows and of 32 columns, found 16 x 32"
    )
    assert "of 16 rows and of 64 columns, found 16 x 96" in sentence(cutlass_layout, tile("int8", 16, 96))  # torch: index error
    assert "of 32 rows and of 16 columns, found 32 x 8" in sentence(cutlass_layout, tile("tf32", 32, 8))
    assert sentence(cutlass_layout, compress(np.zeros(64, np.uint16), "fp16")) == (
        "CUTLASS layout of fp16: expected a matrix, found 1 dimension"
    )
    good = cutlass_layout(tile("fp16", 32, 64))
    assert sentence(from_cutlass_layout, replace(good, metadata=good.metadata.astype(np.uint32))) == (
        "CUTLASS metadata of fp16: expected rows of uint16 or int16, found 2 dimensions of uint32"
    )
    assert sentence(from_cutlass_layout, replace(good, metadata=good.metadata[:, :3])) == (
        "CUTLASS metadata of fp16: expected a multiple of 32 rows and an even number of columns, found 32 x 3"
    )
    assert "found 0000" in sentence(from_cutlass_layout, replace(good, metadata=np.zeros_like(good.metadata)))


def hopper_index(bits: int, atom_k: int, m: int, k: int) -> int:
    """Where CuTe puts logical element (m, k) of one metadata atom: strides of ``make_ordered_layout``, by hand."""
    if bits == 8:
        return m * atom_k + k
    run, blocks = 256 // bits, atom_k // (512 // bits)  # 16 or 8 columns
    g, half, tall = m % 8, m // 8 % 2, m // 16
    column, upper, block = k % run, k // run % 2, k // (2 * run)
    steps = {"column": 1, "half": run, "block": 2 * run, "g": 2 * run * blocks}
    steps |= {"upper": 16 * run * blocks, "tall": 32 * run * blocks}
    at = column * steps["column"] + half * steps["half"] + block * steps["block"]
    return at + g * steps["g"] + upper * steps["upper"] + tall * steps["tall"]


@pytest.mark.parametrize(
    ("dtype", "tile_k"),
    [("fp16", 32), ("bf16", 64), ("fp16", 128), ("fp16", 256), ("tf32", 16), ("tf32", 64), ("int8", 64), ("e4m3", 128)],
)
def test_the_hopper_layout_follows_the_strides_of_cutlass(dtype: str, tile_k: int) -> None:
    m, k, row = 128, 256, DTYPES[dtype]
    s, atom_k = tile(dtype, m, k), min(tile_k, 128)
    layout = cutlass_hopper_layout(s, tile_k)
    assert layout.metadata.size == m * k // row.sparse_group // 2
    for r, group in product(range(0, m, 3), range(k // row.sparse_group)):
        column = group * row.sparse_group
        atom = r // 64 + m // 64 * (column // atom_k)  # down the rows first
        index = atom * 64 * atom_k + hopper_index(row.bits, atom_k, r % 64, column % atom_k)
        byte = int(layout.metadata[index // row.sparse_group // 2])
        assert byte >> 4 * (index // row.sparse_group % 2) & 0xF == s.metadata[r, group]
    np.testing.assert_array_equal(from_cutlass_hopper_layout(layout).metadata, s.metadata, strict=True)


def test_a_hopper_word_is_the_register_word() -> None:
    """The four bytes that a 16-bit atom holds together are rows g and g + 8 of one half of k, as the registers are."""
    s = tile("fp16", 64, 32)
    words = cutlass_hopper_layout(s, 32).metadata.view(np.uint32).reshape(4, 2, 8)  # block of rows, half of k, g
    lanes = register_image(s, "wgmma.sp.m64n8k32.f32.f16.f16", 0).metadata.reshape(4, 8, 4)
    np.testing.assert_array_equal(words, lanes[:, :, :2].transpose(0, 2, 1))


def test_batches_and_limits_of_the_hopper_layout() -> None:
    s = compress(random_sparse("fp16", (3, 64, 128), 2), "fp16")
    layout = cutlass_hopper_layout(s)
    np.testing.assert_array_equal(from_cutlass_hopper_layout(layout).metadata, s.metadata, strict=True)
    np.testing.assert_array_equal(layout.metadata[1], cutlass_hopper_layout(compress(expand(s)[1], "fp16")).metadata)
    assert sentence(cutlass_hopper_layout, tile("fp16", 64, 64)) == (
        "Hopper layout of fp16: expected a multiple of 64 rows and of 128 columns, found 64 x 64"
    )
    assert sentence(cutlass_hopper_layout, tile("int8", 64, 128), 32) == (
        "tile_k of the Hopper layout of int8: expected a multiple of 64, found 32"
    )
    assert sentence(cutlass_hopper_layout, tile("int4", 64, 128)) == (
        "Hopper layout: expected an element type of 8 bits or more, found 'int4'"
    )
    assert sentence(from_cutlass_hopper_layout, replace(layout, metadata=layout.metadata[:, 1:])) == (
        "Hopper metadata of fp16 64 x 128: expected shape (3, 1024) of uint8, found (3, 1023) of uint8"
    )
