"""For teachers: a folder for students, and the grades of the notebooks that they hand in.

    python tools/teaching.py export build/student              what students need, no solutions
    python tools/teaching.py grade submissions --csv g.csv     one notebook, or a folder of them

docs/teaching.md says what the grades stand on, and what they cannot prevent.
"""

import argparse
import ast
import contextlib
import csv
import json
import os
import queue
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import build_notebooks as builder
import psutil
from build_notebooks import ROOT

from gan_course import runtime
from gan_course.workbook import write_atomically

RUNNER = Path(__file__).with_name("grade_runner.py")
START_SECONDS = 120  # besides, until TensorFlow is imported
# What runs get of the environment: what Python and TensorFlow need on Linux, macOS and Windows.
KEPT = (
    "PATH|LANG|LANGUAGE|TZ|TERM|SHELL|USER|LOGNAME|USERNAME|VIRTUAL_ENV|CONDA_PREFIX|TFDS_DATA_DIR|"
    "LD_LIBRARY_PATH|LD_PRELOAD|DYLD_LIBRARY_PATH|DYLD_FALLBACK_LIBRARY_PATH|PATHEXT|COMSPEC|OS|"
    "SYSTEMROOT|SYSTEMDRIVE|WINDIR|PROGRAMDATA|PROGRAMFILES|NUMBER_OF_PROCESSORS|"
    "(LC|CUDA|OMP|MKL|OPENBLAS|PROCESSOR)_.*"
)
VERDICTS = ("right", "wrong", "not answered", "error", "timeout", "by hand")
BEST_FIRST = ("right", "by hand", "wrong", "error", "timeout", "not answered")
PASSED_OVER = {".ipynb_checkpoints", "backup", "__MACOSX"}  # folders
COLUMNS = ("student", "notebook", "exercise", "verdict", "message")


class TeachingError(Exception):
    """Something the teacher can put right; the message says how."""


# --- export ---------------------------------------------------------------------------------------

README = """\
# GAN Course

You need Python 3.11, 3.12 or 3.13, `make`, 6 GB of memory and 4 GB of free disk (10 GB with an
NVIDIA GPU, for the CUDA libraries).

```
make lab        # installs everything the first time, then opens JupyterLab at lesson 00
make progress   # what you have solved
make doctor     # what is wrong with this machine, if something is
```

On Windows, without `make`, the first two lines install, and the others are its commands:

```
py -3.13 -m venv .venv
.venv\\Scripts\\python -m pip install -r requirements.txt -c constraints.txt
.venv\\Scripts\\python -m gan_course lab
.venv\\Scripts\\python -m gan_course progress
.venv\\Scripts\\python -m gan_course doctor
.venv\\Scripts\\python -m gan_course reset 1.2
```

You work in copies of the notebooks, in `workbook/`. Write each answer into the cell that holds its
`...`, with all that it needs: only these cells are graded. Hand in the notebook,
`workbook/01_vanilla_gan.ipynb` for lesson 01, or what File, Download gives you on Colab.
`make reset EXERCISE=1.2` puts an exercise back as it was, `make reset LESSON=01` a lesson; what you
had is kept in `workbook/backup/`.
"""
FILES = (
    "LICENSE",
    "CITATION.cff",
    "requirements.txt",
    "constraints.txt",
    "data/README.md",
    ".gitignore",
    ".gitattributes",
)
MARK = ".gan_course"  # tells that a folder is an export; holds the hash of the README in it
COURSE = ("gan_course", "data/pretrained", "benchmarks/results")  # what lessons run on
MAINTENANCE = (
    "test|test-colab|browser-test|fuzz|notebooks|run-notebooks|run|bench|check|lint|update|lock|"
    "publish|unpublish|student|grade|[.]venv/[.]dev"
)
SETTINGS = "SET|BENCH|JOBS|CHROMIUM|FOLDER|REPO|BRANCH"  # theirs


