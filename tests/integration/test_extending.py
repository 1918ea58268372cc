"""The examples of the guides, run from the very text of their pages."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from datasets import catalog
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from datasets.readers.flat import read_picture
from tests.builders import drawn_study
from tests.docs_text import DOCS, blocks
from tests.own_environment import Environment, make_environment

PAGE = DOCS / "extending.md"
FILES = dict(zip(("rule.py", "reader.py", "tally.py"), blocks(PAGE, "python"), strict=True))


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    folder = tmp_path_factory.mktemp("own")
    package = folder / "ourlab-package"
    (package / "ourlab").mkdir(parents=True)
    (package / "ourlab" / "__init__.py").touch()
    (package / "pyproject.toml").write_text(blocks(PAGE, "toml")[0])
    for name, text in FILES.items():
        (package / "ourlab" / name).write_text(text)
    made = make_environment(folder / "environment", sees_checkout=True)
    made.install(package)
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    services = drawn_study(folder / "home", folder / "drawn", 4)
    services.database.close()
    return folder / "home"


def _cytojepa(environment: Environment, *words: str | Path, home: Path) -> dict:
    done = environment.run("cytojepa", *words, "--home", home, "--json", cwd=home)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def _pages_command(verb: str) -> list[str]:
    """Return the words of the page's command with that verb, without program and study."""
    line = next(line for text in blocks(PAGE, "sh") for line in text.splitlines() if f"cytojepa {verb}" in line)
    return shlex.split(line.split("cytojepa ")[1].replace("--home study", ""))


@pytest.mark.parametrize("name", FILES)
def test_example__is_under_40_lines_with_a_docstring(name: str) -> None:
    assert len(FILES[name].splitlines()) < 40
    assert f"`ourlab/{name}`" in PAGE.read_text()


def test_acquisition__the_example_ranks_the_worklist_and_is_compared(environment: Environment, home: Path) -> None:
    _cytojepa(environment, "embed", "--encoder", "handcrafted", home=home)
    words = _pages_command("evaluate")
    report = _cytojepa(environment, *words, "--budget", "20", "--seeds", "1", "--shots", "1", home=home)
    assert [curve["encoder"] for curve in report["active"]] == ["shipped", "handcrafted"]
    labels = home.parent / "labels.csv"
    _write_labels(home, labels)
    _cytojepa(environment, "import", labels, "--annotator", "ada", home=home)
    scores = {}
    for rule in ("rarity-margin", "rare-entropy"):
        file = home / "cytojepa.toml"
        file.write_text(f'[study]\nacquisition = "{rule}"\n')
        _cytojepa(environment, "fit", home=home)
        items = _cytojepa(environment, "worklist", "--annotator", "eva", "--limit", "200", home=home)["items"]
        scores[rule] = {item["cell"]: item["score"] for item in items if item["score"] is not None}
    common = scores["rarity-margin"].keys() & scores["rare-entropy"].keys()

    assert len(common) > 20
    assert all(0 <= scores["rare-entropy"][cell] <= 2 for cell in common)
    assert max(scores["rare-entropy"].values()) > 1 > max(scores["rarity-margin"].values())


def _write_labels(home: Path, out: Path) -> None:
    from app.services import Services

    services = Services.open(home)
    cells = catalog.cell_ids(services.database)[:12]
    services.database.close()
    out.write_text("cell,category\n" + "".join(f"{cell},{('NILM', 'HSIL')[n % 2]}\n" for n, cell in enumerate(cells)))


def test_reader__the_example_is_ingested_searched_and_cut(environment: Environment, tmp_path: Path) -> None:
    write_drawn_slides(tmp_path / "drawn", seed=3, num_slides=1)
    picture = next(p for p in (tmp_path / "drawn").rglob("*") if p.suffix in (".png", ".webp", ".jpg"))
    pixels = read_picture(picture)
    np.save(tmp_path / "scan.npy", pixels)
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY rubbish")
    words = [str(DRAWN_MPP) if word == "0.25" else word for word in _pages_command("ingest")]
    home = tmp_path / "study"
    words[words.index("scan.npy")] = str(tmp_path / "scan.npy")
    found = _cytojepa(environment, *words, home=_made(home))
    assert (found["slides"], found["refused"]) == (1, [])
    bad = _cytojepa(environment, "ingest", tmp_path / "bad.npy", home=home)
    assert "a damaged NumPy file" in bad["refused"][0]["reason"]
    cells = _cytojepa(environment, "detect", home=home)["cells"]

    assert cells > 5
    assert len(list((home / "crops").rglob("*.png"))) == cells


def _made(home: Path) -> Path:
    home.mkdir()
    return home


def test_reader__without_the_package_the_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", np.zeros((64, 64, 3), np.uint8))
    plain = make_environment(tmp_path / "environment", sees_checkout=True)
    found = _cytojepa(plain, "ingest", tmp_path / "scan.npy", "--mpp", "0.25", home=_made(tmp_path / "home"))

    assert (found["slides"], len(found["refused"])) == (0, 1)


def test_export__the_example_counts_reference_labels(environment: Environment, home: Path, tmp_path: Path) -> None:
    words = [str(tmp_path / "tally.tsv") if word == "tally.tsv" else word for word in _pages_command("export")]
    first = _cytojepa(environment, *words, home=home)
    lines = (tmp_path / "tally.tsv").read_text().splitlines()
    again = _cytojepa(environment, "export", "tally", tmp_path / "again.tsv", home=home)

    assert lines[0] == "slide\tcategory\tcells"
    assert sum(int(line.split("\t")[2]) for line in lines[1:]) == first["rows"] > 0
    assert again["sha256"] == first["sha256"]


def test_registry__a_broken_package_is_told_and_own_names_win(tmp_path: Path) -> None:
    made = make_environment(tmp_path / "environment", sees_checkout=True)
    package = tmp_path / "broken"
    (package / "broken").mkdir(parents=True)
    (package / "broken" / "__init__.py").write_text("NOT_A_FORMAT = 1\n")
    (package / "pyproject.toml").write_text(
        re.sub(r"ourlab\.\w+:\w+", "broken:NOT_A_FORMAT", blocks(PAGE, "toml")[0]).replace('"ourlab"', '"broken"')
        .replace("tally =", 'csv = "broken:GONE"\ngone = "broken:GONE"\ntally =')
    )  # fmt: skip
    made.install(package)
    script = (
        "from labeling.export import FORMATS, Format\nfrom datasets.errors import ExtensionError\n"
        "assert isinstance(FORMATS['csv'], Format)\n"
        "for name in ('tally', 'gone'):\n    try:\n        FORMATS[name]\n"
        "    except ExtensionError as error:\n        print(error)\n"
    )
    done = made.run(made.python, "-c", script, cwd=tmp_path)

    assert done.stdout.count("Mend or remove that package.") == 2, done.stderr
    assert "is a int, no Format" in done.stdout
