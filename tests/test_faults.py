"""Cells that are interrupted, run out of order or twice, and kernels that are killed.

With a real kernel and the exercises of the published notebooks: never a wrong "right", never a
broken file.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).resolve().parents[1]
IDS = ["0.1", "1.1", "1.2", "1.3", "1.4", "1.5"]  # without 1.6, which trains


def read(folder):
    """The set-up cells of lesson 01, and for each exercise its cell and the one that checks it."""
    exercises, setup = {}, None
    for name in ("00_welcome", "01_vanilla_gan"):
        text = (ROOT / folder / f"{name}.ipynb").read_text(encoding="utf-8")
        code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in code]
        setup = sources[:2]
        for number, cell in enumerate(code):
            exercises[cell["metadata"].get("exercise")] = sources[number : number + 2]
    return setup, {id: exercises[id] for id in IDS}


SETUP, BLANK = read("notebooks")
SOLVED = read("notebooks/solutions")[1]


class Notebook:
    """A kernel and the cells that are run in it."""

    def __init__(self, folder):
        self.progress = folder / "progress.json"
        environment = os.environ | {
            "GAN_COURSE_FAST": "1",
            "GAN_COURSE_PROGRESS": str(self.progress),
        }
        self.manager, self.client = start_new_kernel(
            kernel_name="python3", cwd=str(ROOT / "notebooks"), env=environment
        )

    def restart(self):
        """An empty namespace, the set-up cells run, nothing solved."""
        self.progress.unlink(missing_ok=True)
        self.run("%reset -f")
        for cell in SETUP:
            assert "Error" not in self.run(cell)

    def run(self, source, meanwhile=lambda: None):
        """What a cell shows: its texts, and the last line of its error."""
        shown = []

        def collect(message):
            content = message["content"]
            error = message["msg_type"] == "error" and f"{content['ename']}: {content['evalue']}"
            shown.append(error or content.get("text") or content["data"]["text/plain"])

        request = self.client.execute(source, allow_stdin=False)
        meanwhile()
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == request:
                if message["content"].get("execution_state") == "idle":
                    return "".join(shown)
                if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                    collect(message)

    def check(self, id, cells):
        """The verdict that the cells of an exercise show, or their error."""
        shown = "".join(self.run(cell) for cell in cells)
        verdicts = re.findall(rf"^Exercise {re.escape(id)}, .*: (.*)$", shown, re.MULTILINE)
        return verdicts[-1] if verdicts else shown

    def solved(self):
        return (
            json.loads(self.progress.read_text(encoding="utf-8")) if self.progress.exists() else []
        )


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    notebook = Notebook(tmp_path_factory.mktemp("kernel"))
    yield notebook
    notebook.client.stop_channels()
    notebook.manager.shutdown_kernel(now=True)


@pytest.fixture
def notebook(kernel):
    kernel.restart()
    return kernel


def test_blanks_from_the_last_to_the_first_and_twice(notebook):
    for id in [*reversed(IDS), *IDS]:
        assert notebook.check(id, BLANK[id]) == "not done yet"
    assert notebook.solved() == []


def test_answers_from_the_last_to_the_first_then_in_order_and_twice(notebook):
    # The training step calls the loss that an earlier exercise makes.
    step = "".join(notebook.run(cell) for cell in SOLVED["1.4"])
    assert "not yet" in step and "has the cell that makes it been run?" in step
    verdicts = {id: notebook.check(id, SOLVED[id]) for id in reversed(IDS)}
    assert verdicts == {id: "right" for id in IDS} | {"1.4": "not yet"}
    assert notebook.solved() == [id for id in IDS if id != "1.4"]
    for id in IDS + IDS:
        assert notebook.check(id, SOLVED[id]) == "right"
    assert notebook.solved() == IDS


def test_a_check_whose_exercise_cell_was_deleted_names_what_is_missing(notebook):
    for id in IDS:
        name = re.search(r'\("\d\.\d", (\w+)\)', SOLVED[id][1])[1]
        assert notebook.check(id, SOLVED[id][1:]) == f"NameError: name '{name}' is not defined"
    notebook.run("%reset -f")
    assert "NameError: name 'exercises' is not defined" in notebook.run(SOLVED["1.1"][1])
    assert notebook.solved() == []


def test_a_wrong_answer_stays_wrong_however_often_it_is_checked(notebook):
    assert notebook.check("1.1", SOLVED["1.1"]) == "right"
    wrong = SOLVED["1.1"][0].replace("p / (p + q)", "q / (p + q)")
    assert notebook.check("1.1", [wrong, SOLVED["1.1"][1]]) == "not yet"
    for _ in range(2):  # what the lesson goes on with is the course's own answer
        assert notebook.check("1.1", SOLVED["1.1"][1:]) == "not yet"
        assert notebook.run("float(optimal_discriminator(1.0, 3.0))") == "0.25"
    assert notebook.solved() == []


def test_the_stop_button_in_a_check_and_then_a_right_answer(notebook, tmp_path):
    started = tmp_path / "started"
    notebook.check("1.1", SOLVED["1.1"])
    endless = f"""
