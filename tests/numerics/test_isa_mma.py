"""Does the instruction table name, find and refuse instructions as PTX has them?"""

from __future__ import annotations

import pytest

from stcsim.errors import UnsupportedError
from stcsim.isa import instructions
from stcsim.isa.capabilities import arithmetic, capability
from stcsim.isa.instructions import Instruction, parse


@pytest.mark.parametrize(
    ("name", "instruction"),
    [
        ("mma.m16n8k16.f32.f16.f16.f32", Instruction("mma", False, 16, 8, 16, "fp32", "fp16", "fp16", "fp32")),
        ("mma.sp.m16n8k32.f32.f16.f16.f32", Instruction("mma", True, 16, 8, 32, "fp32", "fp16", "fp16", "fp32")),
        ("wgmma.m64n8k16.f16.f16.f16", Instruction("wgmma", False, 64, 8, 16, "fp16", "fp16", "fp16", "fp16")),
        ("wgmma.sp.m64n256k64.f32.e4m3.e5m2", Instruction("wgmma", True, 64, 256, 64, "fp32", "e4m3", "e5m2", "fp32")),
        ("mma.sp.m16n8k64.s32.s8.u8.s32.satfinite", Instruction("mma", True, 16, 8, 64, "int32", "int8", "uint8", "int32", True)),
        ("mma.m8n8k4.f32.f16.f16.f16", Instruction("mma", False, 8, 8, 4, "fp32", "fp16", "fp16", "fp16")),
    ],
)
def test_names_are_parsed_and_written(name: str, instruction: Instruction) -> None:
    assert parse(name) == instruction
    assert instruction.name == name


def test_full_ptx_names_are_understood() -> None:
    ordered = parse("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32")
    assert ordered.name == "mma.sp.m16n8k32.f32.f16.f16.f32"
    assert parse("mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s4.u4.s32").satfinite
    assert parse("wgmma.mma_async.sp.sync.aligned.m64n64k16.f32.tf32.tf32").k == 16


@pytest.mark.parametrize(
    ("dtype", "k"),
    [("fp16", {16, 32}), ("bf16", {16, 32}), ("tf32", {8, 16}), ("int8", {32, 64}), ("int4", {64, 128}), ("e4m3", {64})],
)
def test_sparse_shapes_are_those_of_ptx(dtype: str, k: set[int]) -> None:
    sparse = [each for each in instructions.available("sm_89") if each.sparse and each.a == dtype]
    assert {each.k for each in sparse} == k
    assert {(each.m, each.n) for each in sparse} == {(16, 8)}


def test_wgmma_widths() -> None:
    wide = [each for each in instructions.available("sm_90") if each.kind == "wgmma"]
    widths = {dtype: {each.n for each in wide if each.a == dtype} for dtype in ("fp16", "int8")}
    assert widths["fp16"] == set(range(8, 257, 8))
    assert widths["int8"] == {8, 16, 24, *range(32, 257, 16)}


@pytest.mark.parametrize(
    ("arch", "name"),
    [
        ("sm_70", "mma.m8n8k4.f32.f16.f16.f32"),
        ("sm_75", "mma.m16n8k8.f32.f16.f16.f32"),
        ("sm_86", "mma.m16n8k16.f32.f16.f16.f32"),
        ("sm_90", "wgmma.m64n256k16.f32.f16.f16"),
        ("sm_90a", "wgmma.m64n256k16.f32.f16.f16"),
        ("sm_100", "tcgen05.m128n256k16.f32.f16.f16"),
    ],
)
def test_a_gemm_takes_the_newest_and_largest(arch: str, name: str) -> None:
    assert instructions.gemm_instruction(capability(arch), "fp32", "fp16", "fp16", sparse=False).name == name


def refusal(name: str, arch: str) -> str:
    with pytest.raises(UnsupportedError) as caught:
        instructions.require(parse(name), arch)
    return str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "arch"),
    [("fp16", "sm_80"), ("tf32", "sm_80"), ("int8", "sm_80"), ("int4", "sm_80"), ("e4m3", "sm_90"), ("e2m1", "sm_80")],
)
def test_the_usual_gpu_of_a_type_is_the_first_of_a_data_center(dtype: str, arch: str) -> None:
    assert instructions.usual_arch(dtype) == arch  # Ada (sm_89) had fp8 first; no instruction here takes e2m1


