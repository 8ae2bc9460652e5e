"""Is every public name of the wing what it says, whatever was imported before?"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

from stcsim import numerics


def test_every_public_name_is_a_function_or_type() -> None:
    for name in numerics.__all__:
        importlib.import_module(f"stcsim.numerics.{numerics._HOMES[name]}")
        assert callable(getattr(numerics, name)), name
    assert dir(numerics) == sorted(numerics.__all__)


def test_no_module_hides_a_public_name() -> None:
    assert not {module.name for module in pkgutil.iter_modules(numerics.__path__)} & set(numerics.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'stcsim.numerics' has no attribute 'mma_dense'"):
        _ = numerics.mma_dense


def test_importing_the_wing_is_light() -> None:
    code = "import sys, stcsim.numerics; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
