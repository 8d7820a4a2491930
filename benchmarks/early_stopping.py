"""Does a GAN overfit, and does stopping early help? Lesson 06 shows the table.

    python -m benchmarks.early_stopping

For each size of the training set and each seed, one long run with lesson 06's recipe. After each
epoch of 250 steps 2,000 images are scored against 5,000 held-out ones; at the end, the best and the
last epoch are held against the test set, 10,000 images each.
"""

import keras
import numpy as np

from benchmarks.tables import Table
from gan_course import callbacks, data, metrics, models, runtime, training

SIZES = (256, 55_000)  # 256: no batch is smaller than the others
SEEDS = (0, 1, 2)
EPOCHS, STEPS, BATCH_SIZE, LATENT_DIM = 20, 250, 64, 64


def build_gan(seed):
    runtime.set_seed(seed)
    gan = training.GAN(
        models.dcgan_generator(LATENT_DIM, variant="small"),
        models.dcgan_discriminator(variant="small"),
        latent_dim=LATENT_DIM,
        seed=seed,
    )
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(
            1e-3, beta_1=0.5, use_ema=True, ema_momentum=0.99
        ),
        discriminator_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        steps_per_execution=50,
    )
    return gan


def measure(size, seed):
    """The curve of one run, and what the best and the last epoch are worth on the test set."""
    digits, test = data.load("mnist"), data.load("mnist", "test")
    held_out = digits[-5_000:]
    train = digits[np.random.default_rng(seed).permutation(len(digits) - 5_000)[:size]]
    gan = build_gan(seed)
    last = {}

    def at_the_end(logs):
        """Before EarlyStopping puts the best weights back."""
        last["images"] = gan.generate(10_000, seed=1)
        last["called_real"] = {
            name: float(np.mean(gan.discriminator.predict(images, verbose=0) > 0))
            for name, images in {"train": train.images[:5_000], "held_out": held_out.images}.items()
        }

    stop = keras.callbacks.EarlyStopping(
        "val_fid", mode="min", patience=EPOCHS, restore_best_weights=True
    )
    history = gan.fit(
        train.batches(BATCH_SIZE, seed).repeat(),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        callbacks=[
            callbacks.FrechetScore(held_out.images),
            keras.callbacks.LambdaCallback(on_train_end=at_the_end),
            stop,
        ],
        verbose=0,
    ).history
    score = metrics.FrechetDistance(test.images)
    best, final = score(gan.generate(10_000, seed=1)), score(last["images"])
    return {
        "size": size,
        "seed": seed,
        "epochs": EPOCHS,
        "steps": STEPS,
        "best_epoch": stop.best_epoch + 1,
        "test_fid_best": round(best, 2),
        "test_fid_last": round(final, 2),
        "called_real": {name: round(share, 3) for name, share in last["called_real"].items()},
        "floor": round(score.floor(), 2),
        "val_fid": [round(value, 2) for value in history["val_fid"]],
        "d_accuracy": [round(value, 3) for value in history["d_accuracy"]],
    }


def main():
    table = Table("early_stopping", keys=("size", "seed", "epochs", "steps"))
    for seed in SEEDS:
        for size in SIZES:
            if not table.has(size=size, seed=seed, epochs=EPOCHS, steps=STEPS):
                table.append(measure(size, seed))
    rows = sorted(table.rows(), key=lambda row: (row["size"], row["seed"]))
    table.write_markdown(
        "Early stopping",
        f"{EPOCHS} epochs of {STEPS} steps each, with the recipe of lesson 06 on so many MNIST "
        "images. Fréchet distance to the 10,000 test images, of 10,000 generated ones: of the "
        "epoch with the smallest distance to held-out images, and of the last one. Perfect samples "
        f"score {np.mean([row['floor'] for row in rows]):.2f}. The last columns say which share of "
        "real images the last discriminator calls real.",
        [
            "training images",
            "seed",
            "best epoch",
            "its distance",
            "the last epoch's",
            "called real: training images",
            "held-out ones",
        ],
        [
            [
                f"{row['size']:,}",
                str(row["seed"]),
                str(row["best_epoch"]),
                f"{row['test_fid_best']:.1f}",
                f"{row['test_fid_last']:.1f}",
                f"{row['called_real']['train']:.0%}",
                f"{row['called_real']['held_out']:.0%}",
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
