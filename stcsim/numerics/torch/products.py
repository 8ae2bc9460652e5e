"""One product of a network: what is multiplied, how its results are finished, and what it is in fp32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from stcsim.numerics.codes import Codes
from stcsim.numerics.matmul import gemm
from stcsim.numerics.torch.operands import Encoded, Factor
from stcsim.numerics.torch.settings import Settings
from stcsim.words import Sparsity

TORCH_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}
"""Tensor types of networks that can run."""


@dataclass(frozen=True, slots=True)
class Product:
    """D = A . B and its epilogue, as one operator of a network wants it.

    Attributes:
        kind: of the row in the record.
        part: what the product is called beside its module.
        left, right: the factors.
        channels: neighbours along k that groups of 2:4 are made of.
        exact: computes the same in fp32, in the shape of the result.
        finish: brings (..., m, n) into the shape of the result.
        bias: (m,) or what broadcasts to the result after ``finish``; ``None`` for none.
        alpha, beta: factors of the product and of the bias.
        in_fp32: the result stays in fp32 inside a fused kernel.
    """

    kind: str
    part: str
    left: Factor
    right: Factor
    channels: int
    exact: Callable[[], torch.Tensor]
    finish: Callable[[torch.Tensor], torch.Tensor]
    bias: torch.Tensor | None = None
    alpha: float = 1.0
    beta: float = 1.0
    in_fp32: bool = False


def run_product(settings: Settings, a: Encoded, b: Encoded) -> torch.Tensor:
    """Return the accumulators of A . B, (..., m, n), as fp32 numbers, scaled back where the operands were scaled."""
    d = gemm(
        a.codes if a.sparse is None else a.sparse,
        b.codes,
        arch=settings.arch,
        dtype=settings.dtype,
        acc_dtype=settings.acc_dtype,
        sparsity=Sparsity.DENSE if a.sparse is None else Sparsity.SPARSE,
        blocking=settings.blocking,
        order=settings.order,
        workers=settings.workers,
    )
    sums = _numbers(d)
    for scale in (a.scale, b.scale):
        if scale is not None:
            sums = sums * scale
    return sums


def _numbers(d: Codes) -> torch.Tensor:
    """Return codes of fp32 or fp16, or int32 numbers, as fp32."""
    native = d if d.dtype == np.int32 else d.view(f"f{d.itemsize}")
    return torch.from_numpy(native).float()


def epilogue(product: Product, sums: torch.Tensor, output: str) -> torch.Tensor:
    """Return the results in the output type: alpha . A . B + beta . bias in fp32, then rounded once to nearest even."""
    result = product.finish(sums)
    if product.alpha != 1:
        result = result * product.alpha
    if product.bias is not None and product.beta != 0:
        bias = rounded(product.bias, output).float()
        result = result + (bias if product.beta == 1 else bias * product.beta)
    return result if product.in_fp32 else rounded(result, output)


def rounded(numbers: torch.Tensor, output: str) -> torch.Tensor:
    """Return numbers rounded to the output type."""
    return numbers.to({name: each for each, name in TORCH_NAMES.items()}[output])
