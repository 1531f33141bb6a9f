"""What a run does: the plan, its shards, and the blocks of cases that are done at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines import registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import SHAPED, Distribution
from crosscheck.networks.network import Case
from crosscheck.networks.ranges import whole

BLOCK_ENTRIES = 1 << 24
"""Largest number of weights, by the widest network of a plan, that one block may hold."""

LARGEST_BLOCK = 512
BLOCKS_WANTED = 32
"""Indices in a block: enough for packed engines, few enough that every worker has work."""


DEEP_CASES, DEEP_EVERY = 1000, 100
"""Up to how many cases each gets the checks that cost most; and beyond, one of how many."""


REPEATED_FIRST, REPEATED_EVERY = 10, 10
"""How many of the first indices, and of how many after them one, a user's function gets twice."""


CERTIFIED_EVERY, CERTIFIED_FIRST = 25, 8
"""Of how many indices one certifies the oracle, and which is the first: past the special cases."""


class Span(NamedTuple):
    """The indices start … stop - 1 of a run, in every dtype."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Plan:
    """What a run does; rows are a function of this alone.

    `engines` are names of the table, or of a user's functions; cases have the indices
    0 … cases - 1 in each dtype. `sampled` names engines that take only the indices divisible
    by a number. `deep` says where the checks that cost most are made, `certify` where the
    oracle is certified: "sample", "all" or "none". `accumulate` holds pairs of an engine's name,
    or "" for all, and the wider format in which it is declared to form sums. `arrays` is what a
    user's function is handed: numpy, torch or jax. `shipped` holds pairs of a user's function and
    the address of its copy on this machine, where its source was sent here; no row depends on it.

    Raises ValueError for an unknown dtype, a declared accumulator that is narrower, or a number of
    cases or a seed that is negative or beyond what rows hold.
    """

    engines: tuple[str, ...] = registry.DEFAULT
    dtypes: tuple[str, ...] = ("float32", "float64")
    cases: int = 200
    seed: int = 0
    distribution: Distribution = field(default_factory=Distribution)
    sampled: tuple[tuple[str, int], ...] = ()
    deep: str = "sample"
    certify: str = "sample"
    accumulate: tuple[tuple[str, str], ...] = ()
    arrays: str = "numpy"
    shipped: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in ("cases", "seed"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        for dtype in self.dtypes:
            if dtype not in FORMATS:
                raise ValueError(registry.nearest(dtype, list(FORMATS), "dtype"))
            for _, wider in self.accumulate:
                Arithmetic(dtype, accumulate=wider)

    def as_json(self) -> dict[str, Any]:
        """The plan for a record; what older records have not, only where it is not the default."""
        fields = asdict(self)
        for name in SHAPED:
            if getattr(self.distribution, name) == getattr(Distribution, name):
                del fields["distribution"][name]
        del fields["shipped"]
        if self.arrays == Plan.arrays:
            del fields["arrays"]
        return fields

    @property
    def whole(self) -> Span:
        return Span(0, self.cases)

    def draws(self, span: Span | None = None) -> Iterator[Case]:
        """The cases of these indices, or all, in order: every dtype of an index in turn."""
        for index in range(*(span or self.whole)):
            for dtype in self.dtypes:
                yield sampling.draw(self.distribution, self.seed, index, dtype)

    def address(self, engine: str) -> str:
        """Where this engine is loaded from on this machine: its name, or that of its copy."""
        return dict(self.shipped).get(engine, engine)

    def takes(self, engine: str, index: int) -> bool:
        """Whether this engine runs on the cases of this index."""
        return index % dict(self.sampled).get(engine, 1) == 0

    def goes_deep(self, index: int) -> bool:
        """Whether the checks that cost most are made on the cases of this index."""
        if self.deep != "sample":
            return self.deep == "all"
        return index % self.deep_every == 0

    def repeats(self, index: int) -> bool:
        """Whether a user's function gets the cases of this index twice, for it may keep state."""
        return index < REPEATED_FIRST or index % REPEATED_EVERY == 0

    def certifies(self, index: int) -> bool:
        """Whether the oracle is certified on the cases of this index; on one case at least."""
        if self.certify != "sample":
            return self.certify == "all"
        every = CERTIFIED_EVERY if self.cases <= DEEP_CASES else 10 * DEEP_EVERY
        return index % every == min(CERTIFIED_FIRST, self.cases - 1)

    def promised(self, engine: str, arithmetic: Arithmetic) -> Arithmetic:
        """What an engine promises, with what was declared of it."""
        declared = dict(self.accumulate)
        wider = declared.get(engine, declared.get("", arithmetic.accumulate))
        return replace(arithmetic, accumulate=wider)

    @property
    def deep_every(self) -> int:
        """Of how many indices one goes deep: of a plan of a thousand cases or fewer, each."""
        return 1 if self.cases <= DEEP_CASES else DEEP_EVERY

    @property
    def block_size(self) -> int:
        """Indices in a block; no row depends on it."""
        of = self.distribution
        widest = of.layers[1] * of.widths[1] ** 2
        by_memory = BLOCK_ENTRIES // widest
        return max(1, min(LARGEST_BLOCK, by_memory, -(-self.cases // BLOCKS_WANTED)))


def shard(cases: int, number: int, of: int) -> Span:
    """The indices of shard `number` of `of`, counted from 1: all shards together are the run."""
    return Span((number - 1) * cases // of, number * cases // of)


def missing(whole: Span, done: Iterable[Span]) -> list[Span]:
    """What of `whole` no span of `done` covers, in order; `done` may not overlap."""
    gaps, begin = [], whole.start
    for span in sorted(done):
        if span.start > begin:
            gaps.append(Span(begin, span.start))
        begin = max(begin, span.stop)
    if begin < whole.stop:
        gaps.append(Span(begin, whole.stop))
    return gaps


def blocks(spans: Iterable[Span], size: int) -> Iterator[Span]:
    """The spans in pieces of at most `size` indices."""
    for span in spans:
        for start in range(span.start, span.stop, size):
            yield Span(start, min(start + size, span.stop))
