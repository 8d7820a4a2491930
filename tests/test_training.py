"""The GAN: who learns when, equal results of every way to run a step, saving, generating."""

import contextlib
import io
import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_course import data, losses, models, training

SIDES = ("generator", "discriminator")
KINDS = (training.GAN, training.SimultaneousGAN)
IMAGES = np.random.default_rng(0).uniform(-1, 1, (20, 4, 4, 1)).astype("float32")


def make(
    seed=0,
    dropout=0.0,
    batch_norm=False,
    compiled=True,
    kind=training.GAN,
    **compile_arguments,
):
    """A tiny GAN, always with the same initial weights."""
    keras.utils.set_random_seed(0)
    gan = kind(
        models.mlp_generator(3, (8,), (4, 4, 1), batch_norm=batch_norm),
        models.mlp_discriminator((4, 4, 1), (8,), dropout=dropout),
        latent_dim=3,
        seed=seed,
    )
    if compiled:
        gan.compile(**{"jit_compile": False, **compile_arguments})
    return gan


def batches(batch_size=8):
    return tf.data.Dataset.from_tensor_slices(IMAGES).batch(batch_size)


def weights(network):
    return [variable.numpy().copy() for variable in network.weights]


def identical(ones, others):
    return all(np.array_equal(one, other) for one, other in zip(ones, others, strict=True))


def close(ones, others):
    pairs = zip(ones, others, strict=True)
    return all(np.allclose(one, other, rtol=1e-5, atol=1e-6) for one, other in pairs)


# Who learns when


class OnlyDiscriminator(losses.NonSaturating):
    def generator_loss(self, fake_logits, real_logits=None):
        return 0.0 * tf.reduce_sum(fake_logits)


class OnlyGenerator(losses.NonSaturating):
    def discriminator_loss(self, real_logits, fake_logits):
        return 0.0 * tf.reduce_sum(real_logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [OnlyDiscriminator(), OnlyGenerator()])
def test_each_half_changes_its_own_network_only(loss, kind):
    sgd = [keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0)]
    gan = make(loss=loss, generator_optimizer=sgd[0], discriminator_optimizer=sgd[1], kind=kind)
    before = weights(gan.generator), weights(gan.discriminator)
    gan.step(IMAGES)
    still = gan.generator if isinstance(loss, OnlyDiscriminator) else gan.discriminator
    moved = gan.discriminator if isinstance(loss, OnlyDiscriminator) else gan.generator
    index = 0 if still is gan.generator else 1
    assert identical(weights(still), before[index])
    assert not identical(weights(moved), before[1 - index])


def test_a_step_leaves_both_networks_trainable():
    gan = make()
    gan.step(IMAGES)
    assert gan.generator.trainable and gan.discriminator.trainable
    assert len(gan.trainable_variables) == 8


def test_the_discriminator_learns_to_tell_and_the_generator_to_fool():
    gan = make(discriminator_optimizer=keras.optimizers.Adam(0.05))
    for _ in range(30):
        logs = gan.step(np.ones((20, 4, 4, 1), "float32"))
    assert float(logs["d_accuracy"]) > 0.7
    gan = make(generator_optimizer=keras.optimizers.Adam(0.05))
    losses_seen = []
    for _ in range(30):
        gan.g_loss_tracker.reset_state()
        losses_seen.append(float(gan.step(IMAGES)["g_loss"]))
    assert losses_seen[-1] < losses_seen[0]


def gradient_step(loss_of, network, rate):
    """The weights of one network after a step of plain gradient descent; nothing is changed."""
    with tf.GradientTape() as tape:
        loss = loss_of()
    variables = network.trainable_variables
    pairs = zip(variables, tape.gradient(loss, variables), strict=True)
    return [(variable - rate * gradient).numpy() for variable, gradient in pairs]


def after_a_step_of_both(kind, rate=0.5):
    """The expected weights where both start from the same networks, and those that came."""
    sgd = {f"{side}_optimizer": keras.optimizers.SGD(rate) for side in SIDES}
    gan, loss = make(kind=kind, **sgd), losses.NonSaturating()
    fake, judge = gan.generator(gan.noise(20)), gan.discriminator
    expected = [
        gradient_step(
            lambda: loss.generator_loss(judge(gan.generator(gan.noise(20)))), gan.generator, rate
        ),
        gradient_step(lambda: loss.discriminator_loss(judge(IMAGES), judge(fake)), judge, rate),
    ]
    gan.step(IMAGES)
    return expected, [weights(gan.generator), weights(gan.discriminator)]


def test_simultaneous_players_learn_against_each_other_as_they_were():
    expected, came = after_a_step_of_both(training.SimultaneousGAN)
    assert close(expected[0], came[0]) and close(expected[1], came[1])


def test_alternating_players_do_not():
    expected, came = after_a_step_of_both(training.GAN)
    assert not close(expected[0], came[0]) and close(expected[1], came[1])


class Nothing(losses.NonSaturating):
    """A game that nobody learns from."""

    def generator_loss(self, fake_logits, real_logits=None):
        return 0.0 * tf.reduce_sum(fake_logits)

    def discriminator_loss(self, real_logits, fake_logits):
        return 0.0 * tf.reduce_sum(real_logits + fake_logits)


@pytest.mark.parametrize("kind", [*KINDS, training.UnrolledGAN])
def test_layers_pay_for_their_weights_where_they_have_a_regularizer(kind):
    def network(inputs, outputs):
        middle = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.25))
        return keras.Sequential([keras.Input((inputs,)), middle, keras.layers.Dense(outputs)])

    gan = kind(network(2, 2), network(2, 1), latent_dim=2)
    rates = (keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.1, epsilon=1e3))  # small steps
    gan.compile(Nothing(), *rates)
    before = weights(gan.generator), weights(gan.discriminator)
    gan.step(np.ones((4, 2), "float32"))
    kernel, *others = weights(gan.generator)
    np.testing.assert_allclose(kernel, before[0][0] * (1 - 0.1 * 2 * 0.25), rtol=1e-6)
    assert identical(others, before[0][1:])
    kernel, *others = weights(gan.discriminator)
    assert np.all(np.abs(kernel) < np.abs(before[1][0])) and identical(others, before[1][1:])


@pytest.mark.parametrize("kind", [*KINDS, training.CycleGAN])
def test_a_price_of_activities_is_refused_since_no_loss_counts_it(kind):
    layer = keras.layers.Conv2D if kind is training.CycleGAN else keras.layers.Dense
    sizes = ((1,), (4, 4, 2)) if kind is training.CycleGAN else ((), (2,))

    def network(outputs, **settings):
        inner = keras.Sequential([layer(3, *sizes[0], name="costly", **settings)])
        return keras.Sequential([keras.Input(sizes[1]), inner, layer(outputs, *sizes[0])])

    costly = network(1, activity_regularizer="l2")
    if kind is training.CycleGAN:
        gan = kind(network(2), network(2), network(1), costly)
    else:
        gan = kind(network(2), costly, latent_dim=2)
    with pytest.raises(ValueError, match="layer costly has an activity_regularizer"):
        gan.compile()
    assert not gan.compiled


# Every way to run a step


@pytest.mark.parametrize("kind", KINDS)
def test_eager_loop_step_and_fit_agree(kind):
    eager, stepped, fitted = (make(dropout=0.3, kind=kind) for _ in range(3))
    start = weights(eager.generator)
    for _ in range(2):
        for images in batches():
            eager.train_step(images)
            stepped.step(images)
    fitted.fit(batches(), epochs=2, verbose=0)
    assert not close(weights(eager.generator), start)
    for other in (stepped, fitted):
        assert close(weights(eager.generator), weights(other.generator))
        assert close(weights(eager.discriminator), weights(other.discriminator))


def test_several_steps_per_execution_change_nothing():
    one, many = make(), make(steps_per_execution=3)
    one.fit(batches(), epochs=2, verbose=0)
    many.fit(batches(), epochs=2, verbose=0)
    assert int(many.generator_optimizer.iterations.numpy()) == 6
    assert close(weights(one.generator), weights(many.generator))


def test_the_seed_decides():
    runs = [make(seed=seed) for seed in (1, 1, 2)]
    for run in runs:
        run.fit(batches(), verbose=0)
    assert identical(weights(runs[0]), weights(runs[1]))
    assert not identical(weights(runs[0]), weights(runs[2]))


