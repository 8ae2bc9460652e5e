"""Compiled functions whose machine code is kept on disk; a broken file there is written anew, not fatal.

Every module that compiles with numba takes ``compiled`` and ``inlined`` from here, so that what can go wrong with numba itself
(its settings, its cache) is met in one place.
"""

from __future__ import annotations

import os
from typing import Any

from stcsim.errors import StcsimError

_THREADS = "NUMBA_NUM_THREADS"
_EXPECTED = "values that numba takes in the variables NUMBA_…"

if not (os.environ.get(_THREADS) or "1").isdecimal() or not int(os.environ.get(_THREADS) or "1"):
    del os.environ[_THREADS]  # nothing here runs on threads of numba, which refuses to be imported with 0 of them

try:
    import numba
    from numba.core import caching
except ImportError:
    raise
except Exception as error:  # numba reads its settings when it is imported
    raise StcsimError("environment", _EXPECTED, str(error).rstrip(".")) from None

_FunctionCache: Any = caching.FunctionCache


class _MendingCache(_FunctionCache):  # type: ignore[misc]
    """A cache that takes a file which cannot be read, cut short or overwritten, for one that is not there."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code of one signature, ``None`` where there is none that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling half a file or other bytes comes to
            self._forget()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the machine code of one signature, if it can be kept."""
        try:
            super().save_overload(sig, data)
        except Exception:
            self._forget()

    def _forget(self) -> None:
        """Empty the index, so that what it names is compiled again and written over."""
        try:
            self.flush()
        except OSError:  # a folder that may not be written to: the code lives in memory only
            pass


def compiled(**options: Any) -> Any:
    """Return a decorator that compiles a function without Python objects, keeps the machine code, and divides as numpy does.

    Args:
        options: of ``numba.njit`` beside ``cache`` and ``error_model``.

    Raises:
        StcsimError: when the settings of numba are none that it takes, or no folder can hold the machine code.
    """

    def compile_later(function: Any) -> Any:
        try:
            dispatcher = numba.njit(cache=True, error_model="numpy", **options)(function)
        except RuntimeError as error:  # settings of the cache, or no folder that could hold it
            raise StcsimError("environment", _EXPECTED, str(error)) from None
        if hasattr(dispatcher, "_cache"):  # NUMBA_DISABLE_JIT gives the function itself back
            dispatcher._cache = _MendingCache(dispatcher.py_func)
        return dispatcher

    return compile_later


def inlined(**options: Any) -> Any:
    """Return a decorator for what is compiled as a part of its callers; options as ``compiled``."""
    return numba.njit(inline="always", error_model="numpy", **options)
