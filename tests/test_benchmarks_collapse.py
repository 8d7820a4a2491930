"""The benchmark of mode collapse, run very small: what it trains, what it chooses, what it says."""

import keras
import numpy as np
import pytest

from benchmarks import mode_collapse, tables, timing
from gan_course import data, metrics, training


def kernels(network):  # a bias of the logit cancels in a relativistic loss
    return [np.array(weight) for weight in network.trainable_variables if len(weight.shape) > 1]


@pytest.mark.parametrize("name", mode_collapse.METHODS)
def test_every_method_trains_both_networks(name):
    method = mode_collapse.METHODS[name]
    extra = method.extras[0]
    gan = mode_collapse.build_gan(name, 1e-3, extra, seed=0, steps=2)
    before = [kernels(network) for network in (gan.generator, gan.discriminator)]
    mode_collapse.fitted(gan, data.ring(), 0, 2)()
    for network, old in zip((gan.generator, gan.discriminator), before, strict=True):
        assert all(np.abs(n - o).max() > 0 for n, o in zip(kernels(network), old, strict=True))
    for optimizer, times in (
        (gan.generator_optimizer, 1),
        (gan.discriminator_optimizer, method.d_rate(extra)),
    ):
        fallen = 0.01 * 1e-3 * times
        assert float(optimizer.learning_rate) == pytest.approx(fallen)


def test_methods_are_what_they_are_called():
    def build(name):
        return mode_collapse.build_gan(name, 1e-3, mode_collapse.METHODS[name].extras[-1], 0)

    packed = build("packing")
    assert packed.pack == 4 and packed.discriminator.input_shape == (None, 8)
    assert isinstance(build("unrolled"), training.UnrolledGAN)
    assert build("three steps of D").discriminator_steps == 3
    assert [penalty.gamma for penalty in build("R1 and R2").penalty] == [0.1, 0.1]
    assert build("mode seeking").diversity.weight == 0.1
    for name, layer in (
        ("minibatch discrimination", "MinibatchDiscrimination"),
        ("minibatch deviation", "MinibatchStd"),
    ):
        assert type(build(name).discriminator.layers[-2]).__name__ == layer
    slopes = {
        name: keras.ops.convert_to_numpy(build(name).generator.layers[0].activation(-1.0))
        for name in ("plain", "plain, leaky generator")
    }
    assert slopes["plain"] == 0 and slopes["plain, leaky generator"] == pytest.approx(-0.2)


def test_what_is_covered():
    square = data.grid(side=2)

    def covered(*counts, wrong=0):
        points = np.repeat(square.centers, counts, axis=0)
        far = np.full((wrong, 2), 0.2, np.float32)  # all nearest to one mode, too far from it
        return mode_collapse.covered(
            metrics.mode_coverage(np.concatenate([points, far]), square.centers, square.std)
        )

    assert covered(5, 5, 5, 5) == pytest.approx(1)
    assert covered(20, 0, 0, 0) == pytest.approx(1 / 4)
    assert covered(10, 10, 0, 0) == pytest.approx(1 / 2)
    assert covered(5, 5, 5, 0, wrong=5) == pytest.approx(3 / 4)


def test_means_and_standard_errors():
    assert mode_collapse.with_error([8, 8, 7, 8, 8], 1) == "7.8 ± 0.2"
    assert mode_collapse.with_error([0.25], 2) == "0.25"
    assert mode_collapse.with_error([0.1, None], 2) == "inf"


def test_a_short_run_makes_a_row(monkeypatch):
    row = mode_collapse.measure("grid", "packing", 1e-3, 2, seed=0, steps=2)
    assert set(mode_collapse.KEYS) < set(row) and row["extra"] == 2
    assert 0 <= row["modes"] <= 25 and 0 <= row["covered"] <= row["high_quality"] <= 1
    monkeypatch.setattr(
        training.GAN, "generate", lambda self, count, seed: np.full((count, 2), np.nan)
    )
    row = mode_collapse.measure("grid", "plain", 1e-3, None, seed=0, steps=2)
    assert row["modes"] == row["covered"] == 0 and row["reverse_kl"] is None
    paid = mode_collapse.measure_cost("plain", steps=2)
    assert mode_collapse.cost([row, paid], "plain") == paid["ms"] > 0


@pytest.fixture
def measured(monkeypatch):
    """Runs are made up: the middle rate covers most; and what was asked for is kept."""
    asked = []

    def in_own_process(function, *args):
        asked.append((function.__name__, args))
        if function is mode_collapse.measure_cost:
            return dict.fromkeys(mode_collapse.KEYS) | {"method": args[0], "ms": 1.234}
        mixture, name, rate, _, seed, _ = args
        row = dict(zip(mode_collapse.KEYS, args, strict=True))
        share = 0.9 if rate == mode_collapse.METHODS[name].rates[1] else 0.5
        modes = 8 if mixture == "ring" else 24 + seed % 2
        return row | {"modes": modes, "high_quality": 0.97, "reverse_kl": 0.01, "covered": share}

    monkeypatch.setattr(timing, "in_own_process", in_own_process)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    return asked


def test_the_best_settings_run_with_every_seed(measured, tmp_path):
    mode_collapse.main(tmp_path)
    finals = [args for kind, args in measured if kind == "measure" and args[4] != 100]
    count = len(mode_collapse.METHODS)
    assert len(finals) == count * len(mode_collapse.MIXTURES) * len(mode_collapse.SEEDS)
    assert all(args[2] == mode_collapse.METHODS[args[1]].rates[1] for args in finals)
    text = (tmp_path / "mode_collapse.md").read_text(encoding="utf-8")
    assert "| plain | 8.0 ± 0.0 | 97.0 ± 0.0 | 0.0100 ± 0.0000 | 24.4 ± 0.2 | 97.0" in text
    assert "| 1.23 | 0.001 | Goodfellow et al. 2014 |" in text
    assert "| *PacGAN2, published* | 7.9 | 95.6 | 0.07 | 23.8 | 91.3 | 0.13 |" in text
    assert "- plain: 0.001: 90.0%; 0.0005: 50.0%; 0.002: 50.0%" in text
    assert "NOT COMPLETE" not in text
    measured.clear()
    mode_collapse.main(tmp_path)
    assert measured == []


def test_a_table_with_missing_runs_says_so(measured, tmp_path):
    table = tables.Table("mode_collapse", mode_collapse.KEYS, tmp_path)
    for name in mode_collapse.METHODS:
        table.append(timing.in_own_process(mode_collapse.measure_cost, name))
    for seed in (mode_collapse.GRID_SEED, 0):
        table.append(
            timing.in_own_process(
                mode_collapse.measure, "grid", "plain", 1e-3, None, seed, mode_collapse.STEPS
            )
        )
    mode_collapse.report(table)
    text = table.path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"NOT COMPLETE: {10 * len(mode_collapse.METHODS) - 1} runs are missing" in text
