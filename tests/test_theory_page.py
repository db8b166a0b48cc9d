"""docs/theory.md and the tests of its formulas name each other."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "theory.md"


def test_theory_page_names_the_tests_of_its_formulas():
    """The page names every test of the formulas, in its file, no other, and existing files."""
    text = PAGE.read_text(encoding="utf-8")
    named, file = set(), None
    for path, name in re.findall(r"`(?:tests/(test_formulas\w*)\.py)?::(test_\w+)`", text):
        file = path or file
        named.add((file, name))
    defined = {
        (path.stem, name)
        for path in TESTS.glob("test_formulas*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    links = re.findall(r"\]\((\.\./[^)#]+)\)", text)

    assert defined == named
    assert links
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
