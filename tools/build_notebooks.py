"""Makes the notebooks from their sources, runs them, and checks that they are true to them.

    python tools/build_notebooks.py [NN ...]       build all lessons, or those named: 01 02
    python tools/build_notebooks.py --execute 01   run both notebooks of a lesson in full
    python tools/build_notebooks.py --check        fail if what is stored is out of date or altered
    python tools/build_notebooks.py --table        write README.md's lesson table and pictures
    python tools/build_notebooks.py --for-tests F  put notebooks to be tested into the folder F
    python tools/build_notebooks.py --publish owner/name   say where on GitHub the course is
    python tools/build_notebooks.py --unpublish            that it is nowhere

A source, notebooks/source/NN_name.py, is in jupytext's percent format, without magics. It begins
with what the lesson table says (under "jupyter:", where jupytext keeps it):

    # ---
    # jupyter:
    #   gan_course:
    #     title: The vanilla GAN
    #     outcome: write both losses and train a GAN
    #     result: "{{classes}} of 10 digits drawn, in {{seconds:.0f}} s"
    # ---

Two notebooks are made from it: the learner's, notebooks/NN_name.ipynb, and the solved one in
notebooks/solutions/. They differ in the solution blocks of code cells:

    # %% exercise="1.2"
    def generator_loss(fake_logits):
        # BEGIN SOLUTION
        return tf.reduce_mean(tf.nn.softplus(-fake_logits))
        # STUB
        # return ...
        # END SOLUTION

A cell tells its measurements by displaying {"name": number or text, ...} as the MIME type
application/vnd.gan-course.results+json. Markdown cells and the table's `result` quote those of the
same notebook's stored run as {{name}} or {{name:.2f}}; {{minutes}} is the time of the whole run.

The last picture of a code cell tagged picture-NAME can be shown elsewhere: markdown cells hold it
as ![words](attachment:NAME.png), and README.md as ![words](docs/pictures/NN_NAME.png), a file that
--table writes.

Where the course is published, published.json says, which --publish writes. Then the notebooks and
the lesson table have Colab badges, the set-up cells clone the course on Colab, and README.md and
CONTRIBUTING.md name the repository. Without the file, nothing points to a place that may not exist.
None of this is part of a source, so stored runs are kept.
"""

import argparse
import ast
import asyncio
import base64
import contextlib
import copy
import hashlib
import json
import math
import os
import re
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jupytext
import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gan_course import runtime  # noqa: E402
from gan_course.workbook import cells_sha256, write_atomically  # noqa: E402

FOLDERS = {"learner": "notebooks", "solved": "notebooks/solutions"}
RESULTS = "application/vnd.gan-course.results+json"
NOT_RUN = "(not run yet)"
MAX_BYTES = 3_000_000
PUBLISHED = "published.json"
METADATA = {
    "accelerator": "GPU",
    "colab": {"gpuType": "T4", "provenance": []},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},  # no version: it would differ from machine to machine
}
# What a stored run leaves in the notebook's metadata. The hashes are of the source and of the
# notebook's code (both as they are now, if what was run is still the same, see `same_code`), of the
# package's code at the time of the run, and of the outputs.
RUN_KEYS = (
    "executed_source_sha256",
    "executed_code_sha256",
    "package_sha256",
    "outputs_sha256",
    "minutes",
    "results",
)


class BuildError(Exception):
    """A lesson that cannot be built or run; the message says which one and why."""


@dataclass(frozen=True)
class Home:
    """Where the course is published: a repository on GitHub, as owner/name, and a branch or tag.

    Raises:
        BuildError: `repository` or `branch` cannot be one, or is written in another way.
    """

    repository: str
    branch: str = "main"

    def __post_init__(self):
        owner, name = r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}", r"(?!\.{1,2}$)[\w.-]{1,100}(?<!\.git)"
        if not re.fullmatch(f"{owner}/{name}", str(self.repository), re.ASCII):
            raise BuildError(
                f"REPO={self.repository!r} is no repository on GitHub: write owner/name without "
                "https://github.com/ before it or .git after it, as in REPO=ada/gan-course"
            )
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", str(self.branch), re.ASCII):
            raise BuildError(
                f"BRANCH={self.branch!r} is no branch that an address can hold: write a name of "
                "letters, digits, '.', '_' and '-', as in BRANCH=main"
            )

    @property
    def url(self):
        """The repository's address."""
        return f"https://github.com/{self.repository}"

    def badge(self, name):
        """Markdown that opens one notebook on Colab."""
        colab = "https://colab.research.google.com"
        address = f"{colab}/github/{self.repository}/blob/{self.branch}/{name}"
        return f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({address})"


