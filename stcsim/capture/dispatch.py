"""Sees every operator a module runs: a dispatch mode over aten, meant for tensors without data (meta).

In inference mode operators made of others arrive whole; those that one kernel does on a GPU are kept so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, Self

import torch
from torch import nn
from torch._ops import HigherOrderOperator
from torch.jit import ScriptModule
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stcsim.capture.attention import flex_on_shapes, flex_outputs
from stcsim.capture.drafts import Call, Draft
from stcsim.capture.modes import Literals
from stcsim.capture.operators import KINDS, baked, operation_of, outputs_of, own_weights, reads_shape, result_role, stays_whole
from stcsim.capture.products import READERS, read_product
from stcsim.capture.steps import COPIES, OVERWRITES, read_step
from stcsim.capture.storages import Storages, is_float
from stcsim.capture.unhandled import Unhandled, least_macs, multiplying, stays_step
from stcsim.capture.values import TAKEN, Values
from stcsim.trace import Op

#: What products of flexible attention are called here.
FLEX = "scaled_dot_product_attention"

#: Libraries whose operators that multiply are all called so.
OWN = ("aten", "prim", "prims", "torchvision", "quantized")

#: Operators that do nothing but in training.
TRAINING = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")

#: Untyped in torch; said here so that it is the same to a type checker where torch is not installed.
DispatchMode: Any = TorchDispatchMode


class Recorder(DispatchMode):  # type: ignore[misc, unused-ignore]
    """Makes a line of every product and of every step on activations in one forward pass of ``module``.

    Left out are views, and what makes no floating-point numbers that depend on the network's input: constants, which are
    folded when an engine is built, and masks, positions and ids, which are made of integers.

    Attributes:
        ops: in the order they ran, each with the operations it reads; what scales with the batch is still unknown.
        unhandled: operators that multiply but have no operation here, with their module.
        folded: multiply-accumulates of each product of parameters, which is no operation, by its place.
        notes: what else a reader must know, each once.
    """

    supports_higher_order_operators = True

    def __init__(self, module: nn.Module, values: Values | None = None, kept: Collection[str] = ()) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self._read: set[str] = set()
        self.folded: dict[str, int] = {}
        self._kept = kept
        self._calls: Counter[str] = Counter()
        self.notes: dict[str, None] = {}
        self.values = values or Values()
        self.unhandled = Unhandled()
        self._module = module
        self._storages = Storages()
        self._stack: list[tuple[str, nn.Module]] = [("", module)]
        self._names: Counter[str] = Counter()
        self._weights: dict[tuple[int, ...], str] = {}
        self._operator = ""
        self._running = False

    @property
    def place(self) -> str:
        """Where the network stopped: at an operator or after the last one, and the module that is in."""
        last = f"{'at' if self._running else 'after'} {self._operator}" if self._operator else "before any operator"
        return f"{last} in {self._stack[-1][0] or 'the network itself'}"

    def run(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Self:
        """Run the module once and watch; each module says when it begins and ends."""
        self._storages.add_module(self._module, recurse=True)
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        self._storages.add_inputs(inputs)
        self.values.feed(inputs)
        self.values.forget(each for each in self._module.parameters() if not nn.parameter.is_lazy(each))
        hooks = []
        for path, module in self._module.named_modules():
            if isinstance(module, ScriptModule):  # which takes no hooks
                self._storages.add_weights(baked(module))
                continue
            hooks.append(module.register_forward_pre_hook(self._enter_module(path)))
            hooks.append(module.register_forward_hook(self._leave_module))
        try:
            with Literals(self.values), flex_on_shapes(), self:
                out = self._module(*args, **(kwargs or {}))
            self._drop_dead()
            del out  # what it holds is not dead
        finally:
            for hook in hooks:
                hook.remove()
        return self

    def _drop_dead(self) -> None:
        """Leave out operations whose results nothing reads and nothing holds."""
        needed = self._read.union(self._storages.held())
        for op in reversed(self.ops):
            if op.name in needed:
                needed.update(op.inputs)
        dead = sum(op.macs * op.count for op in self.ops if op.name not in needed)
        self.ops = own_weights([op for op in self.ops if op.name in needed])
        if dead:
            self.notes.setdefault(f"products whose results nothing reads are left out ({dead:,} MACs)")

    def told(self) -> list[str]:
        """Return what a reader of the trace must know."""
        times, macs = len(self.folded), sum(self.folded.values())
        what = (
            f"{times} products of parameters ({macs:,} MACs) are" if times > 1 else f"a product of parameters ({macs:,} MACs) is"
        )
        folded = [f"{what} folded, made once when an engine is built"] if times else []
        return [*folded, *self.notes, *(TAKEN[trust] for trust in sorted(self.values.looked_at))]

    def _enter_module(self, path: str) -> Any:
        def enter(module: nn.Module, _: object) -> None:
            self._stack.append((path, module))
            self._storages.add_module(module, recurse=False)

        return enter

    def _leave_module(self, *_: object) -> None:
        self._stack.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operator, and record what it is."""
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return self._higher_order(func, args, kwargs)
        operator = func._schema.name.split("::")[-1]
        operator = operator if operator.startswith("__") else operator.removesuffix("_")
        self._operator, self._running = f"{func.namespace}.{operator}", True
        if operator in TRAINING and not (args[2] if len(args) > 2 else kwargs.get("train")):
            return args[0]
        if not stays_whole(func.namespace, operator):
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = self.values.run(func, partial(outputs_of, func, operator), args, kwargs)
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if not outputs:  # a value that leaves the network, or a check
            self._read.update(self._storages.sources(inputs))
        changes = func._schema.is_mutable
        if changes or not self._storages.shares(outputs, inputs):  # else a view
            written = outputs or inputs  # some that write in place return nothing
            self._observe(func.namespace, Call(operator, args, kwargs, written, self._storages, self.values), inputs, changes)
        self._running = False
        return out

    def _higher_order(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run an operator that takes functions: flexible attention is one of attention; what others do inside is not seen."""
        self._operator, self._running = f"higher_order.{func.name()}", True
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if func.name() == "flex_attention":
            out = flex_outputs(args)
            call = Call(FLEX, (*args[:3], None), {}, out, self._storages, self.values)
            self._observe("aten", call, args[:3], in_place=False)
            self.notes.setdefault("flex_attention is counted with all of its blocks, masked or not")
        else:
            self._miss(self._operator, tensors)
            out = func(*args, **kwargs)
        self._running = False
        return out

    def _observe(self, namespace: str, call: Call, inputs: Sequence[torch.Tensor], in_place: bool) -> None:
        """Record an operator that multiplies or makes activations, and remember what its results are."""
        active = any(self._storages.role(tensor) == "activation" for tensor in inputs)
        if self._multiplies(namespace, call.operator, inputs):
            known = namespace == "aten" or call.operator == "grouped_mm_fallback"
            drafts = read_product(call) if known else None
            if self._folds(call, inputs, drafts or ()):
                drafts, active = [], False
            elif drafts is None:
                self._miss(f"{namespace}.{call.operator}", inputs)
            if drafts is None and stays_step(call.operator):
                drafts, active = [], False
            if drafts is None or active or any(draft.weight is not None for draft in drafts):
                names = self._products(drafts or [], call) or self._storages.sources(inputs)
                for tensor in call.outputs:
                    self._storages.write(tensor, "activation" if is_float(tensor) else "index", names)
                return
        role, weight = result_role(call, inputs)
        names = ()
        if role == "activation" and any(map(is_float, call.outputs)):
            names = (self._step(call, inputs, in_place),)
        elif not reads_shape(call.operator):  # what is chosen or compared is read, though no operation does it
            self._read.update(self._storages.sources(inputs))
        copied = self._storages.distinct(inputs[0]) if call.operator in COPIES else 0
        for tensor in call.outputs:
            content = "index" if role == "activation" and not is_float(tensor) else role
            self._storages.write(tensor, content, names, weight, copied)

    def _folds(self, call: Call, inputs: Sequence[torch.Tensor], drafts: Sequence[Draft]) -> bool:
        """Whether this is a product of parameters and constants alone; its result is made once, when an engine is built."""
        place = f"{self._stack[-1][0]}: {call.operator}"
        self._calls[place] += 1
        place += f" {self._calls[place]}"
        constant = all(self._storages.role(tensor) == "constant" for tensor in inputs)
        if place in self._kept or not constant or not any(map(self._storages.is_weight, inputs)):
            return False
        self.folded[place] = sum(operation_of(draft, "folded").macs * draft.fields.get("count", 1) for draft in drafts)
        return True

    def _products(self, drafts: Sequence[Draft], call: Call) -> tuple[str, ...]:
        """Record what one operator multiplies; return the operations whose output no other of them reads."""
        names: list[str] = []
        for draft in drafts:
            says_it = draft.weight is not None and draft.part in ("matmul", "conv") and self._is_leaf()
            tensors = [each for each in draft.reads if isinstance(each, torch.Tensor)]
            within = [names[each] for each in draft.reads if isinstance(each, int)]
            fields: dict[str, Any] = dict(draft.fields)
            name = self._name("" if says_it else draft.part)
            if draft.weight is not None:
                owner = self._weights.setdefault(self._storages.part(draft.weight), name)
                fields["weight_of"] = owner if owner != name else ""
            fields["inputs"] = tuple(dict.fromkeys((*within, *self._storages.sources(tensors))))
            self._add(draft.kind, name, call.operator, fields)
            names.append(name)
        read = {each for draft in drafts for each in draft.reads if isinstance(each, int)}
        return tuple(name for place, name in enumerate(names) if place not in read)

    def _step(self, call: Call, inputs: Sequence[torch.Tensor], in_place: bool) -> str:
        """Record a step that hardly computes, and return its name."""
        step = read_step(call, inputs, in_place)
        says_it = self._is_leaf() and type(self._stack[-1][1]).__module__.startswith("torch.nn.")
        name = self._name("" if says_it else step.operator)
        read = inputs[1:] if call.operator in OVERWRITES else inputs
        fields = {
            "operator": step.operator,
            "elements_read": step.read,
            "elements_written": step.written,
            "constant_elements": step.constant,
            "inputs": self._storages.sources(read),
        }
        self._add("memory", name, call.operator, fields)
        return name

    def _add(self, kind: str, name: str, operator: str, fields: dict[str, Any]) -> None:
        """Append one operation; a module that says it stands for several launches multiplies the count."""
        launches = prod(int(getattr(module, "launches", 1)) for module in dict(self._stack).values())
        fields["count"] = fields.get("count", 1) * launches
        origin = f"{type(self._stack[-1][1]).__name__}: {self._operator}"
        self.ops.append(KINDS[kind](name=name, origin=origin, **fields))

    def _name(self, part: str) -> str:
        """Return a name no other operation has: the path of the module, and what is done there unless that says it."""
        name = ".".join(filter(None, (self._stack[-1][0], part)))
        self._names[name] += 1
        times = self._names[name]
        return name if times == 1 else f"{name}#{times}"

    def _is_leaf(self) -> bool:
        """Whether the network is in a module that has a path and stands for one operation."""
        path, module = self._stack[-1]
        return bool(path) and next(module.children(), None) is None and not isinstance(module, nn.RNNCellBase)

    def _multiplies(self, namespace: str, operator: str, inputs: Sequence[torch.Tensor]) -> bool:
        """Whether an operator multiplies: its name says so, or it is a foreign one that reads a matrix of weights."""
        if operator in READERS or multiplying(operator):
            return True
        return namespace not in OWN and any(tensor.dim() > 1 and self._storages.is_weight(tensor) for tensor in inputs)

    def _miss(self, operator: str, inputs: Sequence[torch.Tensor]) -> None:
        shapes = [tuple(tensor.shape) for tensor in inputs]
        self.unhandled.miss(self._stack[-1][0], operator, least_macs=least_macs(operator, shapes))
