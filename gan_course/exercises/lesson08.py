"""Lesson 08, CycleGAN: recoloring, patches, the cycle loss, what it cannot see, what pairs do."""

import functools

import numpy as np

from gan_course.exercises.checker import (
    NotYet,
    Todo,
    as_array,
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
    "8.a",
    "what becomes of the digits",
    right="a",
    why="No loss asks for it. But these networks change an image place by place, from what lies "
    "near: keeping the strokes is the easiest way to something that the other network can undo.",
    others={
        "b": "No loss has anything against it. But to draw another digit in its place, a network "
        "must recognize the digit first, and these learn something simpler sooner.",
        "c": "The way back must find the same digit again, and a random one does not tell which it "
        "was, unless that is hidden in it.",
    },
)
prediction(
    "8.b",
    "who notices the wrong translation",
    right="c",
    why="All that it makes are real images. Only the truth tells, and in practice there is none.",
    others={
        "a": "They are shown nothing but real images.",
        "b": "It compares two sets of images, and these are both real. Which of them belongs to "
        "which, it does not ask.",
    },
)

# 8.1: the best recoloring, to be held against


def _recolor(pixels, targets):
    inputs = np.column_stack([pixels, np.ones(len(pixels))])
    return inputs @ np.linalg.lstsq(inputs, targets, rcond=None)[0]


@exercise(
    "8.1",
    "the best recoloring",
    solution=_recolor,
    hints=(
        "A recoloring makes each color from the three old ones, the same way everywhere: a matrix "
        "and a shift. A column of ones beside the three colors takes care of the shift.",
        "np.linalg.lstsq(inputs, targets, rcond=None)[0] is the matrix that comes closest.",
        "inputs = np.column_stack([pixels, np.ones(len(pixels))]), then return inputs @ matrix",
    ),
)
def judge_recolor(answer):
    need_function(answer, "recolor")
    rng = np.random.default_rng(8)
    for count in (40, 25):
        pixels, noise = rng.uniform(-1, 1, (count, 3)), rng.normal(0, 0.1, (count, 3))
        targets = pixels @ rng.normal(size=(3, 3)) + rng.normal(size=3) + noise
        came = call(answer, pixels, targets)
        unshifted = pixels @ np.linalg.lstsq(pixels, targets, rcond=None)[0]
        alone = [
            np.polyval(np.polyfit(pixels[:, i], targets[:, i], 1), pixels[:, i]) for i in range(3)
        ]
        means = np.broadcast_to(targets.mean(axis=0), targets.shape)
        compare(
            as_array(came, (count, 3), "The recolored pixels"),
            _recolor(pixels, targets),
            f"for {count} pixels",
            mistakes=[
                (pixels, "These are the pixels as they were."),
                (targets, "These are the targets themselves: no recoloring can do that."),
                (unshifted, "The shift is missing: add a column of ones."),
                (np.stack(alone, axis=1), "Each new color may depend on all three old ones."),
                (means, "That is one color for all. Use what the pixels were."),
            ],
        )
    return "What a translation does beyond that, it has to learn."


# 8.2: what a patch discriminator sees


def _field(kernels, strides):
    side = 1
    for kernel, stride in zip(kernels[::-1], strides[::-1], strict=True):
        side = (side - 1) * stride + kernel
    return side


def _forward(kernels, strides):
    """A mistake: the first layer first."""
    return _field(kernels[::-1], strides[::-1])


def _by_steps(step, kernels, strides):
    """A mistake: another step from a layer to the one before."""
    layers = zip(kernels[::-1], strides[::-1], strict=True)
    return functools.reduce(lambda side, layer: step(side, *layer), layers, 1)


