"""Fill the figures of README.md: ``python -m tests.validation.readme ../shared/data/measured ../shared/data/silicon``.

Each stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; nothing between them is typed by hand.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stcsim.study.validate import Cell, ValidationReport, validate
from tests.validation.markdown import aligned

README = Path(__file__).parents[2] / "README.md"
RUN = ("run", "traces/resnet34.json", "--arch", "a100", "--batch", "32", "--top", "5")
"""The command whose output opens README."""
_NAMES = {"a100": "A100 SXM", "a100-pcie": "A100 PCIe", "h100": "H100 SXM", "h100-pcie": "H100 PCIe", "fp8e4m3": "fp8"}


def printed_by(*arguments: str, columns: int = 100) -> str:
    """Return what a command of stcsim prints on a terminal of so many columns, as a block of code."""
    environment = os.environ | {"COLUMNS": str(columns), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "stcsim", *arguments], env=environment, check=True, capture_output=True, cwd=README.parent
    )
    lines = (line.rstrip() for line in done.stdout.decode().strip("\n").splitlines())
    return "\n".join(["```", *lines, "```"])


def accuracy_table(report: ValidationReport) -> str:
    """Return the errors of the trusted rows (grade A) as a Markdown table."""
    rows = [_accuracy_row(cell) for cell in report.cells if cell.label[-1] == "A"]
    return aligned(("GPU, type", "rows", "mean abs. error", "median", "90th percentile", "plain roofline"), rows)


def _accuracy_row(cell: Cell) -> tuple[str, ...]:
    gpu, sparsity, dtype, _ = cell.label
    errors = (f"{100 * cell.mean_abs:.1f} %", f"{100 * cell.median:+.1f} %", f"{100 * cell.p90_abs:.1f} %")
    of = f"{_NAMES.get(gpu, gpu)}, {_NAMES.get(dtype, dtype)} {sparsity}"
    return of, f"{cell.count}", *errors, f"{100 * cell.roofline_mean_abs:.1f} %"


def speedup_line(report: ValidationReport) -> str:
    """Return by how much the 2:4 speedup is off, as a sentence."""
    cells = [cell for cell in report.speedups if cell.label[-1] == "A"]
    parts = [f"{cell.mean_abs:.3f} ({_NAMES.get(cell.label[0])}, {_NAMES.get(cell.label[1], cell.label[1])})" for cell in cells]
    least, most = min(cell.roofline_mean_abs for cell in cells), max(cell.roofline_mean_abs for cell in cells)
    return f"The 2:4 speedup of a GEMM is off by {', '.join(parts)}; a roofline's by {least:.2f} to {most:.2f}."


def filled(text: str, name: str, content: str) -> str:
    """Return ``text`` with ``content`` in the block called ``name``."""
    block = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
    found, count = re.subn(block, lambda at: f"{at[1]}{content}\n{at[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"README.md: expected one block called {name}, found {count}")
    return found


def main() -> None:
    """Write README.md anew; without tables, what needs none of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("measured", type=Path, nargs="?", help="the tables of the accuracy table")
    parser.add_argument("silicon", type=Path, nargs="?", help="the tables of the intervals")
    given = parser.parse_args()
    blocks: dict[str, Callable[[], str]] = {"run": lambda: printed_by(*RUN)}
    if given.measured:
        report = validate([given.measured], grades="A")
        blocks["accuracy"] = lambda: accuracy_table(report)
        blocks["speedups"] = lambda: speedup_line(report)
    if given.silicon:
        blocks["coverage"] = lambda: printed_by("accuracy", "check", str(given.silicon))
    text = README.read_text(encoding="utf-8")
    for name, content in blocks.items():
        text = filled(text, name, content())
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
