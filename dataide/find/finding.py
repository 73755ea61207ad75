"""`view.find_issues(kinds)`: looks for what is suspicious, and keeps it as issues with score, reason and proposal.

What a search needs is made first: the embedding "auto" where there is none, and the attributes of `enrich("quality")`.
What takes long runs in a process of its own (`computing.py`). A search whose samples, labels, pictures, vectors and
method are as they were the last time is not made again; one that is made replaces what was known of its samples in one
transaction, and what people answered stays answered while picture and label are the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.object_actions import things
from dataide.core.predicate import column_named
from dataide.errors import DataideError, ModelError, did_you_mean
from dataide.find import issue_kinds, small_pictures
from dataide.find.computing import Computing
from dataide.find.families import Family, Materials
from dataide.find.issue_kinds import FAMILIES, KINDS, OBJECT_KINDS
from dataide.find.issues_of_boxes import Boxes
from dataide.inference.job import Job, Progress
from dataide.storage import findings, issues, object_vectors, runs, vectors
from dataide.storage.samples import ascending, with_pictures

if TYPE_CHECKING:
    from dataide.inference.kernel import Kernel
    from dataide.storage.database import Database
    from dataide.storage.media import Media
    from dataide.storage.run_tables import Run
    from dataide.storage.vectors import Embedding

AUTO = "auto"
QUALITY = "quality"
CLASSIFICATION, DETECTION = "classification", "detection"


@dataclass(frozen=True)
class IssueReport:
    """What a search found.

    Attributes:
        samples: that were looked at.
        objects: that were looked at, where only objects were asked about; then `told` says of how many of them each
            kind has open findings, and `found` on how many samples they are.
        found: how many issues of each kind there are now among them, the ones that were answered left out.
        fresh: kinds that were as they were the last time, and not computed again.
        skipped: kinds that could not be looked for, and why.
        seconds: wall time.
        notes: what else to know.
    """

    samples: int
    found: dict[str, int]
    fresh: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    objects: int | None = None
    told: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        if not (self.samples if self.objects is None else self.objects):
            return f"There are no {'samples' if self.objects is None else 'objects'} to look at."
        some = [f"{count:,} {_said(kind)}" for kind, count in (self.told or self.found).items() if count]
        looked = f"{self.samples:,} samples"
        if self.objects is not None:
            looked = f"{things(self.objects)} of {looked}"
        parts = [f"Looked at {looked} in {self.seconds:.1f} s: {', '.join(some) or 'no issues'}."]
        if some:
            first = next(kind for kind, count in self.found.items() if count)
            parts.append(f"session.issues({first!r}) lists them.")
        if self.fresh:
            parts.append(f"Nothing has changed for {', '.join(map(_said, self.fresh))} since the last search.")
        parts += [f"Not looked for {_said(kind)}: {why}" for kind, why in self.skipped.items()]
        return " ".join([*parts, *self.notes])


def find_issues(
    database: Database,
    media: Media,
    nos: np.ndarray,
    kinds: Sequence[str] | str | None = None,
    *,
    embedding: str | None = None,
    run: str | None = None,
    annotators: Sequence[str] = (),
    reference: np.ndarray | None = None,
    again: bool = False,
    kernel: Kernel | None = None,
    seed: int = 0,
    objects: np.ndarray | None = None,
    crops: str | None = None,
    lenient: bool = False,
    further: Sequence[Family] = (),
    progress: Progress | None = None,
    wait: bool = True,
) -> IssueReport | Job[IssueReport]:
    """Looks for issues among samples; Ctrl-C keeps the kinds that were finished.

    Args:
        database: the session's.
        media: reads the pictures, where vectors or attributes must be made first.
        nos: sample numbers.
        kinds: of `issue_kinds.KINDS`; "quality" means all kinds of it; None for all that can be looked for.
        embedding: whose vectors; by default "auto", which is made where there are none, else the latest.
        run: of a model that was not trained on these samples: of a classifier, whose probabilities take the place of
            our own probes', or of a detector, to judge boxes by.
        annotators: columns with the labels that further people gave.
        reference: numbers of samples that are as they should be, for outliers; by default they are looked for among the
            samples themselves.
        again: also where nothing has changed.
        kernel: whose process embeds.
        seed: of what is drawn at random.
        objects: numbers of objects, for the kinds that are about objects: only these, all of which are of the samples.
        crops: whose vectors of crops; by default the latest of objects.
        lenient: kinds that cannot be looked for are left out, as without `kinds`.
        further: families of kinds beside those of this room.
        progress: called with (steps done, of so many, sentence): on the caller's thread, or, without waiting, on the
            job's.
        wait: False returns a Job at once.

    Raises:
        ModelError: there is no such kind, embedding or classifier, or what a kind needs cannot be had.
    """
    vectors.check_writable(database)
    known = _run(database, run) if run is not None else None
    wanted = _wanted(kinds, [*KINDS, *(kind for family in further for kind in family.kinds)])
    if kinds is None and (known is None or known.task != DETECTION):
        wanted = [kind for kind in wanted if kind not in Boxes.kinds]
    cropped = _cropped(database, crops)
    if kinds is None and cropped is None:
        wanted = [kind for kind in wanted if kind not in OBJECT_KINDS]
    if embedding is not None and embedding != AUTO and vectors.embedding(database, embedding) is None:
        names = [one.name for one in vectors.embeddings(database)]
        raise ModelError(
            f"There is no embedding {embedding!r}.", hint=did_you_mean(embedding, names), code="no_vectors"
        )
    work = _Finding(database, media, ascending(np.asarray(nos, np.uint32)), wanted, kinds is not None and not lenient)
    work.embedding, work.run, work.again, work.kernel, work.seed = embedding, known, again, kernel, seed
    work.families = (*FAMILIES, *further)
    work.crops, work.objects = cropped, None if objects is None else ascending(np.asarray(objects, np.uint32))
    work.reference = None if reference is None else ascending(np.asarray(reference, np.uint32))
    work.annotators = [column_named(name, database.columns()) for name in annotators]
    job = Job(work, verb="Looking for issues", owner=database)
    job.counts = False
    return job.complete(progress) if wait else job.watched(progress)


def _wanted(kinds: Sequence[str] | str | None, known: list[str]) -> list[str]:
    """The kinds that are meant, each once."""
    if kinds is None:
        return known
    given = [kinds] if isinstance(kinds, str) else list(kinds)
    wanted: list[str] = []
    for kind in given:
        if kind not in known and kind != QUALITY:
            raise ModelError(
                f"There is no kind of issue {kind!r}.", hint=did_you_mean(str(kind), [*known, QUALITY]), code="no_kind"
            )
        wanted += issue_kinds.QUALITY_KINDS if kind == QUALITY else [kind]
    if not wanted:
        raise ModelError("No kind of issue was asked for.", hint=f"There are: {', '.join(known)}.", code="no_kind")
    return list(dict.fromkeys(wanted))


def _cropped(database: Database, name: str | None) -> Embedding | None:
    """The embedding of objects of this name, or the latest; None where there is none."""
    known = object_vectors.embeddings(database)
    if name is not None and name not in (names := [one.name for one in known]):
        raise ModelError(
            f"Objects have no embedding {name!r}.",
            hint=did_you_mean(name, names) if names else "session.objects.embed() makes one.",
            code="no_embedding",
        )
    return next((one for one in reversed(known) if name in (None, one.name)), None)


def _run(database: Database, name: str) -> Run:
    known = runs.require(database, name)
    if known.task not in (CLASSIFICATION, DETECTION):
        names = [one.name for one in runs.runs(database) if one.task in (CLASSIFICATION, DETECTION)]
        raise ModelError(
            f"The run {name!r} is one of {known.task}, and says nothing of labels or boxes.",
            hint=did_you_mean(name, names) or "Leave run out: probes are trained on vectors then.",
            code="task",
        )
    return known


class _Finding:
    """One search: the work of a job."""

    embedding: str | None
    run: Run | None
    again: bool
    kernel: Kernel | None
    seed: int
    families: tuple[Family, ...]
    annotators: list[str]
    reference: np.ndarray | None
    crops: Embedding | None
    objects: np.ndarray | None

    def __init__(self, database: Database, media: Media, nos: np.ndarray, kinds: list[str], asked: bool) -> None:
        self._database = database
        self._media = media
        self._nos = nos
        self._kinds = kinds
        self._asked = asked  # by name: what cannot be looked for is an error then
        self._notes: list[str] = []
        self._skipped: dict[str, str] = {}
        self._fresh: list[str] = []
        self._step = 0
        self._steps = 1

    def __call__(self, job: Job[IssueReport]) -> IssueReport:
        began = time.monotonic()
        self._job = job
        chosen = {family: kinds for family in self.families if (kinds := [k for k in family.kinds if k in self._kinds])}
        self._steps = len(chosen) + 1
        self._say("reading labels")
        looked = issues.seen(self._database, self._nos)
        if len(looked.nos):
            self._search(looked, chosen)
        job.advance(self._steps, self._steps, "searched")
        about = None if self.objects is None else len(self.objects)
        found = self._counted(looked.nos)
        told = {} if about is None else self._told(looked.nos)
        return IssueReport(
            len(looked.nos), found, tuple(self._fresh), self._skipped, time.monotonic() - began,
            tuple(dict.fromkeys(self._notes)), about, told,
        )  # fmt: skip

    def _search(self, looked: issues.Seen, chosen: dict[Family, list[str]]) -> None:
        materials = Materials(
            self._database, looked, seed=self.seed, annotators=self.annotators, reference=self.reference,
            objects=self.objects, crops=self.crops,
        )  # fmt: skip
        if self.run is not None and self.run.task == DETECTION:
            materials.detector = self.run
        else:
            materials.run = self.run
        ready: dict[Family, list[str]] = {}
        for family, kinds in chosen.items():
            why = family.hindrance(materials)
            if why is None:
                ready[family] = kinds
                continue
            if self._asked:
                raise ModelError(f"Issues of the kind {_said(kinds[0])} cannot be looked for: {why}", code="no_issues")
            self._skipped.update(dict.fromkeys(kinds, why))
        materials.attributes = self._attributes(any(family.wants_attributes for family in ready))
        if any(family.wants_pictures for family in ready) and len(nos := self._pictured()):
            self._through(small_pictures.make(self._database, self._media, nos, self.kernel))
        if any(family.wants_vectors(materials) for family in ready):
            materials.embedding = self._vectors()
        due: dict[Family, tuple[list[str], str]] = {}
        for family, kinds in ready.items():
            try:
                revision = family.revision(materials)
            except DataideError as error:
                self._hindered(kinds, error)
                continue
            # All kinds of a family come of one computation.
            if not self.again and all(issues.is_fresh(self._database, kind, revision) for kind in kinds):
                self._fresh += kinds
            else:
                due[family] = (kinds, revision)
        self._steps = len(due) + 1
        if due:
            with Computing() as computing:
                self._job.on_cancel(computing.end)
                materials.computing = computing
                for family, (kinds, revision) in due.items():
                    self._step += 1
                    self._one(family, kinds, revision, materials)

    def _one(self, family: Family, kinds: list[str], revision: str, materials: Materials) -> None:
        self._say(family.sentence)
        try:
            found, notes = family.search(materials, kinds, self._say)
        except DataideError as error:
            if self._job.cancelled or error.code in ("cancelled", "child_died"):
                raise
            self._hindered(kinds, error)
            return
        self._notes += notes
        with self._database.write() as cursor:
            issues.store(cursor, materials.looked, kinds, found, revision, " ".join(notes) or None)

    def _hindered(self, kinds: list[str], error: DataideError) -> None:
        """What one kind lacks is no reason to leave out the others, unless it alone was asked for."""
        if self._asked:
            raise error
        self._skipped.update(dict.fromkeys(kinds, str(error)))

    def _attributes(self, wanted: bool) -> dict[str, str]:
        """The columns of the attributes of pictures; when they are wanted, those that are missing are computed."""
        from dataide.inference.enriching import enrich

        if wanted and len(nos := self._pictured()):
            self._through(enrich(self._database, self._media, nos, QUALITY, kernel=self.kernel, wait=False))
        known = runs.run(self._database, QUALITY)
        return dict(known.columns) if known is not None else {}

    def _vectors(self) -> Embedding | None:
        """The embedding to search in; None where there is none and no picture to make one of."""
        from dataide.inference.embedding import embed

        names = [one.name for one in vectors.embeddings(self._database)]
        name = self.embedding or (AUTO if AUTO in names or not names else names[-1])
        known = vectors.embedding(self._database, name)
        if name == AUTO and (known is None or known.source is None) and len(nos := self._pictured()):
            self._through(embed(self._database, self._media, nos, AUTO, kernel=self.kernel, wait=False))
        return vectors.embedding(self._database, name)

    def _pictured(self) -> np.ndarray:
        """Those of the samples that have a picture."""
        try:
            return with_pictures(self._database, self._nos)
        except ModelError:  # none of them
            return np.zeros(0, np.uint32)

    def _through(self, part: Any) -> None:
        """Waits for a job that this one needs, shows what it does, and ends it with this one."""
        assert isinstance(part, Job)
        self._job.on_cancel(part.cancel)
        while not part.wait(0.2):
            self._say(part.sentence)
        part.result()
        if self._job.cancelled:
            raise ModelError("The search was stopped; nothing has changed.", code="cancelled")

    def _counted(self, nos: np.ndarray) -> dict[str, int]:
        """The open issues of these samples, by kind."""
        found = issues.open_among(self._database, nos)
        return {kind: found.get(kind, 0) for kind in self._kinds if kind not in self._skipped}

    def _told(self, nos: np.ndarray) -> dict[str, int]:
        """How many objects of these samples have open findings, by kind."""
        found = findings.open_objects(self._database, nos)
        return {kind: found.get(kind, 0) for kind in self._kinds if kind not in self._skipped}

    def _say(self, sentence: str) -> None:
        self._job.advance(self._step, self._steps, sentence)


def _said(kind: str) -> str:
    return kind.replace("_", " ")
