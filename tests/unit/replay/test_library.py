"""A library as an argument of a run: whose 2:4 kernels a result has, what it says where there are none, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import stcsim
from stcsim import RunResult
from stcsim.errors import UnsupportedError
from stcsim.study.kernels import kernels_of

SIZES = ("4096", "64", "4096")
NONE = "library none: no 2:4 kernel is taken"


def test_the_default_is_cusparselt_and_changes_nothing() -> None:
    plain, named = stcsim.gemm(4096, 64, 4096, "a100"), stcsim.gemm(4096, 64, 4096, "a100", library="cuSPARSELt")
    assert plain == named and plain.library == "cusparselt"


def test_a_result_and_its_json_say_whose_kernel_it_is(tmp_path: Path) -> None:
    result = stcsim.gemm(4096, 64, 4096, "h100", dtype="fp8", library="vllm")
    (row,) = result.rows
    assert row.sparse is not None and row.dense is not None
    assert (result.library, row.sparse.library, row.dense.library) == ("vllm", "vllm", None)
    assert row.sparse.kernel == "sm90_sp_64x64x256_ws_c8x1"
    saved = json.loads(result.to_json())
    assert saved["inputs"]["library"] == saved["rows"][0]["sparse"]["library"] == "vllm"
    assert result.lines()[0]["sparse.library"] == "vllm"
    result.save(tmp_path / "result.json")
    assert RunResult.load(tmp_path / "result.json").library == "vllm"


def test_a_result_with_a_library_runs_again_from_its_inputs() -> None:
    result = stcsim.gemm(4096, 64, 4096, "h100", dtype="fp8", library="torchao")
    assert stcsim.rerun(result.inputs) == result
    older = {name: value for name, value in stcsim.gemm(512, 64, 512, "a100").inputs.items() if name != "library"}
    assert stcsim.rerun(older).library == "cusparselt"


def test_tensorrt_has_the_menus_of_the_family() -> None:
    default, named = (stcsim.run("resnet34", "a100", dtype="int8", library=library) for library in ("cusparselt", "tensorrt"))
    assert named.totals == default.totals


def test_with_none_a_network_is_the_dense_one() -> None:
    none, dense = (
        stcsim.run("resnet34", "a100", **options)  # type: ignore[arg-type]
        for options in ({"library": "none"}, {"sparsity": "dense"})
    )
    assert none.totals.best_us == none.totals.dense_us == dense.totals.dense_us
    assert none.totals.sparse_us is None and all(row.sparse is None for row in none.rows)
    assert NONE in {row.not_sparse_because for row in none.rows}


def test_with_none_a_gemm_is_timed_dense_even_if_2_4_alone_was_asked_for() -> None:
    (row,) = stcsim.gemm(4096, 64, 4096, "h100", sparsity="2:4", library="none").rows
    assert row.dense is not None and row.sparse is None and row.not_sparse_because == NONE
    explained = stcsim.explain(4096, 64, 4096, "h100", sparsity="2:4", library="none")
    assert [side.mode for side in explained.sides] == ["dense"] and explained.note == f"no 2:4: {NONE}"


def test_what_may_not_be_pruned_is_explained_dense() -> None:
    explained = stcsim.explain(64, 64, 33, "a100", sparsity="2:4")
    assert [side.mode for side in explained.sides] == ["dense"]
    assert explained.note == "no 2:4: reduction is not a multiple of 16"


def test_layers_that_a_library_has_no_kernel_for_stay_dense() -> None:
    result = stcsim.run("resnet34", "a100", library="cutlass")
    reasons = {row.name: row.not_sparse_because for row in result.rows}
    assert reasons["classifier.1"] is None  # the one linear layer
    assert {reason for reason in reasons.values() if reason and "multiple" not in reason} == {"cutlass has no 2:4 convolutions"}
    lacking = stcsim.run("vit-b-16", "h100", library="torch")
    assert {row.not_sparse_because for row in lacking.rows if row.weight_bytes} >= {"torch has no 2:4 fp16 kernels on sm90"}
    assert lacking.totals.sparse_us is None


@pytest.mark.parametrize(
    ("gpu", "dtype", "library", "with_it", "found"),
    [
        ("h100", "fp16", "torch", "cusparselt, cutlass, vllm, tensorrt, none",
         "'torch', which has fp16, bf16, tf32, int8 on sm80, sm86, sm89; h100 is sm90"),
        ("a100", "fp16", "torchao", "cusparselt, cutlass, torch, tensorrt, none",
         "'torchao', which has fp8 on sm90; a100 is sm80"),
        ("h100", "bf16", "torchao", "cusparselt, cutlass, vllm, none", "'torchao', which has fp8 on sm90; h100 is sm90"),
        ("rtx4090", "fp8", "tensorrt", "cusparselt, cutlass, none",
         "'tensorrt', which has fp16, int8 on sm80, sm86, sm89; fp16, int8, fp8 on sm90; rtx4090 is sm89"),
        ("a40", "int8", "vllm", "cusparselt, cutlass, torch, tensorrt, none",
         "'vllm', which has fp16, bf16, int8, fp8 on sm90; a40 is sm86"),
    ],
)  # fmt: skip
def test_a_library_without_kernels_for_a_gemm_says_what_it_has(
    gpu: str, dtype: str, library: str, with_it: str, found: str, refused: Callable[..., str]
) -> None:
    message = f"library: expected a library with 2:4 {dtype} kernels for {gpu} ({with_it}), found {found}"
    for ask in (stcsim.gemm, stcsim.explain):
        with pytest.raises(UnsupportedError) as error:
            ask(64, 64, 64, gpu, dtype=dtype, library=library)  # type: ignore[operator]
        assert str(error.value) == message
    options = ("--arch", gpu, "--dtype", dtype, "--library", library)
    for command in (("gemm", *SIZES), ("explain", *SIZES), ("kernels",)):
        assert refused(*command, *options) == f"--{message}"


def test_a_library_that_is_not_asked_for_2_4_may_lack_it() -> None:
    assert stcsim.gemm(64, 64, 64, "a100", sparsity="dense", library="torchao").rows[0].sparse is None
    assert stcsim.gemm(64, 64, 64, "t4", library="vllm").rows[0].sparse is None


def test_an_unknown_library_is_refused(refused: Callable[..., str]) -> None:
    known = "one of cusparselt, cutlass, torch, torchao, vllm, tensorrt, none"
    message = f"--library: expected {known}, found 'cusparse' (did you mean 'cusparselt'?)"
    for command in (("gemm", *SIZES), ("run", "resnet34"), ("curve", "--over", "n=1..8"), ("kernels",)):
        assert refused(*command, "--arch", "a100", "--library", "cusparse") == message
    with pytest.raises(UnsupportedError, match="^library: expected one of cusparselt, .*, found 3$"):
        stcsim.run("resnet34", "a100", library=3)  # type: ignore[arg-type]


def test_a_forced_kernel_is_one_of_the_library() -> None:
    name, options = "sm90_sp_128x256x128_coop_c8x1", {"dtype": "fp8", "sparsity": "2:4"}
    (row,) = stcsim.gemm(4096, 64, 4096, "h100", **options, library="vllm", kernel=name).rows  # type: ignore[arg-type]
    assert row.sparse is not None and row.sparse.kernel == name
    with pytest.raises(UnsupportedError, match="^kernel: expected a 2:4 kernel of torchao on sm90, such as "):
        stcsim.gemm(64, 64, 64, "h100", **options, library="torchao", kernel=name)  # type: ignore[arg-type]


def test_kernels_are_listed_by_library(refused: Callable[..., str]) -> None:
    listed = kernels_of("h100", "fp8", sparsity="2:4", library="torchao")
    assert [row.name for row in listed.rows] == [
        "sm90_sp_64x32x256_pingpong",
        "sm90_sp_64x128x256_pingpong",
        "sm90_sp_128x128x256_pingpong_c1x2",
    ]
    assert all("pytorch/ao" in row.source for row in listed.rows) and listed.inputs["library"] == "torchao"
    assert {row.side for row in kernels_of("h100", "fp8", library="none").rows} == {"dense"}
    message = "--library: expected a library that has 2:4 kernels, found 'none'"
    assert refused("kernels", "--arch", "h100", "--sparsity", "2:4", "--library", "none") == message


def test_a_curve_runs_with_a_library() -> None:
    default, torch = (stcsim.sweep("4096xnx4096", "n=16,64", "a100", library=library) for library in ("cusparselt", "torch"))
    assert torch.inputs["library"] == "torch"
    for one, other in zip(default.points, torch.points, strict=True):
        assert one.totals.dense_us == other.totals.dense_us
        assert one.totals.sparse_us and other.totals.sparse_us and one.totals.sparse_us < other.totals.sparse_us


def test_tables_say_whose_kernels_they_are(ran: Callable[..., str]) -> None:
    shown = ran("gemm", *SIZES, "--arch", "h100", "--dtype", "fp8", "--library", "vllm")
    assert "sm90_sp_64x64x256_ws_c8x1 of vllm" in shown
    assert "intervals are from measured times of cusparselt's 2:4 kernels" in shown
    assert "sm90_sp_64x64x256_ws_c8x1 of vllm" in ran("explain", *SIZES, "--arch", "h100", "--dtype", "fp8", "--library", "vllm")
    assert NONE in ran("gemm", *SIZES, "--arch", "h100", "--library", "none")
    assert "2:4 kernels of torch" in ran("run", "vit-b-16", "--arch", "a100", "--library", "torch")
    assert "(of cutlass)" in ran("kernels", "--arch", "a100", "--library", "cutlass")
