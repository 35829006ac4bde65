"""What the base image of each service is made of, when it is made of this machine's own programs."""

import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.errors import TargetError
from bench.stack.images.root_files import RootFiles, files_of_packages
from bench.stack.services.programs import find_postgres, find_server_binary

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
