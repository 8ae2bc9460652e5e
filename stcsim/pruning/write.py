"""The weights of a checkpoint, one by one, into new files: permuted, pruned, their masks beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stcsim.checkpoint import Checkpoint, StoredTensor, open_checkpoint
from stcsim.checkpoint.bitmask import pack_bitmask
from stcsim.checkpoint.element_types import STORAGE_TYPES
from stcsim.checkpoint.roles import Kind
from stcsim.checkpoint.stored import PLAIN, Codes
from stcsim.checkpoint.weights import GemmWeight
from stcsim.checkpoint.writing import Planned, Writer
from stcsim.errors import StcsimError
from stcsim.files import Drafts
from stcsim.numerics.sparse.filter_orders import ORDERS, crowded_groups
from stcsim.pruning.folds import input_axis
from stcsim.pruning.given import Given
from stcsim.pruning.settings import Settings
from stcsim.pruning.slabs import (
    Places,
    keep_of,
    matrix_of,
    multiple_of,
    naming,
    plain_slabs,
    read_slab,
    slab_ranges,
    stored_as,
    sums_of,
    zeroed,
)
from stcsim.pruning.target import (
    compressed_24,
    copy_others,
    opened,
    target_files,
    uncompressed,
    write_config,
    write_index,
)
from stcsim.words import WeightLayout

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
_HALF_BYTES = tuple(row.name for row in STORAGE_TYPES if row.bits < 8)
_PARTS = ("compressed", "bitmask", "shape")


@dataclass(frozen=True, slots=True)
class Job:
    """What is written.

    Attributes:
        source: the checkpoint.
        weights: those that GEMMs multiply, by name of tensor.
        reasons: why each is not pruned; empty for those that are.
        wanted: what the user asked for.
        orders: permutations, by name of tensor.
        scores: what says which weights stay, if magnitudes do not.
        masks: which weights stay, if a file says so.
        target: what is written.
        mask_file: where masks go.
        pack_masks: whether they are bits.
    """

    source: Checkpoint
    weights: Mapping[str, GemmWeight]
    reasons: Mapping[str, str]
    wanted: Settings
    orders: Mapping[str, Places]
    scores: Given | None
    masks: Given | None
    target: Path
    mask_file: Path | None
    pack_masks: bool

    def prunes(self, name: str) -> bool:
        """Tell whether a tensor is pruned."""
        return self.wanted.prunes and self.reasons.get(name) == ""

    def places(self, weight: GemmWeight, folded: bool) -> Places:
        """Return the permutations of a weight, those of its inputs only where ``folded``."""
        found = self.orders.get(weight.tensor.name, {})
        return {axis: order for axis, order in found.items() if folded or axis != input_axis(weight)}

    def packs(self, name: str) -> bool:
        """Tell whether a tensor is stored as values and bits."""
        weight = self.weights.get(name)
        return (
            self.wanted.layout is WeightLayout.BITMASK and self.prunes(name) and weight is not None
            and weight.kind is Kind.LINEAR and not weight.transposed and name.endswith(".weight")
        )  # fmt: skip


@dataclass(slots=True)
class Written:
    """What came of it.

    Attributes:
        sums: by name of tensor: all magnitudes, those that stayed, and those that would have stayed without a permutation.
        orders: by name of tensor: the order in which a filter of several taps holds the pattern.
        zeros: how many weights are masked in all.
        nbytes: of the files of weights.
        left_out: files of a folder that were not copied.
    """

    sums: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)
    zeros: int = 0
    nbytes: int = 0
    left_out: tuple[str, ...] = ()


def write(job: Job, drafts: Drafts, progress: Callable[[int, int], None] | None) -> Written:
    """Write all files of the target as drafts.

    Raises:
        StcsimError: when something cannot be written, a weight is NaN, or a mask does not fit the pattern.
    """
    done, all_bytes, read_bytes = Written(), sum(tensor.nbytes for tensor in job.source.values()), 0
    draft, files = target_files(job.source, job.target, drafts)
    homes = {file: _names_in(file.source, job.source) for file in files}
    places: dict[str, str] = {}
    with ExitStack() as stack:
        mask_writer = _mask_writer(job, drafts, stack)
        for file in files:
            planned = [each for name in homes[file] for each in _planned(job, job.source[name])]
            places |= {each.name: file.path.name for each in planned}
            with file.writing(planned) as writer:
                for name in homes[file]:
                    _write_tensor(job, job.source[name], writer, mask_writer, done)
                    read_bytes += job.source[name].nbytes
                    if progress:
                        progress(read_bytes, all_bytes)
            done.nbytes += file.draft.stat().st_size
        if draft.is_dir():
            done.left_out = copy_others(job.source, draft, job.target)
            _configure(job, draft, places, done)
    return done


def _names_in(file: Path, source: Checkpoint) -> list[str]:
    """Return the tensors of one file of a checkpoint, as the network has them.

    Raises:
        StcsimError: when one is of a type that cannot be written plain.
    """
    if len(source.files) == 1:
        names = list(source)
    else:
        with open_checkpoint(file) as part:
            names = [name for name in part if name in source]
    for name in names:
        if source[name].dtype in _HALF_BYTES:
            expected = "elements of a byte or more, in a layout that can be written"
            raise StcsimError(f"{file}: {name}", expected, f"{source[name].dtype} in layout {source[name].layout}")
    return names


def _planned(job: Job, tensor: StoredTensor) -> list[Planned]:
    """Return the tensors that one becomes."""
    if not job.packs(tensor.name):
        return [Planned(tensor.name, tensor.dtype, tensor.shape)]
    rows, columns = tensor.shape
    shapes = (tensor.dtype, (rows, columns // 2)), ("uint8", (rows, -(-columns // 8))), ("int64", (2, 1))
    return [Planned(name, dtype, shape) for name, (dtype, shape) in zip(_parts(tensor.name), shapes, strict=True)]


def _parts(name: str) -> list[str]:
    return [f"{name.removesuffix('.weight')}.{part}" for part in _PARTS]


def _mask_writer(job: Job, drafts: Drafts, stack: ExitStack) -> Writer | None:
    """Open the file of masks."""
    if job.mask_file is None:
        return None
    pruned = [job.source[name] for name in job.weights if job.prunes(name)]
    planned = [Planned(each.name, *_mask_form(each.shape, job.pack_masks)) for each in pruned]
    metadata = {"format": "pt", "pattern": job.wanted.pattern, "conv_order": job.wanted.conv_order}
    return stack.enter_context(opened(drafts.file(job.mask_file), job.mask_file, planned, metadata))


def _mask_form(shape: tuple[int, ...], packed: bool) -> tuple[str, tuple[int, ...]]:
    return ("uint8", (*shape[:-1], -(-shape[-1] // 8))) if packed else ("bool", shape)


def _write_tensor(job: Job, tensor: StoredTensor, writer: Writer, mask_writer: Writer | None, done: Written) -> None:
    """Write one tensor, pruned or as it is, and its mask."""
    name = tensor.name
    if not job.prunes(name):
        writer.write(name, plain_slabs(tensor, job.orders.get(name, {})))
        return
    masks: list[Codes] = []
    slabs = _pruned(job, tensor, masks if mask_writer else None, done)
    if job.packs(name):
        _write_packed(writer, tensor, slabs)
    else:
        writer.write(name, slabs)
    if mask_writer:
        mask_writer.write(name, iter(masks) if job.pack_masks else _unpacked(masks, tensor.shape[-1]))


def _write_packed(writer: Writer, tensor: StoredTensor, slabs: Iterator[Codes]) -> None:
    """Write a matrix as values, bits and its shape; the bits wait until the values are there."""
    compressed, bitmask, shape = _parts(tensor.name)
    bits: list[Codes] = []

    def values() -> Iterator[Codes]:
        for slab in slabs:
            packed = pack_bitmask(slab, tensor.dtype)
            bits.append(packed.bitmask)
            yield packed.compressed

    writer.write(compressed, values())
    writer.write(bitmask, iter(bits))
    writer.write(shape, iter([np.array(tensor.shape, np.int64)]))


def _unpacked(masks: Sequence[Codes], columns: int) -> Iterator[Codes]:
    """Yield masks of bits as a byte each."""
    for mask in masks:
        yield np.unpackbits(mask, axis=-1, count=columns, bitorder="little")


def _pruned(job: Job, tensor: StoredTensor, masks: list[Codes] | None, done: Written) -> Iterator[Codes]:
    """Yield a weight in slabs, zeros where nothing stays; masks, in bits, and sums of magnitudes are kept."""
    weight, wanted, arrays = job.weights[tensor.name], job.wanted, [(f"{job.source.path}: {tensor.name}", tensor)]
    if job.scores is not None:
        arrays.append((job.scores.where(tensor.name), job.scores.tensors[tensor.name]))
    given = None if job.masks is None else job.masks.checked(weight, wanted)
    order = wanted.conv_order if given is None else given.order
    sums, holds = np.zeros(3), dict.fromkeys(ORDERS if weight.taps > 1 else (), True)
    for start, stop in slab_ranges(tensor.shape, multiple_of(weight, wanted)):
        slab = read_slab(tensor, start, stop, job.orders.get(tensor.name, {}))
        with naming(*arrays):
            keep = _keep(job, weight, order, slab, start, stop) if given is None else given.keep[start:stop]
            sums += _sums(job, weight, order, slab, keep, start, stop)
        for each in holds:
            holds[each] &= crowded_groups(keep, each, kept=wanted.kept, group=wanted.group) == 0
        if masks is not None:
            masks.append(np.packbits(keep, axis=-1, bitorder="little"))
        done.zeros += keep.size - int(np.count_nonzero(keep))
        pruned = zeroed(slab, keep)
        tensor.release()
        yield pruned
    done.sums[tensor.name] = sums
    done.orders[tensor.name] = "both" if len(holds) > 1 and all(holds.values()) else next(filter(holds.get, holds), "")


def _keep(job: Job, weight: GemmWeight, order: str, slab: Codes, start: int, stop: int, folded: bool = True) -> Mask:
    """Return which weights of a slab stay, as it lies in the file; ``folded``: with its input channels permuted."""
    name, scores = weight.tensor.name, None
    if job.scores is not None:
        scores = matrix_of(job.scores.slab(name, start, stop, job.places(weight, folded)), weight, order)
    keep = keep_of(matrix_of(slab, weight, order), weight.tensor.dtype, job.wanted, scores)
    return np.ascontiguousarray(stored_as(keep, slab, weight, order))


def _sums(job: Job, weight: GemmWeight, order: str, slab: Codes, keep: Mask, start: int, stop: int) -> Floats:
    """Return the sums of all magnitudes of a slab, of those that stay, and of those that would stay without a permutation."""
    tensor = weight.tensor
    total, kept = sums_of(slab, tensor.dtype, keep)
    if input_axis(weight) not in job.orders.get(tensor.name, {}):
        return np.array([total, kept, kept])
    before = read_slab(tensor, start, stop, job.places(weight, False))
    return np.array([total, kept, sums_of(before, tensor.dtype, _keep(job, weight, order, before, start, stop, False))[1]])


def _configure(job: Job, draft: Path, places: Mapping[str, str], done: Written) -> None:
    """Let index and configuration of a folder say what its files hold."""
    if job.wanted.layout is WeightLayout.BITMASK:
        dense = [weight.layer for name, weight in job.weights.items() if weight.kind is Kind.LINEAR and not job.packs(name)]
        write_config(draft, compressed_24(dense, done.zeros / sum(tensor.size for tensor in job.source.values())))
    elif all(tensor.layout == PLAIN for tensor in job.source.values()):
        return
    else:
        write_config(draft, uncompressed)
    write_index(draft, places, done.nbytes)
