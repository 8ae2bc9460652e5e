"""Figures that take minutes, or measured tables that do not lie in this project: kept as JSON, so that pages are checked at once.

``docs/figures/measured.json`` holds what ``stcsim validate`` and ``stcsim accuracy check`` wrote, ``docs/figures/ablation.json``
what ``stcsim evidence ablation`` wrote, in short, ``docs/figures/siblings.json`` what ``stcsim evidence leave-one-out`` wrote,
and ``docs/figures/studies.json`` some case studies and the table that ships. All hold a fingerprint of what they were made with:
the values of the GPUs' files, and what the model says of a few GEMMs and a network. When one of them changes, the figures are
stale, and the tests say so.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stcsim import gemm, load_arch, load_trace, run
from stcsim.study.error_model.build import FITTED, part_of
from stcsim.study.error_model.file import read_predicted
from stcsim.study.evidence.ablation import MOVED
from stcsim.study.validate import Predicted
from tests.docs.architect import worked
from tests.docs.pages import FIGURES
from tests.docs.workshop import Workshop
from tests.validation.silicon import Figure, figures_of

MEASURED, ABLATION, SIBLINGS, STUDIES = (FIGURES / f"{name}.json" for name in ("measured", "ablation", "siblings", "studies"))
FITTED_TYPES = ("bf16", "fp8")
#: Of our own boards' rows: half of the shapes of these is fitted, dense and 2:4.
STUDIED = ("resnet34-batch", "resnet34-resolution")
#: What the model is asked to see whether it is still the same: GPU, m, n, k, type.
_ASKED = (
    ("a100", 4096, 4096, 4096, "bf16"),
    ("a100", 2048, 64, 8192, "int8"),
    ("a100-pcie", 5120, 256, 3072, "fp16"),
    ("h100", 1024, 8192, 8192, "bf16"),
    ("h100-pcie", 3072, 512, 6912, "fp8"),
    ("a40", 2048, 2048, 512, "fp16"),
    ("rtx4090", 4096, 1024, 4096, "int8"),
    ("h200", 2048, 4096, 4096, "bf16"),
    ("l40s", 4096, 4096, 4096, "bf16"),
)

DIGITS = 5
"""Decimals of an error that are kept; pages show three."""
_CELLS = ("cells", "sizes", "speedups")
"""Figures of a validation that pages show."""

Document = dict[str, Any]


def fingerprint() -> Document:
    """Return what the figures depend on: a hash of each GPU's values, not of their sources, and answers to a few questions."""
    answers = {}
    for name, m, n, k, dtype in _ASKED:
        row = gemm(m, n, k, load_arch(name), dtype=dtype).rows[0]
        times = [kernel.time_us for kernel in (row.dense, row.sparse) if kernel is not None]
        answers[f"{name} {m}x{n}x{k} {dtype}"] = [f"{time_us:.5g}" for time_us in times]
    totals = run(load_trace("resnet34").with_batch(8), load_arch("a40"), dtype="int8").totals
    answers["a40 resnet34 batch 8 int8"] = [f"{time_us:.5g}" for time_us in (totals.dense_us, totals.best_us)]
    return {"values": {name: _hash(name) for name in sorted({each[0] for each in _ASKED})}, "answers_us": answers}


def _hash(name: str) -> str:
    values = {leaf.path: leaf.value for leaf in load_arch(name).leaves()}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def stored(path: Path) -> Document:
    """Return what was kept in a file."""
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def figures_in(path: Path, *names: str) -> Document:
    """Return those figures of a document, without what it was made from."""
    return {name: stored(path)[name] for name in names}


def _keep(path: Path, document: Document) -> None:
    path.write_text(json.dumps({"made_with": fingerprint(), **document}, indent=1) + "\n", encoding="utf-8")


def measure(silicon: Path) -> None:
    """Predict all measured rows, check all intervals, and keep what comes out; minutes.

    Args:
        silicon: folder of measured tables; the picture of ``stcsim validate`` is drawn anew, too.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workshop, picture = Workshop(folder), FIGURES / "validation.png"
        workshop.printed_by(f"stcsim validate {silicon.resolve()} --json v.json --csv rows.csv --figure {picture}")
        workshop.printed_by(f"stcsim accuracy check {silicon.resolve()} --json c.json")
        rows = read_predicted(folder / "rows.csv")
        document = {"validation": figures_in(folder / "v.json", *_CELLS), "halves": halves(rows)}
        document["asked"] = [_figure(each) for each in figures_of(rows)]
        coverage = figures_in(folder / "c.json", "rows", "times", "speedups", "verdicts")
        _keep(MEASURED, document | {"coverage": coverage})


def ablate(measured: Path, rates: Path) -> None:
    """Switch every mechanism off alone, and keep what the errors are then; some ten minutes of one core.

    Args:
        measured: folder of the tables that ``stcsim evidence ablation`` reads.
        rates: folder of published microbenchmarks, for mechanisms that no GEMM shows.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = f"stcsim evidence ablation {measured.resolve()} --rates {rates.resolve()} --json a.json"
        Workshop(folder).printed_by(words)
        keep_ablation(stored(folder / "a.json"))


