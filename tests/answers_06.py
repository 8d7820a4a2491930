"""Right and wrong answers to the exercises of lesson 06, for test_exercises.py."""

import numpy as np
import scipy.linalg
import scipy.stats

from gan_course import metrics
from gan_course.exercises import lesson06

sqrtm, trace = scipy.linalg.sqrtm, np.trace


def frechet_by_eigenvalues(m1, c1, m2, c2):
    """The same with eigenvalues in place of the matrix root."""
    root = np.sqrt(np.linalg.eigvals(c1 @ c2).astype(complex)).sum().real
    return np.linalg.norm(m1 - m2) ** 2 + trace(c1) + trace(c2) - 2 * root


def frechet_symmetric(m1, c1, m2, c2):
    """The same with the root of a symmetric matrix."""
    root = sqrtm(c1).real
    return np.dot(m1 - m2, m1 - m2) + trace(c1 + c2 - 2 * sqrtm(root @ c2 @ root).real)


def complex_frechet(m1, c1, m2, c2):
    return np.sum((m1 - m2) ** 2) + trace(c1 + c2 - 2 * (sqrtm(c1 @ c2) + 1e-12j))


def inception_by_scipy(p):
    return np.exp(np.mean([scipy.stats.entropy(row, p.mean(axis=0)) for row in p]))


def inception_by_entropies(p):
    """exp(entropy of the mean - mean entropy)."""
    return np.exp(scipy.stats.entropy(p.mean(axis=0)) - scipy.stats.entropy(p, axis=1).mean())


def recall_by_loops(distances, real_radii, fake_radii):
    found = sum(any(d <= r for d, r in zip(row, fake_radii, strict=True)) for row in distances)
    return found / len(distances)


def surest(images):
    sure = metrics.get_features("digits").probabilities(images)
    return images[sure.argmax(axis=0)]


def two_of_each(images, labels, count):
    """The two surest images of each class, in turn."""
    sure = metrics.get_features("digits").probabilities(images)
    best = np.argsort(-sure, axis=0)[:2]
    return images[best.ravel()][np.arange(count) % 20]


ALL = dict(lesson06.HIDDEN)

RIGHT = {
    "6.1": [
        lambda m1, s1, m2, s2: (m1 - m2) ** 2 + s1**2 + s2**2 - 2 * s1 * s2,
        lambda m1, s1, m2, s2: abs(m1 - m2) ** 2 + np.square(s2 - s1),
        lambda m1, s1, m2, s2: (m1 - m2) ** 2 + s1**2 + s2**2 - 2 * np.sqrt(s1**2 * s2**2),
    ],
    "6.2": [frechet_by_eigenvalues, frechet_symmetric, metrics.frechet_distance],
    "6.3": [
        inception_by_scipy,
        inception_by_entropies,
        lambda p: np.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean()),
    ],
    "6.4": [
        recall_by_loops,
        lambda d, real, fake: np.mean((d / fake).min(axis=1) <= 1),
        lambda d, real, fake: np.count_nonzero(np.any(d - fake[None] <= 0, axis=1)) / len(d),
    ],
    "6.5": [dict(reversed(ALL.items()))],
    "6.6": [
        two_of_each,
        lambda images, labels, count: np.repeat(surest(images), count // 10, axis=0),
    ],
}

