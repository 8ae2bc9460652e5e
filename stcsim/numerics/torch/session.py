"""One run of a network: sends each product through the datapath and writes its row, or computes it in fp32 to compare with."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from stcsim.errors import StcsimError
from stcsim.numerics.torch.deviations import errors_of
from stcsim.numerics.torch.names import Places
from stcsim.numerics.torch.operands import Encoded, WeightCache, compressed, encode_factor
from stcsim.numerics.torch.products import TYPES, Product, run_product
from stcsim.numerics.torch.record import Errors, LayerRecord, NotSimulated, Record
from stcsim.numerics.torch.settings import Plan, Scales, Settings

_THREADED_MACS = 1 << 28
"""Products of fewer multiply-accumulates are compared on one thread."""


@dataclass(frozen=True, slots=True)
class _Operands:
    """Both factors as codes, and where the scales are from."""

    a: Encoded
    b: Encoded
    scales: str

    @property
    def k(self) -> int:
        """The length of the reduction."""
        return int(self.b.codes.shape[-2])


class Session:
    """What the products of one ``with`` block share.

    Args:
        plan: how the network runs.
        keep_outputs: keep the results of every product.
    """

    def __init__(self, plan: Plan, keep_outputs: bool = False) -> None:
        """Start with nothing run."""
        self.plan, self.record = plan, Record(plan.reference)
        self.threads = torch.get_num_threads()
        self.places = Places(self._before, self._after)
        self.outputs: dict[str, torch.Tensor] = {}
        self.names: list[str] = []
        self._cache, self._keep = WeightCache(), keep_outputs or plan.reference == "network"
        self._rows: dict[str, int] = {}
        self._exact = False

    def run(self, product: Product, alone: bool = True) -> torch.Tensor:
        """Return the results of one product.

        Args:
            product: what is computed.
            alone: the product is all that its operator does, so that a module of one operator gives it its name.

        Raises:
            StcsimError: when gradients are enabled, or an operand cannot be encoded.
        """
        if torch.is_grad_enabled():
            raise StcsimError("datapath", "a forward pass under torch.no_grad() or torch.inference_mode()", "gradients enabled")
        name = self.places.name(product.part, alone, product.left.owner)
        if self._exact:
            return self._compare(name, product)
        self.names.append(name)
        settings = self.plan.settings(name)
        if settings.skip:
            self.leave_out(name, product.kind, "it was to be left to PyTorch (skip)")
            return product.exact()
        return self._simulated(name, product, settings)

    def leave_out(self, name: str, operator: str, why: str) -> None:
        """Write down a product that PyTorch computes."""
        if not self._exact:
            self.record.not_simulated.append(NotSimulated(name, operator, why))

    def note(self, operator: str, why: str) -> None:
        """Write down an operator that PyTorch computes where the network is."""
        name = self.places.name(operator, alone=False)
        if not self._exact:
            self.names.append(name)
        self.leave_out(name, operator, why)

    def _simulated(self, name: str, product: Product, settings: Settings) -> torch.Tensor:
        """Return what the datapath computes, and write its row."""
        start = time.perf_counter()
        operands = self._operands(name, product, settings)
        output = "fp32" if product.in_fp32 else settings.output_type(_type_of(product.right.tensor))
        d = run_product(product, settings, operands.a, operands.b, output)
        result = product.finish(d)
        seconds = time.perf_counter() - start
        errors = None
        if self.plan.reference == "layer":
            errors = errors_of(result, self._exactly(product, d.numel() * operands.k), output)
        if self._keep:
            self.outputs[name] = result
        self._rows[name] = len(self.record.layers)
        self.record.layers.append(_row(name, product, settings, operands, d, seconds, errors))
        return result

    def _operands(self, name: str, product: Product, settings: Settings) -> _Operands:
        """Return both factors as codes."""
        form, given = settings.form, self.plan.scales_of(name)
        first, second = _largest(given, product)

        def weight() -> Encoded:
            encoded = encode_factor(product.left, form, first, f"{name}: A")
            if not settings.sparse:
                return encoded
            why = _why_not_sparse(product, settings)
            return encoded._replace(why_dense=why) if why else compressed(encoded, form, product.channels)

        a = self._cache.get(product.left, (product.kind, form.name, settings.sparse, name if given else ""), weight)
        b = encode_factor(product.right, form, second, f"{name}: B")
        return _Operands(a, b, "none" if not form.needs_scale else "given" if given else "dynamic")

    def _exactly(self, product: Product, macs: int) -> torch.Tensor:
        """Return a product in fp32, on all threads where that is worth it."""
        torch.set_num_threads(self.threads if macs >= _THREADED_MACS else 1)
        exact = product.exact()
        torch.set_num_threads(1)
        return exact

    def _before(self, network: nn.Module) -> None:
        """Refuse a network that is being trained."""
        if getattr(network, "training", False):  # a frozen script does not say
            raise StcsimError("datapath", "a network in evaluation: call model.eval()", "one in training mode")
        self._cache.clear()

    def _after(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the network once more in fp32, and compare product by product."""
        if self.plan.reference != "network" or self._exact:
            return
        half = any(each.dtype in (torch.float16, torch.bfloat16) for each in network.parameters())
        self._exact = True
        self.places.again()
        try:
            whole = copy.deepcopy(network).float() if half else network
            whole(*_wide(args), **_wide(kwargs)) if half else whole(*args, **kwargs)
        finally:
            self._exact = False

    def _compare(self, name: str, product: Product) -> torch.Tensor:
        """Return a product in fp32, and write into its row how far the simulated one was from it."""
        exact = product.exact()
        if name in self._rows:
            at, ours = self._rows[name], self.outputs[name]
            row = self.record.layers[at]
            if ours.shape == exact.shape:
                self.record.layers[at] = replace(row, errors=errors_of(ours, exact, row.output))
            else:
                self.record.not_compared.append(name)
        return exact


