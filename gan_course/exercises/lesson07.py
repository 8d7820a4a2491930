"""Lesson 07, conditional generation: labels that go in, labels that come out, and truncation."""

import numpy as np
from scipy import stats

from gan_course.exercises.checker import (
    NotYet,
    Todo,
    as_array,
    as_numbers,
    call,
    compare,
    exercise,
    measured,
    need_function,
    need_result,
    prediction,
)

prediction(
    "7.a",
    "labels shuffled in the training set",
    right="c",
    why="Label and image have nothing to do with each other, so neither network can use the label: "
    "a GAN without labels is left, and one in ten is right by chance.",
    others={
        "a": "The images themselves are real ones, and the networks learn from them as they would "
        "without labels.",
        "b": "The labels of the training set are all that it can learn a digit's name from. They "
        "are wrong nine times of ten.",
    },
)
prediction(
    "7.b",
    "what truncation trades",
    right="b",
    why="Numbers far from 0 are what makes a latent vector rare, and its image with it; they are "
    "no longer drawn. What is left lies near the middle, and so do the images.",
    others={
        "a": "Draws near the middle lie close together: there is less to see of what is rare.",
        "c": "It gains on one side only. Look at the two curves.",
    },
)


# 7.1: a label beside the latent vector


def _with_label(latents, labels, classes):
    return np.concatenate([latents, np.eye(classes)[labels]], axis=1)


@exercise(
    "7.1",
    "a label beside the latent vector",
    solution=_with_label,
    hints=(
        "Which row of the unit matrix np.eye(classes) has its 1 at the label?",
        "np.eye(classes)[labels] has the shape (batch, classes). Put it behind the latent vectors.",
        "return np.concatenate([latents, np.eye(classes)[labels]], axis=1)",
    ),
)
def judge_with_label(answer):
    need_function(answer, "with_label")
    latents = np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -2.0]], np.float32)
    for labels, classes in (([2, 0], 4), ([1, 1], 3)):
        labels = np.array(labels)
        expected = _with_label(latents, labels, classes)
        came = call(answer, latents, labels, classes)
        if np.shape(came) == (2, 4):
            raise NotYet(
                "The label came in as one number.",
                f"shape {expected.shape}",
                "shape (2, 4)",
                "As a number a nine would be nine times a one, and an eight nearly the same as a "
                "nine. One number for each class treats all alike.",
            )
        shifted = np.roll(expected[:, 3:], 1, axis=1)
        compare(
            as_array(came, expected.shape, "The result"),
            expected,
            f"for the labels {labels.tolist()} of {classes} classes",
            mistakes=[
                (np.roll(expected, classes, axis=1), "First the latent vector, then the label."),
                (np.hstack([latents, shifted]), "Labels begin at 0: label 0 is the first number."),
                (
                    np.hstack([latents, 1 - expected[:, 3:]]),
                    "1 at the label and 0 elsewhere: here it is the other way round.",
                ),
            ],
        )
    return "Each class has one number that is 1 for it and 0 for all others."


# 7.2: the projection discriminator


def _projection(features, labels, weights, bias, vectors):
    return features @ weights + bias + np.sum(features * vectors[labels], axis=1)


