"""Losses, penalties and norms that are said to stabilize: each at its best. Lesson 05 shows it.

    python -m benchmarks.stabilizers

All play with the same networks, the generator of lesson 02 and its discriminator without BatchNorm
(or with spectral norm), in alternating steps, for the same number of seconds. First a step of each
is timed, while nothing else should be running; from then on seconds are so many steps, as many
trainings run at once as there are cores, and what else runs does not matter. Every method tries its
small grid of settings with one seed, and the two best of them with another one; scores are then
those on held-out training images. The settings that are better in their worse seed run with five
other seeds, and are scored with the test set.
"""

import contextlib
import dataclasses
import itertools

import numpy as np

from benchmarks import recipes, studies, timing
from benchmarks.tables import RESULTS, Table
from gan_course import data, losses, metrics, models, runtime, training

MARKS = (15, 30)  # seconds of training, compilation not included
SEEDS = (0, 1, 2, 3, 4)
GRID_SEEDS = (100, 101)
HELD_OUT = 5_000  # of the training images, to choose settings with
UNREADABLE = 36  # the distance of blurred digits, in lesson 06


@dataclasses.dataclass(frozen=True)
class Method:
    """What is chosen in `compile`, and the grid.

    Attributes:
        source: where it comes from.
        settings: function of the grid's extra value that returns arguments of `compile`.
        rates: learning rates of the generator to try.
        extras: the values to try of another setting.
        extra_name: what that setting is.
        beta_1: of Adam, for both; 0 where the source has no momentum.
        d_rate: function of the extra value: the discriminator's learning rate, times the
            generator's.
        normalization: of the discriminator.
        kind: the class of the GAN.
    """

    source: str
    settings: object = lambda extra: {}
    rates: tuple = (3e-4, 1e-3, 3e-3)
    extras: tuple = (None,)
    extra_name: str = ""
    beta_1: float = 0.5
    d_rate: object = lambda extra: 1.0
    normalization: str = "none"
    kind: type = training.GAN

    def in_words(self, rate, extra):
        """Settings of the grid."""
        return f"{rate:g}" + (f", {self.extra_name} {extra:g}" if extra is not None else "")


METHODS = {
    "non-saturating": Method("Goodfellow et al. 2014"),
    "the same, simultaneous steps": Method("Mescheder et al. 2018", kind=training.SimultaneousGAN),
    "one-sided smoothing": Method(
        "Salimans et al. 2016", lambda extra: {"loss": losses.NonSaturating(real_label=0.9)}
    ),
    "two learning rates": Method(
        "Heusel et al. 2017",
        extras=(0.25, 4.0),
        extra_name="D's rate, times G's",
        d_rate=lambda extra: extra,
    ),
    "least squares": Method("Mao et al. 2017", lambda extra: {"loss": "least_squares"}),
    "hinge": Method("Lim and Ye 2017", lambda extra: {"loss": "hinge"}),
    "WGAN, clipped": Method(
        "Arjovsky et al. 2017",
        lambda extra: {"loss": "wasserstein", "clip_weights": extra, "discriminator_steps": 5},
        extras=(0.01, 0.1),
        extra_name="clipped to",
        beta_1=0.0,
        d_rate=lambda extra: 0.1,  # steps have to be small against weights that are clipped
    ),
    "WGAN-GP": Method(
        "Gulrajani et al. 2017",
        lambda extra: {
            "loss": "wasserstein",
            "penalty": losses.GradientPenalty(),
            "discriminator_steps": extra,
        },
        extras=(1, 5),
        extra_name="steps of D",
        beta_1=0.0,
    ),
    "spectral norm, hinge": Method(
        "Miyato et al. 2018", lambda extra: {"loss": "hinge"}, normalization="spectral"
    ),
    "R1": Method(
        "Mescheder et al. 2018",
        lambda extra: {"penalty": losses.R1(extra)},
        extras=(0.1, 1.0, 10.0),
        extra_name="gamma",
        beta_1=0.0,
    ),
    "relativistic, R1 and R2": Method(
        "Huang et al. 2024",
        lambda extra: {"loss": "relativistic", "penalty": [losses.R1(extra), losses.R2(extra)]},
        extras=(0.1, 1.0, 10.0),
        extra_name="gamma",
        beta_1=0.0,
    ),
    "BatchNorm in D, as in lesson 02": Method("Radford et al. 2015", normalization="batch"),
}


