"""Checkpoints: files that hold the whole state of a run, or are not there at all; and resuming."""

import contextlib
import copy
import hashlib
import json
import re
import time
import types
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import gan_course
from gan_course import checks
from gan_course.files import written_whole

FORMAT = 1  # of the files; another number is refused
_NAME = re.compile(r"step-(\d+)\.npz")
_LEFT_OVER_SECONDS = 120  # a file that nothing was written to for so long, and is unfinished


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used: damaged, or of another run, network or version."""


def write(folder, step, description, state, keep=2):
    """Write a checkpoint, and remove all but the newest ones of the same run.

    Args:
        folder: where it is written, as `step-000001234.npz`.
        step: how many steps have been done.
        description: dict from str to str, what must be equal for the run to go on.
        state: dicts, lists, numbers, texts, None and numpy arrays, nested.
        keep: so many of the run's checkpoints stay. Those of other runs go.

    Raises:
        OSError: if the file cannot be written. Then nothing has changed.
    """
    arrays = []
    content = {"format": FORMAT, "description": description, "state": _without(arrays, state)}
    text = np.frombuffer(json.dumps(content).encode(), np.uint8)
    with written_whole(folder / f"step-{step:09d}.npz") as file:
        np.savez(file, content=text, **{f"array_{i}": array for i, array in enumerate(arrays)})
    paths = found(folder)
    kept = [path for path in paths if _step(path) <= step][-keep:]
    for path in set(paths) - set(kept):
        path.unlink(missing_ok=True)
    _sweep(folder)


def found(folder):
    """The paths of all checkpoints in a folder, the one with the most steps last."""
    return sorted((p for p in folder.glob("step-*.npz") if _NAME.fullmatch(p.name)), key=_step)


def describe(path):
    """The description that was written with a checkpoint; the arrays are not read.

    Raises:
        CheckpointError: if the file is damaged, or of another version of the course.
    """
    with _opened(path) as arrays:
        return _content(path, arrays)["description"]


def read(path):
    """The state that was written.

    Raises:
        CheckpointError: if the file is damaged, or of another version of the course.
    """
    with _opened(path) as arrays:
        return _with(arrays, _content(path, arrays)["state"])


def remove(folder):
    """Remove the checkpoints in a folder, and what dead processes left; other files stay."""
    for path in found(folder):
        path.unlink(missing_ok=True)
    _sweep(folder)


def _sweep(folder):
    old = time.time() - _LEFT_OVER_SECONDS
    for path in folder.glob(".step-*.npz.*.tmp"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < old:
                path.unlink()


def _step(path):
    return int(_NAME.fullmatch(path.name).group(1))


@contextlib.contextmanager
def _opened(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except CheckpointError:
        raise
    except Exception as error:  # damage surfaces as a dozen types
        raise CheckpointError(
            f"The checkpoint {Path(path).name} in {Path(path).parent} is damaged "
            f"({type(error).__name__}: {error}). Delete it: training goes on from an older one, or "
            "begins anew."
        ) from error


def _content(path, arrays):
    content = json.loads(arrays["content"].tobytes())
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"The checkpoint {path.name} in {path.parent} has the format {content['format']}, "
            f"this version of the course reads {FORMAT}. Go on with the version that wrote it, or "
            "delete the folder to begin anew."
        )
    return content


def _without(arrays, value):
    """A copy of nested values that JSON can hold; arrays are put into the list instead."""
    if isinstance(value, dict):
        return {"dict": {key: _without(arrays, each) for key, each in value.items()}}
    if isinstance(value, list | tuple):
        return [_without(arrays, each) for each in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    array = np.asarray(value)
    if array.ndim == 0:
        return array.item()
    # NumPy's files know no bfloat16; in float32 it loses nothing.
    arrays.append(array.astype(np.float32) if array.dtype.kind == "V" else array)
    return {"array": len(arrays) - 1}


def _with(arrays, value):
    """The values that `_without` made JSON of."""
    if isinstance(value, list):
        return [_with(arrays, each) for each in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[f"array_{value['array']}"]
    return {key: _with(arrays, each) for key, each in value["dict"].items()}


class Resume(keras.callbacks.Callback):
    """Keep what a training needs to go on, and go on where it was interrupted.

    While `fit` runs, checkpoints are written now and then. If the process dies, make the same GAN
    and call the same `fit` again: it goes on with the networks, both optimizers, averaged weights,
    image pools, random seeds, the place in the shuffled data, and what `SampleGrid`,
    `FrechetScore`, `HealthMonitor` and Keras' `History`, `EarlyStopping` and `ModelCheckpoint` have
    gathered; of another callback, the attributes that it names in a tuple KEPT (numbers, texts,
    arrays, and lists and dicts of these). On one CPU, what comes out is equal to that of a run
    without interruption, to the last bit. A run that is finished removes its checkpoints, so the
    next one begins anew.

    The data must be a `tf.data.Dataset` that gives the same batches each time it is made: shuffled
    with a seed, as `Images.batches` does. Up to the place where training goes on, batches are made
    once more, and passed over. An epoch has exactly `steps_per_epoch` steps here, or as many as the
    data has batches. On several devices, image pools and metrics are those of the first.

    Attributes:
        train_seconds: how long the training took, with what was done before an interruption.

    Args:
        folder: for this run's checkpoints alone. Put it on a disk that outlives the process, on
            Colab for example on Google Drive.
        seconds: so long from one checkpoint to the next, at least; 0 writes one after each call of
            the training function (`steps_per_execution` steps).
        keep: how many checkpoints are kept.
        settings: dict of further settings that must be equal for a run to go on. Networks,
            optimizers, losses, seed, epochs, shapes and number of batches, versions of the course,
            Keras and TensorFlow are compared anyway.
        strict: whether it is an error if the folder cannot be written, or holds nothing to go on
            with but another run or damaged files. It is left as it is then. If not strict, training
            begins anew and says so, and the first checkpoint replaces the old ones; or it goes on
            without any.

    Raises:
        ValueError: arguments that make no sense; in `fit`, data that is no `tf.data.Dataset` or has
            no known end and no `steps_per_epoch`.
        CheckpointError: in `fit`, before training, if strict: the folder holds another run, a
            checkpoint of another version, or only damaged ones.
        OSError: in `fit`, before training, if strict: the folder cannot be written. (Later, for
            example where the disk is full, training goes on with a warning.)

    Example:
        gan.fit(digits.batches(64), epochs=20, callbacks=[callbacks.Resume("runs/first")])
    """

    def __init__(self, folder, seconds=30, keep=2, settings=None, strict=True):
        super().__init__()
        checks.check_number("seconds", seconds)
        checks.check_count("keep", keep)
        self.folder, self.seconds, self.keep = Path(folder).expanduser(), seconds, keep
        self.settings, self.strict = dict(settings or {}), strict

    def prepare(self, model, batches, others, epochs=1, steps_per_epoch=None, initial_epoch=0):
        """Called by `fit`: find out where to begin.

        Args:
            model: the GAN.
            batches: tf.data.Dataset.
            others: the other callbacks.
            epochs, steps_per_epoch, initial_epoch: as in `keras.Model.fit`.

        Returns:
            (tf.data.Dataset, dict): the data from where training begins, and how `fit` should take
            it: "initial_epoch" and "steps_per_epoch".
        """
        self._train = None
        self._others, steps = others, _steps_in_epoch(batches, steps_per_epoch)
        # One iterator for all epochs: Keras makes some, now and then one that it does not use, if
        # the data has an end.
        stream = iter(batches.repeat())
        first = next(stream, None)
        if first is None:
            raise ValueError("x must hold at least one batch, came an empty tf.data.Dataset.")
        self._description = {
            **_describe(model),
            "epochs": str(epochs),
            "steps in an epoch": str(steps),
            "batches": str(batches.element_spec),
            "first batch (shuffled with a seed?)": _digest_of_batch(first),
            "callbacks": str([type(each).__name__ for each in others]),
            **{name: repr(value) for name, value in self.settings.items()},
        }
        self._state = self._find()
        epoch = self._state["epoch"] if self._state else initial_epoch
        self._check_folder()
        if self._state:
            print(
                f"An earlier run was interrupted: training goes on at step {self._state['step']:,}"
                f", in epoch {epoch + 1} of {epochs}. (To begin anew, delete {self.folder}.)"
            )
        done = (epoch - initial_epoch) * steps
        for _ in range(1, done):
            next(stream)
        data = _data_from(stream, first=None if done else first)
        if steps % model.steps_per_execution:  # Keras would round an epoch's steps up
            return data.take(steps), {"initial_epoch": epoch, "steps_per_epoch": None}
        return data.prefetch(2), {"initial_epoch": epoch, "steps_per_epoch": steps}

    def on_train_begin(self, logs=None):
        self._saved = self._began = time.monotonic()
        self._train, self._to_skip = self.model.train_function, 0
        if self._state:
            self._began -= self._state["seconds"]
            self._put("variables", _variables(self.model))
            self._to_skip, self._logs = self._state["calls"], self._state["logs"]
            self.model.train_function = self._skip_or_train

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._calls = epoch, 0
        if self._state:  # now, since the epoch's beginning and the callbacks' have reset these
            self._put("metrics", self.model.metrics_variables)
            self._give_back()

    def _give_back(self):
        """To the callbacks what they had seen; again after the batches that are passed over."""
        for callback, kept in zip(self._kept(), self._state["callbacks"], strict=True):
            for name, value in copy.deepcopy(kept).items():
                setattr(callback, name, value)
        if self._calls == self._to_skip:
            self._state = None

    def on_train_batch_end(self, batch, logs=None):
        self._calls += 1
        if self._state and self._calls == self._to_skip:
            self._give_back()
        passed_over = self._calls <= self._to_skip
        if not passed_over and time.monotonic() - self._saved >= self.seconds:
            self._save(logs)
            self._saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self._to_skip = 0

    def on_train_end(self, logs=None):
        self.train_seconds = time.monotonic() - self._began
        remove(self.folder)

    def finish(self):
        """Called by `fit`, whether it came to its end or not."""
        self._state = None
        if self._train is not None:
            self.model.train_function = self._train

    def _skip_or_train(self, iterator):
        """One call of the training function, or as many batches passed over."""
        if self._calls >= self._to_skip:
            return self._train(iterator)
        for _, _ in zip(range(self.model.steps_per_execution), iterator):  # noqa: B905
            pass
        return self._logs

    def _find(self):
        """The state to go on with, or None to begin at the beginning."""
        damaged, other = None, None
        for path in reversed(found(self.folder)):
            try:
                differ = _differences(describe(path), self._description)
                if not differ:
                    state = read(path)
                    if damaged:
                        warnings.warn(f"{damaged} Took {path.name} instead.", stacklevel=4)
                    return state
                other = other or differ
            except CheckpointError as error:
                damaged = damaged or error
        if self.strict and damaged:
            raise damaged
        if self.strict and other:
            raise CheckpointError(
                f"{self.folder} holds an interrupted run with other settings: {other}. "
                "Take another folder, delete this one to begin anew, or use Resume(folder, "
                "strict=False)."
            )
        if damaged or other:
            print(f"Training begins anew: {other or damaged}")
        return None

    def _check_folder(self):
        """Fail now, not after a night of training, where nothing can be written."""
        try:
            with written_whole(self.folder / ".writable"):
                pass
            (self.folder / ".writable").unlink(missing_ok=True)
        except OSError:
            if self.strict:
                raise

    def _save(self, logs):
        step = int(self.model.generator_optimizer.iterations.numpy())
        state = {
            "step": step,
            "epoch": self._epoch,
            "calls": self._calls,
            "logs": dict(logs),
            "seconds": time.monotonic() - self._began,
            "variables": [_value(each) for each in _variables(self.model)],
            "metrics": [_value(each) for each in self.model.metrics_variables],
            "callbacks": [
                {name: getattr(callback, name) for name in _names_kept(callback)}
                for callback in self._kept()
            ],
        }
        try:
            write(self.folder, step, self._description, state, self.keep)
        except OSError as error:
            warnings.warn(
                f"No checkpoint of step {step:,} could be written to {self.folder} ({error}). "
                "Training goes on; older checkpoints stay. Free some space.",
                stacklevel=2,
            )

    def _put(self, name, variables):
        for variable, value in zip(variables, self._state[name], strict=True):
            variable.assign(value)

    def _kept(self):
        """The callbacks whose state is kept, History among them."""
        history = self.model.history
        others = [each for each in self._others if each is not history]
        return [each for each in (history, *others) if _names_kept(each)]


@contextlib.contextmanager
def resumed(model, x, callbacks, options):
    """Around `fit`: the data to train on, and the callbacks, changed if there is a `Resume`.

    Args:
        model: the GAN.
        x, callbacks: as `fit` got them.
        options: dict of its other named arguments; changed in place.
    """
    others = keras.tree.flatten(getattr(callbacks, "callbacks", callbacks))
    found = [each for each in others if isinstance(each, Resume)]
    if not found:
        yield x, callbacks
        return
    if len(found) > 1:
        raise ValueError(f"callbacks must hold one Resume at most, came {len(found)}.")
    resume = found[0]
    names = ("epochs", "steps_per_epoch", "initial_epoch")
    given = {name: options.pop(name) for name in names if name in options}
    others.remove(resume)
    x, how = resume.prepare(model, x, others, **given)
    options.update(how, epochs=given.get("epochs", 1))
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = [*others, resume]  # last, so that it keeps what the others make of a batch
    try:
        yield x, callbacks
    finally:
        resume.finish()


_KEPT_OF_KERAS = {
    keras.callbacks.History: ("history", "epoch"),
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "best_weights", "stopped_epoch"),
    keras.callbacks.ModelCheckpoint: ("best",),
}


def _names_kept(callback):
    """The attributes of a callback that say what it has seen."""
    for kind, names in _KEPT_OF_KERAS.items():
        if isinstance(callback, kind):
            return names
    return getattr(callback, "KEPT", ())


def _variables(model):
    optimizers = model.generator_optimizer, model.discriminator_optimizer
    return [*model.variables, *(each for optimizer in optimizers for each in optimizer.variables)]


def _value(variable):
    return keras.ops.convert_to_numpy(variable)


def _steps_in_epoch(batches, steps_per_epoch):
    if not isinstance(batches, tf.data.Dataset):
        raise ValueError(
            f"x must be a tf.data.Dataset for training to be resumed, came {type(batches)}. "
            "Example: digits.batches(64)."
        )
    if steps_per_epoch is not None:
        checks.check_count("steps_per_epoch", steps_per_epoch)
        return steps_per_epoch
    count = int(batches.cardinality())
    if count < 0:
        raise ValueError(
            "steps_per_epoch must be given, because the data has no end or none that is known."
        )
    return count


def _data_from(stream, first):
    """Data without an end from an iterator, and before that maybe a first batch."""
    with tf.device("CPU:0"):
        is_first = tf.Variable(first is not None, trainable=False)

    def take_first():
        is_first.assign(False)
        return first

    def take(_):
        if first is None:
            return stream.get_next()
        return tf.cond(is_first, take_first, stream.get_next)

    return tf.data.Dataset.counter().map(take)


def _digest_of_batch(batch):
    """A digest of its numbers, which tells other data, and data that comes in another order."""
    digest = hashlib.sha256()
    for part in keras.tree.flatten(batch):
        digest.update(np.ascontiguousarray(part.numpy()))
    return digest.hexdigest()[:12]


def _describe(model):
    """What must be equal for a run to go on, as texts."""
    config = model.get_config()
    networks = {name: config.pop(name) for name in model._NETWORKS}
    return {
        "class": type(model).__name__,
        **{name: _digest(network) for name, network in networks.items()},
        **{name: _text(value) for name, value in config.items() if name != "name"},
        **{name: _text(value) for name, value in _compiled(model).items()},
        "shapes": _digest([[list(each.shape), str(each.dtype)] for each in _variables(model)]),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "course": gan_course.__version__,
    }


def _compiled(model):
    """What `compile` was given, or found. Of a lambda its code alone, not in which kernel it is."""
    config = model.get_compile_config() or {}
    if config:
        config["jit_compile"] = model.jit_compile  # XLA draws other numbers
    for name, value in config.items():
        if isinstance(value, dict) and value.get("class_name") == "__lambda__":
            code = getattr(model, name).__code__
            constants = [each for each in code.co_consts if not isinstance(each, types.CodeType)]
            parts = [code.co_code.hex(), list(map(repr, constants)), code.co_names]
            config[name] = f"a function, {_digest(parts)}"
    return config


def _text(value):
    """As JSON, without the numbers that Keras appends to the names of layers."""
    return re.sub(r'_\d+"', '"', json.dumps(value, sort_keys=True, default=str))


def _digest(value):
    return hashlib.sha256(_text(value).encode()).hexdigest()[:12]


def _differences(old, new):
    """What differs between two descriptions, in words, or nothing."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return "; ".join(f"{name} was {old.get(name)}, now {new.get(name)}" for name in names)
