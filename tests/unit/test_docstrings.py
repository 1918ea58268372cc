"""What ruff cannot ask of docstrings: shapes, units, sources, many arguments. It asks for them and for errors."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs_text import ROOT

PACKAGES = ("app", "jepa", "labeling", "datasets")
_ARRAY = re.compile(r"\b(NDArray|Tensor|ArrayLike|Floats|Codes|Indices|Points|Matrix|Scores|Cuts|Counts|Vectors)\b")
_SHAPE = re.compile(r"\b[Ss]hapes?\b|\bscalar\b|\([A-Z]\w*,|\(\w+, \w+\)|\b\d+ x \d+\b")
_FROM_TO = re.compile(r"\) to \(|\) to a ")
_ELSEWHERE = re.compile(r"\b(see|as in|as) `")
_NUMBER = re.compile(r"\b(int|float)\b")
_LENGTH_OR_TIME = re.compile(
    r"(^|_)(x|y|z|left|top|width|height|radius|diameter|distance|area|side|spacing|duration|timeout|interval|age|delay)$"
)
_UNIT = re.compile(
    r"\b(px|pixels?|um|mm2|um2|micrometres|seconds?|minutes|hours|days|patches|cells|shares?)\b", re.IGNORECASE
)
_MOST_WITHOUT_ARGS = 4
SOURCES = {
    r"^(Kappas|Fleiss)$": r"Cohen.*1960|Fleiss.*1971",
    r"^Alpha$": r"Krippendorff's alpha \(2004",
    r"effective_rank|rankme": r"Garrido et al\. 2023",
    r"vicreg|VicReg|^variance_term|covariance_term": r"Bardes et al\. 2022",
    r"sigreg": r"Balestriero and LeCun 2025",
    r"^Dino$": r"Caron et al\. 2021",
    r"MaskedAutoencoder": r"He et al\. 2022",
    r"IJepa|place_blocks": r"Assran et al\. 2023",
    r"positions": r"Vaswani et al\. 2017",
    r"temperature": r"Guo et al\. 2017",
    r"conformal|Conformal": r"Vovk et al\. 2005",
    r"calibration_error": r"Naeini et al\. 2015|Kumar et al\. 2019",
    r"^(least_confident|margin|entropy)$": r"Settles",
    r"^representative$": r"Bae et al\. 2025",
    r"umap|draw_neighbourhoods": r"McInnes et al\. 2018",
    r"^focus$|^sharpest$": r"Crete et al\. 2007|Pech-Pacheco et al\. 2000",
    r"geojson": r"RFC 7946",
    r"write_coco": r"Lin et al\. 2014",
    r"write_csv": r"RFC 4180",
    r"dicom|Dicom": r"PS3\.\d",
    r"sign_on_routes": r"OpenID Connect",
    r"confine": r"Landlock",
}
"""A method or standard in a public name, and who must stand in the name's docstring, its class's or its module's."""


@dataclass(frozen=True)
class Named:
    """A public function, or a field of a public class, with what is said of it."""

    place: str
    said: str
    around: str
    kinds: dict[str, str] = field(default_factory=dict)
    result: str = ""

    @property
    def arrays(self) -> list[str]:
        """Arguments that are arrays."""
        return [name for name, kind in self.kinds.items() if _ARRAY.search(kind)]

    @property
    def points_elsewhere(self) -> bool:
        """Whether the docstring names the one that tells it."""
        return bool(_ELSEWHERE.search(self.said))


