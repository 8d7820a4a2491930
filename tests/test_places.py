"""The course where it was not made: on Colab, in folders with odd names, on other systems."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import PurePosixPath

import build_notebooks as builder
import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_course import callbacks, models, training
from gan_course.runtime import ROOT

ADDRESS = "https://github.com/ada/gan-course"
NOWHERE = "http://127.0.0.1:9"  # connections are refused at once

# Runs cells as a notebook does; on Colab, where a module is loaded by which it is known.
KERNEL = """
import json, sys, types
if "colab" in sys.argv:
    sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance(term_title=False)
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


def copy_course(root):
    """A copy of the course with one lesson, published nowhere and not yet built."""
    skip = shutil.ignore_patterns("__pycache__")
    for folder in ("gan_course", "tools", "data/pretrained", "benchmarks/results"):
        shutil.copytree(ROOT / folder, root / folder, ignore=skip)
    for name in ("README.md", "CONTRIBUTING.md", "notebooks/source/00_welcome.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    return root


# --- Colab ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A repository of the course, published at ADDRESS, with one lesson."""
    root = copy_course(tmp_path_factory.mktemp("github") / "repository")
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
            [sys.executable, "-c", KERNEL, "colab"],
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
    (colab.content / "gan-course").mkdir()  # what a download that broke off left is no course
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


# --- folders with odd names -----------------------------------------------------------------------

ODD = "Müller über 学生/gan course"


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    return copy_course(tmp_path_factory.mktemp("places") / ODD)


def run(*command, cwd, **options):
    """Runs Python where the console knows no Chinese; an encoding that is not named is noticed."""
    environment = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PYTHONIOENCODING": "cp1252", "PYTHONWARNDEFAULTENCODING": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="cp1252",
        **options,
    )
    assert not re.search(r"(gan_course|tools)\W[\w/\\]+\.py:\d+: EncodingWarning", done.stderr)
    return done


def test_commands_in_a_folder_with_spaces_and_letters_of_all_kinds(odd):
    assert "ok  keras" in run("-m", "gan_course", "doctor", cwd=odd).stdout
    built = run("tools/build_notebooks.py", "00", cwd=odd)
    assert "notebooks/solutions/00_welcome.ipynb: written" in built.stdout, built.stderr
    assert run("tools/build_notebooks.py", "--for-tests", "学生", cwd=odd).returncode == 0
    assert (odd / "学生" / "solutions" / "00_welcome.ipynb").exists()
    graded = run("tools/teaching.py", "grade", "学生/solutions", cwd=odd)
    assert graded.returncode == 0, graded.stderr
    assert "1 of 1: ??" in graded.stdout
    table = (odd / "build" / "grades.csv").read_text(encoding="utf-8")
    assert "学生" in table and ",0.1,right," in table
    done = run("tools/run_lesson.py", "00", cwd=odd)
    assert done.returncode == 0 and "done: " in done.stdout, done.stderr


FORGET = """
import os, sys
sys.path.remove(str(course))
for name in [name for name in sys.modules if name.split(".")[0] == "gan_course"]:
    del sys.modules[name]
"""


def test_a_notebook_anywhere_in_the_course_finds_it(odd):
    setup, *_ = code(odd, "00")
    cells, places = [], [odd, odd / "notebooks", odd / "workbook" / "meine Übungen"]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        cells += [f"import os; os.chdir({str(place)!r})", setup, WHERE, FORGET]
    done = run("-c", KERNEL, cwd=odd, input=json.dumps(cells))
    assert done.returncode == 0, done.stdout + done.stderr
    package = str(odd / "gan_course" / "__init__.py")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"folder": str(place), "package": package} for place in places
    ]


class Stop(keras.callbacks.Callback):
    """Interrupts a training at its second epoch, if asked to."""

    def __init__(self, now):
        super().__init__()
        self.now = now

    def on_epoch_begin(self, epoch, logs=None):
        if self.now and epoch == 1:
            raise KeyboardInterrupt


