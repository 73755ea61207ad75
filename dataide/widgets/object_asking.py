"""What to label next among objects; `session.objects` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from dataide.core.object_views import ObjectView
from dataide.widgets.jobs import shown

if TYPE_CHECKING:
    from dataide.find.asking_objects import SuggestedObjects
    from dataide.formats.progress import Listener
    from dataide.inference.job import Job


class ObjectAsking(ObjectView):
    """Objects by how much their labels would teach a model."""

    def rank(self, by: str, *, embedding: str | None = None, n: int | None = None, seed: int = 0) -> Self:
        """These objects by how much their labels would teach a model, the most first, with a column `rank_score`.

        Crowds, and what has no vector of its present box, are left out. Probes are trained on the labels of the
        session's objects, and have seen those that they rank.

        Args:
            by: "uncertainty", "margin", "entropy", "disagreement", "badge", "coreset", "typiclust" or "random"; the
                last four know no score.
            embedding: whose vectors; by default the latest of objects.
            n: how many; None for all. "badge", "coreset" and "typiclust" choose a batch among those without a label,
                of 100 unless n says otherwise.
            seed: of what is drawn at random.

        Raises:
            ActionError: there is no such strategy, or too few labels.
            ModelError: objects have no vectors, or none of this name.
        """
        from dataide.find import asking_objects

        job = asking_objects.rank_objects(self._context, self.nos(), by, embedding=embedding, n=n, seed=seed)
        nos, scores = job.complete()
        said = f"{self._described()} {f'by {by}' if by != 'random' else 'at random'}".strip()
        return type(self)(self._context).ranked(nos, scores if len(scores) else None, said, "rank_score")

    def suggest(
        self,
        n: int,
        by: str = "auto",
        *,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> SuggestedObjects | ObjectView | Job[Any]:
        """Chooses which objects to label next, without near duplicates, and queues their samples: one decision.

        Objects with a label, crowds, and objects of samples that wait in the queue already are left out.

        Args:
            n: how many objects.
            by: a strategy of `rank`, or "auto": by margin where the labels so far say that a model's doubts mean
                something, else at random, and the report says why.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: balance="class" for labels and suggestions as even over classes as can be, at_most= how many
                objects of one sample (3; None for any number), queue= its name ("to label"; None only returns the
                objects), embedding=, seed= as in `rank`.

        Raises:
            ActionError: nothing is left to suggest, or a strategy lacks what it needs.
            ModelError: objects have no vectors for it, or none of this name.
        """
        from dataide.find import asking_objects

        nos = self.nos()
        job = asking_objects.suggest_objects(self._context, nos, n, by=by, **options)
        done: SuggestedObjects | ObjectView | Job[Any] = shown(job, len(nos), progress, wait)
        return done
