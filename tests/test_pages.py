"""The pages in Markdown: links, examples, names, and where the README's figures come from."""

import doctest
import re
from pathlib import Path

import pytest

import convlet as cl

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("_core/*.md")])
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples(page):
    """What a page shows at the prompt is what Python answers; a page is one session."""
    blocks = re.findall(r"```python\n(>>>.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    session = doctest.DocTestParser().get_doctest("".join(blocks), {}, page.name, str(page), 0)

    assert 0 == doctest.DocTestRunner().run(session).failed


def public(module, *left_out):
    """Name what a module offers of its own."""
    return {
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "").startswith("convlet.") and "._" not in value.__module__
        if not name.startswith("_") and name not in left_out and callable(value)
    }


def test_readme_names_all_there_is():
    """Layers, losses, optimizers, schedules, initialisers, networks and data are in the README."""
    modules = (cl.losses, cl.schedules, cl.data, cl.states)
    names = set.union(*(public(module, "get_num_threads") for module in modules))
    names |= public(cl.layers, "Layer") | public(cl.optimizers, "Optimizer")
    names |= public(cl.init, "generator", "fans") | public(cl.models, "PadShortcut")
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(names) > 80
    assert set() == {name for name in names if f"`{name}`" not in text}


def test_readme_has_no_measured_figure_of_its_own():
    """What was measured stands in the table that benchmarks/peers.py writes, and nowhere else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    prose, tables = TABLE.subn("", text)

    assert tables == 1
    assert MEASURED.findall(TABLE.search(text)[0])
    assert MEASURED.findall(prose) == []
