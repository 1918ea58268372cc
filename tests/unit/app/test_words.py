"""Every sentence of the pages has its translation, no translation is stale, and none is missing its values."""

import ast
import re
from pathlib import Path

import pytest

from app.api.web import receipt_row
from app.components.answers import Reader, answer_rows
from app.words import best_language, languages, said_in_script, words
from datasets.bethesda import BETHESDA, LABEL_SETS
from datasets.criteria import CRITERIA
from datasets.notices import NOTICES
from labeling.errors import comment_refused
from labeling.labels import Receipt

APP = Path(__file__).resolve().parents[3] / "app"
PYTHON = [path for room in ("app", "labeling", "datasets") for path in (APP.parent / room).rglob("*.py")]
OTHERS = [code for code in languages() if code != "en"]
_VALUE = re.compile(r"\{[^}]*\}")
_SENTENCE = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
_SCRIPT_SENTENCE = re.compile(r"[A-Z][a-z]+ [a-z]{2,}|[a-z]{3,} [a-z]{2,} [a-z]{2,}")
_NO_SCRIPT_SENTENCE = re.compile(r'[<>]|translate|rgba|px|\.tile|^"an answer without')
_NO_SENTENCE = re.compile(r"[<{};=]|font:|^[a-z-]+: |\.[a-z]+$")


def _python_calls(path: Path, tree: ast.AST | None = None):
    for node in ast.walk(tree or ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tr", "word", "told"):
            yield node


def _sentences() -> set[str]:
    found = {
        node.args[0].value for path in PYTHON for node in _python_calls(path)
        if node.args and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    for path in (APP / "components").rglob("*.js"):
        found |= set(said_in_script(path.read_text()))
    for label_set in LABEL_SETS.values():
        found |= {text for c in label_set.categories for text in (c.name, c.description, c.group)}
    return found | set(NOTICES) | {text for texts in CRITERIA.values() for text in texts}


@pytest.mark.parametrize("language", OTHERS)
def test_language__says_every_sentence_and_nothing_else(language: str) -> None:
    assert set(words(language).table) == _sentences() | {"English"}


@pytest.mark.parametrize("language", OTHERS)
def test_translation__has_the_values_of_the_sentence(language: str) -> None:
    for english, translated in words(language).table.items():
        assert sorted(_VALUE.findall(translated)) == sorted(_VALUE.findall(english)), english


def test_sentences_of_scripts__are_found_over_several_lines() -> None:
    assert said_in_script('tr("a b" +\n  "c {n}", { n }) + word("d") + other("e")') == ["a bc {n}", "d"]


@pytest.mark.parametrize(
    ("wanted", "found"), [("de-AT,en;q=0.5", "de"), ("fr, de;q=0.8", "de"), ("ja", "en"), ("", "en")]
)
def test_browser_language__is_the_first_that_there_is(wanted: str, found: str) -> None:
    assert best_language(wanted) == found


def test_language_without_a_sentence__says_it_in_english() -> None:
    assert words("de")("Nobody wrote {n} of this.", n=1) == "Nobody wrote 1 of this."
    assert words("../de").language == "en"


def test_sentence_of_a_lower_package__is_said_in_the_readers_language() -> None:
    refusal = comment_refused("x" * 600, 500)

    assert str(refusal) == "a comment of 600 characters; at most 500."
    assert words("de").of(refusal.reason) == "ein Kommentar von 600 Zeichen; höchstens 500."
    assert words("de").of("key k: stored already for another event.") == "key k: stored already for another event."
    assert receipt_row(Receipt(key="k", accepted=False, reason=refusal.reason), words("de")) == {
        "key": "k", "accepted": False, "reason": "ein Kommentar von 600 Zeichen; höchstens 500.",
    }  # fmt: skip


def test_answers__come_in_the_readers_language() -> None:
    reader = Reader(account="ada", csrf_token="", words=words("de"), keys={"answer:HSIL": "G"})
    rows = {row["id"]: row for row in answer_rows(BETHESDA, reader)}

    assert (rows["cannot-tell"]["name"], rows["HSIL"]["key"]) == ("Nicht beurteilbar", "G")
    assert rows["HSIL"]["criteria"][0].startswith("Kleine, unreife Zelle")


def _texts_outside(path: Path) -> list[str]:
    """Return what a view says without asking the catalogue."""
    tree = ast.parse(path.read_text())
    said = {id(node) for call in _python_calls(path, tree) for node in ast.walk(call)}
    # Docstrings, and what stands as a line of its own.
    said |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
        and _SENTENCE.search(node.value) and not _NO_SENTENCE.search(node.value)
    ]  # fmt: skip


_VIEWS = [path for path in sorted((APP / "views").glob("*.py")) if path.stem != "__init__"]
_SCRIPTS = [path for path in sorted((APP / "components").rglob("*.js")) if "openseadragon" not in path.parts]
_DRAWN = {"header", "title", "subheader", "caption", "write", "markdown", "metric", "error", "warning", "info",
          "success", "expander", "tabs", "button", "form_submit_button", "text_input", "number_input", "selectbox",
          "multiselect", "checkbox", "radio", "page_link"}  # fmt: skip
"""What Streamlit draws its first argument with."""


@pytest.mark.parametrize("path", _VIEWS, ids=lambda p: p.stem)
def test_view__says_nothing_that_is_not_in_the_catalogue(path: Path) -> None:
    assert _texts_outside(path) == []


@pytest.mark.parametrize("path", _VIEWS, ids=lambda p: p.stem)
def test_view__draws_no_word_that_is_not_in_the_catalogue(path: Path) -> None:
    drawn = [
        text for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _DRAWN
        for text in [*node.args[:1], *(k.value for k in node.keywords if k.arg in ("label", "help", "placeholder"))]
    ]  # fmt: skip
    parts = [part for text in drawn for part in (text.values if isinstance(text, ast.JoinedStr) else [text])]
    plain = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    said = [re.sub(r"&nbsp;|sha256|^views/.*", "", text) for text in plain]

    assert [text for text in said if re.search(r"[A-Za-z]{3,}", text)] == []


@pytest.mark.parametrize("path", _SCRIPTS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_script__says_nothing_that_is_not_in_the_catalogue(path: Path) -> None:
    script = path.read_text()
    code = re.sub(r"^\s*//.*$|\s// .*$", "", script, flags=re.MULTILINE)
    code = re.sub(r'\b(?:tr|word)\(\s*"(?:[^"\\]|\\.)*"(?:\s*\+\s*"(?:[^"\\]|\\.)*")*', "", code)
    texts = re.findall(r'"(?:[^"\\]|\\.)*"|`[^`]*`', code)

    assert [text for text in texts if _SCRIPT_SENTENCE.search(text) and not _NO_SCRIPT_SENTENCE.search(text)] == []
