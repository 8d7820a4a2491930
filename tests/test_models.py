"""The networks: shapes, ranges, number of weights, and what they refuse."""

import numpy as np
import pytest

from gan_course import models


def test_the_classic_pair_has_the_weights_of_100_128_784_and_784_128_1():
    generator, discriminator = models.mlp_generator(), models.mlp_discriminator()
    assert generator.count_params() == (100 + 1) * 128 + (128 + 1) * 784
    assert discriminator.count_params() == (784 + 1) * 128 + (128 + 1)
    assert generator.output_shape == (None, 28, 28, 1)
    assert discriminator.output_shape == (None, 1)


def test_the_deep_pair():
    generator = models.mlp_generator(hidden=(256, 512, 1024))
    units = [layer.units for layer in generator.layers if hasattr(layer, "units")]
    assert units == [256, 512, 1024, 784]


def test_images_lie_between_minus_one_and_one():
    latents = 100 * np.random.default_rng(0).normal(size=(8, 100)).astype("float32")
    images = models.mlp_generator()(latents).numpy()
    assert images.min() >= -1 and images.max() <= 1
    assert images.min() < -0.99 and images.max() > 0.99


def test_points_are_unbounded_and_logits_too():
    points = models.mlp_generator(2, (8,), (2,), output_activation=None)
    discriminator = models.mlp_discriminator((2,), (8,))
    made = points(1000 * np.ones((3, 2), "float32"))
    assert made.shape == (3, 2) and np.abs(made).max() > 1
    assert np.abs(discriminator(1000 * np.ones((3, 2), "float32"))).max() > 1


def test_dropout_acts_in_training_only():
    discriminator = models.mlp_discriminator((4,), (64,), dropout=0.5)
    ones = np.ones((1, 4), "float32")
    assert discriminator(ones, training=False) == discriminator(ones, training=False)
    assert len({float(discriminator(ones, training=True)[0, 0]) for _ in range(5)}) > 1


def test_batch_norm_is_there_when_asked_for():
    names = [type(layer).__name__ for layer in models.mlp_generator(batch_norm=True).layers]
    assert names.count("BatchNormalization") == 1
    assert "BatchNormalization" not in [type(x).__name__ for x in models.mlp_generator().layers]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"latent_dim": 0}, "latent_dim"),
        ({"latent_dim": 1.5}, "latent_dim"),
        ({"hidden": (128, -1)}, "hidden"),
        ({"hidden": ()}, "hidden"),
        ({"output_shape": (28, "28", 1)}, "output_shape"),
    ],
)
def test_wrong_sizes_name_the_argument(arguments, name):
    with pytest.raises(ValueError, match=f"{name} must hold whole numbers of at least 1, came"):
        models.mlp_generator(**arguments)


@pytest.mark.parametrize("dropout", [1.0, -0.1])
def test_wrong_dropout(dropout):
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), came"):
        models.mlp_discriminator(dropout=dropout)
