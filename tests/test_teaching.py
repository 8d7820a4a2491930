"""What goes out to students, and the grades of what comes back: right, wrong, broken, tampered."""

import contextlib
import copy
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import build_notebooks as builder
import psutil
import pytest
import teaching

from gan_course.exercises import checker

ROOT = teaching.ROOT
LESSONS = {each.source.stem[:2]: teaching.Lesson(each) for each in builder.find_lessons(ROOT)}


def notebook(name, **answers):
    """A published notebook with these answers, e1_2="..." in the cell of exercise 1.2."""
    found = json.loads((ROOT / "notebooks" / name).read_text(encoding="utf-8"))
    for cell in found["cells"]:
        exercise = cell["metadata"].get("exercise", "-")
        cell["source"] = answers.get(f"e{exercise.replace('.', '_')}", "".join(cell["source"]))
    return found


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_every_exercise_of_every_lesson_is_checked_or_for_the_teacher():
    numbered = {id for id, entry in checker._REGISTRY.items() if not entry.is_prediction}
    assert {each for lesson in LESSONS.values() for each in lesson.exercises} == numbered
    by_hand = {each for lesson in LESSONS.values() for each in lesson.by_hand}
    assert by_hand == {"7.5", "8.5"}
    for lesson in LESSONS.values():
        kinds = [cell["kind"] for cell in lesson.cells]
        checked = {cell["exercise"] for cell in lesson.cells if cell["kind"] == "check"}
        assert checked == set(lesson.exercises) - lesson.by_hand
        assert kinds[0] == "course" and kinds[-1] in ("answer", "check")


# --- export ---------------------------------------------------------------------------------------


def test_students_get_the_published_notebooks_and_no_solutions(tmp_path):
    folder = tmp_path / "student"
    teaching.export(folder)
    names = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name for path in folder.rglob("*.ipynb")} == names
    for name in names:
        lesson = builder.find_lessons(ROOT, [name[:2]])[0]
        text = (folder / "notebooks" / name).read_text(encoding="utf-8")
        assert text == builder.published(lesson, "learner", None)[0]  # nowhere on Colab
    assert not [path for path in folder.rglob("*") if path.name in ("source", "solutions", "tests")]
    command = [sys.executable, "-m", "gan_course", "reset", "0.1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert "00_welcome.ipynb is as published" in done.stdout, done.stderr

    (folder / "workbook" / "mine.txt").write_text("mine", encoding="utf-8")
    others = [folder / name for name in ("notebooks/mine.ipynb", "data/cache/mnist.npy")]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (folder / "notebooks" / "99_old.ipynb").touch()
    (folder / "gan_course" / "old.py").touch()
    teaching.export(folder)  # again: renewed, but for what others put there
    assert (folder / "workbook" / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert all(path.exists() for path in others)
    assert not (folder / "notebooks" / "99_old.ipynb").exists()
    assert not (folder / "gan_course" / "old.py").exists()


def test_a_students_readme_is_renewed_unless_a_teacher_edited_it(tmp_path, monkeypatch, capsys):
    readme = tmp_path / "student" / "README.md"
    teaching.export(readme.parent)
    monkeypatch.setattr(teaching, "README", "# A newer one\n")
    teaching.export(readme.parent)
    assert readme.read_text(encoding="utf-8") == "# A newer one\n"
    readme.write_text("# A newer one\n\nDeadline: Friday\n", encoding="utf-8")
    capsys.readouterr()
    monkeypatch.setattr(teaching, "README", "# The newest\n")
    teaching.export(readme.parent)
    assert "Friday" in readme.read_text(encoding="utf-8")
    assert "README.md has been edited, and stays as it is" in capsys.readouterr().out


def test_students_notebooks_open_on_colab_where_their_folder_is_published(tmp_path, capsys):
    command = ["export", str(tmp_path / "student"), "--publish"]
    assert teaching.main([*command, "ada/a class"]) == 1
    assert "REPO='ada/a class' is no repository" in capsys.readouterr().err
    assert not (tmp_path / "student").exists()
    assert teaching.main([*command, "ada/class", "--branch", "2026"]) == 0
    text = (tmp_path / "student" / "notebooks" / "00_welcome.ipynb").read_text(encoding="utf-8")
    assert "github/ada/class/blob/2026/notebooks/00_welcome.ipynb" in text
    assert "https://github.com/ada/class" in text and "--branch=2026" in text


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "thesis.txt").touch()
    assert teaching.main(["export", str(tmp_path)]) == 1
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["notebooks", "thesis.txt"]


@pytest.mark.skipif(os.name == "nt" or not shutil.which("make"), reason="needs make")
def test_the_students_makefile_has_only_what_works_there(tmp_path):
    folder = tmp_path / "student"
    teaching.export(folder)

    # without what the make that runs the tests leaves to those that it starts
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}

    def make(*targets):
        options = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
        return subprocess.run(["make", *targets], **options)

    lines = make("help").stdout.splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["lab", "doctor", "progress", "reset", "clean"]
    assert "-m gan_course lab" in make("-n", "lab").stdout
    text = (folder / "Makefile").read_text(encoding="utf-8")
    assert "#   LESSON=01" in text and "#   SET=" not in text and "#   FOLDER=" not in text
    assert make("test").returncode


