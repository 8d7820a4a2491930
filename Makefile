# The course's commands. `make` lists them. Settings:
#   PYTHON=/path/to/python   the Python to begin with, if that is not the first one found
#   TF=auto|plain|cpu|cuda   the TensorFlow to install: tensorflow, tensorflow-cpu (a smaller wheel),
#                            tensorflow[and-cuda]; auto: as before, else cuda if Linux has an
#                            NVIDIA GPU, else plain
#   LESSON=01 EXERCISE=1.2   what to run or to reset
#   SET="STEPS=500"          other settings for `make run`; a text in quotes: SET="DATASET='digits'"
#   BENCH=metrics_speed      the benchmark to run
#   JOBS=2                   tests in so many processes at once: faster, but 4 GB of memory for each
#   CHROMIUM=/path/to/it     the browser for browser-test, if that is not the first one found
#   LAB="--no-browser"       further options for JupyterLab
#   FOLDER=... CSV=...       where students' notebooks are or go, and their grades
#   REPO=owner/name          where on GitHub the course is, or the students' folder;
#   BRANCH=main              and its branch
# Written for GNU make 3.81 (the one of macOS) and newer, and for any POSIX shell.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: FORCE help lab test test-colab browser-test fuzz notebooks run-notebooks run bench check lint doctor progress reset update publish unpublish student grade lock clean

ifeq ($(OS),Windows_NT)
$(error This Makefile is for Linux, macOS and WSL; README.md has the lines for Windows)
endif

TF ?= auto
ifeq ($(filter auto plain cpu cuda,$(TF)),)
$(error TF=$(TF) is unknown: choose auto, plain, cpu or cuda)
endif
BRANCH ?= main
# In a recipe "$$REPO" is text, whatever is in it; "$(REPO)" would be shell.
export PYTHON TF REPO BRANCH LESSON EXERCISE SET CHROMIUM FOLDER CSV
PIP_OPTIONS := --disable-pip-version-check

# Always by its relative path: whichever environment is active, and whatever spaces the path has.
PY := .venv/bin/python
BUILD := $(PY) tools/build_notebooks.py

help:
	@echo 'The GAN course. Begin with: make lab'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

lab: .venv/.learner ## open the lessons in JupyterLab (the first time, install everything)
	@$(PY) -m gan_course lab $(LAB)

TESTS := tests build/notebooks --nbval-lax --nbval-current-env --nbval-cell-timeout=300 \
	-n $(or $(JOBS),0) --dist loadscope
# One run of pytest, so that its last line counts everything. conftest.py tells the notebooks to
# train briefly, and those in solutions/ to accept nothing but right answers.
test: .venv/.dev ## run all tests, and all notebooks with short trainings
	@$(BUILD) --for-tests build/notebooks
	@$(PY) -m pytest -q $(TESTS)

# The environment is another one than .venv, with the newest Python that the course can use.
test-colab: build/colab-env/.ready ## run all tests with the versions that Google Colab has
	@build/colab-env/bin/python tools/build_notebooks.py --for-tests build/notebooks
	@build/colab-env/bin/python -m pytest -q $(TESTS)
build/colab-env/.ready: requirements.txt requirements-dev.txt constraints-colab.txt
	@set -e; folder=build/colab-env; rm -rf $$folder; mkdir -p $$folder; \
	for candidate in "$$PYTHON" python3.13 python3.12 python3.11 python3 python; do \
		case $$("$$candidate" -c "$$PROBE" 2>/dev/null) in ok*) break ;; esac; candidate=; \
	done; \
	if [ -z "$$candidate" ]; then echo 'No Python 3.11 to 3.13 is here: PYTHON=... names one' >&2; exit 1; fi; \
	echo "Installing Colab's versions into $$folder, with $$("$$candidate" --version)"; \
	"$$candidate" -m venv $$folder; \
	package=tensorflow; case $$(uname -sm) in 'Linux x86_64') package=tensorflow-cpu ;; esac; \
	sed "s/^tensorflow\([<>=]\)/$$package\1/" requirements.txt > $$folder/requirements.txt; \
	cp requirements-dev.txt $$folder/; \
	$$folder/bin/python -m pip install $(PIP_OPTIONS) -c constraints-colab.txt \
		-r $$folder/requirements-dev.txt; \
	touch $@

