"""Stacked MNIST: images of 1,000 kinds, and how many of them a generator draws. Lesson 04 shows it.

    python -m benchmarks.stacked_mnist

Three digits, one in each color channel, drawn independently (Metz et al. 2017). As in VEEGAN and
PacGAN a training set of 128,000 such images is drawn once, and a classifier names the digits of
26,000 generated ones. The networks are those of lesson 02 with three channels, or its discriminator
without BatchNorm. First a step of each method is timed, while nothing else should be running; from
then on minutes are so many steps, as many trainings run at once as there are cores, and what else
runs does not matter. (Each takes 5 GB of memory.) Every method tries its small set of settings for
a minute with one seed; the best ones then learn for longer, with other seeds. Learning rates fall
to nearly 0 along a line.
"""

import functools
import itertools

import keras
import numpy as np
from keras import layers

from benchmarks import timing
from benchmarks.mode_collapse import Method
from benchmarks.studies import ShortAndLong, cost, measure_costs, not_complete, with_error
from benchmarks.tables import RESULTS, Table, verdict
from gan_course import data, losses, metrics, models, runtime, training

TRAINING_IMAGES = 128_000
GRID_COUNT, COUNT = 5_000, 26_000  # generated images of a score
BATCH_SIZE, LATENT_DIM, STEPS_AT_ONCE = 32, 64, 50
GRID_SEED, GRID_MINUTES = 100, 1
SEEDS, MINUTES = (0, 1, 2), 2
LONGER_SEEDS, LONGER = (0, 1), 10  # minutes that the best method learns for, too
KEYS = ("method", "rate", "extra", "seed", "minutes")
PUBLISHED = {  # modes of 1,000 and reverse KL
    "DCGAN": (99, 3.40, "Srivastava et al. 2017, table 2"),
    "Unrolled GAN": (48.7, 4.32, "Srivastava et al. 2017, table 2"),
    "VEEGAN": (150, 2.95, "Srivastava et al. 2017, table 2"),
    "DCGAN, run again": (78.9, 4.50, "Lin et al. 2018"),
    "PacDCGAN2": (1000, 0.06, "Lin et al. 2018"),
    "WGAN-GP": (959, 0.73, "Huang et al. 2024, table 3"),
    "StyleGAN2": (940, 0.42, "Huang et al. 2024, table 3"),
    "R3GAN": (1000, 0.029, "Huang et al. 2024, table 3"),
}


def _penalized(loss, penalties, source):
    return Method(
        source,
        lambda gamma: {"loss": loss, "penalty": [penalty(gamma) for penalty in penalties]},
        rates=(1e-3, 2e-3),
        extras=(0.1, 1.0),
        extra_name="gamma",
        beta_1=0.0,
        normalization="none",
    )


def _with_batch_norm(source, **options):
    return Method(
        source,
        rates=(1e-3, 2e-3, 4e-3),
        normalization="batch",
        kind=training.SimultaneousGAN,
        **options,
    )


METHODS = {
    "lesson 02": _with_batch_norm("Radford et al. 2015"),
    "packing": _with_batch_norm(
        "Lin et al. 2018", extras=(2,), extra_name="in a pack", pack=lambda extra: extra
    ),
    "minibatch deviation": _with_batch_norm("Karras et al. 2018", layer=models.MinibatchStd),
    "R1": _penalized("non_saturating", [losses.R1], "Mescheder et al. 2018"),
    "R1 and R2": _penalized("non_saturating", [losses.R1, losses.R2], "Mescheder et al. 2018"),
    "relativistic, R1": _penalized("relativistic", [losses.R1], "Huang et al. 2024"),
    "relativistic, R1 and R2": _penalized(
        "relativistic", [losses.R1, losses.R2], "Huang et al. 2024"
    ),
}


def build_networks(method, extra):
    """Generator and discriminator of a method."""
    shape = (28, 28, 3 * method.pack(extra))
    discriminator = models.dcgan_discriminator(shape, normalization=method.normalization)
    if method.layer is not None:
        parts = [*discriminator.layers[:-1], method.layer(), layers.Dense(1)]
        discriminator = keras.Sequential([keras.Input(shape), *parts])
    return models.dcgan_generator(LATENT_DIM, (28, 28, 3)), discriminator


def build_gan(name, rate, extra, seed, steps):
    """The GAN of one method, compiled for so many steps."""
    method = METHODS[name]
    runtime.set_seed(seed)
    networks = build_networks(method, extra)
    gan = method.kind(*networks, LATENT_DIM, seed=seed, pack=method.pack(extra))

    def adam(**options):
        falling = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.02 * rate)
        return keras.optimizers.Adam(falling, beta_1=method.beta_1, beta_2=0.99, **options)

    gan.compile(
        **method.settings(extra),
        generator_optimizer=adam(use_ema=True, ema_momentum=0.999),
        discriminator_optimizer=adam(),
        steps_per_execution=min(STEPS_AT_ONCE, steps),
    )
    return gan


def batches_for(gan, count=TRAINING_IMAGES, seed=0):
    """Batches without end, with as many packs as others have images."""
    return data.stacked_mnist(count=count).batches(BATCH_SIZE * gan.pack, seed).repeat()


