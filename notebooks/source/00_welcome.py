# ---
# jupyter:
#   gan_course:
#     title: Welcome
#     outcome: know your machine, predict and run, answer an exercise
#     result: "one exercise to warm up"
# ---

# %% [markdown]
# # 00 Welcome
#
# This course teaches generative adversarial networks by training them: on your own machine, on
# real data, in minutes, and with a number for everything it claims.
#
# After this lesson you can
#
# - see what your machine offers,
# - predict, run and look, which is how every lesson goes,
# - answer an exercise and read the box that comes back.
#
# You need some Python and one Keras classifier that you have trained before. **Time: one minute.**

# %% [markdown]
# ## The set-up cell
#
# Each notebook begins with this cell. It finds the folder of the course above the notebook and
# puts it on Python's path; then `gan_course`, the package behind the lessons, can be imported, and
# with it TensorFlow. Click into the cell and press Shift+Enter to run it; it takes some seconds.

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
from gan_course import data, exercises, plots

plots.use_style()
print(runtime.describe())

# %% [markdown]
# That line tells what this notebook runs on. The course is made for a CPU with two cores; a GPU
# is used if TensorFlow sees one. `doctor()` prints the full report: a line that begins with `!!` says
# what is missing and how to fix it. `make doctor` prints the same in a terminal.

# %%
print(runtime.doctor())

# %% [markdown]
# ## The data
#
# Most lessons use MNIST, 60,000 pictures of handwritten digits, which TensorFlow Datasets
# downloads the first time. Without a network you get the *embedded digits* instead, 1,797 smaller
# ones that come with scikit-learn: everything still runs, and a notice tells you.

# %%
digits = data.load("mnist", fallback="digits")
print(f"{digits.name}: {len(digits):,} images of shape {digits.images.shape[1:]}")

# %%
plots.image_grid(digits.images[:40], f"real images: {digits.name}", columns=10);

# %% [markdown]
# *Forty handwritten digits, white on black, in four rows.*
#
# ## Predict, run, look
#
# Before a result appears, a lesson asks what you expect. A prediction cannot be wrong in a way
# that costs anything; having made one is what makes the result stick. Replace the `...` with a
# letter, or leave it, and run the cell.
#
# **Prediction 0.a.** Images are stored as numbers. In this course the black background of a
# digit is the number
#
# - a: 0
# - b: −1
# - c: 255

# %%
# BEGIN SOLUTION
prediction = "b"
# STUB
# prediction = ...  # "a", "b" or "c"
# END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("0.a", prediction)

# %% [markdown]
# Now look:

# %% tags=["nbval-check-output"]
print(f"from {digits.images.min():g} to {digits.images.max():g}, as {digits.images.dtype}")

# %% [markdown]
# ## Exercise 0.1: your first
#
# Pixels are stored as whole numbers from 0 (black) to 255 (white). A generator ends with a
# $\tanh$, whose values lie between −1 and 1, so real images must be brought to the same range.
# **Write the line that takes 0 to −1 and 255 to 1.** Then run both cells.

# %% exercise="0.1"
def to_unit_range(pixels):
    # BEGIN SOLUTION
    return pixels / 127.5 - 1
    # STUB
    # return ...
    # END SOLUTION

# %% tags=["nbval-check-output"]
exercises.check("0.1", to_unit_range)

# %% [markdown]
# The box answers in one of three ways:
#
# - *not done yet*: there is still a `...`;
# - *not yet*: what was expected, what came, and the likely mistake; further hints open on a click;
# - *right*: however you wrote it.
#
# Try a wrong answer once, for example `return pixels / 255`, and read what comes back. Nothing
# breaks, and a lesson never stops: where it needs your answer and has none, it goes on with its
# own and says so. Code that runs for more than 20 seconds in a check is stopped, unless it is inside
# one long call of TensorFlow or NumPy; then use the stop button. Solved notebooks are in
# `notebooks/solutions`, unless your teacher left them out.
#
# ## How far you are

# %%
exercises.progress()

# %% [markdown]
# `make progress` prints this in a terminal. `make reset EXERCISE=0.1` puts an exercise back as it
# was, `make reset LESSON=01` a whole lesson; your version is kept in `workbook/backup`. On Windows, without
# `make`, type `.venv\Scripts\python -m gan_course progress` or `.venv\Scripts\python -m gan_course reset 0.1`.
#
# Go on with [lesson 01](01_vanilla_gan.ipynb): two small networks, one game, and digits that
# nobody wrote.