# --- reading what was handed in -------------------------------------------------------------------


def graded(path, lessons=LESSONS, cell_seconds=60):
    rows = teaching.Grader(lessons, cell_seconds, notebook_seconds=600).grade(path)
    return {exercise: (verdict, message) for exercise, verdict, message in rows}


@pytest.mark.parametrize(
    ("name", "text", "exercises"),
    [
        ("ann_00_welcome.ipynb", "<<<<<<< HEAD", ["0.1"]),
        ("00_welcome.ipynb", '{"cells": [1]}', ["0.1"]),
        ("00_welcome.ipynb", "[" * 100_000, ["0.1"]),
        ("homework.ipynb", "[]", [""]),
        ("homework.ipynb", '{"cells": [{"cell_type": "code", "source": "1"}]}', [""]),
    ],
)
def test_what_is_no_notebook_of_the_course_gets_its_rows(tmp_path, name, text, exercises):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    found = graded(path)
    assert list(found) == exercises
    assert all(verdict == "error" for verdict, _ in found.values())


def test_an_answer_is_found_by_its_cells_metadata_or_id_and_split_cells_belong_together():
    (exercise,) = LESSONS["00"].exercises
    cells = notebook("00_welcome.ipynb", e0_1="first")["cells"]
    (number,) = [n for n, cell in enumerate(cells) if "exercise" in cell["metadata"]]
    cells.insert(number + 1, copy.deepcopy(cells[number]) | {"source": ["sec", "ond"], "id": "new"})
    del cells[number]["metadata"]["exercise"]
    assert LESSONS["00"].answers({"cells": cells}) == {exercise: ["first", "second"]}
    colab = {"cell_type": "code", "metadata": {"id": cells[number]["id"]}, "source": "third"}
    assert LESSONS["00"].answers({"cells": [colab]}) == {exercise: ["third"]}


def test_a_byte_order_mark_and_a_cell_without_metadata_cost_nothing(tmp_path):
    cells = [{"cell_type": "code", "metadata": None, "source": "1"}]
    cells += notebook("00_welcome.ipynb", e0_1="first")["cells"]
    path = tmp_path / "00.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8-sig")
    assert LESSONS["00"].answers(teaching.read(path)) == {"0.1": ["first"]}


def test_what_needs_no_run_is_graded_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr(teaching, "start", None)
    cells = [c for c in notebook("00_welcome.ipynb")["cells"] if "exercise" not in c["metadata"]]
    assert graded(write(tmp_path / "00_welcome.ipynb", {"cells": cells})) == {
        "0.1": ("not answered", "Its cell is not in the notebook")
    }
    for source, verdict in [("chosen = ...  # draw", "not answered"), ("chosen = 1", "by hand")]:
        cells = [{"cell_type": "code", "metadata": {"exercise": "7.5"}, "source": source}]
        found = graded(write(tmp_path / "07.ipynb", {"cells": cells}))
        assert found["7.5"][0] == verdict and found["7.1"][0] == "not answered"


def test_a_cell_that_python_cannot_parse_costs_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(teaching, "start", None)
    deep = {"cell_type": "code", "metadata": {"exercise": "7.5"}, "source": "-" * 6000 + "1"}
    found = graded(write(tmp_path / "07.ipynb", {"cells": [deep]}))
    assert found["7.5"][0] == "by hand" and found["7.1"][0] == "not answered"


