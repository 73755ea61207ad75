"""The fix panel: suspicion beside its cure, ranked, to accept or reject. Its twin is js/panels/fix."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dataide.core.actions import samples
from dataide.errors import ActionError, ProtocolError, did_you_mean
from dataide.storage import issue_lists, issues
from dataide.storage.issue_lists import GROUPED, ORDERS, Row
from dataide.storage.issues import STATES

from .answers import issues as answers
from .dialogue import Reply
from .hub import Hub
from .panel import Panel
from .protocol_issues import IssuePageAsk

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataide.core.context import Context
    from dataide.core.view import View

HEIGHT_PX = 560
FIRST_ENTRIES = 16
FIRST_CROPS_WITHIN_S = 0.25  # of issues of objects: the panel asks for the others
THUMB_PX = 128
PICTURE_ROWS = 6
ROW_PX = 44
PICTURE_WIDTH_PX = 520
PAPER, INK, DIM, BAR = (255, 255, 255), (40, 44, 48), (110, 114, 118), (0, 114, 178)


class Fix(Panel):
    """Issues of one kind, the most severe first: given label against proposal, neighbours on demand, one key each.

    Args:
        context: of the session.
        kind: of issue; None for the kind with most open ones.
        state: which to list: "open", "accepted", "rejected", or "stale" (about an earlier picture or label).
        order: "severity", or "confidence" of the proposal.
        height: of the panel, in px.

    Raises:
        ActionError: there is no such kind, state or order.
    """

    name = "fix"

    def __init__(
        self,
        context: Context,
        *,
        kind: str | None = None,
        state: str = "open",
        order: str = "severity",
        height: int = HEIGHT_PX,
        **more: Any,
    ) -> None:
        _check_kind(Hub.of(context).workspace, kind)
        for name, value, known in (("state", state, STATES), ("order", order, ORDERS)):
            if value not in known:
                raise ActionError(f"There is no {name} {value!r}.", hint=f"There are: {', '.join(known)}.")
        super().__init__(context, {"kind": kind, "state": state, "order": order, "height_px": height, **more})

    @property
    def kind(self) -> str | None:
        """The kind that is shown: the one that was chosen, else the one with most open issues; None without any."""
        chosen: str | None = self.config["kind"]
        kinds = answers.kinds_of(self.workspace)
        return chosen or (kinds[0]["kind"] if kinds else None)

    @property
    def view(self) -> View:
        """The samples with such issues, in the order of the panel; of duplicates all of a group together."""
        kind = self.kind
        if kind is None or not self._is_searched(kind):
            return self.context.view().among(np.zeros(0, np.uint32), "with issues")
        state, order = self.config["state"], self.config["order"]
        known = answers.columns_of(self.workspace, kind)
        entries = issue_lists.arranged(known, state, order)
        rows = np.flatnonzero(known.state == STATES.index(state))
        of = known.group if kind in GROUPED else known.nos.astype(np.int64)
        # Where each entry stands in the list, by its number.
        place = np.zeros(int(entries.max(initial=0)) + 1, np.int64)
        place[entries] = np.arange(len(entries))
        rows = rows[np.lexsort((known.nos[rows], place[of[rows]]))]
        said = f"with {state} {kind.replace('_', ' ')} issues"
        return self.context.view().ranked(known.nos[rows], said, issue_score=known.score[rows])

    def check_choice(self, name: str, value: object) -> None:
        """Refuses a kind, a state or an order that there is not."""
        if name == "kind":
            if value is not None and not isinstance(value, str):
                raise ProtocolError(f"The kind of issue cannot be {value!r}.")
            _check_kind(self.workspace, value)
        elif name in ("state", "order") and value not in (STATES if name == "state" else ORDERS):
            raise ProtocolError(f"The {name} of a list of issues cannot be {value!r}.")
        super().check_choice(name, value)

    def first_answers(self) -> Iterable[tuple[str, dict[str, Any], Reply]]:
        """The kinds, and the first entries."""
        yield "issue_kinds", {}, answers.issue_kinds(self.workspace, {})
        kind = self.kind
        if kind is not None and self._is_searched(kind):
            ask: IssuePageAsk = {
                "kind": kind,
                "state": self.config["state"],
                "order": self.config["order"],
                "offset": 0,
                "limit": FIRST_ENTRIES,
                "thumbs": True,
                "px": THUMB_PX,
                "list": None,
            }
            yield "issue_page", {**ask}, answers.issue_page(self.workspace, ask, FIRST_CROPS_WITHIN_S)

    def sentence(self) -> str:
        """How many issues there are of the kind."""
        database = self.workspace.database
        where = f"{samples(database.sample_count)} in {database.path.name}"
        kind = self.kind
        if kind is None:
            return f"No issues were looked for among {where}: session.find_issues()"
        found = next((one for one in answers.kinds_of(self.workspace) if one["kind"] == kind), None)
        if found is None:
            return f"Issues of the kind {kind!r} were not looked for among {where}: session.find_issues({kind!r})"
        said = f"{found['open']:,} open {kind.replace('_', ' ')} issues of {where}"
        answered = [f"{found[name]:,} {name}" for name in ("accepted", "rejected") if found[name]]
        return ", ".join([said, *answered])

    def picture(self) -> Image | None:
        """The first rows: picture, given label and proposal."""
        kind = self.kind
        if kind is None or not self._is_searched(kind):
            return None
        nos = [int(no) for no in self.view.nos()[:PICTURE_ROWS]]
        rows = issue_lists.rows_of(self.workspace.database, kind, nos=nos)
        return _drawn(self.workspace, [rows[no] for no in nos if no in rows])

    def _is_searched(self, kind: str) -> bool:
        return any(one["kind"] == kind for one in answers.kinds_of(self.workspace))


def _check_kind(workspace: Any, kind: str | None) -> None:
    if kind is None:
        return
    from dataide.find.issue_kinds import KINDS
    from dataide.review.linting import KIND as LINTER

    known = [*KINDS, LINTER, *(one["kind"] for one in answers.kinds_of(workspace))]
    if kind not in known:
        near = did_you_mean(str(kind), known) or f"There are: {', '.join(dict.fromkeys(known))}."
        raise ActionError(f"There is no kind of issue {kind!r}.", hint=near, code="no_kind")


def _drawn(workspace: Any, rows: list[Row]) -> Image | None:
    from PIL import Image as images
    from PIL import ImageFont
    from PIL.ImageDraw import Draw

    if not rows:
        return None
    sheet = images.new("RGB", (PICTURE_WIDTH_PX, 4 + ROW_PX * len(rows)), PAPER)
    draw = Draw(sheet)
    large, small = ImageFont.load_default(13), ImageFont.load_default(10)
    for position, (row, thumb) in enumerate(
        zip(rows, workspace.thumbnails.get([row.no for row in rows], 64), strict=True)
    ):
        top = 4 + ROW_PX * position
        if thumb.problem is None:
            try:
                tile = images.open(io.BytesIO(thumb.data)).convert("RGB")
                tile.thumbnail((40, 40))
                sheet.paste(tile, (4, top))
            except (OSError, ValueError, SyntaxError):
                pass  # a picture that cannot be drawn costs its place in the sheet only
        draw.text((54, top + 2), _cure(row), fill=INK, font=large)
        draw.text((54, top + 22), (row.reason or "")[:80], fill=DIM, font=small)
        if row.confidence is not None:
            draw.rectangle((PICTURE_WIDTH_PX - 110, top + 8, PICTURE_WIDTH_PX - 10, top + 12), fill=(226, 228, 230))
            width = round(100 * min(max(row.confidence, 0.0), 1.0))
            if width:
                left = PICTURE_WIDTH_PX - 110
                draw.rectangle((left, top + 8, left + width, top + 12), fill=BAR)
    return sheet


def _cure(row: Row) -> str:
    given = "no label" if row.given is None else row.given[:30]
    if row.proposal is None:
        return given
    if row.proposal in (issues.KEEP, issues.EXCLUDE) and row.group is not None:
        return f"{given}: {'keep' if row.proposal == issues.KEEP else 'leave out'}"
    return f"{given} -> {row.proposal[:30]}"
