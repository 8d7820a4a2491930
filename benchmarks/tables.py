"""Tables that grow row by row, so that a benchmark that was interrupted goes on where it was.

A table is results/NAME.jsonl, one JSON object a line, and results/NAME.md, made from it. Each row
says which settings it belongs to, and with which versions it was made.
"""

import json
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def versions():
    """What the numbers of a row may depend on besides its settings."""
    import keras
    import numpy
    import sklearn
    import tensorflow

    found = {
        package.__name__: package.__version__ for package in (tensorflow, keras, numpy, sklearn)
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"python": platform.python_version(), **found, "cores": cores}


def verdict(what, value, other, least):
    """One line of a list: what a number is in another one, and whether that is enough.

    Args:
        what: the two numbers in words.
        value, other: the numbers, or None where one was not measured.
        least: the target, for value / other.
    """
    if value is None or other is None:
        return f"- {what}: not measured (target {least:.2f})"
    ratio = round(value / other, 2)  # the number that is shown is the one that counts
    answer = "met" if ratio >= least else "not met"
    return f"- {what}: {ratio:.2f} (target {least:.2f}: {answer})"


class Table:
    """The rows of one benchmark.

    Args:
        name: the file's name in results/, without its ending.
        keys: names of the settings that tell one row from another.
        folder: where the files are.
    """

    def __init__(self, name, keys, folder=RESULTS):
        self.path, self.keys = Path(folder) / f"{name}.jsonl", tuple(keys)

    def rows(self):
        """All rows, oldest first."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def has(self, **settings):
        """Whether there is a row with these settings."""
        return any(all(row[key] == settings[key] for key in self.keys) for row in self.rows())

    def missing(self, settings):
        """Those that have no row; each is a tuple of values, in the order of `keys`."""
        found = {tuple(row[key] for key in self.keys) for row in self.rows()}
        return [each for each in settings if tuple(each) not in found]

    def append(self, row):
        """Add a row, a dict with at least the keys, and show it. One process at a time may."""
        rows = [*self.rows(), {**row, "versions": versions()}]
        text = "".join(json.dumps(each) + "\n" for each in rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, self.path)
        print({key: value for key, value in row.items() if not isinstance(value, list)}, flush=True)

    def write_markdown(self, title, text, header, lines):
        """Write results/NAME.md.

        Args:
            title, text: above the table.
            header: the columns' names.
            lines: for each line of the table, its cells as text.
        """
        ruler = ["---"] * len(header)
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ruler, *lines])
        made = {", ".join(f"{k} {v}" for k, v in row["versions"].items()) for row in self.rows()}
        self.path.with_suffix(".md").write_text(
            f"# {title}\n\n{text}\n\n{table}\n\nMade with {'; '.join(sorted(made))}.\n",
            encoding="utf-8",
            newline="\n",
        )
