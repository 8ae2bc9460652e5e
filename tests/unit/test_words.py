"""Do words, sizes and names of arguments come through one door, with one sentence for what is none?"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stcsim
from stcsim import numerics, words
from stcsim.arch import arch_names
from stcsim.errors import LONGEST, StcsimError, UnsupportedError, closest, quoted
from stcsim.isa.capabilities import ARCHS, capability
from stcsim.study import explain as explaining
from stcsim.study.kernels import kernels_of
from stcsim.trace import load_trace, trace_names

A100 = stcsim.load_arch("a100")
A, B = np.zeros((16, 32), np.float16), np.zeros((32, 8), np.float16)
IMAGE, FILTERS = np.zeros((1, 4, 8, 8), np.float16), np.zeros((4, 4, 3, 3), np.float16)


def refusal(call: Any) -> str:
    with pytest.raises(StcsimError) as caught:
        call()
    return str(caught.value)


# --- the words themselves


@pytest.mark.parametrize("spelled", ["low-power", "LOW-POWER", " Low_Power ", words.Data.LOW_POWER])
def test_a_word_is_known_however_it_is_spelled(spelled: str) -> None:
    assert words.word(words.Data, spelled, "data") is words.Data.LOW_POWER


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("sparse", "'sparse' (did you mean '2:4'?)"),
        ("dens", "'dens' (did you mean 'dense'?)"),
        ("1:7:9", "'1:7:9'"),
        ("", "''"),
        (7, "7"),
        (None, "None"),
    ],
)
def test_what_is_no_word_is_refused_with_the_argument_and_a_guess(value: object, found: str) -> None:
    sentence = refusal(lambda: words.word(words.Sparsity, value, "sparsity"))
    assert sentence == f"sparsity: expected one of both, dense, 2:4, found {found}"


def test_some_words_of_a_list_may_be_all_that_is_taken() -> None:
    some = (words.Sparsity.DENSE, words.Sparsity.SPARSE)
    assert words.word(some, "Dense", "sparsity") is words.Sparsity.DENSE
    assert refusal(lambda: words.word(some, "both", "sparsity")) == "sparsity: expected one of dense, 2:4, found 'both'"


@pytest.mark.parametrize("value", [7, np.int64(7), np.uint8(7)])
def test_whole_numbers_are_sizes(value: object) -> None:
    found = words.size(value, "m")
    assert found == 7 and type(found) is int


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None, [2], np.float32(2)])
def test_what_is_no_size_is_refused(value: object) -> None:
    assert refusal(lambda: words.size(value, "m")) == f"m: expected a whole number above 0, found {quoted(value)}"


def test_a_least_size_may_be_nothing() -> None:
    assert words.size(0, "padding", 0) == 0
    assert refusal(lambda: words.size(-1, "padding", 0)) == "padding: expected a whole number from 0 on, found -1"


def test_texts_and_lists() -> None:
    assert words.texts("one", "inputs", "texts") == ("one",) and words.texts(["a", "b"], "inputs", "texts") == ("a", "b")
    assert words.listed("a, b", "archs", "names") == ["a", "b"] and words.listed(A100, "archs", "names") == [A100]
    assert refusal(lambda: words.texts(7, "inputs", "texts")) == "inputs: expected texts, found 7"
    assert refusal(lambda: words.texts(["a", 7], "inputs", "texts")) == "inputs: expected texts, found 7"
    assert refusal(lambda: words.listed("a,,b", "archs", "names")) == "archs: expected names with commas between, found 'a,,b'"
    assert refusal(lambda: words.listed([], "archs", "names")) == "archs: expected names, found none"
    assert refusal(lambda: words.flag(1, "conv")) == "conv: expected True or False, found 1"


def test_guesses_do_not_mind_the_case_and_long_values_are_cut() -> None:
    assert closest("RTX 4090", ["t4", "rtx4090"]) == " (did you mean 'rtx4090'?)" and closest(7, ["t4"]) == ""
    assert len(quoted("x" * 5000)) < 100 and "\n" not in quoted(np.zeros((3, 3)))


def test_a_sentence_is_one_line_whatever_it_names() -> None:
    error = StcsimError("a\nb.json: \x1b[31m", "x\u202ey", "\ud800 and é")
    assert str(error) == "a\\nb.json: \\x1b[31m: expected x\\u202ey, found \\ud800 and é"
    assert (error.where, error.found) == ("a\nb.json: \x1b[31m", "\ud800 and é")


def test_a_sentence_is_cut_in_the_middle_of_what_is_long() -> None:
    whole = str(StcsimError("w" * 5000 + ".json", "a number", "9" * 5000))
    assert len(whole) <= LONGEST and ".json: expected a number, found 999" in whole and whole.count("…") == 2
    assert len(str(StcsimError("w" * 5000, "e" * 5000, "f" * 5000))) == LONGEST
    assert "…" not in str(StcsimError("w" * 100, "e" * 300, "f" * 100))


def test_an_error_may_leave_the_process_that_raised_it() -> None:
    error = pickle.loads(pickle.dumps(UnsupportedError("m", "a size", "0")))
    assert isinstance(error, UnsupportedError) and (error.where, error.expected, error.found) == ("m", "a size", "0")


# --- the library's doors


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sparsity": "sparse"}, "sparsity: expected one of both, dense, 2:4, found 'sparse' (did you mean '2:4'?)"),
        ({"launch": 3}, "launch: expected one of graph, stream, kernel, found 3"),
        ({"dtype": 7}, "dtype: expected the name of an element type, e.g. 'fp16', found 7"),
        ({"dtype": ["fp16"]}, "dtype: expected the name of an element type, e.g. 'fp16', found ['fp16']"),
        ({"out_dtype": "fp99"}, "out_dtype: expected one of fp32, "),
        ({"out_dtype": ["fp16"]}, "out_dtype: expected the name of an element type, e.g. 'fp16', found ['fp16']"),
        ({"weights_in_l2": float("inf")}, "weights_in_l2: expected True or False, found inf"),
        ({"batch": True}, "batch: expected a whole number above 0, found True"),
        ({"kernel": 7}, "kernel: expected the name of a kernel, search or heuristic, found 7"),
        ({"m": 0}, "m: expected a whole number above 0, found 0"),
        ({"n": 2.5}, "n: expected a whole number above 0, found 2.5"),
        ({"k": "256"}, "k: expected a whole number above 0, found '256'"),
        ({"arch": "a1000"}, "arch: expected one of a10, "),
        ({"arch": 7}, "arch: expected the name of a GPU, the path of a file, or an Arch, found 7"),
    ],
)
@pytest.mark.parametrize("function", [stcsim.gemm, stcsim.explain], ids=["gemm", "explain"])
def test_what_no_gemm_can_be_is_refused(function: Any, options: dict[str, Any], sentence: str) -> None:
    given = {"m": 64, "n": 64, "k": 64, "arch": A100} | options
    assert refusal(lambda: function(**given)).startswith(sentence)


def test_data_and_engine_of_a_gemm_are_words() -> None:
    sentence = "data: expected one of randn, low-power, found 'foo'"
    assert refusal(lambda: stcsim.gemm(64, 64, 64, A100, data="foo")) == sentence
    sentence = "engine: expected one of fast, reference, found 'quick'"
    assert refusal(lambda: stcsim.gemm(64, 64, 64, A100, engine="quick")) == sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"trace": "resnet43"}, "trace: expected the name of one of the "),
        ({"trace": 5}, "trace: expected the name of a shipped trace, the path of a file, or a Trace, found 5"),
        ({"fusion": "all"}, "fusion: expected one of epilogue, none, found 'all'"),
        ({"keep_dense": 5}, "keep_dense: expected a layer's name or number, "),
        ({"keep_dense": ["fc", 5]}, "keep_dense: expected a layer's name or number, "),
        ({"dtype_of": ["fc"]}, "dtype_of: expected a mapping of patterns to element types, found ['fc']"),
        ({"dtype_of": {"last": 7}}, "dtype_of: expected the name of an element type, e.g. 'fp16', found 7"),
        ({"sparsity": "1:4"}, "sparsity: expected both, dense or 2:4, which a100 runs (tensor_core.sparse_kept), found '1:4'"),
    ],
)
def test_what_no_run_can_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    given = {"trace": "resnet18", "arch": "a100"} | options
    assert refusal(lambda: stcsim.run(**given)).startswith(sentence)


def test_heuristics_that_nobody_knows_are_no_silent_search() -> None:
    sentence = "kernel: expected search, or the name of a kernel, since the heuristics of cuBLAS on Hopper are unknown, found"
    assert refusal(lambda: stcsim.gemm(64, 64, 64, "h100", kernel="Heuristic")) == f"{sentence} 'heuristic'"
    assert refusal(lambda: stcsim.explain(64, 64, 64, "h100", kernel="heuristic")) == f"{sentence} 'heuristic'"
    taken = stcsim.gemm(512, 512, 512, A100, sparsity="dense", kernel="HEURISTIC")
    assert taken.inputs["kernel"] == "heuristic"
    searched = stcsim.gemm(512, 512, 512, A100, sparsity="dense", kernel="search")
    assert searched.inputs["kernel"] is None and searched == stcsim.gemm(512, 512, 512, A100, sparsity="dense")


def test_a_kernel_that_is_none_is_answered_with_near_ones_and_its_side() -> None:
    sentence = refusal(lambda: stcsim.gemm(64, 64, 64, "a100", kernel="sm80_sp_128x128x64_s3_2x3", sparsity="2:4"))
    assert "such as sm80_sp_128x128x64_s3_2x2, " in sentence and sentence.endswith("found 'sm80_sp_128x128x64_s3_2x3'")
    dense = refusal(lambda: stcsim.gemm(64, 64, 64, "a100", kernel="sm80_128x128x32_s3_2x2"))
    assert dense.endswith("found 'sm80_128x128x32_s3_2x2', a dense kernel: it runs where sparsity is dense")


def test_every_kernel_that_is_listed_can_be_forced() -> None:
    rows = kernels_of("A100", "FP16".lower(), sparsity="2:4").rows
    assert [row.side for row in rows] == ["2:4"] * len(rows) and len(rows) == 14
    for row in rows[:3]:
        (layer,) = stcsim.gemm(1024, 1024, 1024, A100, sparsity="2:4", kernel=row.name).rows
        assert layer.sparse is not None and layer.sparse.kernel == row.name
    patches = [row for row in kernels_of(A100, "int8", conv=True).rows if row.notes.startswith("pixels")]
    assert len(patches) == 8 and {row.tile_k for row in patches} == {192}
    assert refusal(lambda: kernels_of("t4", sparsity="2:4")).startswith("t4: expected a GPU with Sparse Tensor Cores")


def test_an_unknown_keyword_is_named() -> None:
    for call in (stcsim.gemm, stcsim.explain):
        with pytest.raises(TypeError, match="sparsty"):
            call(64, 64, 64, "a100", sparsty="dense")
    with pytest.raises(TypeError, match="wheels"):
        numerics.conv2d(IMAGE, FILTERS, arch="a100", wheels=4)


def test_a_problem_without_size_is_refused_before_it_is_explained() -> None:
    assert refusal(lambda: explaining.gemm_problem(0, 128, 128)) == "m: expected a whole number above 0, found 0"


def test_what_was_run_is_recorded_in_plain_words() -> None:
    inputs = stcsim.gemm(64, 64, 64, "A100", sparsity=words.Sparsity.SPARSE, launch=words.Launch.STREAM, data="RANDN").inputs
    assert {type(inputs[name]) for name in ("sparsity", "launch", "data", "engine")} == {str}
    assert (inputs["sparsity"], inputs["launch"], inputs["data"]) == ("2:4", "stream", "randn")


def test_inputs_with_a_part_missing_are_refused() -> None:
    inputs = stcsim.gemm(64, 64, 64, A100, sparsity="dense").inputs
    assert refusal(lambda: stcsim.rerun({name: inputs[name] for name in inputs if name != "launch"})).endswith("found no launch")


# --- names


def test_names_stand_for_objects_in_any_case() -> None:
    named, given = stcsim.gemm(256, 128, 64, "A100", dtype="FP16", out_dtype="FP16"), stcsim.gemm(256, 128, 64, A100)
    assert named == given
    assert [side.result for side in stcsim.explain(256, 128, 64, "a100").sides] == [given.rows[0].dense, given.rows[0].sparse]
    assert stcsim.load_trace("ResNet18") is not None and load_trace("RESNET18") == load_trace("resnet18")
    trace = load_trace("resnet18")
    assert load_trace(trace) is trace and stcsim.open_trace(trace, batch=2).batch == 2


@pytest.mark.parametrize("name", arch_names())
def test_every_gpu_is_found_in_capitals(name: str) -> None:
    assert stcsim.load_arch(name.upper()).name == name


@pytest.mark.parametrize("name", trace_names()[:3])
def test_traces_are_found_in_capitals(name: str) -> None:
    assert load_trace(name.upper()).name == name


def test_a_loaded_gpu_takes_overrides() -> None:
    half = stcsim.load_arch(A100, ["sm.count=54"])
    assert half.sm.count == 54 and half.name == "a100" and half.sources["sm.count"].kind == "assumed"
    assert stcsim.load_arch(A100) is A100 and stcsim.load_arch(Path("A100")) == A100


@pytest.mark.parametrize("overrides", [5, [5], [None]])
def test_overrides_of_another_type(overrides: Any) -> None:
    assert refusal(lambda: stcsim.load_arch("a100", overrides)).startswith("overrides: expected path=value texts such as ")


@pytest.mark.parametrize("name", arch_names())
def test_a_gpu_has_the_compute_capability_that_its_file_loads_with(name: str) -> None:
    arch = stcsim.load_arch(name)
    assert capability(name) == capability(name.upper()) == capability(arch) == f"sm_{arch.compute_capability.replace('.', '')}"


@pytest.mark.parametrize("arch", ["sm_80", "SM_80", "sm_80a", "8.0", " 8.0 ", "a100", "A100", A100])
def test_numerics_takes_a_gpu_however_it_is_called(arch: Any) -> None:
    assert capability(arch) == "sm_80"
    assert np.array_equal(numerics.gemm(A, B, arch=arch), numerics.gemm(A, B, arch="sm_80"))


@pytest.mark.parametrize(
    ("arch", "found"),
    [("a1000", "'a1000' (did you mean 'a100'?)"), ("sm_81", "'sm_81'"), (7, "7"), (None, "None"), ("9.9", "'9.9'")],
)
def test_what_is_no_gpu_is_refused_with_all_there_are(arch: Any, found: str) -> None:
    sentence = refusal(lambda: numerics.gemm(A, B, arch=arch))
    assert (
        sentence.startswith(f"arch: expected one of {', '.join(ARCHS)}, or a GPU (a10, a100, ") and f"found {found}" in sentence
    )
    assert "did you mean 'sm_100'" not in sentence


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: numerics.gemm(A, B, arch="a100", engine="slow"), "engine: expected one of fast, reference, found 'slow'"),
        (lambda: numerics.gemm(A, B, arch="a100", workers=-1), "workers: expected a whole number above 0, found -1"),
        (lambda: numerics.gemm(A, B, arch="a100", sparsity="both"), "sparsity: expected one of dense, 2:4, found 'both'"),
        (lambda: numerics.gemm(numerics.compress(A, "fp16"), B, arch="a100", sparsity="dense"),
         "sparsity: expected 2:4 for a compressed A, found 'dense'"),
        (lambda: numerics.gemm(A, B, arch="a100", blocking=2), "blocking: expected one of kept, expanded, found 2"),
        (lambda: numerics.gemm(A, B, arch="a100", dtype=5), "dtype: expected the name of an element type, found 5"),
        (lambda: numerics.gemm(A, B, arch="a100", ordered=1), "ordered: expected True or False, found 1"),
        (lambda: numerics.gemm(A, B, arch="a100", instruction=5), "instruction: expected the name of an instruction"),
        (lambda: numerics.mma_sp("mma.sp.m16n8k32.f32.f16.f16.f32", A, B, arch="a100"),  # type: ignore[arg-type]
         "mma.sp.m16n8k32.f32.f16.f16.f32: A: expected a compressed matrix (numerics.compress makes one), found 'ndarray'"),
        (lambda: numerics.conv2d(IMAGE, FILTERS, arch="a100", groups=0), "groups: expected a whole number above 0, found 0"),
        (lambda: numerics.conv2d(IMAGE, FILTERS, arch="a100", stride=-1), "stride: expected a whole number above 0, found -1"),
        (lambda: numerics.conv2d(IMAGE, FILTERS, arch="a100", stride=(1,)),  # type: ignore[arg-type]
         "stride: expected one number, or two for rows and columns, found (1,)"),
        (lambda: numerics.conv2d(IMAGE, FILTERS, arch="a100", padding=-1), "padding: expected a whole number from 0 on,"),
        (lambda: numerics.conv2d(IMAGE, FILTERS, arch="a100", dilation=0), "dilation: expected a whole number above 0, found 0"),
        (lambda: numerics.prune(A, 5), "pattern: expected N:M, or 4:8-pairs, found 5"),  # type: ignore[arg-type]
        (lambda: numerics.prune(A, axis="x"), "axis: expected a whole number from -2 on, found 'x'"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_numerics_refuses_what_is_none(call: Any, sentence: str) -> None:
    assert refusal(call).startswith(sentence)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: stcsim.sweep("resnet18", 5, "a100"), "over: expected an axis and its values, e.g. 'batch=1..64', found 5"),
        (lambda: stcsim.sweep("resnet18", "batch=1", []), "archs: expected names, found none"),
        (lambda: stcsim.sweep("resnet18", "batch=1", "a100,A100"), "archs: expected each name once, found 'a100' twice"),
        (lambda: stcsim.sweep("resnet18", "batch=1", "a100", "fp12"), "dtypes: expected one of fp16, "),
        (lambda: stcsim.roofline_of("resnet18", "a100", 7), "dtype: expected the name of an element type"),
        (lambda: stcsim.validate("nowhere.csv", "a1000"), "arch: expected one of a10, "),
        (lambda: stcsim.validate("nowhere.csv", jobs=0), "jobs: expected a whole number above 0, found 0"),
        (lambda: stcsim.capture(5), "name: expected the name of a network, "),
        (lambda: stcsim.capture("resnet18", dtype=5), "dtype: expected the name of an element type, found 5"),
        (lambda: stcsim.at_length("bert-base", "tokens", 2.5), "value: expected a whole number above 0, found 2.5"),
        (lambda: stcsim.at_resolution("resnet18", 320, "a"), "width: expected a whole number above 0, found 'a'"),
    ],
)
def test_studies_and_captures_refuse_what_is_none(call: Any, sentence: str) -> None:
    assert refusal(call).startswith(sentence)


def test_a_sweep_takes_names_in_one_text() -> None:
    curve = stcsim.sweep("64x64xK", "k=64,128", "A100, t4", "fp16,int8")
    assert list(curve.series) == [("a100", "fp16"), ("a100", "int8"), ("t4", "fp16"), ("t4", "int8")]
    assert [point.totals.macs for point in curve.points[:2]] == [64**3, 2 * 64**3]


def test_an_unsupported_word_is_an_unsupported_error() -> None:
    with pytest.raises(UnsupportedError):
        words.word(words.Engine, "quick", "engine")
