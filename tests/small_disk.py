"""A file system of one megabyte that a test can fill, empty and make read-only. Only root may mount one."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SIZE = "1m"


class SmallDisk:
    """Where it is mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take every byte that is left."""
        with self._filler.open("ab", buffering=0) as handle:
            for size in (65_536, 4096, 1):
                with contextlib.suppress(OSError):
                    while handle.write(b"\0" * size):
                        pass

    def clear(self) -> None:
        self._filler.unlink(missing_ok=True)

    def read_only(self, on: bool) -> None:
        _run("mount", "-o", f"remount,{'ro' if on else 'rw'}", str(self.folder))


@contextlib.contextmanager
def small_disk() -> Iterator[SmallDisk]:
    """Skips the test where nothing can be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="plumbline-disk-"))
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0711", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        folder.rmdir()
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", str(folder))
        folder.rmdir()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
