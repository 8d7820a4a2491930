# ---
# jupyter:
#   gan_course:
#     title: Label smoothing
#     outcome: tell smoothing from label noise, say why it is one-sided, read how sure a discriminator is
#     result: "one-sided smoothing: very sure answers {{sure_one_sided:.0%}} instead of {{sure_plain:.0%}}, very sure beliefs {{believed_one_sided:.0%}} instead of {{believed_plain:.0%}}, digits no better"
# ---

# %% [markdown]
# # 03 Label smoothing
#
# The discriminator is trained with the label 1 for real images and 0 for generated ones. A much-used trick, taken
# over from classifiers (Szegedy et al. 2015), asks for less: 0.9 instead of 1. Others go above 1, or flip some
# labels, or smooth both sides. These are four different things. This lesson derives what each does, watches smoothing
# on a line, and measures smoothing and flips on digits.
#
# After this lesson you can
#
# - say what the best discriminator answers when it is trained with any two labels, and write its loss,
# - say why labels stay in [0, 1], and why only the real one is smoothed,
# - tell smoothing from label noise,
# - measure how sure a discriminator is, and whether rightly so.
#
# **The stored run took {{minutes}} minutes** on two CPU cores. In it a discriminator that had learned 500
# digits by heart gave very sure answers to {{sure_plain:.0%}} of them with plain labels, and to
# {{sure_one_sided:.0%}} with the real label 0.9. What that says about the discriminator, and about the digits,
# is the question of this lesson.
#
# ![Four rows of generated digits](attachment:outcome.png)
#
# *Digits of four generators, a row each. Their discriminators were trained with four kinds of labels.*

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
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from scipy.stats import norm

from gan_course import callbacks, data, exercises, losses, metrics, models, plots, training

plots.use_style()
print(runtime.describe())

# %%
DATASET = "mnist"  # or "fashion_mnist", or "digits", the embedded ones: no download needed
SIZE = 500  # training images: so few that the discriminator can learn them by heart
LATENT_DIM = 64  # numbers that the generator turns into an image
BATCH_SIZE = 32  # as in lesson 02
LEARNING_RATE = 1e-3  # of both players, as in lesson 02
BETA_1, BETA_2 = 0.5, 0.99  # of Adam, as in lesson 02
EPOCHS = runtime.budget(full=15, fast=2)  # epochs of 100 steps: half of lesson 02's training
STEPS = runtime.budget(full=100, fast=3)
POINTS = runtime.budget(full=50_000, fast=2_000)  # samples of each kind in the 1-D games
COUNT = runtime.budget(full=10_000, fast=300)  # images that a score is computed from

# %% [markdown]
# ## The end, first
#
# Two generators come with the course, trained as in section 5: both learned from the same 500 digits, for 1,500
# steps. The discriminator of one had plain labels, that of the other the label 0.9 for real images. Both rows are of
# the same twelve latent vectors, on a path along the sphere of lesson 02; the two networks draw different things.
# **Which row is which?** Move the slider for other paths, guess, and note how sure you are. The answer is at the end
# of section 5.

# %%
rivals = ["one_sided_mnist", "plain_labels_mnist"]
np.random.default_rng(3).shuffle(rivals)
pair = [models.pretrained(name) for name in rivals]
path_ends = np.random.default_rng(0).normal(size=(20, 2, 64))


def draw_path(path):
    latents = plots.interpolation(*path_ends[path], steps=12)
    latents *= 8 / np.linalg.norm(latents, axis=1, keepdims=True)  # out onto the sphere
    rows = [generator(latents, training=False) for generator in pair]
    return plots.tile(np.concatenate(rows), columns=12)


plots.Panel(draw_path, scale=2, start={"path": 5}, path=range(20))

# %% [markdown]
# *A one turns into a nine, and a five into a seven. On the way there are shapes that are neither, and near the edges
# gray specks.* (The slider needs a running kernel; without one you see a single path.)
#
# ## 1. What does a label ask for?
#
# Give real images the label $a$ and generated ones the label $b$. Cross-entropy with a label $a$ is
# nothing new: it is $a$ times the cost of the label 1 plus $1 - a$ times the cost of the label 0,
#
# $$-a \log D(x) - (1 - a) \log (1 - D(x))$$
#
# In lesson 01, with $a = 1$ and $b = 0$, the best answer at each place was $p / (p + q)$, where $p$ is the
# density of real samples and $q$ that of fake ones. Now the cost at one place is
#
# $$-p\,[\,a \log D + (1 - a) \log(1 - D)\,] - q\,[\,b \log D + (1 - b) \log(1 - D)\,]$$
#
# ### Exercise 3.1: the best answer to smoothed labels
#
# **Which $D$ makes that smallest?** Write it as a function of $p$, $q$, $a$ and $b$.

# %% exercise="3.1"
def my_optimum(p, q, a, b):
    # BEGIN SOLUTION
    return (a * p + b * q) / (p + q)
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
optimum = exercises.answer("3.1", my_optimum)

# %% [markdown]
# **Prediction 3.a.** The generator has won: $p = q$ everywhere. With the labels $a = 0.9$ and $b = 0$,
# what does the best discriminator answer?
#
# - a: 0.9
# - b: 0.5
# - c: 0.45
# - d: 0.1

