"""The objects of a session with all that is found by their crops; `session.objects` is one, and `view.objects`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dataide.formats.objects_in import Objects, ObjectWaysIn
from dataide.widgets import chosen_objects
from dataide.widgets.autotagging import ObjectAutotagging
from dataide.widgets.jobs import shown
from dataide.widgets.object_asking import ObjectAsking

if TYPE_CHECKING:
    from dataide.core.object_views import ObjectView
    from dataide.find.finding import IssueReport
    from dataide.find.object_similarity import ObjectMap, ObjectMapReport, ObjectVectors
    from dataide.formats.progress import Listener
    from dataide.inference.crops import CropReport
    from dataide.inference.identity import ModelLike
    from dataide.inference.job import Job


class FoundObjects(ObjectAutotagging, ObjectAsking, Objects):
    """Objects with vectors of their crops: embedded, compared, laid out, selected."""

    def embed(
        self,
        model: ModelLike = "auto",
        *,
        name: str | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> CropReport | Job[CropReport]:
        """Gives each object a vector of its crop. Ctrl-C keeps what was done; the same call does what is missing.

        A vector is missing as well where the box was moved or the picture replaced since.

        Args:
            model: as for `session.embed`: "auto" (works offline), a name of torchvision, a callable on PIL pictures …
            name: of the embedding; by default the model's.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: batch_size=, device=, transform=, layer=, weights=, trust=.

        Raises:
            ModelError: the model cannot be had, or failed.
        """
        from dataide.find.object_similarity import models
        from dataide.inference.crops import embed_crops
        from dataide.inference.kernel import kernel_of

        context, nos = self._context, self.nos()
        if "kernel" not in options:
            options["kernel"] = kernel_of(context, options.pop("device", "auto"))
        options |= {"remember": models(context), "name": name}
        job: Any = embed_crops(context.database, context.media, nos, model, wait=False, **options)
        return shown(job, len(nos), progress, wait)

    def find_issues(
        self,
        kinds: Sequence[str] | str | None = None,
        *,
        reference: ObjectView | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
        **options: Any,
    ) -> IssueReport | Job[IssueReport]:
        """Looks for what is suspicious among these objects, by what their crops look like.

        `session.issues("object_label")` has what was found, an issue for each sample; its `findings` name the objects.

        Args:
            kinds: "label", "ambiguous", "imbalance", "near_duplicate", "leak", "outlier"; None for all of them.
            reference: objects that are as they should be, for outliers.
            progress: False for silence.
            wait: False returns a Job at once.
            **options: embedding= whose vectors of objects, again=True also where nothing has changed, seed=.

        Raises:
            ModelError: there is no such kind or embedding, or objects have no vectors: `session.objects.embed()`.
        """
        from dataide.find.object_issues import find_object_issues

        nos, samples = self.nos(), self.samples().nos()
        if reference is not None:
            options["reference"] = reference.nos()
        job: Any = find_object_issues(self._context, nos, samples, kinds, wait=False, **options)
        done: IssueReport | Job[IssueReport] = shown(job, len(nos), progress, wait)
        return done

    def similar(
        self,
        to: Any,
        k: int | None = None,
        *,
        unlike: Any = None,
        box: Sequence[float] | None = None,
        embedding: str | None = None,
        model: Any = None,
    ) -> Self:
        """The objects whose crops are most similar, best first, with a column `similarity`.

        Args:
            to: an object id, objects (their mean), a path, a picture, an array, or a list of these.
            k: how many; None for all.
            unlike: what they should not be like, given as `to`.
            box: left, top, width, height in px: similar to this region of the sample `to`, which need be no object.
            embedding: whose vectors; by default the latest of objects.
            model: what it was made with, for a picture, where this session has not embedded with it.

        Raises:
            UnknownSample: there is no such object, sample or file.
            ModelError: objects have no vectors, or the model is asked for and cannot be had.
        """
        from dataide.find.object_similarity import similar_objects

        asked: dict[str, Any] = {"unlike": unlike, "box": box, "embedding": embedding, "model": model}
        found = similar_objects(self._context, to, k, self.nos(), **asked)
        return type(self)(self._context).ranked(found.nos, found.similarity, found.said)

    def vectors(self, name: str | None = None) -> ObjectVectors:
        """The vectors of an embedding of objects (by default the latest): object_id, vector."""
        from dataide.find.object_similarity import ObjectVectors

        return ObjectVectors(self._context, name)

    @property
    def embeddings(self) -> list[str]:
        """The names of the embeddings of objects."""
        from dataide.storage import object_vectors

        return [one.name for one in object_vectors.embeddings(self._context.database)]

    def project(
        self,
        method: str = "auto",
        *,
        embedding: str | None = None,
        name: str | None = None,
        progress: bool | Listener = True,
        wait: bool = True,
    ) -> ObjectMapReport | Job[ObjectMapReport]:
        """Lays the objects out on a map of their own, a point for each: "umap", "pca", or "auto".

        Args:
            method: how.
            embedding: whose vectors; by default the latest of objects.
            name: of the map; by default embedding/method.
            progress: False for silence.
            wait: False returns a Job at once.

        Raises:
            ModelError: objects have no vectors, or umap-learn is missing.
        """
        from dataide.find.object_similarity import project_objects

        nos = self.nos()
        job: Any = project_objects(self._context.database, nos, method, embedding=embedding, name=name, wait=False)
        return shown(job, len(nos), progress, wait)

    def map(self, name: str | None = None) -> ObjectMap:
        """A map of objects (by default the latest), as a table of object_id, sample_id, label, x, y."""
        from dataide.find.object_similarity import ObjectMap

        return ObjectMap(self._context, name)

    def inside(self, polygon: Any, map: str | None = None) -> Self:
        """These objects inside a polygon on a map of objects: what a lasso does.

        Args:
            polygon: corners in the coordinates of the map, shape (corners, 2).
            map: its name; by default the latest.
        """
        found = self.map(map)
        nos = np.intersect1d(found.inside(polygon), self.nos())
        return type(self)(self._context).among(nos, f"inside a polygon on {found.name}")

    def select(self) -> Self:
        """Makes these objects the selected ones, and selects their samples in all panels; returns them."""
        nos = self.nos()
        selection = self._context.selection
        with self._context.changes.together(), chosen_objects.choosing(self._context):
            before = selection.version
            version = selection.take(self.samples().nos(), "replace", "code").version
            if version == before:
                version = selection.renew("code")  # other objects of the same samples: plots of objects must hear of it
            chosen_objects.remember(self._context, nos, version)
        return self.selected

    @property
    def selected(self) -> Self:
        """The objects that are selected: by a gesture over a map of objects, else all those of selected samples."""
        nos = chosen_objects.chosen(self._context)
        if nos is None:
            return type(self)(self._context).of(self._context.selected())
        return type(self)(self._context).among(nos, "that are selected")


class ObjectWays(ObjectWaysIn):
    """What a session knows about objects, by `formats.objects_in` and by their crops."""

    @property
    def objects(self) -> FoundObjects:
        """Boxes, masks and keypoints as a View: session.objects.where(label="dog").to_pandas()."""
        return FoundObjects(self.context)