@exercise(
    "7.2",
    "the projection discriminator",
    solution=_projection,
    hints=(
        "Two parts: a logit for the image alone, features @ weights + bias, and one for image and "
        "label together.",
        "vectors[labels] has the vector of each image's label, (batch, width). For the inner "
        "product of each row with the features multiply, then sum along axis=1.",
        "return features @ weights + bias + np.sum(features * vectors[labels], axis=1)",
    ),
)
def judge_projection(answer):
    need_function(answer, "projection")
    rng = np.random.default_rng(3)
    for batch in (4, 3):
        features, weights = rng.normal(size=(batch, 3)), rng.normal(size=3)
        vectors, bias = rng.normal(size=(5, 3)), 0.7
        labels = np.array([4, 0, 2, 0])[:batch]
        expected = _projection(features, labels, weights, bias, vectors)
        came = call(answer, features, labels, weights, bias, vectors)
        if np.shape(came) == (batch, batch):
            raise NotYet(
                "Each image was judged with the label of every other one, too.",
                f"shape ({batch},)",
                f"shape ({batch}, {batch})",
                "features @ vectors[labels].T compares all rows with all rows: multiply row by row "
                "and sum along axis=1.",
            )
        product = np.sum(features * vectors[labels], axis=1)
        compare(
            as_array(came, (batch,), "The logits"),
            expected,
            f"for {batch} images",
            mistakes=[
                (product, "That is the label's part; the logit of the image alone is missing."),
                (features @ weights + bias, "The label plays no part in that."),
                (features @ weights + product, "The bias is missing."),
                (
                    features @ weights + bias + np.sum(features * vectors[:batch], axis=1),
                    "These are the vectors 0, 1, 2 ... Take those of the labels: vectors[labels].",
                ),
                (
                    features @ weights + bias + np.sum(product),
                    "The sum runs over the features of each image: axis=1.",
                ),
                (
                    features @ weights + bias + product / 3,
                    "An inner product is a sum, not a mean.",
                ),
            ],
        )
    return "One more vector for each class, and the discriminator knows what it should look for."


# 7.3: is it what was asked for?


def _asked_for(probabilities, labels, classes):
    right = probabilities.argmax(axis=1) == labels
    return np.array([right[labels == k].mean() for k in range(classes)])


@exercise(
    "7.3",
    "is it what was asked for?",
    solution=_asked_for,
    hints=(
        "Which class does the classifier read in each image? The one with the highest probability.",
        "right = probabilities.argmax(axis=1) == labels; then the mean of right, for each label "
        "alone.",
        "return np.array([right[labels == k].mean() for k in range(classes)])",
    ),
)
def judge_asked_for(answer):
    need_function(answer, "asked_for")
    rng = np.random.default_rng(7)
    for _ in range(2):
        labels = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
        read = np.array([0, 0, 0, 1, 1, 0, 2, 0, 1, 1])
        order = rng.permutation(10)
        labels, read = labels[order], read[order]
        probabilities = 0.4 * np.eye(3)[read] + 0.2
        expected = _asked_for(probabilities, labels, 3)
        came = as_numbers(call(answer, probabilities, labels, 3), "The shares")
        if came.size == 1:
            raise NotYet(
                "That is one number.",
                "one share for each class",
                f"{came.item():.3g}",
                "The mean of all hides a class that never comes out right.",
            )
        of_read = [(labels[read == k] == k).mean() for k in range(3)]
        chances = [probabilities[labels == k, k].mean() for k in range(3)]
        counts = [((read == k) & (labels == k)).sum() for k in range(3)]
        compare(
            as_array(came, (3,), "The shares"),
            expected,
            "for ten images of three classes",
            mistakes=[
                (of_read, "These are shares of the images read as k. Take those asked for as k."),
                (chances, "That is the mean probability: count images whose highest one is right."),
                (counts, "These are counts: divide by how many images were asked for."),
                (np.array(counts) / 10, "Divide by the images of that label, not by all."),
                ([(read == k).mean() for k in range(3)], "That is how often a class was drawn."),
                (1 - expected, "That is the share of wrong ones."),
            ],
        )
    return "The smallest of these shares tells more than their mean."


# 7.4: a truncated normal distribution


def _truncated(rng, shape, threshold):
    draws = rng.normal(size=shape)
    while (outside := np.abs(draws) > threshold).any():
        draws[outside] = rng.normal(size=outside.sum())
    return draws