# %%
# BEGIN SOLUTION
prediction = "c"
# STUB
# prediction = ...  # "a", "b", "c" or "d"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("3.a", prediction)

# %% [markdown]
# ### Exercise 3.2: the loss
#
# **Write the discriminator's loss** for any two labels: the mean over the real batch plus the mean over
# the fake one. As in lesson 01, $-\log D$ is `tf.nn.softplus(-logit)` and $-\log(1 - D)$ is
# `tf.nn.softplus(logit)`, and the loss must stay finite at large logits.

# %% exercise="3.2"
def my_smoothed_loss(real_logits, fake_logits, a, b):
    # BEGIN SOLUTION
    def cost(label, logits):
        return tf.reduce_mean(
            label * tf.nn.softplus(-logits) + (1 - label) * tf.nn.softplus(logits)
        )

    return cost(a, real_logits) + cost(b, fake_logits)
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
smoothed_loss = exercises.answer("3.2", my_smoothed_loss)

# %% [markdown]
# The package's `losses.NonSaturating(real_label=a, fake_label=b)` is the same. At the optimum for equal
# densities:

# %% tags=["nbval-check-output"]
for a, D in ((1.0, 0.5), (0.9, 0.45)):
    logits = tf.fill((8, 1), np.log(D / (1 - D)).astype("float32"))
    print(f"labels {a} and 0, D = {D}: loss {smoothed_loss(logits, logits, a, 0.0):.5f}")

# %% [markdown]
# So a smoothed game that has come to rest shows a loss of 1.37628, not $2 \ln 2 = 1.38629$, and answers of
# 0.45. Does a network find that? Train one with **your** loss on real and fake numbers of
# the same distribution, and then three more, with three pairs of labels, on two distributions that lie apart.

# %%
def train_discriminator(real, fake, a, b):
    discriminator = models.mlp_discriminator((1,), hidden=(64, 64))
    epochs = runtime.budget(full=6, fast=1)
    steps = epochs * len(real) // 500
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps))

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = smoothed_loss(discriminator(x), discriminator(y), a, b)
        weights = discriminator.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)

    pairs = tf.data.Dataset.from_tensor_slices((real, fake))
    for x, y in pairs.shuffle(len(real)).repeat(epochs).batch(500, drop_remainder=True):
        step(x, y)
    return discriminator


# %%
def numbers(mean):
    return rng.normal(mean, 1, (POINTS, 1)).astype("float32")


runtime.set_seed(0)
rng = np.random.default_rng(0)
at_rest = train_discriminator(numbers(0), numbers(0), a=0.9, b=0.0)
real_logits, fake_logits = at_rest(numbers(0)), at_rest(numbers(0))
answer_at_rest = float(tf.reduce_mean(tf.sigmoid(real_logits)))
loss_at_rest = float(smoothed_loss(real_logits, fake_logits, 0.9, 0.0))
print(f"mean answer {answer_at_rest:.4f}, loss {loss_at_rest:.4f}")

# %%
x = np.linspace(-4, 6, 300).astype("float32")
p, q = norm.pdf(x), norm.pdf(x, 2)
_, axes = plt.subplots(1, 3, figsize=(11, 2.8), sharey=True, layout="constrained")
gaps = []
for (a, b), ax in zip(
    runtime.progress(((1.0, 0.0), (0.9, 0.0), (0.9, 0.1)), "networks"), axes, strict=True
):
    found = tf.sigmoid(train_discriminator(numbers(0), numbers(2), a, b)(x[:, None]))[:, 0]
    ax.plot(x, optimum(p, q, a, b), color=plots.COLORS["theory"], linewidth=4, alpha=0.25)
    ax.plot(x, found, color=plots.COLORS["other"])
    ax.set_title(f"real {a:g}, fake {b:g}")
    gaps.append(np.average(np.abs(found - optimum(p, q, a, b)), weights=p + q))
axes[0].legend(["the formula", "a trained network"], loc="upper right")
axes[0].set_ylabel("answer of D")
axes[0].set_ylim(-0.05, 1.05)
print(f"mean distance from the formula: {', '.join(f'{gap:.3f}' for gap in gaps)}")

