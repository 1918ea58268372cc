"""What the server loads to draw pages: torch and timm would cost every doctor's server ten seconds and its memory."""

import ast
import subprocess
import sys
from pathlib import Path

from app.views import people

VIEWS = sorted(Path(people.__file__).parent.glob("*.py"))


def _imports(path: Path) -> str:
    found = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(map(ast.unparse, found))


def test_pages_and_server__load_no_torch() -> None:
    script = "\n".join(["import sys, app.server", *map(_imports, VIEWS), "print('torch' in sys.modules)"])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.stdout.strip().splitlines()[-1:], done.returncode) == (["False"], 0), done.stderr[-500:]
