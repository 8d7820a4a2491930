"""Lesson 06, evaluating: distances, scores, and what each of them cannot see."""

import warnings

import numpy as np
import scipy.linalg
from scipy.ndimage import gaussian_filter, shift

from gan_course import data, metrics
from gan_course.exercises.checker import (
    NotYet,
    as_array,
    as_numbers,
    call,
    compare,
    exercise,
    need_function,
    prediction,
    short,
)

prediction(
    "6.a",
    "ten times as many real images",
    right="c",
    why="Each estimated mean is off by an error that falls as one over the root of N, and its "
    "square is what adds to the distance: 1/N. Errors never take anything away.",
    others={
        "a": "It would, if the two sets came from different distributions. But the whole distance "
        "is made of the errors of finite samples.",
        "b": "The errors of mean and covariance fall like that; the distance is made of their "
        "squares.",
    },
)
prediction(
    "6.b",
    "the scores of copies",
    right="d",
    why="None of these numbers asks where an image comes from. Copies have the right mean and "
    "covariance, they lie among real images, and there are many different ones.",
    others={
        "a": "There are tens of thousands of training images to copy, with the mean and covariance "
        "of real images.",
        "b": "Copies are real images: they lie where real images lie.",
        "c": "Copies of all training images lie around the unseen real ones just as those do.",
    },
)
prediction(
    "6.c",
    "training on 256 images",
    right="b",
    why="The discriminator memorizes its few images, and calls hardly any other real image real.",
    others={
        "a": "There is less to be learned from 256 images. Compare the two bundles of curves.",
        "c": "Single epochs waver, but in the stored runs no curve rises that far.",
    },
)


# 6.1: one dimension


def _frechet_1d(mean_1, std_1, mean_2, std_2):
    return (mean_1 - mean_2) ** 2 + (std_1 - std_2) ** 2


@exercise(
    "6.1",
    "the distance in one dimension",
    solution=_frechet_1d,
    hints=(
        "Two numbers describe each bell curve, where it is and how wide it is. The distance has "
        "one term for each.",
        "In the formula, put C = std^2 for both. The root of C1 C2 is then std_1 std_2, and the "
        "last three terms are a square.",
        "return (mean_1 - mean_2) ** 2 + (std_1 - std_2) ** 2",
    ),
)
def judge_frechet_1d(answer):
    need_function(answer, "frechet_1d")
    compare(
        as_array(call(answer, 1.0, 3.0, 4.0, 0.5), (), "The distance"),
        9 + 6.25,
        "for means 1 and 4, and standard deviations 3 and 0.5",
        mistakes=[
            (9 + (9 - 0.25) ** 2, "The widths differ by std_1 - std_2, not by the variances."),
            (9 + 9.25, "The last term is missing: minus two times the root of C1 C2."),
            (9 + 9.25 - 1.5, "The factor 2 before the root is missing."),
            (
                9 + 9.25 - 2 * 9 * 0.25,
                "The root is missing: the root of C1 C2 is std_1 times std_2.",
            ),
            (9 + 3.5 - 2 * np.sqrt(1.5), "C is the variance, the square of std."),
            (
                9 + 9.25 - 2 * np.sqrt(1.5),
                "With C = std^2, the root of C1 C2 is std_1 times std_2: no further root.",
            ),
            (3 + 6.25, "The first term is squared, too: (mean_1 - mean_2)^2."),
            (3 + 2.5, "Both differences are squared."),
            (np.sqrt(15.25), "The squared distance is wanted: no root over the whole."),
            (9, "The widths matter as well, not only the means."),
            (6.25, "The means matter as well, not only the widths."),
            (9 - 6.25, "Both terms are added: a difference in width makes the distance larger."),
        ],
    )
    came = as_array(call(answer, 4.0, 0.5, 1.0, 3.0), (), "The distance")
    compare(came, 15.25, "with both curves swapped: a distance is the same in both directions")
    return "0 for identical curves, and it grows with the square of every difference."


# 6.2: many dimensions

_MEANS = np.array([1.0, 0.0]), np.array([-1.0, 0.5])
_COVARIANCES = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0, -0.4], [-0.4, 0.5]])


