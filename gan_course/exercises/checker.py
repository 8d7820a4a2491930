"""The checker: tries a learner's answer and says in one box what came of it."""

import ast
import contextlib
import dataclasses
import inspect
import io
import json
import linecache
import os
import re
import signal
import textwrap
import threading
import time
import traceback
from _thread import interrupt_main
from pathlib import Path

import numpy as np

from gan_course.exercises import boxes
from gan_course.runtime import ROOT
from gan_course.workbook import write_atomically

TIME_LIMIT = 20.0  # seconds an answer may take; code that runs outside Python cannot be cut off
PRINTED_LIMIT = 10_000  # characters kept of what an answer prints: a loop may print gigabytes
_REGISTRY = {}
_HINTS_SHOWN = {}


class ExerciseNotSolved(Exception):
    """With GAN_COURSE_STRICT=1, an answer that is not right stops the notebook."""


class Todo(Exception):
    """Raised by a check when the answer is still the blank `...`."""


class NotYet(Exception):
    """Raised by a check when an answer is wrong.

    Args:
        message: what is wrong, in one sentence.
        expected, came: what was expected and what came, as short text.
        hint: the likely mistake.
    """

    def __init__(self, message, expected=None, came=None, hint=None):
        super().__init__(message)
        self.message, self.expected, self.came, self.hint = message, expected, came, hint


@dataclasses.dataclass(frozen=True)
class Exercise:
    """One exercise: what it is called, the course's own answer, and how answers are judged.

    Attributes:
        id: such as "1.2"; the part before the dot is the lesson. Predictions have a letter, "1.a".
        title: a few words.
        solution: the course's own answer, which the lesson goes on with.
        judge: a function of an answer that returns a sentence of praise or raises `NotYet`.
        hints: from a nudge to nearly the answer.
    """

    id: str
    title: str
    solution: object
    judge: object
    hints: tuple = ()

    @property
    def is_prediction(self):
        return not self.id.split(".")[1].isdigit()


@dataclasses.dataclass(frozen=True)
class Result:
    """What `check` found: `status` is "todo", "wrong" or "right"."""

    id: str
    status: str
    message: str
    hint: str = ""
    printed: str = ""

    def _ipython_display_(self):
        """Show nothing: the box is there already."""


def exercise(id, title, solution, hints=()):
    """Register the decorated function as the judge of exercise `id`."""

    def register(judge):
        _REGISTRY[id] = Exercise(id, title, solution, judge, tuple(hints))
        return judge

    return register


def prediction(id, title, right, why, others):
    """Register a multiple-choice question that is answered before a cell is run.

    Args:
        id: such as "1.a".
        title: the question in a few words.
        right: the letter of the right choice.
        why: one or two sentences, shown with either answer.
        others: dict from each other letter to what speaks against it.
    """
    letters = sorted([right, *others])

    @exercise(id, title, solution=right)
    def judge(choice):
        if not isinstance(choice, str) or choice.strip().lower() not in letters:
            raise NotYet(
                "A prediction is one letter, in quotes.",
                expected=" or ".join(repr(letter) for letter in letters),
                came=short(choice),
                hint="Write for example: prediction = 'a'",
            )
        if choice.strip().lower() != right:
            raise NotYet(
                f"You predicted {choice.strip().lower()}; it is {right}. {why}",
                hint=others[choice.strip().lower()],
            )
        return why


def check(id, answer):
    """Judge an answer and show what came of it in a box.

    Args:
        id: the exercise, such as "1.2".
        answer: the learner's function or value; `...` means not done yet.

    Returns:
        Result: with `status` "todo", "wrong" or "right", and `hint`.

    Raises:
        ValueError: there is no such exercise.
        ExerciseNotSolved: the answer is not right and GAN_COURSE_STRICT=1.
    """
    return _check(id, answer)


def answer(id, answer):
    """As `check`, and return the answer if it is right, else the course's own.

    Bind what comes back to another name than the answer's, so that running the cell again judges
    the learner's answer again.
    """
    result = _check(id, answer, goes_on=True)
    return answer if result.status == "right" else _find(id).solution


def hint(id):
    """Show the next hint of an exercise; after the last one it begins again."""
    hints = _find(id).hints
    if not hints:
        boxes.show("todo", f"Exercise {id} has no hints")
        return
    number = _HINTS_SHOWN.get(id, 0) % len(hints)
    _HINTS_SHOWN[id] = number + 1
    boxes.show("todo", f"Exercise {id}, hint {number + 1} of {len(hints)}", [hints[number]])


def _find(id):
    if not isinstance(id, str) or id not in _REGISTRY:
        raise ValueError(f"id must be one of {', '.join(sorted(_REGISTRY))}; came {id!r}.")
    return _REGISTRY[id]


