"""Steps that model code writes as several operators and every engine runs as one: found by who reads whom, and put together.

RMS norm, rotary position embedding (rope), keys and values appended to a cache, and those repeated for the heads that share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from stcsim.trace import Gemm, Memory, Op
from stcsim.trace.edges import readers_of

_SQUARES = ("pow", "mul", "square")
_ROOTS = ("rsqrt", "sqrt", "pow")


def put_together(ops: Sequence[Op]) -> tuple[Op, ...]:
    """Return the operations with every group of steps that is one kernel in its last step's place.

    Args:
        ops: with names of their own and ``inputs``.
    """
    for rule in (_rms_norm, _rope, _shared_heads, _cache_update):
        ops = _apply(rule, ops)
    return tuple(ops)


class Steps:
    """The operations by name, and who reads them."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self._ops = {op.name: op for op in ops}
        self._readers = readers_of(ops)

    def readers(self, op: Op) -> list[Op]:
        """Return the operations that read ``op``."""
        return [self._ops[name] for name in self._readers[op.name]]

    def only_reader(self, op: Op, operators: Iterable[str]) -> Memory | None:
        """Return the one step that reads ``op``, if there is but one and it is of these operators."""
        readers = self.readers(op)
        return readers[0] if len(readers) == 1 and isinstance(readers[0], Memory) and readers[0].operator in operators else None

    def source(self, op: Op, operators: Iterable[str]) -> Memory | None:
        """Return the one step that ``op`` reads, likewise."""
        source = self._ops[op.inputs[0]] if len(op.inputs) == 1 else None
        return source if isinstance(source, Memory) and source.operator in operators else None

    def sources(self, op: Op) -> list[Op]:
        """Return the operations that ``op`` reads."""
        return [self._ops[name] for name in op.inputs]

    def take(self, op: Op) -> None:
        """Remember that the name of ``op`` is taken."""
        self._ops[op.name] = op

    def reads(self, op: Op, operator: str) -> Memory | None:
        """Return the first step of this operator that ``op`` reads."""
        return next((each for each in self.sources(op) if isinstance(each, Memory) and each.operator == operator), None)

    def free_name(self, name: str) -> str:
        """Return ``name``, with a number behind it when it is taken."""
        times = 1
        while (free := name if times == 1 else f"{name}#{times}") in self._ops:
            times += 1
        return free


#: From the steps and one of them, the members of a group in network order and what stands for them; or nothing.
Rule = Callable[[Steps, Memory], tuple[Sequence[Memory], Memory | None] | None]


def _apply(rule: Rule, ops: Sequence[Op]) -> list[Op]:
    """Return the operations with each group that ``rule`` finds replaced, and those that read it rewired."""
    steps = Steps(ops)
    gone: dict[str, Memory | None] = {}
    renamed: dict[str, tuple[str, ...]] = {}
    for op in ops:
        found = rule(steps, op) if isinstance(op, Memory) and op.name not in gone else None
        if found is None or any(member.name in gone for member in found[0]):
            continue
        members, one = found
        gone.update(dict.fromkeys((member.name for member in members), None))
        gone[members[-1].name] = one
        renamed[members[-1].name] = (one.name,) if one else members[-1].inputs
        if one:
            steps.take(one)
    kept = [gone.get(op.name, op) for op in ops]
    return [_rewired(op, renamed) for op in kept if op is not None]


def _rewired(op: Op, renamed: dict[str, tuple[str, ...]]) -> Op:
    inputs = tuple(dict.fromkeys(new for name in op.inputs for new in renamed.get(name, (name,))))
    return op if inputs == op.inputs else op.changed(inputs=inputs)


