"""The exercises: right answers pass however they are written, wrong ones are told why."""

import json
import math
import re
import signal
import sys
import time

import answers_02
import answers_03
import answers_04
import answers_05
import answers_06
import answers_07
import answers_08
import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_course import exercises
from gan_course.exercises import checker, lesson01

softplus, mean = tf.nn.softplus, tf.reduce_mean


# Answers to 1.4, which are too long for one line each


def step_with_keras_bce(generator, discriminator, optimizer, latents):
    """The same, written with Keras' cross-entropy and apply_gradients."""
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        logits = discriminator(generator(latents, training=True), training=True)
        loss = bce(tf.ones_like(logits), logits)
    weights = generator.trainable_weights
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    return float(loss)


def step_for(
    loss_of_logits,
    watched="generator",
    training=True,
    outside=False,
    apply=True,
    own_optimizer=False,
):
    """A generator's step with one thing changed."""

    def step(generator, discriminator, optimizer, latents):
        images = generator(latents, training=training)
        with tf.GradientTape(persistent=True) as tape:
            if not outside:
                images = generator(latents, training=training)
            loss = loss_of_logits(discriminator(images, training=training))
        variables = {
            "generator": generator.trainable_variables,
            "discriminator": discriminator.trainable_variables,
            "both": generator.trainable_variables + discriminator.trainable_variables,
        }[watched]
        if own_optimizer:
            optimizer = keras.optimizers.SGD(0.1)
        if apply:
            optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


def step_without_discriminator(generator, discriminator, optimizer, latents):
    with tf.GradientTape() as tape:
        loss = mean(softplus(-generator(latents, training=True)))
    gradients = tape.gradient(loss, generator.trainable_variables)
    optimizer.apply(gradients, generator.trainable_variables)
    return loss


def step_that_freezes(generator, discriminator, optimizer, latents):
    discriminator.trainable = False
    return lesson01._generator_step(generator, discriminator, optimizer, latents)


def step_with_predict(generator, discriminator, optimizer, latents):
    with tf.GradientTape() as tape:
        loss = mean(softplus(-discriminator(generator.predict(latents), training=True)))
    gradients = tape.gradient(loss, generator.trainable_variables)
    optimizer.apply(gradients, generator.trainable_variables)
    return loss


def step_returning_nothing(generator, discriminator, optimizer, latents):
    lesson01._generator_step(generator, discriminator, optimizer, latents)


HISTORY = {"d_accuracy": [0.7] * 12, "d_loss": [1.0] * 12, "g_loss": [1.1] * 12}


def history(**last):
    """A run that ends with these values."""
    return {name: [1.0] * 8 + [last.get(name, HISTORY[name][-1])] * 4 for name in HISTORY}


RIGHT = {
    "0.1": [
        lambda pixels: (pixels - 127.5) / 127.5,
        lambda pixels: 2 * pixels / 255 - 1,
        lambda pixels: [2 * float(p) / 255 - 1 for p in pixels],
        lambda pixels: keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels),
    ],
    "1.1": [
        lambda p, q: 1 / (1 + q / np.maximum(p, 1e-300)),
        lambda p, q: tf.constant(p) / tf.constant(p + q),
        lambda p, q: [a / (a + b) for a, b in zip(p, q, strict=True)],
    ],
    "1.2": [
        lambda real, fake: (
            keras.losses.BinaryCrossentropy(from_logits=True)(tf.ones_like(real), real)
            + keras.losses.BinaryCrossentropy(from_logits=True)(tf.zeros_like(fake), fake)
        ),
        lambda real, fake: mean(softplus(-real) + softplus(fake)),
        lambda real, fake: -mean(tf.math.log_sigmoid(real)) - mean(tf.math.log_sigmoid(-fake)),
    ],
    "1.3": [
        lambda fake: mean(
            tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.ones_like(fake), logits=fake)
        ),
        lambda logits: tf.reduce_sum(softplus(-logits)) / len(logits),
    ],
    "1.4": [step_with_keras_bce],
    "1.5": [dict(D="wins", C="too_high", B="healthy", A="behind")],
    "1.6": [
        history(),
        keras.callbacks.History(),  # its .history is filled in below
        history(d_accuracy=0.85, d_loss=0.8, g_loss=0.9),
    ],
}
RIGHT["1.6"][1].history = HISTORY

