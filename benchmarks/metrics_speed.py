"""How long the metrics take, and how much memory, against the number of samples.

    python -m benchmarks.metrics_speed

Seconds include the features of real and generated images. Nothing else should be running.
"""

import threading
import time

import numpy as np
import psutil

from benchmarks import timing
from benchmarks.tables import Table
from gan_course import data, metrics

COUNTS = (1_000, 2_000, 5_000, 10_000, 20_000)
SCORES = {
    "FrechetDistance": lambda real, fake: metrics.FrechetDistance(real)(fake),
    "KernelDistance": lambda real, fake: metrics.KernelDistance(real)(fake),
    "InceptionScore": lambda real, fake: metrics.InceptionScore()(fake),
    "precision_recall": lambda real, fake: metrics.precision_recall(real, fake),
}


def _megabytes():
    return psutil.Process().memory_info().rss / 1e6


def _highest(done, found):
    """Keep an eye on the memory in use until `done` is set."""
    while not done.wait(0.01):
        found.append(_megabytes())


def measure(name, count):
    """Seconds (best of three), memory on top of the images', and the score itself."""
    images = np.concatenate([data.load("mnist").images, data.load("mnist", "test").images])
    chosen = np.random.default_rng(0).permutation(len(images))[: 2 * count]
    real, fake = images[chosen[:count]], images[chosen[count:]]
    SCORES[name](real[:300], fake[:300])  # loads the classifier
    before, seconds, found, done = _megabytes(), [], [], threading.Event()
    watch = threading.Thread(target=_highest, args=(done, found))
    watch.start()
    for _ in range(3):
        begin = time.perf_counter()
        score = SCORES[name](real, fake)
        seconds.append(time.perf_counter() - begin)
    done.set()
    watch.join()
    return {
        "metric": name,
        "samples": count,
        "seconds": round(min(seconds), 2),
        "megabytes": round(max(found) - before),
        "score": str(score),
    }


def main():
    table = Table("metrics_speed", keys=("metric", "samples"))
    for name in SCORES:
        for count in COUNTS:
            if not table.has(metric=name, samples=count):
                table.append(timing.in_own_process(measure, name, count))
    rows = {(row["metric"], row["samples"]): row for row in table.rows()}
    table.write_markdown(
        "Time of the metrics",
        "Seconds for so many real against so many other real MNIST images, features included, and "
        "in brackets the megabytes in use beyond the images at the highest moment.",
        ["metric", *(f"{count:,}" for count in COUNTS)],
        [
            [name, *(f"{(r := rows[name, c])['seconds']:.1f} ({r['megabytes']})" for c in COUNTS)]
            for name in SCORES
        ],
    )


if __name__ == "__main__":
    main()
