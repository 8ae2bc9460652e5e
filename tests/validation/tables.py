"""Where measured and published tables lie beside this checkout; tests that read them are skipped where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

_DATA = Path(__file__).parents[3] / "shared" / "data"
MEASURED = _DATA / "silicon"
PUBLISHED = _DATA / "microbench"

needs_measured = pytest.mark.skipif(not MEASURED.is_dir(), reason=f"no measured tables in {MEASURED}")
needs_published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published microbenchmarks in {PUBLISHED}")
