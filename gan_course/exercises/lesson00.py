"""Lesson 00, welcome: one prediction and one exercise to warm up."""

import numpy as np

from gan_course.exercises.checker import (
    as_array,
    call,
    compare,
    exercise,
    need_function,
    prediction,
)

prediction(
    "0.a",
    "the number for black",
    right="b",
    why="Images are scaled to [-1, 1], the range of the tanh that a generator ends with.",
    others={
        "a": "0 is a medium gray here: halfway between black and white.",
        "c": "255 would be white, in files that store whole numbers from 0 to 255.",
    },
)


def _to_unit_range(pixels):
    return pixels / 127.5 - 1.0


@exercise(
    "0.1",
    "pixels to [-1, 1]",
    solution=_to_unit_range,
    hints=(
        "0 must become -1 and 255 must become 1. What becomes of the middle, 127.5?",
        "Divide first: which divisor takes 0...255 to 0...2? Then shift.",
        "return pixels / 127.5 - 1",
    ),
)
def judge_to_unit_range(answer):
    need_function(answer, "to_unit_range")
    pixels = np.array([0, 51, 102, 255], np.float32)  # not uint8, where 2 * 255 is 254
    came = as_array(call(answer, pixels), (4,), "The result")
    exact = pixels.astype(float)
    compare(
        came,
        [-1.0, -0.6, -0.2, 1.0],
        "for the pixels 0, 51, 102, 255",
        mistakes=[
            (exact / 255, "This is the range [0, 1]: black must become -1, so shift as well."),
            (exact / 127.5, "This is the range [0, 2]: subtract 1 at the end."),
            (exact / 255 - 1, "This is the range [-1, 0]: divide by half of 255."),
            (exact / 255 - 0.5, "This is the range [-0.5, 0.5]: it is half as wide as wanted."),
            (exact / 128 - 1, "Nearly: 255 must become exactly 1, so divide by 127.5, not 128."),
            (1 - exact / 127.5, "Upside down: black (0) must become -1 and white (255) 1."),
            (pixels // 127 - 1.0, "// cuts the decimals off: use /."),
            (pixels // 127.5 - 1.0, "// cuts the decimals off: use /."),
            (exact, "The pixels came back unchanged."),
        ],
        tolerance=1e-3,
    )
    return "0 became -1 and 255 became 1. All images of this course live in [-1, 1]."
