"""Ways to tell a GAN the label: is what comes out what was asked for, and how good? For lesson 07.

    python -m benchmarks.conditional

Lesson 02's networks and steps, with a label for one of them or both. First a step of each method is
timed, while nothing else should be running; from then on seconds are so many steps, as many
trainings run at once as there are cores, and what else runs does not matter. Every method tries its
small set of settings with one seed and is scored on held-out training images; the best settings run
with five other seeds, and are scored with the test set.
"""

import dataclasses
import itertools

import numpy as np

from benchmarks import recipes, stabilizers, timing
from benchmarks.studies import ShortAndLong, cost, measure_costs, not_complete, with_error
from benchmarks.tables import RESULTS, Table
from gan_course import data, metrics, models, runtime, training

GRID_SECONDS, SECONDS = 30, 60  # of training, compilation not included
GRID_SEED, SEEDS = 100, (0, 1, 2, 3, 4)
HELD_OUT = 5_000  # of the training images, to choose settings with
COUNT = 10_000  # generated images of a score, as many of each class
KEYS = ("method", "rate", "extra", "seed", "seconds")


@dataclasses.dataclass(frozen=True)
class Method(stabilizers.Method):
    """How the label comes in; no condition at all is lesson 02.

    Attributes:
        generator, discriminator: conditions of `models.conditional_generator` and
            `models.conditional_discriminator`.
        spectral_norm, orthogonal: of the generator.
    """

    rates: tuple = (1e-3, 3e-3)
    normalization: str = "batch"
    generator: str | None = None
    discriminator: str | None = None
    spectral_norm: bool = False
    orthogonal: float = 0.0


def _biggan(**options):
    return Method(
        "Brock et al. 2019",
        lambda extra: {"loss": "hinge"},
        discriminator="projection",
        normalization="spectral",
        spectral_norm=True,
        **options,
    )


METHODS = {
    "no label": Method("Radford et al. 2015"),
    "concatenation": Method(
        "Mirza and Osindero 2014", generator="concatenate", discriminator="concatenate"
    ),
    "embedding": Method("", generator="embedding", discriminator="embedding"),
    "auxiliary classifier": Method(
        "Odena et al. 2017",
        lambda extra: {"classifier_weight": extra},
        extras=(0.3, 1.0),
        extra_name="classifier's weight",
        generator="concatenate",
        discriminator="auxiliary",
    ),
    "concatenation and projection": Method("", generator="concatenate", discriminator="projection"),
    "BatchNorm and concatenation": Method("", generator="batch_norm", discriminator="concatenate"),
    "BatchNorm and projection": Method(
        "Miyato and Koyama 2018", generator="batch_norm", discriminator="projection"
    ),
    "the same, hinge and spectral norms": _biggan(generator="batch_norm"),
    "the same, hierarchical latents": _biggan(generator="hierarchical"),
    "the same, orthogonal regularization": _biggan(generator="hierarchical", orthogonal=1e-4),
}


def build_gan(name, rate, extra, seed):
    """The GAN of one method."""
    method = METHODS[name]
    runtime.set_seed(seed)
    if method.generator is None:
        networks = models.dcgan_generator(64), models.dcgan_discriminator()
        gan = training.SimultaneousGAN(*networks, 64, seed=seed)
    else:
        latent_dim = 65 if method.generator == "hierarchical" else 64  # it is cut into five
        networks = (
            models.conditional_generator(
                latent_dim,
                condition=method.generator,
                spectral_norm=method.spectral_norm,
                orthogonal=method.orthogonal,
            ),
            models.conditional_discriminator(
                condition=method.discriminator, normalization=method.normalization
            ),
        )
        gan = training.ConditionalGAN(*networks, latent_dim, classes=10, seed=seed)
    optimizers = recipes.course_optimizers(learning_rate=rate, beta_1=method.beta_1)
    gan.compile(**method.settings(extra), **optimizers)
    return gan


def measure_cost(name, steps=20):
    """How long a step takes; a row."""
    method = METHODS[name]
    gan = build_gan(name, method.rates[0], method.extras[0], seed=0)
    batches = data.load("mnist").batches(recipes.Course.batch_size, 0).repeat()
    blocks = timing.seconds_per_call(lambda: gan.fit(batches, steps_per_epoch=steps, verbose=0))
    row = dict.fromkeys(KEYS) | {"method": name}
    return row | {"ms": round(1000 * float(np.median(blocks)) / steps, 2)}


