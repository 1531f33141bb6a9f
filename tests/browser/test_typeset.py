"""The LaTeX of reports, set by LaTeX: it compiles, and stays within an article's text."""

import shutil
import subprocess

import pytest

from crosscheck.audit.audit import AuditPlan, audit
from crosscheck.audit.reports import latex as audit_latex
from crosscheck.reports import written
from crosscheck.reports.formats import latex

pytestmark = pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")

HOSTILE = (
    r"[1*\input{x}%",
    "*&_^~#$\"'`|<>{}[]--",
    "Ąß«σ→\N{PILE OF POO}\x00\u0301\n\n",
    "path/to/a/folder/of_mine/gradients.py:the_gradient_of_my_own_network",
)
"""Names of engines that hold commands, ends of rows, unknown characters and no space."""


def log_of(folder, text, packages):
    """What LaTeX says of an article with this text in it; twice, as longtable wants."""
    (folder / "report.tex").write_text(text, encoding="utf-8")
    (folder / "article.tex").write_text(
        rf"\documentclass{{article}}\usepackage{{{packages}}}"
        r"\begin{document}Before. \input{report.tex} After.\end{document}"
    )
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "article.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
        log = (folder / "article.log").read_text(encoding="latin-1")
        assert done.returncode == 0, log
    return log


def test_the_table_of_a_run_is_set_within_the_text(made, tmp_path):
    run = made(
        engines=("torch.backward", "paper-contracted", *HOSTILE), dtypes=("float32", "float64")
    )
    log = log_of(tmp_path, written.render(run, "latex"), "booktabs")
    assert "Overfull" not in log


def test_the_audit_is_set_within_the_text(tmp_path):
    found = {**audit(AuditPlan(15), judges=[]), "command": "crosscheck audit"}
    log = log_of(tmp_path, audit_latex.text(found), "amsmath,booktabs,longtable")
    assert "Overfull" not in log


def test_each_character_is_set_or_named(tmp_path):
    marks = [chr(code) for code in [*range(0x250), *range(0x2000, 0x2300)]]
    log_of(tmp_path, latex.escape("x ".join(marks)), "booktabs")
