"""The benchmark of rare classes, run very small: what each way trains on, and what is said."""

import numpy as np
import pytest

from benchmarks import rare_classes, tables, timing
from gan_course import data


@pytest.fixture
def few_digits(monkeypatch):
    """The embedded digits in place of MNIST, about 140 of each."""
    small = data.load("digits")
    monkeypatch.setattr(data, "load", lambda name, split="train", fallback=None: small)
    return small


def test_three_digits_are_rare_and_the_seed_says_which(few_digits):
    images, rare = rare_classes.kept_images(0, few=4, many=20)
    counts = np.bincount(images.labels, minlength=10)
    assert sorted(np.flatnonzero(counts == 4)) == rare.tolist()
    assert (np.delete(counts, rare) == 20).all()
    again, _ = rare_classes.kept_images(0, few=4, many=20)
    np.testing.assert_array_equal(images.images, again.images)
    assert any(rare_classes.kept_images(seed)[1].tolist() != rare.tolist() for seed in (1, 2))


def test_repeated_images_are_the_kept_ones(few_digits):
    images, rare = rare_classes.kept_images(1, few=4, many=20)
    more = rare_classes.repeated(images, many=20)
    assert (np.bincount(more.labels) == 20).all()
    ours, theirs = (
        {image.tobytes() for image in each.images[each.labels == rare[0]]}
        for each in (more, images)
    )
    assert ours == theirs and len(ours) == 4


def test_refilled_images_are_generated_where_they_are_missing(few_digits):
    images, rare = rare_classes.kept_images(2, few=4, many=20)

    class Ones:
        def generate(self, labels, seed):
            return np.ones((len(labels), *images.images.shape[1:]), "float32")

    more = rare_classes.refilled(images, Ones(), many=20)
    assert (np.bincount(more.labels) == 20).all()
    made = more.images.min(axis=(1, 2, 3)) == 1
    assert made.sum() == 3 * 16 and set(more.labels[made]) == set(rare)
    np.testing.assert_array_equal(more.images[: len(images)], images.images)


@pytest.mark.parametrize("way", rare_classes.WAYS)
def test_a_way_makes_a_row(way, few_digits):
    row = rare_classes.measure(way, way == "repeated", 0, few=4, many=20, gan_steps=2, steps=2)
    assert (row["way"], row["seed"], len(row["rare_digits"])) == (way, 0, 3)
    counts = np.isin(few_digits.labels, row["rare_digits"])
    mixed = (counts.mean() * row["rare"]) + (1 - counts.mean()) * row["others"]
    assert 0 <= row["all"] <= 1 and row["all"] == pytest.approx(mixed, abs=1e-3)


def test_a_classifier_learns(few_digits):
    # BatchNorm's running averages need a while
    classifier = rare_classes.train_classifier(few_digits[:300], moved=True, seed=0, steps=200)
    read = classifier.predict(few_digits.images, verbose=0).argmax(axis=1)
    assert np.mean(read == few_digits.labels) > 0.5


def test_every_way_runs_with_every_seed_once(monkeypatch, tmp_path):
    asked = []

    def in_own_process(function, *args):
        asked.append(args)
        values = {
            "rare": 0.9 + args[2] / 100,
            "others": 0.99,
            "all": 0.97,
            "rare_digits": [1, 2, 3],
        }
        return dict(zip(rare_classes.KEYS, args, strict=True)) | values

    monkeypatch.setattr(timing, "in_own_process", in_own_process)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    rare_classes.main(tmp_path)
    assert len(asked) == len(set(asked)) == 2 * 5 * 5
    text = (tmp_path / "rare_classes.md").read_text(encoding="utf-8")
    assert "NOT COMPLETE" not in text
    assert "| GAN, repeated | yes | 92.0 ± 0.7 | 99.0 ± 0.0 | 97.0 ± 0.0 |" in text
    asked.clear()
    rare_classes.main(tmp_path)
    assert asked == []
    few = tables.Table("rare_classes", rare_classes.KEYS, tmp_path / "other")
    few.append(in_own_process(None, "GAN", True, 0))
    rare_classes.report(few)
    text = few.path.with_suffix(".md").read_text(encoding="utf-8")
    assert "NOT COMPLETE: 49 runs are missing" in text