class Scores:
    """Held against real images: all together, class by class, and whether the label was kept."""

    def __init__(self, real):
        self.fid = metrics.FrechetDistance(real.images)
        self.within = [metrics.FrechetDistance(real.images[real.labels == k]) for k in range(10)]
        self.classify = metrics.get_features("mnist").probabilities

    def __call__(self, gan, count=COUNT):
        """A dict of scores; of None where the run has diverged, or has no labels."""
        images, labels = gan.generate_evenly(count, seed=1), np.arange(count) % 10
        scores = dict.fromkeys(("fid", "asked_for", "worst_class", "within"))
        if getattr(gan, "diverged", None) or not np.isfinite(images).all():
            return scores
        scores["fid"] = round(float(self.fid(images)), 2)
        if isinstance(gan, training.ConditionalGAN):
            right = self.classify(images).argmax(axis=1) == labels
            by_class = [right[labels == k].mean() for k in range(10)]
            within = [float(self.within[k](images[labels == k])) for k in range(10)]
            scores["asked_for"] = round(float(right.mean()), 4)
            scores["worst_class"] = round(float(min(by_class)), 4)
            scores["within"] = round(float(np.mean(within)), 2)
        return scores


def measure(name, rate, extra, seed, seconds, ms, count=COUNT):
    """One training; a row.

    Args:
        name, rate, extra, seed: as for `build_gan`.
        seconds: of training, at `ms` milliseconds a step, from `measure_cost`.
        count: images of a score.
    """
    digits, test = data.load("mnist"), data.load("mnist", "test")
    train, held_out = digits[:-HELD_OUT], digits[-HELD_OUT:]
    gan, steps = build_gan(name, rate, extra, seed), round(1000 * seconds / ms)
    batches = train.batches(recipes.Course.batch_size, seed).repeat()
    gan.fit(batches, steps_per_epoch=steps, verbose=0)
    row = dict(zip(KEYS, (name, rate, extra, seed, seconds), strict=True)) | {"steps": steps}
    return row | Scores(held_out if seed == GRID_SEED else test)(gan, count)


STUDY = ShortAndLong(METHODS, "seconds", GRID_SECONDS, "fid")


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    board = STUDY.scoreboard(rows, SECONDS)
    for name, runs in board.items():

        def shown(key, digits, times=1, runs=runs):
            values = [row[key] for row in runs]
            if key != "fid" and all(value is None for value in values):
                return ""
            return with_error([v if v is None else times * v for v in values], digits)

        lines.append(
            [
                name,
                *(shown(key, 1, 100) for key in ("asked_for", "worst_class")),
                *(shown(key, 2) for key in ("fid", "within")),
                f"{cost(rows, name):.1f}",
                METHODS[name].in_words(*STUDY.best(rows, name)),
                METHODS[name].source,
            ]
        )
    missing = len(METHODS) * len(SEEDS) - sum(map(len, board.values()))
    table.write_markdown(
        "Conditional GANs",
        not_complete(missing)
        + f"After {SECONDS} seconds of training, compilation not included, {COUNT:,} images, as "
        "many of each digit. Asked for: the share in percent that the classifier reads as the "
        "digit that was asked for, of all and of the worst digit. Fréchet distance to the test "
        "set, and the mean of those within each digit. Means and standard errors of the seeds "
        f"{SEEDS[0]} to {SEEDS[-1]}.\n\nWhat was tried for {GRID_SECONDS} seconds with one seed "
        f"(learning rate: distance to {HELD_OUT:,} held-out images):\n\n"
        + STUDY.tried_in_words(rows, 2),
        [
            "how the label comes in",
            "asked for",
            "worst digit",
            "distance",
            "within digits",
            "ms a step",
            "learning rate",
            "source",
        ],
        lines,
    )


def main(folder=RESULTS):
    table = Table("conditional", KEYS, folder)
    measure_costs(table, METHODS, measure_cost)

    def run(trials):
        STUDY.run(table, trials, measure, report)

    run(
        (name, *settings, GRID_SEED, GRID_SECONDS)
        for name, method in METHODS.items()
        for settings in itertools.product(method.rates, method.extras)
    )
    rows = table.rows()
    chosen = {name: STUDY.best(rows, name) for name in METHODS}
    run((name, *chosen[name], seed, SECONDS) for seed in SEEDS for name in METHODS)
    report(table)


if __name__ == "__main__":
    main()