def export(folder, root=ROOT, home=None):
    """Writes what students need into `folder`, or renews it; what others put there stays.

    Its notebooks open on Colab if `home`, a builder.Home, says where the folder will be published:
    not where this course is, which has the solutions.
    """
    readme, mark = folder / "README.md", folder / MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise TeachingError(f"{folder} holds something else: name another folder, FOLDER=...")
    written = mark.read_text("utf-8") if mark.exists() else ""
    edited = readme.exists() and builder.sha256(readme.read_text("utf-8")) != written
    for part in COURSE:
        shutil.rmtree(folder / part, ignore_errors=True)
    for path in folder.glob("notebooks/[0-9][0-9]_*.ipynb"):
        path.unlink()
    copy_course(folder, root)
    for name in FILES:
        shutil.copyfile(root / name, folder / name)
    lessons = builder.find_lessons(root)
    for lesson in lessons:
        text, reason = builder.published(lesson, "learner", home)
        if reason:
            print(f"{lesson.name('learner')} {reason}: a fresh build of it goes out instead")
        write_atomically(folder / "notebooks" / lesson.path("learner").name, text)
    write_atomically(folder / "Makefile", makefile((root / "Makefile").read_text("utf-8")))
    if edited:
        print(f"{readme} has been edited, and stays as it is")
    else:
        write_atomically(readme, README)
        write_atomically(mark, builder.sha256(README))
    print(f"{folder}: {len(lessons)} lessons, without solutions")


def copy_course(folder, root=ROOT):
    """Copies the package and the data that lessons run on."""
    for part in COURSE:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / part, folder / part, ignore=skip)


def makefile(text):
    """The Makefile without the targets that need what students do not have."""
    kept = [part for part in text.split("\n\n") if not re.search(f"^({MAINTENANCE}):", part, re.M)]
    lines = "\n\n".join(kept).rstrip().splitlines()
    lines = [line for line in lines if not re.match(f"#   ({SETTINGS})=", line)]
    for number, line in enumerate(lines):
        if line.startswith(".PHONY:"):
            lines[number] = re.sub(f" ({MAINTENANCE})(?= |$)", "", line)
    return "\n".join(lines) + "\n"


# --- a lesson as it is graded ---------------------------------------------------------------------


class Lesson:
    """A freshly built lesson up to its last check.

    Attributes:
        cells: what is run: {"kind": "course", "source": ...}, the course's own cells;
            {"kind": "answer", "exercise": ..., "blank": ...}, in whose place a student's come;
            {"kind": "check", "exercise": ..., "source": ...}.
        exercises: exercise -> its blank, in order.
        by_hand: those that a short run cannot judge.
    """

    def __init__(self, source):
        self.cells, self.exercises, self.ids, self.by_hand = [], {}, {}, set()
        exercise = None
        for cell in builder.code_cells(builder.from_source(source, "learner")):
            if "exercise" in cell.metadata:
                exercise = cell.metadata["exercise"]
                self.exercises[exercise] = cell.source
                self.ids[cell.id] = exercise
                self.cells.append({"kind": "answer", "exercise": exercise, "blank": cell.source})
            elif exercise and re.search(rf'exercises\.\w+\("{re.escape(exercise)}",', cell.source):
                if "nbval-skip" in cell.metadata.get("tags", []):
                    self.by_hand.add(exercise)
                else:
                    kind = {"kind": "check", "exercise": exercise, "source": cell.source}
                    self.cells.append(kind)
                exercise = None
            else:
                self.cells.append({"kind": "course", "source": cell.source})
        while self.cells and self.cells[-1]["kind"] == "course":
            del self.cells[-1]

    def answers(self, notebook):
        """The cells of each exercise in a student's notebook: exercise -> list of sources."""
        found = {}
        for cell in notebook["cells"]:
            if cell.get("cell_type") == "code" and (exercise := self.exercise_of(cell)):
                found.setdefault(exercise, []).append("".join(cell["source"]))
        return found

    def exercise_of(self, cell):
        """By its metadata, or by the id that the builder gave it (which Colab moves)."""
        metadata = cell.get("metadata") or {}
        known = self.ids.get(str(cell.get("id"))) or self.ids.get(str(metadata.get("id")))
        exercise = str(metadata.get("exercise", known))
        return exercise if exercise in self.exercises else None

    def plan(self, answers):
        """The cells to run, with these answers in their places, up to the last that is judged."""
        return [
            cell | {"sources": answers.get(cell["exercise"], [])}
            if cell["kind"] == "answer"
            else cell
            for cell in self.cells
        ]


