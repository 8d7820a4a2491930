"""The guidelines of the DCGAN paper, each switched off in turn. Lesson 02 shows the table.

    python -m benchmarks.guidelines

Each change is made to the course's recipe, the networks of lesson 02, and trained for the same
number of steps, with several seeds. Radford et al. 2015, https://arxiv.org/abs/1511.06434, list the
guidelines in section 3 and the settings of Adam in section 4.
"""

import contextlib
import dataclasses
import time

import keras
import numpy as np
from keras import layers

from benchmarks import recipes, timing
from benchmarks.tables import Table
from gan_course import data, metrics, models, runtime, training

SEEDS = (0, 1, 2)
STEPS = 1_500


def again(layer, **changes):
    """A new layer like another one, with some of its settings changed."""
    config = {**layer.get_config(), **changes}
    return type(layer).from_config({key: value for key, value in config.items() if key != "name"})


def rebuilt(network, change):
    """A new network of the layers that `change` makes of another one's.

    Args:
        network: a keras.Sequential.
        change: function of a list of layers that returns a list of new layers.
    """
    return keras.Sequential(
        [keras.Input(network.input_shape[1:]), *change(network.layers)], name=network.name
    )


def each(change):
    """The change of a list of layers that makes a list of new layers of each of them."""
    return lambda found: [part for layer in found for part in change(layer)]


def copied(layer):
    return [again(layer)]


unchanged = each(copied)


@each
def without_batch_norm(layer):
    if isinstance(layer, layers.BatchNormalization):
        return []
    return [again(layer, use_bias=True) if hasattr(layer, "use_bias") else again(layer)]


def pooled(found):
    """Convolutions of stride 1, and max pooling after their LeakyReLU, in place of strides."""
    parts = []
    for layer in found:
        convolves = isinstance(layer, layers.Conv2D)
        parts.append(again(layer, strides=1) if convolves else again(layer))
        if isinstance(layer, layers.LeakyReLU):
            parts.append(layers.MaxPooling2D(2, padding="same"))
    return parts


@each
def upsampled(layer):
    """Each pixel four times and a convolution, in place of a transposed one."""
    if isinstance(layer, layers.Conv2DTranspose):
        convolution = layers.Conv2D(layer.filters, 3, padding="same", use_bias=layer.use_bias)
        return [layers.UpSampling2D(), convolution]
    return copied(layer)


def kernels_of(size):
    @each
    def change(layer):
        strided = isinstance(layer, layers.Conv2DTranspose)
        return [again(layer, kernel_size=size) if strided else again(layer)]

    return change


@each
def with_hidden_layer(layer):
    """A hidden layer that is fully connected, before the logit."""
    hidden = [layers.Dense(256), layers.LeakyReLU(0.2)]
    return [again(layer), *hidden] if isinstance(layer, layers.Flatten) else copied(layer)


@each
def leaky(layer):
    return [layers.LeakyReLU(0.2)] if isinstance(layer, layers.ReLU) else copied(layer)


@each
def not_leaky(layer):
    return [layers.ReLU()] if isinstance(layer, layers.LeakyReLU) else copied(layer)


@each
def normalized_image(layer):
    """BatchNorm on the generator's output, before tanh."""
    if getattr(layer, "activation", None) is keras.activations.tanh:
        norm = layers.BatchNormalization(momentum=0.9)  # as all others
        return [again(layer, activation=None), norm, layers.Activation("tanh")]
    return copied(layer)


def normalized_first(found):
    """BatchNorm after the discriminator's first layer, too."""
    first, *others = found
    return [again(first), layers.BatchNormalization(momentum=0.9), *unchanged(others)]


@each
def linear_image(layer):
    """No tanh: the generator's output is unbounded."""
    if getattr(layer, "activation", None) is keras.activations.tanh:
        return [again(layer, activation=None)]
    return copied(layer)


def without_block(index):
    """Leave out a convolution, and the BatchNorm and activation that follow it.

    Args:
        index: which of the network's convolutions.
    """

    def change(found):
        kinds = (layers.Conv2D, layers.Conv2DTranspose)
        place = [i for i, layer in enumerate(found) if isinstance(layer, kinds)][index]
        return unchanged(found[:place] + found[place + 3 :])

    return change


@dataclasses.dataclass(frozen=True)
class Change:
    """What is different from the course's recipe."""

    generator: object = unchanged
    discriminator: object = unchanged
    adam: dict = dataclasses.field(default_factory=dict)
    kind: type = training.SimultaneousGAN


