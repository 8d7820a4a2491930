"""The benchmark of stacked digits, run very small: what it trains, chooses and says."""

import numpy as np
import pytest

from benchmarks import recipes, stacked_mnist, tables, timing
from gan_course import data, losses, models, training


@pytest.fixture
def few_digits(monkeypatch):
    """Some embedded digits in place of MNIST."""
    small = data.load("digits")[:100]
    monkeypatch.setattr(data, "load", lambda name, split="train", fallback=None: small)


def build(name, extra):
    return stacked_mnist.build_gan(name, 1e-3, extra, seed=0, steps=2)


@pytest.mark.parametrize("name", stacked_mnist.METHODS)
def test_every_method_trains_both_networks(name, few_digits):
    gan = build(name, stacked_mnist.METHODS[name].extras[0])
    networks = gan.generator, gan.discriminator
    kernels = [[w for w in n.trainable_variables if len(w.shape) > 1] for n in networks]
    before = [[np.array(w) for w in each] for each in kernels]
    batches = stacked_mnist.batches_for(gan, 70)
    assert next(iter(batches))[0].shape == (32 * gan.pack, 28, 28, 3)
    gan.fit(batches, steps_per_epoch=2, verbose=0)
    for weights, old in zip(kernels, before, strict=True):
        assert all(np.abs(np.array(w) - o).max() > 0 for w, o in zip(weights, old, strict=True))
    for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
        assert float(optimizer.learning_rate) == pytest.approx(0.02 * 1e-3)


def test_methods_are_what_they_are_called():
    plain, course = build("lesson 02", None), recipes.Course(0).gan
    assert isinstance(plain, training.SimultaneousGAN) and plain.loss.get_config() == (
        course.loss.get_config()
    )
    for ours, other in (
        (plain.generator, course.generator),
        (plain.discriminator, course.discriminator),
    ):
        assert [type(each) for each in ours.layers] == [type(each) for each in other.layers]
        kernels = [
            [w.shape[:2] for w in each.weights if len(w.shape) == 4] for each in (ours, other)
        ]
        assert kernels[0] == kernels[1]
    assert build("packing", 2).discriminator.input_shape == (None, 28, 28, 6)
    assert type(build("minibatch deviation", None).discriminator.layers[-2]) is models.MinibatchStd
    for name, loss, penalties in (
        ("R1", losses.NonSaturating, [losses.R1]),
        ("R1 and R2", losses.NonSaturating, [losses.R1, losses.R2]),
        ("relativistic, R1", losses.Relativistic, [losses.R1]),
        ("relativistic, R1 and R2", losses.Relativistic, [losses.R1, losses.R2]),
    ):
        gan = build(name, 0.1)
        assert type(gan.loss) is loss and [type(each) for each in gan.penalty] == penalties
        assert all(each.gamma == 0.1 for each in gan.penalty)
        names = [type(layer).__name__ for layer in gan.discriminator.layers]
        assert "BatchNormalization" not in names


def test_a_short_run_makes_a_row(few_digits, monkeypatch):
    run = ("lesson 02", 1e-3, None, 0, 0.005)
    row = stacked_mnist.measure(*run, ms=50, images=50, count=40)
    assert row["steps"] == 6  # 0.3 s of 50 ms each
    assert 1 <= row["modes"] <= 40 and row["reverse_kl"] > 0
    assert tuple(row[key] for key in stacked_mnist.KEYS) == run
    monkeypatch.setattr(
        training.GAN, "generate", lambda self, count, seed: np.full((count, 28, 28, 3), np.nan)
    )
    row = stacked_mnist.measure(*run, ms=50, images=50, count=40)
    assert row["modes"] == 0 and row["reverse_kl"] is None
    paid = stacked_mnist.measure_cost("lesson 02", count=50, steps=2)
    assert stacked_mnist.cost([row, paid], "lesson 02") == paid["ms"] > 0


@pytest.fixture
def measured(monkeypatch):
    """Runs are made up: the second rate is best, and packing the best method; keeps the calls."""
    asked = []

    def in_own_process(function, *args):
        asked.append((function.__name__, args))
        if function is stacked_mnist.measure_cost:
            return dict.fromkeys(stacked_mnist.KEYS) | {"method": args[0], "ms": 12.34}
        *settings, ms = args
        assert ms == 12.34
        name, rate, _, seed, minutes = settings
        kl = (0.05 if name == "packing" else 0.08) + seed / 100 - 0.025 * (minutes > 5)
        if rate != stacked_mnist.METHODS[name].rates[1]:
            kl = None
        row = dict(zip(stacked_mnist.KEYS, settings, strict=True))
        return row | {"modes": 999 + seed % 2, "reverse_kl": kl}

    monkeypatch.setattr(timing, "in_own_process", in_own_process)
    monkeypatch.setattr(
        stacked_mnist, "floor", lambda: type("", (), dict(captured=1e3, reverse_kl=0.0236))
    )
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    return asked


def test_the_best_settings_run_with_every_seed_and_the_best_method_longer(measured, tmp_path):
    stacked_mnist.main(tmp_path)
    runs = [args for kind, args in measured if kind == "measure"]
    finals = [args for args in runs if args[4] == stacked_mnist.MINUTES]
    assert len(finals) == len(stacked_mnist.METHODS) * len(stacked_mnist.SEEDS)
    assert all(args[1] == stacked_mnist.METHODS[args[0]].rates[1] for args in finals)
    longer = [args for args in runs if args[4] == stacked_mnist.LONGER]
    assert [(args[0], args[3]) for args in longer] == [
        ("packing", 0),
        ("packing", 1),
    ]
    text = (tmp_path / "stacked_mnist.md").read_text(encoding="utf-8")
    assert "NOT COMPLETE" not in text and "0.0236" in text
    row = "| packing | 10 | 999.5 ± 0.5 | 0.0300 ± 0.0050 | 12.3 | 0.002, in a pack 2 | Lin et al."
    assert row in text and "| *R3GAN, published* |  | 1000 | 0.029 |" in text
    assert "- 0.06 over the reverse KL of the worst run of packing in 10 minutes (999 modes" in text
    assert "1.14 (target 1.00: met)" in text and "0.57 (target 1.00: not met)" in text
    assert "- lesson 02: 0.002: 1.080; 0.00" in text and "0.004: inf" in text
    measured.clear()
    stacked_mnist.main(tmp_path)
    assert measured == []


def test_a_table_with_missing_runs_says_so(measured, tmp_path):
    table = tables.Table("stacked_mnist", stacked_mnist.KEYS, tmp_path)
    table.append(timing.in_own_process(stacked_mnist.measure_cost, "R1"))
    for seed, minutes in ((stacked_mnist.GRID_SEED, stacked_mnist.GRID_MINUTES), (0, 2)):
        table.append(
            timing.in_own_process(stacked_mnist.measure, "R1", 2e-3, 1.0, seed, minutes, 12.34)
        )
    stacked_mnist.report(table)
    text = table.path.with_suffix(".md").read_text(encoding="utf-8")
    assert "NOT COMPLETE: 22 runs are missing" in text and "not measured" in text