# %% [markdown]
# *Three falling curves, each on top of the gray one of the formula. With the labels 1 and 0 that goes from 1
# to 0; with 0.9 it begins at 0.9; with 0.9 and 0.1 it ends at 0.1. With smoothed labels the network leaves it at
# the ends, where hardly any samples are: upwards on the left, and downwards on the right if there is a 0.1.*
#
# The best discriminator for smoothed labels answers between $b$ and $a$. The logits it needs lie between
# $\log(b/(1-b))$ and $\log(a/(1-a))$: with $a = 0.9$ none above 2.2, while the labels 1 and 0 set no bound: there
# the best logit is $\log (p/q)$, with the densities $p$ of real and $q$ of fake samples. (A network may overshoot.)
#
# ## 2. Labels above 1
#
# Some recipes draw the real label at random, from 1 to 1.1 for instance (Foster 2023). Cross-entropy is
# linear in its label, so on average this is the label 1.05. (A label drawn from 0.7 to 1.2, also seen, is
# 0.95 on average: that is smoothing, with noise.) What does a label above 1 ask for? Take 1.2, to see it
# well.
#
# **Prediction 3.b.** Where is the cost $-1.2 \log D + 0.2 \log(1 - D)$ smallest?
#
# - a: at $D = 1.2$
# - b: nowhere, it falls for ever as the logit grows
# - c: nowhere, but it levels off as the logit grows, as the cost of the label 1 does

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %%
logits = np.linspace(-4, 12, 200)
_, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for label, style in ((0.9, "-"), (1.0, "--"), (1.2, ":")):
    cost = label * np.logaddexp(0, -logits) + (1 - label) * np.logaddexp(0, logits)
    axes.plot(logits, cost, style, color=plots.COLORS["real"])
    axes.annotate(f"label {label:g}", (12, cost[-1]), xytext=(4, -3), textcoords="offset points")
axes.set_xlabel("logit of a real image")
axes.set_title("The cost of one real image: only a label below 1 has a lowest point");

# %% tags=["nbval-check-output"]
exercises.check("3.b", prediction)

# %% [markdown]
# *Three curves. That of 0.9 has its lowest point at a logit of 2.2 and rises again; that of 1 goes down to
# 0; that of 1.2 crosses 0 and keeps falling.*
#
# Such labels do the opposite of what smoothing is for: they pay the discriminator for being ever more sure.
# Keras' `BinaryCrossentropy` takes them without a word. The course's losses do not:

# %% tags=["nbval-check-output"]
try:
    losses.NonSaturating(real_label=1.2)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 3. Why one-sided?
#
# If 0.9 is good for real images, why not 0.1 for fakes? Take the worst moment of a game: fakes lie where nothing
# real is. The generator follows the slope of its loss, $-\log D$, in the place $x$. Below, real numbers come from
# $N(0, 1)$ and fakes from $N(4, 1)$.
#
# **Prediction 3.c.** In the middle of the fakes, at 4, the best discriminator for the labels 1 and 0 gives
# $-\log D$, as a function of $x$, a slope of 4. With the labels 0.9 and 0.1 the slope is about
#
# - a: 3.2, since the labels lie 0.8 apart
# - b: 5, since $D$ is higher
# - c: 0.01, since $D$ hardly changes there

# %%
# BEGIN SOLUTION
prediction = "c"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %%
x = np.linspace(-2, 6, 801)
p, q = norm.pdf(x), norm.pdf(x, 4)
_, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
slopes = {}
for (a, b), style in (((1.0, 0.0), "-"), ((0.9, 0.0), "--"), ((0.9, 0.1), ":")):
    loss = -np.log(optimum(p, q, a, b))
    slope = np.gradient(loss, x)
    slopes[a, b] = slope[np.argmin(np.abs(x - 4))]
    left.plot(x, loss, style, color=plots.COLORS["fake"], label=f"real {a:g}, fake {b:g}")
    right.plot(x, slope, style, color=plots.COLORS["fake"])
left.set_title("The generator's loss: only with b = 0 does it keep rising")
left.legend()
right.set_title("Its slope: with b = 0.1 it is gone where the fakes are")
print(", ".join(f"labels {a:g} and {b:g}: {s:.4f}" for (a, b), s in slopes.items()))

# %% tags=["nbval-check-output"]
exercises.check("3.c", prediction)

# %% [markdown]
# *Left: with a fake label of 0 the loss rises from the real numbers to the fakes and beyond, a hill to roll
# down; the first two lines are only a constant 0.1 apart. With 0.1 it is flat from 3.5 on. Right: the slopes. At 4
# it is 4 for the first two; the third rises to 2 between the two kinds, and is near 0 where the fakes are.*
#
# Two things can be read off the formula. With $b = 0$ the best answer is $a\,p/(p+q)$, and
# $-\log D = -\log a - \log \frac{p}{p+q}$: **smoothing the real side changes the generator's loss by a
# constant, and its slope not at all.** With $b > 0$ the answer among fakes is $b$, however bad they are:
# the generator has no reason to move them (Salimans et al. 2016). That is why one smooths on one side.
#
# Now let it happen. The generator below has a single weight, the middle of its numbers, which begins at 6.
# Its discriminator learns for a while before the generator may move, and five times as often. (The generator
# uses plain gradient descent: Adam divides slopes by their size, and would hide how small they are.)

# %%
class Shift(layers.Layer):
    def build(self, input_shape):
        self.middle = self.add_weight(shape=(1,), initializer=keras.initializers.Constant(6.0))

    def call(self, latents):
        return latents + self.middle


# %%
def build_line_gan(real_label, fake_label):
    runtime.set_seed(0)
    judge = models.mlp_discriminator((1,), hidden=(32, 32))
    gan = training.GAN(keras.Sequential([keras.Input((1,)), Shift()]), judge, latent_dim=1)
    gan.compile(
        losses.NonSaturating(real_label, fake_label),
        generator_optimizer=keras.optimizers.SGD(0.0),  # it has to wait
        discriminator_optimizer=keras.optimizers.Adam(3e-3, beta_1=0.5),
        discriminator_steps=5,
    )
    return gan


