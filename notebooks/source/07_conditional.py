# ---
# jupyter:
#   gan_course:
#     title: Conditional generation
#     outcome: ask a generator for a class and get it, measure whether you did, and trade variety for quality
#     result: "{{asked:.1%}} of the generated digits read as asked for (real ones {{real_asked:.1%}}), Fréchet distance {{fid:.1f}}"
# ---

# %% [markdown]
# # 07 Conditional generation
#
# Ask the generators of earlier lessons for a seven: they cannot hear you. This lesson gives a GAN labels, so that it
# can be asked. Then it finds out whether the answer is what was asked for, by counting. A GAN can ignore its label,
# and a glance at good images does not show it.
#
# After this lesson you can
#
# - feed a label to both networks, and say why it works,
# - measure whether you get what you ask for, class by class,
# - tell a generator that ignores its label from one that listens,
# - keep the style and change the class, or the other way round,
# - use the truncation trick, and say when it works.
#
# **The stored run took {{minutes}} minutes** on two CPU cores. A classifier reads {{asked:.1%}} of its digits as the
# digit that was asked for; of real ones it reads {{real_asked:.1%}} right. The Fréchet distance is {{fid:.1f}}
# (lesson 02 ended near 1.5, without labels).
#
# ![Six rows of the ten digits, each row in a style of its own](attachment:outcome.png)
#
# *Each row is one latent vector, each column one label: slant and stroke go along the row, the digit changes.
# (One does not obey: the two of the second row.)*

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

import keras
import matplotlib.pyplot as plt
import numpy as np

from gan_course import callbacks, data, exercises, metrics, models, plots, training

plots.use_style()
print(runtime.describe())

# %%
DATASET = "mnist"  # or "fashion_mnist", or "digits", the embedded ones: no download needed
LATENT_DIM = 64  # numbers that the generator turns into an image, together with a label
BATCH_SIZE = 32
RATE = 1e-3  # of both networks, as in lesson 02
EPOCHS = runtime.budget(full=6, fast=2)
STEPS = runtime.budget(full=500, fast=5)  # steps in an epoch: 3,000 in all, as in lesson 02
COUNT = runtime.budget(full=10_000, fast=300)  # images that a score is computed from

# %% [markdown]
# The GAN learns from `train`. Distances are measured to `held_out`, and `test` shows what real images score.

