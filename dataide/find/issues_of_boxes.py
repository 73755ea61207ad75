"""Issues that a detector finds with boxes: missed things, boxes of nothing, of another class, badly placed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataide.find.families import Family, Materials, Say, Searched
from dataide.find.issues_of_objects import box_findings
from dataide.storage import evidence, runs
from dataide.storage.issues import Found

# So many things of one picture stand in its reason.
_NAMED = 3


class Boxes(Family):
    """Pictures whose boxes are probably wrong, by the boxes that a detector predicts."""

    kinds = ("box",)
    sentence = "comparing boxes with those of the detector"
    method = 2

    def hindrance(self, materials: Materials) -> str | None:
        if materials.detector is None:
            return (
                "it takes the run of a detector: session.predict(model, run='v1', task='detection'), then run='v1'. "
                "Without one, session.objects.find_issues('label') judges labels of objects by their crops, as issues "
                "of the kind object_label."
            )
        return None

    def revision(self, materials: Materials) -> str:
        given, classes = evidence.given_boxes(materials.database, materials.looked.nos)
        run = materials.detector
        assert run is not None
        there = evidence.judged_by(materials.database, run, materials.looked.nos)
        said = (run.number, run.name, tuple(runs.revisions(materials.database, run)), there)
        return materials.stamp(self.kinds, self.method, *given.values(), classes, *said)

    def search(self, materials: Materials, kinds: Sequence[str], say: Say) -> Searched:
        looked, run = materials.looked, materials.detector
        assert run is not None
        given, words = evidence.given_boxes(materials.database, looked.nos)
        predicted = evidence.predicted_boxes(materials.database, run, looked.nos)
        words += [name for name in run.classes if name not in words]
        predicted["class_no"] = np.asarray([words.index(name) for name in run.classes], np.int64)[predicted["class_no"]]
        places = evidence.judged_by(materials.database, run, looked.nos)
        judged = np.isin(given["row"], places)
        given = {name: values[judged] for name, values in given.items()}
        arrays = {f"given_{name}": values for name, values in given.items()}
        arrays |= {f"predicted_{name}": values for name, values in predicted.items()}
        told, _ = materials.computing.call("boxes", {"count": len(looked.nos)}, arrays, say=say)
        said: dict[int, list[str]] = {}

        def tell(rows: np.ndarray, sentences: Sequence[str]) -> None:
            for row, sentence in zip(rows.tolist(), sentences, strict=True):
                said.setdefault(row, []).append(sentence)

        def named(flag: str, of: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
            found = np.flatnonzero(told[flag])
            return found, [words[no] if no >= 0 else "thing" for no in of["class_no"][found].tolist()]

        found, classes = named("is_missed", predicted)
        scores = predicted["score"][found].tolist()
        tell(
            predicted["row"][found],
            [f"a {name} ({score:.2f}) has no box" for name, score in zip(classes, scores, strict=True)],
        )
        found, classes = named("is_wrong_class", given)
        other = [words[no] if no >= 0 else "something else" for no in told["proposal"][found].tolist()]
        tell(given["row"][found], [f"a {name} looks like a {is_}" for name, is_ in zip(classes, other, strict=True)])
        found, classes = named("is_spurious", given)
        tell(given["row"][found], [f"nothing is seen in the box of a {name}" for name in classes])
        found, classes = named("is_badly_placed", given)
        tell(given["row"][found], [f"the box of a {name} is badly placed" for name in classes])
        flagged = np.zeros(len(looked.nos), bool)
        flagged[list(said)] = True
        row_of = {row: place for place, row in enumerate(places.tolist())}
        reasons = {row_of[row]: _joined(sentences) for row, sentences in said.items()}
        notes = []
        if len(places) < len(looked.nos):
            notes.append(f"{len(looked.nos) - len(places):,} have no result of the run {run.name!r}.")
        about, mending = box_findings(looked.nos, given, predicted, told, words)
        texts = sorted(set(mending.values()))
        proposal = np.array([texts.index(mending[row]) if row in mending else -1 for row in places.tolist()], np.int32)
        issues = Found(
            looked.nos[places], told["picture"][places], flagged[places], proposal=proposal, words=texts,
            reasons=reasons, findings=about,
        )  # fmt: skip
        return {"box": issues}, notes


def _joined(sentences: list[str]) -> str:
    more = f" and {len(sentences) - _NAMED} more" if len(sentences) > _NAMED else ""
    text = ", ".join(sentences[:_NAMED]) + more
    return f"{text[:1].upper()}{text[1:]}."