@exercise(
    "7.4",
    "the truncation trick",
    solution=_truncated,
    hints=(
        "Draw all numbers, find those that are too far out, and draw these again. Some of the new "
        "ones will be too far out, too.",
        "outside = np.abs(draws) > threshold marks them; draws[outside] = rng.normal(size="
        "outside.sum()) replaces them. Until when?",
        "while (outside := np.abs(draws) > threshold).any(): draws[outside] = "
        "rng.normal(size=outside.sum())",
    ),
)
def judge_truncated(answer):
    need_function(answer, "truncated")
    shape = (500, 40)
    for threshold in (0.5, 1.5):
        came = call(answer, np.random.default_rng(0), shape, threshold)
        draws = as_array(came, shape, "The draws")
        largest = np.abs(draws).max()
        expected = f"numbers up to {threshold:g} in absolute value"
        if not largest <= threshold:
            outside = np.mean(~(np.abs(draws) <= threshold))
            raise NotYet(
                "Some are too far out.",
                expected,
                f"{outside:.1%} of them are not, the largest being {largest:.3g}",
                "Once is not enough: a new number may be too far out, too. Repeat until none is."
                if outside
                < 0.8 * 2 * stats.norm.sf(threshold)  # drawn again once: the square of it
                else None,
            )
        if np.mean(np.abs(draws) > 0.999 * threshold) > 0.02:
            raise NotYet(
                "Many lie exactly at the threshold.",
                "numbers drawn again",
                f"{np.mean(np.abs(draws) > 0.999 * threshold):.0%} at the threshold",
                "np.clip moves what is too far out to the edge. Draw it again instead.",
            )
        # 20,000 draws: the largest gap between two distribution functions is about 0.01 by chance
        exact = stats.truncnorm(-threshold, threshold)
        gap = stats.kstest(draws.ravel(), exact.cdf).statistic
        if gap > 0.04:
            stretched = stats.kstest(draws.ravel(), stats.norm(0, draws.std()).cdf).statistic
            raise NotYet(
                "Another distribution.",
                f"the middle of a normal distribution, standard deviation {exact.std():.3f}",
                f"standard deviation {draws.std():.3f}",
                "Numbers that are near enough stay as they were drawn: do not shrink them."
                if stretched < 0.04
                else "What is inside stays as it was drawn, what is outside is drawn again.",
            )
    return "The middle of a normal distribution, as it is, and nothing else."


# 7.5: an experiment, judged by what was measured


@exercise(
    "7.5",
    "how much truncation",
    solution=None,
    hints=(
        "Try 2, 1 and 0.5. Which of the two numbers is too low?",
        "A lower threshold gives a higher precision and a lower recall. You need both.",
        "chosen = draw_with(1.5, steady), or a little above or below",
    ),
)
def judge_threshold(answer):
    without, chosen = answer if isinstance(answer, tuple) and len(answer) == 2 else (None, answer)
    if chosen is ...:
        raise Todo
    for each in (chosen, without):
        names = {"threshold", "precision", "recall"}
        need_result(each, names, of=("a draw", "draw_with"), hint="chosen = draw_with(..., steady)")
    before, recall_before = measured(without, "precision"), measured(without, "recall")
    if not before >= 0.5:  # or not a number, as below
        raise NotYet(
            "This generator has not learned enough.",
            "a precision of at least 0.5 without a threshold",
            f"{before:.3f}",
            "Run the lesson in full, with MNIST and without GAN_COURSE_FAST.",
        )
    least = before + 0.03, recall_before / 2
    expected = (
        f"a precision of at least {least[0]:.3f}, 3 points more than without, and a recall of at "
        f"least {least[1]:.3f}, half of that without"
    )
    precision, recall = measured(chosen, "precision"), measured(chosen, "recall")
    came = f"precision {precision:.3f}, recall {recall:.3f}, at {measured(chosen, 'threshold'):g}"
    if not recall >= least[1]:
        raise NotYet("Too much is lost.", expected, came, "A higher threshold keeps more.")
    if not precision >= least[0]:
        raise NotYet("Not precise enough.", expected, came, "A lower threshold is more typical.")
    return f"{came}."
