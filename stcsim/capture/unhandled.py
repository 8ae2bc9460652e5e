"""What a capture lacks: one list of the operators that multiply inside, for PyTorch and for ONNX, and the lines that name them.

An operator that is on the list and that no reader takes is missing from every total, so the trace says so in
``source.unhandled``. A new operator is a row of ``MULTIPLYING``; nothing else need know of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

Shapes = Sequence[Sequence[int]]
Bound = Callable[[Shapes], int]


def _distances(shapes: Shapes) -> int:
    """Return the products of all pairs of rows of two matrices (or batches of them)."""
    (*batch, rows, features), other = shapes[0], shapes[1]
    return prod(batch) * rows * other[-2] * features


def _bilinear(shapes: Shapes) -> int:
    """Return the least of ``nn.Bilinear``: each row of the first input with a weight of outputs x first x second."""
    (*rows, first), (outputs, _, second) = shapes[0], shapes[1]
    return prod(rows) * outputs * first * second


class Multiplying(NamedTuple):
    """Operators that multiply and accumulate inside.

    Attributes:
        names: pattern of their names in snake case: whole words between underscores, the library's prefix left out.
        reason: what is multiplied, to be put after "it" in a sentence.
        is_step: whether it is still timed as a step that moves its operands once.
        bound: the least multiply-accumulates of one of them, of the shapes of its tensors; ``None`` where nothing bounds them.
    """

    names: str
    reason: str
    is_step: bool = False
    bound: Bound | None = None


#: One row for each kind, ONNX and aten alike; the first that fits is the one.
MULTIPLYING: tuple[Multiplying, ...] = (
    Multiplying(r"cdist|cdist_forward|euclidean_dist|c_dist", "multiplies all pairs of rows", bound=_distances),
    Multiplying(r"pdist|pdist_forward", "multiplies all pairs of rows"),
    Multiplying(r"(?<!upsample_)(?:bi|tri)linear", "multiplies two inputs with a weight of three axes", bound=_bilinear),
    Multiplying(
        r"mo_?e\d*|fused_moe|(?:fused_)?experts|grouped_(?:mm|gemm|matmul)|gmm",
        "multiplies each token with the weights of experts",
    ),
    Multiplying(r"attn|attention|sdpa|mha|transformer|gated_relative_position_bias", "multiplies queries, keys and values"),
    Multiplying(r"lstm|gru|rnn|selective_scan|ssd|wkv\d*|delta_rule|mamba\d*", "multiplies a state at every step"),
    Multiplying(r"beam_search|greedy_search|sampling", "runs a graph of its own"),
    Multiplying(r"ep_context|trt_engine_op|a_?ten|python_op|call_torchbind", "runs code that no file tells"),
    Multiplying(
        r"\w*conv(?!ert)(?:olution)?(?:[123]d|transpose)?|\w*gemm\w*|\w*mat_?mul\w*|\w*mm|(?:add)?mv|v?dot|einsum|tensordot|svm",
        "multiplies matrices",
    ),
    Multiplying(r"(?<!quantize_)(?<!\bq_)linear", "multiplies matrices"),
    Multiplying(
        r"qr|geqrf|orgqr|ormqr|householder(?:_product)?|svd\w*|eig\w*|inv|inverse|pinv\w*|(?:\w+_)?solve|triangular|cholesky|lstsq"
        r"|lu(?!_unpack)|ldl|(?:log|slog)?det|matrix_exp|matrix_power|lobpcg|polar_decomposition",
        "solves or takes a matrix apart",
    ),
    Multiplying(r"stft|dft|i?rfft|fft_[cr]2[cr]", "sums over frequencies", is_step=True),
)

_ROWS = tuple((re.compile(rf"(?:^|_)(?:{row.names})(?:_|$)"), row) for row in MULTIPLYING)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")


def multiplying(operator: str) -> Multiplying | None:
    """Return the row of an operator, named as in ONNX (``MatMulNBits``) or aten (``_cdist_forward``), or ``None``."""
    name = _CAMEL.sub("_", operator.rpartition(".")[2].rpartition("::")[2]).lower()
    return next((row for pattern, row in _ROWS if pattern.search(name)), None)


def stays_step(operator: str) -> bool:
    """Whether an operator that multiplies is timed as a step all the same, though its products are missing."""
    row = multiplying(operator)
    return row is not None and row.is_step


class Unhandled(list[str]):
    """Lines of what a capture lacks, such as ``odd.bil: aten._trilinear (multiplies …)``.

    Attributes:
        least_macs: multiply-accumulates that are missing at least; 0 where no shape bounds them.
    """

    def __init__(self) -> None:
        """Start with nothing missing."""
        super().__init__()
        self.least_macs = 0

    def miss(self, place: str, operator: str, reason: str = "", least_macs: int = 0) -> None:
        """Add an operator that no reader takes.

        Args:
            place: the module or node; may be empty.
            operator: what it is called, with its library, e.g. ``aten._trilinear`` or ``Einsum``.
            reason: why it cannot be read, where that is more than that nobody wrote it.
            least_macs: what its shapes say it multiplies at least.
        """
        why = f" ({reason})" if reason else ""
        self.append(f"{place}: {operator}{why}".removeprefix(": "))
        self.least_macs += least_macs


def least_macs(operator: str, shapes: Shapes) -> int:
    """Return what an operator multiplies at least, given the shapes of its tensors; 0 where nothing bounds it."""
    row = multiplying(operator)
    if row is None or row.bound is None:
        return 0
    try:
        return max(row.bound(shapes), 0)
    except (IndexError, ValueError):
        return 0
