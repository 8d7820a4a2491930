"""Right and wrong answers to the exercises of lesson 03, for test_exercises.py."""

import keras
import numpy as np
import tensorflow as tf

from gan_course import losses
from gan_course.exercises import lesson03

mean, softplus = tf.reduce_mean, tf.nn.softplus


# 3.2


def with_keras(real_logits, fake_logits, a, b):
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    real = bce(tf.fill(real_logits.shape, a), real_logits)
    return real + bce(tf.fill(fake_logits.shape, b), fake_logits)


def with_the_package(real_logits, fake_logits, a, b):
    return losses.NonSaturating(a, b).discriminator_loss(real_logits, fake_logits)


def with_logarithms(real_logits, fake_logits, a, b):
    real, fake = tf.sigmoid(real_logits), tf.sigmoid(fake_logits)
    on_real = -mean(a * tf.math.log(real) + (1 - a) * tf.math.log(1 - real))
    return on_real - mean(b * tf.math.log(fake) + (1 - b) * tf.math.log(1 - fake))


def with_numpy(real_logits, fake_logits, a, b):
    return lesson03._smoothed_loss(np.asarray(real_logits), np.asarray(fake_logits), a, b)


def one_term_each(real_logits, fake_logits, a, b):
    return mean(a * softplus(-real_logits)) + mean((1 - b) * softplus(fake_logits))


# 3.4


def with_digitize(answers, is_real):
    bins = np.digitize(answers, np.linspace(0, 1, 11)[1:-1])
    sums = [np.bincount(bins, weights, 10) for weights in (answers, is_real)]
    return np.abs(sums[0] - sums[1]).sum() / len(answers)


def in_a_loop(answers, is_real):
    total = 0.0
    for low in range(10):
        inside = [
            (a, r) for a, r in zip(answers, is_real, strict=True) if min(int(a * 10), 9) == low
        ]
        if inside:
            total += abs(sum(a - r for a, r in inside))
    return total / len(answers)


def journey(ends_at, highest_answer, **settings):
    """What the lesson's journey returns."""
    labels = {"real_label": 0.75, "fake_label": 0.0, "steps": 600}
    return {"ends_at": ends_at, "highest_answer": highest_answer, **labels, **settings}


RIGHT = {
    "3.1": [
        lambda p, q, a, b: b + (a - b) * p / (p + q),
        lambda p, q, a, b: tf.constant(a * p / (p + q) + b * q / (p + q)),
    ],
    "3.2": [with_keras, with_the_package],
    "3.4": [
        lambda share: [1 - share, share],
        lambda share: tf.stack([1 - share, share]),
        lambda share: np.array([1, 0]) + share * np.array([-1, 1]),
    ],
    "3.5": [with_digitize, in_a_loop],
    "3.3": [journey(0.1, 0.77), journey(-0.3, np.float32(0.7), real_label=0.7)],
}

WRONG = {
    "3.1": [
        (lambda p, q, a, b: p / (p + q), "where are a and b?"),
        (lambda p, q, a, b: a * p / (p + q), "label b is missing"),
        (lambda p, q, a, b: a * p + b * q, "Divide by p + q"),
        (lambda p, q, a, b: (a * q + b * p) / (p + q), "belongs to the real density"),
        (lambda p, q, a, b: np.full(p.shape, (a + b) / 2), "only where p = q"),
        (lambda p, q, a, b: a * p / (a * p + b * q), "divide by p + q instead"),
        (lambda p, q, a, b: 0.45, "a cross-entropy with one label"),
    ],
    "3.2": [
        (one_term_each, "each batch has a second term"),
        (lambda r, f, a, b: mean(softplus(-r)) + mean(softplus(f)), "where are a and b?"),
        (lambda r, f, a, b: with_the_package(r, f, a, 0.0), "label b is missing"),
        (lambda r, f, a, b: with_numpy(r, f, b, a), "b that of fakes"),
        (lambda r, f, a, b: with_the_package(-r, -f, a, b), "sign of the logits"),
        (lambda r, f, a, b: with_the_package(r, f, a, b) / 2, "Add the two means"),
        (lambda r, f, a, b: 3 * with_the_package(r, f, a, b), "sum over the batch"),
        (with_numpy, "Use TensorFlow's functions"),
        (with_logarithms, "safe for any logit"),
    ],
    "3.4": [
        (lambda share: (1 - share, 0), "Fakes are flipped"),
        (lambda share: (1, share), "Real images are flipped"),
        (lambda share: (share, 1 - share), "First the label of real"),
        (lambda share: (1 - share / 2, share / 2), "not one of two"),
        (lambda share: (1 - 2 * share, 2 * share), "not by twice"),
        (lambda share: 1 - share, "Take one real image"),
        (lambda share: "both", "Take one real image"),
    ],
    "3.5": [
        (lesson03._unweighted, "count more"),
        (lambda d, real: np.abs(d - real).mean(), "means of each bin first"),
        (lambda d, real: abs(d.mean() - real.mean()), "ten bins"),
        (lambda d, real: len(d) * with_digitize(d, real), "not with their number"),
        (lambda d, real: np.mean((d > 0.5) != (real > 0.5)), "share of wrong answers"),
    ],
    "3.3": [
        (journey(3.9, 0.78, fake_label=0.1), "A floor under D"),
        (journey(0.0, 0.93, real_label=0.9), "make that smaller"),
        (journey(3.0, 0.4, real_label=0.3), "Is journey as it was"),
        (journey(float("nan"), 0.4, fake_label=0.2), "A floor under D"),
        (journey(0.0, 0.7, steps=5000), "Leave steps"),
        (0.1, "best = journey"),
        ({"ends_at": 0.1}, "best = journey"),
    ],
}