# %%
NEAR_0 = np.linspace(-1, 1, 50, dtype="float32")[:, None]  # where the real numbers are


def journey(real_label, fake_label, steps=600):
    gan, random = build_line_gan(real_label, fake_label), np.random.default_rng(0)
    middles, answers = [], []
    for i in runtime.progress(range(-100, steps), f"real {real_label:g}, fake {fake_label:g}"):
        if i == 0:
            gan.generator_optimizer.learning_rate = 0.02  # from now on the generator moves
        gan.step(random.normal(size=(5 * 256, 1)).astype("float32"))
        if i >= 0:
            middles.append(float(gan.generator.layers[0].middle.numpy()[0]))
            answers.append(float(tf.reduce_max(tf.sigmoid(gan.discriminator(NEAR_0)))))
    return {
        "ends_at": middles[-1], "highest_answer": max(answers), "steps": steps,
        "real_label": real_label, "fake_label": fake_label, "middles": middles,
    }


# %%
journeys = [journey(*labels) for labels in ((1.0, 0.0), (0.9, 0.0), (0.9, 0.1))]
_, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for found, style in zip(journeys, ("-", "--", ":"), strict=True):
    name = f"real {found['real_label']:g}, fake {found['fake_label']:g}"
    axes.plot(found["middles"], style, color=plots.COLORS["fake"], label=name)
axes.axhline(0, color=plots.COLORS["real"], linewidth=0.8)
axes.set_xlabel("step")
axes.set_title("The middle of the fakes: it should come to 0")
axes.legend();

# %% [markdown]
# *Two curves fall from 6 to below 0.5 within 200 steps, nearly together, and then to 0. The third only creeps, to
# 5.3. (That it moves at all is because a network is not quite the best discriminator.)*
#
# It is not that smoothing both sides always does this. It takes a discriminator near its best and fakes far
# off. Where the two kinds overlap there is a slope, if a smaller one.
#
# ### Exercise 3.3: a modest discriminator that teaches
#
# **Find labels** with which the generator still comes to within 0.5 of 0 in 600 steps, while the
# discriminator never answers more than 0.8 to the numbers between −1 and 1.

# %% exercise="3.3"
# BEGIN SOLUTION
best = journey(real_label=0.7, fake_label=0)
# STUB
# best = ...  # journey(real_label=..., fake_label=...)
# END SOLUTION

# %%
exercises.check("3.3", best)

# %% [markdown]
# ## 4. Label noise: the same optimum, another way there
#
# *Label noise* flips some labels at random: now and then a real image is called fake, and a fake one real.
# The discriminator sees whole labels, but false ones.
#
# ### Exercise 3.4: the labels that flips amount to
#
# A share of all labels is flipped. **Which smoothed labels ask for the same, on average?** Return $a$ and
# $b$.

# %% exercise="3.4"
def my_labels_like_flips(share):
    # BEGIN SOLUTION
    return 1 - share, share
    # STUB
    # return ..., ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
labels_like_flips = exercises.answer("3.4", my_labels_like_flips)

# %% [markdown]
# As cross-entropy is linear in its label, the mean of its gradients is the gradient for the mean label.
# Noise has the **same optimum** as smoothing on both sides, with its floor under $D$. Only the way there is
# another. For a real image the gradient in its logit is $-a\,(1 - D) + (1 - a)\,D = D - a$. Here is its mean
# over a batch of 32 where the discriminator is undecided:

# %%
share, D = 0.1, 0.5
a, b = labels_like_flips(share)
flips = np.random.default_rng(0).random((100_000, BATCH_SIZE)) < share
gradients = (D - np.where(flips, 0.0, 1.0)).mean(axis=1)  # a flipped label of a real image is 0
print(f"smoothing: {D - a:.3f} in every batch")
print(f"flips:     {gradients.mean():.3f} on average, with a standard deviation of {gradients.std():.3f}")

# %% [markdown]
# Noise on real labels only would be one-sided smoothing with noise on top. `compile(label_noise=0.1)` flips
# both kinds, as is usual.
#
# ## 5. On digits
#
# When is a discriminator surer than it should be? When it has learned its training images by heart. So take
# only 500 images of MNIST, the generator of lesson 02, and its discriminator **without BatchNorm**, so that
# an answer depends on nothing but the image. Steps, optimizers and averaged weights are those of lesson 02,
# and each kind of label trains for half as long.

# %%
digits = data.load(DATASET, fallback="digits")[:SIZE]
test = data.load(digits.name, split="test")
COUNT = min(COUNT, len(test))
fid = metrics.FrechetDistance(test.images, digits.name)

# %%
STYLES = {"theory": "o-", "real": "s--", "other": "^:", "fake": "x-."}  # a color for each kind
LABELS = {  # a and b: the two that a kind asks for, on average
    "plain labels": (1.0, 0.0), "one-sided: 0.9 and 0": (0.9, 0.0),
    "two-sided: 0.9 and 0.1": (0.9, 0.1), "noise: a tenth flipped": (0.9, 0.1),
}

