"""Does the teaching view compute what the engines compute, fit the terminal, draw its picture, and refuse in sentences?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from stcsim import cli
from stcsim.isa import DTYPES, instructions
from stcsim.isa.instructions import Instruction
from stcsim.numerics import mma, mma_sp
from stcsim.numerics.evidence.draws import draw
from stcsim.numerics.examples import example
from stcsim.numerics.formats import Codes, code_type
from stcsim.numerics.sparse.sparse24 import Sparse24
from stcsim.numerics.steps import MmaSteps, power
from stcsim.numerics.stepwise import element_steps
from stcsim.report.figures.mma import write_figure
from stcsim.report.terminal.mma import document, mma_text

FP16 = "mma.sp.m16n8k32.f32.f16.f16.f32"
SHOWN = (
    (FP16, "sm_80", "kept"),
    (FP16, "sm_90", "expanded"),
    ("mma.sp.m16n8k16.f32.tf32.tf32.f32", "sm_80", "kept"),
    ("wgmma.sp.m64n8k64.f32.e4m3.e5m2", "sm_90", "kept"),
    ("mma.sp.m16n8k64.f32.e4m3.e4m3.f32", "sm_90", "kept"),
    ("mma.m16n8k16.f16.f16.f16.f16", "sm_90", "kept"),
    ("mma.sp.m16n8k64.s32.s8.u8.s32.satfinite", "sm_80", "kept"),
    ("mma.sp.m16n8k128.s32.s4.s4.s32", "sm_80", "kept"),
)


def families() -> Iterator[tuple[str, Instruction]]:
    """Yield every instruction of n = 8 on every architecture; of m = 128 none, which compute as m = 64."""
    for arch in instructions.ARCHS:
        yield from ((arch, each) for each in instructions.available(arch) if each.n == 8 and each.m != 128)


def whole(instruction: str, a: Codes | Sparse24, b: Codes, c: Codes, arch: str, blocking: str) -> Codes:
    """Return every code of D from the fast engine."""
    d = (
        mma_sp(instruction, a, b, c, arch=arch, blocking=blocking)
        if isinstance(a, Sparse24)
        else mma(instruction, a, b, c, arch=arch)
    )
    return d.view(code_type(DTYPES[instructions.parse(instruction).d]))


@pytest.mark.parametrize("arch", instructions.ARCHS)
def test_the_steps_end_at_the_bits_of_the_engine(arch: str) -> None:
    for each in [instruction for at, instruction in families() if at == arch]:
        for seed, blocking in [(0, "kept"), (1, "kept"), *[(2, "expanded")] * each.sparse]:
            a, b, c = example(each.name, seed)
            d = whole(each.name, a, b, c, arch, blocking)
            for row, col in ((0, 0), (each.m - 1, 5)):
                steps = element_steps(each.name, a, b, c, arch=arch, row=row, col=col, blocking=blocking)
                assert steps.d.code == d[row, col], (each.name, seed, blocking, row, col)


@pytest.mark.parametrize("kind", ["wide exponent", "cancelling by hand", "subnormal", "overflowing", "special", "random bits"])
@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("mma.m8n8k4.f32.f16.f16.f32", "sm_70"),
        ("mma.m16n8k16.f16.f16.f16.f16", "sm_80"),
        ("mma.m16n8k16.f32.bf16.bf16.f32", "sm_80"),
        ("mma.m16n8k8.f32.tf32.tf32.f32", "sm_90"),
        ("mma.m16n8k32.f32.e4m3.e4m3.f32", "sm_89"),
        ("mma.m16n8k32.f16.e4m3.e5m2.f16", "sm_90"),
    ],
)
def test_the_steps_equal_the_engine_on_wild_operands(name: str, arch: str, kind: str) -> None:
    known, rng = instructions.parse(name), np.random.default_rng(5)
    codes = []
    for dtype, shape in ((known.a, (known.m, known.k)), (known.b, (known.k, known.n)), (known.c, (known.m, known.n))):
        form = DTYPES[dtype]
        reach = form.min_exponent // 2, form.max_exponent // 2
        codes.append(draw("normal" if kind == "cancelling by hand" else kind, form, reach, shape, rng))
    if kind == "cancelling by hand":  # the second half of k takes away what the first half gave
        half, sign = known.k // 2, 1 << (DTYPES[known.b].bits - 1)
        codes[0][:, half:], codes[1][half:] = codes[0][:, :half], codes[1][:half] ^ sign
    d = whole(name, *codes, arch, "kept")
    for row, col in np.ndindex(min(known.m, 4), known.n):
        steps = element_steps(name, *codes, arch=arch, row=row, col=col)
        assert steps.d.code == d[row, col]
        text_of(steps, 80)


def steps_of(name: str, arch: str, blocking: str = "kept", seed: int = 0) -> MmaSteps:
    return element_steps(name, *example(name, seed), arch=arch, row=3, col=5, blocking=blocking)


def text_of(steps: MmaSteps, columns: int) -> str:
    console = Console(width=columns, file=StringIO(), highlight=False, emoji=False)
    console.print(mma_text(steps, "seed 0"))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_errors_of_the_blocks_add_up_to_the_error_of_the_result() -> None:
    for name, arch, blocking in SHOWN[:4]:
        steps = steps_of(name, arch, blocking)
        assert steps.ulp_exponent is not None
        total = sum((block.alignment_error + block.rounding_error for block in steps.blocks), Fraction(0))
        assert steps.error_ulp == pytest.approx(float(total / power(steps.ulp_exponent)), rel=1e-12)


def test_a_block_by_hand() -> None:
    # Volta: F = 23. C = 1, products 1.5 * 2^-3 and 2^-24: the largest exponent is 0, so 2^-24 is dropped whole.
    a, b, c = np.zeros((8, 4), np.float16), np.zeros((4, 8), np.float16), np.ones((8, 8), np.float32)
    a[0, :2], b[:2, 0] = (1.5, 2.0**-12), (2.0**-3, 2.0**-12)
    steps = element_steps("mma.m8n8k4.f32.f16.f16.f32", *(each.view(f"u{each.itemsize}") for each in (a, b, c)), arch="sm_70")
    (block,) = steps.blocks
    assert (block.top, block.scale, [term.aligned for term in block.terms]) == (0, -23, [2**23, 3 * 2**19, 0, 0, 0])
    assert (block.total, steps.d.value, steps.exact) == (2**23 + 3 * 2**19, 1.1875, 1.1875 + 2.0**-24)
    assert steps.error_ulp == -0.5 and block.alignment_error == -power(-24) and block.rounding_error == 0
    assert [term.exponent for term in block.terms] == [0, -3, -24, -131, -131]


def test_the_groups_of_the_worked_example() -> None:
    # Row 0 keeps (0,3) and (1,2): nibbles 1100 and 1001, so rows 0, 3, 5, 6 of B.
    values = np.ones((16, 8), np.uint16)
    nibbles = np.tile(np.array([0b1100, 0b1001, 0b0100, 0b0100], np.uint8), (16, 1))
    a = Sparse24(values, nibbles, "fp16", 16)
    steps = element_steps(
        "mma.sp.m16n8k16.f32.f16.f16.f32", a, np.ones((16, 8), np.uint16), np.zeros((16, 8), np.uint32), arch="sm_80"
    )
    assert [group.rows for group in steps.groups] == [(0, 3), (5, 6), (8, 9), (12, 13)]
    text = text_of(steps, 80)
    assert "11 00  C      0, 3\n" in text and "10 01  9      5, 6\n" in text


@pytest.mark.parametrize(("name", "arch", "blocking"), SHOWN)
def test_the_text_fits_80_columns(name: str, arch: str, blocking: str) -> None:
    for seed in range(5):
        text = text_of(steps_of(name, arch, blocking, seed), 80)
        assert max(map(len, text.splitlines())) <= 80 and len(text.splitlines()) < 90
        assert f"{name} on {arch}" in text and f"0x{steps_of(name, arch, blocking, seed).d.code:0X}"[2:] in text


def test_a_wide_terminal_shows_the_integers_too() -> None:
    steps = steps_of(FP16, "sm_80")
    assert "no room" not in text_of(steps, 120) and "no room for aligned integer" in text_of(steps, 80)
    assert f"{steps.blocks[0].total:,}" in text_of(steps, 120) and f"{steps.blocks[0].total:,}" not in text_of(steps, 80)


def test_saturation_and_wrap_are_named() -> None:
    a, b = np.full((16, 32), 127, np.uint8), np.full((32, 8), 127, np.uint8)
    c = np.full((16, 8), 2**31 - 1, np.uint32)
    wrapped = element_steps("mma.m16n8k32.s32.s8.s8.s32", a, b, c, arch="sm_80")
    clamped = element_steps("mma.m16n8k32.s32.s8.s8.s32.satfinite", a, b, c, arch="sm_80")
    assert wrapped.d.value == -(2**31) + 32 * 127 * 127 - 1 and "beyond 32 bits: wraps" in text_of(wrapped, 80)
    assert clamped.d.value == 2**31 - 1 and "clamped (.satfinite)" in text_of(clamped, 80)


@pytest.mark.parametrize(("name", "arch", "blocking"), SHOWN)
def test_every_document_is_json(name: str, arch: str, blocking: str) -> None:
    assert json.loads(json.dumps(document(steps_of(name, arch, blocking)), allow_nan=False))["name"] == name


@pytest.mark.parametrize(("name", "arch", "blocking"), [SHOWN[at] for at in (0, 2, 4, 5)])
def test_the_picture_names_all_that_is_summed(name: str, arch: str, blocking: str, tmp_path: Path) -> None:
    steps = steps_of(name, arch, blocking)
    write_figure(steps, tmp_path / "steps.svg", "seed 0")
    words = {"".join(text.itertext()) for text in ElementTree.parse(tmp_path / "steps.svg").iter() if text.tag.endswith("text")}
    assert {f"{name}  on  {arch}", "seed 0"} <= words
    rows = [f"a·B[{term.row}]" for block in steps.blocks for term in block.terms if term.row is not None]
    assert set(rows) <= words and len(rows) == len(set(rows))


def test_the_picture_of_integers_names_the_sum(tmp_path: Path) -> None:
    steps = steps_of("mma.sp.m16n8k64.s32.s8.u8.s32", "sm_80")
    assert steps.integers
    write_figure(steps, tmp_path / "steps.svg")
    assert f"{steps.integers.exact}".replace("-", "−") in (tmp_path / "steps.svg").read_text(encoding="utf-8")


def test_the_picture_is_drawn_with_ink(tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "steps.png"
    write_figure(steps_of(FP16, "sm_80"), path)
    picture = imread(path)
    height, width = picture.shape[:2]
    assert width == 1800 and height > 1000
    assert 0.05 < (picture[..., :3].min(axis=2) < 0.9).mean() < 0.6


def test_the_command_prints_draws_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure, steps = tmp_path / "steps.png", tmp_path / "steps.json"
    with pytest.raises(SystemExit) as stop:
        cli.main(["mma", FP16, "--arch", "a100", "--row", "3", "--col", "5", "--figure", str(figure), "--json", str(steps)])
    assert stop.value.code == 0 and figure.read_bytes().startswith(b"\x89PNG")
    saved, printed = json.loads(steps.read_text(encoding="utf-8")), capsys.readouterr()
    assert saved["arch"] == "sm_80" and saved["d"]["code"] == steps_of(FP16, "sm_80").d.code
    assert "D[3,5]" in printed.out and printed.err == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mma.sp.m16n8k32.f32.f16.f16.f3"], f"(did you mean '{FP16}'?)"),
        ([FP16, "--arch", "t4"], "found one of sm_80, sm_86, sm_87, sm_89, sm_90, sm_100"),
        ([FP16, "--arch", "sm_81"], "expected one of sm_70, sm_72, sm_75, sm_80"),
        ([FP16, "--arch", "a1000"], "(did you mean 'a100'?)"),
        ([FP16, "--row", "16"], f"row of D: expected 0 to 15 in {FP16}, found 16"),
        ([FP16, "--col", "8"], f"col of D: expected 0 to 7 in {FP16}, found 8"),
        (["mma.m16n8k16.f32.f16.f16.f32", "--blocking", "kept"], "--blocking: expected a sparse instruction"),
        ([FP16, "--figure", "steps.jpg"], "--figure steps.jpg: expected a name that ends in .png, .svg or .pdf, found '.jpg'"),
        ([FP16, "--figure", "/no/such/folder/steps.png"], "expected a file in a folder that exists"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(arguments: list[str], sentence: str, refused: Callable[..., str]) -> None:
    assert sentence in refused("mma", *arguments)
