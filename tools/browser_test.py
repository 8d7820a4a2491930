"""The lessons in a real browser: JupyterLab as `make lab` starts it, in headless Chromium.

    make browser-test                   # all lessons
    make browser-test LESSON="00 01"    # some

Each learner's working copy is opened and run from top to bottom, in a fast run on the embedded
digits. Then a mistake, and after it the right answer, are typed into one of its exercises, and its
first slider is moved. What was seen goes to build/browser/, as pictures. Cells tagged nbval-skip
run with the others, and are not judged.

The Chromium is the one that the environment variable CHROMIUM names, or else the first on the
PATH, or else playwright's own. The profile, the home and the course of each run are in a temporary
folder, and nothing is downloaded.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
import teaching
from playwright.sync_api import Error, expect, sync_playwright

from gan_course.runtime import ROOT

PICTURES = ROOT / "build" / "browser"
VIEW = {"width": 1200, "height": 900}
TALLEST = 30_000  # pixels of a picture
START_SECONDS = 120
LESSON_SECONDS = 900
BOX_SECONDS = 60
ON_PATH = ("chromium", "chromium-browser", "google-chrome")
INSTALL = """No Chromium was found. Name one, make browser-test CHROMIUM=/path/to/it, or install it:
  Debian: sudo apt install chromium
  Fedora: sudo dnf install chromium
  elsewhere: .venv/bin/python -m playwright install --with-deps chromium"""

# lesson -> one of its exercises, a mistake in place of the last line, a part of the hint that it
# must get
MISTAKES = {
    "00": ("0.1", "return pixels / 255", "range [0, 1]"),
    "01": ("1.3", "return -tf.reduce_mean(tf.nn.softplus(fake_logits))", "saturating loss"),
    "02": ("2.5", "return (1 - t) * start + t * end", "straight line"),
    "03": ("3.1", "return a * p / (p + q)", "label b is missing"),
    "04": (
        "4.3",
        "return samples.reshape(len(samples) // m, *samples.shape[1:-1], -1)",
        "A reshape reads",
    ),
    "05": ("5.1", "return psi, -theta", "chain rule"),
    "06": ("6.1", "return (mean_1 - mean_2) ** 2", "widths matter"),
    "07": ("7.2", "return features @ weights + bias", "plays no part"),
    "08": ("8.3", "return np.mean(np.abs(b_to_a(a_to_b(a)) - a))", "kind b go around"),
}
CHOSEN = teaching.builder.find_lessons(ROOT, os.environ.get("LESSON", "").split())

# The cells of the open notebook, from its model.
CELLS = """() => jupyterapp.shell.currentWidget.content.widgets.map(({model}) => ({
    type: model.type,
    source: model.sharedModel.getSource(),
    tags: model.getMetadata('tags') ?? [],
    exercise: model.getMetadata('exercise'),
    count: model.type === 'code' ? model.executionCount : null,
    outputs: model.type === 'code' ? model.outputs.toJSON() : [],
}))"""
IDLE = """() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status
    === 'idle'"""
CLEAR = "() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
RUN_ALL = """() => {
    window.ended = false;
    jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.ended = true; });
}"""
CLOSE = "() => jupyterapp.serviceManager.sessions.shutdownAll()"
# Scrolls to the top, and says where the last cell ends.
HEIGHT = """() => {
    const notebook = jupyterapp.shell.currentWidget.content;
    notebook.node.querySelector('.jp-WindowedPanel-outer').scrollTop = 0;
    return Math.ceil(notebook.widgets.at(-1).node.getBoundingClientRect().bottom);
}"""


# --- JupyterLab and Chromium ----------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def stopped_by_request():
    """Lets a request to end, or a closed terminal, do what Ctrl-C does: all is cleared up."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has one
    before = {
        name: signal.signal(getattr(signal, name), signal.default_int_handler) for name in names
    }
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with a course as students get it; in the end nothing may run in it any more."""
    folder = tmp_path_factory.mktemp("browser")
    teaching.export(folder / "course")
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    yield folder
    _, left = psutil.wait_procs(running_in(folder), timeout=10)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    assert left == []


def running_in(folder):
    """The processes whose command names the folder: JupyterLab, its kernels, and Chromium."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it ended, or is somebody else's
            if any(str(folder) in argument for argument in process.cmdline()):
                found.append(process)
    return found


