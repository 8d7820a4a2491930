"""The games: exact values, exact slopes, finite at any logit; and the penalties."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_course import losses, models, training


def logits(*values):
    return tf.constant([[value] for value in values], tf.float32)


def test_values_at_known_logits():
    # D(x) = 2, D(G(z)) = -1: softplus(-2) + softplus(-1), and softplus(1)
    loss = losses.NonSaturating()
    assert float(loss.discriminator_loss(logits(2.0), logits(-1.0))) == pytest.approx(
        0.44019, abs=5e-6
    )
    assert float(loss.generator_loss(logits(-1.0))) == pytest.approx(1.31326, abs=5e-6)
    assert float(losses.Minimax().generator_loss(logits(-1.0))) == pytest.approx(
        math.log(1 - 1 / (1 + math.e)), abs=1e-6
    )


def test_losses_are_means_over_the_batch():
    loss = losses.NonSaturating()
    both = float(loss.generator_loss(logits(-1.0, 3.0)))
    each = [float(loss.generator_loss(logits(value))) for value in (-1.0, 3.0)]
    assert both == pytest.approx(np.mean(each), rel=1e-6)


@pytest.mark.parametrize("loss", [losses.Minimax(), losses.NonSaturating()])
def test_equilibrium_is_two_ln_two(loss):
    zero = logits(0.0, 0.0)
    assert float(loss.discriminator_loss(zero, zero)) == pytest.approx(2 * math.log(2), rel=1e-6)
    expected = math.log(2) * (1 if isinstance(loss, losses.NonSaturating) else -1)
    assert float(loss.generator_loss(zero)) == pytest.approx(expected, rel=1e-6)


def slope(loss, logit):
    value = logits(logit)
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = loss.generator_loss(value)
    return abs(float(tape.gradient(result, value)[0, 0]))


def test_slopes_at_an_obvious_fake():
    saturating, non_saturating = slope(losses.Minimax(), -3.0), slope(losses.NonSaturating(), -3.0)
    assert saturating == pytest.approx(0.04743, abs=5e-6)
    assert non_saturating == pytest.approx(0.95257, abs=5e-6)
    assert non_saturating / saturating == pytest.approx(math.e**3, rel=1e-4)


def test_one_sided_smoothing_has_its_optimum_at_045():
    # Real label 0.9, as many real as fake samples: D = 0.45, and the loss there is 1.37628.
    loss = losses.NonSaturating(real_label=0.9)
    logit = tf.Variable(logits(1.0))
    for _ in range(500):
        with tf.GradientTape() as tape:
            value = loss.discriminator_loss(logit, logit)
        logit.assign_sub(2.0 * tape.gradient(value, logit))
    assert float(tf.sigmoid(logit)[0, 0]) == pytest.approx(0.45, abs=1e-5)
    assert float(value) == pytest.approx(1.37628, abs=5e-6)


@pytest.mark.parametrize("loss", [losses.Minimax(0.9, 0.1), losses.NonSaturating()])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_finite_at_huge_logits(loss, size):
    value = logits(size)
    with tf.GradientTape() as tape:
        tape.watch(value)
        total = loss.discriminator_loss(value, value) + loss.generator_loss(value)
    assert np.isfinite(float(total))
    assert np.isfinite(tape.gradient(total, value).numpy()).all()


@pytest.mark.parametrize("label", [1.1, -0.1, float("nan"), "1", True, None])
def test_labels_outside_zero_and_one_are_refused(label):
    with pytest.raises(ValueError, match=r"real_label must be a number in \[0, 1\], came"):
        losses.NonSaturating(real_label=label)


@pytest.mark.parametrize("kind", [losses.Minimax, losses.NonSaturating, losses.LeastSquares])
@pytest.mark.parametrize("labels", [(0.0, 1.0), (0.5, 0.5)])
def test_labels_that_pull_generators_the_wrong_way_are_refused(kind, labels):
    with pytest.raises(ValueError, match="real_label must be above fake_label"):
        kind(*labels)


# D(x) = 2, D(G(z)) = -1 in each game: what the discriminator and the generator pay
@pytest.mark.parametrize(
    ("name", "d_loss", "g_loss"),
    [
        ("least_squares", 1.0, 2.0),
        ("hinge", 0.0, 1.0),
        ("wasserstein", -3.0, 1.0),
        ("relativistic", 0.04859, 3.04859),
        ("non_saturating", 0.44019, 1.31326),
    ],
)
def test_every_game_at_known_logits(name, d_loss, g_loss):
    loss, real, fake = losses.get(name), logits(2.0), logits(-1.0)
    assert float(loss.discriminator_loss(real, fake)) == pytest.approx(d_loss, abs=5e-6)
    assert float(loss.generator_loss(fake, real)) == pytest.approx(g_loss, abs=5e-6)


def test_a_relativistic_game_pairs_the_images():
    real, fake = logits(2.0, 0.0), logits(0.0, 2.0)
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(2))) / 2
    loss = losses.Relativistic()
    assert float(loss.discriminator_loss(real, fake)) == pytest.approx(expected, rel=1e-6)
    assert float(loss.generator_loss(fake, real)) == pytest.approx(expected, rel=1e-6)
    zero = logits(0.0)
    assert float(loss.discriminator_loss(zero, zero)) == pytest.approx(math.log(2), rel=1e-6)
    with pytest.raises(ValueError, match=r"needs real_logits, .* came None"):
        loss.generator_loss(fake)


def test_least_squares_fits_its_labels():
    loss = losses.LeastSquares(real_label=0.9, fake_label=0.1)
    assert float(loss.discriminator_loss(logits(0.9), logits(0.1))) == pytest.approx(0, abs=1e-12)
    assert float(loss.generator_loss(logits(1.0))) == 0
    assert loss.boundary == 0.5


def test_only_games_with_labels_take_labels():
    for kind in (losses.Minimax, losses.NonSaturating, losses.LeastSquares):
        assert kind(real_label=0.9).get_config() == {"real_label": 0.9, "fake_label": 0.0}
    for kind in (losses.Hinge, losses.Wasserstein, losses.Relativistic):
        with pytest.raises(TypeError, match="argument"):
            kind(real_label=0.9)


def test_get_by_name_or_as_it_is():
    assert isinstance(losses.get("minimax"), losses.Minimax)
    loss = losses.NonSaturating(real_label=0.9)
    assert losses.get(loss) is loss
    with pytest.raises(ValueError, match=r"loss must be one of 'hinge', .*'wasserstein'.*'foo'"):
        losses.get("foo")
    with pytest.raises(ValueError, match="loss must be one of"):
        losses.get(["minimax"])
    with pytest.raises(ValueError, match=r"not its class: write Hinge\(\)"):
        losses.get(losses.Hinge)


# Penalties


def linear(weights):
    """A critic w.x + b on images of 2 x 2."""
    critic = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    critic.add(keras.layers.Dense(1))
    critic.layers[-1].set_weights([np.reshape(weights, (4, 1)), np.array([0.3])])
    return critic


def images(seed, count=6, shape=(2, 2, 1)):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype("float32")


numbers = st.floats(-3, 3, width=32)
strengths = st.floats(0, 20, width=32)


@settings(max_examples=30, deadline=None)
@given(st.lists(numbers, min_size=4, max_size=4), strengths, st.integers(0, 2**31 - 1))
def test_penalties_of_a_linear_critic(weights, strength, seed):
    critic, norm = linear(weights), math.sqrt(sum(w * w for w in weights))
    expected = {
        losses.R1(strength): strength / 2 * norm**2,
        losses.R2(strength): strength / 2 * norm**2,
        losses.GradientPenalty(strength): strength * (norm - 1) ** 2,
        losses.GradientPenalty(strength, target=0.3): strength * (norm - 0.3) ** 2,
        losses.DRAGAN(strength): strength * (norm - 1) ** 2,
    }
    for penalty, value in expected.items():
        found = float(penalty(critic, images(0), images(1), (seed, 7)))
        assert found == pytest.approx(value, rel=1e-4, abs=1e-4)


def test_each_penalty_looks_where_it_says():
    real, fake = images(0), images(1)

    def square(points, training):  # slope 2 x
        return tf.reduce_sum(tf.square(points), axis=(1, 2, 3))[:, None]

    def mean(points):
        return 2 * np.mean(np.sum(np.square(points), axis=(1, 2, 3)))

    assert float(losses.R1()(square, real, fake)) == pytest.approx(mean(real), rel=1e-5)
    assert float(losses.R2()(square, real, fake)) == pytest.approx(mean(fake), rel=1e-5)
    penalty = losses.GradientPenalty()
    real, fake = tf.constant(real), tf.constant(fake)
    between = penalty.points(real, fake, (0, 1)).numpy()
    weights = ((between - real) / (fake - real)).numpy()
    assert np.ptp(weights, axis=(1, 2, 3)) == pytest.approx(0, abs=1e-3)  # one weight an image
    assert len(np.unique(weights[:, 0, 0, 0].round(4))) == len(real)
    assert weights.min() >= 0 and weights.max() < 1
    assert not np.array_equal(between, penalty.points(real, fake, (0, 2)))
    around = (losses.DRAGAN().points(real, None, tf.constant([0, 1])) - real).numpy()
    assert around.min() >= 0 and 0 < around.max() <= 0.5 * real.numpy().std()


def test_interpolation_weights_are_uniform():
    zeros, ones = tf.zeros((4000, 1)), tf.ones((4000, 1))
    weights = losses.GradientPenalty().points(zeros, ones, (1, 2)).numpy().ravel()
    counts, _ = np.histogram(weights, bins=10, range=(0, 1))
    assert counts.sum() == 4000 and abs(counts - 400).max() < 100  # five standard deviations


def test_finite_where_the_slope_is_zero():
    critic = linear([0.0] * 4)
    with tf.GradientTape() as tape:
        value = losses.GradientPenalty()(critic, images(0), images(1))
    gradients = tape.gradient(value, critic.trainable_variables[:1])
    assert float(value) == pytest.approx(10, rel=1e-4)
    assert np.isfinite(gradients[0].numpy()).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.R1(-1), "gamma must be a number of at least 0, came -1"),
        (lambda: losses.R1(float("inf")), "gamma must be a number of at least 0, came inf"),
        (lambda: losses.R1("1"), "gamma must be a number of at least 0, came '1'"),
        (lambda: losses.GradientPenalty(float("nan")), "weight must be a number .* came nan"),
        (lambda: losses.GradientPenalty(target=-1), "target must be a number .* came -1"),
        (lambda: losses.R1(every=0), "every must be a whole number of at least 1, came 0"),
        (lambda: losses.penalties("r1"), r"penalty must be a losses.Penalty.*came 'r1'"),
        (lambda: losses.penalties([losses.R1(), 3]), r"penalty must be a losses.Penalty.*came 3"),
    ],
)
def test_penalties_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Gradients of gradients


def smooth(*parts, side=8):
    """A small float64 discriminator with the same weights each time."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((side, side, 1), dtype="float64")])
    for part in parts:
        model.add(part)
    model.add(keras.layers.Flatten(dtype="float64"))
    model.add(keras.layers.Dense(1, dtype="float64"))
    return model