def test_no_submission_stops_the_grading_of_others(tmp_path, monkeypatch, capsys):
    def run(self, cells, found, deadline):
        if "ann" in str(found_in.pop(0)):
            raise MemoryError("no room")
        found["0.1"] = ("wrong", "\x1b[2J said \ud800")
        return 0, "error", ""

    for name in ("ann", "bob"):
        write(tmp_path / name / "00.ipynb", notebook("00_welcome.ipynb", e0_1="1"))
    found_in = [path for _, path in teaching.submissions(tmp_path)[0]]
    monkeypatch.setattr(teaching.Grader, "run", run)
    assert teaching.main(["grade", str(tmp_path), "--csv", str(tmp_path / "g.csv")]) == 0
    first, second = csv.DictReader((tmp_path / "g.csv").open(encoding="utf-8-sig", newline=""))
    assert first["verdict"] == "error" and "MemoryError: no room" in first["message"]
    assert second["verdict"] == "wrong" and second["message"] == "\\x1b[2J said \\ud800"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such names cannot be")
def test_names_that_are_no_text_are_written_with_escapes(tmp_path, capsys):
    for name in (b"\xff", b"\n\x1b[2J", b"\r=1"):
        write(tmp_path / os.fsdecode(name) / "00.ipynb", {"cells": []})
    assert teaching.main(["grade", str(tmp_path), "--csv", str(tmp_path / "g.csv")]) == 0
    rows = csv.DictReader((tmp_path / "g.csv").open(encoding="utf-8-sig", newline=""))
    names = ["\\n\\x1b[2J", "\\r=1", "\\udcff"]
    assert [row["student"] for row in rows] == names
    out = capsys.readouterr().out
    assert all(name in out for name in names) and not {"\x1b", "\r"} & set(out)


def test_students_are_told_apart_by_folder_or_file(tmp_path):
    for name in ("b.ipynb", "ann/01.ipynb", "ann/workbook/02.ipynb", "ann/workbook/backup/x.ipynb"):
        write(tmp_path / name, {})
    for name in ("__MACOSX/ann/._01.ipynb", "ann/._01.ipynb"):  # of a zip archive made on a Mac
        write(tmp_path / name, {})
    write(tmp_path / "ann" / ".ipynb_checkpoints" / "01.ipynb", {})
    found = [(student, path.name) for student, path in teaching.submissions(tmp_path)[0]]
    assert found == [("ann", "01.ipynb"), ("ann", "02.ipynb"), ("b", "b.ipynb")]
    assert teaching.submissions(tmp_path / "b.ipynb") == ([("b", tmp_path / "b.ipynb")], [])


def test_what_is_no_notebook_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(teaching, "start", None)
    folder, table = tmp_path / "in", tmp_path / "g.csv"
    for name in ("ann/01.IPYNB", "ann/.DS_Store", "bob/00_welcome.ipynb.txt", "cem/backup/x.ipynb"):
        write(folder / name, {"cells": []})
    (folder / "answer.py").touch()
    (folder / "backup").mkdir()
    assert teaching.main(["grade", str(folder), "--csv", str(table)]) == 0
    rows = list(csv.DictReader(table.open(encoding="utf-8-sig")))
    assert [row["student"] for row in rows] == ["ann", "bob", "cem"]
    assert ["No notebook" in row["message"] for row in rows] == [False, True, True]
    bobs = Path("bob", "00_welcome.ipynb.txt")
    assert f"no notebooks (*.ipynb): answer.py, {bobs}\n" in capsys.readouterr().out


def test_an_exercise_in_several_files_counts_once_with_its_best_verdict(
    tmp_path, monkeypatch, capsys
):
    verdicts = {"a.ipynb": "wrong", "b.ipynb": "right", "c.ipynb": "not answered"}
    monkeypatch.setattr(
        teaching.Grader, "grade", lambda self, path: [("0.1", verdicts[path.name], "")]
    )
    for name in verdicts:
        write(tmp_path / "ann" / name, {})
    assert teaching.main(["grade", str(tmp_path), "--csv", str(tmp_path / "g.csv")]) == 0
    assert len(list(csv.DictReader((tmp_path / "g.csv").open(encoding="utf-8-sig")))) == 3
    line = capsys.readouterr().out.partition("\nann")[2].splitlines()[0]
    assert line.split() == ["1", "0", "0", "0", "0", "0"]


