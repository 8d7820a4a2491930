"""The course where it was not made: on Colab."""

import json
import os
import shutil
import subprocess
import sys

import build_notebooks as builder
import pytest

from gan_course.runtime import ROOT

ADDRESS = "https://github.com/ada/gan-course"
NOWHERE = "http://127.0.0.1:9"  # connections are refused at once

# Runs cells as a notebook does, where the module is loaded by which Colab is known.
COLAB = """
import json, sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance()
for source in json.load(sys.stdin):
    shell.run_cell(source).raise_error()
"""
WHERE = """
import json, os, gan_course
print(json.dumps({"folder": os.getcwd(), "package": gan_course.__file__}))
"""
NO_CLONING = "import os; os.environ['GIT_ALLOW_PROTOCOL'] = 'none'"


def code(root, lesson, variant="learner"):
    """The cells' sources of a notebook as it is published by the course in `root`."""
    (lesson,) = builder.find_lessons(root, [lesson])
    text, _ = builder.published(lesson, variant, lesson.home)
    notebook = json.loads(text)
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A repository of the course, published at ADDRESS, with one lesson."""
    root = tmp_path_factory.mktemp("github") / "repository"
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gan_course", root / "gan_course", ignore=skip)
    for name in ("README.md", "CONTRIBUTING.md", "notebooks/source/00_welcome.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    assert builder.main(["--root", str(root), "--publish", "ada/gan-course"]) == 0
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    return root


@pytest.fixture
def colab(published, tmp_path):
    """Runs cells in a new kernel that starts in Colab's folder, with no network but `published`."""
    content, home = tmp_path / "content", tmp_path / "home"
    content.mkdir()
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "TFDS_DATA_DIR")}
    environment |= dict.fromkeys(["HOME", "USERPROFILE", "IPYTHONDIR"], str(home))
    proxies = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    environment |= dict.fromkeys(proxies, NOWHERE)
    environment |= {
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{published.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PYTHONIOENCODING": "utf-8",
        "MPLBACKEND": "agg",
        "GAN_COURSE_STRICT": "1",  # an answer that is not right raises
    }

    def run(*cells):
        return subprocess.run(
            [sys.executable, "-c", COLAB],
            input=json.dumps(cells),
            cwd=content,
            env=environment,
            capture_output=True,
            encoding="utf-8",
        )

    run.content = content
    return run


needs_git = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


@needs_git
def test_a_published_notebook_gets_the_course_on_colab_once(published, colab):
    setup, *_ = code(published, "00")
    done = colab(setup, WHERE, NO_CLONING, setup, WHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    course = colab.content / "gan-course"
    here = {"folder": str(course), "package": str(course / "gan_course" / "__init__.py")}
    assert [json.loads(line) for line in done.stdout.splitlines()] == [here, here]
    assert [path.name for path in colab.content.iterdir()] == ["gan-course"]
    assert (course / "notebooks" / "00_welcome.ipynb").exists()

    cells = code(published, "00", "solved")
    done = colab(NO_CLONING, *cells, WHERE)  # the kernel was started again: all of the lesson
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == here
    assert [path.name for path in colab.content.iterdir()] == ["gan-course"]


@needs_git
def test_if_the_course_cannot_be_had_the_cell_says_what_failed(published, colab):
    setup, *_ = code(published, "00")
    done = colab(NO_CLONING, setup)
    assert done.returncode
    assert ADDRESS in done.stdout and "CalledProcessError" in done.stdout
    assert list(colab.content.iterdir()) == []


def test_a_notebook_that_is_published_nowhere_says_where_it_belongs(colab):
    (lesson,) = builder.find_lessons(ROOT, ["00"])
    cells = builder.code_cells(builder.from_source(lesson, "learner"))
    done = colab(cells[0].source)
    assert done.returncode
    assert "Open this notebook inside the folder of the course, which holds gan_c" in done.stdout
    assert list(colab.content.iterdir()) == []


@pytest.mark.parametrize(
    "lesson", builder.find_lessons(ROOT), ids=lambda lesson: lesson.source.stem
)
def test_every_lesson_can_be_published(lesson):
    notebook = builder.from_source(lesson, "learner")
    title, setup = notebook.cells[0].source, builder.code_cells(notebook)[0].source
    builder.link_home(notebook, builder.Home("ada/gan-course"), lesson.name("learner"))
    assert f"blob/main/notebooks/{lesson.source.stem}.ipynb" in notebook.cells[0].source
    assert notebook.cells[0].source.splitlines()[0] == title.splitlines()[0]
    published = builder.code_cells(notebook)[0].source
    assert published != setup and f'"{ADDRESS}"' in published
    compile(published, "set-up", "exec")
    assert len(published.splitlines()) <= 20
