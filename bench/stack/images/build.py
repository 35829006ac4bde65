"""The images of the docker stack, built: a base unless one is named, then the Dockerfile on it.

One build at a time: the engine's store is shared, and tidying after one build removes another's
layers.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import itertools
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import bench
from bench.core.errors import TargetError, UsageError
from bench.registry import SERVICES
from bench.stack.docker.client import BASE, CONTENT, SERVICE, explanation
from bench.stack.images.root_files import RootFiles, files_of_packages, packed
from bench.stack.services.programs import find_postgres, find_server_binary

if TYPE_CHECKING:
    from docker import APIClient


@contextmanager
def build_turn() -> Iterator[None]:
    """Hold the only turn of this user to build or remove images; wait while another process has it.

    The kernel gives it back when its holder ends, however that is. Raises UsageError where the lock
    cannot be made.
    """
    path = Path(tempfile.gettempdir()) / f"holdfast-images-{os.getuid()}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(
            f"the lock of image builds, {path}: expected a file of this user's that can be written,"
            f" found '{error.strerror}'; remove what is there, or set TMPDIR to a folder of your own"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


REPOSITORY = "holdfast"
TAG = "here"
BUILD_TIMEOUT_S = 600
PACKAGE = Path(bench.__file__).resolve().parent


def image_name(service: str) -> str:
    """What the image of a service is called that was built here."""
    return f"{REPOSITORY}/{service.replace('_', '-')}:{TAG}"


def built_image(engine: APIClient, service: str) -> str | None:
    """Its name if it has been built here, else None."""
    name = image_name(service)
    return name if engine.images(name=name, filters={"label": f"{SERVICE}={service}"}) else None


def named_base(engine: APIClient, service: str) -> str | None:
    """The base that the image of a service was built on by name; None for one of this machine's programs."""
    found = engine.images(name=image_name(service), filters={"label": f"{SERVICE}={service}"})
    return next((image["Labels"].get(BASE) or None for image in found), None)


@build_turn()
def build_image(
    engine: APIClient, service: str, base: str | None = None, say: Callable[[str], None] = lambda _: None
) -> str:
    """Build the image of one service, unless it is there with the same content; return its name.

    base: the image to build it on; None: one made of this machine's programs, for which no registry is
    asked. Processes build one after another. Raises TargetError with what the engine said.
    """
    on = base or _base_image(engine, service, say)
    context = _context(service)
    content = hashlib.sha256(repr((context, _image_id(engine, on))).encode()).hexdigest()[:16]
    name = image_name(service)
    if engine.images(name=name, filters={"label": f"{CONTENT}={content}"}):
        say(f"{name} is up to date")
        return name
    say(f"building {name} on {on}")
    labels = {SERVICE: service, CONTENT: content, BASE: base or ""}
    folder = SERVICES[service].image_folder or service
    _follow(
        service,
        lambda: engine.build(
            fileobj=io.BytesIO(context),
            custom_context=True,
            dockerfile=f"bench/stack/images/{folder}/Dockerfile",
            buildargs={"BASE": on},
            labels=labels,
            tag=name,
            rm=True,
            forcerm=True,
            decode=True,
            timeout=BUILD_TIMEOUT_S,
        ),
    )
    _remove_older(engine, service, keep={name, on})
    return name


@build_turn()
def remove_images(engine: APIClient) -> list[str]:
    """Remove the images that were built here, and their bases; return their names."""
    from docker.errors import APIError

    names = [
        name
        for image in engine.images(filters={"label": SERVICE})
        for name in image["RepoTags"] or ()
        if name.startswith(f"{REPOSITORY}/")
    ]
    removed = []
    for name in sorted(names, key=lambda name: name.startswith(f"{REPOSITORY}/base-")):
        try:
            engine.remove_image(name)
        except APIError:
            continue  # a container still uses it
        removed.append(name)
    return removed


def _remove_older(engine: APIClient, service: str, keep: set[str]) -> None:
    """Remove earlier images of a service and their bases, where no container uses them."""
    from docker.errors import APIError

    for image in engine.images(filters={"label": f"{SERVICE}={service}"}):
        names = [name for name in image["RepoTags"] or () if name != "<none>:<none>"]
        if not keep & set(names):
            with contextlib.suppress(APIError):
                engine.remove_image(names[0] if names else image["Id"])


