"""Checkpoints: headers, bytes, arrays and indexes damaged; opened, read through, inspected, and pruned."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

from tests.fuzz import damage
from tests.fuzz.case import Case
from tests.fuzz.kinds.checkpoint_files import MAKERS, Whole, damaged, written

_PARTS = ("as it is", "header", "bytes", "arrays", "index")
_LARGEST = 10**7
"""Elements up to which a tensor is read through."""


def setup() -> list[Whole]:
    """Make the checkpoints."""
    return [make() for make in MAKERS]


def make(state: list[Whole], rng: random.Random, index: int) -> Case:
    """Damage a checkpoint, and do one of the things that take one."""
    whole = rng.choice(state)
    part = rng.choices(_PARTS, (5, 35, 20, 30, 10 if whole.config is not None else 0))[0]
    files = written(whole) if part == "as it is" else damaged(rng, whole, part)
    does = rng.choices((_read, _inspected, _pruned), (5, 4, 2))[0]
    kind = Path(whole.target).suffix or "folder"
    words = {name: damage.shown(data, 400) for name, data in files.items()}
    options = {
        "layout": rng.choice(("zeros", "zeros", "sparse-24-bitmask")),
        "pattern": rng.choice(("2:4", "2:4", "1:4")),
        "permute": rng.random() < 0.3,
        "conv_order": rng.choice(("rsc", "crs")),
    }

    def call() -> Any:
        return does(whole, options, part == "as it is")

    shown = f"{does.__name__.strip('_')} {whole.target} {part} {options if does is _pruned else ''} {words}"
    return Case(f"{kind} {part}", shown[:1500], call, lambda wrong: wrong, files, spotless=does is _pruned)


def _read(whole: Whole, options: dict[str, Any], right: bool) -> list[str]:
    """Read every tensor, in one piece and in several."""
    import numpy as np

    from stcsim.checkpoint import open_checkpoint

    wrong = []
    with open_checkpoint(whole.target) as checkpoint:
        for name, tensor in checkpoint.items():
            if tensor.size > _LARGEST:
                continue
            codes = tensor.codes()
            if codes.shape != tensor.shape:
                wrong.append(f"codes of another shape than the tensor's | {name}: {codes.shape}, {tensor.shape}")
            half = tensor.shape[0] // 2 if tensor.shape else 0
            if half and not np.array_equal(tensor.slab(half, tensor.shape[0]).view(np.uint8), codes[half:].copy().view(np.uint8)):
                wrong.append(f"a part of a tensor is not that part of the whole | {name}")
            wrong += _held_against(whole, name, codes) if right else []
        if not checkpoint.nbytes:
            wrong.append("a checkpoint without bytes | ")
    return wrong


def _held_against(whole: Whole, name: str, codes: Any) -> list[str]:
    """Compare a tensor with the array that it was written from."""
    import numpy as np

    given = next((arrays[name] for arrays in whole.files.values() if name in arrays), None)
    if given is None:
        return []
    array = np.asarray(given)
    same = np.array_equal(array.astype(array.dtype.newbyteorder("=")), codes.view(bool) if array.dtype == bool else codes)
    return [] if same else [f"numbers that were not written | {name}"]


def _inspected(whole: Whole, options: dict[str, Any], right: bool) -> list[str]:
    """Inspect it, and print what was found."""
    import io

    from rich.console import Console

    import stcsim
    from stcsim.report.export.inspection import document, row_lines
    from stcsim.report.terminal.inspection import inspection_table
    from stcsim.result.document import csv_text, json_text

    found = stcsim.inspect_checkpoint(whole.target)
    wrong = []
    for weight in (*found.weights, *found.others):
        shares = (weight.zeros_share, weight.kept, weight.kept_squares)
        if not all(each is None or math.isnan(each) or 0 <= each <= 1 + 1e-9 for each in shares):
            wrong.append(f"a share that is none | {weight.name}: {shares}")
        if weight.is_gemm and math.prod(weight.shape) != weight.elements:
            wrong.append(f"m, k and batch do not make the weight | {weight}")
        if not 0 <= weight.groups_off <= weight.groups or weight.compressed_bytes > weight.dense_bytes:
            wrong.append(f"groups or bytes beyond all that there are | {weight}")
    Console(file=io.StringIO(), width=100).print(inspection_table(found, (), True))
    json_text(document(found, (), {})), csv_text(row_lines(found))
    return wrong


def _pruned(whole: Whole, options: dict[str, Any], right: bool) -> list[str]:
    """Prune it; what is written must open, be pruned, and hold everything else as it was."""
    import numpy as np

    import stcsim
    from stcsim.checkpoint import open_checkpoint

    out = f"out{Path(whole.target).suffix}"
    given = {
        name: value for name, value in options.items() if name != "layout" or value == "zeros" or not whole.target.endswith("npz")
    }
    report = stcsim.prune_checkpoint(whole.target, out, **given)
    rows = {row.tensor: row for row in report.weights}
    wrong = []
    kept, group = map(int, options["pattern"].split(":"))
    with open_checkpoint(whole.target) as before, open_checkpoint(out) as after:
        if set(before) != set(after):
            wrong.append(f"other tensors than before | {sorted(set(before) ^ set(after))}")
        for name in set(before) & set(after):
            row, codes = rows.get(name), after[name].codes()
            if row is not None and row.is_pruned and not whole.target.startswith("model"):
                magnitudes = codes.astype(np.float64) if codes.dtype.kind in "fi" else codes
                if np.count_nonzero(magnitudes) > codes.size * kept // group and row.dtype in ("fp16", "fp32", "int8"):
                    wrong.append(f"a pruned weight has too many numbers | {name}")
            elif row is None and not options["permute"] and before[name].codes().tobytes() != codes.tobytes():
                wrong.append(f"a tensor that is not pruned changed | {name}")
    return wrong