def to_unit_range(pixels):
    open({str(started)!r}, "w").close()
    while True:
        pass
"""

    def stop():
        while not started.exists():
            time.sleep(0.05)
        notebook.manager.interrupt_kernel()

    notebook.run(endless)
    assert "KeyboardInterrupt" in notebook.run(SOLVED["0.1"][1], meanwhile=stop)
    assert notebook.solved() == ["1.1"]
    assert notebook.check("0.1", SOLVED["0.1"]) == "right"
    assert notebook.solved() == ["0.1", "1.1"]


def test_an_answer_without_end_is_cut_off_in_a_kernel(notebook):
    notebook.run("exercises.checker.TIME_LIMIT = 0.3")
    notebook.run("def to_unit_range(pixels):\n    while True: pass")
    assert "ran for more than 0.3 seconds" in notebook.run(SOLVED["0.1"][1])
    assert notebook.check("0.1", SOLVED["0.1"]) == "right"


# --- several processes, and those that are killed -------------------------------------------------

WRITERS = """
import contextlib, io, os, random, signal, sys, time
from gan_course import exercises
from gan_course.exercises import checker

def solve(ids, rounds):
    with contextlib.redirect_stdout(io.StringIO()):
        for number in range(rounds):
            assert number == 0 or set(ids) <= checker._solved(), "another process undid it"
            for id in ids:
                exercises.check(id, ...)  # takes it back
                exercises.check(id, checker._find(id).solution)
            exercises.check("5.1", 0)  # wrong
"""

TOGETHER = """
children = []
for ids in (["0.1", "1.1"], ["2.1", "2.5"]):
    children.append(os.fork())
    if not children[-1]:
        solve(ids, 50)
        os._exit(0)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""

KILLED = """
random.seed(0)
for _ in range(20):
    child = os.fork()
    if not child:
        solve(["0.1", "1.1"], 10**9)
    time.sleep(random.uniform(0.01, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    progress = os.environ["GAN_COURSE_PROGRESS"]
    print(open(progress).read() if os.path.exists(progress) else "[]")
"""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="makes processes with os.fork")


def run_writers(script, progress):
    environment = os.environ | {"GAN_COURSE_PROGRESS": str(progress)}
    command = [sys.executable, "-c", WRITERS + script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@forks
def test_two_lessons_that_write_at_once_lose_nothing(tmp_path):
    progress = tmp_path / "progress.json"
    run_writers(TOGETHER, progress)
    assert json.loads(progress.read_text(encoding="utf-8")) == ["0.1", "1.1", "2.1", "2.5"]


@forks
def test_a_kernel_killed_while_it_writes_leaves_a_whole_file(tmp_path):
    found = [json.loads(line) for line in run_writers(KILLED, tmp_path / "progress.json")]
    assert len(found) == 20
    assert all(set(solved) <= {"0.1", "1.1"} for solved in found)
    assert any(found)
