"""What the pages say, in the reader's language. English is written in the code; other languages are files.

languages/<code>/*.toml   English sentence = its translation; the entry "English" names the language itself

A language is added by a folder: what it lacks is said in English. Values stand in braces, `{n} labels`.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from app.components.source import joined
from datasets.db import Database
from datasets.told import Told
from labeling import preferences

_FOLDER = Path(__file__).parent / "languages"
ENGLISH = "en"
_TEXT = r'"(?:[^"\\]|\\.)*"'
_SAID_IN_SCRIPT = re.compile(rf"\b(?:tr|word)\(\s*({_TEXT}(?:\s*\+\s*{_TEXT})*)")


class Words:
    """Says sentences in one language.

    Args:
        language: Code of the language, such as "de".
        table: Translations by English sentence; empty for English.
    """

    def __init__(self, language: str, table: dict[str, str]) -> None:
        self.language, self.table = language, table

    def __call__(self, english: str, /, **values: object) -> str:
        """Return a sentence with its values; in English where there is no translation."""
        text = self.table.get(english, english)
        return text.format_map(values) if values else text

    def of(self, text: str) -> str:
        """Return what a lower package says: in this language where it was made by `told`, else as it is."""
        return self(text.pattern, **text.values) if isinstance(text, Told) else text

    def of_script(self, *names: str) -> dict[str, str]:
        """Return the translations that a component's scripts need.

        Args:
            names: Of the scripts, as for `joined`.
        """
        return {english: self.table[english] for english in said_in_script(joined(*names)) if english in self.table}


def word(english: str) -> str:
    """Mark a sentence that is said later, in the reader's language."""
    return english


def said_in_script(script: str) -> list[str]:
    """Return the sentences of a script that stand in `tr("..." + "...")` or `word("...")`."""
    found = _SAID_IN_SCRIPT.findall(script)
    return ["".join(json.loads(part) for part in re.findall(_TEXT, text)) for text in found]


@lru_cache
def languages() -> dict[str, str]:
    """Return the names of all languages by code, each in its own language, English first."""
    found = {folder.name: words(folder.name)("English") for folder in sorted(_FOLDER.iterdir()) if folder.is_dir()}
    return {ENGLISH: "English", **found}


@lru_cache
def words(language: str) -> Words:
    """Return the words of a language; an unknown one is English."""
    table: dict[str, str] = {}
    folder = _FOLDER / language
    if re.fullmatch(r"[a-z]{2,3}", language) and folder.is_dir():
        for path in sorted(folder.glob("*.toml")):
            table |= tomllib.loads(path.read_text(encoding="utf-8"))
    return Words(language if table else ENGLISH, table)


def best_language(wanted: str) -> str:
    """Return the first language that a browser asks for and that there is.

    Args:
        wanted: As in the header Accept-Language: "de-DE,de;q=0.9,en;q=0.8", in the order of preference.
    """
    for part in wanted.split(","):
        code = part.split(";")[0].strip().split("-")[0].lower()
        if code in languages():
            return code
    return ENGLISH


def words_of_browser(headers: Mapping[str, str]) -> Words:
    """Return the words of the language that a request asks for, where nobody has signed in or can be asked."""
    return words(best_language(headers.get("accept-language", "")))


def reader_words(database: Database, name: str | None, spoken: str) -> Words:
    """Return the words of whoever reads: the own language, else what the browser speaks.

    Args:
        database: The study's database.
        name: Of the account; None: nobody has signed in.
        spoken: Header Accept-Language.
    """
    own = preferences.read(database, name).language if name is not None else None
    return words(own or best_language(spoken))
