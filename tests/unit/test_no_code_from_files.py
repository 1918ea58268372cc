"""No file that the program loads can run code: what could is not called anywhere."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for name in ("app", "jepa", "labeling", "datasets") for path in (ROOT / name).rglob("*.py"))
NEVER = {
    ("pickle", "load"), ("pickle", "loads"), ("pickle", "Unpickler"), ("joblib", "load"), ("marshal", "load"),
    ("marshal", "loads"), ("shelve", "open"), ("dill", "load"), ("yaml", "load"), ("pd", "read_pickle"),
    ("cloudpickle", "load"), ("torch", "jit.load"),
}  # fmt: skip
NEVER_BARE = {"eval", "exec", "compile", "__import__"}


def _faults(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name, words = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        head, _, tail = name.partition(".")
        if (head, tail) in NEVER or name in NEVER_BARE:
            found.append(name)
        elif name.endswith("torch.load") and words.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        elif name in ("np.load", "numpy.load") and words.get("allow_pickle") != "False":
            found.append("np.load without allow_pickle=False")
        elif name.endswith("cache_data") and "persist" in words:
            found.append("st.cache_data(persist=...) reads pickles")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source__loads_nothing_that_runs(path: Path) -> None:
    assert _faults(path.read_text()) == []


@pytest.mark.parametrize("source", [
    "pickle.load(f)", "torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p)",
    "np.load(p, allow_pickle=True)",
    "joblib.load(p)", "eval(text)", "@st.cache_data(persist='disk')\ndef f(): ...",
])  # fmt: skip
def test_search__finds_what_would(source: str) -> None:
    assert _faults(source) != []