@pytest.fixture(scope="session")
def server(folder):
    """JupyterLab, started by the course's own command: what it says of itself, as a dict."""
    environment = teaching.environment(folder) | {
        "TFDS_DATA_DIR": str(folder / "tfds"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }
    del environment["MPLBACKEND"]  # in a notebook that is IPython's choice
    command = [sys.executable, "-m", "gan_course", "lab", "--no-browser"]
    command += ["--LabApp.expose_app_in_browser=True", *["--allow-root"] * is_root()]
    log = folder / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder / "course",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the tests, which end it
        )
    try:
        yield wait_for_server(process, folder / "runtime", log)
    finally:
        for child in running_in(folder / "course"):
            child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()
        process.wait()


def is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def wait_for_server(process, runtime, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError, OSError):  # half written, or not listening yet
                server = json.loads(path.read_text(encoding="utf-8"))
                socket.create_connection((server["hostname"], server["port"]), timeout=5).close()
                return server
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text('utf-8', 'replace')}")


@pytest.fixture(scope="session")
def chromium(folder):
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ON_PATH)), None)
        if not path and not os.path.exists(playwright.chromium.executable_path):
            pytest.exit(INSTALL, returncode=1)
        context = playwright.chromium.launch_persistent_context(
            folder / "chromium",
            executable_path=path,
            chromium_sandbox=not is_root(),
            viewport=VIEW,
        )
        yield context
        with contextlib.suppress(Error):  # Ctrl-C ends it, too
            context.close()


@pytest.fixture
def page(chromium):
    page = chromium.new_page()
    yield page
    with contextlib.suppress(Error):
        page.evaluate(CLOSE)
        page.close()


# --- a lesson -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", CHOSEN, ids=lambda lesson: lesson.source.stem)
def test_a_learner_sees(lesson, page, server):
    number = lesson.source.stem[:2]
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob(f"{number}-*.png"):
        old.unlink()
    try:
        open_lesson(page, server, "" if number == "00" else lesson.source.stem)
        run_all(page, number)
        answer_exercise(page, number, json.loads(teaching.builder.published(lesson, "solved")[0]))
        move_slider(page, number)
        assert page.locator(".Toastify__toast, .jp-Dialog").all_inner_texts() == []
    except Exception:
        page.screenshot(path=PICTURES / f"{number}-failed.png")
        raise


def open_lesson(page, server, name):
    """Opens a working copy, or, without a name, what `make lab` opens, and waits for its kernel."""
    path = f"lab/workspaces/{name}/tree/workbook/{name}.ipynb" if name else ""
    page.goto(f"{server['url']}{path}?token={server['token']}")
    page.wait_for_function(IDLE, timeout=1000 * START_SECONDS)
    assert page.evaluate("jupyterapp.shell.currentWidget.context.path").startswith(
        f"workbook/{name or '00'}"
    )


def run_all(page, number):
    """Runs all cells: none fails or is left out, and each exercise says that it is not done."""
    page.evaluate(CLEAR)
    assert {cell["count"] for cell in page.evaluate(CELLS)} == {None}
    page.evaluate(RUN_ALL)
    page.wait_for_function("window.ended", polling=500, timeout=1000 * LESSON_SECONDS)
    cells = page.evaluate(CELLS)
    picture_of_all(page, f"{number}-run")
    problems = [problem for cell in cells if (problem := problem_of(cell))]
    assert not problems, "\n".join(problems)
    shown = "\n".join(map(text_of, cells))
    for exercise in filter(None, [cell.get("exercise") for cell in cells]):
        found = re.search(rf"^Exercise {exercise}, .*: not done yet$", shown, re.M)
        assert found, f"exercise {exercise} does not say that it is not done yet"


