"""The survey of a study names the cell that is there twice and the slide that is soft."""

import json
from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner
from PIL import Image

from app.commands.quality import quality
from app.intake import take_in
from app.services import Services
from app.slide_quality import QUALITY_FILE
from datasets import catalog
from datasets.files import sha256_of_file
from datasets.public import FieldFile, Plan, Point
from datasets.synthetic import draw_slide


def test_quality__finds_the_soft_slide_and_the_same_cell(services: Services, tmp_path: Path) -> None:
    fields = []
    for number in range(6):
        slide = draw_slide(np.random.default_rng(20 + number))
        points = tuple(Point(x=c.x, y=c.y, category=None) for c in slide.cells[:6])
        image = cv2.GaussianBlur(slide.image, (0, 0), 4) if number == 2 else slide.image
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        fields.append(FieldFile(path=tmp_path / f"{number}.png", points=points))
    # The first field once more, brighter: another file, the same cells.
    Image.fromarray(np.minimum(draw_slide(np.random.default_rng(20)).image + 6.0, 255).astype(np.uint8)).save(
        tmp_path / "again.png"
    )
    fields.append(FieldFile(path=tmp_path / "again.png", points=fields[0].points))
    take_in(services, Plan(layout="cric", fields=tuple(fields)), mpp=0.25)
    soft = next(s for s in catalog.fields(services.database) if s.sha256 == sha256_of_file(tmp_path / "2.png"))
    ran = CliRunner().invoke(quality, ["--home", str(services.home), "--json"])
    report = json.loads(ran.stdout)

    assert ran.exit_code == 0
    assert (len(report["slides"]), report["cells"]) == (7, 42)
    assert (soft.id, "focus") in {(row["slide"], row["measure"]) for row in report["odd_slides"]}
    cells = {cell.id: cell for cell in catalog.cells(services.database)}
    pairs = [(cells[pair["first"]], cells[pair["second"]]) for pair in report["same"]]
    assert len(pairs) >= 6
    assert sum((a.x, a.y) == (b.x, b.y) and a.slide_id != b.slide_id for a, b in pairs) == 6
    assert json.loads((services.home / QUALITY_FILE).read_text()) == report