def _rms_norm(steps: Steps, mean: Memory) -> tuple[Sequence[Memory], Memory] | None:
    """Find x / root of (mean of x squared + a constant), times the weights if they follow."""
    square = steps.source(mean, _SQUARES) if mean.operator == "mean" else None
    if square is None or steps.readers(square) != [mean]:
        return None
    members, last = [square, mean], mean
    while (follower := steps.only_reader(last, ("add", "cast"))) and follower.inputs == (last.name,):
        members.append(follower)
        last = follower
    root = steps.only_reader(last, _ROOTS)
    scaled = steps.only_reader(root, ("mul", "div")) if root else None
    if root is None or scaled is None or {*scaled.inputs} - {root.name} != {*square.inputs}:
        return None
    members += [root, scaled]
    while (follower := steps.only_reader(members[-1], ("mul", "cast"))) and follower.inputs == (members[-1].name,):
        members.append(follower)
        if follower.operator == "mul":
            break
    path = square.name.rpartition(".")[0] or square.name
    return members, _one("rms_norm", steps.free_name(path), members, square.elements_read)


def _rope(steps: Steps, turned: Memory) -> tuple[Sequence[Memory], Memory] | None:
    """Find x * cos + cat(-x2, x1) * sin, and the part of x left as it is if that is put behind it."""
    negative = steps.reads(turned, "neg") if turned.operator == "cat" else None
    sine = steps.only_reader(turned, ("mul",))
    total = steps.only_reader(sine, ("add",)) if sine else None
    if negative is None or sine is None or total is None or {*turned.inputs} != {negative.name, *negative.inputs}:
        return None
    cosine = next((each for each in steps.sources(total) if each is not sine), None)
    if not isinstance(cosine, Memory) or cosine.operator != "mul" or cosine.inputs != negative.inputs:
        return None
    if steps.readers(negative) != [turned] or steps.readers(cosine) != [total]:
        return None
    members = [cosine, negative, turned, sine, total]
    read = cosine.elements_read + sine.elements_read - turned.elements_written
    whole = steps.only_reader(total, ("cat",))
    if whole and {*whole.inputs} == {total.name, *negative.inputs}:
        members.append(whole)
        read += whole.elements_read - total.elements_written
    return members, _one("rope", steps.free_name(_beside(turned, "rope")), members, read)


def _shared_heads(steps: Steps, copy: Memory) -> tuple[Sequence[Memory], None] | None:
    """Find a copy that repeats keys or values for the heads that share them; a product reads them where they lie."""
    if copy.operator != "copy" or copy.elements_written <= copy.elements_read + copy.constant_elements:
        return None
    return ([copy], None) if _only_attention(steps, copy) else None


def _cache_update(steps: Steps, joined: Memory) -> tuple[Sequence[Memory], Memory] | None:
    """Find new keys or values put behind those fed to the network; they are written where the cache lies."""
    if joined.operator != "cat" or len(joined.inputs) != 1 or not _only_attention(steps, joined):
        return None
    new = min(joined.elements_read, joined.elements_written, *(source.output_elements for source in steps.sources(joined)))
    fields = {"operator": "cache_update", "elements_read": new, "elements_written": new, "constant_elements": 0}
    return [joined], joined.changed(name=steps.free_name(_beside(joined, "cache_update")), **fields)


def _only_attention(steps: Steps, op: Op) -> bool:
    """Whether nothing but products of two activations reads ``op``."""
    readers = steps.readers(op)
    return bool(readers) and all(isinstance(each, Gemm) and each.weight_operand is None for each in readers)


def _beside(op: Op, part: str) -> str:
    """Return the name of another part of the module ``op`` is in."""
    return f"{op.name.rpartition('.')[0]}.{part}".removeprefix(".")


def _one(operator: str, name: str, members: Sequence[Memory], read: int) -> Memory:
    """Return one step for several: it reads ``read`` and every member's constants, and writes what the last one does."""
    first, last = members[0], members[-1]
    inside = {member.name for member in members}
    outside = tuple(dict.fromkeys(each for member in members for each in member.inputs if each not in inside))
    constants = sum(member.constant_elements for member in members)
    return last.changed(
        name=name, operator=operator, elements_read=read, constant_elements=constants, inputs=outside, origin=first.origin
    )
