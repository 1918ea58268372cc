"""Commands that take a name: a stranger is refused with the way out, and nothing asks where nobody can type."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.cli import cytojepa
from app.keys import commands_by_pages, free_commands
from app.services import Services
from labeling import accounts
from labeling.records import Event


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


def test_users_password__opens_anew_ends_all_sign_ins_and_is_told(tmp_path: Path) -> None:
    def run(*words: str, given: str = ""):
        return CliRunner().invoke(
            cytojepa, ["users", "password", *words, "--home", str(tmp_path / "home")], input=given
        )

    services = Services.open(tmp_path / "home")
    accounts.add_account(services.database, "ada", "annotator", "a long password")
    token = accounts.open_sign_in(services.database, "ada")
    stranger, short = run("eva", "--generate"), run("ada", "--password-stdin", given="short\n")
    assert (stranger.exit_code, short.exit_code) == (1, 1)
    assert ("users list" in stranger.output, "at least 8" in short.output) == (True, True)
    assert accounts.check_sign_in(services.database, token) is not None
    done = run("ada", "--password-stdin", given="quite another one\n")

    assert (done.exit_code, "quite another one" in done.output) == (0, False)
    assert [accounts.verify(services.database, "ada", word) for word in ("a long password", "quite another one")] == [
        False, True,
    ]  # fmt: skip
    assert accounts.check_sign_in(services.database, token) is None
    with services.database.read() as session:
        newest = session.scalars(select(Event.body).order_by(Event.seq.desc()).limit(1)).one()
    assert json.loads(newest)["kind"] == "password changed"
    assert "password" not in json.loads(newest)["facts"]
    services.database.close()


def test_commands_by_pages__names_each_free_command_once_with_all_its_pages() -> None:
    found, of_doctor = commands_by_pages(reviews=True), commands_by_pages(reviews=False)

    assert sorted(c.id for commands in found.values() for c in commands) == sorted(c.id for c in free_commands())
    assert [c.id for c in found["Gallery", "Review"]] == ["example"]
    assert "example" in [c.id for c in of_doctor["Gallery",]]
    assert not any("Review" in pages for pages in of_doctor)