# exercise -> wrong answers and a part of the hint that each must get
WRONG = {
    "0.1": [
        (lambda pixels: pixels / 255, "range [0, 1]"),
        (lambda pixels: pixels / 127.5, "subtract 1"),
        (lambda pixels: pixels / 128 - 1, "127.5, not 128"),
        (lambda pixels: 1 - pixels / 127.5, "Upside down"),
        (lambda pixels: pixels // 127.5 - 1, "// cuts"),
    ],
    "1.1": [
        (lambda p, q: q / (p + q), "share of generated"),
        (lambda p, q: p / np.maximum(q, 1e-9), "ratio p to q"),
        (lambda p, q: p, "density of real samples alone"),
        (lambda p, q: 0.5 + 0 * p, "only where p = q"),
        (lambda p, q: 0.5, "Which share"),
        (lambda p, q: p - q, "difference of densities"),
    ],
    "1.2": [
        (lambda real, fake: -mean(softplus(-real)) - mean(softplus(fake)), "sign is flipped"),
        (lambda real, fake: mean(softplus(real)) + mean(softplus(-fake)), "labels are swapped"),
        (lambda real, fake: (mean(softplus(-real)) + mean(softplus(fake))) / 2, "Half of it"),
        (lambda real, fake: mean(softplus(-real)), "Only the real half"),
        (
            lambda real, fake: (
                -mean(tf.math.log(tf.exp(real) / (1 + tf.exp(real))))
                - mean(tf.math.log(1 - tf.exp(fake) / (1 + tf.exp(fake))))
            ),
            "sigmoid rounds",
        ),
        (lambda real, fake: softplus(-mean(real)) + softplus(mean(fake)), "taken too early"),
        (lambda real, fake: mean(softplus(-real)) + mean(softplus(-fake)), "target is 0, not 1"),
        (lambda real, fake: softplus(-real) + softplus(fake), "mean over the batch"),
        (
            lambda real, fake: (
                -mean(tf.math.log(tf.sigmoid(real))) - mean(tf.math.log(1 - tf.sigmoid(fake)))
            ),
            "sigmoid rounds to 0 or 1",
        ),
        (
            lambda real, fake: (
                np.logaddexp(0, -real.numpy()).mean() + np.logaddexp(0, fake.numpy()).mean()
            ),
            "Use TensorFlow's functions",
        ),
        (
            lambda real, fake: (
                -mean(tf.math.log(tf.sigmoid(real) + 1e-7))
                - mean(tf.math.log(1 - tf.sigmoid(fake) + 1e-7))
            ),
            "Clipping keeps the loss finite",
        ),
        (
            lambda real, fake: (
                keras.losses.BinaryCrossentropy()(tf.ones_like(real), real)
                + keras.losses.BinaryCrossentropy()(tf.zeros_like(fake), fake)
            ),
            "from_logits=True",
        ),
    ],
    "1.3": [
        (lambda fake: -mean(softplus(fake)), "saturating loss"),
        (lambda fake: mean(softplus(fake)), "discriminator's half"),
        (lambda fake: -mean(softplus(-fake)), "sign is flipped"),
        (lambda fake: tf.reduce_sum(softplus(-fake)), "mean over the batch, not the sum"),
        (lambda fake: softplus(-fake), "mean over the batch"),
        (lambda fake: -mean(tf.math.log(tf.sigmoid(fake))), "sigmoid rounds"),
        (lambda fake: -mean(fake), "Wasserstein"),
        (lambda fake: -mean(tf.math.log(fake)), "Logits are not probabilities"),
        (lambda fake: softplus(-mean(fake)), "mean is taken too early"),
        (
            lambda fake: -mean(tf.math.log(tf.clip_by_value(tf.sigmoid(fake), 1e-7, 1.0))),
            "Clipping keeps the loss finite",
        ),
    ],
    "1.4": [
        (step_for(lambda a: mean(softplus(-a)), watched="both"), "trainable_variables alone"),
        (step_for(lambda a: mean(softplus(-a)), watched="discriminator"), "alone"),
        (
            step_for(lambda a: mean(softplus(-a)), watched="both", own_optimizer=True),
            "variables alone",
        ),
        (step_for(lambda a: -mean(softplus(-a))), "uphill"),
        (step_for(lambda a: -mean(softplus(a))), "saturating"),
        (step_for(lambda a: mean(softplus(a))), "discriminator's loss"),
        (step_for(lambda a: mean(softplus(-a)), outside=True), "inside the tape"),
        (step_for(lambda a: mean(softplus(-a)), apply=False), "optimizer.apply"),
        (step_for(lambda a: tf.reduce_sum(softplus(-a))), "Twice too far"),
        (step_for(lambda a: mean(softplus(-a)), training=False), "training=True"),
        (step_returning_nothing, "return"),
        (step_without_discriminator, "discriminator was not asked"),
        (step_that_freezes, "Freezing is never needed"),
        (step_with_predict, "cut the gradient"),
    ],
    "1.5": [
        (dict(A="wins", B="healthy", C="too_high", D="behind"), "In A the generator's loss"),
        (dict(A="behind", B="too_high", C="healthy", D="wins"), "In B, after the first epochs"),
        (dict(A="behind", B="healthy", C="wins", D="too_high"), "scale of C"),
        (dict(A="behind", B="healthy", C="too_high", D="dead"), "Read the discriminator's"),
        (dict(A="behind"), "Read the discriminator's"),
        (["behind", "healthy", "too_high", "wins"], "Read the discriminator's"),
    ],
    "1.6": [
        (history(d_accuracy=0.99, d_loss=0.1, g_loss=5.0), "closer together"),
        (history(d_accuracy=0.5, d_loss=3.4, g_loss=0.04), "two meanings"),
        (history(d_accuracy=0.0, d_loss=8.0, g_loss=0.0), "Let it learn faster"),
        (history(d_loss=math.nan), "Lower both rates"),
        (history(d_accuracy=0.5, d_loss=1.27, g_loss=0.6), "two meanings"),
        (history(d_accuracy=0.7, d_loss=1.5), "between this one"),
        ({name: values[:2] for name, values in HISTORY.items()}, "Leave epochs"),
        (1e-4, "play("),
    ],
}
for answers in (
    answers_02,
    answers_03,
    answers_04,
    answers_05,
    answers_06,
    answers_07,
    answers_08,
):
    RIGHT |= answers.RIGHT
    WRONG |= answers.WRONG
NUMBERED = sorted(id for id, entry in checker._REGISTRY.items() if not entry.is_prediction)
PREDICTIONS = sorted(id for id, entry in checker._REGISTRY.items() if entry.is_prediction)


def judge(id, answer):
    return exercises.check(id, answer)


def test_every_exercise_is_tested_with_right_and_wrong_answers():
    assert set(RIGHT) == set(WRONG) == set(NUMBERED)
    assert all(len(wrong) >= 3 for wrong in WRONG.values())


# Those that are judged by what a learner's run has measured
EXPERIMENTS = ("1.6", "2.4", "3.3", "4.4", "5.3", "5.5", "7.5", "8.5")


@pytest.mark.parametrize("id", [id for id in NUMBERED if id not in EXPERIMENTS])
def test_the_courses_own_answer_is_right_and_the_blank_is_not_done(id):
    assert judge(id, checker._find(id).solution).status == "right"
    assert judge(id, ...).status == "todo"


@pytest.mark.parametrize(("id", "answer"), [(id, x) for id in RIGHT for x in RIGHT[id]])
def test_right_answers_written_otherwise(id, answer):
    assert judge(id, answer).status == "right"


@pytest.mark.parametrize(
    ("id", "answer", "hint"), [(id, *pair) for id in WRONG for pair in WRONG[id]]
)
def test_wrong_answers_get_their_hint(id, answer, hint, capsys):
    result = judge(id, answer)
    assert result.status == "wrong"
    assert hint in result.hint
    box = capsys.readouterr().out
    assert "not yet" in box and result.hint in box and "Traceback" not in box


@pytest.mark.parametrize("id", [id for id in NUMBERED if callable(checker._find(id).solution)])
def test_a_function_that_returns_its_blank_is_not_done(id):
    assert judge(id, lambda *arguments: ...).status == "todo"


def test_a_blank_inside_a_formula_is_not_done():
    assert judge("3.2", lambda real, fake, a, b: ... + ...).status == "todo"
    assert judge("3.2", lambda real, fake, a, b: tf.reduce_mean(...)).status == "todo"


def with_a_blank_in_a_list(latents, labels, classes):
    return np.concatenate([latents, ...], axis=1)


def with_a_blank_that_does_nothing(rng, shape, threshold):
    draws = rng.normal(size=shape)
    ...
    return draws


def with_an_index(latents, labels, classes):
    return latents[..., :2]


def test_a_function_that_still_holds_the_blank_is_not_done():
    assert judge("7.1", with_a_blank_in_a_list).status == "todo"
    assert judge("7.4", with_a_blank_that_does_nothing).status == "todo"
    assert judge("7.1", with_an_index).status == "wrong"


def test_the_blanks_of_diagnoses_and_experiments():
    for id in ("1.5", "6.5"):
        assert judge(id, {letter: ... for letter in "ABCD"}).status == "todo"
    assert all(judge(id, ...).status == "todo" for id in EXPERIMENTS)


@pytest.mark.parametrize("id", PREDICTIONS)
def test_predictions(id):
    right = checker._find(id).solution
    assert judge(id, ...).status == "todo"
    assert judge(id, right).status == judge(id, right.upper() + " ").status == "right"
    for other in {"a", "b", "c"} - {right}:
        result = judge(id, other)
        assert result.status == "wrong" and right in result.message and len(result.hint) > 20
    assert judge(id, "z").status == judge(id, 1).status == "wrong"


# Answers that misbehave


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (lambda logits: 1 / 0, "ZeroDivisionError", ""),
        (lambda: 1, "TypeError", "Keep the arguments"),
        (lambda logits: undefined_name, "NameError", "spelled right"),  # noqa: F821
        (lambda logits: exit(), "SystemExit", "exit()"),
        (lambda logits: None, "gave None", "return"),
        (lambda logits: "high", "must be numbers", "asks the discriminator"),
        (lambda logits: tf.ones((3, 3)), "wrong shape", "mean over the batch"),
        (lambda logits: [1, [2]], "must be numbers", "asks the discriminator"),
        (lambda logits: float("nan"), "not a number", "Logits are not probabilities"),
        (3.0, "A function was expected", "without brackets"),
        (None, "A function was expected", "without brackets"),
    ],
)
def test_misbehaving_answers_get_a_box(answer, message, hint, capsys):
    result = judge("1.3", answer)
    assert result.status == "wrong" and message in result.message and hint in result.hint
    assert "Traceback" not in capsys.readouterr().out


