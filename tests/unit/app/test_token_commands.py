"""Tokens and the OpenAPI document on the command line."""

import json

import pytest
from click.testing import CliRunner

from app.cli import cytojepa
from labeling import accounts, tokens


@pytest.fixture
def run(services):
    accounts.add_account(services.database, "ada", "annotator", "a long password")

    def call(*arguments: str, code: int = 0):
        result = CliRunner().invoke(cytojepa, [*arguments, "--home", str(services.home), "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if code == 0 else result.stderr

    return call


def test_token__made_shown_once_listed_and_revoked(run, services) -> None:
    made = run("users", "token", "add", "ada", "lab system", "--days", "7")
    assert tokens.check(services.database, made["token"]).name == "ada"
    listed = run("users", "token", "list", "ada")
    row = listed["tokens"][0]

    assert (row["id"], row["account"], row["purpose"], row["state"]) == (made["id"], "ada", "lab system", "active")
    assert made["token"] not in json.dumps(listed)
    assert run("users", "token", "list", "nobody")["tokens"] == []
    assert run("users", "token", "revoke", str(made["id"]))["tokens"][0]["state"] == "revoked"
    assert tokens.check(services.database, made["token"]) is None
    assert "token 1: there is none" in run("users", "token", "revoke", "1", code=1)
    assert "account nobody" in run("users", "token", "add", "nobody", "x", code=1)


def test_api__prints_the_document() -> None:
    result = CliRunner().invoke(cytojepa, ["api", "--schema"])
    document = json.loads(result.stdout)

    assert (result.exit_code, document["openapi"][:2]) == (0, "3.")
    assert {"/worklist", "/labels", "/suggestions", "/export/{format_name}"} <= set(document["paths"])
    assert CliRunner().invoke(cytojepa, ["api"]).exit_code == 2