# %%
digits, test = (data.load(DATASET, split, fallback="digits") for split in ("train", "test"))
train, held_out = digits[:-(len(digits) // 3)], digits[-(len(digits) // 3):]
COUNT = min(COUNT, len(test))  # the embedded digits are few
CLASSES, NAMES = len(digits.class_names), digits.class_names
SHAPE = digits.images.shape[1:]
print(f"{digits.name}: {CLASSES} classes; train {len(train):,}, held out {len(held_out):,}, "
      f"test {len(test):,}")

# %% [markdown]
# ## The end, first
#
# Three generators come with the course. They were trained as in this lesson, and are one network after 100, 500 and
# 3,000 steps, from top to bottom. Each is asked twelve times for the digit of the slider, with twelve latent vectors.
# Which digits can you already read in the middle row?

# %%
stages = {steps: models.pretrained("conditional_mnist", steps) for steps in (100, 500, 3_000)}
twelve = np.random.default_rng(0).normal(size=(12, 64))


def ask(digit):
    labels = np.full(12, digit)
    rows = [generator([twelve, labels], training=False) for generator in stages.values()]
    return plots.tile(np.concatenate(rows), columns=12)


plots.Panel(ask, scale=2, start={"digit": 2}, digit=range(10))

# %% [markdown]
# *Grids of gray dots; bold strokes, some of them twos; and twos, each in another hand, one or two of them
# doubtful.* (The slider needs a running kernel; without one you see the twos.) After 500 steps lesson 06's
# classifier reads about seven in ten of the fours, threes, ones and sevens as what they were asked for, but fewer
# than half of the zeros and twos.
#
# ## 1. A label for the generator
#
# A generator turns a latent vector $z$ into an image. Let it take a second input, the label $y$ (Mirza and Osindero
# 2014). But a network multiplies and adds, and a label is a name. As a number, nine would be nine times one. So take
# as many numbers as there are classes: 1 in the place of the label's class, 0 in all others, a *one-hot* vector. Put
# beside the latent vector (*concatenation*), it comes in with it.
#
# ### Exercise 7.1: a label beside the latent vector
#
# **Write it** for NumPy arrays: `latents` has the shape (batch, latent_dim), `labels` (batch,). Return the latent
# vectors with one-hot labels behind them, (batch, latent_dim + classes).

# %% exercise="7.1"
def my_with_label(latents, labels, classes):
    # BEGIN SOLUTION
    return np.concatenate([latents, np.eye(classes)[labels]], axis=1)
    # STUB
    # return np.concatenate([latents, ...], axis=1)
    # END SOLUTION

# %% tags=["nbval-check-output"]
with_label = exercises.answer("7.1", my_with_label)

# %% [markdown]
# Why should that be enough? Look at what the first layer makes of it. It multiplies by a matrix. The rows of that
# matrix which belong to the latent vector do what they always did, and of the others one is picked:
#
# $$[z, \text{one-hot}(y)] \begin{pmatrix} W \\ V \end{pmatrix} = z W + V_y$$
#
# So each class has a bias of its own in the first layer, and no more than that:

# %%
z, y = np.random.default_rng(0).normal(size=(4, LATENT_DIM)), np.array([3, 1, 4, 1])
layer = keras.layers.Dense(5, use_bias=False)
out = layer(with_label(z, y, CLASSES)).numpy()
W, V = np.split(layer.kernel.numpy(), [LATENT_DIM])
print("largest difference:", f"{np.abs(out - (z @ W + V[y])).max():.0e}")

# %% [markdown]
# The network must make everything else out of this one bias. There are other ways:
#
# - *Embedding*: multiply $z$ by a trained vector for the label.
# - *Conditional BatchNorm* (after de Vries et al. 2017): after each normalization, where BatchNorm has one scale and
#   one shift for each channel, each class has its own. The label then reaches every layer.
#
# `models.conditional_generator` has them all. This lesson trains with the last one:

# %%
generator = models.conditional_generator(LATENT_DIM, CLASSES, SHAPE, condition="batch_norm")
images = generator([np.random.default_rng(1).normal(size=(10, LATENT_DIM)), np.arange(10)])
print("ten latent vectors and ten labels become", images.shape)

# %% [markdown]
# ## 2. And one for the discriminator
#
# A generator that gets a label has no reason to listen. It is rewarded for real-looking images, and a perfect one is
# as good under any name. So the discriminator must see the label, too, and judge the *pair*: is this image real, and
# does it belong to this label? Real images come with their own labels, and generated ones with those that were asked
# for. If each label is asked for as often as it is found among the real images, the best discriminator is
#
# $$D^*(x, y) = \frac{p(x \mid y)}{p(x \mid y) + p_g(x \mid y)}$$
#
# which is lesson 01's for each class alone. For the generator to win, its sevens must be distributed as real sevens
# are.
#
# How does the label come in? One can add ten channels to the image, one for each class (*concatenation* again).
# Miyato and Koyama (2018) start from the logit of $D^*$ instead. It falls into two parts (again with labels that are
# equally frequent among both; $p_g$ is the density of generated images, lesson 01's $q$):
#
# $$\log \frac{p(x \mid y)}{p_g(x \mid y)} = \log \frac{p(x)}{p_g(x)} + \log \frac{p(y \mid x)}{p_g(y \mid x)}$$
#
# The first part is for the image alone: any discriminator has it. The second one asks how well the label fits.
# A classifier computes $\log p(y \mid x)$ from the features $f(x)$ of its last layer but one, with a vector $u_y$ for
# each class:
#
# $$\log p(y \mid x) = u_y \cdot f(x) - \log Z(x)$$
#
# where $Z(x)$ makes the sum over all classes 1. Take such a classifier for $p$, one with the same features for
# $p_g$, and subtract. The difference of two inner products is an inner product again, with a vector $v_y$. The
# difference of the two $\log Z(x)$ does not depend on the label, so add it to the first part. If this sum is linear
# in the features, too, then
#
# $$\text{logit}(x, y) = w \cdot f(x) + b + v_y \cdot f(x)$$
#
# ### Exercise 7.2: the projection discriminator
#
# **Write that as a function.** `features` has the shape (batch, width), `weights` (width,), `vectors` (classes,
# width), and `labels` (batch,). Return one logit for each image, (batch,).

# %% exercise="7.2"
def my_projection(features, labels, weights, bias, vectors):
    # BEGIN SOLUTION
    return features @ weights + bias + np.sum(features * vectors[labels], axis=1)
    # STUB
    # return features @ weights + bias + ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
projection = exercises.answer("7.2", my_projection)

# %% [markdown]
# The discriminator below does the same with the features before its last layer. Let yours compute it, from its
# weights:

# %%
discriminator = models.conditional_discriminator(SHAPE, CLASSES, condition="projection")
get_features = keras.Model(discriminator.inputs[0], discriminator.get_layer("features").output)
logit, vectors = discriminator.get_layer("logit"), discriminator.get_layer("label_vectors")
some, their_labels = digits.images[:50], digits.labels[:50]
yours = projection(
    get_features(some).numpy(), their_labels, logit.kernel.numpy()[:, 0], float(logit.bias[0]),
    vectors.kernel.numpy())
its = discriminator([some, their_labels]).numpy()[:, 0]
print(f"largest difference: {np.abs(yours - its).max():.0e}")

# %% [markdown]
# ## 3. Training
#
# `training.ConditionalGAN` is lesson 02's step with a label in each place: real images come with theirs, and the
# generator is asked for the same ones. The recipe is lesson 02's, too.

# %%
def new_gan(latent_dim=LATENT_DIM, **options):
    runtime.set_seed(0)
    gan = training.ConditionalGAN(
        models.conditional_generator(latent_dim, CLASSES, SHAPE, **options),
        models.conditional_discriminator(SHAPE, CLASSES, condition="projection"),
        latent_dim, classes=CLASSES,
    )
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(
            RATE, beta_1=0.5, beta_2=0.99, use_ema=True, ema_momentum=0.99),
        discriminator_optimizer=keras.optimizers.Adam(RATE, beta_1=0.5, beta_2=0.99),
        steps_per_execution=5,  # so many steps at a time: less work between them
    )
    return gan


def learn(gan, images, callbacks=()):
    batches = images.batches(BATCH_SIZE).repeat()
    gan.fit(batches, epochs=EPOCHS, steps_per_epoch=STEPS, verbose=0, callbacks=list(callbacks))


# %% tags=["picture-training"]
gan = new_gan(condition="batch_norm")
resume = callbacks.Resume(runtime.checkpoints("07"), strict=False)
learn(gan, train, [callbacks.SampleGrid(), resume])
seconds = resume.train_seconds

# %% [markdown]
# *Ten columns, one for each class; each image has a latent vector of its own.* If you ran it, you saw the columns
# settle early. In lesson 02's film a digit may turn into another one as training goes on; here that would be a
# mistake, and the discriminator sees it. Now ask:

# %%
plots.image_grid(gan.generate(20, labels=7), f"asked for twenty of the class {NAMES[7]}", 20);

# %% [markdown]
# *A row of sevens, each with a slant and strokes of its own, some better written than others.*
#
# ## 4. Is it what was asked for?
#
# Good-looking sevens are not enough. Let the classifier of lesson 06 read generated images, equally many of each
# class, and count.
#
# ### Exercise 7.3: count what was asked for
#
# **Write it.** `probabilities` has the shape (N, classes): what the classifier thinks of each image. `labels` (N,)
# are those that were asked for. Return for each class $k$ which share of the images that were asked for as $k$ is
# read as $k$.

# %% exercise="7.3"
def my_asked_for(probabilities, labels, classes):
    # BEGIN SOLUTION
    right = probabilities.argmax(axis=1) == labels
    return np.array([right[labels == k].mean() for k in range(classes)])
    # STUB
    # right = ...
    # return np.array([... for k in range(classes)])
    # END SOLUTION

# %% tags=["nbval-check-output"]
asked_for = exercises.answer("7.3", my_asked_for)

# %% [markdown]
# The classifier errs, too, so the same count of real test images stands beside it. And a share is not the whole
# story: a generator that makes one perfect seven again and again has 100%. So measure the Fréchet distance of lesson
# 06 as well, of all images together, and *within* each class, between its images and real ones of that class.

# %%
classify = metrics.get_features(digits.name).probabilities
fid = metrics.FrechetDistance(held_out.images, digits.name)
within = [metrics.FrechetDistance(held_out.images[held_out.labels == k], digits.name)
          for k in runtime.progress(range(CLASSES), "real images")]


def judge(images, labels):
    shares = asked_for(classify(images), labels, CLASSES)
    distances = [float(within[k](images[labels == k]))
                 for k in runtime.progress(range(CLASSES), "distances")]
    return {"asked": shares, "fid": float(fid(images)), "within": np.array(distances)}


labels = np.arange(COUNT) % CLASSES
mine = judge(gan.generate(labels=labels, seed=1), labels)
real = judge(test.images[:COUNT], test.labels[:COUNT])

# %%
print(f"{'':13}{'read as asked for':>19}{'of real ones':>14}{'distance within':>17}{'real ones':>11}")
for k, name in enumerate(NAMES):
    print(f"{name:13}{mine['asked'][k]:19.1%}{real['asked'][k]:14.1%}"
          f"{mine['within'][k]:17.1f}{real['within'][k]:11.1f}")
print(f"{'mean':13}{mine['asked'].mean():19.1%}{real['asked'].mean():14.1%}"
      f"{mine['within'].mean():17.1f}{real['within'].mean():11.1f}")
print(f"{'worst':13}{mine['asked'].min():19.1%}{real['asked'].min():14.1%}"
      f"{mine['within'].max():17.1f}{real['within'].max():11.1f}")
print(f"{'all together':46}{mine['fid']:17.1f}{real['fid']:11.1f}")

# %% [markdown]
# On average the digits are read about as well as real ones are: {{asked:.1%}} and {{real_asked:.1%}}; fours and
# fives are most clearly read less well. Some classes are even read better, and that need be no merit: real digits
# have odd ones among them, which are hard to read, and which the generator may leave out. That is why the distances
# are there. They show that there is still some way to go: {{fid:.1f}} for all together, where as many new real
# images have {{real_fid:.1f}}, and {{within:.1f}} within the classes, where real ones have {{real_within:.1f}}.
# (Distances within a class are larger for real images, too: they are of a tenth of the images, and small samples
# find larger distances, as in lesson 06.)
#
# ## 5. Shuffled labels
#
# Suppose the data set came with its labels shuffled: the images are right, and each has the label of another one.
#
# **Prediction 7.a.** Train the same GAN on it. What will come out?
#
# - a: bad images, far from real ones, and a smaller share of digits as asked for
# - b: images as good as before, and nearly all as asked for
# - c: digits that can be read, as without labels, and one in ten as asked for

# %%
# BEGIN SOLUTION
prediction = "c"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %%
mixed_up = data.Images(
    train.images, np.random.default_rng(0).permutation(train.labels), train.name, NAMES)
deaf = new_gan(condition="batch_norm")
learn(deaf, mixed_up, [callbacks.Progress("shuffled labels")])
shuffled = judge(deaf.generate(labels=labels, seed=1), labels)
for name, found in (("labels", mine), ("shuffled", shuffled)):
    print(f"{name:10}as asked for {found['asked'].mean():6.1%}   distance {found['fid']:5.1f}   "
          f"within classes {found['within'].mean():6.1f}")
exercises.check("7.a", prediction)

# %% tags=["picture-shuffled"]
def style_and_label(gan, rows=3, seed=0):
    """Images of all classes, (rows * CLASSES, ...): each row has a latent vector of its own."""
    latents = np.random.default_rng(seed).normal(size=(rows, gan.latent_dim))
    every = np.tile(np.arange(CLASSES), rows)
    return gan.generate(latents=np.repeat(latents, CLASSES, axis=0), labels=every)


_, axes = plt.subplots(1, 2, figsize=(10, 2), layout="constrained")
plots.image_grid(style_and_label(gan), "labels", CLASSES, axes[0])
plots.image_grid(style_and_label(deaf), "shuffled labels", CLASSES, axes[1]);

# %% [markdown]
# *Three latent vectors, one a row; the label goes from 0 to 9 along the row. On the right it changes hardly
# anything.*
#
# Shuffled labels say nothing about the image, so the discriminator has nothing to learn from them, and the
# generator no reason to listen. What is left is a GAN without labels: its distance is {{shuffled_fid:.1f}}, and
# GANs without labels reach {{study_no_label:.1f}} in about the same time (section 8; why this one is behind them
# was not tried). Anyone who looks only at that number, or at a page of digits, sees a GAN that is somewhat worse,
# and not what is wrong. Three things show it:
#
# - count what was asked for: {{shuffled_asked:.1%}}, what chance gives,
# - the distance *within* the classes: {{shuffled_within:.0f}} in place of {{within:.1f}},
# - and, without any classifier, change nothing but the label and see whether the image changes:

# %%
change_by_label = {}
for name, trained in (("labels", gan), ("shuffled", deaf)):
    pixels = style_and_label(trained, rows=50).reshape(50, CLASSES, -1)  # style, label, pixel
    change_by_label[name] = pixels.std(axis=1).mean()
    print(f"{name:10}pixels, from -1 to 1, change by {change_by_label[name]:.2f} with the label, "
          f"by {pixels.std(axis=0).mean():.2f} with the style")

# %% [markdown]
# (Shuffled, the style changes more than with labels: it also has to choose the digit.)
#
# Labels that are ignored are found in practice, too: when labels come in the wrong order, say, or when only the
# generator gets them.
#
# ## 6. Style and label
#
# What does the latent vector do, if the label names the digit? All the rest. Keep it along a row, and let the label
# go from 0 to 9:

# %% tags=["picture-outcome"]
plots.image_grid(style_and_label(gan, rows=6, seed=3), columns=CLASSES, scale=3);

# %% [markdown]
# *Ten columns, the digits from 0 to 9, and six rows, one latent vector each: the digits of a row mostly share
# their slant, most plainly where it is strong.*
#
# Nobody told the network what slant is. But it has one set of weights for all ten digits, and a latent number that
# slants a 1 is put to use for a 7 as well. Such sharing is found, not promised: look for rows where it fails.
#
# The other way round: keep the label, and walk from one latent vector to another. And something that no training
# image shows: a label in between. The label comes in as a one-hot vector, and all BatchNorms take their scales and
# shifts from it: a matrix times that vector picks those of the class. So half of one label and half of another
# mixes the scales and shifts of both. The model below takes the one-hot vector itself, or a mixture of two, in
# place of the label: it is the second input of each `ConditionalBatchNormalization`.

# %%
kind = models.ConditionalBatchNormalization
norm = next(layer for layer in gan.generator.layers if isinstance(layer, kind))
soft = keras.Model([gan.generator.inputs[0], norm.input[1]], gan.generator.output)


def between(latents, one, other, steps=10):
    """Images from one label to the other, all with the same latent vector."""
    mix = np.linspace(0, 1, steps)[:, None]
    one_hot = (1 - mix) * np.eye(CLASSES)[one] + mix * np.eye(CLASSES)[other]
    with gan.averaged_weights():  # as `generate` does
        return soft([np.repeat(latents[None], steps, axis=0), one_hot], training=False).numpy()


# %% tags=["picture-between"]
pairs = [(1, 7), (3, 8), (4, 9), (0, 6)]
upright, slanted = np.random.default_rng(3).normal(size=(6, LATENT_DIM))[[0, 5]]  # two rows above
walk = gan.generate(latents=plots.interpolation(upright, slanted), labels=2)
halves = [between(upright, *pair) for pair in pairs]
plots.image_grid(np.concatenate([walk, *halves]), "label 2, another style; then labels between", 10);

# %% [markdown]
# *First row: one label, two styles of the picture above and the straight way between them. Other rows: one style, and
# the label goes from 1 to 7, from 3 to 8, from 4 to 9, from 0 to 6.*
#
# In the first row, style changes and the digit stays. In the others it is the digit that changes, and somewhere in
# the middle it may be neither one nor the other: nobody ever asked for half a label in training, and no discriminator
# has judged such images. That they look like strokes at all comes from the network.
#
# ## 7. The truncation trick
#
# What a trained generator draws depends also on how its latent vectors are drawn. Brock et al. (2019) changed that
# for *BigGAN*, which draws photos: they trained it with latent vectors from a normal distribution, and when they
# generated images, they drew again every number that was farther from 0 than a threshold.
#
# **Prediction 7.b.** What did that do to their images?
#
# - a: they became more varied, and some of them worse
# - b: they became more typical, and less varied
# - c: both better: fewer odd ones, and the same variety

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% [markdown]
# ### Exercise 7.4: the truncation trick
#
# **Write it.** Return an array of the given shape: draws from a standard normal distribution, `rng.normal(size=...)`,
# where every number that is above `threshold` in absolute value is drawn again, until none is.

# %% exercise="7.4"
def my_truncated(rng, shape, threshold):
    draws = rng.normal(size=shape)
    # BEGIN SOLUTION
    while (outside := np.abs(draws) > threshold).any():
        draws[outside] = rng.normal(size=outside.sum())
    # STUB
    # ...
    # END SOLUTION
    return draws

# %% tags=["nbval-check-output"]
truncated = exercises.answer("7.4", my_truncated)

# %% [markdown]
# Lesson 06 has two numbers for what should be traded here: *precision*, the share of generated images that lie among
# the real ones, and *recall*, the share of real ones that lie among the generated. Try it on our GAN:

# %%
FEW = min(COUNT, 2_000)


def score(images):
    found = metrics.precision_recall(test.images[:FEW], images, features=digits.name)
    return {"precision": float(found.precision), "recall": float(found.recall),
            "fid": float(fid(images)), "images": images}


def draw_with(threshold, trained):
    """Images of truncated latent vectors, and their scores."""
    latents = truncated(np.random.default_rng(2), (FEW, trained.latent_dim), threshold)
    images = trained.generate(latents=latents, labels=labels[:FEW])
    return {"threshold": threshold, **score(images)}


def show(name, found):
    print(f"{name:28}precision {found['precision']:.3f}   recall {found['recall']:.3f}   "
          f"distance {found['fid']:5.1f}")


# %%
normalized = [draw_with(threshold, gan)
              for threshold in runtime.progress((4.0, 1.5, 1.0, 0.5), "thresholds")]
for found in normalized:  # of 16,000 numbers one is above 4: that is as good as no threshold
    show(f"threshold {found['threshold']}", found)

# %%
some = np.concatenate([found["images"][:20] for found in normalized])
plots.image_grid(some, "thresholds 4, 1.5, 1 and 0.5", 20);

# %% [markdown]
# *Four rows of the digits from 0 to 9, twice. At the top nearly all strokes are whole; further down more and more of
# them have gaps, and in the lowest row some digits are all but gone.*
#
# **Both fall, and the images fall apart.** That is not what Brock et al. saw. (The distance without a threshold is a
# little larger than in section 4: 2,000 images find larger distances than 10,000.)
#
# Why here? Each layer of our generator but the last ends with BatchNorm. In use, that subtracts means and divides
# by standard deviations that were averaged *in training*. Shorter latent vectors give outputs that vary less, and
# these statistics no longer fit. So let it compute new ones, from the short vectors ("new numbers" below). With
# `training=True` BatchNorm takes the means and deviations of the batch, here of all 2,000 images (and writes them
# down, so we use a copy):

# %%
def with_new_numbers(trained, condition, threshold=0.5):
    """As `draw_with`, but with BatchNorm's means and deviations of these very images."""
    twin = models.conditional_generator(LATENT_DIM, CLASSES, SHAPE, condition=condition)
    with trained.averaged_weights():
        twin.set_weights(trained.generator.get_weights())
    latents = truncated(np.random.default_rng(2), (FEW, LATENT_DIM), threshold)
    return score(twin([latents, labels[:FEW]], training=True).numpy())


renewed = with_new_numbers(gan, "batch_norm")
show("threshold 0.5, new numbers", renewed)

# %% [markdown]
# The scores are back, and next to nothing is traded: all is nearly as if there were no threshold. That is BatchNorm
# again. The first layer of `gan` has no bias (the label comes in later, with BatchNorm), so vectors half as long
# give outputs half as large, and BatchNorm, with the deviation of that batch, divides the half out. All other
# layers get what they always get.
#
# A short latent vector can only mean something to the first layer if there is something else that does not shrink.
# In this generator, the label stands beside the latent vector, one-hot as in section 1; all else is as before:

# %%
steady = new_gan(condition="concatenate")
learn(steady, train, [callbacks.Progress("one-hot labels")])
everything = draw_with(4.0, steady)
curve = [draw_with(threshold, steady)
         for threshold in runtime.progress((0.5, 0.75, 1.0), "thresholds")] + [everything]

# %% tags=["picture-truncation"]
lines = (("one-hot labels", curve, "o-", plots.COLORS["fake"]),
         ("labels in BatchNorm", normalized, "s--", "gray"))
_, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
for name, line, style, color in lines:
    recall, precision, distance, thresholds = (
        [found[key] for found in line] for key in ("recall", "precision", "fid", "threshold"))
    left.plot(recall, precision, style, color=color, label=name)
    right.plot(thresholds, distance, style, color=color)
    for x, y, threshold in zip(recall, precision, thresholds, strict=True):
        left.annotate(f"{threshold:g}", (x, y), (5, -14), textcoords="offset points", color=color)
left.set(xlabel="recall", ylabel="precision", title="Each point with its threshold")
left.legend()
right.set(xlabel="threshold", title="Fréchet distance", ylim=0);

# %%
fours = np.flatnonzero(labels[:FEW] == 4)[:20]
some = np.concatenate([found["images"][fours] for found in (curve[0], curve[2], everything)])
plots.image_grid(some, f"class {NAMES[4]}, one-hot labels: thresholds 0.5, 1 and 4", len(fours))
exercises.check("7.b", prediction)

# %% [markdown]
# *Left: with one-hot labels, precision rises as the threshold goes down to 0.75, and recall falls; with labels in
# BatchNorm, both fall. Right: both distances grow as the threshold goes down; at 1 the one with labels in BatchNorm
# is still the lower one, at 0.5 it is far higher. Below: the lower the threshold, the more alike are the images.*
#
# This is the trade. Without a threshold, precision is {{precision_of_all:.2f}} and recall {{recall_of_all:.2f}}; with
# one of 1 they are {{precision_at_1:.2f}} and {{recall_at_1:.2f}}; with one of 0.5 precision is
# {{precision_at_half:.2f}}, and recall {{recall_at_half:.2f}}. The Fréchet distance grows from {{fid_of_all:.1f}} to
# {{fid_at_half:.0f}} meanwhile: it wants the spread of real images. Which point is the best depends on what the
# images are for.
#
# Why does it work here? Each output of the first layer is $z W + V_y$. A low threshold shrinks the first part and
# leaves the second one:

# %%
with steady.averaged_weights():
    first = next(each for each in steady.generator.layers if isinstance(each, keras.layers.Dense))
    W, V = np.split(first.kernel.numpy(), [LATENT_DIM])
of_label, of_style = V.var(axis=0), np.sum(W**2, axis=0)
shares, left_over = {}, {}
for threshold in (4.0, 1.0, 0.5):
    spread = truncated(np.random.default_rng(0), (10_000,), threshold).var()
    total = of_label + spread * of_style
    shares[threshold] = np.mean(of_label / total)
    left_over[threshold] = np.mean(np.sqrt(total / (of_label + of_style)))
    print(f"threshold {threshold}: {shares[threshold]:4.0%} of the variance is the label's, the "
          f"deviation is {left_over[threshold]:.2f} times that in training (`gan`: {spread**0.5:.2f})")

# %%
steady_renewed = with_new_numbers(steady, "concatenate")
show("threshold 0.5, new numbers", steady_renewed)

# %% [markdown]
# Without a threshold, most of what the outputs vary by is style; with one of 0.5, {{share_at_half:.0%}} is the
# label. The other layers see what to draw, and less of how. New statistics for BatchNorm cannot undo that, as the
# last line shows: they divide both parts alike. In `gan`, where the first layer gets the latent vector and nothing
# else, dividing brings everything back. (Its classes have shifts of their own, too, but these come after the
# division.) And the statistics of the training fit better here, since the deviation falls less than in `gan` (the
# last number of each line). That may be why these images stay whole.
#
# (BigGAN has labels in BatchNorm, whose statistics are computed anew for each threshold. But parts of its latent
# vector stand beside the label there, and also set scales and shifts, after the division:
# `condition="hierarchical"`. Brock et al. report that, even so, many of their networks could not be truncated, and
# add a penalty against that, *orthogonal regularization*.)
#
# ### Exercise 7.5: how much truncation
#
# You want cleaner digits, but not the same ones again and again. **Find a threshold** for `steady` with a precision
# at least 3 percentage points above that without one, and at least half as much recall as without one.

# %% exercise="7.5"
# BEGIN SOLUTION
chosen = draw_with(1.5, steady)
# STUB
# chosen = ...  # draw_with(..., steady)
# END SOLUTION

# %% tags=["nbval-skip"]
show("without a threshold", everything)
exercises.check("7.5", (everything, chosen))

# %% [markdown]
# ## 8. Which way in?
#
# The GAN above had its label in BatchNorm and in a projection. A stored study, `benchmarks/conditional.py`, has the
# other ways, with lesson 02's networks: each tried its settings for half a minute with one seed, and ran with the
# best for one minute, with five new ones. (Time is counted in steps: as many as two otherwise idle cores make in that
# time.) A row names the generator's way in, then the discriminator's; one word is both. (Concatenation: one-hot
# vectors in the generator, and ten more channels, one for each class, in the discriminator. An embedding gives the
# discriminator a trained picture for each class as one more channel. With the auxiliary classifier the generator has
# one-hot vectors.) The last three rows begin with BatchNorm and projection, and each adds to the one above what
# BigGAN has, at this scale: the hinge
# loss and spectral normalization of both networks, in the discriminator instead of BatchNorm; then hierarchical
# latents, a part of the latent vector beside the label in each normalization; then orthogonal regularization.

# %%
study = [row for row in data.stored_results("conditional") if row["seed"] in range(5)]
ways = dict.fromkeys(row["method"] for row in study)


def in_study(way, key):
    return np.array([row[key] for row in study if row["method"] == way], float)


def with_error(values, form=".1f"):
    if np.isnan(values).any():  # without labels there is nothing to ask for
        return "-"
    return f"{values.mean():{form}} ± {values.std(ddof=1) / len(values) ** 0.5:{form}}"


print(f"{'':36}{'asked for, %':>14}{'worst digit':>13}{'distance':>14}{'within':>13}{'steps':>7}")
for way in ways:
    print(f"{way:36}{with_error(100 * in_study(way, 'asked_for')):>14}"
          f"{with_error(100 * in_study(way, 'worst_class')):>13}"
          f"{with_error(in_study(way, 'fid'), '.2f'):>14}{with_error(in_study(way, 'within')):>13}"
          f"{in_study(way, 'steps')[0]:7,.0f}")

# %% [markdown]
# *After a minute of training: the share of digits as asked for, of all and of the worst digit, and Fréchet distances,
# of all together and within digits. Means and standard errors of five seeds; "no label" is lesson 02's GAN, at its
# best rate here.*
#
# - **All of them listen.** With the same discriminator, more is as asked for if the label is in every BatchNorm: with
#   a projection {{asked_norm_projection:.1%}} instead of {{asked_projection:.1%}}, with concatenation
#   {{asked_norm_concatenation:.1%}} instead of {{asked_concatenation:.1%}}.
# - **A projection draws better than concatenation**, with either generator: a distance of {{study_projection:.2f}}
#   instead of {{study_concatenation:.2f}} where the generator has one-hot vectors, {{study_norm_projection:.2f}}
#   instead of {{study_norm_concatenation:.2f}} where it has BatchNorm.
# - **Labels can make better images.** The GAN without labels has a distance of {{study_no_label:.2f}} after the same
#   time, and one-hot vectors with a projection have {{study_best_fid:.2f}}. But concatenation gains nothing, and our
#   `gan`'s networks no more than chance could: they are among those that obey best, and others draw better.
# - **The auxiliary classifier** does very well on both counts: {{asked_auxiliary:.1%}}, at a distance of
#   {{study_auxiliary:.2f}}. It is another idea: the discriminator does not see the label, but learns to tell the
#   class, and the generator is paid for images whose class is told. That rewards clear images, and for many classes
#   it costs variety (Gong et al. 2019). Ten digits do not show it.
# - **BigGAN's parts do not pay in a minute.** Hinge loss and spectral norms: {{study_hinge:.2f}}; hierarchical
#   latents: {{study_hierarchical:.2f}}; with orthogonal regularization, whose steps take twice as long:
#   {{study_orthogonal:.2f}}. They were made for large networks, large images and days of training.
#
# ## 9. What is it good for? Rare classes
#
# A classifier learns little about classes of which it has few images. Can a GAN that has learned from the same images
# draw what is missing? The stored study `benchmarks/rare_classes.py` keeps 1,000 of MNIST's images of each digit, and
# of three digits only 30. A GAN like `gan` learns from these alone, and draws as many images of the rare digits as
# are missing. Then classifiers learn, for equally many steps,
#
# - from the images as they are (*nothing*),
# - with the rare ones *repeated*, until there are as many of each digit,
# - refilled by the *GAN*, or by a GAN that learned from repeated images (*GAN, repeated*),
# - or from 1,000 real images of each digit (*enough*): more is not to be had.
#
# Each of them also learns from images that are shifted and turned a little in every batch, which is the usual way to
# make much of few images. The test set judges; each of the five seeds has different rare digits.

# %%
rare_study = data.stored_results("rare_classes")


def accuracy(way, moved, of="rare"):
    found = [row[of] for row in rare_study if (row["way"], row["moved"]) == (way, moved)]
    return 100 * np.array(found)


print(f"{'':18}{'images moved':>13}{'rare digits, %':>16}{'others, %':>14}")
for moved in (False, True):
    for way in ("nothing", "repeated", "GAN", "GAN, repeated", "enough"):
        print(f"{way:18}{'yes' if moved else 'no':>13}{with_error(accuracy(way, moved)):>16}"
              f"{with_error(accuracy(way, moved, 'others')):>14}")

# %% [markdown]
# *Accuracy on test images of the three rare digits, and of the seven others: means and standard errors of five
# seeds.*
#
# - **Refilled by a GAN that learned from the images as they are, the set gains nothing**: {{rare_gan:.1f}}% of the
#   rare digits are read right, and {{rare_nothing:.1f}}% without it. If all images are moved, it does harm:
#   {{rare_gan_moved:.1f}}% instead of {{rare_nothing_moved:.1f}}%. The other digits lose a little either way. That
#   GAN has met each rare digit in about one of 240 images.
# - **Repeating the rare images gains more**, and costs nothing: {{rare_repeated:.1f}}%. Moving alone gains nothing,
#   but repeated images that are moved are not the same ones again: {{rare_repeated_moved:.1f}}%.
# - **Refilled by a GAN that learned from repeated images**, the set is about as good as with the repeated images
#   themselves, {{rare_both:.1f}}%. If all images are moved, it is behind them: {{rare_both_moved:.1f}}%.
# - Nothing comes near 1,000 real images: {{rare_enough:.1f}}%.
#
# What a GAN knows of a rare digit, it knows from the same 30 images. It can lend them slants and strokes of other
# digits, but it makes mistakes, too. So before you refill a data set with generated images, try to repeat and move
# the real ones, with several seeds.
#
# ## 10. At your fingertips
#
# Choose a digit, another one to mix in, how much of it, and a style. (The sliders need a running kernel; without one
# you see the first picture.)

# %% tags=["picture-panel"]
STYLES = np.random.default_rng(0).normal(size=(20, LATENT_DIM))


def draw(digit, toward, mix, style):
    return plots.tile(between(STYLES[style], digit, toward, steps=11)[[round(10 * mix)]])


plots.Panel(
    draw, start={"digit": 3, "toward": 8, "mix": 0.5}, digit=range(CLASSES),
    toward=range(CLASSES), mix=[round(0.1 * i, 1) for i in range(11)], style=range(20))

# %% [markdown]
# *One white digit in coarse pixels, halfway between the labels 3 and 8.*
#
# Nothing in `gan_course` knows that these are digits. With `DATASET = "fashion_mnist"` at the top the same GAN draws
# clothes by name: ask for ten bags, put one style through all classes, and look in the table of section 4 which class
# is read wrongly most often.
#
# ## What you should have seen

# %%
trained_live = {
    "asked": (mine["asked"].mean(), 0.97, 1.0),
    "worst class": (mine["asked"].min(), 0.93, 1.0),
    "real_asked": (real["asked"].mean(), 0.99, 1.0),
    "fid": (mine["fid"], 0.5, 2.5),
    "real_fid": (real["fid"], 0.1, 0.6),
    "within": (mine["within"].mean(), 2.5, 6.5),
    "real_within": (real["within"].mean(), 0.6, 1.6),
    "seconds": (seconds, 20, 300),
    "shuffled_asked": (shuffled["asked"].mean(), 0.07, 0.13),
    "shuffled_fid": (shuffled["fid"], 1.2, 4.5),
    "shuffled_within": (shuffled["within"].mean(), 50, 120),
    "change_by_label": (change_by_label["labels"], 0.2, 0.4),
    "change_by_label_shuffled": (change_by_label["shuffled"], 0.0, 0.1),
}

# %%
truncation = {
    "labels in BatchNorm, precision lost": (
        normalized[0]["precision"] - normalized[-1]["precision"], 0.1, 0.8),
    "with new numbers, distance": (renewed["fid"], 0.5, 3),
    "precision_of_all": (everything["precision"], 0.77, 0.89),
    "recall_of_all": (everything["recall"], 0.65, 0.85),
    "precision_at_1": (curve[2]["precision"], 0.90, 1.0),
    "recall_at_1": (curve[2]["recall"], 0.2, 0.5),
    "precision_at_half": (curve[0]["precision"], 0.90, 1.0),
    "recall_at_half": (curve[0]["recall"], 0.0, 0.1),
    "fid_of_all": (everything["fid"], 0.7, 3),
    "fid_at_half": (curve[0]["fid"], 8, 40),
    "label's share of the variance, no threshold": (shares[4.0], 0.05, 0.3),
    "share_at_half": (shares[0.5], 0.5, 0.9),
    "one-hot labels, new numbers, precision": (steady_renewed["precision"], 0.9, 1.0),
}

# %%
by_way = {way: in_study(way, "fid").mean() for way in ways}
asked_by_way = {way: in_study(way, "asked_for").mean() for way in ways}
no_label = by_way["no label"]
stored = {
    "study_no_label": (no_label, 1, 2),
    "study_best_fid": (min(by_way.values()), 0.5, no_label - 0.2),
    "study_concatenation": (by_way["concatenation"], 1, 1.6),
    "study_projection": (
        by_way["concatenation and projection"], 0.7, by_way["concatenation"] - 0.1),
    "study_norm_concatenation": (by_way["BatchNorm and concatenation"], 1.2, 2),
    "study_norm_projection": (
        by_way["BatchNorm and projection"], 0.9, by_way["BatchNorm and concatenation"] - 0.1),
    "study_auxiliary": (by_way["auxiliary classifier"], 0.7, 1.1),
    "study_hinge": (by_way["the same, hinge and spectral norms"], 1.4, 2.5),
    "study_hierarchical": (by_way["the same, hierarchical latents"], 1.4, 2.5),
    "study_orthogonal": (by_way["the same, orthogonal regularization"], 2.5, 4.5),
}

# %%
stored |= {
    "rare_nothing": (accuracy("nothing", False).mean(), 80, 92),
    "rare_nothing_moved": (accuracy("nothing", True).mean(), 80, 92),
    "rare_gan": (accuracy("GAN", False).mean(), 80, 91),
    "rare_gan_moved": (accuracy("GAN", True).mean(), 70, 87),
    "rare_repeated": (accuracy("repeated", False).mean(), 89, 95),
    "rare_repeated_moved": (accuracy("repeated", True).mean(), 94, 98),
    "rare_both": (accuracy("GAN, repeated", False).mean(), 89, 95),
    "rare_both_moved": (accuracy("GAN, repeated", True).mean(), 90, 95),
    "rare_enough": (accuracy("enough", True).mean(), 98, 100),
    "asked_concatenation": (asked_by_way["concatenation"], 0.95, 0.985),
    "asked_projection": (asked_by_way["concatenation and projection"], 0.95, 0.985),
    "asked_norm_concatenation": (asked_by_way["BatchNorm and concatenation"], 0.97, 0.99),
    "asked_norm_projection": (asked_by_way["BatchNorm and projection"], 0.985, 0.998),
    "asked_auxiliary": (asked_by_way["auxiliary classifier"], 0.98, 0.998),
}

# %%
exercises.compare_results(
    {**trained_live, **truncation, **stored}, comparable=digits.name == "mnist")

# %% [markdown]
# ## Going further
#
# - Give the generator its label and the discriminator none: `new_gan` with lesson 02's discriminator does not fit, so
#   write one that takes a label and ignores it. What do the three signs of section 5 say?
# - Spoil only one label in four. How many digits come out as asked for?
# - Take the average of all ten one-hot vectors as a label. What does the generator draw?
# - `DATASET = "fashion_mnist"`: which class is worst, and is it the classifier's fault? Compare with the real images'
#   column.
# - Truncate the latent vectors of a generator with 16 numbers, `new_gan(latent_dim=16, condition="concatenate")`. Is
#   the trade-off different?
#
# ## Sources
#
# - M. Mirza, S. Osindero, *Conditional Generative Adversarial Nets*, 2014,
#   [arXiv:1411.1784](https://arxiv.org/abs/1411.1784): labels for both networks.
# - A. Odena, C. Olah, J. Shlens, *Conditional Image Synthesis with Auxiliary Classifier GANs*, 2017,
#   [arXiv:1610.09585](https://arxiv.org/abs/1610.09585).
# - H. de Vries, F. Strub, J. Mary, H. Larochelle, O. Pietquin, A. Courville, *Modulating early visual processing by
#   language*, 2017, [arXiv:1707.00683](https://arxiv.org/abs/1707.00683): conditional BatchNorm.
# - T. Miyato, M. Koyama, *cGANs with Projection Discriminator*, 2018,
#   [arXiv:1802.05637](https://arxiv.org/abs/1802.05637).
# - A. Brock, J. Donahue, K. Simonyan, *Large Scale GAN Training for High Fidelity Natural Image Synthesis*, 2019,
#   [arXiv:1809.11096](https://arxiv.org/abs/1809.11096): BigGAN; truncation, hierarchical latents, orthogonal
#   regularization.
# - M. Gong, Y. Xu, C. Li, K. Zhang, K. Batmanghelich, *Twin Auxiliary Classifiers GAN*, 2019,
#   [arXiv:1907.02690](https://arxiv.org/abs/1907.02690): how auxiliary classifiers cost variety.
# - T. Kynkäänniemi, T. Karras, S. Laine, J. Lehtinen, T. Aila, *Improved Precision and Recall Metric for Assessing
#   Generative Models*, 2019, [arXiv:1904.06991](https://arxiv.org/abs/1904.06991).

# %%
exercises.progress(7)