def find_home(root):
    """Where the course says that it is published, or None if nowhere."""
    path = root / PUBLISHED
    if not path.exists():
        return None
    try:
        return Home(**json.loads(path.read_text(encoding="utf-8")))
    except (BuildError, ValueError, TypeError) as error:
        raise BuildError(f"{PUBLISHED}: {error}; delete the file and publish anew") from None


@dataclass(frozen=True)
class Lesson:
    """One source and the two notebooks that belong to it."""

    root: Path
    source: Path
    home: Home | None = None

    def path(self, variant):
        """Where the notebook of one variant is stored."""
        return self.root / FOLDERS[variant] / f"{self.source.stem}.ipynb"

    def name(self, variant):
        """The same, as messages call it."""
        return f"{FOLDERS[variant]}/{self.source.stem}.ipynb"


def find_lessons(root, numbers=()):
    """The lessons with these numbers or names, or all of them."""
    home, sources = find_home(root), sorted((root / "notebooks/source").glob("*.py"))
    lessons = [Lesson(root, path, home) for path in sources]
    if not numbers:
        return lessons
    chosen = []
    for number in numbers:
        for lesson in lessons:
            if number in (lesson.source.stem, lesson.source.name):
                break
            if lesson.source.stem.startswith(f"{number.zfill(2)}_"):
                break
        else:
            known = ", ".join(lesson.source.stem for lesson in lessons) or "none"
            raise BuildError(f"there is no lesson {number}; lessons: {known}")
        chosen.append(lesson)
    return chosen


# --- from a source to a notebook ------------------------------------------------------------------

_MARKER = re.compile(r"\s*#[\s#]*(begin[ _-]?solution|stub|end[ _-]?solution)\s*:?\s*", re.I)
_NEARLY_MARKER = re.compile(r"(begin|end)[\s_-]*(the[\s_-]*)?solution", re.I)
_NEXT_MARKER = {"BEGIN SOLUTION": "STUB", "STUB": "END SOLUTION", "END SOLUTION": "BEGIN SOLUTION"}


def marker(line):
    """The solution marker that a line is, or None; a misspelled one counts, so that none leaks."""
    match = _MARKER.fullmatch(line)
    return match and re.sub("[ _-]?SOLUTION", " SOLUTION", match[1].upper())


def check_markers(text, name):
    """Raises unless solution blocks are whole, not nested, and within one cell each."""
    expected, opened, code = "BEGIN SOLUTION", 0, True
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{name}, line {number}"
        if line.startswith("# %%"):
            if expected != "BEGIN SOLUTION":
                raise BuildError(f"{where}: the cell ends before the {expected} of line {opened}")
            code = not line.startswith(("# %% [markdown]", "# %% [md]", "# %% [raw]"))
        found = marker(line)
        if found:
            if not code:
                raise BuildError(f"{where}: solution blocks belong in code cells")
            if line.strip() != f"# {found}":
                raise BuildError(f'{where}: write the marker as "# {found}"')
            if found != expected:
                raise BuildError(f"{where}: {found} where {expected} should come first")
            opened = number if found == "BEGIN SOLUTION" else opened
            expected = _NEXT_MARKER[found]
        elif _NEARLY_MARKER.search(line):
            raise BuildError(f"{where}: a marker stands alone in its line, as # BEGIN SOLUTION")
        elif expected == "END SOLUTION" and line.strip() and not line.lstrip().startswith("#"):
            raise BuildError(f"{where}: lines between STUB and END SOLUTION begin with #")
    if expected != "BEGIN SOLUTION":
        raise BuildError(f"{name}, line {opened}: this BEGIN SOLUTION has no {expected}")


