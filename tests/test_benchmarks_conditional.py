"""The benchmark of conditional GANs, run very small: what it trains, chooses and says."""

import numpy as np
import pytest

from benchmarks import conditional, tables, timing
from gan_course import data, losses, models, training


@pytest.fixture
def few_digits(monkeypatch):
    """Some embedded digits in place of MNIST."""
    small = data.load("digits")[:400]
    monkeypatch.setattr(data, "load", lambda name, split="train": small)
    monkeypatch.setattr(conditional, "HELD_OUT", 200)


@pytest.mark.parametrize("name", conditional.METHODS)
def test_every_method_trains_both_networks(name):
    method = conditional.METHODS[name]
    gan = conditional.build_gan(name, 1e-3, method.extras[0], seed=0)
    networks = gan.generator, gan.discriminator
    # a bias of the logit may have no slope at first: in a hinge loss real and fake cancel
    kernels = [[w for w in each.trainable_variables if len(w.shape) > 1] for each in networks]
    before = [[np.array(w) for w in each] for each in kernels]
    images = np.random.default_rng(0).uniform(-1, 1, (8, 28, 28, 1)).astype("float32")
    labels = np.arange(8)
    gan.step(*((images,) if name == "no label" else (images, labels)))
    for weights, old in zip(kernels, before, strict=True):
        assert all(np.abs(np.array(w) - o).max() > 0 for w, o in zip(weights, old, strict=True))


def test_methods_are_what_they_are_called():
    def build(name):
        return conditional.build_gan(name, 1e-3, conditional.METHODS[name].extras[-1], 0)

    assert type(build("no label")) is training.SimultaneousGAN
    classifier = build("auxiliary classifier")
    assert classifier.classifier_weight == 1.0 and len(classifier.discriminator.outputs) == 2
    biggan = build("the same, hierarchical latents")
    assert type(biggan.loss) is losses.Hinge and biggan.latent_dim == 65
    for network in (biggan.generator, biggan.discriminator):
        kinds = [type(layer) for layer in network.layers]
        assert models.SpectralNormalization in kinds
    regular = build("the same, orthogonal regularization").generator.trainable_variables
    assert [each.regularizer.factor for each in regular if each.regularizer] == [1e-4] * 5
    kinds = [type(layer) for layer in build("BatchNorm and projection").generator.layers]
    assert kinds.count(models.ConditionalBatchNormalization) == 4


def test_a_short_run_makes_a_row(few_digits):
    run = ("concatenation", 1e-3, None, conditional.GRID_SEED, 0.2)
    row = conditional.measure(*run, ms=50, count=200)
    assert tuple(row[key] for key in conditional.KEYS) == run and row["steps"] == 4
    assert 0 <= row["worst_class"] <= row["asked_for"] <= 1 and row["within"] > 0 < row["fid"]
    plain = conditional.measure("no label", 1e-3, None, 0, 0.1, ms=50, count=200)
    assert plain["asked_for"] is None and plain["fid"] > 0
    paid = conditional.measure_cost("concatenation", steps=1)
    assert conditional.cost([row, paid], "concatenation") == paid["ms"] > 0


def test_scores_of_real_images_and_of_wrong_labels(few_digits):
    real = data.load("digits")
    scores = conditional.Scores(real)
    scores.classify = lambda images: np.eye(10)[answers]

    class Copies(training.ConditionalGAN):
        def __init__(self):
            pass

        def generate_evenly(self, count, seed):
            return np.concatenate([real.images[real.labels == k][:1] for k in labels])

    labels = np.arange(20) % 10
    answers = np.where(labels == 3, 5, labels)
    found = scores(Copies(), 20)
    assert found["asked_for"] == 0.9 and found["worst_class"] == 0


@pytest.fixture
def measured(monkeypatch):
    """Runs are made up: the second rate is best, and projection best; keeps the calls."""
    asked = []

    def in_own_process(function, *args):
        asked.append((function.__name__, args))
        if function is conditional.measure_cost:
            return dict.fromkeys(conditional.KEYS) | {"method": args[0], "ms": 12.34}
        *settings, ms = args
        assert ms == 12.34
        name, rate, _, seed, _ = settings
        good = rate == conditional.METHODS[name].rates[1]
        fid = (1.0 if name == "BatchNorm and projection" else 2.0) + seed / 10 if good else None
        labels = None if name == "no label" else 0.97
        row = dict(zip(conditional.KEYS, settings, strict=True))
        return row | {"fid": fid, "asked_for": labels, "worst_class": labels, "within": labels}

    monkeypatch.setattr(timing, "in_own_process", in_own_process)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    return asked


def test_the_best_settings_run_with_every_seed(measured, tmp_path):
    conditional.main(tmp_path)
    finals = [
        args for kind, args in measured if kind == "measure" and args[4] == conditional.SECONDS
    ]
    assert len(finals) == len(conditional.METHODS) * len(conditional.SEEDS)
    assert all(args[1] == conditional.METHODS[args[0]].rates[1] for args in finals)
    text = (tmp_path / "conditional.md").read_text(encoding="utf-8")
    first = (
        "| BatchNorm and projection | 97.0 ± 0.0 | 97.0 ± 0.0 | 1.20 ± 0.07 | 0.97 ± 0.00 | 12.3 |"
    )
    assert first in text and "| no label |  |  | 2.20 ± 0.07 |  | 12.3 | 0.003 |" in text
    assert "NOT COMPLETE" not in text and "- no label: 0.003: 12.00; 0.001: inf" in text
    measured.clear()
    conditional.main(tmp_path)
    assert measured == []


def test_a_table_with_missing_runs_says_so(measured, tmp_path):
    table = tables.Table("conditional", conditional.KEYS, tmp_path)
    table.append(timing.in_own_process(conditional.measure_cost, "embedding"))
    for seed, seconds in ((conditional.GRID_SEED, 30), (0, conditional.SECONDS)):
        run = ("embedding", 3e-3, None, seed, seconds, 12.34)
        table.append(timing.in_own_process(conditional.measure, *run))
    conditional.report(table)
    text = table.path.with_suffix(".md").read_text(encoding="utf-8")
    assert "NOT COMPLETE: 49 runs are missing" in text
