"""Lesson 05, stabilizing: the smallest GAN there is, gradients that vanish, and penalties."""

import math

import numpy as np
import tensorflow as tf
from scipy.special import expit

from gan_course.exercises.checker import (
    NotYet,
    as_array,
    as_numbers,
    call,
    compare,
    exercise,
    measured,
    need_function,
    need_result,
    prediction,
    short,
)

prediction(
    "5.a",
    "both players at once",
    right="c",
    why="A step along the tangent of a circle always ends a little outside of it, so the players "
    "spiral outwards.",
    others={
        "a": "They would have to move towards (0, 0), but each arrow is at a right angle to that.",
        "b": "So it is for infinitely small steps. A step of finite length leaves the circle.",
    },
)
prediction(
    "5.b",
    "two lines that move apart",
    right="b",
    why="Two lines never overlap, whether they are near or far: the divergence is log 2 for every "
    "distance but 0, and a constant has no slope.",
    others={
        "a": "The Wasserstein distance does grow with the gap; this divergence does not.",
        "c": "Less overlap would make it larger, not smaller. Here there is none at any gap, so it "
        "stays at its largest value.",
    },
)
prediction(
    "5.c",
    "which method slows a step most",
    right="c",
    why="The slope for an image needs one pass backwards, and the gradient of that slope one more, "
    "through both. For two kinds of images that is at least twice as much.",
    others={
        "a": "Clipping only touches the weights, once a step: no pass through the network.",
        "b": "Power iteration works on kernels, not on images: a larger batch costs no more.",
    },
)
prediction(
    "5.d",
    "five steps of the discriminator, or one",
    right="c",
    why="With five, a step of both takes about three times as long, so the generator learns less "
    "often. The penalty keeps the slope in bounds whether the discriminator is far ahead or not.",
    others={
        "a": "Each step of the generator then follows a better critic, but there are far fewer of "
        "them in the same time.",
        "b": "Look at the two lines of the table: one step at its best rate has 6.8, five have "
        "16.4.",
    },
)


# 5.1: the smallest GAN


def _moves(theta, psi):
    """Steps down the gradients of softplus(psi theta) and, for the generator, softplus(-...)."""
    D = expit(psi * theta)
    return psi * (1 - D), -theta * D


@exercise(
    "5.1",
    "the moves of the smallest GAN",
    solution=_moves,
    hints=(
        "The fake's logit is psi * theta. The derivative of softplus(a) is sigmoid(a), that of "
        "softplus(-a) is -sigmoid(-a) = -(1 - sigmoid(a)). Then the chain rule.",
        "A move goes down: minus the derivative. For the generator d/dtheta of softplus(-psi * "
        "theta), for the discriminator d/dpsi of softplus(psi * theta).",
        "D = 1 / (1 + np.exp(-psi * theta)); return psi * (1 - D), -theta * D",
    ),
)
def judge_moves(answer):
    need_function(answer, "moves")
    for theta, psi in ((0.5, 2.0), (1.0, -1.0), (-2.0, 0.3)):
        pair = as_numbers(call(answer, theta, psi), "The moves")
        if pair.shape != (2,):
            raise NotYet(
                "Two moves were expected.",
                expected="a pair: the generator's and the discriminator's",
                came=short(pair, 80),
                hint="return ..., ...",
            )
        g, d = _moves(theta, psi)
        D = expit(psi * theta)
        compare(
            pair,
            np.array([g, d]),
            f"at theta = {theta:g}, psi = {psi:g}",
            mistakes=[
                (np.array([-g, -d]), "Both players go down their loss: minus the derivative."),
                (np.array([-g, d]), "The generator goes down its loss: minus the derivative."),
                (np.array([g, -d]), "The discriminator goes down its loss: minus the derivative."),
                (np.array([d, g]), "First the generator's move, then the discriminator's."),
                (
                    np.array([psi * D, d]),
                    "That is the generator of the minimax game: here its loss is softplus(-psi "
                    "theta), whose derivative holds 1 - D.",
                ),
                (
                    np.array([1 - D, -D]),
                    "The chain rule: the logit is psi * theta, so its derivative in theta is psi.",
                ),
                (
                    np.array([theta * (1 - D), -psi * D]),
                    "The derivative of psi * theta in theta is psi, and in psi it is theta.",
                ),
            ],
        )
    return "Two numbers, two moves: a GAN that fits on a page."


# 5.2: R1 in it


def _moves_with_r1(theta, psi, gamma):
    g, d = _moves(theta, psi)
    return g, d - gamma * psi


