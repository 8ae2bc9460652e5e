"""Are files of weights written as other programs read them, the same each time, whole or not at all?"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stcsim.checkpoint import open_checkpoint
from stcsim.checkpoint.writing import Planned, metadata_of, writing_npz, writing_safetensors
from stcsim.errors import StcsimError
from stcsim.files import Drafts

ARRAYS: dict[str, tuple[str, Any]] = {
    "bytes": ("uint8", np.arange(3, dtype=np.uint8)),
    "half": ("fp16", np.arange(6, dtype=np.float16).reshape(2, 3)),
    "brain": ("bf16", np.array([0x3F80, 0xC000], np.uint16)),
    "eight": ("e4m3", np.array([[0x38, 0xB8]], np.uint8)),
    "wide": ("fp64", np.array(2.5)),
    "flags": ("bool", np.array([1, 0, 1], np.uint8)),
    "none": ("fp32", np.empty((0, 4), np.float32)),
}


def planned(names: Sequence[str]) -> list[Planned]:
    return [Planned(name, ARRAYS[name][0], ARRAYS[name][1].shape) for name in names]


def written(path: Path, order: Sequence[str] = tuple(ARRAYS)) -> Path:
    with writing_safetensors(path, path, planned(list(ARRAYS)), {"format": "pt"}) as writer:
        for name in order:
            writer.write(name, iter([ARRAYS[name][1]]))
    return path


def test_the_safetensors_library_reads_what_was_written(tmp_path: Path) -> None:
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors")
    with safetensors.safe_open(written(tmp_path / "a.safetensors"), framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        read = {name: file.get_tensor(name) for name in file.keys()}
    assert read["half"].equal(torch.arange(6, dtype=torch.float16).reshape(2, 3))
    assert read["brain"].equal(torch.tensor([1.0, -2.0], dtype=torch.bfloat16))
    assert read["eight"].dtype == torch.float8_e4m3fn and read["eight"].float().tolist() == [[1.0, -1.0]]
    assert read["wide"].item() == 2.5 and read["wide"].shape == ()
    assert read["flags"].tolist() == [True, False, True] and tuple(read["none"].shape) == (0, 4)


def test_what_the_safetensors_library_writes_is_written_the_same_to_the_byte(tmp_path: Path) -> None:
    numpy_side = pytest.importorskip("safetensors.numpy")
    arrays = {"b": np.arange(4, dtype=np.float32), "a": np.ones((2, 2), np.float16), "c": np.arange(3, dtype=np.int8)}
    numpy_side.save_file(arrays, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    ours = tmp_path / "ours.safetensors"
    with open_checkpoint(tmp_path / "theirs.safetensors") as source:
        tensors = [Planned(each.name, each.dtype, each.shape) for each in source.values()]
        with writing_safetensors(ours, ours, tensors, metadata_of(source.path)) as writer:
            for tensor in source.values():
                writer.write(tensor.name, iter([tensor.codes()]))
    assert ours.read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()


def test_tensors_may_come_in_any_order_and_give_the_same_bytes(tmp_path: Path) -> None:
    one = written(tmp_path / "one.safetensors").read_bytes()
    assert written(tmp_path / "two.safetensors", list(ARRAYS)[::-1]).read_bytes() == one
    header = json.loads(one[8 : 8 + int.from_bytes(one[:8], "little")])
    assert header["wide"]["data_offsets"] == [0, 8]  # eight bytes each go first: every tensor begins at a multiple
    assert int.from_bytes(one[:8], "little") % 8 == 0


def test_pieces_of_a_tensor_stand_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with writing_safetensors(path, path, [Planned("x", "fp32", (4, 2))], {}) as writer:
        writer.write("x", (np.full((1, 2), row, np.float32) for row in range(4)))
    with open_checkpoint(path) as file:
        assert file["x"].codes()[:, 0].tolist() == [0, 1, 2, 3]
    assert metadata_of(path) == {}


def test_an_archive_of_numpy_is_read_by_numpy_and_the_same_each_time(tmp_path: Path) -> None:
    names = ["half", "wide", "flags", "bytes", "none"]
    for path in (tmp_path / "one.npz", tmp_path / "two.npz"):
        with writing_npz(path, path, planned(names)) as writer:
            for name in names:
                writer.write(name, iter([ARRAYS[name][1]]))
    with np.load(tmp_path / "one.npz") as archive:
        assert archive["half"].tolist() == [[0, 1, 2], [3, 4, 5]] and archive["wide"] == 2.5
        assert archive["flags"].dtype == np.bool_ and archive["flags"].tolist() == [True, False, True]
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_type_that_numpy_lacks_is_refused_in_an_archive(tmp_path: Path) -> None:
    with pytest.raises(StcsimError, match=r"a\.npz: brain: expected a type that numpy has, found bf16"):
        with writing_npz(tmp_path / "a.npz", tmp_path / "a.npz", planned(["half", "brain"])):
            pass


def test_drafts_appear_together(tmp_path: Path) -> None:
    with Drafts() as drafts:
        drafts.file(tmp_path / "a").write_text("a", encoding="utf-8")
        (drafts.folder(tmp_path / "f") / "b").write_text("b", encoding="utf-8")
        assert not (tmp_path / "a").exists() and not (tmp_path / "f").exists()
    assert (tmp_path / "a").read_text(encoding="utf-8") == "a" and (tmp_path / "f" / "b").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "f"]


def test_drafts_leave_nothing_and_change_nothing_when_something_fails(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), Drafts() as drafts:
        drafts.file(tmp_path / "a").write_text("half", encoding="utf-8")
        (drafts.folder(tmp_path / "f") / "b").write_text("b", encoding="utf-8")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_empty_folder_is_filled_and_a_full_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with Drafts() as drafts:
        (drafts.folder(tmp_path / "empty") / "b").touch()
    assert (tmp_path / "empty" / "b").is_file()
    with pytest.raises(StcsimError, match="expected a place that can be written to, found"), Drafts() as drafts:
        drafts.folder(tmp_path / "empty")
    assert (tmp_path / "empty" / "b").is_file() and len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on the size of files stands for a full disk")
@pytest.mark.parametrize("kind", [writing_safetensors, writing_npz])
def test_a_full_disk_is_one_sentence(kind: Any, tmp_path: Path) -> None:
    import resource
    import signal

    path, tensors = tmp_path / "a.file", [Planned("x", "fp32", (1 << 18,))]
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(StcsimError, match=r"a\.file: expected room on the disk for all of it, found file too large"):
            with kind(path, path, tensors, *([{}] if kind is writing_safetensors else [])) as writer:
                writer.write("x", iter([np.zeros(1 << 18, np.float32)]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