def read(path):
    """A submitted notebook as a dictionary; raises ValueError with the reason."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        for cell in notebook["cells"]:
            "".join(cell["source"])
            (cell.get("metadata") or {}).get("exercise")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"Cannot be read as a notebook ({type(error).__name__})") from None
    except OSError as error:
        raise ValueError(f"Cannot be read: {error.strerror}") from None
    return notebook


def choose_lesson(path, notebook, lessons):
    """The lesson that a notebook's exercises belong to, or else the one that its name says."""
    found = Counter()
    for cell in notebook["cells"] if notebook else ():
        found.update([lesson for lesson in lessons.values() if lesson.exercise_of(cell)])
    if found:
        return found.most_common(1)[0][0]
    named = [
        lesson for number, lesson in lessons.items() if re.search(rf"(?<!\d){number}_", path.name)
    ]
    return named[0] if len(named) == 1 else None


# --- grading one notebook -------------------------------------------------------------------------


class Grader:
    """Grades notebooks, each in processes and in a temporary folder of its own.

    Args:
        cell_seconds, notebook_seconds: how long a cell, and a notebook as a whole, may take.
    """

    def __init__(self, lessons, cell_seconds, notebook_seconds):
        self.lessons = lessons
        self.cell_seconds, self.notebook_seconds = cell_seconds, notebook_seconds

    def grade(self, path):
        """What came of each exercise: a list of (exercise, verdict, message); raises nothing."""
        try:
            return self.grade_exercises(path)
        except Exception as error:  # whatever it is, the other students get their grades
            return [("", "error", f"Cannot be graded ({type(error).__name__}: {error})")]

    def grade_exercises(self, path):
        if path.is_dir():
            return [("", "error", "No notebook (*.ipynb) is in this folder")]
        problem, notebook = "", None
        try:
            notebook = read(path)
        except ValueError as error:
            problem = str(error)
        lesson = choose_lesson(path, notebook, self.lessons)
        if lesson is None:
            return [("", "error", problem or "No exercise of this course is in it")]
        if problem:
            return [(exercise, "error", problem) for exercise in lesson.exercises]
        answers = lesson.answers(notebook)
        found = {
            exercise: ("not answered", "Its cell is not in the notebook")
            for exercise in lesson.exercises
            if exercise not in answers
        }
        for exercise in lesson.by_hand & set(answers):
            blank = same_code(answers.pop(exercise), lesson.exercises[exercise])
            found[exercise] = (
                ("not answered", "Not done yet")
                if blank
                else ("by hand", "A short run cannot judge it: see the student's cell and output")
            )
        self.judge(lesson, answers, found)
        return [(exercise, *found[exercise]) for exercise in lesson.exercises]

    def judge(self, lesson, answers, found):
        """Adds to `found` what comes of the answers.

        If a cell hangs or ends the process, the lesson is run again without the answer before it,
        but not if that has been judged already and a cell of the lesson itself is slow.
        """
        deadline = time.monotonic() + self.notebook_seconds
        answers, verdict, message = dict(answers), "error", "Its check did not reach a verdict"
        while set(answers) - set(found):
            cells = lesson.plan(answers)
            at, verdict, message = self.run(cells, found, deadline)
            before = [c["exercise"] for c in cells[: at + 1] if c["kind"] == "answer"]
            culprit = next((each for each in reversed(before) if answers.pop(each, None)), None)
            slow = verdict == "timeout" and cells[at]["kind"] == "course"
            if culprit is None or time.monotonic() >= deadline or (slow and culprit in found):
                break
            found.setdefault(culprit, (verdict, message))
        for exercise in lesson.exercises:
            found.setdefault(exercise, (verdict, message))

    def run(self, cells, found, deadline):
        """Runs the cells in a process; returns the cell where it ended, a verdict, and why."""
        token, messages = secrets.token_hex(16), queue.Queue()
        at, started = 0, False
        job = {"token": token, "course": str(ROOT), "cells": cells}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            process = start(Path(folder))
            threading.Thread(target=talk, args=(process, job, messages), daemon=True).start()
            try:
                while True:
                    left = max(0, deadline - time.monotonic())
                    limit = self.cell_seconds if started else self.cell_seconds + START_SECONDS
                    message = messages.get(timeout=min(limit, left))
                    started = True
                    if message is None:
                        return at, "error", "The process ended in this cell: an exit, or a crash"
                    at = message.get("at", at)
                    if message.get("verdict") in VERDICTS:
                        verdict = (message["verdict"], str(message["message"]))
                        found.setdefault(message["exercise"], verdict)
            except queue.Empty:
                what, seconds = "The cell", self.cell_seconds
                if left <= limit:
                    what, seconds = "The notebook", self.notebook_seconds
                elif cells[at]["kind"] == "course":
                    what = "A cell of the lesson itself, on a slow or busy machine perhaps,"
                return at, "timeout", f"{what} took more than {seconds:g} seconds"
            finally:
                end(process, Path(folder))


