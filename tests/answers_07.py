"""Right and wrong answers to the exercises of lesson 07, for test_exercises.py."""

import numpy as np
import tensorflow as tf
from scipy import stats

from gan_course.exercises import lesson07


def by_comparison(latents, labels, classes):
    one_hot = labels[:, None] == np.arange(classes)
    return tf.concat([latents, tf.cast(one_hot, tf.float32)], axis=1)


def one_hot(change):
    """The exercise with another idea of the label's numbers."""

    def answer(latents, labels, classes):
        return np.hstack([latents, change(np.eye(classes)[labels])])

    return answer


def by_confusion(probabilities, labels, classes):
    table = np.zeros((classes, classes))
    np.add.at(table, (labels, probabilities.argmax(axis=1)), 1)
    return np.diag(table) / table.sum(axis=1)


def shares(count):
    return lambda p, labels, classes: [count(p, p.argmax(1), labels, k) for k in range(classes)]


def by_einsum(features, labels, weights, bias, vectors):
    return np.einsum("bi,bi->b", features, weights + vectors[labels]) + bias


def by_quantiles(rng, shape, threshold):
    low, high = stats.norm.cdf([-threshold, threshold])
    return stats.norm.ppf(rng.uniform(low, high, shape))


def once(rng, shape, threshold):
    draws = rng.normal(size=shape)
    outside = np.abs(draws) > threshold
    draws[outside] = rng.normal(size=outside.sum())
    return draws


def shrunk(rng, shape, threshold):
    draws = rng.normal(size=shape)
    return draws * threshold / np.abs(draws).max()


def drawn(precision, recall):
    """What the lesson gives to the check: without a threshold, and with the chosen one."""
    without = {"threshold": 4.0, "precision": 0.80, "recall": 0.60}
    return without, {"threshold": 1.0, "precision": precision, "recall": recall}


UNTRAINED = {"threshold": 4.0, "precision": 0.0, "recall": 0.0}
RIGHT = {
    "7.1": [by_comparison, lambda z, y, k: np.c_[z, np.identity(k)[y]]],
    "7.3": [by_confusion, lambda p, y, k: lesson07._asked_for(p, y, k).tolist()],
    "7.2": [by_einsum, lambda f, y, w, b, v: f @ w + b + np.diag(f @ v[y].T)],
    "7.4": [
        by_quantiles,
        lambda rng, shape, t: stats.truncnorm.rvs(-t, t, size=shape, random_state=rng),
    ],
    "7.5": [drawn(0.84, 0.45), drawn(np.float32(0.9), np.float32(0.31))],
}

WRONG = {
    "7.1": [
        (lambda z, y, k: np.c_[z, y], "As a number"),
        (lambda z, y, k: np.c_[np.eye(k)[y], z], "First the latent vector"),
        (one_hot(lambda rows: np.roll(rows, 1, axis=1)), "Labels begin at 0"),
        (one_hot(lambda rows: 1 - rows), "other way round"),
        (lambda z, y, k: z, "Which row"),
    ],
    "7.3": [
        (lambda p, y, k: np.mean(p.argmax(1) == y), "The mean of all hides"),
        (shares(lambda p, read, y, k: np.mean(y[read == k] == k)), "asked for as k"),
        (shares(lambda p, read, y, k: p[y == k, k].mean()), "mean probability"),
        (shares(lambda p, read, y, k: np.sum((read == k) & (y == k))), "divide by how many"),
        (shares(lambda p, read, y, k: np.mean((read == k) & (y == k))), "not by all"),
        (shares(lambda p, read, y, k: np.mean(read == k)), "how often a class was drawn"),
    ],
    "7.2": [
        (lambda f, y, w, b, v: f @ w + b, "plays no part"),
        (lambda f, y, w, b, v: np.sum(f * v[y], axis=1), "image alone is missing"),
        (lambda f, y, w, b, v: np.sum(f * (w + v[y]), axis=1), "bias is missing"),
        (lambda f, y, w, b, v: f @ w + b + f @ v[y].T, "row by row"),
        (lambda f, y, w, b, v: f @ w + b + np.sum(f * v[y]), "axis=1"),
        (lambda f, y, w, b, v: f @ w + b + np.mean(f * v[y], axis=1), "not a mean"),
    ],
    "7.4": [
        (lambda rng, shape, t: rng.normal(size=shape), "Draw all numbers"),
        (lambda rng, shape, t: np.clip(rng.normal(size=shape), -t, t), "np.clip moves"),
        (once, "Once is not enough"),
        (shrunk, "do not shrink"),
        (lambda rng, shape, t: rng.uniform(-t, t, shape), "drawn again"),
        (lambda rng, shape, t: t * np.tanh(rng.normal(size=shape)), "as it was drawn"),
    ],
    "7.5": [
        (drawn(0.9, 0.1), "A higher threshold"),
        (drawn(0.82, 0.5), "A lower threshold"),
        (0.9, "chosen = draw_with"),
        ((drawn(0.9, 0.4)[0], 1.5), "chosen = draw_with"),
        ((UNTRAINED, UNTRAINED), "Run the lesson in full"),
    ],
}
