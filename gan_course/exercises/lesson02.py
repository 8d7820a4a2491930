"""Lesson 02, DCGAN: convolutions that grow images, BatchNorm, and walks in the latent space."""

import math

import keras
import numpy as np
from keras import layers

from gan_course.exercises.checker import (
    NotYet,
    as_array,
    as_numbers,
    call,
    compare,
    exercise,
    measured,
    need_function,
    need_result,
    prediction,
)

prediction(
    "2.a",
    "which kernels overlap evenly",
    right="b",
    why="With stride 2 every output lies under half of a kernel of 4, so it gets two stamps. Under "
    "a kernel of 3 or 5, every other output gets one stamp more.",
    others={
        "a": "Count the stamps on two neighboring outputs: with a kernel of 3 it is 1 and 2.",
        "c": "Count the stamps on two neighboring outputs: with a kernel of 5 it is 2 and 3.",
        "d": "Half of an odd number is no whole number, so neighbors cannot get equally many.",
    },
)
prediction(
    "2.b",
    "one latent vector in two batches",
    right="b",
    why="While training, BatchNorm takes mean and variance from the batch at hand, so an image "
    "depends on its neighbors. `generate` uses averages that were kept while training.",
    others={
        "a": "It would, without BatchNorm: all other layers treat each image by itself.",
        "c": "There is no randomness in these layers: the same batch gives the same images.",
    },
)
prediction(
    "2.c",
    "which change hurts most",
    right="c",
    why="Adam's usual momentum averages over ten steps, and the opponent is another one by then. "
    "The paper found 0.9 unstable, and here all three runs end about ten times as far away.",
    others={
        "a": "Not in every run: one falls apart without it, but two end only half as far again.",
        "b": "A kernel of 3 overlaps unevenly, but the convolution after it can even that out.",
        "d": "A hidden layer doubles the number of weights, and hardly changes the distance.",
    },
)
prediction(
    "2.d",
    "the middle of two latent vectors",
    right="b",
    why="The variance of the mean of two independent numbers is half of theirs, so every entry "
    "shrinks by the root of 2, and the length with it: 8 / 1.41 = 5.7.",
    others={
        "a": "It would, if both pointed the same way. Two random directions in 64 dimensions are "
        "nearly at a right angle.",
        "c": "It would, if they pointed in opposite directions. Two random directions in 64 "
        "dimensions are nearly at a right angle.",
    },
)


# 2.1: a transposed convolution, stamp by stamp


def _transposed(inputs, kernel, stride):
    output = np.zeros((len(inputs) - 1) * stride + len(kernel))
    for i, value in enumerate(inputs):
        output[i * stride : i * stride + len(kernel)] += value * kernel
    return output


def _stamps(inputs, kernel, stride, last_wins=False):
    """As `_transposed`; or with each stamp covering what was there."""
    output = np.zeros((len(inputs) - 1) * stride + len(kernel))
    for i, value in enumerate(inputs):
        part = slice(i * stride, i * stride + len(kernel))
        output[part] = value * kernel if last_wins else output[part] + value * kernel
    return output


@exercise(
    "2.1",
    "a transposed convolution",
    solution=_transposed,
    hints=(
        "The last stamp begins at (len(inputs) - 1) * stride and is len(kernel) long: that is how "
        "long the output has to be. Begin with np.zeros of that length.",
        "Go through the inputs with enumerate. Number i begins at i * stride, and adds value * "
        "kernel to len(kernel) entries of the output: +=, not =.",
        "for i, value in enumerate(inputs): output[i * stride : i * stride + len(kernel)] += value "
        "* kernel",
    ),
)
def judge_transposed(answer):
    need_function(answer, "transposed")
    cases = [
        ([1.0, 2.0, 3.0], [1.0, 10.0, 100.0], 2),
        ([1.0, 2.0, 3.0], [1.0, 10.0, 100.0, 1000.0], 1),
        ([3.0, 5.0], [1.0, 2.0], 3),
    ]
    for inputs, kernel, stride in cases:
        x, k = np.array(inputs), np.array(kernel)
        expected = _transposed(x, k, stride)
        came = as_numbers(call(answer, x, k, stride), "The output")
        where = f"for inputs {_list(x)}, kernel {_list(k)} and stride {stride}"
        if came.shape != expected.shape:
            raise NotYet(
                f"The output has the wrong length {where}.",
                expected=f"{len(expected)} numbers: {_list(expected)}",
                came=f"{_list(came) if came.ndim == 1 else f'shape {came.shape}'}",
                hint="The last stamp begins at (n - 1) times the stride, and is as long as the "
                "kernel.",
            )
        compare(
            came,
            expected,
            where,
            mistakes=[
                (
                    _stamps(x, k, stride, last_wins=True),
                    "Where stamps overlap they are added up: += instead of =.",
                ),
                (_transposed(x, k[::-1], stride), "The kernel is stamped as it is, not reversed."),
                (_transposed(x[::-1], k, stride), "The first input makes the first stamp."),
                (
                    _transposed(np.ones_like(x), k, stride),
                    "Each stamp is the kernel times its input.",
                ),
            ],
        )
    return "That is all a transposed convolution does; in an image it stamps in two directions."


