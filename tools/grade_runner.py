"""Runs one student's answers inside a freshly built lesson, and says what came of each.

tools/teaching.py starts it as a process of its own, with a job (JSON) on its standard input. What
answers print goes nowhere. Verdicts leave through a copy of the standard output, a line of JSON
each, which carries the job's random token.
"""

import ast
import importlib
import json
import linecache
import os
import secrets
import sys
import types

import numpy as np

FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type, np.ufunc, type(np.allclose))
PARTS = ("__code__", "__defaults__", "__kwdefaults__")
GUARDED = ("builtins", "math", "numpy", "scipy", "tensorflow", "keras", "gan_course")


class Runner:
    """A lesson's cells, run one after another in one namespace.

    Args:
        token, channel: what each message carries, and the stream that it is written to.
        checker: the checker, imported before any answer was run.
        modules: that copy of the course, name -> module, which `sys.modules` no longer holds.
        solutions: exercise -> the course's own answer, of the copy that answers can import.
    """

    def __init__(self, token, channel, checker, modules, solutions):
        from IPython.core.interactiveshell import InteractiveShell

        class Shell(InteractiveShell):
            def ask_exit(self):  # what exit() in a cell calls
                raise SystemExit

            def enable_gui(self, gui=None):  # what %matplotlib calls; there is no window here
                pass

        self.token, self.channel, self.checker, self.modules = token, channel, checker, modules
        self.solutions = solutions
        self.shell = Shell.instance()
        self.names = self.shell.user_ns
        self.judged = set()

    def say(self, **message):
        self.channel.write(json.dumps({"token": self.token, **message}) + "\n")
        self.channel.flush()

    def run(self, cells):
        """Runs cells: {"kind": "course", "answer" or "check", ...}, see tools/teaching.py."""
        for number, cell in enumerate(cells):
            self.say(at=number)
            if cell["kind"] == "answer":
                self.names_before, self.functions_before = dict(self.names), self.functions()
                self.parts_before = parts(self.functions_before)
                self.blank = cell["blank"]
                self.problem = self.run_answer(cell["sources"] or [cell["blank"]])
            elif cell["kind"] == "check":
                self.check(cell["exercise"], cell["source"])
                self.put_names_back()
            else:
                self.run_course(cell["source"])

    def run_course(self, source):
        """Runs a cell of the course, past whatever an answer may have hooked into the shell.

        Returns its error, or None.
        """
        file = f"<lesson {len(linecache.cache)}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        try:
            with self.shell.builtin_trap:
                exec(compile(source, file, "exec"), self.names)
        except BaseException as error:  # an answer that the cell calls may raise anything
            return error

    def run_answer(self, sources):
        """Runs a student's cells; returns the first error, or None."""
        done = [self.shell.run_cell(source) for source in sources]
        errors = [result.error_before_exec or result.error_in_exec for result in done]
        return next((error for error in errors if error), None)

    def check(self, exercise, source):
        """Runs a check cell in which `exercises.check` and `answer` are this runner's `judge`."""
        name = f"_{secrets.token_hex(8)}"
        source = source.replace("exercises.check(", f"{name}(")
        source = source.replace("exercises.answer(", f"{name}(")
        self.names[name] = lambda id, answer: self.judge(id, answer)
        error = self.run_course(source)
        if exercise not in self.judged:
            self.verdict(exercise, "error", in_words(self.problem or error))
            self.run_course(self.blank)  # so that the lesson goes on with the course's answer
            self.run_course(source)
        del self.names[name]

    def judge(self, id, answer):
        """Says the verdict, and returns the course's own answer, for the lesson to go on with."""
        if id not in self.judged:
            changed = self.put_functions_back()
            if not changed:
                result = self.checker.judge(id, answer)
                changed = self.put_functions_back()
            if changed:
                self.verdict(id, "error", f"The answer replaces {', '.join(changed[:3])}")
            else:
                status = {"todo": "not answered"}.get(result.status, result.status)
                after = f"(The cell stopped with {in_words(self.problem)})" if self.problem else ""
                self.verdict(id, status, f"{result.message} {result.hint} {after}")
        return self.solutions[id]

    def verdict(self, exercise, verdict, message):
        self.judged.add(exercise)
        self.say(exercise=exercise, verdict=verdict, message=" ".join(message.split())[:500])

    def functions(self):
        """The functions and classes that the guarded modules hold: {module: {name: value}}."""
        modules = [m for name, m in sys.modules.items() if name.partition(".")[0] in GUARDED]
        return {
            module: {
                name: value for name, value in vars(module).items() if isinstance(value, FUNCTIONS)
            }
            for module in [*modules, *self.modules.values()]
            if isinstance(module, types.ModuleType)
        }

    def put_functions_back(self):
        """Undoes replaced functions, such as another `numpy.allclose`; returns their names."""
        changed = []
        for module, functions in self.functions_before.items():
            now = vars(module)
            for name, value in functions.items():
                if now.get(name) is not value:
                    now[name] = value
                    changed.append(f"{module.__name__}.{name}")
        for function, part, value in self.parts_before:
            if getattr(function, part) is not value:
                setattr(function, part, value)
                changed.append(f"{function.__module__}.{function.__name__}.{part}")
        return changed

    def put_names_back(self):
        """Undoes what an answer did to the lesson's names, other than those that it was to make."""
        nodes = list(ast.walk(ast.parse(self.blank)))
        own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        own |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for name, value in self.names_before.items():
            if name not in own and not name.startswith("_"):
                self.names[name] = value


def parts(functions):
    """What makes up these functions and those that they wrap: [(function, part, value), ...]."""
    found = {id(value): value for names in functions.values() for value in names.values()}
    wrapped = [getattr(value, "__wrapped__", None) for value in found.values()]
    found.update({id(value): value for value in wrapped})
    return [
        (value, part, getattr(value, part))
        for value in found.values()
        if isinstance(value, types.FunctionType)
        for part in PARTS
    ]


def in_words(error):
    return f"{type(error).__name__}: {error}" if error else "its check did not reach a verdict"


def main():
    """Reads the job, hides the streams and the checker, and runs the cells."""
    job = json.load(sys.stdin)
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    checker = import_checker(job["course"])
    course = [name for name in sys.modules if name.partition(".")[0] == "gan_course"]
    modules = {name: sys.modules.pop(name) for name in course}
    registry = import_checker(os.path.dirname(os.getcwd()))._REGISTRY
    solutions = {id: exercise.solution for id, exercise in registry.items()}
    del sys.path[0]
    Runner(job["token"], channel, checker, modules, solutions).run(job["cells"])


def import_checker(folder):
    sys.path[0] = folder  # at first in place of tools/
    return importlib.import_module("gan_course.exercises.checker")


if __name__ == "__main__":
    main()
