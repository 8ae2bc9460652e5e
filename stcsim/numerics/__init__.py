"""The numerics wing: what tensor cores compute, bit for bit, dense and 2:4.

Everything here is loaded when it is first used, so that ``import stcsim.numerics`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stcsim.numerics.codes import values
    from stcsim.numerics.conv import conv2d
    from stcsim.numerics.encoding import encode
    from stcsim.numerics.epilogue import Epilogue
    from stcsim.numerics.matmul import gemm
    from stcsim.numerics.orders import Order
    from stcsim.numerics.sparse.cutlass_layouts import (
        cutlass_hopper_layout,
        cutlass_layout,
        from_cutlass_hopper_layout,
        from_cutlass_layout,
    )
    from stcsim.numerics.sparse.layouts import from_register_image, register_image
    from stcsim.numerics.sparse.permute import permute_channels
    from stcsim.numerics.sparse.pruning import check_mask, keep_mask, prune
    from stcsim.numerics.sparse.sparse24 import Sparse24, compress, expand, pack_metadata, storage_bytes, unpack_metadata
    from stcsim.numerics.tensor_core import mma, mma_sp

__all__ = [
    "Epilogue",
    "Order",
    "Sparse24",
    "check_mask",
    "compress",
    "conv2d",
    "cutlass_hopper_layout",
    "cutlass_layout",
    "encode",
    "expand",
    "from_cutlass_hopper_layout",
    "from_cutlass_layout",
    "from_register_image",
    "gemm",
    "keep_mask",
    "mma",
    "mma_sp",
    "pack_metadata",
    "permute_channels",
    "prune",
    "register_image",
    "storage_bytes",
    "unpack_metadata",
    "values",
]

# No module here is named as a function: importing it would put the module in the place of the function.
_HOMES = {
    "Epilogue": "epilogue",
    "Order": "orders",
    "Sparse24": "sparse.sparse24",
    "check_mask": "sparse.pruning",
    "compress": "sparse.sparse24",
    "conv2d": "conv",
    "cutlass_hopper_layout": "sparse.cutlass_layouts",
    "cutlass_layout": "sparse.cutlass_layouts",
    "encode": "encoding",
    "expand": "sparse.sparse24",
    "from_cutlass_hopper_layout": "sparse.cutlass_layouts",
    "from_cutlass_layout": "sparse.cutlass_layouts",
    "from_register_image": "sparse.layouts",
    "gemm": "matmul",
    "keep_mask": "sparse.pruning",
    "mma": "tensor_core",
    "mma_sp": "tensor_core",
    "pack_metadata": "sparse.sparse24",
    "permute_channels": "sparse.permute",
    "prune": "sparse.pruning",
    "register_image": "sparse.layouts",
    "storage_bytes": "sparse.sparse24",
    "unpack_metadata": "sparse.sparse24",
    "values": "codes",
}


def __getattr__(name: str) -> Any:
    """Return a public function from its module, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stcsim.numerics' has no attribute '{name}'")
    return getattr(import_module(f"stcsim.numerics.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
