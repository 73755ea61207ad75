"""Linters over a session: the whole set at once (`session.lint()`), and one sample live while somebody annotates.

What is usual in a set (sizes, shapes, company) is learned once and kept with the session, until its objects change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.object_views import Among, ObjectView
from dataide.core.repairs import in_words
from dataide.errors import DataideError, FilterError, did_you_mean
from dataide.review import crop_vectors, own_rules
from dataide.review.findings import ACTS, NONE, SENTENCES, SEVERITIES, Finding
from dataide.review.learning import Learn, here
from dataide.review.lint_report import LintReport
from dataide.review.linters import Known, Objects, learn, lint, objects
from dataide.review.objects import LinterError
from dataide.review.own_rules import Rule
from dataide.storage import findings as stored
from dataide.storage import issues

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.review.crop_vectors import CropVectors
    from dataide.storage.vectors import Embedding

_log = logging.getLogger(__name__)
Say = Callable[[str], None]
Stop = Callable[[], bool]
RulesLike = str | Rule | Sequence[str | Rule] | None

KIND = "linter"
# What is usual does not change by a few boxes more or less.
_CHANGED = 0.1
# A label by a slip of the keyboard is rare beside the right one.
_RARE = 0.1
_CLOSE = 0.8


def _silent(sentence: str) -> None:
    return None


def _never() -> bool:
    return False


def lint_session(
    context: Context,
    nos: np.ndarray | None = None,
    rules: RulesLike = None,
    *,
    among: ObjectView | None = None,
    vocabulary: Sequence[str] | None = None,
    learn_by: Learn = here,
    say: Say = _silent,
    stop: Stop = _never,
) -> LintReport:
    """Runs all rules over samples and their objects.

    Args:
        context: the session's.
        nos: sample numbers; None for all that are not excluded.
        rules: names of rules, or rules of one's own, to keep to; None for all.
        among: only findings about these objects; the others of their pictures are still looked at.
        vocabulary: labels that are allowed; by default, for objects, those that came with a COCO file.
        learn_by: learns what is usual where that is not known.
        say: told in a sentence what is being done.
        stop: asked now and then; what was found up to there comes back.

    Raises:
        LinterError: there is no such rule.
    """
    began = time.monotonic()
    own, wanted = _chosen(rules)
    say("reading objects")
    learned = Learned.of(context)
    known = learned.now(learn_by, say, stop)
    columns, sizes, names = stored.object_columns(context.database, nos, known.classes)
    table = objects(columns, sizes, names, vocabulary=_allowed(context, vocabulary))
    about, all_names, looked = _samples(context, nos, names, vocabulary)
    broken, problems = _expressions(context, own, columns["object_no"])
    vectors = learned.vectors(known, columns["object_no"])
    found = lint(table, known, samples=about, vectors=vectors, own=own, broken=broken, say=say, stop=stop)
    found = replace(found, classes=tuple(all_names), problems=[*found.problems, *problems])
    if wanted is not None:
        found = found.take(np.isin(found.rule, [place for place, name in enumerate(found.rules) if name in wanted]))
    if among is not None:
        found = found.take(np.isin(found.object_no, among.nos().astype(np.int64)))
    return LintReport(context, found, looked, len(table), time.monotonic() - began)


@dataclass(frozen=True)
class Live:
    """What rules say of one sample now.

    Attributes:
        findings: the most severe first.
        learning: what is usual is still being learned, and rules that need it have said nothing: look again later.
    """

    findings: list[Finding]
    learning: bool


def lint_sample(context: Context, no: int, learn_by: Learn = here) -> Live:
    """Runs all rules over one sample's objects, as they are now: for every stroke while somebody annotates.

    It waits for nothing: what is usual is learned in the background, and until then only rules that need nothing
    learned say something.

    Args:
        context: the session's.
        no: number of the sample.
        learn_by: learns what is usual where that is not known.
    """
    chosen = np.array([no], np.uint32)
    learned = Learned.of(context)
    at_hand = learned.at_hand(learn_by)
    known = at_hand or learn(_nothing())
    columns, sizes, names = stored.object_columns(context.database, chosen, known.classes)
    if not len(columns["object_no"]):
        return Live([], False)
    table = objects(columns, sizes, names, vocabulary=_allowed(context, None))
    own = list(own_rules.RULES.values())
    broken, _ = _expressions(context, own, columns["object_no"], chosen)
    # A box that is being moved has no vector of its crop, and is judged without.
    vectors = learned.vectors(known, columns["object_no"])
    found = lint(table, known, vectors=vectors, own=own, broken=broken)
    return Live(sorted(found, key=lambda one: one.score), at_hand is None)


class Learned:
    """What is usual in a session's objects, kept with it. Safe on any thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._learning = threading.Lock()
        self._known: Known | None = None
        self._crops: Embedding | None = None
        self._version: tuple[object, ...] = ()
        self._count = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        context.at_close(self.end)

    @classmethod
    def of(cls, context: Context) -> Learned:
        """The session's."""
        with context.lock:
            kept = context.attached.get("linting")
            if kept is None:
                kept = context.attached["linting"] = cls(context)
        assert isinstance(kept, Learned)
        return kept

    def now(self, learn_by: Learn = here, say: Say = _silent, stop: Stop = _never) -> Known:
        """As the objects are now; learned where they have changed."""
        with self._learning:
            database = self._context.database
            version = (*stored.fingerprint(database), *crop_vectors.stamp(database))
            with self._lock:
                if self._known is not None and self._version == version:
                    return self._known
            columns, sizes, names = stored.object_columns(database, None)
            of = crop_vectors.latest(database)
            vectors = None if of is None else crop_vectors.crops(database, columns["object_no"], of)
            known = learn_by(objects(columns, sizes, names), say, stop, vectors)
            if not stop():
                with self._lock:
                    self._known, self._version, self._count = known, version, len(columns["object_no"])
                    self._crops = of
            return known

    def vectors(self, known: Known, object_no: np.ndarray) -> CropVectors | None:
        """Vectors of the crops of these objects, of the embedding that was learned from; None where none was."""
        with self._lock:
            of = self._crops
        if of is None or known.swaps is None or known.swaps.dimension != of.dimension:
            return None
        return crop_vectors.crops(self._context.database, object_no, of)

    def at_hand(self, learn_by: Learn = here) -> Known | None:
        """As good as known; where nothing is yet, or much has changed, it is learned in the background.

        Returns:
            What was learned last; None before that.
        """
        with self._context.database.query("SELECT count(*) FROM data.object WHERE NOT removed AND NOT crowd") as cursor:
            count = int(cursor.fetchall()[0][0])
        with self._lock:
            known = self._known
            fresh = known is not None and abs(count - self._count) <= _CHANGED * self._count
            if not fresh and (self._thread is None or not self._thread.is_alive()) and not self._ended.is_set():
                self._thread = threading.Thread(
                    target=self._learn, args=(learn_by, count), name="dataide linters learn", daemon=True
                )
                self._thread.start()
        return known

    def settled(self, seconds: float) -> bool:
        """Waits for what is being learned in the background; whether nothing is any more."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def end(self) -> None:
        """Ends what is being learned; the session closes."""
        self._ended.set()
        self.settled(10)

    def _learn(self, learn_by: Learn, count: int) -> None:
        try:
            self.now(learn_by, stop=self._ended.is_set)
        except DataideError as error:
            if self._ended.is_set():
                return
            # Live findings go without until the objects are others; a search tries again and says what is wrong.
            _log.warning("What is usual could not be learned: %s", error)
            with self._lock:
                if self._known is None:
                    self._known, self._count = learn(_nothing()), count


def as_issues(report: LintReport) -> issues.Found:
    """The findings as issues: one for each sample, by the worst of its findings, with all of them beside it."""
    found = report.findings
    serious = found.severity < SEVERITIES.index("hint")
    # Where something is serious, a hint is not what the issue is about.
    weight = found.score + np.where(serious, 0.0, 2.0)
    order = np.lexsort((weight, found.sample_no))
    nos, first, count = np.unique(found.sample_no[order], return_index=True, return_counts=True)
    worst = order[first]
    told = [found.message(row) for row in range(len(found))]
    mendable = serious & (found.act != NONE) & (found.object_no >= 0)
    acts: list[list[str]] = [[] for _ in nos]
    for place, act in zip(np.searchsorted(nos, found.sample_no[mendable]).tolist(), found.act[mendable].tolist(),
                          strict=True):  # fmt: skip
        acts[place].append(ACTS[act])
    texts = [in_words(listed) for listed in acts]
    words = sorted({text for text in texts if text})
    spots = {text: number for number, text in enumerate(words)}
    reasons = {
        row: told[at] + ("" if many == 1 else f" And {many - 1} more finding{'s' if many > 2 else ''}.")
        for row, (at, many) in enumerate(zip(worst.tolist(), count.tolist(), strict=True))
    }
    return issues.Found(
        nos.astype(np.uint32),
        found.score[worst],
        serious[worst],
        proposal=np.array([spots.get(text, -1) for text in texts], np.int32),
        words=words,
        reasons=reasons,
        findings=report.stored(told),
    )


def stamp(context: Context, nos: np.ndarray) -> tuple[Any, ...]:
    """What the findings about samples depend on: all objects, labels, sizes, look-alikes and rules."""
    columns, sizes, names = stored.object_columns(context.database, nos)
    about, all_names, _ = _samples(context, nos, names, None)
    rules = [
        (rule.name, rule.severity, rule.message, rule.where, rule.repair, _source(rule))
        for rule in own_rules.RULES.values()
    ]
    allowed = _allowed(context, None)
    learned_from = (*stored.fingerprint(context.database), *crop_vectors.stamp(context.database))
    return (*columns.values(), *sizes.values(), *about.values(), tuple(all_names), rules, allowed, learned_from)


def rule_names() -> list[str]:
    """All rules: ours, and those of one's own."""
    return [*SENTENCES, *own_rules.RULES]


