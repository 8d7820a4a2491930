"""Mode collapse in the plane: a plain GAN and what is said to cure it. Lesson 04 shows it.

    python -m benchmarks.mode_collapse

Mixtures, latent vectors, batch and scores are those of PacGAN's first table (Lin et al. 2018,
https://arxiv.org/abs/1712.04086): a ring of 8 modes and a grid of 25, batches of 100, and 2,500
samples. Its networks are larger, and learn for 400,000 steps. Ours have three hidden layers of 128
units and a tenth of these steps, with rates that fall to nearly 0 along a line.

First a step of each method is timed, while nothing else should be running; after that, what else
runs does not matter. Every method tries its small set of settings on the grid with one seed. Those
that cover most of the mixture then run with five other seeds, on both mixtures. As many trainings
run at once as there are cores.
"""

import dataclasses
import itertools

import keras
import numpy as np
from keras import layers

from benchmarks import stabilizers, timing
from benchmarks.studies import cost, measure_costs, not_complete, run_missing, with_error
from benchmarks.tables import RESULTS, Table
from gan_course import data, losses, metrics, models, runtime, training

STEPS, STEPS_AT_ONCE = 40_000, 100
BATCH_SIZE, LATENT_DIM, HIDDEN = 100, 2, (128, 128, 128)
COUNT = 2_500  # samples of a score
SEEDS = (0, 1, 2, 3, 4)
GRID_SEED = 100
KEYS = ("mixture", "method", "rate", "extra", "seed", "steps")
MIXTURES = {"ring": data.ring, "grid": data.grid}
PUBLISHED = {  # PacGAN's table 1: modes, high quality in percent, reverse KL
    "GAN": {"ring": (6.3, 98.2, 0.45), "grid": (17.3, 94.8, 0.70)},
    "PacGAN2": {"ring": (7.9, 95.6, 0.07), "grid": (23.8, 91.3, 0.13)},
    "PacGAN3": {"ring": (7.8, 97.7, 0.10), "grid": (24.6, 94.2, 0.06)},
    "PacGAN4": {"ring": (7.8, 95.9, 0.07), "grid": (24.8, 93.6, 0.04)},
}


@dataclasses.dataclass(frozen=True)
class Method(stabilizers.Method):
    """What is changed, and the values to try.

    Attributes:
        pack: function of the extra value: samples that are judged together.
        layer: makes a layer that stands before the discriminator's logit.
        activation: of the generator.
    """

    rates: tuple = (5e-4, 1e-3, 2e-3)
    pack: object = lambda extra: 1
    layer: object = None
    activation: str = "relu"


def _both(gamma):
    return [losses.R1(gamma), losses.R2(gamma)]


METHODS = {
    "plain": Method("Goodfellow et al. 2014"),
    "plain, leaky generator": Method("", activation="leaky_relu"),
    "two learning rates": Method(
        "Heusel et al. 2017",
        extras=(0.25, 4.0),
        extra_name="D's rate, times G's",
        d_rate=lambda extra: extra,
    ),
    "three steps of D": Method("", lambda extra: {"discriminator_steps": 3}),
    "packing": Method(
        "Lin et al. 2018", extras=(2, 4), extra_name="in a pack", pack=lambda extra: extra
    ),
    "minibatch discrimination": Method(
        "Salimans et al. 2016", layer=lambda: models.MinibatchDiscrimination(kernels=8, row=4)
    ),
    "minibatch deviation": Method("Karras et al. 2018", layer=models.MinibatchStd),
    "unrolled": Method(
        "Metz et al. 2017", lambda extra: {"unrolled_steps": 5}, kind=training.UnrolledGAN
    ),
    "mode seeking": Method(
        "Mao et al. 2019",
        lambda extra: {"diversity": losses.ModeSeeking(extra)},
        extras=(0.01, 0.1),
        extra_name="weight",
    ),
    "R1 and R2": Method(
        "Mescheder et al. 2018",
        lambda extra: {"penalty": _both(extra)},
        extras=(0.02, 0.1),
        extra_name="gamma",
        beta_1=0.0,
    ),
    "relativistic, R1 and R2": Method(
        "Huang et al. 2024",
        lambda extra: {"loss": "relativistic", "penalty": _both(extra)},
        extras=(0.02, 0.1),
        extra_name="gamma",
        beta_1=0.0,
    ),
}


def build_networks(pack=1, layer=None, activation="relu"):
    """Generator and discriminator of a method."""
    generator = [layers.Dense(units, activation) for units in HIDDEN]
    discriminator = [layers.Dense(units, "leaky_relu") for units in HIDDEN]
    if layer is not None:
        discriminator.append(layer())
    return (
        keras.Sequential([keras.Input((LATENT_DIM,)), *generator, layers.Dense(2)]),
        keras.Sequential([keras.Input((2 * pack,)), *discriminator, layers.Dense(1)]),
    )


def build_gan(name, rate, extra, seed, steps=STEPS):
    """The GAN of one method, compiled for so many steps."""
    method = METHODS[name]
    runtime.set_seed(seed)
    pack = method.pack(extra)
    networks = build_networks(pack, method.layer, method.activation)
    gan = method.kind(*networks, LATENT_DIM, seed=seed, pack=pack)

    def adam(rate):
        falling = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.01 * rate)
        return keras.optimizers.Adam(falling, beta_1=method.beta_1, beta_2=0.999)

    gan.compile(
        **method.settings(extra),
        generator_optimizer=adam(rate),
        discriminator_optimizer=adam(method.d_rate(extra) * rate),
        steps_per_execution=min(STEPS_AT_ONCE, steps),
    )
    return gan


