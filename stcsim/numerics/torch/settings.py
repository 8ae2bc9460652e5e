"""How a network is run: the GPU, the types, which layers are 2:4, and what differs from layer to layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, UnsupportedError, closest, quoted
from stcsim.isa import DTYPES, DType, code_dtype, instructions
from stcsim.isa.capabilities import ArchLike, capability
from stcsim.isa.instructions import Instruction
from stcsim.numerics.orders import Order
from stcsim.numerics.orders import order as to_order
from stcsim.words import Blocking, text, texts, word

SAME, AUTO, NONE = "same", "auto", "none"
"""Words of ``output`` and ``sparse``."""
OPERANDS = ("fp16", "bf16", "tf32", "int8", "e4m3", "e5m2")
"""Types of operands: those that a tensor can be rounded to, and tensor cores take."""
RESULTS = ("fp16", "bf16", "fp32")
"""Types of results."""
REFERENCES = ("layer", "network", NONE)
"""What errors are counted against."""


@dataclass(frozen=True, slots=True)
class Scales:
    """The largest magnitudes that a layer's operands are quantised for; a scale is one of them over the type's largest number.

    Attributes:
        activation: of the activations, one number for the tensor.
        weight: of the weights, (m,) one for each output channel, or one number for all. Where both factors are activations, that
            of the second.
    """

    activation: float
    weight: float | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Settings:
    """How one product runs.

    Attributes:
        arch: compute capability.
        dtype: element type of both operands.
        acc_dtype: of the accumulator.
        sparse: whether a weight that is 2:4 runs the sparse instruction.
        blocking: of sparse instructions, as in ``mma_sp``.
        order: in which a kernel adds, as in ``gemm``.
        output: type of the result, ``"same"`` for what kernels of ``dtype`` write.
        skip: leave the product to PyTorch.
        workers: threads of the engine.
    """

    arch: str
    dtype: str
    acc_dtype: str
    sparse: bool = False
    blocking: str = Blocking.KEPT
    order: Order = Order()
    output: str = SAME
    skip: bool = False
    workers: int | None = None

    @property
    def form(self) -> DType:
        """The row of the operands' type."""
        return DTYPES[self.dtype]

    def instruction(self, sparse: bool) -> Instruction:
        """Return the instruction that a product is built from.

        Raises:
            UnsupportedError: when the GPU has none.
        """
        return instructions.gemm_instruction(self.arch, self.acc_dtype, self.dtype, self.dtype, sparse)

    def has_sparse(self) -> bool:
        """Whether the GPU has a 2:4 instruction of these types."""
        try:
            self.instruction(sparse=True)
        except UnsupportedError:
            return False
        return True

    def output_type(self, model_type: str) -> str:
        """Return the type that results are rounded to in a network of tensors of ``model_type``.

        Kernels of 8-bit types write the 16-bit type that the network computes in, fp16 (int8) or bf16 (fp8) where it has none.
        """
        if self.output != SAME:
            return self.output
        if not self.form.needs_scale:
            return self.form.out
        return model_type if model_type in ("fp16", "bf16") else "bf16" if self.form.is_float else "fp16"


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of a whole network.

    Attributes:
        base: of a layer that no pattern names.
        sparse: patterns of the layers that run 2:4 where they can; ``None`` for every layer that can.
        skip: patterns of the products that PyTorch computes.
        layers: settings of the layers that a pattern names; the first that fits counts.
        scales: of layers by name or pattern.
        reference: ``"layer"``, ``"network"`` or ``"none"``.
    """

    base: Settings
    sparse: tuple[str, ...] | None
    skip: tuple[str, ...]
    layers: Mapping[str, Mapping[str, Any]]
    scales: Mapping[str, Scales]
    reference: str

    def settings(self, name: str) -> Settings:
        """Return the settings of the product called ``name``."""
        wanted = self.sparse is None or _first(self.sparse, name) is not None
        own = replace(self.base, sparse=wanted, skip=_first(self.skip, name) is not None)
        pattern = _first(self.layers, name)
        return own if pattern is None else _changed(own, self.layers[pattern], f"layers['{pattern}']")

    def scales_of(self, name: str) -> Scales | None:
        """Return the scales that were given for ``name``."""
        pattern = _first(self.scales, name)
        return None if pattern is None else self.scales[pattern]

    def check_names(self, names: Iterable[str]) -> None:
        """Refuse a pattern that named no product of the network that ran.

        Raises:
            StcsimError: at the first.
        """
        ran = list(names)
        for argument, patterns in (
            ("sparse", self.sparse or ()),
            ("skip", self.skip),
            ("layers", self.layers),
            ("scales", self.scales),
        ):
            for pattern in patterns:
                if not any(_fits(name, pattern) for name in ran):
                    expected = "names or patterns of products that ran"
                    raise StcsimError(argument, expected, f"{quoted(pattern)}{closest(pattern, ran)}")


def make_plan(
    arch: ArchLike,
    dtype: str,
    acc_dtype: str | None,
    sparse: str | Iterable[str] | None,
    blocking: str,
    order: Order | str | None,
    output: str,
    scales: Mapping[str, Scales] | None,
    skip: str | Iterable[str],
    layers: Mapping[str, Mapping[str, Any]] | None,
    reference: str | None,
    workers: int | None,
) -> Plan:
    """Return checked settings; arguments as ``datapath``.

    Raises:
        UnsupportedError: when a word is none, or the GPU has no instruction for the types.
    """
    name = _operand_type(dtype)
    base = Settings(capability(arch), name, DTYPES[name].acc, workers=workers)
    changes = {"blocking": blocking, "order": order, "output": output, **({} if acc_dtype is None else {"acc_dtype": acc_dtype})}
    base = _changed(base, changes, "")
    patterns = _sparse_patterns(sparse)
    if patterns and not base.has_sparse():
        base.instruction(sparse=True)  # says what there is instead
    for pattern, own in (layers or {}).items():
        _changed(base, own, f"layers['{pattern}']")
    taken = NONE if reference is None else text(reference, "reference", "a text").lower()
    if taken not in REFERENCES:
        raise UnsupportedError("reference", f"one of {', '.join(REFERENCES)}", f"{quoted(reference)}{closest(taken, REFERENCES)}")
    return Plan(base, patterns, texts(skip, "skip", "names of layers"), dict(layers or {}), _checked_scales(scales), taken)


def _changed(base: Settings, changes: Mapping[str, Any], where: str) -> Settings:
    """Return the settings with some of them changed and checked."""
    known = [each.name for each in fields(Settings) if each.name not in ("arch", "workers")]
    own = dict(changes)
    for key in own:
        if key not in known:
            raise UnsupportedError(
                where or key, f"settings of a layer ({', '.join(known)})", f"{quoted(key)}{closest(key, known)}"
            )
    if "dtype" in own:
        own["dtype"] = _operand_type(own["dtype"])
        own.setdefault("acc_dtype", DTYPES[own["dtype"]].acc)
    if "acc_dtype" in own:
        own["acc_dtype"] = code_dtype(own["acc_dtype"], "acc_dtype", lambda row: row.is_accumulator).name
    if "blocking" in own:
        own["blocking"] = word(Blocking, own["blocking"], "blocking")
    if "order" in own:
        own["order"] = to_order(own["order"])
    if own.get("output", SAME) != SAME:
        own["output"] = code_dtype(own["output"], "output", lambda row: row.name in RESULTS).name
    changed = replace(base, **own)
    changed.instruction(sparse=False)
    return changed


def _operand_type(name: str) -> str:
    """Return the type that is called ``name``, which a tensor core takes and a tensor can be encoded in."""
    return code_dtype(name, "dtype", lambda row: row.name in OPERANDS).name


def _sparse_patterns(sparse: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Return patterns of layers that run 2:4, ``None`` for all that can."""
    if sparse is None or sparse == NONE:
        return ()
    return None if sparse == AUTO else texts(sparse, "sparse", "'auto', 'none', or names of layers")