def test_noise_is_new_in_each_step_and_half_and_standard_normal():
    gan = make()
    first, other_half = gan.noise(2000, 0).numpy(), gan.noise(2000, 1).numpy()
    assert np.array_equal(first, gan.noise(2000, 0).numpy())
    gan.step(IMAGES)
    assert not (first == other_half).all(axis=1).any()
    assert not (first == gan.noise(2000, 0).numpy()).all(axis=1).any()
    assert abs(first.mean()) < 0.1 and abs(first.std() - 1) < 0.1


def test_no_retracing_and_the_short_last_batch():
    gan = make()
    assert [len(batch) for batch in batches()] == [8, 8, 4]
    for images in [*batches(), *batches(), *batches(3)]:
        gan.step(images)
    # A graph for the first size, and one for all others.
    assert gan._compiled_step.experimental_get_tracing_count() == 2
    traces = []
    original = gan.train_step
    gan.train_step = lambda data: (traces.append(1), original(data))[1]
    gan.fit(batches(), epochs=2, verbose=0)
    assert len(traces) == 1


def test_labels_are_passed_over():
    plain, labeled = make(), make()
    plain.fit(batches(), verbose=0)
    labeled.fit(tf.data.Dataset.zip(batches(), tf.data.Dataset.range(3)), verbose=0)
    assert identical(weights(plain), weights(labeled))


def test_history_holds_both_losses_and_the_accuracy():
    history = make().fit(batches(), epochs=2, verbose=0).history
    assert set(history) == {"d_loss", "g_loss", "d_accuracy"}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in history.values())


def test_accuracy_is_the_share_told_rightly():
    gan = make()
    gan._log(0.0, 0.0, tf.constant([[1.0], [-1.0]]), tf.constant([[-2.0], [-3.0]]), 0.0, 0.0)
    assert float(gan.d_accuracy_tracker.result()) == 0.75


# Generating


def test_generate_is_reproducible_and_in_range():
    gan = make()
    images = gan.generate(7, seed=1)
    assert images.shape == (7, 4, 4, 1) and images.dtype == np.float32
    assert np.abs(images).max() <= 1
    assert np.array_equal(images, gan.generate(7, seed=1))
    assert not np.array_equal(images, gan.generate(7, seed=2))
    assert not np.array_equal(images, gan.generate(7, seed=2**62))


def test_generate_in_batches_gives_what_one_batch_gives():
    gan = make(batch_norm=True)
    latents = np.random.default_rng(0).normal(size=(1203, 3)).astype("float32")
    expected = gan.generator(latents, training=False).numpy()
    assert np.allclose(gan.generate(latents=latents), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs either count"),
        ({"count": 2, "latents": np.zeros((2, 3))}, "needs either count"),
        ({"count": 0}, "count must be a whole number of at least 1, came 0"),
        ({"count": True}, "count must be a whole number of at least 1, came True"),
        ({"count": 2.5}, "count must be a whole number of at least 1, came 2.5"),
        ({"count": 2, "seed": 1.5}, "seed must be a whole number of at least 0, .* came 1.5"),
        ({"count": 2, "seed": -1}, "seed must be a whole number of at least 0, .* came -1"),
        ({"latents": np.zeros((2, 5))}, r"latents must have the shape \(n, 3\), came \(2, 5\)"),
        ({"latents": np.zeros((0, 3))}, "latents must hold at least one vector"),
    ],
)
def test_generate_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        make().generate(**arguments)


def test_averaged_weights_are_used_and_the_raw_ones_stay():
    gan = make(generator_optimizer=keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9))
    twin = make(generator_optimizer=keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9))
    gan.fit(batches(), epochs=2, verbose=0)
    twin.fit(batches(), epochs=2, verbose=0)
    raw = weights(gan.generator)
    latents = np.ones((2, 3), "float32")
    averaged = gan.generate(latents=latents)
    assert identical(weights(gan.generator), raw)
    assert not np.allclose(averaged, gan.generator(latents).numpy())
    gan.fit(batches(), verbose=0)
    twin.fit(batches(), verbose=0)
    assert identical(weights(gan), weights(twin))  # generating in between changed nothing


def test_averages_are_drawn_with_after_a_layer_was_frozen():
    gan = averaged()
    gan.fit(batches(), verbose=0)
    drawn, raw = gan.generate(3), weights(gan.generator)
    gan.generator.layers[0].trainable = False
    assert np.array_equal(gan.generate(3), drawn)
    assert identical(weights(gan.generator), raw)


def test_before_the_first_step_there_is_no_average_to_draw_with():
    gan = make(generator_optimizer=keras.optimizers.Adam(use_ema=True))
    assert np.array_equal(gan.generate(3), make().generate(3))
    assert gan.generate(3).std() > 0


def averaged(gan_seed=0):
    optimizer = keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9)
    return make(seed=gan_seed, generator_optimizer=optimizer)


@pytest.mark.parametrize("maker", [make, averaged])
def test_weights_put_back_generate_what_they_did(maker):
    gan = maker()
    gan.fit(batches(), epochs=2, verbose=0)
    kept, images = gan.get_weights(), gan.generate(5)
    gan.fit(batches(), epochs=2, verbose=0)
    assert not np.array_equal(gan.generate(5), images)
    gan.set_weights(kept)
    assert np.array_equal(gan.generate(5), images)
    assert identical(gan.get_weights(), kept)
    new = maker()  # never trained
    new.set_weights(kept)
    assert np.array_equal(new.generate(5), images)


def test_weights_are_those_of_both_networks_and_then_the_averages():
    assert len(make().get_weights()) == len(make().weights) == 8
    gan = averaged()
    gan.fit(batches(), verbose=0)
    kept = gan.get_weights()
    assert len(kept) == 8 + 4 and identical(kept[:8], weights(gan))
    shapes = [variable.shape for variable in gan.generator.trainable_variables]
    assert [average.shape for average in kept[8:]] == shapes
    assert not close(kept[8:], weights(gan.generator))


def test_weights_of_a_scaled_optimizer_and_of_an_uncompiled_gan():
    inner = keras.optimizers.Adam(0.1, use_ema=True)
    assert (
        len(make(generator_optimizer=keras.optimizers.LossScaleOptimizer(inner)).get_weights())
        == 12
    )
    assert len(make(compiled=False).get_weights()) == 8


def test_weights_with_averages_do_not_fit_where_none_are_kept():
    with pytest.raises(ValueError, match=r"8 arrays .* and 0 averages .*came 12.*use_ema=True"):
        make().set_weights(averaged().get_weights())
    with pytest.raises(ValueError, match=r"8 arrays .* and 4 averages .*came 8 arrays"):
        averaged().set_weights(make().get_weights())


@pytest.mark.parametrize("maker", [make, averaged])
def test_early_stopping_restores_the_best_epoch(maker):
    gan, images = maker(), []

    class Worse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            images.append(gan.generate(5))
            logs["badness"] = [3.0, 1.0, 2.0, 4.0][epoch]

    stop = keras.callbacks.EarlyStopping("badness", mode="min", restore_best_weights=True)
    gan.fit(batches(), epochs=4, callbacks=[Worse(), stop], verbose=0)
    assert len(images) == 3 and not np.array_equal(images[1], images[2])
    assert np.array_equal(gan.generate(5), images[1])


# Saving


def augmented_gan():
    keras.utils.set_random_seed(0)
    parts = [keras.Input((4, 4, 1)), keras.layers.RandomFlip(seed=1), keras.layers.Dropout(0.3)]
    parts += [keras.layers.Flatten(), keras.layers.Dense(1)]
    discriminator = keras.Sequential(parts)
    gan = training.GAN(models.mlp_generator(3, (8,), (4, 4, 1)), discriminator, latent_dim=3)
    gan.compile(jit_compile=False)
    return gan


def test_layers_that_augment_go_on_where_they_were(tmp_path):
    whole, half = augmented_gan(), augmented_gan()
    half.step(IMAGES)
    half.save(tmp_path / "gan.keras")
    half = keras.models.load_model(tmp_path / "gan.keras")
    assert len(half._seed_states()) == 2
    for _ in range(2):
        whole.step(IMAGES)
    half.step(IMAGES)
    assert identical(weights(whole), weights(half))


