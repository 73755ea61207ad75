"""Who has the session file. DuckDB lets one process write; the others must hear who that is and what to do."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from dataide.errors import SessionError, SessionLocked

OWNER_FILE = "owner.json"


@dataclass(frozen=True)
class Owner:
    """The process that has a session open for writing."""

    pid: int
    command: str
    host: str
    since: str
    notebook: str | None = None

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        notebook = f", notebook {self.notebook}" if self.notebook else ""
        return f"process {self.pid}{where} ({_shortened(self.command)}{notebook})"


def claim(cache_dir: Path) -> None:
    """Notes beside the session that this process has it. A note only: the lock itself is DuckDB's."""
    # Jupyter tells a kernel the path of its notebook in this variable; some front ends put an identifier there.
    notebook = os.environ.get("JPY_SESSION_NAME") or None
    owner = Owner(
        pid=os.getpid(),
        command=_command_of(os.getpid()) or shlex.join([sys.executable, *sys.argv]),
        host=socket.gethostname(),
        since=datetime.now().astimezone().isoformat(timespec="seconds"),
        notebook=Path(notebook).name if notebook and notebook.endswith(".ipynb") else None,
    )
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        (cache_dir / OWNER_FILE).write_text(json.dumps(asdict(owner)), "utf-8")
    except OSError:
        return  # a folder that cannot be written to costs us the name, not the session


def release(cache_dir: Path) -> None:
    """Takes the note away, if it is this process's."""
    owner = owner_of(cache_dir)
    if owner is not None and owner.pid == os.getpid() and owner.host == socket.gethostname():
        (cache_dir / OWNER_FILE).unlink(missing_ok=True)


def owner_of(cache_dir: Path) -> Owner | None:
    """What the note beside the session says."""
    try:
        known = json.loads((cache_dir / OWNER_FILE).read_text("utf-8"))
        return Owner(
            int(known["pid"]), str(known["command"]), str(known["host"]), str(known["since"]), known.get("notebook")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def locked(path: Path, cache_dir: Path, refusal: str) -> SessionLocked:
    """The error for a file that another process has, made from DuckDB's own words and the note beside the file."""
    noted = owner_of(cache_dir)
    match = re.search(r"\(PID (\d+)\)", refusal)
    pid = int(match.group(1)) if match else None
    if noted is not None and (pid is None or pid == noted.pid):
        who = str(noted)
    elif pid is not None:
        who = str(Owner(pid, _command_of(pid) or "command unknown", socket.gethostname(), ""))
    else:
        who = "another process"
    return SessionLocked(
        f"{path.name} is open in {who}.",
        hint=f"Close it there (session.close(), or shut that kernel down), or look at a copy of its present state "
        f"with di.open({str(path.name)!r}, read_only=True).",
    )


def snapshot(path: Path) -> Path:
    """Copies the session file, with its write-ahead log, as it stands at one moment, into a new temporary folder.

    Raises:
        SessionError: the file kept changing under the copy.
    """
    folder = Path(tempfile.mkdtemp(prefix="dataide-"))
    for _ in range(20):
        before = _fingerprint(path)
        for part in before:
            shutil.copyfile(path.with_name(part), folder / part)
        if _fingerprint(path) == before:
            return folder / path.name
        for part in before:
            (folder / part).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    raise SessionError(
        f"{path.name} is being written to all the time by another process, so no copy of one moment could be made.",
        hint="Try again when its import or embedding has finished.",
    )


def _fingerprint(path: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the file and of its logs: unchanged over a copy, the copy is of one moment."""
    parts: dict[str, tuple[int, int]] = {}
    for part in sorted(path.parent.glob(f"{_escaped(path.name)}*")):
        if part.name == path.name or part.name.startswith(f"{path.name}.wal"):
            try:
                stat = part.stat()
            except FileNotFoundError:
                continue
            parts[part.name] = (stat.st_size, stat.st_mtime_ns)
    return parts


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _command_of(pid: int) -> str | None:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    words = [word.decode("utf-8", "replace") for word in raw.split(b"\0") if word]
    return " ".join(words) if words else None


def _shortened(command: str, limit: int = 160) -> str:
    return command if len(command) <= limit else f"{command[: limit - 1]}…"