class Equal:
    """Says that it is equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = None


class Unprintable(BaseException):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


def raises(error):
    raise error


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        ("0.1", lambda pixels: pixels / 127.5 - 1 + 1j),
        ("0.1", lambda pixels: (pixels / 127.5 - 1).astype(str)),
        ("0.1", lambda pixels: (pixels / 127.5 - 1).astype(str).astype(object)),
        ("0.1", lambda pixels: np.ma.array(pixels / 127.5 - 1, mask=True)),
        ("4.3", lambda samples, m: np.concatenate(np.split(samples, m), axis=-1) + 1j),
        ("1.5", dict.fromkeys("ABCD", Equal())),
        ("6.5", dict.fromkeys("ABCD", Equal())),
        ("2.4", {**answers_02.RIGHT["2.4"][0], "steps": Equal()}),
        ("5.5", {**answers_05.RIGHT["5.5"][0], "distance": -math.inf}),
        ("3.3", answers_03.journey(0.1, -math.inf)),
        ("7.5", answers_07.drawn(math.nan, 0.5)),
        ("7.5", answers_07.drawn(0.9, math.nan)),
        ("1.3", lambda logits: raises(Unprintable())),
        ("1.3", lambda logits: raises(GeneratorExit)),
        ("1.3", lambda logits: "\ud800"),
        ("1.3", lambda logits: Unprintable()),
        ("1.3", Unprintable()),
    ],
)
def test_what_is_no_right_answer_and_may_do_tricks(id, answer, capsys):
    assert judge(id, answer).status == "wrong"
    assert "not yet" in capsys.readouterr().out


def test_a_network_that_gives_nan_is_not_right():
    def network(latent_dim):
        model = checker._find("2.3").solution(latent_dim)
        model.layers[0].kernel.assign(np.full(model.layers[0].kernel.shape, np.nan))
        return model

    assert judge("2.3", network).status == "wrong"


def test_an_answer_cannot_change_what_it_is_held_against():
    def spoiling(*arguments):
        for argument in arguments:
            argument[...] = 0.5
        return checker._find("1.1").solution(*arguments)

    assert judge("1.1", spoiling).status == "wrong"
    assert judge("6.2", spoiling).status == "wrong"
    assert judge("6.2", checker._find("6.2").solution).status == "right"


@pytest.mark.parametrize(
    ("id", "form"),
    [("5.1", tf.stack), ("5.1", np.float32), ("8.4", tf.stack), ("8.4", np.stack)],
)
def test_pairs_in_any_form(id, form):
    solution = checker._find(id).solution
    assert judge(id, lambda *arguments: form(solution(*arguments))).status == "right"


def test_an_object_without_end_is_no_answer():
    class Endless:
        def __getattr__(self, name):
            return self

    assert judge("1.1", Endless()).status == "wrong"


def test_what_an_answer_prints_is_cut_off_and_cannot_be_closed():
    def chatty(logits):
        for _ in range(1_000):
            print("again and again")
        sys.stdout.close()

    printed = judge("1.3", chatty).printed
    assert printed.startswith("again and again\nagain") and len(printed) == checker.PRINTED_LIMIT


def test_endless_recursion_gets_a_box():
    def forever(logits):
        return forever(logits)

    assert "without end" in judge("1.3", forever).hint


def test_the_failing_line_is_shown(capsys):
    def broken(logits):
        return logits.shape.nonsense  # this very line

    judge("1.3", broken)
    assert "return logits.shape.nonsense  # this very line" in capsys.readouterr().out


def test_what_an_answer_prints_is_shown_in_the_box(capsys):
    result = judge("1.3", lambda logits: print("shape", logits.shape))
    assert "shape (2, 1)" in result.printed
    assert capsys.readouterr().out.index("not yet") < 60  # nothing before the box


def endless(logits):
    while True:
        pass


def test_an_endless_loop_is_cut_off(monkeypatch):
    monkeypatch.setattr(checker, "TIME_LIMIT", 0.3)

    begin = time.monotonic()
    result = judge("1.3", endless)
    assert "more than 0.3 seconds" in result.message and "loop" in result.hint
    assert time.monotonic() - begin < 5


def deaf(logits):
    for _ in range(2):  # two interruptions are caught, the third one is not
        try:
            while True:
                pass
        except KeyboardInterrupt:
            continue
    while True:
        pass


def test_a_loop_that_catches_the_interruption_is_cut_off_all_the_same(monkeypatch):
    monkeypatch.setattr(checker, "TIME_LIMIT", 0.2)
    assert "more than 0.2 seconds" in judge("1.3", deaf).message
    time.sleep(1.2)  # and no interruption comes later


def test_an_endless_loop_is_cut_off_where_the_signal_was_ignored(monkeypatch):
    monkeypatch.setattr(checker, "TIME_LIMIT", 0.3)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert "more than 0.3 seconds" in judge("1.3", endless).message
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_exit_in_a_notebook_is_an_error_too(monkeypatch):
    class Shell:
        def ask_exit(self):
            raise AssertionError("the kernel would end")

    shell = Shell()
    monkeypatch.setattr(checker.boxes, "notebook_shell", lambda: shell)
    monkeypatch.setattr(checker.boxes, "show", lambda *arguments: None)
    result = judge("1.3", lambda logits: shell.ask_exit())
    assert "SystemExit" in result.message and "exit()" in result.hint


def test_the_stop_button_is_not_taken_for_a_wrong_answer():
    def stopped(logits):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge("1.3", stopped)


# check, answer, strict mode, hints, progress


def test_answer_gives_back_the_learners_function_only_if_it_is_right():
    right, wrong = RIGHT["1.3"][0], WRONG["1.3"][0][0]
    assert exercises.answer("1.3", right) is right
    assert exercises.answer("1.3", wrong) is lesson01._generator_loss
    assert exercises.answer("1.3", ...) is lesson01._generator_loss
    assert exercises.check("1.3", wrong).status == "wrong"  # asked again: still wrong


def test_answer_says_that_the_course_goes_on_with_its_own(capsys):
    exercises.answer("1.3", ...)
    assert "goes on with the course's own answer" in capsys.readouterr().out
    exercises.answer("1.3", RIGHT["1.3"][0])
    assert "course's own answer" not in capsys.readouterr().out


def test_strict_mode_raises_unless_right(monkeypatch):
    monkeypatch.setenv("GAN_COURSE_STRICT", "1")
    assert exercises.check("1.3", RIGHT["1.3"][0]).status == "right"
    for answer in (..., WRONG["1.3"][0][0]):
        with pytest.raises(exercises.ExerciseNotSolved, match=r"1\.3"):
            exercises.check("1.3", answer)


def test_unknown_exercise():
    with pytest.raises(ValueError, match=r"id must be one of 0\.1, .*came '9\.9'"):
        exercises.check("9.9", 1)
    with pytest.raises(ValueError, match=r"id must be one of 0\.1, .*came \[\]"):
        exercises.check([], 1)
    with pytest.raises(ValueError, match=r"lesson must be None or .* came 99"):
        exercises.progress(99)


def test_hints_come_one_by_one_and_begin_again(capsys):
    checker._HINTS_SHOWN.clear()
    for number in (1, 2, 3, 1):
        exercises.hint("1.3")
        assert f"hint {number} of 3" in capsys.readouterr().out


def test_html_box_shows_text_as_text(monkeypatch):
    html = checker.boxes._as_html("wrong", "<b>", [("came", "<script>")], ["one", "two"])
    assert "<script>" not in html and "&lt;script&gt;" in html and "&lt;b&gt;" in html
    assert html.index("Hint 1 of 2") < html.index("Hint 2 of 2")


def luminance(color):
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


@pytest.mark.parametrize("kind", ["right", "wrong", "todo"])
@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])  # GitHub's, light and dark
def test_a_box_is_seen_on_light_and_dark_pages(kind, page):
    (color,) = re.findall("#[0-9A-F]{6}", checker.boxes._as_html(kind, "title", ["text"], []))
    darker, lighter = sorted([luminance(color), luminance(page)])
    assert (lighter + 0.05) / (darker + 0.05) > 3  # the bar; texts have the page's own color


def test_a_result_at_the_end_of_a_cell_shows_nothing_more(capsys):
    result = judge("1.1", ...)
    capsys.readouterr()
    result._ipython_display_()
    assert capsys.readouterr().out == ""


def test_progress_is_kept_and_taken_back(tmp_path, monkeypatch):
    file = tmp_path / "folder" / "progress.json"
    monkeypatch.setenv("GAN_COURSE_PROGRESS", str(file))
    assert "lesson 01: 0 of 6 solved" in str(exercises.progress())
    judge("1.1", checker._find("1.1").solution)
    judge("1.a", "b")
    assert "lesson 01: 1 of 6 solved   1.1 done  1.2 -" in str(exercises.progress(1))
    assert "lesson 00" not in str(exercises.progress(1))
    judge("1.1", ...)
    assert "lesson 01: 0 of 6 solved" in str(exercises.progress())
    for broken in ("{broken", "{}", "[[1], 2, null]"):
        file.write_text(broken, encoding="utf-8")
        assert "lesson 01: 0 of 6 solved" in str(exercises.progress())
        judge("0.1", RIGHT["0.1"][0])
        assert json.loads(file.read_text(encoding="utf-8")) == ["0.1"]


@pytest.mark.parametrize("text", ["[[]]", '[1, {}, "0.1"]', "[" * 100_000, '{"0.1": 1}'])
def test_a_damaged_progress_file_is_mended(tmp_path, monkeypatch, text):
    file = tmp_path / "progress.json"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("GAN_COURSE_PROGRESS", str(file))
    assert judge("1.1", ...).status == "todo"
    assert file.read_text(encoding="utf-8") == text
    judge("1.1", checker._find("1.1").solution)
    assert json.loads(file.read_text(encoding="utf-8")) == (
        ["0.1", "1.1"] if '"0.1"]' in text else ["1.1"]
    )
    assert {each.name for each in tmp_path.iterdir()} == {"progress.json", "progress.lock"}


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("GAN_COURSE_PROGRESS", str(tmp_path / "file" / "progress.json"))
    assert judge("1.1", checker._find("1.1").solution).status == "right"


# The comparison with the stored run


def test_results_within_their_range(capsys):
    exercises.compare_results({"loss": (1.0, 0.5, 1.5), "name": ("a text",)})
    out = capsys.readouterr().out
    assert "As expected" in out and "loss: 1   (expected 0.5 to 1.5)" in out


def test_results_out_of_range_explain_and_raise_only_when_built(monkeypatch, capsys):
    results = {"good": (np.float32(1.0), 0, 2), "loss": (9.0, 0.5, 1.5)}
    exercises.compare_results(results)
    assert "Out of the expected range: loss" in capsys.readouterr().out
    monkeypatch.setenv("GAN_COURSE_STRICT_RESULTS", "1")
    with pytest.raises(exercises.ResultsOutOfRange, match="loss out of range"):
        exercises.compare_results(results)
    exercises.compare_results(results, comparable=False)
    monkeypatch.setenv("GAN_COURSE_FAST", "1")
    exercises.compare_results(results)
    assert "ranges do not apply" in capsys.readouterr().out


def test_not_a_number_is_out_of_range(capsys):
    exercises.compare_results({"loss": (float("nan"), 0.5, 1.5)})
    assert "Out of the expected range" in capsys.readouterr().out


# The exercises' experiments are what the lesson says they are


@pytest.mark.parametrize("letter", "ABCD")
def test_hidden_rates_belong_to_their_diagnoses(letter):
    rates, diagnosis = lesson01.HIDDEN_RATES[letter], lesson01._DIAGNOSES[letter][0]
    ratio = rates["discriminator_rate"] / rates["generator_rate"]
    fits = {"behind": ratio < 1e-2, "wins": ratio > 10}
    assert fits.get(diagnosis, ratio == 1)
    assert (rates["generator_rate"] > 0.01) == (diagnosis == "too_high")
