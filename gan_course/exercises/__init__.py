"""What a learner's answers are held against.

    exercises.check("1.2", my_function)           # shows a box: right, not yet, or not done yet
    loss = exercises.answer("1.2", my_function)   # the same, and gives my_function back if it is
                                                  # right, else the course's own
    exercises.hint("1.2")                         # one hint at a time

A wrong or missing answer never stops a notebook. `check` and `answer` try a function on a few
inputs whose answers are known by hand; nothing depends on luck.
"""

from gan_course.exercises import (
    lesson00,
    lesson01,
    lesson02,
    lesson03,
    lesson04,
    lesson05,
    lesson06,
    lesson07,
    lesson08,
)
from gan_course.exercises.checker import ExerciseNotSolved, answer, check, hint, progress
from gan_course.exercises.results import ResultsOutOfRange, compare_results

__all__ = [
    "ExerciseNotSolved",
    "ResultsOutOfRange",
    "answer",
    "check",
    "compare_results",
    "hint",
    "lesson00",
    "lesson01",
    "lesson02",
    "lesson03",
    "lesson04",
    "lesson05",
    "lesson06",
    "lesson07",
    "lesson08",
    "progress",
]
