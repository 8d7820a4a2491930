"""Losses, penalties and norms that are said to stabilize: each at its best. Lesson 05 shows it.

    python -m benchmarks.stabilizers

All play with the same networks, the generator of lesson 02 and its discriminator without BatchNorm
(or with spectral norm), for the same number of seconds. First every method tries its small grid of
settings with one seed; then its best ones run with five other seeds. Nothing else should be
running.
"""

import dataclasses
import itertools
import time

import numpy as np

from benchmarks import recipes, timing
from benchmarks.tables import Table
from gan_course import data, losses, metrics, models, runtime, training

SECONDS = 40  # of training, after the step is compiled
SEEDS = (0, 1, 2, 3, 4)
GRID_SEED = 100
RATES = (3e-4, 1e-3, 3e-3)
FAILED = 36  # the distance of blurred digits, in lesson 06


@dataclasses.dataclass(frozen=True)
class Method:
    """What is chosen in `compile`, and what its grid holds beside the learning rates.

    Attributes:
        source: where it comes from.
        settings: function of the grid's extra value that returns arguments of `compile`.
        extra: the values of that extra setting, and its name.
        adam: of both optimizers.
        d_rate: the discriminator's learning rate, times the generator's.
        normalization: of the discriminator.
    """

    source: str
    settings: object = lambda value: {}
    extra: tuple = (None,)
    extra_name: str = ""
    adam: dict = dataclasses.field(default_factory=dict)
    d_rate: float = 1.0
    normalization: str = "none"


def _r1(gamma):
    return {"penalty": losses.R1(gamma)}


def _wgan_gp(steps):
    return {"loss": "wasserstein", "penalty": losses.GradientPenalty(), **_steps(steps)}


def _wgan_clipped(steps):
    return {"loss": "wasserstein", "clip_weights": 0.01, **_steps(steps)}


def _steps(steps):
    return {"discriminator_steps": steps}


METHODS = {
    "non-saturating": Method("Goodfellow et al. 2014"),
    "one-sided smoothing": Method(
        "Salimans et al. 2016", lambda _: {"loss": losses.NonSaturating(real_label=0.9)}
    ),
    "two learning rates": Method("Heusel et al. 2017", d_rate=4.0),
    "least squares": Method("Mao et al. 2017", lambda _: {"loss": "least_squares"}),
    "hinge": Method("Lim and Ye 2017", lambda _: {"loss": "hinge"}),
    "WGAN, clipped": Method(
        "Arjovsky et al. 2017", _wgan_clipped, (1, 5), "discriminator steps", {"beta_1": 0.0}
    ),
    "WGAN-GP": Method(
        "Gulrajani et al. 2017", _wgan_gp, (1, 5), "discriminator steps", {"beta_1": 0.0}
    ),
    "spectral norm, hinge": Method(
        "Miyato et al. 2018", lambda _: {"loss": "hinge"}, normalization="spectral"
    ),
    "R1": Method("Mescheder et al. 2018", _r1, (0.1, 1.0), "gamma"),
    "relativistic, R1 and R2": Method(
        "Huang et al. 2024",
        lambda gamma: {"loss": "relativistic", "penalty": [losses.R1(gamma), losses.R2(gamma)]},
        (0.1, 1.0),
        "gamma",
    ),
    "BatchNorm, as in lesson 02": Method("Radford et al. 2015", normalization="batch"),
}


def build_gan(name, rate, extra, seed):
    """The GAN of one method."""
    method = METHODS[name]
    settings = method.settings(extra)
    alternating = settings.get("discriminator_steps", 1) > 1
    runtime.set_seed(seed)
    gan = (training.GAN if alternating else training.SimultaneousGAN)(
        models.dcgan_generator(64),
        models.dcgan_discriminator(normalization=method.normalization),
        latent_dim=64,
        seed=seed,
    )
    optimizers = recipes.course_optimizers(learning_rate=rate, **method.adam)
    optimizers["discriminator_optimizer"].learning_rate = method.d_rate * rate
    gan.compile(**settings, **optimizers)
    return gan


