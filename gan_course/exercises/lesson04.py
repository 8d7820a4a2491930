"""Lesson 04, mode collapse: modes counted, and samples judged several at once."""

import numpy as np

from gan_course import data
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
)

prediction(
    "4.a",
    "better than perfect",
    right="b",
    why="Of a normal distribution in the plane 1 - exp(-4.5) = 98.9 % lie within three standard "
    "deviations. That none of 2,500 lies farther out has a probability of 1e-12: these are "
    "narrower.",
    others={
        "a": "Real samples have 98.9 % on average, and all of 2,500 is far beyond chance. What has "
        "more differs from them.",
        "c": "Among 2,500 real samples about 28 lie farther out, give or take 5. None would be no "
        "accident.",
    },
)
prediction(
    "4.b",
    "the best answer to a discriminator that holds still",
    right="c",
    why="The loss is a mean over samples, each judged alone. It is lowest if every single sample "
    "lies where the discriminator's answer is highest. (With several highest points, any of them.)",
    others={
        "a": "Nothing in the loss asks for the distribution: each sample is judged alone.",
        "b": "One mode's answer is a little higher than the others'. Then why go to the others?",
    },
)
prediction(
    "4.c",
    "which cure leaves the picture sharp",
    right="b",
    why="A pack gets one answer for all its samples. For four it is harder to learn than for two, "
    "and this discriminator learns slowly.",
    others={
        "a": "The more samples are in a pack, the harder its one answer is to learn, and this "
        "discriminator learns slowly. Most samples lie between the modes here.",
        "c": "Both bring the modes back. But look at how many samples lie between them.",
    },
)
prediction(
    "4.d",
    "a DCGAN and a thousand kinds",
    right="c",
    why="A published number belongs to its networks, rates and steps. Here both networks learn "
    "equally fast, and fast: the rates begin at ten times those of the papers.",
    others={
        "a": "So it is in two papers. Those runs had other networks and rates. Look at how the "
        "count grows here.",
        "b": "So it is for a while. Look at how the count goes on growing.",
    },
)


# 4.1: a ring that closes twice


def _ring(modes, radius):
    angles = 2 * np.pi * np.arange(modes) / modes
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _closed_twice(modes, radius):
    angles = np.linspace(0, 2 * np.pi, modes)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@exercise(
    "4.1",
    "a ring of eight",
    solution=_ring,
    hints=(
        "Print the angles in degrees. What are the first and the last?",
        "After a full turn a circle is where it began. Eight modes need eight steps of 45 degrees, "
        "and the last step leads back to the first mode.",
        "angles = np.linspace(0, 2 * np.pi, modes, endpoint=False)",
    ),
)
def judge_ring(answer):
    need_function(answer, "ring")
    for modes, radius in ((8, 1.0), (5, 2.0)):
        came = as_array(call(answer, modes, radius), (modes, 2), "The centers")
        where = f"for {modes} modes and a radius of {radius:g}"
        expected = f"{modes} different places, {radius:g} from 0, all neighbors equally far apart"
        found = len(np.unique(np.round(came, 6) + 0.0, axis=0))  # + 0.0 makes -0 a 0
        if found < modes:
            raise NotYet(
                f"Some centers are the same {where}.",
                expected,
                f"{found} different places",
                "After a full turn a circle is where it began: two of the angles are one.",
            )
        if not np.allclose(np.linalg.norm(came, axis=1), radius, atol=1e-5):
            raise NotYet(
                f"The centers are not on the circle {where}.",
                expected,
                "distances from 0 between "
                f"{np.linalg.norm(came, axis=1).min():.3g} and "
                f"{np.linalg.norm(came, axis=1).max():.3g}",
                "A point at an angle lies at radius * cos(angle), radius * sin(angle).",
            )
        turns = np.sort(np.arctan2(came[:, 1], came[:, 0]))
        gaps = np.degrees(np.diff([*turns, turns[0] + 2 * np.pi]))
        if not np.allclose(gaps, 360 / modes, atol=1e-2):
            raise NotYet(
                f"The centers are not evenly spread {where}.",
                expected,
                f"angles between neighbors from {gaps.min():.1f} to {gaps.max():.1f} degrees",
                f"Each step is a turn divided by {modes}.",
            )
        off = np.linalg.norm(came[:, None] - _ring(modes, radius), axis=-1).min(axis=0).max()
        if off > 1e-4:
            raise NotYet(
                f"The ring has been turned {where}.",
                f"a center at the angle 0, the place ({radius:g}, 0), as in the broken ring",
                f"the nearest one is {off:.3g} away",
                "Keep the angle 0, and leave out its second copy, at the end of the turn.",
            )
    return "Eight modes that are eight."


# 4.2: counting


def _distances(samples, centers):
    return np.linalg.norm(samples[:, None] - centers[None], axis=-1)


def _count_modes(samples, centers, std):
    distances = _distances(samples, centers)
    nearest, good = distances.argmin(axis=1), distances.min(axis=1) <= 3 * std
    return len(np.unique(nearest[good])), good.mean()