def _public(tree: ast.Module | ast.ClassDef, path: str, around: str) -> Iterator[Named]:
    around += ast.get_docstring(tree) or ""
    for at, node in enumerate(tree.body):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield Named(f"{path}:{node.name}", ast.get_docstring(node) or "", around)
            yield from _public(node, f"{path}:{node.name}", around)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            kinds = {a.arg: ast.unparse(a.annotation) for a in given if a.annotation}
            result = ast.unparse(node.returns) if node.returns else ""
            yield Named(f"{path}:{node.name}", ast.get_docstring(node) or "", around, kinds, result)
        elif isinstance(node, ast.AnnAssign) and isinstance(tree, ast.ClassDef):
            after = tree.body[at + 1] if at + 1 < len(tree.body) else None
            own = ast.unparse(after) if isinstance(after, ast.Expr) else ""
            name = ast.unparse(node.target)
            said = own + (ast.get_docstring(tree) or "")
            yield Named(f"{path}:{name}", said, around, {name: ast.unparse(node.annotation)}, "field")


def _found(path: Path) -> list[Named]:
    return list(_public(ast.parse(path.read_text()), str(path.relative_to(ROOT)), ""))


ALL = [named for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py")) for named in _found(path)]


def _of(package: str) -> list[Named]:
    return [named for named in ALL if named.place.startswith(f"{package}/")]


def _without_shape(named: Named) -> bool:
    has_array = bool(named.arrays or _ARRAY.search(named.result))
    return has_array and not (_SHAPE.search(named.said) or named.points_elsewhere)


def _arguments_untold(named: Named) -> list[str]:
    """Arrays among the arguments of which the docstring does not speak: that there is a shape may be the result's."""
    if named.result == "field" or named.points_elsewhere or _FROM_TO.search(named.said):
        return []
    if len(named.arrays) == 1 and not _ARRAY.search(named.result):
        return []  # the shape that is told is this one's
    said = named.said + named.around.rpartition("\n")[0]
    return [name for name in named.arrays if not (name.startswith("_") or re.search(rf"\b{name}\b", said))]


def _units_untold(named: Named) -> list[str]:
    if named.points_elsewhere or _UNIT.search(named.said):
        return []
    return [name for name, kind in named.kinds.items() if _LENGTH_OR_TIME.search(name) and _NUMBER.search(kind)]


@pytest.mark.parametrize("package", PACKAGES)
def test_arrays_of_public_names__have_their_shape_told(package: str) -> None:
    assert [named.place for named in _of(package) if _without_shape(named)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_array_arguments__are_each_spoken_of(package: str) -> None:
    assert {named.place: names for named in _of(package) if (names := _arguments_untold(named))} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_lengths_and_times__have_their_unit_in_the_name_or_told(package: str) -> None:
    assert {named.place: names for named in _of(package) if (names := _units_untold(named))} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_of_many_arguments__say_what_they_are(package: str) -> None:
    untold = [
        named.place
        for named in _of(package)
        if not named.place.startswith("app/commands/")  # the docstring is what --help prints
        and len(named.kinds) > _MOST_WITHOUT_ARGS
        and "Args:" not in named.said
        and not named.points_elsewhere
    ]

    assert untold == []


@pytest.mark.parametrize("word", SOURCES)
def test_methods_and_standards__name_their_source(word: str) -> None:
    meant = [n for n in ALL if n.result != "field" and re.search(word, n.place.rpartition(":")[2])]
    untold = [n.place for n in meant if not (n.points_elsewhere or re.search(SOURCES[word], n.said + n.around))]

    assert meant, "nothing is called so any more: drop the line"
    assert untold == []


def test_checks_of_docstrings__find_what_is_not_told() -> None:
    source = (
        "def f(a: Floats, b: Floats) -> Floats:\n    'Turn a, shape (n,).'\n"
        "class C:\n    'It.'\n    a: Tensor\n    'Shape (n,).'\n    width: float\n    'How wide.'\n"
        "def g(a: Floats) -> Floats:\n    'Do it.'\n"
    )

    function, _, array, width, bare = _public(ast.parse(source), "x", "")

    assert _arguments_untold(function) == ["b"]
    assert not _without_shape(function)
    assert not _without_shape(array)
    assert _units_untold(width) == ["width"]
    assert _without_shape(bare)