@pytest.mark.parametrize(("dropout", "kind"), [(0.0, KINDS[0]), (0.3, KINDS[0]), (0.3, KINDS[1])])
def test_saved_and_loaded_goes_on_as_if_never_stopped(tmp_path, dropout, kind):
    gan = make(
        kind=kind,
        dropout=dropout,
        batch_norm=True,
        loss=losses.NonSaturating(real_label=0.9),
        generator_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5, use_ema=True),
    )
    gan.fit(batches(), verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.loss.real_label == 0.9 and loaded.latent_dim == 3
    assert np.array_equal(gan.generate(3), loaded.generate(3))
    gan.fit(batches(), verbose=0)
    loaded.fit(batches(), verbose=0)
    assert identical(weights(gan), weights(loaded))
    assert int(loaded.generator_optimizer.iterations.numpy()) == 6


def test_how_it_was_compiled_is_saved(tmp_path):
    make(steps_per_execution=3, run_eagerly=True).save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert (loaded.steps_per_execution, loaded.run_eagerly, loaded.jit_compile) == (3, True, False)


def test_whether_xla_is_used_is_decided_where_a_gan_is_loaded(tmp_path, monkeypatch):
    make(jit_compile="auto").save(tmp_path / "gan.keras")
    for decided in (False, True):  # as on a CPU, as on a GPU
        monkeypatch.setattr(training.GAN, "_resolve_auto_jit_compile", lambda _, is_=decided: is_)
        assert keras.saving.load_model(tmp_path / "gan.keras").jit_compile == decided


def test_a_lazy_penalty_turns_xla_off_in_silence_where_nobody_asked_for_it(monkeypatch, recwarn):
    monkeypatch.setattr(training.GAN, "_resolve_auto_jit_compile", lambda _: True)
    assert not make(penalty=losses.R1(every=2), jit_compile="auto").jit_compile
    assert not recwarn.list


def test_an_uncompiled_gan_is_saved_too(tmp_path):
    gan = make(compiled=False)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert not loaded.compiled
    assert np.array_equal(gan.generate(3), loaded.generate(3))


# What it refuses


def test_networks_that_do_not_fit():
    generator, discriminator = models.mlp_generator(3, (4,)), models.mlp_discriminator(hidden=(4,))
    with pytest.raises(ValueError, match=r"latent vectors of shape \(5,\).*it takes \(3,\)"):
        training.GAN(generator, discriminator, latent_dim=5)
    with pytest.raises(ValueError, match=r"makes \(28, 28, 1\).*takes \(32, 32, 3\)"):
        training.GAN(generator, models.mlp_discriminator((32, 32, 3), (4,)), latent_dim=3)
    flat = keras.layers.Flatten()
    two = keras.Sequential([keras.Input((28, 28, 1)), flat, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"one logit a sample.*\(2,\)"):
        training.GAN(generator, two, latent_dim=3)
    with pytest.raises(ValueError, match="generator must be a Keras model with one known input"):
        training.GAN(keras.Sequential([keras.layers.Dense(2)]), discriminator, latent_dim=3)


@pytest.mark.parametrize("ending", [[("dense", "sigmoid")], [("dense", None), ("act", "sigmoid")]])
def test_a_sigmoid_at_the_end_is_refused(ending):
    made = {
        "dense": lambda activation: keras.layers.Dense(1, activation=activation),
        "act": keras.layers.Activation,
    }
    layers = [made[kind](activation) for kind, activation in ending]
    discriminator = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), *layers])
    with pytest.raises(ValueError, match="must end in logits, a last layer has a sigmoid"):
        training.GAN(models.mlp_generator(3, (4,)), discriminator, latent_dim=3)


@pytest.mark.parametrize("wrap", [models.SpectralNormalization, None])
def test_a_sigmoid_within_is_refused(wrap):
    last = keras.layers.Dense(1, "sigmoid")
    last = wrap(last) if wrap else keras.Sequential([keras.Input((16,)), last])
    discriminator = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), last])
    with pytest.raises(ValueError, match="a last layer has a sigmoid"):
        training.GAN(models.mlp_generator(3, (8,), (4, 4, 1)), discriminator, latent_dim=3)


def test_a_sigmoid_is_refused_whatever_stands_behind_it():
    image = keras.Input((4, 4, 1))
    logit = keras.layers.Dense(1)(keras.layers.Flatten()(image))
    for answer in (keras.layers.Flatten()(keras.ops.sigmoid(logit)), keras.ops.sigmoid(logit)):
        with pytest.raises(ValueError, match="a last layer has a sigmoid"):
            networks = models.mlp_generator(3, (8,), (4, 4, 1)), keras.Model(image, answer)
            training.GAN(*networks, latent_dim=3)


def test_networks_with_a_layer_in_common_are_refused():
    shared = keras.layers.Dense(16)
    latents, image = keras.Input((3,)), keras.Input((4, 4, 1))
    made = keras.layers.Reshape((4, 4, 1))(shared(keras.layers.Dense(16)(latents)))
    judged = keras.layers.Dense(1)(shared(keras.layers.Flatten()(image)))
    with pytest.raises(ValueError, match="discriminator must have no layer in common with gen"):
        training.GAN(keras.Model(latents, made), keras.Model(image, judged), latent_dim=3)


@pytest.mark.parametrize("name", ["optimizer", "metrics", "weighted_metrics"])
def test_what_other_models_are_compiled_with_is_refused(name):
    with pytest.raises(ValueError, match=f"^{name} must be left out"):
        make(**{name: ["adam"]})


def test_one_optimizer_for_both_is_refused():
    optimizer = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="must be two optimizers, came the same object twice"):
        make(generator_optimizer=optimizer, discriminator_optimizer=optimizer)


def test_optimizers_by_name():
    gan = make(generator_optimizer="adam", discriminator_optimizer="adam")
    gan.step(IMAGES)
    assert gan.generator_optimizer is not gan.discriminator_optimizer


def test_numpy_numbers_are_numbers():
    assert make().generate(np.int64(3)).shape[0] == 3
    assert models.mlp_generator(np.int64(3), (np.int32(4),)).input_shape == (None, 3)


def test_an_optimizer_of_another_network_is_refused():
    optimizer = keras.optimizers.Adam()
    make(generator_optimizer=optimizer)
    with pytest.raises(ValueError, match="generator_optimizer already belongs to another network"):
        make(generator_optimizer=optimizer)


def test_compiling_again_with_the_same_optimizers_keeps_their_state():
    gan = make()
    gan.fit(batches(), verbose=0)
    gan.compile(
        generator_optimizer=gan.generator_optimizer,
        discriminator_optimizer=gan.discriminator_optimizer,
    )
    assert int(gan.generator_optimizer.iterations.numpy()) == 3
    gan.fit(batches(), verbose=0)
    assert int(gan.generator_optimizer.iterations.numpy()) == 6


class OnlyReal(OnlyDiscriminator):
    """A game in which the noise does not matter."""

    def discriminator_loss(self, real_logits, fake_logits):
        return tf.reduce_mean(tf.nn.softplus(-real_logits))


def test_scaled_losses_learn_at_the_same_rate():
    plain = make(loss=OnlyReal(), discriminator_optimizer=keras.optimizers.SGD(0.5))
    inner = keras.optimizers.SGD(0.5)
    scaled = make(
        loss=OnlyReal(), discriminator_optimizer=keras.optimizers.LossScaleOptimizer(inner)
    )
    for gan in (plain, scaled):
        gan.step(IMAGES)
    assert close(weights(plain.discriminator), weights(scaled.discriminator))


# The rules of the game: penalties, several steps, label noise, clipping


