"""One folder in which the documents' commands run, for all tests of this process: a command that two pages show runs once."""

from __future__ import annotations

import pytest

from tests.docs.workshop import Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("documents"))
