"""The pages beside the notebooks: links that lead somewhere, names and papers that are there."""

import importlib
import re
import tomllib

import pytest

from gan_course.runtime import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "data").glob("*.md")])
SOURCES = {path.name[:2]: path for path in (ROOT / "notebooks" / "source").glob("*.py")}
MAP = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_course_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def map_rows():
    """(lesson, names in the package, arXiv numbers) of each row."""
    rows, lesson = [], None
    for line in MAP.splitlines():
        if line.startswith("| [") or line.startswith("| |"):
            lesson = (
                lesson_of.group(1) if (lesson_of := re.match(r"\| \[(\d\d)\]", line)) else lesson
            )
            names = re.findall(r"`([\w.]+)", line.split("|")[3])
            rows.append((lesson, names, re.findall(r"arxiv\.org/abs/([\d.]+)", line)))
    return rows


def test_the_map_has_every_lesson():
    assert {lesson for lesson, _, _ in map_rows()} == set(SOURCES) - {"00"}


@pytest.mark.parametrize(("lesson", "names", "papers"), map_rows())
def test_the_map_is_true(lesson, names, papers):
    source = SOURCES[lesson].read_text(encoding="utf-8")
    assert names and papers and all(paper in source for paper in papers)
    for name in names:
        module, *rest = name.split(".")
        package = {"keras": "keras", "GAN": "gan_course.training"}.get(
            module, f"gan_course.{module}"
        )
        found = importlib.import_module(package)
        for part in [module, *rest] if module == "GAN" else rest:
            found = getattr(found, part)


def test_the_glossary_is_in_order_and_names_lessons():
    entries = GLOSSARY.split("\n\n")[2:]
    words = [re.match(r"\*\*([^*]+)\*\*", entry).group(1) for entry in entries]
    assert words == sorted(words, key=str.casefold) and len(set(words)) == len(words)
    for word, entry in zip(words, entries, strict=True):
        lessons = re.findall(r"\b(0\d)\b", entry)
        assert lessons or "see *" in entry or "as *" in entry, word
        assert set(lessons) <= set(SOURCES)


def test_the_citation_is_of_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"version: {project['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
