"""The tool that makes notebooks from their sources, tried on a tiny lesson that is really run."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import build_notebooks as tool
import nbformat
import psutil
import pytest

SOURCE = """\
# ---
# jupyter:
#   gan_course:
#     title: Doubling
#     outcome: double | halve
#     result: "the answer {{answer:.1f}}"
# ---

# %% [markdown]
# # Doubling
# {{minutes}} minutes, {{answer:.2f}} {{ where }}

# %% exercise="1.1"
def double(x):
    # BEGIN SOLUTION
    return 2 * x
    # STUB
    # if x:
    #     # Twice as much.
    #     return ...
    # END SOLUTION


# %% tags=["nbval-check-output", "keep"]
# more of it, and no command for the shell
print(*[double(x) for x, _ in zip([2], [0])])

# %%
import os

from IPython.display import display

results = {"answer": 41.987, "where": "here", "strict": os.environ.get("GAN_COURSE_STRICT", "")}
results["fast"] = os.environ.get("GAN_COURSE_FAST", "")
results["progress"] = os.path.basename(os.environ["GAN_COURSE_PROGRESS"])
display({"application/vnd.gan-course.results+json": results}, raw=True)

# %% tags=["setup"]
course = "found"
assert course
"""

PRINT = next(line for line in SOURCE.splitlines() if line.startswith("print("))

LEARNER_CELL = """\
def double(x):
    if x:
        # Twice as much.
        return ..."""


def make_course(root, source=SOURCE):
    """A course of one lesson, not yet built."""
    for folder in ("notebooks/source", "gan_course"):
        (root / folder).mkdir(parents=True)
    (root / "notebooks/source/01_double.py").write_text(source, encoding="utf-8")
    (root / "gan_course/package.py").write_text("number = 1\n", encoding="utf-8")
    marks = "<!-- {0}:begin -->\n<!-- {0}:end -->\n"
    table = "# Course\n\n" + marks.format("home") + marks.format("lessons") + "\nEnd.\n"
    (root / "README.md").write_text(table, encoding="utf-8")
    (root / "CONTRIBUTING.md").write_text(marks.format("home"), encoding="utf-8")
    return root


@pytest.fixture
def new(tmp_path):
    """A course that was never built."""
    return make_course(tmp_path / "course")


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """A course whose notebooks were run and whose table was written, and what the run printed."""
    root = make_course(tmp_path_factory.mktemp("course") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_COURSE_FAST", "1")  # must not reach the notebooks
        patch.setenv("GAN_COURSE_STRICT", "1")
        patch.setenv("GAN_COURSE_PROGRESS", str(root / "learner.json"))
        assert tool.main(["--root", str(root), "--execute"]) == 0
    assert tool.main(["--root", str(root), "--table"]) == 0
    return root


@pytest.fixture
def course(run_once, tmp_path):
    """A copy of that course, free to be changed."""
    return Path(shutil.copytree(run_once, tmp_path / "course"))


def build(root, *arguments):
    return tool.main(["--root", str(root), *arguments])


def read(root, variant="learner"):
    return nbformat.read(root / tool.FOLDERS[variant] / "01_double.ipynb", as_version=4)


def write(root, notebook):
    nbformat.write(notebook, root / "notebooks/01_double.ipynb")


def change_source(root, old, new):
    path = root / "notebooks/source/01_double.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def all_files(root):
    return {
        path: path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_learners_notebook_has_the_stub_and_the_solved_one_the_solution(new):
    assert build(new) == 0
    learner, solved = read(new), read(new, "solved")
    assert learner.cells[1].source == LEARNER_CELL
    assert solved.cells[1].source == "def double(x):\n    return 2 * x"
    assert [cell.id for cell in learner.cells] == [cell.id for cell in solved.cells]
    assert learner.cells[1].metadata == {"exercise": "1.1"}
    assert learner.cells[2].source.startswith("# more of it")
    assert learner.metadata.gan_course.variant == "learner"
    assert learner.metadata.language_info == {"name": "python"}
    assert learner.metadata.colab.gpuType == "T4"


def test_placeholders_before_the_first_run(new):
    build(new)
    assert read(new).cells[0].source.endswith("(not run yet) minutes, (not run yet) (not run yet)")


@pytest.mark.parametrize(
    ("old", "new_text", "message"),
    [
        ("    # END SOLUTION\n", "", "line 23: the cell ends before the END SOLUTION of line 15"),
        ("    # STUB\n", "", "END SOLUTION where STUB should come first"),
        ("    # BEGIN SOLUTION\n", "", "STUB where BEGIN SOLUTION should come first"),
        ("    # STUB\n", "    # BEGIN SOLUTION\n", "BEGIN SOLUTION where STUB"),
        ("    # STUB\n", "    #stub:\n", 'line 17: write the marker as "# STUB"'),
        ("    # END SOLUTION\n", "    # end_solution\n", 'write the marker as "# END SOLUTION"'),
        ("    # if x:\n", "    if x:\n", "line 18: lines between STUB and END SOLUTION"),
        ("# # Doubling\n", "# # BEGIN SOLUTION\n", "solution blocks belong in code cells"),
        ("# BEGIN SOLUTION", "# BEGIN  SOLUTION", "line 15: a marker stands alone in its line"),
        ("# BEGIN SOLUTION", "# BEGIN SOLUTION of it", "line 15: a marker stands alone"),
    ],
)
def test_wrong_markers_are_named_with_file_and_line(new, capsys, old, new_text, message):
    change_source(new, old, new_text)
    assert build(new) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "01_double.py, line" in error
    assert not (new / "notebooks/01_double.ipynb").exists()


@pytest.mark.parametrize(
    ("old", "new_text"),
    [
        ("    return 2 * x\n", "#%%\n    return 2 * x\n"),  # further ways to begin a cell
        ("    return 2 * x\n", "    # %%\n    return 2 * x\n"),
        ("    return 2 * x\n", "# In[2]:\n    return 2 * x\n"),
        ('# %% exercise="1.1"', "# %% doubling [markdown]"),
        ('# %% exercise="1.1"', '# %% active=""'),
        ('# %% exercise="1.1"\n', '# ```\n\n# %% exercise="1.1"\n# ```\n'),
    ],
)
def test_no_cell_hides_a_solution_from_the_builder(new, capsys, old, new_text):
    change_source(new, old, new_text)
    built = build(new)
    path = new / "notebooks/01_double.ipynb"
    assert built == 1 or "return 2 * x" not in path.read_text(encoding="utf-8")
    assert built == 0 or "01_double.py: the cell that begins with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new_text", "message"),
    [
        ('tags=["nbval-check-output", "keep"]', 'tags="keep"', "'keep' is not of type 'array'"),
        ('tags=["nbval-check-output", "keep"]', "number=NaN", "not JSON compliant"),
        ("#   gan_course:\n", "#   jupytext: 3\n#   gan_course:\n", "jupytext cannot read it"),
    ],
)
def test_settings_that_no_notebook_may_have(new, capsys, old, new_text, message):
    change_source(new, old, new_text)
    assert build(new) == 1
    error = capsys.readouterr().err
    assert "01_double.py" in error and message in error


def test_a_source_in_another_encoding(new, capsys):
    (new / "notebooks/source/01_double.py").write_bytes("# %%\n# é".encode("latin-1"))
    assert build(new) == 1
    assert "01_double.py is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("block", ["3", "[]", '{"results": 1}'])
def test_a_stored_notebook_with_other_metadata_was_never_run(new, block):
    build(new)
    path = new / "notebooks/01_double.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["gan_course"] = json.loads(block)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert build(new, "--check") == 1
    assert build(new, "--for-tests", str(new / "tests")) == 0
    assert build(new) == 0


def test_a_block_open_at_the_end_of_the_file_is_an_error(new, capsys):
    change_source(new, "assert course", "# BEGIN SOLUTION\nassert course")
    assert build(new) == 1
    assert "this BEGIN SOLUTION has no STUB" in capsys.readouterr().err


def test_an_inserted_cell_leaves_other_ids_alone(new):
    build(new)
    before = [cell.id for cell in read(new).cells]
    change_source(new, "# %% exercise", "# %%\n1 + 1\n\n# %%\n1 + 1\n\n# %% exercise")
    build(new)
    after = [cell.id for cell in read(new).cells]
    assert after[:1] + after[3:] == before
    assert after[2] == f"{after[1]}-2"


def test_unknown_lesson(new, capsys):
    assert build(new, "07") == 1
    assert "there is no lesson 07; lessons: 01_double" in capsys.readouterr().err


def test_a_run_is_stored_with_its_results(course):
    learner, solved = read(course), read(course, "solved")
    for notebook, strict in [(learner, ""), (solved, "1")]:
        block = notebook.metadata.gan_course
        assert block.results == {
            "answer": 41.987,
            "where": "here",
            "strict": strict,
            "fast": "",
            "progress": "progress.json",
        }
        assert notebook.cells[0].source.endswith(f"{block.minutes} minutes, 41.99 here")
        assert block.executed_source_sha256 == block.source_sha256
        assert block.cells_sha256 == tool.cells_sha256(notebook)
        assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3, 4]
        assert all("execution" not in cell.metadata for cell in notebook.cells)
        assert notebook.metadata.language_info == {"name": "python"}
    assert learner.cells[2].outputs[0].text == "Ellipsis\n"
    assert solved.cells[2].outputs[0].text == "4\n"
    assert not (course / "learner.json").exists()


def kernels():
    """The commands of the kernels that this process has started, or what it has started has."""
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    return [command for command in commands if "ipykernel" in command]


def test_no_kernel_is_left_running(run_once):
    assert kernels() == []


def test_building_again_changes_nothing(course):
    before = all_files(course)
    assert build(course) == 0
    assert build(course, "--check") == 0
    assert all_files(course) == before


def test_new_text_keeps_the_outputs(course):
    change_source(course, "# # Doubling", "# # Doubling, {{answer:.0f}} times")
    assert build(course) == 0
    notebook = read(course)
    assert "42 times" in notebook.cells[0].source
    assert notebook.cells[2].outputs[0].text == "Ellipsis\n"
    assert build(course, "--check") == 0


def test_new_code_drops_the_outputs_of_the_notebook_that_has_it(course, capsys):
    change_source(course, "return 2 * x", "return x + x")
    assert build(course) == 0
    assert "solutions/01_double.ipynb holds outputs older than its so" in capsys.readouterr().out
    solved = read(course, "solved")
    assert not solved.cells[2].outputs
    assert solved.cells[0].source.endswith("(not run yet)")
    assert read(course).cells[2].outputs  # the learner's notebook shows the same stub as before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# more of it, and", "# Even more, and"),
        ("print(*[", "print(\n    *["),
        ("zip([2], [0])", 'runtime.progress(zip([2], [0]), "doubling")'),
        ("zip([2], ", 'zip(runtime.progress([2], "doubling"), '),
    ],
)
def test_code_that_computes_the_same_keeps_the_outputs(course, old, new):
    change_source(course, old, new)
    assert build(course, "--check") == 1
    for _ in range(2):
        assert build(course) == 0
        cell = read(course).cells[2]
        assert new in cell.source
        assert cell.outputs[0].text == "Ellipsis\n"
        assert build(course, "--check") == 0


@pytest.mark.parametrize(
    "code", ["sorted([2])", 'progress([2], "doubling")', '[*runtime.progress([2], "")]', "[2"]
)
def test_code_that_computes_otherwise_does_not(course, code):
    change_source(course, "[2]", code)
    build(course)
    assert not read(course).cells[2].outputs


def computed(code):
    cells = [nbformat.v4.new_code_cell(code)]
    return tool.computation(nbformat.v4.new_notebook(cells=cells))


WRITTEN_OUT = 'd = {"a": f(g, 2), "b": f(lambda x: h(x), N)}'
LOOP = "d = {{name: f(way, n) for name, (way, n) in {}.items(){}}}"
WAYS = '{"a": (g, 2), "b": (lambda x: h(x), N)}'


def test_a_loop_through_a_dict_is_the_dict_that_it_makes():
    watched = LOOP.replace("{}.items()", 'runtime.progress({}.items(), "ways")')
    for code in (LOOP.format(WAYS, ""), watched.format(WAYS, "")):
        assert computed(code) == computed(WRITTEN_OUT)


@pytest.mark.parametrize(
    "code",
    [
        LOOP.format(WAYS.replace("2", "3"), ""),  # other numbers
        LOOP.format(WAYS.replace('"a"', '"c"'), ""),  # other names
        LOOP.format('{"b": (lambda x: h(x), N), "a": (g, 2)}', ""),  # another order
        LOOP.format(WAYS, " if n"),  # some are left out
        LOOP.format(WAYS.replace("N", "N()"), ""),  # all is called before the first f
        LOOP.format("ways", ""),
        LOOP.format(WAYS, "").replace("f(way, n)", "f(n, way)"),
        LOOP.format(WAYS, "").replace("f(way, n)", "[f(way, n) for n in N]"),  # another n
    ],
)
def test_another_loop_is_not(code):
    assert computed(code) != computed(WRITTEN_OUT)


def test_a_notebook_that_was_edited_as_its_source_was_needs_a_run(course):
    notebook = read(course)
    notebook.cells[2].source = notebook.cells[2].source.replace("[2]", "[3]")
    write(course, notebook)
    change_source(course, "[2]", "[3]")
    build(course)
    assert not read(course).cells[2].outputs


@pytest.mark.parametrize("text", ["{{answr}}", "{{where:.2f}}"])
def test_a_placeholder_that_cannot_be_filled_is_an_error(course, capsys, text):
    change_source(course, "# # Doubling", f"# # Doubling {text}")
    assert build(course) == 1
    assert f"notebooks/01_double.ipynb: {text}" in capsys.readouterr().err
    assert read(course).cells[2].outputs  # the run itself is not lost


def test_a_failing_cell_leaves_the_files_as_they_were(course, capsys):
    change_source(course, "    return 2 * x", "    return 1 / 0")
    before = all_files(course)
    assert build(course, "--execute") == 1
    error = capsys.readouterr().err
    assert "notebooks/solutions/01_double.ipynb failed in this cell" in error
    assert PRINT in error
    assert "ZeroDivisionError: division by zero" in error
    assert len(error.splitlines()) < 8
    assert all_files(course) == before


def test_a_dying_kernel_is_an_error_too(new, capsys):
    death = "import os; os.write(2, b'out of luck'); os._exit(1)"
    change_source(new, PRINT, death)
    assert build(new, "--execute") == 1
    error = capsys.readouterr().err
    assert death in error
    assert "the kernel died" in error
    assert "out of luck" in error


@pytest.mark.parametrize(
    "hung", ["while True: pass", "while True:\n    try: time.sleep(9)\n    except: pass"]
)
def test_a_hung_cell_is_an_error_and_leaves_no_kernel(course, capsys, hung):
    change_source(course, PRINT, f"import time\n{hung}")
    before = all_files(course)
    assert build(course, "--execute", "--timeout", "1") == 1
    error = capsys.readouterr().err
    assert hung.splitlines()[0] in error and "not done after 1 s" in error
    assert all_files(course) == before
    assert kernels() == []


@pytest.mark.skipif(os.name == "nt", reason="sends the signal of Ctrl-C to another process")
def test_ctrl_c_while_a_cell_runs_stops_the_run(course):
    started = course / "notebooks/started"
    wait = "import pathlib, time; pathlib.Path('started').touch(); time.sleep(300)"
    change_source(course, PRINT, wait)
    before = all_files(course)
    command = [sys.executable, tool.__file__, "--root", str(course), "--execute"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        while not started.exists():
            assert run.poll() is None
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        error = run.communicate()[1]
    assert (run.returncode, error) == (130, "stopped; the lesson at hand is as it was\n")
    started.unlink()
    assert all_files(course) == before


def change_output(root):
    notebook = read(root)
    notebook.cells[2].outputs[0].text = "5\n"
    write(root, notebook)


def change_cell(root):
    notebook = read(root)
    notebook.cells[1].source = "def double(x):\n    return x * 2"
    write(root, notebook)


def forge(root, change):
    """Changes a cell and makes the hash of the outputs fit again."""
    notebook = read(root)
    change(notebook.cells[2])
    notebook.metadata.gan_course.outputs_sha256 = tool.outputs_sha256(notebook)
    write(root, notebook)


def hold_error(root):
    error = nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
    forge(root, lambda cell: cell.outputs.append(error))


def lose_count(root):
    forge(root, lambda cell: cell.update(execution_count=None))


def never_run(root):
    (root / "notebooks/01_double.ipynb").unlink()
    build(root)


def orphan(root):
    shutil.copy(root / "notebooks/01_double.ipynb", root / "notebooks/solutions/02_gone.ipynb")


DRIFTS = {
    "text": (lambda root: change_source(root, "# # Doubling", "# # Twice"), "not match its source"),
    "code": (lambda root: change_source(root, "[2]", "[3]"), "older than its source"),
    "hand-run": (change_output, "other outputs than those of its stored run"),
    "edited": (change_cell, "does not match its source"),
    "error": (hold_error, "code cell 2 holds an error"),
    "count": (lose_count, "code cell 2 was not run"),
    "never run": (never_run, "was never run"),
    "missing": (lambda root: (root / "notebooks/01_double.ipynb").unlink(), "does not exist"),
    "broken": (
        lambda root: (root / "notebooks/01_double.ipynb").write_text("<<<", encoding="utf-8"),
        "cannot be re",
    ),
    "orphan": (orphan, "notebooks/solutions/02_gone.ipynb has no source"),
    "table": (lambda root: change_source(root, "title: Do", "title: Tr"), "README.md: what stands"),
    "no table": (
        lambda root: (root / "README.md").write_text("none", encoding="utf-8"),
        "README.md has no place",
    ),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_check_finds(course, capsys, drift):
    change, message = DRIFTS[drift]
    change(course)
    assert build(course, "--check") == 1
    assert message in capsys.readouterr().err


def test_check_only_notes_a_newer_package(course, capsys):
    (course / "gan_course/package.py").write_text("number = 2\n", encoding="utf-8")
    assert build(course, "--check") == 0
    assert "note: notebooks/01_double.ipynb was run with an earlier" in capsys.readouterr().out


def test_a_broken_notebook_is_built_anew(course):
    (course / "notebooks/01_double.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")
    assert build(course) == 0
    assert read(course).cells[1].source == LEARNER_CELL


def test_notebooks_as_published_are_tested_as_they_are(course, tmp_path, capsys):
    stale = tmp_path / "built/solutions/09_old.ipynb"
    stale.parent.mkdir(parents=True)
    stale.touch()
    assert build(course, "--for-tests", str(tmp_path / "built")) == 0
    for name in ("01_double.ipynb", "solutions/01_double.ipynb"):
        published = (course / "notebooks" / name).read_bytes()
        assert (tmp_path / "built" / name).read_bytes() == published
    assert not stale.exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_cell, "was edited or run here"),
        (change_output, "was edited or run here"),
        (DRIFTS["broken"][0], "cannot be read as a notebook"),
        (DRIFTS["text"][0], "is older than its source"),
        (never_run, "was never run"),
    ],
)
def test_other_notebooks_are_tested_as_a_fresh_build(course, tmp_path, capsys, change, reason):
    change(course)
    capsys.readouterr()
    before = all_files(course)
    assert build(course, "--for-tests", str(tmp_path / "built")) == 0
    message = f"notebooks/01_double.ipynb {reason}: testing a fresh build of it instead\n"
    assert message in capsys.readouterr().out
    fresh = nbformat.read(tmp_path / "built/01_double.ipynb", as_version=4)
    assert fresh.cells[1].source == LEARNER_CELL
    assert not fresh.cells[2].outputs
    assert fresh.cells[2].metadata.tags == ["keep"]
    assert all_files(course) == before


def test_the_table_is_made_from_the_stored_run(course):
    minutes = read(course).metadata.gan_course.minutes
    row = rf"| [01 Doubling](notebooks/01_double.ipynb) | double \| halve | {minutes} "
    text = (course / "README.md").read_text(encoding="utf-8")
    assert f"{row}| the answer 42.0 |\n<!-- lessons:end -->\n\nEnd.\n" in text


def outputs_of(*outputs):
    """A notebook of one cell that has these outputs."""
    cell = nbformat.v4.new_code_cell("f()", outputs=list(outputs), execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["gan_course"] = {}
    return notebook


def test_tensorflows_log_lines_are_dropped(tmp_path):
    noise = "2026-01-02 03:04:05.678901: I tensorflow/core/util.cc:153] oneDNN\n"
    noise += "I0000 00:00:1795305681.977374   16262 cuda_platform.cc:52] failed\n"
    new_output = nbformat.v4.new_output
    notebook = outputs_of(
        new_output("stream", name="stderr", text=noise),
        new_output("stream", name="stderr", text=noise + "UserWarning: mind\n"),
    )
    tool.clean(notebook, tmp_path, "lesson")
    assert [output.text for output in notebook.cells[0].outputs] == ["UserWarning: mind\n"]


def test_what_is_left_of_a_line_that_told_the_progress_is_dropped(tmp_path):
    lines = ("", "a picture")
    shown = [nbformat.v4.new_output("display_data", data={"text/plain": text}) for text in lines]
    notebook = outputs_of(*shown)
    tool.clean(notebook, tmp_path, "lesson")
    assert notebook.cells[0].outputs == shown[1:]


@pytest.mark.parametrize("folder", ["root", "home"])
def test_outputs_with_this_machines_folders_are_refused(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    text = f"see <b>{tmp_path / folder / 'x'}</b>"
    notebook = outputs_of(nbformat.v4.new_output("display_data", data={"text/html": text}))
    with pytest.raises(tool.BuildError, match=r"the cell 'f\(\)' holds"):
        tool.clean(notebook, tmp_path / "root", "lesson")


@pytest.mark.parametrize("value", [float("nan"), True, None, [1]])
def test_results_are_numbers_and_texts_only(value):
    data = {tool.RESULTS: {"fid": value}}
    notebook = outputs_of(nbformat.v4.new_output("display_data", data=data))
    with pytest.raises(tool.BuildError, match="result fid"):
        tool.collect_results(notebook, "lesson")


def test_a_large_notebook_is_refused():
    notebook = outputs_of(nbformat.v4.new_output("stream", text="x" * tool.MAX_BYTES))
    with pytest.raises(tool.BuildError, match=r"lesson would take 3\.0 MB"):
        tool.to_text(notebook, "lesson")


def test_nbval_fails_soon_on_a_dead_kernel_and_on_an_error(tmp_path):
    cells = {
        "dead": "import os, time; time.sleep(0.5); os._exit(1)",
        "dead_after_its_reply": "import os, time\n"
        "from ipykernel.ipkernel import IPythonKernel\n"
        "IPythonKernel.post_handler_hook = lambda kernel: (time.sleep(0.5), os._exit(1))",
        "raises": "1 / 0",
        "solutions/good": "import os; assert os.environ['GAN_COURSE_STRICT'] == '1'\n"
        "assert os.environ['GAN_COURSE_FAST'] == '1'",
        "unsolved": "import os; assert 'GAN_COURSE_STRICT' not in os.environ",
    }
    (tmp_path / "solutions").mkdir()
    for name, source in cells.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "conftest"]
    command += ["--nbval-lax", "--nbval-current-env", f"--junit-xml={report}", str(tmp_path)]
    done = subprocess.run(command, cwd=tool.ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = {case.get("classname").removesuffix(".ipynb") for case in cases if len(case)}
    assert len(cases) == 5
    assert failed == {"dead", "dead_after_its_reply", "raises"}, done.stdout
    assert "the kernel died in this cell" in done.stdout
    assert max(float(case.get("time")) for case in cases) < 10


DOT = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
PICTURE = f"""

