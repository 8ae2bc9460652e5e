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

MAX_DEATHS = 8
"""Nodes that may kill the child before the file is refused."""


class NodeFault(Exception):
    """A node whose outputs cannot be inferred; the message is ONNX's reason."""


class NodeDeath(NodeFault):
    """A node on which ONNX's inference died."""


class Native:
    """ONNX's inference for the nodes of one file; use it as a context, which ends the child.

    The child is started once, and anew after a node that it did not survive.
    """

    def __init__(self) -> None:
        """Start the child, which gets ready while the caller goes on."""
        self._deaths = 0
        self._answers: dict[bytes, Any] = {}
        self._child = _started()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the child."""
        _ended(self._child)

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
        request: tuple[Any, ...] = (
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
        question = marshal.dumps(request)
        if question not in self._answers:
            self._answers[question] = self._answer(question)
        answer = self._answers[question]
        if isinstance(answer, str):
            raise NodeFault(answer)
        return {name: onnx.TypeProto.FromString(one) for name, one in answer.items()}

    def _answer(self, question: bytes) -> Any:
        if self.gave_up:
            raise NodeDeath("ONNX's shape inference died too often")
        assert self._child.stdin is not None and self._child.stdout is not None
        try:
            self._child.stdin.write(question)
            self._child.stdin.flush()
            return marshal.load(self._child.stdout)
        except (EOFError, OSError, ValueError, TypeError):
            self._deaths += 1
            _ended(self._child)
            self._child = _started()
            raise NodeDeath("ONNX's shape inference died of it") from None


def _started() -> subprocess.Popen[bytes]:
    """Return a new child; its words on what it died of are not for the user."""
    extension = find_spec("onnx.onnx_cpp2py_export")
    script = Path(__file__).with_name("native_child.py")
    assert extension is not None and extension.origin is not None
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(script), extension.origin],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _ended(child: subprocess.Popen[bytes]) -> None:
    """End a child and forget it."""
    for pipe in (child.stdin, child.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:
            pass  # what was not yet written to it is of no use any more
    child.kill()
    child.wait()
