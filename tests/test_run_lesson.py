"""`make run`: a lesson with other settings, tried on a tiny one that is really run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import build_notebooks
import nbformat
import pytest
import run_lesson

TOOL = Path(run_lesson.__file__)
MARKDOWN, CODE = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
SETTINGS = "STEPS = 2 if fast else 9\nSIZES, NAME = (1, 2), 'plain'  # a reason"
SHOW = """
import os
print(STEPS, SIZES, NAME, os.environ["GAN_COURSE_STRICT"], os.environ["GAN_COURSE_FAST"])
print(os.path.basename(os.getcwd()), os.environ["GAN_COURSE_CHECKPOINTS"])
"""


@pytest.fixture
def root(tmp_path):
    """A course of one lesson, "07", published with an output and a stamp."""
    (tmp_path / "notebooks" / "source").mkdir(parents=True)
    (tmp_path / "notebooks" / "source" / "07_tiny.py").touch()
    write(tmp_path, SETTINGS, SHOW)
    return tmp_path


def write(root, *sources):
    cells = [MARKDOWN("# Tiny\n## 1. Numbers"), CODE("fast = True"), *map(CODE, sources)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["gan_course"] = {"minutes": 3}
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    (root / "notebooks" / "solutions").mkdir(exist_ok=True)
    nbformat.write(notebook, root / "notebooks" / "solutions" / "07_tiny.ipynb")


def start(root, *arguments):
    environment = {**os.environ, "GAN_COURSE_FAST": "1", "GAN_COURSE_STRICT": "1"}
    return subprocess.Popen(
        [sys.executable, TOOL, *arguments, "--root", root],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def finished(root, *arguments):
    process = start(root, *arguments)
    out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors


def runs(root):
    return sorted((root / "build" / "runs").glob("*.ipynb"))


def test_a_lesson_runs_with_other_settings_into_a_copy(root):
    published = (root / "notebooks" / "solutions" / "07_tiny.ipynb").read_bytes()
    status, out, errors = finished(root, "7", "SIZES=(3, 4) NAME='a b'")
    assert status == 0, errors
    assert "100%" in errors  # papermill's bar
    (path,) = runs(root)
    assert path.name.startswith("07_tiny-20") and "SIZES=_3_4_" in path.name and path.name in out
    notebook = nbformat.read(path, 4)
    printed = "".join(output.text for cell in notebook.cells[4:] for output in cell.outputs)
    assert printed.splitlines()[0] == "2 (3, 4) a b  1"  # not strict, and still a fast run
    assert printed.splitlines()[1].startswith("runs ") and "checkpoints" in printed
    assert "`SIZES = (3, 4)`" in notebook.cells[0].source
    assert "gan_course" not in notebook.metadata
    assert (root / "notebooks" / "solutions" / "07_tiny.ipynb").read_bytes() == published


def test_a_cell_that_fails_is_named_and_what_ran_is_kept(root):
    write(root, SETTINGS, "print('before')", "1 / (STEPS - 3)", "print('after')")
    status, out, errors = finished(root, "07", "STEPS=3")
    (path,) = runs(root)
    assert status == 1 and str(path) in errors and "done" not in out
    assert '07_tiny failed under "1. Numbers" in its code cell 5' in errors
    assert "1 / (STEPS - 3)" in errors and "ZeroDivisionError: division by zero" in errors
    kept = path.read_text(encoding="utf-8")
    assert '"before\\n"' in kept and '"after\\n"' not in kept


def test_a_kernel_that_dies_is_told(root):
    write(root, SETTINGS, "import os; os._exit(3)")
    status, _, errors = finished(root, "07")
    assert status == 1 and "code cell 3" in errors and "the kernel died" in errors


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent there")
def test_ctrl_c_ends_the_run_and_keeps_what_ran(root):
    write(root, SETTINGS, "print('before')", "open('here', 'w'); import time; time.sleep(60)")
    process = start(root, "07")
    while not (root / "build" / "runs" / "here").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in errors
    assert '"before\\n"' in runs(root)[0].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "settings, words",
    [
        ("SEED=1", "07_tiny has no setting SEED. Its settings:\n    STEPS = 2 if fast else 9"),
        ("SEED=1", "SIZES = (1, 2)\n    NAME = 'plain'"),
        ("NAME=digits", "a text needs quotes: NAME='digits'"),
        ("STEPS=1 STEPS=2", "STEPS is given twice"),
        ("STEPS", "settings look like"),
        ("500 STEPS=1", "settings look like"),
        ("STEPS=", "STEPS= is no Python"),
        ("STEPS=__import__('os')", "is no Python"),
        ("SIZES=3", "SIZES is a tuple in the lesson, (1, 2); came 3"),
        ("NAME='a', STEPS=2", "NAME is a text in the lesson, 'plain'; came ('a',)"),
        ("RATE='3'", "RATE is a number in the lesson, 0.5; came '3'"),
        ("RATE=True", "RATE is a number in the lesson, 0.5; came True"),
        ("RATE=1e999", "RATE must be a finite number, came inf"),
        ("EPOCHS=2.5", "EPOCHS is a whole number in the lesson, 30; came 2.5"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_runs(settings, words, root, capsys):
    write(root, f"{SETTINGS}\nRATE, EPOCHS = 0.5, runtime.budget(full=30, fast=2)", SHOW)
    assert run_lesson.main(["07", settings, "--root", str(root)]) == 1
    assert words in capsys.readouterr().err
    assert not (root / "build").exists()


def test_a_lesson_that_is_not_there(root, capsys):
    assert run_lesson.main(["05", "--root", str(root)]) == 1
    assert "there is no lesson 05; lessons: 07_tiny" in capsys.readouterr().err


def test_settings_are_python_values():
    text = "STEPS=500 HIDDEN=(64, 64)  NAME='a =b' RATE = 1e-3 NONE=None"
    assert run_lesson.parse_settings(text) == {
        "STEPS": 500,
        "HIDDEN": (64, 64),
        "NAME": "a =b",
        "RATE": 1e-3,
        "NONE": None,
    }
    assert run_lesson.parse_settings("") == {}


def test_no_run_takes_the_file_of_another(root):
    lesson = build_notebooks.find_lessons(root, ["07"])[0]
    paths = []
    for _ in range(3):
        path, _ = run_lesson.new_file(root, lesson, {"STEPS": 1})
        path.touch()
        paths.append(path)
    assert len(set(paths)) == 3


@pytest.mark.parametrize("number", [f"0{i}" for i in range(1, 9)])
def test_each_lesson_has_settings_and_what_is_given_comes_after_them(number):
    lesson = build_notebooks.find_lessons(build_notebooks.ROOT, [number])[0]
    known = run_lesson.settings_of(build_notebooks.from_source(lesson, "solved"))[1]
    assert any("runtime.budget" in value for value in known.values())
    name = next(name for name, value in known.items() if value.startswith("'"))
    cells = [cell.source for cell in run_lesson.prepare(lesson, {name: "other"}).cells]
    given = cells.index(f"# Given to this run\n{name} = 'other'")
    assert f"{name} = " in cells[given - 1] or f"{name}, " in cells[given - 1]
