"""CycleGANs whose true translation is known: with and without each of their parts. For lesson 08.

    python -m benchmarks.translation

Digits become leaning digits in color, and back. Each way learns for as many steps as lesson 08,
with three seeds; where a weight is to be chosen, another seed tries some first. Test
images, whose true translation is known, judge. A step of each way is timed first, while nothing
else should be running; then as many trainings run at once as there are cores.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from benchmarks import timing
from benchmarks.studies import cost, measure_costs, not_complete, run_missing, with_error
from benchmarks.tables import RESULTS, Table
from gan_course import data, metrics, models, runtime, training

STEPS, BATCH_SIZE = 2_400, 16
WIDTH, BLOCKS = 16, 3  # of the generators; the discriminators have twice that width
SEEDS, TRIAL_SEED = (0, 1, 2), 100
KEYS = ("way", "weight", "seed")
DIRECTIONS = ("a_to_b", "b_to_a")  # to color, to gray


class Paired(training.CycleGAN):
    """Learns from pairs instead: each image shall become its partner (Isola et al. 2017).

    Its discriminators judge images alone, not together with what they were made from.
    """

    def cycle_loss(self, real_a, real_b, fake_a, fake_b):
        """How far images are from their partners: the sum of two mean absolute differences."""
        return tf.reduce_mean(tf.abs(fake_a - real_a)) + tf.reduce_mean(tf.abs(fake_b - real_b))


@dataclasses.dataclass(frozen=True)
class Way:
    """How to learn to translate, and why it is looked at.

    Attributes:
        words: for the table.
        weights: of the cycle loss, or of the difference from the partner; the best one counts.
        rates: learning rates of the generators and of the discriminators.
    """

    words: str
    weights: tuple = (1.0,)
    rates: tuple = (2e-3, 5e-4)
    identity_weight: float = 0.0
    pool_size: int = 50
    generator: str = "resnet"
    paired: bool = False


WAYS = {
    "lesson": Way("as lesson 08 has it"),
    "no cycle": Way("without the cycle loss", weights=(0.0,)),
    "identity": Way("with the identity loss", identity_weight=0.5),
    "no pool": Way("judged on new images only", pool_size=0),
    "U-Net": Way("with U-Nets as generators", generator="unet", rates=(1e-3, 1e-3)),
    "pairs": Way(
        "learned from pairs, without a cycle", weights=(5.0, 50.0), rates=(1e-3, 1e-3), paired=True
    ),
}


def build(name, weight, seed, steps=STEPS):
    """The four networks and their losses, ready to train."""
    way = WAYS[name]
    runtime.set_seed(seed)
    shape = (28, 28, 3)

    def generator():
        if way.generator == "unet":
            return models.unet_generator(shape, width=2 * WIDTH, halvings=2)
        return models.resnet_generator(shape, width=WIDTH, blocks=BLOCKS)

    discriminators = (
        models.patch_discriminator(shape, width=2 * WIDTH, halvings=2) for _ in range(2)
    )
    kind = Paired if way.paired else training.CycleGAN
    cycle = kind(generator(), generator(), *discriminators, pool_size=way.pool_size, seed=seed)

    def optimizer(rate, **options):
        rate = training.ConstantThenLinear(rate, steps)
        return keras.optimizers.Adam(rate, beta_1=0.5, beta_2=0.99, **options)

    cycle.compile(
        generator_optimizer=optimizer(way.rates[0], use_ema=True, ema_momentum=0.99),
        discriminator_optimizer=optimizer(way.rates[1]),
        cycle_weight=weight,
        identity_weight=way.identity_weight,
        steps_per_execution=5,
    )
    return cycle


def batches(name, seed):
    """Training images of both kinds: unpaired, or each with its partner."""
    if WAYS[name].paired:
        digits = data.load("mnist")
        a, b = (
            dataclasses.replace(digits, images=make(digits.images))
            for make in (lambda images: np.repeat(images, 3, axis=-1), data.slanted_in_color)
        )
    else:
        a, b = data.load_unpaired("digits_to_color")
    return data.batches_of_two(a, b, BATCH_SIZE, seed, aligned=WAYS[name].paired).repeat()


def measure_cost(name, steps=20):
    """How long a step takes; a row."""
    cycle, learned = build(name, WAYS[name].weights[0], 0), batches(name, 0)
    blocks = timing.seconds_per_call(lambda: cycle.fit(learned, steps_per_epoch=steps, verbose=0))
    ms = round(1000 * float(np.median(blocks)) / steps, 1)
    return dict.fromkeys(KEYS) | {"way": "cost", "method": name, "ms": ms}


def best_recoloring(images, targets, rounds=30):
    """The images after one recoloring of all pixels, that which comes closest to the targets.

    A matrix and a shift with the smallest mean absolute difference: least squares again and again,
    where each pixel weighs the inverse of its last difference.
    """
    pixels = images.reshape(-1, images.shape[-1]).astype(np.float64)
    inputs = np.column_stack([pixels, np.ones(len(pixels))])
    recolored = []
    for wanted in targets.reshape(len(pixels), -1).T:
        weights = np.ones(len(pixels))
        for _ in range(rounds):
            weighted = inputs.T * weights
            column = np.linalg.pinv(weighted @ inputs) @ (weighted @ wanted)
            weights = 1 / np.maximum(np.abs(inputs @ column - wanted), 1e-3)
        recolored.append(inputs @ column)
    return np.stack(recolored, axis=1).reshape(targets.shape)


def read_gray(images):
    """Features (N, 96) and probabilities (N, 10) of gray digits: the course's own classifier."""
    features, gray = metrics.get_features("mnist"), images.mean(axis=-1, keepdims=True)
    return features(gray), features.probabilities(gray)


