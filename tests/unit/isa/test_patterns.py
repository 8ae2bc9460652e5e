"""A pattern of structured sparsity is a row, of which a GPU's elements, peaks and bytes follow."""

from __future__ import annotations

import pytest

from stcsim import load_arch
from stcsim.errors import ArchError
from stcsim.isa import dtype
from stcsim.isa.patterns import NATIVE, PATTERNS, Pattern, find_pattern


def test_the_native_pattern_leaves_the_rows_of_types_as_they_are() -> None:
    assert NATIVE.name == "2:4"
    assert all(NATIVE.of(dtype(name)) is dtype(name) for name in ("fp16", "tf32", "int8", "int4"))


@pytest.mark.parametrize("pattern", [row for row in PATTERNS if not row.is_native], ids=lambda row: row.name)
def test_indices_tell_the_places_of_a_group_apart(pattern: Pattern) -> None:
    assert 2**pattern.index_bits >= pattern.group > pattern.kept
    assert 2 ** (pattern.index_bits - 1) < pattern.group


def test_one_of_four_keeps_a_quarter_of_the_values_and_a_half_of_the_metadata() -> None:
    quarter = find_pattern(1, 4)
    assert quarter is not None
    fp16 = quarter.of(dtype("fp16"))
    assert (fp16.sparse_kept, fp16.sparse_group, fp16.sparse_k_multiple) == (1, 4, 16)
    # 64 elements: 16 groups with one 2-bit index each are 4 bytes; 2:4 has 16 groups with two of them
    assert (fp16.metadata_bytes(64), dtype("fp16").metadata_bytes(64)) == (4, 8)


def test_a_gpu_of_another_pattern_says_so_in_rate_element_and_name() -> None:
    quarter = load_arch("a100", ["tensor_core.sparse_kept=1"])
    assert quarter.pattern_name == "1:4"
    assert quarter.element("fp16").sparse_kept == 1
    # A100 whitepaper, table 4: 312 TFLOPS dense in FP16; four values of which one is kept are done in a quarter of the time
    assert quarter.peak_tops("fp16", True) == pytest.approx(4 * 312, rel=0.01)
    assert quarter.peak_tops("fp16", False) == load_arch("a100").peak_tops("fp16", False)


def test_the_sparse_rate_and_the_width_of_metadata_are_leaves_of_their_own() -> None:
    slow = load_arch("a100", ["tensor_core.sparse_rate_ratio=1.5", "tensor_core.metadata_bits_per_index=3"])
    assert slow.peak_tops("fp16", True) == pytest.approx(1.5 * 312, rel=0.01)
    assert slow.element("fp16").metadata_bits == 6  # two values kept of four
    assert slow.element("tf32").metadata_bits == 3  # one kept of two
    assert slow.element("int4").metadata_bits == 6  # two pairs kept of four


def test_a_pattern_without_a_row_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(ArchError) as refused:
        load_arch("a100", ["tensor_core.sparse_kept=3"])
    where = "overrides tensor_core.sparse_kept"
    assert str(refused.value) == f"{where}: expected with sparse_group one of 2:4, 1:4, 1:8, 2:8, 4:8, found 3:4"
