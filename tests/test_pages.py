"""The pages in Markdown: their links, and where the README's figures come from."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("_core/*.md")])
PAGES += sorted(ROOT.glob("benchmarks/*.md"))
TABLE = re.compile(r"<!-- peers -->.*<!-- /peers -->", re.DOTALL)
MEASURED = re.compile(r"\b\d[\d.,]*\s*(?:[numµ]?s|seconds|minutes|[kMG]i?B|GFLOP|times|x|%)(?!\w)")


def anchors(page):
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page):
    """Whatever a page links to in this tree is there, headings included."""
    links = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if link.startswith(("http:", "https:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_readme_has_no_measured_figure_of_its_own():
    """What was measured stands in the table that benchmarks/peers.py writes, and nowhere else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    prose, tables = TABLE.subn("", text)

    assert tables == 1
    assert MEASURED.findall(TABLE.search(text)[0])
    assert MEASURED.findall(prose) == []