def problem_of(cell):
    """What is wrong with a cell after the run, in words; "" if nothing is."""
    if cell["type"] != "code" or "nbval-skip" in cell["tags"]:
        return ""
    errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
    if cell["count"] is None:
        return f"not run: {cell['source']}"
    if "raises-exception" in cell["tags"]:
        return "" if errors else f"raised nothing: {cell['source']}"
    return "".join(f"{error['ename']}: {error['evalue']}: {cell['source']}" for error in errors)


def text_of(cell):
    """The text that a cell has put out; JupyterLab's model has it as one string, or as lines."""
    outputs = cell["outputs"]
    texts = [each.get("text") or each.get("data", {}).get("text/plain", "") for each in outputs]
    return "\n".join("".join(text) for text in texts)


def answer_exercise(page, number, solved):
    """Types a mistake and then the right answer, and sees what the exercise's box says."""
    exercise, mistake, hint = MISTAKES[number]
    cells = page.evaluate(CELLS)
    at = next(i for i, cell in enumerate(cells) if cell.get("exercise") == exercise)
    check = next(i for i in range(at, len(cells)) if f'("{exercise}", ' in cells[i]["source"])
    blank, answered = (
        page.locator(f".jp-Notebook [data-windowed-list-index='{i}']") for i in (at, check)
    )
    editor, box = blank.locator(".cm-content"), answered.locator(".jp-OutputArea")

    def run(verdict, words):
        for _ in range(at, check + 1):
            page.keyboard.press("Shift+Enter")
        title = re.compile(rf"^\s*Exercise {exercise}, [^\n]*: {verdict}\n")
        expect(box).to_have_text(title, use_inner_text=True, timeout=1000 * BOX_SECONDS)
        expect(box).to_contain_text(words, use_inner_text=True)
        page.wait_for_function(IDLE, timeout=1000 * BOX_SECONDS)
        blank.scroll_into_view_if_needed()
        expect(box).to_be_in_viewport()

    editor.locator(".cm-line").last.click()
    page.keyboard.press("End")
    page.keyboard.press("Shift+Home")
    page.keyboard.type(mistake)
    run("not yet", hint)
    picture_of(page, [blank, answered], f"{number}-wrong")

    right = next(
        "".join(cell["source"])
        for cell in solved["cells"]
        if cell["metadata"].get("exercise") == exercise
    )
    editor.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(right)
    assert page.evaluate(CELLS)[at]["source"] == right
    run("right", "")
    picture_of(page, [blank, answered], f"{number}-right")


def picture_of_all(page, name):
    """Stores a picture of the page with the whole notebook, or what fits into the picture."""
    for _ in range(2):  # cells get their true height when they come into sight
        height = min(page.evaluate(HEIGHT) + 50, TALLEST)
        page.set_viewport_size(VIEW | {"height": height})
        page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / f"{name}.png")
    page.set_viewport_size(VIEW)


def picture_of(page, parts, name):
    """Stores a picture of the page from the first of the parts to the last."""
    boxes = [part.bounding_box() for part in parts]
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    page.screenshot(path=PICTURES / f"{name}.png", clip=clip)


def move_slider(page, number):
    """Moves the first slider by one, if the lesson has any, and sees another picture."""
    widget = "application/vnd.jupyter.widget-view+json"
    with_sliders = [
        cell for cell in page.evaluate(CELLS) if re.search(r"\bPanel\(|\.scrub\(", cell["source"])
    ]
    for cell in with_sliders:
        found = any(widget in output.get("data", {}) for output in cell["outputs"])
        assert found, f"no slider below the cell: {cell['source']}"
    if not with_sliders:
        return
    handle = page.locator(".jp-Notebook .noUi-handle").first
    image = page.locator(".jp-Notebook .widget-image").first
    handle.scroll_into_view_if_needed()
    before = image.get_attribute("src")
    handle.focus()
    page.keyboard.press("ArrowRight")
    expect(image).not_to_have_attribute("src", before, timeout=1000 * BOX_SECONDS)
    page.screenshot(path=PICTURES / f"{number}-slider.png")