def checked_rules(rules: RulesLike) -> None:
    """Refuses rules that are not there, before the work.

    Raises:
        LinterError: there is no such rule.
    """
    _chosen(rules)


def _chosen(rules: RulesLike) -> tuple[list[Rule], set[str] | None]:
    """Rules of one's own that run, and the names of the rules that are wanted, None for all."""
    if rules is None:
        return list(own_rules.RULES.values()), None
    given: Iterable[str | Rule] = [rules] if isinstance(rules, str | Rule) else rules
    own, wanted = [], set()
    for one in given:
        if isinstance(one, Rule):
            own.append(one)
            wanted.add(one.name)
        elif one in own_rules.RULES:
            own.append(own_rules.RULES[one])
            wanted.add(one)
        elif one in SENTENCES:
            wanted.add(one)
        else:
            raise LinterError(f"There is no rule {one!r}.", hint=did_you_mean(str(one), rule_names()))
    if not wanted:
        raise LinterError("No rule was named.", hint="Leave rules out for all of them.")
    return own, wanted


def _allowed(context: Context, vocabulary: Sequence[str] | None) -> list[str] | None:
    """The labels that objects may have; None for any."""
    if vocabulary is not None:
        return list(vocabulary)
    with context.database.query("SELECT label FROM data.object_label ORDER BY label") as cursor:
        declared = [str(label) for (label,) in cursor.fetchall()]
    return declared or None


