"""Working copies, the commands that care for them, and the Makefile's search for a Python."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jupyterlab.commands import get_app_dir
from jupyterlab_server.settings_utils import get_settings

from gan_course import __main__ as command_line
from gan_course import workbook

ROOT = Path(__file__).resolve().parents[1]
LESSON = "01_sample.ipynb"
EXERCISES = ["1.1", "1.2"]


def publish(root, text="first", count=1):
    """Writes the published notebook of lesson 01: a text and two exercises, run `count` times."""
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": [text]}]
    for exercise in EXERCISES:
        output = {"name": "stdout", "output_type": "stream", "text": ["not done yet\n"]}
        cells.append(
            {
                "cell_type": "code",
                "execution_count": count,
                "id": f"x{exercise[-1]}",
                "metadata": {"exercise": exercise},
                "outputs": [output],
                "source": [f"def answer_{exercise[-1]}():\n", "    return ..."],
            }
        )
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    block = {"cells_sha256": workbook.cells_sha256(notebook), "outputs_sha256": str(count)}
    notebook["metadata"]["gan_course"] = block
    path = root / "notebooks" / LESSON
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def solve(path, number=1):
    """Writes a learner's answer into the cell with this number, and returns the file's text."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][number]["source"] = "def answer():\n    return 'mine: φ'"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def sources(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def backups(root):
    return [path.read_text(encoding="utf-8") for path in root.glob("workbook/backup/*.ipynb")]


@pytest.fixture
def course(tmp_path):
    """A course whose lesson 01 is published and copied into the workbook."""
    publish(tmp_path)
    workbook.prepare(tmp_path)
    return tmp_path


@pytest.fixture
def copy(course):
    return course / "workbook" / LESSON


def test_copies_are_made_once_with_their_outputs(tmp_path):
    published = publish(tmp_path)
    assert workbook.prepare(tmp_path) == [f"workbook/{LESSON}: new"]
    assert (tmp_path / "workbook" / LESSON).read_bytes() == published.read_bytes()
    assert workbook.prepare(tmp_path) == ["workbook/: up to date"]


@pytest.mark.parametrize("newer", [{"text": "second"}, {"count": 2}])
def test_an_unedited_copy_is_renewed(course, copy, newer):
    published = publish(course, **newer)
    assert workbook.prepare(course) == [f"workbook/{LESSON}: renewed (you had not changed it)"]
    assert copy.read_bytes() == published.read_bytes()


def test_an_edited_copy_is_kept_and_the_line_says_what_to_do(course, copy):
    mine = solve(copy)
    assert workbook.prepare(course) == ["workbook/: up to date"]
    publish(course, text="second")
    (line,) = workbook.prepare(course)
    assert "kept with your changes, though a newer one is published" in line
    assert workbook._reset_command(copy) in line
    assert copy.read_text(encoding="utf-8") == mine


def test_a_copy_that_was_only_run_counts_as_unedited(course, copy):
    notebook = json.loads(copy.read_text(encoding="utf-8"))
    notebook["cells"][1].update(outputs=[], execution_count=7)
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    publish(course, text="second")
    assert "renewed" in workbook.prepare(course)[0]


@pytest.mark.parametrize(
    "text",
    [
        *["<<<<<<< mine", "[]", "{}", '{"cells": [1]}', '{"cells": [], "metadata": []}'],
        '{"cells": [{"cell_type": "code", "source": "", "metadata": 1}]}',
        '{"cells": [], "metadata": {"gan_course": "new"}}',
        "[" * 100_000,
    ],
)
def test_a_broken_copy_is_said_to_be_broken_kept_and_reset(course, copy, capsys, text):
    copy.write_text(text, encoding="utf-8")
    assert "cannot be read as a notebook" in workbook.prepare(course)[0]
    with pytest.raises(workbook.WorkbookError, match="cannot be read as a notebook"):
        workbook.reset(exercise="1.1", root=course)
    assert copy.read_text(encoding="utf-8") == text
    workbook.reset(lesson="01", root=course)
    assert "could not be read as a notebook" in capsys.readouterr().out
    assert backups(course) == [text]
    assert copy.read_bytes() == (course / "notebooks" / LESSON).read_bytes()


def test_a_folder_in_the_place_of_a_copy_is_moved_away(course, copy):
    copy.unlink()
    copy.mkdir()
    assert "cannot be read as a notebook" in workbook.prepare(course)[0]
    workbook.reset(lesson="01", root=course)
    assert copy.read_bytes() == (course / "notebooks" / LESSON).read_bytes()