# The script says where the browser comes from, and what is tried.
browser-test: .venv/.dev ## run the lessons in JupyterLab in a real browser (LESSON="00 01": these)
	@$(PY) -m pytest -q tools/browser_test.py

# A short version, the same cases each time, is part of the tests.
fuzz: .venv/.dev ## try 20,000 hostile inputs, other ones each time, and kill a training 100 times (10 minutes)
	@GAN_COURSE_FUZZ=1 GAN_COURSE_KILLS=100 $(PY) -m pytest -q tests/test_fuzz.py \
		tests/test_resuming.py::test_killed_at_any_moment_it_goes_on

notebooks: .venv/.dev ## build the notebooks from notebooks/source (LESSON=01: one lesson)
	@$(BUILD) $$LESSON
	@$(BUILD) --table

run-notebooks: .venv/.dev ## build and run in full, and store the outputs (LESSON=01: one lesson)
	@$(BUILD) --execute $$LESSON
	@$(BUILD) --table

run: .venv/.dev ## run a lesson with other settings, LESSON=02 SET="STEPS=500", into build/runs
	@$(PY) tools/run_lesson.py "$${LESSON:?LESSON=02 names the lesson to run}" "$$SET"

bench: .venv/.dev ## measure, into benchmarks/results (BENCH=metrics_speed: one); goes on where it was
	@set -e; for name in $(or $(BENCH),metrics_speed early_stopping limit growth speed small_steps smoothing \
			guidelines stabilizers mode_collapse stacked_mnist conditional rare_classes cycle_speed \
			translation horse2zebra quality_time); do \
		$(PY) -m benchmarks.$$name; done

check: lint ## lint, and see that the stored notebooks are true to their sources
	@$(BUILD) --check

lint: .venv/.dev ## check the code's style, and the spelling of everything
	@$(PY) -m ruff check .
	@$(PY) -m codespell_lib *.md docs data/README.md notebooks/source gan_course tools tests benchmarks

doctor: .venv/.learner ## check this machine, and say what to do about what is wrong
	@$(PY) -m gan_course doctor

progress: .venv/.learner ## show which exercises are solved
	@$(PY) -m gan_course progress

reset: $(PY) ## put a lesson or an exercise back as published (LESSON=01 or EXERCISE=1.2)
	@$(PY) -m gan_course reset $${EXERCISE:-$$LESSON}

update: $(PY) ## get the newest course; what you changed is kept
	@$(PY) -m gan_course update

publish: .venv/.dev ## write Colab badges and addresses for REPO=owner/name, BRANCH=main, on GitHub
	@$(BUILD) --publish="$$REPO" --branch="$$BRANCH"

unpublish: .venv/.dev ## take back what publish wrote
	@$(BUILD) --unpublish

student: .venv/.dev ## write the course without solutions into build/student (FOLDER=...: elsewhere)
	@$(PY) tools/teaching.py export --publish="$$REPO" --branch="$$BRANCH" -- "$${FOLDER:-build/student}"

grade: .venv/.dev ## grade a notebook or a folder of them, FOLDER=..., into build/grades.csv (CSV=...)
	@$(PY) tools/teaching.py grade --csv="$${CSV:-build/grades.csv}" -- \
		"$${FOLDER:?which folder? make grade FOLDER=submissions}"

# tensorflow-cpu is nobody's requirement: it is added at tensorflow's version.
lock: .venv/.dev ## renew constraints.txt, the tested versions
	@$(PY) -m pip install --quiet uv
	@mkdir -p build
	@$(PY) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header \
		--no-annotate requirements-dev.txt --output-file build/constraints.txt
	@{ echo '# Tested versions, for Python 3.11 to 3.13 on all systems. Made by: make lock'; \
		awk '{ print } sub(/^tensorflow==/, "tensorflow-cpu==") { print }' build/constraints.txt; \
		} > constraints.txt

