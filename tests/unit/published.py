"""What is published of the networks that ship as traces, where, and what of ours it is compared with.

``python -m tests.unit.published`` writes the table into traces/README.md (needs torch and transformers).
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from stcsim.capture import capture
from stcsim.capture.networks import NETWORKS
from stcsim.trace import load_trace

README = Path(__file__).parents[2] / "traces" / "README.md"
HEADER = "| trace | what, batch | GMACs | published | M parameters | published | published by |"
TOLERANCE = 0.005


@dataclass(frozen=True)
class Published:
    """Figures as printed at their source.

    Attributes:
        gmacs, parameters: billions and millions; empty where none was found.
        source: of both.
        shape: the input they are for, where it is not the trace's.
        without: names of operations (patterns) that ``gmacs`` leaves out.
        unembedded: whether ``parameters`` leaves the embedding out.
        more_gmacs, more_parameters: what they count and we do not (below zero: the other way round).
        remark: the above in words. exception: what is known of a figure that does not agree.
    """

    gmacs: str = ""
    parameters: str = ""
    source: str = "–"
    shape: tuple[int, ...] | None = None
    without: tuple[str, ...] = ()
    unembedded: bool = False
    more_gmacs: float = 0.0
    more_parameters: float = 0.0
    remark: str = ""
    exception: str = ""


TORCHVISION = "torchvision"
LAYER = "layer formula"
HUB = "Hugging Face"

RESNET34 = Published("", "21.797672", TORCHVISION)
BERT_LARGE = {
    "parameters": "340",
    "exception": "the paper rounds; the published checkpoint has 335.1 M",
}

PUBLISHED = {
    "resnet18": Published("1.814", "11.689512", TORCHVISION),
    "resnet34": Published("3.664", "21.797672", TORCHVISION),
    "resnet50": Published("4.089", "25.557032", TORCHVISION),
    "resnet101": Published("7.801", "44.549160", TORCHVISION),
    "resnet34-1280x800": RESNET34,
    "resnet34-2048x1024": RESNET34,
    "resnet34-4096x2048": RESNET34,
    "resnext50-32x4d": Published("4.23", "25.028904", TORCHVISION),
    "resnext101-32x8d": Published("16.414", "88.791336", TORCHVISION),
    "wide-resnet50-2": Published("11.398", "68.883240", TORCHVISION),
    "vgg16": Published("15.47", "138.357544", TORCHVISION),
    "densenet121": Published("2.834", "7.978856", TORCHVISION),
    "inception-v3": Published(
        "5.713",
        "27.161264",
        TORCHVISION,
        more_parameters=3.326696,
        remark="their parameters include the auxiliary classifier, 3.33 M",
    ),
    "xception": Published("8.4", "22.86", "timm"),
    "mobilenet-v2": Published("0.301", "3.504872", TORCHVISION),
    "efficientnet-b0": Published("0.386", "5.288548", TORCHVISION),
    "mask-rcnn-r50-fpn": Published(
        "134.38",
        "44.401393",
        TORCHVISION,
        shape=(3, 800, 800),
        without=("mask_head.*",),
        remark="MACs at 800x800 without the mask head, 91 classes",
    ),
    "retinanet-r50-fpn": Published(
        "239.32",
        "37.915572",
        "MMDetection; Detectron2",
        shape=(3, 800, 1280),
        remark="MACs at 800x1280; parameters without those of frozen norms",
    ),
    "detectnet-v2-resnet34": Published(),
    "bert-base": Published("11.17", "109.48", "flops-profiler"),
    "bert-base-384": Published("35.33", "109.48", f"{LAYER}; flops-profiler"),
    "bert-large": Published("39.46", source=f"{LAYER}; arXiv 1810.04805", **BERT_LARGE),
    "bert-large-384": Published("123.21", source=f"{LAYER}; arXiv 1810.04805", **BERT_LARGE),
    "vit-b-16": Published("17.564", "86.567656", TORCHVISION),
    "vit-l-16": Published("61.555", "304.326632", TORCHVISION),
    "sam-vit-h": Published(
        "2973",
        "641",
        "arXiv 2402.05008",
        more_parameters=4.065,
        remark="their parameters include prompt encoder and mask decoder, 4.07 M",
    ),
    "gnmt": Published(
        "10.7",
        "278",
        "arXiv 1701.06538",
        without=("attention.*",),
        more_gmacs=50 * 4.194304e-3,
        more_parameters=4.194304 - 2.098176,
        remark="214 M a step; their lowest decoder layer reads the context too, 4.19 M; compared without the attention, 2.10 M",
    ),
    "transformer-base": Published("", "65", "arXiv 1706.03762", exception="its sizes give 63.1 M: 44.1 M and 37,000 words x 512"),
    "transformer-big": Published(
        "5.3",
        "176",
        "microsoft/AutoMoE",
        without=("lm_head",),
        unembedded=True,
        remark="10.6 GFLOPs; both without embedding and logits",
    ),
    "t5-small": Published("", "60.5", HUB),
    "whisper-small": Published(
        "", "244", "openai/whisper", exception="the checkpoint has 240.6 M trained and 1.2 M fixed parameters"
    ),
    "transformer-xl": Published(source="the authors' code", remark="equal at the sizes of arXiv 1901.02860: 151,107,538"),
    "gpt2": Published("145.824", "124.337664", "nanoGPT", remark="theirs has no biases"),
    "gpt3-175b-block": Published(
        "3813.9", "1812.1", f"{LAYER}; arXiv 2005.14165", remark="a 96th of 174,600 M less the embeddings"
    ),
    "llama-3-8b-prefill": Published("", "8030", HUB),
    "llama-3-8b-decode": Published("", "8030", HUB),
    "llama-3-70b-prefill": Published("", "70600", HUB),
    "llama-3-70b-decode": Published("", "70600", HUB),
    "mixtral-8x7b-prefill": Published("", "46700", "mistral.ai/news/mixtral-of-experts"),
}


def gmacs(name: str) -> float:
    """Return the GMACs of a trace."""
    return load_trace(name).macs / 1e9


def comparable_gmacs(name: str) -> float:
    """Return the GMACs that the published figure counts."""
    known = PUBLISHED[name]
    trace = load_trace(name) if known.shape is None else capture(name, input_shape=known.shape)
    counted = [op for op in trace.ops if not any(fnmatch.fnmatch(op.name, each) for each in known.without)]
    return sum(op.macs * op.count for op in counted) / 1e9 + known.more_gmacs


def parameters(name: str) -> tuple[float, float]:
    """Return the trained parameters of a network in millions, and how many of them are embeddings of tokens and positions."""
    import torch
    from torch import nn

    with torch.device("meta"):
        module = NETWORKS[name].build()
    trained = {id(each): each.numel() for each in module.parameters() if each.requires_grad}
    embeddings = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    return sum(trained.values()) / 1e6, sum(trained.get(each, 0) for each in embeddings) / 1e6


def comparable_parameters(name: str) -> float:
    """Return the parameters that the published figure counts, in millions."""
    all_of_them, embeddings = parameters(name)
    known = PUBLISHED[name]
    return all_of_them - known.unembedded * embeddings + known.more_parameters


def agrees(ours: float, printed: str) -> bool:
    """Whether ``ours`` is within 0.5 % of a printed figure, or rounds to it."""
    theirs, digits = float(printed), len(printed.partition(".")[2])
    return abs(ours - theirs) <= max(TOLERANCE * theirs, 0.5 * 10**-digits)


def row(name: str) -> str:
    """Return the line of the table for one trace."""
    trace, known = load_trace(name), PUBLISHED[name]
    exception = f"**exception:** {known.exception}" if known.exception else ""
    notes = "; ".join(part for part in (known.source, known.remark, exception) if part)
    cells = (f"`{name}`", f"{trace.title}, {trace.batch}", f"{gmacs(name):,.3f}", _figure(known.gmacs))
    return "| " + " | ".join([*cells, _millions(parameters(name)[0]), _figure(known.parameters), notes]) + " |"


def _millions(number: float) -> str:
    return f"{number:,.3f}" if number < 1000 else f"{number:,.1f}"


def _figure(printed: str) -> str:
    digits = len(printed.partition(".")[2])
    return f"{float(printed):,.{min(digits, 3)}f}" if printed else "–"


def table() -> str:
    """Return the whole table."""
    rule = "|---|---|---|---|---|---|---|"
    return "\n".join([HEADER, rule, *(row(name) for name in PUBLISHED)])


def written(readme: str) -> str:
    """Return the table that stands in the text of the README."""
    start = readme.index(HEADER)
    return readme[start : readme.index("\n\n", start)]


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(written(text), table()), encoding="utf-8")
