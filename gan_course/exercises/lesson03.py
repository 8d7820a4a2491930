"""Lesson 03, label smoothing: what the discriminator learns from labels that are not 1 and 0."""

import math

import numpy as np
import tensorflow as tf

from gan_course.exercises.checker import (
    NotYet,
    as_array,
    call,
    compare,
    exercise,
    measured,
    need_function,
    need_result,
    prediction,
)

prediction(
    "3.a",
    "the answer when nothing can be told",
    right="c",
    why="Where p = q the optimum is (a + b) / 2, here 0.45: the mean of the two labels.",
    others={
        "a": "That is the label of real images. But half of what lies there is fake, with label 0.",
        "b": "So it is with the labels 1 and 0. The optimum is the mean of the labels.",
        "d": "0.1 is what is missing to 1; the mean of the labels 0.9 and 0 is another number.",
    },
)
prediction(
    "3.b",
    "a label of 1.2",
    right="b",
    why="With 1.2, -1.2 log D + 0.2 log(1 - D) falls without end as D goes to 1: the second term "
    "rewards being sure. No logit is large enough, and the discriminator is taught to be as sure "
    "as it can.",
    others={
        "a": "No probability is 1.2: a sigmoid ends at 1, however large the logit.",
        "c": "The slope does not end there: it stays at -0.2 for ever.",
    },
)
prediction(
    "3.c",
    "the slope under a fake label of 0.1",
    right="c",
    why="Among the fakes the best discriminator now answers 0.1 nearly everywhere. It is asked to, "
    "however bad they are. A constant has no slope.",
    others={
        "a": "Labels do not just scale the slope: b puts a floor under D, and a floor is flat.",
        "b": "A higher D on fakes does not pull them: only a difference between places does.",
    },
)
prediction(
    "3.d",
    "the distance under other labels",
    right="b",
    why="In the stored study the seeds of one kind of label differ as much as the kinds do. How "
    "sure the discriminator is changes by far more.",
    others={
        "a": "What the discriminator does not know about digits, no label teaches it.",
        "c": "Being less sure costs the discriminator nothing that the generator could have used.",
    },
)


# 3.1: the optimum


def _optimum(p, q, a, b):
    return (a * p + b * q) / (p + q)


@exercise(
    "3.1",
    "the best answer to smoothed labels",
    solution=_optimum,
    hints=(
        "At one x the cost is p times the cross-entropy with the label a, plus q times that with "
        "b. That is (p + q) times a cross-entropy with one label: which?",
        "Put all terms with log D together: -(a p + b q) log D. Those with log(1 - D): "
        "-((1 - a) p + (1 - b) q) log(1 - D).",
        "return (a * p + b * q) / (p + q)",
    ),
)
def judge_optimum(answer):
    need_function(answer, "optimum")
    p, q = np.array([0.3, 0.1, 0.0, 0.4]), np.array([0.1, 0.3, 0.2, 0.4])
    for a, b in ((0.8, 0.1), (0.9, 0.0), (1.0, 0.0)):
        came = as_array(call(answer, p, q, a, b), p.shape, "The result")
        compare(
            came,
            _optimum(p, q, a, b),
            f"for p = 0.3, 0.1, 0, 0.4, q = 0.1, 0.3, 0.2, 0.4, a = {a:g}, b = {b:g}",
            mistakes=[
                (p / (p + q), "This is the optimum for the labels 1 and 0: where are a and b?"),
                (a * p / (p + q), "The fakes' label b is missing."),
                (a * p + b * q, "Divide by p + q: an answer of D is a weighted mean of labels."),
                (
                    (a * q + b * p) / (p + q),
                    "a belongs to the real density p, and b to the fake one, q.",
                ),
                (
                    a * p / (a * p + b * q + 1e-300),  # 0 / 0 where b = 0
                    "This is the share of real labels among all; divide by p + q instead.",
                ),
                (
                    np.full(4, (a + b) / 2),
                    "That is right only where p = q. Elsewhere the two labels weigh p and q.",
                ),
            ],
        )
    return "A mean of the two labels, weighted with how many of each kind lie there."


# 3.2: the loss


def _smoothed_loss(real_logits, fake_logits, a, b):
    real, fake = (np.asarray(logits, float) for logits in (real_logits, fake_logits))

    def cost(label, logits):
        return np.mean(label * np.logaddexp(0, -logits) + (1 - label) * np.logaddexp(0, logits))

    return cost(a, real) + cost(b, fake)


