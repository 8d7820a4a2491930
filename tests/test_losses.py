"""The games: exact values, exact slopes, finite at any logit."""

import math

import numpy as np
import pytest
import tensorflow as tf

from gan_course import losses


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


def test_get_by_name_or_as_it_is():
    assert isinstance(losses.get("minimax"), losses.Minimax)
    loss = losses.NonSaturating(real_label=0.9)
    assert losses.get(loss) is loss
    with pytest.raises(ValueError, match=r"loss must be one of 'minimax', 'non_saturating'.*'foo'"):
        losses.get("foo")
    with pytest.raises(ValueError, match="loss must be one of"):
        losses.get(["minimax"])