def build_gan(name, rate, extra, seed):
    """The GAN of one method."""
    method = METHODS[name]
    settings = method.settings(extra)
    runtime.set_seed(seed)
    gan = method.kind(
        models.dcgan_generator(64),
        models.dcgan_discriminator(normalization=method.normalization),
        latent_dim=64,
        seed=seed,
    )
    optimizers = recipes.course_optimizers(learning_rate=rate, beta_1=method.beta_1)
    optimizers["discriminator_optimizer"].learning_rate = method.d_rate(extra) * rate
    # averages over as many images, however many of them go to the discriminator
    optimizers["generator_optimizer"].ema_momentum **= steps_of_discriminator(name, extra)
    gan.compile(**settings, **optimizers)
    return gan


def batches_for(gan, dataset, seed):
    """Batches of images without end, larger where the discriminator takes several steps."""
    batches = dataset.batches(recipes.Course.batch_size * gan.discriminator_steps, seed)
    return (images for images, _ in batches.repeat())


def steps_of_discriminator(name, extra):
    """For each step of the generator: of a method's settings this alone decides what they cost."""
    return METHODS[name].settings(extra).get("discriminator_steps", 1)


def measure_cost(name, extra):
    """How long a step takes; a row."""
    gan = build_gan(name, METHODS[name].rates[0], extra, seed=0)
    batches = batches_for(gan, data.load("mnist"), seed=0)
    blocks = timing.seconds_per_call(lambda: gan.step(next(batches)))
    return {
        "method": name,
        "rate": None,
        "extra": gan.discriminator_steps,
        "seed": None,
        "seconds": 0,
        "ms": round(1000 * float(np.median(blocks)), 2),
    }


def measure(name, rate, extra, seed, ms, marks=MARKS, count=10_000):
    """One training; a row. The distance of a run that has diverged is None.

    Args:
        name, rate, extra, seed: as for `build_gan`.
        ms: milliseconds a step, from `measure_cost`.
        marks: after how many seconds to score, at so many milliseconds a step.
        count: images of a score.
    """
    digits, test = data.load("mnist"), data.load("mnist", "test")
    train, held_out = digits[:-HELD_OUT], digits[-HELD_OUT:]
    score = metrics.FrechetDistance((held_out if seed in GRID_SEEDS else test).images)
    gan = build_gan(name, rate, extra, seed)
    batches = batches_for(gan, train, seed)
    steps, fids = 0, []
    for mark in marks:
        with contextlib.suppress(FloatingPointError):  # a run that has diverged
            while not gan.diverged and steps < 1000 * mark / ms:
                gan.step(next(batches))
                steps += 1
        images = gan.generate(count, seed=1)
        finite = not gan.diverged and bool(np.isfinite(images).all())
        fids.append(round(float(score(images)), 2) if finite else None)
    return {
        "method": name,
        "rate": rate,
        "extra": extra,
        "seed": seed,
        "seconds": marks[-1],
        "steps": steps,
        "fids": fids,
        "fid": fids[-1],
    }


def grid(name):
    """The settings that a method tries: pairs of a learning rate and the extra value."""
    return list(itertools.product(METHODS[name].rates, METHODS[name].extras))


def _distance(row):
    return np.inf if row["fid"] is None else row["fid"]


