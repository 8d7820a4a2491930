# ---
# jupyter:
#   gan_course:
#     title: DCGAN
#     outcome: build convolutional networks without checkerboards, train them in about a minute, walk through the latent space
#     result: "Fréchet distance {{fid:.1f}} after {{seconds:.0f}} s of training (lesson 01's networks {{mlp:.0f}}, perfect samples {{floor:.1f}})"
# ---

# %% [markdown]
# # 02 DCGAN
#
# The generator of lesson 01 paints each pixel with weights of its own. A *deep convolutional* GAN
# (Radford et al. 2015) uses what every image has: neighboring pixels belong together, and a stroke is
# a stroke wherever it is. This lesson trains such networks for about a minute, and measures how much
# better they are than lesson 01's after the same time.
#
# After this lesson you can
#
# - say what a transposed convolution does, and why some draw checkerboards,
# - write BatchNorm, and know what it does to a generated image,
# - build a DCGAN, train it in about a minute on a CPU, and say which of its parts matter,
# - walk through the latent space, change one property of a digit, and see what else changes with it.
#
# **The stored run took {{minutes}} minutes** on two CPU cores. Its GAN trained for {{seconds:.0f}} seconds.
# Then the distance of its digits from real ones (the *Fréchet distance*: lower is better, lesson 06
# explains it) was {{fid:.1f}}; that of lesson 01's networks, after the same time, {{mlp:.0f}}. Perfect
# samples would score {{floor:.1f}}.
#
# ![Sixty generated digits](attachment:outcome.png)
#
# *Sixty digits drawn by the generator that this notebook trains.*

# %% [markdown]
# ## Set-up

# %% tags=["setup"]
import sys
from pathlib import Path

folders = [Path.cwd(), *Path.cwd().parents]
course = next((f for f in folders if (f / "gan_course" / "__init__.py").is_file()), None)
assert course, "Open this notebook inside the folder of the course, which holds gan_course."
sys.path.insert(0, str(course))

from gan_course import runtime

runtime.quiet_logs()

# %%
import inspect
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

from gan_course import callbacks, data, exercises, metrics, models, plots, training

plots.use_style()
print(runtime.describe())

# %%
DATASET = "mnist"  # or "fashion_mnist", or "digits", the embedded ones: no download needed
LATENT_DIM = 64  # numbers that the generator turns into an image
BATCH_SIZE = 32  # small batches: more steps in the same minute
LEARNING_RATE = 1e-3  # five times the paper's: small networks can move faster
BETA_1, BETA_2 = 0.5, 0.99  # Adam forgets more quickly than by default, since the opponent changes
EPOCHS = runtime.budget(full=30, fast=2)  # epochs of 100 steps: about a minute
STEPS = runtime.budget(full=100, fast=3)
COUNT = runtime.budget(full=10_000, fast=300)  # images that a score is computed from
PRECISION = "auto"  # or "float32", "mixed_bfloat16", "mixed_float16"

# %% [markdown]
# Half precision (16 bits a number instead of 32) is faster on some machines and slower on others.
# `"auto"` takes it on newer GPUs; on a CPU it times a small network both ways first.

# %%
print("precision:", runtime.use_precision(PRECISION))

# %%
digits = data.load(DATASET, fallback="digits")
test = data.load(digits.name, split="test")
COUNT = min(COUNT, len(test))
print(f"{digits.name}: {len(digits):,} images to learn from, {len(test):,} to measure with")

# %% [markdown]
# ## The end, first
#
# Three generators come with the course. They were trained as in this lesson, and are one network after
# 100, 500 and 3,000 steps, from top to bottom. All three get the same twelve latent vectors, which lead
# on a straight line from one to another. Move the slider for other lines, and compare with lesson 01's
# digits, which took 18,000 steps, if of a cheaper kind.

# %%
stages = {steps: models.pretrained("dcgan_mnist", steps) for steps in (100, 500, 3_000)}
path_ends = np.random.default_rng(0).normal(size=(20, 2, 64))


def draw_path(path):
    latents = plots.interpolation(*path_ends[path], steps=12)
    rows = [generator(latents, training=False) for generator in stages.values()]
    return plots.tile(np.concatenate(rows), columns=12)


plots.Panel(draw_path, scale=2, start={"path": 1}, path=range(20))

# %% [markdown]
# *Gray spots; bold strokes, of which only a zero can be read; and digits: a seven that turns into a six by
# way of a five.* (The slider needs a running kernel; without one you see a single line.)
#
# ## 1. Why convolutions
#
# A layer of a convolutional network turns one stack of images into another. The images of a stack are
# its *channels*, and the stack is called a *feature map*: 14 x 14 pixels with 48 channels, say. A small
# array of weights, the *kernel*, slides over all places of the map. Where it lies, it multiplies what
# is under it, and the sum becomes one output pixel.
#
# A fully connected layer between two such maps would need a weight for each pair of numbers,
# $(14 \cdot 14 \cdot 48)^2$, or 89 million. A convolution with a kernel of 4 x 4 has
# $4 \cdot 4 \cdot 48 \cdot 48$, or 37,000, because the **same** weights serve at every place. What it
# has learned of a stroke at one place, it knows at all others.
#
# The discriminator is built like a classifier of images. Its kernels move two pixels at a time (the
# *stride* is 2), so each layer halves the side of the map. The generator has to do the opposite: grow
# an image out of a small map. How?
#
# ## 2. Growing an image
#
# A **transposed convolution** works like a stamp. For each input pixel it takes the kernel, multiplies
# it with the value of that pixel, and stamps it onto the output, moving on by the stride. Where stamps
# overlap, they are added up. In one dimension, with the inputs 1, 2, 3, the kernel 1, 10, 100 and
# stride 2:
#
# ```
#    1  10 100                    1 times the kernel
#            2  20 200            2 times the kernel, two places on
#                    3  30 300    3 times the kernel
#    1  10 102  20 203  30 300    the output, their sum
# ```
#
# ### Exercise 2.1: a transposed convolution
#
# **Write it** for NumPy arrays: `inputs` and `kernel` in one dimension, and the stride, a whole number.

