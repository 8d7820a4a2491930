"""The networks: shapes, ranges, number of weights, and what they refuse."""

import hashlib
import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_course import data, metrics, models

PRETRAINED = ("mnist_classifier", "fashion_mnist_classifier")
LEARNING = (  # generators as they were at three times of their training
    "vanilla_mnist",
    "dcgan_mnist",
    "conditional_mnist",
    "cycle_mnist_a_to_b",
    "cycle_mnist_b_to_a",
)
COMPARED = (
    "plain_labels_mnist",
    "one_sided_mnist",
    "batch_norm_mnist",
    "plain_mnist",
    "slow_mnist",
)
GENERATORS = (*LEARNING, "collapse_mnist", *COMPARED)


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


def test_sizes_that_are_too_many_or_too_large():
    with pytest.raises(ValueError, match=r"latent_dim must be one whole number, came \(1, 2\)"):
        models.mlp_generator((1, 2))
    with pytest.raises(ValueError, match="hidden must hold numbers below"):
        models.mlp_generator(hidden=10**30)


@pytest.mark.parametrize("dropout", [1.0, -0.1, "0.3", None, float("nan")])
def test_wrong_dropout(dropout):
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), came"):
        models.mlp_discriminator(dropout=dropout)


# The classifier of the metrics


def test_the_classifier_ends_in_logits_and_names_its_features():
    network = models.image_classifier((12, 10, 3), classes=4)
    assert network.output_shape == (None, 4)
    images = np.random.default_rng(0).uniform(-1, 1, (5, 12, 10, 3)).astype("float32")
    assert not np.allclose(network(images).numpy().sum(axis=1), 1)  # no softmax
    assert network.get_layer("features").output.shape[-1] == 96
    assert models.image_classifier().count_params() < 250_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_shape": (28, 28)}, "at least 8 x 8, came"),
        ({"input_shape": (28, 7, 1)}, "at least 8 x 8, came"),
        ({"input_shape": (28.0, 28, 1)}, "input_shape must hold whole numbers"),
        ({"classes": 0}, "classes must hold whole numbers of at least 1, came"),
        ({"classes": True}, "classes must hold whole numbers of at least 1, came"),
    ],
)
def test_a_classifier_of_wrong_sizes(arguments, words):
    with pytest.raises(ValueError, match=words):
        models.image_classifier(**arguments)