class Slope(losses.Penalty):
    """Not a penalty: the discriminator's own output at the real images, to see how it is used."""

    def __call__(self, discriminator, real_images, fake_images, seed):
        return tf.reduce_mean(discriminator(real_images, training=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_penalty_is_added_to_the_discriminators_loss(kind):
    sgd = {f"{side}_optimizer": keras.optimizers.SGD(0.5) for side in SIDES}
    gan, loss = make(kind=kind, penalty=Slope(), **sgd), losses.NonSaturating()
    fake, judge = gan.generator(gan.noise(20)), gan.discriminator
    expected = gradient_step(
        lambda: loss.discriminator_loss(judge(IMAGES), judge(fake)) + tf.reduce_mean(judge(IMAGES)),
        judge,
        0.5,
    )
    d_loss = float(loss.discriminator_loss(judge(IMAGES), judge(fake)))
    penalty = float(tf.reduce_mean(judge(IMAGES)))
    logs = gan.step(IMAGES)
    assert close(expected, weights(judge))
    assert float(logs["penalty"]) == pytest.approx(penalty, rel=1e-5)
    assert float(logs["d_loss"]) == pytest.approx(d_loss, rel=1e-5)  # the game's alone


def test_a_lazy_penalty_comes_now_and_then_and_stronger():
    gan = make(penalty=Slope(every=3))
    found = []
    for _ in range(6):
        gan.penalty_tracker.reset_state()
        expected = 3 * float(tf.reduce_mean(gan.discriminator(IMAGES)))
        found.append((float(gan.step(IMAGES)["penalty"]), expected))
    assert [value != 0 for value, _ in found] == [True, False, False] * 2
    assert found[3][0] == pytest.approx(found[3][1], rel=1e-5)


def test_a_lazy_penalty_turns_xla_off_and_says_so():
    with pytest.warns(UserWarning, match="jit_compile becomes False: XLA fails on a penalty"):
        gan = make(penalty=losses.R1(every=2), jit_compile=True)
    gan.fit(IMAGES, batch_size=8, verbose=0)  # the last batch is smaller
    assert int(gan.generator_optimizer.iterations.numpy()) == 3
    assert make(penalty=losses.R1(), jit_compile=True).jit_compile


def test_the_penalty_that_is_logged_is_that_of_all_steps():
    gan = make(penalty=Slope(every=2), discriminator_steps=2)
    assert gan.step(IMAGES)["penalty"] != 0  # the second of the two steps has none


RULES = {
    "r1 and r2": {"loss": "relativistic", "penalty": [losses.R1(), losses.R2(every=2)]},
    "wgan-gp": {"loss": "wasserstein", "penalty": losses.GradientPenalty()},
    "clipped": {"loss": "wasserstein", "clip_weights": 0.05},
    "dragan": {"loss": "hinge", "penalty": losses.DRAGAN()},
    "noise": {"loss": "least_squares", "label_noise": 0.2},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RULES)
def test_every_rule_in_step_and_fit_and_saved(name, kind, tmp_path):
    eager, stepped, fitted = (make(kind=kind, **RULES[name]) for _ in range(3))
    for images in batches():
        eager.train_step(images)
        stepped.step(images)
    fitted.fit(batches(), verbose=0)
    for other in (stepped, fitted):
        assert close(weights(eager), weights(other))
    fitted.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert [each.get_config() for each in loaded.penalty] == [
        each.get_config() for each in fitted.penalty
    ]
    for gan in (fitted, loaded):
        gan.fit(batches(), verbose=0)
    assert identical(weights(fitted), weights(loaded))


def test_the_discriminator_learns_several_times_each_from_its_own_share():
    seen = []

    class Watched(losses.NonSaturating):
        def discriminator_loss(self, real_logits, fake_logits):
            seen.append(real_logits.shape[0])
            return super().discriminator_loss(real_logits, fake_logits)

    gan = make(loss=Watched(), discriminator_steps=3)
    gan.train_step(IMAGES)  # 20 images: 3 shares of 6
    assert seen == [6, 6, 6]
    assert int(gan.discriminator_optimizer.iterations) == 3
    assert int(gan.generator_optimizer.iterations) == 1
    shares = [share.numpy() for share in gan._shares(tf.constant(IMAGES))]
    assert np.array_equal(np.concatenate(shares), IMAGES[:18])
    shares = [share.numpy() for share in gan._shares(tf.constant(IMAGES[:2]))]
    assert np.array_equal(np.concatenate(shares), IMAGES[[0, 1, 0]])  # of two images for three
    noises = [gan.noise(4, stream).numpy() for stream in range(4)]
    assert len({noise.tobytes() for noise in noises}) == 4


def test_label_noise_flips_its_share_of_pairs():
    gan = make(label_noise=0.2)
    real, fake = tf.ones((5000, 1)), -tf.ones((5000, 1))
    gan.loss = type("Seen", (), {"discriminator_loss": lambda _, real, fake: (real, fake)})()
    seen_real, seen_fake = gan._discriminator_loss(real, fake, 0)
    flipped = (seen_real == -1).numpy()
    assert np.array_equal(flipped, (seen_fake == 1).numpy())
    assert abs(flipped.mean() - 0.2) < 0.03
    again = gan._discriminator_loss(real, fake, 0)[0]
    other = gan._discriminator_loss(real, fake, 1)[0]
    assert np.array_equal(seen_real, again) and not np.array_equal(seen_real, other)


def test_clipped_weights_stay_small():
    gan = make(clip_weights=0.02)
    before = weights(gan.generator)
    gan.step(IMAGES)
    assert max(np.abs(weight).max() for weight in weights(gan.discriminator)) <= 0.02 + 1e-9
    assert max(np.abs(weight).max() for weight in before) > 0.02  # the generator's are let be


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"discriminator_steps": 0}, "discriminator_steps must be a whole number .* came 0"),
        ({"discriminator_steps": True}, "discriminator_steps must be a whole number .* came True"),
        ({"label_noise": 0.5}, r"label_noise must be a share in \[0, 0.5\), came 0.5"),
        ({"label_noise": "x"}, r"label_noise must be a share in \[0, 0.5\), came 'x'"),
        ({"clip_weights": 0}, "clip_weights must be None or a number above 0, came 0"),
        ({"penalty": "r1"}, "penalty must be a losses.Penalty"),
    ],
)
def test_rules_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_simultaneous_players_take_one_step_each():
    with pytest.raises(ValueError, match=r"discriminator_steps must be 1 .* came 2"):
        make(kind=training.SimultaneousGAN, discriminator_steps=2)
    gan = make(kind=training.SimultaneousGAN)
    with pytest.raises(ValueError, match=r"discriminator_steps must be 1 .* came 5"):
        gan.compile("hinge", None, None, None, 5)


def penalized(*layers):
    discriminator = keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Flatten()])
    discriminator.add(keras.layers.Dense(1))
    gan = training.GAN(models.mlp_generator(3, (8,), (4, 4, 1)), discriminator, latent_dim=3)
    gan.compile(penalty=losses.R1())


def test_a_penalty_behind_layers_with_wrong_second_derivatives():
    with pytest.raises(ValueError, match=r"interpolation='bilinear'.*no second derivative"):
        penalized(keras.layers.UpSampling2D(interpolation="bilinear"))
    for layer in (keras.layers.BatchNormalization(), keras.layers.LayerNormalization()):
        with pytest.warns(UserWarning, match="normalizes by means and variances"):
            penalized(layer)


def test_no_warning_where_second_derivatives_are_right(recwarn):
    penalized(keras.layers.UpSampling2D(), keras.layers.LeakyReLU())
    make(batch_norm=True, penalty=losses.R1())  # only the generator has it
    assert not [each for each in recwarn if "normalizes" in str(each.message)]


def test_accuracy_by_the_boundary_of_each_game():
    real, fake = tf.constant([[0.7], [0.3]]), tf.constant([[0.4], [0.6]])
    for loss, expected in (("least_squares", 0.5), ("relativistic", 0.5), ("hinge", 0.5)):
        gan = make(loss=loss)
        gan._log(0.0, 0.0, real, fake, 0.0, 0.0)
        assert float(gan.d_accuracy_tracker.result()) == expected
    gan = make(loss="wasserstein")
    gan._log(0.0, 0.0, real + 10.0, fake + 10.0, 0.0, 0.0)  # only differences count
    assert float(gan.d_accuracy_tracker.result()) == 0.5


@pytest.mark.parametrize(
    "decay",
    [
        keras.optimizers.schedules.PolynomialDecay(0.1, 4, end_learning_rate=0.0),
        keras.optimizers.schedules.CosineDecay(0.1, 4),
    ],
)
def test_learning_rates_that_decay_to_0(decay):
    gan = make(
        generator_optimizer=keras.optimizers.Adam(decay),
        discriminator_optimizer=keras.optimizers.Adam(decay),
    )
    images, before = IMAGES[:4], weights(gan)
    for _ in range(4):
        gan.step(images)
    assert not close(before, weights(gan))
    before = weights(gan)
    gan.step(images)
    assert identical(before, weights(gan))


# Half precision


def make_dcgan(precision, kind=training.SimultaneousGAN, normalization=None, **options):
    keras.config.set_dtype_policy(precision)
    try:
        gan = kind(
            models.dcgan_generator(4, (16, 16, 1)),
            models.dcgan_discriminator((16, 16, 1), normalization=normalization),
            latent_dim=4,
        )
    finally:
        keras.config.set_dtype_policy("float32")
    gan.compile(jit_compile=False, **options)
    return gan


