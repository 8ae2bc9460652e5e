"""The data sets of the shipped recipes, made without a network: MNIST-1D, handwritten digits, and the text of Python's manual.

Each is cut into three parts: weights are trained on the first, choices (steps, rates, widths) were made on the second, and what
is reported is counted on the third.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
"""Heights of the ten digits drawn with one stroke, as the public generator has them."""
_PADDING, _LENGTH, _SHIFT = (36, 60), 40, 48
_SCALE, _CORRELATED, _NOISE, _SHEAR = 0.4, 0.25, 2e-2, 0.75
_TRAIN_SHARE = 0.8
_VALIDATION_SHARE = 0.125
"""Of what is not tested on."""
_TOPICS = 10
"""Of so many topics of the manual one is tested on and one validated on."""


@dataclass(frozen=True)
class Part:
    """Samples and what is to be found: for pictures a class each, for text the next character of each.

    Attributes:
        x: (samples, channels, …) float32, or (samples, length) int64 characters.
        y: (samples,) classes, or (samples, length) characters, int64.
    """

    x: npt.NDArray[Any]
    y: Ints


@dataclass(frozen=True)
class DataSet:
    """Three parts that share no sample.

    Attributes:
        train: what weights are trained on.
        validation: what choices are made on.
        test: what is reported.
        classes: how many answers there are.
        digest: SHA-256 of all samples and answers, in hexadecimal.
    """

    train: Part
    validation: Part
    test: Part
    classes: int
    digest: str


def load(name: str, seed: int, length: int) -> DataSet:
    """Return a data set by its name.

    Args:
        name: one of ``SETS``.
        seed: of what is drawn: MNIST-1D's signals, the cut of the digits.
        length: characters of a sample of text.
    """
    return SETS[name](seed, length)


def mnist1d(samples: int = 5000, seed: int = 42) -> tuple[Floats, Ints]:
    """Return the signals of MNIST-1D and their classes, by the rules of its public generator, number for number.

    A template is padded, stretched, shifted, drowned in noise, sheared and cut to 40 points; the draws come in the generator's
    order from numpy's old stream. The first four fifths are what its authors train on.

    Source: S. Greydanus and D. Kobak, "Scaling Down Deep Learning with MNIST-1D" (ICML 2024); package ``mnist1d`` 0.0.2.

    Returns:
        (samples, 40) signals of mean 0 and deviation 1, and (samples,) classes from 0 to 9.
    """
    draw = np.random.RandomState(seed)
    templates = np.asarray(_TEMPLATES, np.float64)
    templates -= templates.mean(1, keepdims=True)
    templates /= templates.std(1, keepdims=True)
    templates -= templates[:, :1]
    each = samples // len(templates)
    x = np.stack([_signal(template / 6.0, draw) for template in templates for _ in range(each)])
    y = np.repeat(np.arange(len(templates)), each)
    order = draw.permutation(len(y))
    x, y = x[order], y[order]
    return (x - x.mean()) / x.std(), y


def _signal(template: Floats, draw: np.random.RandomState) -> Floats:
    from scipy.ndimage import gaussian_filter

    low, high = _PADDING
    padded = np.concatenate([template + 1e-8, np.zeros(low + int(draw.rand() * (high - low + 1)))])
    signal = _stretched(padded, len(template) + high)
    signal *= 1 + _SCALE * (draw.rand() - 0.5)
    shift = int(draw.choice(_SHIFT))
    signal = np.concatenate([signal[-shift:], signal[:-shift]])
    mask = signal != 0
    signal = mask * signal + (1 - mask) * gaussian_filter(_CORRELATED * draw.randn(len(signal)), 2)
    signal = signal + _NOISE * draw.randn(len(signal))
    signal = signal - _SHEAR * (draw.rand() - 0.5) * np.linspace(-0.5, 0.5, len(signal))
    return _stretched(signal, _LENGTH)


def _stretched(x: Floats, points: int) -> Floats:
    return np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(x)), x)


def _mnist1d_set(seed: int, length: int) -> DataSet:
    x, y = mnist1d(seed=seed)
    return _in_three(x[:, None].astype(np.float32), y, int(len(y) * _TRAIN_SHARE))


def _digits_set(seed: int, length: int) -> DataSet:
    """Return the 1,797 images of 8 x 8 pixels that ship with scikit-learn, a third of them to be tested on."""
    from sklearn.datasets import load_digits

    pixels, y = load_digits(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(y))
    x = (pixels[order].reshape(-1, 1, 8, 8) / 8 - 1).astype(np.float32)
    return _in_three(x, y[order].astype(np.int64), 1200)


def _in_three(x: npt.NDArray[Any], y: Ints, known: int) -> DataSet:
    """Cut samples that stand in no order: the last are tested on, the last of the ``known`` ones validated on."""
    trained = known - round(known * _VALIDATION_SHARE)
    cuts = [slice(0, trained), slice(trained, known), slice(known, len(y))]
    train, validation, test = (Part(x[cut], y[cut]) for cut in cuts)
    return _named(train, validation, test, int(y.max()) + 1)


def _text_set(seed: int, length: int) -> DataSet:
    """Return the help topics that Python ships with, as characters; each version of Python has its own text.

    Of every ten topics, in the order of their names, one is tested on and one validated on.
    """
    from pydoc_data.topics import topics

    texts = [topics[name] for name in sorted(topics)]
    alphabet = sorted(set("".join(texts)))
    number = {character: index for index, character in enumerate(alphabet)}

    def part(wanted: Callable[[int], bool]) -> Part:
        text = "\n".join(each for index, each in enumerate(texts) if wanted(index % _TOPICS))
        codes = np.array([number[character] for character in text], np.int64)
        rows = (len(codes) - 1) // length
        return Part(codes[: rows * length].reshape(rows, length), codes[1 : rows * length + 1].reshape(rows, length))

    return _named(part(lambda place: place > 1), part(lambda place: place == 1), part(lambda place: place == 0), len(alphabet))


def _named(train: Part, validation: Part, test: Part, classes: int) -> DataSet:
    digest = hashlib.sha256()
    for part in (train, validation, test):
        digest.update(np.ascontiguousarray(part.x).tobytes() + np.ascontiguousarray(part.y).tobytes())
    return DataSet(train, validation, test, classes, digest.hexdigest())


SETS: dict[str, Callable[[int, int], DataSet]] = {"mnist1d": _mnist1d_set, "digits": _digits_set, "text": _text_set}


def check_installed(name: str) -> None:
    """Refuse a data set whose library is missing.

    Raises:
        StcsimError: when it is.
    """
    from importlib.util import find_spec

    if name != "text" and find_spec("sklearn") is None:
        raise StcsimError(f"data set {name}", "scikit-learn (install stcsim[workflow])", "none")
