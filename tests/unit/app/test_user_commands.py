"""Commands that take a name: a stranger is refused with the way out, and nothing asks where nobody can type."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cytojepa
from app.keys import commands_by_pages, free_commands
from app.services import Services
from labeling import accounts


def test_worklist__refuses_a_name_that_nobody_has(tmp_path: Path) -> None:
    def ask(name: str):
        return CliRunner().invoke(cytojepa, ["worklist", "--annotator", name, "--home", str(tmp_path / "home")])

    services = Services.open(tmp_path / "home")
    before = ask("eva")
    accounts.add_account(services.database, "ada", "annotator", "a long password")
    services.database.close()
    stranger, known = ask("eva"), ask("ada")

    assert (before.exit_code, known.exit_code) == (0, 0)
    assert stranger.exit_code == 1
    assert "--annotator eva: nobody of this name" in stranger.output
    assert "users list" in stranger.output


@pytest.mark.parametrize(("given", "code"), [("a long password\n", 0), ("", 2)])
def test_users_add__without_a_terminal_neither_asks_nor_warns(tmp_path: Path, given: str, code: int) -> None:
    command = [sys.executable, "-m", "app.cli", "users", "add", "ada", "--home", str(tmp_path / "home")]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, start_new_session=True)

    assert done.returncode == code
    assert "arning" not in done.stderr
    assert "Password" not in done.stderr
    assert ("--generate" in done.stderr) == (code == 2)
    if not code:
        services = Services.open(tmp_path / "home")
        assert accounts.verify(services.database, "ada", "a long password")
        services.database.close()


def test_commands_by_pages__names_each_free_command_once_with_all_its_pages() -> None:
    found, of_doctor = commands_by_pages(reviews=True), commands_by_pages(reviews=False)

    assert sorted(c.id for commands in found.values() for c in commands) == sorted(c.id for c in free_commands())
    assert [c.id for c in found["Gallery", "Review"]] == ["example"]
    assert "example" in [c.id for c in of_doctor["Gallery",]]
    assert not any("Review" in pages for pages in of_doctor)
