"""Embedding: what lacks a vector goes through the inference kernel, and is committed as it comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from dataide.errors import ModelError
from dataide.inference.identity import Identity, ModelLike, identify
from dataide.inference.job import Job, Progress
from dataide.inference.running import Means, Running, closing, meant, once, stacked
from dataide.storage import vectors

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.errors import DataideError
    from dataide.inference.kernel import Kernel
    from dataide.inference.pump import Results
    from dataide.storage.database import Cursor, Database
    from dataide.storage.media import Media
    from dataide.storage.vectors import Pending

# Texts are read so many at a time: a query for each batch would go through the column as often.
TEXTS_AT_ONCE = 8192


@dataclass(frozen=True)
class EmbedReport:
    """What an embedding did.

    Attributes:
        model: name of the embedding.
        revision: of the model.
        dimension: numbers in a vector.
        embedded: samples that got a vector now.
        present: samples that had one already.
        problems: pictures that could not be read, or that the model failed on; `session.problems()` lists them.
        seconds: wall time.
        cancelled: it was stopped; the same call goes on.
        note: what else to know.
    """

    model: str
    revision: str
    dimension: int
    embedded: int
    present: int
    problems: int
    seconds: float
    cancelled: bool = False
    note: str | None = None

    def __repr__(self) -> str:
        parts = []
        if self.embedded or not self.present:
            parts.append(
                f"Embedded {self.embedded:,} samples with {self.model!r}, {self.dimension} numbers each, "
                f"in {self.seconds:.1f} s."
            )
        if self.present:
            parts.append(f"{self.present:,} had their vectors already.")
        failed = f"{self.problems:,} could not be embedded" if self.problems else None
        return " ".join([*parts, *closing(failed, self.cancelled, self.note)])


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


class EmbeddingWork(Running[EmbedReport]):
    """One run of `embed`, over pictures or over a column of texts."""

    verb = "embedding"

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
        self._known: vectors.Embedding | None = None
        self._fresh: vectors.Embedding | None = None

    @property
    def source(self) -> str:
        return f"embed {self.identity.name}"

    def find_pending(self, revision: str | None, details: dict[str, Any]) -> Pending:
        known = vectors.embedding(self.database, self.identity.name)
        fits = known is not None and (
            self.identity.matches(known.revision) if revision is None else known.revision == revision
        )
        # Vectors of two revisions do not go together: torchvision may have newer weights.
        self._known = known if fits else None
        return vectors.pending(self.database, self._known, self.nos, self._text)

    def read(self, first: int, last: int) -> Sequence[bytes | DataideError]:
        if self._text is None:
            return super().read(first, last)
        if not self._read_from <= first < last <= self._read_from + len(self._read):
            some = self.pending.nos[first : max(last, first + TEXTS_AT_ONCE)]
            self._read_from, self._read = first, vectors.texts(self.database, some, self._text)
        found = self._read[first - self._read_from : last - self._read_from]
        gone = ModelError("It has no text any more.", code="no_text")
        return [text.encode("utf-8", "replace") if text else gone for text in found]

    def store(self, cursor: Cursor, positions: np.ndarray, results: Results, revision: str) -> None:
        rows = stacked(results, "vectors")
        if self._known is not None and vectors.embedding(self.database, self._known.name) != self._known:
            raise ModelError(
                f"The embedding {self._known.name!r} was made anew by another model meanwhile.",
                hint="Give the vectors of this one a name of their own: embed(…, name='…').",
                code="replaced",
            )
        into = self._known or self._made(cursor, revision, rows.shape[1])
        if into.dimension != rows.shape[1]:
            raise ModelError(
                f"{into.name} gave {rows.shape[1]} numbers each, and {into.dimension} before.",
                hint="Give the new one a name of its own: embed(…, name='…').",
            )
        vectors.store(cursor, into, self.pending.nos[positions], self.pending.media_revisions[positions], rows)
        self._fresh = into

    def commit(self, results: Results, revision: str) -> None:
        self._fresh = self._known
        super().commit(results, revision)
        self._known = self._fresh  # only now: had it not been committed, it would not be there

    def report(self, seconds: float, present: int, cancelled: bool) -> EmbedReport:
        known = self._known
        return EmbedReport(
            model=self.identity.name,
            revision=known.revision if known else self.identity.revision or "",
            dimension=known.dimension if known else 0,
            embedded=self.did.good,
            present=present,
            problems=self.did.problems,
            seconds=seconds,
            cancelled=cancelled,
            note=self.note,
        )

    def _made(self, cursor: Cursor, revision: str, dimension: int) -> vectors.Embedding:
        """The embedding to write into: a new one, unless another job has made it meanwhile."""
        name = self.identity.name
        there = check_place(self.database, name, self._text)
        if there is not None and there.revision == revision and there.dimension == dimension:
            return there
        if there is not None:
            self.did.notes.append(f"The vectors that {there.revision} had made under this name were replaced")
        made = vectors.create(cursor, name, revision, dimension, self._text)
        self.database.rebuild_views(cursor)
        return made