def _list(values):
    return ", ".join(f"{value:g}" for value in values)


# 2.2: BatchNorm


def _batch_norm(maps, gamma, beta, epsilon):
    mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
    return gamma * (maps - mean) / np.sqrt(variance + epsilon) + beta


@exercise(
    "2.2",
    "BatchNorm",
    solution=_batch_norm,
    hints=(
        "One mean and one variance for each channel: everything else is averaged over, the batch, "
        "the height and the width.",
        "maps.mean(axis=(0, 1, 2)) has one entry a channel, maps.var(axis=(0, 1, 2)) too. NumPy "
        "fits them to the last axis of maps by itself.",
        "return gamma * (maps - mean) / np.sqrt(variance + epsilon) + beta",
    ),
)
def judge_batch_norm(answer):
    need_function(answer, "batch_norm")
    maps = np.random.default_rng(0).normal(1.0, [0.5, 2.0, 4.0], size=(4, 2, 2, 3))
    gamma, beta, epsilon = np.array([1.0, 2.0, 0.5]), np.array([0.0, -1.0, 3.0]), 0.5

    def with_axes(axes, ddof=0):
        mean = maps.mean(axis=axes, keepdims=True)
        variance = maps.var(axis=axes, keepdims=True, ddof=ddof)
        return gamma * (maps - mean) / np.sqrt(variance + epsilon) + beta

    mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
    came = as_array(call(answer, maps, gamma, beta, epsilon), maps.shape, "The result")
    compare(
        came.ravel(),
        _batch_norm(maps, gamma, beta, epsilon).ravel(),
        "for a batch of four small maps with three channels (the first numbers)",
        mistakes=[
            (
                with_axes(0).ravel(),
                "The mean is over the batch only. A convolution treats every place alike, so "
                "average over height and width as well: axis=(0, 1, 2).",
            ),
            (with_axes((1, 2)).ravel(), "The batch is left out: this is instance normalization."),
            (with_axes((1, 2, 3)).ravel(), "This normalizes each image: layer normalization."),
            (
                with_axes((0, 1, 2, 3)).ravel(),
                "All channels share one mean here. Each channel gets its own.",
            ),
            (
                with_axes((0, 1, 2), ddof=1).ravel(),
                "The variance is divided by the number of values, not by one less.",
            ),
            (
                (gamma * (maps - mean) / (variance + epsilon) + beta).ravel(),
                "Divide by the standard deviation: the root is missing.",
            ),
            (
                (gamma * (maps - mean) / (np.sqrt(variance) + epsilon) + beta).ravel(),
                "epsilon is added to the variance, inside the root.",
            ),
            (
                (gamma * (maps - mean) / np.sqrt(variance) + beta).ravel(),
                "epsilon is missing: without it a channel that never varies divides by 0.",
            ),
            (((maps - mean) / np.sqrt(variance + epsilon)).ravel(), "gamma and beta are missing."),
            (((maps - mean) / np.sqrt(variance + epsilon) + beta).ravel(), "gamma is missing."),
            ((gamma * (maps - mean) / np.sqrt(variance + epsilon)).ravel(), "beta is missing."),
            (with_axes((0, 1)).ravel(), "The width is left out: axis=(0, 1, 2)."),
            (
                (gamma * ((maps - mean) / np.sqrt(variance + epsilon) + beta)).ravel(),
                "beta is added after the multiplication with gamma.",
            ),
            (
                (gamma * maps / np.sqrt(variance + epsilon) + beta).ravel(),
                "The mean is not taken away.",
            ),
        ],
    )
    return "Each channel now has mean beta and, up to epsilon, standard deviation gamma."


# 2.3: a generator


def _generator(latent_dim):
    return keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(7 * 7 * 64, use_bias=False),
            layers.Reshape((7, 7, 64)),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(32, 4, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh"),
        ]
    )