def _row(
    name: str,
    product: Product,
    settings: Settings,
    operands: _Operands,
    d: torch.Tensor,
    seconds: float,
    errors: Errors | None,
) -> LayerRecord:
    """Return what is written down of one product."""
    a, b = operands.a, operands.b
    instruction = settings.instruction(a.sparse is not None)
    weight = product.left.owner is not None
    return LayerRecord(
        name=name,
        kind=product.kind,
        m=d.shape[-2],
        n=d.shape[-1],
        k=operands.k,
        batch=d.shape[:-2].numel(),
        sparse=instruction.sparse,
        why_dense=a.why_dense,
        dtype=settings.dtype,
        acc_dtype=settings.acc_dtype,
        output="fp32" if product.in_fp32 else settings.output_type(_type_of(product.right.tensor)),
        instruction=instruction.name,
        order=str(settings.order),
        seconds=seconds,
        scales=operands.scales,
        activations_beyond=b.beyond if weight else a.beyond + b.beyond,
        weights_beyond=a.beyond if weight else 0,
        not_finite=int(d.numel() - torch.isfinite(d).sum()),
        errors=errors,
    )


def _type_of(tensor: torch.Tensor) -> str:
    """Return our name of a tensor's type."""
    return next(name for name, each in TYPES.items() if each == tensor.dtype)


def _why_not_sparse(product: Product, settings: Settings) -> str:
    """Return why a layer that is to run 2:4 cannot, before its numbers are looked at."""
    if product.left.owner is None:
        return "no weight: both factors are activations"
    if not settings.has_sparse():
        return f"{settings.arch} has no 2:4 instruction for {settings.dtype} to {settings.acc_dtype}"
    return ""


def _largest(given: Scales | None, product: Product) -> tuple[Any, Any]:
    """Return the largest magnitudes of A and B."""
    if given is None:
        return None, None
    return (given.weight, given.activation) if product.left.owner is not None else (given.activation, given.weight)


def _wide(arguments: Any) -> Any:
    """Return arguments with floating-point tensors in fp32."""
    return tree_map(lambda each: each.float() if isinstance(each, torch.Tensor) and each.is_floating_point() else each, arguments)