def check_cells(cells, name):
    """Raises unless the solution blocks are whole in what jupytext takes for cells, too.

    It knows more ways to begin a cell, or a text cell, than `check_markers`.
    """
    for cell in cells:
        found = [marker(line) for line in cell.source.splitlines() if marker(line)]
        whole = ["BEGIN SOLUTION", "STUB", "END SOLUTION"] * (len(found) // 3)
        hidden = cell.cell_type != "code" and _NEARLY_MARKER.search(cell.source)
        if found != whole or hidden:
            first = cell.source.strip().splitlines()[0]
            raise BuildError(
                f"{name}: the cell that begins with '{first}' has a part of a solution block, or "
                'is no code cell; begin cells with "# %%" or "# %% [markdown]"'
            )


def choose(source, variant):
    """A code cell's text as one variant shows it."""
    kept, block = [], "END SOLUTION"
    for line in source.splitlines():
        found = marker(line)
        if found:
            block = found
        elif block == "END SOLUTION" or (block == "BEGIN SOLUTION" and variant == "solved"):
            kept.append(line)
        elif block == "STUB" and variant == "learner":
            kept.append(re.sub(r"^(\s*)# ?", r"\1", line).rstrip())
    return "\n".join(kept)


def read_source(lesson):
    """The source's text, and jupytext's reading of it."""
    name = f"notebooks/source/{lesson.source.name}"
    try:
        text = lesson.source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BuildError(f"{name} is not UTF-8: {error}") from None
    check_markers(text, name)
    # Without this, jupytext takes a comment that begins with "cat", "more" or "ls" for a command.
    form = {"extension": ".py", "format_name": "percent", "comment_magics": False}
    try:
        parsed = jupytext.reads(text, fmt=form)
    except yaml.YAMLError as error:
        raise BuildError(f"{name}: its top is no YAML: {error}") from None
    except Exception as error:  # odd settings at the top or in a cell's: many types
        raise BuildError(f"{name}: jupytext cannot read it: {error!r}") from error
    check_cells(parsed.cells, name)
    return text, parsed


def from_source(lesson, variant):
    """One variant of the notebook: without outputs, its placeholders not yet filled."""
    text, parsed = read_source(lesson)
    cells, seen = [], {}
    for cell in parsed.cells:
        identity = sha256([cell.cell_type, cell.source])[:8]
        seen[identity] = seen.get(identity, 0) + 1
        suffix = f"-{seen[identity]}" if seen[identity] > 1 else ""
        new_cell = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
        code = cell.cell_type == "code"
        source = choose(cell.source, variant) if code else cell.source
        own = {key: cell.metadata[key] for key in own_metadata(cell, lesson)}
        try:
            json.dumps(own, allow_nan=False)  # which browsers cannot read
            cells.append(new_cell(source, id=identity + suffix, metadata=own))
        except (ValueError, nbformat.ValidationError) as error:
            what = getattr(error, "message", error)
            raise BuildError(f"{lesson.source.name}: a cell with {own}: {what}") from None
    metadata = copy.deepcopy(METADATA)
    metadata["gan_course"] = {"variant": variant, "source_sha256": sha256(text)}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def own_metadata(cell, lesson):
    """The keys that the author wrote into a cell's header, without those of jupytext."""
    exercise = cell.metadata.get("exercise", "")
    if not isinstance(exercise, str):
        raise BuildError(f'{lesson.source.name}: write exercise="{exercise}", with quotes')
    return [key for key in cell.metadata if key not in ("lines_to_next_cell", "cell_marker")]


def fill(text, run, name):
    """Replaces {{name}} and {{name:.2f}} by the run's results; returns text and problems."""
    problems = []

    def value(match):
        if not run:
            return NOT_RUN
        known = {**run["results"], "minutes": run["minutes"]}
        try:
            return format(known[match[1]], match[2] or "")
        except KeyError:
            problems.append(f"{name}: {match[0]} is no result of its run ({', '.join(known)})")
        except (ValueError, OverflowError) as error:
            problems.append(f"{name}: {match[0]} for {known[match[1]]!r}: {error}")
        return match[0]

    return re.sub(r"\{\{ *([A-Za-z_]\w*) *(?::([^{}]*))?\}\}", value, text), problems


_ATTACHMENT = re.compile(r"\(attachment:([\w-]+)\.(png|gif)\)")


def find_picture(notebook, tag, kind):
    """The last picture, as base64 text, of the code cell with this tag; None if there is none."""
    for cell in code_cells(notebook):
        if f"picture-{tag}" in cell.metadata.get("tags", []):
            shown = [output.get("data", {}).get(f"image/{kind}") for output in cell.outputs]
            return next((data for data in reversed(shown) if data), None)
    return None


def attach_pictures(cell, notebook, name):
    """Gives a markdown cell the pictures it shows; returns the problems."""
    problems = []
    for tag, kind in _ATTACHMENT.findall(cell.source):
        picture = find_picture(notebook, tag, kind)
        if picture is None:
            problems.append(f"{name}: no {kind} picture in a code cell tagged picture-{tag}")
        else:
            cell.setdefault("attachments", {})[f"{tag}.{kind}"] = {f"image/{kind}": picture}
    return problems


_ON_COLAB = """
if course is None and "google.colab" in sys.modules:  # Colab opens the notebook alone
    import os
    import subprocess

    course = Path("gan-course").resolve()
    if not (course / "gan_course").exists():
        clone = ["git", "clone", "--quiet", "--depth=1", "--branch={branch}"]
        subprocess.run([*clone, "{url}", str(course)], check=True)
    os.chdir(course)
"""


def link_home(notebook, home, name):
    """Gives the title a Colab badge, and the set-up cell what gets the course there."""
    title, *_ = notebook.cells
    setups = [cell for cell in code_cells(notebook) if "setup" in cell.metadata.get("tags", [])]
    if title.cell_type != "markdown" or [c.source.count("\nassert course") for c in setups] != [1]:
        raise BuildError(
            f"{name} cannot be published: it needs a title cell, and one code cell tagged setup "
            'in which a line begins with "assert course"'
        )
    heading, _, text = title.source.partition("\n")
    title.source = "\n\n".join([heading, home.badge(name), text.lstrip("\n")]).rstrip()
    clone = _ON_COLAB.format(url=home.url, branch=home.branch)
    setups[0].source = setups[0].source.replace("\nassert course", f"{clone}assert course")


def finish(notebook, run, lesson, variant):
    """Fills the placeholders and writes the notebook's own metadata; returns the problems."""
    name, problems = lesson.name(variant), []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source, unfilled = fill(cell.source, run, name)
            problems += unfilled
            if run:
                problems += attach_pictures(cell, notebook, name)
    if lesson.home:
        link_home(notebook, lesson.home, name)
    notebook.metadata["gan_course"].update(run, cells_sha256=cells_sha256(notebook))
    return problems


# --- stored runs ----------------------------------------------------------------------------------


def code_cells(notebook):
    """The code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def sha256(value):
    """Hash of a text, or of anything that JSON can hold."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def code_sha256(notebook):
    """Hash of what was run, or would be."""
    return sha256([cell.source for cell in code_cells(notebook)])


def _unwatched(items):
    """What a loop goes through, if nobody watches it: without `runtime.progress`."""
    if isinstance(items, ast.Call):
        function = ast.unparse(items.func)
        if function == "runtime.progress" and items.args:
            return items.args[0]
        if function in ("zip", "enumerate"):
            items.args = [_unwatched(each) for each in items.args]
    return items


class _Unwatched(ast.NodeTransformer):
    """Code in which nobody watches a loop."""

    def visit_For(self, node):
        self.generic_visit(node)
        node.iter = _unwatched(node.iter)
        return node

    visit_comprehension = visit_For

    def visit_DictComp(self, node):
        self.generic_visit(node)
        return _written_out(node)


def _written_out(node):
    """The dict that {name: f(x) for name, x in {"a": 1, "b": 2}.items()} makes, line by line."""
    match node:
        case ast.DictComp(
            generators=[
                ast.comprehension(
                    target=target,
                    iter=ast.Call(
                        func=ast.Attribute(value=ast.Dict(keys=keys, values=values), attr="items"),
                        args=[],
                        keywords=[],
                    ),
                    ifs=[],
                    is_async=0,
                )
            ]
        ):
            pairs = [ast.Tuple([key, value]) for key, value in zip(keys, values, strict=True)]
        case _:
            return node
    rounds = [_bound(target, pair) for pair in pairs]
    simple = (ast.Call, ast.Attribute, ast.Name, ast.Constant, ast.expr_context)
    if None in rounds or not all(isinstance(each, simple) for each in ast.walk(node.value)):
        return node
    made = [
        [_Replaced(names).visit(copy.deepcopy(part)) for part in (node.key, node.value)]
        for names in rounds
    ]
    return ast.Dict([key for key, _ in made], [value for _, value in made])


def _bound(target, value):
    """The names that a loop's target gives to values that nothing has to be called for, or None."""
    if isinstance(target, ast.Name) and isinstance(value, (ast.Constant, ast.Name, ast.Lambda)):
        return {target.id: value}
    tuples = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
    if not tuples or len(target.elts) != len(value.elts):
        return None
    parts = list(map(_bound, target.elts, value.elts))
    return None if None in parts else {name: each for part in parts for name, each in part.items()}


class _Replaced(ast.NodeTransformer):
    """Code with values in the places of names."""

    def __init__(self, values):
        self.values = values

    def visit_Name(self, node):
        return self.values.get(node.id, node)


def computation(notebook):
    """What the code cells compute: their code without comments, layout and `runtime.progress`."""
    return [ast.dump(_Unwatched().visit(ast.parse(cell.source))) for cell in code_cells(notebook)]


def same_code(fresh, stored):
    """Whether a stored run is still one of the `fresh` build's code.

    A run cannot be told from one of the same code that has other comments, another layout, or a
    line more that says how far a loop is, or from one of a loop that was written out: these may be
    mended without running a lesson again.
    """
    block = stored.metadata["gan_course"]
    if code_sha256(fresh) == block["executed_code_sha256"]:
        return True
    if cells_sha256(stored) != block.get("cells_sha256"):  # edited: it may never have run like that
        return False
    try:
        return computation(fresh) == computation(stored)
    except SyntaxError:
        return False


def outputs_sha256(notebook):
    """Hash of what a run left behind."""
    return sha256([[cell.execution_count, cell.outputs] for cell in code_cells(notebook)])


def package_sha256(root):
    """Hash of the package's code."""
    paths = sorted((root / "gan_course").rglob("*.py"), key=lambda path: path.as_posix())
    return sha256(
        [[path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")] for path in paths]
    )


MISSING, NEVER_RUN = "does not exist", "was never run"


def read_stored(path, fresh):
    """A stored notebook, its run, and why that does not count for the `fresh` build of the source.

    Returns:
        The notebook (None if there is none that can be read), what its run left in its metadata
        ({} if it does not count), and the reason ("" if it does).
    """
    if not path.exists():
        return None, {}, MISSING
    try:
        stored = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(stored)
    except Exception:  # no JSON, or JSON that is not a notebook: surfaces as a dozen types
        return None, {}, "cannot be read as a notebook"
    block = stored.metadata.get("gan_course", {})
    run = {key: block[key] for key in RUN_KEYS if key in block} if isinstance(block, dict) else {}
    if len(run) < len(RUN_KEYS) or not isinstance(run["results"], dict):
        return stored, {}, NEVER_RUN
    if outputs_sha256(stored) != run["outputs_sha256"]:
        return stored, {}, "holds other outputs than those of its stored run (run by hand?)"
    if not same_code(fresh, stored):
        return stored, {}, "holds outputs older than its source"
    return stored, run, ""


def build(lesson, variant):
    """The notebook as it should be stored: from its source, with the stored run if that counts.

    Returns:
        The notebook, the one that is stored now, why its run was left out ("" if it was not), and
        what is wrong with the placeholders.
    """
    notebook = from_source(lesson, variant)
    stored, run, reason = read_stored(lesson.path(variant), notebook)
    if run:
        run["executed_source_sha256"] = notebook.metadata["gan_course"]["source_sha256"]
        run["executed_code_sha256"] = code_sha256(notebook)
        for cell, old in zip(code_cells(notebook), code_cells(stored), strict=True):
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
    problems = finish(notebook, run, lesson, variant)
    return notebook, stored, reason, problems


def to_text(notebook, name):
    """The notebook as it stands in its file; raises if that is invalid or too large."""
    nbformat.validate(notebook)
    text = nbformat.writes(notebook) + "\n"
    size = len(text.encode())
    if size > MAX_BYTES:
        raise BuildError(f"{name} would take {size / 1e6:.1f} MB; the limit is 3 MB")
    return text


def store(text, path, name):
    """Writes a notebook's text if it differs from what is there, and says how large it is."""
    same_text = path.exists() and path.read_text(encoding="utf-8") == text
    if not same_text:
        write_atomically(path, text)
    state = "unchanged" if same_text else "written"
    print(f"{name}: {state}, {len(text.encode()) / 1e3:.0f} kB", flush=True)


def build_all(lessons):
    """Builds both notebooks of each lesson; returns the problems."""
    problems = []
    for lesson in lessons:
        for variant in FOLDERS:
            name = lesson.name(variant)
            notebook, _, reason, unfilled = build(lesson, variant)
            if reason not in ("", MISSING, NEVER_RUN):
                print(f"{name} {reason}: stored outputs are dropped")
            store(to_text(notebook, name), lesson.path(variant), name)
            problems += unfilled
    return problems


def publish(root, home):
    """Writes that the course is published at `home` (None: nowhere), and all that follows from it.

    Everything is made before anything is written.

    Raises:
        BuildError: also if a notebook would lose the outputs that it has.
    """
    lessons, texts = [replace(each, home=home) for each in find_lessons(root)], {}
    for lesson in lessons:
        for variant in FOLDERS:
            name = lesson.name(variant)
            notebook, _, reason, problems = build(lesson, variant)
            if reason not in ("", MISSING, NEVER_RUN):
                problems = [f"{name} {reason}: make check says more; nothing was written"]
            if problems:
                raise BuildError("\n".join(problems))
            texts[lesson.path(variant)] = to_text(notebook, name)
    texts |= pages(root, lessons, home)
    if home:
        write_atomically(root / PUBLISHED, json.dumps(asdict(home), indent=2) + "\n")
    else:
        (root / PUBLISHED).unlink(missing_ok=True)
    for path, text in texts.items():
        write_atomically(path, text)
    print(f"published at {home.url}, branch {home.branch}" if home else "published nowhere")


# --- running --------------------------------------------------------------------------------------


def execute_all(lessons, timeout):
    """Runs both notebooks of each lesson and stores them; returns the problems.

    A lesson's notebooks are written only when both ran to their end.
    """
    problems = []
    for lesson in lessons:
        done = []
        for variant in FOLDERS:
            name = lesson.name(variant)
            print(f"{name}: running", flush=True)
            notebook = from_source(lesson, variant)
            run = execute(notebook, lesson, variant, timeout)
            problems += finish(notebook, run, lesson, variant)
            print(f"{name}: ran in {run['minutes']} min", flush=True)
            done.append((to_text(notebook, name), lesson.path(variant), name))
        for text, path, name in done:
            store(text, path, name)
    return problems


def execute(notebook, lesson, variant, timeout):
    """Runs a notebook in full, in place; returns what is to be kept of the run."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    name, package, running = lesson.name(variant), package_sha256(lesson.root), []
    client = NotebookClient(
        notebook,
        kernel_manager_class=kernel_manager_class(),
        timeout=timeout,
        resources={"metadata": {"path": str(lesson.path(variant).parent)}},
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
        on_notebook_start=lambda notebook: let_ctrl_c_through(),
        on_cell_execute=lambda cell, cell_index: running.append(cell),
    )
    lesson.path(variant).parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        open(Path(folder) / "log.txt", "w+", encoding="utf-8", errors="replace") as log,
    ):
        try:
            client.execute(env=environment(variant, folder), stderr=log)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            log.seek(0)
            raise BuildError(failure(name, running, error, timeout, log.read())) from None
    minutes = round((time.monotonic() - start) / 60, 1)
    clean(notebook, lesson.root, name)
    return {
        "executed_source_sha256": notebook.metadata["gan_course"]["source_sha256"],
        "executed_code_sha256": code_sha256(notebook),
        "package_sha256": package,
        "outputs_sha256": outputs_sha256(notebook),
        "minutes": minutes,
        "results": collect_results(notebook, name),
    }


def let_ctrl_c_through():
    """nbclient answers Ctrl-C by ending the kernel, which then looks dead; here it ends the run.

    The event loop raises it between two of its callbacks: raised anywhere, it could be lost, since
    Python drops what is raised in a finalizer.
    """

    def stop():
        raise KeyboardInterrupt

    with contextlib.suppress(NotImplementedError):  # Windows, where nbclient lets it through
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop)


def kernel_manager_class():
    """Starts this very interpreter, whatever "python3" is installed as a kernel elsewhere."""
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class ThisInterpreter(AsyncKernelManager):
        kernel_spec = KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    return ThisInterpreter


def environment(variant, folder):
    """The environment of a full run: nothing of the learner's, nothing left from a test."""
    ours = dict(os.environ)
    for key in ("GAN_COURSE_FAST", "GAN_COURSE_STRICT", "MPLBACKEND"):
        ours.pop(key, None)
    ours.update(
        GAN_COURSE_STRICT_RESULTS="1",
        GAN_COURSE_PROGRESS=str(Path(folder) / "progress.json"),
        GAN_COURSE_CHECKPOINTS=str(Path(folder) / "checkpoints"),
        IPYTHONDIR=folder,
    )
    ours.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if variant == "solved":
        ours["GAN_COURSE_STRICT"] = "1"
    return ours


def failure(name, running, error, timeout, log):
    """Which cell failed and how, in a few lines."""
    shown = shown_lines(running[-1].source if running else "(no cell)")
    kind = type(error).__name__
    if kind == "CellExecutionError":
        what = f"{error.ename}: {error.evalue}"
    elif kind == "CellTimeoutError":
        what = f"not done after {timeout} s"
    else:
        last = "\n".join(log.splitlines()[-5:])
        what = f"the kernel died (out of memory, or a crash outside Python); it wrote:\n{last}"
    return "\n    ".join([f"{name} failed in this cell:", *shown]) + f"\n{what}"


def shown_lines(source):
    """The first lines of a cell, for a message."""
    lines = source.splitlines()
    return lines[:15] + [f"... ({len(lines) - 15} more lines)"] * (len(lines) > 15)


_NOISE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|[IWEF]\d{4} \d\d:\d\d:\d"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "
    r"|To enable the following instructions:"
)


def clean(notebook, root, name):
    """Takes TensorFlow's log lines out of the outputs; raises if they name this machine's paths."""
    notebook.metadata = nbformat.from_dict(
        {**copy.deepcopy(METADATA), "gan_course": notebook.metadata["gan_course"]}
    )
    private = [str(root), f"{Path.home()}{os.sep}"]
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                lines = output.text.splitlines(keepends=True)
                output.text = "".join(line for line in lines if not _NOISE.match(line))
            # A bar or a slider is stored as its text: without a kernel it could not be drawn.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        over = {"text/plain": ""}  # what is left of a line that told the progress
        cell.outputs = [
            output
            for output in cell.outputs
            if output.get("text", "-") and output.get("data") != over
        ]
        for text in output_texts(cell.outputs):
            for path in private:
                if path in text:
                    first = cell.source.splitlines()[0]
                    raise BuildError(f"{name}: the output of the cell '{first}' holds {path}")


def output_texts(value):
    """All texts in outputs, but not pictures, whose base64 might hold anything."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key not in ("image/png", "image/jpeg", "image/gif"):
                yield from output_texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from output_texts(part)


def collect_results(notebook, name):
    """Merges what the cells displayed as results."""
    results = {}
    for cell in code_cells(notebook):
        for output in cell.outputs:
            for key, value in output.get("data", {}).get(RESULTS, {}).items():
                number = type(value) in (int, float) and math.isfinite(value)
                if not (number or isinstance(value, str)):
                    raise BuildError(f"{name}: result {key} is no number and no text: {value!r}")
                results[key] = value
    return results


# --- checking -------------------------------------------------------------------------------------


def check_all(root, lessons):
    """What is wrong with the stored notebooks and the table; prints mere notes itself."""
    problems = []
    for lesson in lessons:
        for variant in FOLDERS:
            problems += check(lesson, variant)
    sources = {path.stem for path in (root / "notebooks/source").glob("*.py")}
    for folder in FOLDERS.values():
        for path in sorted((root / folder).glob("*.ipynb")):
            if path.stem not in sources:
                problems.append(f"{folder}/{path.name} has no source in notebooks/source/")
    try:
        for path, text in pages(root, find_lessons(root), find_home(root)).items():
            if path.read_text(encoding="utf-8") != text:
                problems.append(f"{path.name}: what stands between its marks is old (--table)")
        for path, picture in pictures_in_readme(root).items():
            if not path.exists() or path.read_bytes() != picture:
                problems.append(f"docs/pictures/{path.name} is not that of a stored run (--table)")
    except BuildError as error:
        problems.append(str(error))
    return problems


def check(lesson, variant):
    """What is wrong with one stored notebook."""
    name = lesson.name(variant)
    try:
        expected, stored, reason, problems = build(lesson, variant)
    except BuildError as error:
        return [str(error)]
    if reason:
        return [f"{name} {reason}: --execute {lesson.source.stem[:2]}"]
    if not same(stored, expected):
        problems.append(f"{name} does not match its source: build it")
    for number, cell in enumerate(code_cells(stored), start=1):
        if any(output.output_type == "error" for output in cell.outputs):
            problems.append(f"{name}: code cell {number} holds an error")
        if cell.source.strip() and cell.execution_count is None:
            problems.append(f"{name}: code cell {number} was not run")
    if stored.metadata["gan_course"]["package_sha256"] != package_sha256(lesson.root):
        print(f"note: {name} was run with an earlier gan_course/")
    return problems


def same(stored, expected):
    """Whether two notebooks say the same, however their JSON is laid out."""
    return stored == nbformat.reads(nbformat.writes(expected), as_version=4)


def for_tests(lessons, folder):
    """Writes what is to be tested into `folder`: stored notebooks as published, else fresh ones.

    So the tests pass for somebody who solved exercises, or ran cells, in notebooks/ itself.
    """
    for variant in FOLDERS:
        target = folder / "solutions" if variant == "solved" else folder
        for stale in target.glob("*.ipynb"):
            stale.unlink()
        for lesson in lessons:
            text, reason = published(lesson, variant, lesson.home)
            if reason:
                print(f"{lesson.name(variant)} {reason}: testing a fresh build of it instead")
            write_atomically(target / lesson.path(variant).name, text)


def published(lesson, variant, home=None):
    """A notebook as published at `home`, None: nowhere; why it is a fresh build ("" if not)."""
    reason, there = why_not_published(lesson, variant), replace(lesson, home=home)
    notebook = without_outputs(there, variant) if reason else build(there, variant)[0]
    return to_text(notebook, lesson.name(variant)), reason


def why_not_published(lesson, variant):
    """Why the stored notebook is not as published ("" if it is)."""
    expected, stored, reason, _ = build(lesson, variant)
    if stored is None or reason == NEVER_RUN:
        return reason
    block, source = stored.metadata["gan_course"], expected.metadata["gan_course"]
    if block.get("source_sha256") != source["source_sha256"]:
        return "is older than its source"
    return "" if not reason and same(stored, expected) else "was edited or run here"


def without_outputs(lesson, variant):
    """A fresh build in which there are no outputs to compare with."""
    notebook = from_source(lesson, variant)
    finish(notebook, {}, lesson, variant)
    for cell in notebook.cells:
        if "tags" in cell.metadata:
            cell.metadata.tags = [tag for tag in cell.metadata.tags if tag != "nbval-check-output"]
    return notebook


# --- the pages beside the notebooks --------------------------------------------------------------


def renew(page, text, mark, lines):
    """A page's text with these lines between its two marks."""
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    if not 0 <= text.find(begin) < text.find(end):
        raise BuildError(f"{page} has no place for its {mark}: {begin} {end}")
    before, rest = text.split(begin, 1)
    return before + "\n".join([begin, *lines, end]) + rest.split(end, 1)[1]


def pages(root, lessons, home):
    """README.md and CONTRIBUTING.md as they should be: a dict from their paths to their texts."""
    head = "| lesson | what you can do after it | minutes | measured result |\n|---|---|---|---|"
    begin, report = [], []
    if home:
        branch = "" if home.branch == "main" else f"--branch {home.branch} "
        begin = [
            "To try a lesson in a browser, click its badge in the table below. The whole course:\n",
            f"```\ngit clone {branch}{home.url}\ncd {home.repository.split('/')[1]}\n```",
        ]
        report = [f"Open an issue at <{home.url}/issues>."]
    texts = {}
    for name, marked in {
        "README.md": {"home": begin, "lessons": [head, *map(row, lessons)]},
        "CONTRIBUTING.md": {"home": report},
    }.items():
        path = root / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for mark, lines in marked.items():
            text = renew(name, text, mark, lines)
        texts[path] = text
    return texts


_IN_README = re.compile(r"docs/pictures/((\d\d)_([\w-]+)\.(png|gif))")


def pictures_in_readme(root):
    """The pictures that README.md shows, from the stored runs: a dict from their paths to bytes."""
    pictures = {}
    text = (root / "README.md").read_text(encoding="utf-8")
    for file, number, tag, kind in _IN_README.findall(text):
        lesson = find_lessons(root, [number])[0]
        stored, _, reason = read_stored(lesson.path("learner"), from_source(lesson, "learner"))
        picture = None if reason else find_picture(stored, tag, kind)
        if picture is None:
            raise BuildError(f"README.md: no stored picture for docs/pictures/{file}")
        pictures[root / "docs" / "pictures" / file] = base64.b64decode(picture)
    return pictures


def write_table(root):
    """Renews what the pages show: the lesson table, where the course is, and pictures."""
    for path, text in pages(root, find_lessons(root), find_home(root)).items():
        write_atomically(path, text)
    for path, picture in pictures_in_readme(root).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)


def row(lesson):
    """A lesson's row in the table, from the stored run of the learner's notebook."""
    name = f"notebooks/source/{lesson.source.name}"
    about = read_source(lesson)[1].metadata.get("gan_course", {})
    about = about if isinstance(about, dict) else {}
    missing = [key for key in ("title", "outcome", "result") if key not in about]
    if missing:
        raise BuildError(f"{name}: no {', '.join(missing)} under jupyter: gan_course: at its top")
    _, run, _ = read_stored(lesson.path("learner"), from_source(lesson, "learner"))
    result, problems = fill(str(about["result"]), run, name)
    if problems:
        raise BuildError(problems[0])
    link = f"[{lesson.source.stem[:2]} {about['title']}]({lesson.name('learner')})"
    if lesson.home:
        link += f" {lesson.home.badge(lesson.name('learner'))}"
    cells = [link, about["outcome"], run.get("minutes", NOT_RUN), result]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


# --- the command line -----------------------------------------------------------------------------


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lessons", nargs="*", metavar="NN", help="lessons, as in 01; default: all")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--timeout", type=int, default=1800, help="seconds a cell may take")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--execute", action="store_true", help="run in full, store the outputs")
    action.add_argument("--check", action="store_true", help="fail if anything stored is off")
    action.add_argument("--table", action="store_true", help="write README.md's lesson table")
    action.add_argument("--for-tests", type=Path, metavar="FOLDER", help="notebooks to be tested")
    action.add_argument("--publish", metavar="REPO", help="owner/name, where on GitHub it all is")
    action.add_argument("--unpublish", action="store_true", help="point to no place any more")
    parser.add_argument("--branch", default="main", help="of --publish; default: main")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Does what the command line says; 1 if there are problems."""
    runtime.print_anything()
    options = parse(arguments)
    root = options.root.resolve()
    try:
        problems = []
        if options.publish is not None or options.unpublish:
            publish(root, None if options.unpublish else Home(options.publish, options.branch))
            return 0
        lessons = find_lessons(root, options.lessons)
        if options.check:
            problems = check_all(root, lessons)
        elif options.table:
            write_table(root)
        elif options.for_tests:
            for_tests(lessons, options.for_tests)
        elif options.execute:
            problems = execute_all(lessons, options.timeout)
        else:
            problems = build_all(lessons)
    except BuildError as error:
        problems = [str(error)]
    except KeyboardInterrupt:
        print("stopped; the lesson at hand is as it was", file=sys.stderr)
        return 130
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