@exercise(
    "2.3",
    "build a generator",
    solution=_generator,
    hints=(
        "Begin with keras.Input((latent_dim,)). Then three stages: Dense and Reshape make a small "
        "map, 7 x 7; one transposed convolution with strides=2 makes it 14 x 14, another 28 x 28.",
        "After the first two stages BatchNormalization and ReLU; the last one has 1 channel and "
        "activation='tanh', and no BatchNormalization. padding='same' everywhere.",
        "layers.Conv2DTranspose(32, 4, strides=2, padding='same', use_bias=False), then "
        "BatchNormalization and ReLU; then layers.Conv2DTranspose(1, 4, strides=2, padding='same', "
        "activation='tanh')",
    ),
)
def judge_generator(answer):
    need_function(answer, "generator")
    network = call(answer, 24)
    if not isinstance(network, keras.Model):
        raise NotYet(
            "The function must return a Keras model.",
            expected="keras.Sequential([...])",
            came=type(network).__name__,
        )
    if not network.built:
        raise NotYet(
            "The network does not know its input yet.",
            expected="keras.Input((latent_dim,)) as the first entry",
            came=type(network.layers[0]).__name__ if network.layers else "no layer at all",
            hint="Begin the list with keras.Input((latent_dim,)).",
        )
    if network.input_shape != (None, 24):
        raise NotYet(
            "The network takes the wrong input, for latent_dim = 24.",
            expected="(None, 24)",
            came=str(network.input_shape),
            hint="Begin with keras.Input((latent_dim,)).",
        )
    if network.output_shape != (None, 28, 28, 1):
        raise NotYet(
            "The network makes images of the wrong shape.",
            expected="(None, 28, 28, 1)",
            came=str(network.output_shape),
            hint="From 7 x 7, strides=2 with padding='same' gives 14 x 14 and then 28 x 28. The "
            "last layer has 1 channel.",
        )
    found = list(network._flatten_layers(include_self=False))
    _judge_convolutions(found)
    _judge_activations(network)
    latents = np.random.default_rng(0).normal(size=(16, 24)).astype("float32")
    images = np.asarray(network(1000 * latents, training=False))
    if not np.abs(images).max() <= 1:  # or not a number
        raise NotYet(
            "Images must lie in [-1, 1].",
            came=f"{images.min():.3g} to {images.max():.3g}, for large latent vectors",
            hint="The last layer needs activation='tanh'.",
        )
    if images.min() > -0.5:
        raise NotYet(
            "Images must be able to reach -1, which is black.",
            came=f"{images.min():.3g} to {images.max():.3g}, for large latent vectors",
            hint="The last activation must be tanh: a sigmoid gives [0, 1], ReLU nothing below 0.",
        )
    _judge_batch_norms(found, network)
    return f"A generator of {network.count_params():,} weights, whose stamps overlap evenly."


def _judge_activations(network):
    """Before the last activation, the middle of two inputs must not always give the middle."""
    ends = np.random.default_rng(1).normal(size=(2, 16, 24)).astype("float32")
    first, last, middle = (
        np.arctanh(np.clip(network(each, training=False), -0.999, 0.999))
        for each in (*ends, ends.mean(axis=0))
    )
    if np.abs((first + last) / 2 - middle).max() < 1e-3 * np.abs(first).max():
        raise NotYet(
            "All layers before the last activation are together no more than one linear layer.",
            hint="layers.ReLU() follows each BatchNormalization.",
        )


def _judge_convolutions(found):
    """Maps must grow in it, and no transposed convolution may overlap unevenly."""
    kinds = (layers.Conv2D, layers.Conv2DTranspose, layers.SeparableConv2D)
    if not any(isinstance(layer, kinds) for layer in found):
        raise NotYet(
            "There is no convolution in it.",
            hint="After Dense and Reshape to a small map, let Conv2DTranspose double its side.",
        )
    if not any(isinstance(layer, (layers.Conv2DTranspose, layers.UpSampling2D)) for layer in found):
        raise NotYet(
            "No map grows in it.",
            hint="Reshape to 7 x 7, and let a Conv2DTranspose double the side, twice.",
        )
    for layer in found:
        if isinstance(layer, layers.Conv2DTranspose):
            pairs = zip(layer.kernel_size, layer.strides, strict=True)
            if any(kernel % stride for kernel, stride in pairs):
                raise NotYet(
                    f"{layer.name} overlaps unevenly: it will draw a checkerboard.",
                    expected="a kernel size that the stride divides",
                    came=f"kernel {layer.kernel_size[0]}, stride {layer.strides[0]}",
                    hint="With stride 2 take a kernel of 4.",
                )


def _judge_batch_norms(found, network):
    """BatchNorm somewhere, but not where the image comes out."""
    if not any(isinstance(layer, layers.BatchNormalization) for layer in found):
        raise NotYet(
            "There is no BatchNormalization in it.",
            hint="It follows each layer but the last, before ReLU.",
        )
    last = [layer for layer in network.layers if layer.weights][-1]
    if isinstance(last, layers.BatchNormalization):
        raise NotYet(
            "The output is normalized, too.",
            hint="No BatchNormalization after the last convolution: the images' own mean and "
            "variance have to be learned.",
        )