def _trace_of_root(product):
    """tr of the root of C1 C2, whose eigenvalues are real and not negative."""
    return np.sqrt(np.maximum(np.linalg.eigvals(product).real, 0)).sum()


def _frechet(mean_1, covariance_1, mean_2, covariance_2):
    root = scipy.linalg.sqrtm(covariance_1 @ covariance_2).real
    return np.sum((mean_1 - mean_2) ** 2) + np.trace(covariance_1 + covariance_2 - 2 * root)


@exercise(
    "6.2",
    "the distance in many dimensions",
    solution=_frechet,
    hints=(
        "Three parts: the squared length of the difference of means, the two traces, and minus "
        "twice the trace of a matrix root. scipy.linalg.sqrtm is the matrix root.",
        "covariance_1 @ covariance_2 is the matrix product. Its root may come with tiny imaginary "
        "parts, which are rounding errors: take .real.",
        "root = sqrtm(covariance_1 @ covariance_2).real, then return np.sum((mean_1 - mean_2) ** 2)"
        " + np.trace(covariance_1 + covariance_2 - 2 * root)",
    ),
)
def judge_frechet(answer):
    need_function(answer, "frechet")
    (m1, m2), (c1, c2) = _MEANS, _COVARIANCES
    shift, spread = np.sum((m1 - m2) ** 2), np.trace(c1 + c2)
    right = shift + spread - 2 * _trace_of_root(c1 @ c2)
    with np.errstate(invalid="ignore"):
        elementwise = np.trace(np.sqrt(c1 @ c2))
    compare(
        _number(call(answer, m1, c1, m2, c2)),
        right,
        "for two correlated pairs of features",
        mistakes=[
            (
                shift + spread - 2 * elementwise,
                "np.sqrt takes the root of each entry. The root of a matrix is "
                "scipy.linalg.sqrtm: multiplied by itself, it gives the matrix.",
            ),
            (
                shift + spread - 2 * np.trace(scipy.linalg.sqrtm(c1 * c2).real),
                "* multiplies entry by entry. The matrix product is @.",
            ),
            (
                shift + spread - 2 * np.trace(scipy.linalg.sqrtm(c1) @ scipy.linalg.sqrtm(c2)),
                "The root of the product is wanted, sqrtm(C1 @ C2). The product of the roots is "
                "the same only if the two matrices commute.",
            ),
            (spread - 2 * _trace_of_root(c1 @ c2), "The difference of the means is missing."),
            (
                np.sqrt(shift) + spread - 2 * _trace_of_root(c1 @ c2),
                "The length of the difference of means is squared: no root.",
            ),
            (
                shift + spread - _trace_of_root(c1 @ c2),
                "The factor 2 before the root is missing.",
            ),
            (
                shift + spread - 2 * np.trace(c1 @ c2),
                "The root is missing: take scipy.linalg.sqrtm of the product.",
            ),
            (shift + spread, "The term with the root of C1 C2 is missing."),
            (np.sqrt(right), "The squared distance is wanted: no root over the whole."),
        ],
    )
    flat = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])  # singular
    round_ = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 0.3], [0.5, 0.3, 1.0]])
    with warnings.catch_warnings():  # sqrtm warns that the matrix is singular
        warnings.simplefilter("ignore")
        came = _number(call(answer, np.zeros(3), flat, np.zeros(3), round_))
    expected = np.trace(flat + round_) - 2 * _trace_of_root(flat @ round_)
    compare(came, expected, "for features of which one is constant")
    return "The one-dimensional formula is a special case: there the root is std_1 std_2."


def _number(value):
    """One number; complex numbers get a hint of their own."""
    if np.iscomplexobj(value):
        raise NotYet(
            "The distance is a complex number.",
            came=str(value)[:60],
            hint="Rounding errors leave tiny imaginary parts in the root of a matrix. Take its "
            "real part: scipy.linalg.sqrtm(...).real",
        )
    if np.size(value) > 1:
        raise NotYet(
            "The distance must be one number.",
            came=f"an array of shape {np.shape(value)}",
            hint="|m1 - m2|^2 is the sum of the squared differences, np.sum(...), and tr is "
            "np.trace(...): both give one number.",
        )
    number = as_array(value, (), "The distance")
    if np.isnan(number):
        raise NotYet(
            "The distance is not a number (nan).",
            hint="np.sqrt of a negative entry? The root of a matrix is scipy.linalg.sqrtm.",
        )
    return number