# %% exercise="2.1"
def my_transposed(inputs, kernel, stride):
    # BEGIN SOLUTION
    output = np.zeros((len(inputs) - 1) * stride + len(kernel))
    for i, value in enumerate(inputs):
        output[i * stride : i * stride + len(kernel)] += value * kernel
    return output
    # STUB
    # output = ...
    # return output
    # END SOLUTION

# %% tags=["nbval-check-output"]
transposed = exercises.answer("2.1", my_transposed)

# %% [markdown]
# Keras' `Conv2DTranspose` stamps in two directions. With `padding="same"` it trims the ends, so that
# stride 2 exactly doubles the side. And it has a kernel for each pair of an input and an output channel,
# and adds the stamps of all input channels. With one channel and nothing trimmed, it is your function:

# %% tags=["nbval-check-output"]
signal, kernel = np.arange(1.0, 6.0), np.array([1.0, -2.0, 3.0, 0.5])
batch = signal[None, :, None]  # Keras wants (images, places, channels)
keras_says = keras.ops.conv_transpose(batch, kernel[:, None, None], strides=2, padding="valid")
difference = np.abs(np.ravel(keras_says) - transposed(signal, kernel, 2)).max()
print("the same as Keras:", bool(difference < 1e-5))

# %% [markdown]
# ### Checkerboards
#
# With a kernel of ones and inputs of ones, your function counts the stamps that each output gets.
#
# **Prediction 2.a.** The stride is 2. With which length of the kernel does every output, apart from the
# ends, get equally many stamps?
#
# - a: 3
# - b: 4
# - c: 5
# - d: all of them

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b", "c" or "d"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("2.a", prediction)

# %%
_, axes = plt.subplots(1, 3, figsize=(11, 2.2), sharey=True, layout="constrained")
for size, ax in zip((3, 4, 5), axes, strict=True):
    stamps = transposed(np.ones(8), np.ones(size), 2)
    ax.bar(range(len(stamps)), stamps, color=plots.COLORS["muted"])
    ax.set_title(f"kernel {size}: {'alternating' if size % 2 else 'all the same'}")
    ax.set_xticks(range(0, len(stamps), 4))
    ax.set_xlabel("output")
axes[0].set_ylabel("stamps");

# %% [markdown]
# *Three rows of bars. With kernels of 3 and 5 every other bar is higher, 1 and 2 or 2 and 3; with a
# kernel of 4 all are 2 except at the ends.*
#
# In an image both directions multiply: under a kernel of 3 x 3, neighboring pixels get 1, 2 or 4 stamps.
# An untrained layer shows what that does: below is the standard deviation of each pixel, over many
# random maps and kernels. Its weights have random signs, and of independent random numbers the
# *variances* add up: four stamps against one make a ratio of 2 : 1 in the deviation, and nine against
# four 1.5 : 1.

# %%
def deviation(size):
    maps = rng.normal(size=(64, 8, 8, 16)).astype("float32")  # 64 maps of 16 channels
    kernels = rng.normal(size=(size, size, 64, 16)).astype("float32")  # to 64 channels
    outputs = keras.ops.conv_transpose(maps, kernels, strides=2, padding="same")
    return np.std(outputs, axis=(0, 3))[4:12, 4:12]  # away from the edges


rng = np.random.default_rng(0)
_, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
contrast = {}
for size, ax in zip((3, 4, 5), axes, strict=True):
    pixels = deviation(size)
    contrast[size] = pixels.max() / pixels.min()
    ax.imshow(pixels / pixels.max(), cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"kernel {size}: up to {contrast[size]:.1f} : 1")
    ax.axis("off")

# %% [markdown]
# *Three squares of 8 x 8 pixels. Kernel 3 shows a strong checkerboard, kernel 5 a weaker one; with
# kernel 4 all pixels are about equally bright; the largest of them is 1.1 times the smallest, by chance.*
#
# A network can learn to work against its checkerboard, but it begins with it, and traces often remain
# (Odena et al. 2016). Equal counts are no full protection: neighboring pixels still come from different
# weights of the kernel, and the second picture of the film below shows a grid, though its kernels are of 4.
# It fades within a few hundred steps. So choose a kernel whose size is a multiple of the stride. The other cure is to
# enlarge the map first, each pixel becoming four equal ones (`UpSampling2D`), and to convolve it then.
# Section 6 measures both.
#
# ## 3. BatchNorm
#
# Between the convolutions stands **batch normalization** (Ioffe and Szegedy 2015). For each channel it
# takes the mean $\mu$ and the variance $\sigma^2$ of the batch, and gives the channel the standard
# deviation $\gamma$ and the mean $\beta$, two numbers that the layer learns:
#
# $$y = \gamma\,\frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta$$
#
# $\epsilon$ is a small number that keeps the root away from 0.
#
# ### Exercise 2.2: BatchNorm
#
# **Write it** for NumPy arrays. `maps` has the shape (batch, height, width, channels); `gamma` and `beta` have one
# entry for each channel. Mean and variance are taken over everything except the channels.

