"""Runs a lesson unattended, with other settings, into a copy in build/runs/.

    python tools/run_lesson.py 02                                   as published
    python tools/run_lesson.py 02 "STEPS=500 DATASET='digits'"      with other settings

It is the solved notebook that runs: nothing in it waits for an answer. Settings are those of the
lesson's first cell of UPPERCASE names; their values are Python's numbers, texts in quotes, tuples
and so on. What the published notebook holds stays as it is, and so do your workbook/ and progress.
Each run is a file of its own. Where a training died, the same command goes on with it.

With GAN_COURSE_FAST=1, settings that are not given are those of a fast run.
"""

import argparse
import ast
import itertools
import math
import os
import re
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import nbformat
from build_notebooks import (
    ROOT,
    BuildError,
    code_cells,
    find_lessons,
    kernel_manager_class,
    let_ctrl_c_through,
    shown_lines,
)

from gan_course import runtime

_NAME = re.compile(r"(?:^|(?<=\s))([A-Za-z_]\w*)\s*=(?!=)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def settings_of(notebook):
    """The first code cell with UPPERCASE names, and these: a dict to their values' source.

    Returns:
        (nbformat.NotebookNode, dict), or (None, {}).
    """
    for cell in code_cells(notebook):
        found = {}
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Assign):
                target = node.targets[0]
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                values = getattr(node.value, "elts", None) if len(names) > 1 else None
                for name, value in zip(names, values or [node.value] * len(names), strict=True):
                    if isinstance(name, ast.Name) and name.id.isupper():
                        found[name.id] = ast.unparse(value)
        if found:
            return cell, found
    return None, {}


def parse_settings(text):
    """The settings in a text such as "STEPS=500 HIDDEN=(64, 64)": a dict from name to value.

    Raises:
        BuildError: no NAME=VALUE, a name twice, or a value that is no Python literal.
    """
    found = list(_NAME.finditer(_QUOTED.sub(lambda quoted: "'" * len(quoted[0]), text)))
    if text[: found[0].start() if found else None].strip():
        raise BuildError(f'settings look like SET="STEPS=500 EPOCHS=3"; came {text!r}')
    settings = {}
    for match, following in itertools.zip_longest(found, found[1:]):
        name = match[1]
        value = text[match.end() : following.start() if following else None]
        try:
            parsed = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise BuildError(
                f"{name}={value.strip()} is no Python number, text, tuple or the like; a text "
                f"needs quotes: {name}='{value.strip()}'"
            ) from None
        if name in settings:
            raise BuildError(f"{name} is given twice")
        settings[name] = parsed
    return settings


