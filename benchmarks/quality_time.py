"""Quality against time: DCGANs as we and as others train them, on the same machine.

    python -m benchmarks.quality_time

Each recipe of `benchmarks.recipes` trains on MNIST for so many seconds, with several seeds. At each
mark 10,000 images are held against the test set. The clock runs while networks are built and
compiled, and stands while images are scored. Nothing else should be running: all recipes of one
seed take about an hour.
"""

import importlib
import time

import numpy as np

from benchmarks import recipes, timing
from benchmarks.tables import Table
from gan_course import data, metrics

MARKS = (30, 60, 120, 180, 300)  # seconds of training
OUR_MARKS = (6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 90, 120, 180, 300)  # to find the moment
LONG_MARKS = (*MARKS, 600, 900)
SEEDS = (0, 1, 2)
LEVELS = (100, 50, 25, 12, 6, 3)
OURS, SLOWEST = "Course", "TensorFlowTutorial"


def marks_of(name):
    """When a recipe is scored, in seconds of training."""
    return {OURS: OUR_MARKS, "CourseBfloat16": OUR_MARKS, SLOWEST: LONG_MARKS}.get(name, MARKS)


def measure(name, seed, marks=None, count=10_000):
    """One training; a row."""
    marks = marks or marks_of(name)
    digits, test = data.load("mnist"), data.load("mnist", "test")
    score = metrics.FrechetDistance(test.images)
    classifier = metrics.get_features("mnist")
    score(test.images[:500])  # loads the classifier, and compiles it
    kind = getattr(recipes, name)
    importlib.import_module(getattr(kind, "needs", "tensorflow"))  # libraries before the clock
    begin = time.perf_counter()
    recipe = kind(seed)
    batches = iter(digits.batches(recipe.batch_size, seed).repeat())
    recipe.step(next(batches)[0])
    started = time.perf_counter() - begin
    steps, away, found = 1, 0.0, []
    for mark in marks:
        while time.perf_counter() - begin - away < mark:
            recipe.step(next(batches)[0])
            steps += 1
        pause = time.perf_counter()
        images = recipe.sample(count)
        probabilities = classifier.probabilities(images)
        shares = np.bincount(probabilities.argmax(axis=1), minlength=10) / count
        found.append(
            {
                "seconds": mark,
                "steps": steps,
                "fid": round(float(score(images)), 2),
                "confident": round(float(np.mean(probabilities.max(axis=1) > 0.9)), 3),
                "rarest_class": round(float(shares.min()), 4),
            }
        )
        away += time.perf_counter() - pause
    return {
        "recipe": name,
        "seed": seed,
        "precision": getattr(recipe, "precision", "float32"),
        "seconds_to_first_step": round(started, 1),
        "images_per_second": round(steps * recipe.batch_size / (marks[-1] - started)),
        "floor": round(float(score.floor(count)), 2),
        "curve": found,
    }


def at(row, seconds):
    """The distance that a run had at a mark."""
    return next(point["fid"] for point in row["curve"] if point["seconds"] == seconds)


def seconds_to(row, level):
    """The first mark at which a run had reached a distance, or None."""
    return next((point["seconds"] for point in row["curve"] if point["fid"] <= level), None)


def targets(rows):
    """What the course promises, held against the rows: (promise, for each seed what came)."""
    promises = {
        "times sooner than TensorFlow's tutorial to its level after 900 s (at least 50)": [],
        "the same, from the first mark at which the tutorial had that level": [],
        "times sooner than the best other recipe to its level after 300 s (at least 5)": [],
        "distance after 180 s, times that of TensorFlow's tutorial after 300 s (at most 1/12)": [],
        "distance after 300 s, times that of TensorFlow's tutorial after 300 s (aim 1/25)": [],
    }
    for seed in sorted({row["seed"] for row in rows}):
        found = {row["recipe"]: row for row in rows if row["seed"] == seed}
        others = [row for name, row in found.items() if not name.startswith(OURS)]
        if OURS not in found or SLOWEST not in found or len(others) < 2:
            continue
        ours, slowest = found[OURS], found[SLOWEST]
        best = min(others, key=lambda row: at(row, 300))
        values = (
            _sooner(ours, slowest, 900, of=900),
            _sooner(ours, slowest, 900),
            _sooner(ours, best, 300),
            f"1/{at(slowest, 300) / at(ours, 180):.1f}",
            f"1/{at(slowest, 300) / at(ours, 300):.1f}",
        )
        for promise, value in zip(promises.values(), values, strict=True):
            promise.append(value)
    return promises


