"""Tests of ``stcsim check``, which compares with PyTorch: all of them are skipped where it is absent."""

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")
