"""Embedding: what lacks a vector goes through the inference kernel, and is committed as it comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from dataide.errors import ModelError
from dataide.inference.identity import Identity, ModelLike, identify
from dataide.inference.job import Job, Progress
from dataide.inference.running import Means, meant, once
from dataide.inference.vector_work import EmbedReport, VectorWork
from dataide.storage import vectors

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.errors import DataideError
    from dataide.inference.kernel import Kernel
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media
    from dataide.storage.vectors import Pending

# Texts are read so many at a time: a query for each batch would go through the column as often.
TEXTS_AT_ONCE = 8192


@overload
def embed(
    database: Database,
    media: Media,
    nos: np.ndarray,
    model: ModelLike = "auto",
    *,
    name: str | None = None,
    progress: Progress | None = None,
    wait: Literal[True] = True,
    **options: Any,
) -> EmbedReport: ...
@overload
def embed(
    database: Database,
    media: Media,
    nos: np.ndarray,
    model: ModelLike = "auto",
    *,
    name: str | None = None,
    progress: Progress | None = None,
    wait: Literal[False],
    **options: Any,
) -> Job[EmbedReport]: ...
def embed(
    database: Database,
    media: Media,
    nos: np.ndarray,
    model: ModelLike = "auto",
    *,
    name: str | None = None,
    progress: Progress | None = None,
    wait: bool = True,
    **options: Any,
) -> EmbedReport | Job[EmbedReport]:
    """Gives each sample a vector, and returns when all have one; Ctrl-C keeps what was committed.

    Args:
        database: the session's.
        media: reads the pictures.
        nos: sample numbers; those that have a vector of their present picture are left alone.
        model: whatever `identify` knows: "auto", a name of torchvision, a callable on a list of PIL pictures …
        name: of the embedding; by default the model's.
        progress: called with (done, total, sentence): about ten times a second on the caller's thread, or, without
            waiting, at each step on the job's.
        wait: False returns a Job at once.
        **options: text=, a column of texts to embed in place of pictures; remember=, a dict for the model's identity;
            kernel=, batch_size= (see `Means`), and for loading the model those of `identify`.

    Raises:
        ModelError: the model cannot be had, or failed, or no sample has a text in the column.
    """
    text: str | None = options.pop("text", None)
    remember: dict[str, Identity] = options.pop("remember", {})
    means, loading = Means.of(options)
    if text is not None:
        loading["form"] = "text"
    work = EmbeddingWork(database, media, nos, meant(database, model, name, "embedding", loading), means, text)
    remember[work.identity.name] = work.identity
    return work.start(wait, progress)


def check_place(database: Database, name: str, text: str | None) -> vectors.Embedding | None:
    """The embedding of this name, if there is one, where vectors of this source may be written.

    Args:
        database: the session's.
        name: of the embedding.
        text: the column of texts that is embedded; None for the pictures.

    Raises:
        ModelError: it is of something else, or another one differs from it in capitals alone.
    """
    known = vectors.embeddings(database)
    there = next((one for one in reversed(known) if one.name == name), None)
    other = next((one.name for one in known if one.name.lower() == name.lower()), None)
    if there is None and other is not None:
        raise ModelError(
            f"There is an embedding {other!r} already, and SQL does not tell its table from one of {name!r}.",
            hint=f"Go on with name={other!r}, or give it another name.",
            code="embedding_name",
        )
    if there is not None and there.source != text:
        was, column = there.source or "the pictures", text or "pictures"
        raise ModelError(
            f"The embedding {name!r} is of {was}, and cannot be of {column} as well.",
            hint=f"Give it a name of its own: embed(…, name={f'{name}_{column}'!r}).",
            code="other_source",
        )
    return there


def remembered(context: Context) -> dict[str, Identity]:
    """What this process has embedded with, by name of the embedding; the session file knows no functions."""
    models: dict[str, Identity] = context.attached.setdefault("models", {})
    return models


def embed_pictures(
    model: ModelLike | Identity, data: list[bytes], *, name: str | None = None, kernel: Kernel | None = None
) -> np.ndarray:
    """Vectors of a few encoded pictures that are no samples, to search by; float32, a row for each.

    They overtake the jobs of the kernel between two batches.

    Args:
        model: as for `embed`, or its identity.
        data: encoded pictures.
        name: of the embedding; by default the model's.
        kernel: whose process computes; by default one for this call alone.

    Raises:
        ModelError: the model cannot be had, or a picture cannot be read.
    """
    identity = model if isinstance(model, Identity) else identify(model, name, task="embedding")
    options = {option: value for option, value in identity.options.items() if option != "form"}
    answer = once(replace(identity, options=options), data, kernel)
    if answer.problems:
        raise ModelError(f"The picture cannot be embedded: {answer.problems[0][2]}")
    return answer.arrays["vectors"]


def embed_texts(identity: Identity, texts: list[str], *, kernel: Kernel | None = None) -> np.ndarray:
    """Vectors of a few texts, to search by; float32, a row for each. They overtake jobs as `embed_pictures` does.

    Raises:
        ModelError: the model cannot be had, or does not read texts.
    """
    as_text = replace(identity, options={**identity.options, "form": "text"})
    answer = once(as_text, [text.encode("utf-8", "replace") for text in texts], kernel)
    if answer.problems:
        raise ModelError(f"The text cannot be embedded: {answer.problems[0][2]}")
    return answer.arrays["vectors"]


class EmbeddingWork(VectorWork[EmbedReport]):
    """One run of `embed`, over pictures or over a column of texts."""

    call = "embed"

    def __init__(
        self,
        database: Database,
        media: Media,
        nos: np.ndarray,
        identity: Identity,
        means: Means,
        text: str | None = None,
    ) -> None:
        super().__init__(database, media, nos, identity, means)
        self._text = text
        self._read_from, self._read = 0, list[str]()
        check_place(database, identity.name, text)
        if text is not None:
            given = len(self.nos)
            self.nos = vectors.with_texts(database, self.nos, text)
            if given > len(self.nos):
                self.did.notes.append(f"{given - len(self.nos):,} without a text in {text!r} were left out")

    @property
    def source(self) -> str:
        return f"embed {self.identity.name}"

    def named(self) -> vectors.Embedding | None:
        return vectors.embedding(self.database, self.identity.name)

    def lacking(self, known: vectors.Embedding | None) -> Pending:
        return vectors.pending(self.database, known, self.nos, self._text)

    def create(self, cursor: Cursor, revision: str, dimension: int) -> vectors.Embedding:
        check_place(self.database, self.identity.name, self._text)
        made = vectors.create(cursor, self.identity.name, revision, dimension, self._text)
        self.database.rebuild_views(cursor)
        return made

    def write(self, cursor: Cursor, into: vectors.Embedding, positions: np.ndarray, rows: np.ndarray) -> None:
        vectors.store(cursor, into, self.pending.nos[positions], self.pending.media_revisions[positions], rows)

    def read(self, first: int, last: int) -> Sequence[bytes | DataideError]:
        if self._text is None:
            return super().read(first, last)
        if not self._read_from <= first < last <= self._read_from + len(self._read):
            some = self.pending.nos[first : max(last, first + TEXTS_AT_ONCE)]
            self._read_from, self._read = first, vectors.texts(self.database, some, self._text)
        found = self._read[first - self._read_from : last - self._read_from]
        gone = ModelError("It has no text any more.", code="no_text")
        return [text.encode("utf-8", "replace") if text else gone for text in found]

    def report(self, seconds: float, present: int, cancelled: bool) -> EmbedReport:
        return EmbedReport(present=present, **self.told(seconds, cancelled))
