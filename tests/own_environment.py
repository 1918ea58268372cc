"""An environment of its own: it sees all packages of the tests' one, and what is installed into it."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.docs_text import ROOT


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def install(self, *what: str | Path) -> None:
        """Install without dependencies and without a network."""
        uv = Path(sys.executable).with_name("uv")
        options = ["--offline", "--no-deps", "--no-build-isolation", "--python", self.python]
        subprocess.run([uv, "pip", "install", "--quiet", *options, *what], check=True, cwd=self.folder)

    def run(self, *words: str | Path, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment; the checkout is not on its path."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PATH": path} | extra
        return subprocess.run([*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def make_environment(folder: Path, *, sees_checkout: bool) -> Environment:
    """Make one below which all packages of this environment lie.

    Args:
        folder: Where.
        sees_checkout: Whether the program itself is the checkout's; False: it has to be installed.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    environment = Environment(folder)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    packages = sysconfig.get_path("purelib")
    # `addsitedir` also follows the editable install of the checkout, a plain line does not.
    line = f"import site; site.addsitedir({packages!r})" if sees_checkout else packages
    (site / "zz-packages.pth").write_text(f"{line}\n")
    if sees_checkout:
        (environment.folder / "bin" / "cytojepa").write_text(
            f"#!{environment.python}\nfrom app.cli import main\nmain()\n"
        )
        (environment.folder / "bin" / "cytojepa").chmod(0o755)
        (site / "aa-checkout.pth").write_text(f"{ROOT}\n")
    return environment
