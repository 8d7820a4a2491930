"""Right and wrong answers to the exercises of lesson 08, for test_exercises.py."""

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LinearRegression

from gan_course.exercises import lesson08


def recursive(kernels, strides):
    if not kernels:
        return 1
    return (recursive(kernels[1:], strides[1:]) - 1) * strides[0] + kernels[0]


def with_jumps(kernels, strides):
    side, jump = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side, jump = side + (kernel - 1) * jump, jump * stride
    return side


def by_steps(step):
    """Back from the output, with another step from layer to layer."""

    def answer(kernels, strides):
        side = 1
        for i in reversed(range(len(kernels))):
            side = step(side, kernels[i], strides[i])
        return side

    return answer


def cycle_in_tensorflow(a, b, a_to_b, b_to_a):
    a, b = tf.constant(a), tf.constant(b)
    both = tf.stack([b_to_a(a_to_b(a)) - a, a_to_b(b_to_a(b)) - b])
    return 2 * tf.reduce_mean(tf.abs(both))


def halves(measure):
    """The exercise with another idea of how to measure what is left."""

    def answer(a, b, a_to_b, b_to_a):
        return measure(b_to_a(a_to_b(a)) - a) + measure(a_to_b(b_to_a(b)) - b)

    return answer


def backwards(classes):
    """Pairs of digits change places."""
    there = list(range(classes))
    for i in range(0, classes - 1, 2):
        there[i], there[i + 1] = i + 1, i
    if classes % 2:  # the last three go around
        there[-3:] = [classes - 2, classes - 1, classes - 3]
    back = [there.index(k) for k in range(classes)]
    return there, back


def tried(*found):
    """What the lesson gives to the check: the CycleGAN's result, and (pairs, error) of others."""
    return {"error": 0.08}, [{"pairs": pairs, "error": error} for pairs, error in found]


RIGHT = {
    "8.1": [
        lambda x, y: LinearRegression().fit(x, y).predict(x),
        lambda x, y: y.mean(0) + (x - x.mean(0)) @ np.linalg.pinv(x - x.mean(0)) @ (y - y.mean(0)),
    ],
    "8.2": [recursive, with_jumps],
    "8.3": [cycle_in_tensorflow, halves(lambda left: np.abs(left).mean(axis=(1, 2, 3)).mean())],
    "8.4": [backwards, lambda n: (np.roll(np.arange(n), 1), np.roll(np.arange(n), -1))],
    "8.5": [
        tried((20, 0.11), (40, 0.07)),
        tried((1_000, 0.05), (64, 0.06), (32, 0.09), (10, 0.2)),
        tried((np.int64(30), np.float32(0.081)), (50, np.float32(0.079)), (40, 0.085)),
    ],
}

WRONG = {
    "8.1": [
        (lambda x, y: x, "as they were"),
        (lambda x, y: y, "targets themselves"),
        (lambda x, y: x @ np.linalg.lstsq(x, y, rcond=None)[0], "shift is missing"),
        (lambda x, y: np.broadcast_to(y.mean(axis=0), y.shape), "one color for all"),
        (
            lambda x, y: np.stack(
                [np.polyval(np.polyfit(x[:, i], y[:, i], 1), x[:, i]) for i in range(3)], axis=1
            ),
            "all three old ones",
        ),
    ],
    "8.2": [
        (lesson08._forward, "Begin at the output"),
        (lambda kernels, strides: sum(k - 1 for k in kernels) + 1, "strides make it larger"),
        (lambda kernels, strides: recursive(kernels, strides) ** 2, "not its area"),
        (lambda kernels, strides: recursive(kernels, strides) + np.prod(strides) - 1, "side - 1"),
        (by_steps(lambda side, kernel, stride: side * stride + kernel), "side - 1"),
        (by_steps(lambda side, kernel, stride: side + stride * (kernel - 1)), "each further one"),
        (lambda kernels, strides: 70, "Begin at the output"),
    ],
    "8.3": [
        (lambda a, b, g, f: np.mean(np.abs(f(g(a)) - a)), "kind b go around"),
        (lambda a, b, g, f: np.mean(np.abs(g(f(b)) - b)), "kind a go around"),
        (halves(lambda left: np.mean(left**2)), "not squares"),
        (halves(np.mean), "errors cancel"),
        (halves(lambda left: np.mean(np.abs(left)) / 2), "not their mean"),
        (halves(lambda left: np.sum(np.abs(left))), "means, not sums"),
        (lambda a, b, g, f: np.abs(g(a) - a).mean() + np.abs(f(b) - b).mean(), "only one way"),
        (lambda a, b, g, f: np.abs(g(a) - b).mean() + np.abs(f(b) - a).mean(), "need pairs"),
        (lambda a, b, g, f: np.abs(f(g(a)) - a), "Take the mean"),
    ],
    "8.4": [
        (lambda n: (np.arange(n), np.arange(n)), "Mix them up"),
        (lambda n: (np.zeros(n), np.arange(n)), "some digits are too frequent"),
        (lambda n: ([1, 0, *range(2, n)],) * 2, "Wrong everywhere"),
        (lambda n: (np.roll(np.arange(n), 1),) * 2, "Where does `there` put"),
        (lambda n: np.roll(np.arange(n), 1), "return there, back"),
    ],
    "8.5": [
        (tried((10, 0.2), (20, 0.1)), "More pairs"),
        (tried((1_000, 0.05), (500, 0.06)), "Fewer pairs"),
        (tried((10, 0.2), (1_000, 0.05)), "Try the middle"),
        (tried(), "learn_from_pairs(count)"),
        (50, "learn_from_pairs(count)"),
        (({"error": 0.08}, [0.1]), "learn_from_pairs(count)"),
        (({"error": 0.6}, tried((20, 0.1), (40, 0.07))[1]), "Run the lesson in full"),
    ],
}
