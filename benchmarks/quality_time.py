"""Quality against time: DCGANs as we and as others train them, on the same machine.

    python -m benchmarks.quality_time

Each recipe of `benchmarks.recipes` trains on MNIST for so many seconds, with several seeds. At each
mark 10,000 images are held against the test set. The clock runs while networks are built and
compiled, and stands while images are scored. Nothing else should be running.
"""

import concurrent.futures
import multiprocessing
import time

import numpy as np

from benchmarks import recipes
from benchmarks.tables import Table
from gan_course import data, metrics

MARKS = (30, 60, 120, 180, 300)  # seconds of training
SEEDS = (0, 1, 2)


def measure(name, seed):
    """One training; a row."""
    digits, test = data.load("mnist"), data.load("mnist", "test")
    score = metrics.FrechetDistance(test.images)
    score(test.images[:500])  # loads the classifier
    begin = time.perf_counter()
    recipe = getattr(recipes, name)(seed)
    batches = iter(digits.batches(recipe.batch_size, seed).repeat())
    recipe.step(next(batches)[0])
    started = time.perf_counter() - begin
    steps, away, found = 1, 0.0, []
    for mark in MARKS:
        while time.perf_counter() - begin - away < mark:
            recipe.step(next(batches)[0])
            steps += 1
        pause = time.perf_counter()
        distance = score(recipe.sample(10_000))
        found.append({"seconds": mark, "fid": round(distance, 2), "steps": steps})
        away += time.perf_counter() - pause
    return {
        "recipe": name,
        "seed": seed,
        "seconds_to_first_step": round(started, 1),
        "images_per_second": round(steps * recipe.batch_size / (MARKS[-1] - started)),
        "floor": round(score.floor(), 2),
        "curve": found,
    }


def main():
    table = Table("quality_time", keys=("recipe", "seed"))
    spawn = multiprocessing.get_context("spawn")  # each in a process of its own
    names = [recipe.__name__ for recipe in recipes.RECIPES]
    for seed in SEEDS:
        for name in names:
            if not table.has(recipe=name, seed=seed):
                with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
                    table.append(pool.submit(measure, name, seed).result())
    rows = table.rows()
    lines = []
    for name in names:
        curves = [[point["fid"] for point in row["curve"]] for row in rows if row["recipe"] == name]
        mean, spread = np.mean(curves, axis=0), np.ptp(curves, axis=0) / 2
        cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, spread, strict=True)]
        speed = np.mean([row["images_per_second"] for row in rows if row["recipe"] == name])
        start = np.mean([row["seconds_to_first_step"] for row in rows if row["recipe"] == name])
        lines.append([name, *cells, f"{speed:,.0f}", f"{start:.1f}"])
    sources = "\n".join(
        f"- {recipe.__name__}: {recipe.source}" + (f"; {recipe.adapted}" if recipe.adapted else "")
        for recipe in recipes.RECIPES
    )
    table.write_markdown(
        "Quality against time",
        f"Fréchet distance to the MNIST test set (features of the course's classifier, 10,000 "
        f"images; perfect samples score {np.mean([row['floor'] for row in rows]):.2f}) after so "
        f"many seconds of training, compilation included. Mean of {len(SEEDS)} seeds ± half of the "
        f"range.\n\n{sources}",
        ["recipe", *(f"{mark} s" for mark in MARKS), "images/s", "seconds to the first step"],
        lines,
    )


if __name__ == "__main__":
    main()
