"""A root file system of this machine's programs, without an engine."""

import io
import os
import shutil
import tarfile
from pathlib import Path

from bench.stack.images.root_files import RootFiles, files_of_packages


def archive_of(files: RootFiles) -> tarfile.TarFile:
    packed = io.BytesIO()
    files.write(packed)
    packed.seek(0)
    return tarfile.open(fileobj=packed)


def test_a_program_comes_with_its_loader_and_its_c_library() -> None:
    files = RootFiles()
    bash = shutil.which("bash")
    assert bash
    files.program(Path(bash), "/bin/sh-of-test")
    names = archive_of(files).getnames()
    assert bash.lstrip("/") in names
    assert any(Path(name).name.startswith(("libc.so", "libc.musl")) for name in names)
    assert any(Path(name).name.startswith(("ld-", "ld.")) for name in names)


def test_folders_come_before_what_is_in_them_and_links_lead_where_they_should() -> None:
    files = RootFiles()
    files.text("/etc/deep/file", "text")
    files.link("/etc/link", "/etc/deep/file")
    files.folder("/data", owner=999)
    archive = archive_of(files)
    names = archive.getnames()
    assert names.index("etc") < names.index("etc/deep") < names.index("etc/deep/file")
    assert archive.getmember("etc/link").linkname == "/etc/deep/file"
    assert archive.getmember("data").uid == 999
    content = archive.extractfile("etc/deep/file")
    assert content is not None
    assert content.read() == b"text"


def test_a_tree_leaves_out_what_bears_an_ignored_name(tmp_path: Path) -> None:
    for name in ("kept/one.py", "kept/__pycache__/one.pyc", "test/two.py", "three.a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = RootFiles()
    files.tree(tmp_path, "/lib", ignore=("__pycache__", "test", "*.a"))
    assert files.paths() == ["/lib/kept/one.py"]


def test_the_digest_follows_contents_and_times(tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_text("one")

    def digest(text: str = "same") -> str:
        files = RootFiles()
        files.file(source)
        files.text("/etc/text", text)
        return files.digest()

    before = digest()
    assert digest() == before
    assert digest("other") != before
    os.utime(source, ns=(1, 1))
    assert digest() != before


def test_packages_come_with_what_they_require_and_nothing_of_their_extras() -> None:
    tops = {path.partition("/")[0] for _, path in files_of_packages(["fastapi"])}
    assert {"fastapi", "starlette", "pydantic", "anyio"} <= tops
    assert not {"pytest", "numba"} & tops
    assert not any(".." in path or "__pycache__" in path for _, path in files_of_packages(["fastapi"]))


def test_an_unknown_package_is_passed_over() -> None:
    assert list(files_of_packages(["there-is-no-such-package"])) == []
