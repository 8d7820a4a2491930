"""Working copies: learners work in ``workbook/``, and ``notebooks/`` stays as published.

``workbook/`` is ignored by git, so pulling an update never conflicts with what a learner wrote.
Nothing here deletes a learner's work: whatever is replaced goes to ``workbook/backup/`` first.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from gan_course.files import written_whole

ROOT = Path(__file__).resolve().parents[1]


class WorkbookError(Exception):
    """Something the learner can put right: the message is one line that says how."""


def prepare(root=ROOT):
    """Copies each published notebook into ``workbook/``; an edited copy is never replaced.

    Returns the lines it prints: one for each copy made, renewed or in need of a decision.
    """
    lines = []
    for published in _published(root):
        line = _prepare_one(published, root / "workbook" / published.name)
        if line:
            lines.append(f"workbook/{published.name}: {line}")
    lines = lines or ["workbook/: up to date"]
    print(*lines, sep="\n")
    return lines


def _prepare_one(published, copy):
    """Brings one working copy up to date and says what happened ("" if nothing did)."""
    newest = _read_published(published)
    if not copy.exists():
        write_atomically(copy, published.read_text(encoding="utf-8"))
        return "new"
    take_it = f"{_reset_command(published)} takes the published one (yours is kept in backup/)"
    mine = _read(copy)
    if mine is None:
        return f"cannot be read as a notebook; {take_it}"
    if _version(mine) == _version(newest):
        return ""
    if _stamp(mine).get("cells_sha256") == cells_sha256(mine):
        write_atomically(copy, published.read_text(encoding="utf-8"))
        return "renewed (you had not changed it)"
    return f"kept with your changes, though a newer one is published; {take_it}"


def reset(lesson=None, exercise=None, root=ROOT):
    """Puts a lesson ("01") or an exercise ("1.2") back as published; the old copy is kept."""
    if exercise is None:
        _reset_lesson(_find_lesson(lesson, root), root)
    else:
        _reset_exercise(str(exercise), root)


def _reset_lesson(published, root):
    copy = root / "workbook" / published.name
    _read_published(published)  # before the copy is moved away
    if copy.exists():
        broken = " (it could not be read as a notebook)" if _read(copy) is None else ""
        print(f"Your copy is kept as {_copy_to_backup(copy, root)}{broken}")
    write_atomically(copy, published.read_text(encoding="utf-8"))
    print(f"workbook/{copy.name} is as published. {_RELOAD}")


def _reset_exercise(exercise, root):
    published = _exercises(root).get(exercise)
    if published is None:
        raise WorkbookError(f"There is no exercise {exercise}. {_what_exists(root)}")
    copy = root / "workbook" / published.name
    if not copy.exists():
        return _reset_lesson(published, root)
    mine = _read(copy)
    unreadable = f"workbook/{copy.name} cannot be read as a notebook: {_reset_command(published)}"
    if mine is None:
        raise WorkbookError(unreadable)
    originals = _exercise_cells(_read_published(published), exercise)
    cells = _exercise_cells(mine, exercise)
    if len(cells) < len(originals):
        raise WorkbookError(
            f"A cell of exercise {exercise} was deleted from workbook/{copy.name}: "
            f"{_reset_command(published)} brings the whole lesson back"
        )
    for cell, original in zip(cells, originals, strict=False):
        cell.update(source=original["source"], outputs=[], execution_count=None)
    # Splitting a cell in JupyterLab leaves pieces that all belong to the exercise.
    surplus = [id(cell) for cell in cells[len(originals) :]]
    mine["cells"] = [cell for cell in mine["cells"] if id(cell) not in surplus]
    try:
        text = json.dumps(mine, indent=1) + "\n"
    except RecursionError:  # lists in lists in lists, which no notebook has
        raise WorkbookError(unreadable) from None
    print(f"Your copy is kept as {_copy_to_backup(copy, root)}")
    write_atomically(copy, text)
    print(f"Exercise {exercise} in workbook/{copy.name} is as published. {_RELOAD}")


def update(root=ROOT):
    """Keeps notebooks that were edited in place aside, pulls the newest course, renews copies."""
    _check_clone(root)
    _git(root, "fetch", "--quiet")
    if _git(root, "rev-list", "--count", "@{upstream}..HEAD").strip() != "0":
        raise WorkbookError(
            "This clone has commits of its own: git pull --rebase (or merge) is yours to decide"
        )
    _restore_edited(root)
    before = _git(root, "rev-parse", "HEAD")
    _git(root, "merge", "--ff-only", "--quiet", "@{upstream}")
    same = _git(root, "rev-parse", "HEAD") == before
    print("The course was up to date" if same else "The course is updated")
    return prepare(root)


def _restore_edited(root):
    """Keeps copies of notebooks that differ from the committed ones and puts those back."""
    diff = ["diff", "HEAD", "--name-only", "--no-renames", "--diff-filter=a", "-z"]
    changed = _git(root, *diff, "--", "notebooks/*.ipynb").split("\0")[:-1]
    for name in dict.fromkeys(changed):
        if (root / name).exists():
            print(f"{name} was changed here: kept as {_copy_to_backup(root / name, root)}")
        _git(root, "checkout", "--quiet", "HEAD", "--", name)


def _check_clone(root):
    """Raises unless `root` is the top of a git clone on a branch that follows a remote."""
    if shutil.which("git") is None:
        raise WorkbookError("git is not installed: see https://git-scm.com/downloads")
    try:
        top = Path(_git(root, "rev-parse", "--show-toplevel").rstrip("\n"))
    except WorkbookError as error:
        raise WorkbookError(
            f"{root} is not a git clone, so there is nothing to pull: download the course anew "
            f"and bring your workbook/ along ({error})"
        ) from None
    if not top.samefile(root):
        raise WorkbookError(f"{root} is not a git clone of its own; it lies inside {top}")
    try:
        _git(root, "rev-parse", "@{upstream}")
    except WorkbookError:
        raise WorkbookError(
            "This branch follows no remote branch: git switch to the one that you cloned"
        ) from None


def lab(arguments=(), root=ROOT):
    """Opens the first lesson's working copy in JupyterLab; returns the server's exit status.

    Args:
        arguments: further options for JupyterLab, such as ``--no-browser``.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise WorkbookError(
            f"JupyterLab is not installed for {sys.executable}: "
            "pip install -r requirements.txt -c constraints.txt"
        )
    prepare(root)
    first = next(iter(_published(root)), None)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    if first:
        command.append(f"--LabApp.default_url=/lab/tree/workbook/{first.name}")
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    # Without labconfig/ JupyterLab lays a question about its news over the lesson.
    paths = [environment.get("JUPYTER_CONFIG_PATH"), str(Path(__file__).parent)]
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    with subprocess.Popen([*command, *arguments], env=environment) as server:
        while True:
            try:
                return server.wait()
            except KeyboardInterrupt:
                continue  # JupyterLab got it too: it asks, or stops, and then wait() returns


