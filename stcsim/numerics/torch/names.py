"""Where in a network a product stands: the path of the module that runs, from hooks that see every module."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


class Places:
    """The modules that are running, and names that no other product has.

    The first module that is called gives the paths; what runs outside of any module is called by its operator and a number.

    Args:
        before: is told every outermost module before it runs.
        after: is told every outermost module and its arguments after it ran without an error.
    """

    def __init__(
        self, before: Callable[[nn.Module], None], after: Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]
    ) -> None:
        """Start outside of any module."""
        self._before, self._after, self._thread = before, after, threading.get_ident()
        self._stack: list[tuple[str, nn.Module]] = []
        self._paths: dict[int, str] = {}
        self._parameters: dict[int, str] = {}
        self._counts: Counter[str] = Counter()
        self._marked: Counter[str] = Counter()
        self._hooks: list[Any] = []

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._hooks = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, with_kwargs=True, always_call=True),
        ]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()

    def again(self) -> None:
        """Give the names of the last outermost module once more, as it runs a second time."""
        self._counts = Counter(self._marked)

    def name(self, part: str, alone: bool = True, weight: torch.Tensor | None = None) -> str:
        """Return a new name for a product.

        Args:
            part: what is multiplied.
            alone: a module without children says it by its path.
            weight: a parameter, which says it where the module does not.
        """
        path, module = self._stack[-1] if self._stack else ("", None)
        if not (alone and path and module is not None and _is_one_operator(module)):
            path = self._parameters.get(id(weight)) or ".".join(filter(None, (path, part)))
        self._counts[path] += 1
        return path if self._counts[path] == 1 else f"{path}#{self._counts[path]}"

    def _enter(self, module: nn.Module, _: tuple[Any, ...]) -> None:
        if threading.get_ident() != self._thread:
            return
        if not self._stack:
            self._paths = {id(each): path for path, each in module.named_modules()}
            self._parameters = {id(each): _module_of(path) for path, each in module.named_parameters()}
            self._marked = Counter(self._counts)
            self._before(module)
        self._stack.append((self._paths.get(id(module), ""), module))

    def _leave(self, module: nn.Module, *rest: Any) -> None:
        if threading.get_ident() != self._thread or not self._stack or self._stack[-1][1] is not module:
            return
        self._stack.pop()
        if not self._stack and len(rest) == 3:  # after an error PyTorch leaves out what the module was called with by name
            self._after(module, *rest[:2])


def _module_of(parameter: str) -> str:
    """Return the module whose weight a parameter is, none for that of the network itself; else the parameter's own path."""
    path, _, name = parameter.rpartition(".")
    return path if name == "weight" else parameter


def _is_one_operator(module: nn.Module) -> bool:
    """Say whether a module stands for one operator: no children (but quantisers and the like), and no more than one weight."""
    known = isinstance(module, nn.Linear | _ConvNd) or next(module.children(), None) is None
    return known and sum(each.dim() > 1 for each in module.parameters(recurse=False)) < 2
