"""The three pages that are lists, settings, options of a run and commands: written from the program with the site."""

import ast
import inspect
from collections.abc import Iterator

import click
import tomlkit
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from app.cli import VERBS, cytojepa
from app.setting_comments import COMMENTS
from app.settings import SETTINGS_VERSION, Settings
from jepa.config import PRESETS, RunConfig


def settings_page() -> str:
    """Return the page of settings: every key with default and meaning."""
    rows = "\n".join(f"| `{name}` | `{default}` | {meaning} |" for name, default, meaning in described_settings())
    return f"""# Settings

Each study has one file, `cytojepa.toml`, in its folder. `cytojepa ingest` and `cytojepa demo` write it with every key.
A key that is missing has its default. A key that the program does not know, or a value outside its range, is refused
with a sentence: nothing is guessed. After a change, start `cytojepa serve` again.

```toml
version = {SETTINGS_VERSION}

[study]
reads = 2
suggestions = "after"
```

`version` is the version of the file, {SETTINGS_VERSION} today; a file without it counts as 1. A program that is older
than the file refuses it.

| key of `[study]` | default | meaning |
|---|---|---|
{rows}

`label_set` may be a name of your own. Then the file lists the answers:

```toml
[[study.categories]]
id = "koilocyte"
key = "1"
name = "Koilocyte"
description = "Halo with a sharp edge"
group = "Squamous"
color = "#43936c"
shape = "square"
is_class = true
covers = []
```

The parts `share_...` need not add up to 100: a part is its share of their sum. A repeat comes after 24 hours at the
earliest. The sign-in with the hospital's accounts has a table `[sign_on]` of its own: [Security](security.md).

`crop_um` and `crop_px` decide how cells are cut when they are ingested. Change them only before the first `cytojepa
ingest`.

Of the environment, `CYTOJEPA_HOME` is the folder of the study where `--home` is not given. Those that begin with
`CYTOJEPA_DATABASE` are told on the page [PostgreSQL](postgresql.md).
"""


def described_settings() -> list[tuple[str, str, str]]:
    """Return key, default (as the file writes it) and meaning of every setting of `[study]`, in order."""
    defaults = Settings()
    values = {name: getattr(defaults, name) for name in COMMENTS} | {"label_set": defaults.label_set.id}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return [(name, tomlkit.item(plain[name]).as_string(), meaning) for name, meaning in COMMENTS.items()]


def run_options_page() -> str:
    """Return the page of the options of a pretraining run: default and meaning of each, and what the presets change."""
    fresh = RunConfig()
    rows = "\n".join(
        f"| `{name}` | `{_toml(getattr(fresh, name))}` | {meaning} |" for name, meaning in described_options()
    )
    changed = "\n".join(f"| `{name}` | {_changes(preset, fresh)} |" for name, preset in PRESETS.items())
    return f"""# Options of a run

For a run file (TOML) and for `pretrain --set KEY=VALUE`. A run file may begin with `preset = "NAME"`. What is left out
has the preset's value, or without one the default. `none` is no value; it is given as `--set clip_norm=none`. What the
presets are for: [Guide](engineers.md#pretraining).

| option | default | meaning |
|---|---|---|
{rows}

| preset | differs from the defaults in |
|---|---|
{changed}
"""


def described_options() -> list[tuple[str, str]]:
    """Return every option of a pretraining run with the text that stands below it in the program, in order."""
    (found,) = ast.parse(inspect.getsource(RunConfig)).body
    assert isinstance(found, ast.ClassDef)
    texts = {
        node.target.id: " ".join(after.value.value.split())
        for node, after in zip(found.body, found.body[1:], strict=False)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }  # fmt: skip
    return list(texts.items())


def _toml(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return "none" if plain is None else str(tomlkit.item(plain).as_string())


def _changes(preset: RunConfig, fresh: RunConfig) -> str:
    names = [name for name, _ in described_options() if getattr(preset, name) != getattr(fresh, name)]
    return ", ".join(f"`{name} = {_toml(getattr(preset, name))}`" for name in names)


def commands_page() -> str:
    """Return the page of commands: every verb with its arguments and options."""
    context = click.Context(cytojepa)
    sections = "\n".join(_section(name, _command(context, name)) for name in sorted(VERBS))
    return f"""# Command line

Every verb takes `--home DIR`; without it `CYTOJEPA_HOME` counts, else `./cytojepa-home`. With `--json` a verb prints
one JSON object on its standard output; progress and warnings go to standard error. The exit code is 0, 1 (a fact stands
in the way: one sentence on standard error) or 2 (wrong usage).

{sections}"""


def _command(context: click.Context, name: str) -> click.Command:
    found = cytojepa.get_command(context, name)
    assert found is not None
    return found


def _section(name: str, command: click.Command) -> str:
    if isinstance(command, click.Group):
        return "\n".join(_section(f"{name} {sub}", inner) for sub, inner in sorted(command.commands.items()))
    arguments = "".join(f" {_argument(p)}" for p in command.params if isinstance(p, click.Argument))
    options = [p for p in command.params if isinstance(p, click.Option) and p.name not in ("home", "as_json")]
    lines = [f"## {name}", f"`cytojepa {name}{arguments}`", " ".join((command.help or "").split())]
    lines += [
        f"{_argument(p)} is one of {', '.join(f'`{choice}`' for choice in p.type.choices)}."
        for p in command.params
        if isinstance(p, click.Argument) and isinstance(p.type, click.Choice)
    ]
    if options:
        lines.append("| option | meaning |\n|---|---|\n" + "\n".join(_rows(options)))
    return "\n\n".join(lines) + "\n"


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _rows(options: list[click.Option]) -> Iterator[str]:
    for option in options:
        words = option.help or ""
        if isinstance(option.type, click.Choice):
            words = f"{words} One of {', '.join(option.type.choices)}.".strip()
        if isinstance(option.default, int | float | str) and not option.is_flag and str(option.default):
            words = f"{words} Default {option.default}.".strip()
        name = (
            ", ".join([option.opts[0], *option.secondary_opts])
            if option.is_flag
            else f"{option.opts[0]} {(option.metavar or option.name or '').upper()}"
        )
        yield f"| `{name.replace('|', chr(92) + '|')}` | {words.replace('|', chr(92) + '|') or '-'} |"


PAGES = {"settings.md": settings_page, "run_options.md": run_options_page, "commands.md": commands_page}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to the site; mkdocs calls this hook."""
    for name, text in PAGES.items():
        files.append(File.generated(config, name, content=text()))
    return files
