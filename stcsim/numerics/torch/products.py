"""One product of a network: what is multiplied, what the epilogue adds, and what it is in fp32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from stcsim.numerics.codes import Codes
from stcsim.numerics.encoding import encode
from stcsim.numerics.epilogue import Epilogue
from stcsim.numerics.matmul import gemm
from stcsim.numerics.torch.operands import Encoded, Factor
from stcsim.numerics.torch.settings import Settings
from stcsim.words import Sparsity

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64}
"""Tensor types of networks that can run, by our names."""


@dataclass(frozen=True, slots=True)
class Product:
    """D = A . B and its epilogue, as one operator of a network wants it.

    Attributes:
        kind: of the row in the record.
        part: what the product is called beside its module.
        left: the factor A.
        right: the factor B.
        channels: neighbours along k that groups of 2:4 are made of.
        exact: computes the same in fp32, in the shape of the result.
        finish: brings (..., m, n) into the shape of the result.
        bias: (..., m), a number for each row of D; ``None`` for none.
        addend: what broadcasts to (..., m, n), C of the product; ``None`` for none.
        alpha: factor of A . B.
        beta: factor of C.
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
    addend: torch.Tensor | None = None
    alpha: float = 1.0
    beta: float = 1.0
    in_fp32: bool = False


def run_product(product: Product, settings: Settings, a: Encoded, b: Encoded, output: str) -> torch.Tensor:
    """Return D, (..., m, n), in the type ``output``, which bias and C are rounded to before, as a network stores them."""
    epilogue = Epilogue(
        alpha=product.alpha * _one(a.scale) * _one(b.scale),
        beta=product.beta,
        row_scale=None if a.scale is None or not a.scale.ndim else a.scale,
        bias=None if product.bias is None else product.bias.to(TYPES[output]).float().numpy(),
        out_dtype=output,
    )
    codes = gemm(
        a.codes if a.sparse is None else a.sparse,
        b.codes,
        None if product.addend is None else _addend(product.addend, (a.codes.shape[-2], b.codes.shape[-1]), output),
        arch=settings.arch,
        dtype=settings.dtype,
        acc_dtype=settings.acc_dtype,
        sparsity=Sparsity.DENSE if a.sparse is None else Sparsity.SPARSE,
        blocking=settings.blocking,
        order=settings.order,
        epilogue=epilogue,
        workers=settings.workers,
    )
    return torch.from_numpy(codes.view(f"i{codes.itemsize}")).view(TYPES[output])


def _one(scale: np.ndarray | None) -> float:
    """Return a scale of a whole tensor, 1 where there is none or one for each row."""
    return 1.0 if scale is None or scale.ndim else float(scale)


def _addend(addend: torch.Tensor, shape: tuple[int, int], output: str) -> Codes:
    """Return the codes of C."""
    codes = encode(addend, output)
    return np.broadcast_to(codes, (*codes.shape[:-2], *shape))
