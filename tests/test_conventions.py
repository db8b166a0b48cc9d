"""What every test keeps to."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def summaries():
    """Yield (place, first paragraph of the docstring) of every test here."""
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
                yield f"{path.name}::{node.name}", paragraph


def test_every_test_says_what_holds():
    """The docstring of a test begins with one sentence on one line."""
    found = dict(summaries())

    assert len(found) > 600
    assert [place for place, text in found.items() if not text.endswith(".") or "\n" in text] == []