# 6.3: the inception score

_PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5], [0.9, 0.05, 0.05]])


_ONE_SCORE = "Sum over the classes, then the mean over the images, then exp: one number is left."


def _inception_score(probabilities):
    overall = probabilities.mean(axis=0)
    divergence = np.sum(probabilities * np.log(probabilities / overall), axis=1)
    return np.exp(divergence.mean())


@exercise(
    "6.3",
    "the inception score",
    solution=_inception_score,
    hints=(
        "Rows are images, columns are classes. The overall distribution is the mean over images.",
        "The divergence of one image is the sum over classes of p log(p / overall). Then the mean "
        "over images, then exp.",
        "overall = probabilities.mean(axis=0); divergence = np.sum(probabilities * "
        "np.log(probabilities / overall), axis=1); return np.exp(divergence.mean())",
    ),
)
def judge_inception_score(answer):
    need_function(answer, "inception_score")
    p = _PROBABILITIES
    overall = p.mean(axis=0)
    divergence = np.sum(p * np.log(p / overall), axis=1)
    wrong_axis = np.sum(p * np.log(p / p.mean(axis=1, keepdims=True)), axis=1)
    entropy = -np.sum(p * np.log(p), axis=1)
    compare(
        as_array(call(answer, p), (), "The score", hint=_ONE_SCORE),
        np.exp(divergence.mean()),
        "for four images and three classes",
        mistakes=[
            (divergence.mean(), "This is the mean divergence; the score is its exponential."),
            (np.exp(divergence).mean(), "Mean first, then exp."),
            (np.exp(divergence.sum()), "Take the mean over the images, not their sum."),
            (
                np.exp(np.mean(p * np.log(p / overall))),
                "Within one image, the classes are summed; only over images the mean is taken.",
            ),
            (
                np.exp(np.sum(overall * np.log(overall / p), axis=1).mean()),
                "The other way round: sum p log(p / overall), weighted with the image's own p.",
            ),
            (
                np.exp(wrong_axis.mean()),
                "The overall distribution is the mean over the images: axis=0.",
            ),
            (np.exp(-divergence.mean()), "The sign is flipped."),
            (
                np.exp(np.sum(p * np.log(p / overall), axis=0).mean()),
                "Sum over the classes, axis=1; then take the mean over the images.",
            ),
            (
                np.exp(np.sum(p * np.log2(p / overall), axis=1).mean()),
                "Logarithm and exponential must have the same base: np.log with np.exp.",
            ),
            (np.exp(entropy.mean()), "This is the entropy of each image alone: divide by overall."),
            (np.exp(-entropy.mean()), "This leaves the overall distribution out: p / overall."),
        ],
    )
    came = as_array(call(answer, np.full((6, 5), 0.2)), (), "The score")
    compare(came, 1.0, "for images that could be any class: the lowest score")
    return "It lies between 1 and the number of classes."


# 6.4: recall

# Rows are seven real images, columns four generated ones.
_DISTANCES = np.array(
    [
        [3.5, 2.5, 4.3, 1.9],
        [2.2, 1.0, 2.3, 3.7],
        [1.7, 1.9, 1.2, 2.6],
        [4.8, 4.8, 2.9, 3.3],
        [0.6, 1.5, 2.9, 2.6],
        [1.9, 4.0, 4.8, 3.1],
        [2.8, 3.5, 1.4, 4.5],
    ]
)
_REAL_RADII = np.array([2.6, 2.4, 0.7, 2.4, 2.9, 1.7, 1.0])
_FAKE_RADII = np.array([2.1, 2.0, 1.0, 2.8])


def _recall(distances, real_radii, fake_radii):
    return (distances <= fake_radii[None, :]).any(axis=1).mean()


