"""Lesson 01, the vanilla GAN: the game, both losses, the generator's step, reading curves."""

import math

import keras
import numpy as np
import tensorflow as tf

from gan_course.exercises.checker import (
    NotYet,
    as_array,
    call,
    compare,
    exercise,
    need_function,
    prediction,
    short,
)

prediction(
    "1.a",
    "a discriminator that cannot tell",
    right="b",
    why="Where real and generated samples are equally dense, p = q, the best answer is "
    "p/(p+q) = 1/2, whatever the distribution looks like.",
    others={
        "a": "An output of 0 would mean: surely generated. Half of what it sees there is real.",
        "c": "The density does not matter, only its share: p/(p+q) is 1/2 wherever p = q.",
    },
)
prediction(
    "1.b",
    "the steeper loss",
    right="a",
    why="At the logit -3 the slopes have the sizes 1 - D = 0.953 and D = 0.047: a factor of e^3, "
    "about 20.",
    others={
        "b": "log(1 - D) is flat where D is near 0, just where the generator needs help.",
        "c": "Both pull in the same direction, but not equally hard.",
    },
)
prediction(
    "1.c",
    "three loops, one start",
    right="c",
    why="A tf.function changes where the arithmetic runs, not what is computed, up to rounding; "
    "the noise comes from the same seed and step.",
    others={
        "a": "The noise is random, but drawn from a seed and the step's number: the same in each.",
        "b": "Compiling does not skip anything: each is the same algorithm.",
    },
)
prediction(
    "1.d",
    "the discriminator's loss when digits look good",
    right="b",
    why="The discriminator keeps a small lead over a generator of this size.",
    others={
        "a": "A loss near 0 means that the discriminator classifies every image correctly: the "
        "generator has lost touch.",
        "c": "2 ln 2 exactly would need a perfect generator, or a discriminator that learns "
        "nothing.",
    },
)


# 1.1


def _optimal_discriminator(p, q):
    return p / (p + q)


@exercise(
    "1.1",
    "the optimal discriminator",
    solution=_optimal_discriminator,
    hints=(
        "At one point x, real samples come with density p and generated ones with density q. "
        "Which share of what arrives there is real?",
        "At a fixed x, find the D between 0 and 1 that makes p log D + q log(1 - D) largest: "
        "set its derivative p/D - q/(1 - D) to zero.",
        "return p / (p + q)",
    ),
)
def judge_optimal_discriminator(answer):
    need_function(answer, "optimal_discriminator")
    p, q = np.array([0.1, 0.3, 0.2, 0.0]), np.array([0.3, 0.1, 0.2, 0.4])
    came = as_array(call(answer, p, q), (4,), "The result")
    compare(
        came,
        p / (p + q),
        "for p = 0.1, 0.3, 0.2, 0 and q = 0.3, 0.1, 0.2, 0.4",
        mistakes=[
            (q / (p + q), "This is the share of generated samples: 1 - D."),
            (p / q, "This is the ratio p to q; a probability needs the share of the whole."),
            (p / (p + q) * 2, "Twice too much: where p = q the answer is 1/2."),
            (p, "This is the density of real samples alone; q matters too."),
            (p - q, "A difference of densities is no probability: it can be negative."),
            (np.full(4, 0.5), "1/2 holds only where p = q."),
            ((p > q).astype(float), "This is a hard yes or no; the answer is a probability."),
        ],
    )
    return "Where p = q it is 1/2; where only one density is not zero, it is 0 or 1."


# 1.2 and 1.3: losses on logits


_EPSILON = np.finfo(np.float32).eps  # what Keras clips probabilities with, after rounding
_REAL, _FAKE = np.array([[2.0], [0.5]]), np.array([[-1.0], [1.5]])


def _softplus(x):
    return np.logaddexp(0.0, x)


def _sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


def _as_tensors(*logits):
    return [tf.constant(values, tf.float32) for values in logits]


def _loss_value(answer, *logits):
    return as_array(call(answer, *_as_tensors(*logits)), (), "The loss")


