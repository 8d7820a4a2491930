"""Distance to the limit: how much of what this machine can compute does a training step use?

    python -m benchmarks.limit

The operations of one simultaneous step are counted from the networks and divided by its time. The
limit is the fastest convolution that was found on the same machine, in the same process. Nothing
else should be running.
"""

import math

import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks import recipes, timing
from benchmarks.speed import POLICIES
from benchmarks.tables import RESULTS, Table, verdict
from gan_course import models, runtime, training

# A simultaneous step passes the networks forward so often, each time followed by these backward
# passes: "weights" finds the gradient for a network's weights (and to get there, for the inputs of
# all layers but the first), "images" that for its inputs, which the generator learns from.
STEP = (
    ("generator", ("weights",)),
    ("discriminator", ("weights",)),  # on real images
    ("discriminator", ("weights", "images")),  # on generated ones
)
KINDS = {
    "convolutions, dense": (layers.Conv2D, layers.Conv2DTranspose, layers.Dense),
    "BatchNorm": (layers.BatchNormalization,),
    "activations, dropout": (layers.ReLU, layers.LeakyReLU, layers.Dropout),
}
NETWORKS = (("tensorflow", 100, 256), ("course", 64, 32), ("course", 64, 64))  # latent, batch
TARGET = 0.6  # of the best convolution's rate, on TensorFlow's networks in float32
# Batch, side, channels in and out, kernel's side; stride 1, so that nothing but the sum counts.
CONVOLUTIONS = (
    (32, 14, 64, 64, 3),
    (64, 28, 64, 64, 3),
    (64, 14, 128, 128, 3),
    (256, 14, 128, 128, 3),
    (256, 7, 256, 128, 5),
    (64, 14, 128, 128, 5),
    (32, 28, 256, 256, 3),
)
MATRICES = (512, 1024, 2048)  # sides


def forward_operations(layer):
    """Floating-point operations of a layer for one image, two for a multiplication and addition.

    A convolution's kernel counts in full at every place, also where it lies on the padding. The
    gradient for a layer's weights takes as many, and so does that for its inputs. Layers without a
    kernel, and biases, count nothing: their time is that of reading and writing memory.
    """
    if isinstance(layer, layers.Dense):
        places = math.prod(layer.output.shape[1:-1])
    elif isinstance(layer, layers.Conv2DTranspose):
        places = math.prod(layer.input.shape[1:3])
    elif isinstance(layer, layers.Conv2D):
        places = math.prod(layer.output.shape[1:3])
    elif hasattr(layer, "kernel"):
        raise ValueError(f"no rule to count the operations of {type(layer).__name__}.")
    else:
        return 0
    return 2 * places * math.prod(layer.kernel.shape)


def step_operations(generator, discriminator, batch_size):
    """Floating-point operations of one simultaneous training step."""
    total = 0
    for name, backward in STEP:
        network = {"generator": generator, "discriminator": discriminator}[name]
        forward = [forward_operations(layer) for layer in network.layers]
        of = {"weights": 2 * sum(forward) - forward[0], "images": sum(forward)}
        total += sum(forward) + sum(of[each] for each in backward)
    return batch_size * total


def _fastest(runs, blocks):
    """The highest rate, in GFLOP/s, of some functions, and which one had it.

    Args:
        runs: name -> (operations, function).
    """
    rates = {
        name: operations / min(timing.seconds_per_call(run, blocks, at_least=0.2)) / 1e9
        for name, (operations, run) in runs.items()
    }
    best = max(rates, key=rates.get)
    return round(rates[best], 1), best


def convolution_rate(dtype, shapes=CONVOLUTIONS, blocks=5):
    """The fastest convolution, forward: GFLOP/s and its shape in words."""
    runs = {}
    for batch, side, inputs, outputs, size in shapes:
        images = tf.cast(tf.random.normal((batch, side, side, inputs)), dtype)
        kernel = tf.cast(tf.random.normal((size, size, inputs, outputs)), dtype)
        runs[f"{batch} x {side} x {side} x {inputs}, {size} x {size} to {outputs}"] = (
            2 * batch * side**2 * size**2 * inputs * outputs,
            tf.function(lambda x=images, k=kernel: tf.nn.conv2d(x, k, 1, "SAME")),
        )
    return _fastest(runs, blocks)


def matrix_rate(dtype, sides=MATRICES, blocks=5):
    """The fastest product of two square matrices: GFLOP/s and their side."""
    runs = {}
    for side in sides:
        matrix = tf.cast(tf.random.normal((side, side)), dtype)
        runs[side] = 2 * side**3, tf.function(lambda m=matrix: m @ m)
    return _fastest(runs, blocks)


def _layers_alone(gan, kinds, batch_size):
    """A function that does what a step does with the layers of some kinds, and nothing else.

    Each pass of each layer gets numbers of its own, of the right shapes: what is computed twice
    in a step must not be found to be the same here.
    """
    work = []
    for name, backward in STEP:
        for i, layer in enumerate(getattr(gan, name).layers):
            if isinstance(layer, kinds):
                inputs = tf.random.normal((batch_size, *layer.input.shape[1:]))
                shape = (batch_size, *layer.output.shape[1:])
                gradients = [
                    (each, tf.cast(tf.random.normal(shape), layer.compute_dtype))
                    for each in backward
                ]
                work.append((i, layer, tf.cast(inputs, layer.compute_dtype), gradients))

    @tf.function
    def run():
        found = []
        for i, layer, inputs, gradients in work:
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(inputs)
                outputs = layer(inputs, training=True)
            found.append(outputs)
            for each, gradient in gradients:
                sources = layer.trainable_variables if each == "weights" else []
                if i > 0 or each == "images":
                    sources = [*sources, inputs]
                found.append(tape.gradient(outputs, sources, gradient))
        return found

    return run