def tried(rows, name):
    """For each setting of a method's grid the distances of its seeds so far, the best first."""
    found = {}
    for row in rows:
        if row["method"] == name and row["seed"] in GRID_SEEDS and row["seconds"] == MARKS[-1]:
            found.setdefault((row["rate"], row["extra"]), []).append(_distance(row))
    return dict(sorted(found.items(), key=lambda item: max(item[1])))


def finalists(rows, name):
    """The two settings that were best with the first seed."""
    first = {settings: distances[0] for settings, distances in tried(rows, name).items()}
    return sorted(first, key=first.get)[:2]


def best(rows, name):
    """The finalist that is better in its worse seed."""
    found = tried(rows, name)
    return min(finalists(rows, name), key=lambda settings: max(found[settings]))


def cost(rows, name, extra):
    """Milliseconds a step, or None where that was not measured yet."""
    of = steps_of_discriminator(name, extra)
    found = [
        row["ms"] for row in rows if "ms" in row and (row["method"], row["extra"]) == (name, of)
    ]
    return found[0] if found else None


def scoreboard(rows):
    """For each method with results its settings and its runs, the best median first."""
    found = []
    for name in METHODS:
        runs = [row for row in rows if row["method"] == name and row["seed"] in SEEDS]
        runs = [row for row in runs if row["seconds"] == MARKS[-1]]
        if runs:
            found.append((name, best(rows, name), runs))
    return sorted(found, key=lambda each: np.median(list(map(_distance, each[2]))))


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    for name, settings, runs in scoreboard(rows):
        distances = sorted(map(_distance, runs))
        early = np.median([row["fids"][0] or np.inf for row in runs])
        lines.append(
            [
                name,
                f"{early:.1f}",
                f"{np.median(distances):.1f}",
                f"{distances[0]:.1f} to {distances[-1]:.1f}",
                f"{sum(each > UNREADABLE for each in distances)} of {len(runs)}",
                f"{cost(rows, name, settings[1]):.0f}",
                METHODS[name].in_words(*settings),
                METHODS[name].source,
            ]
        )
    grids = "\n".join(
        f"- {name}: "
        + "; ".join(
            f"{METHODS[name].in_words(*settings)}: "
            + ", ".join(f"{each:.1f}" for each in distances)
            for settings, distances in tried(rows, name).items()
        )
        for name in METHODS
    )
    table.write_markdown(
        "Stabilizers",
        f"The same networks for {MARKS[-1]} seconds each, compilation not included. Fréchet "
        f"distance to the MNIST test set, 10,000 images drawn with averaged weights, seeds "
        f"{SEEDS[0]} to {SEEDS[-1]}, with the settings that did best on held-out images. (inf: "
        f"diverged.)\n\nWhat was tried, with one seed or two (learning rate of G: distance to "
        f"{HELD_OUT:,} held-out images):\n\n{grids}",
        [
            "method",
            f"median after {MARKS[0]} s",
            f"after {MARKS[-1]} s",
            "range",
            f"above {UNREADABLE}",
            "ms a step",
            "learning rate of G",
            "source",
        ],
        lines,
    )


def main(folder=RESULTS):
    table = Table("stabilizers", ("method", "rate", "extra", "seed", "seconds"), folder)
    for name, method in METHODS.items():
        for extra in method.extras:
            if cost(table.rows(), name, extra) is None:
                table.append(timing.in_own_process(measure_cost, name, extra))

    def run(settings_of, seed):
        rows = table.rows()
        trials = [
            (name, *settings, seed, MARKS[-1]) for name in METHODS for settings in settings_of(name)
        ]
        studies.run_missing(
            table,
            trials,
            measure,
            report,
            lambda each: (*each[:-1], cost(rows, each[0], each[2])),
        )

    run(grid, GRID_SEEDS[0])
    run(lambda name: finalists(table.rows(), name), GRID_SEEDS[1])
    for seed in SEEDS:
        run(lambda name: [best(table.rows(), name)], seed)
    report(table)


if __name__ == "__main__":
    main()