# %%
KINDS = {
    "plain labels": {"loss": losses.NonSaturating()},
    "one-sided: 0.9 and 0": {"loss": losses.NonSaturating(real_label=0.9)},
    "two-sided: 0.9 and 0.1": {"loss": losses.NonSaturating(real_label=0.9, fake_label=0.1)},
    "noise: a tenth flipped": {"loss": losses.NonSaturating(), "label_noise": 0.1},
}


# %%
def build_gan(kind):
    runtime.set_seed(0)
    gan = training.SimultaneousGAN(
        models.dcgan_generator(LATENT_DIM),
        models.dcgan_discriminator(normalization="none"),
        latent_dim=LATENT_DIM,
    )
    adam = {"learning_rate": LEARNING_RATE, "beta_1": BETA_1, "beta_2": BETA_2}
    gan.compile(
        **KINDS[kind],
        generator_optimizer=keras.optimizers.Adam(**adam, use_ema=True, ema_momentum=0.99),
        discriminator_optimizer=keras.optimizers.Adam(**adam),
        steps_per_execution=STEPS,
    )
    return gan


# %% [markdown]
# A callback keeps an eye on each run: `HealthMonitor` says in plain words if numbers are NaN, a player has won,
# samples are all alike or losses swing (it does not look for overfitting), and keeps the norm of the gradient for
# all of the generator's weights after each epoch.
#
# **Prediction 3.d.** Smoothing makes the answers less extreme. What does it do to the Fréchet distance of
# the digits?
#
# - a: it becomes less than half as large
# - b: it stays within a fifth or so
# - c: it becomes more than twice as large

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %%
runs, seconds = {}, {}
for kind in KINDS:
    begin = time.perf_counter()
    gan, monitor = build_gan(kind), callbacks.HealthMonitor(digits.images)
    batches = digits.batches(BATCH_SIZE).repeat()
    watch = [monitor, callbacks.Progress(kind)]
    gan.fit(batches, epochs=EPOCHS, steps_per_epoch=STEPS, callbacks=watch, verbose=0)
    runs[kind], seconds[kind] = (gan, monitor), time.perf_counter() - begin
    print(f"{kind}, {seconds[kind]:.0f} s. {monitor.report()}")

# %% [markdown]
# ### How sure is it?
#
# Ask each discriminator about its training images, about test images, which it has never seen (*held out* or
# *unseen* below), and about newly generated ones (drawn with averaged weights, as always). An image is called real
# if the answer is nearer to the label of real images than to that of fakes.

# %%
asked = {}
for kind, (gan, _) in runtime.progress(runs.items(), "asking"):
    images = {"train": digits.images, "held out": test.images[:COUNT]}
    images["fake"] = gan.generate(COUNT, seed=1)
    asked[kind] = {
        name: gan.discriminator.predict(each, batch_size=500, verbose=0)[:, 0]
        for name, each in images.items()
    }
    asked[kind]["images"] = images["fake"]

# %%
_, axes = plt.subplots(2, 2, figsize=(10, 4.6), sharex=True, sharey=True, layout="constrained")
styles = {"train": ("real", "-"), "held out": ("real", "--"), "fake": ("fake", "-")}
for (kind, found), ax in zip(asked.items(), axes.flat, strict=True):
    for name, (color, style) in styles.items():
        ax.hist(
            np.clip(found[name], -10, 10), bins=np.linspace(-10, 10, 41), density=True,
            histtype="step", color=plots.COLORS[color], linestyle=style, label=name,
        )
    ax.set_title(kind)
axes[0, 0].legend()
for ax in axes[1]:
    ax.set_xlabel("logit")

# %% [markdown]
# *Four times two blue outlines and an orange one. In each picture the training images, a solid line, lie to the
# right; the test images, dashed, lie much nearer to the fakes than to them. From the first picture to the last
# fakes and test images come nearer to 0; the training images stay near 2, and all outlines become narrower.*
#
# Count the images that are called real, and the answers that are very sure: below 5% or above 95%.

# %%
def answers_of(found, name):
    return 1 / (1 + np.exp(-found[name].astype(float)))


def very_sure(answers):
    return np.mean(np.abs(answers - 0.5) > 0.45)


print(f"{'':24} called real: train  held out  fake   very sure: train  held out  fake")
for kind, found in asked.items():
    groups = [answers_of(found, name) for name in styles]
    found["called real"] = [np.mean(answers > np.mean(LABELS[kind])) for answers in groups]
    found["very sure"] = [very_sure(answers) for answers in groups]
    cells = [f"{value:.0%}" for value in (*found["called real"], *found["very sure"])]
    print(f"{kind:24} {cells[0]:>18} {cells[1]:>9} {cells[2]:>5} "
          f"{cells[3]:>18} {cells[4]:>9} {cells[5]:>5}")

