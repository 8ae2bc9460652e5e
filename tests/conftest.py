"""What all tests share: kernels are compiled before workers start, the garbage collector has little to do, widths are given."""

from __future__ import annotations

import gc
import os

import pytest

os.environ.pop("COLUMNS", None)  # set for the processes of pytest-xdist; a test that wants a width sets it

_LONGEST_FIRST = ("validation", "bounds", "numerics", "fuzz")
"""Folders with the longest modules: where these are handed out first, workers end together."""


def pytest_configure(config: pytest.Config) -> None:
    """Compile into the cache what workers would all compile at once: safe, since numba replaces files whole, but slow."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        import numpy as np

        from stcsim.numerics import mma_sp, permute_channels
        from stcsim.numerics.examples import example
        from stcsim.timing.engine import fast

        fast.warm_up()
        mma_sp("mma.sp.m16n8k32.f32.f16.f16.f32", *example("mma.sp.m16n8k32.f32.f16.f16.f32", 0), arch="sm_80")
        permute_channels(np.ones((32, 64), np.float16))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Hand out the longest modules first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: [name not in item.path.parts for name in _LONGEST_FIRST])


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over modules and tests, and look less often: a sixth of all time went to it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