def gradients_of(tape, value, model):
    """Of each weight, 0 where it has no part in the value, as the last bias has none in a slope."""
    variables = [variable.value for variable in model.trainable_variables]
    return tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def error_of_gradient(model, penalty, training):
    """How far the penalty's gradient is from finite differences, along a random direction."""
    real, fake = (images(seed, 4, (8, 8, 1)).astype("float64") for seed in (3, 4))

    def judge(points, training=None, fixed=training):
        return model(points, training=fixed)

    def value():
        return penalty(judge, real, fake, (0, 0))

    with tf.GradientTape() as tape:
        result = value()
    gradients, variables = gradients_of(tape, result, model), model.trainable_variables
    random = np.random.default_rng(5)
    direction = [random.normal(size=variable.shape) for variable in variables]
    slope = sum(float(tf.reduce_sum(g * d)) for g, d in zip(gradients, direction, strict=True))
    start, ends = [variable.numpy() for variable in variables], []
    for step in (1e-6, -1e-6):
        for variable, value_there, way in zip(variables, start, direction, strict=True):
            variable.assign(value_there + step * way)
        ends.append(float(value()))
    return abs(slope - (ends[0] - ends[1]) / 2e-6) / abs(slope)


def convolution(width=4, **options):
    return keras.layers.Conv2D(width, 3, padding="same", dtype="float64", **options)


