"""Study codes cannot be guessed back and do not depend on spelling."""

from datasets.identity import load_or_make_key, study_code

KEY = bytes(range(32))


def test_study_code__same_person_same_code() -> None:
    assert study_code(KEY, "PA", " doe^jane ") == study_code(KEY, "PA", "DOE^JANE")


def test_study_code__domain_and_key_matter() -> None:
    codes = {
        study_code(KEY, "PA", "x"),
        study_code(KEY, "SL", "x"),
        study_code(bytes(32), "PA", "x"),
    }

    assert len(codes) == 3


def test_study_code__fits_a_dicom_short_string() -> None:
    code = study_code(KEY, "SL", "x" * 500)

    assert len(code) == 16
    assert code[:3] == "SL-"


def test_key__is_made_once_private_and_different_each_time(tmp_path) -> None:
    first = load_or_make_key(tmp_path / "a" / "secret.key")

    assert load_or_make_key(tmp_path / "a" / "secret.key") == first
    assert load_or_make_key(tmp_path / "b" / "secret.key") != first
    assert (tmp_path / "a" / "secret.key").stat().st_mode & 0o777 == 0o600
