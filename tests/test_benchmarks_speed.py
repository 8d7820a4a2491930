"""The benchmarks of speed, run very small: what they count, and what they say of their rows."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from benchmarks import (
    cycle_speed,
    growth,
    limit,
    pytorch,
    recipes,
    small_steps,
    speed,
    tables,
    timing,
)
from gan_course import losses, models, training


@pytest.fixture(autouse=True)
def float32():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def measured(monkeypatch):
    """Benchmarks get made-up rows, and the settings that they ask for are kept."""
    asked = []

    def in_own_process(function, *args):
        asked.append((function.__name__, args))
        return MADE_UP[function](*args)

    monkeypatch.setattr(timing, "in_own_process", in_own_process)
    return asked


def made_up_speed(method, precision, round_number, batch_size, steps, blocks):
    row = {"method": method, "precision": precision, "round": round_number}
    row |= {"batch_size": batch_size, "steps": steps}
    if method in speed.PYTORCH:
        row["torch"] = "2.0"
    if "compile" in method:
        return {**row, "skipped": "InvalidCxxCompiler: no compiler"}
    base = {"fit": 380, "step": 400, "PyTorch eager": 200, "Keras train_on_batch": 100}
    speeds = [base.get(method, 390) + i for i in range(blocks)]
    return {
        **row,
        "images_per_second": speeds,
        "seconds_to_first_step": 1.0,
        "megabytes": 900,
        "weights": 1234,
    }


def made_up_small_steps(method, round_number):
    row = {"method": method, "round": round_number, "weights": 1234}
    base = {"fit": 1200, "step": 800, "PyTorch eager": 290}
    return {**row, "steps_per_second": [base.get(method, 1210) + i for i in range(3)]}


def made_up_step(batch_size, side, variant, channels):
    case = {"batch_size": batch_size, "side": side, "variant": variant, "channels": channels}
    return {"case": case, "milliseconds": [batch_size / 4] * 2, "operations": 10 * batch_size}


def made_up_data(count):
    row = {"case": {"images": count}, "loaded": 60_000, "seconds_to_load": [5.0, 0.25]}
    return {**row, "seconds_per_epoch": [count / 1e5]}


def made_up_limit(variant, latent_dim, batch_size, precision):
    row = {"variant": variant, "batch_size": batch_size, "precision": precision}
    return {
        **row,
        "operations": 59_000_000,
        "milliseconds": [1.0],
        "parts": {**dict.fromkeys(limit.KINDS, 0.25), "optimizers": 0.125},
        "convolution_rate": 100.0,
        "convolution": "a shape",
        "matrix_rate": 110.0,
        "matrix": 512,
    }


MADE_UP = {
    speed.measure: made_up_speed,
    small_steps.measure: made_up_small_steps,
    growth.measure_step: made_up_step,
    growth.measure_data: made_up_data,
    limit.measure: made_up_limit,
}


def text_of(name, folder):
    return (folder / f"{name}.md").read_text(encoding="utf-8")


# What they measure with


def test_a_function_runs_in_a_process_of_its_own():
    assert timing.in_own_process(os.getpid) != os.getpid()


def test_calls_are_timed_in_blocks():
    calls = []
    assert len(timing.seconds_per_call(lambda: calls.append(0), blocks=3, at_least=0)) == 3
    assert len(calls) == 2 + 3
    calls.clear()
    assert all(s > 0 for s in timing.seconds_per_call(lambda: calls.append(0), 2, at_least=1e-4))
    assert len(calls) > 2 + 2


def test_memory_never_falls():
    before = timing.peak_megabytes()
    assert 10 < before <= timing.peak_megabytes()


def test_verdicts_follow_the_number_that_is_shown():
    assert tables.verdict("a over b", 2.99, 2, 1.5) == "- a over b: 1.50 (target 1.50: met)"
    assert tables.verdict("a over b", 2.98, 2, 1.5) == "- a over b: 1.49 (target 1.50: not met)"
    assert "not measured" in tables.verdict("a over b", None, 2, 1.5)


# Speed at equal work

KERAS = tuple(name for name in speed.METHODS if name not in speed.PYTORCH)


def weights_of_the_tutorial():
    networks = (
        models.dcgan_generator(100, variant="tensorflow"),
        models.dcgan_discriminator(variant="tensorflow"),
    )
    return sum(int(np.prod(w.shape)) for each in networks for w in each.trainable_variables)


@pytest.mark.parametrize("precision", speed.POLICIES)
@pytest.mark.parametrize("method", KERAS)
def test_every_keras_method_trains_the_same_networks(method, precision):
    row = speed.measure(method, precision, 0, batch_size=2, steps=1, blocks=2)
    assert row["weights"] == weights_of_the_tutorial()
    assert len(row["images_per_second"]) == 2 and min(row["images_per_second"]) > 0
    assert row["seconds_to_first_step"] > 0 and row["megabytes"] > 0
    assert (row["method"], row["precision"], row["round"]) == (method, precision, 0)


@pytest.mark.parametrize("precision", speed.POLICIES)
@pytest.mark.parametrize("method", [name for name in speed.PYTORCH if "compile" not in name])
def test_every_pytorch_method_trains_the_same_networks(method, precision):
    pytest.importorskip("torch")
    row = speed.measure(method, precision, 0, batch_size=2, steps=1, blocks=2)
    assert row["weights"] == weights_of_the_tutorial()
    assert len(row["images_per_second"]) == 2 and row["torch"]


def test_networks_in_pytorch_are_those_in_keras():
    torch = pytest.importorskip("torch")
    pairs = [
        (pytorch.tensorflow_generator(), models.dcgan_generator(100, variant="tensorflow")),
        (pytorch.tensorflow_discriminator(), models.dcgan_discriminator(variant="tensorflow")),
    ]
    for ours, theirs in pairs:
        of_ours = sorted(sorted(weight.shape) for weight in ours.parameters())
        assert of_ours == sorted(sorted(weight.shape) for weight in theirs.trainable_variables)
    made = pairs[0][0](torch.zeros(2, 100))
    assert tuple(made.permute(0, 2, 3, 1).shape) == (2, *pairs[0][1].output_shape[1:])
    assert tuple(pairs[1][0](made).shape) == (2, *pairs[1][1].output_shape[1:])


def test_a_step_in_pytorch_has_each_networks_own_gradients():
    torch = pytest.importorskip("torch")
    gan = pytorch.SimultaneousGAN()
    gan.discriminator.eval()  # without dropout both ways see the same
    images = torch.rand(3, 1, 28, 28)
    torch.manual_seed(1)
    for_generator, for_discriminator = gan.gradients(images)
    torch.manual_seed(1)
    made = gan.generator(torch.randn(3, 100))
    entropy = torch.nn.BCEWithLogitsLoss()
    entropy(gan.discriminator(made), torch.ones(3, 1)).backward()
    for weight, gradient in zip(gan.generator.parameters(), for_generator, strict=True):
        torch.testing.assert_close(weight.grad, gradient)
    gan.discriminator.zero_grad()
    entropy(gan.discriminator(images), torch.ones(3, 1)).backward()
    entropy(gan.discriminator(made.detach()), torch.zeros(3, 1)).backward()
    for weight, gradient in zip(gan.discriminator.parameters(), for_discriminator, strict=True):
        torch.testing.assert_close(weight.grad, gradient)


def test_what_does_not_compile_is_left_out_with_its_reason(monkeypatch):
    pytest.importorskip("torch")

    def fail(*args):
        raise RuntimeError("no compiler\nand much more")

    monkeypatch.setitem(speed.METHODS, "torch.compile", fail)
    row = speed.measure("torch.compile", "float32", 0, 2, 1, 1)
    assert row["skipped"] == "RuntimeError: no compiler" and "weights" not in row
    monkeypatch.setitem(speed.METHODS, "step", fail)
    with pytest.raises(RuntimeError, match="no compiler"):
        speed.measure("step", "float32", 0, 2, 1, 1)


def test_speed_goes_on_where_it_was(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(pytorch, "is_installed", lambda: True)
    speed.main(tmp_path)
    assert len(measured) == speed.ROUNDS * len(speed.METHODS) * len(speed.POLICIES)
    assert len({args[:4] for _, args in measured}) == len(measured)
    measured.clear()
    speed.main(tmp_path)
    assert measured == []


def test_speed_says_what_was_reached(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(pytorch, "is_installed", lambda: True)
    speed.main(tmp_path)
    text = text_of("speed", tmp_path)
    assert "our faster way over the fastest other one, float32: 1.03 (target 1.00: met)" in text
    assert "PyTorch eager, float32: 1.03 (target 1.40: not met)" in text
    assert "our best precision over PyTorch's best: 1.03 (target 1.25: not met)" in text
    assert "`fit` over the hand-written loop, bfloat16: 0.97 (target 0.95: met)" in text
    assert "| fit | float32 | 381 | 380 to 382 | 0.95 | 1.0 | 900 |" in text
    assert "Left out: torch.compile, bfloat16: InvalidCxxCompiler: no compiler" in text
    assert "1,234 trainable weights" in text and "PyTorch 2.0." in text


def test_without_pytorch_its_rows_are_left_out(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(pytorch, "is_installed", lambda: False)
    speed.main(tmp_path)
    assert not {args[0] for _, args in measured} & set(speed.PYTORCH)
    text = text_of("speed", tmp_path)
    assert "PyTorch was not installed." in text and "not measured (target 1.25)" in text


def test_pytorchs_recipe_is_there_where_pytorch_is():
    names = [recipe.__name__ for recipe in recipes.RECIPES]
    assert ("PyTorchTutorial" in names) == pytorch.is_installed()


# Small steps


def weights_of_two_small_networks():
    layers_of_each = [(2, 128), (128, 128), (128, 2)], [(2, 128), (128, 128), (128, 1)]
    return sum((before + 1) * after for each in layers_of_each for before, after in each)


@pytest.mark.parametrize("method", small_steps.METHODS)
def test_every_way_of_small_steps_trains_the_same_networks(method, monkeypatch):
    if "PyTorch" in method:
        pytest.importorskip("torch")
    monkeypatch.setattr(small_steps, "STEPS", 2)
    row = small_steps.measure(method, 0, blocks=2, at_least=0)
    assert row["weights"] == weights_of_two_small_networks()
    assert len(row["steps_per_second"]) == 2 and min(row["steps_per_second"]) > 0


@pytest.mark.parametrize("several", [True, False])
def test_a_hand_written_loop_makes_as_many_steps_as_it_is_told(several, monkeypatch):
    made = []
    apply = keras.optimizers.Adam.apply
    monkeypatch.setattr(
        keras.optimizers.Adam, "apply", lambda self, *args: (made.append(self), apply(self, *args))
    )
    monkeypatch.setattr(small_steps, "STEPS", 2)
    run, _ = small_steps._hand_written(several=several)
    run(4)
    assert {int(optimizer.iterations) for optimizer in made} == {4}


def test_small_steps_say_what_was_reached(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(pytorch, "is_installed", lambda: True)
    small_steps.main(tmp_path)
    assert len(measured) == small_steps.ROUNDS * len(small_steps.METHODS)
    text = text_of("small_steps", tmp_path)
    assert "`fit` over PyTorch eager: 4.13 (target 4.00: met)" in text
    assert "`fit` over the fastest hand-written loop: 0.99 (target 1.00: not met)" in text
    assert "| fit | 1,201 | 1,200 to 1,202 |" in text
    measured.clear()
    small_steps.main(tmp_path)
    assert measured == []


# Distance to the limit


def built(*parts):
    return keras.Sequential(parts).layers


def test_operations_of_single_layers():
    (dense,) = built(keras.Input((3,)), layers.Dense(5))
    assert limit.forward_operations(dense) == 2 * 3 * 5
    (strided,) = built(keras.Input((5, 5, 2)), layers.Conv2D(4, 3, 2, "same"))
    assert limit.forward_operations(strided) == 2 * (3 * 3) * (3 * 3 * 2 * 4)  # 5 -> 3 places
    (larger,) = built(keras.Input((7, 7, 6)), layers.Conv2DTranspose(4, 5, 2, "same"))
    assert limit.forward_operations(larger) == 2 * (7 * 7) * (5 * 5 * 6 * 4)  # 7 -> 14
    (other,) = built(keras.Input((7, 7, 6)), layers.BatchNormalization())
    assert limit.forward_operations(other) == 0
    with pytest.raises(ValueError, match="Conv1D"):
        limit.forward_operations(built(keras.Input((7, 6)), layers.Conv1D(4, 3))[0])


def test_operations_of_a_step():
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Dense(4)])
    discriminator = keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.Dense(1)])
    g_first, g_second, d_first, d_second = 2 * 2 * 3, 2 * 3 * 4, 2 * 4 * 5, 2 * 5 * 1
    learns_g = 2 * g_first + 3 * g_second  # forward, for weights; the second for its inputs too
    learns_d = 2 * d_first + 3 * d_second
    to_images = d_first + d_second
    expected = 10 * (learns_g + 2 * learns_d + to_images)
    assert limit.step_operations(generator, discriminator, 10) == expected


def test_a_step_passes_the_networks_as_often_as_counted():
    """Convolutions and their gradients that the graph of a step cannot do without."""
    gan = training.SimultaneousGAN(
        models.dcgan_generator(4, variant="tensorflow"),
        models.dcgan_discriminator(variant="tensorflow"),
        latent_dim=4,
    )
    gan.compile()
    images = tf.TensorSpec((4, 28, 28, 1), tf.float32)
    graph = gan._compiled_step.get_concrete_function(images).graph
    todo, needed = [*graph.control_outputs, *(tensor.op for tensor in graph.outputs)], set()
    while todo:
        op = todo.pop()
        if op not in needed:
            needed.add(op)
            todo += [*op.control_inputs, *(tensor.op for tensor in op.inputs)]
    in_generator = 3 + 3 + 3  # forward, for weights, for inputs
    on_real = 2 + 2 + 1  # not for the real images
    on_generated = 2 + 2 + 1 + 2
    convolutions = [op for op in needed if op.type.startswith("Conv2D")]
    assert len(convolutions) == in_generator + on_real + on_generated


@pytest.mark.parametrize("precision", limit.POLICIES)
def test_a_short_measurement_has_all_parts(precision):
    small = {"convolutions": ((4, 8, 16, 8, 3),), "matrices": (128,)}
    row = limit.measure("course", 4, 2, precision, blocks=2, at_least=0, **small)
    assert set(row["parts"]) == {*limit.KINDS, "optimizers"}
    assert all(part > 0 for part in row["parts"].values()) and len(row["milliseconds"]) == 2
    assert row["convolution"] == "4 x 8 x 8 x 16, 3 x 3 to 8" and row["matrix"] == 128
    assert row["operations"] > 0 and row["convolution_rate"] > 0 and row["matrix_rate"] > 0


def test_limit_goes_on_and_says_what_was_reached(measured, monkeypatch, tmp_path):
    limit.main(tmp_path)
    assert len(measured) == len(limit.NETWORKS) * len(limit.POLICIES)
    text = text_of("limit", tmp_path)
    assert "0.59 (target 0.60: not met)" in text
    assert "| course, batch 32, float32 | 0.06 | 1.0 | 59 | 59% | 25% |" in text
    assert "| 0.1 (12%) |" in text  # the rest
    monkeypatch.setattr(limit, "TARGET", 0.5)
    limit.main(tmp_path)
    assert "0.59 (target 0.50: met)" in text_of("limit", tmp_path)
    assert len(measured) == len(limit.NETWORKS) * len(limit.POLICIES)


# Growth


def test_a_short_step_and_a_short_epoch_make_rows():
    case = {"batch_size": 2, "side": 32, "variant": "paper", "channels": 3}
    row = growth.measure_step(**case, blocks=2, at_least=0)
    assert row["case"] == case and len(row["milliseconds"]) == 2 and row["operations"] > 0
    row = growth.measure_data(100, name="digits", batch_size=10, blocks=2)
    assert row["case"] == {"images": 100} and row["loaded"] == 1_500
    assert len(row["seconds_to_load"]) == len(row["seconds_per_epoch"]) == 2


def test_growth_measures_each_case_once_and_states_ratios(measured, tmp_path):
    growth.main(tmp_path)
    assert len(measured) == len(growth.cases()) + len(growth.IMAGES) == 9 + 3
    growth.main(tmp_path)
    assert len(measured) == 9 + 3
    text = text_of("growth", tmp_path)
    assert "batch size from 16 to 256: 16.00 times the operations in 16.00 times the time" in text
    assert "| batch size 128 | 32.0 | 32.0 to 32.0 | 4,000 | 0.00 | 8.00 | 8.00 |" in text
    assert "from 5,000 to 60,000: 12.00 times the images in 12.00 times the time" in text
    assert "60,000 images in 5.00 s the first time, and 0.25 s from the course's cache" in text


# The step of TensorFlow's CycleGAN tutorial


def test_the_tutorials_cycle_gan_pays_what_ours_does():
    networks = cycle_speed.networks(16, 4, 2)
    rng = np.random.default_rng(0)
    a, b = (tf.constant(rng.uniform(-1, 1, (2, 16, 16, 3)), tf.float32) for _ in range(2))
    g, f, judge_a, judge_b = networks

    def apart(x, y):
        return float(tf.reduce_mean(tf.abs(x - y)))

    fake_b, fake_a = g(a), f(b)
    cycle = apart(f(fake_b), a) + apart(g(fake_a), b)
    game = losses.NonSaturating()
    expected = [
        float(game.generator_loss(judge_b(fake_b))) + 10 * cycle + 5 * apart(g(b), b),
        float(game.generator_loss(judge_a(fake_a))) + 10 * cycle + 5 * apart(f(a), a),
        float(game.discriminator_loss(judge_a(a), judge_a(fake_a))) / 2,
        float(game.discriminator_loss(judge_b(b), judge_b(fake_b))) / 2,
    ]
    before = [network.get_weights() for network in networks]
    costs = cycle_speed.Tutorial(*networks).step(a, b)
    np.testing.assert_allclose([float(cost) for cost in costs], expected, rtol=1e-4)
    for network, weights in zip(networks, before, strict=True):
        assert any(
            not np.array_equal(x, y) for x, y in zip(network.get_weights(), weights, strict=True)
        )


def test_the_table_of_a_cycle_gans_speed(tmp_path, monkeypatch):
    monkeypatch.setattr(cycle_speed, "ROUNDS", 1)
    monkeypatch.setattr(
        cycle_speed.timing,
        "in_own_process",
        lambda function, *args: function(*args, steps=1, blocks=1, side=16, width=4, halvings=2),
    )
    cycle_speed.main(tmp_path)
    lines = (tmp_path / "cycle_speed.md").read_text(encoding="utf-8")
    assert all(f"| {method} |" in lines for method in cycle_speed.METHODS)
    assert "our faster way over the tutorial's step" in lines
