"""Right and wrong answers to the exercises of lesson 02, for test_exercises.py."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from gan_course import models
from gan_course.exercises import lesson02

mean, sqrt = np.mean, np.sqrt


# 2.1


def by_convolution(inputs, kernel, stride):
    """Zeros between the inputs, then an ordinary convolution."""
    spread = np.zeros((len(inputs) - 1) * stride + 1)
    spread[::stride] = inputs
    return np.convolve(spread, kernel)


def with_tensorflow(inputs, kernel, stride):
    x, k = tf.reshape(inputs, (1, -1, 1)), tf.reshape(kernel, (-1, 1, 1))
    length = (len(inputs) - 1) * stride + len(kernel)
    return tf.nn.conv1d_transpose(x, k, (1, length, 1), stride, padding="VALID")[0, :, 0]


def as_a_list(inputs, kernel, stride):
    output = [0.0] * ((len(inputs) - 1) * stride + len(kernel))
    for i in range(len(inputs)):
        for j in range(len(kernel)):
            output[i * stride + j] += inputs[i] * kernel[j]
    return output


def without_adding(inputs, kernel, stride):
    output = np.zeros((len(inputs) - 1) * stride + len(kernel))
    for i, value in enumerate(inputs):
        output[i * stride : i * stride + len(kernel)] = value * kernel
    return output


# 2.2


def keras_batch_norm(maps, gamma, beta, epsilon):
    layer = layers.BatchNormalization(epsilon=epsilon, dtype="float64")
    layer.build(maps.shape)
    layer.gamma.assign(gamma), layer.beta.assign(beta)
    return layer(maps, training=True)


def flattened_batch_norm(maps, gamma, beta, epsilon):
    flat = maps.reshape(-1, maps.shape[-1])
    scaled = (flat - flat.mean(0)) / sqrt(flat.var(0) + epsilon)
    return (scaled * gamma + beta).reshape(maps.shape)


def normalized_over(axes, **options):
    def answer(maps, gamma, beta, epsilon):
        average = maps.mean(axis=axes, keepdims=True)
        variance = maps.var(axis=axes, keepdims=True, **options)
        return gamma * (maps - average) / sqrt(variance + epsilon) + beta

    return answer


def moments(maps):
    return maps.mean((0, 1, 2)), maps.var((0, 1, 2))


# 2.3


def network_of(*parts, input_dim=None):
    return lambda latent_dim: keras.Sequential([keras.Input((input_dim or latent_dim,)), *parts])


def begin(side=7, channels=8):
    return [layers.Dense(side * side * channels), layers.Reshape((side, side, channels))]


def generator(kernel=4, activation="tanh", norm=True, end=(), image_channels=1):
    """The usual form, with one thing changed."""

    def build(latent_dim):
        between = [layers.BatchNormalization(), layers.ReLU()] if norm else [layers.ReLU()]
        parts = [*begin(), layers.Conv2DTranspose(8, kernel, 2, "same"), *between]
        image = layers.Conv2DTranspose(image_channels, kernel, 2, "same", activation=activation)
        return network_of(*parts, image, *end)(latent_dim)

    return build


def functional_generator(latent_dim):
    """The same with Keras' functional interface, and upsampling."""
    latents = keras.Input((latent_dim,))
    x = layers.Reshape((7, 7, 4))(layers.Dense(196)(latents))
    for _ in range(2):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x)))
        x = layers.UpSampling2D()(x)
    x = layers.Conv2D(1, 3, padding="same")(x)
    return keras.Model(latents, layers.Activation("tanh")(x))


def linear_generator(latent_dim):
    """The usual form, but without a ReLU."""
    found = generator()(latent_dim).layers
    return network_of(*(layer for layer in found if not isinstance(layer, layers.ReLU)))(latent_dim)


def dense_generator(latent_dim):
    return models.mlp_generator(latent_dim)


# 2.4


def by_rotation(start, end, t):
    """Turn start by a share of the angle, in the plane of both."""
    length = np.linalg.norm(start)
    one, other = start / length, end / np.linalg.norm(end)
    angle = np.arccos(one @ other)
    sideways = (other - (one @ other) * one) / np.linalg.norm(other - (one @ other) * one)
    return length * (np.cos(t * angle) * one + np.sin(t * angle) * sideways)


def slerp_of(weights, divide=True, normalized=True):
    def answer(start, end, t):
        cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end) if normalized else 1)
        angle = np.arccos(cosine)
        first, second = weights(angle, t)
        return (first * start + second * end) / (np.sin(angle) if divide else 1)

    return answer


def sines(angle, t):
    return np.sin((1 - t) * angle), np.sin(t * angle)


def experiment(distance, **settings):
    """What the lesson's experiment returns."""
    return {"distance": distance, "steps": 400, "learning_rate": 1e-3, "beta_1": 0.5, **settings}


