"""Data sets: are they what their makers say, and do their parts share nothing?"""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("scipy")

from stcsim.errors import StcsimError
from stcsim.workflow import datasets


def test_mnist1d_is_the_public_generators_number_for_number() -> None:
    generator = pytest.importorskip("mnist1d.data")
    public = generator.make_dataset(generator.get_dataset_args())
    x, y = datasets.mnist1d()
    assert np.array_equal(x, np.concatenate([public["x"], public["x_test"]]))
    assert np.array_equal(y, np.concatenate([public["y"], public["y_test"]]))


def test_mnist1d_has_its_published_shape_and_known_first_numbers() -> None:
    x, y = datasets.mnist1d(samples=50, seed=3)
    assert x.shape == (50, 40) and sorted(set(y)) == list(range(10)) and np.bincount(y).tolist() == [5] * 10
    assert abs(x.mean()) < 1e-12 and abs(x.std() - 1) < 1e-12
    assert not np.array_equal(x, datasets.mnist1d(samples=50, seed=4)[0])
    assert np.array_equal(x, datasets.mnist1d(samples=50, seed=3)[0])


def rows(part: datasets.Part) -> set[bytes]:
    return {sample.tobytes() for sample in part.x}


@pytest.mark.parametrize(("name", "sizes"), [("mnist1d", (3500, 500, 1000)), ("digits", (1050, 150, 597))])
def test_parts_share_no_sample(name: str, sizes: tuple[int, ...]) -> None:
    if name == "digits":
        pytest.importorskip("sklearn")
    data = datasets.load(name, 42, 1)
    parts = (data.train, data.validation, data.test)
    assert tuple(len(part.x) for part in parts) == sizes and data.classes == 10
    assert not rows(data.test) & (rows(data.train) | rows(data.validation)) and not rows(data.train) & rows(data.validation)
    assert data.digest == datasets.load(name, 42, 1).digest != datasets.load(name, 43, 1).digest


def test_text_is_all_of_the_manual_but_the_ends_of_its_parts() -> None:
    from pydoc_data.topics import topics

    data = datasets.load("text", 0, 64)
    for part in (data.train, data.validation, data.test):
        assert np.array_equal(part.x.ravel()[1:], part.y.ravel()[:-1]), "what is to be found is the next character"
    characters = sum(part.x.size for part in (data.train, data.validation, data.test))
    assert 0 <= sum(map(len, topics.values())) + len(topics) - characters <= 3 * 66
    assert data.classes == len(set("".join(topics.values())) | {"\n"})
    assert 0.05 < data.test.x.size / characters < 0.15


def test_a_data_set_without_its_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    datasets.check_installed("text")
    with pytest.raises(StcsimError, match=r"data set digits: expected scikit-learn \(install stcsim\[workflow\]\), found none"):
        datasets.check_installed("digits")