@exercise(
    "8.2",
    "what a patch discriminator sees",
    solution=_field,
    hints=(
        "Begin at the output with a side of 1, and go back layer by layer.",
        "side neighboring outputs of a layer begin (side - 1) * stride inputs apart, and the last "
        "one sees a kernel more.",
        "for kernel, stride in zip(kernels[::-1], strides[::-1]): "
        "side = (side - 1) * stride + kernel",
    ),
)
def judge_field(answer):
    need_function(answer, "field")
    for kernels, strides in (([4, 3, 4], [2, 2, 1]), ([3], [2]), ([5, 4, 3, 4], [1, 2, 2, 1])):
        expected = _field(kernels, strides)
        came = call(answer, kernels, strides)
        compare(
            as_array(came, (), "The side"),
            expected,
            f"for kernels of {kernels} and strides of {strides}",
            mistakes=[
                (_forward(kernels, strides), "Begin at the output: the last layer comes first."),
                (sum(kernels) - len(kernels) + 1, "The strides make it larger."),
                (expected**2, "The side of the square, not its area."),
                *(
                    (wrong, "Between side outputs there are side - 1 steps.")
                    for wrong in (
                        _field(kernels, strides) + np.prod(strides) - 1,
                        _by_steps(lambda side, k, stride: side * stride + k, kernels, strides),
                    )
                ),
                (
                    _by_steps(lambda side, k, stride: side + stride * (k - 1), kernels, strides),
                    "One output sees kernel inputs, and each further one stride more.",
                ),
            ],
        )
    return "With three convolutions of stride 2 and two more, all of 4x4, it is 70 pixels."


# 8.3: both halves of the cycle loss


def _cycle_loss(a, b, a_to_b, b_to_a):
    there_and_back = np.mean(np.abs(b_to_a(a_to_b(a)) - a))
    return there_and_back + np.mean(np.abs(a_to_b(b_to_a(b)) - b))


@exercise(
    "8.3",
    "the cycle loss",
    solution=_cycle_loss,
    hints=(
        "An image of kind a goes to b and back to a, and is compared with itself. And one of "
        "kind b?",
        "The mean absolute difference of b_to_a(a_to_b(a)) and a, plus that of a_to_b(b_to_a(b)) "
        "and b.",
        "return np.mean(np.abs(b_to_a(a_to_b(a)) - a)) + np.mean(np.abs(a_to_b(b_to_a(b)) - b))",
    ),
)
def judge_cycle_loss(answer):
    need_function(answer, "cycle_loss")
    rng = np.random.default_rng(3)

    def a_to_b(images):
        return 0.5 * images + 0.2

    def b_to_a(images):
        return 1.5 * images - 0.1

    for batch in (4, 3):
        a, b = (rng.uniform(-1, 1, (batch, 2, 2, 3)) for _ in range(2))
        first, second = b_to_a(a_to_b(a)) - a, a_to_b(b_to_a(b)) - b
        came = call(answer, a, b, a_to_b, b_to_a)
        compare(
            as_array(came, (), "The loss", "Take the mean over all images: np.mean(...)."),
            _cycle_loss(a, b, a_to_b, b_to_a),
            f"for {batch} images of each kind",
            mistakes=[
                (np.mean(np.abs(first)), "That is one half: images of kind b go around, too."),
                (np.mean(np.abs(second)), "That is one half: images of kind a go around, too."),
                (np.mean(first**2) + np.mean(second**2), "Absolute differences, not squares."),
                (np.mean(first) + np.mean(second), "Without np.abs, errors cancel each other."),
                (
                    (np.mean(np.abs(first)) + np.mean(np.abs(second))) / 2,
                    "The sum of both halves, not their mean.",
                ),
                (
                    np.sum(np.abs(first)) + np.sum(np.abs(second)),
                    "Take means, not sums: the loss must not depend on how many pixels there are.",
                ),
                (
                    np.mean(np.abs(a_to_b(a) - a)) + np.mean(np.abs(b_to_a(b) - b)),
                    "There is only one way in that. Go there and back before you compare.",
                ),
                (
                    np.mean(np.abs(a_to_b(a) - b)) + np.mean(np.abs(b_to_a(b) - a)),
                    "That would need pairs: image i of one kind has nothing to do with image i of "
                    "the other.",
                ),
            ],
        )
    return "Both generators get a gradient from both halves."


# 8.4: consistent, and wrong


def _wrong_pair(classes):
    there = (np.arange(classes) + 1) % classes
    return there, np.argsort(there)