@exercise(
    "6.4",
    "recall",
    solution=_recall,
    hints=(
        "Recall asks about real images: is this one inside the ball of at least one generated "
        "image? The balls are the generated images' own.",
        "distances <= fake_radii compares each column, a generated image, with its own radius. "
        "Then .any(axis=1) for each real image, then the share.",
        "return (distances <= fake_radii[None, :]).any(axis=1).mean()",
    ),
)
def judge_recall(answer):
    need_function(answer, "recall")
    d, r, f = _DISTANCES, _REAL_RADII, _FAKE_RADII
    inside = d <= f[None, :]
    compare(
        as_array(
            call(answer, d, r, f),
            (),
            "The recall",
            hint="This has one entry per image. The share is their mean.",
        ),
        inside.any(axis=1).mean(),
        "for seven real and four generated images",
        mistakes=[
            (
                (d <= r[:, None]).any(axis=0).mean(),
                "This is precision: the share of generated images inside a real image's ball.",
            ),
            (
                (d <= r[:, None]).any(axis=1).mean(),
                "These are the real images' balls. For recall take the generated images' radii.",
            ),
            (
                inside.any(axis=0).mean(),
                "This is a share of generated images; recall is a share of real ones: axis=1.",
            ),
            (
                (d.min(axis=1) <= f[d.argmin(axis=1)]).mean(),
                "Every ball counts, not only that of the nearest generated image.",
            ),
            (inside.mean(), "One ball is enough: any over the generated images, then the mean."),
            (inside.all(axis=1).mean(), "One ball is enough: any, not all."),
            (inside.sum(axis=1).mean(), "A real image in several balls counts once: any."),
            (inside.any(axis=1).sum(), "The share is wanted, not the number: mean."),
            (1 - inside.any(axis=1).mean(), "This is the share that is missed."),
        ],
    )
    on_the_edge = call(answer, np.array([[1.0, 5.0]]), np.array([0.1]), np.array([1.0, 1.0]))
    edge = as_array(on_the_edge, (), "The recall")
    compare(edge, 1.0, "for a real image at just the distance of the radius: the edge counts")
    return "Precision is the same with the roles of real and generated images exchanged."


# 6.5: four generators, known by their numbers alone

HIDDEN = {"A": "blurry", "B": "copies", "C": "gan", "D": "collapsed"}
_TELLTALE = {
    "blurry": "the lowest precision beside a high inception score: the classifier can still read "
    "the images, but they are not like real ones",
    "copies": "scores like those of real images, and a copying score of 1",
    "collapsed": "an inception score near 1, the lowest there is: all images are of one class",
    "gan": "precision and recall both somewhat below those of real images, and no copies",
}


def hidden_generators(train, unseen, gan, count=5_000, seed=0):
    """Samples of four generators, one of them `gan`; which is which is exercise 6.5.

    Args:
        train: the data.Images that `gan` was trained on.
        unseen: other data.Images, which two of the generators are made of.
        gan: a trained training.GAN.
        count: samples of each.
        seed: whole number.

    Returns:
        dict: from "A", "B", "C", "D" to images, float32 (count, H, W, C) in [-1, 1].
    """
    rng = np.random.default_rng(seed)
    makers = {
        "gan": lambda: gan.generate(count, seed=seed + 1),
        "copies": lambda: train.images[rng.integers(len(train), size=count)],
        "collapsed": lambda: _one_kind(unseen, count, rng),
        "blurry": lambda: gaussian_filter(
            unseen.images[rng.integers(len(unseen), size=count)], sigma=(0, 1, 1, 0)
        ),
    }
    return {letter: makers[kind]() for letter, kind in HIDDEN.items()}


def _one_kind(images, count, rng):
    """Real images of one class, moved by up to a pixel so that they are not all the same."""
    chosen = images.images[images.labels == 4]
    chosen = chosen[rng.integers(len(chosen), size=count)]
    moves = rng.integers(-1, 2, size=(count, 2))
    return np.stack(
        [shift(i, (*move, 0), order=0, cval=-1.0) for i, move in zip(chosen, moves, strict=True)]
    )


