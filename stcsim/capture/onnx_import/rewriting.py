"""Operators that ONNX Runtime's optimizers write, as the standard nodes they were made of.

One row for each: the standard operator, which inputs it reads, and what is fused to it (a residual, an activation) or turned
(axes). What is put apart here, ``decide_fusion`` puts together again as far as a GPU's kernels do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from onnx import AttributeProto, NodeProto, helper

from stcsim.capture.onnx_import.values import Value, label

Perm = tuple[int, ...]

#: Activations that are fused to a product, by their name in any case of letters.
_ACTIVATIONS = {
    name.lower(): name
    for name in "Relu LeakyRelu Tanh Sigmoid HardSigmoid HardSwish Clip Elu Softplus Softsign ThresholdedRelu Gelu".split()
}


class Row(NamedTuple):
    """A standard operator that does the same.

    Attributes:
        operator: its name, with the domain in front unless it is ONNX's own.
        inputs: those it reads, in its own order; -1 for one it can do without. All by default.
        residual: the input that is added to its output.
        activation: the attribute that names what follows.
        then: the operator that follows whatever the attributes say, and the input it reads besides.
        channels_last: whether images have their channels last; a name is that of the attribute which says so.
        turned: inputs whose axes are in another order.
        drops: attributes that are not the standard operator's, or mean something else there.
        attributes: attributes it is given.
        moves: the input whose values are an attribute of the standard operator, and that one's name.
    """

    operator: str
    inputs: Sequence[int] | slice = slice(None)
    residual: int | None = None
    activation: str = ""
    then: tuple[str, int] | None = None
    channels_last: bool | str = False
    turned: Mapping[int, Perm] = {}
    drops: tuple[str, ...] = ()
    attributes: Mapping[str, int] = {}
    moves: tuple[int, str] | None = None


_CONV = Row("Conv", (0, 1, 2), residual=3, activation="activation")
_LSTM_TURNED = {1: (0, 2, 1), 2: (0, 2, 1)}

_MICROSOFT: dict[str, Row] = {
    "ConvTransposeWithDynamicPads": Row("ConvTranspose", (0, 1, 3), moves=(2, "pads")),
    "DecoderMaskedMultiHeadAttention": Row("com.microsoft.MultiHeadAttention", (0, 1, 2, 10, 3, 4, 5, 6, 7)),
    "DecoderMaskedSelfAttention": Row("com.microsoft.Attention", range(6), attributes={"past_present_share_buffer": 1}),
    "DequantizeLinear": Row("DequantizeLinear"),
    "DynamicQuantizeLSTM": Row("LSTM", range(8), turned=_LSTM_TURNED),
    "FusedConv": _CONV,
    "FusedGemm": Row("Gemm", (0, 1, 2), activation="activation"),
    "FusedMatMulActivation": Row("com.microsoft.FusedMatMul", (0, 1), activation="activation"),
    "GatherND": Row("GatherND"),
    "Gelu": Row("Gelu"),
    "GemmFastGelu": Row("MatMul", (0, 1), then=("com.microsoft.FastGelu", 2)),
    "GemmFloat8": Row("Gemm", (0, 1, 2), activation="activation", drops=("dtype",)),
    "GridSample": Row("GridSample", drops=("mode", "padding_mode")),
    "MaxpoolWithMask": Row("MaxPool", (0,)),
    "NhwcConv": Row("Conv", (0, 1, 2), channels_last=True),
    "NhwcFusedConv": _CONV._replace(channels_last=True),
    "NhwcMaxPool": Row("MaxPool", (0,), channels_last=True),
    "Pad": Row("Pad"),
    "QAttention": Row("com.microsoft.Attention", (0, 1, 2, 5, 8)),
    "QGemm": Row("Gemm", (0, 3)),
    "QLinearAdd": Row("Add", (0, 3)),
    "QLinearAveragePool": Row("AveragePool", (0,), channels_last="channels_last"),
    "QLinearConcat": Row("Concat", slice(2, None, 3)),
    "QLinearConv": Row("QLinearConv", channels_last="channels_last"),
    "QLinearGlobalAveragePool": Row("GlobalAveragePool", (0,), channels_last="channels_last"),
    "QLinearLeakyRelu": Row("LeakyRelu", (0,)),
    "QLinearMul": Row("Mul", (0, 3)),
    "QLinearReduceMean": Row("ReduceMean", (0,)),
    "QLinearSigmoid": Row("Sigmoid", (0,)),
    "QLinearSoftmax": Row("Softmax", (0,), drops=("opset",)),
    "QLinearWhere": Row("Where", (0, 1, 4)),
    "QuantizeLinear": Row("QuantizeLinear"),
    "Range": Row("Range"),
    "ReduceSumInteger": Row("ReduceSum", (0,)),
    "TransposeMatMul": Row("com.microsoft.FusedMatMul"),
    "Trilu": Row("Trilu"),
    "Unique": Row("Unique"),
}

#: Blocks of channels, a layout of processors that a GPU has no use for.
_BLOCKED: dict[str, Row] = {
    "AveragePool": Row("AveragePool"),
    "Conv": _CONV,
    "GlobalAveragePool": Row("GlobalAveragePool"),
    "GlobalMaxPool": Row("GlobalMaxPool"),
    "MaxPool": Row("MaxPool"),
    "ReorderInput": Row("Identity"),
}

#: Operators of ONNX itself whose images have their channels last.
_CHANNELS_LAST = (
    "AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool GlobalMaxPool "
    "InstanceNormalization LRN LpPool MaxPool QLinearConv SpaceToDepth"
).split()

ROWS: dict[str, Row] = {
    **{f"com.microsoft.{name}": row for name, row in _MICROSOFT.items()},
    **{f"com.microsoft.nchwc.{name}": row for name, row in _BLOCKED.items()},
    **{
        f"com.ms.internal.nhwc.{name}": Row(name, activation="activation", channels_last=True, drops=("activation_params",))
        for name in _CHANNELS_LAST
    },
}


def rewritten(node: NodeProto, inputs: Sequence[Value | None]) -> list[NodeProto]:
    """Return the nodes that do what one of ONNX Runtime does, the last with its outputs; or ``node`` itself where no row is.

    Args:
        node: of any domain.
        inputs: what is known of what it reads.
    """
    row = ROWS.get(f"{node.domain}.{node.op_type}")
    return [node] if row is None or not node.output else list(_Rewriting(node, row, inputs).nodes())


class _Rewriting:
    """One node and its row."""

    def __init__(self, node: NodeProto, row: Row, inputs: Sequence[Value | None]) -> None:
        self._node, self._row, self._inputs = node, row, inputs
        self._name = node.name or label(node)
        self._attributes = {attribute.name: attribute for attribute in node.attribute}

    def nodes(self) -> Iterator[NodeProto]:
        """Yield the nodes in order; each of the first output's names but the last is made up."""
        row, read = self._row, [*self._node.input]
        last, first = self._channels_last(), self._rank()
        if last:
            perm = (0, first - 1, *range(1, first - 1))
            for place in (0, row.residual):
                yield from self._turned(read, place, perm)
        for place, perm in row.turned.items():
            yield from self._turned(read, place, perm)
        chain = [*self._followers(read), *([("Transpose", [], {"perm": (0, *range(2, first), 1)})] if last else [])]
        given = (
            [read[at] if 0 <= at < len(read) else "" for at in row.inputs]
            if not isinstance(row.inputs, slice)
            else read[row.inputs]
        )
        while given and not given[-1]:
            given.pop()
        yield self._main(given, self._made("product") if chain else self._node.output[0])
        value = self._made("product")
        for place, (operator, others, attributes) in enumerate(chain):
            end = place == len(chain) - 1
            output = self._node.output[0] if end else self._made(operator)
            yield self._one(
                operator, [value, *others], [output], attributes, f"{self._name}.{operator.rpartition('.')[2].lower()}"
            )
            value = output

    def _main(self, given: Sequence[str], output: str) -> NodeProto:
        """Return the standard node itself, under the name of the whole."""
        outputs = [output, *self._node.output[1:]]
        main = self._one(self._row.operator, given, outputs, dict(self._row.attributes), self._name)
        left_out = {*self._row.drops, *self._row.attributes, self._row.activation, "activation_params"}
        main.attribute.extend(attribute for attribute in self._node.attribute if attribute.name not in left_out)
        if self._row.moves is not None:
            place, name = self._row.moves
            value = self._inputs[place] if place < len(self._inputs) else None
            if value is not None and value.data is not None:
                main.attribute.append(helper.make_attribute(name, [int(number) for number in value.data.reshape(-1)]))
        return main

    def _followers(self, read: Sequence[str]) -> Iterator[tuple[str, list[str], dict[str, Perm]]]:
        """Yield (operator, its other inputs, attributes) of what follows the product."""
        row = self._row
        if row.residual is not None and row.residual < len(read) and read[row.residual]:
            yield "Add", [read[row.residual]], {}
        if row.then is not None:
            operator, place = row.then
            yield operator, [read[place]] if place < len(read) else [], {}
        named = self._attributes.get(row.activation)
        activation = _ACTIVATIONS.get(named.s.decode(errors="replace").lower()) if named is not None else None
        if activation:
            yield activation, [], {}

    def _turned(self, read: list[str], place: int | None, perm: Perm) -> Iterator[NodeProto]:
        """Yield the turn of one input, if it is there, and put its result in its place."""
        if place is None or place >= len(read) or not read[place]:
            return
        made = self._made(f"turned {place}")
        yield self._one("Transpose", [read[place]], [made], {"perm": perm}, f"{self._name}.transpose{place}")
        read[place] = made

    def _channels_last(self) -> bool:
        said = self._row.channels_last
        if isinstance(said, bool):
            return said
        attribute = self._attributes.get(said)
        return attribute is not None and attribute.type == AttributeProto.INT and attribute.i == 1

    def _rank(self) -> int:
        """Return the number of axes of the image; that of pictures where it is not known."""
        image = self._inputs[0] if self._inputs else None
        return 4 if image is None or image.shape is None or len(image.shape) < 3 else len(image.shape)

    def _made(self, what: str) -> str:
        return f"{self._node.output[0]} {what}"

    def _one(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, int | Perm], name: str
    ) -> NodeProto:
        domain, _, plain = operator.rpartition(".")
        node = helper.make_node(plain, list(inputs), list(outputs), name=name, domain=domain, **attributes)
        node.metadata_props.extend(self._node.metadata_props)
        return node
