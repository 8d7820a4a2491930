"""The stored lessons keep what the course promises."""

import json

import pytest

from gan_course.runtime import ROOT

MINUTES = {"00": 1, "01": 5, "02": 5, "03": 5, "04": 8, "05": 8, "06": 5, "07": 6}  # of a full run
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS += sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_stored_run_kept_to_the_lessons_minutes(path):
    stored = json.loads(path.read_text(encoding="utf-8"))["metadata"]["gan_course"]
    assert round(stored["minutes"]) <= MINUTES[path.stem[:2]]
