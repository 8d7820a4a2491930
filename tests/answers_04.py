"""Right and wrong answers to the exercises of lesson 04, for test_exercises.py."""

import numpy as np

from gan_course import data, metrics
from gan_course.exercises import lesson04


def by_complex_numbers(modes, radius):
    turn = np.exp(-2j * np.pi * np.arange(modes) / modes)  # clockwise
    return radius * np.array([turn.real, turn.imag]).T


def turned(modes, radius):
    angles = 2 * np.pi * (np.arange(modes) + 0.5) / modes
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def by_package(samples, centers, std):
    found = metrics.mode_coverage(samples, centers, std)
    return found.captured, found.high_quality


def count(good, of_good=True):
    """The exercise with another idea of what is good."""

    def answer(samples, centers, std):
        distances = lesson04._distances(samples, centers)
        nearest = distances.argmin(axis=1)
        close = good(distances.min(axis=1), std, samples - centers[nearest])
        return len(np.unique(nearest[close] if of_good else nearest)), close.mean()

    return answer


def within(least, std, difference):
    return least <= 3 * std


def changed(change):
    """The right modes and share, changed."""
    return lambda *args: change(*lesson04._count_modes(*args))


def by_reshape(samples, m):
    return samples.reshape(len(samples) // m, *samples.shape[1:-1], -1)


def by_neighbors(samples, m):
    return np.concatenate([samples[i::m] for i in range(m)], axis=-1)


def beside_itself(samples, m):
    return np.concatenate([samples[: len(samples) // m]] * m, axis=-1)


def run(modes=8, quality=0.9, steps=lesson04.RESCUE_STEPS):
    """What the lesson's rescue returns."""
    return {"modes": modes, "high_quality": quality, "steps": steps}


RIGHT = {
    "4.1": [by_complex_numbers, lambda modes, radius: data.ring(modes, radius).centers],
    "4.2": [by_package, count(within)],
    "4.3": [by_neighbors, lambda samples, m: np.concatenate(np.split(samples[::-1], m), axis=-1)],
    "4.4": [run(), run(quality=np.float32(0.8))],
}

WRONG = {
    "4.1": [
        (lesson04._closed_twice, "two of the angles are one"),
        (lambda modes, radius: lesson04._ring(modes, 1.0) * radius**2, "cos(angle)"),
        (lambda modes, radius: lesson04._ring(2 * modes, radius)[:modes], "a turn divided by"),
        (turned, "Keep the angle 0"),
        (lambda modes, radius: lesson04._ring(modes, radius).T, "Print the angles"),
    ],
    "4.2": [
        (count(within, of_good=False), "only if one of the good samples"),
        (count(lambda least, std, difference: least <= std), "not one"),
        (count(lambda least, std, difference: least <= 3 * std**2), "not the variance"),
        (count(lambda least, std, difference: least**2 <= 3 * std), "not its square"),
        (
            count(lambda least, std, difference: np.abs(difference).max(axis=1) <= 3 * std),
            "not its larger entry",
        ),
        (changed(lambda modes, share: (share, modes)), "First the modes"),
        (changed(lambda modes, share: (modes, 100 * share)), "not in percent"),
    ],
    "4.3": [
        (by_reshape, "A reshape reads"),
        (beside_itself, "beside itself"),
        (lambda samples, m: samples, "side by side"),
        (lambda samples, m: np.stack(np.split(samples, m), axis=-1), "side by side"),
    ],
    "4.4": [
        (run(modes=3, quality=0.99), "Begin with the balance"),
        (run(quality=0.2), "Is the cure too strong"),
        (run(steps=30_000), "Leave steps"),
        (8, "mended = rescue"),
    ],
}