def _tensor_loss(real_logits, fake_logits, a, b):
    def cost(label, logits):
        softplus = tf.nn.softplus
        return tf.reduce_mean(label * softplus(-logits) + (1 - label) * softplus(logits))

    return cost(a, real_logits) + cost(b, fake_logits)


@exercise(
    "3.2",
    "the loss with smoothed labels",
    solution=_tensor_loss,
    hints=(
        "Each batch has two terms: its label times softplus(-logit), and 1 minus its label times "
        "softplus(logit).",
        "For the real batch: tf.reduce_mean(a * tf.nn.softplus(-real_logits) + (1 - a) * "
        "tf.nn.softplus(real_logits)).",
        "Add the same for the fake batch, with b in place of a.",
    ),
)
def judge_loss(answer):
    need_function(answer, "smoothed_loss")
    real, fake = np.array([[2.0], [-1.0], [0.5]]), np.array([[-3.0], [1.0], [0.0]])

    def came_from(x, y, a, b):
        tensors = (tf.constant(each, tf.float32) for each in (x, y))
        return as_array(call(answer, *tensors, a, b), (), "The loss")

    for a, b in ((0.9, 0.0), (0.8, 0.3)):
        softplus = {name: np.logaddexp(0, z) for name, z in (("r", real), ("f", fake))}
        minus = {name: np.logaddexp(0, -z) for name, z in (("r", real), ("f", fake))}
        expected = _smoothed_loss(real, fake, a, b)
        compare(
            came_from(real, fake, a, b),
            expected,
            f"for real logits 2, -1, 0.5, fake ones -3, 1, 0, and the labels {a:g} and {b:g}",
            mistakes=[
                (
                    np.mean(a * minus["r"]) + np.mean((1 - b) * softplus["f"]),
                    "A label of 0.9 is nine tenths real and one tenth fake: each batch has a "
                    "second term, with 1 minus its label.",
                ),
                (
                    _smoothed_loss(real, fake, 1, 0),
                    "This is the loss for the labels 1 and 0: where are a and b?",
                ),
                (_smoothed_loss(real, fake, a, 0), "The fakes' label b is missing."),
                (
                    _smoothed_loss(real, fake, b, a),
                    "a is the label of real images, b that of fakes.",
                ),
                (_smoothed_loss(-real, -fake, a, b), "The sign of the logits is turned around."),
                (expected / 2, "Add the two means: this is their average."),
                (3 * expected, "This is a sum over the batch: take the mean."),
            ],
        )
    far = came_from(np.array([[1000.0]]), np.array([[-1000.0]]), 0.9, 0.0)
    if not np.isfinite(far) or not np.isclose(far, 100, rtol=1e-3):
        raise NotYet(
            "The loss breaks at large logits.",
            expected="100, for a real logit of 1,000 and the label 0.9",
            came=f"{float(far):.5g}",
            hint="Do not compute log(sigmoid(...)): tf.nn.softplus is safe for any logit.",
        )
    logits = tf.Variable([[0.3], [-0.2]])
    with tf.GradientTape() as tape:
        loss = tf.convert_to_tensor(call(answer, logits, tf.constant([[0.1]]), 0.9, 0.0))
    if tape.gradient(loss, logits) is None:
        raise NotYet(
            "The value is right, but no gradient flows back to the logits.",
            hint="Use TensorFlow's functions, not NumPy's: a tape records nothing else.",
        )
    return "With a = 0.9 and b = 0, at logits where D = 0.45, it gives 1.37628."


# 3.4: noise and smoothing


def _labels(share):
    return 1 - share, share


@exercise(
    "3.4",
    "the labels that flips amount to",
    solution=_labels,
    hints=(
        "Take one real image, seen a hundred times. How often is it called real, if a tenth of "
        "all labels is flipped? The mean of its labels is a.",
        "A flipped fake is called real: the mean label of a fake is the share itself.",
        "return 1 - share, share",
    ),
)
def judge_labels(answer):
    need_function(answer, "labels_like_flips")
    for share in (0.1, 0.25, 0.0):
        compare(
            as_array(call(answer, share), (2,), "The pair of labels"),
            np.array(_labels(share)),
            f"for a share of {share:g}",
            mistakes=[
                (np.array([1 - share, 0]), "Fakes are flipped, too."),
                (np.array([1, share]), "Real images are flipped, too."),
                (np.array([share, 1 - share]), "First the label of real images, then of fakes."),
                (
                    np.array([1 - share / 2, share / 2]),
                    "Each label is flipped with that probability, not one of two.",
                ),
                (
                    np.array([1 - 2 * share, 2 * share]),
                    "A flip takes a label from 1 to 0: the mean falls by the share, not by twice "
                    "as much.",
                ),
            ],
        )
    return "So flipping labels is, on average, smoothing on both sides."