# %% exercise="2.2"
def my_batch_norm(maps, gamma, beta, epsilon):
    # BEGIN SOLUTION
    mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
    return gamma * (maps - mean) / np.sqrt(variance + epsilon) + beta
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
batch_norm = exercises.answer("2.2", my_batch_norm)

# %% [markdown]
# Keras' layer does the same while training, `training=True`:

# %% tags=["nbval-check-output"]
maps = np.random.default_rng(0).normal(3, 2, size=(8, 7, 7, 4)).astype("float32")
layer = layers.BatchNormalization(epsilon=1e-3, dtype="float32")
keras_says = layer(maps, training=True).numpy()
difference = np.abs(keras_says - batch_norm(maps, np.ones(4), np.zeros(4), 1e-3)).max()
print("the same as Keras:", bool(difference < 1e-4))

# %% [markdown]
# However large or small the numbers have become on their way, the next layer gets them at a scale that
# it can work with. Ioffe and Szegedy trained deep classifiers at much higher learning rates with it. Does
# it change anything else?
#
# **Prediction 2.b.** One latent vector is put into two batches, each time with other latent vectors
# beside it, and turned into an image with `training=True`. The two images
#
# - a: are the same, since each image is made of its own latent vector
# - b: differ, since BatchNorm mixes the batch into them
# - c: differ, since the network draws random numbers

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("2.b", prediction)

# %%
untrained = models.dcgan_generator(LATENT_DIM)
latents = np.random.default_rng(0).normal(size=(2, 16, LATENT_DIM)).astype("float32")
latents[1, 0] = latents[0, 0]  # the same first vector in both batches
for mode in (True, False):
    one, other = (untrained(batch, training=mode).numpy()[0] for batch in latents)
    print(f"training={mode!s:5}   largest difference of a pixel: {np.abs(one - other).max():.4f}")

# %% [markdown]
# (Pixels run from −1 to 1.) With `training=False` the layer uses moving averages that it has kept while training, and
# an image depends on its own latent vector only. `gan.generate` works this way. In a training step the discriminator
# judges real and generated images in two calls, so that each kind has its own mean.
#
# ## 4. The two networks
#
# The paper tried many networks, and gives guidelines for those that trained without falling apart:
#
# - strided convolutions in the discriminator and transposed ones in the generator, no pooling;
# - BatchNorm in both, but not on the generator's output nor on the discriminator's first layer;
# - no fully connected layers in between: only one that makes the generator's first map, and one that
#   makes the discriminator's logit;
# - ReLU in the generator and tanh at its end; in the discriminator LeakyReLU, which lets 0.2 times a
#   negative number through.
#
# ### Exercise 2.3: build a generator
#
# **Write a generator** as a `keras.Sequential` that follows these guidelines. It begins with
# `keras.Input((latent_dim,))`. `layers.Dense` and `layers.Reshape` make a map of 7 x 7 with 64 channels;
# one `layers.Conv2DTranspose` with `padding="same"` makes it 14 x 14 with 32 channels, another one, with
# `activation="tanh"`, an image of 28 x 28 with one channel. After each of the two maps come
# `layers.BatchNormalization` and `layers.ReLU`. Every pixel must get equally many stamps.