def reader(images, steps=600, augment=None):
    """A classifier for other images, as `read_gray`; to measure with, no CycleGAN sees a label.

    Args:
        images: `data.Images` to learn from.
        steps: so many, of 64 images.
        augment: as for `data.Images.batches`.
    """
    runtime.set_seed(0)
    classifier = models.image_classifier(images.images.shape[1:], len(images.class_names))
    rate = keras.optimizers.schedules.PolynomialDecay(2e-3, steps, 2e-5)
    classifier.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=10,
    )
    learned = images.batches(64, augment=augment).repeat()
    classifier.fit(learned, steps_per_epoch=steps, shuffle=False, verbose=0)
    features = keras.layers.GlobalAveragePooling2D()(classifier.get_layer("features").output)
    probabilities = keras.layers.Softmax()(classifier.outputs[0])
    both = keras.Model(classifier.inputs, [features, probabilities])
    return lambda images: both.predict(images, batch_size=500, verbose=0)


class Scores:
    """Translations of test images, held against the truth.

    Args:
        a, b: `data.Images` with partners.
        like_a, like_b: images of either kind, for distances.
        read_a, read_b: what reads images of that kind, such as `read_gray`.
    """

    def __init__(self, a, b, like_a, like_b, read_a, read_b):
        self._sides = {}
        for direction, source, target, read in (
            ("a_to_b", a, like_b, read_b),
            ("b_to_a", b, like_a, read_a),
        ):
            distance = metrics.FrechetDistance(target, lambda x, read=read: read(x)[0])
            self._sides[direction] = source, read, distance

    def __call__(self, translate):
        """For each direction a dict.

        "error", the mean absolute difference from the truth; "kept", the share of digits that are
        read as what they were; "distance", Fréchet's, to images of that kind; and "cycle", the
        mean absolute difference of an image and itself there and back.

        Args:
            translate: a function of images and a direction, as `CycleGAN.translate`.
        """
        found = {}
        for direction, other in (("a_to_b", "b_to_a"), ("b_to_a", "a_to_b")):
            source, read, distance = self._sides[direction]
            made = translate(source.images, direction)
            back = translate(made, other)
            kept = read(made)[1].argmax(axis=1) == source.labels
            found[direction] = {
                "error": round(float(np.abs(made - source.partner).mean()), 4),
                "kept": round(float(kept.mean()), 4),
                "distance": round(float(distance(made)), 2),
                "cycle": round(float(np.abs(back - source.images).mean()), 4),
            }
        return found


def scores():
    """`Scores` of all test images; distances are to as many training images."""
    test, train = (data.load_unpaired("digits_to_color", split) for split in ("test", "train"))
    like = (kind.images[: len(test[0])] for kind in train)
    return Scores(*test, *like, read_gray, reader(train[1]))