def judge(id, answer):
    """As `check`, without a box and without keeping what is solved: what grading stands on."""
    return _judge(_find(id), answer)[0]


def _judge(entry, answer):
    """The result, and the parts of the box that shows it."""
    try:
        with _captured() as printed, _time_limit(TIME_LIMIT), _exit_is_an_error():
            if answer is ...:
                raise Todo
            message = entry.judge(answer)
        result, shown = Result(entry.id, "right", message), [message]
    except (Todo, NotYet) as wrong:
        result, shown = _not_right(entry, answer, wrong)
    return dataclasses.replace(result, printed=printed.text), shown


def _check(id, answer, goes_on=False):
    entry = _find(id)
    result, shown = _judge(entry, answer)
    if goes_on and result.status != "right":
        shown.append("The lesson goes on with the course's own answer.")
    _show(entry, result, [part for part in shown if part])
    _remember(entry, result)
    if result.status != "right" and os.environ.get("GAN_COURSE_STRICT") == "1":
        raise ExerciseNotSolved(f"{id}: {result.status}: {result.message} {result.hint}")
    return result


def _not_right(entry, answer, wrong):
    """What to say of an answer that was not accepted, and what to show of it."""
    if isinstance(wrong, Todo) or _has_blank(answer):
        result = Result(entry.id, "todo", "Not done yet: replace the ... with your answer.")
        return result, [result.message]
    hint = wrong.hint or "".join(entry.hints[:1])
    pairs = (("expected", wrong.expected), ("came", wrong.came))
    shown = [wrong.message, *(pair for pair in pairs if pair[1] is not None), hint]
    return Result(entry.id, "wrong", wrong.message, hint), shown


def _has_blank(answer):
    """Whether a function's text still holds the blank `...`, other than as an index."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    except BaseException:  # no function, one without a text, an object of the learner's own
        return False
    indices = [each.slice for each in ast.walk(tree) if isinstance(each, ast.Subscript)]
    in_indices = {part for index in indices for part in ast.walk(index)}
    return any(
        isinstance(part, ast.Constant) and part.value is ... and part not in in_indices
        for part in ast.walk(tree)
    )


def _show(entry, result, parts):
    words = {
        False: {"right": "right", "wrong": "not yet", "todo": "not done yet"},
        True: {"right": "as predicted", "wrong": "not as predicted", "todo": "no prediction yet"},
    }[entry.is_prediction]
    kind = "Prediction" if entry.is_prediction else "Exercise"
    if result.printed:
        text = re.sub(r"\x1b\[[0-9;]*m|[\b\r]", "", result.printed)  # colors of a progress bar
        parts = [*parts, ("Your code printed", short(text.strip(), 400))]
    title = f"{kind} {entry.id}, {entry.title}: {words[result.status]}"
    hints = entry.hints if result.status != "right" else ()
    how = f'({len(hints)} hints, one by one: exercises.hint("{entry.id}"))' if hints else ""
    boxes.show(result.status, title, parts, hints, how)


# Trying an answer without letting it do harm.


class _Printed(io.TextIOBase):
    """Keeps the beginning of what an answer prints, even if the answer closes it."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text[: PRINTED_LIMIT - len(self.text)]
        return len(text)


@contextlib.contextmanager
def _captured():
    """Catch what an answer prints; errors of the answer itself become `NotYet`."""
    printed = _Printed()
    try:
        with contextlib.redirect_stdout(printed):
            yield printed
    except (Todo, NotYet, KeyboardInterrupt):  # the last one is the stop button
        raise
    except NotImplementedError:
        raise Todo from None
    except BaseException as error:  # anything a learner's code may raise
        if "ellipsis" in _as_text(error).lower():  # a blank that is still there, used in a formula
            raise Todo from None
        raise NotYet(
            f"Your code stopped with {type(error).__name__}: {short(error, 300)}",
            came=_line_of_answer(error),
            hint=_explain(error),
        ) from error


@contextlib.contextmanager
def _exit_is_an_error():
    """In a notebook, exit() would end the kernel after the cell instead of raising SystemExit."""
    shell = boxes.notebook_shell()
    if shell is None:
        yield
        return

    def ask_exit():
        raise SystemExit

    before, shell.ask_exit = shell.ask_exit, ask_exit
    try:
        yield
    finally:
        shell.ask_exit = before


