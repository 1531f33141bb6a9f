"""Each example prints what it says that it prints."""

import ast
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {"torch": "torch", "layer_norm": "torch", "jax": "jax"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path, monkeypatch, capsys):
    for start, library in NEEDS.items():
        if path.stem.startswith(start):
            pytest.importorskip(library)
    monkeypatch.chdir(EXAMPLES)
    promised = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).partition("Prints:")[
        2
    ]
    runpy.run_path(str(path))
    assert capsys.readouterr().out.strip() == promised.strip()
