"""Sees every matrix product a module runs: a dispatch mode over aten operators, meant for tensors without data (meta)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Self

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stcsim.trace import Conv2d, Gemm

#: Position of the first factor among the arguments of each product of two tensors.
PRODUCTS = {
    "mm": 0,
    "bmm": 0,
    "mv": 0,
    "dot": 0,
    "vdot": 0,
    "addmm": 1,
    "baddbmm": 1,
    "addmv": 1,
    "_int_mm": 0,
    "_scaled_mm": 0,
}

CONVOLUTIONS = ("convolution", "_convolution", "convolution_overrideable")

ATTENTION = "_scaled_dot_product_"

#: Parts of the names of operators that multiply and accumulate; one that matches and is not read here is reported.
MULTIPLIES = re.compile(
    r"\w*mm|(add)?mv|v?dot|conv(olution)?([123]d)?|attn|attention|transformer|lstm|gru|rnn|linear|trilinear|matmul|einsum|cdist"
)

#: Look-ups pick rows by data: what they take from a parameter is no longer a weight.
LOOKUPS = ("embedding", "index", "index_select", "gather")

#: Copies hold no more distinct elements than what they copy.
COPIES = ("clone", "_to_copy")

#: Untyped in torch; said here so that it is the same to a type checker where torch is not installed.
DispatchMode: Any = TorchDispatchMode


class Constants:
    """Which tensors depend on nothing but parameters and buffers, known by their storage.

    A linear layer multiplies by a transposed view of its weight, a pruned one by ``weight * mask``, a batched one by an
    expanded copy: all of them are weights, and shape alone does not say so.
    """

    def __init__(self) -> None:
        self._storages: dict[int, tuple[torch.UntypedStorage, bool, int | None]] = {}

    def add(self, tensor: torch.Tensor, weight: bool, distinct: int | None = None) -> None:
        """Remember ``tensor`` (and keep its storage alive, so that no other takes its address)."""
        self._storages[_address(tensor)] = (tensor.untyped_storage(), weight, distinct)

    def add_module(self, module: nn.Module, recurse: bool) -> None:
        """Remember the parameters and buffers of ``module``."""
        for parameter in module.parameters(recurse):
            if not nn.parameter.is_lazy(parameter):
                self.add(parameter, weight=True)
        for buffer in module.buffers(recurse):
            if not nn.parameter.is_lazy(buffer) and _address(buffer) not in self._storages:
                self.add(buffer, weight=False)

    def is_weight(self, tensor: torch.Tensor) -> bool:
        """Whether ``tensor`` is computed from at least one parameter and nothing that depends on the input."""
        entry = self._storages.get(_address(tensor))
        return entry is not None and entry[1]

    def distinct(self, tensor: torch.Tensor) -> int:
        """Elements of ``tensor`` that an expansion did not repeat."""
        elements: int = prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
        entry = self._storages.get(_address(tensor))
        return min(elements, entry[2]) if entry and entry[2] else elements

    def follow(self, operator: str, inputs: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> None:
        """Learn what the outputs of one operator are from what its inputs are; products and look-ups end a weight."""
        entries = [self._storages.get(_address(tensor)) for tensor in inputs]
        constant = all(entries) and operator not in LOOKUPS and not multiplies(operator)
        weight = any(entry[1] for entry in entries if entry)
        for output in outputs:
            key = _address(output)
            if not constant:
                self._storages.pop(key, None)
            elif key not in self._storages or weight and not self._storages[key][1]:
                self.add(output, weight, self.distinct(inputs[0]) if operator in COPIES else None)


class Recorder(DispatchMode):  # type: ignore[misc, unused-ignore]
    """Makes an operation of every product in one forward pass of ``module``.

    Attributes:
        ops: in the order they ran; ``scales_with_batch`` is still unknown.
        unhandled: operators that multiply but have no operation here, with their module.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.ops: list[Gemm | Conv2d] = []
        self.unhandled: list[str] = []
        self._module = module
        self._constants = Constants()
        self._stack: list[tuple[str, nn.Module]] = [("", module)]
        self._names: Counter[str] = Counter()

    def run(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Self:
        """Run the module once and watch; each module says when it begins and ends."""
        self._constants.add_module(self._module, recurse=True)
        hooks = []
        for path, module in self._module.named_modules():
            hooks.append(module.register_forward_pre_hook(self._enter_module(path)))
            hooks.append(module.register_forward_hook(self._leave_module))
        try:
            with self:
                self._module(*args, **(kwargs or {}))
        finally:
            for hook in hooks:
                hook.remove()
        return self

    def _enter_module(self, path: str) -> Any:
        def enter(module: nn.Module, _: object) -> None:
            self._stack.append((path, module))
            self._constants.add_module(module, recurse=False)  # lazy and re-parametrised modules have new ones

        return enter

    def _leave_module(self, *_: object) -> None:
        self._stack.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operator and record it when it multiplies."""
        kwargs = kwargs or {}
        with self:
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:  # in inference mode a linear layer or an einsum arrives whole
            return parts
        out = func(*args, **kwargs)
        operator = func._schema.name.split("::")[-1].removesuffix("_")
        if multiplies(operator):
            self._read(func.namespace, operator, args)
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        self._constants.follow(operator, inputs, outputs)
        return out

    def _read(self, namespace: str, operator: str, args: tuple[Any, ...]) -> None:
        """Record an operator that multiplies, or report it."""
        if namespace == "aten" and operator in PRODUCTS:
            first = PRODUCTS[operator]
            self._product(operator, args[first], args[first + 1])
        elif namespace == "aten" and operator in CONVOLUTIONS:
            self._convolution(operator, args)
        elif namespace == "aten" and operator.startswith(ATTENTION) and not operator.endswith("backward"):
            self._attention(operator, *args[:3])
        else:
            self._miss(f"{namespace}.{operator}")

    def _product(self, operator: str, left: torch.Tensor, right: torch.Tensor) -> None:
        """Record D = left . right, transposed when the weight stands on the right, as in every linear layer."""
        batch = left.shape[0] if left.dim() == 3 else 1
        rows, inner = (left.shape[-2] if left.dim() > 1 else 1), left.shape[-1]
        columns = right.shape[-1] if right.dim() > 1 else 1
        if self._constants.is_weight(right):
            weight, m, n = right, columns, rows
        else:
            weight, m, n = left, rows, columns
        if not self._constants.is_weight(weight):
            self._gemm(operator, m, n, inner, batch)
            return
        shared = weight.numel() // max(1, self._constants.distinct(weight))
        if batch % shared == 0:  # one weight expanded over the batch is one GEMM with more columns
            batch, n = batch // shared, n * shared
        self._gemm(operator, m, n, inner, batch, weight="a")

    def _attention(self, operator: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """Record a fused attention as its two products, as the unfused one shows them."""
        rows, inner, columns = query.shape[-2], query.shape[-1], key.shape[-2]
        batch = prod(query.shape[:-2])
        self._gemm(operator, rows, columns, inner, batch)
        self._gemm(operator, rows, value.shape[-1], columns, batch)

    def _gemm(self, operator: str, m: int, n: int, k: int, batch: int, weight: Any = None) -> None:
        if min(m, n, k, batch) > 0:  # an empty product launches nothing
            name, origin = self._name(operator, weight is not None)
            self.ops.append(Gemm(name=name, m=m, n=n, k=k, batch=batch, weight_operand=weight, origin=origin))

    def _convolution(self, operator: str, args: tuple[Any, ...]) -> None:
        """Record a 1-D or 2-D convolution (1-D is one row high); with filters computed from the input, its GEMM."""
        image, filters, _, stride, padding, dilation, transposed, _, groups = args[:9]
        axes = image.dim() - 2
        if transposed or axes not in (1, 2):
            self._miss(f"aten.{operator} ({'transposed, ' if transposed else ''}{axes}-D)")
            return
        if image.numel() == 0:
            return
        weight = self._constants.is_weight(filters)
        name, origin = self._name(operator, weight)
        h, w = _rows_columns(image.shape[2:], axes, 1)
        r, s = _rows_columns(filters.shape[2:], axes, 1)
        sizes: dict[str, Any] = {
            "batch": image.shape[0],
            "c": image.shape[1],
            "h": h,
            "w": w,
            "k": filters.shape[0],
            "r": r,
            "s": s,
        }
        steps = {"stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1)}
        pairs: dict[str, Any] = {field: _rows_columns(values, axes, row) for field, (values, row) in steps.items()}
        conv = Conv2d(name=name, **sizes, **pairs, groups=groups, origin=origin)
        self.ops.append(conv if weight else conv.gemm().changed(weight_operand=None))

    def _name(self, operator: str, weight: bool) -> tuple[str, str]:
        """Return a name no other operation has (module path first), and the origin: the class of the module, and its operator."""
        path, module = self._stack[-1]
        part = "matmul" if operator in PRODUCTS else "conv" if operator in CONVOLUTIONS else "attention"
        leaf = weight and path and next(module.children(), None) is None
        name = path if leaf else f"{path}.{part}".removeprefix(".")
        self._names[name] += 1
        times = self._names[name]
        return name if times == 1 else f"{name}#{times}", f"{type(module).__name__}: aten.{operator}"

    def _miss(self, operator: str) -> None:
        path = self._stack[-1][0]
        self.unhandled.append(f"{path}: {operator}".removeprefix(": "))


def multiplies(operator: str) -> bool:
    """Whether an operator of this name multiplies and accumulates."""
    return operator in PRODUCTS or any(MULTIPLIES.fullmatch(part) for part in operator.split("_"))


def _address(tensor: torch.Tensor) -> int:
    """Return what tells one storage from another; views share it, and meta tensors have one too."""
    address: int = tensor.untyped_storage()._cdata
    return address


def _rows_columns(values: Sequence[int], axes: int, row: int) -> tuple[int, int]:
    """Return a value for each of two axes: ``row`` stands for the missing one, and one value is for both."""
    if axes == 1:
        return row, int(values[0])
    return int(values[0]), int(values[-1])
