"""A public set fetched from a server of the test's own: checked before it is unpacked, and unpacked by hand."""

import hashlib
import io
import stat
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cytojepa
from app.fetching import FetchError, fetch
from datasets.public import plan
from datasets.public_sets import CERVIX93_SET, CRIC_SET, ISBI14_SET, PUBLIC_SETS


def _zip(members: dict[str, bytes], *, link: str = "") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    return stream.getvalue()


WHOLE = _zip(
    {"Dataset/EDF/EDF000.png": b"p", "Dataset/EDF/EDF000_GT.png": b"m", "Dataset/Synthetic/trainset.mat": b"x"}
)


@pytest.fixture(scope="module")
def server():
    """Serves archives by name; `cut` tells a length and sends less."""
    archives = {
        "/whole.zip": WHOLE, "/up.zip": _zip({"../evil.txt": b"x"}), "/root.zip": _zip({"/evil.txt": b"x"}),
        "/link.zip": _zip({"a.txt": b"x"}, link="b"), "/text.zip": b"no archive", "/cut.zip": WHOLE,
    }  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = archives.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: 40 if self.path == "/cut.zip" else None])

        def log_message(self, *args: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield lambda name: (f"http://127.0.0.1:{running.server_port}/{name}",
                        hashlib.sha256(archives.get(f"/{name}", b"")).hexdigest())  # fmt: skip
    running.shutdown()
    running.server_close()


def test_fetch__a_whole_archive_becomes_a_folder_that_ingest_knows(server, tmp_path: Path) -> None:
    address, sha256 = server("whole.zip")
    told = CliRunner().invoke(
        cytojepa, ["fetch", "isbi2014", str(tmp_path / "isbi"), "--url", address, "--sha256", sha256]
    )
    found = plan(tmp_path / "isbi")

    assert told.exit_code == 0, told.output
    assert "3 files" in told.output
    assert [field.path.name for field in found.fields] == ["EDF000.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["isbi"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("up.zip", "outside"), ("root.zip", "outside"), ("link.zip", "outside"), ("text.zip", "not a whole ZIP"),
     ("cut.zip", "cut off"), ("gone.zip", "Not Found")],
)  # fmt: skip
def test_fetch__what_is_not_right_leaves_nothing(server, tmp_path: Path, name: str, says: str) -> None:
    address, sha256 = server(name)
    with pytest.raises(FetchError, match=says):
        fetch(ISBI14_SET, tmp_path / "out" / "set", address=address, sha256=sha256)

    assert [path for path in tmp_path.rglob("*") if path.name != "out"] == []


def test_fetch__other_bytes_than_the_sum_says_are_not_unpacked(server, tmp_path: Path) -> None:
    address, _ = server("whole.zip")
    with pytest.raises(FetchError, match="nothing was unpacked"):
        fetch(ISBI14_SET, tmp_path / "set", address=address)  # the set's own sum

    assert not (tmp_path / "set").exists()


def test_fetch__without_an_address_or_a_sum_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="figshare"):
        fetch(CRIC_SET, tmp_path / "set")
    with pytest.raises(FetchError, match="--sha256"):
        fetch(CERVIX93_SET, tmp_path / "set")
    with pytest.raises(FetchError, match="not an http"):
        fetch(ISBI14_SET, tmp_path / "set", address="file:///etc/passwd")
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(FetchError, match="not empty"):
        fetch(ISBI14_SET, tmp_path, address="http://127.0.0.1:9/a.zip")


def test_sets__have_a_page_and_a_sum_only_with_an_address() -> None:
    assert all(public.page.startswith("https://") for public in PUBLIC_SETS)
    assert [public.name for public in PUBLIC_SETS if public.sha256] == ["ISBI 2014"]
    assert all(public.archive for public in PUBLIC_SETS if public.sha256)