RIGHT = {
    "convolutions": lambda: [convolution(strides=2), keras.layers.LeakyReLU(0.2, dtype="float64")],
    "transposed": lambda: [keras.layers.Conv2DTranspose(3, 4, 2, "same", dtype="float64")],
    "nearest": lambda: [convolution(), keras.layers.UpSampling2D(dtype="float64")],
    "pooling": lambda: [convolution(), keras.layers.AveragePooling2D(2, dtype="float64")],
    "silu": lambda: [convolution(activation="silu")],
    "spectral": lambda: [models.SpectralNormalization(convolution(), dtype="float64")],
}


@pytest.mark.parametrize("penalty", [losses.R1(2.0), losses.R2(2.0), losses.GradientPenalty()])
@pytest.mark.parametrize("name", RIGHT)
def test_penalties_have_the_right_gradients(name, penalty):
    activation = keras.layers.Activation("softplus", dtype="float64")  # else R1 is too simple
    model = smooth(*RIGHT[name](), activation)
    for _ in range(200 if name == "spectral" else 0):
        model(np.zeros((1, 8, 8, 1)), training=True)  # the power iteration comes to its end
    assert error_of_gradient(model, penalty, training=False) < 1e-4


def test_penalties_behind_batch_statistics_have_not():
    norm = keras.layers.BatchNormalization(dtype="float64")
    model = smooth(convolution(), norm, keras.layers.Activation("softplus", dtype="float64"))
    assert error_of_gradient(model, losses.R1(), training=True) > 1e-3
    assert error_of_gradient(model, losses.R1(), training=False) < 1e-4


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_gradients_are_the_eager_ones(jit_compile, precision):
    keras.utils.set_random_seed(1)
    parts = [keras.layers.Conv2D(4, 3, activation="silu", dtype=precision), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((8, 8, 1)), *parts, keras.layers.Dense(1)])
    real, fake, penalty = images(3, 4, (8, 8, 1)), images(4, 4, (8, 8, 1)), losses.R1()

    def gradients():
        with tf.GradientTape() as tape:
            value = penalty(model, real, fake)
        return gradients_of(tape, value, model)

    compiled = tf.function(gradients, jit_compile=jit_compile)()
    tolerance = 1e-5 if precision == "float32" else 0.05
    for one, other in zip(gradients(), compiled, strict=True):
        scale = np.abs(one).max() + 1e-6
        assert np.abs(one - other).max() / scale < tolerance


