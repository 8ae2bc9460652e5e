"""Are files of weights read as they are, and is what is no such file one sentence?"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stcsim.checkpoint import open_checkpoint
from stcsim.errors import StcsimError
from tests.unit.checkpoints import drawn, header, write, write_raw

W = drawn(4, 8)


def refusal(path: Path) -> str:
    with pytest.raises(StcsimError) as error:
        open_checkpoint(path)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(path), "FILE").replace(str(path.parent), "FOLDER")


def test_a_safetensors_file_is_mapped_and_not_copied(tmp_path: Path) -> None:
    arrays = {"fc.weight": W, "half": drawn(3, 5, dtype="float32"), "codes": np.arange(6, dtype=np.uint16).reshape(2, 3)}
    path = write(tmp_path / "a.safetensors", {**arrays, "one": np.array(7, np.int64), "none": np.empty((0, 4), np.int8)})
    with open_checkpoint(path) as found:
        assert list(found) == ["fc.weight", "half", "codes", "one", "none"] and found.files == (path,)
        for name, array in arrays.items():
            assert np.array_equal(found[name].codes(), array)
            assert not found[name].codes().flags.owndata and not found[name].codes().flags.writeable
        assert (found["codes"].dtype, found["one"].codes().item(), found["none"].codes().shape) == ("bf16", 7, (0, 4))
        assert np.array_equal(found["fc.weight"].slab(1, 3), W[1:3]) and found["fc.weight"].nbytes == W.nbytes
        found["fc.weight"].release()
        kept = found["fc.weight"].codes()
    assert np.array_equal(kept, W)  # what was handed out outlives the checkpoint


def test_the_safetensors_package_writes_what_is_read(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    library.save_file({"a": W, "b": np.array([True, False])}, tmp_path / "a.safetensors", metadata={"format": "np"})
    with open_checkpoint(tmp_path / "a.safetensors") as found:
        assert np.array_equal(found["a"].codes(), W) and found["b"].codes().tolist() == [1, 0] and len(found) == 2


def test_two_elements_of_four_bits_lie_in_a_byte(tmp_path: Path) -> None:
    entries = {"w": {"dtype": "F4", "shape": [3, 3], "data_offsets": [0, 5]}}  # nine halves do not fill five bytes
    assert "expected 4 bytes" in refusal(write_raw(tmp_path / "odd.safetensors", entries, bytes(5)))
    entries["w"] |= {"shape": [3, 2], "data_offsets": [0, 3]}
    with open_checkpoint(write_raw(tmp_path / "a.safetensors", entries, bytes([0x21, 0x43, 0x65]))) as found:
        assert found["w"].codes().tolist() == [[1, 2], [3, 4], [5, 6]] and found["w"].slab(1, 2).tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "F12"}, "FILE: a: dtype: expected one of F64"),
        ({"shape": [4, -8]}, "FILE: a: shape: expected a list of whole numbers, none negative, found [4, -8]"),
        ({"shape": [4, 9]}, "FILE: a: data_offsets: expected 72 bytes, for F16 of shape (4, 9), found 64"),
        ({"data_offsets": [64, 0]}, "FILE: a: data_offsets: expected where its bytes begin and end, found [64, 0]"),
        ({"data_offsets": [8, 72]}, "expected bytes up to 192, found a file that ends after 128 (is it truncated?)"),
        ({"shape": [4, 4], "data_offsets": [32, 64]}, "FILE: a: expected bytes that begin at 0, where the tensor before ends"),
        ({"shape": [4, 4], "data_offsets": [0, 32]}, "found 64, so that tensors leave a hole"),
    ],
)
def test_a_header_that_does_not_fit_its_bytes_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    entries = header({"a": W, "b": W})
    if change.get("data_offsets") == [8, 72]:
        entries["b"]["data_offsets"], entries["b"]["shape"] = [64, 192], [8, 8]
    else:
        entries["a"] |= change
    assert message in refusal(write_raw(tmp_path / "a.safetensors", entries, W.tobytes() * 2))


def test_tensors_that_overlap_and_bytes_of_none_are_refused(tmp_path: Path) -> None:
    entries = header({"a": W, "b": W})
    entries["b"]["data_offsets"] = [32, 96]
    assert "found 32, so that tensors overlap" in refusal(write_raw(tmp_path / "a.safetensors", entries, bytes(96)))
    message = "FILE: expected 64 bytes of tensors behind the header, found 80"
    assert refusal(write_raw(tmp_path / "b.safetensors", header({"a": W}), bytes(80))) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "FILE: expected a safetensors file, found an empty file"),
        (
            lambda path: path.write_bytes(b"abc"),
            "expected a safetensors file, which begins with the length of its header, found 3",
        ),
        (
            lambda path: write_raw(path, {}, b"", 200_000_000),
            "FILE: header: expected at most 100,000,000 bytes, found one that says",
        ),
        (lambda path: path.write_bytes(b"PK\3\4" + bytes(99)), "FILE: expected a header of"),
        (lambda path: path.write_bytes(b"\x80\4\x95\0\0\0\0\x8c" + bytes(99)), "(is this a safetensors file?)"),
        (lambda path: write_raw(path, {}, b"", 50), "FILE: expected a header of 50 bytes, found a file that ends after 2"),
        (lambda path: write_raw(path, "{nonsense", b""), "FILE: header: expected JSON, found something else"),
        (lambda path: write_raw(path, "[1]", b""), "FILE: header: expected a JSON object with a field for each tensor"),
        (lambda path: write_raw(path, '{"a": 1, "a": 2}', b""), "FILE: header: expected every name once, found 'a' twice"),
        (lambda path: write_raw(path, {"a": {"dtype": "F16"}}, b""), "FILE: a: expected dtype, shape and data_offsets"),
    ],
)
def test_what_is_no_safetensors_file_is_one_sentence(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "a.safetensors")
    assert message in refusal(tmp_path / "a.safetensors")


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".pkl", ".ckpt"])
def test_a_pickle_is_never_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model{ending}"
    path.write_bytes(pickle.dumps({"a": 1}))
    message = refusal(path)
    assert "a pickle" in message and "runs code when it is read; save it with safetensors.torch.save_file(" in message


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "model").write_bytes(b"")
    assert "found '.gguf'" in refusal(tmp_path / "model.gguf") and "a name without an ending" in refusal(tmp_path / "model")
    assert "found no such file" in refusal(tmp_path / "nothing.safetensors")
    assert "found file name too long" in refusal(tmp_path / ("a" * 999))


def folder(tmp_path: Path, weight_map: object, **shards: dict[str, np.ndarray[Any, Any]]) -> Path:
    for name, arrays in shards.items():
        write(tmp_path / f"{name}.safetensors", arrays)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    return tmp_path


def test_a_folder_of_shards_is_one_checkpoint(tmp_path: Path) -> None:
    path = folder(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"}, one={"a": W}, two={"b": W + 1})
    (path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    with open_checkpoint(path) as found:
        assert list(found) == ["a", "b"] and np.array_equal(found["b"].codes(), W + 1)
        assert found.config == {"model_type": "llama"} and [file.name for file in found.files] == [
            "one.safetensors",
            "two.safetensors",
        ]


def test_a_folder_may_hold_one_file(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", {"a": W})
    write(tmp_path / "consolidated.safetensors", {"a": W})
    with open_checkpoint(tmp_path) as found:
        assert list(found) == ["a"] and found.files == (tmp_path / "model.safetensors",) and found.config == {}


@pytest.mark.parametrize(
    ("weight_map", "shards", "message"),
    [
        ({"a": "one.safetensors", "b": "two.safetensors"}, {"one": {"a": W}}, "two.safetensors among them, found no such file"),
        (
            {"a": "one.safetensors", "b": "one.safetensors"},
            {"one": {"a": W}},
            "expected b, which the index places there, found no",
        ),
        (
            {"a": "one.safetensors", "b": "two.safetensors"},
            {"one": {"a": W}, "two": {"a": W, "b": W}},
            "two.safetensors: expected every tensor in one shard, found a, which is in one.safetensors too",
        ),
        ({"a": "../one.safetensors"}, {}, "weight_map: expected files of the same folder, found '../one.safetensors'"),
        ([1], {}, "weight_map: expected an object of file names by name of tensor, found [1]"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, weight_map: object, shards: dict[str, Any], message: str) -> None:
    assert message in refusal(folder(tmp_path, weight_map, **shards))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "FILE: expected a folder with model.safetensors or model.safetensors.index.json, found none"
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert "found only pytorch_model.bin, a pickle, which runs code when it is read" in refusal(tmp_path)
    write(tmp_path / "model.safetensors", {"a": W})
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    assert "config.json: expected a JSON object, found a list" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert "config.json: expected JSON, found something else" in refusal(tmp_path)


def test_an_archive_of_numpy_is_mapped_where_it_is_not_compressed(tmp_path: Path) -> None:
    arrays = {"a": W, "b": np.float32(3), "turned": np.asfortranarray(W), "yes": np.array([True, False])}
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    for path, mapped in ((tmp_path / "a.npz", True), (tmp_path / "b.npz", False)):
        with open_checkpoint(path) as found:
            assert {name: found[name].dtype for name in found} == {"a": "fp16", "b": "fp32", "turned": "fp16", "yes": "bool"}
            assert all(np.array_equal(found[name].codes(), array) for name, array in arrays.items())
            assert found["a"].codes().flags.writeable is not mapped and np.array_equal(found["turned"].slab(1, 2), W[1:2])


def test_an_archive_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{"x": 1}], object))
    assert refusal(tmp_path / "a.npz").endswith("found Python objects, which would have to be unpickled (that runs code)")
    np.savez(tmp_path / "b.npz", a=np.array([1j]))
    assert refusal(tmp_path / "b.npz") == "FILE: a: expected an array of floats or integers, found one of complex128"


def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=W)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:-40])
    assert refusal(tmp_path / "a.npz") == "FILE: expected an archive of numpy (.npz), found no zip archive, or a truncated one"
