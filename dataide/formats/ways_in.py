"""The methods of a session that bring samples in; `api.Session` has them all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from dataide.core.context import Context
from dataide.storage import listings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from dataide.formats.candidates import Candidates
    from dataide.formats.ingest import Conflict, Report
    from dataide.formats.progress import Listener


class WaysIn:
    """What brings samples into a session.

    Attributes:
        context: the session's.
    """

    context: Context

    def add_folder(
        self,
        path: str | os.PathLike[str],
        *,
        label: Literal["folder"] | None = "folder",
        on_conflict: Conflict = "skip",
        **options: Any,
    ) -> Report:
        """Adds the pictures below a folder; they stay where they are. More in `dataide.formats.folder.add_folder`.

        Args:
            path: the folder.
            label: "folder" takes the name of the folder that a picture lies in; None gives no labels.
            on_conflict: what to do with ids that are there: skip, replace or error.
            **options: progress=False for silence; split=, prefix=.
        """
        from dataide.formats.folder import add_folder

        return self._added(add_folder, path, label=label, on_conflict=on_conflict, **options)

    def add_frame(
        self,
        frame: Any,
        *,
        media: str | None = "path",
        label: str | None = None,
        sample_id: str | None = None,
        on_conflict: Conflict = "skip",
        **options: Any,
    ) -> Report:
        """Adds a row per sample: from pandas, Polars, Arrow, a DuckDB relation or a list of dicts.

        Args:
            frame: the rows; all further columns are kept.
            media: the column of paths, URLs or image bytes; None for samples without pictures.
            label: the column of labels.
            sample_id: the column of ids; without one a stable id is derived.
            on_conflict: what to do with ids that are there: skip, replace or error.
            **options: progress=False for silence; root=, the folder of relative paths.
        """
        from dataide.formats.frame import add_frame

        given = {"media": media, "label": label, "sample_id": sample_id}
        return self._added(add_frame, frame, **given, on_conflict=on_conflict, **options)

    def add_arrays(
        self,
        images: NDArray[np.uint8],
        label: Sequence[Any] | NDArray[Any] | None = None,
        *,
        sample_id: Sequence[str] | None = None,
        on_conflict: Conflict = "skip",
        progress: bool | Listener = True,
        **columns: Any,
    ) -> Report:
        """Adds pictures of shape N×H×W or N×H×W×C, uint8; each further argument is a column of N values."""
        from dataide.formats.arrays import add_arrays

        given = {"label": label, "sample_id": sample_id, "on_conflict": on_conflict, "progress": progress}
        return self._added(add_arrays, images, **given, **columns)

    def add_parquet(
        self,
        glob: str | os.PathLike[str],
        media: str = "image",
        label: str | None = None,
        *,
        sample_id: str | None = None,
        on_conflict: Conflict = "skip",
        **options: Any,
    ) -> Report:
        """Adds the rows of Parquet files; the bytes of the pictures stay there and are read in place."""
        from dataide.formats.parquet import add_parquet

        given = {"media": media, "label": label, "sample_id": sample_id}
        return self._added(add_parquet, glob, **given, on_conflict=on_conflict, **options)

    def attach(
        self,
        name: str,
        source: Any,
        *,
        table: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Candidates:
        """Makes a table of any size readable in place, to filter and sample it and add only what was chosen.

        The session's file does not remember it, since a file that may be passed on must not reach outside itself:
        attach again after opening. Another source of the same name takes its place.

        Args:
            name: for people, and for `session.attached`.
            source: a Parquet file, a folder of them or a pattern, here or at an address such as `s3://bucket/x/*.parquet`
                (whatever fsspec reads); a pandas or Polars frame, an Arrow table or dataset; a DuckDB file or a DuckDB
                connection of yours, which may reach further (DuckLake, PostgreSQL …).
            table: of a DuckDB file or connection, for example "lake.main.pictures".
            storage_options: for the file system of an address: keys, an endpoint.

        Raises:
            ImportProblem: it is not there, cannot be reached, or is nothing of the kind.
        """
        from dataide.formats.attach import attach

        return attach(self.context, name, source, table=table, storage_options=storage_options)

    @property
    def attached(self) -> dict[str, Candidates]:
        """What is attached, by name."""
        from dataide.formats.attach import attached_to

        return dict(attached_to(self.context))

    def problems(self) -> pd.DataFrame:
        """What could not be taken in, fetched or read, with the reason: at, source, media, code, reason."""
        if "media" in self.context.__dict__:
            self.context.media.settle()
        frame: pd.DataFrame = listings.problems(self.context.database).to_pandas()
        return frame

    def _added(self, add: Callable[..., Report], what: Any, **options: Any) -> Report:
        return add(self.context.database, self.context.media, what, **options)