# %% exercise="2.3"
def my_generator(latent_dim):
    # BEGIN SOLUTION
    return keras.Sequential([
        keras.Input((latent_dim,)),
        layers.Dense(7 * 7 * 64, use_bias=False),
        layers.Reshape((7, 7, 64)),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2DTranspose(32, 4, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh"),
    ])
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
small_generator = exercises.answer("2.3", my_generator)

# %% [markdown]
# (A layer before BatchNorm needs no bias: subtracting the mean removes it.) You will train it in section
# 7. The course's networks are somewhat deeper. Here is how their maps grow and shrink:

# %% tags=["nbval-check-output"]
def show(network):
    print(f"{network.name}, {network.count_params():,} weights: {network.input_shape[1:]}")
    for layer in network.layers:
        if isinstance(layer, (layers.Dense, layers.Conv2D, layers.Conv2DTranspose)):
            kernel = getattr(layer, "kernel_size", "")
            print(f"   {type(layer).__name__:15} {kernel!s:7} -> {tuple(layer.output.shape[1:])}")


show(models.dcgan_generator(LATENT_DIM))
show(models.dcgan_discriminator())


# %% [markdown]
# Three layers are not in the smallest DCGANs that one finds: the generator's 3 x 3 convolution at 7 x 7
# and its last one, which draws the image from 16 maps of full size, and the discriminator's last one,
# down to 4 x 4. Section 6 leaves out the first and the third, one at a time.
#
# ## 5. Training
#
# In lesson 01 a step generated two batches, one for each half. Here both networks learn from **one**
# generated batch, at the same time, each against the other as it was. The losses are the same; the course
# of the training can differ (Mescheder et al. 2018 compare both); and a step saves one pass through the
# generator and one through the discriminator. Two tapes record it. The outer one begins with the generator
# and sees everything; the inner one sees only the discriminator, which is all that its loss needs. Both
# gradients are those of the networks as they were, even though one network is changed first:

# %%
print(inspect.getsource(training.SimultaneousGAN.train_step))

# %% [markdown]
# (`_discriminator_loss`, `_penalty` and `_clip` leave room for what lesson 05 adds, `judge` and
# `_diversity` for lesson 04, `_regularization` for lesson 07. Here they do nothing but call the loss and
# the discriminator.)

# %%
def optimizers(learning_rate=LEARNING_RATE, beta_1=BETA_1):
    adam = {"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": BETA_2}
    return {
        "generator_optimizer": keras.optimizers.Adam(**adam, use_ema=True, ema_momentum=0.99),
        "discriminator_optimizer": keras.optimizers.Adam(**adam),
    }


def build_gan():
    runtime.set_seed(0)
    gan = training.SimultaneousGAN(
        models.dcgan_generator(LATENT_DIM), models.dcgan_discriminator(), latent_dim=LATENT_DIM
    )
    gan.compile(loss="non_saturating", **optimizers(), steps_per_execution=STEPS)
    return gan


# %%
def train(gan, images, batch_size=BATCH_SIZE, epochs=EPOCHS, steps=STEPS, watch=()):
    begin = time.perf_counter()
    history = gan.fit(
        images.batches(batch_size).repeat(),
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=list(watch),
        verbose=0,
    )
    return history, time.perf_counter() - begin


# %% [markdown]
# (`generate` draws with an average of the generator's weights over the last hundred steps or so,
# `ema_momentum=0.99`; 0.999 would be a thousand, a third of this run. `steps_per_execution` lets Keras make
# so many steps in one call. Without `jit_compile` Keras uses XLA on GPUs only; on CPUs it makes
# convolutions slower.) Now train; it takes about a minute. The picture changes while you
# wait, always with the same sixty latent vectors.

# %% tags=["picture-outcome"]
gan = build_gan()
grid = callbacks.SampleGrid(count=60, columns=12)
resume = callbacks.Resume(runtime.checkpoints("02"), strict=False)  # where a dead kernel stopped it
history, _ = train(gan, digits, watch=[grid, resume])
seconds = resume.train_seconds

# %% tags=["picture-film"]
print(f"{EPOCHS * STEPS:,} steps of {BATCH_SIZE} images in {seconds:.0f} s")
grid.film()

# %% [markdown]
# *A film: gray spots turn into strokes within a few frames, then into digits that get steadier.*

# %%
plots.loss_curves(history, "The discriminator has a lead that gets smaller, and stays");

# %% [markdown]
# *Two curves over the epochs. A discriminator that cannot tell would have a loss of 2 ln 2, and give the
# generator ln 2: the dotted lines. The discriminator's loss stays below its line, the generator's above
# its own, and both come nearer.*
#
# ### How good, and how fast?
#
# The *Fréchet distance* (FID, if measured with the Inception network of most papers) says how far generated images
# are from real ones in the eyes of a small classifier. Lower is better. It compares the two sets as wholes: digits
# that are too much alike cost as much as ugly ones. Even perfect samples would not score 0, since {{count:,}}
# images are an estimate only; what they would score is the *floor*. (Papers mostly use another, larger classifier:
# their numbers are on another scale.) For comparison, lesson 01's networks get as many seconds, with the settings
# of that lesson (`StopAfter` looks at the clock every hundred steps):

# %%
class StopAfter(keras.callbacks.Callback):
    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.begin = seconds, time.perf_counter()
        self.line = runtime.ProgressLine("lesson 01's networks")

    def on_train_batch_end(self, batch, logs=None):
        share = (time.perf_counter() - self.begin) / self.seconds
        self.model.stop_training = share > 1
        self.line.show(min(share, 1))

    def on_train_end(self, logs=None):
        self.line.end()


# %%
runtime.set_seed(0)
vanilla = training.GAN(
    models.mlp_generator(LATENT_DIM, hidden=(256, 512)),
    models.mlp_discriminator(hidden=(512, 256)),
    latent_dim=LATENT_DIM,
)
vanilla.compile(
    generator_optimizer=keras.optimizers.Adam(1e-3, 0.5, use_ema=True, ema_momentum=0.999),
    discriminator_optimizer=keras.optimizers.Adam(1e-3, 0.5),
    steps_per_execution=STEPS,
    jit_compile=runtime.xla_works(),
)
many = runtime.budget(full=10_000, fast=2)  # more epochs than fit: StopAfter ends the training
_, vanilla_seconds = train(vanilla, digits, 64, epochs=many, watch=[StopAfter(seconds)])
for name, trained, took in (("lesson 01", vanilla, vanilla_seconds), ("DCGAN", gan, seconds)):
    steps_made = int(trained.generator_optimizer.iterations)
    print(f"{name}: {steps_made:,} steps in {took:.0f} s")

# %%
fid = metrics.FrechetDistance(test.images, digits.name)
scores = {
    "lesson 01": fid(vanilla.generate(COUNT, seed=1)),
    "DCGAN": fid(gan.generate(COUNT, seed=1)),
    "DCGAN, untrained": fid(build_gan().generate(COUNT, seed=1)),
    "training images": fid(digits.images[:COUNT]),
}
for name, score in scores.items():
    print(f"{name:17} {score}")
print(f"floor             {fid.floor(COUNT)}")

# %% [markdown]
# The number behind ± is the standard error: how much the score would vary if other images were drawn from
# the same generator. (Another training varies much more.) Training images score above the floor, because
# other people wrote them than the test images; they are the goal that a generator can be expected to reach.
# Note that the two GANs differ in more than convolutions: BatchNorm, the batches, Adam's settings, the step.

# %%
rows = [vanilla.generate(20, seed=1), gan.generate(20, seed=1), test.images[:20]]
plots.image_grid(np.concatenate(rows), "from the top: lesson 01's networks, DCGAN, real", 20);

# %% [markdown]
# *Three rows of twenty digits. The first has broken strokes and stray dots; the second is smooth, and
# most of it can be read; the third is real.*
#
# And how do other well-known recipes fare? They were measured beforehand on the same two cores, each
# with its own networks and settings (`benchmarks/quality_time.py`, which says what had to be adapted).
# The seconds include compilation. To be fair: our settings were chosen with this very score, for a few
# minutes on a CPU; the others were made for longer runs, and some of them for larger images.

# %%
speed_study = data.stored_results("quality_time")
names = {  # and by how many points a name stands above its curve's end
    "Course": ("this lesson", 0), "TensorFlowTutorial": ("TensorFlow's tutorial", 5),
    "KerasExample": ("keras.io", -6), "GenerativeDeepLearning": ("Generative Deep Learning", 5),
    "ClassicKeras": ("Keras-GAN", 0), "PyTorchTutorial": ("PyTorch's tutorial", -6),
}

# %%
_, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
for (recipe, (name, up)), style in zip(names.items(), ("-", "--", "-.", ":", "--", "-."), strict=True):
    color = plots.COLORS["fake" if recipe == "Course" else "muted"]
    last = []
    for curve in [row["curve"] for row in speed_study if row["recipe"] == recipe]:
        x, y = zip(*((p["seconds"], p["fid"]) for p in curve if p["seconds"] <= 300), strict=True)
        axes.loglog(x, y, style, color=color)
        last.append(y[-1])
    where = (300, np.median(last))
    axes.annotate(name, where, xytext=(6, up - 3), textcoords="offset points", color=color)
axes.axhline(speed_study[0]["floor"], color=plots.COLORS["real"], linestyle=":", label="floor")
marks = (6, 10, 30, 60, 120, 300)
axes.set_xticks(marks, [str(mark) for mark in marks])
axes.set_xlabel("seconds of training")
axes.set_title("Fréchet distance against time, several recipes")
axes.legend();

# %% [markdown]
# *Curves on logarithmic axes, three seeds for each recipe. This lesson's, in orange, measured from
# early on, are by far the lowest at every mark that they share with others. Most others fall, too, some by fits and
# starts; Keras-GAN's fall apart, one within two minutes, all within five.*
#
# ## 6. Which parts matter?
#
# The guidelines are ten years old, and were found by trying. Which of them matter for networks this
# small? In the study below each row is this lesson's recipe with **one** change, trained for {{steps:,}}
# steps, half of what you did above (`benchmarks/guidelines.py`).
#
# **Prediction 2.c.** Which of these changes makes *each* of three runs several times worse?
#
# - a: no BatchNorm in the generator
# - b: kernels of 3 in the generator's transposed convolutions
# - c: Adam with beta_1 = 0.9, its default
# - d: a fully connected hidden layer in the discriminator

# %%
# BEGIN SOLUTION
prediction = "c"
# STUB
# prediction = ...  # "a", "b", "c" or "d"
# END SOLUTION

# %%
parts_study = data.stored_results("guidelines")
changes, milliseconds = {}, {}
for row in parts_study:
    changes.setdefault(row["change"], []).append(row["fid"] or np.inf)  # None: diverged
    milliseconds.setdefault(row["change"], []).append(row["milliseconds_per_step"])
changes = dict(sorted(changes.items(), key=lambda item: -np.median(item[1])))
_, axes = plt.subplots(figsize=(8, 5), layout="constrained")
for y, (change, found) in enumerate(changes.items()):
    color = plots.COLORS["fake" if change == "the course's recipe" else "real"]
    axes.semilogx(found, [y] * len(found), "o", color=color, markersize=5)
names = [f"{change} ({np.median(milliseconds[change]):.0f} ms)" for change in changes]
axes.set_yticks(range(len(changes)), names)
marks = (2, 5, 10, 20, 50, 1_500)
axes.set_xticks(marks, [str(mark) for mark in marks])
axes.minorticks_off()
axes.set_xlabel("Fréchet distance, one dot a seed")
axes.set_title("One change each, and the time of a step: the further left, the better");

# %% tags=["nbval-check-output"]
exercises.check("2.c", prediction)

# %% [markdown]
# *Rows of three dots on a logarithmic axis, from Adam's default momentum at the bottom, far on the right, to
# max pooling at the top. One dot lies alone at 1,500: a run without BatchNorm in the generator.*
#
# Runs of the recipe itself lie between 4.1 and 5.5, so small distances between rows mean nothing. What does
# mean something:
#
# - **What hurts much.** Adam's default momentum, ten times; three times or so BatchNorm on the output, the
#   paper's learning rate of 2e-4, which is made for longer runs, and no tanh.
# - **What hurts somewhat.** No BatchNorm in the discriminator, or a layer less in it, twice; LeakyReLU in the
#   generator by two thirds, and a layer less there by a half.
# - **What is a gamble.** Without BatchNorm in the generator two runs are half as far again as the recipe, and
#   the third fell apart, farther off than an untrained generator. So BatchNorm does two things here: each run is
#   better with it, and none goes wrong.
# - **What makes no clear difference here.** Upsampling, kernels of 3 or 5, a hidden layer, BatchNorm on the first
#   layer. Alternating steps do at least as well as simultaneous ones, and take nearly half as long again.
# - **What does better.** Max pooling in the discriminator, whose convolutions then see the full size. But its
#   steps take 1.7 times as long, and in the same *time* the recipe gets about as far (section 5). And ReLU in the
#   discriminator, by a third.
#
# So the guidelines are no laws: they were found with larger images and longer runs, and the checkerboards of
# section 2 can be overcome (probably by the last convolution). A kernel that the stride divides is still
# the better choice, as it costs hardly anything. What counts most for a GAN in a hurry are momentum, rate, BatchNorm
# in the generator but a plain tanh at its end, and a discriminator that sees enough.
#
# ## 7. An experiment in a hurry
#
# How does one choose a learning rate? By trying, under the conditions that count. Here is a short
# trial: **your** generator of exercise 2.3 against a small discriminator, 400 steps on the embedded
# digits, 1,797 small scans that come with the course. Two of its settings are bad.

# %%
def experiment(learning_rate=1e-4, beta_1=0.9, steps=400):
    runtime.set_seed(0)
    small = training.SimultaneousGAN(
        small_generator(LATENT_DIM), models.dcgan_discriminator(variant="small"), LATENT_DIM
    )
    small.compile(**optimizers(learning_rate, beta_1), steps_per_execution=50)
    train(small, embedded, epochs=1, steps=steps, watch=[callbacks.Progress()])
    images = small.generate(len(embedded))
    distance = float(embedded_fid(images))
    plots.image_grid(images[:20], f"distance {distance:.0f}", 20)
    return {
        "distance": distance, "learning_rate": learning_rate, "beta_1": beta_1, "steps": steps
    }

# %%
embedded = data.load("digits")
embedded_fid = metrics.FrechetDistance(embedded.images, "digits")
hurried = experiment()

# %% [markdown]
# *Twenty gray pictures, hardly more than noise.*
#
# ### Exercise 2.4: better settings
#
# **Find settings that reach a distance below 60**, with the same networks and as many steps. Change one at a time,
# and guess before each run what it brings: which of the two matters more? (The embedded digits are few and coarse,
# and 400 steps are not many: such distances cannot be compared with those above.)

# %% exercise="2.4"
# BEGIN SOLUTION
best = experiment(learning_rate=1e-3, beta_1=0.5)
# STUB
# best = ...  # experiment(learning_rate=..., beta_1=...)
# END SOLUTION

# %%
exercises.check("2.4", best)

# %% [markdown]
# ## 8. Walks through the latent space
#
# In lesson 01 you walked along the straight line between two latent vectors. But look at lengths first.
#
# **Prediction 2.d.** Latent vectors have 64 entries from a normal distribution with standard deviation
# 1. Each squared entry is 1 on average, so their length is close to $\sqrt{64} = 8$. The middle of the
# straight line between two of them has a length of about
#
# - a: 8
# - b: 5.7
# - c: 0

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %%
rng = np.random.default_rng(2)
ends = rng.normal(size=(2, 5_000, LATENT_DIM)).astype("float32")
lengths = {"ends": np.linalg.norm(ends[0], axis=1), "middles": np.linalg.norm(ends.mean(0), axis=1)}
_, axes = plt.subplots(figsize=(7, 2.2), layout="constrained")
for (name, found), color in zip(lengths.items(), ("real", "fake"), strict=True):
    axes.hist(
        found, bins=60, range=(3, 11), histtype="step", color=plots.COLORS[color], label=name
    )
axes.set_xlabel("length")
axes.set_title("Hardly any latent vector is as short as the middle of two")
axes.legend();

# %% tags=["nbval-check-output"]
exercises.check("2.d", prediction)

# %% [markdown]
# *Two humps, the middles around 5.7 and the ends around 8, that overlap only a little.*
#
# In 64 dimensions nearly all latent vectors have a length of 8, give or take 0.7 (the standard deviation): they lie
# close to a sphere, and the generator was hardly ever trained far inside of it. So walk on the sphere (White 2016).
# The *spherical linear interpolation*, slerp, goes along the arc; $\omega$ is the angle between the two vectors:
#
# $$\mathrm{slerp}(a, b, t) = \frac{\sin((1-t)\,\omega)}{\sin\omega}\,a + \frac{\sin(t\,\omega)}{\sin\omega}\,b$$
#
# ### Exercise 2.5: a walk on the sphere
#
# **Write it**, for two vectors and a number $t$ from 0 to 1. The cosine of $\omega$ is the dot product
# of the two vectors divided by both their lengths; `np.arccos` turns it into the angle.

# %% exercise="2.5"
def my_slerp(start, end, t):
    # BEGIN SOLUTION
    cosine = np.dot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
    angle = np.arccos(cosine)
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
slerp = exercises.answer("2.5", my_slerp)

# %%
walks = []
for start, end in np.random.default_rng(3).normal(size=(3, 2, LATENT_DIM)):
    walks.append(plots.interpolation(start, end, steps=15))
    walks.append(np.stack([slerp(start, end, t) for t in np.linspace(0, 1, 15)]))
images = gan.generate(latents=np.concatenate(walks))
plots.image_grid(images, "three walks, each straight and below it on the sphere", 15);

# %% [markdown]
# *Six rows. In each the digit on the left changes gradually into the one on the right. The two ways of
# walking look much alike, except in the middle of the second walk, where the straight one breaks the stroke.*
#
# Much alike to the eye. To the Fréchet distance? Take only middles, thousands of them:

# %%
count = min(COUNT, len(ends[0]))
middles = {
    "ends": ends[0],
    "straight": ends.mean(axis=0),
    "sphere": np.stack([slerp(a, b, 0.5) for a, b in zip(*ends, strict=True)]).astype("float32"),
}
classifier = metrics.get_features(digits.name)
walked, varied, readable = {}, {}, {}
for name, z in runtime.progress(middles.items(), "middles"):
    images = gan.generate(latents=z[:count])
    walked[name], varied[name] = fid(images), images.var(axis=0).sum()
    readable[name] = np.mean(classifier.probabilities(images).max(axis=1) > 0.9)
    print(f"{name:9} distance {walked[name]}, variance {varied[name] / varied['ends']:.0%} of the "
          f"ends', read with confidence {readable[name]:.0%}")

# %% [markdown]
# The eye hardly sees it, but the distance does: the middles of straight lines, as a set, are much farther
# from real digits than those on the sphere, which are as good as the ends. A single middle hardly
# looks worse: the classifier reads {{read_straight:.0%}} of them with confidence, and {{read_ends:.0%}} of
# the ends. But they are more alike, with {{varied:.0%}} of the variance: short latent vectors are all close
# to one another.
#
# ## 9. Arithmetic
#
# The paper's most famous picture is arithmetic with latent vectors: *smiling woman* minus *neutral
# woman* plus *neutral man* gives a *smiling man*. With digits: *thick* minus *thin*, added to any digit,
# should make it thicker, and leave it the same digit. Does it?
#
# To find that direction, draw many digits, let the classifier sort them by class, and compare within
# each class the latent vectors of the thickest fifth with those of the thinnest. (Within a class,
# because zeros have more ink than ones: otherwise the direction would also turn ones into zeros.)

# %%
def ink(images):
    return (images.mean(axis=(1, 2, 3)) + 1) / 2


def direction(latents, images):
    classes, amounts = classifier.probabilities(images).argmax(axis=1), ink(images)
    differences = []
    for c in np.unique(classes):
        low, high = np.quantile(amounts[classes == c], [0.2, 0.8])
        thin = latents[(classes == c) & (amounts <= low)].mean(axis=0)
        thick = latents[(classes == c) & (amounts >= high)].mean(axis=0)
        differences.append(thick - thin)
    return np.mean(differences, axis=0)


# %%
drawn = rng.normal(size=(COUNT, LATENT_DIM)).astype("float32")
thicker = direction(drawn, gan.generate(latents=drawn))
print(f"length of the direction: {np.linalg.norm(thicker):.1f}")
fresh = rng.normal(size=(2_000, LATENT_DIM)).astype("float32")
strengths = (-0.8, -0.4, 0, 0.4, 0.8)
changed = {s: gan.generate(latents=fresh + s * thicker)
           for s in runtime.progress(strengths, "strengths")}
before = classifier.probabilities(changed[0]).argmax(axis=1)
inks, kept = {}, {}
for s, images in changed.items():
    inks[s] = ink(images).mean()
    kept[s] = float(np.mean(classifier.probabilities(images).argmax(axis=1) == before))
    print(f"{s:+.1f} times the direction: ink {inks[s]:.3f}, the same digit {kept[s]:.0%}")

# %%
random_kept = []
for direction_at_random in runtime.progress(
    rng.normal(size=(10, LATENT_DIM)).astype("float32"), "directions"
):
    length = 0.8 * np.linalg.norm(thicker) / np.linalg.norm(direction_at_random)
    elsewhere = gan.generate(latents=fresh + length * direction_at_random)
    random_kept.append(np.mean(classifier.probabilities(elsewhere).argmax(axis=1) == before))
print(f"as far as 0.8, in ten random directions: the same digit {np.mean(random_kept):.0%}, "
      f"{min(random_kept):.0%} to {max(random_kept):.0%}")

# %%
rows = np.concatenate([images[:15] for images in changed.values()])
plots.image_grid(rows, "from thin to thick; the middle row is unchanged", 15);

# %% [markdown]
# *Five rows of fifteen digits. From row to row the strokes get thicker; the farther from the middle row,
# the more digits turn into others.*
#
# Nobody has told the generator what thickness is. It has found by itself that digits differ in it, and one
# step is enough to change it. (Strictly, what is measured is ink, and large digits have more of it, too.
# The step is a straight one, but short: added to a vector of length 8 at about a right angle it hardly
# leaves the sphere.) But the step does not leave the rest alone. At 0.8 it turns {{lost:.0%}} of the digits
# into others, where a random step of the same length turns {{lost_at_random:.0%}}. So about two thirds of that
# come with any step; the rest belongs to this direction. In this latent space thickness and class are not kept
# apart.
#
# ## 10. Another data set
#
# The networks and their training know nothing of digits. With `DATASET = "fashion_mnist"` at the top the
# whole lesson runs on clothes, and scores them with the classifier that belongs to them. Here is a short
# taste, a third of the training above:

# %%
fashion = data.load("fashion_mnist", fallback="digits")
tailor = build_gan()
epochs = runtime.budget(full=10, fast=1)
_, tailor_seconds = train(tailor, fashion, epochs=epochs, watch=[callbacks.Progress("clothes")])
title = f"{fashion.name}, after {tailor_seconds:.0f} s"
plots.image_grid(tailor.generate(60, seed=1), title, columns=15);

# %% [markdown]
# *Four rows of fifteen pictures: most are shirts, trousers, shoes and bags, and some are torn or half
# missing.*
#
# ## What you should have seen

# %%
recipe, less = (changes[name] for name in ("the course's recipe", "one layer less in the discriminator"))
from_the_study = {
    "steps": (parts_study[0]["steps"],),
    "guidelines: beta_1 = 0.9, the best seed, times the recipe's worst": (
        min(changes["beta_1 = 0.9"]) / max(recipe), 2.0, 30.0),
    "guidelines: one layer less in the discriminator, times the recipe": (
        np.mean(less) / np.mean(recipe), 1.2, 4.0),
    "guidelines: no BatchNorm in the generator, the worst seed": (
        max(changes["no BatchNorm in the generator"]), 100, 10_000),
}

# %%
from_the_walks = {
    "length of a middle": (lengths["middles"].mean(), 5.4, 6.0),
    "distance of straight middles, times that of ends": (
        walked["straight"] / walked["ends"], 1.8, 10.0),
    "distance of middles on the sphere, times that of ends": (
        walked["sphere"] / walked["ends"], 0.7, 1.5),
    "varied": (varied["straight"] / varied["ends"], 0.75, 0.97),
    "read_straight": (readable["straight"], 0.6, 0.9),
    "read_ends": (readable["ends"], 0.65, 0.9),
    "ink, thickest times thinnest": (inks[0.8] / inks[-0.8], 1.3, 4.0),
    "lost": (1 - np.mean([kept[-0.8], kept[0.8]]), 0.1, 0.6),
    "lost_at_random": (1 - np.mean(random_kept), 0.05, 0.4),
}

# %%
exercises.compare_results(
    {
        "contrast of the checkerboard, kernel 3": (contrast[3], 1.8, 2.4),
        "contrast of the checkerboard, kernel 4": (contrast[4], 1.0, 1.2),
        "contrast of the checkerboard, kernel 5": (contrast[5], 1.35, 1.75),
        "seconds": (seconds, 20, 1_000),
        "fid": (scores["DCGAN"], 1.0, 4.0),
        "mlp": (scores["lesson 01"], 4, 40),
        "floor": (fid.floor(COUNT), 0.05, 0.5),
        "distance, untrained": (scores["DCGAN, untrained"], 100, 5_000),
        "distance of training images": (scores["training images"], 0.1, 1.5),
        "count": (COUNT,),
        **from_the_walks,
        **from_the_study,
    },
    comparable=digits.name == "mnist",
)

# %% [markdown]
# ## Going further
#
# - Give `build_gan` the paper's own networks, `variant="paper"` in both builders, and train them for the
#   same time. What does a step cost, and how far do you get?
# - Images of 32 x 32: pad the digits with -1, and give both builders the shape `(32, 32, 1)`. How do the
#   maps grow now?
# - Section 9 found a direction for thickness. Find one for another property that you can compute from an
#   image, such as the width of a digit.
# - Take a stride of 3 in a transposed convolution. Which kernels are even? Your function of exercise 2.1
#   answers.
#
# ## Sources
#
# - A. Radford, L. Metz, S. Chintala, *Unsupervised Representation Learning with Deep Convolutional
#   Generative Adversarial Networks*, 2015, [arXiv:1511.06434](https://arxiv.org/abs/1511.06434): the
#   guidelines, and arithmetic in the latent space.
# - A. Odena, V. Dumoulin, C. Olah, *Deconvolution and Checkerboard Artifacts*, Distill, 2016,
#   [doi:10.23915/distill.00003](https://doi.org/10.23915/distill.00003).
# - S. Ioffe, C. Szegedy, *Batch Normalization: Accelerating Deep Network Training by Reducing Internal
#   Covariate Shift*, 2015, [arXiv:1502.03167](https://arxiv.org/abs/1502.03167).
# - T. White, *Sampling Generative Networks*, 2016, [arXiv:1609.04468](https://arxiv.org/abs/1609.04468):
#   walks on the sphere.
# - L. Mescheder, A. Geiger, S. Nowozin, *Which Training Methods for GANs do actually Converge?*, 2018,
#   [arXiv:1801.04406](https://arxiv.org/abs/1801.04406): simultaneous and alternating steps.

# %%
exercises.progress(2)