def check_setting(name, value, source):
    """Sees that a setting is of the lesson's own kind, which its source tells, if it does.

    Raises:
        BuildError: it is of another kind, or no finite number.
    """
    node = ast.parse(source, mode="eval").body
    if isinstance(node, ast.Call):  # runtime.budget(full=..., fast=...)
        node = next((each.value for each in node.keywords if each.arg == "full"), node)
    try:
        own = ast.literal_eval(node)
    except ValueError:
        return
    kinds = {int: "a whole number", float: "a number", str: "a text", tuple: "a tuple"}
    allowed = {float: (int, float)}.get(type(own), type(own))
    is_bool = isinstance(value, bool) and not isinstance(own, bool)
    if type(own) in kinds and (is_bool or not isinstance(value, allowed)):
        raise BuildError(
            f"{name} is {kinds[type(own)]} in the lesson, {own!r}; came {value!r} "
            "(settings have a space between them, and no comma)"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise BuildError(f"{name} must be a finite number, came {value}")


def prepare(lesson, settings):
    """The lesson's solved notebook with other settings, to be run.

    Raises:
        BuildError: there is no such notebook, or it does not have these settings, or others of
            this kind.
    """
    path = lesson.path("solved")
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise BuildError(f"{lesson.name('solved')} cannot be read: {error}") from None
    cell, known = settings_of(notebook)
    unknown = [name for name in settings if name not in known]
    if unknown:
        listed = "\n    ".join(f"{name} = {value}" for name, value in known.items()) or "none"
        raise BuildError(
            f"{lesson.source.stem} has no setting {', '.join(unknown)}. Its settings:\n    {listed}"
        )
    for name, value in settings.items():
        check_setting(name, value, known[name])
    lines = [f"{name} = {value!r}" for name, value in settings.items()]
    if lines:
        # Not papermill's own way, which makes a text of a tuple.
        given = nbformat.v4.new_code_cell("\n".join(["# Given to this run", *lines]))
        given.metadata["tags"] = ["injected-parameters"]
        notebook.cells.insert(notebook.cells.index(cell) + 1, given)
    about = f"with {', '.join(f'`{line}`' for line in lines)}" if lines else "as published"
    notebook.cells.insert(
        0,
        nbformat.v4.new_markdown_cell(
            f"**A run of {datetime.now():%Y-%m-%d %H:%M}, {about}.** Numbers in the text are those "
            "of the course's own run; below the code are this run's."
        ),
    )
    notebook.metadata.pop("gan_course", None)  # which is about that run
    return notebook


def new_file(folder, lesson, settings):
    """A path that nothing is at yet: by lesson, time and settings; and a name without the time."""
    given = "".join(f"-{name}={value}" for name, value in settings.items())
    given = re.sub(r"[^\w.=-]+", "_", given)[:80]
    stem = f"{lesson.source.stem}-{datetime.now():%Y%m%d-%H%M%S}{given}"
    path, count = folder / f"{stem}.ipynb", 1
    while path.exists():
        count += 1
        path = folder / f"{stem}-{count}.ipynb"
    return path, f"{lesson.source.stem}{given}"


def run(lesson, settings, folder):
    """Runs a lesson; returns its file.

    Raises:
        BuildError: the settings are not the lesson's, or one of its cells failed.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    notebook = prepare(lesson, settings)
    folder.mkdir(parents=True, exist_ok=True)
    path, name = new_file(folder, lesson, settings)
    nbformat.write(notebook, path)
    print(f"{lesson.source.stem}, solved: running into {path}", flush=True)
    running = []

    def begin(cell, cell_index):
        let_ctrl_c_through()
        running.append(cell)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        os.environ.update(
            GAN_COURSE_STRICT="",
            GAN_COURSE_STRICT_RESULTS="",
            GAN_COURSE_PROGRESS=str(Path(own) / "progress.json"),
            GAN_COURSE_CHECKPOINTS=str(folder / "checkpoints" / name),
            IPYTHONDIR=own,
        )
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.pop("MPLBACKEND", None)
        try:
            papermill.execute_notebook(
                path,
                path,
                cwd=folder,
                kernel_manager_class=kernel_manager_class(),
                coalesce_streams=True,
                extra_arguments=[
                    "--IPKernelApp.capture_fd_output=False",
                    "--IPKernelApp.log_level=ERROR",
                ],
                on_cell_start=begin,
            )
        except papermill.PapermillExecutionError as error:
            what = f"{error.ename}: {error.evalue}"
        except DeadKernelError:
            what = "the kernel died: out of memory, or a crash outside Python"
        else:
            return path
    code = [cell for cell in running if cell.cell_type == "code"]
    raise BuildError(
        f"{lesson.source.stem} failed{_place(running)} in its code cell {len(code)}:\n    "
        + "\n    ".join(shown_lines(code[-1].source if code else "(no cell)"))
        + f"\n{what}\nWhat ran until then is in {path}"
    )


def _place(cells):
    """The last heading that was passed."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return f' under "{headings[-1]}"' if headings else ""


def main(arguments=None):
    """Does what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lesson", metavar="NN", help="the lesson, as in 02")
    parser.add_argument("settings", nargs="?", default="", metavar="SETTINGS")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    runtime.print_anything()
    try:
        lesson = find_lessons(root, [options.lesson])[0]
        path = run(lesson, parse_settings(options.settings), root / "build" / "runs")
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what ran until then is in the file named above", file=sys.stderr)
        return 130
    print(f"done: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
