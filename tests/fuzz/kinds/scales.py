"""Scales of quantised networks: those given to ``datapath``, and the files in which a workflow keeps what a stage left."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz import damage
from tests.fuzz.case import Case
from tests.fuzz.kinds.arrays import any_array, short
from tests.fuzz.kinds.checkpoint_files import Whole, damaged, npz_bytes
from tests.unit.checkpoints import drawn

_AMAX = (0, 1, 0.5, 1e-30, 1e30, 5e-324, 1e308, -1, float("nan"), float("inf"), 2**70)
_NAMES = ("0", "0", "1", "*", "x", "", "[", "?", "0.weight")
_KEPT = {
    "weight:0.weight": (16, 16), "weight:0.bias": (16,), "mask:0": (16, 16), "amax_activation:0": (), "amax_weight:0": (16,),
}  # fmt: skip


def setup() -> Any:
    """Make a network of two layers."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8)).eval()


def _amax(rng: random.Random) -> Any:
    import numpy as np

    pick = rng.random()
    if pick < 0.4:
        return np.abs(drawn(rng.choice((16, 16, 8, 1, 0, 17)), dtype="float32", seed=rng.randrange(99)))
    if pick < 0.75:
        return rng.choice(_AMAX)
    return any_array(rng) if pick < 0.9 else damage.value(rng)


def make(state: Any, rng: random.Random, index: int) -> Case:
    """Draw scales, or damage the file of a stage."""
    part = rng.choices(("given", "state", "cell"), (60, 30, 10))[0]
    return {"given": _given, "state": _state, "cell": _cell}[part](state, rng)


def _given(network: Any, rng: random.Random) -> Case:
    from stcsim.numerics.torch.settings import Scales

    scales = {rng.choice(_NAMES): Scales(_amax(rng), _amax(rng)) for _ in range(rng.randint(1, 2))}
    if rng.random() < 0.1:
        scales[rng.choice(_NAMES)] = damage.value(rng)
    dtype, arch = rng.choice(("int8", "int8", "e4m3", "e5m2", "fp16")), rng.choice(("h100", "sm_89", "a100"))

    def call() -> Any:
        import torch

        from stcsim.numerics.torch import datapath

        with torch.no_grad(), datapath(arch, dtype, scales=scales) as record:
            return network(torch.ones(3, 16)), record

    def check(found: Any) -> list[str]:
        return [] if tuple(found[0].shape) == (3, 8) and len(found[1].layers) == 2 else ["the network has another result | "]

    words = {
        name: f"{short(each.activation)}, {short(each.weight)}" if isinstance(each, Scales) else short(each)
        for name, each in scales.items()
    }
    return Case("given", f"{arch} {dtype} {words}", call, check)


def _state(network: Any, rng: random.Random) -> Case:
    arrays = {name: drawn(*shape, dtype="float32") for name, shape in _KEPT.items()}
    whole = Whole({"kept/one.safetensors": arrays}, {})
    files = damaged(rng, whole, rng.choice(("header", "bytes", "arrays")))
    data = files["kept/one.safetensors"]
    if rng.random() < 0.5:  # with the metadata that a stage writes, so that what is behind it is read
        data = _with_metadata(data, damage.tree(rng, {"key": "k", "dtype": "int8", "loss": 0.5}) if rng.random() < 0.5 else None)

    def call() -> Any:
        from stcsim.workflow.state import Folder

        return Folder("kept", "r").state("one", "k")

    return Case("state", damage.shown(data, 900), call, files={"kept/one.safetensors": data, **_about()})


def _with_metadata(data: bytes, about: Any) -> bytes:
    """Return a safetensors file with what a workflow writes into its header, where it has one that can be read."""
    size = int.from_bytes(data[:8], "little")
    try:
        fields = json.loads(data[8 : 8 + size])
        text = json.dumps(about or {"key": "k", "dtype": "int8", "loss": 0.5})
        fields["__metadata__"] = {"stcsim": text}
        whole = json.dumps(fields).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, RecursionError):
        return data
    return len(whole).to_bytes(8, "little") + whole + data[8 + size :]


def _cell(network: Any, rng: random.Random) -> Case:
    data = damage.dumps(rng, damage.tree(rng, {"key": "k", "figures": {"accuracy": 0.5, "samples": 10}}))
    if rng.random() < 0.1:
        data = npz_bytes({"a": drawn(2)})

    def call() -> Any:
        from stcsim.workflow.state import Folder

        return Folder("kept", "r").cell("c", "k")

    return Case("cell", damage.shown(data), call, files={"kept/cells/c.json": data, **_about()})


def _about() -> dict[str, bytes]:
    return {"kept/recipe.json": b'{"recipe": "r"}'}
