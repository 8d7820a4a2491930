"""What lesson 08's few minutes of horses and zebras on a CPU give, in numbers.

    python -m benchmarks.horse2zebra

Nothing else should be running. A classifier, trained on real photos, says what translated ones
look like; the photos themselves are not stored.
"""

import time

import keras
import numpy as np

from benchmarks import timing, translation
from benchmarks.tables import RESULTS, Table
from gan_course import data, models, runtime, training

SIDE, WIDTH, HALVINGS, RATE, STEPS = 128, 32, 5, 1e-3, 2_000  # as in lesson 08
TRAININGS = ((0.5, STEPS), (0.0, 500))  # identity weight, steps: 500 show what goes wrong without
KEYS = ("identity_weight", "steps", "seed")
READ_SIDE, READ_STEPS = 64, 800  # of the classifier


def train(horses, zebras, identity_weight, steps, seed):
    """A CycleGAN as lesson 08 has it, for photos a little larger than `SIDE`."""
    runtime.set_seed(seed)
    shape = (SIDE, SIDE, 3)
    cycle = training.CycleGAN(
        *(models.unet_generator(shape, 3, WIDTH, HALVINGS) for _ in range(2)),
        *(models.patch_discriminator(shape, width=WIDTH) for _ in range(2)),
        seed=seed,
    )
    rates = [training.ConstantThenLinear(RATE, STEPS) for _ in range(2)]
    averages = {"use_ema": True, "ema_momentum": 0.99}
    cycle.compile(
        cycle_weight=1.0,
        identity_weight=identity_weight,
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


def measure(identity_weight, steps, seed):
    """One training; a row with what test photos are read as, before and after."""
    horses, zebras = data.load_unpaired("horse2zebra", size=round(1.12 * SIDE))
    begin = time.perf_counter()
    cycle = train(horses, zebras, identity_weight, steps, seed)
    row, read = {"minutes": (time.perf_counter() - begin) / 60}, read_kinds()
    kinds = data.load_unpaired("horse2zebra", "test", size=SIDE)
    for kind, images, way, back in zip(
        ("horse", "zebra"), kinds, ("a_to_b", "b_to_a"), ("b_to_a", "a_to_b"), strict=True
    ):
        made = cycle.translate(images.images, way)
        other = 1 - images.labels[0]
        for name, shown in (("real", images.images), ("translated", made)):
            row[f"{name} {kind} read as the other"] = np.mean(read(shown)[:, other] > 0.5)
        row[f"{kind} and translation correlate"] = np.corrcoef(images.images.flat, made.flat)[0, 1]
        returned = cycle.translate(made, back)
        row[f"{kind} there and back"] = np.abs(returned - images.images).mean()
    settings = dict(zip(KEYS, (identity_weight, steps, seed), strict=True))
    return settings | {key: round(float(value), 4) for key, value in row.items()}


def report(table):
    """Write the table's Markdown from its rows."""
    rows = table.rows()
    names = [name for name in rows[0] if name not in (*KEYS, "versions")]
    table.write_markdown(
        "Horses and zebras on a CPU",
        f"One photo of each kind a step, {SIDE} x {SIDE} pixels. Test photos, read by a classifier "
        "that was trained on real ones: shares; correlations of pixels; and mean absolute "
        "differences of pixels from -1 to 1.",
        ["", *(f"identity weight {r['identity_weight']}, {r['steps']:,} steps" for r in rows)],
        [[name, *(f"{row[name]:.3f}" for row in rows)] for name in names],
    )


def main(folder=RESULTS):
    table = Table("horse2zebra", KEYS, folder)
    for settings in table.missing([(*settings, 0) for settings in TRAININGS]):
        table.append(timing.in_own_process(measure, *settings))
        report(table)


if __name__ == "__main__":
    main()