def _optimizers_alone(gan):
    pairs = [
        (gan.generator_optimizer, gan.generator.trainable_variables),
        (gan.discriminator_optimizer, gan.discriminator.trainable_variables),
    ]
    gradients = [[tf.random.normal(v.shape) for v in variables] for _, variables in pairs]

    @tf.function
    def run():
        for (optimizer, variables), each in zip(pairs, gradients, strict=True):
            optimizer.apply(each, variables)

    return run


def measure(
    variant,
    latent_dim,
    batch_size,
    precision,
    blocks=5,
    at_least=1.0,
    convolutions=CONVOLUTIONS,
    matrices=MATRICES,
):
    """One row: the rates of the machine, a step's, and the time of its parts, each on its own."""
    rate, shape = convolution_rate(precision, convolutions, blocks)
    matrix, side = matrix_rate(precision, matrices, blocks)
    runtime.use_precision(POLICIES[precision])
    gan = training.SimultaneousGAN(
        models.dcgan_generator(latent_dim, variant=variant),
        models.dcgan_discriminator(variant=variant),
        latent_dim,
    )
    gan.compile(**(recipes.course_optimizers() if variant == "course" else {}))
    images = tf.random.uniform((batch_size, 28, 28, 1), -1, 1)
    operations = step_operations(gan.generator, gan.discriminator, batch_size)
    step = timing.seconds_per_call(lambda: gan.step(images), blocks, at_least)
    runs = {name: _layers_alone(gan, kinds, batch_size) for name, kinds in KINDS.items()}
    runs["optimizers"] = _optimizers_alone(gan)
    parts = {
        name: 1e3 * float(np.median(timing.seconds_per_call(run, blocks, at_least)))
        for name, run in runs.items()
    }
    return {
        "variant": variant,
        "batch_size": batch_size,
        "precision": precision,
        "operations": operations,
        "milliseconds": [round(1e3 * seconds, 3) for seconds in step],
        "parts": {name: round(milliseconds, 3) for name, milliseconds in parts.items()},
        "convolution_rate": rate,
        "convolution": shape,
        "matrix_rate": matrix,
        "matrix": side,
    }


def write(table):
    """The Markdown, from the rows."""
    rows, lines, rates = table.rows(), [], []
    reached = {}
    for row in rows:
        step, parts = float(np.median(row["milliseconds"])), row["parts"]
        kernels = parts["convolutions, dense"]
        rate = row["operations"] / step / 1e6
        name = f"{row['variant']}, batch {row['batch_size']}, {row['precision']}"
        reached[row["variant"], row["precision"]] = rate, row["convolution_rate"]
        rest = step - sum(parts.values())
        lines.append(
            [
                name,
                f"{row['operations'] / 1e9:.2f}",
                f"{step:.1f}",
                f"{rate:,.0f}",
                f"{rate / row['convolution_rate']:.0%}",
                f"{kernels / step:.0%}",
                *(f"{part:.1f} ({part / step:.0%})" for part in (*parts.values(), rest)),
            ]
        )
        rates.append(
            f"- {name}: convolution {row['convolution_rate']:,.0f} ({row['convolution']}), "
            f"matrix {row['matrix_rate']:,.0f} (side {row['matrix']})"
        )
    table.write_markdown(
        "Distance to the limit",
        "\n\n".join(
            [
                "How fast a simultaneous training step computes, against the fastest convolution "
                "found on this machine. Counted are multiplications and additions in convolutions "
                "and fully connected layers. In a step the generator runs forward once and "
                "backward once, for its weights. The discriminator runs forward twice, on real "
                "and on generated images; backward for its weights on both; and once more "
                "backward to the generated images, for the generator.",
                verdict(
                    "rate of a step over the best convolution's, TensorFlow's networks, float32",
                    *reached.get(("tensorflow", "float32"), (None, None)),
                    TARGET,
                ),
                "The share of the layers' own rate is the time of the same convolutions and fully "
                "connected layers alone, forward and backward, over that of the step: what the "
                "shapes of this network allow. The last columns are the parts of a step, each "
                "timed on its own, in ms; the rest is losses, noise, metrics, and what running "
                "together changes, so it can be below zero.",
                "GFLOP/s, the best of several shapes, measured before each row:\n\n"
                + "\n".join(rates),
            ]
        ),
        [
            "networks",
            "GFLOP a step",
            "ms a step",
            "GFLOP/s",
            "of the best convolution",
            "of the layers' own rate",
            *KINDS,
            "optimizers",
            "rest",
        ],
        lines,
    )


def main(folder=RESULTS):
    table = Table("limit", keys=("variant", "batch_size", "precision"), folder=folder)
    for precision in POLICIES:
        for variant, latent_dim, batch_size in NETWORKS:
            if not table.has(variant=variant, batch_size=batch_size, precision=precision):
                table.append(
                    timing.in_own_process(measure, variant, latent_dim, batch_size, precision)
                )
    write(table)


if __name__ == "__main__":
    main()
