"""Speed of a CycleGAN's step, beside the step of TensorFlow's tutorial with the same networks.

    python -m benchmarks.cycle_speed

Nothing else should be running.
"""

import numpy as np

from benchmarks import timing
from benchmarks.tables import RESULTS, Table, verdict

ROUNDS, STEPS, BLOCKS = 3, 20, 3  # so many timed blocks of so many steps, in each round
SIDE, WIDTH, HALVINGS = 128, 32, 5  # of photos and U-Nets; batches of one image, as in the paper
METHODS = ("fit", "step", "TensorFlow's tutorial")


class Tutorial:
    """The step of https://www.tensorflow.org/tutorials/generative/cyclegan, for any networks.

    Cross-entropies, a discriminator's being halved; four optimizers, four gradients from one tape;
    no pool of older images.
    """

    def __init__(self, a_to_b, b_to_a, discriminator_a, discriminator_b):
        import keras
        import tensorflow as tf

        self.networks = a_to_b, b_to_a, discriminator_a, discriminator_b
        self.optimizers = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in self.networks]
        for optimizer, network in zip(self.optimizers, self.networks, strict=True):
            optimizer.build(network.trainable_variables)
        self.entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.step = tf.function(self.train_step)

    def train_step(self, real_a, real_b):
        """The losses of the four networks, after one step."""
        import tensorflow as tf

        a_to_b, b_to_a, judge_a, judge_b = (
            lambda images, network=network: network(images, training=True)
            for network in self.networks
        )

        def is_real(logits):
            return self.entropy(tf.ones_like(logits), logits)

        def is_fake(logits):
            return self.entropy(tf.zeros_like(logits), logits)

        def apart(images, others):
            return tf.reduce_mean(tf.abs(images - others))

        with tf.GradientTape(persistent=True) as tape:
            fake_b, fake_a = a_to_b(real_a), b_to_a(real_b)
            cycle = apart(real_a, b_to_a(fake_b)) + apart(real_b, a_to_b(fake_a))
            on_a, on_b = judge_a(fake_a), judge_b(fake_b)
            costs = (
                is_real(on_b) + 10 * cycle + 5 * apart(real_b, a_to_b(real_b)),
                is_real(on_a) + 10 * cycle + 5 * apart(real_a, b_to_a(real_a)),
                (is_real(judge_a(real_a)) + is_fake(on_a)) / 2,
                (is_real(judge_b(real_b)) + is_fake(on_b)) / 2,
            )
        for cost, network, optimizer in zip(costs, self.networks, self.optimizers, strict=True):
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(cost, variables), variables)
        return costs


def networks(side=SIDE, width=WIDTH, halvings=HALVINGS):
    """Two generators and two discriminators of patches."""
    from gan_course import models, runtime

    runtime.set_seed(0)
    shape = (side, side, 3)
    generators = [models.unet_generator(shape, width=width, halvings=halvings) for _ in range(2)]
    return (*generators, *(models.patch_discriminator(shape, width=width) for _ in range(2)))


def measure(method, round_number, steps=STEPS, blocks=BLOCKS, **sizes):
    """A row: images of each kind a second."""
    import tensorflow as tf

    from gan_course import training

    four = networks(**sizes)
    rng = np.random.default_rng(0)
    shape = (8, *four[0].input_shape[1:])
    kinds = [rng.uniform(-1, 1, shape).astype("float32") for _ in range(2)]
    batches = tf.data.Dataset.from_tensor_slices(tuple(kinds)).batch(1, drop_remainder=True)
    options = tf.data.Options()
    options.autotune.enabled = False  # as `data.batches` does
    batches = batches.repeat().with_options(options)
    if method == "TensorFlow's tutorial":
        step = Tutorial(*four).step
    else:
        cycle = training.CycleGAN(*four)
        cycle.compile(steps_per_execution=steps if method == "fit" else 1)
        step = cycle.step
    if method == "fit":

        def run():
            cycle.fit(batches, steps_per_epoch=steps, verbose=0)

    else:
        endless = iter(batches)

        def run():
            for _ in range(steps):
                step(*next(endless))

    seconds = timing.seconds_per_call(run, blocks, at_least=0)
    return {
        "method": method,
        "round": round_number,
        "images_per_second": [round(steps / each, 3) for each in seconds],
        "weights": sum(network.count_params() for network in four),
    }


def write(table):
    """The Markdown, from the rows."""
    rows = table.rows()
    blocks = {
        method: [row["images_per_second"] for row in rows if row["method"] == method]
        for method in METHODS
    }
    speeds = {method: np.median(each) for method, each in blocks.items() if each}
    theirs = speeds["TensorFlow's tutorial"]
    best = max(speeds[method] for method in ("fit", "step"))
    table.write_markdown(
        "Speed of a CycleGAN",
        f"Images of each kind a second: U-Nets and discriminators of patches for {SIDE} x {SIDE} "
        f"pixels, {rows[0]['weights']:,} weights in all, batches of one. Median of the rounds "
        "and, from all their blocks, the slowest to the fastest. Ours judges older images from a "
        f"pool, too, which the tutorial's does not. Each `fit` is an epoch of {STEPS} steps.\n\n"
        + verdict("our faster way over the tutorial's step", best, theirs, 1),
        ["method", "images/s", "range", "of the tutorial's"],
        [
            [
                method,
                f"{speed:.2f}",
                f"{np.min(blocks[method]):.2f} to {np.max(blocks[method]):.2f}",
                f"{speed / theirs:.2f}",
            ]
            for method, speed in speeds.items()
        ],
    )


def main(folder=RESULTS):
    table = Table("cycle_speed", keys=("method", "round"), folder=folder)
    for round_number in range(ROUNDS):
        for method in METHODS:
            if not table.has(method=method, round=round_number):
                table.append(timing.in_own_process(measure, method, round_number))
    write(table)


if __name__ == "__main__":
    main()