# %% [markdown]
# This discriminator knows its 500 images. With plain labels it calls {{train_plain:.0%}} of them real, but only
# {{held_out_plain:.0%}} of the real digits that it has never seen: it has learned these images, not what a
# digit is. No label mends that. In this run the other three call {{held_out_least:.0%}} to
# {{held_out_most:.0%}} of the unseen digits real, but more of the fakes, too. (In the study that comes below, the
# means of three seeds are {{study_held_out_least:.0%}} to {{study_held_out_most:.0%}}, whatever the labels; it is not
# printed there.)
#
# Very sure answers become fewer, as intended: of the training images {{sure_plain:.0%}} get one with plain labels,
# {{sure_one_sided:.0%}} with one-sided smoothing, {{sure_noisy:.0%}} with noise. But is the discriminator less
# sure, or only told to speak more softly? Where everything is real it is asked for $a$, where nothing is, for
# $b$. To know what it believes, solve the formula of section 1 for the share of real images:
#
# $$\frac{p}{p+q} = \frac{D - b}{a - b}$$

# %%
print(f"{'':24} very sure, as believed: train  held out  fake")
for kind, found in asked.items():
    a, b = LABELS[kind]  # an answer beyond a or b counts as full belief
    found["beliefs"] = {
        name: np.clip((answers_of(found, name) - b) / (a - b), 0, 1) for name in styles
    }
    found["very sure, as believed"] = [very_sure(found["beliefs"][name]) for name in styles]
    cells = [f"{value:.0%}" for value in found["very sure, as believed"]]
    print(f"{kind:24} {cells[0]:>29} {cells[1]:>9} {cells[2]:>5}")

# %% [markdown]
# Counted in beliefs, one-sided smoothing does not make the discriminator less sure of its training images:
# {{believed_one_sided:.0%}} instead of {{believed_plain:.0%}}, and {{believed_two_sided:.0%}} with two-sided
# smoothing. Smoothed labels change the unit of an answer. They also lower the bar: for a belief of 95% an answer of
# 0.855 is now enough, and any answer above 0.9 counts as full belief. With noise the belief in
# {{believed_noisy:.0%}} of the training images is very sure.
#
# But that is one run. The same recipe was trained beforehand with three seeds, and with all 60,000 images, too
# (`benchmarks/smoothing.py`). That study is stored; its first seed is the run above, on the same kind of machine.

# %%
study = data.stored_results("smoothing")


def in_study(kind, size, value):
    return [value(row) for row in study if (row["kind"], row["size"]) == (kind, size)]


def very_sure_of(who):
    return lambda row: row["very_sure_beliefs"][who]


print("very sure beliefs          500 images:                           all images:")
print("                           training images   unseen   fakes      training images")
for kind in KINDS:
    few, many = (
        " ".join(f"{each:4.0%}" for each in in_study(kind, size, very_sure_of("train")))
        for size in (500, 60_000))
    unseen, fakes = (np.mean(in_study(kind, 500, very_sure_of(who))) for who in ("held_out", "fake"))
    print(f"{kind:26} {few}    {unseen:7.0%} {fakes:7.0%}      {many}")

# %% [markdown]
# *Three seeds for training images, and means of three for unseen ones and fakes.*
#
# With 500 images the mean for the training images is {{study_plain:.0%}} with plain labels, {{study_one_sided:.0%}}
# and {{study_two_sided:.0%}} with smoothing, {{study_noisy:.0%}} with noise. So, on average, no label makes the
# discriminator clearly less sure of what it has learned by heart. About unseen images and fakes it looked less sure
# in the run above; in the means of three seeds the kinds differ little. With 60,000 images, which it cannot learn by
# heart, it is hardly ever very sure, apart from one seed with one-sided labels.
#
# ### Rightly so?
#
# A judge is *calibrated* if, of all images that it gives 0.8, eight in ten are real. The **expected calibration
# error** (Naeini et al. 2015; Guo et al. 2017 used it for neural networks) sorts the answers into ten bins of equal
# width. In each it takes the distance between the mean answer and the share of images that are real, and it
# averages these, each bin weighted with the number of answers in it.
#
# ### Exercise 3.5: the calibration error
#
# **Write it**, for two arrays: the answers, from 0 to 1, and `is_real`, 1 for real images and 0 for fakes. Skip
# bins that are empty: they count nothing.

# %% exercise="3.5"
def my_calibration_error(answers, is_real):
    bins = np.minimum((answers * 10).astype(int), 9)  # 0 to 9
    # BEGIN SOLUTION
    error = 0.0
    for number in np.unique(bins):
        chosen = bins == number
        gap = abs(answers[chosen].mean() - is_real[chosen].mean())
        error += chosen.mean() * gap
    return error
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
calibration_error = exercises.answer("3.5", my_calibration_error)

# %% [markdown]
# What has to be calibrated is what the discriminator believes:

# %%
is_real = np.repeat([1.0, 0.0], COUNT)
_, axes = plt.subplots(figsize=(5, 4), layout="constrained")
for (kind, found), (color, style) in zip(asked.items(), STYLES.items(), strict=True):
    beliefs = np.concatenate([found["beliefs"]["held out"], found["beliefs"]["fake"]])
    found["calibration"] = calibration_error(beliefs, is_real)
    bins = np.minimum((beliefs * 10).astype(int), 9)
    x, y = ([values[bins == n].mean() for n in np.unique(bins)] for values in (beliefs, is_real))
    label = f"{kind} (error {found['calibration']:.2f})"
    axes.plot(x, y, style, color=plots.COLORS[color], label=label)
