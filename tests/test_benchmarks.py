"""Tables that can be taken up again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import early_stopping, recipes, tables
from gan_course import data, models, runtime, training


@pytest.fixture
def table(tmp_path):
    return tables.Table("speed", keys=("name", "size"), folder=tmp_path / "results")


def test_rows_are_kept_in_order_with_the_versions(table):
    assert table.rows() == []
    table.append({"name": "a", "size": 1, "seconds": 0.5})
    table.append({"name": "a", "size": 2, "seconds": 0.7})
    assert [row["size"] for row in table.rows()] == [1, 2]
    assert table.rows()[0]["seconds"] == 0.5
    assert {"python", "tensorflow", "keras", "cores"} <= set(table.rows()[0]["versions"])


def test_has_looks_at_all_keys_and_nothing_else(table):
    table.append({"name": "a", "size": 1, "seconds": 0.5})
    assert table.has(name="a", size=1)
    assert not table.has(name="a", size=2) and not table.has(name="b", size=1)


def test_markdown(table):
    table.append({"name": "a", "size": 1})
    table.write_markdown("Speed", "In seconds.", ["name", "size"], [["a", "1"]])
    text = table.path.with_suffix(".md").read_text()
    assert "# Speed\n\nIn seconds.\n\n| name | size |\n| --- | --- |\n| a | 1 |\n" in text
    assert "Made with python" in text


def test_stored_results_are_rows():
    rows = data.stored_results("early_stopping")
    assert {row["size"] for row in rows} == {256, 55_000}
    assert all(len(row["val_fid"]) == row["epochs"] for row in rows)
    assert all(row["val_fid"][row["best_epoch"] - 1] == min(row["val_fid"]) for row in rows)


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of .*'early_stopping'.*got 'early'"):
        data.stored_results("early")


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_every_recipe_trains_both_networks_and_samples_images(recipe):
    trained = recipe(seed=0)
    holder = getattr(trained, "gan", trained)
    kernels = [
        [weight for weight in network.weights if weight.name == "kernel"]
        for network in (holder.generator, holder.discriminator)
    ]
    before = [[kernel.numpy() for kernel in each] for each in kernels]
    images = np.random.default_rng(0).uniform(-1, 1, (8, 28, 28, 1)).astype("float32")
    trained.step(tf.constant(images))
    for now, old in zip(kernels, before, strict=True):
        assert all(np.abs(n.numpy() - o).max() > 0 for n, o in zip(now, old, strict=True))
    made = trained.sample(3)
    assert made.shape == (3, 28, 28, 1) and -1 <= made.min() <= made.max() <= 1
    assert recipe.source and recipe.__doc__


def test_the_study_of_early_stopping_has_lesson_06s_recipe():
    source = (tables.RESULTS.parents[1] / "notebooks/source/06_evaluating.py").read_text("utf-8")
    cell = source[source.index("def build_gan():") :].split("\n# %%")[0]
    names = {"LATENT_DIM": early_stopping.LATENT_DIM, "STEPS": early_stopping.STEPS}
    names |= {"keras": keras, "models": models, "runtime": runtime, "training": training}
    exec(cell, names)
    lesson, study = names["build_gan"](), early_stopping.build_gan(0)
    for name in ("generator", "discriminator"):
        one, other = (getattr(gan, name) for gan in (lesson, study))
        shapes = [[weight.shape for weight in network.weights] for network in (one, other)]
        assert shapes[0] == shapes[1]
        one, other = (getattr(gan, f"{name}_optimizer") for gan in (lesson, study))
        assert {**one.get_config(), "name": ""} == {**other.get_config(), "name": ""}
    assert (
        f"batches({early_stopping.BATCH_SIZE})" in source
        and f"FEW = {early_stopping.SIZES[0]}" in source
    )
