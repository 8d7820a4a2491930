"""The pages beside the notebooks: links that lead somewhere, names and papers that are there."""

import importlib
import re
import tomllib

import pytest

from gan_course.runtime import ROOT

PAGES = sorted(
    page
    for folder in (".", "docs", "data", "benchmarks/results")
    for page in (ROOT / folder).glob("*.md")
)
SOURCES = {path.name[:2]: path for path in (ROOT / "notebooks" / "source").glob("*.py")}
MAP = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def markdown_of(source):
    """The text cells of a notebook's source."""
    cells = re.split(r"^# %%", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = "".join(cell for cell in cells if cell.startswith(" [markdown]"))
    return re.sub(r"^# ?", "", text, flags=re.MULTILINE)


def anchors(text):
    """Where links may point in a page, named as GitHub names its headings."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


def broken(text, folder):
    """The links in a Markdown text that lead nowhere from this folder."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|attachment:", link):
            continue
        path, _, anchor = link.partition("#")
        leads = not path or (folder / path).exists()
        if leads and anchor:
            page = (folder / path).read_text(encoding="utf-8") if path else text
            leads = anchor in anchors(page)
        found += [] if leads else [link]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_course_lead_somewhere(page):
    assert broken(page.read_text(encoding="utf-8"), page.parent) == []


@pytest.mark.parametrize("lesson", SOURCES)
def test_links_in_lessons_lead_somewhere_from_both_notebooks(lesson):
    text = markdown_of(SOURCES[lesson])
    assert [broken(text, ROOT / folder) for folder in ("notebooks", "notebooks/solutions")] == [
        [],
        [],
    ]


def test_broken_links_are_seen(tmp_path):
    (tmp_path / "page.md").write_text("# A `title`, so\n```\n# no title\n```\n", encoding="utf-8")
    text = "[1](page.md) [2](page.md#a-title-so) [3](#here) [4](none.md)\n[5](page.md#no-title)\n"
    assert broken(text, tmp_path) == ["#here", "none.md", "page.md#no-title"]
    assert broken(text + "## Here\n", tmp_path) == ["none.md", "page.md#no-title"]


# What is named besides links: in all texts, docstrings and comments

TEXTS = [
    *PAGES,
    ROOT / "Makefile",
    *SOURCES.values(),
    *(
        path
        for folder in ("gan_course", "tools", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ),
]
_FILE = re.compile(
    r"(?<![\w/.])(?:docs|notebooks|gan_course|tests|tools|benchmarks|data)/[\w./-]*\w"
)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_commands_and_papers_that_are_named_exist(path):
    text = re.sub(r"https://(?!arxiv)\S+", "", path.read_text(encoding="utf-8"))
    files = [name for name in _FILE.findall(text) if not re.search(r"NN|_x\.", name)]
    assert [name for name in files if not (ROOT / name).exists()] == []
    targets = re.findall(
        r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)
    papers = re.findall(r"arxiv\W*(?:org/\w+/)?(.{0,10})", text, re.IGNORECASE)
    assert [number for number in papers if not is_arxiv_number(number)] == []


def is_arxiv_number(text):
    """Year and month, and since 2015 five digits, before that four; and no digit more."""
    if not (number := re.match(r"(\d\d)(\d\d)\.(\d+)", text)):
        return False
    year, month, rest = int(number[1]), int(number[2]), number[3]
    return year >= 7 and 1 <= month <= 12 and len(rest) == (5 if year >= 15 else 4)


def test_arxiv_numbers():
    assert is_arxiv_number("1706.08500") and is_arxiv_number("1406.2661)")
    for wrong in ("1713.08500", "1706.8500", "1406.26611", "abs/1406.2", "706.08500)"):
        assert not is_arxiv_number(wrong)


def map_rows():
    """(lesson, where in the package, the papers' arXiv numbers or DOIs) of each row."""
    rows, lesson = [], None
    for line in MAP.splitlines():
        if line.startswith("| [") or line.startswith("| |"):
            lesson = (
                lesson_of.group(1) if (lesson_of := re.match(r"\| \[(\d\d)\]", line)) else lesson
            )
            papers = re.findall(r"(?:arxiv\.org/abs|doi\.org)/([\w./]+)", line)
            rows.append((lesson, line.split("|")[3].strip(), papers))
    return rows


def test_the_map_has_every_lesson():
    assert {lesson for lesson, _, _ in map_rows()} == set(SOURCES) - {"00"}


@pytest.mark.parametrize(("lesson", "place", "papers"), map_rows())
def test_the_map_is_true(lesson, place, papers):
    source = SOURCES[lesson].read_text(encoding="utf-8")
    names = re.findall(r"`([\w.]+)", place)
    assert names or place == "in the lesson itself"
    assert papers and all(paper in source for paper in papers)
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