def _base_image(engine: APIClient, service: str, say: Callable[[str], None]) -> str:
    from docker.errors import APIError

    base = base_of(service)
    repository = f"{REPOSITORY}/base-{service.replace('_', '-')}"
    tag = hashlib.sha256(f"{base.files.digest()}{base.changes}".encode()).hexdigest()[:16]
    name = f"{repository}:{tag}"
    if engine.images(name=name):
        return name
    say(f"importing {name}: {base.origin}")
    with tempfile.TemporaryFile() as archive:
        base.files.write(archive)
        archive.seek(0)
        try:
            engine.import_image_from_data(
                archive, repository=repository, tag=tag, changes=[*base.changes, f"LABEL {SERVICE}={service}"]
            )
        except APIError as error:
            raise _refused(service, explanation(error)) from None
    return name


def _image_id(engine: APIClient, name: str) -> str:
    """The engine's id of an image; its name where the engine would have to fetch it first."""
    from docker.errors import APIError

    try:
        return str(engine.inspect_image(name)["Id"])
    except APIError:
        return name


def _context(service: str) -> bytes:
    """What a Dockerfile may copy: the images' own files, and for the API its sources."""
    sources = sorted((PACKAGE / "stack" / "images").rglob("*"))
    if packages := SERVICES[service].image_packages:
        parts = (PACKAGE.glob("*.py"), *(PACKAGE.joinpath(name).rglob("*.py") for name in packages))
        sources = sorted({*sources, *itertools.chain(*parts)})
    return packed(
        {
            str(Path("bench") / source.relative_to(PACKAGE)): source.read_bytes()
            for source in sources
            if source.is_file() and "__pycache__" not in source.parts
        }
    )


def _follow(service: str, build: Callable[[], Iterator[Mapping[str, str]]]) -> None:
    from docker.errors import APIError

    last: list[str] = []
    try:
        for step in build():
            if "error" in step:
                raise _refused(service, " | ".join([*last[-3:], str(step["error"]).strip()]))
            if text := str(step.get("stream", "")).strip():
                last.append(text)
    except APIError as error:
        raise _refused(service, explanation(error)) from None


def _refused(service: str, found: str) -> TargetError:
    return TargetError(
        service,
        "images",
        "an image that can be built",
        found,
        "look at its Dockerfile below bench/stack/images, or name an image that is ready",
    )


USERS = {"root": 0, "www-data": 33, "nginx": 101, "postgres": 999, "redis": 998, "nobody": 65_534}
"""Those whom the servers' own defaults name; numbers as in the official images."""
TOOLS = ("mkdir", "cat", "ls", "chmod", "chown", "rm", "sleep", "id", "env", "mv")
"""Beside bash, which has kill and TCP built in."""
NEEDED_BY_LIBC = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
"""Loaded by name when a host is looked up; part of newer versions of the library itself."""
NOT_OF_PYTHON = (
    "site-packages",
    "dist-packages",
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "config-*",
    "*.a",
)
NOT_OF_POSTGRES = ("include", "*.a", "pkgconfig", "*_test*")
LIBRARIES = ("asyncpg", "circuitbreaker", "fastapi", "hiredis", "httptools", "redis", "uvicorn", "uvloop")
SITE = "/usr/local/lib/holdfast-packages"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Base:
    """Files, and how a container of them begins: as an import of an image takes it."""

    files: RootFiles
    changes: tuple[str, ...] = field(default=())
    origin: str = ""


def base_of(service: str) -> Base:
    """The base for a service. Raises TargetError for a program that this machine does not have."""
    return _BASES[service]()


def _redis() -> Base:
    server = find_server_binary()
    files = _common()
    names = [f"/usr/local/bin/{name}" for name in ("redis-server", "valkey-server")]
    files.program(server.path, *names)
    files.folder("/data", owner=USERS["redis"])
    changes = ("USER redis", "WORKDIR /data", "VOLUME /data", "EXPOSE 6379", 'CMD ["redis-server"]')
    return Base(files, changes, server.origin)


