"""Speed at equal work: one DCGAN, one kind of step, and how fast each way of writing it runs.

    python -m benchmarks.speed

The networks of TensorFlow's DCGAN tutorial learn simultaneously, both from one generated batch:
with our `fit` and `step`, with a hand-written loop, with Keras' `train_on_batch`, and in PyTorch
(where it is installed: `pip install torch`). Nothing else should be running.
"""

import functools
import importlib
import math
import time

import numpy as np

from benchmarks import pytorch, timing
from benchmarks.tables import RESULTS, Table, verdict
from gan_course import data

ROUNDS = 3  # of all methods, so that a change of the machine shows in all of them
BATCH_SIZE, STEPS, BLOCKS = 256, 10, 3  # so many timed blocks of so many steps
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # Keras' names of the precisions

# Each method below returns a function that runs so many steps, and both networks' weights. What
# it needs is imported there, because PyTorch's processes shall not load TensorFlow.


def _weights(*networks):
    return sum(math.prod(w.shape) for network in networks for w in network.trainable_variables)


def _networks(precision):
    from gan_course import models, runtime

    runtime.use_precision(POLICIES[precision])
    runtime.set_seed(0)
    return models.dcgan_generator(100, variant="tensorflow"), models.dcgan_discriminator(
        variant="tensorflow"
    )


def _gan(precision, **options):
    import keras

    from gan_course import training

    gan = training.SimultaneousGAN(*_networks(precision), latent_dim=100)
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(1e-4),
        discriminator_optimizer=keras.optimizers.Adam(1e-4),
        **options,
    )
    return gan, _weights(gan.generator, gan.discriminator)


def _loop(step, digits, batch_size):
    batches = iter(digits.batches(batch_size).repeat())

    def run(steps):
        for _ in range(steps):
            step(next(batches)[0])

    return run


def _fit(digits, batch_size, precision):
    gan, weights = _gan(precision, steps_per_execution=STEPS)
    batches = digits.batches(batch_size).repeat()
    return lambda steps: gan.fit(batches, steps_per_epoch=steps, verbose=0), weights


def _step(digits, batch_size, precision):
    gan, weights = _gan(precision)
    return _loop(gan.step, digits, batch_size), weights


def _hand_written(digits, batch_size, precision):
    from benchmarks import recipes
    from gan_course import runtime

    runtime.use_precision(POLICIES[precision])
    recipe = recipes.TensorFlowTutorial(seed=0)
    return _loop(recipe.step, digits, batch_size), _weights(recipe.generator, recipe.discriminator)


def _train_on_batch(digits, batch_size, precision):
    """The classic loop, with a discriminator that is frozen inside a combined model."""
    import keras

    generator, discriminator = _networks(precision)
    entropy, random = keras.losses.BinaryCrossentropy(from_logits=True), np.random.default_rng(0)
    weights = _weights(generator, discriminator)
    discriminator.compile(keras.optimizers.Adam(1e-4), entropy)
    discriminator.trainable = False
    combined = keras.Sequential([generator, discriminator])
    combined.compile(keras.optimizers.Adam(1e-4), entropy)
    ones, zeros = np.ones((batch_size, 1), "float32"), np.zeros((batch_size, 1), "float32")

    def noise():
        return random.standard_normal((batch_size, 100), "float32")

    def step(images):
        made = generator.predict_on_batch(noise())
        discriminator.trainable = True
        discriminator.train_on_batch(images, ones)
        discriminator.train_on_batch(made, zeros)
        discriminator.trainable = False
        combined.train_on_batch(noise(), ones)

    return _loop(step, digits, batch_size), weights


def _pytorch(digits, batch_size, precision, **options):
    import torch

    gan = pytorch.SimultaneousGAN(precision=precision, **options)
    images = torch.from_numpy(digits.images.transpose(0, 3, 1, 2).copy())

    def run(steps):
        for _ in range(steps):
            gan.step(images[torch.randperm(len(images))[:batch_size]])

    return run, sum(w.numel() for network in gan.networks for w in network.parameters())


METHODS = {
    "fit": _fit,
    "step": _step,
    "hand-written tf.function": _hand_written,
    "Keras train_on_batch": _train_on_batch,
    "PyTorch eager": _pytorch,
    "PyTorch eager, channels_last": functools.partial(_pytorch, channels_last=True),
    "torch.compile": functools.partial(_pytorch, compiled=True),
    "torch.compile, channels_last": functools.partial(_pytorch, compiled=True, channels_last=True),
}
OURS = ("fit", "step")
PYTORCH = tuple(name for name in METHODS if "orch" in name)


def measure(method, precision, round_number, batch_size, steps, blocks):
    """One row. torch.compile needs a C++ compiler: where it fails, the row says why."""
    row = {"method": method, "precision": precision, "round": round_number}
    row |= {"batch_size": batch_size, "steps": steps}
    digits = data.load("digits")[: 5 * batch_size]  # whole batches
    if method in PYTORCH:
        row["torch"] = importlib.import_module("torch").__version__
    else:
        importlib.import_module("benchmarks.recipes")
    begin = time.perf_counter()  # libraries are loaded
    try:
        run, weights = METHODS[method](digits, batch_size, precision)
        run(1)
    except RuntimeError as error:
        if "compile" not in method:
            raise
        return {**row, "skipped": f"{type(error).__name__}: {error}".splitlines()[0]}
    first = time.perf_counter() - begin
    seconds = timing.seconds_per_call(lambda: run(steps), blocks, at_least=0)
    return {
        **row,
        "images_per_second": [round(steps * batch_size / each, 1) for each in seconds],
        "seconds_to_first_step": round(first, 2),
        "megabytes": round(timing.peak_megabytes()),
        "weights": weights,
    }


def targets(speeds):
    """One line a target: whether it was met.

    Args:
        speeds: (method, precision) -> images a second.
    """

    def best(methods, precisions):
        return max(
            (speeds[m, p] for m in methods for p in precisions if (m, p) in speeds), default=None
        )

    others = [name for name in METHODS if name not in OURS]
    lines = []
    for p in POLICIES:
        what = f"our faster way over the fastest other one, {p}"
        lines.append(verdict(what, best(OURS, [p]), best(others, [p]), 1))
        what = f"`fit` over the hand-written loop, {p}"
        lines.append(
            verdict(what, best(["fit"], [p]), best(["hand-written tf.function"], [p]), 0.95)
        )
    eager = best([name for name in PYTORCH if "eager" in name], ["float32"])
    ours = best(OURS, ["float32"])
    lines.append(verdict("our faster way over PyTorch eager, float32", ours, eager, 1.4))
    ours, theirs = best(OURS, POLICIES), best(PYTORCH, POLICIES)
    lines.append(verdict("our best precision over PyTorch's best", ours, theirs, 1.25))
    return lines


def write(table):
    """The Markdown, from the rows."""
    rows = table.rows()
    found = {}
    for row in rows:
        if "skipped" not in row:
            found.setdefault((row["method"], row["precision"]), []).append(row)
    blocks = {key: [row["images_per_second"] for row in each] for key, each in found.items()}
    speeds = {key: np.median([np.median(b) for b in each]) for key, each in blocks.items()}
    lines = []
    for precision in POLICIES:
        for method in METHODS:
            key, step = (method, precision), ("step", precision)
            if key not in found:
                continue
            lines.append(
                [
                    method,
                    precision,
                    f"{speeds[key]:,.0f}",
                    f"{np.min(blocks[key]):,.0f} to {np.max(blocks[key]):,.0f}",
                    f"{speeds[key] / speeds[step]:.2f}" if step in speeds else "",
                    f"{np.median([row['seconds_to_first_step'] for row in found[key]]):.1f}",
                    f"{np.median([row['megabytes'] for row in found[key]]):,.0f}",
                ]
            )
    weights = sorted({row["weights"] for each in found.values() for row in each})
    table.write_markdown(
        "Speed at equal work",
        "\n\n".join(
            [
                "Images a second in training the networks of TensorFlow's DCGAN tutorial "
                f"({' or '.join(f'{n:,}' for n in weights)} trainable weights), batch "
                f"{' or '.join(sorted({str(row['batch_size']) for row in rows}))}, Adam: median of "
                "the rounds and, from all their blocks, the slowest to the fastest. The step is "
                "the same everywhere, simultaneous, with one generated batch for both networks; "
                "only `train_on_batch` cannot do that: it passes the generator once and the "
                "discriminator once more, and changes the discriminator twice.",
                "The first step includes building and compiling, not loading the libraries; for "
                f"`fit` it is the first {STEPS} steps, which it runs at once. Memory is the "
                "highest of the whole process, libraries included.",
                "\n".join(targets(speeds)),
                *_left_out(rows),
            ]
        ),
        ["method", "precision", "images/s", "range", "of step", "seconds to first step", "MB"],
        lines,
    )


def _left_out(rows):
    """What to know about PyTorch's rows: their version, or why they are missing."""
    made_with = sorted({row["torch"] for row in rows if "torch" in row})
    lines = [f"PyTorch {', '.join(made_with)}." if made_with else "PyTorch was not installed."]
    skipped = {(r["method"], r["precision"], r["skipped"]) for r in rows if "skipped" in r}
    return lines + [f"Left out: {m}, {p}: {reason}" for m, p, reason in sorted(skipped)]


def main(folder=RESULTS):
    table = Table("speed", keys=("method", "precision", "round", "batch_size"), folder=folder)
    for round_number in range(ROUNDS):
        for precision in POLICIES:
            for method in METHODS:
                if method in PYTORCH and not pytorch.is_installed():
                    continue
                settings = (method, precision, round_number, BATCH_SIZE)
                if not table.has(**dict(zip(table.keys, settings, strict=True))):
                    table.append(timing.in_own_process(measure, *settings, STEPS, BLOCKS))
    write(table)


if __name__ == "__main__":
    main()
