"""Label smoothing and label noise: the discriminator's confidence. Lesson 03 shows the table.

    python -m benchmarks.smoothing

The generator of lesson 02 against its discriminator without BatchNorm, so that a logit depends on
one image only. Each kind of label trains on few images, which the discriminator learns by heart,
and on many, for the same number of steps, with several seeds. Training images, held-out ones and
newly generated ones then tell how sure the discriminator is, and whether rightly so.
"""

import itertools

import numpy as np

from benchmarks import recipes, timing
from benchmarks.tables import Table
from gan_course import callbacks, data, losses, metrics, models, runtime, training

KINDS = {
    "plain labels": {"loss": losses.NonSaturating()},
    "one-sided: 0.9 and 0": {"loss": losses.NonSaturating(real_label=0.9)},
    "two-sided: 0.9 and 0.1": {"loss": losses.NonSaturating(real_label=0.9, fake_label=0.1)},
    "noise: a tenth flipped": {"loss": losses.NonSaturating(), "label_noise": 0.1},
}
SIZES = (500, 60_000)  # of the training set
SEEDS = (0, 1, 2)
EPOCHS, STEPS = 15, 100


def build_gan(kind, seed):
    runtime.set_seed(seed)
    gan = training.SimultaneousGAN(
        models.dcgan_generator(64),
        models.dcgan_discriminator(normalization="none"),
        latent_dim=64,
        seed=seed,
    )
    gan.compile(**KINDS[kind], **recipes.course_optimizers(), steps_per_execution=STEPS)
    return gan


def judged(gan, images):
    """The discriminator's answers (N,), from 0 to 1."""
    logits = gan.discriminator.predict(images, batch_size=500, verbose=0)[:, 0]
    return 1 / (1 + np.exp(-logits.astype(float)))


def asked_for(kind):
    """The answers that labels of a kind ask for, on average: on real images, and on fakes."""
    loss, noise = KINDS[kind]["loss"], KINDS[kind].get("label_noise", 0.0)
    real, fake = loss.real_label, loss.fake_label
    return (1 - noise) * real + noise * fake, (1 - noise) * fake + noise * real


def beliefs(answers, kind):
    """What the best discriminator would mean by an answer: a share of real images."""
    real, fake = asked_for(kind)
    return np.clip((answers - fake) / (real - fake), 0, 1)


def very_sure(answers):
    """The share of answers below 5 or above 95 %."""
    return round(float(np.mean(np.abs(answers - 0.5) > 0.45)), 4)


def calibration_error(on_real, on_fake, bins=10):
    """How far a probability is from the share of real images among those that got it.

    The expected calibration error of Guo et al. 2017, https://arxiv.org/abs/1706.04599, in bins of
    equal width, for as many real as generated images.
    """
    said = np.concatenate([on_real, on_fake])
    real = np.repeat([1.0, 0.0], [len(on_real), len(on_fake)])
    place = np.minimum((said * bins).astype(int), bins - 1)
    sums = [np.bincount(place, each, bins) for each in (said, real)]
    return float(np.abs(sums[0] - sums[1]).sum() / len(said))


def measure(kind, size, seed, epochs=EPOCHS, steps=STEPS, count=10_000):
    """One training; a row."""
    digits, test = data.load("mnist")[:size], data.load("mnist", "test")
    gan = build_gan(kind, seed)
    monitor = callbacks.HealthMonitor(digits.images[:500])
    gan.fit(
        digits.batches(recipes.Course.batch_size, seed).repeat(),
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=[monitor],
        verbose=0,
    )
    images = gan.generate(count, seed=1)
    asked = {"train": digits.images[:count], "held_out": test.images[:count], "fake": images}
    answers = {name: judged(gan, each) for name, each in asked.items()}
    believed = {name: beliefs(each, kind) for name, each in answers.items()}
    return {
        "kind": kind,
        "size": size,
        "seed": seed,
        "steps": epochs * steps,
        "fid": round(float(metrics.FrechetDistance(test.images)(images)), 2),
        "called_real": {
            name: round(float(np.mean(each > 0.5)), 4) for name, each in believed.items()
        },
        "very_sure": {name: very_sure(each) for name, each in answers.items()},
        "very_sure_beliefs": {name: very_sure(each) for name, each in believed.items()},
        "calibration_error": round(calibration_error(believed["held_out"], believed["fake"]), 4),
        "gradient_norm": [round(entry["gradient_norm"], 4) for entry in monitor.history],
        "d_accuracy": [round(entry["d_accuracy"], 4) for entry in monitor.history],
        "problems": [finding.problem for finding in monitor.findings],
    }


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    for size, kind in itertools.product(SIZES, KINDS):
        runs = [row for row in rows if (row["size"], row["kind"]) == (size, kind)]
        if runs:
            fids = [row["fid"] for row in runs]
            means = [
                np.mean([row[name][who] for row in runs])
                for name in ("called_real", "very_sure", "very_sure_beliefs")
                for who in ("train", "held_out", "fake")
            ]
            error = np.mean([row["calibration_error"] for row in runs])
            norm = np.mean([np.mean(row["gradient_norm"]) for row in runs])
            lines.append(
                [
                    f"{size:,}",
                    kind,
                    f"{np.mean(fids):.1f} ({', '.join(f'{fid:.1f}' for fid in fids)})",
                    *(f"{mean:.0%}" for mean in means[:3]),
                    *(f"{mean:.1%}" for mean in means[3:]),
                    f"{error:.3f}",
                    f"{norm:.1f}",
                ]
            )
    table.write_markdown(
        "Label smoothing and label noise",
        f"Lesson 02's generator against its discriminator without BatchNorm, {EPOCHS * STEPS:,} "
        f"steps of {recipes.Course.batch_size} images. The discriminator is asked about its "
        "training images, the MNIST test set and as many generated images. Very sure: below 5% or "
        "above 95%. Beliefs: its answers, told in shares of real images; called real is a belief "
        "above 50%. Calibration error: how far beliefs are from the truth, on held-out and "
        "generated images. Gradient: the norm of the generator's, mean of the whole run. Means of "
        "the seeds.",
        [
            "training images",
            "labels",
            "Fréchet distance (each seed)",
            "called real: training images",
            "held-out ones",
            "fakes",
            "very sure: of training images",
            "of held-out ones",
            "of fakes",
            "very sure beliefs: of training images",
            "of held-out ones",
            "of fakes",
            "calibration error",
            "gradient",
        ],
        lines,
    )


def main():
    table = Table("smoothing", keys=("kind", "size", "seed", "steps"))
    for seed, size, kind in itertools.product(SEEDS, SIZES, KINDS):
        if not table.has(kind=kind, size=size, seed=seed, steps=EPOCHS * STEPS):
            table.append(timing.in_own_process(measure, kind, size, seed))
            report(table)
    report(table)


if __name__ == "__main__":
    main()
