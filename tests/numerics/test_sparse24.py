"""Does the compressed form hold what the matrix held, in the bits the hardware wants, and nothing undefined?"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stcsim.errors import StcsimError, UnsupportedError
from stcsim.isa import DTYPES
from stcsim.numerics.formats import code_type
from stcsim.numerics.sparse.sparse24 import (
    Sparse24,
    StorageBytes,
    compress,
    expand,
    pack_metadata,
    storage_bytes,
    unpack_metadata,
    validate,
)
from tests.numerics.matrices import SPARSE_TYPES, plain_zeros, random_sparse

pytestmark = pytest.mark.small

PAIRS = list(combinations(range(4), 2))
NIBBLES = {(0, 1): 0b0100, (0, 2): 0b1000, (1, 2): 0b1001, (0, 3): 0b1100, (1, 3): 0b1101, (2, 3): 0b1110}


def sentence(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises(StcsimError) as error:
        call(*arguments, **options)  # type: ignore[operator]
    return str(error.value)


def one_group(*values: int, dtype: str = "int8") -> Sparse24:
    return compress(np.array([values], code_type(DTYPES[dtype])), dtype)


def sparse(nibble: int, dtype: str = "fp16", rows: int = 2) -> Sparse24:
    """A matrix of two groups a row whose very last nibble is ``nibble``."""
    row = DTYPES[dtype]
    metadata = np.full((rows, 2), 0b0100, np.uint8)
    metadata[-1, -1] = nibble
    return Sparse24(np.zeros((rows, row.sparse_group), code_type(row)), metadata, dtype, 2 * row.sparse_group)


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(SPARSE_TYPES),
    lead=st.lists(st.integers(0, 3), max_size=2),
    m=st.integers(0, 5),
    groups=st.integers(0, 6),
    fill=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_expanding_what_was_compressed_gives_it_back(dtype, lead, m, groups, fill, seed) -> None:
    codes = random_sparse(dtype, (*lead, m, groups * DTYPES[dtype].sparse_group), seed, fill)
    compressed = validate(compress(codes, dtype))  # ordered, shapes as documented
    back = expand(compressed)
    np.testing.assert_array_equal(plain_zeros(back, dtype), plain_zeros(codes, dtype), strict=True)
    np.testing.assert_array_equal(back[back != 0], codes[back != 0])  # a kept -0 is still a -0
    np.testing.assert_array_equal(expand(compress(back, dtype)), back)


@pytest.mark.parametrize("dtype", [name for name in SPARSE_TYPES if DTYPES[name].sparse_group == 4])
def test_all_six_index_pairs(dtype: str) -> None:
    for first, second in PAIRS:
        group = [0, 0, 0, 0]
        group[first], group[second] = 1, 2
        got = one_group(*group, dtype=dtype)
        assert got.metadata.tolist() == [[NIBBLES[first, second]]]
        assert got.values.tolist() == [[1, 2]]


def test_the_worked_nibbles() -> None:
    assert one_group(7, 0, 0, 9).metadata[0, 0] == 0xC  # indices (0, 3)
    assert one_group(0, 7, 9, 0).metadata[0, 0] == 0b1001  # indices (1, 2)


def test_groups_with_fewer_non_zeros_take_the_zeros_that_torch_takes() -> None:
    expected = {"0000": 0b1110, "0001": 0b1110, "0010": 0b1110, "0100": 0b1001, "1000": 0b1000}  # element 0 written first
    for group, nibble in expected.items():
        assert one_group(*(int(each) for each in group)).metadata[0, 0] == nibble, group


def test_tf32_is_one_of_two() -> None:
    got = one_group(5, 0, 0, 6, 0, 0, dtype="tf32")
    assert got.values.tolist() == [[5, 6, 0]]
    assert got.metadata.tolist() == [[0b0100, 0b1110, 0b1110]]  # a zero pair keeps the second, as in torch


def test_four_bits_are_kept_in_pairs() -> None:
    got = one_group(1, 2, 0, 0, 0, 0, 0, 3, dtype="int4")  # pairs 0 and 3, the last with one zero
    assert got.values.tolist() == [[1, 2, 0, 3]]
    assert got.metadata.tolist() == [[0b1100]]


def test_a_dropped_minus_zero_returns_as_plus_zero_and_a_kept_one_stays() -> None:
    codes = np.array([[0x3C00, 0x8000, 0x8000, 0x8000]], np.uint16)  # 1 -0 -0 -0: elements 0 and 2 are kept
    assert expand(compress(codes, "fp16")).tolist() == [[0x3C00, 0, 0x8000, 0]]


def test_arrays_of_the_type_itself_are_taken_as_their_bits() -> None:
    floats = np.array([[1.5, 0, 0, -2], [0, 3, 4, 0]])
    arrays = {
        "fp16": floats.astype(np.float16),
        "bf16": floats.astype(ml_dtypes.bfloat16),
        "int8": floats.astype(np.int8),
        "uint8": np.abs(floats).astype(np.uint8),
        "e4m3": floats.astype(ml_dtypes.float8_e4m3fn),
        "e5m2": floats.astype(ml_dtypes.float8_e5m2),
    }
    for dtype, array in arrays.items():
        back = expand(compress(array, dtype))
        np.testing.assert_array_equal(back, array.view(code_type(DTYPES[dtype])), strict=True)
        np.testing.assert_array_equal(expand(compress(array.astype(array.dtype.newbyteorder(">")), dtype)), back)
    tf32 = np.array([[1.5, 0, 0, -2]], np.float32)
    np.testing.assert_array_equal(expand(compress(tf32, "tf32")), tf32.view(np.uint32))
    for dtype, kind in (("int4", ml_dtypes.int4), ("uint4", ml_dtypes.uint4)):
        four = np.array([[1, 7, 0, 0, 0, 0, -8 if dtype == "int4" else 15, 3]]).astype(kind)
        assert expand(compress(four, dtype)).tolist() == [[1, 7, 0, 0, 0, 0, 8 if dtype == "int4" else 15, 3]]


def test_a_slice_is_compressed_like_its_copy() -> None:
    codes = random_sparse("fp16", (6, 4, 16), 5)[::2, 1:]
    np.testing.assert_array_equal(compress(codes, "fp16").values, compress(codes.copy(), "fp16").values)


def test_nan_is_a_weight_like_any_other_here() -> None:
    codes = np.array([[0, 0x7E01, 0, 0]], np.uint16)
    assert expand(compress(codes, "fp16")).tolist() == codes.tolist()


def test_what_is_not_two_of_four_is_refused() -> None:
    codes = np.zeros((5, 12), np.uint16)
    codes[3, 8:11] = 1
    assert sentence(compress, codes, "fp16") == "row 3, group 2 (columns 8 to 11): expected at most 2 non-zeros of 4, found 3"
    assert sentence(compress, codes.reshape(5, 1, 12), "fp16").startswith("matrix (3), row 0, group 2 (columns 8 to 11)")
    assert sentence(compress, codes[3], "fp16").startswith("group 2 (columns 8 to 11)")
    assert sentence(compress, np.array([[0, 0, 1.0, 2.0]], np.float32), "tf32") == (
        "row 0, group 1 (columns 2 to 3): expected at most 1 non-zero of 2, found 2"
    )
    assert sentence(compress, np.array([[1, 0, 0, 1, 1, 0, 0, 0]], np.uint8), "uint4") == (
        "row 0, group 0 (columns 0 to 7): expected at most 2 non-zero pairs of 4, found 3"
    )


def test_wrong_arrays_are_refused() -> None:
    zeros = np.zeros((2, 8), np.float32)
    assert sentence(compress, zeros, "fp16") == (
        "fp16 matrix: expected fp16 as an array of uint16 or float16, found an array of float32 (numerics.encode rounds it)"
    )
    assert (
        sentence(compress, zeros, "uint8")
        == "uint8 matrix: expected uint8 as an array of uint8, found an array of float32 (numerics.encode rounds it)"
    )
    assert sentence(compress, zeros[:, :7], "tf32") == "tf32 matrix: expected a multiple of 2 columns, found 7"
    assert sentence(compress, np.zeros((2, 6), np.int8), "int8") == "int8 matrix: expected a multiple of 4 columns, found 6"
    assert sentence(compress, np.zeros((2, 12), np.uint8), "int4") == "int4 matrix: expected a multiple of 8 columns, found 12"
    assert sentence(compress, np.uint8(3), "int8") == "int8 matrix: expected at least one dimension, found a single number"
    four = np.zeros((2, 8), np.uint8)
    four[1, 3] = 16
    assert sentence(compress, four, "uint4") == "uint4 matrix, row 1, column 3: expected a code of 4 bits, found 16"
    with pytest.raises(UnsupportedError, match=r"dtype: expected one of fp16, bf16, .*, found 'fp61' \(did you mean 'fp16'\?\)"):
        compress(zeros, "fp61")


@pytest.mark.parametrize("nibble", [0b0000, 0b0101, 0b1010, 0b1111])
def test_equal_indices_are_undefined_everywhere(nibble: int) -> None:
    for ordered, known in ((True, "0100, 1000, 1001, 1100, 1101, 1110"), (False, "0001, 0010, 0011, 0100, 0110, .*, 1110")):
        with pytest.raises(StcsimError, match=f"metadata at row 1, group 1: expected one of {known}, found {nibble:04b}"):
            validate(sparse(nibble), ordered=ordered)
    assert "row 1, group 1" in sentence(expand, sparse(nibble))
    assert "row 1, group 1" in sentence(pack_metadata, sparse(nibble), 16)


@pytest.mark.parametrize("nibble", [0b0001, 0b0010, 0b0011, 0b0110, 0b0111, 0b1011])
def test_unordered_indices_only_where_they_are_asked_for(nibble: int) -> None:
    s = replace(sparse(nibble), values=np.arange(1, 9, dtype=np.uint16).reshape(2, 4))
    assert sentence(validate, s).endswith(f"found {nibble:04b}")
    back = expand(validate(s, ordered=False))[1, 4:]
    assert (back[nibble & 3], back[nibble >> 2], back.sum()) == (7, 8, 15)


@pytest.mark.parametrize("nibble", sorted(set(range(16)) - {0b0100, 0b1110}))
def test_tf32_knows_two_encodings(nibble: int) -> None:
    for ordered in (True, False):
        with pytest.raises(StcsimError, match=f"row 1, group 1: expected one of 0100, 1110, found {nibble:04b}"):
            validate(sparse(nibble, "tf32"), ordered=ordered)


def test_parts_that_do_not_fit_are_refused() -> None:
    s = sparse(0b1001)
    assert sentence(validate, replace(s, values=s.values.astype(np.int16))) == "values of Sparse24: expected uint16, found int16"
    assert (
        sentence(validate, replace(s, metadata=s.metadata.astype(np.int64)))
        == "metadata of Sparse24: expected uint8, found int64"
    )
    assert sentence(validate, replace(s, k=16)) == "values of Sparse24 (k = 16): expected shape (2, 8), found (2, 4)"
    assert (
        sentence(validate, replace(s, metadata=s.metadata[:1]))
        == "metadata of Sparse24 (k = 8): expected shape (2, 2), found (1, 2)"
    )
    assert sentence(validate, replace(s, k=6)) == "fp16 matrix: expected a multiple of 4 columns, found 6"
    four = replace(sparse(0b1001, "int4"), values=np.full((2, 8), 16, np.uint8))
    assert sentence(validate, four) == "values of Sparse24: expected codes of 4 bits, found 16"
    assert sentence(validate, replace(s, metadata=s.metadata + 64)) == (
        "metadata at row 0, group 0: expected one of 0100, 1000, 1001, 1100, 1101, 1110, found 1000100"
    )


def test_words_hold_the_lowest_group_lowest() -> None:
    codes = np.array([[0, 1, 2, 0, 1, 0, 0, 2, 1, 2, 0, 0, 0, 0, 1, 2] * 2], np.uint8)  # nibbles 9, C, 4, E
    s = compress(codes, "int8")
    assert pack_metadata(s, 16).tolist() == [[0xE4C9, 0xE4C9]]
    assert pack_metadata(s, 32).tolist() == [[0xE4C9E4C9]]
    assert (pack_metadata(s, 16).dtype, pack_metadata(s, 32).dtype) == (np.uint16, np.uint32)


@pytest.mark.parametrize(("dtype", "bits"), list(product(SPARSE_TYPES, (16, 32))))
def test_unpacking_undoes_packing(dtype: str, bits: int) -> None:
    s = compress(random_sparse(dtype, (2, 3, 16 * DTYPES[dtype].sparse_group), 1), dtype)
    np.testing.assert_array_equal(unpack_metadata(pack_metadata(s, bits)), s.metadata, strict=True)
    np.testing.assert_array_equal(unpack_metadata(pack_metadata(s, bits).view(f"i{bits // 8}")), s.metadata, strict=True)


def test_words_must_be_whole() -> None:
    s = compress(np.zeros((2, 8), np.uint16), "fp16")
    assert (
        sentence(pack_metadata, s, 16) == "fp16 metadata: expected a multiple of 4 groups in a row for words of 16 bits, found 2"
    )
    assert sentence(pack_metadata, s, 8) == "word_bits: expected 16 or 32, found 8"
    assert (
        sentence(unpack_metadata, np.zeros((2, 2), np.uint8)) == "metadata words: expected 16-bit or 32-bit integers, found uint8"
    )


@pytest.mark.parametrize(
    ("dtype", "share"),
    [("fp16", 0.5625), ("bf16", 0.5625), ("tf32", 0.5625), ("int8", 0.625), ("uint8", 0.625)]
    + [("e4m3", 0.625), ("e5m2", 0.625), ("int4", 0.625), ("uint4", 0.625)],
)
def test_storage_is_what_the_whitepaper_says(dtype: str, share: float) -> None:
    stored = storage_bytes((3, 256, 512), dtype)
    assert stored.dense == 3 * 256 * 512 * DTYPES[dtype].bits // 8
    assert stored.total == share * stored.dense == stored.values + stored.metadata
    s = compress(random_sparse(dtype, (8, 64), 0), dtype)
    arrays = s.values.size * DTYPES[dtype].bits // 8, s.metadata.size // 2
    assert arrays == (storage_bytes((8, 64), dtype).values, storage_bytes((8, 64), dtype).metadata)


def test_storage_of_one_matrix_by_hand() -> None:
    assert storage_bytes((16, 32), "fp16") == StorageBytes(values=512, metadata=64, total=576, dense=1024)
    assert sentence(storage_bytes, (16, 30), "fp16") == "fp16 matrix: expected a multiple of 4 columns, found 30"
