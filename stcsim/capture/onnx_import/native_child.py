"""Runs ONNX's own shape inference, one node after the other, in a process of its own: an assertion in it kills no one else.

Started as a plain script with the path of onnx's extension module, which it loads without numpy and without the package, so it
is ready in some 20 ms. Reads and writes ``marshal`` values: the arguments of one inference in, and in answer either the types
(name → bytes) or the text of an error.
"""

import importlib.machinery
import importlib.util
import marshal
import sys
from typing import Any

READY = "ready"
"""What the child says first."""

_MEMORY_BYTES, _CPU_S = 8 << 30, 60


def _limit() -> None:
    """Bound what a hostile node may cost; where the system knows no limits, there are none."""
    try:
        import resource
    except ImportError:
        return
    for what, most in ((resource.RLIMIT_AS, _MEMORY_BYTES), (resource.RLIMIT_CPU, _CPU_S), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))


def answer(defs: Any, request: tuple[Any, ...]) -> Any:
    """Return the types of a node's outputs by ``onnx.defs``, or the text of an error."""
    operator, version, domain, *arguments = request
    try:
        return defs.get_schema(operator, version, domain)._infer_node_outputs(*arguments)
    except Exception as error:
        return str(error)


def _main() -> None:
    _limit()
    spec = importlib.util.spec_from_file_location("onnx_cpp2py_export", sys.argv[1])
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    _say(READY)
    while True:
        try:
            request = marshal.load(sys.stdin.buffer)
        except (EOFError, KeyboardInterrupt):
            return
        _say(answer(module.defs, request))


def _say(value: Any) -> None:
    sys.stdout.buffer.write(marshal.dumps(value))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
