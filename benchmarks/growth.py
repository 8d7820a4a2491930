"""Growth: what a training step costs as batches, images and networks grow, and data as they grow.

    python -m benchmarks.growth

Steps of the course's DCGAN on images made of noise; loading and batching on MNIST. Nothing else
should be running.
"""

import os
import tempfile
import time
from unittest import mock

import numpy as np
import tensorflow as tf

from benchmarks import limit, recipes, timing
from benchmarks.tables import RESULTS, Table
from gan_course import data, models, runtime, training

USUAL = {"batch_size": 64, "side": 28, "variant": "course", "channels": 1}
SERIES = {  # what grows, one at a time, while the rest is as usual
    "batch_size": (16, 32, 64, 128, 256),
    "side": (28, 32, 64),
    "variant": ("course", "paper"),
    "channels": (1, 3),
}
IMAGES = (5_000, 20_000, 60_000)


def measure_step(batch_size, side, variant, channels, blocks=5, at_least=2.0):
    """One row: milliseconds a step in some blocks, and the operations of a step."""
    runtime.set_seed(0)
    shape = (side, side, channels)
    networks = (
        models.dcgan_generator(64, shape, variant),
        models.dcgan_discriminator(shape, variant),
    )
    gan = training.SimultaneousGAN(*networks, latent_dim=64)
    gan.compile(**recipes.course_optimizers())
    images = tf.random.uniform((batch_size, *shape), -1, 1)
    seconds = timing.seconds_per_call(lambda: gan.step(images), blocks, at_least)
    return {
        "case": {"batch_size": batch_size, "side": side, "variant": variant, "channels": channels},
        "milliseconds": [round(1e3 * each, 3) for each in seconds],
        "operations": limit.step_operations(*networks, batch_size),
    }


def measure_data(count, name="mnist", batch_size=64, blocks=5):
    """One row: seconds to load a data set, the first time and again, and to batch some of it."""
    with (
        tempfile.TemporaryDirectory() as cache,
        mock.patch.dict(os.environ, GAN_COURSE_CACHE=cache),
    ):
        loading = []
        for _ in range(2):
            begin = time.perf_counter()
            digits = data.load(name)
            loading.append(round(time.perf_counter() - begin, 3))
    batches = digits[:count].batches(batch_size)

    def epoch():
        for _ in batches:
            pass

    return {
        "case": {"images": count},
        "loaded": len(digits),
        "seconds_to_load": loading,
        "seconds_per_epoch": [
            round(each, 4) for each in timing.seconds_per_call(epoch, blocks, at_least=0)
        ],
    }


def cases():
    """The settings of all steps, each once."""
    found = []
    for name, values in SERIES.items():
        for value in values:
            case = {**USUAL, name: value}
            if case not in found:
                found.append(case)
    return found


def _median(row, key):
    return float(np.median(row[key]))


def write(table):
    """The Markdown, from the rows."""
    rows = table.rows()

    def row_of(case):
        return next(row for row in rows if row["case"] == case)

    lines, ratios = [], []
    for name, values in SERIES.items():
        series = [row_of({**USUAL, name: value}) for value in values]
        words = name.replace("_", " ")
        for value, row in zip(values, series, strict=True):
            milliseconds = _median(row, "milliseconds")
            work = row["operations"] / series[0]["operations"]
            times = milliseconds / _median(series[0], "milliseconds")
            lines.append(
                [
                    f"{words} {value}",
                    f"{milliseconds:.1f}",
                    f"{min(row['milliseconds']):.1f} to {max(row['milliseconds']):.1f}",
                    f"{1e3 * row['case']['batch_size'] / milliseconds:,.0f}",
                    f"{row['operations'] / 1e9:.2f}",
                    f"{work:.2f}",
                    f"{times:.2f}",
                ]
            )
        ratios.append(
            f"- {words} from {values[0]} to {values[-1]}: {work:.2f} times the operations in "
            f"{times:.2f} times the time"
        )
    counts = [row for row in rows if "images" in row["case"]]
    counts.sort(key=lambda row: row["case"]["images"])
    first, last = counts[0], counts[-1]
    times = _median(last, "seconds_per_epoch") / _median(first, "seconds_per_epoch")
    ratios.append(
        f"- images in an epoch from {first['case']['images']:,} to {last['case']['images']:,}: "
        f"{last['case']['images'] / first['case']['images']:.2f} times the images in {times:.2f} "
        "times the time"
    )
    load = [np.median([row["seconds_to_load"][i] for row in counts]) for i in (0, 1)]
    epochs = "\n".join(
        f"- {row['case']['images']:,} images: {_median(row, 'seconds_per_epoch'):.3f} s"
        for row in counts
    )
    table.write_markdown(
        "Growth",
        "\n\n".join(
            [
                "A simultaneous training step of the course's DCGAN in float32, with one setting "
                "changed at a time from "
                + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in USUAL.items())
                + ". Median and range of some blocks; the last columns are times the first of "
                "each series.",
                "\n".join(ratios),
                f"`data.load` always reads a data set whole: {first['loaded']:,} images in "
                f"{load[0]:.2f} s the first time, and {load[1]:.2f} s from the course's cache. "
                f"One epoch of batches, shuffled, without training:\n\n{epochs}",
            ]
        ),
        [
            "what grows",
            "ms a step",
            "range",
            "images/s",
            "GFLOP a step",
            "times the operations",
            "times the time",
        ],
        lines,
    )


def main(folder=RESULTS):
    table = Table("growth", keys=("case",), folder=folder)
    for case in cases():
        if not table.has(case=case):
            table.append(timing.in_own_process(measure_step, *case.values()))
    for count in IMAGES:
        if not table.has(case={"images": count}):
            table.append(timing.in_own_process(measure_data, count))
    write(table)


if __name__ == "__main__":
    main()
