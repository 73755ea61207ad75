"""Pictures in a folder and its subfolders."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dataide.errors import ImportProblem, MediaError
from dataide.formats.ingest import Batch, Conflict, Ingest, Report
from dataide.formats.progress import Listener
from dataide.storage import pictures
from dataide.storage.looking import Item
from dataide.storage.samples import Fault

if TYPE_CHECKING:
    from dataide.storage.database import Database
    from dataide.storage.media import Media

EXTENSIONS = frozenset(
    [
        "png",
        "apng",
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "jif",
        "gif",
        "webp",
        "tif",
        "tiff",
        "bmp",
        "dib",
        "ppm",
        "pgm",
        "pbm",
        "pnm",
        "pfm",
        "ico",
        "avif",
        "jp2",
        "j2k",
        "jpx",
        "heic",
        "heif",
    ]
)
BATCH = 2048


def add_folder(
    database: Database,
    media: Media,
    path: str | os.PathLike[str],
    *,
    label: Literal["folder"] | None = "folder",
    split: str | None = None,
    sample_id: Literal["path", "name", "stem"] | Callable[[str], str] | None = None,
    prefix: str = "",
    on_conflict: Conflict = "skip",
    progress: bool | Listener = True,
) -> Report:
    """Adds the pictures below a folder. They stay where they are; each one's id is its path inside the folder.

    Files and folders whose names begin with a dot are left alone, as are files that are no pictures by their extension;
    a file that says it is a picture and is not becomes a problem.

    Args:
        database: the session's file.
        media: the session's reader, which is granted this folder.
        path: the folder.
        label: "folder" takes the name of the folder that a picture lies in; None gives no labels.
        split: written to the column `split` of every sample.
        sample_id: what the id is made of: the path inside the folder ("path", as without it), the file's "name", its
            "stem" (the name without extension), or a function of the path inside the folder.
        prefix: put before each id, for a second folder with the same file names.
        on_conflict: what to do when an id is there already.
        progress: False for silence.

    Raises:
        ImportProblem: there is no such folder, or an id is taken and on_conflict is "error".
    """
    if label not in ("folder", None):
        raise ImportProblem(
            f"label is {label!r}.", hint="Say label='folder' for the names of the folders, or label=None."
        )
    if not (sample_id is None or callable(sample_id) or sample_id in _IDS):
        hint = "Say sample_id='path', 'name' or 'stem', or give a function of the path inside the folder."
        raise ImportProblem(f"sample_id is {sample_id!r}, and a folder has no columns.", hint=hint)
    make_id = sample_id if callable(sample_id) else _IDS[sample_id or "path"]
    root = Path(path).expanduser().absolute()
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise ImportProblem(
            f"{root} {what}, so there is no folder to add.", hint="session.add_folder('path/of/the/folder')"
        )
    media.grant(root)
    walk = _Walk(root, media, label == "folder", split, prefix, make_id)
    hint = f"To add them too, give these pictures ids of their own: prefix={root.name + '/'!r}."
    ingest = Ingest(database, f"folder {root.name}", on_conflict=on_conflict, progress=progress, clash_hint=hint)
    walk.ingest = ingest
    return ingest.run(walk.batches())


_IDS: dict[str, Callable[[str], str]] = {
    "path": lambda inside: inside,
    "name": lambda inside: inside.rpartition("/")[2],
    "stem": lambda inside: inside.rpartition("/")[2].rpartition(".")[0] or inside.rpartition("/")[2],
}


class _Walk:
    """Finds pictures in a fixed order, by name, folder by folder."""

    def __init__(
        self, root: Path, media: Media, labelled: bool, split: str | None, prefix: str, make_id: Callable[[str], str]
    ) -> None:
        self.ingest: Ingest | None = None
        self._root = root
        self._media = media
        self._labelled = labelled
        self._split = split
        self._prefix = prefix
        self._make_id = make_id
        base = media.relative(root)
        self._base = "" if base == "." else base.rstrip("/") + "/"
        self._others = self._found = 0
        self._visited: set[tuple[int, int]] = set()
        self._batch = self._empty()

    def _empty(self) -> Batch:
        return Batch([], [], [], [] if self._labelled else None, [] if self._split is not None else None)

    def batches(self) -> Iterator[Batch]:
        # Folders still to be read, the next one last. No recursion: a tree may be deeper than Python's stack.
        ahead = [(str(self._root), "")]
        while ahead:
            folder, inside = ahead.pop()
            below = self._read(folder, inside)
            ahead += reversed(below)
            if len(self._batch.ids) >= BATCH:
                yield from self._cut()
        yield from self._cut(all_of_it=True)
        assert self.ingest is not None
        if self.ingest is not None and not self._found:
            self.ingest.notes.append(f"There are no pictures in {self._root}.")
        if self._others:
            files = "1 other file was" if self._others == 1 else f"{self._others:,} other files were"
            self.ingest.notes.append(f"{files} left alone.")

    def _cut(self, all_of_it: bool = False) -> Iterator[Batch]:
        whole, self._batch = self._batch, self._empty()
        count = len(whole.ids)
        if count <= BATCH:
            if count or whole.faults:
                yield whole
            return
        for start in range(0, count, BATCH):
            end = start + BATCH
            yield Batch(
                whole.ids[start:end],
                whole.media[start:end],
                whole.items[start:end],
                whole.labels[start:end] if whole.labels is not None else None,
                whole.splits[start:end] if whole.splits is not None else None,
                faults=whole.faults if start == 0 else [],
            )

    def _read(self, folder: str, inside: str) -> list[tuple[str, str]]:
        """Notes the pictures of one folder, and returns the folders in it."""
        try:
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            if identity in self._visited:
                return []  # a link back to where we have been
            self._visited.add(identity)
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self._fault(inside or ".", "unreadable", f"the folder cannot be read: {error.strerror or error}")
            return []
        below: list[tuple[str, str]] = []
        name_of_folder = os.path.basename(folder)
        for entry in entries:
            name = entry.name
            if name[0] == "." or name == "__MACOSX":
                continue
            try:
                if entry.is_dir():
                    if self._may_enter(entry, inside + name):
                        below.append((entry.path, inside + name + "/"))
                    continue
            except OSError as error:
                self._fault(inside + name, "unreadable", f"it cannot be read: {error.strerror or error}")
                continue
            if self._is_picture(entry):
                self._note(entry, inside + name, name_of_folder)
            else:
                self._others += 1
        return below

    def _may_enter(self, entry: os.DirEntry[str], inside: str) -> bool:
        if not entry.is_symlink():
            return True
        real = os.path.realpath(entry.path)
        if real == str(self._root) or real.startswith(os.path.realpath(self._root) + os.sep):
            return False  # what it leads to is found where it lies
        try:
            self._media.trust.checked(entry.path)
        except MediaError as error:
            self._fault(inside, error.code, str(error))
            return False
        return True

    def _is_picture(self, entry: os.DirEntry[str]) -> bool:
        stem, dot, extension = entry.name.rpartition(".")
        if dot and stem:
            return extension.lower() in EXTENSIONS
        # Without an extension the first bytes decide. A pipe is not opened.
        try:
            if not stat.S_ISREG(entry.stat().st_mode):
                return False
            with open(entry.path, "rb") as file:
                return pictures.sniff(file.read(32)) is not None
        except OSError:
            return False

    def _note(self, entry: os.DirEntry[str], inside: str, folder: str) -> None:
        self._found += 1
        item: Item = entry.path
        try:
            inside.encode()
            folder.encode()
        except UnicodeEncodeError:
            self._fault(inside, "unreadable", "its name is not valid UTF-8, so it cannot be written down: rename it")
            return
        if entry.is_symlink():
            try:
                item = self._media.trust.checked(entry.path)
            except MediaError as error:
                item = error
        batch = self._batch
        batch.ids.append(self._prefix + str(self._make_id(inside)))
        batch.media.append(self._base + inside if self._base or ":" not in inside.split("/", 1)[0] else f"./{inside}")
        batch.items.append(item)
        if batch.labels is not None:
            batch.labels.append(folder)
        if batch.splits is not None:
            batch.splits.append(self._split)

    def _fault(self, inside: str, code: str, reason: str) -> None:
        shown = os.fsencode(self._base + inside).decode("utf-8", "backslashreplace")
        self._batch.faults.append(Fault(shown, code, reason[:1].upper() + reason[1:].rstrip(".") + "."))
