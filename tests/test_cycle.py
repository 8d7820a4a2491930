"""CycleGAN: its four networks, their losses, the pool of images, saving and translating."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gan_course import data, losses, training

RNG = np.random.default_rng(0)
A = RNG.uniform(-1, 1, (12, 8, 8, 1)).astype("float32")
B = RNG.uniform(-1, 1, (12, 8, 8, 3)).astype("float32")


def times(factor, inputs, outputs, name=None):
    """A generator that multiplies the mean of the channels by a trainable number."""
    network = keras.Sequential(
        [
            keras.Input((8, 8, inputs)),
            layers.Conv2D(outputs, 1, use_bias=False, kernel_initializer="ones"),
        ],
        name=name,
    )
    network.layers[0].kernel.assign(np.full((1, 1, inputs, outputs), factor / inputs))
    return network


def constant(value, channels, patches=2):
    """A discriminator that says the same of every patch."""
    network = keras.Sequential(
        [
            keras.Input((8, 8, channels)),
            layers.Conv2D(1, 8 // patches, 8 // patches, kernel_initializer="zeros"),
        ]
    )
    network.layers[0].bias.assign([value])
    return network


def small(inputs, outputs, stride=1, activation=None):
    """Two convolutions: a generator, or with a stride a discriminator of patches."""
    first = layers.Conv2D(3, 3, stride, "same", activation="leaky_relu")
    last = layers.Conv2D(outputs, 3, padding="same", activation=activation)
    return keras.Sequential([keras.Input((8, 8, inputs)), first, last])


def make(pool_size=50, channels=(1, 3), compiled=True, **settings):
    keras.utils.set_random_seed(0)
    a, b = channels
    cycle = training.CycleGAN(
        small(a, b, activation="tanh"),
        small(b, a, activation="tanh"),
        small(a, 1, stride=2),
        small(b, 1, stride=2),
        pool_size=pool_size,
    )
    if compiled:
        cycle.compile(**{"identity_weight": 0.0, "jit_compile": False, **settings})
    return cycle


def values(model):
    return [np.array(each) for each in model.weights]


def close(ones, others):
    pairs = zip(ones, others, strict=True)
    return all(np.allclose(one, other, rtol=1e-5, atol=1e-6) for one, other in pairs)


def test_losses_of_stub_networks_are_those_of_the_paper():
    cycle = training.CycleGAN(
        times(2.0, 1, 1), times(0.25, 1, 1), constant(0.3, 1), constant(-0.5, 1)
    )
    cycle.compile(cycle_weight=3.0, identity_weight=0.2)
    ones = np.ones((2, 8, 8, 1), "float32")
    logs = {name: float(value) for name, value in cycle.step(ones, 0.5 * ones).items()}
    # a: 1 -> 2 -> 0.5; b: 0.5 -> 0.125 -> 0.25
    assert logs["cycle_loss"] == pytest.approx(0.5 + 0.25)
    assert logs["identity_loss"] == pytest.approx((1 - 0.25) + (1 - 0.5))
    assert logs["g_loss"] == pytest.approx(0.5 * (0.3 - 1) ** 2 + 0.5 * (-0.5 - 1) ** 2)
    judged = [0.5 * ((value - 1) ** 2 + value**2) for value in (0.3, -0.5)]
    assert logs["d_loss"] == pytest.approx(sum(judged))


def test_both_halves_of_the_cycle_count_for_both_generators():
    a, b = tf.constant([[[[0.7]]]]) * tf.ones((1, 8, 8, 1)), 0.4 * tf.ones((1, 8, 8, 1))
    cycle = training.CycleGAN(times(2.0, 1, 1), times(0.25, 1, 1), constant(0, 1), constant(0, 1))
    sgd = keras.optimizers.SGD(0.01)
    cycle.compile(
        generator_optimizer=sgd,
        discriminator_optimizer=keras.optimizers.SGD(0.0),
        cycle_weight=1.0,
        identity_weight=0.0,
    )
    cycle.step(a, b)
    # |a - g f a| + |b - f g b| with f = 2, g = 0.25: both fall short, slope -(0.7 + 0.4) g or f
    f, g = (float(np.squeeze(each.layers[0].kernel)) for each in (cycle.a_to_b, cycle.b_to_a))
    assert f == pytest.approx(2.0 + 0.01 * 1.1 * 0.25)
    assert g == pytest.approx(0.25 + 0.01 * 1.1 * 2.0)


@pytest.mark.parametrize("frozen", ["generator_optimizer", "discriminator_optimizer"])
def test_each_half_of_a_step_changes_its_own_networks_only(frozen):
    cycle = make(**{frozen: keras.optimizers.SGD(0.0)})
    networks = {name: getattr(cycle, name) for name in cycle._NETWORKS}
    before = {name: values(network) for name, network in networks.items()}
    cycle.step(A[:4], B[:4])
    for name, network in networks.items():
        still = name.startswith("discriminator") == (frozen == "discriminator_optimizer")
        assert close(before[name], values(network)) == still


def test_fit_and_steps_do_the_same():
    one, other = make(), make()
    pairs = tf.data.Dataset.from_tensor_slices((A, B)).batch(4)
    history = one.fit(pairs, epochs=2, verbose=0).history
    for _ in range(2):
        for a, b in pairs:
            other.step(a, b)
    assert close(values(one), values(other))
    assert set(history) == {"d_loss", "g_loss", "cycle_loss", "identity_loss"}
    assert np.isfinite(list(history.values())).all()


@pytest.mark.parametrize("loss", ["non_saturating", "relativistic"])
def test_other_games(loss):
    cycle = make(loss=loss)
    before = values(cycle)
    logs = cycle.step(A[:4], B[:4])
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert not close(before, values(cycle))


def test_it_learns_to_turn_colors_round():
    keras.utils.set_random_seed(0)
    dark = RNG.uniform(-1, -0.4, (64, 8, 8, 1)).astype("float32")
    light = -RNG.uniform(-1, -0.4, (64, 8, 8, 1)).astype("float32")
    cycle = make(channels=(1, 1), generator_optimizer=keras.optimizers.Adam(1e-2, beta_1=0.5))
    before = np.mean(cycle.translate(dark, "a_to_b"))
    batches = tf.data.Dataset.from_tensor_slices((dark, light)).batch(16).repeat()
    logs = cycle.fit(batches, epochs=3, steps_per_epoch=20, verbose=0).history
    assert before < 0.3 < np.mean(cycle.translate(dark, "a_to_b"))
    assert np.mean(cycle.translate(light, "b_to_a")) < -0.3
    assert logs["cycle_loss"][-1] < 0.7 * logs["cycle_loss"][0]


# The pool


def through(pool, steps, batch):
    """Numbered images through a pool: what came out, step by step."""
    numbers = np.arange(1, 1 + steps * batch, dtype="float32").reshape(steps, batch)
    return numbers, np.stack(
        [
            pool(each.reshape(-1, 1, 1, 1), seed=tf.constant([7, step])).numpy().ravel()
            for step, each in enumerate(numbers)
        ]
    )


@pytest.mark.parametrize("way", ["step", "fit", "batches of one size", "arrays"])
def test_a_pool_smaller_than_a_batch_is_told_in_one_sentence(way):
    cycle = make(pool_size=4)
    with pytest.raises(ValueError, match=r"^pool_size must be at least a batch .* it is 4\.$"):
        if way == "step":
            cycle.step(A[:5], B[:5])
        elif way == "arrays":
            cycle.fit(A, B, batch_size=5, verbose=0)
        else:
            batches = tf.data.Dataset.from_tensor_slices((A, B))
            batches = batches.batch(5, drop_remainder=way == "batches of one size")
            cycle.fit(batches, verbose=0)


def test_a_pool_gives_back_new_images_until_it_is_full_and_then_half_are_old():
    pool = training.ImagePool(50, (1, 1, 1))
    came_in, came_out = through(pool, 400, 5)
    np.testing.assert_array_equal(came_in[:10], came_out[:10])
    old = came_out[10:] < came_in[10:, :1]
    new = came_out[10:] == came_in[10:]
    assert (old | new).all()
    assert 0.45 < old.mean() < 0.55  # 1,950 draws: a standard error of 0.011
    assert len(np.unique(came_out[10:])) == came_out[10:].size  # each comes out once at most
    ages = (came_in[10:] - came_out[10:])[old]
    assert 80 < ages.mean() < 140  # images stay for 100 others on average, twice the pool


def test_a_pool_of_nothing_and_batches_that_do_not_fit():
    images = np.ones((3, 1, 1, 1), "float32")
    np.testing.assert_array_equal(training.ImagePool(0, (1, 1, 1))(images, seed=[0, 0]), images)
    with pytest.raises(tf.errors.InvalidArgumentError, match="pool_size must be at least a batch"):
        training.ImagePool(2, (1, 1, 1))(images, seed=tf.constant([0, 0]))
    pool = training.ImagePool(4, (1, 1, 1))
    first = pool(images[:1], seed=tf.constant([0, 0]))
    more = pool(np.arange(2, 6, dtype="float32").reshape(-1, 1, 1, 1), seed=tf.constant([0, 1]))
    kept = np.sort(np.array(pool.images).ravel())
    assert float(first[0, 0, 0, 0]) == 1 and int(pool.filled) == 4
    out = pool(10 * images[:2], seed=tf.constant([0, 2]), keep=tf.constant(False))
    assert out.shape == (2, 1, 1, 1) and int(pool.filled) == 4
    assert np.array_equal(kept, np.sort(np.array(pool.images).ravel()))
    assert set(kept) <= {1, 2, 3, 4, 5} and {3, 4, 5} <= set(kept)
    assert set(more.numpy().ravel()) in ({2, 3, 4, 5}, {1, 3, 4, 5})


def test_a_saved_model_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, half = make(pool_size=4), make(pool_size=4)
    for model in (whole, half):
        for i in range(3):
            model.step(A[4 * i : 4 * i + 4], B[4 * i : 4 * i + 4])
    half.save(tmp_path / "cycle.keras")
    loaded = keras.saving.load_model(tmp_path / "cycle.keras")
    assert int(loaded.pool_a.filled) == 4 and np.array(loaded.pool_a.images).any()
    for model in (whole, loaded):
        model.step(A[4:8], B[:4])
    assert close(values(whole), values(loaded))
    assert (loaded.cycle_weight, loaded.identity_weight, loaded.pool_size) == (10.0, 0.0, 4)


# Translating, and what is refused


def test_translations_are_those_of_averaged_weights():
    averaging = keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.5)
    cycle = make(generator_optimizer=averaging)
    for _ in range(2):  # averages begin with the weights after the first step
        cycle.step(A[:4], B[:4])
    raw = cycle.a_to_b(A, training=False).numpy()
    assert not np.allclose(cycle.translate(A, "a_to_b"), raw, atol=1e-3)
    np.testing.assert_array_equal(cycle.a_to_b(A, training=False), raw)
    assert cycle.translate(B, "b_to_a").shape == A.shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make(compiled=False).translate(A, "b"), "direction must be 'a_to_b' or 'b_to_a'"),
        (lambda: make(compiled=False).translate(A, "b_to_a"), r"images must have the shape .*3\)"),
        (lambda: make(compiled=False).translate(A[0], "a_to_b"), "images must have the shape"),
        (lambda: make(cycle_weight=-1.0), "cycle_weight must be a number of at least 0"),
        (lambda: make(identity_weight=float("nan")), "identity_weight must be a number"),
        (lambda: make(identity_weight=0.5), "identity_weight must be 0 where the two kinds"),
        (lambda: make(pool_size=-1), "pool_size"),
        (lambda: make(loss="hing"), "hinge"),
    ],
)
def test_clear_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_networks_that_do_not_fit():
    ab, ba, judge_a, judge_b = times(1, 1, 3), times(1, 3, 1), constant(0, 1), constant(0, 3)
    training.CycleGAN(ab, ba, judge_a, judge_b)
    with pytest.raises(ValueError, match=r"a_to_b must make what b_to_a takes, \(8, 8, 3\)"):
        training.CycleGAN(times(1, 1, 1), ba, judge_a, judge_b)
    with pytest.raises(ValueError, match=r"b_to_a must make what a_to_b takes, \(8, 8, 1\)"):
        training.CycleGAN(ab, times(1, 3, 3), judge_a, judge_b)
    with pytest.raises(ValueError, match="discriminator_a must take images"):
        training.CycleGAN(ab, ba, judge_b, judge_b)
    judge_b.layers[-1].activation = keras.activations.sigmoid
    with pytest.raises(ValueError, match="discriminator_b must end in logits"):
        training.CycleGAN(ab, ba, judge_a, judge_b)
    same, judge = times(1, 1, 1), constant(0, 1)
    with pytest.raises(ValueError, match="b_to_a must have no layer in common with a_to_b"):
        training.CycleGAN(same, same, judge, judge)
    any_size = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1)])
    with pytest.raises(ValueError, match="a_to_b must take images of one size"):
        training.CycleGAN(any_size, any_size, judge, judge)


def test_generators_that_end_in_half_precision():
    keras.utils.set_random_seed(0)
    networks = [small(1, 1) for _ in range(4)]
    for generator in networks[:2]:
        generator.add(keras.layers.Activation("tanh", dtype="mixed_bfloat16"))
    cycle = training.CycleGAN(*networks)
    cycle.compile(jit_compile=False)
    logs = cycle.step(A, A)
    assert all(value.dtype == tf.float32 and np.isfinite(value) for value in logs.values())


def test_translate_takes_floats_alone():
    cycle = make()
    with pytest.raises(ValueError, match="images must be images as floats"):
        cycle.translate(np.zeros((2, 8, 8, 1), "uint8"), "a_to_b")
    with pytest.raises(ValueError, match="came Images: give its attribute `images`"):
        cycle.translate(data.load("digits"), "a_to_b")


def test_a_loss_object_is_taken_too():
    assert make(loss=losses.LeastSquares()).loss.get_config() == make().loss.get_config()


# The learning rate


def test_the_rate_stays_and_then_falls_to_nothing():
    schedule = training.ConstantThenLinear(2e-4, steps=200)
    found = [float(schedule(step)) for step in (0, 50, 100, 150, 199, 200, 300)]
    np.testing.assert_allclose(found, [2e-4, 2e-4, 2e-4, 1e-4, 2e-6, 0, 0], rtol=1e-4, atol=1e-10)
    at_once = training.ConstantThenLinear(1.0, steps=10, constant=0)
    assert float(at_once(5)) == pytest.approx(0.5)
    config = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(config)
    assert float(again(150)) == float(schedule(150))


def test_a_schedule_is_kept_where_a_gan_is_saved(tmp_path):
    def optimizer():
        return keras.optimizers.Adam(training.ConstantThenLinear(1e-3, steps=8), beta_1=0.5)

    cycle = make(generator_optimizer=optimizer(), discriminator_optimizer=optimizer())
    cycle.fit(tf.data.Dataset.from_tensor_slices((A, B)).batch(2), epochs=1, verbose=0)
    cycle.save(tmp_path / "cycle.keras")
    again = keras.saving.load_model(tmp_path / "cycle.keras")
    rates = [float(each.generator_optimizer.learning_rate) for each in (cycle, again)]
    assert rates[0] == rates[1] < 1e-3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 10), "learning_rate must be a number above 0"),
        ((float("nan"), 10), "learning_rate must be a number above 0"),
        ((1e-3, 0), "steps must be"),
        ((1e-3, 10, 1), r"constant must be a share in \[0, 1\)"),
    ],
)
def test_a_schedule_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        training.ConstantThenLinear(*arguments)


# Numbers that go wrong


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((A, 127.5 * (B + 1)), r"must lie in \[-1, 1\]"),
        ((B, A), r"images_a must be images as floats of the shape \(batch, 8, 8, 1\)"),
        ((A, B[..., :1]), r"images_b must be images as floats of the shape \(batch, 8, 8, 3\)"),
        ((A,), "must be images of both kinds, .* came one kind alone"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_fit_refuses_images_that_cannot_be_translated(batch, message, whole):
    cycle = make()
    before = values(cycle)
    given = batch if whole else [tf.data.Dataset.from_tensor_slices(batch).batch(4)]
    if not whole and len(batch) == 1:
        given = [tf.data.Dataset.from_tensor_slices(A).batch(4)]
    with pytest.raises(ValueError, match=message):
        cycle.fit(*given, verbose=0)
    assert all(map(np.array_equal, before, values(cycle)))


@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_nan_is_not_learned_and_reaches_no_pool(side):
    class Breaks(losses.LeastSquares):
        def broken(self, loss):
            now = cycle.discriminator_optimizer.iterations >= 2
            return loss * tf.where(now, np.float32(np.nan), 1.0)

    method = f"{side}_loss"
    usual = getattr(losses.LeastSquares, method)
    setattr(Breaks, method, lambda self, *logits: self.broken(usual(self, *logits)))
    cycle = make(pool_size=8, loss=Breaks(), steps_per_execution=2)
    pairs = tf.data.Dataset.from_tensor_slices((A, B)).batch(2)
    with pytest.warns(UserWarning, match=f"stopped in step 3: the {side}'s loss is NaN"):
        cycle.fit(pairs, epochs=2, verbose=0)
    assert all(np.isfinite(each).all() for each in values(cycle))
    # Of two steps; where a discriminator's loss breaks, generators have had their turn before.
    assert int(cycle.pool_a.filled.numpy()) == (4 if side == "generator" else 6)