# 2.4: an experiment, judged by what was measured

_GOOD_DISTANCE = 60  # the settings it begins with give above 1,000, one of two cures about 100


@exercise(
    "2.4",
    "an experiment in a hurry",
    solution=None,
    hints=(
        "Change one setting at a time and watch the distance: which one matters more?",
        "Both are at fault. In so few steps a network has to move fast, and the opponent it pushes "
        "against is another one in every step: old momentum points the wrong way.",
        "experiment(learning_rate=1e-3, beta_1=0.5)",
    ),
)
def judge_experiment(answer):
    need_result(
        answer,
        {"distance", "steps", "learning_rate", "beta_1"},
        of=("an experiment", "experiment"),
        hint="best = experiment(learning_rate=..., beta_1=...)",
    )
    distance, steps = measured(answer, "distance"), measured(answer, "steps")
    rate, beta_1 = answer["learning_rate"], answer["beta_1"]
    expected = f"a distance below {_GOOD_DISTANCE} after 400 steps"
    came = f"{distance:.0f} after {steps:g} steps"
    if steps != 400:
        raise NotYet(
            "The number of steps has changed.",
            expected,
            came,
            "Leave steps as it is: with more of them any setting looks better.",
        )
    if 0 <= distance < _GOOD_DISTANCE:
        return (
            f"A distance of {distance:.0f} in a few seconds, with the same networks. Large steps "
            "and a short memory: both players keep moving, and old gradients tell of an opponent "
            "that is no longer there."
        )
    if not math.isfinite(distance) or (rate > 3e-3 and distance > 300):
        hint = "The learning rate is too high: the losses jump and nothing is learned."
    elif rate < 3e-4:
        hint = "The learning rate is too low for so few steps."
    elif beta_1 > 0.7:
        hint = "Now beta_1: with 0.9 Adam averages over ten steps. The paper found that unstable."
    else:
        hint = (
            "Close. Try a learning rate around 1e-3 and a beta_1 of 0.5 or less; or has your "
            "generator of exercise 2.3 too few channels?"
        )
    raise NotYet("Not good enough yet.", expected, came, hint)


# 2.5: a walk on the sphere


def _slerp(start, end, t):
    angle = np.arccos(np.dot(start, end) / np.linalg.norm(start) / np.linalg.norm(end))
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)


@exercise(
    "2.5",
    "a walk on the sphere",
    solution=_slerp,
    hints=(
        "First the angle between the two vectors: its cosine is their dot product divided by both "
        "lengths.",
        "angle = np.arccos(np.dot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end)))",
        "return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)",
    ),
)
def judge_slerp(answer):
    need_function(answer, "slerp")
    start, end = np.array([2.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0])
    at_60_degrees = np.array([3.0, 0.0, 0.0]), np.array([1.5, 3 * math.sqrt(3) / 2, 0.0])
    for (one, other), t, where in (
        (at_60_degrees, 1 / 3, "a third of the way between two vectors of length 3 at 60 degrees"),
        ((start, end), 0.5, "half way between (2, 0, 0) and (0, 2, 0)"),
        ((start, 2 * end), 0.25, "a quarter of the way from (2, 0, 0) to (0, 4, 0)"),
    ):
        came = as_array(call(answer, one, other, t), (3,), "The result")
        lengths = np.linalg.norm(one), np.linalg.norm(other)
        expected, angle = _slerp(one, other, t), np.arccos(one @ other / np.prod(lengths))
        parts = np.sin((1 - t) * angle) * one + np.sin(t * angle) * other
        compare(
            came,
            expected,
            where,
            mistakes=[
                (
                    (1 - t) * one + t * other,
                    "This is the straight line: its middle is too short.",
                ),
                (_slerp(other, one, t), "start and end are exchanged: t = 0 must give start."),
                (parts, "The division by sin(angle) is missing."),
                (
                    expected / np.linalg.norm(expected),
                    "The length is lost: only the angle is computed from vectors of length 1.",
                ),
                *(
                    (
                        (np.cos((1 - t) * angle) * one + np.cos(t * angle) * other) / divisor,
                        "The weights are sines, not cosines.",
                    )
                    for divisor in (1, np.sin(angle))
                ),
                (
                    lengths[0] * _slerp(one / lengths[0], other / lengths[1], t),
                    "At t = 1 the result must be end, with its own length.",
                ),
            ],
        )
    return "The walk keeps its distance from the origin, where the generator was trained."
