"""Whatever a caller hands to a public function of the timing wing or of checkpoints: a result, or a sentence of stcsim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stcsim
from stcsim.errors import StcsimError, quoted
from tests.numerics.test_misuse import THINGS

Calls = dict[str, tuple[Callable[..., Any], dict[str, Any]]]


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """Public functions, with arguments of which some are tried."""
    weights, table, out = tmp_path / "w.npz", tmp_path / "t.csv", tmp_path / "out.npz"
    np.savez(weights, **{"layers.0.weight": np.ones((64, 64), np.float32), "layers.1.weight": np.ones((64, 64), np.float32)})
    table.write_text("arch,sparsity,dtype,m,n,k,time_us\na100,dense,fp16,64,64,64,9\n", encoding="utf-8")

    def prune(**options: Any) -> Any:
        out.unlink(missing_ok=True)
        return stcsim.prune_checkpoint(**options)

    run = {"trace": "resnet18", "arch": "a100", "keep_dense": (), "dtype_of": None, "pruned_as": None}
    return {
        "gemm": (stcsim.gemm, {"m": 64, "n": 64, "k": 64, "arch": "a100", "dtype": "fp16", "kernel": None, "out_dtype": None}),
        "run": (stcsim.run, run),
        "load_arch": (stcsim.load_arch, {"arch": "a100", "overrides": []}),
        "open_trace": (stcsim.open_trace, {"trace": "resnet18", "batch": 1, "inputs": None, "dtype": None}),
        "at_length": (stcsim.at_length, {"trace": "bert-base", "name": "tokens", "value": 64}),
        "at_resolution": (stcsim.at_resolution, {"trace": "resnet18", "height": 224, "width": 224}),
        "inspect_checkpoint": (
            stcsim.inspect_checkpoint,
            {"path": weights, "dtype": None, "weights": (), "permute": False, "magnitudes": True},
        ),
        "pruned_layers": (stcsim.pruned_layers, {"trace": "resnet18", "pruned": weights, "dtype": None}),
        "prune_checkpoint": (
            prune,
            {
                "path": weights,
                "out": out,
                "method": "magnitude",
                "pattern": "2:4",
                "only": (),
                "permute": False,
            },
        ),
        "validate": (stcsim.validate, {"paths": table, "arch": None, "jobs": 1, "grades": ""}),
    }


@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("gemm", ("dtype", "kernel", "out_dtype", "arch")),
        ("run", ("keep_dense", "dtype_of", "pruned_as", "trace")),
        ("load_arch", ("arch", "overrides")),
        ("open_trace", ("trace", "batch", "inputs", "dtype")),
        ("at_length", ("trace", "name", "value")),
        ("at_resolution", ("height", "width")),
        ("inspect_checkpoint", ("path", "dtype", "weights", "permute", "magnitudes")),
        ("pruned_layers", ("pruned", "dtype")),
        ("prune_checkpoint", ("path", "out", "method", "pattern", "only", "permute")),
        ("validate", ("paths", "arch", "jobs", "grades")),
    ],
)
def test_anything_in_any_argument_gives_a_result_or_a_sentence(
    name: str,
    tried: tuple[str, ...],
    calls: dict[str, tuple[Callable[..., Any], dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call, arguments = calls[name]
    monkeypatch.chdir(Path(arguments.get("path", ".")).parent)  # what is written by chance is written there
    refused = 0
    for argument in tried:
        for thing in THINGS:
            if argument == "jobs" and isinstance(thing, int) and thing > 1:
                continue  # so many processes
            try:
                call(**{**arguments, argument: thing})
            except StcsimError as error:
                refused += 1
                assert "\n" not in str(error) and "\x1b" not in str(error) and len(str(error)) < 1800
            except Exception as error:
                pytest.fail(f"{name}({argument}={quoted(thing)}): {type(error).__name__}: {error}")
    assert refused > 10 * len(tried)