@pytest.mark.parametrize("normalization", ["none", "spectral"])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_steps_with_penalties_are_those_of_float32(precision, normalization):
    images = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 1)).astype("float32")
    logs = {}
    for name in ("float32", precision):
        keras.utils.set_random_seed(0)
        penalty = [losses.R1(1.0), losses.GradientPenalty(1.0)]
        gan = make_dcgan(name, normalization=normalization, penalty=penalty)
        before = weights(gan.discriminator)
        gan.step(images)
        logs[name] = {key: float(value) for key, value in gan.step(images).items()}
        assert not close(before, weights(gan.discriminator))
    assert logs[precision] == pytest.approx(logs["float32"], rel=0.05)


@pytest.mark.parametrize("penalty", [losses.R2(), losses.GradientPenalty(), losses.DRAGAN()])
@pytest.mark.parametrize("kind", KINDS)
def test_images_that_were_made_in_half_precision_are_taken(kind, penalty):
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="mixed_bfloat16")])
    gan = kind(made, models.mlp_discriminator((2,), (4,)), latent_dim=3)
    gan.compile(penalty=penalty, jit_compile=False)
    logs = gan.step(np.ones((4, 2), "float32"))
    assert all(value.dtype == tf.float32 and np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize("kind", [*KINDS, training.UnrolledGAN])
def test_logits_in_half_precision_are_taken(kind):
    parts = [keras.Input((4, 4, 1)), keras.layers.Flatten()]
    parts += [keras.layers.Dense(1, dtype="mixed_bfloat16")]
    gan = kind(models.mlp_generator(3, (8,), (4, 4, 1)), keras.Sequential(parts), latent_dim=3)
    gan.compile(penalty=losses.R1(), jit_compile=False)
    history = gan.fit(IMAGES, verbose=0).history
    assert all(np.isfinite(values[0]) for values in history.values())


def test_a_data_set_of_float64_trains_as_an_array_does():
    gans = [make(penalty=losses.GradientPenalty()) for _ in range(2)]
    gans[0].fit(IMAGES, batch_size=20, shuffle=False, verbose=0)
    gans[1].fit(batches(20).map(lambda images: tf.cast(images, tf.float64)), verbose=0)
    assert identical(weights(gans[0]), weights(gans[1]))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_and_is_saved(precision, tmp_path):
    gan = make_dcgan(precision)
    images = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 1)).astype("float32")
    before = weights(gan.generator)
    for _ in range(3):
        logs = gan.step(images)
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert {weight.dtype.name for weight in weights(gan)} == {"float32"}
    assert not close(before, weights(gan.generator))
    assert gan.generate(2).dtype == np.float32
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.generator.layers[0].compute_dtype == precision.removeprefix("mixed_")
    gan.step(images), loaded.step(images)
    assert identical(weights(gan), weights(loaded))


def test_float16_alone_gets_scaled_losses():
    scaled = keras.optimizers.LossScaleOptimizer
    for precision, expected in (("mixed_float16", True), ("mixed_bfloat16", False)):
        gan = make_dcgan(precision)
        optimizers = gan.generator_optimizer, gan.discriminator_optimizer
        assert [isinstance(optimizer, scaled) for optimizer in optimizers] == [expected] * 2
    gan = make_dcgan("mixed_float16")
    gan.compile(generator_optimizer=scaled(keras.optimizers.Adam()))
    assert not isinstance(gan.generator_optimizer.inner_optimizer, scaled)


def test_scaling_hides_no_mistake_with_optimizers():
    gan, adam = make_dcgan("mixed_float16"), keras.optimizers.Adam()
    with pytest.raises(ValueError, match="must be two optimizers, came the same object twice"):
        gan.compile(generator_optimizer=adam, discriminator_optimizer=adam)
    make(generator_optimizer=adam)
    for given in (adam, keras.optimizers.LossScaleOptimizer(adam)):
        with pytest.raises(ValueError, match="already belongs to another network"):
            gan.compile(generator_optimizer=given)


def test_half_precision_images_come_in_float32():
    last = keras.layers.Dense(2, dtype="mixed_bfloat16")
    generator = keras.Sequential([keras.Input((3,)), last])
    gan = training.GAN(generator, models.mlp_discriminator((2,), (4,)), latent_dim=3)
    assert gan.generate(4).dtype == np.float32


# Cures for mode collapse


def points_gan(kind=training.GAN, pack=1, **settings):
    keras.utils.set_random_seed(0)
    gan = kind(
        models.mlp_generator(2, (8,), (2,), None),
        models.mlp_discriminator((2 * pack,), (8,)),
        latent_dim=2,
        pack=pack,
    )
    gan.compile(**settings)
    return gan


def test_packed_puts_samples_side_by_side():
    images = tf.reshape(tf.range(5.0), (5, 1, 1, 1)) * tf.ones((5, 2, 2, 1))
    pairs = training.packed(images, 2).numpy()
    assert pairs.shape == (2, 2, 2, 2)
    assert pairs[:, 0, 0].tolist() == [[0, 2], [1, 3]]  # each once, the fifth is left out
    assert training.packed(images, 1) is images
    few = training.packed(images[:2], 3).numpy()
    assert few[:, 0, 0].tolist() == [[0, 1, 0]]  # too few for a group: one is there twice


@pytest.mark.parametrize("kind", [*KINDS, training.UnrolledGAN])
def test_a_discriminator_of_packs_learns_saves_and_loads(kind, tmp_path):
    more = {"unrolled_steps": 2} if kind is training.UnrolledGAN else {}
    more |= {"diversity": losses.ModeSeeking(0.5), "label_noise": 0.1}
    gan = points_gan(kind, pack=3, penalty=losses.GradientPenalty(), **more)
    points = np.random.default_rng(0).normal(size=(13, 2)).astype("float32")
    before = weights(gan.generator), weights(gan.discriminator)
    logs = gan.step(points)
    assert all(np.isfinite(value) for value in logs.values())
    assert {"penalty", "diversity"} <= set(logs)
    assert not identical(weights(gan.generator), before[0])
    assert not identical(weights(gan.discriminator), before[1])
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert loaded.pack == 3 and loaded.diversity.weight == 0.5
    assert getattr(loaded, "unrolled_steps", None) == more.get("unrolled_steps")
    loaded.step(points), gan.step(points)
    assert identical(weights(loaded.generator), weights(gan.generator))


def test_packs_of_images_and_of_every_step():
    gan = training.GAN(
        models.dcgan_generator(2, variant="small"),
        models.dcgan_discriminator((28, 28, 2), variant="small", normalization="none"),
        latent_dim=2,
        pack=2,
    )
    gan.compile(discriminator_steps=3)
    logs = gan.step(np.zeros((4, 28, 28, 1), "float32"))  # one image for each of three steps
    assert all(np.isfinite(value) for value in logs.values())
    assert gan.judge(np.zeros((5, 28, 28, 1), "float32")).shape == (2, 1)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None, "1"])
def test_a_seed_that_is_none(seed):
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
        make(seed=seed)


def test_packs_that_do_not_fit():
    networks = models.mlp_generator(2, (8,), (2,), None), models.mlp_discriminator((2,), (8,))
    with pytest.raises(ValueError, match=r"pack=3.*it should take \(6,\)"):
        training.GAN(*networks, latent_dim=2, pack=3)
    with pytest.raises(ValueError, match="pack"):
        training.GAN(*networks, latent_dim=2, pack=0)


def generator_change(gan, points):
    before = weights(gan.generator)
    gan.step(points)
    return [new - old for new, old in zip(weights(gan.generator), before, strict=True)]


def minimax_and_unrolled(rate, steps=1):
    """How the generator moves, with a discriminator that learns at some rate."""
    points = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    found = []
    for kind, more in ((training.GAN, {}), (training.UnrolledGAN, {"unrolled_steps": steps})):
        gan = points_gan(
            kind,
            loss="minimax",
            generator_optimizer=keras.optimizers.SGD(0.1),
            discriminator_optimizer=keras.optimizers.Adam(rate, beta_1=0.5),
            **more,
        )
        found.append(generator_change(gan, points))
    return found


def test_an_unrolled_step_with_a_discriminator_that_stands_still_is_one_of_minimax():
    assert close(*minimax_and_unrolled(rate=0.0, steps=3))
    plain, unrolled = minimax_and_unrolled(rate=0.1, steps=3)
    assert not close(plain, unrolled)
    assert all(np.isfinite(each).all() for each in unrolled)


