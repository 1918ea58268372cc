"""What the guides say, as tests see it: pages, code blocks, commands, tables of keys."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
_SPLIT = re.compile(r"\s(?:[|;>]|>>|&&|2>)\s")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of a page: its words from the program's name on."""

    page: str
    text: str
    words: tuple[str, ...]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, in their order."""
    return blocks_of(page.read_text(), language)


def blocks_of(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language in a text."""
    return [body for found, body in _FENCE.findall(text) if found == language]


def _lines(text: str) -> Iterator[str]:
    for _, body in _FENCE.findall(text):
        yield from body.replace("\\\n", " ").splitlines()
    rest = _FENCE.sub("", text)
    yield from re.findall(r"^    (.*)$", rest, re.M)
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", rest))


def commands(program: str = "cytojepa") -> Iterator[Command]:
    """Yield the command lines of all pages that call a program, wherever its folder."""
    # Behind -o, -g and -u stands an account of that name.
    call = re.compile(rf"^(?:.*(?<!-[ogu])[\s/])?{program}((?:\s+[^{{].*)?)$")
    for page in PAGES:
        for line in _lines(page.read_text()):
            found = call.search(line.strip())
            if found and (arguments := found.group(1).strip()):
                plain = re.sub(r"\[(--[^\]]*)\]", r"\1", arguments)  # a synopsis puts what may be left out in brackets
                words = shlex.split(_SPLIT.split(f" {plain} ")[0], comments=True)
                yield Command(page.name, line.strip(), tuple(words))


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, without its head."""
    text = page.read_text().split(f"{heading}\n", 1)[1]
    lines = text[text.index("\n|---") + 1 :].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows
