"""A View with everything that people do to samples: what a Session answers with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from dataide.core import view as core_view
from dataide.core.vectors import named
from dataide.errors import ModelError
from dataide.storage import listings
from dataide.storage.samples import with_pictures
from dataide.widgets.jobs import shown
from dataide.widgets.workspace import Workspace

if TYPE_CHECKING:
    from dataide.core.context import Context
    from dataide.core.object_views import ObjectView
    from dataide.find.asking import Suggested
    from dataide.find.finding import IssueReport
    from dataide.find.projection import ProjectReport
    from dataide.formats.progress import Listener
    from dataide.inference.enriching import EnrichReport
    from dataide.inference.identity import ModelLike
    from dataide.inference.job import Job
    from dataide.inference.kernel import Kernel
    from dataide.inference.learning import LearnReport
    from dataide.inference.predicting import PredictReport
    from dataide.inference.vector_work import EmbedReport
    from dataide.review.lint_report import LintReport
    from dataide.review.own_rules import Rule
    from dataide.widgets.found_objects import FoundObjects


class View(core_view.View):
    """Samples that meet conditions, in an order; what a Session answers with."""

    def embed(
        self,
        model: ModelLike = "auto",
        *,
        name: str | None = None,
        text: str | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> EmbedReport | Job[EmbedReport]:
        """Gives each sample a vector, in a process of its own. Ctrl-C keeps what was done; the same call goes on.

        Args:
            model: "auto" (works offline, without torch), a name of torchvision such as "resnet18", a torch module with
                transform= and layer=, a file of torch.export, a callable on a list of PIL pictures, or two towers.
            name: of the embedding; by default the model's.
            text: a column of texts, which are embedded in place of the pictures.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: batch_size=, device="cuda:1", engine="ray", transform=, layer=, weights=; trust=True for a file
                that runs code of its own.

        Raises:
            ModelError: none of the samples has a picture or text, or the model cannot be had, or failed.
        """
        from dataide.inference.embedding import embed, remembered

        options = {"remember": remembered(self._context), "name": name, "text": text, **options}
        done: EmbedReport | Job[EmbedReport] = self._infer(
            embed, model, progress=progress, wait=wait, everything=text is not None, **options
        )
        return done

    def predict(
        self,
        model: ModelLike,
        *,
        run: str = "v1",
        classes: Sequence[str] | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> PredictReport | Job[PredictReport]:
        """Lets a model say what each picture shows, and keeps it as a run; the same call does what is missing.

        Of a classifier all probabilities are kept (table prediction_<run>); the class and its confidence are columns
        too, named <run>_class and <run>_confidence: where("v1_class <> label and v1_confidence > 0.9").

        Args:
            model: a name of torchvision, a model trained here, a torch module with transform=, a file of torch.export,
                or a callable on a list of PIL pictures: to N x classes, or for a detector to a list of dicts.
            run: the name of the results.
            classes: the names of the classes, in the model's order.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: task="detection", transform=, weights=, output="logits", threshold=, batch_size=, engine="ray",
                trust=True for a file that runs code of its own.

        Raises:
            ModelError: the model cannot be had, or failed, or has other classes than the run.
        """
        from dataide.inference.predicting import predict

        done: PredictReport | Job[PredictReport] = self._infer(
            predict, model, run=run, classes=classes, progress=progress, wait=wait, **options
        )
        return done

    def learn_embedding(
        self,
        name: str = "learned",
        *,
        label: str | None = "auto",
        minutes: float = 2.0,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> LearnReport | Job[LearnReport]:
        """Trains a small network on these samples, in the inference process, and gives each a vector with it.

        Nothing is downloaded and no GPU is needed. A network that was trained with labels predicts them too:
        predict("learned").

        Args:
            name: of the embedding, and of the model.
            label: the column to learn; None for none; "auto" for the column label, where there is more than one.
            minutes: the most that training takes.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: seed=, passes= for as many passes over the pictures instead of minutes.

        Raises:
            ModelError: there are too few pictures or labels to learn from, or torch is missing.
        """
        from dataide.inference.learning import learn_embedding

        if label == "auto":
            label = "label" if len(listings.counts(self._context.database, "label")) > 1 else None
        done: LearnReport | Job[LearnReport] = self._infer(
            learn_embedding, name, label=label, minutes=minutes, progress=progress, wait=wait, **options
        )
        return done

    def enrich(
        self,
        what: str | Callable[..., Any],
        *,
        name: str | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> EnrichReport | Job[EnrichReport]:
        """Gives each sample attributes, as typed columns to filter, colour and sort by; again it does what is missing.

        Args:
            what: "quality" (blur, noise, entropy, colours, hashes …), "text" with column=, "objects" with run= of a
                detector, or a function from a list of PIL pictures to a dict of columns, a list of dicts or one value
                each.
            name: what they are called together; by default as the function is.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: column=, run=, batch_size=, engine="ray".

        Raises:
            ModelError: none of the samples has a picture, or the function failed.
        """
        from dataide.inference.enriching import enrich

        everything = what in ("text", "objects")  # no picture is looked at
        done: EnrichReport | Job[EnrichReport] = self._infer(
            enrich, what, name=name, progress=progress, wait=wait, everything=everything, **options
        )
        return done

    def find_issues(
        self,
        kinds: Sequence[str] | str | None = None,
        *,
        reference: View | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> IssueReport | Job[IssueReport]:
        """Looks for what is suspicious among these samples; `session.issues()` has what was found.

        Args:
            kinds: "label", "ambiguous", "imbalance", "near_duplicate", "leak", "outlier", "box", "linter", kinds of
                quality or "quality" for all of them, "object_label" … of objects by their crops (as
                `session.objects.find_issues`); None for all that can be looked for.
            reference: samples that are as they should be, for outliers.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: embedding= whose vectors, run= of a model that was not trained on these samples, annotators=
                columns with labels of further people, again=True also where nothing has changed, seed=.

        Raises:
            ModelError: there is no such kind, embedding or run, or what a kind needs cannot be had.
        """
        from dataide.find.finding import find_issues
        from dataide.widgets.linter_issues import further

        context, nos = self._context, self.nos()
        if "kernel" not in options:
            options["kernel"] = _kernel(context, "local", "auto", None)
        if reference is not None:
            options["reference"] = reference.nos()
        options["further"] = further(context, kinds)
        job: Any = find_issues(context.database, context.media, nos, kinds, wait=False, **options)
        done: IssueReport | Job[IssueReport] = shown(job, len(nos), progress, wait)
        return done

    def rank(
        self,
        by: str,
        *,
        run: str | Sequence[str] | None = None,
        embedding: str | None = None,
        n: int | None = None,
        seed: int = 0,
    ) -> Self:
        """These samples by how much their labels would teach a model, the most first, with a column `rank_score`.

        Those that nothing is known of are left out. A probe has seen the labels that it ranks; a run has not.

        Args:
            by: "uncertainty", "margin", "entropy", "disagreement", "badge", "coreset", "typiclust" or "random"; the
                last four know no score.
            run: of a classifier, or several for "disagreement"; without, probes are trained on the session's labels.
            embedding: whose vectors; by default "auto", else the latest.
            n: how many; None for all. "badge", "coreset" and "typiclust" choose a batch among those without a label,
                of 100 unless n says otherwise.
            seed: of what is drawn at random.

        Raises:
            ActionError: there is no such strategy, or too few labels.
            ModelError: there is no such run or embedding, or none that the strategy needs.
        """
        from dataide.find import asking

        nos = self.nos()
        job = asking.rank(self._context, nos, by, run=run, embedding=embedding, n=n, seed=seed)
        ranked, scores = job.complete()
        columns = {"rank_score": scores} if len(scores) else {}
        return self._with().ranked(ranked, f"by {by}" if by != "random" else "at random", **columns)

    def suggest(
        self,
        n: int,
        by: str = "auto",
        *,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> Suggested | View | Job[Any]:
        """Chooses what to label next among these samples, without near duplicates, and queues it: one decision.

        Args:
            n: how many.
            by: a strategy of `rank`, or "auto": by margin where the labels so far say that a model's doubts mean
                something, else at random, and the report says why.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: balance= a column over whose values labels and suggestions shall be as even as can be, queue=
                its name ("to label"; None only returns the View), run=, embedding=, seed= as in `rank`.

        Raises:
            ActionError: nothing is left to suggest, or a strategy lacks what it needs.
            ModelError: there is no such run or embedding.
        """
        from dataide.find import asking

        nos = self.nos()
        job = asking.suggest(self._context, nos, n, by=by, **options)
        done: Suggested | View | Job[Any] = shown(job, len(nos), progress, wait)
        return done

    def lint(
        self,
        rules: str | Rule | Sequence[str | Rule] | None = None,
        *,
        objects: ObjectView | None = None,
        vocabulary: Sequence[str] | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
    ) -> LintReport | Job[LintReport]:
        """Runs rules over these samples and their objects: doubled, empty, oversized or misplaced boxes, odd labels …

        `di.linter` adds rules of one's own. The report is a table, and report.repair() does what it proposes.

        Args:
            rules: names of rules, or rules of one's own, to keep to; None for all.
            objects: only findings about these: objects=session.objects.label("dog").
            vocabulary: the labels that are allowed; by default, for objects, those that came with a COCO file.
            progress: False for silence.
            wait: False returns a Job at once.

        Raises:
            LinterError: there is no such rule.
        """
        from dataide.inference.job import Job
        from dataide.review.linting import checked_rules, lint_session
        from dataide.widgets.linter_issues import learn_aside

        nos, context = self.nos(), self._context
        checked_rules(rules)

        def work(job: Job[LintReport]) -> LintReport:
            report = lint_session(
                context, nos, rules, among=objects, vocabulary=vocabulary, learn_by=learn_aside,
                say=lambda sentence: job.advance(0, 1, sentence), stop=lambda: job.cancelled,
            )  # fmt: skip
            job.advance(1, 1, "linted")
            return report

        job = Job(work, verb="Linting", owner=context.database)
        job.counts = False
        return shown(job, len(nos), progress, wait)

    @property
    def objects(self) -> FoundObjects:
        """The boxes, masks and keypoints on these samples."""
        from dataide.widgets.found_objects import FoundObjects

        return FoundObjects(self._context).of(self)

    def _infer(
        self,
        work: Callable[..., Any],
        what: Any,
        *,
        progress: bool | Listener,
        wait: bool,
        everything: bool = False,
        device: str = "auto",
        engine: str = "local",
        address: str | None = None,
        **options: Any,
    ) -> Any:
        """Starts a work of the inference room on the samples of this view; those without a picture are left out."""
        context, nos = self._context, self.nos()
        if not everything:
            nos = with_pictures(context.database, nos)
        if "kernel" not in options:
            options["kernel"] = _kernel(context, engine, device, address)
        job = work(context.database, context.media, nos, what, wait=False, **options)
        return shown(job, len(nos), progress, wait)

    def project(
        self,
        method: str = "auto",
        *,
        embedding: str | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> ProjectReport | Job[ProjectReport]:
        """Lays the samples out on a map: "umap", "pca", or "auto" for UMAP where it is installed.

        Args:
            method: how.
            embedding: whose vectors; by default "auto", else the latest.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: name= of the map; refit=True lays all out anew instead of adding to the map that is there.
        """
        from dataide.find.projection import project

        context, nos = self._context, self.nos()
        vectors = named(context, embedding)
        job = project(context.database, nos, method, embedding=vectors, wait=False, **options)
        done = shown(job, len(nos), progress, wait)
        if wait:
            Workspace.of(context).places.prepare()
        return done

    def similar(
        self,
        to: Any = None,
        k: int | None = None,
        *,
        unlike: Any = None,
        box: Sequence[float] | None = None,
        text: str | None = None,
        embedding: str | None = None,
        model: Any = None,
        exact: bool = True,
    ) -> Self:
        """The samples most similar to examples, a region or a text, best first, with a column `similarity`.

        Args:
            to: a sample id, a View, a path, encoded bytes, a PIL picture, an array, or a list of these; any other
                string is a text, where the model reads texts.
            k: how many; None for all.
            unlike: what it should not be like, given as `to`.
            box: left, top, width, height in px: similar to this region of the one sample `to`.
            text: a text, also where a sample or file has that name.
            embedding: whose vectors; by default "auto", else the latest.
            model: what the embedding was made with, for what is no sample, where this session has not embedded with it.
            exact: False asks the index of session.index(), which is quick for tens of millions and may miss some.

        Raises:
            ActionError: nothing to be similar to was given, or two things, or examples that take each other away.
            UnknownSample: there is no such sample, file or text that a model reads.
            ModelError: the model of the embedding is asked for, cannot be had, or failed; or there is no index.
        """
        from dataide.find.similarity import similar

        asked: dict[str, Any] = {"unlike": unlike, "box": box, "text": text, "embedding": embedding, "model": model}
        found = similar(self._context, to, k, among=self.mask(), exact=exact, **asked)
        return self._with().ranked(found.nos, found.said, similarity=found.similarity)


def _kernel(context: Context, engine: str, device: str, address: str | None) -> Kernel:
    """Who computes for a session: a process of this machine, or a cluster."""
    if engine == "ray":
        if device != "auto":
            raise ModelError(
                f"On a Ray cluster the actors choose their device, so device={device!r} cannot be had.",
                hint="Leave device out: actors take a GPU each where the cluster has some.",
            )
        from dataide.inference.engines.ray import ray_of

        return ray_of(context, address)
    if engine != "local":
        raise ModelError(f"There is no engine {engine!r}.", hint="Say engine='local' or engine='ray'.")
    from dataide.inference.kernel import kernel_of

    return kernel_of(context, device)
