"""What the guides name beside commands: settings files, services, paths, variables, Python, keys of the other pages."""

import ast
import inspect
import re
import tomllib
from dataclasses import fields
from datetime import date
from pathlib import Path

import yaml

from app import study
from app.keys import LABEL, SLIDE
from app.parts import _accepted
from app.settings import Settings
from app.sign_on import SignOnSettings
from datasets.bethesda import BETHESDA
from docs import reference_pages
from jepa.config import RunConfig
from tests.docs_text import DOCS, PAGES, ROOT, blocks, commands, table

OURS = ("app", "jepa", "labeling", "datasets")
TEXT = "\n".join(page.read_text() for page in PAGES)


def _indented(page: Path) -> list[str]:
    """Return the indented blocks of a page, without their margin."""
    found = re.findall(r"(?:^ {4}.*\n)(?:^(?: {4}.*)?\n)*", page.read_text(), re.M)
    return ["\n".join(line[4:] for line in block.splitlines()) + "\n" for block in found]


def _with(page: str, start: str) -> list[str]:
    return [block for block in _indented(DOCS / page) if block.startswith(start)]


def test_settings__of_sign_on_and_database_are_taken(tmp_path: Path) -> None:
    (sign_on,), (database,) = _with("security.md", "[sign_on]"), _with("postgresql.md", "[study]")
    (tmp_path / "cytojepa.toml").write_text(database + sign_on)
    (rules,) = [block for block in _indented(DOCS / "security.md") if "CVE-" in block]
    (tmp_path / "accepted.toml").write_text(rules)

    found = SignOnSettings.load(tmp_path)
    assert found is not None
    assert {field.name for field in fields(found)} - {"secret_file"} == tomllib.loads(sign_on)["sign_on"].keys()
    assert Settings.load(tmp_path).database.startswith("postgresql://study_app@")
    assert list(_accepted(tmp_path / "accepted.toml", date(2026, 12, 1))) == ["CVE-2026-12345"]


def test_settings_and_options__named_with_a_value_exist() -> None:
    known = {field.name for kind in (Settings, RunConfig, SignOnSettings) for field in fields(kind)}
    named = set(re.findall(r"`([a-z_]+) = [^`]+`", TEXT)) | set(re.findall(r"--set ([a-z_]+)=", TEXT))

    assert len(named) > 3
    assert named - {"inbox"} - known == set()


def test_containers__services_and_files_of_the_guides_are_there() -> None:
    services = yaml.safe_load((DOCS / "deploy" / "compose.yaml").read_text())["services"]
    found = [c.words for c in commands("docker") if c.words[0] == "compose"]
    for words in found:
        assert (ROOT / words[words.index("-f") + 1]).is_file(), words
        if "run" in words:
            after = words[words.index("run") + 1 :]
            assert next(w for w in after if not w.startswith("-") and ":" not in w) in services, words
        if "stop" in words:
            assert set(words[words.index("stop") + 1 :]) <= services.keys(), words

    assert len(found) > 5


def test_paths__of_the_program_that_a_page_names_are_there() -> None:
    named = set(re.findall(r"\b((?:docs|tests|scripts)/[\w./-]*\w)", TEXT)) - {"docs/deploy/secrets"}
    named = {name for name in named if not name.startswith("docs/deploy/secrets/")}

    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_variables__of_the_environment_are_read_by_the_program() -> None:
    source = "\n".join(path.read_text() for name in OURS for path in (ROOT / name).rglob("*.py"))
    named = set(re.findall(r"\bCYTOJEPA_[A-Z_]*[A-Z]\b", TEXT + reference_pages.settings_page()))

    assert "CYTOJEPA_HOME" in named
    assert {name for name in named if f'"{name.removesuffix("_FILE").removesuffix("_PASSWORD")}' not in source} == set()


def _python() -> list[tuple[str, ast.Module]]:
    found = []
    for page in PAGES:
        texts = [
            *blocks(page, "python"),
            *(block for block in _indented(page) if block.startswith(("from ", "import "))),
        ]
        found += [(page.name, ast.parse(text)) for text in texts]
    return found


def _names(module: str) -> set[str]:
    """Return what a module of ours defines or imports, without importing it: MONAI takes twelve seconds."""
    path = ROOT / module.replace(".", "/")
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    found = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    found |= {name.asname or name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names}
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    return found | {target.id for target in targets if isinstance(target, ast.Name)} | {p.stem for p in path.glob("*")}


def test_python__of_the_guides_imports_what_there_is() -> None:
    imports = [(page, node) for page, tree in _python() for node in ast.walk(tree)
               if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS]  # fmt: skip

    assert {page for page, _ in imports} >= {"api.md", "extending.md", "slides.md"}
    for page, node in imports:
        assert {name.name for name in node.names} <= _names(str(node.module)), page


def test_python__of_the_guides_calls_the_study_as_it_is() -> None:
    calls = [node for _, tree in _python() for node in ast.walk(tree) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "study"]  # fmt: skip

    assert len(calls) > 4
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        known = set(inspect.signature(getattr(study.Study, call.func.attr)).parameters)
        known |= study.Wanted.__annotations__.keys() if "wanted" in known else set()
        assert {word.arg for word in call.keywords} <= known, call.func.attr
    told = [row[0].strip("`").split("(")[0] for row in table(DOCS / "api.md", "## In Python")]
    assert [name for name in told if not hasattr(study.Study, name)] == []


def test_keys__of_the_slide_page_in_the_doctors_guide_exist() -> None:
    named = {key for row in table(DOCS / "doctors.md", "## The whole slide") for key in re.findall(r"`(.)`", row[0])}

    assert len(named) > 8
    assert named <= {command.keys[0] for command in SLIDE}


def test_keys__of_the_readme_are_those_of_the_label_page() -> None:
    (said,) = re.findall(r"^Keys: (.+?)\n\n", (ROOT / "README.md").read_text(), re.M | re.S)
    plain = re.sub(r" \([^)]*\)", "", " ".join(said.split())).replace("hold F", "F hold")
    told = dict(part.split(" ", 1) for part in plain.split(", "))
    answers = {c.key: c.name.replace(",", "").lower() for c in BETHESDA.categories}
    others = {key.replace("Shift+", "\u21e7").strip("`") for key in told} - answers.keys()

    assert {key: told[key].lower() for key in answers} == answers
    assert others <= {command.keys[0] for command in LABEL}