def test_a_broken_published_notebook_replaces_nothing(course, copy):
    mine = solve(copy)
    (course / "notebooks" / LESSON).write_text("{", encoding="utf-8")
    for call in (workbook.prepare, lambda root: workbook.reset(lesson="01", root=root)):
        with pytest.raises(workbook.WorkbookError, match="git restore notebooks"):
            call(root=course)
    assert copy.read_text(encoding="utf-8") == mine and not backups(course)
    copy.unlink()
    with pytest.raises(workbook.WorkbookError, match="git restore notebooks"):
        workbook.prepare(course)
    assert not copy.exists()


@pytest.mark.parametrize("value", ["\ud800", json.loads("[" * 500 + "]" * 500)])
def test_what_cannot_be_written_again_leaves_the_copy_where_it_is(course, copy, value):
    notebook = json.loads(copy.read_text(encoding="utf-8"))
    notebook["cells"][0]["metadata"]["odd"] = "HERE"
    copy.write_text(json.dumps(notebook).replace('"HERE"', json.dumps(value)), encoding="utf-8")
    mine = copy.read_text(encoding="utf-8")
    try:
        workbook.reset(exercise="1.1", root=course)
    except workbook.WorkbookError:
        assert copy.read_text(encoding="utf-8") == mine
    else:
        assert backups(course) == [mine] and len(sources(copy)) == 3


@pytest.mark.parametrize("name", ["01", "1", "01_sample", LESSON])
def test_a_lesson_is_reset_and_the_old_copy_kept(course, copy, name):
    mine = solve(copy)
    workbook.reset(lesson=name, root=course)
    assert backups(course) == [mine]
    assert copy.read_bytes() == (course / "notebooks" / LESSON).read_bytes()


def test_backups_of_one_second_do_not_replace_each_other(course, copy):
    for _ in range(3):
        workbook.reset(lesson="01", root=course)
    assert len(backups(course)) == 3


def test_an_exercise_is_reset_and_the_rest_of_the_copy_stays(course, copy):
    solve(copy, number=1)
    mine = solve(copy, number=2)
    workbook.reset(exercise="1.2", root=course)
    cells = json.loads(copy.read_text(encoding="utf-8"))["cells"]
    assert sources(copy)[1:] == [
        "def answer():\n    return 'mine: φ'",
        "def answer_2():\n    return ...",
    ]
    assert cells[1]["outputs"]
    assert cells[2]["outputs"] == []
    assert cells[2]["execution_count"] is None
    assert backups(course) == [mine]


def test_an_exercise_whose_cell_was_split_is_whole_again(course, copy):
    notebook = json.loads(copy.read_text(encoding="utf-8"))
    notebook["cells"].insert(2, {**notebook["cells"][1], "id": "split", "source": "rest"})
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    workbook.reset(exercise="1.1", root=course)
    assert sources(copy) == sources(course / "notebooks" / LESSON)


def test_an_exercise_whose_cell_was_deleted_needs_the_lesson_reset(course, copy):
    notebook = json.loads(copy.read_text(encoding="utf-8"))
    del notebook["cells"][1]
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    with pytest.raises(workbook.WorkbookError, match=r"deleted .* the whole lesson"):
        workbook.reset(exercise="1.1", root=course)


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ({"lesson": "04"}, "There is no lesson 04."),
        ({"exercise": "1.9"}, "There is no exercise 1.9."),
        ({}, "Which lesson or exercise?"),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(course, what, problem):
    with pytest.raises(workbook.WorkbookError) as error:
        workbook.reset(root=course, **what)
    assert str(error.value) == f"{problem} Lessons: 01. Exercises: 1.1, 1.2."


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "copy.ipynb"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        workbook.write_atomically(path, "new")
    assert [(found.name, found.read_text(encoding="utf-8")) for found in tmp_path.iterdir()] == [
        ("copy.ipynb", "old")
    ]


@pytest.mark.parametrize("what", [{"lesson": "01"}, {"exercise": "1.1"}])
def test_a_reset_that_is_stopped_leaves_the_copy_in_its_place(course, copy, monkeypatch, what):
    def stop(path, text):
        raise KeyboardInterrupt

    mine = solve(copy)
    monkeypatch.setattr(workbook, "write_atomically", stop)
    with pytest.raises(KeyboardInterrupt):
        workbook.reset(**what, root=course)
    assert copy.read_text(encoding="utf-8") == mine
    assert backups(course) == [mine]


# --- update ---------------------------------------------------------------------------------------


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A learner's clone of a published course, which lies beside it in "origin"."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    origin = tmp_path / "origin"
    origin.mkdir()
    publish(origin)
    (origin / ".gitignore").write_text("workbook/\n", encoding="utf-8")
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", ".")
    git(origin, "commit", "-q", "-m", "first")
    git(tmp_path, "clone", "-q", "origin", "clone")
    return tmp_path / "clone"


def publish_second(clone):
    publish(clone.parent / "origin", text="second")
    git(clone.parent / "origin", "commit", "-q", "-a", "-m", "second")


def test_update_keeps_what_was_edited_in_place(clone):
    workbook.prepare(clone)
    mine = solve(clone / "notebooks" / LESSON)
    git(clone, "add", ".")  # staged or not makes no difference
    own = clone / "notebooks" / "my_own.ipynb"
    own.write_text("own", encoding="utf-8")
    git(clone, "add", ".")
    publish_second(clone)
    assert workbook.update(clone) == [f"workbook/{LESSON}: renewed (you had not changed it)"]
    assert backups(clone) == [mine]
    assert sources(clone / "notebooks" / LESSON)[0] == "second"
    assert own.read_text(encoding="utf-8") == "own"


def test_update_restores_a_deleted_notebook(clone):
    (clone / "notebooks" / LESSON).unlink()
    workbook.update(clone)
    assert sources(clone / "notebooks" / LESSON)[0] == "first"


def test_update_touches_nothing_in_a_clone_with_commits_of_its_own(clone):
    solve(clone / "notebooks" / LESSON)
    git(clone, "commit", "-q", "-a", "-m", "mine")
    mine = solve(clone / "notebooks" / LESSON, number=2)
    publish_second(clone)
    with pytest.raises(workbook.WorkbookError, match="commits of its own"):
        workbook.update(clone)
    assert (clone / "notebooks" / LESSON).read_text(encoding="utf-8") == mine


def test_update_without_a_clone_a_remote_or_git(clone, tmp_path, monkeypatch):
    with pytest.raises(workbook.WorkbookError, match="is not a git clone"):
        workbook.update(tmp_path)
    with pytest.raises(workbook.WorkbookError, match="follows no remote branch"):
        workbook.update(tmp_path / "origin")
    with pytest.raises(workbook.WorkbookError, match="lies inside"):
        workbook.update(clone / "notebooks")
    (tmp_path / "origin").rename(tmp_path / "moved")
    with pytest.raises(workbook.WorkbookError, match="git fetch: "):
        workbook.update(clone)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(workbook.WorkbookError, match="git is not installed"):
        workbook.update(clone)


# --- the command line and JupyterLab --------------------------------------------------------------


class Server:
    """Stands in for JupyterLab's process: Ctrl-C comes twice before it ends."""

    def __init__(self, command, env):
        type(self).command, type(self).environment = command, env
        self.answers = [KeyboardInterrupt, KeyboardInterrupt, 0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def wait(self):
        answer = self.answers.pop(0)
        if answer is KeyboardInterrupt:
            raise answer
        return answer


def test_lab_opens_the_first_copy_and_outlives_ctrl_c(tmp_path, monkeypatch):
    publish(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", Server)
    assert workbook.lab(["--no-browser"], root=tmp_path) == 0
    assert Server.command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--LabApp.default_url=/lab/tree/workbook/{LESSON}" in Server.command
    assert Server.command[-1] == "--no-browser"
    assert (tmp_path / "workbook" / LESSON).exists()


def test_in_the_lab_nothing_asks_about_news(tmp_path, monkeypatch):
    own = tmp_path / "own"
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(own))
    monkeypatch.setattr(subprocess, "Popen", Server)
    workbook.lab(root=tmp_path)
    paths = Server.environment["JUPYTER_CONFIG_PATH"]
    assert paths.split(os.pathsep)[0] == str(own)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", paths)
    folder, name = get_app_dir(), "@jupyterlab/apputils-extension:notification"
    read, _ = get_settings(str(tmp_path), f"{folder}/schemas", str(tmp_path), schema_name=name)
    asking = read["schema"]["properties"]["fetchNews"]
    assert asking["default"] == "false" and {"const": "false", "title": "Never"} in asking["oneOf"]


def test_commands_report_problems_in_one_line(course, monkeypatch, capsys):
    monkeypatch.setattr(workbook.reset, "__defaults__", (None, None, course))
    assert command_line.main(["reset", "1.9"]) == 1
    assert capsys.readouterr().err == (
        "There is no exercise 1.9. Lessons: 01. Exercises: 1.1, 1.2.\n"
    )
    assert command_line.main(["reset", "1.2"]) == 0
    assert "Exercise 1.2" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["open"], [], ["reset", "01", "--all"]])