def keep_ablation(document: Document) -> None:
    """Keep what pages show of the document that ``stcsim evidence ablation`` wrote: of each effect the errors in short."""
    effects = [in_short(each) for each in document["effects"]]
    _keep(ABLATION, {"rows_per_cell": document["rows_per_cell"], "seed": document["seed"], "effects": effects})


def in_short(effect: Document) -> Document:
    """Return the errors of a cell with a mechanism and without it: of all its rows, and of those that it moves."""
    pairs = list(zip(effect["kept"], effect["off"], strict=True))
    changes = [abs((1 + off) / (1 + kept) - 1) for kept, off in pairs]
    moved = [pair for pair, change in zip(pairs, changes, strict=True) if change > MOVED]
    assert len(moved) == effect["moved"], "rows count as moved as in stcsim.study.evidence.ablation"
    return {
        **{name: effect[name] for name in ("mechanism", "without", "cell")},
        "rows": len(pairs),
        "moved": len(moved),
        "shift": round(statistics.fmean(changes), DIGITS),
        "mean_abs": _with_and_without(pairs, lambda errors: statistics.fmean(map(abs, errors))),
        "mean_abs_moved": _with_and_without(moved, lambda errors: statistics.fmean(map(abs, errors))) if moved else None,
        "median": _with_and_without(pairs, statistics.median),
    }


def _with_and_without(pairs: Sequence[tuple[float, float]], figure: Callable[[list[float]], float]) -> list[float]:
    return [round(figure(list(errors)), DIGITS) for errors in zip(*pairs, strict=True)]


def study() -> None:
    """Run case studies, predict the measured tables that ship, and work through the studies of an architect; ten minutes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workshop = Workshop(folder)
        workshop.printed_by("stcsim validate tests/validation/octomul.csv --json v.json")
        boards = " ".join(f"tests/validation/{each}/gemm.csv" for each in ("h200", "h100"))
        workshop.printed_by(f"stcsim validate {boards} --json b.json --csv boards.csv")
        for each in STUDIED:
            workshop.printed_by(f"stcsim reproduce {each} --json {each}.json")
        studies = {each: _points(stored(folder / f"{each}.json")["studies"][0]) for each in STUDIED}
        tables = {"octomul": figures_in(folder / "v.json", *_CELLS), "boards": figures_in(folder / "b.json", *_CELLS)}
        fitted = [row for row in read_predicted(folder / "boards.csv") if row.measured.dtype in FITTED_TYPES]
        tables["boards_halves"] = halves(fitted)
        _keep(STUDIES, tables | {"studies": studies, **worked(workshop, folder)})


def _points(study: Document) -> Document:
    """Return the points of a study, without what they were computed from."""
    names = ("point", "predicted", "published_low", "published_high")
    return {"axis": study["axis"], "rows": [{name: row[name] for name in names} for row in study["rows"]]}


def halves(rows: Sequence[Predicted]) -> list[Document]:
    """Return the errors of trusted rows of shapes that may be fitted to, and of the other half, by GPU and sparsity."""
    errors: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
    for row in rows:
        measured = row.measured
        if measured.grade == "A":
            errors[measured.arch, "2:4" if measured.sparse else "dense", part_of(measured) != FITTED].append(row.error)
    return [
        {"gpu": gpu, "sparsity": sparsity, "held_out": held_out, **_summary(group)}
        for (gpu, sparsity, held_out), group in sorted(errors.items())
    ]


def _figure(each: Figure) -> Document:
    """Return a figure beside what was asked for; of a plain roofline only where there is one."""
    kept = {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in asdict(each).items()}
    return {name: value for name, value in kept.items() if name != "roofline"} | {"missed": each.missed}


def keep_siblings(written: Path) -> None:
    """Keep what pages show of the document that ``stcsim evidence leave-one-out`` wrote."""
    _keep(SIBLINGS, figures_in(written, "rows", "steps", "cells"))


def _summary(errors: list[float]) -> Document:
    return {
        "rows": len(errors),
        "mean_abs": statistics.fmean(map(abs, errors)),
        "median": statistics.median(errors),
    }
