"""Tables that grow row by row, so that a benchmark that was interrupted goes on where it was.

A table is results/NAME.jsonl, one JSON object a line, and results/NAME.md, made from it. Each row
says which settings it belongs to, and with which versions it was made.
"""

import json
import os
import platform
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def versions():
    """What the numbers of a row may depend on besides its settings."""
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras",)}
    found = {}
    for name, packages in names.items():
        for package in packages:
            try:
                found[name] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"python": platform.python_version(), **found, "cores": cores}


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
        """All whole rows, oldest first; what an interruption left half-written is not one."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def has(self, **settings):
        """Whether there is a row with these settings."""
        return any(all(row[key] == settings[key] for key in self.keys) for row in self.rows())

    def append(self, row):
        """Add a row, a dict with at least the keys, and show it."""
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
        found = self.rows()[-1]["versions"]
        made = ", ".join(f"{name} {value}" for name, value in found.items())
        self.path.with_suffix(".md").write_text(
            f"# {title}\n\n{text}\n\n{table}\n\nMade with {made}.\n", encoding="utf-8", newline="\n"
        )