def test_a_wrong_command_shows_the_right_ones(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(arguments)
    assert stop.value.code == 2
    assert "usage: python -m gan_course" in capsys.readouterr().err


def test_commands_do_not_wait_for_tensorflow():
    code = "import sys, gan_course.__main__; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


# --- the Makefile's search for a Python -----------------------------------------------------------

# Runs the Makefile's question in a Python that pretends to be another one.
PRETENDER = """
import ensurepip, platform, sys, venv
sys.version_info = {version}
sys.platform = "{system}"
platform.machine = lambda: "{machine}"
if not {venv}:
    sys.modules["ensurepip"] = None
if sys.argv[1] == "-c":
    exec(sys.argv[2])
else:
    print("called with", *sys.argv[1:])
"""


def search(tmp_path, *arguments, **pythons):
    """Lets the Makefile look for a Python where there are only these (name=its properties)."""
    folder = tmp_path / "bin with space"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name, properties in pythons.items():
        usual = {"version": (3, 12), "system": "linux", "machine": "x86_64", "venv": True}
        path = folder / name.replace("_", ".")
        script = tmp_path / f"{name}.py"
        script.write_text(PRETENDER.format(**(usual | properties)), encoding="utf-8")
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    environment = {"PATH": str(folder)}
    command = [shutil.which("make"), *arguments, ".venv/bin/python"]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)


needs_make = pytest.mark.skipif(
    os.name == "nt" or not shutil.which("make"), reason="the Makefile is not for this machine"
)


@needs_make
@pytest.mark.parametrize(
    ("pythons", "message"),
    [
        ({}, "TensorFlow has wheels for Python 3.11 to 3.13 only (found here: none): get one at"),
        (
            {"python3": {"version": (3, 14)}, "python": {"version": (3, 9)}},
            "TensorFlow has wheels for Python 3.11 to 3.13 only (found here: 3.14, 3.9): get one",
        ),
        ({"python3": {"venv": False}}, "Python 3.12 cannot make virtual environments: sudo apt"),
        (
            {"python3": {"system": "darwin"}, "python": {"version": (3, 9)}},
            "TensorFlow has no wheels for Intel Macs",
        ),
    ],
)
def test_one_line_if_no_python_will_do(tmp_path, pythons, message):
    done = search(tmp_path, **pythons)
    assert done.returncode
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(message)
    assert not done.stdout


@needs_make
def test_the_first_python_that_will_do_is_taken(tmp_path):
    done = search(
        tmp_path,
        python3={"version": (3, 14)},
        python3_13={"version": (3, 13), "venv": False},
        python3_12={"system": "darwin", "machine": "arm64"},
        python={"version": (3, 11)},
    )
    assert done.returncode == 0, done.stderr
    assert "Making .venv with Python 3.12: " in done.stdout
    assert done.stdout.endswith("called with -m venv --clear .venv\n")


@needs_make
@pytest.mark.parametrize("value", ['a"; touch x; "', "a'; touch x; '", "`touch x`", "a b", "\\"])
@pytest.mark.parametrize("goal", ["publish", "student"])
def test_what_a_setting_holds_is_no_command(tmp_path, goal, value):
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        (tmp_path / name).touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nfor each; do echo "[$each]"; done\n', encoding="utf-8")
    python.chmod(0o755)
    for stamp in (".learner", ".dev"):
        (tmp_path / ".venv" / stamp).touch()
    command = ["make", goal, f"REPO={value}", f"BRANCH={value}"]
    environment = {name: text for name, text in os.environ.items() if "MAKE" not in name}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert f"[--publish={value}]\n[--branch={value}]\n" in done.stdout, done.stderr
    assert not (tmp_path / "x").exists()


@needs_make
def test_an_unknown_tensorflow_is_refused(tmp_path):
    done = search(tmp_path, "TF=gpu", python3={})
    assert done.returncode
    assert "TF=gpu is unknown: choose auto, plain, cpu or cuda" in done.stderr