@exercise(
    "5.2",
    "the same game with R1",
    solution=_moves_with_r1,
    hints=(
        "What is the slope of the discriminator psi * x, as a function of x? R1 is gamma / 2 times "
        "its square.",
        "The penalty is gamma / 2 * psi ** 2, and only the discriminator minimizes it.",
        "g, d = moves(theta, psi); return g, d - gamma * psi",
    ),
)
def judge_r1(answer):
    need_function(answer, "moves_with_r1")
    for theta, psi, gamma in ((0.5, 2.0, 1.0), (1.0, -1.0, 0.3)):
        g, d = _moves(theta, psi)
        compare(
            as_array(call(answer, theta, psi, gamma), (2,), "The moves"),
            np.array(_moves_with_r1(theta, psi, gamma)),
            f"at theta = {theta:g}, psi = {psi:g}, gamma = {gamma:g}",
            mistakes=[
                (np.array([g, d]), "The penalty is missing."),
                (np.array([g, d + gamma * psi]), "A move goes down: minus gamma * psi."),
                (np.array([g, d - gamma / 2 * psi]), "The derivative of psi ** 2 / 2 is psi."),
                (np.array([g, d - 2 * gamma * psi]), "The derivative of psi ** 2 / 2 is psi."),
                (
                    np.array([g, d - gamma / 2 * psi**2]),
                    "Take the penalty's derivative in psi, not its value.",
                ),
                (
                    np.array([g, d - gamma * psi / 16]),
                    "Take the slope of the logit, psi * x, not that of its sigmoid.",
                ),
                (
                    np.array([g, d - gamma * theta]),
                    "The slope of psi * x in x is psi, wherever x is.",
                ),
                *(
                    (
                        np.array([g - pull, d - gamma * psi]),
                        "The generator does not pay the penalty.",
                    )
                    for pull in (gamma * theta, gamma * psi)
                ),
                (
                    np.array([g - gamma * psi, d]),
                    "It is the discriminator that minimizes the penalty.",
                ),
            ],
        )
    return "The penalty pulls psi to 0, as friction does with a pendulum."


# 5.3: an experiment, judged by what was measured


def _distance_after(gamma, steps=100):
    theta, psi = 1.0, -1.0
    for _ in range(steps):
        g, d = _moves_with_r1(theta, psi, gamma)
        theta, psi = theta + 0.1 * g, psi + 0.1 * d
    return math.hypot(theta, psi)


@exercise(
    "5.3",
    "the right amount of friction",
    solution=None,
    hints=(
        "Try one below 0.3, and some above. With too little it still swings, with too much it "
        "creeps.",
        "The eigenvalues are -gamma / 2 ± sqrt(gamma ** 2 / 4 - 1 / 4). The slower one decides: "
        "where is its real part smallest?",
        "At gamma = 1 the root is 0, and both are -1/2. best_gamma = 1.0",
    ),
)
def judge_gamma(answer):
    gamma = float(as_array(answer, (), "gamma"))
    if not math.isfinite(gamma) or gamma < 0:
        raise NotYet("gamma must be a number of at least 0.", came=f"{gamma:g}")
    found = _distance_after(gamma)
    expected = "a distance below 0.02 after 100 steps"
    came = f"{found:.3g}, with gamma = {gamma:g}"
    if not found < 0.02:
        if gamma < 1:
            hint = "It still swings: more friction."
        elif gamma < 20:
            hint = "It creeps: less friction, so that the generator feels a slope for longer."
        else:
            hint = "Too much friction for steps of this length: each one goes too far."
        raise NotYet("Not near enough.", expected, came, hint)
    return f"{found:.1e} from rest after 100 steps, at gamma = {gamma:g}."


# 5.4: the gradient penalty


def _slopes(critic, real, fake, alpha):
    """The critic's gradient at points between real and fake ones, (batch, 2)."""
    between = alpha * real + (1 - alpha) * fake
    with tf.GradientTape() as tape:
        tape.watch(between)
        scores = critic(between)
    return tape.gradient(scores, between)


def _gradient_penalty(critic, real, fake, alpha, weight):
    slopes = _slopes(critic, real, fake, alpha)
    norms = tf.sqrt(tf.reduce_sum(tf.square(slopes), axis=1))
    return weight * tf.reduce_mean(tf.square(norms - 1))