CHANGES = {
    "the course's recipe": Change(),
    "pooling in the discriminator": Change(discriminator=pooled),
    "upsampling in the generator": Change(generator=upsampled),
    "no BatchNorm in the generator": Change(generator=without_batch_norm),
    "no BatchNorm in the discriminator": Change(discriminator=without_batch_norm),
    "BatchNorm on the generator's output": Change(generator=normalized_image),
    "BatchNorm on the discriminator's first layer": Change(discriminator=normalized_first),
    "a fully connected hidden layer": Change(discriminator=with_hidden_layer),
    "LeakyReLU in the generator": Change(generator=leaky),
    "ReLU in the discriminator": Change(discriminator=not_leaky),
    "no tanh at the generator's end": Change(generator=linear_image),
    "kernels of 3 in the generator": Change(generator=kernels_of(3)),
    "kernels of 5 in the generator": Change(generator=kernels_of(5)),
    "beta_1 = 0.9": Change(adam={"beta_1": 0.9}),
    "learning rate 2e-4": Change(adam={"learning_rate": 2e-4}),
    "one layer less in the generator": Change(generator=without_block(0)),
    "one layer less in the discriminator": Change(discriminator=without_block(-1)),
    "alternating steps": Change(kind=training.GAN),
}


def build(name, seed):
    """The course's GAN with one change."""
    change = CHANGES[name]
    runtime.set_seed(seed)
    gan = change.kind(
        rebuilt(models.dcgan_generator(64), change.generator),
        rebuilt(models.dcgan_discriminator(), change.discriminator),
        latent_dim=64,
        seed=seed,
    )
    gan.compile(**recipes.course_optimizers(**change.adam))
    return gan


def measure(change, seed, steps=STEPS, count=10_000):
    """One training; a row. The distance of a run that has diverged is None."""
    digits, test = data.load("mnist"), data.load("mnist", "test")
    gan = build(change, seed)
    batches = iter(digits.batches(recipes.Course.batch_size, seed).repeat())
    gan.step(next(batches)[0])  # compiles
    begin = time.perf_counter()
    with contextlib.suppress(FloatingPointError):  # a run that has diverged
        for _ in range(steps - 1):
            logs = gan.step(next(batches)[0])
    accuracy = float(logs["d_accuracy"])
    seconds = time.perf_counter() - begin
    images = gan.generate(count, seed=1)
    finite = not gan.diverged and bool(np.isfinite(images).all())
    images = np.clip(images, -1, 1)  # without tanh they may be outside
    distance = float(metrics.FrechetDistance(test.images)(images)) if finite else None
    return {
        "change": change,
        "seed": seed,
        "steps": steps,
        "fid": distance if distance is None else round(distance, 2),
        "d_accuracy": round(accuracy, 3),
        "milliseconds_per_step": round(1000 * seconds / (steps - 1), 1),
        "weights": gan.generator.count_params() + gan.discriminator.count_params(),
    }


def report(table):
    """Write the table's Markdown from its rows."""
    rows, lines = table.rows(), []
    for change in CHANGES:
        runs = [row for row in rows if row["change"] == change]
        found = [row["fid"] for row in runs if row["fid"] is not None]
        if not runs:
            continue
        lines.append(
            [
                change,
                f"{np.mean(found):.1f}" if found else "-",
                ", ".join("diverged" if r["fid"] is None else f"{r['fid']:.1f}" for r in runs),
                f"{np.mean([row['d_accuracy'] for row in runs]):.2f}",
                f"{np.median([row['milliseconds_per_step'] for row in runs]):.0f}",
                f"{runs[0]['weights']:,}",
            ]
        )
    table.write_markdown(
        "The guidelines, one by one",
        f"The recipe of lesson 02 with one change, {STEPS:,} steps of "
        f"{recipes.Course.batch_size} images. Fréchet distance to the MNIST test set, 10,000 "
        "images; the discriminator's accuracy is the mean over the whole run.",
        [
            "change",
            "Fréchet distance",
            "each seed",
            "accuracy of D",
            "ms a step",
            "weights of both",
        ],
        lines,
    )


def main():
    table = Table("guidelines", keys=("change", "seed", "steps"))
    for seed in SEEDS:
        for change in CHANGES:
            if not table.has(change=change, seed=seed, steps=STEPS):
                table.append(timing.in_own_process(measure, change, seed))
                report(table)
    report(table)


if __name__ == "__main__":
    main()