def _ordinary_loss_value(answer, *logits):
    """The value at small logits, where every right formula gives a number."""
    value = _loss_value(answer, *logits)
    if np.isnan(value):
        raise NotYet(
            "The loss is not a number (nan).",
            hint="Is there a logarithm of something negative? Logits are not probabilities: they "
            "can be any number.",
        )
    return value


def _need_exact_far_out(answer, expected, *logits):
    """At logits of 1,000 a sigmoid in float32 is 0 or 1: infinite logarithms, or clipped ones."""
    value = _loss_value(answer, *logits)
    if not np.isclose(value, expected, rtol=1e-4, atol=1e-4):
        clipped = np.isfinite(value)
        raise NotYet(
            "Right for small logits, but not for large ones.",
            expected=f"{expected:g} at logits of 1,000 and -1,000",
            came=f"{value:g}",
            hint="Clipping keeps the loss finite, but leaves no gradient. Work on the logits: "
            "-log sigmoid(a) = softplus(-a) and -log(1 - sigmoid(a)) = softplus(a)."
            if clipped
            else "sigmoid rounds to 0 or 1 there and its log to minus infinity. tf.nn.softplus(a) "
            "is log(1 + exp(a)) computed safely: -log sigmoid(a) = softplus(-a) and "
            "-log(1 - sigmoid(a)) = softplus(a).",
        )


def _need_gradient(answer, *logits):
    """The loss must be made of TensorFlow operations, or nothing can learn from it."""
    tensors = _as_tensors(*logits)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = tf.convert_to_tensor(answer(*tensors))
        if value.dtype.is_floating:
            value = tf.reduce_sum(tf.cast(value, tf.float32))
    if any(gradient is None for gradient in tape.gradient(value, tensors)):
        raise NotYet(
            "The value is right, but no gradient flows back to the logits.",
            hint="Use TensorFlow's functions (tf.nn.softplus, tf.reduce_mean), not NumPy's, and "
            "no .numpy() or float().",
        )


def _discriminator_loss(real_logits, fake_logits):
    return tf.reduce_mean(tf.nn.softplus(-real_logits)) + tf.reduce_mean(
        tf.nn.softplus(fake_logits)
    )


@exercise(
    "1.2",
    "the discriminator's loss",
    solution=_discriminator_loss,
    hints=(
        "Two cross-entropies, added: one asks for 'real' on real images, one for 'generated' on "
        "generated ones.",
        "On logits: -log D = softplus(-logit), and -log(1 - D) = softplus(logit). Mean over "
        "each batch, then add.",
        "return tf.reduce_mean(tf.nn.softplus(-real_logits)) + "
        "tf.reduce_mean(tf.nn.softplus(fake_logits))",
    ),
)
def judge_discriminator_loss(answer):
    need_function(answer, "discriminator_loss")
    on_real, on_fake = _softplus(-_REAL).mean(), _softplus(_FAKE).mean()
    total = on_real + on_fake
    real_d, fake_d = _sigmoid(_REAL), _sigmoid(_FAKE)
    compare(
        _ordinary_loss_value(answer, _REAL, _FAKE),
        total,
        "for the real logits 2 and 0.5, and the fake logits -1 and 1.5",
        mistakes=[
            (-total, "The sign is flipped: a loss is minimized, so it is minus the log."),
            (
                _softplus(_REAL).mean() + _softplus(-_FAKE).mean(),
                "The labels are swapped: real is 1 and generated is 0.",
            ),
            (
                total / 2,
                "Half of it: the two means are added, so that 1/2 everywhere gives 2 ln 2.",
            ),
            (2 * total, "Twice too much: take the mean of each batch, not the sum."),
            (
                _softplus(-_REAL.mean()) + _softplus(_FAKE.mean()),
                "The mean is taken too early: first softplus of each logit, then the mean.",
            ),
            (on_real, "Only the real half is there: what about generated images?"),
            (on_fake, "Only the generated half is there: what about real images?"),
            (
                on_real + _softplus(-_FAKE).mean(),
                "On generated images the target is 0, not 1: softplus(+logit).",
            ),
            (
                _softplus(-real_d).mean() + _softplus(fake_d).mean(),
                "The sigmoid is taken twice: softplus already works on logits.",
            ),
            (
                -np.log(np.clip(_REAL, _EPSILON, 1)).mean()
                - np.log(np.clip(1 - _FAKE, _EPSILON, 1)).mean(),
                "Logits are not probabilities: from_logits=True is missing.",
            ),
        ],
    )
    _need_gradient(answer, _REAL, _FAKE)
    _need_exact_far_out(answer, 2000, [[-1000.0]], [[1000.0]])
    _need_exact_far_out(answer, 0, [[1000.0]], [[-1000.0]])
    return "At D = 1/2 it is 2 ln 2 = 1.38629, and it stays finite at logits of 1,000."


