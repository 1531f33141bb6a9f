"""A subject on trial: in each mode its numbers, its rule and where it goes wrong."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs import cotangents, reference
from crosscheck.programs.errors import Promise
from crosscheck.programs.frontends.subject import Leaf, Numbers, Subject
from crosscheck.programs.frontends.theirs import raised_by_theirs
from crosscheck.programs.program import Program, Unreadable, loosened
from crosscheck.programs.reference import Enclosed
from crosscheck.programs.trial import judge, noise, stages
from crosscheck.programs.trial.judge import ExactProgram, Findings, OutputRuling, Yardstick
from crosscheck.programs.trial.repair import first_wrong_value
from crosscheck.programs.trial.stages import Stage

Accumulate = str | Mapping[str, str] | None


DOUBTED = ("CONSISTENT", "INCONCLUSIVE")
"""Verdicts that noise may turn into a suspicion."""

NOISY = "beyond what independent roundings add up to: biased or lower-precision arithmetic"

NOISE_ENTRIES = 300_000
"""Entries of all values of a program whose noise is looked at: some tens of milliseconds."""


REPAIRED_ENTRIES = 100_000
"""Entries of all values of a program in which the wrong line is looked for."""


class NotGiven(ValueError):
    """The derivative has another form than the arguments: one sentence says where."""


class Unsteady(ValueError):
    """The function gives other numbers each time that it is called."""


@dataclass(frozen=True, eq=False)
class JudgedMode:
    """One mode: its leaves judged, what is wrong by itself, and notes, a sentence each."""

    mode: str
    findings: Sequence[Findings]
    wrong: Sequence[Stage] = ()
    notes: Sequence[str] = ()
    seconds: float = float("nan")
    status: str = "ok"
    message: str = ""
    cause: BaseException | None = None

    @property
    def confirmed(self) -> bool:
        """Whether all leaves are right."""
        right = all(one.verdict == "CONSISTENT" for one in self.findings)
        return self.status == "ok" and right and not self.notes


@dataclass(eq=False)
class Trial:
    """A function and its arguments on trial.

    `standard` is the reference that it promises to be no worse than, if it has one; `cotangents`
    are given or drawn from `seed`; `accumulate` the wider format of its sums; `intended` names
    the custom rules that are meant to differ.
    """

    subject: Subject
    standard: Subject | None = None
    cotangents: Sequence[Array] | None = None
    accumulate: Accumulate = None
    operands: str | None = None
    intended: frozenset[str] = frozenset()
    seed: int = 0
    _exact: dict[str, ExactProgram] = field(default_factory=dict)
    _rules: dict[tuple[int, str], ExactProgram] = field(default_factory=dict)
    _rulings: dict[tuple[int, int], list[OutputRuling]] = field(default_factory=dict)
    _replays: dict[str, stages.Replay] = field(default_factory=dict)

    @cached_property
    def primal(self) -> Program:
        """P: of the reference, where there is one. Raises Unreadable."""
        return (self.standard or self.subject).primal()

    def given(self, mode: str) -> list[Array]:
        """The cotangents of the value, or the tangents of the arguments."""
        forward = mode.startswith(judge.FORWARD)
        leaves = (
            [self.subject.inputs[place] for place in self.subject.wrt]
            if forward
            else list(self.subject.outputs)
        )
        if self.cotangents is not None and not forward:
            given = list(self.cotangents)
        else:
            given = cotangents.drawn(leaves, self.seed, scalar_is_one=not forward)
        return cotangents.OF_HABIT.get(mode, list)(given)

    def exact(self, mode: str) -> ExactProgram:
        """G at the arguments. Raises Unreadable."""
        kind = mode if mode.startswith(judge.FORWARD) or mode in cotangents.OF_HABIT else ""
        if kind not in self._exact:
            derived = judge.derivative(self.primal, mode, list(self.subject.wrt))
            self._exact[kind] = ExactProgram(derived, [*self.subject.arrays, *self.given(mode)])
        return self._exact[kind]

    @property
    def source(self) -> str:
        """What the exact derivative was enclosed by."""
        return ", ".join(sorted({exact.enclosed.source for exact in self._exact.values()}))

    def promise(self, mode: str) -> Promise:
        """How the engine computes, with what it declares to accumulate in."""
        own = self.subject.promise(mode)
        return replace(
            own,
            accumulate=self.accumulate or own.accumulate,
            operands=self.operands or own.operands,
        )

    def judge(self, mode: str) -> JudgedMode:
        """The mode's verdicts. What the function itself raises is kept as the cause."""
        started = time.perf_counter()
        given = self.given(mode)
        try:
            numbers = self.subject.numbers(mode, given)
        except Unreadable as why:
            return JudgedMode(mode, (), status="unsupported", message=str(why))
        except (Exception, SystemExit) as error:  # the user's own code, which may even exit
            if isinstance(error, (ValueError, TypeError)) and not raised_by_theirs(error):
                raise  # a sentence on what it returned
            return failed(mode, error)
        seconds = time.perf_counter() - started
        rule, notes = self._rule(mode)
        yardstick = self._yardstick(mode, rule)
        findings = self._findings(mode, yardstick, numbers)
        if any(
            one.verdict in ("DEFECT", "SUSPECT") or one.reason == judge.UNFAITHFUL
            for one in findings
        ):
            self._require_steady()
        if rule is not None and self.standard is None:
            findings = self._by_noise(mode, rule, yardstick, findings)
            findings = self._by_stages(mode, rule, findings)
        wrong = self._places(mode, findings, rule)
        findings, waived = self._but_intended(findings, wrong)
        return JudgedMode(mode, findings, wrong, [*notes, *waived], seconds)

    def _require_steady(self) -> None:
        """Raises Unsteady where two calls give what no two evaluations of one function give."""
        mode = self.subject.modes[0]
        given = self.given(mode)
        once, again = (self.subject.numbers(mode, given) for _ in range(2))
        leaves, bounds = self.leaves(mode), self._yardstick(mode, self._rule(mode)[0]).allowed
        pairs = zip(
            (*once.values, *once.derivatives), (*again.values, *again.derivatives), strict=True
        )
        for leaf, bound, (one, other) in zip(leaves, bounds, pairs, strict=True):
            if judge.are_others(one, other, bound):
                raise Unsteady(
                    f"{self.subject.name} gives other numbers each time, at the same arguments "
                    f"({leaf.path}): it is random, or keeps state; hand it a fixed seed, or its "
                    "state as an argument"
                )

    def tolerances(self, mode: str) -> list[tuple[str, Array, Array]]:
        """(path, exact, allowed) of each leaf that the mode gives."""
        rule, _ = self._rule(mode)
        yardstick = self._yardstick(mode, rule)
        allowed = []
        for middle, radius, bound in zip(
            yardstick.exact.middle, yardstick.exact.radius, yardstick.allowed, strict=True
        ):
            plain = middle.astype(np.float64)
            rounding = np.abs((middle - plain).astype(np.float64))
            width = np.asarray(bound + radius + rounding)
            allowed.append((plain, np.where(np.isnan(width), np.inf, width)))
        return [
            (leaf.path, plain, width)
            for leaf, (plain, width) in zip(self.leaves(mode), allowed, strict=True)
        ]

    def _rule(self, mode: str) -> tuple[ExactProgram | None, list[str]]:
        """Q at the arguments, or why it cannot be read; modes of one program share it."""
        try:
            program = self.subject.rule(mode)
        except Unreadable as why:
            return None, [f"the rule itself is not on trial in mode {mode}: {why}"]
        key = id(program), mode if mode in cotangents.OF_HABIT else ""
        if key not in self._rules:
            recorded = loosened(program, self.primal)
            self._rules[key] = ExactProgram(recorded, [*self.subject.arrays, *self.given(mode)])
        return self._rules[key], []

    def _yardstick(self, mode: str, rule: ExactProgram | None) -> Yardstick:
        exact, promise = self.exact(mode), self.promise(mode)
        # What needs a reference has numbers in it that were frozen: its program says nothing.
        rulings = self._ruled(exact, None if self.standard is not None else rule)
        if self.standard is not None:
            return Yardstick(
                exact.enclosed, self._promised(mode, promise), _loose(rule), rulings, True
            )
        if rule is None:
            return Yardstick(exact.enclosed, exact.bound(promise), None, rulings, False)
        return Yardstick(exact.enclosed, rule.bound(promise), _loose(rule), rulings, True)

    def _ruled(self, exact: ExactProgram, rule: ExactProgram | None) -> list[OutputRuling]:
        key = id(exact), id(rule)
        if key not in self._rulings:
            self._rulings[key] = judge.rule_of(exact, rule)
        return self._rulings[key]

    @property
    def recalled(self) -> bool:
        """Whether some program was read before, at other arguments."""
        return any(one.kept.used for one in (self.subject, self.standard) if one is not None)

    def _promised(self, mode: str, promise: Promise) -> list[Array]:
        """The bound of the reference: of our derivative of it, and of its framework's."""
        assert self.standard is not None
        allowed = self.exact(mode).bound(promise)
        plain = mode if mode in self.standard.modes else self.standard.modes[0]
        if plain.startswith(judge.FORWARD) != mode.startswith(judge.FORWARD):
            return allowed
        try:
            program = self.standard.rule(plain)
        except Unreadable:
            return allowed
        other = ExactProgram(program, [*self.subject.arrays, *self.given(mode)]).bound(promise)
        return [np.maximum(one, two) for one, two in zip(allowed, other, strict=True)]

    def _findings(self, mode: str, yardstick: Yardstick, numbers: Numbers) -> list[Findings]:
        leaves = self.leaves(mode)
        arrays = [*numbers.values, *numbers.derivatives]
        if len(arrays) != len(leaves):
            raise NotGiven(f"{len(arrays)} arrays came in mode {mode} for {len(leaves)}")
        findings = []
        for place, (leaf, array) in enumerate(zip(leaves, arrays, strict=True)):
            if array.shape != tuple(leaf.shape):
                raise NotGiven(
                    f"the derivative by {leaf.path} has shape {array.shape}, "
                    f"and {leaf.path} has {tuple(leaf.shape)}"
                )
            findings.append(judge.judge(yardstick, place, leaf.path, array, leaf.format))
        return findings

    def leaves(self, mode: str) -> list[Leaf]:
        """What a mode gives: the values, then the derivatives."""
        values = list(self.subject.outputs)
        if mode.startswith(judge.FORWARD):
            return [*values, *(leaf._replace(path=f"tangent of {leaf.path}") for leaf in values)]
        return [*values, *(self.subject.inputs[place] for place in self.subject.wrt)]

    def _by_noise(
        self, mode: str, rule: ExactProgram, yardstick: Yardstick, findings: list[Findings]
    ) -> list[Findings]:
        """Right as far as B tells, and suspect where independent roundings do not add up to it."""
        open_to_doubt = any(_is_open(one) for one in findings)
        if not open_to_doubt or reference.size(rule.program) > NOISE_ENTRIES:
            return findings
        deviations = [
            np.where(one.error <= one.radius, 0.0, one.got - one.exact) for one in findings
        ]
        shares = noise.use(
            rule.program, rule.inputs, rule.values, self.promise(mode), deviations, self.seed
        )
        return [
            replace(one, verdict="SUSPECT", reason=NOISY, noise_use=share)
            if _is_open(one) and share > 1
            else replace(one, noise_use=share)
            for one, share in zip(findings, shares, strict=True)
        ]

    def _by_stages(self, mode: str, rule: ExactProgram, findings: list[Findings]) -> list[Findings]:
        """Where B says nothing: right operations that make up a right rule give right numbers."""
        if not any(one.reason == judge.NO_POWER for one in findings):
            return findings
        replayed = self._replay(mode)
        kept = []
        for place, one in enumerate(findings):
            same = one.rule == judge.SAME and one.reason == judge.NO_POWER
            if same and replayed.proves(place, one.got):
                one = replace(
                    one, verdict="CONSISTENT", reason="", power=replayed.power, by_stages=True
                )
            kept.append(one)
        return kept

    def _replay(self, mode: str) -> stages.Replay:
        """Each operation of Q by itself, at the engine's own values."""
        if mode not in self._replays:
            program = self.subject.rule(mode)
            given = self.given(mode)
            own = self.subject.replay(mode, given)
            self._replays[mode] = stages.replay(
                program, [*self.subject.arrays, *given], own, self.promise(mode)
            )
        return self._replays[mode]

    def _places(
        self, mode: str, findings: Sequence[Findings], rule: ExactProgram | None
    ) -> list[Stage]:
        """Where it goes wrong, looked for only where something does."""
        wrong = [one for one in findings if one.verdict in ("DEFECT", "SUSPECT")]
        if not wrong:
            return []
        named = self.wrong_rules
        if rule is None:
            return named
        if any(one.is_rule for one in wrong):
            line = self._wrong_line(mode, rule, findings)
            return [*named, *line] if len(named) != 1 else [_at(named[0], line)]
        if named:
            return named
        first = self._replay(mode).wrong
        return [first] if first else []

    def _wrong_line(
        self, mode: str, rule: ExactProgram, findings: Sequence[Findings]
    ) -> list[Stage]:
        """The operation of Q whose exact value would make the wrong leaves right."""
        exact = self.exact(mode)
        if reference.size(rule.program) > REPAIRED_ENTRIES:
            return []
        wrong = [place for place, one in enumerate(findings) if one.is_rule]
        right = [exact.values[exact.program.outputs[place]] for place in wrong]
        repair = first_wrong_value(rule.program, rule.values, wrong, right, exact.values)
        if repair is None:
            return []
        reason = "with the exact value in its place the gradient is right"
        return [Stage(repair.primitive, repair.source, reason)]

    @cached_property
    def wrong_rules(self) -> list[Stage]:
        """The custom rules that are wrong by themselves."""
        try:
            return stages.wrong_rules(self.subject.custom_rules(), self.seed)
        except Unreadable:
            return []

    def _but_intended(
        self, findings: list[Findings], wrong: Sequence[Stage]
    ) -> tuple[list[Findings], list[str]]:
        """A derivative that is meant to differ is waived by name, and the report says so."""
        if not wrong or not all(stage.name in self.intended for stage in wrong):
            return findings, []
        names = ", ".join(dict.fromkeys(stage.name for stage in wrong))
        kept = [
            replace(one, verdict="INCONCLUSIVE", reason=f"intended: {names} is meant to differ")
            if one.verdict == "DEFECT" and one.is_rule
            else one
            for one in findings
        ]
        return kept, [f"{names}: another derivative, as intended"]


def _is_open(one: Findings) -> bool:
    """Whether noise may make it suspect: not where the program is not what was computed."""
    return one.verdict in DOUBTED and not one.is_rule


def failed(mode: str, error: BaseException) -> JudgedMode:
    """A mode in which the function raised; the exception with its traceback is the cause."""
    said = f"{type(error).__name__}: {error}"
    return JudgedMode(mode, (), status="error", message=said, cause=error)


def _at(rule: Stage, line: Sequence[Stage]) -> Stage:
    """A rule's name, with the line in it that is wrong, if that is known."""
    if not line:
        return rule
    return Stage(f"{rule.name}, {line[0].name}", line[0].source, f"{rule.reason}; {line[0].reason}")


def _loose(rule: ExactProgram | None) -> Enclosed | None:
    return None if rule is None else rule.enclosed