# %% [markdown]
# ![a dot](attachment:dot.png)

# %% tags=["picture-dot"]
display({{"image/png": "{DOT}"}}, raw=True)
"""


def test_pictures_go_where_they_are_shown(tmp_path, capsys):
    root = make_course(tmp_path / "course", SOURCE + PICTURE)
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(text + "\n![a dot](docs/pictures/01_dot.png)\n", encoding="utf-8")
    assert build(root, "--execute") == 0 and build(root, "--table") == 0
    shown = next(cell for cell in read(root).cells if "attachment:" in cell.source)
    assert shown.attachments == {"dot.png": {"image/png": DOT}}
    picture = root / "docs/pictures/01_dot.png"
    assert picture.read_bytes() == base64.b64decode(DOT)
    assert build(root, "--check") == 0

    picture.write_bytes(b"another")
    assert build(root, "--check") == 1
    assert "01_dot.png is not that of a stored run" in capsys.readouterr().err
    change_source(root, "attachment:dot.png", "attachment:line.png")
    assert build(root) == 1
    assert "no png picture in a code cell tagged picture-line" in capsys.readouterr().err


# --- publishing -----------------------------------------------------------------------------------


def test_publishing_changes_no_run_and_is_undone_exactly(course, capsys):
    before = all_files(course)
    assert build(course, "--publish", "ada/gan-course", "--branch", "v1.0") == 0
    assert build(course, "--check") == 0
    for variant, folder in tool.FOLDERS.items():
        notebook = read(course, variant)
        address = f"github/ada/gan-course/blob/v1.0/{folder}/01_double.ipynb)"
        assert notebook.cells[0].source.startswith("# Doubling\n\n[![Open in Colab](")
        assert address in notebook.cells[0].source
        assert "https://github.com/ada/gan-course" in notebook.cells[4].source
        assert "--branch=v1.0" in notebook.cells[4].source
        assert notebook.cells[2].outputs
    readme = (course / "README.md").read_text(encoding="utf-8")
    assert "git clone --branch v1.0 https://github.com/ada/gan-course\ncd gan-course\n" in readme
    assert "(notebooks/01_double.ipynb) [![Open in Colab](" in readme
    page = (course / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "<https://github.com/ada/gan-course/issues>" in page
    published = all_files(course)
    assert build(course) == 0 and build(course, "--table") == 0
    assert all_files(course) == published

    lesson = tool.find_lessons(course)[0]
    unpublished = before[course / "notebooks/01_double.ipynb"].decode()
    assert tool.published(lesson, "learner", None) == (unpublished, "")
    assert build(course, "--publish", "bob/other") == 0
    assert not any(b"ada/gan" in content for content in all_files(course).values())
    assert build(course, "--unpublish") == 0
    assert all_files(course) == before


@pytest.mark.parametrize(
    "repository",
    [
        *("", "ada", "ada/", "ada/a b", "ada/a/b", "https://github.com/ada/gan", "ada/gan.git"),
        *("ada/..", "-ada/gan", "ada/gan\n", "ada/$(id)", 'ada/";id', "ada/gan`id`", "ada/größe"),
    ],
)
def test_what_is_no_repository_is_refused_before_anything_is_written(course, capsys, repository):
    before = all_files(course)
    assert build(course, f"--publish={repository}") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"REPO={repository!r} is no repository") and "owner/name" in error
    assert all_files(course) == before


@pytest.mark.parametrize("branch", ["", "-x", "a b", "a/b", "$(id)"])
def test_what_is_no_branch_is_refused_too(course, capsys, branch):
    before = all_files(course)
    assert build(course, "--publish", "ada/gan", f"--branch={branch}") == 1
    assert capsys.readouterr().err.startswith(f"BRANCH={branch!r} is no branch")
    assert all_files(course) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (DRIFTS["code"][0], "notebooks/01_double.ipynb holds outputs older than its source"),
        (DRIFTS["hand-run"][0], "notebooks/01_double.ipynb holds other outputs than those"),
        (DRIFTS["no table"][0], "README.md has no place for its home"),
        (lambda root: change_source(root, "assert course", "assert 1"), "cannot be published"),
        (lambda root: change_source(root, '"setup"', '"set-up"'), "cannot be published"),
    ],
)
def test_publishing_is_done_whole_or_not_at_all(course, capsys, change, message):
    change(course)
    before = all_files(course)
    assert build(course, "--publish", "ada/gan") == 1
    assert message in capsys.readouterr().err
    assert all_files(course) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"repository": "ada"}', '{"name": "ada/gan"}'])
def test_a_broken_setting_is_named(course, capsys, text):
    (course / "published.json").write_text(text, encoding="utf-8")
    before = all_files(course)
    assert build(course) == 1
    error = capsys.readouterr().err
    assert error.startswith("published.json: ") and "delete the file" in error
    assert all_files(course) == before
