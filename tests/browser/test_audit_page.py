"""The audit's page in a real browser: from disk, with the network off, and on paper."""

import pytest
from support.browser import CHROMIUM, DRIVER, browser

from crosscheck.audit.audit import AuditPlan, audit
from crosscheck.audit.reports import html

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "audit.html"
    path.write_text(
        html.text({**audit(AuditPlan(15), judges=[]), "command": "crosscheck audit"}),
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def session(page):
    with browser(javascript=False) as session:
        session.offline()
        session.requests()
        session.size(1280)
        session.open(page)
        yield session


def test_no_request_leaves_the_page(session, page):
    asked = [address for address in session.requests() if not address.startswith("chrome://")]
    assert asked == [page.resolve().as_uri()]
    assert session.complaints() == []


OVERLAPS = """
const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1
    || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
const boxes = [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect());
let found = 0;
boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => found += !apart(a, b)));
return found;
"""

SETS = ("section.card", ".cell", "svg.formula", ".drawing circle.neuron", "h1, h2, h3, p, table")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overlaps_or_is_wider_than_the_screen(session, width, dark):
    session.size(width, dark=dark)
    assert session.run("return document.documentElement.scrollWidth") <= width
    for selector in SETS:
        assert session.run(OVERLAPS, selector) == 0, selector


def test_an_overlap_is_found(session):
    assert session.run(OVERLAPS, "body, h1") == 1


FORMULAS = """
return [...document.querySelectorAll("svg.formula")].map(e =>
    e.getBoundingClientRect().width / e.viewBox.baseVal.width * 100);
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_every_formula_is_as_large_as_the_text_around_it(session, width):
    session.size(width)
    sizes = session.run(FORMULAS)
    assert len(sizes) > 2 * 15
    assert min(sizes) >= 15


def test_colours_follow_the_scheme(session):
    ink = "return getComputedStyle(document.querySelector('svg.formula')).fill"
    session.size(1280)
    light = session.run(ink)
    session.size(1280, dark=True)
    assert session.run(ink) != light


def test_it_prints(session, tmp_path):
    session.size(1280)
    session.pdf(tmp_path / "audit.pdf")
    assert (tmp_path / "audit.pdf").read_bytes().startswith(b"%PDF")