def test_the_teachers_settings_and_secrets_do_not_reach_the_answers(tmp_path, monkeypatch):
    theirs = {"GAN_COURSE_STRICT", "PYTHONSTARTUP", "KERAS_BACKEND", "GITHUB_TOKEN", "no_proxy"}
    for name in (*theirs, "LC_ALL"):
        monkeypatch.setenv(name, "1")
    found = teaching.environment(tmp_path)
    assert theirs.isdisjoint(found)
    assert found["LC_ALL"] == "1" and found["PATH"] == os.environ["PATH"]
    assert found["GAN_COURSE_FAST"] == "1"
    assert Path(found["GAN_COURSE_PROGRESS"]).is_relative_to(tmp_path)
    assert Path(found["HOME"]).is_relative_to(tmp_path)


# --- grading --------------------------------------------------------------------------------------


def test_a_folder_is_graded_into_a_table(tmp_path, capsys):
    folder, table = tmp_path / "in", tmp_path / "out" / "grades.csv"
    right = "def to_unit_range(pixels):\n    return 2 * pixels / 255 - 1"
    wrong = right.replace(" - 1", "")
    write(folder / "=ann" / "00_welcome.ipynb", notebook("00_welcome.ipynb", e0_1=right))
    write(folder / "bob" / "mine.ipynb", notebook("00_welcome.ipynb", e0_1=wrong))
    (folder / "cem").mkdir()
    (folder / "cem" / "00_welcome.ipynb").write_text("{", encoding="utf-8")
    assert teaching.main(["grade", str(folder), "--csv", str(table)]) == 0
    rows = list(csv.DictReader(table.open(encoding="utf-8-sig")))
    assert [(row["student"], row["exercise"], row["verdict"]) for row in rows] == [
        ("'=ann", "0.1", "right"),  # as a spreadsheet would take it for a formula
        ("bob", "0.1", "wrong"),
        ("cem", "0.1", "error"),
    ]
    assert "subtract 1" in rows[1]["message"]
    out = capsys.readouterr().out
    assert "bob          0      1" in out and str(table) in out
    assert "of 3 student(s)" in out
    before = table.read_bytes()
    empty = write(tmp_path / "other.ipynb", {"cells": []})
    assert teaching.main(["grade", str(empty), "--csv", str(table)]) == 0
    assert table.with_name("grades.before.csv").read_bytes() == before
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "00_welcome.ipynb",
        "00_welcome.ipynb",
        "mine.ipynb",
    ]


def test_a_folder_without_notebooks(tmp_path, capsys):
    assert teaching.main(["grade", str(tmp_path), "--csv", str(tmp_path / "g.csv")]) == 1
    assert "holds no notebook" in capsys.readouterr().err
    assert teaching.main(["grade", str(tmp_path / "none"), "--csv", str(tmp_path / "g.csv")]) == 1
    assert "There is no " in capsys.readouterr().err
    assert not (tmp_path / "g.csv").exists()


@pytest.fixture(scope="module")
def short():
    """Lesson 01 without its trainings: the set-up, and exercises 1.1 to 1.5 with their checks."""
    lesson = copy.deepcopy(LESSONS["01"])
    del lesson.exercises["1.6"]
    lesson.cells = lesson.cells[:2] + [c for c in lesson.cells if c.get("exercise", "1.6") != "1.6"]
    return {"01": lesson}


RIGHT = {
    "e1_1": "def my_optimal_discriminator(p, q):\n    return 1 / (1 + q / np.maximum(p, 1e-300))",
    "e1_2": "def my_discriminator_loss(real, fake):\n"
    "    return tf.reduce_mean(tf.nn.softplus(-real) + tf.nn.softplus(fake))",
    "e1_3": "def my_generator_loss(fake):\n    return tf.reduce_mean(tf.nn.softplus(-fake))",
    "e1_4": "def my_generator_step(generator, discriminator, optimizer, latents):\n"
    "    with tf.GradientTape() as tape:\n"
    "        fake = generator(latents, training=True)\n"
    "        loss = generator_loss(discriminator(fake, training=True))\n"
    "    weights = generator.trainable_variables\n"
    "    optimizer.apply(tape.gradient(loss, weights), weights)\n"
    "    return loss",
    "e1_5": 'diagnoses = {"A": "behind", "B": "healthy", "C": "too_high", "D": "wins"}',
}
WRONG = {
    "e1_1": "def my_optimal_discriminator(p, q):\n    return q",
    "e1_2": "def my_discriminator_loss(real, fake):\n    return tf.reduce_mean(real * fake)",
    "e1_3": "def my_generator_loss(fake):\n    return tf.reduce_mean(fake)",
    "e1_4": "def my_generator_step(generator, discriminator, optimizer, latents):\n    return 1.0",
    "e1_5": 'diagnoses = {"A": "wins", "B": "wins", "C": "wins", "D": "wins"}',
}


