"""Does a trace say exactly what a network does, and refuse in one sentence what it cannot be?"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from stcsim.errors import TraceError
from stcsim.trace import Conv2d, Gemm, Memory, Source, Trace, load_trace, trace_names

GEMM = {"kind": "gemm", "name": "fc", "m": 10, "n": 4, "k": 8, "weight_operand": "a", "scales_with_batch": "n"}
CONV = {"kind": "conv2d", "name": "conv1", "batch": 2, "c": 6, "h": 9, "w": 7, "k": 4, "r": 3, "s": 3}
MEMORY = {"kind": "memory", "name": "relu", "operator": "relu", "elements_read": 100, "elements_written": 50}
TRACE: dict[str, Any] = {
    "format_version": 1,
    "name": "tiny",
    "title": "Tiny",
    "source": {"model": "by hand", "library": "none", "version": "0"},
    "batch": 2,
    "input_shape": [6, 9, 7],
    "ops": [CONV, MEMORY, GEMM],
}


def write(folder: Path, content: dict[str, Any] | str) -> Path:
    path = folder / "tiny.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def with_op(**fields: Any) -> dict[str, Any]:
    """Return the tiny trace with one operation; a field of ``...`` is left out."""
    base = CONV if fields.get("kind") == "conv2d" else GEMM
    return {**TRACE, "ops": [{key: value for key, value in {**base, **fields}.items() if value is not ...}]}


# --- what an operation is


def test_gemm_counts() -> None:
    gemm = Gemm(name="fc", m=10, n=4, k=8, batch=3)
    assert gemm.macs == 10 * 4 * 8 * 3
    assert gemm.weight_elements == 10 * 8 * 3
    assert Gemm(name="qk", m=10, n=4, k=8, weight_operand=None).weight_elements == 0


def test_strided_padded_dilated_conv_lowers_to_its_implicit_gemm() -> None:
    conv = Conv2d(name="c", batch=2, c=6, h=9, w=7, k=4, r=3, s=3, stride=(2, 1), padding=(1, 0), dilation=(1, 2), origin="o")
    assert (conv.p, conv.q) == (5, 3)  # (9 + 2 - 2 - 1) // 2 + 1, (7 - 4 - 1) // 1 + 1
    expected = Gemm(name="c", m=4, n=2 * 5 * 3, k=6 * 9, weight_operand="a", scales_with_batch="n", origin="o")
    assert conv.gemm() == expected
    assert conv.macs == conv.gemm().macs == 4 * 30 * 54


def test_grouped_conv_lowers_to_one_gemm_for_each_group() -> None:
    conv = Conv2d(name="c", batch=1, c=6, h=4, w=4, k=4, r=3, s=3, padding=(1, 1), groups=2, count=5)
    gemm = conv.gemm()
    assert (gemm.m, gemm.n, gemm.k, gemm.batch, gemm.count) == (2, 16, 27, 2, 5)
    assert conv.macs == gemm.macs == 2 * 16 * 27 * 2
    assert conv.weight_elements == gemm.weight_elements == 4 * 3 * 9


def test_depthwise_conv() -> None:
    gemm = Conv2d(name="dw", batch=1, c=8, h=5, w=5, k=8, r=3, s=3, groups=8).gemm()
    assert (gemm.m, gemm.n, gemm.k, gemm.batch) == (1, 9, 9, 8)


def test_conv_as_large_as_its_padded_image_still_runs() -> None:
    assert Conv2d(name="c", batch=1, c=1, h=1, w=1, k=1, r=3, s=3, padding=(1, 1)).p == 1
    with pytest.raises(TraceError, match="an empty output"):
        Conv2d(name="c", batch=1, c=1, h=1, w=1, k=1, r=4, s=3, padding=(1, 1))


TRANSPOSED = {**CONV, "name": "up", "kind": "conv2d", "transposed": True, "groups": 2}


@pytest.mark.parametrize(
    ("fields", "outputs", "inner"),
    [  # torch: (9 - 1) * 2 - 2 * 1 + 2 * (3 - 1) + 1 + 1 rows, and so on; taps of one output pixel: 9 / 4 or 9 / 6, rounded up
        ({"stride": (2, 3), "padding": (1, 0), "dilation": (2, 1), "output_padding": (1, 2)}, (20, 23), 3 * 2),
        ({"stride": (2, 2), "padding": (1, 1), "output_padding": (1, 1)}, (18, 14), 3 * 3),
        ({"r": 2, "s": 2, "stride": (2, 2)}, (18, 14), 3 * 1),
    ],
)
def test_transposed_conv(fields: dict[str, Any], outputs: tuple[int, int], inner: int) -> None:
    conv = Conv2d(**{**TRANSPOSED, **fields})
    assert (conv.p, conv.q) == outputs
    gemm = conv.gemm()
    assert (gemm.m, gemm.n, gemm.k, gemm.batch) == (2, 2 * conv.p * conv.q, inner, 2)
    assert conv.macs == 2 * 9 * 7 * 6 * 2 * conv.r * conv.s  # images x input pixels x c x k / groups x taps
    assert conv.weight_elements == 6 * 2 * conv.r * conv.s
    assert conv.output_elements == gemm.output_elements == 2 * 4 * outputs[0] * outputs[1]


def test_transposed_conv_reads_its_input_as_direct_ones_of_stride_1() -> None:
    conv = Conv2d(**{**TRANSPOSED, "r": 4, "s": 2, "stride": (2, 2), "padding": (1, 0)})
    direct = conv.direct()
    assert (direct.r, direct.s, direct.stride, direct.transposed) == (2, 1, (1, 1), False)
    assert (direct.c, direct.h, direct.w, direct.groups) == (6, 9, 7, 2)
    plain = Conv2d(**CONV)
    assert plain.direct() is plain


# --- the shipped traces

MACS = {  # resnets: published 3.66 G and 4.09 G; bert-base 11.2 G with pooler
    "resnet34": 3_663_761_408,
    "resnet50": 4_089_184_256,
    "bert-base": 11_174_215_680,
    "llama-3-8b-prefill": 7_504_658_432 * 2048 + 32 * 32 * 2 * 128 * 2048**2,  # weights x tokens + attention
    "llama-3-8b-decode": 7_504_658_432 * 8 + 32 * 8 * 32 * 2 * 128 * 1025,
}
COUNTS = {"resnet34": 37, "resnet50": 54, "bert-base": 97, "llama-3-8b-prefill": 289, "llama-3-8b-decode": 289}


@pytest.mark.parametrize("name", MACS)
def test_shipped_traces_have_the_published_totals(name: str) -> None:
    trace = load_trace(name)
    assert trace.name == name
    assert (trace.macs, sum(not isinstance(op, Memory) for op in trace.ops)) == (MACS[name], COUNTS[name])
    assert trace.source.unhandled == () and trace.rescalable
    assert len({op.name for op in trace.ops}) == len(trace.ops)


def test_only_attention_has_no_weight() -> None:
    ops = load_trace("bert-base").ops
    assert sum(isinstance(op, Gemm) and op.weight_operand is None for op in ops) == 24  # 12 layers x 2


def test_names_resolve_from_any_folder_and_paths_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(MACS) <= set(trace_names())
    write(tmp_path, TRACE)
    assert load_trace("tiny.json") == load_trace(tmp_path / "tiny.json") == Trace(**TRACE)


def test_loading_is_fast() -> None:
    load_trace("resnet34")
    start = time.perf_counter()
    load_trace("resnet34")
    assert time.perf_counter() - start < 0.05


# --- another batch


def test_with_batch_scales_what_grows() -> None:
    per_batch = {**GEMM, "name": "qk", "weight_operand": None, "scales_with_batch": "batch", "batch": 6}
    fixed = {**GEMM, "name": "table", "scales_with_batch": None}
    rope = {**MEMORY, "name": "rope", "constant_elements": 7, "scales_with_batch": False}
    trace = Trace(**{**TRACE, "ops": [CONV, {**MEMORY, "constant_elements": 7}, GEMM, per_batch, fixed, rope]}).with_batch(3)
    conv, memory, gemm, attention, table, angles = trace.ops
    assert trace.batch == 3
    assert isinstance(conv, Conv2d) and conv.batch == 3
    for step, read, written in ((memory, 150, 75), (angles, 100, 50)):
        assert isinstance(step, Memory)
        assert (step.elements_read, step.elements_written, step.constant_elements) == (read, written, 7)
    assert isinstance(gemm, Gemm) and (gemm.n, gemm.batch) == (6, 1)
    assert isinstance(attention, Gemm) and (attention.n, attention.batch) == (4, 9)
    assert isinstance(table, Gemm) and (table.n, table.batch) == (4, 1)


def test_with_batch_there_and_back() -> None:
    trace = load_trace("llama-3-8b-decode")
    assert trace.with_batch(1).with_batch(8) == trace
    assert load_trace("bert-base").with_batch(7).macs == 7 * MACS["bert-base"]


@pytest.mark.parametrize(
    ("fields", "batch", "sentence"),
    [
        ({}, 0, "tiny: batch: expected a whole number above 0, found 0"),
        ({}, -1, "tiny: batch: expected a whole number above 0, found -1"),
        ({}, 1.5, "tiny: batch: expected a whole number above 0, found 1.5"),
        (
            {"ops": [CONV, {**GEMM, "n": 3}]},
            1,
            "tiny: ops[1] gemm 'fc': n: expected a batch that scales 3 to a whole number, found 3 x 1 / 2",
        ),
        ({}, 2**31, "tiny: ops[0] conv2d 'conv1': batch: expected a number below 2147483648, found 2147483648"),
        ({"rescalable": False}, 4, "tiny: batch: expected 2 (some shapes do not follow the batch), found 4"),
    ],
)
def test_a_batch_that_cannot_be(fields: dict[str, Any], batch: Any, sentence: str) -> None:
    with pytest.raises(TraceError) as refused:
        Trace(**{**TRACE, **fields}).with_batch(batch)
    assert str(refused.value) == sentence


# --- files


def test_saved_and_loaded_again_is_the_same(tmp_path: Path) -> None:
    trace = Trace(**{**TRACE, "rescalable": False, "input_shape": {"tokens": 1, "cached": 0}})
    trace.save(tmp_path / "again.json")
    again = load_trace(tmp_path / "again.json")
    assert again == trace and again.sha256 == trace.sha256
    assert [path.name for path in tmp_path.iterdir()] == ["again.json"]


def test_one_line_for_each_operation() -> None:
    lines = Trace(**TRACE).to_json().splitlines()
    assert [json.loads(line.rstrip(","))["name"] for line in lines if '"kind"' in line] == ["conv1", "relu", "fc"]


def test_a_field_at_its_default_is_left_out() -> None:
    ops = [GEMM, {**GEMM, "name": "qk", "weight_operand": None, "batch": 2, "inputs": ["fc", "fc"]}, TRANSPOSED]
    first, second, third = Trace(**{**TRACE, "ops": ops}).to_json().splitlines()[-5:-2]
    assert first.strip(" ,") == '{"kind": "gemm", "name": "fc", "m": 10, "n": 4, "k": 8, "scales_with_batch": "n"}'
    assert second.endswith('"batch": 2, "weight_operand": null, "scales_with_batch": "n", "inputs": ["fc", "fc"]},')
    assert third.endswith('"s": 3, "groups": 2, "transposed": true}')


def test_the_hash_follows_the_content() -> None:
    one, other = Trace(**TRACE), Trace(**with_op(kind="gemm", m=11))
    assert one.sha256 != other.sha256 and len(one.sha256) == 64


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = write(tmp_path, "old")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(TraceError, match="tiny.json: expected a file that can be written, found No space left on device"):
        Trace(**TRACE).save(path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_saving_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="expected a file that can be written, found No such file or directory"):
        Trace(**TRACE).save(tmp_path / "missing" / "t.json")


CONV_FIELDS = (
    "kind, name, batch, c, h, w, k, r, s, stride, padding, dilation, groups, transposed, output_padding, weight_of, inputs, "
    "count, origin"
)
GEMM_FIELDS = (
    "kind, name, m, n, k, batch, weight_operand, scales_with_batch, spread_rows, experts, weight_of, inputs, count, origin, dtype"
)

BAD_FILES: list[tuple[dict[str, Any] | str, str]] = [
    ('{"name": "x",\n  oops}', "expected JSON, found 'Expecting property name enclosed in double quotes' at line 2, column 3"),
    ("", "expected JSON, found 'Expecting value' at line 1, column 1"),
    ("[1, 2]", "expected a JSON object with the fields of a trace, found a list"),
    ({**TRACE, "format_version": 2}, "format_version: expected 1, found 2, from a newer stcsim"),
    ({**TRACE, "format_version": "1"}, "format_version: expected 1, found '1'"),
    ({"ops": []}, "format_version: expected 1, found no such field"),
    ({**TRACE, "batch": 0}, "batch: expected a number above 0, found 0"),
    ({key: TRACE[key] for key in TRACE if key != "batch"}, "batch: expected a value, found no such field"),
    ({**TRACE, "ops": []}, "ops: expected at least one operation, found an empty list"),
    ({**TRACE, "ops": "none"}, "ops: expected a list, found 'none'"),
    ({**TRACE, "ops": [GEMM, 3]}, "ops[1]: expected an object with a kind, found 3"),
    (
        {**TRACE, "dtype": "fp12"},
        "dtype: expected one of fp16, bf16, tf32, int8, fp8, int4, e2m1, found 'fp12' (did you mean 'fp16'?)",
    ),
    (
        {**TRACE, "input_shape": {"tokens": -1}},
        "input_shape: expected a shape, or lengths such as {\"tokens\": 128}, found {'tokens': -1}",
    ),
    (
        {**TRACE, "source": {"model": "m", "libary": "l", "version": "1"}},
        "source: libary: expected one of model, library, version, notes, unhandled, unhandled_macs, unsized, fixed_batch, "
        "found 'libary' (did you mean 'library'?)",
    ),
    (with_op(kind="gem"), "ops[0] 'fc': kind: expected one of gemm, conv2d, memory, found 'gem' (did you mean 'gemm'?)"),
    (with_op(kind=...), "ops[0] 'fc': kind: expected one of gemm, conv2d, memory, found no such field"),
    (with_op(kind="gemm", n=-4), "ops[0] gemm 'fc': n: expected a number above 0, found -4"),
    (with_op(kind="gemm", n=4.5), "ops[0] gemm 'fc': n: expected a whole number, found 4.5"),
    (with_op(kind="gemm", n=True), "ops[0] gemm 'fc': n: expected a whole number, found True"),
    (with_op(kind="gemm", k=...), "ops[0] gemm 'fc': k: expected a value, found no such field"),
    (with_op(kind="gemm", name=...), "ops[0] gemm: name: expected a value, found no such field"),
    (with_op(kind="gemm", weight_operand="b"), "ops[0] gemm 'fc': weight_operand: expected 'a' or None, found 'b'"),
    (
        with_op(kind="gemm", batch=..., bacth=2),
        f"ops[0] gemm 'fc': bacth: expected one of {GEMM_FIELDS}, found 'bacth' (did you mean 'batch'?)",
    ),
    (
        with_op(kind="conv2d", strides=[2, 2]),
        f"ops[0] conv2d 'conv1': strides: expected one of {CONV_FIELDS}, found 'strides' (did you mean 'stride'?)",
    ),
    (with_op(kind="conv2d", stride=[2]), "ops[0] conv2d 'conv1': stride[1]: expected a value, found none"),
    (with_op(kind="conv2d", padding=[0, -1]), "ops[0] conv2d 'conv1': padding[1]: expected a number of at least 0, found -1"),
    (with_op(kind="conv2d", groups=4), "ops[0] conv2d 'conv1': groups: expected a divisor of c = 6, found 4"),
    (with_op(kind="conv2d", groups=3), "ops[0] conv2d 'conv1': groups: expected a divisor of k = 4, found 3"),
    (with_op(kind="conv2d", transposed=1), "ops[0] conv2d 'conv1': transposed: expected true or false, found 1"),
    (
        with_op(kind="conv2d", output_padding=[0, 1]),
        "ops[0] conv2d 'conv1': output_padding: expected 0,0 unless the convolution is transposed, found 0,1",
    ),
    (
        with_op(kind="conv2d", transposed=True, padding=[9, 10]),
        "ops[0] conv2d 'conv1': expected less padding, "
        "found an empty output (3x3 filter, dilation 1,1, on 9x7 with padding 9,10)",
    ),
    (with_op(kind="gemm", inputs="fc"), "ops[0] gemm 'fc': inputs: expected a list, found 'fc'"),
    (
        {**TRACE, "ops": [{**MEMORY, "bytes_read": 4}]},
        "ops[0] memory 'relu': bytes_read: expected one of kind, name, operator, elements_read, elements_written, "
        "constant_elements, scales_with_batch, fuses_into, inputs, count, origin, "
        "found 'bytes_read' (did you mean 'elements_read'?)",
    ),
    (
        with_op(kind="conv2d", r=11),
        "ops[0] conv2d 'conv1': expected an image at least as large as the filter, "
        "found an empty output (11x3 filter, dilation 1,1, on 9x7 with padding 0,0)",
    ),
]


@pytest.mark.parametrize(("content", "sentence"), BAD_FILES, ids=[sentence[:50] for _, sentence in BAD_FILES])
def test_a_bad_file_is_one_sentence(tmp_path: Path, content: dict[str, Any] | str, sentence: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(TraceError) as refused:
        load_trace(path)
    assert str(refused.value) == f"{path}: {sentence}"


@pytest.mark.parametrize("content", ["[" * 100_000, '{"batch": ' + "1" * 5000 + "}"], ids=["deep", "long number"])
def test_json_that_python_will_not_read(tmp_path: Path, content: str) -> None:
    with pytest.raises(TraceError, match="expected JSON"):
        load_trace(write(tmp_path, content))


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="tiny.json: expected JSON"):
        load_trace(tmp_path / "tiny.json")


def test_a_folder_is_not_a_trace(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="expected a file that can be read, found Is a directory"):
        load_trace(tmp_path)


@pytest.mark.parametrize("asked", ["resnet43", "nowhere/resnet43.json"])
def test_no_such_trace(asked: str) -> None:
    with pytest.raises(TraceError) as refused:
        load_trace(asked)
    ships = f"one of the {len(trace_names())} traces that ship (`stcsim traces` lists them)"
    assert refused.value.expected == f"the name of {ships}, or the path of a file"
    assert refused.value.found == f"'{asked}', which is neither (did you mean 'resnet34'?)"


def test_values_built_in_python_refuse_in_the_same_words() -> None:
    with pytest.raises(TraceError, match=r"^gemm '1x1x0': k: expected a number above 0, found 0$"):
        Gemm(name="1x1x0", m=1, n=1, k=0)
    with pytest.raises(TraceError, match=r"^source: model: expected text, found 3$"):
        Source(model=3, library="l", version="1")  # type: ignore[arg-type]


def test_a_product_may_have_a_type_of_its_own_and_is_written_as_before_without() -> None:
    plain = Gemm(name="g", m=1, n=2, k=3)
    assert "dtype" not in plain.model_dump() and plain.changed(dtype="int8").model_dump()["dtype"] == "int8"
    with pytest.raises(TraceError, match=r"^dtype: expected one of fp16, .*, found 'fp12' \(did you mean 'fp16'\?\)$"):
        plain.changed(dtype="fp12")


def test_rows_spread_over_experts_must_fit_the_sizes() -> None:
    sizes = {"name": "g", "m": 24, "k": 8, "spread_rows": 10, "experts": 4}
    assert Gemm(n=3, batch=4, **sizes).macs == 10 * 24 * 8
    with pytest.raises(TraceError, match=r"expected n = 3 and batch = 4 \(10 rows over 4 experts\), found n = 2"):
        Gemm(n=2, batch=4, **sizes)
    with pytest.raises(TraceError, match="expected spread_rows and experts, or neither, found one of them"):
        Gemm(name="g", m=1, n=1, k=1, experts=4)
