"""ONNX's own shape inference at arm's length: it runs in a child process, because a broken node can abort the one it runs in."""

from __future__ import annotations

import marshal
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import onnx

from stcsim.capture.onnx_import.native_child import READY, answer

MAX_DEATHS = 8
"""Nodes that may kill the child before no other is started."""

Child = subprocess.Popen[bytes]


class NodeFault(Exception):
    """A node whose outputs cannot be inferred; the message is ONNX's reason."""


class NodeDeath(NodeFault):
    """A node on which ONNX's inference died."""


class Native:
    """ONNX's inference for the nodes of one file; use it as a context, which ends the child.

    The child is started once, and anew after a node that it did not survive. Where none can be started, ONNX is asked here.
    """

    def __init__(self) -> None:
        """Start the child, which gets ready while the caller goes on."""
        self._deaths = 0
        self._answers: dict[bytes, Any] = {}
        self._child, self._is_ready = _started(), False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the child."""
        _end(self._child)

    @property
    def gave_up(self) -> bool:
        """Whether so many nodes killed the child that the file is not worth another."""
        return self._deaths >= MAX_DEATHS

    def infer(
        self,
        node: onnx.NodeProto,
        version: int,
        types: Mapping[str, onnx.TypeProto],
        data: Mapping[str, onnx.TensorProto],
        opsets: Mapping[str, int],
    ) -> dict[str, onnx.TypeProto]:
        """Return the types of the outputs of ``node``, as the schema of its operator in ``version`` of its domain has them.

        Raises:
            NodeFault: when ONNX refuses the node, or did not survive it.
        """
        question = marshal.dumps(
            (
                node.op_type,
                version,
                node.domain,
                node.SerializeToString(),
                {name: one.SerializeToString() for name, one in types.items()},
                {name: one.SerializeToString() for name, one in data.items()},
                {},
                dict(opsets),
                onnx.IR_VERSION,
            )
        )
        if question not in self._answers:
            self._answers[question] = self._answer(question)
        found = self._answers[question]
        if isinstance(found, str):
            raise NodeFault(found)
        return {name: onnx.TypeProto.FromString(one) for name, one in found.items()}

    def _answer(self, question: bytes) -> Any:
        if self.gave_up:
            raise NodeDeath("ONNX's shape inference died too often")
        if not self._has_child():
            return answer(onnx.defs, marshal.loads(question))
        try:
            return _asked(self._child, question)
        except (EOFError, OSError, ValueError, TypeError):
            self._deaths += 1
            _end(self._child)
            self._child, self._is_ready = _started(), False
            raise NodeDeath("ONNX's shape inference died of it") from None

    def _has_child(self) -> bool:
        """Whether there is a child that has loaded ONNX."""
        if self._child is not None and not self._is_ready:
            try:
                self._is_ready = _read(self._child) == READY
            except (EOFError, OSError, ValueError, TypeError):
                pass  # an interpreter or a version of onnx that cannot be started so
            if not self._is_ready:
                _end(self._child)
                self._child = None
        return self._child is not None


def _started() -> Child | None:
    """Return a new child, if there can be one; its words on what it died of are not for the user."""
    extension = find_spec("onnx.onnx_cpp2py_export")
    if extension is None or extension.origin is None or not sys.executable:
        return None
    script = Path(__file__).with_name("native_child.py")
    command, pipe = [sys.executable, "-I", "-S", str(script), extension.origin], subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    except OSError:
        return None


def _asked(child: Child | None, question: bytes) -> Any:
    assert child is not None and child.stdin is not None
    child.stdin.write(question)
    child.stdin.flush()
    return _read(child)


def _read(child: Child) -> Any:
    assert child.stdout is not None
    return marshal.load(child.stdout)


def _end(child: Child | None) -> None:
    """End a child and forget it."""
    if child is None:
        return
    for pipe in (child.stdin, child.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:
            pass  # what was not yet written to it is of no use any more
    child.kill()
    child.wait()
