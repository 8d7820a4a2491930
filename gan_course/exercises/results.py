"""What a lesson's run found, held against the range of the runs it was written from."""

import os

from gan_course import runtime
from gan_course.exercises import boxes

MIME = "application/vnd.gan-course.results+json"


class ResultsOutOfRange(Exception):
    """With GAN_COURSE_STRICT_RESULTS=1, a result outside its range stops the notebook."""


def compare_results(results, comparable=True):
    """Show the run's numbers beside the ranges that the lesson's text stands on.

    Args:
        results: dict from a name to (value, lowest, highest), or to (value,) if it has no range.
        comparable: False where the run had other data than the lesson's text speaks of.

    Returns:
        None. The values are stored with the box, for the builder of the notebooks.

    Raises:
        ResultsOutOfRange: a full, comparable run is out of range and
            GAN_COURSE_STRICT_RESULTS=1, as when the course's own notebooks are built.
    """
    comparable = comparable and not runtime.is_fast()
    rows = [_row(name, *entry) for name, entry in results.items()]
    out = [name for name, entry in results.items() if not _fits(*entry)]
    if not comparable:
        title = "This run's numbers (another data set or a fast run: the ranges do not apply)"
    elif out:
        title = f"Out of the expected range: {', '.join(out)}"
        rows.append(
            "That is no error of yours. Other versions, devices and settings move these numbers; "
            "if you changed a setting, the text above may not hold for your run."
        )
    else:
        title = "As expected"
    values = {name: _plain(entry[0]) for name, entry in results.items()}
    kind = "todo" if not comparable else "wrong" if out else "right"
    boxes.show(kind, title, rows, extra={MIME: values})
    if out and comparable and os.environ.get("GAN_COURSE_STRICT_RESULTS") == "1":
        raise ResultsOutOfRange(f"{', '.join(out)} out of range: {values}")


def _fits(value, lowest=None, highest=None):
    return lowest is None or lowest <= value <= highest


def _row(name, value, lowest=None, highest=None):
    said = value if isinstance(value, str) else f"{value:.4g}"
    expected = "" if lowest is None else f"   (expected {lowest:.4g} to {highest:.4g})"
    return (name.replace("_", " "), said + expected)


def _plain(value):
    """A number or text that JSON can hold."""
    return value.item() if hasattr(value, "item") else value
