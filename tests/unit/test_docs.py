"""What the guides name is there: commands, options, keys, settings, files."""

import dataclasses
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from app import keys as page_keys
from app.cli import VERBS, cytojepa
from app.keys import GALLERY, LABEL
from app.settings import Settings
from datasets.bethesda import BETHESDA
from datasets.errors import SettingsError
from docs import reference_pages
from jepa.config import PRESETS, RunConfig
from tests.docs_text import DOCS, PAGES, ROOT, Command, blocks, blocks_of, commands, table

COMMANDS = [c for c in dict.fromkeys(commands()) if c.words[:2] != ("export", "tally")]
"""That one is the example's own format: test_extending runs it."""


def _problem(words: tuple[str, ...]) -> str | None:
    """Return what the command line would refuse, None where it is right."""
    command: click.Command = cytojepa
    context = click.Context(cytojepa)
    rest = list(words)
    while isinstance(command, click.Group):
        if not rest or rest[0].startswith("-"):
            return None if {*rest} <= {"--help", "--version"} else f"no verb in {words}"
        found = command.get_command(context, rest.pop(0))
        if found is None:
            return f"no verb {words}"
        command = found
    try:
        values, _, _ = command.make_parser(click.Context(command)).parse_args(rest)
        for parameter in command.params:
            value = values.get(parameter.name or "")
            if isinstance(parameter.type, click.Choice) and isinstance(value, str) and not value.isupper():
                for choice in value.split("|"):
                    parameter.type.convert(choice, parameter, context)
            elif isinstance(parameter, click.Argument) and parameter.required and not _is_given(value):
                return f"{parameter.name} is missing"
    except click.UsageError as error:
        return error.format_message()
    return None


def _is_given(value: object) -> bool:
    return isinstance(value, str | tuple | list) and len(value) > 0


def test_commands__there_are_some_on_every_guide() -> None:
    assert {"README.md", "it.md", "operations.md", "engineers.md"} <= {command.page for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.page}: {command.text}")
def test_command__verb_options_and_choices_exist(command: Command) -> None:
    if len(command.words) == 1 or "--help" in command.words:
        assert command.words[0] == "--help" or _verb_exists(command.words[0])
        return
    assert _problem(command.words) is None


def _verb_exists(verb: str) -> bool:
    return cytojepa.get_command(click.Context(cytojepa), verb) is not None


@pytest.mark.parametrize(
    "words", [("ingst", "x"), ("ingest", "--nope", "x"), ("export", "cvs", "x"), ("export", "csv")]
)
def test_check_of_commands__finds_what_is_wrong(words: tuple[str, ...]) -> None:
    assert _problem(words) is not None


@pytest.mark.parametrize("page", [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_page__says_nothing_twice(page: Path) -> None:
    """Two versions of a paragraph are what careless merging leaves behind."""
    lines = [line for line in page.read_text().splitlines() if len(line) > 50 or line.startswith("#")]

    assert [line for line, times in Counter(lines).items() if times > 1] == []


def test_make__targets_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))

    assert {c.words[0] for c in commands("make") if c.text.startswith("make ")} <= known


def test_reference_pages__tell_every_verb_and_every_setting() -> None:
    commands_page, settings_page = reference_pages.commands_page(), reference_pages.settings_page()

    assert [verb for verb in VERBS if f"\n## {verb}" not in commands_page] == []
    assert [field.name for field in dataclasses.fields(Settings) if f"| `{field.name}` |" not in settings_page] == []
    assert "| `reads` | `1` |" in settings_page
    options_page = reference_pages.run_options_page()
    assert [field.name for field in dataclasses.fields(RunConfig) if f"| `{field.name}` |" not in options_page] == []
    assert all(f"| `{preset}` |" in options_page for preset in PRESETS)
    assert "| `--grid, --no-grid` |" in commands_page
    assert "| `--password-stdin` |" in commands_page


def _commands_of(page: Sequence[page_keys.Command]) -> set[str]:
    """Return the first key of each command of a page, as the guide writes it."""
    return {command.keys[0].replace("\u21e7", "Shift+").replace("Escape", "Esc") for command in page}


@pytest.mark.parametrize(
    ("heading", "page"),
    [("### Everything else", LABEL), ("## Many cells at once: the gallery", GALLERY)],
    ids=["label", "gallery"],
)
def test_keys__of_the_doctors_guide_are_those_of_the_pages(heading: str, page: Sequence[page_keys.Command]) -> None:
    assert {row[0].strip("`") for row in table(DOCS / "doctors.md", heading)} == _commands_of(page)


def test_answers__of_the_doctors_guide_are_those_of_the_study() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(DOCS / "doctors.md", "### Answers")}

    assert rows.keys() == {c.key for c in BETHESDA.categories}
    assert all(rows[c.key].startswith(c.name) for c in BETHESDA.categories)


def test_keys__in_the_text_of_the_doctors_guide_exist() -> None:
    known = {c.key for c in BETHESDA.categories} | _commands_of(LABEL) | _commands_of(GALLERY)
    text = re.sub(r"^\|.*$", "", (DOCS / "doctors.md").read_text(), flags=re.M)

    assert set(re.findall(r"`([A-Z0-9?,.]|Shift\+\w|Esc|Enter)`", text)) <= known


def test_run_files__of_the_guides_are_valid(tmp_path) -> None:
    found = [text for page in PAGES for text in blocks(page, "toml") if "preset" in text or "objective" in text]
    for text in found:
        (tmp_path / "run.toml").write_text(text)
        assert RunConfig.from_toml(tmp_path / "run.toml")

    assert found


def test_settings_files__of_the_guides_are_valid(tmp_path) -> None:
    page = "\n".join(blocks_of(reference_pages.settings_page(), "toml"))
    assert {"study", "version"} <= tomllib.loads(page).keys()
    (tmp_path / "cytojepa.toml").write_text(page.replace("[study]\n", '[study]\nlabel_set = "ours"\n'))

    assert Settings.load(tmp_path).label_set.ids == ("koilocyte",)


def test_settings__file_carries_its_version_and_a_newer_one_is_refused(tmp_path) -> None:
    Settings().save(tmp_path)
    file = tmp_path / "cytojepa.toml"
    assert file.read_text().count("version = 1\n") == 1
    assert Settings.load(tmp_path).label_set == Settings().label_set
    file.write_text(file.read_text().replace("version = 1", "version = 2"))
    with pytest.raises(SettingsError, match="version 2 is newer than 1"):
        Settings.load(tmp_path)


def test_settings__a_file_of_before_versions_is_version_one(tmp_path) -> None:
    (tmp_path / "cytojepa.toml").write_text("[study]\nreads = 2\n")

    assert Settings.load(tmp_path).reads == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_and_files__named_by_a_page_are_there(page) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())

    made = set(reference_pages.PAGES)

    assert [t for t in targets if "://" not in t and t not in made and not (page.parent / t).exists()] == []