def verdicts(found):
    return {exercise: verdict for exercise, (verdict, _) in found.items()}


WRITES_FILES = """
import pathlib, gan_course
for folder in (gan_course.__path__[0], ".", "..", pathlib.Path.home()):
    (pathlib.Path(folder) / "{}").touch()
"""


def test_right_answers_with_much_around_them(short, tmp_path):
    marker = f"marker-of-a-test-{os.getpid()}"
    answers = RIGHT | {"e1_4": WRITES_FILES.format(marker) + RIGHT["e1_4"]}
    answers["e1_1"] = "tf_before, exercises = tf, None\n" + RIGHT["e1_1"]  # a name of the lesson's
    answers["e1_2"] = "print('x' * 50_000_000)\n" + RIGHT["e1_2"]
    answers["e1_3"] = RIGHT["e1_3"] + "\nmy_generator_loss(1, 2, 3)  # raises"
    answers["e1_5"] = "%matplotlib inline\n%time " + RIGHT["e1_5"]
    tampered = notebook("01_vanilla_gan.ipynb", **answers)
    for cell in tampered["cells"]:  # cells that are none of an exercise do not count
        if cell["cell_type"] == "code" and "exercise" not in cell["metadata"]:
            cell["source"] = "raise SystemExit"
    found = graded(write(tmp_path / "01.ipynb", tampered), short)
    assert verdicts(found) == dict.fromkeys(["1.1", "1.2", "1.3", "1.4", "1.5"], "right")
    assert "The cell stopped with TypeError" in found["1.3"][1]
    assert "stopped" not in found["1.4"][1]
    for folder in (ROOT, ROOT / "gan_course", ROOT / "notebooks", Path.cwd(), Path.home()):
        assert not (folder / marker).exists()


def test_answers_that_end_or_hang_the_process_leave_the_others_their_grades(short, tmp_path):
    answers = RIGHT | {
        "e1_1": "import os\nos._exit(0)",
        "e1_3": "while True:\n    try:\n        pass\n    except BaseException:\n        pass",
        "e1_5": "exit()",
    }
    path = write(tmp_path / "01.ipynb", notebook("01_vanilla_gan.ipynb", **answers))
    found = graded(path, short, cell_seconds=15)
    assert verdicts(found) == {
        "1.1": "error",
        "1.2": "right",
        "1.3": "timeout",
        "1.4": "right",  # the loss that it calls is the course's
        "1.5": "error",
    }
    assert "process ended" in found["1.1"][1] and "SystemExit" in found["1.5"][1]
    assert "15 seconds" in found["1.3"][1]


def test_a_slow_cell_of_the_lesson_is_not_charged_to_an_answer(tmp_path):
    lesson = copy.deepcopy(LESSONS["00"])
    at = next(i for i, cell in enumerate(lesson.cells) if cell["kind"] == "answer")
    slow = {"kind": "course", "source": "import time; time.sleep(100)"}
    later = [cell | {"exercise": "0.2"} for cell in lesson.cells[at:]]
    lesson.cells, lesson.exercises["0.2"] = [*lesson.cells, slow, *later], lesson.exercises["0.1"]
    right = "def to_unit_range(pixels):\n    return 2 * pixels / 255 - 1"
    found = {}
    grader = teaching.Grader({"00": lesson}, cell_seconds=20, notebook_seconds=300)
    grader.judge(lesson, {"0.1": [right], "0.2": [right]}, found)
    assert found["0.1"][0] == "right"
    assert found["0.2"][0] == "timeout" and "A cell of the lesson itself" in found["0.2"][1]


DETACHES = """
import os, pathlib, time
if os.fork() == 0:
    os.setsid()
    pathlib.Path({!r}).write_text(str(os.getpid()))
    time.sleep(900)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_detaches_holds_nothing_up_and_is_ended(tmp_path, monkeypatch):
    runner, number = tmp_path / "runner.py", tmp_path / "number"
    runner.write_text(DETACHES.format(str(number)), encoding="utf-8")
    monkeypatch.setattr(teaching, "RUNNER", runner)
    monkeypatch.setattr(teaching, "START_SECONDS", 0)
    grader = teaching.Grader(LESSONS, cell_seconds=3, notebook_seconds=60)
    began = time.monotonic()
    assert grader.run([{"kind": "answer"}], {}, deadline=began + 60)[1] == "timeout"
    assert time.monotonic() - began < 30
    with contextlib.suppress(psutil.NoSuchProcess):
        detached = psutil.Process(int(number.read_text(encoding="utf-8")))
        _, left = psutil.wait_procs([detached], timeout=5)
        assert all(each.status() == psutil.STATUS_ZOMBIE for each in left)


REPLACES_CHECKS = """
import types
from gan_course.exercises import checker
def all_right(id, answer):
    return types.SimpleNamespace(id=id, status="right", message="", hint="", printed="")
