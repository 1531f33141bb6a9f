"""The page in a real browser: from disk, with the network off."""

import numpy as np
import pytest
from support.browser import CHROMIUM, DRIVER, browser
from support.invented import changed, failing

from crosscheck.reports import written

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver"
)

HOSTILE = "<img src=x onerror=window.struck=1><script>window.struck=1</script>"


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    """A page with many rows, a defect, crashes, and names that hold markup."""
    run = made(cases=60, engines=("a", "b", HOSTILE), dtypes=("float32", "float64"))
    run = failing(changed(run, verdict="DEFECT", max_ulp=np.inf), HOSTILE, 2)
    run.cases.loc[0, f"message:{HOSTILE}"] = HOSTILE
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(written.render(run, "html"))
    return path


@pytest.fixture(scope="module")
def session(page):
    with browser() as session:
        session.offline()
        session.requests()
        session.size(1280)
        session.open(page)
        yield session


def test_it_opens_without_a_complaint_or_a_request(session, page):
    own = page.resolve().as_uri()
    asked = [address for address in session.requests() if not address.startswith("chrome://")]
    assert [address for address in asked if not address.startswith("data:")] == [own]
    assert session.complaints() == []
    assert session.run("return document.querySelectorAll('figure svg').length") > 10


def test_no_name_or_message_is_obeyed(session):
    assert session.run("return window.struck === undefined")
    assert session.run("return document.querySelectorAll('main img').length") == 0
    assert session.run("return document.body.textContent").count("onerror=window.struck=1") > 2


SORT = """
const table = document.querySelector("#engines table");
const headings = [...table.tHead.rows[0].cells];
const column = headings.findIndex(c => c.textContent.startsWith(arguments[0]));
headings[column].querySelector("button").click();
const cells = [...table.tBodies[0].rows].map(row => row.cells[column]);
return cells.map(cell => cell.dataset.v ?? cell.textContent);
"""


def test_a_click_sorts_numbers_as_numbers(session):
    up = [float(value) for value in session.run(SORT, "ulp median")]
    assert up == sorted(up)
    down = [float(value) for value in session.run(SORT, "ulp median")]
    assert down == up[::-1]
    sorted_by = session.run("return document.querySelectorAll('[aria-sort=descending]').length")
    assert sorted_by == 1
    names = session.run(SORT, "engine")
    assert names == sorted(names)


FILTER = """
const input = document.querySelector("#worst .filter input");
input.value = arguments[0];
input.dispatchEvent(new Event("input"));
const rows = [...document.querySelectorAll("#worst tbody tr")];
return rows.filter(row => row.offsetParent !== null).map(row => row.textContent.toLowerCase());
"""


def test_a_filter_leaves_the_rows_with_all_its_words(session):
    everything = session.run(FILTER, "")
    left = session.run(FILTER, "float64 DEFECT")
    assert 0 < len(left) < len(everything) == 20
    assert all("float64" in row and "defect" in row for row in left)
    assert session.run(FILTER, "no such words") == []
    assert len(session.run(FILTER, "")) == 20


def test_a_line_is_selected_by_its_button(session):
    text = session.run(
        "document.querySelector('#worst .copy').click(); return getSelection().toString();"
    )
    assert text.startswith("crosscheck reproduce s0-i")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(session, width):
    session.size(width)
    assert session.run("return document.documentElement.scrollWidth") <= width
    wide = """
    const clipped = e => { for (let p = e; p; p = p.parentElement)
        if (/auto|scroll|hidden/.test(getComputedStyle(p).overflowX)) return true; };
    return [...document.querySelectorAll("main *, header *")].filter(
        e => e.getBoundingClientRect().right > arguments[0] + 1 && !clipped(e)).length;
    """
    assert session.run(wide, width) == 0


CONTRAST = """
const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const parts = text => text.match(/[\\d.]+/g).map(Number);
const behind = e => { for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } };
const least = {};
const all = "p, li, td, th, small, span, a, h1, h2, h3, dt, dd, code";
for (const e of document.querySelectorAll(all)) {
    if (!e.textContent.trim() || !e.checkVisibility()) continue;
    const both = [light(parts(getComputedStyle(e).color)), light(behind(e))];
    const [a, b] = both.sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const key = e.tagName + "." + e.className;
    least[key] = Math.min(least[key] ?? 99, ratio);
}
return Object.entries(least).filter(([, ratio]) => ratio < 4.5);
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(session, dark):
    """WCAG's contrast of 4.5, in light and in dark."""
    session.size(1280, dark=dark)
    assert session.run(CONTRAST) == []
    session.run("document.querySelector('.lead').style.color = '#888'")
    session.run("document.querySelector('.lead').style.background = '#999'")
    assert [name for name, _ in session.run(CONTRAST)] == ["P.lead"]
    session.run("document.querySelector('.lead').removeAttribute('style')")


def test_it_prints_in_light_colours(session, tmp_path):
    session.size(1280, dark=True)
    session.pdf(tmp_path / "page.pdf")
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    pages = content.count(b"/Type /Page\n") + content.count(b"/Type /Page/")
    assert 3 <= pages <= 25


def test_without_javascript_everything_is_there(page):
    with browser(javascript=False) as session:
        session.open(page)
        session.size(1280)
        markup = session.cdp("DOM.getDocument", depth=0)
        assert markup
        made = session.cdp(
            "DOM.querySelectorAll", nodeId=markup["root"]["nodeId"], selector="th button"
        )
        assert made["nodeIds"] == []
        rows = session.cdp(
            "DOM.querySelectorAll", nodeId=markup["root"]["nodeId"], selector="#worst tbody tr"
        )
        assert len(rows["nodeIds"]) == 20
