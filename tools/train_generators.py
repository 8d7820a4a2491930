"""Train the generators that lessons open with, and store them in data/pretrained.

    python tools/train_generators.py [NAME ...]

Each is trained as in its lesson. Some are stored as they were at three times of one training, so
that a learner sees what training does before training; others, that are compared, at its end. One
takes half a minute to six minutes on two CPU cores. Without a name all are trained.
Weights are averaged where the lesson does so, and stored in half precision. Beside them a card is
written: how they were made, how good they are, and hashes that `models.pretrained` checks.
"""

import argparse
import dataclasses
import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from train_classifiers import write_card

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import smoothing, stabilizers
from gan_course import data, metrics, models, runtime, training

LATENT_DIM = 64
COUNT = 10_000  # images that a score is computed from


@dataclasses.dataclass
class Run:
    """One training, and what is stored of it.

    Attributes:
        gan: compiled.
        batches: without an end.
        steps: when weights are stored.
        networks: by the name in data/pretrained, the attribute of `gan`, the name of the builder in
            `models` and its arguments.
        score: of the GAN as it is, for each of these names a dict.
        made_of: what it learns from, in words.
    """

    gan: keras.Model
    batches: tf.data.Dataset
    steps: tuple
    networks: dict
    score: Callable
    made_of: str


def adam(rate, average=None, beta_2=0.999):
    averaging = {"use_ema": True, "ema_momentum": average} if average else {}
    return keras.optimizers.Adam(rate, beta_1=0.5, beta_2=beta_2, **averaging)


def optimizers(average, beta_2):
    """Those of lessons 01, 02 and 07."""
    return {
        "generator_optimizer": adam(1e-3, average, beta_2),
        "discriminator_optimizer": adam(1e-3, beta_2=beta_2),
    }


def built(builder, arguments):
    return getattr(models, builder)(**arguments)


def of_one_generator(name, gan, images, steps, network, batch_size=32, draw=None):
    """A `Run` whose score is the Frechet distance of generated images to the test images."""
    fid = metrics.FrechetDistance(data.load("mnist", "test").images)
    draw = draw or (lambda gan: gan.generate(COUNT))
    return Run(
        gan,
        images.batches(batch_size).repeat(),
        steps,
        {name: ("generator", *network)},
        lambda gan: {name: {"frechet_distance": round(float(fid(draw(gan))), 2)}},
        f"mnist train, {len(images):,} images",
    )


def vanilla_mnist():
    """Lesson 01's."""
    network = "mlp_generator", {"latent_dim": LATENT_DIM, "hidden": [256, 512]}
    gan = training.GAN(
        built(*network), models.mlp_discriminator(hidden=(512, 256)), latent_dim=LATENT_DIM
    )
    gan.compile(**optimizers(0.999, 0.999), jit_compile=runtime.xla_works())
    steps = 2_000, 6_000, 18_000
    return of_one_generator("vanilla_mnist", gan, data.load("mnist"), steps, network, 64)


DCGAN = "dcgan_generator", {"latent_dim": LATENT_DIM}


def dcgan_mnist():
    """Lesson 02's."""
    gan = training.SimultaneousGAN(
        built(*DCGAN), models.dcgan_discriminator(), latent_dim=LATENT_DIM
    )
    gan.compile(**optimizers(0.99, 0.99))
    return of_one_generator("dcgan_mnist", gan, data.load("mnist"), (100, 500, 3_000), DCGAN)


def of_lesson_03(name, kind):
    """One of the kinds of labels of its study, with few images."""
    gan, images = smoothing.build_gan(kind, 0), data.load("mnist")[: smoothing.SIZES[0]]
    return of_one_generator(name, gan, images, (smoothing.EPOCHS * smoothing.STEPS,), DCGAN)


def plain_labels_mnist():
    """Lesson 03's with the labels 1 and 0."""
    return of_lesson_03("plain_labels_mnist", "plain labels")


def one_sided_mnist():
    """Lesson 03's with the label 0.9 for real images."""
    return of_lesson_03("one_sided_mnist", "one-sided: 0.9 and 0")


def collapse_mnist():
    """Lesson 04's: after 500 steps the generator becomes 200 times as fast as its opponent."""
    network = "dcgan_generator", {"latent_dim": LATENT_DIM, "variant": "small"}
    judge = models.dcgan_discriminator(variant="small", normalization="none")
    gan = training.GAN(built(*network), judge, latent_dim=LATENT_DIM)
    rates = [
        keras.optimizers.schedules.PiecewiseConstantDecay([500], [1e-3, then])
        for then in (1e-2, 5e-5)
    ]
    gan.compile(
        generator_optimizer=adam(rates[0], beta_2=0.99),
        discriminator_optimizer=adam(rates[1], beta_2=0.99),
    )
    return of_one_generator("collapse_mnist", gan, data.load("mnist"), (500, 600, 860), network)


def of_lesson_05(name, method, rate=None):
    """One of the methods of the study, at its best settings or at another rate of learning."""
    rows = data.stored_results("stabilizers")
    best = next(row for row in rows if row["method"] == method and row["seed"] == 0)
    gan = stabilizers.build_gan(method, rate or best["rate"], best["extra"], 0)
    return of_one_generator(name, gan, data.load("mnist"), (best["steps"],), DCGAN)


