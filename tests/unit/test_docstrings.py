"""What ruff cannot ask of docstrings: shapes and many arguments. That they exist (D) and errors (DOC501) are its."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs_text import ROOT

PACKAGES = ("app", "jepa", "labeling", "datasets")
_ARRAY = re.compile(r"\b(NDArray|Tensor|ArrayLike|Floats|Codes|Indices|Points|Matrix|Scores|Cuts|Counts|Vectors)\b")
_SHAPE = re.compile(r"\b[Ss]hapes?\b|\bscalar\b|\([A-Z]\w*,|\(\w+, \w+\)|\b\d+ x \d+\b")
_ELSEWHERE = re.compile(r"\b(see|as in|as) `")
_MOST_WITHOUT_ARGS = 4


@dataclass(frozen=True)
class Named:
    """A public function, or an array among the fields of a public class, with what is said of it."""

    place: str
    said: str
    arrays: bool
    arguments: int = 0


def _public(tree: ast.Module | ast.ClassDef, path: str) -> Iterator[Named]:
    for at, node in enumerate(tree.body):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node, f"{path}:{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            given = [a for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.annotation]
            kinds = " ".join(ast.unparse(kind) for kind in (*(a.annotation for a in given), node.returns) if kind)
            said = ast.get_docstring(node) or ""
            yield Named(f"{path}:{node.name}", said, bool(_ARRAY.search(kinds)), len(given))
        elif isinstance(node, ast.AnnAssign) and isinstance(tree, ast.ClassDef):
            after = tree.body[at + 1] if at + 1 < len(tree.body) else None
            own = ast.unparse(after) if isinstance(after, ast.Expr) else ""
            is_array = bool(_ARRAY.search(ast.unparse(node.annotation)))
            yield Named(f"{path}:{ast.unparse(node.target)}", own + (ast.get_docstring(tree) or ""), is_array)


def _found(path: Path) -> list[Named]:
    return list(_public(ast.parse(path.read_text()), str(path.relative_to(ROOT))))


ALL = [named for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py")) for named in _found(path)]


def _of(package: str) -> list[Named]:
    return [named for named in ALL if named.place.startswith(f"{package}/")]


@pytest.mark.parametrize("package", PACKAGES)
def test_arrays_of_public_names__have_their_shape_told(package: str) -> None:
    untold = [
        named.place
        for named in _of(package)
        if named.arrays and not (_SHAPE.search(named.said) or _ELSEWHERE.search(named.said))
    ]

    assert untold == []


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_of_many_arguments__say_what_they_are(package: str) -> None:
    untold = [
        named.place
        for named in _of(package)
        if not named.place.startswith("app/commands/")  # the docstring is what --help prints
        and named.arguments > _MOST_WITHOUT_ARGS
        and "Args:" not in named.said
        and not _ELSEWHERE.search(named.said)
    ]

    assert untold == []


def test_check_of_docstrings__finds_what_is_not_told() -> None:
    source = "def f(a: Floats) -> None:\n    'Do it.'\nclass C:\n    'It.'\n    a: Tensor\n    'Shape (n,).'\n"

    function, field = _public(ast.parse(source), "x")

    assert function.arrays
    assert not _SHAPE.search(function.said)
    assert field.arrays
    assert _SHAPE.search(field.said)
