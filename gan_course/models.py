"""Keras builders for generators and discriminators, one function a network."""

import math
import numbers

import keras
from keras import layers


def _check_sizes(name, sizes):
    sizes = tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)
    whole = all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in sizes)
    if not sizes or not whole or min(sizes) < 1:
        raise ValueError(
            f"{name} must hold whole numbers of at least 1, came {sizes!r}. "
            f"Example: {name}=(256, 512)."
        )
    return tuple(map(int, sizes))


def mlp_generator(
    latent_dim=100,
    hidden=(128,),
    output_shape=(28, 28, 1),
    output_activation="tanh",
    batch_norm=False,
    name="generator",
):
    """A generator of fully connected layers: latent vectors in, images or points out.

    The defaults are the classic 100-128-784 network; `hidden=(256, 512, 1024)` is the other
    well-known one. For 2-D points use `output_shape=(2,), output_activation=None`.

    Args:
        latent_dim: numbers in a latent vector.
        hidden: units of each hidden layer.
        output_shape: shape of one sample, without the batch.
        output_activation: "tanh" gives images in [-1, 1]; None leaves the output unbounded.
        batch_norm: normalize each hidden layer over the batch (Ioffe and Szegedy 2015,
            https://arxiv.org/abs/1502.03167).

    Returns:
        keras.Model: (batch, latent_dim) -> (batch, *output_shape).

    Raises:
        ValueError: a size that is not a whole number of at least 1.
    """
    (latent_dim,) = _check_sizes("latent_dim", latent_dim)
    output_shape = _check_sizes("output_shape", output_shape)
    model = keras.Sequential(name=name)
    model.add(keras.Input((latent_dim,)))
    for units in _check_sizes("hidden", hidden):
        model.add(layers.Dense(units, use_bias=not batch_norm))
        if batch_norm:
            model.add(layers.BatchNormalization())
        model.add(layers.LeakyReLU(0.2))
    model.add(layers.Dense(math.prod(output_shape), activation=output_activation, dtype="float32"))
    model.add(layers.Reshape(output_shape, dtype="float32"))
    return model


def mlp_discriminator(input_shape=(28, 28, 1), hidden=(128,), dropout=0.0, name="discriminator"):
    """A discriminator of fully connected layers: images or points in, one logit each out.

    Args:
        input_shape: shape of one sample, without the batch.
        hidden: units of each hidden layer.
        dropout: share of each hidden layer switched off at random while training, in [0, 1).

    Returns:
        keras.Model: (batch, *input_shape) -> (batch, 1), a logit: above 0 means "real".

    Raises:
        ValueError: a size that is not a whole number of at least 1, or a dropout outside [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), came {dropout!r}. Example: dropout=0.3.")
    model = keras.Sequential(name=name)
    model.add(keras.Input(_check_sizes("input_shape", input_shape)))
    model.add(layers.Flatten())
    for units in _check_sizes("hidden", hidden):
        model.add(layers.Dense(units))
        model.add(layers.LeakyReLU(0.2))
        if dropout:
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(1, dtype="float32"))
    return model