def _sooner(ours, other, seconds, of=None):
    """How many times sooner we are at the level that another recipe has after some seconds.

    Distances go up and down. Without `of`, the other one's time is that of its first mark at the
    level.
    """
    level = at(other, seconds)
    needed = seconds_to(ours, level)
    return "never" if needed is None else f"{(of or seconds_to(other, level)) / needed:.1f}"


def report(table):
    """Write the table's Markdown from its rows."""
    rows = table.rows()
    seeds = sorted({row["seed"] for row in rows})
    lines, to_levels = [], []
    for name in dict.fromkeys(row["recipe"] for row in rows):
        runs = [row for row in rows if row["recipe"] == name]
        cells = [_mean_and_range([at(run, mark) for run in runs]) for mark in MARKS]
        speed = np.mean([run["images_per_second"] for run in runs])
        start = np.mean([run["seconds_to_first_step"] for run in runs])
        lines.append(
            [name, str(len(runs)), *cells, f"{speed:,.0f}", f"{start:.1f}", runs[0]["precision"]]
        )
        to_levels.append([name, *(_interval(runs, level) for level in LEVELS)])
    sources = "\n".join(
        f"- {recipe.__name__}: {recipe.source}" + (f"; {recipe.adapted}" if recipe.adapted else "")
        for recipe in recipes.RECIPES
    )
    kept = "\n".join(
        f"- {promise}: {', '.join(values) or 'not measured yet'}"
        for promise, values in targets(rows).items()
    )
    ours = [
        next(point for point in row["curve"] if point["seconds"] == 60)
        for row in rows
        if row["recipe"] == OURS
    ]
    readable = ", ".join(
        f"{point['confident']:.0%} (rarest class {point['rarest_class']:.1%})" for point in ours
    )
    head = ["recipe", *(f"≤ {level}" for level in LEVELS)]
    levels = "\n".join(
        "| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *to_levels]
    )
    table.write_markdown(
        "Quality against time",
        f"Fréchet distance to the MNIST test set (features of the course's classifier, 10,000 "
        f"images; perfect samples score {np.mean([row['floor'] for row in rows]):.2f}) after so "
        "many seconds of training, compilation included: mean of the seeds and, in brackets, the "
        f"lowest and highest. Seeds: {', '.join(map(str, seeds))}. The time to the first step is "
        "that of building and compiling; subtract it for seconds without.\n\n"
        f"{sources}\n\nFor each seed:\n\n{kept}\n- after 60 s, generated digits that the "
        f"classifier reads with more than 90% confidence: {readable}\n\n"
        "Between which seconds of training a distance was reached (the last mark without and the "
        f"first one with it; -: not by all seeds):\n\n{levels}",
        [
            "recipe",
            "seeds",
            *(f"{mark} s" for mark in MARKS),
            "images/s",
            "s to the first step",
            "precision",
        ],
        lines,
    )


def _mean_and_range(values):
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _interval(runs, level):
    """Between which marks a level was reached: the earliest and the latest of the seeds."""
    marks = [[point["seconds"] for point in run["curve"]] for run in runs]
    reached = [seconds_to(run, level) for run in runs]
    if None in reached:
        return "-"
    before = [
        max((m for m in each if m < r), default=0) for each, r in zip(marks, reached, strict=True)
    ]
    return f"{min(before)} to {max(reached)}"


def main():
    table = Table("quality_time", keys=("recipe", "seed"))
    for seed in SEEDS:
        for recipe in recipes.RECIPES:
            name = recipe.__name__
            if not table.has(recipe=name, seed=seed):
                table.append(timing.in_own_process(measure, name, seed))
                report(table)
    report(table)


if __name__ == "__main__":
    main()
