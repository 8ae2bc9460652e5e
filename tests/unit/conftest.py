"""What the tests of the command line share: a toy trace, a call that must be refused, a simulation that is not run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stcsim import cli
from stcsim.trace import Trace
from tests.unit.runs import TOY_TRACE, TOYNET


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A trace of one layer."""
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(TOY_TRACE), encoding="utf-8")
    return path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A call that must print one sentence, nothing else, and exit with 2; returns the sentence."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert stop.value.code == 2 and printed.out == "" and printed.err.count("\n") == 1
        assert printed.err.startswith("stcsim: ")
        return printed.err.removeprefix("stcsim: ").rstrip("\n")

    return call


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A command that must succeed; returns what it printed."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert stop.value.code == 0, printed.err
        return printed.out

    return call


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Replaces the simulation by a hand-made result; returns what it was called with."""
    seen: dict[str, object] = {}

    def run(trace: object, arch: object, **options: object) -> object:
        seen.update(options, trace=trace, arch=arch)
        return TOYNET

    monkeypatch.setattr("stcsim.timing.engine.fast.is_compiled", lambda: True)
    monkeypatch.setattr("stcsim.replay.run", run)
    monkeypatch.setattr("stcsim.replay.gemm", lambda m, n, k, arch, **options: run((m, n, k), arch, **options))
    return seen


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Trace]:
    """A function that makes an ONNX model of nodes, inputs and tensors, writes it and opens it."""
    from tests.unit.onnx_graphs import model, read  # onnx is not everywhere

    def run(
        nodes: Any, inputs: Any, *tensors: Any, given: tuple[str, ...] = (), batch: int | None = None, **options: Any
    ) -> Trace:
        several = nodes if isinstance(nodes, list) else [nodes]
        return read(tmp_path, model(several, inputs, tensors, **options), *given, batch=batch)

    return run
