"""The guidelines of the DCGAN paper, each switched off in turn. Lesson 02 shows the table.

    python -m benchmarks.guidelines

Each change is made to the course's recipe, the networks of lesson 02, and trained for the same
number of steps, with several seeds. Radford et al. 2015, https://arxiv.org/abs/1511.06434, list the
guidelines in section 3 and the settings of Adam in section 4.
"""

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
    """A new network whose layers are those that `change` makes of each layer of another one.

    Args:
        network: a keras.Sequential.
        change: function of a layer that returns a list of new layers.
    """
    parts = [part for layer in network.layers for part in change(layer)]
    return keras.Sequential([keras.Input(network.input_shape[1:]), *parts], name=network.name)


def unchanged(layer):
    return [again(layer)]


def without_batch_norm(layer):
    if isinstance(layer, layers.BatchNormalization):
        return []
    return [again(layer, use_bias=True) if hasattr(layer, "use_bias") else again(layer)]


def pooled(layer):
    """Pooling after a convolution of stride 1, in place of a stride."""
    if isinstance(layer, layers.Conv2D) and layer.strides == (2, 2):
        return [again(layer, strides=1), layers.AveragePooling2D(2, padding="same")]
    return unchanged(layer)


def upsampled(layer):
    """Each pixel four times and a convolution, in place of a transposed one."""
    if isinstance(layer, layers.Conv2DTranspose):
        convolution = layers.Conv2D(layer.filters, 3, padding="same", use_bias=layer.use_bias)
        return [layers.UpSampling2D(), convolution]
    return unchanged(layer)


def kernels_of(size):
    def change(layer):
        strided = isinstance(layer, layers.Conv2DTranspose)
        return [again(layer, kernel_size=size) if strided else again(layer)]

    return change


def with_hidden_layer(layer):
    """A hidden layer that is fully connected, before the logit."""
    hidden = [layers.Dense(256), layers.LeakyReLU(0.2)]
    return [again(layer), *hidden] if isinstance(layer, layers.Flatten) else unchanged(layer)


def leaky(layer):
    return [layers.LeakyReLU(0.2)] if isinstance(layer, layers.ReLU) else unchanged(layer)


def not_leaky(layer):
    return [layers.ReLU()] if isinstance(layer, layers.LeakyReLU) else unchanged(layer)


def normalized_image(layer):
    """BatchNorm on the generator's output, before tanh."""
    if getattr(layer, "activation", None) is keras.activations.tanh:
        return [
            again(layer, activation=None),
            layers.BatchNormalization(),
            layers.Activation("tanh"),
        ]
    return unchanged(layer)


def normalized_first(layer):
    """BatchNorm after the discriminator's first layer, too."""
    if isinstance(layer, layers.Conv2D) and layer.filters == 32:
        return [again(layer), layers.BatchNormalization(momentum=0.9)]
    return unchanged(layer)


def linear_image(layer):
    """No tanh: the generator's output is unbounded."""
    if getattr(layer, "activation", None) is keras.activations.tanh:
        return [again(layer, activation=None)]
    return unchanged(layer)


def shallow_generator(layer):
    """Without the convolution on the smallest map, which the paper's networks do not have."""
    at_7 = isinstance(layer, layers.Conv2D) and layer.output.shape[1:3] == (7, 7)
    return [] if at_7 and not isinstance(layer, layers.Conv2DTranspose) else unchanged(layer)


def shallow_discriminator(layer):
    """Without the last halving, from 7 x 7 to 4 x 4."""
    small = len(layer.output.shape) == 4 and layer.output.shape[1] == 4
    return [] if small else unchanged(layer)


# From the name in the table to (the generator's change, the discriminator's, Adam's settings).
CHANGES = {
    "the course's recipe": (unchanged, unchanged, {}),
    "pooling in the discriminator": (unchanged, pooled, {}),
    "upsampling in the generator": (upsampled, unchanged, {}),
    "no BatchNorm in the generator": (without_batch_norm, unchanged, {}),
    "no BatchNorm in the discriminator": (unchanged, without_batch_norm, {}),
    "BatchNorm on the generator's output": (normalized_image, unchanged, {}),
    "BatchNorm on the discriminator's first layer": (unchanged, normalized_first, {}),
    "a fully connected hidden layer": (unchanged, with_hidden_layer, {}),
    "LeakyReLU in the generator": (leaky, unchanged, {}),
    "ReLU in the discriminator": (unchanged, not_leaky, {}),
    "no tanh at the generator's end": (linear_image, unchanged, {}),
    "kernels of 3 in the generator": (kernels_of(3), unchanged, {}),
    "kernels of 5 in the generator": (kernels_of(5), unchanged, {}),
    "beta_1 = 0.9": (unchanged, unchanged, {"beta_1": 0.9}),
    "learning rate 2e-4": (unchanged, unchanged, {"learning_rate": 2e-4}),
    "one layer less in the generator": (shallow_generator, unchanged, {}),
    "one layer less in the discriminator": (unchanged, shallow_discriminator, {}),
}


def build(change, seed):
    """The course's GAN with one change."""
    of_generator, of_discriminator, adam = CHANGES[change]
    runtime.set_seed(seed)
    gan = training.SimultaneousGAN(
        rebuilt(models.dcgan_generator(64), of_generator),
        rebuilt(models.dcgan_discriminator(), of_discriminator),
        latent_dim=64,
        seed=seed,
    )
    gan.compile(**recipes.course_optimizers(**adam))
    return gan


def measure(change, seed, steps=STEPS, count=10_000):
    """One training; a row."""
    digits, test = data.load("mnist"), data.load("mnist", "test")
    gan = build(change, seed)
    batches = iter(digits.batches(recipes.Course.batch_size, seed).repeat())
    gan.step(next(batches)[0])  # compiles
    begin = time.perf_counter()
    for _ in range(steps - 1):
        logs = gan.step(next(batches)[0])
    accuracy = float(logs["d_accuracy"])
    seconds = time.perf_counter() - begin
    images = np.clip(gan.generate(count, seed=1), -1, 1)
    score = metrics.FrechetDistance(test.images)
    return {
        "change": change,
        "seed": seed,
        "steps": steps,
        "fid": round(float(score(images)), 2) if np.isfinite(images).all() else None,
        "d_accuracy": round(accuracy, 3),
        "milliseconds_per_step": round(1000 * seconds / (steps - 1), 1),
        "weights": gan.generator.count_params() + gan.discriminator.count_params(),
    }


def report(table):
    """Write the table's Markdown from its rows."""
    lines = []
    for change in CHANGES:
        runs = [row for row in table.rows() if row["change"] == change]
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
