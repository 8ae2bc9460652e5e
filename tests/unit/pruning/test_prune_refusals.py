"""Is everything that cannot be pruned one sentence, with nothing written and nothing changed?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stcsim
from stcsim.errors import StcsimError
from tests.unit.checkpoints import drawn, write

NETWORK = {
    "a.weight": drawn(32, 64, seed=1),
    "b.weight": drawn(64, 32, seed=2),
    "c.weight": drawn(16, 16, 3, 3, seed=3),
    "lm_head.weight": drawn(48, 32, seed=4),
    "a.bias": drawn(32, seed=5),
}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a network in it."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.safetensors", NETWORK)
    return tmp_path


@pytest.fixture
def refusal(work: Path) -> Callable[..., str]:
    """A call that must be refused, and must leave the folder as it was; returns the sentence."""

    def call(path: str = "in.safetensors", out: str = "out.safetensors", **options: Any) -> str:
        before = {each: each.read_bytes() if each.is_file() else None for each in work.rglob("*")}
        with pytest.raises(StcsimError) as error:
            stcsim.prune_checkpoint(path, out, **options)
        assert {each: each.read_bytes() if each.is_file() else None for each in work.rglob("*")} == before
        assert "\n" not in str(error.value)
        return str(error.value)

    return call


def test_a_nan_is_named_by_tensor_and_index_wherever_slabs_begin(
    refusal: Callable[..., str], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stcsim.pruning.slabs._SLAB_ELEMENTS", 320)
    for name, index in (("b.weight", (41, 5)), ("c.weight", (9, 3, 1, 2))):
        spoiled = NETWORK[name].copy()
        spoiled[index] = np.nan
        write(work / "in.safetensors", {**NETWORK, name: spoiled})
        place = ", ".join(map(str, index))
        for options in ({}, {"method": "2d-best"}, {"conv_order": "crs"}):
            assert refusal(**options) == f"in.safetensors: {name}[{place}]: expected a number, found NaN"


def test_a_nan_is_named_under_masks_and_in_a_search_for_permutations(refusal: Callable[..., str], work: Path) -> None:
    spoiled = NETWORK["b.weight"].copy()
    spoiled[1, 3] = np.nan
    write(work / "in.safetensors", {"mlp.fc1.weight": drawn(32, 16), "mlp.fc2.weight": spoiled})
    np.savez(work / "m.npz", **{"mlp.fc2.weight": np.zeros((64, 32), np.bool_)})
    assert refusal(mask="m.npz") == "in.safetensors: mlp.fc2.weight[1, 3]: expected a number, found NaN"
    assert refusal(permute=True) == "mlp.fc2.weight[1, 3]: expected a number, found NaN"


def test_pickles_and_truncated_files_are_refused_by_the_reader(refusal: Callable[..., str], work: Path) -> None:
    (work / "in.bin").write_bytes(b"x")
    assert "found a pickle ('.bin')" in refusal("in.bin")
    (work / "in.safetensors").write_bytes((work / "in.safetensors").read_bytes()[:-10])
    assert "is it truncated?" in refusal()


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ({"a.weight": np.ones((32, 64), np.bool_)}, "m.npz: a.weight: mask, row 0, group 0: expected at most 2"),
        ({"c.weight": np.ones((16, 16, 3, 3))}, "m.npz: c.weight: mask, row 0, group 0: expected at most 2"),
        ({"a.weight": np.full((32, 64), 3, np.uint8)}, "m.npz: a.weight: mask: expected booleans, or integers 0 and 1, found"),
        ({"a.weight": np.full((32, 64), 0.5)}, "m.npz: a.weight: mask: expected booleans, or integers 0 and 1, found"),
        (
            {"a.weight": np.ones((32, 63), np.bool_)},
            "m.npz: a.weight: expected shape (32, 64), as a.weight has, or (32, 8) of uint8 with a bit for each, found (32",
        ),
        ({"a.wieght": np.ones((32, 64))}, "mask m.npz: expected names of weights that GEMMs multiply, found 'a.wieght' "),
    ],
)  # fmt: skip
def test_masks_that_do_not_fit(mask: dict[str, Any], said: str, refusal: Callable[..., str], work: Path) -> None:
    np.savez(work / "m.npz", **mask)
    assert refusal(mask="m.npz").startswith(said)


def test_a_mask_names_the_row_and_the_group_that_keep_too_many(refusal: Callable[..., str], work: Path) -> None:
    keep = np.zeros((32, 64), np.bool_)
    keep[17, 8:11] = True
    np.savez(work / "m.npz", **{"a.weight": keep})
    assert refusal(mask="m.npz") == "m.npz: a.weight: mask, row 17, group 2: expected at most 2 kept weights, found 3"


def test_a_mask_of_a_weight_that_the_pattern_does_not_fit(refusal: Callable[..., str], work: Path) -> None:
    write(work / "in.safetensors", {"a.weight": drawn(16, 6), "b.weight": drawn(16, 16)})
    np.savez(work / "m.npz", **{"a.weight": np.zeros((16, 6), np.bool_), "b.weight": np.zeros((16, 16), np.bool_)})
    expected = "m.npz: a.weight: expected a mask of a weight that the pattern fits, found k = 6 is no multiple of 4"
    assert refusal(mask="m.npz") == expected
    stcsim.prune_checkpoint("in.safetensors", "out.safetensors", mask="m.npz", keep_dense=["a"])


def test_scores_that_do_not_fit(refusal: Callable[..., str], work: Path) -> None:
    scores = drawn(32, 64, dtype="float32")
    np.savez(work / "s.npz", **{"a.weight": scores})
    assert refusal(scores="s.npz") == "scores s.npz: expected an array for b.weight, which is to be pruned, found none"
    scores[2, 7] = np.nan
    np.savez(work / "s.npz", **{"a.weight": scores})
    assert refusal(scores="s.npz", only=["a"]) == "s.npz: a.weight[2, 7]: expected a number, found NaN"
    np.savez(work / "s.npz", **{"a.weight": drawn(32, 32)})
    assert (
        refusal(scores="s.npz", only=["a"]) == "s.npz: a.weight: expected shape (32, 64), as a.weight has, found (32, 32) of fp16"
    )
    assert refusal(scores="none.npz") == "none.npz: expected a file of weights, or a folder with a model, found no such file"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": ["zz*"]}, "only: expected a layer's name or number, a pattern such as '*.fc*', a range such as 2-5, "
                            "first or last, found 'zz*', which no layer has"),
        ({"keep_dense": ["*"]}, "in.safetensors: expected a weight that can be pruned, found none (a: kept dense)"),
        ({"pattern": "5:4"}, "pattern: expected N:M with 1 <= N < M, or 4:8-pairs, found '5:4'"),
        ({"pattern": "2:4-pairs"}, "pattern: expected N:M with 1 <= N < M, or 4:8-pairs, found '2:4-pairs'"),
        ({"method": "obs"}, "method: expected one of magnitude, 2d-best, 2d-greedy, found 'obs'"),
        ({"method": "2d-best", "pattern": "1:4"}, "method 2d-best: expected pattern 2:4, found 1:4"),
        ({"conv_order": "rcs"}, "conv_order: expected one of rsc, crs, found 'rcs' (did you mean 'rsc'?)"),
        ({"layout": "marlin"}, "layout: expected one of zeros, sparse-24-bitmask, found 'marlin'"),
        ({"layout": "sparse-24-bitmask", "pattern": "1:4"}, "layout sparse-24-bitmask: expected pattern 2:4, found 1:4"),
        ({"layout": "sparse-24-bitmask", "permute": "only"},
         "layout sparse-24-bitmask: expected pruned weights, found a permutation alone"),
        ({"permute": "yes"}, "permute: expected True, False or 'only', found 'yes'"),
        ({"permute": True, "pattern": "1:4"}, "permute: expected pattern 2:4, which the search knows, found 1:4"),
        ({"permute": True, "method": "2d-best"}, "permute: expected method magnitude, which the search knows, found 2d-best"),
        ({"permute": True, "conv_order": "crs"},
         "permute: expected conv_order rsc, in which four channels are a group, found crs"),
        ({"permute": True, "mask": "m.npz"}, "permute: expected weights whose masks are not chosen yet, found masks of a file"),
        ({"mask": "m.npz", "scores": "s.npz"}, "mask: expected masks or scores, found both"),
        ({"mask": "m.npz", "method": "2d-best"}, "mask: expected no method beside the masks of a file, found 2d-best"),
    ],
)  # fmt: skip
def test_settings_that_say_nothing_or_exclude_each_other(options: dict[str, Any], said: str, refusal: Callable[..., str]) -> None:
    assert refusal(**options) == said


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("in.safetensors", {"out": "in.safetensors"}, "expected another place than the checkpoint that is read, found the same"),
        ("in.safetensors", {"out": "out.npz"}, "expected a name that ends in .safetensors, as what is read, found .npz"),
        ("in.safetensors", {"out": "no/o.safetensors"}, "expected a file in a folder that exists, found no folder 'no'"),
        ("folder", {"out": "full"}, "expected a folder that is new or empty, found files in it"),
        ("folder", {"out": "no/out"}, "expected a folder in a folder that exists, found no folder 'no'"),
        ("folder", {"out": "folder"}, "expected another place than the checkpoint that is read, found the same"),
        ("in.safetensors", {"masks": "m.txt"}, "expected a name that ends in .safetensors or .npz, found .txt"),
        ("in.safetensors", {"masks": "out.safetensors"}, "expected another file than that of the weights, found the same"),
    ],
)
def test_places_where_nothing_can_be_written(
    path: str, options: dict[str, str], said: str, refusal: Callable[..., str], work: Path
) -> None:
    (work / "folder").mkdir()
    write(work / "folder" / "model.safetensors", NETWORK)
    (work / "full").mkdir()
    (work / "full" / "x").touch()
    [(argument, place)] = options.items()
    assert refusal(path, **options) == f"{argument} {place}: {said}"


def test_the_command_line_calls_places_by_their_options(refused: Callable[..., str], work: Path) -> None:
    same = "expected another place than the checkpoint that is read, found the same"
    assert refused("prune", "in.safetensors", "-o", "in.safetensors") == f"--output in.safetensors: {same}"
    assert refused("prune", "in.safetensors", "-o", "o.safetensors", "--only", "zz").startswith("--only: expected a layer's name")
    assert refused("prune", "in.safetensors", "-o", "o.safetensors", "--json", "o.safetensors").startswith(
        "--output o.safetensors"
    )


def test_an_onnx_graph_is_not_written_again(refusal: Callable[..., str], work: Path) -> None:
    (work / "in.onnx").touch()
    said = "in.onnx: expected a .safetensors file, a folder or an .npz archive, whose weights can be written again, found an ONNX"
    assert refusal("in.onnx", "out.onnx").startswith(said)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on the size of files stands for a full disk")
def test_a_full_disk_leaves_nothing(refusal: Callable[..., str], work: Path) -> None:
    import resource
    import signal

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, before[1]))
    try:
        assert refusal() == "out.safetensors: expected room on the disk for all of it, found file too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    ("fold", "said"),
    [
        ("- {makers: [a], makers: [b]}", "fold f.yaml: expected each key once, found 'makers' again in line 1, column 17"),
        (
            "{}",
            "fold f.yaml: expected a list of folds, each {makers: [layer, …], vectors: [tensor, …], takers: [layer, …]}, "
            "found an object",
        ),
        (
            "- {makers: [b], taker: a}",
            "fold f.yaml, fold 1: expected makers, takers and perhaps vectors, found {'makers': ['b'], 'taker': 'a'}",
        ),
        ("- {makers: b, takers: [a]}", "fold f.yaml, fold 1: makers: expected a list of names, found 'b'"),
        ("- {makers: [b], takers: []}", "fold f.yaml, fold 1: takers: expected a list of names, found []"),
        ("- {makers: [x], takers: [a]}", "fold f.yaml, fold 1: makers: expected layers of the checkpoint, found 'x'"),
        (
            "- {makers: [b], takers: [a]}\n- {makers: [a], vectors: [q], takers: [b]}",
            "fold f.yaml, fold 2: vectors: expected names of tensors of the checkpoint, found 'q'",
        ),
        (
            "- {makers: [b], takers: [a]}\n- {makers: [b], takers: [a]}",
            "fold f.yaml, fold 2: expected channels that stand in no other fold, found those of b.weight",
        ),
        (
            "- {makers: [c], takers: [a]}",
            "fold f.yaml, fold 1: c.weight: expected 64 channels along dimension 0, as a takes, found shape (16, 16, 3, 3)",
        ),
    ],
)
def test_folds_that_do_not_fit(fold: str, said: str, refusal: Callable[..., str], work: Path) -> None:
    (work / "f.yaml").write_text(fold, encoding="utf-8")
    assert refusal(fold="f.yaml") == said
    assert refusal(fold="none.yaml") == "fold none.yaml: expected a file that can be read, found no such file or directory"