# Weights that come with the course


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A copy of data/pretrained, free to be damaged."""
    folder = tmp_path / "pretrained"
    shutil.copytree(models.PRETRAINED, folder)
    monkeypatch.setattr(models, "PRETRAINED", folder)
    return folder


@pytest.mark.parametrize("name", PRETRAINED)
def test_pretrained_classifiers_are_small_and_as_good_as_they_have_to_be(name):
    assert (models.PRETRAINED / f"{name}.weights.h5").stat().st_size < 1_000_000
    card = models.pretrained_card(name)
    data_set = name.removesuffix("_classifier")
    least = {"mnist": 0.993, "fashion_mnist": 0.92}[data_set]
    assert card["accuracy"][f"{data_set} test"] >= least
    assert card["feature_scale"] > 0 and data_set in card["trained_on"]
    network = models.pretrained(name)
    assert network.input_shape == (None, 28, 28, 1) and network.output_shape == (None, 10)
    assert {variable.dtype for variable in network.weights} == {"float32"}


def test_every_pretrained_network_is_tested():
    cards = sorted(path.stem for path in models.PRETRAINED.glob("*.json"))
    assert cards == sorted([*PRETRAINED, *GENERATORS])


@pytest.mark.parametrize("name", GENERATORS)
def test_pretrained_generators_are_small_and_whole(name):
    stages = models.pretrained_card(name)["stages"]
    assert len(stages) == (1 if name in COMPARED else 3)
    for steps, stage in stages.items():
        weights = models.PRETRAINED / f"{name}-{steps}.weights.h5"
        assert weights.stat().st_size < 1_200_000
        assert hashlib.sha256(weights.read_bytes()).hexdigest() == stage["sha256"]
    assert models.pretrained(name).count_params() > 0


def scores_of(name):
    """One for each time at which a generator is stored, in the order of the steps."""
    stages = models.pretrained_card(name)["stages"]
    measure = "pixel_error" if "cycle" in name else "frechet_distance"
    return [stages[steps][measure] for steps in sorted(stages, key=int)]


@pytest.mark.parametrize("name", LEARNING)
def test_pretrained_generators_get_better_with_their_steps(name):
    scores = scores_of(name)
    assert scores == sorted(scores, reverse=True) and scores[-1] < scores[0] / 3


def test_the_collapsed_generator_ignores_its_input():
    latents = np.random.default_rng(0).normal(size=(200, 64)).astype("float32")
    spread = {}
    for steps in (500, 600, 860):
        images = models.pretrained("collapse_mnist", steps).predict(latents, verbose=0)
        spread[steps] = images.std(axis=0).mean()
    assert spread[500] > 1.5 * spread[600] and spread[500] > 5 * spread[860]


def test_generators_that_are_compared_differ_as_their_lessons_say():
    of = {name: scores_of(name)[0] for name in COMPARED}
    assert of["batch_norm_mnist"] < of["plain_mnist"] < of["slow_mnist"] / 2
    assert abs(np.log(of["one_sided_mnist"] / of["plain_labels_mnist"])) < np.log(1.2)


def test_a_pretrained_generator_draws_digits():
    fid = metrics.FrechetDistance(data.load("digits").images)  # smaller ones than MNIST's
    latents = np.random.default_rng(0).normal(size=(500, 64)).astype("float32")
    distances = {}
    for steps in (100, 3_000):
        network = models.pretrained("dcgan_mnist", steps)
        assert {variable.dtype for variable in network.weights} == {"float32"}
        images = network.predict(latents, verbose=0)
        assert images.shape == (500, 28, 28, 1) and np.abs(images).max() <= 1
        distances[steps] = float(fid(images))
    assert distances[3_000] < distances[100] / 10
    last = models.pretrained("dcgan_mnist").predict(latents[:2], verbose=0)
    assert np.array_equal(last, network.predict(latents[:2], verbose=0))


@pytest.mark.parametrize(
    ("name", "steps", "message"),
    [
        ("dcgan_mnist", 7, "that dcgan_mnist is stored after: 100, 500, 3000; came 7"),
        ("mnist_classifier", 100, "is stored after: none, leave it out; came 100"),
    ],
)
def test_steps_that_are_not_stored(name, steps, message):
    with pytest.raises(ValueError, match=message):
        models.pretrained(name, steps)


def test_pretrained_weights_are_the_same_each_time():
    first, second = (models.pretrained("mnist_classifier").get_weights() for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    new = models.image_classifier().get_weights()
    assert not np.array_equal(first[0], new[0])


def test_damaged_weights_are_refused(stored):
    weights = stored / "mnist_classifier.weights.h5"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(
        RuntimeError, match=r"weights.h5 is damaged.*git checkout -- data/pretrained"
    ):
        models.pretrained("mnist_classifier")
    weights.write_bytes(content[:1000])
    with pytest.raises(RuntimeError, match=r"weights.h5 is damaged"):
        models.pretrained("mnist_classifier")
    weights.unlink()
    with pytest.raises(RuntimeError, match=r"weights.h5 is missing.*git checkout"):
        models.pretrained("mnist_classifier")
    models.pretrained("fashion_mnist_classifier")


class Trap:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("hash_fits", [False, True])
def test_weights_never_run_code(hash_fits, stored, tmp_path):
    weights, card = stored / "mnist_classifier.weights.h5", stored / "mnist_classifier.json"
    with weights.open("wb") as file:
        np.savez(file, weights=np.array([Trap(tmp_path / "trapped")]))
    if hash_fits:  # whoever changed the weights changed the card, too
        text = json.loads(card.read_text(encoding="utf-8"))
        text["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        card.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(OSError if hash_fits else RuntimeError):
        models.pretrained("mnist_classifier")
    assert not (tmp_path / "trapped").exists()
    with np.load(weights, allow_pickle=True) as arrays:
        _ = arrays["weights"]
    assert (tmp_path / "trapped").exists()  # it would have


def test_a_card_of_another_format_is_refused(stored):
    path = stored / "mnist_classifier.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**card, "format": 2}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"mnist_classifier.json has format 2, .*reads format 1"):
        models.pretrained("mnist_classifier")


def test_other_names_are_refused(stored):
    names = ", ".join(sorted([*PRETRAINED, *GENERATORS]))
    with pytest.raises(ValueError, match=f"name must be one of those in .*: {names}; came 'mnist'"):
        models.pretrained("mnist")
    shutil.rmtree(stored)
    with pytest.raises(ValueError, match=r"in .*: there are none; came 'mnist_cl"):
        models.pretrained("mnist_classifier")


# DCGAN

VARIANTS = ("course", "small", "paper", "tensorflow")


def maps(network):
    """(side, channels) of each map that a convolution or a reshaping makes."""
    kinds = ("Reshape", "Conv2D", "Conv2DTranspose")
    shapes = [layer.output.shape for layer in network.layers if type(layer).__name__ in kinds]
    return [(shape[1], shape[3]) for shape in shapes]


@pytest.mark.parametrize(
    ("variant", "shape", "expected"),
    [
        ("course", (28, 28, 1), [(7, 64), (7, 64), (14, 48), (28, 16), (28, 1)]),
        ("course", (32, 32, 3), [(4, 96), (4, 96), (8, 64), (16, 48), (32, 16), (32, 3)]),
        ("small", (28, 28, 1), [(7, 96), (14, 64), (28, 1)]),
        ("small", (64, 64, 3), [(4, 160), (8, 128), (16, 96), (32, 64), (64, 3)]),
        ("paper", (28, 28, 1), [(7, 256), (14, 128), (28, 1)]),
        ("paper", (64, 64, 3), [(4, 1024), (8, 512), (16, 256), (32, 128), (64, 3)]),
        ("tensorflow", (28, 28, 1), [(7, 256), (7, 128), (14, 64), (28, 1)]),
    ],
)
def test_dcgan_generators_double_their_maps(variant, shape, expected):
    generator = models.dcgan_generator(16, shape, variant)
    assert maps(generator) == expected
    images = generator(np.random.default_rng(0).normal(size=(3, 16))).numpy()
    assert images.shape == (3, *shape) and np.abs(images).max() <= 1


@pytest.mark.parametrize(
    ("variant", "shape", "expected"),
    [
        ("course", (28, 28, 1), [(14, 32), (7, 64), (4, 128)]),
        ("course", (24, 24, 1), [(12, 32), (6, 64), (3, 128)]),
        ("course", (64, 64, 3), [(32, 32), (16, 64), (8, 128), (4, 256)]),
        ("small", (28, 28, 1), [(14, 32), (7, 64)]),
        ("small", (64, 64, 3), [(32, 32), (16, 64), (8, 128), (4, 256)]),
        ("paper", (64, 64, 3), [(32, 128), (16, 256), (8, 512), (4, 1024)]),
        ("tensorflow", (28, 28, 1), [(14, 64), (7, 128)]),
    ],
)
def test_dcgan_discriminators_halve_to_one_logit(variant, shape, expected):
    discriminator = models.dcgan_discriminator(shape, variant)
    assert maps(discriminator) == expected
    logits = discriminator(np.zeros((3, *shape), "float32"))
    assert logits.shape == (3, 1) and logits.dtype == "float32"
    assert discriminator.layers[-1].activation.__name__ == "linear"


def test_tensorflows_tutorial_has_the_weights_of_tensorflows_tutorial():
    """Counted by hand from its text: Dense, BatchNorm, 5x5 kernels, no biases in the generator."""
    generator = 100 * 12544 + 2 * 12544 + 25 * (256 * 128 + 128 * 64 + 64) + 2 * 128 + 2 * 64
    discriminator = (25 * 1 + 1) * 64 + (25 * 64 + 1) * 128 + (7 * 7 * 128 + 1)
    built = models.dcgan_generator(100, variant="tensorflow")
    assert sum(int(np.prod(w.shape)) for w in built.trainable_weights) == generator
    assert models.dcgan_discriminator(variant="tensorflow").count_params() == discriminator


def test_the_papers_weights_are_narrow_and_each_layers_are_its_own():
    network = models.dcgan_discriminator((64, 64, 3), "paper")
    kernels = [weight.numpy() for weight in network.weights if weight.name == "kernel"]
    assert all(abs(kernel.std() - 0.02) < 0.002 for kernel in kernels)
    assert len({float(kernel.ravel()[0]) for kernel in kernels}) == len(kernels)


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_dcgans_begin_differently(variant):
    one, other = (models.dcgan_generator(4, (16, 16, 1), variant) for _ in range(2))
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize("shape", [(30, 30, 1), (28, 32, 1), (28, 28), (7, 7, 1), 28])
def test_dcgan_refuses_sizes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"output_shape must be .* 28, 32 or 64; came"):
        models.dcgan_generator(16, shape)
    with pytest.raises(ValueError, match=r"input_shape must be .* 28, 32 or 64; came"):
        models.dcgan_discriminator(shape)


def test_dcgan_refuses_an_unknown_variant():
    for build in (models.dcgan_generator, models.dcgan_discriminator):
        with pytest.raises(
            ValueError, match="'course', 'small', 'paper', 'tensorflow'; came 'big'"
        ):
            build(variant="big")


# Spectral norm


def largest_singular_value(layer):
    kernel = layer.layer.kernel.numpy()
    if "Transpose" in type(layer.layer).__name__:
        kernel = kernel.swapaxes(-1, -2)
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


LINEAR = {
    "dense": (keras.layers.Dense(5), (7,)),
    "convolution": (keras.layers.Conv2D(5, 3, padding="same"), (6, 6, 2)),
    "transposed": (keras.layers.Conv2DTranspose(5, 4, 2, "same"), (6, 6, 2)),
    "transposed, 3-D": (keras.layers.Conv3DTranspose(5, 2, 2, "same"), (3, 3, 3, 2)),
}


@pytest.mark.parametrize("name", LINEAR)
def test_spectral_norm_divides_by_the_largest_singular_value(name):
    inner, shape = LINEAR[name]
    layer = models.SpectralNormalization(type(inner).from_config(inner.get_config()))
    images = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    layer(images)
    for _ in range(100):
        layer(images, training=True)
    kernel = layer.layer.kernel.numpy()
    expected = layer.layer(images).numpy() / largest_singular_value(layer)
    assert np.allclose(layer(images), expected, rtol=1e-3, atol=1e-5)
    assert np.array_equal(layer.layer.kernel, kernel)  # the weights stay as they are


def test_spectral_norm_takes_its_steps_in_training_only():
    layer = models.SpectralNormalization(keras.layers.Dense(3))
    images = np.ones((2, 4), "float32")
    layer(images)
    before = layer.u.numpy()
    layer(images, training=False)
    assert np.array_equal(layer.u, before)
    layer(images, training=True)
    assert not np.array_equal(layer.u, before)
    assert np.linalg.norm(layer.u) == pytest.approx(1, rel=1e-5)


def test_the_gradient_of_spectral_norm_is_that_of_the_paper():
    # Equation 12: what would make the kernel as a whole larger is taken out of its gradient.
    layer = models.SpectralNormalization(keras.layers.Dense(3, use_bias=False))
    images = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    layer(images)
    for _ in range(200):
        layer(images, training=True)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.sin(layer(images)))
    gradient = tape.gradient(total, layer.layer.trainable_variables)[0]
    assert float(tf.reduce_sum(gradient * layer.layer.kernel)) == pytest.approx(0, abs=1e-4)
    assert np.abs(gradient).max() > 0.1


def test_keras_own_spectral_norm_gives_the_same_outputs_with_another_gradient():
    images = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    outputs, along = [], []
    for kind in (models.SpectralNormalization, keras.layers.SpectralNormalization):
        keras.utils.set_random_seed(0)
        layer = kind(keras.layers.Dense(3, use_bias=False))
        layer(images)
        for _ in range(200):
            layer(images, training=True)
        with tf.GradientTape() as tape:
            outputs.append(layer(images, training=True))
            total = tf.reduce_sum(tf.sin(outputs[-1]))
        kernel = layer.layer.kernel
        along.append(float(tf.reduce_sum(tape.gradient(total, kernel) * kernel)))
    assert np.allclose(*outputs, atol=1e-4)
    assert abs(along[0]) < 1e-4 < 0.1 < abs(along[1])  # Keras' also pulls at the kernel's size


def test_spectral_norm_is_saved_and_refuses_layers_without_a_kernel(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), models.SpectralNormalization(keras.layers.Dense(3))]
    )
    model(np.ones((2, 4), "float32"), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    assert np.array_equal(model(images), loaded(images))
    assert np.array_equal(model.layers[0].u, loaded.layers[0].u)
    with pytest.raises(ValueError, match=r"layer must have a kernel.*came ReLU"):
        models.SpectralNormalization(keras.layers.ReLU()).build((None, 4))


@pytest.mark.parametrize("variant", ["course", "small"])
def test_a_discriminator_with_each_normalization(variant):
    kinds = {}
    for normalization in ("batch", "spectral", "none"):
        model = models.dcgan_discriminator(variant=variant, normalization=normalization)
        kinds[normalization] = {type(layer).__name__ for layer in model.layers}
        assert model(np.zeros((2, 28, 28, 1), "float32"), training=True).shape == (2, 1)
    assert "BatchNormalization" in kinds["batch"]
    assert "BatchNormalization" not in kinds["none"] | kinds["spectral"]
    assert not {"Conv2D", "Dense"} & kinds["spectral"]
    default = models.dcgan_discriminator(variant=variant)
    batch = models.dcgan_discriminator(variant=variant, normalization="batch")
    assert [w.shape for w in default.weights] == [w.shape for w in batch.weights]


def test_the_orthogonal_regularizer_is_that_of_the_paper():
    kernel = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype("float32")
    for axis in (-1, -2):
        matrix = np.moveaxis(kernel, axis, -1).reshape(-1, kernel.shape[axis])
        products = matrix.T @ matrix
        expected = 0.5 * (np.sum(products**2) - np.sum(np.diag(products) ** 2))
        came = models.OrthogonalRegularizer(0.5, axis)(kernel)
        np.testing.assert_allclose(came, expected, rtol=1e-5)
    assert float(models.OrthogonalRegularizer()(3 * np.eye(4, dtype="float32"))) == 0
    again = models.OrthogonalRegularizer.from_config(
        models.OrthogonalRegularizer(0.5, -2).get_config()
    )
    assert (again.factor, again.output_axis) == (0.5, -2)


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf"), "1e-4"])
def test_an_orthogonal_regularizer_without_a_factor(factor):
    with pytest.raises(ValueError, match="factor must be a number of at least 0"):
        models.OrthogonalRegularizer(factor)


@pytest.mark.parametrize(("variant", "came"), [("course", "layer"), ("paper", "spectral")])
def test_normalizations_that_a_variant_does_not_take(variant, came):
    with pytest.raises(ValueError, match=f"normalization must be None or.*came '{came}' for"):
        models.dcgan_discriminator(variant=variant, normalization=came)


# Layers that look at the whole batch


def test_minibatch_discrimination_is_the_mean_closeness_of_the_others():
    layer = models.MinibatchDiscrimination(kernels=2, row=1)
    inputs = np.array([[0.0], [1.0], [3.0]], "float32")
    layer.build(inputs.shape)
    layer.kernel.assign([[1.0, 0.1]])
    near, far = np.exp(-1.0 * np.array([1, 2, 3])), np.exp(-0.1 * np.array([1, 2, 3]))
    expected = [
        [0, (near[0] + near[2]) / 2, (far[0] + far[2]) / 2],
        [1, (near[0] + near[1]) / 2, (far[0] + far[1]) / 2],
        [3, (near[1] + near[2]) / 2, (far[1] + far[2]) / 2],
    ]
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-5)
    assert layer.compute_output_shape((None, 1)) == (None, 3)
    np.testing.assert_allclose(layer(np.ones((4, 1)))[:, 1:], 1, rtol=1e-6)  # all the same
    np.testing.assert_allclose(layer(inputs[:1])[:, 1:], 0, atol=1e-6)  # no others


@pytest.mark.parametrize("features", [2, 2048])
def test_minibatch_discrimination_begins_with_distances_of_about_one(features):
    keras.utils.set_random_seed(0)
    inputs = np.random.default_rng(0).normal(size=(16, features)).astype("float32")
    closeness = np.array(models.MinibatchDiscrimination()(inputs))[:, features:]
    assert 0.1 < closeness.mean() < 0.7


def test_minibatch_std_is_one_number_for_all():
    inputs = np.zeros((2, 2, 2, 3), "float32")
    inputs[1, ..., 0] = 2.0  # a standard deviation of 1 in one channel of three
    output = np.array(models.MinibatchStd()(inputs))
    assert output.shape == (2, 2, 2, 4)
    np.testing.assert_allclose(output[..., 3], 1 / 3, rtol=1e-3)
    np.testing.assert_array_equal(output[..., :3], inputs)


@pytest.mark.parametrize("layer", [models.MinibatchDiscrimination(3, 2), models.MinibatchStd()])
def test_layers_of_batches_are_saved_and_look_at_the_others(layer, tmp_path):
    network = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    samples = tf.constant(np.random.default_rng(0).normal(size=(5, 4)), tf.float32)
    np.testing.assert_array_equal(network(samples), loaded(samples))
    # equal samples have no slope to each other, and it is 0, not NaN
    for given, moves in ((samples, True), (tf.ones((5, 4)), False)):
        with tf.GradientTape() as tape:
            tape.watch(given)
            first = network(given)[0]
        of_others = tape.gradient(first, given)[1:].numpy()
        assert np.isfinite(of_others).all() and bool(np.any(of_others)) == moves


# Images from images


@pytest.mark.parametrize(
    "build",
    [
        lambda shape, channels: models.resnet_generator(shape, channels, width=2, blocks=1),
        lambda shape, channels: models.unet_generator(shape, channels, width=2, halvings=2),
    ],
)
def test_generators_of_images_from_images(build):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 12, 8, 1)).astype("float32")
    generator = build((12, 8, 1), 3)
    made = generator(images, training=False).numpy()
    assert made.shape == (2, 12, 8, 3) and np.abs(made).max() <= 1
    moved = images.copy()
    moved[0, 5, 5] += 1
    changed = np.abs(generator(moved, training=False).numpy() - made).max(axis=(1, 2, 3))
    assert changed[0] > 1e-5 and changed[1] == 0  # each image is normalized alone
    assert build((12, 8, 1), None).output_shape == (None, 12, 8, 1)


@pytest.mark.parametrize(("halvings", "side"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_the_receptive_field_of_a_patch_discriminator(halvings, side):
    model = models.patch_discriminator((160, 160, 1), width=1, halvings=halvings)
    assert models.receptive_field(model) == side
    cells = 160 // 2**halvings
    assert model.output_shape == (None, cells, cells, 1)


@pytest.mark.parametrize(
    ("parts", "side"),
    [
        ([keras.layers.Conv2D(1, 3, dilation_rate=4)], 9),
        ([keras.layers.Conv2D(1, 3), keras.layers.MaxPooling2D(2), keras.layers.Conv2D(1, 3)], 8),
        ([models.SpectralNormalization(keras.layers.Conv2D(1, 4, 2)), keras.layers.ReLU()], 4),
    ],
)
def test_the_receptive_field_of_other_layers(parts, side):
    model = keras.Sequential([keras.Input((16, 16, 1)), *parts])
    assert models.receptive_field(model) == side


def test_a_logit_sees_its_patch_and_no_more():
    model = models.patch_discriminator((48, 48, 1), width=2, halvings=1)
    convolutions = [each for each in model.layers if isinstance(each, keras.layers.Conv2D)]
    for layer in convolutions:
        layer.kernel.assign(np.ones(layer.kernel.shape))  # nothing cancels
    plain = keras.Sequential([keras.Input((48, 48, 1)), *convolutions])  # without instance norm
    pixels = tf.Variable(np.ones((1, 48, 48, 1), "float32"))
    with tf.GradientTape() as tape:
        logit = plain(pixels)[0, 12, 12, 0]
    seen = np.flatnonzero(np.abs(tape.gradient(logit, pixels)[0, :, :, 0]).sum(axis=0))
    assert np.ptp(seen) + 1 == models.receptive_field(model) == 16


def test_reflection_padding_mirrors_the_border():
    images = np.arange(9.0, dtype="float32").reshape(1, 3, 3, 1)
    padded = models.ReflectionPadding(2)(images).numpy()[0, :, :, 0]
    np.testing.assert_array_equal(padded, np.pad(images[0, :, :, 0], 2, mode="reflect"))
    symbolic = models.ReflectionPadding(2)(keras.Input((3, 3, 1)))
    assert symbolic.shape == (None, 7, 7, 1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: models.resnet_generator((30, 28, 1)), r"multiples of 4, .*came \(30, 28, 1\)"),
        (lambda: models.resnet_generator((28, 28)), "input_shape must be"),
        (lambda: models.resnet_generator((4, 28, 1)), "at least 8"),
        (lambda: models.resnet_generator(channels=0), "channels must hold"),
        (lambda: models.unet_generator((32, 32, 1), halvings=10**6), "input_shape must be"),
        (lambda: models.patch_discriminator((32, 32, 1), halvings=10**6), "input_shape must have"),
        (lambda: models.dcgan_generator(variant=["course"]), "variant must be one of"),
        (lambda: models.resnet_generator(blocks=0), "blocks must hold whole numbers"),
        (lambda: models.unet_generator((28, 28, 1), halvings=3), "multiples of 8"),
        (lambda: models.patch_discriminator((4, 4, 1), halvings=3), "sides of at least 8"),
        (lambda: models.patch_discriminator((8, 8, 1)), r"one above that.*came \(8, 8, 1\)"),
    ],
)
def test_sizes_that_do_not_fit_images(build, message):
    with pytest.raises(ValueError, match=message):
        build()
