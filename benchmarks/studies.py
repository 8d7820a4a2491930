"""What studies of many methods share: the price of a step, missing trials, words for tables."""

import dataclasses

import numpy as np

from benchmarks import timing


def cost(rows, name):
    """Milliseconds a step of a method, or None where that was not measured yet."""
    return next((row["ms"] for row in rows if "ms" in row and row["method"] == name), None)


def with_error(values, digits):
    """Mean and standard error in words; infinite where a value is missing."""
    values = np.array([np.inf if value is None else value for value in values], dtype=float)
    if not np.isfinite(values).all():
        return "inf"
    if len(values) < 2:
        return f"{values[0]:.{digits}f}"
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.{digits}f} ± {error:.{digits}f}"


def not_complete(missing):
    """The beginning of a table's text."""
    return f"NOT COMPLETE: {missing} runs are missing.\n\n" if missing else ""


def measure_costs(table, methods, measure):
    """Time a step of each method that was not timed yet; nothing else should be running."""
    for name in methods:
        if cost(table.rows(), name) is None:
            table.append(timing.in_own_process(measure, name))


def run_missing(table, trials, measure, report, call=tuple):
    """Run the trials that a table lacks, on all cores, and write the table after each.

    Args:
        trials: tuples of values, in the order of the table's keys.
        measure: makes a row, in a process of its own.
        report: writes the table's Markdown.
        call: makes the arguments of `measure` from a trial.
    """

    def keep(row):
        table.append(row)
        report(table)

    timing.on_all_cores(measure, [call(each) for each in table.missing(trials)], keep)


@dataclasses.dataclass(frozen=True)
class ShortAndLong:
    """A study whose methods try their settings in short runs; the best ones then run for longer.

    Attributes:
        methods: name -> method.
        budget: the key of how long a run is.
        short: that of the short runs.
        score: the key of what should be small; None in a row means that the run diverged.
    """

    methods: dict
    budget: str
    short: float
    score: str

    def value(self, row):
        return np.inf if row[self.score] is None else row[self.score]

    def runs(self, rows, name, budget):
        """The rows of a method that learned for so long."""
        return [row for row in rows if row["method"] == name and row[self.budget] == budget]

    def tried(self, rows, name):
        """The scores of a method's settings in the short runs, the best first."""
        runs = self.runs(rows, name, self.short)
        found = {(row["rate"], row["extra"]): self.value(row) for row in runs}
        return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))  # ties by settings

    def best(self, rows, name):
        """The settings of a method that were best in the short runs."""
        return next(iter(self.tried(rows, name)))

    def scoreboard(self, rows, budget):
        """Methods with runs of this length and these runs, the best mean score first."""
        found = {name: self.runs(rows, name, budget) for name in self.methods}
        mean = {name: np.mean(list(map(self.value, runs))) for name, runs in found.items() if runs}
        return {name: found[name] for name in sorted(mean, key=mean.get)}

    def tried_in_words(self, rows, digits):
        """A list for Markdown: each method's settings and their scores."""
        return "\n".join(
            f"- {name}: "
            + "; ".join(
                f"{method.in_words(*settings)}: {value:.{digits}f}"
                for settings, value in found.items()
            )
            for name, method in self.methods.items()
            if (found := self.tried(rows, name))
        )

    def run(self, table, trials, measure, report):
        """`run_missing` for a `measure` that also takes the milliseconds a step."""
        rows = table.rows()
        run_missing(table, trials, measure, report, lambda each: (*each, cost(rows, each[0])))