def measure_bar():
    """A row: what images score that are left as they are, or recolored as well as can be."""
    kinds = data.load_unpaired("digits_to_color", "test")
    found = {}
    for direction, kind in zip(DIRECTIONS, kinds, strict=True):
        recolored = best_recoloring(kind.images, kind.partner)
        found[direction] = {
            "as they are": round(float(np.abs(kind.images - kind.partner).mean()), 4),
            "recolored": round(float(np.abs(recolored - kind.partner).mean()), 4),
        }
    return dict.fromkeys(KEYS) | {"way": "bar"} | found


def measure(name, weight, seed, steps=STEPS):
    """One training; a row."""
    cycle = build(name, weight, seed, steps=steps)
    cycle.fit(batches(name, seed), steps_per_epoch=steps, verbose=0)
    return dict(zip(KEYS, (name, weight, seed), strict=True)) | scores()(cycle.translate)


def runs_of(rows, name, seeds=SEEDS):
    return [row for row in rows if row["way"] == name and row["seed"] in seeds]


def best_weight(rows, name):
    """The one whose trial had the smallest error, of both directions together."""
    if len(WAYS[name].weights) == 1:
        return WAYS[name].weights[0]
    trials = runs_of(rows, name, [TRIAL_SEED])
    return min(trials, key=lambda row: sum(row[way]["error"] for way in DIRECTIONS))["weight"]


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    bar = next(row for row in rows if row["way"] == "bar")
    for name, way in WAYS.items():
        runs = runs_of(rows, name)
        if not runs:
            continue

        def shown(key, digits, times=(1, 1), runs=runs):
            return " / ".join(
                with_error([factor * row[direction][key] for row in runs], digits)
                for direction, factor in zip(DIRECTIONS, times, strict=True)
            )

        shares = [100 / bar[direction]["recolored"] for direction in DIRECTIONS]
        lines.append(
            [
                way.words,
                shown("error", 3),
                shown("error", 0, shares),
                shown("kept", 1, (100, 100)),
                shown("distance", 1),
                shown("cycle", 3),
                f"{cost(rows, name):.0f}",
            ]
        )
    tried = "\n".join(
        f"- {WAYS[name].words}: "
        + "; ".join(
            f"{row['weight']:g}: " + " / ".join(f"{row[d]['error']:.3f}" for d in DIRECTIONS)
            for row in runs_of(rows, name, [TRIAL_SEED])
        )
        for name in WAYS
        if runs_of(rows, name, [TRIAL_SEED])
    )
    bars = "; ".join(
        f"{words}: " + " / ".join(f"{bar[direction][words]:.3f}" for direction in DIRECTIONS)
        for words in ("as they are", "recolored")
    )
    table.write_markdown(
        "Translation without pairs, with known truth",
        not_complete(len(WAYS) * len(SEEDS) - sum(len(runs_of(rows, name)) for name in WAYS))
        + f"After {STEPS:,} steps, test images; to color / to gray, means and standard errors of "
        f"the seeds {SEEDS[0]} to {SEEDS[-1]}. Error: mean absolute difference from the truth, of "
        "pixels from -1 to 1, and that in percent of the best recoloring's. Kept: percent of the "
        "digits that are read as what they were. Distance: Fréchet's, to images of that kind. "
        f"There and back: mean absolute difference.\n\nErrors of the images {bars}.\n\n"
        f"Weights that were tried with another seed, and their errors:\n\n{tried}",
        ["way", "error", "% of recoloring", "kept", "distance", "there and back", "ms a step"],
        lines,
    )


def main(folder=RESULTS):
    table = Table("translation", KEYS, folder)
    measure_costs(table, WAYS, measure_cost)
    if not table.has(**dict.fromkeys(KEYS) | {"way": "bar"}):
        table.append(timing.in_own_process(measure_bar))

    def run(trials):
        run_missing(table, trials, measure, report)

    run(
        (name, w, TRIAL_SEED)
        for name, way in WAYS.items()
        if len(way.weights) > 1
        for w in way.weights
    )
    rows = table.rows()
    run((name, best_weight(rows, name), seed) for seed in SEEDS for name in WAYS)
    report(table)


if __name__ == "__main__":
    main()
