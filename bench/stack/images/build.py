"""Building the images: a base of this machine's programs unless one is named, then the Dockerfile on it.

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
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import bench
from bench.core.errors import TargetError, UsageError
from bench.registry import SERVICES
from bench.stack.docker.client import BASE, CONTENT, SERVICE, explanation
from bench.stack.images.root_files import packed

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

    from bench.stack.images.bases import base_of

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
