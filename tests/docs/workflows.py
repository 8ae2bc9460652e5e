"""What the recipes that ship come to, kept in ``docs/figures/workflows.json``: they take a quarter of an hour together.

The file holds hashes of the recipes, and the fingerprint of the timing model that ``tests.docs.measured`` takes; when one of them
changes, its figures are stale, and the tests say so.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from stcsim.report.units import bytes_text, energy_text, three_digits
from stcsim.workflow.reading import load_recipe, recipe_names
from tests.docs.markdown import table
from tests.docs.measured import Document, fingerprint, stored
from tests.docs.pages import FIGURES
from tests.docs.workshop import Workshop

WORKFLOWS = FIGURES / "workflows.json"
_DIGITS = 5
_NETWORKS = ("trained", "dense", "one-shot", "one-shot-sparsegpt", "retrained", "progressive", "permuted-one-shot", "permuted")
_UNITS = {"accuracy": (2, " %"), "bits": (3, "")}


def made_with() -> Document:
    """Return what the figures depend on."""
    return {"recipes": {name: load_recipe(name).sha256 for name in recipe_names()}, **fingerprint()}


def run_recipes(folder: Path) -> None:
    """Run the recipes that ship, and keep what comes out and its pictures; what ``folder`` holds already is used again."""
    kept = {}
    for name in recipe_names():
        out, document = folder.resolve() / name, folder.resolve() / f"{name}.json"
        picture = FIGURES / f"workflow-{name}.png"
        with tempfile.TemporaryDirectory() as shop:
            Workshop(Path(shop)).printed_by(f"stcsim workflow {name} --out {out} --json {document} --figure {picture}")
        kept[name] = in_short(stored(document))
    text = json.dumps({"made_with": made_with(), "recipes": kept}, indent=1)
    WORKFLOWS.write_text(text + "\n", encoding="utf-8")


def in_short(document: Document) -> Document:
    """Return what pages show of a document: every figure with fewer digits, and the hashes and versions it was made from."""
    shown: Document = _rounded({name: document[name] for name in ("title", "metric", "samples", "parameters", "notes", "rows")})
    speeds = [{name: each for name, each in speed.items() if name != "speedup_interval"} for speed in document["speeds"]]
    return {**shown, "speeds": _rounded(speeds), "inputs": document["inputs"]}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def kept_recipe(name: str) -> Document:
    """Return what was kept of a recipe."""
    recipe: Document = stored(WORKFLOWS)["recipes"][name]
    return recipe


def row_of(recipe: Document, stage: str, dtype: str, method: str) -> Document:
    """Return the row of a stage in a type, with scales found in one way."""
    found = (row for row in recipe["rows"] if (row["stage"], row["dtype"], row["method"]) == (stage, dtype, method))
    row: Document = next(found)
    return row


def scores_table(name: str) -> str:
    """Return the scores of the networks of a recipe: a row each, fp32 and each type on the datapath."""
    recipe = kept_recipe(name)
    lines = []
    for stage in _NETWORKS:
        rows = [row for row in recipe["rows"] if row["stage"] == stage]
        if rows:
            lines.append([stage, "2:4" if rows[0]["pruned"] else "dense", _with_error(recipe, rows[0]), *_types(recipe, rows)])
    header = ["network", "weights", "fp32", *(f"{dtype}, {arch}" for dtype, arch in _homes(recipe))]
    return table(header, lines)


def _homes(recipe: Document) -> list[tuple[str, str]]:
    """Return each type with the GPU whose datapath it runs on."""
    return list(dict.fromkeys((row["dtype"], row["arch"]) for row in recipe["rows"]))


def _types(recipe: Document, rows: list[Document]) -> list[str]:
    """Return the scores in each type: dense, or as kept and as expanded products with the share of outputs that differ."""
    return [_on_datapath(recipe, next(row for row in rows if row["dtype"] == dtype)) for dtype, _ in _homes(recipe)]


def _on_datapath(recipe: Document, row: Document) -> str:
    kept = _score(recipe, row["simulated"])
    if row["expanded"] is None:
        return kept
    return f"{kept} / {_score(recipe, row['expanded'])} ({_share(row['differing'])})"


def calibrations_table(name: str) -> str:
    """Return the scores of each calibration: dense and retrained, by ModelOpt's emulation and on the datapath."""
    recipe = kept_recipe(name)
    lines = []
    for row in recipe["rows"]:
        if row["method"] and (row["stage"] in ("dense", "retrained") or row["stage"] not in _NETWORKS):
            weights = "2:4" if row["pruned"] else "dense"
            emulated = _score(recipe, row["emulated"])
            lines.append([f"{row['dtype']}, {row['method']}", weights, emulated, _on_datapath(recipe, row)])
    lines.sort(key=lambda line: (line[0].partition(",")[0], line[1]))
    return table(("type, scales", "weights", "ModelOpt's emulation", "datapath"), lines)


def speeds_table(name: str) -> str:
    """Return what a pass is predicted to cost."""
    lines = []
    for speed in kept_recipe(name)["speeds"]:
        likely = speed["dense_us_interval"]
        lines.append(
            [
                f"{speed['arch']}, {speed['dtype']}",
                f"{three_digits(speed['dense_us'])} ({three_digits(likely['low'])}–{three_digits(likely['high'])})",
                three_digits(speed["sparse_us"]),
                f"{speed['faster']} of {speed['pruned']}",
                f"{speed['speedup']:.2f}×",
                f"{energy_text(speed['dense_uj'])} → {energy_text(speed['best_uj'])}",
                f"{bytes_text(speed['weight_bytes'])} → {bytes_text(speed['pruned_bytes'])}",
            ]
        )
    header = (
        "GPU, type",
        "dense, µs (80 %)",
        "all 2:4, µs",
        "faster as 2:4",
        "gain",
        "energy, dense → best",
        "weights, dense → 2:4",
    )
    return table(header, lines)


def samples_sentence(name: str) -> str:
    """Return how large network and test are, and on which libraries it ran."""
    recipe = kept_recipe(name)
    inputs = recipe["inputs"]
    versions = ", ".join(f"{library} {version}" for library, version in inputs["versions"].items())
    return (
        f"{recipe['parameters']:,} parameters; {recipe['samples']:,} samples tested on; data"
        f" `{inputs['data_sha256'][:16]}`;\n{versions}."
    )


def _score(recipe: Document, score: Document) -> str:
    decimals, unit = _UNITS[recipe["metric"]]
    return f"{score['value']:.{decimals}f}{unit}"


def _with_error(recipe: Document, row: Document) -> str:
    decimals, unit = _UNITS[recipe["metric"]]
    return f"{row['fp32']['value']:.{decimals}f} ± {row['fp32']['error']:.{decimals}f}{unit}"


def _share(share: float) -> str:
    return "0 %" if share == 0 else f"{100 * share:.2g} %"
