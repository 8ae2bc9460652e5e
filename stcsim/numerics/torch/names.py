"""Where in a network a product stands: the path of the module that runs, from hooks that see every module."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from torch import nn
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

    def name(self, part: str, alone: bool) -> str:
        """Return a new name for a product.

        Args:
            part: what is multiplied.
            alone: a module without children says it by its path.
        """
        path, module = self._stack[-1] if self._stack else ("", None)
        says_it = alone and path and module is not None and next(module.children(), None) is None
        name = path if says_it else ".".join(filter(None, (path, part)))
        self._counts[name] += 1
        return name if self._counts[name] == 1 else f"{name}#{self._counts[name]}"

    def _enter(self, module: nn.Module, _: tuple[Any, ...]) -> None:
        if threading.get_ident() != self._thread:
            return
        if not self._stack:
            self._paths = {id(each): path for path, each in module.named_modules()}
            self._marked = Counter(self._counts)
            self._before(module)
        self._stack.append((self._paths.get(id(module), ""), module))

    def _leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
        if threading.get_ident() != self._thread or not self._stack or self._stack[-1][1] is not module:
            return
        self._stack.pop()
        if not self._stack and output is not None:
            self._after(module, args, kwargs)