WRONG = {
    "6.1": [
        (lambda m1, s1, m2, s2: (m1 - m2) ** 2 + (s1**2 - s2**2) ** 2, "not by the variances"),
        (lambda m1, s1, m2, s2: (m1 - m2) ** 2 + s1**2 + s2**2, "last term is missing"),
        (
            lambda m1, s1, m2, s2: (m1 - m2) ** 2 + s1**2 + s2**2 - 2 * s1**2 * s2**2,
            "The root is missing",
        ),
        (
            lambda m1, s1, m2, s2: (m1 - m2) ** 2 + s1 + s2 - 2 * np.sqrt(s1 * s2),
            "C is the variance",
        ),
        (
            lambda m1, s1, m2, s2: (m1 - m2) ** 2 + s1**2 + s2**2 - 2 * np.sqrt(s1 * s2),
            "no further root",
        ),
        (lambda m1, s1, m2, s2: abs(m1 - m2) + abs(s1 - s2), "Both differences are squared"),
        (lambda m1, s1, m2, s2: abs(m1 - m2) + (s1 - s2) ** 2, "first term is squared"),
        (lambda m1, s1, m2, s2: np.hypot(m1 - m2, s1 - s2), "no root over the whole"),
        (lambda m1, s1, m2, s2: (m1 - m2) ** 2, "widths matter"),
        (lambda m1, s1, m2, s2: (s1 - s2) ** 2, "means matter"),
        (lambda m1, s1, m2, s2: (m1 - m2) ** 2 - (s1 - s2) ** 2, "Both terms are added"),
    ],
    "6.2": [
        (
            lambda m1, c1, m2, c2: (
                np.sum((m1 - m2) ** 2) + trace(c1 + c2 - 2 * np.sqrt(np.abs(c1 @ c2)))
            ),
            "root of each entry",
        ),
        (
            lambda m1, c1, m2, c2: (
                np.sum((m1 - m2) ** 2) + trace(c1 + c2 - 2 * sqrtm(c1 * c2).real)
            ),
            "multiplies entry by entry",
        ),
        (
            lambda m1, c1, m2, c2: (
                np.sum((m1 - m2) ** 2) + trace(c1 + c2 - 2 * sqrtm(c1) @ sqrtm(c2))
            ),
            "product of the roots",
        ),
        (lambda m1, c1, m2, c2: trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real), "means is missing"),
        (
            lambda m1, c1, m2, c2: (
                np.linalg.norm(m1 - m2) + trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
            ),
            "squared: no root",
        ),
        (
            lambda m1, c1, m2, c2: np.sum((m1 - m2) ** 2) + trace(c1 + c2 - sqrtm(c1 @ c2).real),
            "factor 2",
        ),
        (
            lambda m1, c1, m2, c2: np.sum((m1 - m2) ** 2) + trace(c1 + c2 - 2 * c1 @ c2),
            "The root is missing",
        ),
        (lambda m1, c1, m2, c2: np.sum((m1 - m2) ** 2) + trace(c1 + c2), "term with the root"),
        (lambda *a: np.sqrt(frechet_symmetric(*a)), "no root over the whole"),
        (complex_frechet, "real part"),
        (lambda m1, c1, m2, c2: (m1 - m2) ** 2, "np.sum(...)"),
    ],
    "6.3": [
        (lambda p: np.log(inception_by_scipy(p)), "its exponential"),
        (lambda p: np.mean([np.exp(scipy.stats.entropy(r, p.mean(0))) for r in p]), "Mean first"),
        (
            lambda p: np.exp((p * np.log(p / p.mean(axis=1, keepdims=True))).sum(1).mean()),
            "axis=0",
        ),
        (lambda p: np.exp(np.mean(p * np.log(p / p.mean(0)))), "classes are summed"),
        (lambda p: np.exp((p * np.log2(p / p.mean(0))).sum(1).mean()), "same base"),
        (lambda p: 1 / inception_by_scipy(p), "sign is flipped"),
        (
            lambda p: np.exp(np.mean([scipy.stats.entropy(p.mean(0), row) for row in p])),
            "other way round",
        ),
        (lambda p: np.exp(scipy.stats.entropy(p, axis=1).mean()), "entropy of each image alone"),
        (lambda p: np.exp((p * np.log(p / p.mean(0))).sum()), "not their sum"),
        (lambda p: np.exp((p * np.log(p / p.mean(0))).sum(axis=0).mean()), "classes, axis=1"),
        (lambda p: np.exp((p * np.log(p / p.mean())).sum(axis=1).mean()), "axis=0"),
        (lambda p: np.exp((p * np.log(p / p.mean(0))).sum(axis=1)), "one number is left"),
    ],
    "6.4": [
        (lambda d, real, fake: (d <= real[:, None]).any(axis=0).mean(), "This is precision"),
        (lambda d, real, fake: (d <= real[:, None]).any(axis=1).mean(), "generated images' radii"),
        (lambda d, real, fake: (d <= fake).any(axis=0).mean(), "axis=1"),
        (lambda d, real, fake: (d <= fake).mean(), "any over the generated"),
        (
            lambda d, real, fake: (d.min(axis=1) <= fake[d.argmin(axis=1)]).mean(),
            "Every ball counts",
        ),
        (lambda d, real, fake: (d <= fake).all(axis=1).mean(), "any, not all"),
        (lambda d, real, fake: (d <= fake).any(axis=1).sum(), "share is wanted"),
        (lambda d, real, fake: 1 - (d <= fake).any(axis=1).mean(), "missed"),
        (lambda d, real, fake: (d <= fake).any(axis=1), "share is their mean"),
    ],
    "6.5": [
        ({**ALL, "A": ALL["D"], "D": ALL["A"]}, "Look for"),
        ({**ALL, "B": ALL["C"], "C": ALL["B"]}, "Look for"),
        ({**ALL, "A": "sharp"}, "last column"),
        (list(ALL.values()), "last column"),
    ],
    "6.6": [
        (lambda images, labels, count: np.repeat(images[:1], count, axis=0), "one class"),
        (lambda images, labels, count: images[:count], "How few different"),
        (lambda images, labels, count: np.zeros((count, 28, 28, 1)), "one class"),
        (lambda images, labels, count: surest(images), "wants two things"),
        (lambda images, labels, count: 255 * np.ones((count, 28, 28, 1)), "wants two things"),
        (
            lambda images, labels, count: np.stack([images[labels == c][0] for c in range(10)])[
                np.arange(count) % 10
            ],
            "doubt or misread",
        ),
    ],
}