def gaussian_images(images, count, seed=0):
    """Normally distributed pixels with the mean and covariance of images, cut off at -1 and 1.

    Args:
        images: float (N, H, W, C) in [-1, 1].
        count: how many to draw.
        seed: whole number.

    Returns:
        np.ndarray: float32 (count, H, W, C) in [-1, 1].
    """
    flat = images.reshape(len(images), -1).astype(np.float64)
    mean, covariance = flat.mean(axis=0), np.cov(flat, rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    normal = np.random.default_rng(seed).normal(size=(count, len(mean)))
    drawn = mean + normal * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return np.clip(drawn, -1, 1).astype(np.float32).reshape(count, *images.shape[1:])


@exercise(
    "6.5",
    "four generators, known by their numbers",
    solution=dict(HIDDEN),
    hints=(
        "Begin with the last column: which one copies?",
        "Low precision means that images are not like real ones; low recall with high precision, "
        "that kinds of images are missing; an inception score of 1, that there is one class only.",
        "The copying score finds the copies, the inception score the collapsed one. Of the other "
        "two, the blurred images have the lower precision and hardly any recall.",
    ),
)
def judge_diagnoses(answer):
    choices = sorted(HIDDEN.values())
    if not isinstance(answer, dict) or set(answer) != set(HIDDEN):
        raise NotYet(
            "A dict with the four letters was expected.",
            expected="{'A': ..., 'B': ..., 'C': ..., 'D': ...}",
            came=short(answer, 80),
        )
    call(lambda: tuple(answer.values()))  # a blank means that it is not done yet
    for letter, kind in HIDDEN.items():
        if not isinstance(answer[letter], str) or answer[letter] not in choices:
            raise NotYet(
                f"{short(answer[letter])} is none of the four generators.",
                expected=", ".join(choices),
                came=short(answer[letter]),
            )
        if answer[letter] != kind:
            said = answer[letter]
            raise NotYet(f"{letter} is not {said!r}.", hint=f"Look for {_TELLTALE[said]}.")
    return "All four, without seeing a single image."


# 6.6: an experiment: a generator that deserves nothing, and scores better than real images


def _ten_pictures(images, labels, count):
    sure = metrics.get_features("digits").probabilities(images)
    return images[sure.argmax(axis=0)][np.arange(count) % 10]


@exercise(
    "6.6",
    "fool the inception score",
    solution=_ten_pictures,
    hints=(
        "The score wants two things: that each image is clearly of one class, and that all classes "
        "come equally often. It wants nothing else.",
        "How many different pictures do you need for that? Choose clear ones: the classifier tells "
        "how sure it is, metrics.get_features('digits').probabilities(images).",
        "The surest image of each class, over and over. With sure = metrics.get_features('digits')"
        ".probabilities(images): return images[sure.argmax(axis=0)][np.arange(count) % 10]",
    ),
)
def judge_fooling(answer):
    need_function(answer, "generator")
    digits = data.load("digits")
    samples = as_numbers(call(answer, digits.images, digits.labels, 1500), "The images")
    if samples.shape != (1500, 28, 28, 1):
        raise NotYet(
            "The function must return count images.",
            expected="an array of shape (1500, 28, 28, 1)",
            came=f"an array of shape {samples.shape}",
        )
    if not (np.isfinite(samples).all() and samples.min() >= -1 and samples.max() <= 1):
        raise NotYet("Images must lie in [-1, 1].", came=f"{samples.min():g} to {samples.max():g}")
    samples = samples.astype(np.float32)
    score = metrics.InceptionScore("digits")
    found, real = float(score(samples)), float(score(digits.images))
    coverage = float(metrics.precision_recall(digits.images, samples, features="digits").coverage)
    expected = f"inception score of at least {real:.2f}, and a coverage below 10%"
    came = f"inception score {found:.2f}, coverage {coverage:.0%}"
    if found < real:
        one_class = found < 2
        raise NotYet(
            "The inception score is not fooled.",
            expected,
            came,
            "Nearly all images are read as one class, or none is clear: it wants clear images of "
            "all classes, equally often."
            if one_class
            else "Do all ten classes come equally often? And does the classifier doubt or misread "
            "some of the pictures? Choose those of which it is sure.",
        )
    if coverage >= 0.1:
        raise NotYet(
            "That is too good: it covers much of the real images.",
            expected,
            came,
            "How few different pictures will do?",
        )
    return f"{came[0].upper()}{came[1:]}; real images score {real:.2f}. So much for one number."