def test_the_steps_ahead_are_those_that_the_discriminator_takes():
    points = tf.constant(np.random.default_rng(0).normal(size=(16, 2)), tf.float32)
    adam = keras.optimizers.Adam(0.05, beta_1=0.5)
    gan = points_gan(training.UnrolledGAN, unrolled_steps=3, discriminator_optimizer=adam)
    gan.step(points)  # the optimizer has moments now
    fakes = gan.generator(gan.noise(16))
    ahead = gan._discriminator_ahead(points, fakes)(points)
    for _ in range(3):
        with tf.GradientTape() as tape:
            logits = gan.discriminator(points), gan.discriminator(fakes)
            loss = gan.loss.discriminator_loss(*logits)
        variables = gan.discriminator.trainable_variables
        adam.apply(tape.gradient(loss, variables), variables)
    np.testing.assert_allclose(ahead, gan.discriminator(points), rtol=1e-5, atol=1e-6)


def test_the_generators_gradient_flows_through_the_steps_ahead():
    points = tf.constant(np.random.default_rng(0).normal(size=(16, 2)), tf.float32)
    fakes = tf.constant(np.random.default_rng(1).normal(size=(16, 2)), tf.float32)

    def cost(scale, of):
        gan = points_gan(
            training.UnrolledGAN,
            unrolled_steps=2,
            discriminator_optimizer=keras.optimizers.Adam(0.05, beta_1=0.5),
        )
        if of == "all":
            return gan._generator_loss(points, scale * fakes)
        # real images are judged by a discriminator that the fakes have moved
        return tf.reduce_mean(gan._discriminator_ahead(points, scale * fakes)(points))

    for of in ("all", "real"):
        scale = tf.Variable(1.0)
        with tf.GradientTape() as tape:
            value = cost(scale, of)
        slope = tape.gradient(value, scale)
        assert abs(float(slope)) > 1e-3
        difference = (cost(1.001, of) - cost(0.999, of)) / 0.002
        np.testing.assert_allclose(slope, difference, rtol=0.02)


@pytest.mark.parametrize("normalization", ["spectral", "dropout"])
def test_unrolling_leaves_the_discriminator_as_it_is(normalization):
    parts = [keras.Input((2,)), keras.layers.Dense(4), keras.layers.LeakyReLU()]
    if normalization == "spectral":
        parts[1] = models.SpectralNormalization(parts[1])
    else:
        parts.append(keras.layers.Dropout(0.5))
    network = keras.Sequential([*parts, keras.layers.Dense(1)])
    gan = training.UnrolledGAN(models.mlp_generator(2, (8,), (2,), None), network, 2)
    gan.compile(unrolled_steps=2)
    points = tf.constant(np.random.default_rng(0).normal(size=(16, 2)), tf.float32)
    before = weights(network)
    with tf.GradientTape() as tape:
        loss = gan._generator_loss(points, gan.generator(gan.noise(16)))
    gradients = tape.gradient(loss, gan.generator.trainable_variables)
    assert all(np.isfinite(each).all() and np.any(each) for each in gradients)
    assert identical(weights(network), before)


def test_unrolled_steps_in_fit_and_several_at_once():
    def trained(steps):
        gan = points_gan(training.UnrolledGAN, unrolled_steps=2, steps_per_execution=steps)
        points = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
        gan.fit(tf.data.Dataset.from_tensor_slices(points).batch(8), epochs=2, verbose=0)
        return weights(gan.generator)

    assert close(trained(1), trained(4))


def unrolled_without_noise(points, jit_compile=False, strategy=None):
    """The weights after two steps of a game in which the latent vectors do not matter."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        parts = [keras.Input((2,)), keras.layers.Rescaling(0.0), keras.layers.Dense(2)]
        networks = keras.Sequential(parts), models.mlp_discriminator((2,), (8,))
        gan = training.UnrolledGAN(*networks, 2)
        rates = (keras.optimizers.SGD(0.5), keras.optimizers.Adam(0.1, beta_1=0.5))
        gan.compile("non_saturating", *rates, unrolled_steps=2, jit_compile=jit_compile)
    before = weights(gan.generator)
    gan.fit(tf.data.Dataset.from_tensors(points).repeat(2), verbose=0)
    assert not close(before, weights(gan.generator))
    return weights(gan)


def test_unrolled_steps_with_xla():
    points = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    assert close(unrolled_without_noise(points), unrolled_without_noise(points, jit_compile=True))


def test_unrolled_steps_on_two_replicas(two_replicas):
    half = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    both = np.concatenate([half, half])  # each replica looks ahead on its own half
    assert close(unrolled_without_noise(half), unrolled_without_noise(both, strategy=two_replicas))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"discriminator_optimizer": keras.optimizers.SGD(0.1)}, "came SGD"),
        ({"discriminator_optimizer": keras.optimizers.Adam(clipnorm=1.0)}, "with clipnorm"),
        ({"unrolled_steps": 0}, "unrolled_steps"),
    ],
)
def test_unrolling_refuses(settings, words):
    with pytest.raises(ValueError, match=words):
        points_gan(training.UnrolledGAN, **settings)


def test_unrolling_behind_layers_with_wrong_second_derivatives():
    networks = models.dcgan_generator(2), models.dcgan_discriminator()  # with BatchNorm
    with pytest.warns(UserWarning, match="step ahead's gradient will be off"):
        training.UnrolledGAN(*networks, 2).compile()


@pytest.mark.parametrize("diversity", [1.0, "mode_seeking", losses.ModeSeeking])
def test_a_diversity_that_is_none(diversity):
    with pytest.raises(ValueError, match="diversity must be None or a function"):
        make(diversity=diversity)


@pytest.mark.parametrize("kind", KINDS)
def test_diversity_is_paid_by_the_generator_alone(kind):
    points = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    moved = {}
    for weight in (0.0, 5.0):
        gan = points_gan(kind, diversity=losses.ModeSeeking(weight))
        logs = gan.step(points)
        moved[weight] = (weights(gan.generator), weights(gan.discriminator), logs["g_loss"])
    assert identical(moved[0.0][1], moved[5.0][1])
    assert not identical(moved[0.0][0], moved[5.0][0])
    assert float(moved[0.0][2]) == float(moved[5.0][2])


# Data that cannot be trained on


def images_with(value, at=5):
    images = IMAGES.copy()
    images[at, 0, 0] = value
    return images


BAD_IMAGES = {
    "pixels": (
        127.5 * (IMAGES + 1),
        r"must lie in \[-1, 1\]. Scale pixels of 0 to 255 with pixels",
    ),
    "whole numbers": (np.zeros((20, 4, 4, 1), "uint8"), r"as floats .* came uint8 .*127.5 - 1"),
    "no channels": (
        IMAGES[..., 0],
        r"came float32 of the shape \(\w+, 4, 4\).*images\[..., None\]",
    ),
    "colors": (np.repeat(IMAGES, 3, -1), r"\(batch, 4, 4, 1\).*came .*\(\w+, 4, 4, 3\)"),
    "NaN": (images_with(np.nan), "NaN or infinity"),
    "infinity": (images_with(-np.inf), "NaN or infinity"),
}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", BAD_IMAGES)
def test_fit_refuses_images_before_it_learns(name, whole):
    images, message = BAD_IMAGES[name]
    gan = make()
    before = gan.get_weights()
    given = images if whole else tf.data.Dataset.from_tensor_slices(images).batch(20)
    with pytest.raises(ValueError, match=message):
        gan.fit(given, verbose=0)
    assert identical(gan.get_weights(), before)
    assert int(gan.discriminator_optimizer.iterations.numpy()) == 0


WEIGHTED = tf.data.Dataset.from_tensor_slices((IMAGES, np.ones(20), np.ones(20))).batch(8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": IMAGES[:0]}, r"images must hold at least one sample, came \(0, 4, 4, 1\)"),
        ({"x": IMAGES[0]}, r"\(4, 4, 1\). One sample alone is no batch: images\[None\]"),
        ({"x": IMAGES, "batch_size": 21}, "batch_size must be at most 20, .* came 21"),
        ({"x": images_with(np.nan)}, r"in 1 of 20 samples; the first one is images\[5\]"),
        ({"x": batches(30).take(0)}, "holds no batch"),
        ({"x": batches().repeat()}, "steps_per_epoch must be given, because the data has no end"),
        ({"x": data.load("digits")}, "x must be batches, came Images"),
        ({"x": IMAGES, "batch_size": 0}, "batch_size must be"),
        ({"x": IMAGES, "batch_size": 8.0}, "batch_size must be"),
        ({"x": IMAGES, "validation_data": (IMAGES,)}, "validation_data must be left out"),
        ({"x": IMAGES, "validation_split": 0.2}, "validation_split must be left out"),
        ({"x": WEIGHTED}, "sample_weight must be None"),
        ({"x": tf.data.Dataset.from_tensor_slices(IMAGES)}, "images must be images as floats"),
    ],
)
def test_fit_refuses_more(arguments, message):
    with pytest.raises(ValueError, match=message):
        make().fit(**arguments, verbose=0)


def test_step_refuses_images_and_goes_on():
    gan = make()
    for name in BAD_IMAGES:
        images, message = BAD_IMAGES[name]
        with pytest.raises(ValueError, match=message):
            gan.step(images)
    twin = make()
    twin.step(IMAGES), gan.step(IMAGES)
    assert identical(weights(twin), weights(gan))


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_are_refused_clip_no_weights(kind):
    gan = make(kind=kind, clip_weights=0.01)
    before = weights(gan.discriminator)
    with pytest.raises(ValueError, match="changed nothing"):
        gan.fit(batches().map(lambda images: 100 * images), verbose=0)
    assert identical(weights(gan.discriminator), before)


def test_means_hold_no_nan_after_a_step_that_failed():
    gan = make()
    with pytest.raises(ValueError, match="NaN"):
        gan.step(np.nan * IMAGES)
    assert all(np.isfinite(value) for value in gan.step(IMAGES).values())
    gan = breaking("generator")
    for _ in range(3):
        with contextlib.suppress(FloatingPointError):
            gan.step(IMAGES)
    assert gan.diverged and gan.d_loss_tracker.result() == 0


class Switched(losses.NonSaturating):
    """A game that is broken as long as somebody says so."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(np.nan, trainable=False)

    def generator_loss(self, fake_logits, real_logits=None):
        return self.factor * super().generator_loss(fake_logits)


