"""State and remedy of a workspace."""

from pathlib import Path

from app import doctor
from datasets.catalog import Slide
from datasets.db import utc_now
from labeling import accounts, audit


def _check(services, start: str):
    return next(check for check in doctor.run_checks(services.home) if start in check.name)


def test_anchors__events_that_were_cut_off_are_told(services) -> None:
    accounts.add_account(services.database, "ada", "annotator", "a long password")
    assert _check(services, "anchored").ok
    with services.database.write() as session:
        for statement in ("DROP TRIGGER events_no_delete", "DELETE FROM events"):
            session.connection().exec_driver_sql(statement)
    check = _check(services, "anchored")

    assert (check.ok, check.name) == (False, "0 events, 1 anchored")
    assert audit.chain_head(services.database).seq == 0


def test_folder__that_all_accounts_of_the_machine_can_read_is_told(services) -> None:
    assert (services.home.stat().st_mode & 0o777, _check(services, "folder has mode").ok) == (0o700, True)
    services.home.chmod(0o755)

    assert not _check(services, "folder has mode").ok


def test_slides_without_cells__are_to_be_searched_and_not_taken_in_again(services) -> None:
    assert "cytojepa ingest" in _check(services, "0 slides").remedy
    with services.database.write() as session:
        session.add(Slide(id="SL-A", kind="field", sha256="a", mpp_source="", added_at=utc_now()))

    assert _check(services, "1 slides").remedy == "Run `cytojepa detect`."


def test_folder__that_this_account_may_not_make_is_told_with_the_way_out(tmp_path, monkeypatch) -> None:
    def refuse(self, *_words, **_more):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    check = doctor.run_checks(tmp_path / "study")[-1]

    assert (check.name, check.ok) == ("workspace opens", False)
    assert check.remedy.startswith(f"{tmp_path / 'study'}: Permission denied. This account")
    assert "make a folder that belongs to yours" in check.remedy


def test_sign_on__without_its_secret_is_told_before_the_server_refuses_to_start(services) -> None:
    assert not [check for check in doctor.run_checks(services.home) if "sign-on" in check.name]
    (services.home / "cytojepa.toml").write_text(
        '[sign_on]\nissuer = "https://login.example"\nclient_id = "c"\nredirect = "https://c.example/sign-on/back"\n'
        '[sign_on.roles]\n"doctors" = "annotator"\n'
    )
    missing = _check(services, "sign-on")
    (services.home / "sign-on.secret").write_text("secret")
    (services.home / "sign-on.secret").chmod(0o600)

    assert (missing.ok, "no client secret" in missing.remedy) == (False, True)
    assert _check(services, "sign-on").ok