@exercise(
    "8.4",
    "consistent, and wrong",
    solution=_wrong_pair,
    hints=(
        "there[k] is the digit that a k becomes. Each must be reached once, and none may stay.",
        "Let each digit become the next one, and the last one 0. What undoes that?",
        "there = (np.arange(classes) + 1) % classes, and back = np.argsort(there)",
    ),
)
def judge_wrong_pair(answer):
    need_function(answer, "wrong_pair")
    for classes in (10, 3):
        came = call(answer, classes)
        try:
            there, back = came
        except (TypeError, ValueError):
            raise NotYet(
                "Two lists were expected.",
                "there, back",
                short(came, 80),
                "End with: return there, back",
            ) from None
        there, back = (
            as_array(each, (classes,), name) for each, name in ((there, "there"), (back, "back"))
        )
        where = f"for {classes} digits: there {there.tolist()}, back {back.tolist()}"
        if sorted(there) != list(range(classes)):
            raise NotYet(
                "Not every digit comes out once.",
                f"each of 0 to {classes - 1} once",
                where,
                "A discriminator would notice: some digits are too frequent, others never come.",
            )
        if np.array_equal(there, np.arange(classes)):
            raise NotYet(
                "That is the right translation.", "no digit stays what it is", where, "Mix them up."
            )
        if (there == np.arange(classes)).any():
            raise NotYet(
                "Some digits stay what they are.",
                "no digit stays what it is",
                where,
                "Wrong everywhere, please.",
            )
        if sorted(back) != list(range(classes)) or not np.array_equal(
            back[there.astype(int)], np.arange(classes)
        ):
            raise NotYet(
                "There and back is not the same digit.",
                "back[there[k]] == k for every digit",
                where,
                "Where does `there` put the 0? That is where `back` must have it.",
            )
    return "No discriminator and no cycle loss has anything to say against it."


# 8.5: an experiment, judged by what was measured


@exercise(
    "8.5",
    "how few pairs are enough",
    solution=None,
    hints=(
        "Of the counts above, the largest that was too few and the smallest that was enough: try "
        "one between them.",
        "Halve the larger number as long as its error stays below the CycleGAN's.",
        "tried = [learn_from_pairs(count) for count in (25, 50, 100)], or other counts of which "
        "each is twice the one before",
    ),
)
def judge_pairs(answer):
    without, tried = answer if isinstance(answer, tuple) and len(answer) == 2 else (None, answer)
    if tried is ...:
        raise Todo
    again = "tried = [learn_from_pairs(count) for count in (..., ...)]"
    if not isinstance(tried, (list, tuple)) or not tried:
        raise NotYet("A list of results was expected.", came=short(tried, 80), hint=again)
    for each in tried:
        need_result(each, {"pairs", "error"}, of=("a training", "learn_from_pairs"), hint=again)
    need_result(without, {"error"}, of=("the CycleGAN", "judge"), hint="Give its result, too.")
    bar = measured(without, "error")
    if not bar <= 0.2:  # or not a number
        raise NotYet(
            "The CycleGAN has not learned enough to be held against.",
            "an error below 0.2",
            f"{bar:.3f}",
            "Run the lesson in full, with MNIST and without GAN_COURSE_FAST.",
        )
    found = sorted((int(measured(each, "pairs")), measured(each, "error")) for each in tried)
    came = ", ".join(f"{error:.3f} with {pairs:,} pairs" for pairs, error in found)
    enough = [pairs for pairs, error in found if error < bar]
    if not enough:
        raise NotYet("None of them is enough.", f"an error below {bar:.3f}", came, "More pairs.")
    too_few = [pairs for pairs, error in found if error >= bar and pairs < min(enough)]
    if not too_few:
        raise NotYet(
            "Fewer may do.", f"a smaller count with an error above {bar:.3f}", came, "Fewer pairs."
        )
    if min(enough) > 2 * max(too_few):
        raise NotYet(
            "Where between them does it turn?",
            "one count that is enough, and one that is not and at least half of it",
            came,
            "Try the middle.",
        )
    return f"Between {max(too_few):,} and {min(enough):,} pairs: {came}."