def measure_cost(name, count=10_000, steps=100):
    """How long a step takes; a row."""
    method = METHODS[name]
    gan = build_gan(name, method.rates[0], method.extras[0], 0, steps)
    batches = batches_for(gan, count)
    blocks = timing.seconds_per_call(lambda: gan.fit(batches, steps_per_epoch=steps, verbose=0))
    row = dict.fromkeys(KEYS) | {"method": name}
    return row | {"ms": round(1000 * float(np.median(blocks)) / steps, 2)}


def score(gan, count=COUNT):
    """Modes and reverse KL of so many samples; no modes, and None, where the run has diverged."""
    images = gan.generate(count, seed=1)
    if getattr(gan, "diverged", None) or not np.isfinite(images).all():
        return {"modes": 0, "reverse_kl": None}
    coverage = metrics.class_coverage(images)
    return {
        "modes": int(coverage.captured),
        "reverse_kl": round(float(coverage.reverse_kl), 4),
    }


def measure(name, rate, extra, seed, minutes, ms, images=TRAINING_IMAGES, count=None):
    """One training; a row.

    Args:
        name, rate, extra, seed: as for `build_gan`.
        minutes: of training, at `ms` milliseconds a step, from `measure_cost`.
        images, count: for training, and generated for the score; where settings are chosen fewer.
    """
    steps = round(60_000 * minutes / ms)
    gan = build_gan(name, rate, extra, seed, steps)
    gan.fit(batches_for(gan, images, seed), steps_per_epoch=steps, verbose=0)
    row = dict(zip(KEYS, (name, rate, extra, seed, minutes), strict=True)) | {"steps": steps}
    return row | score(gan, count or (GRID_COUNT if minutes == GRID_MINUTES else COUNT))


@functools.cache
def floor(count=COUNT):
    """A score of as many stacked images of the test set: what a perfect generator would get."""
    return metrics.class_coverage(data.stacked_mnist("test", count).images)


STUDY = ShortAndLong(METHODS, "minutes", GRID_MINUTES, "reverse_kl")


def targets(rows):
    """One line a target: whether the best method met it."""
    lines = []
    for least, minutes in ((0.06, LONGER), (0.04, LONGER), (0.04, MINUTES)):
        board = STUDY.scoreboard(rows, minutes)
        name = next(iter(board), None)
        worst = max(map(STUDY.value, board[name])) if name else None
        modes = min(row["modes"] for row in board[name]) if name else "?"
        what = f"{least} over the reverse KL of the worst run of {name} in {minutes} minutes"
        lines.append(verdict(f"{what} ({modes} modes or more)", least, worst, 1))
    return "\n".join(lines)


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    missing = len(METHODS) * len(SEEDS) + len(LONGER_SEEDS)
    for minutes in (LONGER, MINUTES):
        for name, runs in STUDY.scoreboard(rows, minutes).items():
            missing -= len(runs)
            lines.append(
                [
                    name,
                    str(minutes),
                    with_error([row["modes"] for row in runs], 1),
                    with_error([row["reverse_kl"] for row in runs], 4),
                    f"{cost(rows, name):.1f}",
                    METHODS[name].in_words(*STUDY.best(rows, name)),
                    METHODS[name].source,
                ]
            )
    for name, (modes, divergence_of, source) in PUBLISHED.items():
        lines.append(
            [f"*{name}, published*", "", f"{modes:g}", f"{divergence_of:g}", "", "", source]
        )
    real = floor()
    table.write_markdown(
        "Stacked MNIST",
        not_complete(missing)
        + f"Kinds of images, of 1,000, that a classifier found among {COUNT:,} generated ones, and "
        f"the reverse KL of their shares: means and standard errors of the seeds {SEEDS[0]} to "
        f"{SEEDS[-1]}, of {LONGER} minutes {LONGER_SEEDS[0]} to {LONGER_SEEDS[-1]}. As many images "
        f"of the test set have {int(real.captured):,} and {float(real.reverse_kl):.4f}.\n\n"
        f"{targets(rows)}\n\nWhat was tried for {GRID_MINUTES} minute with one seed (learning "
        f"rate: reverse KL of {GRID_COUNT:,} images):\n\n{STUDY.tried_in_words(rows, 3)}",
        ["method", "minutes", "modes", "reverse KL", "ms a step", "learning rate", "source"],
        lines,
    )


def main(folder=RESULTS):
    table = Table("stacked_mnist", KEYS, folder)
    measure_costs(table, METHODS, measure_cost)

    def run(trials):
        STUDY.run(table, trials, measure, report)

    run(
        (name, *settings, GRID_SEED, GRID_MINUTES)
        for name, method in METHODS.items()
        for settings in itertools.product(method.rates, method.extras)
    )

    def chosen(names, seeds, minutes):
        rows = table.rows()
        return [(name, *STUDY.best(rows, name), seed, minutes) for seed in seeds for name in names]

    run(chosen(METHODS, SEEDS, MINUTES))
    run(chosen(list(STUDY.scoreboard(table.rows(), MINUTES))[:1], LONGER_SEEDS, LONGER))
    report(table)


if __name__ == "__main__":
    main()