def _samples(
    context: Context, nos: np.ndarray | None, names: list[str], vocabulary: Sequence[str] | None
) -> tuple[dict[str, np.ndarray], list[str], int]:
    """Columns of samples as `lint` takes them, all names of labels, and how many samples there are."""
    database = context.database
    if nos is None:
        with database.query("SELECT sample_no FROM data.sample WHERE NOT excluded ORDER BY sample_no") as cursor:
            nos = np.asarray(cursor.fetchnumpy()["sample_no"], np.uint32)
    looked = issues.seen(database, nos)
    spots = {name: number for number, name in enumerate(names)}
    all_names = [*names, *(name for name in looked.classes if name not in spots)]
    spots = {name: number for number, name in enumerate(all_names)}
    to_all = np.array([*(spots[name] for name in looked.classes), -1], np.int64)
    labels = to_all[looked.label_nos]
    meant = np.full(len(looked.nos), -2, np.int64)
    for name, proposal in _slips(looked, vocabulary).items():
        meant[labels == spots[name]] = spots.get(proposal or "", -1)
    group = np.full(len(looked.nos), -1, np.int64)
    sql = (
        "SELECT i.sample_no, i.group_no FROM data.issue_now i WHERE i.kind = 'near_duplicate' "
        "AND i.group_no IS NOT NULL AND i.state <> 'stale' AND NOT i.excluded"
    )
    with database.query(sql) as cursor:
        found = cursor.fetchnumpy()
    alike = np.asarray(found["sample_no"], np.uint32)
    at = np.minimum(np.searchsorted(looked.nos, alike), max(len(looked.nos) - 1, 0))
    if len(looked.nos) and len(alike):
        there = looked.nos[at] == alike
        group[at[there]] = np.asarray(found["group_no"], np.int64)[there]
    about = {"sample_no": looked.nos.astype(np.int64), "label_no": labels, "group": group, "meant": meant}
    return about, all_names, len(looked.nos)


