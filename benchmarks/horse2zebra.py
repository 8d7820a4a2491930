"""What lesson 08's few minutes of horses and zebras on a CPU give, in numbers.

    python -m benchmarks.horse2zebra

Nothing else should be running. A classifier, trained on real photos, says what translated ones
look like; the photos themselves are not stored.
"""

import time

import keras
import numpy as np

from benchmarks import timing, translation
from benchmarks.studies import with_error
from benchmarks.tables import RESULTS, Table
from gan_course import data, models, runtime, training

SIDE, WIDTH, HALVINGS, RATE, STEPS = 128, 32, 5, 1e-3, 4_000  # as in lesson 08
SEEDS = (0, 1, 2)
READ_SIDE, READ_STEPS = 64, 400  # of the classifier


def train(horses, zebras, seed=0, steps=STEPS):
    """A CycleGAN as lesson 08 has it, for photos a little larger than `SIDE`."""
    runtime.set_seed(seed)
    shape = (SIDE, SIDE, 3)
    cycle = training.CycleGAN(
        *(models.unet_generator(shape, 3, WIDTH, HALVINGS) for _ in range(2)),
        *(models.patch_discriminator(shape, width=WIDTH) for _ in range(2)),
        seed=seed,
    )
    rates = [training.ConstantThenLinear(RATE, steps) for _ in range(2)]
    averages = {"use_ema": True, "ema_momentum": 0.99}
    cycle.compile(
        cycle_weight=1.0,
        identity_weight=0.0,
        generator_optimizer=keras.optimizers.Adam(rates[0], beta_1=0.5, **averages),
        discriminator_optimizer=keras.optimizers.Adam(rates[1], beta_1=0.5),
    )
    flip, crop = keras.layers.RandomFlip("horizontal"), keras.layers.RandomCrop(SIDE, SIDE)
    photos = data.batches_of_two(horses, zebras, 1, seed, keras.Sequential([flip, crop])).repeat()
    cycle.fit(photos, steps_per_epoch=steps, verbose=0)
    return cycle


def read_kinds():
    """A function of photos to the probabilities (N, 2) that they show horses, or zebras."""
    horses, zebras = data.load_unpaired("horse2zebra", size=READ_SIDE)
    both = data.Images(
        np.concatenate([horses.images, zebras.images]),
        np.concatenate([horses.labels, zebras.labels]),
        horses.name,
        horses.class_names,
    )
    read = translation.reader(both, READ_STEPS, keras.layers.RandomFlip("horizontal"))

    def probabilities(images):
        small = keras.ops.image.resize(images, (READ_SIDE, READ_SIDE), antialias=True)
        return read(np.clip(small, -1, 1))[1]

    return probabilities


def measure(seed, steps=STEPS):
    """One training; a row with what test photos are read as, before and after."""
    horses, zebras = data.load_unpaired("horse2zebra", size=round(1.12 * SIDE))
    begin = time.perf_counter()
    cycle = train(horses, zebras, seed, steps)
    row, read = {"seed": seed, "minutes": (time.perf_counter() - begin) / 60}, read_kinds()
    kinds = data.load_unpaired("horse2zebra", "test", size=SIDE)
    for kind, images, way, back in zip(
        ("horse", "zebra"), kinds, ("a_to_b", "b_to_a"), ("b_to_a", "a_to_b"), strict=True
    ):
        made = cycle.translate(images.images, way)
        returned = cycle.translate(made, back)
        other = 1 - images.labels[0]
        for name, shown in (("real", images.images), ("translated", made), ("back", returned)):
            row[f"{name} {kind} read as the other"] = float(np.mean(read(shown)[:, other] > 0.5))
        row[f"{kind} changed by"] = float(np.abs(made - images.images).mean())
        row[f"{kind} there and back"] = float(np.abs(returned - images.images).mean())
    return {key: round(value, 4) for key, value in row.items()}


def report(table):
    """Write the table's Markdown from its rows."""
    rows = table.rows()
    lines = [
        [name, with_error([row[name] for row in rows], 3)]
        for name in rows[0]
        if name not in ("seed", "versions")
    ]
    table.write_markdown(
        "Horses and zebras on a CPU",
        f"{STEPS:,} steps with one photo of each kind, {SIDE} x {SIDE} pixels; seeds "
        + ", ".join(str(row["seed"]) for row in rows)
        + ". Test photos, read by a classifier that was trained on real ones: shares; and mean "
        "absolute differences of pixels from -1 to 1.",
        ["", "mean and standard error"],
        lines,
    )


def main(folder=RESULTS):
    table = Table("horse2zebra", ("seed",), folder)
    for (seed,) in table.missing([(seed,) for seed in SEEDS]):
        table.append(timing.in_own_process(measure, seed))
    report(table)


if __name__ == "__main__":
    main()
