"""The stored lessons keep what the course promises."""

import base64
import io
import json
import re

import pytest
from PIL import Image

from gan_course.runtime import ROOT

# of a full run
MINUTES = {"00": 1, "01": 5, "02": 5, "03": 5, "04": 8, "05": 8, "06": 5, "07": 6, "08": 10}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS += sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_stored_run_kept_to_the_lessons_minutes(path):
    stored = json.loads(path.read_text(encoding="utf-8"))["metadata"]["gan_course"]
    assert round(stored["minutes"]) <= MINUTES[path.stem[:2]]


@pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if p.parent.name == "notebooks"], ids=lambda path: path.stem
)
def test_in_a_learners_notebook_nothing_is_done_yet(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = ["".join(o.get("text", o.get("data", {}).get("text/plain", ""))) for o in outputs]
    boxes = re.findall(r"^(?:Exercise|Prediction) \d\.\w, .*$", "\n".join(texts), re.MULTILINE)
    assert boxes or path.stem.startswith("00")
    assert [box for box in boxes if not box.endswith(("not done yet", "no prediction yet"))] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_stored_pictures_are_opaque_so_that_dark_pages_show_them_too(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    pictures = [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    for picture in pictures:
        image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA")
        assert image.getchannel("A").getextrema() == (255, 255)
    assert pictures
