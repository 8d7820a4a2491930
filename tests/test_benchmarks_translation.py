"""The benchmarks of translations, run very small: what is trained, how it is scored and told."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import horse2zebra, tables, timing, translation
from gan_course import data

DIGITS = data.load("digits")


@pytest.fixture
def small(monkeypatch):
    """The embedded digits in place of MNIST, and networks of a few weights."""
    monkeypatch.setattr(data, "load", lambda name, split="train", fallback=None: DIGITS[:120])
    monkeypatch.setattr(translation, "WIDTH", 2)
    monkeypatch.setattr(translation, "BLOCKS", 1)


def test_paired_images_are_held_against_their_partners(small):
    cycle = translation.build("pairs", 5.0, 0)
    real = [tf.fill((2, 28, 28, 3), value) for value in (0.0, 1.0)]
    fake_a, fake_b = tf.fill((2, 28, 28, 3), 0.25), tf.fill((2, 28, 28, 3), -0.5)
    assert float(cycle.cycle_loss(*real, fake_a, fake_b)) == pytest.approx(0.25 + 1.5)


def test_pairs_belong_together_and_others_do_not(small):
    a, b = next(iter(translation.batches("pairs", 0)))
    np.testing.assert_allclose(data.slanted_in_color(a.numpy()[..., :1]), b, atol=1e-5)
    a, b = next(iter(translation.batches("lesson", 0)))
    assert np.abs(data.slanted_in_color(a.numpy()[..., :1]) - b).mean() > 0.05


def test_each_way_is_what_it_says(small):
    lesson, no_cycle, identity, no_pool = (
        translation.build(name, translation.WAYS[name].weights[0], 0)
        for name in ("lesson", "no cycle", "identity", "no pool")
    )
    assert (lesson.cycle_weight, lesson.identity_weight, lesson.pool_size) == (1, 0, 50)
    assert (no_cycle.cycle_weight, identity.identity_weight, no_pool.pool_size) == (0, 0.5, 0)
    names = {layer.name for layer in translation.build("U-Net", 1.0, 0).a_to_b.layers}
    assert any(name.startswith("concatenate") for name in names)


def test_the_best_recoloring_undoes_a_recoloring():
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (3, 4, 4, 3))
    targets = images @ rng.normal(size=(3, 3)) + rng.normal(size=3)
    np.testing.assert_allclose(translation.best_recoloring(images, targets), targets, atol=1e-6)
    gray = np.repeat(images[..., :1], 3, axis=-1)  # three channels that are the same
    came = translation.best_recoloring(gray, 2 * gray - 1)
    np.testing.assert_allclose(came, 2 * gray - 1, atol=1e-6)


def test_the_best_recoloring_has_smaller_errors_than_least_squares():
    rng = np.random.default_rng(1)
    images = rng.uniform(-1, 1, (5, 8, 8, 3))
    targets = images + rng.standard_t(1.5, images.shape)  # with outliers
    pixels = np.column_stack([images.reshape(-1, 3), np.ones(320)])
    squares = pixels @ np.linalg.lstsq(pixels, targets.reshape(-1, 3), rcond=None)[0]
    best = translation.best_recoloring(images, targets)
    mean = np.abs(targets - best).mean()
    assert mean < np.abs(targets.reshape(-1, 3) - squares).mean() - 1e-3
    for change in (1e-2, -1e-2):
        assert mean < np.abs(targets - best * (1 + change)).mean()


def colors(images):
    """Features and class of images by their mean: something to read with, without a network."""
    mean = images.mean(axis=(1, 2))
    features = np.concatenate([mean, mean**2], axis=1)
    return features, np.eye(2)[(mean[:, 0] > 0).astype(int)]


def test_scores_of_the_truth_of_nothing_and_of_a_wrong_class():
    rng = np.random.default_rng(0)
    images = rng.uniform(0.1, 0.5, (40, 4, 4, 3)).astype("float32")
    a = data.Images(images, np.ones(40, int), "a", ("0", "1"), partner=images + 0.25)
    b = dataclasses.replace(a, images=images + 0.25, partner=images)
    scores = translation.Scores(a, b, a.images, b.images, colors, colors)
    shift = {"a_to_b": 0.25, "b_to_a": -0.25}
    right = scores(lambda x, way: x + np.float32(shift[way]))
    for found in right.values():
        assert found == {"error": 0, "kept": 1, "distance": 0, "cycle": 0}
    nothing = scores(lambda x, way: x)
    assert nothing["a_to_b"]["error"] == pytest.approx(0.25, abs=1e-3)
    assert nothing["a_to_b"]["kept"] == 1 and nothing["a_to_b"]["distance"] > 0.1
    dark = scores(lambda x, way: -x)
    assert dark["b_to_a"]["kept"] == 0 and dark["b_to_a"]["cycle"] == 0


def test_a_reader_learns(small):
    read = translation.reader(DIGITS[:120], steps=60)
    features, probabilities = read(DIGITS.images[:120])
    assert features.shape == (120, 96) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.isfinite(probabilities).all()


@pytest.mark.parametrize("way", ["lesson", "pairs"])
def test_a_way_makes_a_row(way, small, monkeypatch):
    monkeypatch.setattr(translation, "reader", lambda images: colors)
    row = translation.measure(way, 1.0, 3, steps=2)
    assert (row["way"], row["weight"], row["seed"]) == (way, 1.0, 3)
    for direction in translation.DIRECTIONS:
        assert set(row[direction]) == {"error", "kept", "distance", "cycle"}
        assert 0 < row[direction]["error"] < 2


def test_every_way_runs_with_every_seed_and_the_best_weight(monkeypatch, tmp_path):
    asked = []

    def in_own_process(function, *args):
        if function is translation.measure_cost:
            none = dict.fromkeys(translation.KEYS)
            return {**none, "way": "cost", "method": args[0], "ms": 80.0}
        if function is translation.measure_bar:
            each = {"as they are": 0.7, "recolored": 0.25}
            return {**dict.fromkeys(translation.KEYS), "way": "bar", "a_to_b": each, "b_to_a": each}
        asked.append(args)
        error = 0.1 if args[:2] == ("pairs", 50.0) else 0.2
        scores = {"error": error, "kept": 0.9, "distance": 1.0, "cycle": 0.05}
        row = dict(zip(translation.KEYS, args, strict=True))
        return {**row, "a_to_b": scores, "b_to_a": scores}

    monkeypatch.setattr(timing, "in_own_process", in_own_process)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    translation.main(tmp_path)
    trials = [args for args in asked if args[2] == translation.TRIAL_SEED]
    assert sorted(trials) == [("pairs", 5.0, 100), ("pairs", 50.0, 100)]
    assert len(asked) == 2 + 3 * len(translation.WAYS)
    assert all(args[1] == 50.0 for args in asked if args[0] == "pairs" and args[2] < 3)
    text = (tmp_path / "translation.md").read_text(encoding="utf-8")
    assert "NOT COMPLETE" not in text and "recolored: 0.250 / 0.250" in text
    assert "| as lesson 08 has it | 0.200 ± 0.000 / 0.200 ± 0.000 | 80 ± 0 / 80 ± 0 |" in text
    asked.clear()
    translation.main(tmp_path)
    assert not asked
    table = tables.Table("translation", translation.KEYS, tmp_path)
    rows = [row for row in table.rows() if row["way"] != "U-Net"]
    table.path.unlink()
    for row in rows:
        table.append(row)
    translation.report(table)
    text = (tmp_path / "translation.md").read_text(encoding="utf-8")
    assert "NOT COMPLETE: 3 runs are missing" in text and "U-Net" not in text


def test_horses_and_zebras_make_a_row(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)

    def load(name, split="train", size=None):
        kinds = [rng.uniform(-1, 1, (70, size, size, 3)).astype("float32") for _ in range(2)]
        return [
            data.Images(images, np.full(70, label), name, ("horse", "zebra"))
            for label, images in enumerate(kinds)
        ]

    monkeypatch.setattr(data, "load_unpaired", load)
    for name, value in {"SIDE": 16, "WIDTH": 2, "HALVINGS": 2, "READ_SIDE": 8}.items():
        monkeypatch.setattr(horse2zebra, name, value)
    monkeypatch.setattr(horse2zebra, "READ_STEPS", 2)
    row = horse2zebra.measure(0.5, 2, 1)
    for kind in ("horse", "zebra"):
        for name in ("real", "translated"):
            assert 0 <= row[f"{name} {kind} read as the other"] <= 1
        assert -1 <= row[f"{kind} and translation correlate"] <= 1
    table = tables.Table("horse2zebra", horse2zebra.KEYS, tmp_path)
    table.append(row)
    horse2zebra.report(table)
    text = (tmp_path / "horse2zebra.md").read_text(encoding="utf-8")
    assert f"| horse there and back | {row['horse there and back']:.3f} |" in text


def test_photos_are_read_by_their_kind(monkeypatch):
    def load(name, split="train", size=None):
        return [
            data.Images(
                np.full((70, size, size, 3), value, "float32"), np.full(70, label), name, ("h", "z")
            )
            for label, value in enumerate((-0.5, 0.5))
        ]

    monkeypatch.setattr(data, "load_unpaired", load)
    monkeypatch.setattr(horse2zebra, "READ_SIDE", 8)
    monkeypatch.setattr(horse2zebra, "READ_STEPS", 40)
    read = horse2zebra.read_kinds()
    dark, bright = (read(np.full((2, 16, 16, 3), v, "float32")) for v in (-0.5, 0.5))
    assert dark.shape == (2, 2) and np.allclose(dark.sum(axis=1), 1, atol=1e-5)
    assert dark[0, 0] > bright[0, 0] and dark[0, 1] < bright[0, 1]