def _slips(looked: issues.Seen, vocabulary: Sequence[str] | None) -> dict[str, str | None]:
    """Labels of samples that should be none, and what was meant, where one can tell.

    Without a vocabulary only labels that differ by case or spaces from one that is ten times as common.
    """
    counts = dict(zip(looked.classes, np.bincount(looked.label_nos[looked.label_nos >= 0],
                                                  minlength=len(looked.classes)).tolist(), strict=True))  # fmt: skip
    slips: dict[str, str | None] = {}
    if vocabulary is not None:
        plain = {name.casefold().strip(): name for name in vocabulary}
        for name in set(counts) - set(vocabulary):
            near = get_close_matches(name.casefold().strip(), list(plain), 1, _CLOSE)
            # What was meant must be a label that is known by number.
            slips[name] = plain[near[0]] if near and plain[near[0]] in counts else None
        return slips
    common: dict[str, str] = {}
    for name in sorted(counts, key=lambda name: -counts[name]):
        first = common.setdefault(name.casefold().strip(), name)
        if first != name and counts[name] <= _RARE * counts[first]:
            slips[name] = first
    return slips


def _expressions(
    context: Context, rules: Sequence[Rule], object_no: np.ndarray, nos: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], list[tuple[str, str]]]:
    """Which objects break the rules that are SQL, and which of the rules cannot be read."""
    broken: dict[str, np.ndarray] = {}
    problems: list[tuple[str, str]] = []
    view = ObjectView(context) if nos is None else ObjectView(context, (Among("sample_no", nos, "of a sample"),))
    for rule in rules:
        if rule.where is None:
            continue
        try:
            broken[rule.name] = np.isin(object_no, view.where(rule.where).nos())
        except FilterError as error:
            problems.append((rule.name, str(error)))
    return broken, problems


def _source(rule: Rule) -> str:
    """What a function does, as well as can be told: another text when it was written anew."""
    code = getattr(rule.check, "__code__", None)
    return "" if code is None else f"{code.co_code.hex()} {code.co_consts!r} {code.co_names!r}"


def _nothing() -> Objects:
    empty = {name: np.empty(0) for name in ("object_no", "sample_no", "class_no", "x", "y", "width", "height")}
    return objects(empty, {"sample_no": np.empty(0), "width_px": np.empty(0), "height_px": np.empty(0)}, ())