# The smallest GAN: one real point at 0, a generator theta, a discriminator psi * x


class Point(keras.layers.Layer):
    def build(self, input_shape):
        self.theta = self.add_weight(name="theta", shape=(1,), initializer="ones")

    def call(self, latents):
        return self.theta + 0.0 * latents


def dirac(**options):
    """|(theta, psi)| after 500 and after 2,000 simultaneous steps of 0.1 from (1, 1)."""
    generator = keras.Sequential([keras.Input((1,)), Point()])
    sign = keras.initializers.Constant(-1.0)  # the paper calls the generated point real
    judge = keras.layers.Dense(1, use_bias=False, kernel_initializer=sign)
    gan = training.SimultaneousGAN(generator, keras.Sequential([keras.Input((1,)), judge]), 1)
    gan.compile(
        generator_optimizer=keras.optimizers.SGD(0.1),
        discriminator_optimizer=keras.optimizers.SGD(0.1),
        steps_per_execution=500,
        jit_compile=False,
        **options,
    )
    found = []
    for steps in (500, 1500):
        gan.fit(np.zeros((steps, 1), "float32"), batch_size=1, verbose=0)
        found.append(math.hypot(*(float(w.numpy().item()) for w in gan.trainable_variables)))
    return found


@pytest.mark.parametrize(
    ("loss", "penalty", "after_500", "after_2000"),
    [
        ("minimax", None, 2.254, 3.101),
        ("non_saturating", None, 0.521, 0.451),
        ("wasserstein", None, 17.02, 29641),
        # the paper's weight of 1 is gamma in gamma / 2 (|slope| - target)^2
        ("wasserstein", losses.GradientPenalty(0.5, target=0.3), 0.388, 0.425),
        ("minimax", losses.R1(0.3), 9.2e-4, 8.1e-13),
    ],
)
def test_the_dirac_gan(loss, penalty, after_500, after_2000):
    def printed(value, like):  # as many digits as the table has
        digits = len(f"{like:g}".split("e")[0].replace(".", "").lstrip("0"))
        return float(f"{value:.{digits}g}")

    found = dirac(loss=loss, penalty=penalty)
    assert printed(found[0], after_500) == after_500
    assert printed(found[1], after_2000) == after_2000


# Mode seeking


def test_a_last_batch_of_one_does_not_spoil_the_logs():
    gan = training.GAN(
        models.mlp_generator(2, 4, (2,), None), models.mlp_discriminator((2,), 4), latent_dim=2
    )
    gan.compile(diversity=losses.ModeSeeking())
    history = gan.fit(np.zeros((5, 2), "float32"), batch_size=4, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())


def test_mode_seeking_of_a_linear_generator_is_the_inverse_of_its_slope():
    latents = np.random.default_rng(0).normal(size=(10, 4)).astype("float32")
    cost = losses.ModeSeeking(weight=2.0)
    assert float(cost(latents, 3 * latents)) == pytest.approx(2 / 3, rel=1e-4)
    assert float(cost(latents, np.ones((10, 4), "float32"))) == pytest.approx(2 / 1e-5)  # collapsed
    assert float(cost(latents[:9], 3 * latents[:9])) == pytest.approx(2 / 3, rel=1e-4)
    assert float(cost(latents[:1], latents[:1])) == 0.0  # nothing to compare with
    assert losses.ModeSeeking.from_config(cost.get_config()).weight == 2.0
    with pytest.raises(ValueError, match="weight"):
        losses.ModeSeeking(-1)
