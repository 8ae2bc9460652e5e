"""Is a weight called 2:4, nearly, or dense, by the type that multiplies it, and are its bytes those that a run counts?"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stcsim
from stcsim.checkpoint.bitmask import pack_bitmask
from stcsim.checkpoint.marlin import pack_marlin
from stcsim.errors import StcsimError
from stcsim.inspection import Inspection, Weight, inspect_checkpoint
from stcsim.inspection.gains import trace_of
from stcsim.numerics.sparse.pruning import prune
from tests.unit.checkpoints import drawn, header, pruned, write, write_raw

Array = np.ndarray[Any, Any]


def of(tmp_path: Path, array: Array, name: str = "fc.weight", kind: str = "", **options: Any) -> Weight:
    """Return what is said of one weight."""
    path = write(tmp_path / "a.safetensors", {name: array}, {name: kind} if kind else None)
    (weight,) = inspect_checkpoint(path, **options).weights
    return weight


def test_a_hand_made_2_4_weight_is_exact(tmp_path: Path) -> None:
    weight = of(tmp_path, pruned(64, 128))
    assert (weight.state, weight.along, weight.groups, weight.groups_off, weight.first_off) == ("2:4", "k", 2048, 0, ())
    assert (weight.zeros_share, weight.kept, weight.kept_squares, weight.is_pruned) == (0.5, 1.0, 1.0, True)
    assert (weight.dense_bytes, weight.compressed_bytes, weight.stored_bytes) == (16384, 9216, 16384)
    assert (weight.m, weight.k, weight.element, weight.dtype, weight.layout) == (64, 128, "fp16", "fp16", "plain")


def test_three_groups_off_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    array = pruned(64, 128)
    for row, column in ((7, 20), (7, 24), (63, 124)):
        array[row, column : column + 4] = 1
    weight = of(tmp_path, array)
    assert (weight.state, weight.groups_off, weight.first_off, weight.is_pruned, weight.is_eligible) == (
        "nearly",
        3,
        (7, 20),
        False,
        True,
    )


def test_more_than_one_group_in_twenty_off_is_dense(tmp_path: Path) -> None:
    array = pruned(16, 80)  # 320 groups
    array.reshape(-1, 4)[:17] = 1
    assert (of(tmp_path, array).state, of(tmp_path, array).groups_off) == ("dense", 17)
    array.reshape(-1, 4)[0] = 0
    assert (of(tmp_path, array).state, of(tmp_path, array).groups_off) == ("nearly", 16)


def test_pruning_along_the_outputs_is_of_no_use_and_said(tmp_path: Path) -> None:
    weight = of(tmp_path, pruned(64, 128, axis=0))
    assert (weight.state, weight.along, weight.exact_along, weight.is_pruned) == ("other way", "m", ("m",), False)


def test_filters_pruned_in_both_orders_are_told_apart(tmp_path: Path) -> None:
    """ASP prunes along C within each tap, which is the order of a kernel; a row of the flattened file is another one."""
    by_channel = pruned(8, 16, 3, 3, axis=1)
    flattened = pruned(8, 144).reshape(8, 16, 3, 3)
    assert (of(tmp_path, by_channel).state, of(tmp_path, by_channel).exact_along) == ("2:4", ("r,s,c",))
    wrong = of(tmp_path, flattened)
    assert (wrong.state, wrong.along, wrong.exact_along, wrong.is_pruned) == ("other way", "c,r,s", ("c,r,s",), False)


def test_a_weight_that_no_kernel_takes_says_why(tmp_path: Path) -> None:
    weight = of(tmp_path, pruned(64, 24))
    assert (weight.state, weight.is_pruned, weight.not_eligible_because) == ("2:4", False, "reduction is not a multiple of 16")
    assert weight.compressed_bytes == weight.dense_bytes
    odd = of(tmp_path, drawn(6, 7))
    assert (odd.state, odd.groups, odd.kept) == (None, 0, None)


@pytest.mark.parametrize(
    ("array", "kind", "element", "state"),
    [
        (pruned(16, 64).astype(np.float32), "", "fp16", "2:4"),
        (pruned(16, 64).view(np.uint16), "", "bf16", "2:4"),
        (prune((drawn(16, 64) * 20).astype(np.int8)), "", "int8", "2:4"),
        (prune(drawn(16, 64)).view(np.uint8)[:, 1::2].copy(), "F8_E5M2", "fp8", "2:4"),
        (drawn(16, 64, dtype="float64"), "", "fp16", "dense"),
    ],
)
def test_a_weight_is_multiplied_in_its_own_type_or_in_fp16(
    tmp_path: Path, array: Array, kind: str, element: str, state: str
) -> None:
    weight = of(tmp_path, array, kind=kind)
    assert (weight.element, weight.state) == (element, state)


def test_the_pattern_is_that_of_the_type_asked_for(tmp_path: Path) -> None:
    """tf32 wants one of two, four-bit types want pairs; both are 2:4 to the eye."""
    array = np.tile(np.array([1, 2, 0, 0, 0, 3, 4, 0], np.float32), (16, 16))
    assert of(tmp_path, array).state == "2:4"
    assert of(tmp_path, array, dtype="tf32").state == of(tmp_path, array, dtype="e2m1").state == "dense"
    assert of(tmp_path, np.tile(np.array([1, 0, 0, 4], np.float32), (16, 32)), dtype="tf32").state == "2:4"
    assert of(tmp_path, np.tile(np.array([1, 2, 0, 0], np.float32), (16, 32)), dtype="e2m1").state == "2:4"
    assert of(tmp_path, array, dtype="fp8").not_eligible_because is None
    assert of(tmp_path, pruned(16, 48), dtype="fp8").not_eligible_because == "reduction is not a multiple of 32"


def test_other_patterns_are_reported_but_not_what_2_4_implies(tmp_path: Path) -> None:
    assert of(tmp_path, pruned(16, 64)).patterns == ()
    assert of(tmp_path, prune(drawn(16, 64), "1:4")).patterns == ("1:4", "2:8", "1:2", "4:8 in pairs")
    assert of(tmp_path, prune(drawn(16, 64), "4:8")).patterns == ("4:8",)
    assert of(tmp_path, prune(drawn(16, 64), "4:8")).state in ("dense", "nearly")


def test_nan_are_counted_placed_and_no_kernel_is_offered(tmp_path: Path) -> None:
    array = pruned(16, 64)
    array[3, 5] = array[9, 9] = np.nan
    weight = of(tmp_path, array)
    assert (weight.nan, weight.nan_at, weight.not_eligible_because) == (2, (3, 5), "2 of its elements are NaN")


def test_permuting_is_searched_only_when_asked_for(tmp_path: Path) -> None:
    assert of(tmp_path, drawn(16, 64)).kept_permuted is None and of(tmp_path, pruned(16, 64), permute=True).kept_permuted is None
    weight = of(tmp_path, drawn(16, 64), permute=True)
    assert weight.kept is not None and weight.kept_permuted is not None and weight.kept_permuted > weight.kept


def test_bitmask_and_marlin_files_are_2_4(tmp_path: Path) -> None:
    dense = pruned(64, 128)
    packed, marlin = pack_bitmask(dense, "fp16"), pack_marlin(np.clip(prune((drawn(64, 128) * 3).astype(np.int8)), -8, 7), 4)
    arrays = {
        "a.compressed": packed.compressed, "a.bitmask": packed.bitmask, "a.shape": np.array(packed.shape),
        "b.weight_packed": marlin.weight_packed, "b.meta": marlin.meta, "b.scale_packed": drawn(1, 64),
    }  # fmt: skip
    found = inspect_checkpoint(write(tmp_path / "a.safetensors", arrays))
    assert [(each.name, each.state, each.layout, each.element, each.is_pruned) for each in found.weights] == [
        ("a.weight", "2:4", "sparse-24-bitmask", "fp16", True),
        ("b.weight", "2:4", "marlin-24", "fp16", True),
    ]
    assert found.weights[0].stored_bytes == 64 * 128 * 2 // 2 + 64 * 128 // 8 + 16 and found.format.startswith("safetensors, ")


def test_layouts_that_are_read_whole_are_counted_in_pieces_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stcsim.inspection.counting.SLAB_BYTES", 1000)
    array = pruned(128, 64)
    array[100, 8:12] = 1
    np.savez_compressed(tmp_path / "a.npz", **{"fc.weight": array})
    (weight,) = inspect_checkpoint(tmp_path / "a.npz").weights
    assert (weight.state, weight.groups, weight.groups_off, weight.first_off) == ("nearly", 2048, 1, (100, 8))


def test_only_what_is_asked_for_is_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", {"a.up.weight": drawn(16, 16), "a.down.weight": drawn(16, 16)})
    seen: list[tuple[int, int]] = []
    found = inspect_checkpoint(path, weights="*.up.*", progress=lambda done, whole: seen.append((done, whole)))
    assert [weight.name for weight in found.weights] == ["a.up.weight"] and seen == [(512, 512)]
    with pytest.raises(
        StcsimError, match=r"expected the name of a tensor of .*, found 'a.upp.weight', which none has \(did you mean"
    ):
        inspect_checkpoint(path, weights=["a.upp.weight"])


def test_weights_are_counted_as_a_run_counts_them(tmp_path: Path) -> None:
    arrays = {f"l.{at}.weight": pruned(64 + 64 * at, 128, seed=at) for at in range(3)}
    found = inspect_checkpoint(write(tmp_path / "a.safetensors", arrays))
    totals = stcsim.run(trace_of(found, 16), "a100").totals
    assert totals.weight_bytes == sum(weight.dense_bytes for weight in found.weights)
    assert totals.compressed_bytes == sum(weight.compressed_bytes for weight in found.weights)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_a_gigabyte_is_inspected_in_400_mib(tmp_path: Path) -> None:
    rows = 131072
    names = [f"layers.{at}.weight" for at in range(4)]
    each = rows * 1024 * 2
    entries = {
        name: {"dtype": "BF16", "shape": [rows, 1024], "data_offsets": [at * each, (at + 1) * each]}
        for at, name in enumerate(names)
    }
    text = json.dumps(entries)
    path = write_raw(tmp_path / "a.safetensors", text + " " * (-len(text) % 8), b"")  # aligned, as real writers do
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 4 * each)  # a hole: zeros that take no disk
    program = (
        "import sys; from stcsim.inspection import inspect_checkpoint; found = inspect_checkpoint(sys.argv[1]);"
        "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'));"
        "print(len(found.pruned), peak)"  # its own: what getrusage says counts the process that started it, too
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    pruned_count, peak_kib = map(int, ran.stdout.split())
    assert (pruned_count, path.stat().st_size > 1 << 30) == (4, True) and peak_kib < 400 * 1024


def test_a_header_is_checked_before_any_weight_is_read(tmp_path: Path) -> None:
    array = drawn(16, 16)
    entries = header({"a": array})
    entries["a"]["shape"] = [16, 32]
    with pytest.raises(StcsimError, match="expected 1,024 bytes, for F16 of shape"):
        inspect_checkpoint(write_raw(tmp_path / "a.safetensors", entries, array.tobytes()))


def network_of(package: str, *path: str) -> Inspection:
    """Inspect a network that an installed package carries."""
    found = find_spec(package)  # not imported: only the files beside it are wanted
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    return inspect_checkpoint(Path(found.origin).parent.joinpath(*path))


def test_silero_vad_is_dense_in_all_its_layers() -> None:
    found = network_of("silero_vad", "data", "silero_vad_16k.safetensors")
    assert len(found.weights) == 8 and not found.pruned and {weight.state for weight in found.weights} <= {"dense", None}


def test_magika_is_dense_in_all_its_layers() -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (pip install stcsim[onnx])")
    found = network_of("magika", "models", "standard_v3_3", "model.onnx")
    assert [(weight.m, weight.k) for weight in found.weights] == [(512, 1280), (214, 512), (64, 257)] and not found.pruned