def test_trainings_are_kept_in_such_a_folder(tmp_path, capsys):
    folder = tmp_path / ODD

    def train(stop):
        generator = models.mlp_generator(2, (4,), (4, 4, 1))
        gan = training.GAN(generator, models.mlp_discriminator((4, 4, 1), (4,)), latent_dim=2)
        gan.compile()
        batches = tf.data.Dataset.from_tensor_slices(tf.zeros((4, 4, 4, 1))).batch(2)
        resume = callbacks.Resume(folder / "run", seconds=0)
        gan.fit(batches, epochs=2, verbose=0, callbacks=[Stop(stop), resume])
        return gan

    with pytest.raises(KeyboardInterrupt):
        train(stop=True)
    gan = train(stop=False)
    assert "goes on at step 2" in capsys.readouterr().out
    gan.save(folder / "gan.keras")
    loaded = keras.saving.load_model(folder / "gan.keras")
    np.testing.assert_array_equal(loaded.generate(2, seed=0), gan.generate(2, seed=0))


# --- other systems --------------------------------------------------------------------------------

SHIPPED = ("gan_course", "tools", "benchmarks", "notebooks/source")
SCRIPTS = sorted([ROOT / "conftest.py", *(p for f in SHIPPED for p in (ROOT / f).rglob("*.py"))])


def without_encoding(source):
    """The lines that open a file as text, or talk to a process in text, in no named encoding."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        given = {word.arg: word.value for word in call.keywords}
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        module = getattr(getattr(call.func, "value", None), "id", "")
        if name == "open" and module not in ("os", "Image", "webbrowser"):
            position = 1 if isinstance(call.func, ast.Name) else 0
            modes = [*call.args[position : position + 1], given.get("mode", ast.Constant("r"))]
            text = "b" not in str(getattr(modes[0], "value", ""))
        elif name in ("read_text", "write_text"):
            text = len(call.args) == (0 if name == "read_text" else 1)
        else:
            text = bool({"text", "universal_newlines"} & set(given))
        if text and "encoding" not in given:
            found.append(call.lineno)
    return found


def test_files_without_a_named_encoding_are_found():
    wrong = [
        'open("a")',
        'open("a", "w")',
        'open(file="a", mode="w")',
        "path.open()",
        "path.read_text()",
        'path.write_text("a")',
        "subprocess.run(command, text=True)",
    ]
    right = [
        'open("a", "rb")',
        'path.open("wb")',
        'open("a", encoding="utf-8")',
        'path.read_text("utf-8")',
        'path.write_text("a", encoding="utf-8")',
        "os.open(name, flags)",
        "subprocess.run(command)",
    ]
    assert without_encoding("\n".join(wrong + right)) == list(range(1, len(wrong) + 1))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_is_read_and_written_in_a_named_encoding(path):
    assert without_encoding(path.read_text(encoding="utf-8")) == []


RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10))}


def why_not_on_windows(name):
    """What keeps a path of the course from being one on Windows ("" if nothing does)."""
    parts = name.split("/")
    if len(name) > 150:  # of 260, with the folder that the course lies in
        return "too long"
    if any(set(part) & set('<>:"\\|?*') or not part.isprintable() for part in parts):
        return "a character that no name may have"
    if any(part.endswith((".", " ")) for part in parts):
        return "ends with a dot or a space"
    reserved = any(part.split(".")[0].rstrip().lower() in RESERVED for part in parts)
    return "a device's name" if reserved else ""


@pytest.mark.parametrize("name", ["a:b", "a/what?", "a./b", "b ", "aux.py", "x/NUL", "a" * 151])
def test_names_that_windows_does_not_take_are_found(name):
    assert why_not_on_windows(name)


@pytest.fixture(scope="module")
def files():
    """The names of all files that git keeps, and what it knows of their line ends."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is no git clone")
    command = ["git", "ls-files", "--eol", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8")
    lines = [line.split("\t") for line in listed.stdout.split("\0")[:-1]]
    return {name: about.split()[0] for about, name in lines}


def test_names_are_those_of_every_system(files):
    assert [(name, why) for name in files if (why := why_not_on_windows(name))] == []
    alike = {}
    for name in files:
        for part in (name, *(str(parent) for parent in PurePosixPath(name).parents)):
            alike.setdefault(part.casefold(), set()).add(part)
    assert [names for names in alike.values() if len(names) > 1] == []


def test_line_ends_are_those_of_unix_everywhere(files):
    assert "* text=auto eol=lf\n" in (ROOT / ".gitattributes").read_text(encoding="utf-8")
    assert [name for name, ends in files.items() if ends not in ("i/lf", "i/-text", "i/none")] == []
