"""Right and wrong answers to the exercises of lesson 05, for test_exercises.py."""

import numpy as np
import tensorflow as tf

from gan_course.exercises import lesson05


def by_tape(theta, psi):
    """The moves by automatic differentiation."""
    weights = tf.Variable([theta, psi], dtype=tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        logit = weights[0] * weights[1]
        d_loss, g_loss = tf.nn.softplus(logit), tf.nn.softplus(-logit)
    return -tape.gradient(g_loss, weights)[0], -tape.gradient(d_loss, weights)[1]


def moves(theta, psi):
    return np.array(lesson05._moves(theta, psi))


def with_r1(pull):
    """The moves plus something on the discriminator's."""
    return lambda theta, psi, gamma: moves(theta, psi) + np.array([0, pull(theta, psi, gamma)])


def minimax_moves(theta, psi):
    D = 1 / (1 + np.exp(-psi * theta))
    return psi * D, -theta * D


def penalty(norm=None, cost=None, mix=None, weigh=True, mean=tf.reduce_mean):
    """The gradient penalty with one thing changed."""
    mix = mix or (lambda real, fake, alpha: alpha * real + (1 - alpha) * fake)
    norm = norm or (lambda slopes: tf.norm(slopes, axis=1))
    cost = cost or (lambda norms: (norms - 1) ** 2)

    def answer(critic, real, fake, alpha, weight):
        points = tf.Variable(mix(real, fake, alpha))
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(critic(points))
        found = mean(cost(norm(tape.gradient(total, points))))
        return weight * found if weigh else found

    return answer


def unwatched(critic, real, fake, alpha, weight):
    between = alpha * real + (1 - alpha) * fake
    with tf.GradientTape() as tape:
        scores = critic(between)
    return tf.norm(tape.gradient(scores, between), axis=1)


def run(distance, *problems, steps=600):
    """What the lesson's rescue returns."""
    return {"distance": distance, "problems": list(problems), "steps": steps}


RIGHT = {
    "5.1": [by_tape, lambda theta, psi: [psi / (1 + np.exp(psi * theta)), moves(theta, psi)[1]]],
    "5.2": [with_r1(lambda theta, psi, gamma: -gamma * psi)],
    "5.3": [0.95, np.float32(1.0), tf.constant(1.02)],
    "5.4": [penalty(), penalty(mix=lambda real, fake, alpha: fake + alpha * (real - fake))],
    "5.5": [run(12.0), run(np.float32(29.0))],
}

WRONG = {
    "5.1": [
        (lambda theta, psi: -moves(theta, psi), "Both players go down"),
        (lambda theta, psi: moves(theta, psi) * [-1, 1], "The generator goes down"),
        (lambda theta, psi: moves(theta, psi) * [1, -1], "The discriminator goes down"),
        (lambda theta, psi: moves(theta, psi)[::-1], "First the generator's"),
        (minimax_moves, "minimax game"),
        (lambda theta, psi: moves(theta, psi) / [psi, theta], "chain rule"),
        (lambda theta, psi: psi, "return ..., ..."),
    ],
    "5.2": [
        (with_r1(lambda theta, psi, gamma: 0.0), "penalty is missing"),
        (with_r1(lambda theta, psi, gamma: gamma * psi), "A move goes down"),
        (with_r1(lambda theta, psi, gamma: -gamma / 2 * psi), "psi ** 2 / 2 is psi"),
        (with_r1(lambda theta, psi, gamma: -gamma / 2 * psi**2), "not its value"),
        (with_r1(lambda theta, psi, gamma: -gamma * theta), "wherever x is"),
        (with_r1(lambda theta, psi, gamma: -gamma * psi / 16), "not that of its sigmoid"),
        (
            lambda theta, psi, gamma: moves(theta, psi) - gamma * np.array([theta, psi]),
            "does not pay",
        ),
        (lambda theta, psi, gamma: moves(theta, psi) - gamma * psi, "does not pay"),
    ],
    "5.3": [
        (0.3, "still swings"),
        (3.0, "creeps"),
        (25.0, "too far"),
        (-1.0, "Try one below"),
        ("one", "Try one below"),
    ],
    "5.4": [
        (penalty(weigh=False), "weight is missing"),
        (penalty(mean=tf.reduce_sum), "its sum"),
        (penalty(mix=lambda real, fake, alpha: (1 - alpha) * real + alpha * fake), "alpha belongs"),
        (penalty(mix=lambda real, fake, alpha: 1.0 * real), "slopes at real"),
        (penalty(mix=lambda real, fake, alpha: 1.0 * fake), "slopes at fakes"),
        (penalty(cost=lambda norms: norms**2), "squared slope"),
        (penalty(norm=lambda slopes: tf.reduce_sum(slopes**2, axis=1)), "root is missing"),
        (penalty(cost=lambda norms: tf.nn.relu(norms - 1) ** 2), "two sides"),
        (penalty(cost=lambda norms: tf.abs(norms - 1)), "Square the distance"),
        (penalty(norm=lambda slopes: tf.norm(slopes / 2, axis=1)), "scores themselves"),
        (unwatched, "tape.watch"),
    ],
    "5.5": [
        (run(12.0, "the losses swing"), "What does the report say"),
        (run(900.0), "too strong"),
        (run(12.0, steps=6000), "Leave steps"),
        (80.0, "mended = rescue"),
    ],
}