def measure(name, rate, extra, seed, seconds=SECONDS, count=10_000):
    """One training; a row. The distance of a run that has diverged is None."""
    digits, test = data.load("mnist"), data.load("mnist", "test")
    gan = build_gan(name, rate, extra, seed)
    batch_size = recipes.Course.batch_size * gan.discriminator_steps
    batches = iter(digits.batches(batch_size, seed).repeat())
    gan.step(next(batches)[0])  # compiles
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        gan.step(next(batches)[0])
        steps += 1
    images = gan.generate(count, seed=1)
    score = metrics.FrechetDistance(test.images)
    fid = round(float(score(images)), 2) if np.isfinite(images).all() else None
    return {
        "method": name,
        "rate": rate,
        "extra": extra,
        "seed": seed,
        "seconds": seconds,
        "steps": steps,
        "fid": fid,
    }


def grid(name):
    """The settings that a method tries: pairs of a learning rate and the extra value."""
    return list(itertools.product(RATES, METHODS[name].extra))


def best(rows, name):
    """The settings with the smallest distance, or None where some were not tried yet."""
    tried = {
        (row["rate"], row["extra"]): row["fid"]
        for row in rows
        if row["method"] == name and row["seed"] == GRID_SEED
    }
    if set(tried) != set(grid(name)):
        return None
    return min(tried, key=lambda settings: tried[settings] or np.inf)


def is_failed(row):
    return row["fid"] is None or row["fid"] > FAILED


def scoreboard(rows):
    """For each method with results its settings and its runs, the best median first."""
    found = []
    for name in METHODS:
        settings = best(rows, name)
        runs = [
            row
            for row in rows
            if row["method"] == name
            and row["seed"] in SEEDS
            and (row["rate"], row["extra"]) == settings
        ]
        if runs:
            found.append((name, settings, runs))
    return sorted(found, key=lambda each: np.median([run["fid"] or np.inf for run in each[2]]))


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    for name, (rate, extra), runs in scoreboard(rows):
        fids = sorted(run["fid"] or np.inf for run in runs)
        words = f", {METHODS[name].extra_name} {extra:g}" if extra is not None else ""
        lines.append(
            [
                name,
                f"{np.median(fids):.1f}",
                f"{fids[0]:.1f} to {fids[-1]:.1f}",
                f"{sum(map(is_failed, runs))} of {len(runs)}",
                f"{1000 * SECONDS / np.mean([run['steps'] for run in runs]):.0f}",
                f"{rate:g}{words}",
                METHODS[name].source,
            ]
        )
    tried = "\n".join(
        f"- {name}: "
        + ", ".join(
            f"{row['rate']:g}"
            + (f" and {row['extra']:g}" if row["extra"] is not None else "")
            + (f": {row['fid']:.1f}" if row["fid"] is not None else ": diverged")
            for row in rows
            if row["method"] == name and row["seed"] == GRID_SEED
        )
        for name in METHODS
    )
    table.write_markdown(
        "Stabilizers",
        f"The same networks for {SECONDS} seconds each, compilation not included. Fréchet distance "
        f"to the MNIST test set, 10,000 images, seeds {SEEDS[0]} to {SEEDS[-1]}, with the settings "
        f"that were best for seed {GRID_SEED}. A run with a distance above {FAILED} has failed."
        "\n\nWhat was tried (learning rate and, where there is one, the extra setting: distance):"
        f"\n\n{tried}",
        [
            "method",
            "median distance",
            "range",
            "failed",
            "ms a step",
            "learning rate and setting",
            "source",
        ],
        lines,
    )


def main():
    table = Table("stabilizers", keys=("method", "rate", "extra", "seed", "seconds"))

    def run(name, rate, extra, seed):
        settings = {"method": name, "rate": rate, "extra": extra, "seed": seed, "seconds": SECONDS}
        if not table.has(**settings):
            table.append(timing.in_own_process(measure, name, rate, extra, seed))
            report(table)

    for name in METHODS:
        for settings in grid(name):
            run(name, *settings, GRID_SEED)
    for seed in SEEDS:
        for name in METHODS:
            run(name, *best(table.rows(), name), seed)
    report(table)


if __name__ == "__main__":
    main()
