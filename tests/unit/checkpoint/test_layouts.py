"""Do compressed layouts hold what was packed, as compressed-tensors 0.9.4 packed it?"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stcsim.checkpoint import open_checkpoint
from stcsim.checkpoint.bitmask import Bitmask24, pack_bitmask, unpack_bitmask
from stcsim.checkpoint.marlin import Marlin24, pack_marlin, unpack_marlin
from stcsim.checkpoint.packed import pack_integers
from stcsim.errors import StcsimError
from stcsim.numerics.sparse.pruning import prune
from tests.unit.checkpoints import drawn, pruned, write

Array = np.ndarray[Any, Any]


def integers(outputs: int, inputs: int, bits: int) -> Array:
    """Return a 2:4 matrix of every integer of so many bits, the same on every machine."""
    half = 1 << (bits - 1)
    numbers = (np.arange(outputs * inputs) * 7919 % (2 * half) - half).reshape(outputs, inputs).astype(np.int8)
    return prune(np.where(numbers == 0, 1, numbers).astype(np.int8))


def digest(*arrays: Array) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def test_a_bitmask_is_packed_by_hand() -> None:
    weight = np.array([[0, 5, 0, -3, 0, 0, 2, 0, 1, 1, 0, 0]], np.float16)
    packed = pack_bitmask(weight, "fp16")
    assert packed.compressed.tolist() == [[5, -3, 0, 2, 1, 1]]  # the second group keeps its first zero along
    assert [f"{octet:08b}" for octet in packed.bitmask[0]] == ["01011010", "00000011"]  # the first column lowest
    assert np.array_equal(unpack_bitmask(packed), weight)


@pytest.mark.parametrize("shape", [(8, 16), (5, 12), (64, 96), (1, 4)])
def test_a_bitmask_gives_back_what_was_packed(shape: tuple[int, int]) -> None:
    weight = pruned(*shape)
    weight[drawn(*shape, seed=1) > 1] = 0
    assert np.array_equal(unpack_bitmask(pack_bitmask(weight, "fp16")), weight)


def test_a_minus_zero_may_be_dropped_and_a_third_number_may_not() -> None:
    packed = pack_bitmask(np.array([[1, 2, -0.0, -0.0]], np.float16), "fp16")
    assert packed.compressed.tolist() == [[1, 2]]
    with pytest.raises(
        StcsimError, match=r"at most two of each four along a row that are not 0, found a third at row 0, column 2"
    ):
        pack_bitmask(np.array([[3, 2, 1, 0]], np.float16), "fp16")
    with pytest.raises(StcsimError, match="a matrix whose columns are a multiple of 4"):
        pack_bitmask(np.zeros((2, 6), np.float16), "fp16")


@pytest.mark.parametrize(
    ("bits", "shape", "stored"),
    [
        (4, (64, 64), "696f8d81ab5e35e6"),
        (4, (128, 96), "af3497ee52a74aa6"),
        (8, (64, 64), "8655ac9e3ac9aa0a"),
        (8, (64, 256), "5b0b6613a6b8e575"),
    ],
)
def test_marlin_stores_what_compressed_tensors_stored(bits: int, shape: tuple[int, int], stored: str) -> None:
    """The digests are of weight_packed and meta; compressed-tensors 0.9.4 made the same bytes of the same matrices."""
    weight = integers(*shape, bits)
    packed = pack_marlin(weight, bits)
    assert packed.weight_packed.shape == (shape[1] // 32, shape[0] * bits // 2) and packed.meta.shape == (
        shape[1] // 32,
        2 * shape[0],
    )
    assert digest(packed.weight_packed, packed.meta) == stored
    assert np.array_equal(unpack_marlin(packed), weight)


def test_marlin_keeps_groups_that_are_not_full() -> None:
    weight = integers(64, 96, 4)
    weight[drawn(64, 96, seed=2) > 0.5] = 0
    assert np.array_equal(unpack_marlin(pack_marlin(weight, 4)), weight)


def test_what_marlin_cannot_hold_is_refused() -> None:
    with pytest.raises(StcsimError, match="multiple of 64 by inputs that are one of 32, found int8 of shape"):
        pack_marlin(np.zeros((32, 32), np.int8), 4)
    with pytest.raises(StcsimError, match="integers of 4 bits, found 0 to 9"):
        pack_marlin(np.full((64, 32), 9, np.int8) * (np.arange(32) % 2 == 0).astype(np.int8), 4)
    with pytest.raises(StcsimError, match="marlin-24: bits: expected 4 or 8, found 3"):
        pack_marlin(np.zeros((64, 32), np.int8), 3)
    with pytest.raises(StcsimError, match="at most 2 non-zeros of 4, found 4"):
        pack_marlin(np.ones((64, 32), np.int8), 4)
    whole = pack_marlin(integers(64, 32, 4), 4)
    with pytest.raises(StcsimError, match="for a weight of m x k, m a multiple of 64"):
        unpack_marlin(Marlin24(whole.weight_packed, whole.meta[:, :64], 4))
    with pytest.raises(StcsimError, match="w: metadata at row .*: expected one of .*, found 0000"):
        unpack_marlin(Marlin24(whole.weight_packed, np.zeros_like(whole.meta), 4), "w")


def test_marlin_of_other_types_is_refused(tmp_path: Path) -> None:
    whole = pack_marlin(integers(64, 32, 4), 4)
    for packed, meta in ((whole.weight_packed.astype(np.int64), whole.meta), (whole.weight_packed, whole.meta.astype(np.int32))):
        parts = {"q.weight_packed": packed, "q.meta": meta, "q.scale_packed": drawn(1, 64)}
        with pytest.raises(StcsimError, match="q.weight: expected weight_packed of int32 and meta of int16, found int"):
            open_checkpoint(write(tmp_path / "a.safetensors", parts))


def bitmask_parts(weight: Array, dtype: str = "fp16") -> dict[str, Array]:
    packed = pack_bitmask(weight, dtype)
    shape = np.array(packed.shape, np.int64).reshape(-1, 1)
    return {"fc.shape": shape, "fc.compressed": packed.compressed, "fc.bitmask": packed.bitmask}


def test_a_checkpoint_is_seen_through_its_layouts(tmp_path: Path) -> None:
    sparse, ints, four = pruned(8, 32), integers(64, 32, 4), integers(6, 20, 4)
    marlin = pack_marlin(ints, 4)
    arrays = {
        **bitmask_parts(sparse),
        "fc.bias": drawn(8),
        "q.weight_packed": marlin.weight_packed, "q.meta": marlin.meta, "q.scale_packed": drawn(1, 64),
        "p.weight_packed": pack_integers(four, 4), "p.weight_shape": np.array([6, 20]), "p.weight_scale": drawn(6, 1),
        "n.weight": np.array([[0x21, 0x43]], np.uint8), "n.weight_scale_2": drawn(1),
        "u.compressed": np.array([5, 7], np.float16), "u.bitmask": np.array([[2], [8]], np.uint8),
        "u.shape": np.array([2, 4]), "u.row_offsets": np.array([0, 1]),
    }  # fmt: skip
    with open_checkpoint(write(tmp_path / "a.safetensors", arrays)) as found:
        layouts = {
            name: (tensor.dtype, tensor.shape, tensor.layout) for name, tensor in found.items() if tensor.layout != "plain"
        }
        assert layouts == {
            "fc.weight": ("fp16", (8, 32), "sparse-24-bitmask"),
            "q.weight": ("int4", (64, 32), "marlin-24"),
            "p.weight": ("int4", (6, 20), "pack-quantized"),
            "n.weight": ("e2m1", (1, 4), "nvfp4"),
            "u.weight": ("fp16", (2, 4), "sparse-bitmask"),
        }
        assert np.array_equal(found["fc.weight"].codes(), sparse) and np.array_equal(found["fc.weight"].slab(3, 5), sparse[3:5])
        assert np.array_equal(found["q.weight"].codes(), ints) and np.array_equal(found["p.weight"].slab(2, 4), four[2:4])
        assert found["n.weight"].codes().tolist() == [[1, 2, 3, 4]] and found["u.weight"].codes().tolist() == [
            [0, 5, 0, 0],
            [0, 0, 0, 7],
        ]
        assert "fc.bias" in found and "p.weight_scale" in found and "q.meta" not in found
        assert found["fc.weight"].nbytes == sum(
            each.nbytes for name, each in arrays.items() if name.startswith("fc.") and "bias" not in name
        )


def test_marlin_of_eight_bits_is_told_by_its_sizes(tmp_path: Path) -> None:
    ints = integers(64, 64, 8)
    packed = pack_marlin(ints, 8)
    arrays = {"q.weight_packed": packed.weight_packed, "q.meta": packed.meta, "q.scale_packed": drawn(1, 64)}
    with open_checkpoint(write(tmp_path / "a.safetensors", arrays)) as found:
        assert found["q.weight"].dtype == "int8" and np.array_equal(found["q.weight"].codes(), ints)


def test_integers_with_zero_points_say_so(tmp_path: Path) -> None:
    arrays = {"p.weight_packed": pack_integers(integers(6, 20, 4), 4), "p.weight_shape": np.array([6, 20])}
    with open_checkpoint(
        write(tmp_path / "a.safetensors", {**arrays, "p.weight_zero_point": np.zeros((1, 6), np.int32)})
    ) as found:
        assert found["p.weight"].layout == "pack-quantized, asymmetric"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.bitmask": None}, "fc.shape: expected fc.bitmask beside it, found no such tensor"),
        ({"fc.compressed": None}, "fc.shape: expected fc.compressed beside it, found no such tensor"),
        (
            {"fc.shape": np.array([8, 40])},
            "expected compressed of (8, 20) and bitmask of (8, 5) for shape (8, 40), found (8, 16)",
        ),
        ({"fc.shape": np.array([8, 4, 8])}, "fc.shape: expected two whole numbers, rows and columns, found int64 of shape (3,)"),
        ({"fc.weight": np.zeros((8, 32), np.float16)}, "fc.weight: expected a weight, or the parts of one, found both"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Array | None], message: str) -> None:
    arrays = {name: array for name, array in {**bitmask_parts(pruned(8, 32)), **change}.items() if array is not None}
    with pytest.raises(StcsimError) as error:
        open_checkpoint(write(tmp_path / "a.safetensors", arrays))
    assert message in str(error.value)


def test_a_bitmask_that_does_not_fit_its_values_is_refused_when_it_is_read() -> None:
    good = pack_bitmask(pruned(2, 8), "fp16")
    wrong = good.bitmask.copy()
    wrong[1] = 0b0111_0001
    with pytest.raises(StcsimError, match=r"w: bitmask: expected two bits set in each four, found 1 in group 0 of row 1"):
        unpack_bitmask(Bitmask24(good.compressed, wrong, (2, 8)), "w")
    with pytest.raises(StcsimError, match=r"bitmask: expected shape \(2, 1\) of uint8"):
        unpack_bitmask(Bitmask24(good.compressed, good.bitmask[:1], (2, 8)))
    with pytest.raises(StcsimError, match="compressed: expected half of a matrix"):
        unpack_bitmask(Bitmask24(good.compressed[:1], good.bitmask, (2, 8)))
