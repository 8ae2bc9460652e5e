"""Files of masks and of scores for ``prune``: their arrays, headers and bytes damaged."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz import damage
from tests.fuzz.case import Case
from tests.fuzz.kinds.checkpoint_files import Whole, damaged, written
from tests.unit.checkpoints import drawn, pruned

_LAYERS = {"l.0.up_proj": (32, 16), "l.0.down_proj": (16, 32), "conv": (8, 8, 3, 3)}
_SPELLINGS = ("{layer}.weight", "{layer}", "{layer}._weight_mask", "{layer}.weight_mask", "{layer}.weight_mask")


def setup() -> Whole:
    """Make the network."""
    arrays = {f"{layer}.weight": drawn(*shape, seed=at) for at, (layer, shape) in enumerate(_LAYERS.items())}
    return Whole({"x.safetensors": {**arrays, "norm.weight": drawn(16)}}, {})


def _given(rng: random.Random, what: str, ending: str) -> Whole:
    """Return a right file of masks or scores, for some of the layers."""
    import numpy as np

    arrays: dict[str, Any] = {}
    for at, (layer, shape) in enumerate(_LAYERS.items()):
        if rng.random() < 0.3 and arrays:
            continue
        name = rng.choice(_SPELLINGS if what == "mask" else _SPELLINGS[:2]).format(layer=layer)
        numbers = pruned(*shape, axis=1, seed=at) if what == "mask" else np.abs(drawn(*shape, seed=at + 5, dtype="float32"))
        arrays[name] = _mask(rng, numbers != 0) if what == "mask" else numbers
    return Whole({f"given{ending}": arrays}, {})


def _mask(rng: random.Random, keep: Any) -> Any:
    """Return a mask in one of the forms that files have: bytes, numbers, or bits."""
    import numpy as np

    form = rng.choice(("uint8", "int8", "float32", "float16", "bits"))
    return np.packbits(keep, axis=-1, bitorder="little") if form == "bits" else keep.astype(form)


def make(state: Whole, rng: random.Random, index: int) -> Case:
    """Damage a file of masks or scores, and prune with it."""
    what, ending = rng.choice(("mask", "scores")), rng.choice((".safetensors", ".npz"))
    given = _given(rng, what, ending)
    part = rng.choices(("as it is", "header", "bytes", "arrays"), (15, 20, 15, 50))[0]
    own = written(given) if part == "as it is" else damaged(rng, given, part)
    options = {
        what: f"given{ending}",
        "pattern": rng.choice(("2:4", "2:4", "2:4", "1:4", "4:8-pairs", "x")),
        "layout": rng.choice(("zeros", "zeros", "sparse-24-bitmask")),
        "masks": rng.choice((None, "masks.npz", "masks.safetensors")),
        "pack_masks": rng.random() < 0.3,
        "conv_order": rng.choice(("rsc", "crs")),
        "permute": rng.random() < 0.2,
    }
    options = {name: value for name, value in options.items() if value is not None}
    if "masks" not in options:
        del options["pack_masks"]

    def call() -> Any:
        import stcsim

        return stcsim.prune_checkpoint("x.safetensors", "out.safetensors", **options)

    words = f"{options} {damage.shown(next(iter(own.values())), 500)}"
    return Case(
        f"{what} {part}", words, call, lambda report: _kept(report, what, options), {**written(state), **own}, spotless=True
    )


def _kept(report: Any, what: str, options: dict[str, Any]) -> list[str]:
    """Every pruned weight has its pattern, and a mask's weights stand where it says and are what they were."""
    import numpy as np

    from stcsim.checkpoint import open_checkpoint

    wrong = []
    with open_checkpoint("x.safetensors") as before, open_checkpoint("out.safetensors") as after:
        for row in report.weights:
            old, new = before[row.tensor].codes(), after[row.tensor].codes()
            if not row.is_pruned:
                if not options["permute"] and not np.array_equal(old, new):
                    wrong.append(f"a weight that is not pruned changed | {row.tensor}")
                continue
            if np.count_nonzero(new) > new.size // (4 if options["pattern"] == "1:4" else 2):
                wrong.append(f"a pruned weight has too many numbers | {row.tensor}")
            if not options["permute"] and not np.array_equal(new[new != 0], old[new != 0]):
                wrong.append(f"a number that stayed is another | {row.tensor}")
    return wrong
