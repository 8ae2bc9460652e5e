"""Shapes of standard ONNX operators that onnx's own inference gets wrong, or has no function for (onnx 1.23).

The list comes from onnx's backend tests: the shape inferred for each against the one that its reference evaluator returns.
"""

from __future__ import annotations

from stcsim.capture.onnx_import.known import Known, Rule
from stcsim.capture.onnx_import.values import Shape


def _spectrogram(known: Known) -> list[Shape | None]:
    """Return (batch, frames, bins, 2): half of the bins by default, which onnx takes to be all."""
    batch, length = known.shape(0)[:2]
    step = known.numbers(1)[0]
    frame = known.numbers(3)[0] if known.has(3) else known.shape(2, axes=1)[0]
    bins = frame // 2 + 1 if known.number("onesided", 1) else frame
    return [(batch, 1 + (length - frame) // step, bins, 2)]


def _like_first(known: Known) -> list[Shape | None]:
    return [known.shape(0)]


def _reshaped(known: Known) -> list[Shape | None]:
    """Return the shape that an attribute tells, as in the first opset."""
    shape, first = list(known.attributes.get("shape", ())), known.shape(0)
    sizes = [first[place] if size == 0 else size for place, size in enumerate(shape)]
    if -1 in sizes:
        rest = 1
        for size in sizes:
            rest *= size if size != -1 else 1
        elements = 1
        for size in first:
            elements *= size
        sizes[sizes.index(-1)] = elements // rest
    return [tuple(sizes)]


#: Operators whose inference in onnx is wrong, so that it is not asked.
WRONG: dict[str, Rule] = {"STFT": Rule(_spectrogram)}

_ELEMENT_WISE = (
    "Abs Add BatchNormalization Ceil Clip Div Dropout Elu Exp Floor GroupNormalization HardSigmoid InstanceNormalization "
    "LeakyRelu Log MeanVarianceNormalization Mul Neg PRelu Reciprocal Relu Selu Sigmoid Sqrt Sub Tanh"
).split()

#: Operators that have no inference in some opset; used where there is none in any that fits.
MISSING: dict[str, Rule] = {**dict.fromkeys(_ELEMENT_WISE, Rule(_like_first)), "Reshape": Rule(_reshaped)}
