"""What is shipped: the wheel and what is in it, container and compose files, the service, the script that installs."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import compose_spec
import httpx
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from tests.docs_text import DOCS, ROOT, blocks
from tests.own_environment import Environment, make_environment
from tests.postgresql import OWNER, PASSWORD, Server
from tests.waiting import free_port, until

DEPLOY = ROOT / "docs" / "deploy"
PACKAGES = ("app", "jepa", "labeling", "datasets")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "build", "--wheel", "--offline", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "--quiet", "--out-dir", out, ROOT], check=True)
    return next(out.glob("cytojepa-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Environment:
    """An environment with the wheel in it and without the checkout."""
    made = make_environment(tmp_path_factory.mktemp("installed") / "environment", sees_checkout=False)
    made.install(wheel)
    return made


def test_wheel__holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")}
        notes = {name.split("/", 1)[1] for name in archive.namelist() if ".dist-info/" in name}
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True)

    assert names == set(listed.stdout.split())
    assert {"app/components/label_deck/deck.js", "app/components/label_deck/deck.css"} <= names
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= notes


def test_wheel__installed_elsewhere_knows_its_verbs_and_serves_the_label_page(installed: Environment, tmp_path) -> None:
    told = installed.run("cytojepa", "--help", cwd=tmp_path)
    assert "serve" in told.stdout, told.stderr
    where = installed.run(installed.python, "-c", "import app; print(app.__file__)", cwd=tmp_path)
    assert str(installed.folder) in where.stdout
    home = tmp_path / "home"
    made = installed.run("cytojepa", "users", "add", "ada", "--generate", "--json", "--home", home, cwd=tmp_path)
    password = re.search(r'"password": "([^"]+)"', made.stdout)
    assert password is not None, made.stderr
    port = free_port()
    command = [installed.folder / "bin" / "cytojepa", "serve", "--home", home, "--port", str(port)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _is_healthy(url))
            with httpx.Client(base_url=url, timeout=60) as client:
                signed_in = client.post("/login", data={"name": "ada", "password": password.group(1)})
                assert signed_in.status_code == 303
                assert client.get("/", headers={"accept": "text/html"}).status_code == 200
                assert "items" in client.get("/api/v1/worklist").json()
        finally:
            server.terminate()
    script = "from app.components.label_deck import _deck; from app.components.source import joined; "
    script += "print(len(joined('label_deck/deck.js', 'shared/base.css')))"
    assets = installed.run(installed.python, "-c", script, cwd=tmp_path)

    assert int(assets.stdout) > 10_000, assets.stderr


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_pipx__installs_the_wheel_with_pinned_packages(wheel: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    pipx = [sys.executable, "-m", "pipx"]
    pins = f"--constraint {_pins(tmp_path)}"
    subprocess.run([*pipx, "install", "--pip-args", pins, wheel], check=True, env=environment)
    told = subprocess.run([tmp_path / "bin" / "cytojepa", "--version"], check=True, capture_output=True, text=True)

    assert told.stdout.startswith("cytojepa")


def _pins(folder: Path) -> Path:
    lines = re.findall(r"^([a-z0-9]\S*==.+?) \\$", (ROOT / "requirements.lock").read_text(), re.M)
    (folder / "pins.txt").write_text("\n".join(lines))
    return folder / "pins.txt"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_install_script__is_what_the_container_runs_and_works(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for words in (w for kind, w in _steps(stage=0) if kind == "COPY"):
        *names, target = words.split()
        for name in names:
            goal = source / (target if len(names) == 1 and target != "./" else name)
            goal.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(ROOT / name, goal)
    run = next(words for kind, words in _steps(stage=0) if kind == "RUN")
    command = run.replace("/opt/cytojepa", str(tmp_path / "opt"))
    subprocess.run(["sh", "-c", command], cwd=source, check=True, env={**os.environ, "PYTHON": sys.executable})
    told = subprocess.run([tmp_path / "opt" / "bin" / "cytojepa", "--help"], check=True, capture_output=True, text=True)

    assert "Research use only" in told.stdout


def _steps(stage: int) -> list[tuple[str, str]]:
    """Return the instructions of a stage of the Dockerfile with their words."""
    parser = DockerfileParser(fileobj=io.BytesIO((DEPLOY / "Dockerfile").read_bytes()))
    stages: list[list[tuple[str, str]]] = []
    for row in parser.structure:
        if row["instruction"] == "FROM":
            stages.append([])
        if stages and row["instruction"] != "COMMENT":
            stages[-1].append((row["instruction"], row["value"]))
    return stages[stage]


def test_dockerfile__two_stages_copies_what_is_there_and_runs_as_nobody_special() -> None:
    build, final = _steps(0), dict(_steps(1))
    known = {
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "LABEL",
        "ENV",
        "USER",
        "VOLUME",
        "EXPOSE",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    sources = [name for kind, words in build if kind == "COPY" for name in words.split()[:-1]]

    assert {kind for kind, _ in (*build, *_steps(1))} <= known
    assert [name for name in sources if not (ROOT / name).exists()] == []
    assert set(PACKAGES) | {"requirements.lock", "pyproject.toml"} <= set(sources)
    assert final["COPY"].startswith("--from=build ")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", final["USER"])
    assert [kind for kind, _ in _steps(1)].index("USER") < [kind for kind, _ in _steps(1)].index("ENTRYPOINT")
    assert "--require-hashes" in (DEPLOY / "install.sh").read_text()


def test_build__sees_what_it_copies_and_nothing_else() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    copied = {name for kind, words in _steps(0) if kind == "COPY" for name in words.split()[:-1]}

    assert rules == ["*", *(rule for rule in rules if rule.startswith("!")), "**/__pycache__"]
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied


def test_compose__its_accounts_and_tables_are_made_on_a_real_server(server: Server, tmp_path: Path) -> None:
    """The steps of `database` and `tables` without their containers; only names and places are others."""
    secret, account, url = tmp_path / "app.password", "study_app_of_compose", server.database()
    secret.write_text("a password with 'quotes' \"and\" $signs\n")
    script = (DEPLOY / "accounts.sh").read_text().replace("/run/secrets/app_password", str(secret))
    connection = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGPASSWORD": PASSWORD}
    subprocess.run(["sh", "-c", script.replace("study_app", account)], check=True, env={
        **os.environ, **connection, "POSTGRES_USER": "root", "POSTGRES_DB": str(url.database)})  # fmt: skip
    tables = _compose()["services"]["tables"]
    places = {"study_app@database/study": f"{account}@127.0.0.1:{server.port}/{url.database}",
              "study_owner@database/study": f"{OWNER}@127.0.0.1:{server.port}/{url.database}",
              "/run/secrets/app_password": str(secret),
              "/run/secrets/owner_password": str(tmp_path / "owner")}  # fmt: skip
    (tmp_path / "owner").write_text(PASSWORD)
    environment = dict(tables["environment"])
    for here, there in places.items():
        environment = {name: value.replace(here, there) for name, value in environment.items()}
    for words in (tables["command"], ["users", "add", "ada", "--generate"]):
        command = [sys.executable, "-m", "app.cli", *words, "--home", tmp_path / "study", "--json"]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    with server.admin(url.database) as opened:
        owners = {owner for (owner,) in opened.execute("SELECT tableowner FROM pg_tables WHERE schemaname = 'public'")}
        people = opened.execute("SELECT name FROM accounts").fetchall()
    server.drop(url.database)

    assert (owners, people) == ({OWNER}, [("ada",)])


def _compose() -> dict:
    """Return the compose file with its variables' defaults and its shared parts in place."""
    found = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text()))
    del found["x-program"]
    return found