def batch_norm_mnist():
    """Lesson 05's with the lowest median of its study."""
    return of_lesson_05("batch_norm_mnist", "BatchNorm in D, as in lesson 02")


def plain_mnist():
    """Lesson 05's with nothing added."""
    return of_lesson_05("plain_mnist", "non-saturating")


def slow_mnist():
    """Lesson 05's with nothing added, which learns at a tenth of its best rate."""
    return of_lesson_05("slow_mnist", "non-saturating", 3e-4)


def conditional_mnist():
    """Lesson 07's."""
    arguments = {"latent_dim": LATENT_DIM, "classes": 10, "condition": "batch_norm"}
    network = "conditional_generator", arguments
    judge = models.conditional_discriminator(classes=10, condition="projection")
    gan = training.ConditionalGAN(built(*network), judge, latent_dim=LATENT_DIM, classes=10)
    gan.compile(**optimizers(0.99, 0.99))
    images = data.load("mnist")
    images = images[: -(len(images) // 3)]
    return of_one_generator(
        "conditional_mnist",
        gan,
        images,
        (100, 500, 3_000),
        network,
        draw=lambda gan: gan.generate(COUNT, labels=np.arange(COUNT) % 10),
    )


def cycle_mnist():
    """Lesson 08's."""
    pair, steps = "digits_to_color", 2_400
    kinds, tests = data.load_unpaired(pair), data.load_unpaired(pair, "test")
    network = (
        "resnet_generator",
        {"input_shape": [28, 28, 3], "channels": 3, "width": 16, "blocks": 3},
    )
    judges = [models.patch_discriminator((28, 28, 3), width=32, halvings=2) for _ in range(2)]
    gan = training.CycleGAN(built(*network), built(*network), *judges)
    rates = [training.ConstantThenLinear(rate, steps) for rate in (2e-3, 5e-4)]
    gan.compile(
        generator_optimizer=adam(rates[0], 0.99, 0.99),
        discriminator_optimizer=adam(rates[1], beta_2=0.99),
        cycle_weight=1.0,
        identity_weight=0.0,
    )

    def score(gan):
        return {
            f"cycle_mnist_{direction}": {
                "pixel_error": round(
                    float(np.abs(gan.translate(kind.images, direction) - kind.partner).mean()), 4
                )
            }
            for direction, kind in zip(("a_to_b", "b_to_a"), tests, strict=True)
        }

    return Run(
        gan,
        data.batches_of_two(*kinds, batch_size=16).repeat(),
        (100, 500, steps),
        {f"cycle_mnist_{name}": (name, *network) for name in ("a_to_b", "b_to_a")},
        score,
        f"{pair}, made from mnist train, 30,000 images of each kind",
    )


RUNS = {
    run.__name__: run
    for run in (
        vanilla_mnist,
        dcgan_mnist,
        plain_labels_mnist,
        one_sided_mnist,
        collapse_mnist,
        batch_norm_mnist,
        plain_mnist,
        slow_mnist,
        conditional_mnist,
        cycle_mnist,
    )
}


def store(run, made_by):
    """Train, and write weights and cards."""
    stages, done = {name: {} for name in run.networks}, 0
    models.PRETRAINED.mkdir(parents=True, exist_ok=True)
    for steps in run.steps:
        run.gan.fit(run.batches, epochs=1, steps_per_epoch=steps - done, verbose=2)
        done, scores = steps, run.score(run.gan)
        for name, (attribute, *_) in run.networks.items():
            path = models.PRETRAINED / f"{name}-{steps}.weights.h5"
            with run.gan.averaged_weights():
                save_in_half_precision(getattr(run.gan, attribute), path)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            stages[name][str(steps)] = {"sha256": sha256, **scores[name]}
            print(path.name, f"{path.stat().st_size / 1e3:.0f} kB", scores[name])
    for name, (_, builder, arguments) in run.networks.items():
        card = {
            "stages": stages[name],
            "builder": builder,
            "arguments": arguments,
            "made_by": f"tools/train_generators.py {made_by}",
            "trained_on": run.made_of,
        }
        write_card(name, card)


def save_in_half_precision(network, path):
    """A file of half the size, and no difference to see."""
    network.save_weights(path)
    content = io.BytesIO(path.read_bytes())
    with h5py.File(content) as whole, h5py.File(path, "w") as half:
        half.attrs.update(whole.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                # Not converted by HDF5, which makes errors in very small numbers.
                half.create_dataset(name, data=item[()].astype(np.float16))
            else:
                half.require_group(name).attrs.update(item.attrs)

        whole.visititems(copy)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", default=list(RUNS))
    names = parser.parse_args().names
    if set(names) - set(RUNS):
        parser.error(f"name must be one of {', '.join(RUNS)}; came {', '.join(names)}.")
    for name in names:
        runtime.set_seed(0)
        store(RUNS[name](), name)


if __name__ == "__main__":
    main()