@pytest.mark.parametrize("way", ["step", "train_on_batch", "fit"])
def test_after_a_training_that_diverged_a_better_one_may_begin(way):
    gan = make(loss=Switched())
    with pytest.warns(UserWarning, match="diverged"):
        gan.fit(IMAGES, verbose=0)
    gan.loss.factor.assign(1.0)
    before = weights(gan.generator)
    getattr(gan, way)(IMAGES)
    assert gan.diverged is None and not identical(weights(gan.generator), before)
    assert np.isfinite(float(gan.g_loss_tracker.result()))


def test_means_of_an_earlier_compile_are_forgotten():
    gan = make(penalty=losses.R1())
    for _ in range(3):
        gan.compile(jit_compile=False)
    assert sorted(each.name for each in gan.metrics) == ["d_accuracy", "d_loss", "g_loss"]


@pytest.mark.parametrize("name", ["sample_weight", "class_weight"])
def test_weights_of_samples_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be None, came ndarray"):
        make().fit(IMAGES, verbose=0, **{name: np.ones(20)})
    with pytest.raises(ValueError, match=f"{name} must be None, came ndarray"):
        make().train_on_batch(IMAGES, **{name: np.ones(20)})


def test_points_may_lie_anywhere():
    gan = points_gan()
    gan.fit(np.full((8, 2), 1e3, "float32"), batch_size=8, verbose=0)
    assert int(gan.generator_optimizer.iterations.numpy()) == 1


def test_looking_at_the_data_takes_none_away():
    taken = []

    def draw():
        for number in range(4):
            taken.append(number)
            yield IMAGES[5 * number : 5 * number + 5]

    spec = tf.TensorSpec((None, 4, 4, 1))
    make().fit(tf.data.Dataset.from_generator(draw, output_signature=spec), verbose=0)
    assert taken == [0, 1, 2, 3]


# Numbers that go wrong while training


class Breaks(losses.NonSaturating):
    """After so many steps one side's loss, or its gradient alone, is no number."""

    def __init__(self, side, gradient=False, steps=2):
        super().__init__()
        self.side, self.gradient, self.steps = side, gradient, steps

    def _broken(self, loss, side):
        if side != self.side:
            return loss
        now = self.gan.generator_optimizer.iterations >= self.steps

        def broken():
            return tf.sqrt(0.0 * loss) if self.gradient else float("nan") * loss

        return loss + tf.cond(now, broken, lambda: 0.0)

    def generator_loss(self, fake_logits, real_logits=None):
        return self._broken(super().generator_loss(fake_logits), "generator")

    def discriminator_loss(self, real_logits, fake_logits):
        loss = super().discriminator_loss(real_logits, fake_logits)
        return self._broken(loss, "discriminator")


def breaking(side, gradient=False, **settings):
    averaging = keras.optimizers.Adam(0.01, use_ema=True)
    loss = Breaks(side, gradient)
    gan = make(batch_norm=True, dropout=0.3, loss=loss, generator_optimizer=averaging, **settings)
    loss.gan = gan
    return gan


def state_of(gan, side):
    """What one side has learned, and its optimizer."""
    optimizer = getattr(gan, f"{side}_optimizer")
    return weights(getattr(gan, side)) + [np.array(each) for each in optimizer.variables]