def _check(compose: dict) -> None:
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(compose)).validate()


def test_compose__is_valid_and_a_fault_would_be_seen() -> None:
    found = _compose()
    _check(found)
    assert set(found["services"]) == {"app", "tables", "database", "trainer"}
    for fault in ({"ports": ["web"]}, {"networks": ["gone"]}, {"secrets": ["gone"]}, {"restrat": "always"}):
        with pytest.raises(ValueError, match=r"services|network|secret"):
            _check({**found, "services": {**found["services"], "app": {**found["services"]["app"], **fault}}})


def test_compose__nothing_is_open_to_the_network_or_written_outside_volumes() -> None:
    found = _compose()
    for name in ("app", "tables", "trainer"):
        service = found["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "no-new-privileges:true" in service["security_opt"]
    ports = [port for service in found["services"].values() for port in service.get("ports", [])]

    assert ports == ["127.0.0.1:8501:8501"]
    # The proxy comes from the container network's own address: without this, no cookie would be marked Secure.
    assert found["services"]["app"]["environment"]["FORWARDED_ALLOW_IPS"] == "*"
    assert found["networks"]["inside"] == {"internal": True}
    assert found["services"]["trainer"]["profiles"] == ["trainer"]
    assert "password" not in {key.lower() for s in found["services"].values() for key in s.get("environment", {})}


@pytest.mark.parametrize("script", ["install.sh", "accounts.sh"])
def test_scripts__are_valid_for_a_plain_shell(script: str) -> None:
    assert subprocess.run(["sh", "-n", DEPLOY / script], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("added", ["", *blocks(DOCS / "it.md", "ini")], ids=["as it is", "with the guide's addition"])
def test_service__systemd_finds_no_fault_and_little_exposure(tmp_path: Path, added: str) -> None:
    text = (DEPLOY / "cytojepa.service").read_text()
    assert "ExecStart=/opt/cytojepa/bin/cytojepa serve --host 127.0.0.1" in text
    unit = tmp_path / "cytojepa.service"
    unit.write_text(text.replace("/opt/cytojepa/bin/cytojepa", "/bin/true").replace("=cytojepa\n", "=root\n"))
    (tmp_path / "cytojepa.service.d").mkdir()
    (tmp_path / "cytojepa.service.d" / "override.conf").write_text(added)
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    exposure = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (checked.returncode, checked.stderr) == (0, "")
    assert exposure.returncode == 0, exposure.stdout[-300:]
