"""Recipes: a network, its data, and the stages that take it from a start to what is deployed."""

from __future__ import annotations

import hashlib
import json
from math import ceil
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from stcsim.errors import TraceError, closest
from stcsim.trace.model import Model, Size, inside

_NETWORKS = {
    "conv1d": ("channels",),
    "conv2d": ("channels",),
    "transformer": ("channels", "heads", "hidden", "layers", "length"),
}
"""Networks, and the sizes that each takes."""
_LEARNS = {"mnist1d": "conv1d", "digits": "conv2d", "text": "transformer"}
"""The network for each data set."""
_LONGEST, _PRUNABLE = 1024, 16
METHODS = ("max", "percentile", "entropy", "mse")
TYPES = {"int8": METHODS, "fp8": ("max", "percentile", "mse")}
"""Types with scales, and the calibrations that ModelOpt has for each; its entropy counts the steps of an integer."""

Rate = Annotated[float, Field(gt=0, lt=10)]
Share = Annotated[float, Field(gt=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]


class Data(Model):
    """Which data set.

    Attributes:
        set: its name.
        seed: of what is drawn.
        test_samples: how many of the samples to test on are used, the first ones; all by default.
    """

    place: ClassVar[str] = "data"

    set: Literal["mnist1d", "digits", "text"] = Field(description="one of mnist1d, digits, text")
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    test_samples: Size | None = None


class Network(Model):
    """Which network, and how large: a convolution has ``channels`` alone."""

    place: ClassVar[str] = "model"

    kind: Literal["conv1d", "conv2d", "transformer"] = Field(description="one of conv1d, conv2d, transformer")
    channels: Size
    heads: Size | None = None
    hidden: Size | None = None
    layers: Size | None = None
    length: Size | None = None

    @model_validator(mode="after")
    def _sizes_fit(self) -> Network:
        wanted, given = _NETWORKS[self.kind], {name for name, value in self if name != "kind" and value is not None}
        for name in sorted(given.symmetric_difference(wanted)):
            expected = "a whole number above 0" if name in wanted else f"no such size for {self.kind}"
            raise TraceError(f"model: {name}", expected, "a number" if name in given else "none")
        if self.heads and self.channels % self.heads:
            raise TraceError("model: heads", f"a divisor of {self.channels} channels", f"{self.heads}")
        if self.length and self.length > _LONGEST:
            raise TraceError("model: length", f"at most {_LONGEST:,} characters", f"{self.length:,}")
        return self

    def check_prunable(self) -> None:
        """Refuse a network whose layers ModelOpt would leave dense without a word.

        Raises:
            TraceError: when channels are not a multiple of 16.
        """
        for name in ("channels", "hidden"):
            value = getattr(self, name)
            if value and value % _PRUNABLE:
                raise TraceError(f"model: {name}", f"a multiple of {_PRUNABLE}, which can be pruned", f"{value}")

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that the network takes, by name."""
        return {name: getattr(self, name) for name in _NETWORKS[self.kind]}


class Distil(Model):
    """What a student learns from its teacher beside the data.

    Attributes:
        teacher: the stage that it is the result of.
        answers: weight of the teacher's answers in the loss.
        relations: weight of the relations within queries, keys and values of the last self-attention; 0 has none.
        temperature: answers of both are softened by it.
    """

    place: ClassVar[str] = "distil"

    teacher: str
    answers: Weight = 1.0
    relations: Weight = 0.0
    temperature: Rate = 2.0


class Stage(Model):
    """What all stages have.

    Attributes:
        after: the stage whose result it begins with.
        shown: whether its result is a row of the table.
    """

    after: str | None = None
    shown: bool = Field(default=True, strict=True)


class Train(Stage):
    """Weights are trained; those that are pruned stay zero.

    Attributes:
        steps: of the optimiser (AdamW, a short warm-up, then down along a cosine).
        learning_rate: the highest.
        quantise: a type that the network computes in meanwhile (QAT).
        distil: what it learns from a teacher.
    """

    do: Literal["train"] = "train"
    steps: Size
    learning_rate: Rate
    quantise: Literal["int8", "fp8"] | None = Field(default=None, description="one of int8, fp8")
    distil: Distil | None = None


class Prune(Stage):
    """Weights of every layer that a sparse kernel takes are dropped.

    Attributes:
        keep: how many of each four along the reduction stay: ``"3:4"`` (a quarter is dropped) or ``"2:4"``.
        method: ``"magnitude"``, or ``"sparsegpt"`` for networks whose layers are all linear.
        permute: whether channels are put into the order that keeps most first.
    """

    do: Literal["prune"] = "prune"
    keep: Literal["2:4", "3:4"] = Field(default="2:4", description="2:4 or 3:4")
    method: Literal["magnitude", "sparsegpt"] = Field(default="magnitude", description="magnitude or sparsegpt")
    permute: bool = Field(default=False, strict=True)


class Calibrate(Stage):
    """Scales for a type are found, by several methods, and nothing is trained.

    Attributes:
        dtype: the type.
        methods: a row each.
    """

    do: Literal["calibrate"] = "calibrate"
    dtype: Literal["int8", "fp8"] = Field(description="one of int8, fp8")
    methods: tuple[str, ...] = METHODS


class Quick(Model):
    """What the small version of a recipe has less of.

    Attributes:
        steps: the share of all steps.
        test_samples: how many samples are tested on.
        leave_out: stages that are not run.
        sizes: of the network, in the place of those of ``model``.
    """

    place: ClassVar[str] = "quick"

    steps: Share
    test_samples: Size
    leave_out: tuple[str, ...] = ()
    sizes: dict[str, Size] = {}


STAGES: dict[str, type[Stage]] = {"train": Train, "prune": Prune, "calibrate": Calibrate}
"""By what they do."""


class Recipe(Model):
    """A network from start to deployment.

    Attributes:
        name: of the recipe; its folder of results is known by it.
        title: a sentence.
        data: what is learned.
        model: what learns.
        seed: of first weights and of the order of samples.
        batch: samples in one step.
        weight_decay: of AdamW.
        augment: whether samples are varied by the transformations that made them (MNIST-1D alone).
        stages: by name, each after those that it needs.
        quick: what the small version is.
    """

    name: str
    title: str
    data: Data
    model: Network
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    batch: Size
    weight_decay: Weight = 0.01
    augment: bool = Field(default=False, strict=True)
    stages: dict[str, Annotated[Train | Prune | Calibrate, Field(discriminator="do")]]
    quick: Quick

    @model_validator(mode="after")
    def _stages_follow(self) -> Recipe:
        for name in self.quick.leave_out:
            if name not in self.stages:
                raise TraceError("quick: leave_out", "names of stages", f"'{name}'{closest(name, self.stages)}")
        wanted = _LEARNS[self.data.set]
        if self.model.kind != wanted:
            raise TraceError("model: kind", f"{wanted}, the network for {self.data.set}", f"'{self.model.kind}'")
        if self.augment and self.data.set != "mnist1d":
            raise TraceError("augment", f"false, since {self.data.set} was made by no transformations", "true")
        before: list[str] = []
        for name, stage in self.stages.items():
            if isinstance(stage, Prune):
                self.model.check_prunable()
            with inside(f"stages: {name}:"):
                _check_stage(stage, before, self.model.kind)
            before.append(name)
        return self

    def small(self) -> Recipe:
        """Return the quick version."""
        stages: dict[str, Any] = {
            name: stage.changed(steps=max(1, ceil(stage.steps * self.quick.steps))) if isinstance(stage, Train) else stage
            for name, stage in self.stages.items()
            if name not in self.quick.leave_out
        }
        with inside("quick:"):
            data = self.data.changed(test_samples=self.quick.test_samples)
            model = self.model.changed(**self.quick.sizes)
            return self.changed(stages=stages, data=data, model=model, quick=self.quick.changed(leave_out=(), sizes={}))

    @property
    def sha256(self) -> str:
        """Hash of the recipe in one spelling."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _check_stage(stage: Stage, before: list[str], kind: str) -> None:
    """Refuse what does not fit the stages before it, or the network."""
    needs = {"after": stage.after} if stage.after or not isinstance(stage, Train) else {}
    if isinstance(stage, Train) and stage.distil:
        needs["distil: teacher"] = stage.distil.teacher
        if stage.distil.relations and kind != "transformer":
            raise TraceError("distil: relations", f"0, since {kind} has no self-attention", f"{stage.distil.relations:g}")
    for field, needed in needs.items():
        if needed not in before:
            expected = f"a stage before it ({', '.join(before)})" if before else "do: train in the first stage"
            raise TraceError(field, expected, f"'{needed}'{closest(needed, before)}" if needed else "none")
    if isinstance(stage, Prune) and stage.method == "sparsegpt":
        if kind != "transformer":
            expected = "magnitude (ModelOpt's sparsegpt cuts groups of four from (c, r, s), which no sparse kernel does)"
            raise TraceError("method", expected, "'sparsegpt'")
        if stage.keep != "2:4":
            raise TraceError("keep", "2:4, the one pattern of ModelOpt's sparsegpt", f"'{stage.keep}'")
    if isinstance(stage, Calibrate):
        for method in stage.methods:
            if method not in TYPES[stage.dtype]:
                known = TYPES[stage.dtype]
                raise TraceError("methods", f"any of {', '.join(known)} for {stage.dtype}", f"'{method}'{closest(method, known)}")