# 3.5: calibration


def _calibration_error(answers, is_real):
    bins = np.minimum((answers * 10).astype(int), 9)
    error = 0.0
    for number in range(10):
        chosen = bins == number
        if chosen.any():
            gap = abs(answers[chosen].mean() - is_real[chosen].mean())
            error += chosen.mean() * gap
    return error


def _unweighted(answers, is_real):
    bins = np.minimum((answers * 10).astype(int), 9)
    return np.mean(
        [abs(answers[bins == n].mean() - is_real[bins == n].mean()) for n in np.unique(bins)]
    )


@exercise(
    "3.5",
    "the calibration error",
    solution=_calibration_error,
    hints=(
        "bins = np.minimum((answers * 10).astype(int), 9) tells for each answer the number of its "
        "bin, 0 to 9.",
        "In a bin: gap = abs(answers[chosen].mean() - is_real[chosen].mean()), with chosen = bins "
        "== number. Leave out bins that are empty.",
        "Weigh each gap with the share of answers in its bin, chosen.mean(), and add them up.",
    ),
)
def judge_calibration(answer):
    need_function(answer, "calibration_error")
    cases = {
        "answers of 0.05 (one in twenty real) and 0.95 (all real)": (
            np.repeat([0.05, 0.95], 20),
            np.repeat([0.0, 1.0], [19, 21]),
        ),
        "answers of 0.92, of which one in four is real, and a few others": (
            np.array([0.92, 0.92, 0.92, 0.92, 0.31, 0.35, 0.64, 1.0]),
            np.array([1.0, 0, 0, 0, 0, 1, 1, 1]),
        ),
    }
    for where, (answers, is_real) in cases.items():
        expected = _calibration_error(answers, is_real)
        signed = answers.mean() - is_real.mean()
        compare(
            as_array(call(answer, answers, is_real), (), "The error"),
            expected,
            f"for {where}",
            mistakes=[
                (
                    _unweighted(answers, is_real),
                    "Bins with many answers count more: weigh each gap with the share of answers "
                    "in its bin.",
                ),
                (
                    np.abs(answers - is_real).mean(),
                    "This is the mean distance of each answer from 0 or 1. Take the means of each "
                    "bin first, then their distance.",
                ),
                (abs(signed), "This looks at all answers together: there must be ten bins."),
                (signed, "This looks at all answers together: there must be ten bins."),
                (
                    len(answers) * expected,
                    "Weigh with the share of answers in a bin, not with their number.",
                ),
                (
                    np.mean((answers > 0.5) != (is_real > 0.5)),
                    "This is the share of wrong answers. A calibrated judge may be wrong, as often "
                    "as it says.",
                ),
            ],
        )
    return "0 means: of all images that get the answer 0.7, seven in ten are real."


# 3.3: an experiment, judged by what was measured

_ARRIVED, _HIGHEST = 0.5, 0.8


@exercise(
    "3.3",
    "a modest discriminator that teaches",
    solution=None,
    hints=(
        "What is the most that the best discriminator says, where everything is real? And the "
        "least, where everything is fake?",
        "Only one of the two labels has to change for the first wish. The other one decides "
        "whether fakes are shown a way.",
        "journey(real_label=0.7, fake_label=0)",
    ),
)
def judge_journey(answer):
    need_result(
        answer,
        {"ends_at", "highest_answer", "real_label", "fake_label", "steps"},
        of=("a journey", "journey"),
        hint="best = journey(real_label=..., fake_label=...)",
    )
    end, highest = measured(answer, "ends_at"), measured(answer, "highest_answer")
    expected = f"the end within {_ARRIVED} of 0, and no answer above {_HIGHEST}"
    came = f"the end at {end:.2f}, and answers up to {highest:.2f}"
    if measured(answer, "steps") != 600:
        raise NotYet(
            "The number of steps has changed.", expected, came, "Leave steps as it is: 600."
        )
    if math.isfinite(end) and abs(end) <= _ARRIVED and 0 <= highest <= _HIGHEST:
        return f"It ends at {end:.2f}, and the discriminator never said more than {highest:.2f}."
    if not abs(end) <= _ARRIVED and answer["fake_label"] > 0:
        hint = "A floor under D, the fakes' label, takes away the slope that fakes follow."
    elif highest > _HIGHEST:
        hint = "On what is real, D comes near the label of real numbers: make that smaller."
    else:
        hint = "Is journey as it was? With a fake label of 0 the generator arrives."
    raise NotYet("Not both yet.", expected, came, hint)