@exercise(
    "5.4",
    "the gradient penalty",
    solution=_gradient_penalty,
    hints=(
        "Mix: between = alpha * real + (1 - alpha) * fake. A tape records constants only if told "
        "so: tape.watch(between), before the critic is called.",
        "slopes = tape.gradient(scores, between) has the shape of between. The norm of each row: "
        "tf.sqrt(tf.reduce_sum(tf.square(slopes), axis=1)).",
        "return weight * tf.reduce_mean(tf.square(norms - 1))",
    ),
)
def judge_gradient_penalty(answer):
    need_function(answer, "gradient_penalty")
    direction = tf.constant([[3.0], [4.0]])
    real, fake = tf.constant([[1.0, 0.0], [0.0, 2.0]]), tf.constant([[-1.0, 1.0], [4.0, 0.0]])
    alpha = tf.constant([[0.25], [0.75]])
    critics = {
        "the critic 3 x + 4 y, whose slope is 5 everywhere": lambda x: x @ direction,
        "the critic (x^2 + y^2) / 2, whose slope is the place itself": lambda x: (
            tf.reduce_sum(x * x, axis=1, keepdims=True) / 2
        ),
    }
    for where, critic in critics.items():
        came = call(answer, critic, real, fake, alpha, 10.0)
        expected = float(_gradient_penalty(critic, real, fake, alpha, 10.0))
        at = {
            name: float(_gradient_penalty(critic, one, other, alpha, 10.0))
            for name, one, other in (
                ("exchanged", fake, real),
                ("real", real, real),
                ("fake", fake, fake),
            )
        }
        compare(
            as_array(came, (), "The penalty"),
            expected,
            f"for {where}",
            mistakes=[
                (expected / 10, "The weight is missing."),
                (2 * expected, "The mean over the batch is missing: this is its sum."),
                (at["exchanged"], "alpha belongs to the real samples, 1 - alpha to the fakes."),
                (at["real"], "These are slopes at real samples: that would be another penalty."),
                (at["fake"], "These are slopes at fakes: mix them with the real samples."),
                *_wrong_norms(critic, real, fake, alpha),
            ],
        )
    return (
        "For a straight critic with the slope s it is 10 (s - 1)^2: it wants a slope of 1, no more "
        "and no less."
    )


def _wrong_norms(critic, real, fake, alpha):
    slopes = _slopes(critic, real, fake, alpha).numpy()
    squares = (slopes**2).sum(axis=1)
    return [
        (10 * np.mean(squares), "That is the squared slope. Its norm should be 1: (norm - 1)^2."),
        (10 * np.mean((squares - 1) ** 2), "The root is missing: this is the squared norm."),
        (10 * np.mean((slopes - 1) ** 2), "Take the norm of each row of slopes first."),
        (10 * np.mean(np.abs(np.sqrt(squares) - 1)), "Square the distance from 1."),
        (
            10 * np.mean((np.sqrt(squares) / len(slopes) - 1) ** 2),
            "This is the slope of the mean of the scores: give the tape the scores themselves.",
        ),
        (
            10 * (np.sqrt((slopes**2).sum()) - 1) ** 2,
            "This is one norm of all slopes together: each sample has its own, axis=1.",
        ),
        (
            10 * np.mean(np.maximum(np.sqrt(squares) - 1, 0) ** 2),
            "Slopes below 1 count, too: this penalty has two sides.",
        ),
    ]


# 5.5: mend a run


@exercise(
    "5.5",
    "mend a run",
    solution=None,
    hints=(
        "What does the report say? The last line of each finding tells what to try.",
        "Begin with the loss, which has lost its slope; then slow the discriminator down, or add a "
        "penalty.",
        'mended = rescue(loss="non_saturating", d_rate=1e-3)',
    ),
)
def judge_rescue(answer):
    need_result(
        answer,
        {"distance", "problems", "steps"},
        of=("a run", "rescue"),
        hint="mended = rescue(loss=..., d_rate=...)",
    )
    distance, problems = measured(answer, "distance"), list(answer["problems"])
    expected = "no problem found, and a distance below 30"
    came = f"{', '.join(problems) or 'no problem found'}, and a distance of {distance:.0f}"
    if measured(answer, "steps") != 600:
        raise NotYet("The number of steps has changed.", expected, came, "Leave steps as it is.")
    if problems:
        raise NotYet("The monitor still finds something.", expected, came)
    if not 0 <= distance < 30:
        raise NotYet(
            "Healthy, but it learns too little.",
            expected,
            came,
            "The discriminator may still learn too fast, the penalty be too strong, or a rate too "
            "low.",
        )
    return f"Healthy, with a distance of {distance:.0f}."