def _checked_scales(scales: Mapping[str, Scales] | None) -> dict[str, Scales]:
    """Return scales that are all positive numbers."""
    known = dict(scales or {})
    for name, each in known.items():
        if not isinstance(each, Scales):
            raise StcsimError(f"scales['{name}']", "Scales(activation, weight)", quoted(type(each).__name__))
        for part in ("activation", "weight"):
            numbers = _singles(getattr(each, part))
            if numbers is None or numbers.ndim > 1 or not np.all(np.isfinite(numbers) & (numbers >= 0)):
                raise StcsimError(f"scales['{name}']: {part}", "largest magnitudes from 0 on", quoted(getattr(each, part)))
    return known


def _singles(given: Any) -> npt.NDArray[np.float32] | None:
    """Return numbers in fp32, ``None`` where they are none."""
    try:
        array = np.asarray(given)
        with np.errstate(over="ignore"):
            return array.astype(np.float32) if array.dtype.kind in "fiub" else None
    except (ValueError, TypeError, OverflowError):
        return None


def _first(patterns: Iterable[str], name: str) -> str | None:
    return next((each for each in patterns if _fits(name, each)), None)


def _fits(name: str, pattern: str) -> bool:
    """Say whether a pattern names a product: by its whole name, by that of its module, or whichever call it was."""
    plain = name.partition("#")[0]
    return fnmatchcase(name, pattern) or fnmatchcase(plain, pattern)
