"""The figure of a validation: PNG and SVG, from any mix of rows; refused before the long work where it could not be."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from stcsim import cli
from stcsim.report.figures.validation import write_validation_figure
from stcsim.study.measured import Measured
from stcsim.study.validate import Predicted, ValidationReport, summarise


def predicted(arch: str, sparse: bool, size: int, grade: str = "A", off: float = 1.1) -> Predicted:
    """Return a square GEMM measured at 1 PFLOPS, predicted ``off`` times as long, by the roofline in half the time."""
    time_us = 2e-9 * size**3 / (1.6 if sparse else 1)
    row = Measured(
        arch,
        sparse,
        "fp16",
        "fp16",
        size,
        size,
        size,
        1,
        time_us,
        "graph",
        0,
        "randn",
        100,
        50,
        False,
        grade,
        "here",
        {"dtype": "fp16"},
    )
    return Predicted(row, off * time_us, 0.5 * time_us, "k", "tensor")


def report_of(*rows: Predicted) -> ValidationReport:
    return summarise(rows)


SIZES = (256, 512, 1024, 4096)
BOTH = report_of(*(predicted(arch, sparse, size) for arch in ("a100", "h100") for sparse in (False, True) for size in SIZES))


def words(path: Path) -> str:
    return " ".join("".join(element.itertext()) for element in ElementTree.parse(path).iter() if element.tag.endswith("text"))


def test_png_and_svg_say_what_they_show(tmp_path: Path) -> None:
    png, svg = tmp_path / "figure.png", tmp_path / "figure.SVG"
    write_validation_figure(BOTH, png)
    write_validation_figure(BOTH, svg)
    assert png.read_bytes()[:4] == b"\x89PNG" and png.stat().st_size > 50_000
    for word in ("measured time (µs)", "a100 dense (4)", "h100 2:4 (4)", "± 10 %", "stcsim 10.0 %", "roofline 50.0 %",
                 "2:4 speedup, 8 pairs", "Error by size, 2:4"):  # fmt: skip
        assert word in words(svg)


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        write_validation_figure(BOTH, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_pairs_join_the_sides_of_one_gemm() -> None:
    assert [(dense.measured.m, sparse.measured.m) for dense, sparse in BOTH.pairs] == [(size, size) for size in SIZES] * 2
    assert all(not dense.measured.sparse and sparse.measured.sparse for dense, sparse in BOTH.pairs)


@pytest.mark.parametrize(
    ("rows", "shown", "hidden"),
    [
        ([predicted("a100", False, 512), predicted("a100", True, 512, "C")], "1 measurements, grade A", "speedup"),
        ([predicted("a100", True, 512, "C")], "1 measurements, all grades", "dense ("),
        ([predicted(f"gpu{at}", False, 512) for at in range(9)], "gpu8 dense (1)", "(c)"),
    ],
    ids=["no pair", "no trusted row", "more GPUs than colours"],
)
def test_any_mix_of_rows_can_be_drawn(rows: list[Predicted], shown: str, hidden: str, tmp_path: Path) -> None:
    svg = tmp_path / "figure.svg"
    write_validation_figure(report_of(*rows), svg)
    assert shown in words(svg) and hidden not in words(svg)


def test_the_command_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, figure = tmp_path / "a100.csv", tmp_path / "figure.png"
    rows = [f"a100,{sparsity},fp16,1024,512,1024,{time_us}" for sparsity, time_us in (("dense", 20.0), ("2:4", 15.0))]
    table.write_text("\n".join(("arch,sparsity,dtype,m,n,k,time_us", *rows)) + "\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        cli.main(["validate", str(table), "--figure", str(figure)])
    assert stop.value.code == 0 and figure.stat().st_size > 50_000 and "error of 2 predictions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("figure.jpg", "expected a name that ends in .png, .svg or .pdf, found '.jpg'"),
        ("figure", "expected a name that ends in .png, .svg or .pdf, found ''"),
        ("none/figure.png", "expected a file in a folder that exists, found no folder"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_the_work(
    name: str, sentence: str, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stcsim.study.validate.validate", lambda *_: pytest.fail("the long work began"))
    found = refused("validate", tmp_path, "--figure", tmp_path / name)
    assert found.startswith(f"--figure {tmp_path / name}: ") and sentence in found