clean: ## remove what make made, but never workbook/
	rm -rf .venv build .pytest_cache .ruff_cache .hypothesis
	@find $(wildcard conftest.py gan_course tests tools benchmarks) -name __pycache__ -prune -exec rm -rf {} +

# --- installing ----------------------------------------------------------------------------------

# Another TensorFlow than the installed one is asked for.
ifneq ($(filter-out auto $(shell cat .venv/.tensorflow 2>/dev/null),$(TF)),)
.venv/.learner: FORCE
endif

# The stamp is made after success only, so an interrupted installation is taken up again.
.venv/.learner: requirements.txt constraints.txt $(PY)
	@set -e; rm -f $@; choice=$$TF; \
	if [ "$$choice" = auto ] && [ -s .venv/.tensorflow ]; then choice=$$(cat .venv/.tensorflow); fi; \
	if [ "$$choice" = auto ]; then choice=plain; \
		if [ "$$(uname -sm)" = 'Linux x86_64' ] && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; \
		then choice=cuda; fi; fi; \
	echo "$$choice" > .venv/.tensorflow; \
	case $$choice in \
		cpu) package=tensorflow-cpu; other=tensorflow ;; \
		cuda) package='tensorflow[and-cuda]'; other=tensorflow-cpu ;; \
		*) package=tensorflow; other=tensorflow-cpu ;; \
	esac; \
	echo "Installing $$package and the rest of requirements.txt into .venv: this takes some minutes"; \
	sed "s/^tensorflow\([<>=]\)/$$package\1/" requirements.txt > .venv/requirements.txt; \
	$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null; \
	$(PY) -m pip uninstall --quiet --yes "$$other" 2>/dev/null; \
	$(PY) -m pip install $(PIP_OPTIONS) -c constraints.txt -r .venv/requirements.txt; \
	touch $@

# Read from .venv, so that its "-r requirements.txt" finds the TensorFlow chosen above.
.venv/.dev: requirements-dev.txt .venv/.learner
	@cp requirements-dev.txt .venv/
	@$(PY) -m pip install $(PIP_OPTIONS) -c constraints.txt -r .venv/requirements-dev.txt
	@touch $@

# Says of the Python that runs it whether the course can use it. (Old Pythons have to read it too.)
define PROBE
import platform, sys
version = sys.version_info[:2]
answer = "ok"
if not (3, 11) <= version <= (3, 13):
    answer = "unsupported"
elif sys.platform == "darwin" and platform.machine() == "x86_64":
    answer = "intel"
else:
    try:
        import ensurepip, venv
    except ImportError:
        answer = "bare"
print("%s %d.%d" % ((answer,) + version))
endef
export PROBE

# Tries what is there by running it, and takes the first Python that will do.
$(PY):
	@found=; bare=; intel=; \
	for candidate in "$$PYTHON" python3 python3.13 python3.12 python3.11 python; do \
		answer=$$("$$candidate" -c "$$PROBE" 2>/dev/null) || continue; \
		version=$${answer#* }; \
		case $$answer in \
			ok*) echo "Making .venv with Python $$version: $$(command -v "$$candidate")"; \
				exec "$$candidate" -m venv --clear .venv ;; \
			bare*) bare=$$version ;; \
			intel*) intel=$$version ;; \
		esac; \
		case "$$found," in *" $$version,"*) ;; *) found="$$found, $$version" ;; esac; \
	done; \
	if [ -n "$$intel" ]; then \
		echo "TensorFlow has no wheels for Intel Macs (nor for an Intel Python on Apple silicon):" \
			"use Google Colab, or on Apple silicon https://www.python.org/downloads/"; \
	elif [ -n "$$bare" ]; then \
		echo "Python $$bare cannot make virtual environments: sudo apt install python3-venv" \
			"(or, if it is not the system's own Python, python$$bare-venv)"; \
	else \
		found=$${found#, }; \
		echo "TensorFlow has wheels for Python 3.11 to 3.13 only (found here: $${found:-none}):" \
			"get one at https://www.python.org/downloads/"; \
	fi >&2; exit 1