def _postgres(name: str) -> Base:
    programs = find_postgres(name)
    installation = programs.bin.resolve().parent
    files = _common()
    files.tree(installation, ignore=NOT_OF_POSTGRES)
    libraries = installation.parent.with_name(f"{installation.parent.name}.libs")
    if programs.is_wheel and libraries.is_dir():
        files.tree(libraries)
    files.libraries_of(path for path in programs.bin.iterdir() if path.is_file())
    files.libraries_of(installation.rglob("*.so"))
    for program in programs.bin.iterdir():
        files.link(f"/usr/local/bin/{program.name}", str(program))
    files.folder("/var/lib/postgresql", owner=USERS["postgres"])
    entry = "/usr/local/bin/docker-entrypoint.sh"
    files.text(entry, (HERE / "postgres" / "entrypoint.sh").read_text(), 0o755)
    changes = (
        "USER postgres",
        "ENV PGDATA=/var/lib/postgresql/data",
        "ENV LC_ALL=C",
        "VOLUME /var/lib/postgresql",
        "EXPOSE 5432",
        f'ENTRYPOINT ["{entry}"]',
        'CMD ["postgres"]',
    )
    return Base(files, changes, programs.origin)


def _api() -> Base:
    files = _common()
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    files.program(interpreter, "/usr/local/bin/python", "/usr/local/bin/python3")
    folders = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    for folder in folders:
        files.tree(folder, ignore=NOT_OF_PYTHON)
        files.libraries_of(folder.glob("lib-dynload/*.so"))
    modules = []
    for source, path in files_of_packages(LIBRARIES):
        files.file(source, f"{SITE}/{path}")
        if ".so" in source.suffixes:
            modules.append(source)
    files.libraries_of(modules)
    changes = (f"ENV PYTHONPATH={SITE}", 'CMD ["python"]')
    return Base(files, changes, f"this Python {sys.version.split()[0]}")


def _edge() -> Base:
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise TargetError(
            "edge", "images", "nginx on this machine", "none", "apt-get install nginx-light, or name an image"
        )
    files = _common()
    files.program(Path(program), "/usr/local/bin/nginx")
    for folder in ("/var/log/nginx", "/var/lib/nginx", "/var/cache/nginx", "/etc/nginx", "/run", "/var/run"):
        files.folder(folder)
    return Base(files, ("EXPOSE 80", 'CMD ["nginx", "-g", "daemon off;"]'), "nginx here")


_BASES: dict[str, Callable[[], Base]] = {
    "redis": _redis,
    "postgres": lambda: _postgres("postgres"),
    "postgres_16": lambda: _postgres("postgres_16"),
    "api": _api,
    "edge": _edge,
}


def _common() -> RootFiles:
    """A shell, a few tools, users, and what the C library looks for."""
    files = RootFiles()
    files.program(_here("bash"), "/bin/bash", "/bin/sh", "/usr/bin/bash")
    for tool in TOOLS:
        files.program(_here(tool), f"/bin/{tool}")
    users = [f"{name}:x:{number}:{number}:{name}:/:/bin/sh" for name, number in USERS.items()]
    groups = [f"{name}:x:{number}:" for name, number in USERS.items()]
    groups.append(f"nogroup:x:{USERS['nobody']}:")
    files.text("/etc/passwd", "\n".join(users) + "\n")
    files.text("/etc/group", "\n".join(groups) + "\n")
    files.text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    files.folder("/tmp", 0o1777)  # noqa: S108 - the image's own
    if Path("/etc/ld.so.cache").exists():
        files.file(Path("/etc/ld.so.cache"))  # where the loader finds libraries outside its usual folders
    for library in _beside_libc(files.paths()):
        files.file(library)
    return files


def _here(tool: str) -> Path:
    found = shutil.which(tool)
    if found is None:
        raise TargetError("images", "this machine", f"the program {tool}", "none on the PATH", "install it")
    return Path(found)


def _beside_libc(paths: Iterable[str]) -> list[Path]:
    folders = {Path(path).parent for path in paths if Path(path).name.startswith("libc.so")}
    return [folder / name for folder in folders for name in NEEDED_BY_LIBC if (folder / name).exists()]