axes.plot([0, 1], [0, 1], color=plots.COLORS["muted"], linewidth=0.8)
axes.set_xlabel("what D believes")
axes.set_ylabel("share of real images")
axes.set_title("On the diagonal a discriminator is calibrated")
axes.legend();

# %% [markdown]
# *Four curves, flatter than the diagonal, that begin far above it. That of plain labels stays above and meets it
# at the end; the other three cross it and end below.*
#
# Many real images are believed to be fake. With three of the labels it errs the other way, too: of the images
# that it is surest of, about one in seven is not real. No label makes this discriminator calibrated: the errors
# are {{calibration_least:.2f}} to {{calibration_most:.2f}}. The means of the study's three seeds are closer together:
# {{study_calibration_least:.2f}} to {{study_calibration_most:.2f}}.

# %%
_, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for (kind, (_, monitor)), (color, style) in zip(runs.items(), STYLES.items(), strict=True):
    y = [entry["gradient_norm"] for entry in monitor.history]
    x = np.arange(1, len(y) + 1) * STEPS
    axes.plot(x, y, style, color=plots.COLORS[color], markersize=4, label=kind)
axes.set_xlabel("step")
axes.set_title("The norm of the generator's gradient")
axes.legend();

# %% [markdown]
# *Four jagged curves. The highest peaks, early on, are those of plain labels.*
#
# Again, one run. The means over whole runs, of the study's three seeds:

# %%
norms = {
    (kind, size): in_study(kind, size, lambda row: np.mean(row["gradient_norm"]))
    for kind in KINDS for size in (500, 60_000)
}
print("norm of the generator's gradient   500 images     all images")
for kind in KINDS:
    few, many = (" ".join(f"{each:.1f}" for each in norms[kind, size]) for size in (500, 60_000))
    print(f"{kind:34} {few}    {many}")

# %% [markdown]
# With 500 images a label above 0 on fakes, whether smoothed or flipped, takes some of the norm away with every
# seed, as section 3 has it; with all images the seeds overlap. Smoothing the real side takes nothing away. In the
# mean the norm is even larger, though not with every seed; the formula, which is for the best discriminator, does
# not say why.
#
# ### And the digits?
#
# The table joins the run that you have just made with the stored study.

# %%
print("distance                 live     stored, 500 images     all images")
for kind, found in asked.items():
    found["fid"] = fid(found["images"])
    few, all_images = (
        ", ".join(f"{value:.1f}" for value in in_study(kind, size, lambda row: row["fid"]))
        for size in (500, 60_000))
    print(f"{kind:24} {float(found['fid']):4.1f}     {few:22} {all_images}")

# %% tags=["nbval-check-output"]
exercises.check("3.d", prediction)

# %% tags=["picture-outcome"]
rows = [found["images"][:20] for found in asked.values()]
plots.image_grid(np.concatenate(rows), "from the top: plain, one-sided, two-sided, noise", 20);

# %% [markdown]
# *Four rows of twenty digits, about two thirds of them readable. No row stands out.*
#
# The seeds of one kind differ as much as the kinds do, with 500 images and with all of them. Of the twelve runs
# with all images the best and the worst are both one-sided. If there is a gain, three seeds do not show it.
#
# And the two rows at the beginning? Here are their names, from the top. Were you right, and how sure had you been?
# (One run each: a difference of one proves nothing.)

# %%
for name in rivals:
    for steps, stage in models.pretrained_card(name)["stages"].items():
        print(f"{name:20} {steps} steps   distance {stage['frechet_distance']:.1f}")

# %% [markdown]
# ## 6. What it cures, and what it does not
#
# - **It keeps answers and logits moderate**, on the side that is smoothed: that is what its labels ask for.
#   One-sided labels leave the answers to fakes free. (In the run above fewer of these were very sure, too; with the
#   study's other seeds it was not so.)
# - **It does not make the discriminator doubt.** Counted in what it believes of the images that it has learned by
#   heart, smoothing makes it surer, in the mean of three seeds, and noise changes the mean little (its seeds go both
#   ways).
# - **It does not cure overfitting.** A discriminator that has learned its images by heart still does not know
#   others. More images do: with 60,000 of them and plain labels it calls {{study_train_all:.0%}} of the training
#   images real, and {{study_held_out_all:.0%}} of unseen ones. (Augmentation, which is not tried here, is another
#   way.)
# - **It gives a generator no more slope, by the formula.** For the best discriminator one-sided smoothing leaves the
#   slope as it is; smoothing both sides, and noise, make it smaller. With networks the seeds differ.
# - **It made no better digits here**, neither with 500 images nor with 60,000.
#
# So why is it in so many recipes? It is one argument to change, and other games may differ: measure it in yours.
# Take 0.9 and 0 then. Do not go above 1; and do not smooth the fakes' label, which on digits did no measurable
# harm, but can take the slope away, and brought nothing in return. Another way to restrain a discriminator is a
# penalty on its slope, such as `losses.R1`.
#
# ## What you should have seen