WAYS = [
    {"steps_per_execution": 1},
    {"steps_per_execution": 5},
    {"steps_per_execution": 5, "jit_compile": True},
    {"run_eagerly": True},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", SIDES)
def test_a_loss_that_is_nan_stops_the_training_and_is_not_learned(side, way, kind):
    gan, twin = breaking(side, kind=kind, **way), breaking(side, kind=kind, **way)
    images = tf.data.Dataset.from_tensors(IMAGES)
    twin.fit(images.repeat(2), verbose=0)
    assert twin.diverged is None
    words = f"diverged and was stopped in step 3: the {side}'s loss is NaN or infinite"
    with pytest.warns(UserWarning, match=words):
        history = gan.fit(images.repeat(10), epochs=4, verbose=0).history
    assert words in gan.diverged and "Lower the learning rates" in gan.diverged
    assert len(history["d_loss"]) == 1
    assert close(state_of(gan, side), state_of(twin, side))
    assert all(np.isfinite(each).all() for each in gan.get_weights())
    if side == "discriminator":  # it comes first, so nobody has learned anything
        assert close(gan.get_weights(), twin.get_weights())
        assert close(state_of(gan, "generator"), state_of(twin, "generator"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", SIDES)
def test_a_gradient_that_is_nan_stops_the_training_too(side, way):
    gan = breaking(side, gradient=True, **way)
    images = tf.data.Dataset.from_tensors(IMAGES).repeat(10)
    with pytest.warns(UserWarning, match=f"step 3: gradients of the {side}'s loss are NaN"):
        gan.fit(images, verbose=0)
    assert all(np.isfinite(each).all() for each in gan.get_weights())


def test_a_kernels_gradient_is_looked_at_where_a_penalty_could_break_it_alone():
    class Rooted(losses.Penalty):
        """The norm of the slope without a guard: where it is 0 its gradient is NaN."""

        def points(self, real_images, fake_images, seed):
            return real_images

        def cost(self, squared_norms):
            return tf.reduce_mean(tf.sqrt(squared_norms))

    gan = make(penalty=Rooted())
    kernel = gan.discriminator.layers[1].kernel
    kernel.assign(tf.zeros(kernel.shape))
    with pytest.raises(FloatingPointError, match="gradients of the discriminator's loss"):
        gan.step(IMAGES)
    assert all(np.isfinite(each).all() for each in gan.get_weights())


def test_a_train_step_called_by_hand_learns_no_nan_either():
    gan, twin = breaking("discriminator"), breaking("discriminator")
    for _ in range(2):
        gan.train_step(IMAGES), twin.train_step(IMAGES)
    gan.train_step(IMAGES)
    assert identical(state_of(gan, "discriminator"), state_of(twin, "discriminator"))
    assert int(gan.generator_optimizer.iterations.numpy()) == 2


def test_step_raises_and_can_go_on():
    gan, twin = breaking("discriminator"), breaking("discriminator")
    for _ in range(2):
        gan.step(IMAGES), twin.step(IMAGES)
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="step 3: the discriminator's loss"):
            gan.step(IMAGES)
        assert identical(gan.get_weights(), twin.get_weights())
    gan.loss.steps = twin.loss.steps = 100
    for each in (gan, twin):
        each.fit(tf.data.Dataset.from_tensors(IMAGES), verbose=0)
    assert gan.diverged is None and int(gan.generator_optimizer.iterations.numpy()) == 3
    assert close(gan.get_weights(), twin.get_weights())


@pytest.mark.parametrize("steps", [1, 4])
def test_nan_in_a_later_batch_is_the_datas_fault(steps):
    gan, twin = (make(batch_norm=True, steps_per_execution=steps) for _ in range(2))
    twin.fit(IMAGES[:15], batch_size=5, shuffle=False, verbose=0)
    with pytest.raises(ValueError, match=r"The data hold NaN or infinity.*found in step 4"):
        broken = tf.data.Dataset.from_tensor_slices(images_with(np.nan, 17)).batch(5)
        gan.fit(broken, verbose=0)
    assert close(gan.get_weights(), twin.get_weights())
    gan.fit(IMAGES, verbose=0)
    assert gan.diverged is None


def test_weights_that_are_broken_already_are_told():
    gan = make()
    gan.generator.layers[0].kernel.assign(np.full((3, 8), np.nan))
    with pytest.warns(UserWarning, match="Weights of generator are NaN or infinite already"):
        gan.fit(batches(), verbose=0)


def test_what_is_broken_on_one_replica_stops_all(two_replicas):
    with two_replicas.scope():
        gan = make(loss=OnlyReal())
    before = weights(gan)
    spec = tf.data.Dataset.from_tensors(images_with(np.nan, 3)[:8])  # of the first four images
    with pytest.raises(ValueError, match="The data hold NaN"):
        gan.fit(spec, verbose=0)
    assert identical(weights(gan), before)
    with two_replicas.scope():
        gan = breaking("discriminator")
    with pytest.warns(UserWarning, match="step 3: the discriminator's loss"):
        gan.fit(tf.data.Dataset.from_tensors(IMAGES[:8]).repeat(5), verbose=0)
    assert all(np.isfinite(each).all() for each in gan.get_weights())


def test_a_device_without_memory_is_told_with_what_to_lower(monkeypatch):
    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    gan = make()
    monkeypatch.setattr(gan, "_make_function", lambda step: full)
    monkeypatch.setattr(gan, "_compiled_step", full)
    monkeypatch.setattr(gan, "_sample", full)
    for call, setting in (
        (lambda: gan.fit(batches(), verbose=0), "batch_size"),
        (lambda: gan.step(IMAGES), "batch_size"),
        (lambda: gan.generate(3), "count"),
    ):
        with pytest.raises(tf.errors.ResourceExhaustedError, match=f"OOM .*\n.*lower {setting}"):
            call()


# Overflow in float16


def make_float16(scale, **settings):
    scaled = [
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3), initial_scale=scale)
        for _ in SIDES
    ]
    keras.utils.set_random_seed(0)
    options = {"generator_optimizer": scaled[0], "discriminator_optimizer": scaled[1]}
    return make_dcgan("mixed_float16", **options, **settings)


SMALL = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 1)).astype("float32")


def test_gradients_that_overflow_now_and_then_are_passed_over():
    gan = make_float16(2.0**34)
    before = weights(gan.generator)
    for _ in range(40):
        gan.step(SMALL)
    scale = float(gan.generator_optimizer.dynamic_scale.numpy())
    assert 2.0**-10 < scale < 2.0**34 and gan.diverged is None
    assert 0 < int(gan.generator_optimizer.iterations.numpy()) < 40
    assert not close(before, weights(gan.generator))


@pytest.mark.parametrize("side", SIDES)
def test_an_overflow_that_does_not_end_is_noticed(side):
    loss = Breaks(side, gradient=True, steps=0)
    loss.gan = gan = make_float16(2.0**-8, loss=loss)
    before = weights(getattr(gan, side))
    with pytest.warns(UserWarning, match=f"gradients of the {side}'s loss are NaN or infinite"):
        gan.fit(tf.data.Dataset.from_tensors(SMALL).repeat(9), verbose=0)
    trained = [each.name for each in getattr(gan, side).trainable_variables]
    now = weights(getattr(gan, side))
    assert trained and all(np.isfinite(each).all() for each in now)
    names = [each.name for each in getattr(gan, side).weights]
    kept = [i for i, name in enumerate(names) if not name.startswith("moving")]
    assert identical([before[i] for i in kept], [now[i] for i in kept])


@pytest.mark.parametrize("side", SIDES)
def test_a_loss_that_is_nan_is_noticed_in_float16(side):
    loss = Breaks(side, steps=0)
    loss.gan = gan = make_float16(2.0**10, loss=loss)
    with pytest.raises(FloatingPointError, match=f"step 1: the {side}'s loss is NaN"):
        gan.step(SMALL)


def test_the_scales_of_both_losses_are_saved(tmp_path):
    gan = make_float16(2.0**34)
    gan.generator_optimizer.dynamic_scale.assign(2.0**7)
    gan.generator_optimizer.step_counter.assign(5)
    gan.discriminator_optimizer.dynamic_scale.assign(2.0**9)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    scales = [
        float(each.dynamic_scale.numpy())
        for each in (loaded.generator_optimizer, loaded.discriminator_optimizer)
    ]
    assert scales == [2.0**7, 2.0**9]
    assert int(loaded.generator_optimizer.step_counter.numpy()) == 5
    gan.step(SMALL), loaded.step(SMALL)
    assert identical(weights(gan), weights(loaded))


# Files of others


class Trap:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def changed(path, edit):
    """A .keras file with another configuration."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    edit(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def code_in(config, path):
    """In place of a layer, a function of Python's own that makes a folder."""
    config["config"]["generator"] = {
        "module": "os",
        "class_name": "function",
        "config": "mkdir",
        "registered_name": "function",
    }


def call_in(config, path):
    """In place of the loss, a call of that function."""
    config["compile_config"]["loss"] = {
        "module": "os",
        "class_name": "mkdir",
        "config": {"path": str(path)},
        "registered_name": None,
    }


@pytest.mark.parametrize("edit", [code_in, call_in])
def test_a_file_that_names_foreign_code_is_refused(edit, tmp_path):
    make().save(tmp_path / "gan.keras")
    changed(tmp_path / "gan.keras", lambda config: edit(config, tmp_path / "trapped"))
    with pytest.raises((ValueError, TypeError)):
        keras.saving.load_model(tmp_path / "gan.keras")
    assert not (tmp_path / "trapped").exists()


def test_a_file_with_a_function_inside_is_refused(tmp_path):
    trap = tmp_path / "trapped"
    keras.utils.set_random_seed(0)
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    folder = str(trap)
    make_folder = lambda x: (__import__("os").makedirs(folder, exist_ok=True), x)[1]  # noqa: E731
    generator.add(keras.layers.Lambda(make_folder))
    gan = training.GAN(generator, models.mlp_discriminator((2,), (4,)), latent_dim=3)
    gan.save(tmp_path / "gan.keras")
    trap.rmdir()
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        keras.saving.load_model(tmp_path / "gan.keras")
    assert not trap.exists()
    keras.saving.load_model(tmp_path / "gan.keras", safe_mode=False)
    assert trap.exists()  # it would have


def test_weights_in_a_pickle_are_refused(tmp_path):
    make().save(tmp_path / "gan.keras")
    with zipfile.ZipFile(tmp_path / "gan.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    folders = []
    with h5py.File(io.BytesIO(parts["model.weights.h5"])) as file:
        file.visit(folders.append)  # under these names Keras looks for arrays
    pickled, trap = io.BytesIO(), np.array([Trap(tmp_path / "trapped")])
    np.savez(pickled, **{each.removesuffix("/vars"): trap for each in folders})
    with zipfile.ZipFile(tmp_path / "gan.keras", "w") as archive:
        for name, part in parts.items():
            if name != "model.weights.h5":
                archive.writestr(name, part)
        archive.writestr("model.weights.npz", pickled.getvalue())
    # NumPy refuses each array; Keras 3.13 tries all of them, and says what could not be loaded.
    with pytest.raises(ValueError, match=r"allow_pickle=False|objects could not be loaded"):
        keras.saving.load_model(tmp_path / "gan.keras")
    assert not (tmp_path / "trapped").exists()