RIGHT = {
    "2.1": [by_convolution, with_tensorflow, as_a_list],
    "2.2": [keras_batch_norm, flattened_batch_norm],
    "2.3": [
        functional_generator,
        generator(kernel=2),
        lambda latent_dim: models.dcgan_generator(latent_dim),
    ],
    "2.5": [slerp_of(sines), lambda a, b, t: tf.constant(lesson02._slerp(a, b, t))],
    "2.4": [experiment(50.0), experiment(np.float64(55.0), learning_rate=2e-3, beta_1=0.0)],
}

WRONG = {
    "2.1": [
        (without_adding, "+= instead of ="),
        (lambda x, k, s: lesson02._transposed(x, k[::-1], s), "not reversed"),
        (lambda x, k, s: lesson02._transposed(x, k, 1), "last stamp begins"),
        (lambda x, k, s: lesson02._transposed(x, k, s)[: len(x) * s], "last stamp begins"),
        (lambda x, k, s: lesson02._transposed(np.ones(len(x)), k, s), "times its input"),
        (lambda x, k, s: lesson02._transposed(x[::-1], k, s), "first input makes"),
        (lambda x, k, s: 3.0, "last stamp begins"),
    ],
    "2.2": [
        (normalized_over(0), "axis=(0, 1, 2)"),
        (normalized_over((1, 2)), "instance normalization"),
        (normalized_over((1, 2, 3)), "layer normalization"),
        (normalized_over((0, 1, 2, 3)), "Each channel gets its own"),
        (normalized_over((0, 1, 2), ddof=1), "not by one less"),
        (
            lambda x, g, b, e: g * (x - moments(x)[0]) / (moments(x)[1] + e) + b,
            "root is missing",
        ),
        (
            lambda x, g, b, e: g * (x - moments(x)[0]) / (sqrt(moments(x)[1]) + e) + b,
            "inside the root",
        ),
        (lambda x, g, b, e: g * (x - moments(x)[0]) / sqrt(moments(x)[1]) + b, "epsilon is"),
        (lambda x, g, b, e: (x - moments(x)[0]) / sqrt(moments(x)[1] + e), "gamma and beta"),
        (
            lambda x, g, b, e: g * ((x - moments(x)[0]) / sqrt(moments(x)[1] + e) + b),
            "after the multiplication",
        ),
        (lambda x, g, b, e: lesson02._batch_norm(x, 1, b, e), "gamma is missing"),
        (lambda x, g, b, e: lesson02._batch_norm(x, g, 0, e), "beta is missing"),
        (normalized_over((0, 1)), "width is left out"),
        (lambda x, g, b, e: g * x / sqrt(moments(x)[1] + e) + b, "mean is not taken away"),
        (lambda x, g, b, e: moments(x)[0], "One mean and one variance"),
    ],
    "2.3": [
        (generator(kernel=3), "take a kernel of 4"),
        (generator(kernel=5), "take a kernel of 4"),
        (generator(activation=None), "activation='tanh'"),
        (generator(activation="sigmoid"), "must be tanh"),
        (generator(norm=False), "follows each layer but the last"),
        (generator(end=(layers.BatchNormalization(), layers.Activation("tanh"))), "No BatchNorm"),
        (generator(image_channels=3), "last layer has 1 channel"),
        (network_of(*begin(), input_dim=7), "keras.Input((latent_dim,))"),
        (network_of(*begin()), "From 7 x 7"),
        (dense_generator, "let Conv2DTranspose double"),
        (linear_generator, "ReLU() follows each"),
        (
            network_of(
                *begin(28, 1),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Conv2D(1, 3, padding="same", activation="tanh"),
            ),
            "double the side, twice",
        ),
        (lambda latent_dim: np.zeros((28, 28, 1)), "three stages"),
        (lambda latent_dim: keras.Sequential(begin()), "Begin the list"),
        (lambda latent_dim: keras.Sequential(), "Begin the list"),
    ],
    "2.5": [
        (lambda a, b, t: (1 - t) * a + t * b, "straight line"),
        (lambda a, b, t: lesson02._slerp(b, a, t), "exchanged"),
        (slerp_of(sines, divide=False), "division by sin(angle)"),
        (
            lambda a, b, t: lesson02._slerp(a, b, t) / np.linalg.norm(lesson02._slerp(a, b, t)),
            "length is lost",
        ),
        (
            slerp_of(lambda w, t: (np.cos((1 - t) * w), np.cos(t * w))),
            "sines, not cosines",
        ),
        (
            slerp_of(lambda w, t: (np.cos((1 - t) * w), np.cos(t * w)), divide=False),
            "sines, not cosines",
        ),
        (by_rotation, "with its own length"),
        (lambda a, b, t: 0.5, "First the angle"),
    ],
    "2.4": [
        (experiment(1300.0, learning_rate=2e-4, beta_1=0.9), "too low for so few steps"),
        (experiment(100.0, beta_1=0.9), "Now beta_1"),
        (experiment(900.0, learning_rate=1e-2), "too high"),
        (experiment(float("nan")), "too high"),
        (experiment(250.0, beta_1=0.6), "Close"),
        (experiment(20.0, steps=4000), "Leave steps"),
        (50.0, "experiment(learning_rate"),
        ({"distance": 50.0}, "experiment(learning_rate"),
    ],
}