# %%
kinds = dict(zip(("plain", "one_sided", "two_sided", "noisy"), asked.values(), strict=True))
errors = [found["calibration"] for found in kinds.values()]
others = [found["called real"][1] for name, found in kinds.items() if name != "plain"]
on_the_line = {
    "answer_at_rest": (answer_at_rest, 0.445, 0.455),
    "loss_at_rest": (loss_at_rest, 1.370, 1.382),
    "distance from the formula": (max(gaps), 0, 0.02),
    "slope at 4, labels 0.9 and 0": (slopes[0.9, 0.0], 3.9, 4.1),
    "slope at 4, labels 0.9 and 0.1": (slopes[0.9, 0.1], 0.008, 0.014),
    "end of the journey, labels 1 and 0": (journeys[0]["ends_at"], -0.5, 0.5),
    "end of the journey, labels 0.9 and 0": (journeys[1]["ends_at"], -0.5, 0.5),
    "end of the journey, labels 0.9 and 0.1": (journeys[2]["ends_at"], 4.0, 6.1),
}

# %%
sure = {"plain": (0.15, 0.7), "one_sided": (0, 0.4), "two_sided": (0, 0.2), "noisy": (0, 0.1)}
believed = {
    "plain": (0.15, 0.7), "one_sided": (0.2, 0.8), "two_sided": (0.15, 0.8), "noisy": (0.02, 0.6)
}
of_the_training_images = {
    **{f"sure_{name}": (kinds[name]["very sure"][0], *sure[name]) for name in kinds},
    **{f"believed_{name}": (kinds[name]["very sure, as believed"][0], *believed[name])
       for name in kinds},
}

# %%
learned = [np.mean(in_study(kind, 500, very_sure_of("train"))) for kind in KINDS]
unseen = [np.mean(in_study(kind, 500, lambda row: row["called_real"]["held_out"])) for kind in KINDS]
study_errors = [np.mean(in_study(kind, 500, lambda row: row["calibration_error"])) for kind in KINDS]
with_all = {
    who: np.mean(in_study("plain labels", 60_000, lambda row, who=who: row["called_real"][who]))
    for who in ("train", "held_out")
}
in_the_study = {
    "study_plain": (learned[0], 0.25, 0.35), "study_one_sided": (learned[1], 0.35, 0.5),
    "study_two_sided": (learned[2], 0.4, 0.5), "study_noisy": (learned[3], 0.2, 0.3),
    "study_held_out_least": (min(unseen), 0.2, 0.3),
    "study_held_out_most": (max(unseen), 0.3, 0.4),
    "study_calibration_least": (min(study_errors), 0.19, 0.22),
    "study_calibration_most": (max(study_errors), 0.22, 0.25),
    "study_train_all": (with_all["train"], 0.55, 0.7),
    "study_held_out_all": (with_all["held_out"], 0.55, 0.7),
}

# %%
exercises.compare_results(
    {
        **on_the_line,
        **of_the_training_images,
        **in_the_study,
        **{f"fid_{name}": (found["fid"], 5, 20) for name, found in kinds.items()},
        "train_plain": (kinds["plain"]["called real"][0], 0.8, 1),
        "held_out_plain": (kinds["plain"]["called real"][1], 0.1, 0.6),
        "held_out_least": (min(others), 0.1, 0.6),
        "held_out_most": (max(others), 0.1, 0.6),
        "calibration_least": (min(errors), 0.04, 0.3),
        "calibration_most": (max(errors), 0.1, 0.4),
        "gradient norm in the study, noise, times plain labels": (
            np.mean(norms["noise: a tenth flipped", 500]) / np.mean(norms["plain labels", 500]),
            0.3, 0.9),
    },
    comparable=digits.name == "mnist",
)

# %% [markdown]
# ## Going further
#
# - Smooth more: 0.7 instead of 0.9. From which label on does the discriminator teach less?
# - Flip only real labels, with a loss of your own: a class with `discriminator_loss` and `generator_loss`
#   is enough for `compile`. Is it one-sided smoothing with noise on top?
# - Use lesson 02's discriminator with BatchNorm. Its answers depend on the batch, and on `training`; ask it
#   both ways. How sure is it now?
#
# ## Sources
#
# - D. Foster, *Generative Deep Learning*, 2nd edition, O'Reilly 2023, chapter 4: labels with noise.
# - T. Salimans, I. Goodfellow, W. Zaremba, V. Cheung, A. Radford, X. Chen, *Improved Techniques for Training
#   GANs*, 2016, [arXiv:1606.03498](https://arxiv.org/abs/1606.03498): one-sided label smoothing, section 3.4.
# - C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, *Rethinking the Inception Architecture for
#   Computer Vision*, 2015, [arXiv:1512.00567](https://arxiv.org/abs/1512.00567): smoothing for classifiers.
# - M. Naeini, G. Cooper, M. Hauskrecht, *Obtaining Well Calibrated Probabilities Using Bayesian Binning*, AAAI 2015:
#   the calibration error.
# - C. Guo, G. Pleiss, Y. Sun, K. Weinberger, *On Calibration of Modern Neural Networks*, 2017,
#   [arXiv:1706.04599](https://arxiv.org/abs/1706.04599): the calibration error.

# %%
exercises.progress(3)