def _generator_loss(fake_logits):
    return tf.reduce_mean(tf.nn.softplus(-fake_logits))


@exercise(
    "1.3",
    "the generator's loss",
    solution=_generator_loss,
    hints=(
        "The non-saturating loss asks the discriminator to say 'real' about generated images.",
        "It is the mean of -log D(G(z)). On logits, -log D = softplus(-logit).",
        "return tf.reduce_mean(tf.nn.softplus(-fake_logits))",
    ),
)
def judge_generator_loss(answer):
    need_function(answer, "generator_loss")
    right = _softplus(-_FAKE).mean()
    compare(
        _ordinary_loss_value(answer, _FAKE),
        right,
        "for the fake logits -1 and 1.5",
        mistakes=[
            (
                -_softplus(_FAKE).mean(),
                "This is the saturating loss, log(1 - D): its slope is gone where D is near 0.",
            ),
            (
                _softplus(_FAKE).mean(),
                "This is the discriminator's half: the generator wants the opposite.",
            ),
            (
                _softplus(-_FAKE.mean()),
                "The mean is taken too early: first softplus of each logit, then the mean.",
            ),
            (-right, "The sign is flipped: minimizing this would make the images worse."),
            (2 * right, "Twice too much: take the mean over the batch, not the sum."),
            (
                _softplus(-_sigmoid(_FAKE)).mean(),
                "The sigmoid is taken twice: softplus works on logits.",
            ),
            (-_FAKE.mean(), "This is the Wasserstein loss of a later lesson: the log is missing."),
            (_sigmoid(_FAKE).mean(), "This is D itself; the loss is minus its logarithm."),
        ],
    )
    _need_gradient(answer, _FAKE)
    _need_exact_far_out(answer, 1000, [[-1000.0]])
    return "At D = 1/2 it is ln 2 = 0.69315, and its slope is strong where D is near 0."


# 1.4: the generator's half of a step, on networks small enough to know the result by hand


class _Probe(keras.layers.Layer):
    """Passes its input on and remembers whether it was called with training=True."""

    def build(self, input_shape):
        self.seen = []

    def call(self, inputs, training=None):
        self.seen.append(bool(training))
        return inputs


def _linear(weight, name):
    """x -> weight * x, as a Keras model, behind a probe."""
    layer = keras.layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(weight)
    )
    model = keras.Sequential([keras.Input((1,)), _Probe(), layer], name=name)
    model.layers[0].seen.clear()  # building the model was a call, too
    return model


def _generator_step(generator, discriminator, optimizer, latents):
    with tf.GradientTape() as tape:
        fake_images = generator(latents, training=True)
        loss = tf.reduce_mean(tf.nn.softplus(-discriminator(fake_images, training=True)))
    gradients = tape.gradient(loss, generator.trainable_variables)
    optimizer.apply(gradients, generator.trainable_variables)
    return loss