@exercise(
    "4.2",
    "count the modes",
    solution=_count_modes,
    hints=(
        "samples[:, None] - centers[None] has the shape (samples, modes, 2). The norm along the "
        "last axis gives the distance of every sample from every center.",
        "distances.argmin(axis=1) is the nearest mode of each sample, distances.min(axis=1) how "
        "far it is. A sample is good if that is at most 3 * std.",
        "return len(np.unique(nearest[good])), good.mean()",
    ),
)
def judge_count(answer):
    need_function(answer, "count_modes")
    centers = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    many = data.grid(side=2, spacing=4.0, std=0.1)
    cases = {
        "for six samples and four modes": (
            # two good ones, one of them 2.5 std away in both directions; one between two modes;
            # one of the third mode, but too far out
            np.array([[0.1, 0.0], [0.25, 0.25], [0.0, 0.29], [2.1, 0.0], [0.0, 3.6], [4.2, 0.2]]),
            centers,
            0.1,
        ),
        "for 200 samples of a mixture, all moved a little": (
            many.sample(200, seed=1) + np.array([0.15, 0.1]),
            many.centers,
            many.std,
        ),
    }
    for where, (samples, centers, std) in cases.items():
        pair = call(answer, samples, centers, std)
        distances = _distances(samples, centers)
        nearest, least = distances.argmin(axis=1), distances.min(axis=1)
        good = least <= 3 * std
        modes, quality = len(np.unique(nearest[good])), good.mean()
        compare(
            as_array(pair, (2,), "The modes and the share"),
            np.array([modes, quality]),
            where,
            mistakes=[
                (np.array([quality, modes]), "First the modes, then the share."),
                (
                    np.array([len(np.unique(nearest)), quality]),
                    "A mode counts as captured only if one of the good samples is nearest to it.",
                ),
                (np.array([good.sum(), quality]), "That counts good samples. Count modes."),
                (np.array([modes, good.sum()]), "Good samples as a share of all: their mean."),
                (
                    np.array([modes, 100 * quality]),
                    "The share as a number from 0 to 1, not in percent.",
                ),
                *(
                    (
                        np.array([len(np.unique(nearest[close])), close.mean()]),
                        text,
                    )
                    for close, text in (
                        (least <= std, "Within three standard deviations, not one."),
                        (least <= 3 * std**2, "std is the standard deviation, not the variance."),
                        (
                            (least**2) <= 3 * std,
                            "The distance is a root: compare it, not its square, with 3 * std.",
                        ),
                        (
                            np.abs(samples - centers[nearest]).max(axis=1) <= 3 * std,
                            "Take the length of the difference, not its larger entry.",
                        ),
                    )
                ),
            ],
        )
    return "`metrics.mode_coverage` counts in the same way, and adds the reverse KL."


# 4.3: packing


def _pack(samples, m):
    return np.concatenate(np.split(samples, m), axis=-1)


@exercise(
    "4.3",
    "packing",
    solution=_pack,
    hints=(
        "Of 6 samples and m = 2, three packs should come: the first three samples side by side "
        "with the last three.",
        "np.split(samples, m) cuts the batch into m parts. np.concatenate puts parts together, "
        "along the axis that you name: here the last one.",
        "return np.concatenate(np.split(samples, m), axis=-1)",
    ),
)
def judge_pack(answer):
    need_function(answer, "pack")
    rng = np.random.default_rng(0)
    cases = {
        "for 6 points and m = 2": (rng.normal(size=(6, 2)), 2),
        "for 6 images of 4 x 4 pixels and m = 3": (rng.normal(size=(6, 4, 4, 1)), 3),
        "for 4 color images of 4 x 4 pixels and m = 2": (rng.normal(size=(4, 4, 4, 3)), 2),
    }
    for where, (samples, m) in cases.items():
        batch, *inner, channels = samples.shape
        shape = (batch // m, *inner, m * channels)
        came = as_numbers(call(answer, samples, m), "The packs")
        if came.shape != shape:
            raise NotYet(
                f"The packs have the wrong shape {where}.",
                expected=f"shape {shape}",
                came=f"shape {came.shape}",
                hint="A pack holds m samples, side by side along the last axis.",
            )
        parts = np.concatenate(np.split(came, m, axis=-1)).reshape(batch, -1)
        flat = samples.reshape(batch, -1)
        of = [np.flatnonzero(np.isclose(flat, part).all(axis=1)) for part in parts]
        if not all(len(found) for found in of):
            raise NotYet(
                f"The pixels got mixed up {where}.",
                expected="whole samples, each in channels of its own",
                came="a pack that holds parts of several samples where one should be",
                hint="A reshape reads the numbers in their order. Put whole samples together with "
                "np.concatenate.",
            )
        if len({int(found[0]) for found in of}) < batch:
            raise NotYet(
                f"Samples are missing {where}.",
                expected=f"each of the {batch} samples once",
                came=f"{len({int(found[0]) for found in of})} of them",
                hint="A sample beside itself always looks collapsed: take another one.",
            )
    return "Real samples are packed in the same way. That is all there is to it."


# 4.4: mend a run, judged by what was measured


@exercise(
    "4.4",
    "mend a collapsed run",
    solution=None,
    hints=(
        "Begin with the balance: which of the two players learns a hundred times as fast?",
        "Then let the discriminator see more than one sample.",
        "mended = rescue(rate=1e-3, d_rate=1e-3, pack=2)",
    ),
)
def judge_rescue(answer):
    need_result(
        answer,
        {"modes", "high_quality", "steps"},
        of=("a run", "rescue"),
        hint="mended = rescue(...)",
    )
    modes, quality = measured(answer, "modes"), measured(answer, "high_quality")
    expected, came = "8 modes, and a high quality of 75 %", f"{modes:g} modes, {quality:.0%}"
    if measured(answer, "steps") != RESCUE_STEPS:
        raise NotYet("The number of steps has changed.", expected, came, "Leave steps as it is.")
    if not modes >= 8:  # or not a number
        raise NotYet("Some modes are missing.", expected, came)
    if not 0.75 <= quality <= 1:
        raise NotYet(
            "All modes are there, but too many samples lie between them.",
            expected,
            came,
            "Is one of the rates very low? Is the cure too strong?",
        )
    return f"All 8 modes, {quality:.0%} of high quality."


RESCUE_STEPS = 3_000