def covered(score):
    """How much of a mixture good samples cover, up to 1: what settings are chosen by.

    Over all modes, the sum of the share of samples there, but no more than a mode should have;
    times the share of high quality.
    """
    return float(score.high_quality * np.minimum(score.shares, 1 / score.modes).sum())


def fitted(gan, points, seed, steps):
    """A function that lets a GAN learn for so many steps."""
    batches = points.batches(BATCH_SIZE * gan.discriminator_steps, seed)
    return lambda: gan.fit(batches, steps_per_epoch=steps, verbose=0)


def measure_cost(name, steps=500):
    """How long a step takes; a row."""
    gan = build_gan(name, METHODS[name].rates[0], METHODS[name].extras[0], seed=0)
    blocks = timing.seconds_per_call(fitted(gan, data.ring(), 0, steps))
    row = dict.fromkeys(KEYS) | {"method": name}
    return row | {"ms": round(1000 * float(np.median(blocks)) / steps, 3)}


def measure(mixture, name, rate, extra, seed, steps=STEPS):
    """One training; a row."""
    points = MIXTURES[mixture]()
    gan = build_gan(name, rate, extra, seed, steps)
    fitted(gan, points, seed, steps)()
    samples = gan.generate(COUNT, seed=1)
    row = {
        "mixture": mixture,
        "method": name,
        "rate": rate,
        "extra": extra,
        "seed": seed,
        "steps": steps,
    }
    if gan.diverged or not np.isfinite(samples).all():
        return {**row, "modes": 0, "high_quality": 0.0, "reverse_kl": None, "covered": 0.0}
    score = metrics.mode_coverage(samples, points.centers, points.std)
    return {
        **row,
        "modes": int(score.captured),
        "high_quality": round(float(score.high_quality), 4),
        "reverse_kl": round(float(score.reverse_kl), 4),
        "covered": round(covered(score), 4),
    }


def tried(rows, name):
    """What each of a method's settings covered of the grid, the best first."""
    found = {
        (row["rate"], row["extra"]): row["covered"]
        for row in rows
        if row["method"] == name and row["seed"] == GRID_SEED
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))  # ties by settings


def best(rows, name):
    """The settings of a method that covered most."""
    return next(iter(tried(rows, name)))


def scoreboard(rows):
    """For each method with results its settings, and its runs on each mixture."""
    found = {}
    for name in METHODS:
        runs = [row for row in rows if row["method"] == name and row["seed"] in SEEDS]
        if runs:
            of = {m: [row for row in runs if row["mixture"] == m] for m in MIXTURES}
            found[name] = best(rows, name), of
    return found


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    board = scoreboard(rows)
    for name, (settings, runs) in board.items():
        cells = []
        for of in runs.values():
            if not of:
                cells += [""] * 3
                continue
            cells += [
                with_error([row["modes"] for row in of], 1),
                with_error([100 * row["high_quality"] for row in of], 1),
                with_error([row["reverse_kl"] for row in of], 4),
            ]
        lines.append(
            [
                name,
                *cells,
                f"{cost(rows, name):.2f}",
                METHODS[name].in_words(*settings),
                METHODS[name].source,
            ]
        )
    for name, of in PUBLISHED.items():
        cells = [f"{value:g}" for mixture in MIXTURES for value in of[mixture]]
        lines.append([f"*{name}, published*", *cells, "", "1e-4", "Lin et al. 2018, table 1"])
    grids = "\n".join(
        f"- {name}: "
        + "; ".join(
            f"{METHODS[name].in_words(*each)}: {share:.1%}" for each, share in found.items()
        )
        for name in METHODS
        if (found := tried(rows, name))
    )
    missing = len(METHODS) * len(MIXTURES) * len(SEEDS) - sum(
        len(of) for _, runs in board.values() for of in runs.values()
    )
    table.write_markdown(
        "Mode collapse in the plane",
        not_complete(missing)
        + f"Modes that {COUNT:,} samples were found in, the share of high quality in percent, and "
        f"the reverse KL, for seeds {SEEDS[0]} to {SEEDS[-1]}: means and standard errors. A "
        "perfect generator has 98.9 % of high quality, and a reverse KL of about 0.0014 on the "
        f"ring and 0.0048 on the grid.\n\nAll learn for {STEPS:,} steps of {BATCH_SIZE}. The "
        "published rows are for 400,000 such steps, other networks, and ten trials.\n\nWhat was "
        "tried, with one seed (learning rate: share of the grid that good samples cover):\n\n"
        + grids,
        [
            "method",
            "ring: modes of 8",
            "high quality",
            "reverse KL",
            "grid: modes of 25",
            "high quality",
            "reverse KL",
            "ms a step",
            "learning rate",
            "source",
        ],
        lines,
    )


def main(folder=RESULTS):
    table = Table("mode_collapse", keys=KEYS, folder=folder)
    measure_costs(table, METHODS, measure_cost)

    def run(trials):
        run_missing(table, [(*each, STEPS) for each in trials], measure, report)

    run(
        ("grid", name, *settings, GRID_SEED)
        for name, method in METHODS.items()
        for settings in itertools.product(method.rates, method.extras)
    )
    chosen = {name: best(table.rows(), name) for name in METHODS}
    run(
        (mixture, name, *chosen[name], seed)
        for seed in SEEDS
        for name in METHODS
        for mixture in MIXTURES
    )
    report(table)


if __name__ == "__main__":
    main()