def test_refusals_are_one_sentence() -> None:
    assert refusal("mma.m16n8k16.f32.f16.f16", "sm_80") == (
        "instruction: expected a tensor-core instruction such as 'mma.m16n8k16.f32.f16.f16.f32' or "
        "'wgmma.sp.m64n64k32.f32.f16.f16', found 'mma.m16n8k16.f32.f16.f16' (did you mean 'mma.m16n8k16.f32.f16.f16.f32'?)"
    )
    assert refusal("mma.m16n8k16.f32.f16.f16.f32", "sm_75") == (
        "mma.m16n8k16.f32.f16.f16.f32: expected an instruction of sm_75 (it has mma.m8n8k4.f32.f16.f16.f32, "
        "mma.m8n8k4.f16.f16.f16.f16, mma.m8n8k4.f32.f16.f16.f16, mma.m16n8k8.f32.f16.f16.f32, mma.m16n8k8.f16.f16.f16.f16), "
        "found one of sm_80, sm_86, sm_87, sm_89, sm_90, sm_100, sm_103, sm_110, sm_120, sm_121"
    )
    assert "it has no mma.sp), found one of sm_80" in refusal("mma.sp.m16n8k32.f32.f16.f16.f32", "sm_75")
    assert "it has no wgmma), found one of sm_90" in refusal("wgmma.m64n8k16.f32.f16.f16", "sm_100")
    assert refusal("mma.m16n8k16.f32.f16.f16.f32", "sm_81").startswith("arch: expected one of sm_70, ")
    clamped = refusal("mma.m16n8k16.f32.f16.f16.f32.satfinite", "sm_80")
    assert "satfinite on integers only, found an accumulator of fp32" in clamped


def test_a_gemm_without_instruction_lists_the_types() -> None:
    with pytest.raises(UnsupportedError, match=r"2:4 sparse types of a GEMM \(none\), found fp16 x fp16 to fp32"):
        instructions.gemm_instruction("sm_75", "fp32", "fp16", "fp16", sparse=True)
    with pytest.raises(UnsupportedError, match=r"dense types of a GEMM \(fp16 x fp16 to fp32, fp16 x fp16 to fp16\), found bf16"):
        instructions.gemm_instruction("sm_70", "fp32", "bf16", "bf16", sparse=False)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("tcgen05.mma.cta_group::1.kind::f16.m128n256k16.f32.bf16.bf16", "tcgen05.m128n256k16.f32.bf16.bf16"),
        ("tcgen05.mma.sp.cta_group::1.kind::f8f6f4.m64n8k64.f32.e4m3.e5m2", "tcgen05.sp.m64n8k64.f32.e4m3.e5m2"),
        ("tcgen05.mma.cta_group::1.kind::i8.m128n16k32.s32.s8.u8", "tcgen05.m128n16k32.s32.s8.u8"),
        ("mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e4m3.f32", "mma.m16n8k32.f32.e4m3.e4m3.f32"),
        ("mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.kind::f8f6f4.f16.e4m3.e5m2.f16",
         "mma.sp.m16n8k64.f16.e4m3.e5m2.f16"),
        ("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32", "wmma.m16n16k16.f32.f16.f16.f32"),
        ("wmma.mma.sync.aligned.row.col.m8n32k16.s32.s8.s8.s32.satfinite", "wmma.m8n32k16.s32.s8.s8.s32.satfinite"),
    ],
)  # fmt: skip
def test_names_with_kinds_and_of_wmma_are_understood(name: str, plain: str) -> None:
    assert parse(name).name == plain == parse(plain).name


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tcgen05.mma.cta_group::1.kind::f16",
         "instruction: expected a shape and types too, which PTX keeps in a descriptor, such as "
         "'tcgen05.m128n256k16.f32.f16.f16', found 'tcgen05.mma.cta_group::1.kind::f16'"),
        ("tcgen05.mma.cta_group::1.kind::f16.m64n8k32.f32.e4m3.e4m3",
         "tcgen05.mma.cta_group::1.kind::f16.m64n8k32.f32.e4m3.e4m3: expected one of kind::f16 (fp16, bf16), kind::tf32 (tf32), "
         "kind::f8f6f4 (e4m3, e5m2), kind::i8 (int8, uint8), with its types, found kind::f16 of e4m3"),
        ("tcgen05.mma.cta_group::2.kind::f16.m64n8k16.f32.f16.f16", "instruction: expected a tensor-core instruction such as "),
    ],
)  # fmt: skip
def test_a_kind_without_its_types_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        parse(name)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("written", "plain"),
    [("sm_72", "sm_72"), ("8.7", "sm_87"), ("sm_103a", "sm_103"), ("sm_100f", "sm_100"), ("sm_120f", "sm_120"),
     ("11.0", "sm_110"), ("sm_101a", "sm_110"), ("12.1", "sm_121"), ("SM_121A", "sm_121")],
)  # fmt: skip
def test_every_capability_is_known_with_its_suffixes(written: str, plain: str) -> None:
    assert capability(written) == plain


def test_relatives_have_the_arithmetic_but_not_always_the_instructions() -> None:
    for relative, known in (("sm_87", "sm_86"), ("sm_103", "sm_100"), ("sm_110", "sm_100"), ("sm_121", "sm_120")):
        assert arithmetic(relative) == known
        names = {each.name for each in instructions.available(relative)}
        assert {each.name for each in instructions.available(known) if each.d != "int32"} == {
            each.name for each in instructions.available(relative) if each.d != "int32"
        }
        assert ("tcgen05.m64n8k32.s32.s8.s8" in names) == (relative == "sm_110")
    assert {each.kind for each in instructions.available("sm_72") if each.a == "int8"} == {"wmma"}
    assert not [each for each in instructions.available("sm_70") if each.a == "int8"]
    assert [each.n for each in instructions.available("sm_100") if (each.kind, each.m, each.a, each.b, each.sparse)
            == ("tcgen05", 128, "int8", "int8", False)] == list(range(16, 257, 16))  # fmt: skip
