"""The course's commands, for machines with and without make: ``python -m gan_course lab``."""

import argparse
import contextlib
import re
import sys

from gan_course import runtime, workbook


def doctor():
    """Prints the machine's report; 1 if something is wrong."""
    with contextlib.suppress(ImportError):  # the report says what is missing
        runtime.quiet_logs()
    report = runtime.doctor()
    print(report)
    return 0 if report.ok else 1


def progress():
    """Prints which exercises are solved."""
    runtime.quiet_logs()
    from gan_course import exercises

    print(exercises.progress())


def reset(what):
    """Resets the exercise ("1.2") or the lesson ("01", "01_vanilla_gan") that `what` names."""
    if what and re.fullmatch(r"\d+\.\d+", what):
        workbook.reset(exercise=what)
    else:
        workbook.reset(lesson=what)


def parse(arguments):
    """The command line; options that only JupyterLab knows are left for `lab`."""
    parser = argparse.ArgumentParser(prog="python -m gan_course", description="The GAN course.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("lab", help="open the lessons in JupyterLab (takes its options too)")
    commands.add_parser("doctor", help="check this machine and say what to do")
    commands.add_parser("progress", help="show which exercises are solved")
    commands.add_parser("update", help="get the newest course; your own work is kept")
    resetting = commands.add_parser("reset", help="put a lesson or an exercise back as published")
    resetting.add_argument("what", nargs="?", help="a lesson, as in 01, or an exercise, as in 1.2")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "lab":
        parser.error(f"{options.command} does not know {' '.join(rest)}")
    return options, rest


def main(arguments=None):
    """Runs one command and returns its exit status."""
    runtime.print_anything()
    options, rest = parse(arguments)
    commands = {
        "lab": lambda: workbook.lab(rest),
        "doctor": doctor,
        "progress": progress,
        "update": lambda: workbook.update() and None,
        "reset": lambda: reset(options.what),
    }
    try:
        return commands[options.command]() or 0
    except workbook.WorkbookError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder without write permission
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
