"""What linters found in a session: a table to read, and repairs to carry out as one decision."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core import object_actions
from dataide.core.actions import samples
from dataide.core.object_actions import things
from dataide.core.repairs import RepairObjects
from dataide.errors import did_you_mean
from dataide.review.findings import ACTS, BOX, NONE, RELABEL, SEVERITIES, Findings, Severity
from dataide.review.objects import LinterError
from dataide.storage import findings as stored
from dataide.storage.arrow import Frames, Result

if TYPE_CHECKING:
    import pyarrow as pa

    from dataide.core.context import Context
    from dataide.core.journal import Event
    from dataide.core.view import View

_NAMED = 6
_PREVIEW = 20
_SHOWN = ("severity", "rule", "message", "object_id", "sample_id", "repair")
_LISTED = (
    "f.severity, f.rule, f.message, o.object_id, s.sample_id, f.act AS repair, f.label, f.left_px, f.top_px, "
    "f.width_px, f.height_px, p.object_id AS other_id, f.score"
)


class LintReport(Frames):
    """Findings of linters, the most severe first.

    Columns: severity, rule, message, object_id (none for the sample itself), sample_id, repair (delete, box, relabel or
    none), label, left_px, top_px, width_px, height_px (of the repair), other_id, score (0..1, low = severe).

    Attributes:
        findings: in columns of numbers.
        samples, objects: how many were looked at.
        seconds: wall time.
    """

    def __init__(self, context: Context, findings: Findings, samples: int, objects: int, seconds: float) -> None:
        self._context = context
        self.findings = findings
        self.samples = samples
        self.objects = objects
        self.seconds = seconds

    # Reading ---------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, int]:
        """How many findings each rule has, the most frequent first."""
        return dict(sorted(self.findings.counts().items(), key=lambda item: -item[1]))

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Rules of one's own that failed, and why."""
        return list(self.findings.problems)

    @property
    def view(self) -> View:
        """The samples that have findings, each once, the most severe first, with the column lint_score."""
        nos, place = np.unique(self.findings.sample_no, return_inverse=True)
        score = np.full(len(nos), np.inf, np.float32)
        np.minimum.at(score, place, self.findings.score)
        order = np.argsort(score, kind="stable")
        return self._context.view().ranked(nos[order].astype(np.uint32), "with findings", lint_score=score[order])

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The findings as an Arrow table, with all columns or these."""
        table = self._context.database.arrow(
            f"SELECT {_LISTED} FROM lent_findings f JOIN data.sample s ON s.sample_no = f.sample_no "
            "LEFT JOIN data.object o ON o.object_no = f.object_no LEFT JOIN data.object p ON p.object_no = f.other_no "
            "ORDER BY f.score, f.sample_no, f.object_no, f.rule",
            frames={"lent_findings": self.stored()},
        )
        return table if columns is None else table.select(list(columns))

    def stored(self, messages: Sequence[str] | None = None) -> pa.Table:
        """The findings as `storage.findings` keeps them."""
        found = self.findings
        told = [found.message(row) for row in range(len(found))] if messages is None else messages
        relabels = found.act == RELABEL
        labels = [
            found.classes[int(value)] if relabel else None
            for relabel, value in zip(relabels.tolist(), found.repair[:, 0].tolist(), strict=True)
        ]
        box = np.where((found.act == BOX)[:, None], found.repair, np.nan)
        return stored.table(
            found.sample_no, found.object_no, found.other_no, [found.rules[no] for no in found.rule.tolist()],
            [SEVERITIES[no] for no in found.severity.tolist()], found.score, told,
            [ACTS[no] for no in found.act.tolist()], box, labels,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.findings)

    def __bool__(self) -> bool:
        return True

    # Deciding --------------------------------------------------------------------------------------------------

    def repair(self, rules: str | Sequence[str] | None = None, *, severity: Severity = "warning") -> Event:
        """Does what the findings propose for objects: delete, move, relabel; one decision, undone by session.undo().

        Labels of samples stay as they are: `session.fix("label")` is for them.

        Args:
            rules: only of these rules.
            severity: as severe as this at least: "error", "warning", or "hint" for all.

        Raises:
            LinterError: there is no such rule among the findings, or no such severity.
        """
        found = self.findings
        if severity not in SEVERITIES:
            raise LinterError(f"There is no severity {severity!r}.", hint=f"Use one of {', '.join(SEVERITIES)}.")
        chosen = (found.act != NONE) & (found.object_no >= 0) & (found.severity <= SEVERITIES.index(severity))
        if rules is not None:
            wanted = [rules] if isinstance(rules, str) else list(rules)
            if unknown := [rule for rule in wanted if rule not in found.rules]:
                raise LinterError(
                    f"There are no findings of a rule {unknown[0]!r}.", hint=did_you_mean(unknown[0], found.rules)
                )
            chosen &= np.isin(found.rule, [found.rules.index(rule) for rule in wanted])
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(found.score[rows], kind="stable")]
        act = [ACTS[no] for no in found.act[rows].tolist()]
        labels = [
            found.classes[int(value)] if one == "relabel" else ""
            for one, value in zip(act, found.repair[rows, 0].tolist(), strict=True)
        ]
        action = RepairObjects(found.object_no[rows].astype(np.uint32), act, found.repair[rows], labels)
        return object_actions.act(self._context.journal, action, target=f"findings, {len(rows):,}")

    # Saying ----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        found = self.findings
        looked = f"Looked at {things(self.objects)} of {samples(self.samples)} in {self.seconds:.1f} s"
        parts = [f"{looked}: {'nothing was found.' if not len(found) else f'{len(found):,} findings'}"]
        if len(found):
            by_severity = np.bincount(found.severity, minlength=len(SEVERITIES)).tolist()
            listed = [
                f"{count:,} {name}{'' if count == 1 else 's'}"
                for name, count in zip(SEVERITIES, by_severity, strict=True)
                if count
            ]
            rules = [f"{count:,} {name}" for name, count in list(self.counts.items())[:_NAMED]]
            more = "" if len(self.counts) <= _NAMED else f" and {len(self.counts) - _NAMED} more rules"
            parts = [f"{parts[0]} ({', '.join(listed)}): {', '.join(rules)}{more}."]
            serious = found.severity < SEVERITIES.index("hint")
            mendable = int(np.count_nonzero(serious & (found.act != NONE) & (found.object_no >= 0)))
            parts.append(".to_pandas() lists them" + (f"; .repair() does {mendable:,} repairs." if mendable else "."))
        parts += [f"The rule {name} did not run to its end. {why}" for name, why in found.problems]
        return " ".join(parts)

    def _repr_html_(self) -> str:
        table: Any = self.to_arrow(_SHOWN).slice(0, _PREVIEW)
        return f"<p>{escape(repr(self))}</p>{Result(table)._repr_html_()}"
