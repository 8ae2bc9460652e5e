"""Sees every operator that a network runs: products go to the session, what is made of others is taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stcsim.numerics.torch.operators import READERS
from stcsim.numerics.torch.products import TYPES
from stcsim.numerics.torch.session import Session

#: Parts of the names of operators that multiply and accumulate: one that matches and has no reader is written down.
MULTIPLIES = re.compile(
    r"\w*mm|(add)?mv|v?dot|conv(olution)?([123]d)?|attn|attention|transformer|lstm|gru|rnn|linear|trilinear|matmul|einsum|cdist"
    r"|euclidean|ger|qr|svd|eigh?|inv|inverse|solve|cholesky|lstsq|pinv|det|slogdet"
)

#: Operators whose names match and that do not multiply.
HARMLESS = ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "_upsample_bilinear2d_aa")


class Watch(TorchDispatchMode):
    """Sends products to a session; needs autograd to be out of the way, so that operators arrive whole."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operator."""
        kwargs = kwargs or {}
        operator = func._schema.name.split("::")[-1]
        plain = operator if operator.startswith("__") else operator.removesuffix("_")
        reader = READERS.get(plain) if func.namespace == "aten" else None
        if reader is not None:
            return self._product(reader, func, plain, args, kwargs)
        with self, _without_onednn(plain == "lstm"):
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        if multiplies(plain):
            self.session.note(f"{func.namespace}.{plain}", "the datapath has no such operator")
        return func(*args, **kwargs)

    def _product(self, reader: Any, func: Any, operator: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the results of a product, in the tensor that they are to be written to where there is one."""
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        why = why_not(tensors)
        if why is not None:
            if why:
                self.session.note(f"aten.{operator}", why)
            return func(*args, **kwargs)
        out = kwargs.get("out")
        result = reader(self.session, *args, **{name: each for name, each in kwargs.items() if name != "out"})
        if func._schema.is_mutable:
            return (args[0] if out is None else out).copy_(result)
        return result


@contextmanager
def _without_onednn(wanted: bool) -> Iterator[None]:
    """Keep oneDNN from taking an LSTM as one operator that nobody sees into."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(before and not wanted)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


def multiplies(operator: str) -> bool:
    """Say whether an operator of this name multiplies and accumulates."""
    return operator not in HARMLESS and any(MULTIPLIES.fullmatch(part) for part in operator.split("_"))


def why_not(tensors: Sequence[torch.Tensor]) -> str | None:
    """Return why a product of these tensors is not simulated, nothing where there is nothing to multiply, else ``None``."""
    for each in tensors:
        if each.dtype not in TYPES.values() and (each is tensors[0] or each.is_complex()):  # others may be masks, or offsets
            return f"a tensor of {str(each.dtype).removeprefix('torch.')}"
        if each.layout != torch.strided or each.device.type != "cpu":
            return f"a tensor that is {str(each.layout).removeprefix('torch.')} on {each.device.type}"
    return "" if any(not each.numel() for each in tensors) else None