@exercise(
    "1.4",
    "the generator's half of a step",
    solution=_generator_step,
    hints=(
        "As in the discriminator's half: compute the loss inside the tape, then the gradients, "
        "then apply them. What differs is the loss and whose variables are changed.",
        "Inside the tape: fake_images = generator(latents, training=True), then the "
        "discriminator's logits on them, then generator_loss.",
        "After it: gradients = tape.gradient(loss, generator.trainable_variables), then "
        "optimizer.apply(gradients, generator.trainable_variables).",
    ),
)
def judge_generator_step(answer):
    need_function(answer, "generator_step")
    generator, discriminator = _linear(0.5, "generator"), _linear(2.0, "discriminator")
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(generator.trainable_variables)
    latents = np.array([[1.0], [-2.0]])
    loss = call(answer, generator, discriminator, optimizer, tf.constant(latents, tf.float32))

    # With G(z) = w z and D's logit 2 G(z), at w = 0.5 the logits are z themselves.
    logits = latents
    slope = (-2 * latents * _sigmoid(-logits)).mean()
    moved = float(generator.weights[0].numpy()[0, 0]) - 0.5
    judged = float(discriminator.weights[0].numpy()[0, 0]) - 2.0
    if not (generator.trainable and discriminator.trainable):
        raise NotYet(
            "A network was left frozen.",
            expected="both networks trainable",
            came="trainable = False",
            hint="Freezing is never needed: only the variables in the list are changed.",
        )
    if judged != 0:
        raise NotYet(
            "The discriminator's weights changed in the generator's half.",
            expected="discriminator unchanged",
            came=f"its weight moved by {judged:.4g}",
            hint="Take the gradients for generator.trainable_variables alone.",
        )
    if moved == 0:
        raise NotYet(
            "The generator did not change.",
            expected=f"its weight moves by {-0.1 * slope:.4g}",
            came="0",
            hint="Are the images made inside the tape, and are the gradients applied with "
            "optimizer.apply(gradients, generator.trainable_variables)?",
        )
    saturating = (-2 * latents * _sigmoid(logits)).mean()
    compare(
        moved,
        -0.1 * slope,
        "for the step of the generator's weight",
        mistakes=[
            (
                0.1 * (latents * _sigmoid(-0.5 * latents)).mean(),
                "The discriminator was not asked: the loss is a function of its logits.",
            ),
            (0.1 * slope, "The step goes the wrong way: uphill. Is the sign of the loss right?"),
            (-0.1 * saturating, "This is the step of the saturating loss, log(1 - D)."),
            (
                0.1 * saturating,
                "This is the discriminator's loss on generated images: its opposite is wanted.",
            ),
            (-0.2 * slope, "Twice too far: mean over the batch, and apply the gradients once."),
        ],
    )
    in_training = [*generator.layers[0].seen, *discriminator.layers[0].seen]
    if not all(in_training):
        raise NotYet(
            "Right, but not with every network.",
            expected="training=True in both calls",
            came=f"{in_training.count(False)} of {len(in_training)} calls without it",
            hint="Call generator(latents, training=True) and discriminator(images, training=True): "
            "BatchNorm and Dropout behave otherwise without it.",
        )
    returned = as_array(loss, (), "The returned loss")
    compare(returned, _softplus(-logits).mean(), "for the returned loss")
    return "The generator moved downhill, the discriminator stayed as it was."


# 1.5: reading curves

HIDDEN_RATES = {
    "A": {"generator_rate": 1e-3, "discriminator_rate": 1e-7},
    "B": {"generator_rate": 1e-3, "discriminator_rate": 1e-3},
    "C": {"generator_rate": 1e-1, "discriminator_rate": 1e-1},
    "D": {"generator_rate": 1e-5, "discriminator_rate": 1e-3},
}
_DIAGNOSES = {
    "A": (
        "behind",
        "In A the generator's loss is near 0 from the start while the discriminator's "
        "grows: the generator fools a judge that hardly learns.",
    ),
    "B": (
        "healthy",
        "In B, after the first epochs, the losses come back near their dotted lines and the "
        "accuracy is between 0.5 and 0.9: each keeps up with the other.",
    ),
    "C": (
        "too_high",
        "Look at the scale of C: losses in the tens and hundreds, jumping. Logits "
        "grow without bound when the steps are too long.",
    ),
    "D": (
        "wins",
        "In D the discriminator's loss is near 0 and its accuracy 1: it is right about "
        "everything, and the generator cannot follow.",
    ),
}


