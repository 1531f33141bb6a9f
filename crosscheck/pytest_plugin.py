"""The pytest plugin: fixtures `crosscheck` and `gradcheck`, two options, a line in the summary."""

from collections.abc import Callable
from typing import Any

import pytest

PROPERTY = "crosscheck"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--crosscheck-cases` and `--crosscheck-seed`, for calls that do not say it themselves."""
    group = parser.getgroup("crosscheck", "gradients on trial")
    group.addoption("--crosscheck-cases", type=_count, metavar="N", help="cases a check runs")
    group.addoption("--crosscheck-seed", type=_count, metavar="N", help="seed of the cases")


def _count(text: str) -> int:
    import argparse

    from crosscheck.networks.ranges import whole

    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    try:
        return whole("N", int(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _in_full(request: pytest.FixtureRequest) -> bool:
    """Whether tracebacks are asked for in full, with -vv, as pytest shows differences."""
    return bool(request.config.get_verbosity() >= 2)


@pytest.fixture
def crosscheck(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`crosscheck(gradient, …)` as `crosscheck.check`; the test fails where the gradient does."""
    options = {name: request.config.getoption(f"crosscheck_{name}") for name in ("cases", "seed")}
    given = {name: value for name, value in options.items() if value is not None}

    def check(gradient: Any, **arguments: Any) -> Any:
        __tracebackhide__ = True
        import crosscheck

        report = crosscheck.check(gradient, **{**given, **arguments})
        request.node.user_properties.append((PROPERTY, (len(report.cases), report.ok)))
        if not report.ok:
            pytest.fail(report.message(full=_in_full(request)), pytrace=False)
        return report

    return check


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`gradcheck(f, *args, …)` as `crosscheck.gradcheck`; a test fails where a gradient does."""
    seed = request.config.getoption("crosscheck_seed")
    given = {} if seed is None else {"seed": seed}

    def check(function: Any, *args: Any, **arguments: Any) -> Any:
        __tracebackhide__ = True
        import crosscheck

        report = crosscheck.gradcheck(function, *args, **{**given, **arguments})
        request.node.user_properties.append((PROPERTY, (len(report.cases), report.ok)))
        if not report.ok:
            pytest.fail(report.message(full=_in_full(request)), pytrace=False)
        return report

    return check


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many gradients were checked, on how many cases; under xdist, by all workers."""
    reports = [r for found in terminalreporter.stats.values() for r in found]
    checks = [
        value
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY
    ]
    if checks:
        wrong = sum(not ok for _, ok in checks)
        cases = sum(count for count, _ in checks)
        terminalreporter.write_line(
            f"crosscheck: {len(checks)} gradients on {cases} cases, {wrong or 'none'} wrong"
        )
