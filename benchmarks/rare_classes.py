"""Rare classes, refilled with generated images: does a classifier gain by it? For lesson 07.

    python -m benchmarks.rare_classes

Of MNIST's training images 1,000 of each digit are kept, but of three digits only 30. A conditional
GAN learns from these alone and draws the images that are missing. Classifiers learn for equally
many steps from that set as it is, from one where the rare images are repeated, and from the
refilled one; each also with images that are shifted and turned a little in every batch. They are
scored with the test set. Which digits are rare, and which images are kept, depends on the seed. As
many trainings run at once as there are cores; nothing is timed.
"""

import keras
import numpy as np

from benchmarks import conditional
from benchmarks.studies import not_complete, run_missing, with_error
from benchmarks.tables import RESULTS, Table
from gan_course import data, models, runtime

RARE, FEW, MANY = 3, 30, 1_000  # rare digits, and images of a rare and of another digit
GAN_STEPS, STEPS, BATCH_SIZE = 2_000, 1_200, 64
SEEDS = (0, 1, 2, 3, 4)
KEYS = ("way", "moved", "seed")
WAYS = {
    "nothing": "the images as they are",
    "repeated": "rare images repeated until there are as many of each digit",
    "GAN": "refilled by a GAN that learned from the images as they are",
    "GAN, repeated": "refilled by a GAN that learned from repeated rare images",
    "enough": "1,000 real images of each digit",
}


def kept_images(seed, few=FEW, many=MANY):
    """The images that are there, and which digits are rare."""
    rng = np.random.default_rng(seed)
    digits = data.load("mnist")
    rare = np.sort(rng.choice(10, RARE, replace=False))
    kept = []
    for k in range(10):
        places = rng.permutation(np.flatnonzero(digits.labels == k))
        kept.append(places[: few if k in rare else many])
    return digits[np.concatenate(kept)], rare


def repeated(images, many=MANY):
    """So many of each digit, where there are fewer each several times."""
    places = [np.resize(np.flatnonzero(images.labels == k), many) for k in range(10)]
    return images[np.concatenate(places)]


def train_gan(images, seed, steps=GAN_STEPS):
    """A conditional GAN, as lesson 07 has it."""
    gan = conditional.build_gan("BatchNorm and projection", 1e-3, None, seed)
    gan.fit(images.batches(32, seed).repeat(), steps_per_epoch=steps, verbose=0)
    return gan


def refilled(images, gan, many=MANY, seed=0):
    """The images and, of each digit, as many generated ones as are missing."""
    missing = many - np.bincount(images.labels, minlength=10)
    labels = np.repeat(np.arange(10), missing)
    made = gan.generate(labels=labels, seed=seed)
    return data.Images(
        np.concatenate([images.images, made]),
        np.concatenate([images.labels, labels]),
        images.name,
        images.class_names,
    )


def train_classifier(images, moved, seed, steps=STEPS):
    """A classifier of digits."""
    runtime.set_seed(seed)
    fill = {"fill_mode": "constant", "fill_value": -1.0}
    shift = keras.layers.RandomTranslation(0.1, 0.1, **fill)
    move = keras.Sequential([shift, keras.layers.RandomRotation(0.04, **fill)])
    classifier = models.image_classifier()
    rate = keras.optimizers.schedules.PolynomialDecay(2e-3, steps, 2e-5)
    classifier.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=20,
    )
    batches = images.batches(BATCH_SIZE, seed, move if moved else None).repeat()
    classifier.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
    return classifier


def measure(way, moved, seed, few=FEW, many=MANY, gan_steps=GAN_STEPS, steps=STEPS):
    """One classifier; a row with its accuracy on rare digits, on others, and on all."""
    images, rare = kept_images(seed, many if way == "enough" else few, many)
    if way == "repeated":
        images = repeated(images, many)
    elif way.startswith("GAN"):
        known = repeated(images, many) if way == "GAN, repeated" else images
        images = refilled(images, train_gan(known, seed, gan_steps), many)
    test = data.load("mnist", "test")
    read = train_classifier(images, moved, seed, steps).predict(test.images, verbose=0).argmax(1)
    right, is_rare = read == test.labels, np.isin(test.labels, rare)
    return dict(zip(KEYS, (way, moved, seed), strict=True)) | {
        "rare_digits": rare.tolist(),
        "rare": round(float(right[is_rare].mean()), 4),
        "others": round(float(right[~is_rare].mean()), 4),
        "all": round(float(right.mean()), 4),
    }


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    for moved in (False, True):
        for way in WAYS:
            runs = [row for row in rows if (row["way"], row["moved"]) == (way, moved)]
            if runs:
                cells = (
                    with_error([100 * row[key] for row in runs], 1)
                    for key in ("rare", "others", "all")
                )
                lines.append([way, "yes" if moved else "", *cells])
    words = "\n".join(f"- {way}: {text}" for way, text in WAYS.items())
    table.write_markdown(
        "Rare classes",
        not_complete(2 * len(WAYS) * len(SEEDS) - len(rows))
        + f"Accuracy in percent on the test images of {RARE} digits of which there were {FEW} for "
        f"training, of the others, of which there were {MANY:,}, and of all: means and standard "
        f"errors of the seeds {SEEDS[0]} to {SEEDS[-1]}.\n\n{words}",
        ["way", "moved", "rare", "others", "all"],
        lines,
    )


def main(folder=RESULTS):
    table = Table("rare_classes", KEYS, folder)
    trials = [(way, moved, seed) for seed in SEEDS for moved in (False, True) for way in WAYS]
    run_missing(table, trials, measure, report)
    report(table)


if __name__ == "__main__":
    main()