@exercise(
    "1.5",
    "four curves, four diagnoses",
    solution={letter: diagnosis for letter, (diagnosis, _) in _DIAGNOSES.items()},
    hints=(
        "Read the discriminator's accuracy first: near 1, near 0, or between?",
        "Two of the four have an accuracy that is not between: who is left behind in each?",
        "The remaining two differ in their scale: look at the numbers on the loss axis.",
    ),
)
def judge_diagnoses(answer):
    choices = sorted(diagnosis for diagnosis, _ in _DIAGNOSES.values())
    if not isinstance(answer, dict) or set(answer) != set(_DIAGNOSES):
        raise NotYet(
            "A dict with the four letters was expected.",
            expected="{'A': ..., 'B': ..., 'C': ..., 'D': ...}",
            came=short(answer, 80),
        )
    if any(choice is ... for choice in answer.values()):
        call(lambda: tuple(answer.values()))
    for letter, (diagnosis, look) in _DIAGNOSES.items():
        if not isinstance(answer[letter], str) or answer[letter] not in choices:
            raise NotYet(
                f"{short(answer[letter])} is none of the four diagnoses.",
                expected=", ".join(choices),
                came=short(answer[letter]),
            )
        if answer[letter] != diagnosis:
            raise NotYet(f"{letter} is not {answer[letter]!r}.", hint=look)
    return "All four. The accuracy tells who leads, the scale of the losses how wild it is."


# 1.6: an experiment, judged by what was measured


@exercise(
    "1.6",
    "mend the broken game",
    solution=None,
    hints=(
        "The discriminator learns ten times as fast as the generator. What could be made equal?",
        "You can slow the discriminator down, speed the generator up, or give the discriminator "
        "fewer hidden units.",
        "One of several cures: discriminator_rate=1e-4.",
    ),
)
def judge_mended_game(answer):
    logs = getattr(answer, "history", answer)
    if not isinstance(logs, dict) or not {"d_accuracy", "d_loss", "g_loss"} <= set(logs):
        raise NotYet(
            "The history of a run was expected, what play(...) returns.",
            came=short(answer, 80),
            hint="mended = play(discriminator_rate=...)",
        )
    if len(logs["d_loss"]) < 12:
        raise NotYet(
            "That run was too short to judge.",
            expected="12 epochs",
            came=f"{len(logs['d_loss'])}",
            hint="Leave epochs as it is: who wins shows only after a while.",
        )
    last = {name: float(np.mean(logs[name][-4:])) for name in ("d_accuracy", "d_loss", "g_loss")}
    came = ", ".join(f"{name} {value:.2f}" for name, value in last.items())
    expected = "accuracy between 0.55 and 0.9, and d_loss between 0.5 and 2 ln 2 = 1.39"
    if not all(math.isfinite(value) for value in last.values()):
        raise NotYet("The run ended in NaN or infinity.", expected, came, "Lower both rates.")
    accuracy, d_loss = last["d_accuracy"], last["d_loss"]
    if accuracy > 0.9:
        raise NotYet(
            "The discriminator still wins.",
            expected,
            came,
            "Bring the two learning rates closer together, or give the discriminator fewer units. "
            "A rate above 1e-2 is too high for either player: its steps overshoot.",
        )
    if accuracy < 0.2:
        raise NotYet(
            "Now the discriminator has it backwards.",
            expected,
            came,
            "It calls real images fake and fakes real: the generator moves faster than it can "
            "follow. Let it learn faster.",
        )
    if accuracy < 0.55:
        raise NotYet(
            "The discriminator cannot tell.",
            expected,
            came,
            "An accuracy near 1/2 has two meanings: perfect fakes, or a discriminator that cannot "
            "tell one from the other. After so short a game it is the second: it learns too slowly "
            "or has too few units.",
        )
    if not 0.5 <= d_loss <= 2 * math.log(2):
        hint = "Try a setting between this one and that of the broken game."
        raise NotYet("Close, but not balanced.", expected, came, hint)
    return f"A game that both can play: {came}."
