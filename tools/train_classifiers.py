"""Train the classifiers that the metrics stand on, and store them in data/pretrained.

    python tools/train_classifiers.py [mnist] [fashion_mnist]

Each takes some minutes on two CPU cores. Beside the weights a card is written: how they were made,
how good they are, and a hash that `models.pretrained` checks. The augmentation is not seeded: every
training gives other weights of the same quality, and other features. Distances of before and after
cannot be compared.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gan_course import data, models, runtime

BATCH_SIZE = 128
LEARNING_RATE = 3e-3  # at the start, then along a cosine to 0
WEIGHT_DECAY = 1e-3
EPOCHS = {"mnist": 12, "fashion_mnist": 18}
BLACK = {"fill_mode": "constant", "fill_value": -1.0}
AUGMENTATION = {
    "mnist": [
        keras.layers.RandomRotation(0.03, **BLACK),
        keras.layers.RandomTranslation(0.08, 0.08, **BLACK),
        keras.layers.RandomZoom(0.1, **BLACK),
    ],
    "fashion_mnist": [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomTranslation(0.05, 0.05, **BLACK),
    ],
}


def train(name):
    """A classifier of a data set's training split, compiled."""
    runtime.set_seed(0)
    images = data.load(name)
    augmentation = keras.Sequential(AUGMENTATION[name])
    batches = images.batches(BATCH_SIZE, augment=lambda x: augmentation(x, training=True))
    steps = EPOCHS[name] * -(-len(images) // BATCH_SIZE)
    model = models.image_classifier()
    model.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps), weight_decay=WEIGHT_DECAY
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(batches, epochs=EPOCHS[name], verbose=2, shuffle=False)
    return model


def accuracy(model, name, split):
    images = data.load(name, split)
    return model.evaluate(images.images, images.labels, batch_size=500, verbose=0)[1]


def feature_scale(model, name):
    """What gives the features, averaged over positions, variance 1 on average."""
    maps = keras.Model(model.inputs[0], model.get_layer("features").output)
    features = maps.predict(data.load(name).images, batch_size=500, verbose=0).mean(axis=(1, 2))
    return round(float(1 / np.sqrt(features.var(axis=0).mean())), 4)


def store(model, name):
    """Write weights and card."""
    models.PRETRAINED.mkdir(parents=True, exist_ok=True)
    path = models.PRETRAINED / f"{name}_classifier.weights.h5"
    arguments = {"input_shape": [28, 28, 1], "classes": 10}
    bare = models.image_classifier(**arguments)  # without the optimizer's state
    bare.set_weights(model.get_weights())
    bare.save_weights(path)
    tested = {f"{name} test": accuracy(model, name, "test")}
    if name == "mnist":
        tested["digits train"] = accuracy(model, "digits", "train")
        tested["digits test"] = accuracy(model, "digits", "test")
    card = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "builder": "image_classifier",
        "arguments": arguments,
        "features": "layer 'features' averaged over positions (96 numbers), times feature_scale",
        "feature_scale": feature_scale(bare, name),
        "accuracy": {split: round(value, 4) for split, value in tested.items()},
        "made_by": "tools/train_classifiers.py",
        "trained_on": f"{name} train, 60,000 images",
        "training": {
            "epochs": EPOCHS[name],
            "batch_size": BATCH_SIZE,
            "optimizer": f"AdamW, weight decay {WEIGHT_DECAY}",
            "learning_rate": f"{LEARNING_RATE}, cosine decay to 0",
            "augmentation": [layer.__class__.__name__ for layer in AUGMENTATION[name]],
        },
    }
    write_card(f"{name}_classifier", card)
    print(path.name, f"{path.stat().st_size / 1e3:.0f} kB", card["accuracy"])


def write_card(name, about):
    """What `models.pretrained_card` reads: about a network, and the versions that made it."""
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    card = {"format": models.CARD_FORMAT, **about, "versions": versions}
    text = json.dumps(card, indent=2) + "\n"
    (models.PRETRAINED / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="data set", default=list(EPOCHS))
    for name in parser.parse_args().names:
        store(train(name), name)


if __name__ == "__main__":
    main()