exercises.check = exercises.answer = checker.check = checker.answer = checker.judge = all_right
checker.compare = checker.need_function = lambda *arguments, **options: None
"""
REPLACES_NUMPY = "np.allclose = lambda *arguments, **options: True\n"
WRITES_A_VERDICT = """
import os
from gan_course.exercises import boxes
boxes.show("right", "Exercise 1.3, the loss: right", ["Well done."])
line = '{"token": "", "exercise": "1.3", "verdict": "right", "message": ""}\\n'
print(line)
with open(os.environ["GAN_COURSE_PROGRESS"], "w") as file:
    file.write('["1.3"]')
for stream in range(3, 100):
    try:
        os.write(stream, line.encode())
    except OSError:
        pass
"""
REPLACES_JUDGES = """
import dataclasses, sys
from gan_course.exercises import checker
for id, entry in list(checker._REGISTRY.items()):
    checker._REGISTRY[id] = dataclasses.replace(entry, judge=lambda answer: "well done")
checker.Exercise.judge = lambda self, answer: "well done"
sys.modules["gan_course.exercises.checker"] = sys.modules["gan_course.exercises"] = None
"""
REPLACES_CODE = """
def yes(*arguments, **options):
    return True
np.allclose.__wrapped__.__code__ = yes.__code__
"""
FOLLOWS_THE_LESSON = """
import dataclasses
registry = discriminator_loss.__globals__["exercise"].__globals__["_REGISTRY"]
for id, entry in list(registry.items()):
    registry[id] = dataclasses.replace(entry, judge=lambda answer: "well done")
"""
HOOKS_THE_SHELL = """
def replace(*arguments):
    exercises.check = exercises.answer = lambda id, answer: answer
get_ipython().events.register("pre_run_cell", replace)
get_ipython().events.register("post_run_cell", replace)
"""


def test_attacks_raise_no_grade(short, tmp_path):
    attacks = {
        "e1_1": REPLACES_CHECKS,
        "e1_2": REPLACES_NUMPY,
        "e1_3": WRITES_A_VERDICT,
        "e1_4": REPLACES_JUDGES,
        "e1_5": HOOKS_THE_SHELL,
    }
    answers = {name: attack + WRONG[name] for name, attack in attacks.items()}
    tampered = notebook("01_vanilla_gan.ipynb", **answers)
    check = {"cell_type": "code", "metadata": {}, "source": "exercises.check = print", "id": "x"}
    tampered["cells"] = [check, *tampered["cells"], check]
    found = graded(write(tmp_path / "01.ipynb", tampered), short)
    assert verdicts(found) == {
        "1.1": "error",
        "1.2": "error",
        "1.3": "wrong",
        "1.4": "wrong",
        "1.5": "wrong",  # its hooks are the shell's, which the check cells do not pass through
    }
    assert "replaces gan_course.exercises.check" in found["1.1"][1]
    assert found["1.2"][1] == "The answer replaces numpy.allclose"


def test_what_is_replaced_while_the_answer_is_called_is_noticed_and_put_back(short, tmp_path):
    replaces = "    np.allclose = lambda *arguments, **options: True\n    return q"
    answers = RIGHT | {
        "e1_1": WRONG["e1_1"].replace("    return q", replaces),
        "e1_2": REPLACES_CODE + WRONG["e1_2"],
        "e1_3": FOLLOWS_THE_LESSON + WRONG["e1_3"],
    }
    path = write(tmp_path / "01.ipynb", notebook("01_vanilla_gan.ipynb", **answers))
    found = graded(path, short)
    assert found["1.1"] == ("error", "The answer replaces numpy.allclose")
    assert "replaces" in found["1.2"][1] and "allclose.__code__" in found["1.2"][1]
    assert found["1.3"][0] == "wrong"
    assert set(list(verdicts(found).values())[3:]) == {"right"}