def same_code(sources, blank):
    """Whether a student's cells are still the blank, apart from comments and layout."""
    try:
        return ast.dump(ast.parse("\n".join(sources))) == ast.dump(ast.parse(blank))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last: nested too deeply
        return False


def start(folder):
    """Starts the runner in a copy of the course, with nothing of the teacher's around it."""
    copy_course(folder / "course")
    for name in ("course/notebooks", "home", "tmp"):
        (folder / name).mkdir()
    return subprocess.Popen(
        [sys.executable, str(RUNNER)],
        cwd=folder / "course" / "notebooks",
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that all that it starts can be ended with it
    )


def environment(folder):
    """The environment of a run: what is in KEPT, and a home, a temporary folder and settings."""
    ours = {key: value for key, value in os.environ.items() if re.fullmatch(KEPT, key)}
    nowhere = "http://127.0.0.1:9"  # downloads fail at once
    ours.update(
        {name: nowhere for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    )
    ours.update({name: str(folder / "home") for name in ("HOME", "USERPROFILE", "IPYTHONDIR")})
    ours.update({name: str(folder / "tmp") for name in ("TMPDIR", "TEMP", "TMP")})
    ours.setdefault("TFDS_DATA_DIR", str(Path.home() / "tensorflow_datasets"))
    ours.update(
        GAN_COURSE_FAST="1",
        GAN_COURSE_PROGRESS=progress_file(folder),
        CUDA_VISIBLE_DEVICES="-1",
        TF_CPP_MIN_LOG_LEVEL="3",
        MPLBACKEND="agg",
        PYTHONDONTWRITEBYTECODE="1",
    )
    return ours


def progress_file(folder):
    """Where a run keeps what is solved, by which its processes are known, too."""
    return str(folder / "progress.json")


def talk(process, job, messages):
    """Hands the job over and passes the runner's messages on, until the process ends (None)."""
    # The stream is closed here: while this thread waits for a line, no other can close it.
    with process.stdout, contextlib.suppress(OSError, ValueError):  # it ended, or was ended
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        while line := process.stdout.readline(100_000):
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                message = json.loads(line)
                if message["token"] == job["token"]:  # an answer may write here, too
                    messages.put(message)
    messages.put(None)


def end(process, folder):
    """Ends a run in `folder`: the process, its group, its descendants, and what has its settings.

    A process lives on if it has left the group, has lost its parent, and was started with settings
    other than those of the run, or if it comes into being meanwhile. Nothing waits for it.
    """
    found = started_by(process, folder)
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    for each in found:
        with contextlib.suppress(psutil.Error):
            each.kill()
    process.wait()


def started_by(process, folder):
    """The descendants of a process, and those that its descendants left without a parent."""
    found = []
    with contextlib.suppress(psutil.Error):  # it ended
        found += psutil.Process(process.pid).children(recursive=True)
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it ended, or is somebody else's
            if each.environ().get("GAN_COURSE_PROGRESS") == progress_file(folder):
                found.append(each)
    return found


# --- grading a folder -----------------------------------------------------------------------------


def submissions(folder):
    """The notebooks in a folder with the names of their students, and what else is in it.

    Returns two lists: [(student, path), ...], in which a student's folder without a notebook stands
    for itself; and the files that are no notebooks.
    """
    if folder.is_file():
        return [(folder.stem, folder)], []
    if not folder.is_dir():
        raise TeachingError(f"There is no {folder}: FOLDER=... names a folder of notebooks, or one")
    found, others = [], []
    empty = {each for each in folder.iterdir() if each.is_dir() and each.name not in PASSED_OVER}
    for path in filter(Path.is_file, folder.rglob("*")):
        names = path.relative_to(folder).parts
        if PASSED_OVER & set(names[:-1]) or path.name.startswith("."):
            continue
        if path.suffix.lower() == ".ipynb":
            found.append((names[0] if len(names) > 1 else path.stem, path))
            empty.discard(folder / names[0])
        else:
            others.append(path)
    found += [(path.name, path) for path in empty if found and not path.name.startswith(".")]
    return sorted(found, key=lambda each: each[1]), sorted(others)


def grade(folder, table, cell_seconds, notebook_seconds):
    """Grades what is in `folder` into the CSV file `table`; prints a line for each student.

    The table has a row for each exercise of each file; one that was there before is kept beside it.
    What is printed counts a student's exercise once, with its best verdict.
    """
    found, others = submissions(folder)
    if not found:
        raise TeachingError(
            f"{folder} holds no notebook (*.ipynb): FOLDER=... names where they are"
        )
    lessons = {each.source.stem[:2]: Lesson(each) for each in builder.find_lessons(ROOT)}
    grader = Grader(lessons, cell_seconds, notebook_seconds)
    table.parent.mkdir(parents=True, exist_ok=True)
    if table.exists():
        before = table.with_name(f"{table.stem}.before{table.suffix}")
        table.replace(before)
        print(f"the grades of the run before are in {before} now")
    students = len({student for student, _ in found})
    print(f"{len(found)} notebook(s) or empty folders of {students} student(s)")
    verdicts = {}  # student -> exercise, or file that shows none -> verdicts
    with open(table, "w", encoding="utf-8-sig", newline="") as stream:  # so that Excel knows it
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for number, (student, path) in enumerate(found, start=1):
            print(f"{number} of {len(found)}: {visible(str(path))}", flush=True)
            for row in grader.grade(path):
                writer.writerow([harmless(text) for text in (student, str(path), *row)])
                verdicts.setdefault(student, {}).setdefault(row[0] or path, []).append(row[1])
            stream.flush()
    print_table(verdicts)
    if others:
        names = ", ".join(visible(str(path.relative_to(folder))) for path in others[:10])
        more = f" and {len(others) - 10} more" if len(others) > 10 else ""
        print(f"not graded, since they are no notebooks (*.ipynb): {names}{more}")
    print(f"every exercise: {table}")


def visible(text):
    """A text with escapes, such as \\x1b, for control characters and what UTF-8 cannot write."""
    hidden = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
    return re.sub(hidden, lambda found: found[0].encode("unicode_escape").decode(), text)


def harmless(text):
    """A visible text that a spreadsheet does not take for a formula."""
    text = visible(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def print_table(verdicts):
    counts = {
        visible(student): Counter(min(each, key=BEST_FIRST.index) for each in exercises.values())
        for student, exercises in verdicts.items()
    }
    print("each student's exercises, in the best of the files that hold them:")
    width = max(len("student"), *map(len, counts))
    print("  ".join(["student".ljust(width), *VERDICTS]))
    for student, count in counts.items():
        numbers = [str(count[verdict]).rjust(len(verdict)) for verdict in VERDICTS]
        print("  ".join([student.ljust(width), *numbers]))


# --- the command line -----------------------------------------------------------------------------


def main(arguments=None):
    """Does what the command line says; 1 if that cannot be done."""
    runtime.print_anything()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write a folder for students")
    exporting.add_argument("folder", type=Path)
    exporting.add_argument("--publish", metavar="REPO", help="owner/name, where the folder will be")
    exporting.add_argument("--branch", default="main", help="of --publish; default: main")
    grading = commands.add_parser("grade", help="grade notebooks")
    grading.add_argument("folder", type=Path, help="a notebook, or a folder of them")
    grading.add_argument("--csv", type=Path, default=ROOT / "build" / "grades.csv")
    grading.add_argument("--cell-seconds", type=float, default=120)
    grading.add_argument("--notebook-seconds", type=float, default=900)
    options = parser.parse_args(arguments)
    try:
        if options.command == "export":
            home = builder.Home(options.publish, options.branch) if options.publish else None
            export(options.folder, home=home)
        else:
            grade(options.folder, options.csv, options.cell_seconds, options.notebook_seconds)
    except (TeachingError, builder.BuildError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the notebooks before are graded", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