@contextlib.contextmanager
def _time_limit(seconds):
    """Interrupt the block after some seconds, where Python can be interrupted.

    A thread does what Ctrl-C does, on every system. It has no effect outside the main thread, nor
    inside one long call of a compiled library.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    lock, over, state = threading.Lock(), threading.Event(), {"fired": False}

    # Where a shell has started Python in the background, the signal is ignored; not in here.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def fire():
        pause = seconds
        while not over.wait(pause):
            with lock:
                if not over.is_set():
                    state["fired"] = True
                    interrupt_main()
            pause = 1  # and again: a bare "except:" in a loop may have caught it

    threading.Thread(target=fire, daemon=True).start()
    try:
        try:
            yield
        finally:
            with lock:
                over.set()
            if state["fired"]:
                time.sleep(1)  # an interruption on its way must arrive here, not later
    except KeyboardInterrupt:
        if not state["fired"]:
            raise  # the learner pressed the stop button
        raise NotYet(
            f"Your code ran for more than {seconds:g} seconds and was stopped.",
            hint="Is there a loop that never ends? The check uses small inputs only.",
        ) from None
    finally:
        over.set()
        signal.signal(signal.SIGINT, before)


def _line_of_answer(error):
    """The learner's own line that failed, as text: no file names, no stack trace."""
    here, standard_library = str(Path(__file__).resolve().parent), str(Path(os.__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename
        and "dist-packages" not in frame.filename
        and not frame.filename.startswith((here, standard_library))
    ]
    if isinstance(error, SyntaxError) or not frames:
        return None
    return linecache.getline(frames[-1].filename, frames[-1].lineno).strip() or None


def _explain(error):
    text = _as_text(error)
    if isinstance(error, SystemExit):
        return "Take exit() or quit() away: a function ends with return."
    if isinstance(error, TypeError) and "positional argument" in text:
        return "Keep the arguments of the function as they were given."
    if "Unknown variable" in text:
        return (
            "This optimizer belongs to the generator: take the gradients for "
            "generator.trainable_variables alone, and apply them to these."
        )
    if "No gradients provided" in text:
        return (
            "No gradient reaches the weights: make the images inside the tape by calling "
            "generator(latents, training=True). predict() and .numpy() cut the gradient off."
        )
    if isinstance(error, NameError):
        return "A name is not known: is it spelled right, and has the cell that makes it been run?"
    if isinstance(error, RecursionError):
        return "Your function calls itself without end."
    return None


def _as_text(value):
    try:
        return str(value) if isinstance(value, (str, BaseException)) else repr(value)
    except BaseException:  # an object of the learner's own may do anything
        return f"<{type(value).__name__}>"


def short(value, length=120):
    text = _as_text(value)
    return text if len(text) <= length else text[: length - 3] + "..."


# What judges are written with.


def need_function(answer, name):
    """The answer must be a function, not its result."""
    if not callable(answer):
        raise NotYet(
            "A function was expected.",
            expected=name,
            came=short(answer),
            hint=f"Give the function itself, without brackets: {name}, not {name}(...).",
        )


def need_result(answer, names, of, hint):
    """The answer must be what a run returned: a dict that has these names.

    Args:
        of: what was run, and the lesson's function for it, as in ("a journey", "journey").
    """
    if not isinstance(answer, dict) or not set(names) <= set(answer):
        raise NotYet(
            f"The result of {of[0]} was expected, what {of[1]}(...) returns.",
            came=short(answer, 80),
            hint=hint,
        )


def call(function, *args):
    """The function's result; the blank `...` anywhere in it means that it is not done yet.

    It gets copies of arrays and lists, so that it cannot change what it is held against.
    """
    result = function(*(x.copy() if isinstance(x, (np.ndarray, list)) else x for x in args))
    parts = result if isinstance(result, (tuple, list)) else (result,)
    if any(part is ... for part in parts):
        raise Todo
    if result is None:
        raise NotYet(
            "Your function gave None.", came="None", hint="Does it end with return and a value?"
        )
    return result


def as_array(value, shape, what, hint="Take the mean over the batch: tf.reduce_mean(...)."):
    """The value as a float array of the given shape, whatever library it came from.

    `hint` is for an array where one number was expected.
    """
    array = as_numbers(value, what, expected=_shape_in_words(shape))
    if array.shape != shape and array.size == int(np.prod(shape)) and array.size == 1:
        array = array.reshape(shape)
    if array.shape != shape:
        mean_missing = shape == () and array.size > 1
        raise NotYet(
            f"{what} has the wrong shape.",
            expected=_shape_in_words(shape),
            came=_shape_in_words(array.shape),
            hint=hint if mean_missing else None,
        )
    return array


def as_numbers(value, what, expected=None):
    """The value as a float array of any shape, whatever library it came from."""
    hint = None
    try:
        array = np.asarray(value)
        if array.dtype.kind == "c":
            hint = "Take the real part of complex numbers: .real"
        if array.dtype.kind in "cSUMm" or np.ma.is_masked(value):  # would be cut to fit, or read
            raise TypeError
        if array.dtype.kind == "O" and any(isinstance(x, (str, bytes)) for x in array.flat):
            raise TypeError
        return array.astype(float)
    except (OverflowError, TypeError, ValueError):
        raise NotYet(f"{what} must be numbers.", expected, short(value), hint) from None


def _shape_in_words(shape):
    return "one number" if shape == () else f"an array of shape {shape}"


def measured(result, name):
    """One number of what a run returned, as a float."""
    return float(as_array(result[name], (), name))


def compare(came, expected, where, mistakes=(), tolerance=1e-4):
    """Hold numbers against the expected ones.

    Args:
        came, expected: arrays of the same shape, or numbers.
        where: for which input, in words.
        mistakes: pairs (what a typical mistake gives here, what to say about it).
        tolerance: relative, and absolute below 1.

    Raises:
        NotYet: with the mistake whose numbers came, if there is one.
    """

    def same(other):
        return np.allclose(came, other, rtol=tolerance, atol=tolerance)

    if same(expected):
        return
    likely = next((text for wrong, text in mistakes if same(wrong)), None)
    raise NotYet(f"Not the right value {where}.", _numbers(expected), _numbers(came), likely)


def _numbers(values):
    return ", ".join(f"{value:.5g}" for value in np.ravel(values)[:6])


# What has been solved, kept from one lesson to the next.


def _progress_file():
    return Path(os.environ.get("GAN_COURSE_PROGRESS") or ROOT / "workbook" / "progress.json")


def _solved():
    try:
        solved = json.loads(_progress_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # none yet, or damaged
        return set()
    return {id for id in solved if isinstance(id, str)} if isinstance(solved, list) else set()


def _remember(entry, result):
    right = result.status == "right"
    if entry.is_prediction or (entry.id in _solved()) == right:
        return
    file = _progress_file()
    with contextlib.suppress(OSError):  # a read-only folder must not stop a lesson
        file.parent.mkdir(parents=True, exist_ok=True)
        with _alone(file):
            after = _solved() | {entry.id} if right else _solved() - {entry.id}
            write_atomically(file, json.dumps(sorted(after)))


@contextlib.contextmanager
def _alone(file, patience=5.0):
    """Keep the kernels of other lessons from `file`, so that none undoes what another writes.

    A lock of the system, on a file beside it, which a dying kernel gives back. Where there are no
    such locks, or after some seconds, it goes on without.
    """
    if os.name == "nt":
        from msvcrt import LK_NBLCK, locking

        def lock(stream):
            locking(stream.fileno(), LK_NBLCK, 1)
    else:
        from fcntl import LOCK_EX, LOCK_NB, flock

        def lock(stream):
            flock(stream, LOCK_EX | LOCK_NB)

    deadline = time.monotonic() + patience
    with open(file.with_suffix(".lock"), "ab") as stream:
        while time.monotonic() < deadline:
            try:
                lock(stream)
                break
            except (BlockingIOError, PermissionError):  # another kernel has it
                time.sleep(0.01)
            except OSError:
                break
        yield


@dataclasses.dataclass(frozen=True)
class Progress:
    """Which exercises are solved; `str(progress)` is a line for each lesson."""

    lessons: dict  # lesson number -> list of (exercise, is it solved?)

    def __str__(self):
        return "\n".join(self._line(number) for number in self.lessons)

    def _line(self, number):
        entries = self.lessons[number]
        marks = "  ".join(f"{entry.id} {'done' if solved else '-'}" for entry, solved in entries)
        done = sum(solved for _, solved in entries)
        return f"lesson {int(number):02d}: {done} of {len(entries)} solved   {marks}"

    def _ipython_display_(self):
        apart = str(self).replace("  ", 4 * "\xa0")  # HTML makes one of several spaces
        boxes.show("right", "Your progress", apart.splitlines())


def progress(lesson=None):
    """What has been solved so far.

    Args:
        lesson: a lesson's number, such as 1; None for all lessons.

    Returns:
        Progress: print it, or leave it at the end of a cell.

    Raises:
        ValueError: there is no such lesson.
    """
    solved, lessons = _solved(), {}
    for entry in sorted(_REGISTRY.values(), key=lambda entry: entry.id):
        number = entry.id.split(".")[0]
        if not entry.is_prediction and lesson in (None, int(number)):
            lessons.setdefault(number, []).append((entry, entry.id in solved))
    if not lessons:
        raise ValueError(f"lesson must be None or a lesson's number, such as 1; came {lesson!r}.")
    return Progress(lessons)
