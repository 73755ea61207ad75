"""`session.issues(kind)`: the issues of a session as a table, as a View, and to be answered all at once."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from dataide.core.choosing import chosen
from dataide.core.issue_actions import AcceptProposals, RejectIssues, ReopenIssues
from dataide.core.steps import cell
from dataide.errors import ActionError, did_you_mean
from dataide.storage import findings, issues
from dataide.storage.arrow import Result
from dataide.storage.issues import State

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from dataide.core.context import Context
    from dataide.core.issue_actions import AboutIssues
    from dataide.core.journal import Event
    from dataide.core.view import View

_PREVIEW = 10
_UNTOLD = frozenset({"revision", "is_issue"})  # a list of issues has issues only


class Issues:
    """Issues, the most severe first: sample_id, kind, score (0..1, low = severe), label, proposal, reason, state …

    It is read anew whenever it is used.

    Args:
        context: the session's.
        kind: one kind only; None for all.
        state: open, accepted, rejected, stale (about an earlier picture or label), or None for all of these.

    Raises:
        ActionError: there is no such state, or no such kind was looked for.
    """

    def __init__(self, context: Context, kind: str | None = None, state: State | None = "open") -> None:
        if state is not None and state not in get_args(State):
            raise ActionError(f"There is no state {state!r}.", hint=f"There are: {', '.join(get_args(State))}.")
        self._context = context
        self.kind = kind
        self.state = state
        if kind is not None:
            searched = {search.kind for search in issues.searches(context.database)}
            if kind not in searched:
                near = did_you_mean(kind, sorted(searched)) or f"session.find_issues({kind!r}) looks for them."
                raise ActionError(f"Issues of the kind {kind!r} were not looked for.", hint=near)

    # Reading ---------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind, the most frequent first."""
        found = issues.counts(self._context.database)
        chosen = {kind: sum(of[state] for state in self._states) for kind, of in found.items()}
        wanted = {kind: count for kind, count in chosen.items() if count and self.kind in (None, kind)}
        return dict(sorted(wanted.items(), key=lambda item: -item[1]))

    @property
    def view(self) -> View:
        """The samples that have them, each once, the most severe first, with the column issue_score."""
        nos, score = issues.ranking(self._context.database, self.kind, self._states)
        said = f"with {self._said}" if len(nos) else f"without {self._said}"
        return self._context.view().ranked(nos, said, issue_score=score)

    @property
    def findings(self) -> Result:
        """What is found about objects, a row for each finding: object_id, rule, message, repair …"""
        return Result(findings.listing(self._context.database, self.kind, self._states))

    def to_arrow(self) -> pa.Table:
        return issues.listing(self._context.database, self.kind, self._states)

    def to_pandas(self) -> pd.DataFrame:
        return self._result.to_pandas()

    def to_polars(self) -> pl.DataFrame:
        return self._result.to_polars()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __bool__(self) -> bool:
        return True

    # Answering -------------------------------------------------------------------------------------------------

    def chosen(
        self, *, confidence: float = 0.0, score: float = 1.0, of: View | str | Sequence[str] | None = None
    ) -> View:
        """The samples with issues that are sure and severe enough.

        Args:
            confidence: of the proposal, at least.
            score: at most: low is severe.
            of: only of these samples: a View, ids, or one id.

        Raises:
            ActionError: no kind was named.
            UnknownSample: an id is not there.
        """
        nos = self._chosen(self._one_kind("choose"), confidence, score, of)
        return self._context.view().among(nos, f"with {self._said}")

    def accept(
        self, *, confidence: float = 0.0, score: float = 1.0, of: View | str | Sequence[str] | None = None
    ) -> Event:
        """Does what they propose: each sample gets the label proposed for it, or a duplicate is left out.

        Of kinds about objects, all objects of these samples that have a proposal get theirs.

        Args:
            confidence: of the proposal, at least.
            score: at most: low is severe.
            of: only of these samples: a View, ids, or one id.

        Raises:
            ActionError: no kind was named, or one that proposes nothing.
            UnknownSample: an id is not there.
        """
        return self._answer(AcceptProposals(self._one_kind("accept")), confidence, score, of)

    def reject(
        self, *, confidence: float = 0.0, score: float = 1.0, of: View | str | Sequence[str] | None = None
    ) -> Event:
        """Says that these are all right. They are not asked about again.

        That holds while the picture, and for issues of labels the label, stays the same. Arguments as of `accept`.
        """
        return self._answer(RejectIssues(self._one_kind("reject")), confidence, score, of)

    def reopen(self, *, of: View | str | Sequence[str] | None = None) -> Event:
        """Takes rejections back: session.issues("label", state="rejected").reopen()."""
        return self._answer(ReopenIssues(self._one_kind("reopen")), 0.0, 1.0, of)

    def _chosen(
        self, kind: str, confidence: float, score: float, of: View | str | Sequence[str] | None
    ) -> NDArray[np.uint32]:
        nos = issues.chosen(self._context.database, kind, self._states, confidence, score)
        if of is None:
            return nos
        among = chosen(self._context, of)
        return nos[among[nos]] if among.dtype == np.bool_ else nos[np.isin(nos, among)]

    def _answer(
        self, action: AboutIssues, confidence: float, score: float, of: View | str | Sequence[str] | None
    ) -> Event:
        nos = self._chosen(action.kind, confidence, score, of)
        return self._context.journal.act(action, nos, target=f"{self._said}, {len(nos):,}")

    def _one_kind(self, verb: str) -> str:
        if self.kind is None:
            known = list(self.counts) or ["label"]
            raise ActionError(f"To {verb} issues, name their kind.", hint=f"session.issues({known[0]!r}).{verb}()")
        return self.kind

    # Saying ----------------------------------------------------------------------------------------------------

    @property
    def _result(self) -> Result:
        return Result(self.to_arrow())

    @property
    def _states(self) -> tuple[State, ...]:
        return issues.STATES if self.state is None else (self.state,)

    @property
    def _said(self) -> str:
        kind = f" {self.kind.replace('_', ' ')}" if self.kind else ""
        return f"{self.state or 'any'}{kind} issues"

    def __repr__(self) -> str:
        if self._context.database.closed:
            return "Issues of a closed session"
        found = self.counts
        said = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in found.items())
        if not said:
            return f"No {self._said}"
        return f"{self._said.capitalize()}: {said}"

    def _repr_html_(self) -> str:
        table: Any = self.to_arrow().slice(0, _PREVIEW)
        # What tells people something; to_pandas has all columns.
        told = [name for name in table.column_names if name not in _UNTOLD and _says_something(table[name])]
        table = table.select(told) if table.num_rows else table
        head = "".join(f"<th>{escape(name)}</th>" for name in table.column_names)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(_cell(name, value))}</td>" for name, value in row.items()) + "</tr>"
            for row in table.to_pylist()
        )
        return f"<p>{escape(repr(self))}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _says_something(column: Any) -> bool:
    """Whether any row has a value."""
    return bool(column.null_count < len(column))


def _cell(name: str, value: Any) -> str:
    """Shares with two digits, as panels show them: a score of 4e-18 says no more than 0.00."""
    return f"{value:.2f}" if name in ("score", "confidence") and value is not None else cell(value)
