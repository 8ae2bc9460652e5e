"""Tables and sentences of the documents that are made from figures which were kept (``tests.docs.measured``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from stcsim.report.terminal.evidence.columns import from_to
from tests.docs.architect import five_table, nearest_table
from tests.docs.markdown import table
from tests.docs.measured import ABLATION, MEASURED, SIBLINGS, STUDIES, Document, stored
from tests.docs.workflows import calibrations_table, samples_sentence, scores_table, speeds_table
from tests.validation.fit import DIES

_GPUS = {
    "a100": "A100 SXM",
    "a100-pcie": "A100 PCIe",
    "a40": "A40",
    "h100": "H100 SXM",
    "h100-pcie": "H100 PCIe",
    "h200": "H200",
    "l40s": "L40S",
    "rtx3090": "RTX 3090",
    "rtx4090": "RTX 4090",
}
_TYPES = {"fp8e4m3": "fp8"}
BETTER = 0.005
"""By how much a mean error must fall for a mechanism to be named as one that a cell would do better without."""


def _gpu(name: str) -> str:
    return _GPUS.get(name, name)


def _type(name: str) -> str:
    return _TYPES.get(name, name)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _cells(validation: Document, grades: str) -> list[Document]:
    return [cell for cell in validation["cells"] if cell["label"][-1] in grades]


def accuracy_table(validation: Document, grades: str = "A") -> str:
    """Return the errors of rows of some grades."""
    header = ["GPU, type", "rows", "mean abs. error", "median", "90th percentile", "plain roofline", "grade"]
    shown = len(header) if len(grades) > 1 else len(header) - 1
    return table(header[:shown], [_accuracy_row(cell)[:shown] for cell in _cells(validation, grades)])


def _accuracy_row(cell: Document) -> list[str]:
    gpu, sparsity, dtype, grade = cell["label"]
    errors = [_percent(cell["mean_abs"]), _signed(cell["median"]), _percent(cell["p90_abs"]), _percent(cell["roofline_mean_abs"])]
    return [f"{_gpu(gpu)}, {_type(dtype)} {sparsity}", f"{cell['count']}", *errors, grade]


def speedup_table(document: Document) -> str:
    """Return by how much the 2:4 speedup of a GEMM is off, dense over 2:4 time, where both were measured."""
    lines = []
    for cell in document["speedups"]:
        gpu, dtype, grade = cell["label"]
        figures = f"{cell['mean_abs']:.3f}", f"{cell['bias']:+.3f}", f"{cell['roofline_mean_abs']:.2f}"
        lines.append([f"{_gpu(gpu)}, {_type(dtype)}", f"{cell['count']}", *figures, grade])
    return table(("GPU, type", "pairs", "mean abs. error", "mean error", "plain roofline", "grade"), lines)


def halves_table(document: Document) -> str:
    """Return errors of shapes that may be fitted to beside those of shapes that no fit has seen."""
    found: dict[tuple[str, str], dict[bool, str]] = defaultdict(dict)
    for group in document["halves"]:
        text = f"{_percent(group['mean_abs'])} ({_signed(group['median'])}), {group['rows']}"
        found[group["gpu"], group["sparsity"]][group["held_out"]] = text
    lines = [(f"{_gpu(gpu)} {mode}", each.get(False, "–"), each.get(True, "–")) for (gpu, mode), each in found.items()]
    return table(("mean abs. error (median), rows", "fitted half", "half that no fit has seen"), lines)


def asked_table(document: Document) -> str:
    """Return what was asked of each cell beside what is reached on each half; what is missed is bold."""
    found: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for figure in document["asked"]:
        if figure["kind"] in ("mean", "speedup"):
            found[figure["of"], figure["kind"]].append(figure)
    lines = []
    for (of, kind), halves in found.items():
        gpu, *rest = of.split()
        reached = {each["half"]: _reached(each) for each in halves}
        what = f"{_gpu(gpu)}, {'speedup ' if kind == 'speedup' else ''}{' '.join(map(_type, reversed(rest)))}"
        asked = f"≤ {halves[0]['asked']:.3f}" if kind == "speedup" else f"≤ {_percent(halves[0]['asked'])}"
        lines.append((what, asked, reached.get("not fitted", "–"), reached.get("fitted", "–")))
    return table(("mean abs. error of", "asked", "half that no fit has seen", "fitted half"), lines)


def _reached(figure: Document) -> str:
    text = f"{figure['reached']:.3f}" if figure["kind"] == "speedup" else _percent(figure["reached"])
    return f"**{text}**" if figure["missed"] else text


def missed_list(document: Document) -> str:
    """Return which medians of cells and which decades of size miss what was asked for, on the half that no fit has seen."""
    unseen = [each for each in document["asked"] if each["half"] == "not fitted" and each["kind"] in ("median", "decade")]
    missed = [each for each in unseen if each["missed"]]
    if not missed:
        return f"All {len(unseen)} medians and decades are within what was asked for."
    lines = [f"Of {len(unseen)} medians and decades these are further off:", ""]
    for each in missed:
        gpu, *rest = each["of"].split()
        what = f"{_gpu(gpu)}, {' '.join(map(_type, rest))}"
        kind = "median" if each["kind"] == "median" else "mean"
        lines.append(f"- {what}: {kind} {_percent(each['reached'])} of {each['rows']} rows (asked: {_percent(each['asked'])}).")
    return "\n".join(lines)


def siblings_table() -> str:
    """Return errors with the parameters that ship, and with those of another board alone."""
    lines = []
    for cell in stored(SIBLINGS)["cells"]:
        if cell["role"] != "fitted":
            what = f"{_gpu(cell['gpu'])}, {_type(cell['dtype'])} {cell['sparsity']}"
            lines.append((what, f"{cell['rows']}", _by(cell), _spread(cell["shipped"]), _spread(cell["alone"])))
    header = ("GPU, type", "rows", "parameters of", "shipped: mean abs. (median, 90th)", "the others': mean abs. (median, 90th)")
    return table(header, lines)


def _by(cell: Document) -> str:
    return {"held out": "itself alone", "another die": "other dies"}.get(cell["role"], _gpu(cell["by"]))


def _spread(figures: Sequence[float]) -> str:
    mean, median, p90 = figures
    return f"{_percent(mean)} ({_signed(median)}, {_percent(p90)})"


def fitted_table() -> str:
    """Return which leaves the boards of a die have in common, and which are fitted for each."""
    lines = []
    for name, die in DIES.items():
        own = "; ".join(f"{_gpu(board)}: {_leaves(paths)}" for board, paths in die.own.items() if paths)
        lines.append((name, ", ".join(map(_gpu, die.boards)), _leaves(die.shared), own or "–"))
    return table(("die", "boards", "leaves in common", "leaves of a board"), lines)


def _leaves(paths: Sequence[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def coverage_table(document: Document) -> str:
    """Return how many held-out measurements lie in their 80 % intervals."""
    kinds = (("time", document["coverage"]["times"]), ("speedup", document["coverage"]["speedups"]))
    lines = [(kind, *_coverage_row(each)) for kind, classes in kinds for each in classes]
    return table(("interval of", "GPU", "sparsity", "type or size", "rows", "inside", "high over low"), lines)


def _coverage_row(each: Document) -> list[str]:
    gpu, sparsity, what = each["label"]
    return [_gpu(gpu), sparsity, what, f"{each['rows']:,}", f"{100 * each['inside']:.0f} %", f"{each['width']:.2f}"]


def verdicts_list(document: Document) -> str:
    """Return what was said of held-out GEMMs whose both sides were measured, and what was true."""
    rows, said = document["coverage"]["rows"], document["coverage"]["verdicts"]
    pairs = said["pays"] + said["not_pays"] + said["open"]
    lines = [
        f"Both sides of {pairs} GEMMs are among these {rows:,} rows. What was said of their speedup, and what was true:",
        "",
        f"- “2:4 pays”: {said['pays']} times; no faster in truth: {said['pays_wrong']}.",
        f"- “2:4 does not pay”: {said['not_pays']} times; faster in truth: {said['not_pays_wrong']}.",
        f"- “cannot tell”: {said['open']} times.",
    ]
    return "\n".join(lines)


def short_sentences(document: Document) -> str:
    """Return the accuracy in four lines, for the front page."""
    cells = _cells(document["validation"], "A")
    boards = len({cell["label"][0] for cell in cells})
    dense, sparse = ([cell for cell in cells if cell["label"][1] == mode] for mode in ("dense", "2:4"))
    speedups = [cell["mean_abs"] for cell in document["validation"]["speedups"] if cell["label"][-1] == "A"]
    inside = next(each for each in document["coverage"]["times"] if each["label"] == ["all", "dense", "all"])
    rows = sum(cell["count"] for cell in cells)
    lines = [
        f"On {rows:,} published GEMM times of {boards} boards the mean error is",
        f"{_mean('mean_abs', dense)} dense and {_mean('mean_abs', sparse)} in 2:4 (a plain roofline's: "
        f"{_mean('roofline_mean_abs', dense)} and {_mean('roofline_mean_abs', sparse)});",
        f"2:4 speedups are off by {min(speedups):.2f} to {max(speedups):.2f}. Every answer has an interval for 8 of 10",
        f"measurements; {100 * inside['inside']:.0f} % of {inside['rows']:,} dense times that were held out lie in theirs.",
    ]
    return "\n".join(lines)


def _mean(name: str, cells: Sequence[Document]) -> str:
    """Return the mean of a figure over the rows of some cells."""
    return _percent(sum(cell[name] * cell["count"] for cell in cells) / sum(cell["count"] for cell in cells))


def ablation_table() -> str:
    """Return what the errors are with each mechanism and without it, in the cell that it moves most."""
    effects = stored(ABLATION)["effects"]
    most = [max(group, key=lambda effect: effect["shift"]) for group in _by_mechanism(effects).values()]
    header = ("mechanism", "instead", "cell", "moved", "mean abs. error", "of the moved", "median")
    return table(header, [_ablation_row(effect) for effect in most])


def better_table() -> str:
    """Return where the error of several rows is lower by over half a point when a mechanism is left out."""
    several = [each for each in stored(ABLATION)["effects"] if each["rows"] > 1]
    effects = [each for each in several if each["mean_abs"][0] - each["mean_abs"][1] > BETTER]
    effects.sort(key=lambda each: each["mean_abs"][1] - each["mean_abs"][0])
    header = ("mechanism", "instead", "cell", "moved", "mean abs. error", "of the moved", "median")
    return table(header, [_ablation_row(effect) for effect in effects])


def _by_mechanism(effects: Sequence[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = defaultdict(list)
    for effect in effects:
        found[effect["mechanism"]].append(effect)
    return found


def _ablation_row(effect: Document) -> tuple[str, ...]:
    moved = effect["mean_abs_moved"]
    return (
        effect["mechanism"],
        effect["without"],
        effect["cell"],
        f"{effect['moved']}/{effect['rows']}",
        from_to(*effect["mean_abs"]),
        from_to(*moved) if moved else "–",
        from_to(*effect["median"], "+"),
    )


def study_table(name: str) -> str:
    """Return the points of a case study that a publication has, prediction beside publication."""
    study = stored(STUDIES)["studies"][name]
    lines = []
    for row in study["rows"]:
        published = dict.fromkeys(f"{bound:.2f}×" for bound in (row["published_low"], row["published_high"]) if bound)
        lines.append((row["point"], f"{row['predicted']:.2f}×", "–".join(published) or "–"))
    return table((study["axis"], "predicted", "published"), lines)


def of_measured(make: Callable[[Document], str]) -> Callable[[], str]:
    """Return what makes a table from the measured figures."""
    return lambda: make(stored(MEASURED))


_OF_RECIPES = {"scores": scores_table, "calibrations": calibrations_table, "speeds": speeds_table, "samples": samples_sentence}
TABLES: dict[str, Callable[[], str]] = {
    **{f"{kind} {name}": partial(made, name) for kind, made in _OF_RECIPES.items() for name in ("mnist1d", "digits", "text")},
    "accuracy": of_measured(lambda document: accuracy_table(document["validation"])),
    "accuracy-caveats": of_measured(lambda document: accuracy_table(document["validation"], "BC")),
    "speedups": of_measured(lambda document: speedup_table(document["validation"])),
    "halves": of_measured(halves_table),
    "asked": of_measured(asked_table),
    "missed": of_measured(missed_list),
    "siblings": siblings_table,
    "fitted": fitted_table,
    "coverage": of_measured(coverage_table),
    "verdicts": of_measured(verdicts_list),
    "short": of_measured(short_sentences),
    "ablation": ablation_table,
    "ablation-better": better_table,
    "octomul": lambda: accuracy_table(stored(STUDIES)["octomul"]),
    "boards": lambda: accuracy_table(stored(STUDIES)["boards"]),
    "boards-halves": lambda: halves_table({"halves": stored(STUDIES)["boards_halves"]}),
    "boards-speedups": lambda: speedup_table(stored(STUDIES)["boards"]),
    "five": lambda: five_table(stored(STUDIES)),
    "nearest": lambda: nearest_table(stored(STUDIES)),
    "resnet34-batch": lambda: study_table("resnet34-batch"),
    "resnet34-resolution": lambda: study_table("resnet34-resolution"),
}
