"""The names users type: `open`, `demo` and `Session` (`View` is in views.py), a façade that composes the rooms."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataide.core import region
from dataide.core.actions import samples
from dataide.core.choosing import chosen
from dataide.core.context import Context
from dataide.core.opening import Registry, author_name, placed
from dataide.core.selection import Mode
from dataide.core.vectors import Vectors, named
from dataide.evaluate.ways_in import Evaluating
from dataide.formats.ways_in import WaysIn
from dataide.storage import listings, models_used, runs
from dataide.storage.arrow import Result, read
from dataide.storage.database import Database
from dataide.views import View
from dataide.widgets.autotagging import Autotagging
from dataide.widgets.found_objects import ObjectWays
from dataide.widgets.warm import in_notebook, warm_up
from dataide.widgets.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from dataide.core.journal import Event
    from dataide.find.asking import Suggested
    from dataide.find.finding import IssueReport
    from dataide.find.issue_list import Issues
    from dataide.find.near_index import IndexReport
    from dataide.find.own_places import PlacesReport
    from dataide.find.projection import ProjectReport
    from dataide.inference.enriching import EnrichReport
    from dataide.inference.identity import ModelLike
    from dataide.inference.job import Job
    from dataide.inference.kernel import Kernel
    from dataide.inference.learning import LearnReport
    from dataide.inference.predicting import PredictReport
    from dataide.inference.vector_work import EmbedReport
    from dataide.review.lint_report import LintReport
    from dataide.storage.issues import State
    from dataide.widgets.facets import Facets
    from dataide.widgets.fix import Fix
    from dataide.widgets.grid import Grid
    from dataide.widgets.inspector import Inspector
    from dataide.widgets.scatter import Scatter
    from dataide.widgets.workbench import Workbench


class Session(WaysIn, ObjectWays, Autotagging, Evaluating):
    """One dataset: a DuckDB file with samples, labels, tags, queues, vectors and every decision.

    Make one with `dataide.open(path)`.
    """

    def __init__(self, context: Context) -> None:
        self.context = context

    # Views -----------------------------------------------------------------------------------------------------

    def where(self, text: str | None = None, /, **equals: Any) -> View:
        """Samples for which a condition holds: where("label = 'cat' and brightness < 0.2", split="val", tag="x")."""
        return self._all().where(text, **equals) if text is not None or equals else self._all()

    def order_by(self, *columns: str, descending: bool = False) -> View:
        """All samples, ordered; "-brightness" begins with the highest."""
        return self._all().order_by(*columns, descending=descending)

    def take(self, count: int) -> View:
        """The first samples."""
        return self._all().take(count)

    def sample(self, n: int, seed: int | None = None) -> View:
        """Some samples at random; the same seed gives the same ones."""
        return self._all().sample(n, seed)

    def ids(self) -> list[str]:
        """The ids of all samples."""
        return self._all().ids()

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """All samples as a pandas frame."""
        return self._all().to_pandas(columns)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All samples as an Arrow table."""
        return self._all().to_arrow(columns)

    def to_polars(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All samples as a Polars frame."""
        return self._all().to_polars(columns)

    def __len__(self) -> int:
        return len(self._all())

    def __bool__(self) -> bool:
        return True  # an empty session is still one

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._all())

    def sql(self, query: str, parameters: Sequence[Any] | dict[str, Any] | None = None, /, **frames: Any) -> Result:
        """Answers plain SQL that reads, over sample, tag, task, event, change, problem, point and vector_<name>.

        Args:
            query: one statement.
            parameters: values for ? or $name.
            **frames: tables to join with, by name: pandas, Polars or Arrow.

        Raises:
            ReadOnly: the statement would change something.
            QueryError: the database refuses it.
        """
        return read(self.context.database, query, parameters, frames)

    @property
    def columns(self) -> dict[str, str]:
        """Name and SQL type of each column of `sample`."""
        return self.context.database.columns()

    @property
    def labels(self) -> dict[str, int]:
        """How many samples have each label."""
        return listings.counts(self.context.database, "label")

    @property
    def tags(self) -> dict[str, int]:
        """How many samples have each tag."""
        return listings.counts(self.context.database, "tag")

    @property
    def queues(self) -> dict[str, int]:
        """How many samples wait in each queue."""
        return listings.counts(self.context.database, "queue")

    # Selecting and deciding ------------------------------------------------------------------------------------

    def select(self, what: View | str | Sequence[str] | NDArray[Any] | None, mode: Mode = "replace") -> View:
        """Makes the selection that all panels show, and returns it.

        Args:
            what: a View, ids (a list or one), a mask over all samples, or None for nothing.
            mode: replace, add, subtract or intersect.

        Raises:
            UnknownSample: an id is not there.
        """
        self.context.selection.combine(chosen(self.context, what), mode, "code")
        return self.selection

    @property
    def selection(self) -> View:
        """What is selected, whenever the view is used."""
        return self._all().selected()

    def inside(self, polygon: ArrayLike, projection: str | None = None) -> View:
        """The samples inside a polygon on a map: what a lasso does.

        Corners have shape (corners, 2), in the coordinates of the map, by default the latest.
        """
        nos, name = region.inside(self.context.database, polygon, projection)
        return self._all().among(nos, f"inside a polygon on {name}")

    def undo(self) -> Event:
        """Takes back the latest decision; it works across restarts."""
        return self.context.journal.undo()

    def redo(self) -> Event:
        """Does again what was undone last."""
        return self.context.journal.redo()

    def history(self) -> pd.DataFrame:
        """All decisions: event, at, author, verb, sentence, count, state, target."""
        return self.context.journal.history()

    # Finding ---------------------------------------------------------------------------------------------------

    def embed(self, model: ModelLike = "auto", **options: Any) -> EmbedReport | Job[EmbedReport]:
        """Gives each sample a vector; see `View.embed`."""
        return self._all().embed(model, **options)

    def predict(self, model: ModelLike, **options: Any) -> PredictReport | Job[PredictReport]:
        """Lets a model say what each picture shows; see `View.predict`."""
        return self._all().predict(model, **options)

    def learn_embedding(self, name: str = "learned", **options: Any) -> LearnReport | Job[LearnReport]:
        """Trains a small network on the samples and embeds with it; see `View.learn_embedding`."""
        return self._all().learn_embedding(name, **options)

    def enrich(self, what: str | Callable[..., Any], **options: Any) -> EnrichReport | Job[EnrichReport]:
        """Gives each sample attributes as typed columns; see `View.enrich`."""
        return self._all().enrich(what, **options)

    def find_issues(self, kinds: Sequence[str] | str | None = None, **options: Any) -> IssueReport | Job[IssueReport]:
        """Looks for what is suspicious: wrong labels, duplicates, outliers, bad pictures; see `View.find_issues`."""
        return self._all().find_issues(kinds, **options)

    def issues(self, kind: str | None = None, state: State | None = "open") -> Issues:
        """What `find_issues` found: counts, the samples, and accepting or rejecting what is proposed.

        Args:
            kind: "label", "near_duplicate" …; None for all.
            state: "open", "accepted", "rejected", "stale" (of an earlier picture or label); None for all.
        """
        from dataide.find.issue_list import Issues

        return Issues(self.context, kind, state)

    def lint(self, rules: Any = None, **options: Any) -> LintReport | Job[LintReport]:
        """Runs rules over the objects and labels of all samples; see `View.lint`."""
        return self._all().lint(rules, **options)

    def rank(self, by: str, **options: Any) -> View:
        """All samples by how much their labels would teach a model; see `View.rank`."""
        return self._all().rank(by, **options)

    def suggest(self, n: int, by: str = "auto", **options: Any) -> Suggested | View | Job[Any]:
        """Chooses what to label next and queues it: session.suggest(50, balance="split"); see `View.suggest`."""
        return self._all().suggest(n, by, **options)

    @property
    def runs(self) -> Result:
        """What models said: run, task, samples, stale, revision, classes, columns, made_at; a stale result is of an
        earlier picture or revision of its model, until the same call is made again."""
        return Result(runs.listing(self.context.database))

    @property
    def models(self) -> Result:
        """The models that were used: model, kind, revision (with a hash), parameters, details, when."""
        return Result(models_used.listing(self.context.database))

    @property
    def kernel(self) -> Kernel:
        """The process that computes for this session: device, pid, memory, models, queue, rate; restart(), stop().

        It starts when it is first needed, and ends with the session.
        """
        from dataide.inference.kernel import kernel_of

        return kernel_of(self.context)

    def project(self, method: str = "auto", **options: Any) -> ProjectReport | Job[ProjectReport]:
        """Lays all samples out on a map; see `View.project`."""
        return self._all().project(method, **options)

    def add_projection(
        self,
        name: str,
        x: str | ArrayLike,
        y: str | ArrayLike,
        *,
        sample_id: Sequence[str] | None = None,
        view: View | None = None,
    ) -> PlacesReport:
        """Makes a map of places that you have already; one of the same name is replaced.

        Args:
            name: as in session.scatter(projection=name).
            x: a column of numbers, or an array with a value for each sample, in the order of session.ids().
            y: likewise. A sample without a value, or with NaN or infinity, has no place on the map.
            sample_id: whose places the arrays are, where not of all.
            view: the same, as a View: in its order.

        Raises:
            ImportProblem: x and y are no numbers, or not as many as samples.
        """
        from dataide.find.own_places import add_projection

        view = self._all() if view is None else view
        report = add_projection(self.context, name, x, y, sample_id=sample_id, view=view)
        Workspace.of(self.context).places.prepare(name)
        return report

    def similar(self, to: Any = None, k: int | None = 20, **options: Any) -> View:
        """The samples most similar to a sample id, a View, a picture or a text, best first; see `View.similar`."""
        return self._all().similar(to, k, **options)

    def index(self, embedding: str | None = None, *, wait: bool = True) -> IndexReport | Job[IndexReport]:
        """Builds an index for tens of millions of vectors, for similar(…, exact=False); see `find.near_index`."""
        from dataide.find.near_index import build

        return build(self.context.database, named(self.context, embedding), wait=wait)

    def vectors(self, name: str | None = None) -> Vectors:
        """The vectors of an embedding: sample_id, vector."""
        return Vectors(self.context, name)

    @property
    def embeddings(self) -> list[str]:
        """The names of the embeddings."""
        return listings.embeddings(self.context.database)

    @property
    def projections(self) -> list[str]:
        """The names of the maps."""
        return listings.projections(self.context.database)

    # Panels ----------------------------------------------------------------------------------------------------

    def workbench(self, **options: Any) -> Workbench:
        """Everything in one: filter, facets, scatter, grid and actions."""
        from dataide.widgets.workbench import Workbench

        return Workbench(self.context, **options)

    def scatter(self, **options: Any) -> Scatter:
        """A map of the samples, to lasso: scatter(color="label")."""
        from dataide.widgets.scatter import Scatter

        return Scatter(self.context, **options)

    def grid(self, **options: Any) -> Grid:
        """The pictures, as many as there are."""
        from dataide.widgets.grid import Grid

        return Grid(self.context, **options)

    def facets(self, **options: Any) -> Facets:
        """Counts and histograms of the columns, to filter by."""
        from dataide.widgets.facets import Facets

        return Facets(self.context, **options)

    def fix(self, kind: str | None = None, **options: Any) -> Fix:
        """Issues beside what they propose, to accept or reject: fix("label"); None for the kind with most open ones."""
        from dataide.widgets.fix import Fix

        return Fix(self.context, kind=kind, **options)

    def inspect(self, sample_id: str | None = None, **options: Any) -> Inspector:
        """One sample in full, with its history."""
        from dataide.widgets.inspector import Inspector

        if sample_id is not None:
            options["no"] = int(chosen(self.context, sample_id)[0])
        return Inspector(self.context, **options)

    # Ending ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends what runs for this session and gives its file free. Closing twice is harmless."""
        jobs = sys.modules.get("dataide.inference.job")
        if jobs is not None and not self.context.database.closed:
            jobs.end_all(self.context.database)
        self.context.close()
        _sessions.drop(self)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def __repr__(self) -> str:
        database = self.context.database
        if database.closed:
            return f"Session {self.context.name}: closed"
        found = listings.summary(database)
        hidden = f" ({found['excluded']:,} more excluded)" if found["excluded"] else ""
        parts = [f"{samples(found['samples'])}{hidden}"]
        for name in ("labels", "tags", "queues", "problems"):
            if found[name]:
                parts.append(f"{found[name]:,} {name[:-1] if found[name] == 1 else name}")
        read_only = ""
        if database.read_only:
            read_only = ", a copy for reading" if database.snapshot else ", for reading only"
        return f"Session {self.context.name}: {', '.join(parts)}{read_only}"

    # Inside ----------------------------------------------------------------------------------------------------

    def _all(self) -> View:
        return View(self.context)


_sessions: Registry[Session] = Registry()


def open(
    path: str | os.PathLike[str],
    *,
    read_only: bool = False,
    allow: Sequence[str | os.PathLike[str]] = (),
    author: str | None = None,
) -> Session:
    """Opens a session file, and creates it where there is none. The same path gives the same Session while it is open.

    Args:
        path: pets.duckdb; without an ending .duckdb is added.
        read_only: look only. While another process writes, a copy of the present moment is read.
        allow: folders outside the file's own whose pictures may be read.
        author: who decides, as the journal says it; by default $DATAIDE_AUTHOR, else the user's name.

    Raises:
        SessionLocked: another process has the file; the error says which, and what to do.
        NotASession: the file is something else, or is damaged.
        NewerSession: a newer dataide wrote it.
    """
    place, roots = placed(path), [Path(root).expanduser().absolute() for root in allow]

    def make() -> Session:
        database = Database(place, read_only=read_only)
        context = Context(database, author or author_name(), allow=roots, view_type=View)
        if in_notebook():
            warm_up(context)
        return Session(context)

    return _sessions.get(place, make, read_only=read_only, allow=roots)


def demo(name: str = "digits", path: str | os.PathLike[str] | None = None, **options: Any) -> Session:
    """Builds a session to try things out on, offline; "digits" are scikit-learn's 1,797 handwritten digits."""
    from dataide.demo import demo as build

    session: Session = build(name, path, **options)
    return session