def cells_sha256(notebook):
    """Hash of all cells' types and sources: it changes as soon as somebody edits a cell."""
    cells = [[cell["cell_type"], "".join(cell["source"])] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def write_atomically(path, text):
    """Writes `text` so that `path` holds the old or the new content, never half of it."""
    with written_whole(path) as file:
        file.write(text.encode("utf-8"))


_RELOAD = "Is it open in JupyterLab? Then: File > Reload Notebook from Disk."


def _published(root):
    # By its number: a notebook that a learner put there is none of the course's.
    return sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def _read(path):
    """The notebook at `path` as a dictionary, or None if the file does not hold one."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells_sha256(notebook)
        metadata = [each.get("metadata", {}) for each in (notebook, *notebook["cells"])]
        metadata.append(metadata[0].get("gan_course", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # no file, no JSON, or JSON that is not a notebook
    return notebook if all(isinstance(each, dict) for each in metadata) else None


def _read_published(path):
    notebook = _read(path)
    if notebook is None:
        raise WorkbookError(f"notebooks/{path.name} cannot be read: git restore notebooks")
    return notebook


def _stamp(notebook):
    return notebook.get("metadata", {}).get("gan_course", {})


def _version(notebook):
    """What tells one published state of a notebook from another; copies carry it along."""
    return [_stamp(notebook).get(key) for key in ("cells_sha256", "outputs_sha256")]


def _number(notebook_path):
    return notebook_path.stem.split("_")[0]


def _find_lesson(lesson, root):
    if not lesson:
        raise WorkbookError(f"Which lesson or exercise? {_what_exists(root)}")
    wanted = str(lesson).removesuffix(".ipynb")
    for published in _published(root):
        if wanted == published.stem or wanted.zfill(2) == _number(published):
            return published
    raise WorkbookError(f"There is no lesson {wanted}. {_what_exists(root)}")


def _exercise_cells(notebook, exercise):
    return [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and cell.get("metadata", {}).get("exercise") == exercise
    ]


def _exercises(root):
    """Which published notebook holds which exercise."""
    found = {}
    for published in _published(root):
        for cell in _read_published(published)["cells"]:
            if isinstance(cell.get("metadata", {}).get("exercise"), str):
                found[cell["metadata"]["exercise"]] = published
    return found


def _what_exists(root):
    lessons = ", ".join(_number(published) for published in _published(root)) or "none"
    by_number = sorted(_exercises(root), key=lambda name: list(map(int, re.findall(r"\d+", name))))
    return f"Lessons: {lessons}. Exercises: {', '.join(by_number) or 'none'}."


def _reset_command(published):
    lesson = _number(published)
    if os.name == "nt":  # where make is rarely at hand
        return f".venv\\Scripts\\python -m gan_course reset {lesson}"
    return f"make reset LESSON={lesson}"


def _copy_to_backup(path, root):
    """Copies a file into ``workbook/backup/`` under a name with the time; returns the new name.

    A copy: whatever happens before the file itself is replaced, it is still where it was.
    """
    stem = f"solutions-{path.stem}" if path.parent.name == "solutions" else path.stem
    stem = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = root / "workbook" / "backup"
    folder.mkdir(parents=True, exist_ok=True)
    target, count = folder / f"{stem}{path.suffix}", 1
    while target.exists():
        count += 1
        target = folder / f"{stem}-{count}{path.suffix}"
    if path.is_dir():  # of no use where it is
        os.replace(path, target)
    else:
        shutil.copyfile(path, target)
    return target.relative_to(root).as_posix()


def _git(root, *arguments):
    """Runs git in `root` and returns what it printed."""
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        raise WorkbookError(f"git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout
