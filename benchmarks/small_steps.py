"""Speed where a step is next to nothing: a GAN of two small networks that learns points of a ring.

    python -m benchmarks.small_steps

Networks of two hidden layers of 128 units, batch 256, Adam, simultaneous steps: the arithmetic of
a step is less than what it costs to begin one. With our `fit` and `step`, with hand-written loops,
and in PyTorch (where it is installed: `pip install torch`). Nothing else should be running.
"""

import functools
import importlib

import numpy as np

from benchmarks import pytorch, timing
from benchmarks.tables import RESULTS, Table, verdict

ROUNDS = 3  # of all methods, so that a change of the machine shows in all of them
BATCH_SIZE, HIDDEN, LATENT_DIM = 256, (128, 128), 2
STEPS = 100  # in a call of `fit` and of the loops that take several

# Each method below returns a function that runs so many steps, and how many weights learn. What it
# needs is imported there, because PyTorch's processes shall not load TensorFlow.


def _gan(**options):
    from gan_course import data, models, runtime, training

    runtime.set_seed(0)
    gan = training.SimultaneousGAN(
        models.mlp_generator(LATENT_DIM, HIDDEN, (2,), output_activation=None),
        models.mlp_discriminator((2,), HIDDEN),
        LATENT_DIM,
    )
    gan.compile(**options)
    weights = gan.generator.count_params() + gan.discriminator.count_params()
    return gan, data.ring().batches(BATCH_SIZE), weights


def _fit(**options):
    gan, batches, weights = _gan(steps_per_execution=STEPS, **options)
    return lambda steps: gan.fit(batches, steps_per_epoch=steps, verbose=0), weights


def _step():
    gan, batches, weights = _gan()
    batches = iter(batches)

    def run(steps):
        for _ in range(steps):
            gan.step(next(batches)[0])

    return run, weights


def _hand_written(several=False, wrap=True, **options):
    """The same step without `GAN`: real points are drawn in the graph, and nothing is logged."""
    import tensorflow as tf

    from gan_course import data

    gan, _, weights = _gan()
    generator, discriminator, loss = gan.generator, gan.discriminator, gan.loss
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    for optimizer, network in zip(optimizers, (generator, discriminator), strict=True):
        optimizer.build(network.trainable_variables)
    ring = data.ring()
    centers = tf.constant(ring.centers)

    def step():
        modes = tf.random.uniform((BATCH_SIZE,), 0, len(ring.centers), tf.int32)
        real = tf.gather(centers, modes) + ring.std * tf.random.normal((BATCH_SIZE, 2))
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fake = generator(tf.random.normal((BATCH_SIZE, LATENT_DIM)), training=True)
            on_real, on_fake = discriminator(real), discriminator(fake)
            g_loss = loss.generator_loss(on_fake)
            d_loss = loss.discriminator_loss(on_real, on_fake)
        for optimizer, tape, cost, network in zip(
            optimizers, (g_tape, d_tape), (g_loss, d_loss), (generator, discriminator), strict=True
        ):
            learned = network.trainable_variables
            optimizer.apply(tape.gradient(cost, learned), learned)

    def many_steps():
        for _ in tf.range(STEPS):
            step()

    call, at_once = (many_steps, STEPS) if several else (step, 1)
    if wrap:
        call = tf.function(call, **options)

    def run(steps):
        for _ in range(0, steps, at_once):
            call()
        generator.trainable_variables[0].numpy()  # waits until all is done

    return run, weights


def _pytorch():
    import torch

    gan = pytorch.SimultaneousGAN(
        pytorch.mlp(LATENT_DIM, HIDDEN, 2), pytorch.mlp(2, HIDDEN, 1), LATENT_DIM
    )
    angles = torch.arange(8) * (2 * torch.pi / 8)
    centers = torch.stack([angles.cos(), angles.sin()], dim=1)

    def run(steps):
        for _ in range(steps):
            modes = torch.randint(8, (BATCH_SIZE,))
            gan.step(centers[modes] + 0.01 * torch.randn(BATCH_SIZE, 2))

    return run, sum(w.numel() for network in gan.networks for w in network.parameters())


METHODS = {
    "fit": _fit,
    "fit, XLA": functools.partial(_fit, jit_compile=True),
    "step": _step,
    "hand-written, many steps a call": functools.partial(_hand_written, several=True),
    "hand-written, many steps a call, XLA": functools.partial(
        _hand_written, several=True, jit_compile=True
    ),
    "hand-written, a call a step": _hand_written,
    "hand-written, a call a step, XLA": functools.partial(_hand_written, jit_compile=True),
    "hand-written, eager": functools.partial(_hand_written, wrap=False),
    "PyTorch eager": _pytorch,
}


def measure(method, round_number, blocks=5, at_least=1.0):
    """One row; blocks and their seconds as in `timing.seconds_per_call`."""
    row = {"method": method, "round": round_number}
    if "PyTorch" in method:
        row["torch"] = importlib.import_module("torch").__version__
    run, weights = METHODS[method]()
    seconds = timing.seconds_per_call(lambda: run(STEPS), blocks, at_least)
    return {
        **row,
        "steps_per_second": [round(STEPS / each, 1) for each in seconds],
        "weights": weights,
    }


def targets(speeds):
    """One line a target: whether it was met.

    Args:
        speeds: method -> steps a second.
    """
    loops = [speed for name, speed in speeds.items() if "hand-written" in name]
    return [
        verdict("`fit` over PyTorch eager", speeds.get("fit"), speeds.get("PyTorch eager"), 4),
        verdict("`fit` over the fastest hand-written loop", speeds.get("fit"), max(loops), 1),
    ]


def write(table):
    """The Markdown, from the rows."""
    rows, lines, speeds = table.rows(), [], {}
    for method in METHODS:
        blocks = [row["steps_per_second"] for row in rows if row["method"] == method]
        if blocks:
            speeds[method] = float(np.median(blocks))
            shown = f"{np.min(blocks):,.0f} to {np.max(blocks):,.0f}"
            lines.append([method, f"{speeds[method]:,.0f}", shown])
    weights = " or ".join(f"{n:,}" for n in sorted({row["weights"] for row in rows}))
    torch = sorted({row["torch"] for row in rows if "torch" in row})
    table.write_markdown(
        "Speed of small steps",
        "\n\n".join(
            [
                f"Steps a second in training two small networks ({weights} trainable weights) on "
                f"points of a ring, batch {BATCH_SIZE}: median of {ROUNDS} rounds and, from all "
                f"their blocks, the slowest to the fastest. `fit` and the loops with many steps a "
                f"call make {STEPS} at once.",
                "\n".join(targets(speeds)),
                f"PyTorch {', '.join(torch)}." if torch else "PyTorch was not installed.",
            ]
        ),
        ["method", "steps/s", "range"],
        lines,
    )


def main(folder=RESULTS):
    table = Table("small_steps", keys=("method", "round"), folder=folder)
    for round_number in range(ROUNDS):
        for method in METHODS:
            if "PyTorch" in method and not pytorch.is_installed():
                continue
            if not table.has(method=method, round=round_number):
                table.append(timing.in_own_process(measure, method, round_number))
    write(table)


if __name__ == "__main__":
    main()
