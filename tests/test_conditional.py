"""Conditional GANs: where the label comes in, who learns what, and what is asked for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from gan_course import callbacks, data, losses, models, training

GENERATORS = ("concatenate", "embedding", "batch_norm", "hierarchical")
DISCRIMINATORS = ("concatenate", "embedding", "projection", "auxiliary")
SHAPE = (16, 16, 1)
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.uniform(-1, 1, (12, *SHAPE)).astype("float32"), np.arange(12) % 3


def latent_dim(condition):
    return 10 if condition == "hierarchical" else 8


def make(generator="batch_norm", discriminator="projection", compiled=True, **settings):
    """A small conditional GAN of three classes, always with the same initial weights."""
    keras.utils.set_random_seed(0)
    gan = training.ConditionalGAN(
        models.conditional_generator(latent_dim(generator), 3, SHAPE, generator),
        models.conditional_discriminator(SHAPE, 3, discriminator),
        latent_dim(generator),
        classes=3,
    )
    if compiled:
        gan.compile(**{"jit_compile": False, **settings})
    return gan


# Networks


@pytest.mark.parametrize("condition", GENERATORS)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_generators_draw_by_label(condition, spectral_norm):
    size = latent_dim(condition)
    generator = models.conditional_generator(size, 3, SHAPE, condition, spectral_norm)
    latents = np.repeat(RNG.normal(size=(1, size)), 3, axis=0)
    images = generator([latents, np.arange(3)], training=False).numpy()
    assert images.shape == (3, *SHAPE) and np.abs(images).max() <= 1
    assert all(np.abs(images[i] - images[j]).max() > 1e-4 for i, j in ((0, 1), (0, 2), (1, 2)))
    again = generator([latents, np.full(3, 2)], training=False).numpy()
    np.testing.assert_allclose(again, np.repeat(images[2:], 3, axis=0), atol=1e-6)
    wrapped = [type(each) is models.SpectralNormalization for each in generator.layers]
    assert any(wrapped) == spectral_norm


def test_a_regularizer_of_every_kernel_knows_where_the_outputs_are():
    generator = models.conditional_generator(8, 3, SHAPE, "batch_norm", True, orthogonal=0.5)
    wrapped = [each.layer for each in generator.layers if hasattr(each, "layer")]
    assert {each.kernel_regularizer.factor for each in wrapped} == {0.5}
    for layer in wrapped:
        outputs = getattr(layer, "filters", None) or layer.units
        assert layer.kernel.shape[layer.kernel_regularizer.output_axis] == outputs
    kernels = [each for each in generator.trainable_variables if each.regularizer is not None]
    assert len(kernels) == len(wrapped) == 5


def test_a_generator_pays_for_kernels_that_are_not_orthogonal():
    gans = []
    for factor in (0.0, 10.0):
        keras.utils.set_random_seed(0)
        generator = models.conditional_generator(8, 3, SHAPE, orthogonal=factor)
        discriminator = models.conditional_discriminator(SHAPE, 3)
        gans.append(training.ConditionalGAN(generator, discriminator, 8, classes=3))
        gans[-1].compile(jit_compile=False, generator_optimizer=keras.optimizers.SGD(1e-4))
    cost = models.OrthogonalRegularizer(1.0)
    found = []
    for gan in gans:
        gan.step(IMAGES, LABELS)
        convolution = next(each for each in gan.generator.layers if type(each) is layers.Conv2D)
        found.append(float(cost(convolution.kernel)))
    assert found[1] < found[0]
    for one, other in zip(*(gan.discriminator.weights for gan in gans), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_one_hot_label_is_a_bias_of_its_own():
    generator = models.conditional_generator(8, 3, SHAPE, "concatenate")
    dense = next(each for each in generator.layers if isinstance(each, layers.Dense))
    latents = RNG.normal(size=(1, 8)).astype("float32")
    for label in range(3):
        came = dense(ops.concatenate([latents, ops.one_hot([label], 3)], axis=-1))
        np.testing.assert_allclose(came, latents @ dense.kernel[:8] + dense.kernel[8 + label], 1e-4)


def test_an_embedded_label_begins_near_1():
    generator = models.conditional_generator(8, 3, SHAPE, "embedding")
    table = next(each for each in generator.layers if isinstance(each, layers.Embedding))
    assert 0 < np.abs(table.embeddings.numpy()).max() < 0.3


def test_conditional_batch_norm_scales_and_shifts_by_class():
    norm = models.ConditionalBatchNormalization(momentum=0.5)
    maps = RNG.normal(3, 2, (6, 4, 4, 2)).astype("float32")
    one_hot = np.eye(3, dtype="float32")[LABELS[:6]]
    norm([maps, one_hot], training=True)
    scale, shift = RNG.normal(size=(2, 3, 2)).astype("float32")
    norm.scale.kernel.assign(scale)
    norm.shift.kernel.assign(shift)
    mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
    normal = (maps - mean) / np.sqrt(variance + 1e-3)
    expected = normal * (1 + scale[LABELS[:6], None, None]) + shift[LABELS[:6], None, None]
    np.testing.assert_allclose(norm([maps, one_hot], training=True), expected, atol=1e-4)
    moving = norm.norm.moving_mean.numpy()
    np.testing.assert_allclose(moving, 0.75 * mean, rtol=1e-4)
    still = (maps - moving) / np.sqrt(norm.norm.moving_variance.numpy() + 1e-3)
    unconditional = norm([maps, np.zeros_like(one_hot)], training=False)
    np.testing.assert_allclose(unconditional, still, atol=1e-4)
    again = models.ConditionalBatchNormalization.from_config(norm.get_config())
    assert again.momentum == again.norm.momentum == 0.5


def test_hierarchical_latents_reach_every_normalization():
    generator = models.conditional_generator(10, 3, SHAPE, "hierarchical")
    norms = [
        each for each in generator.layers if type(each) is models.ConditionalBatchNormalization
    ]
    latents = RNG.normal(size=(1, 10)).astype("float32")
    label = np.array([0])
    first = generator([latents, label], training=False).numpy()
    for part in range(5):  # one for the first layer, and one for each of four normalizations
        moved = latents.copy()
        moved[:, 2 * part : 2 * part + 2] += 1
        assert np.abs(generator([moved, label], training=False).numpy() - first).max() > 1e-5
    assert [each.scale.kernel.shape[0] for each in norms] == [2 + 32] * 4
    tables = [each for each in generator.layers if isinstance(each, layers.Embedding)]
    assert len(tables) == 1


@pytest.mark.parametrize("condition", DISCRIMINATORS[:3])
@pytest.mark.parametrize("normalization", ["batch", "spectral", "none"])
def test_discriminators_judge_by_label(condition, normalization):
    discriminator = models.conditional_discriminator(SHAPE, 3, condition, normalization)
    same = np.repeat(IMAGES[:1], 3, axis=0)
    logits = discriminator([same, np.arange(3)], training=False).numpy()
    assert logits.shape == (3, 1) and len(np.unique(logits)) == 3


def test_a_projection_is_an_inner_product_with_the_features():
    discriminator = models.conditional_discriminator(SHAPE, 3)
    flat = next(each for each in discriminator.layers if isinstance(each, layers.Flatten))
    features = keras.Model(discriminator.inputs, flat.output)([IMAGES, LABELS], training=False)
    logit, vectors = (each for each in discriminator.layers if isinstance(each, layers.Dense))
    if logit.use_bias is False:
        logit, vectors = vectors, logit
    expected = features @ logit.kernel + logit.bias
    expected += tf.reduce_sum(features * tf.gather(vectors.kernel, LABELS), -1, keepdims=True)
    came = discriminator([IMAGES, LABELS], training=False)
    np.testing.assert_allclose(came, expected, rtol=1e-4, atol=1e-5)


def test_an_auxiliary_classifier_is_a_second_output():
    discriminator = models.conditional_discriminator(SHAPE, 3, "auxiliary")
    logits, classes = discriminator(IMAGES)
    assert logits.shape == (12, 1) and classes.shape == (12, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: models.conditional_generator(condition="film"), "condition must be one of 'conca"),
        (
            lambda: models.conditional_discriminator(condition=1),
            "condition must be one of .*came 1",
        ),
        (lambda: models.conditional_discriminator(normalization="layer"), "normalization must be"),
        (lambda: models.conditional_generator(classes=0), "classes must hold whole numbers"),
        (lambda: models.conditional_generator(condition="hierarchical"), "multiple of 5.*came 64"),
    ],
)
def test_networks_refuse_what_they_cannot_be(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# The game


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_a_step_is_that_of_the_definition(discriminator):
    """The same step by hand: labels of real images for both, each network its own gradient."""
    ours, theirs = (make("concatenate", discriminator) for _ in range(2))
    ours.step(IMAGES, LABELS)
    gan, labels = theirs, tf.constant(LABELS)
    latents = gan.noise(len(IMAGES))
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    classify = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def judge(images):
        if discriminator != "auxiliary":
            return gan.discriminator([images, labels], training=True), 0.0
        logits, classes = gan.discriminator(images, training=True)
        return logits, classify(labels, classes)

    with tf.GradientTape(persistent=True) as tape:
        fakes = gan.generator([latents, labels], training=True)
        (real, real_class), (fake, fake_class) = judge(tf.constant(IMAGES)), judge(fakes)
        ones = tf.ones_like(real)
        d_loss = entropy(ones, real) + entropy(0 * ones, fake) + real_class + fake_class
        g_loss = entropy(ones, fake) + fake_class
    for network, optimizer, loss in (
        (gan.discriminator, gan.discriminator_optimizer, d_loss),
        (gan.generator, gan.generator_optimizer, g_loss),
    ):
        weights = network.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_auxiliary_loss_has_its_weight():
    logs = []
    for weight in (1.0, 0.5):
        gan = make(discriminator="auxiliary", classifier_weight=weight)
        last = gan.discriminator.get_layer("class_logits")
        last.set_weights([0 * each for each in last.get_weights()])
        logs.append(float(gan.step(IMAGES, LABELS)["class_loss"]))
    assert logs == pytest.approx([np.log(3), 0.5 * np.log(3)], rel=1e-5)
    assert "class_loss" not in make().step(IMAGES, LABELS)


def test_penalties_know_the_label():
    """A critic w_label x has the squared slope |w_label|^2."""
    keras.utils.set_random_seed(0)
    samples, labels = keras.Input((2,)), keras.Input((), dtype="int32")
    slopes = layers.Embedding(2, 2)
    logit = layers.Dot(-1)([samples, slopes(labels)])
    generator = points_generator(2)
    gan = training.ConditionalGAN(generator, keras.Model([samples, labels], logit), 2, 2)
    gan.compile(penalty=losses.R1(1.0), jit_compile=False)
    slopes.set_weights([np.array([[3.0, 4.0], [0.0, 1.0]])])
    logs = gan.step(np.zeros((4, 2)), np.array([0, 0, 0, 1]))
    assert float(logs["penalty"]) == pytest.approx((3 * 25 + 1) / 4 / 2)


def points_generator(classes, hidden=32):
    latents, labels = keras.Input((2,)), keras.Input((), dtype="int32")
    x = layers.Concatenate()([latents, ops.one_hot(labels, classes)])
    return keras.Model([latents, labels], layers.Dense(2)(layers.Dense(hidden, "relu")(x)))


def points_discriminator(classes, hidden=32):
    points, labels = keras.Input((2,)), keras.Input((), dtype="int32")
    x = layers.Concatenate()([points, ops.one_hot(labels, classes)])
    return keras.Model([points, labels], layers.Dense(1)(layers.Dense(hidden, "leaky_relu")(x)))


def test_it_learns_to_draw_what_is_asked_for():
    keras.utils.set_random_seed(0)
    ring = data.ring(4, std=0.1)
    gan = training.ConditionalGAN(points_generator(4), points_discriminator(4), 2, 4)
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(5e-3, beta_1=0.5),
        discriminator_optimizer=keras.optimizers.Adam(5e-3, beta_1=0.5),
        steps_per_execution=50,
        jit_compile=False,
    )
    labels = np.arange(200) % 4

    def asked_for():
        apart = gan.generate(labels=labels)[:, None] - ring.centers
        return np.mean(np.linalg.norm(apart, axis=-1).argmin(axis=1) == labels)

    before = asked_for()
    gan.fit(ring.batches(64), steps_per_epoch=500, verbose=0)
    assert before < 0.6 and asked_for() > 0.95


def test_training_goes_on_after_loading_as_if_nothing_had_happened(tmp_path):
    whole, halves = make(), make()
    for _ in range(2):
        whole.step(IMAGES, LABELS)
    halves.step(IMAGES, LABELS)
    halves.save(tmp_path / "gan.keras")
    loaded = keras.models.load_model(tmp_path / "gan.keras")
    assert type(loaded) is training.ConditionalGAN and loaded.classes == 3
    loaded.step(IMAGES, LABELS)
    for one, other in zip(whole.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("discriminator", ["projection", "auxiliary"])
def test_fit_and_step_do_the_same(discriminator):
    one, other = (make(discriminator=discriminator) for _ in range(2))
    one.fit(IMAGES, LABELS, batch_size=12, shuffle=False, verbose=0)
    other.step(IMAGES, LABELS)
    for ours, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_xla_compiles_a_step():
    gan = make(discriminator="auxiliary", jit_compile=True)
    before = [np.array(each) for each in gan.trainable_variables]
    history = gan.fit(IMAGES, LABELS, batch_size=6, verbose=0).history
    assert all(np.isfinite(values[0]) for values in history.values())
    changed = [
        np.abs(np.array(now) - old).max()
        for now, old in zip(gan.trainable_variables, before, strict=True)
        if old.ndim > 1
    ]
    assert min(changed) > 0


# What is asked for


def test_generate_draws_the_labels_that_it_gets():
    gan = make(compiled=False)
    every = gan.generate(labels=[0, 1, 2], seed=5)
    latents = gan._latents(3, 5, None)
    for label in range(3):
        same = gan.generate(latents=latents, labels=label)
        np.testing.assert_allclose(same[label], every[label], atol=1e-6)
    np.testing.assert_array_equal(gan.generate(3, seed=5, labels=[0, 1, 2]), every)
    evenly = gan.generate_evenly(7, seed=5)
    np.testing.assert_array_equal(evenly, gan.generate(labels=[0, 1, 2, 0, 1, 2, 0], seed=5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 3}, r"labels must say what to draw, from 0 to 2"),
        ({}, r"labels must say what to draw"),
        ({"count": 3, "labels": [0, 1]}, r"3 of them, as many as samples; came int64 .*\(2,\)"),
        ({"labels": 1}, "either count"),
        ({"labels": [0.5]}, "whole number, .*came float64"),
        ({"labels": [True]}, "whole number, .*came bool"),
        ({"labels": [0, 3]}, "from 0 to 2, because classes=3. Came 0 to 3"),
        ({"labels": [-1]}, "from 0 to 2, because classes=3. Came -1 to -1"),
        ({"count": 2, "labels": [[0, 1]]}, r"\(1, 2\)"),
    ],
)
def test_generate_refuses_labels_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(compiled=False).generate(**arguments)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((IMAGES,), "came images alone. Without labels a conditional GAN cannot learn"),
        ((IMAGES, LABELS.astype("float32")), "whole numbers of the shape"),
        ((IMAGES, np.eye(3, dtype="int32")[LABELS]), "whole numbers of the shape"),
        ((IMAGES, LABELS + 1), "labels must be from 0 to 2, because classes=3"),
        ((IMAGES, LABELS - 1), "labels must be from 0 to 2, because classes=3"),
    ],
)
def test_training_refuses_labels_that_make_no_sense(batch, message):
    gan = make()
    before = [np.array(each) for each in gan.trainable_variables]
    with pytest.raises(ValueError, match=message):
        gan.fit(*batch, batch_size=12, verbose=0)
    assert all(map(np.array_equal, before, map(np.array, gan.trainable_variables)))


def test_step_refuses_labels_out_of_range():
    gan = make()
    before = [np.array(each) for each in gan.trainable_variables]
    with pytest.raises(ValueError, match=r"^labels must be from 0 to 2, because classes=3\.$"):
        gan.step(IMAGES, LABELS + 1)
    assert all(map(np.array_equal, before, map(np.array, gan.trainable_variables)))


@pytest.mark.parametrize("label", [1.9, 2**32 + 1])
def test_step_looks_at_labels_as_they_came(label):
    with pytest.raises(ValueError, match=r"whole numbers|labels must be from 0 to 2"):
        make().step(IMAGES[:2], [0, label])


@pytest.mark.parametrize(("dtype", "classes"), [("uint8", 256), ("uint8", 300), ("int8", 200)])
def test_labels_of_a_small_type_with_many_classes(dtype, classes):
    networks = points_generator(classes, 4), points_discriminator(classes, 4)
    gan = training.ConditionalGAN(*networks, 2, classes)
    gan.compile(jit_compile=False)
    points, labels = RNG.normal(size=(100, 2)).astype("float32"), np.arange(100, dtype=dtype)
    gan.fit(points, labels, batch_size=100, verbose=0)
    gan.step(points, labels)
    assert int(gan.generator_optimizer.iterations.numpy()) == 2


@pytest.mark.parametrize("kind", [np.array, tf.constant])
def test_xla_hides_no_labels_out_of_range(kind):
    gan = make(jit_compile=True)
    with pytest.raises(ValueError, match=r"from 0 to 2, because classes=3\. Came 1 to 3"):
        gan.fit(IMAGES, kind(LABELS + 1), batch_size=6, verbose=0)
    assert int(gan.generator_optimizer.iterations.numpy()) == 0


def test_mode_seeking_would_compare_different_labels():
    with pytest.raises(ValueError, match=r"diversity must not be losses\.ModeSeeking"):
        make(diversity=losses.ModeSeeking())


@pytest.mark.parametrize("discriminator", ["projection", "auxiliary"])
def test_logits_in_half_precision_are_taken(discriminator):
    gan = make(discriminator=discriminator, compiled=False)
    for layer in gan.discriminator.layers:
        layer.dtype_policy = "mixed_bfloat16"
    gan.compile(jit_compile=False, penalty=losses.R1())
    assert gan.discriminator.layers[-1].compute_dtype == "bfloat16"
    assert all(np.isfinite(value) for value in gan.step(IMAGES, LABELS).values())


def test_packs_are_refused():
    networks = models.conditional_generator(8, 3, SHAPE), models.conditional_discriminator(SHAPE, 3)
    with pytest.raises(ValueError, match=r"pack must be 1 .* came 2"):
        training.ConditionalGAN(*networks, 8, classes=3, pack=2)


def test_other_errors_of_a_step_stay_what_they_are():
    with pytest.raises(ValueError, match="Dimensions must be equal"):  # TensorFlow's own words
        make().step(IMAGES, LABELS[:5])


def test_networks_must_fit_together():
    def build(generator=None, discriminator=None, dim=8, classes=3):
        generator = generator or models.conditional_generator(8, 3, SHAPE)
        discriminator = discriminator or models.conditional_discriminator(SHAPE, 3)
        return training.ConditionalGAN(generator, discriminator, dim, classes)

    for arguments, message in (
        ({"dim": 9}, r"generator must take latent vectors of shape \(9,\) and labels"),
        (
            {"generator": models.dcgan_generator(8, SHAPE)},
            r"labels of shape \(\).*takes \[\(8,\)\]",
        ),
        ({"discriminator": models.dcgan_discriminator(SHAPE)}, "must take samples and labels of"),
        ({"discriminator": models.conditional_discriminator()}, "take what generator makes"),
        ({"classes": 1}, "classes must be a whole number of at least 2"),
        (
            {"discriminator": models.conditional_discriminator(SHAPE, 4, "auxiliary")},
            r"one logit for each of the 3 classes, shape \(3,\); it gives \(4,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            build(**arguments)


def test_callbacks_look_at_all_labels_alike():
    gan, grid = make(), callbacks.SampleGrid(count=6, columns=3)
    gan.fit(IMAGES, LABELS, batch_size=12, verbose=0, callbacks=[grid])
    assert len(grid.frames) == 2


def test_callbacks_score_all_labels_alike(monkeypatch):
    gan, seen = make(), []
    scores = callbacks.FrechetScore(
        IMAGES, count=6, features=lambda images: images.mean(axis=(1, 2))
    )
    monkeypatch.setattr(gan, "generate_evenly", lambda *args: seen.append(args) or IMAGES[:6])
    history = gan.fit(IMAGES, LABELS, batch_size=12, verbose=0, callbacks=[scores]).history
    assert seen == [(6, 0)] and np.isfinite(history["val_fid"][0])


def test_the_health_monitor_says_that_it_takes_no_labels():
    with pytest.raises(ValueError, match="take no label, came a conditional one"):
        make().fit(IMAGES, LABELS, verbose=0, callbacks=[callbacks.HealthMonitor(IMAGES)])


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="classifier_weight must be a number of at least 0"):
        make(classifier_weight=-1)


def test_images_that_cannot_be_learned_from_are_refused():
    gan = make()
    for images, message in ((127.5 * (IMAGES + 1), r"\[-1, 1\]"), (np.nan * IMAGES, "NaN or inf")):
        with pytest.raises(ValueError, match=message):
            gan.fit(images, LABELS, verbose=0)
        with pytest.raises(ValueError, match=message):
            gan.step(images, LABELS)
    assert int(gan.generator_optimizer.iterations.numpy()) == 0


def test_an_auxiliary_loss_that_is_nan_is_not_learned():
    gan = make(discriminator="auxiliary")
    gan.classifier_weight = float("inf")
    before = [np.array(each) for each in gan.weights]
    with pytest.raises(FloatingPointError, match="step 1: the discriminator's loss is NaN"):
        gan.step(IMAGES, LABELS)
    assert all(map(np.array_equal, before, map(np.array, gan.weights)))
