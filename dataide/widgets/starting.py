"""Jobs that can be started in a panel: what each kind asks, and how it begins.

Each kind is a row of `KINDS`: its fields, and the method of a View that does it. Whether torch is there is only looked
up, never tried: importing it would cost the notebook's kernel seconds and hundreds of megabytes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dataide.errors import ActionError, ModelError, did_you_mean
from dataide.storage import models_used, object_vectors, runs, vectors

from .dialogue import WrongField
from .protocol import StartableAnswer, StartJobAsk
from .vocabulary import JobTarget, StartField, StartKind, TargetCount

if TYPE_CHECKING:
    from dataide.core.view import View
    from dataide.inference.job import Job

    from .workspace import Workspace

LONGEST_MINUTES = 24 * 60.0
ISSUES = "issues"
AUTO = "auto"
# Good ones of torchvision, the quickest first, to complete what is typed; any other name may be typed as well.
MODELS = (
    *("mobilenet_v3_small", "mobilenet_v3_large", "resnet18", "efficientnet_b0", "resnet50", "regnet_y_1_6gf"),
    *("convnext_tiny", "efficientnet_v2_s", "swin_t", "vit_b_16", "convnext_base", "vit_l_16"),
)
# Columns of few values that are no labels of anything.
_NO_LABELS = frozenset({"format", "excluded", "split", "sample_id", "media", "content_hash"})
_MODEL = re.compile(r"[\w.\-/:]{1,200}")
_RUN = re.compile(r"[A-Za-z]\w{0,39}")
# Tasks of runs that say something of labels or boxes.
_JUDGES = ("classification", "detection")
# What can be looked for by itself.
_ISSUES = {
    "quality": "bad pictures",
    "label": "wrong labels",
    "near_duplicate": "near duplicates",
    "leak": "leaks between splits",
    "outlier": "outliers",
    "ambiguous": "two labels alike",
    "imbalance": "rare classes",
    "box": "wrong boxes",
    "linter": "broken rules",
}
_TARGETS: dict[JobTarget, str] = {"all": "The session", "filter": "The filter", "selection": "The selection"}

Filled = Mapping[str, str]


@dataclass(frozen=True)
class Kind:
    """One thing that can be computed.

    Attributes:
        title: for people.
        about: what one has of it, in one line.
        method: of a View; the kind is offered where it exists.
        fields: what it asks, or None where it is not possible here.
        start: begins the job with what was filled in, as `fields` said it, and returns at once.
    """

    title: str
    about: str
    method: str
    fields: Callable[[Workspace], list[StartField] | None]
    start: Callable[[Callable[..., Job[Any]], Filled], Job[Any]]


# ---- what each kind asks, and what it does with it ---------------------------------------------------------------


def _embedding_fields(workspace: Workspace) -> list[StartField]:
    models = [AUTO, *(MODELS if _has("torchvision") else ())]
    return [
        _text("model", "Model", AUTO, models, "auto needs no torch" if len(models) == 1 else "auto, or of torchvision"),
        _text("name", "Name", "", _embeddings(workspace), "empty: the model's name"),
    ]


def _embed(method: Callable[..., Job[Any]], filled: Filled) -> Job[Any]:
    from dataide.inference.identity import check_name

    name = filled["name"] or None
    try:
        check_name(name, "embedding")
    except ModelError as error:
        raise WrongField("name", error.message, hint=error.hint) from error
    return method(filled["model"], name=name, wait=False, progress=False)


def _map_fields(workspace: Workspace) -> list[StartField] | None:
    embeddings = _embeddings(workspace)[::-1]
    if not embeddings:
        return None
    mapped = {one.embedding for one in workspace.places.projections()}
    first = next((name for name in embeddings if name not in mapped), embeddings[0])
    methods = {"umap": "UMAP, by neighbours"} if _has("umap") else {}
    methods["pca"] = "PCA, at once"
    return [
        _choice("embedding", "Of", first, {name: name for name in embeddings}),
        _choice("method", "Method", next(iter(methods)), methods),
    ]


def _project(method: Callable[..., Job[Any]], filled: Filled) -> Job[Any]:
    return method(filled["method"], embedding=filled["embedding"], wait=False, progress=False)


def _no_fields(workspace: Workspace) -> list[StartField]:
    return []


def _enrich(method: Callable[..., Job[Any]], filled: Filled) -> Job[Any]:
    return method("quality", wait=False, progress=False)


def _learn_fields(workspace: Workspace) -> list[StartField] | None:
    if not _has("torch"):
        return None
    columns = [
        name
        for name, kind in workspace.codes.kinds().items()
        if kind in ("category", "bool") and name not in _NO_LABELS and not name.startswith("_")
    ]
    columns.sort(key=lambda name: name != "label")
    labelled = bool(workspace.database.sample_count) and _has_labels(workspace)
    choices = {"": "none: the pictures alone", **{name: name for name in columns}}
    return [
        _choice("label", "Label", "label" if labelled and "label" in choices else "", choices),
        _number("minutes", "Minutes", 2, "of training"),
    ]


def _learn(method: Callable[..., Job[Any]], filled: Filled) -> Job[Any]:
    minutes = float(filled["minutes"])
    return method(label=filled["label"] or None, minutes=minutes, wait=False, progress=False)


def _predict_fields(workspace: Workspace) -> list[StartField] | None:
    learned = _learned(workspace) if _has("torch") else []
    models = [*learned, *(MODELS if _has("torchvision") else ())]
    if not models:
        return None
    first = learned[0] if learned else "resnet18"
    return [
        _text("model", "Model", first, models, "learned, or of torchvision"),
        _text("run", "Run", _free_run(workspace), [], "names the columns"),
    ]


def _predict(method: Callable[..., Job[Any]], filled: Filled) -> Job[Any]:
    run = filled["run"]
    if not _RUN.fullmatch(run):
        raise WrongField(
            "run", f"{run!r} cannot be the name of a run.", hint="Begin with a letter, then letters, digits and _: v1."
        )
    return method(filled["model"], run=run, wait=False, progress=False)


def _issue_fields(workspace: Workspace) -> list[StartField]:
    from dataide.find.issue_kinds import OBJECT_KINDS

    # Crops of objects are compared where they have vectors; the kinds are called as all panels call them.
    cropped = bool(object_vectors.embeddings(workspace.database))
    of_objects = {kind: kind.replace("_", " ") for kind in OBJECT_KINDS} if cropped else {}
    fields = [_choice("kinds", "Look for", "", {"": "all kinds", **_ISSUES, **of_objects})]
    embeddings = _embeddings(workspace)[::-1]
    if embeddings:
        first = AUTO if AUTO in embeddings else embeddings[0]
        fields.append(_choice("embedding", "By", first, {name: name for name in embeddings}))
    judges = [run.name for run in runs.runs(workspace.database) if run.task in _JUDGES][::-1]
    if judges:
        fields.append(_choice("run", "Run", "", {"": "none: probes trained here", **{name: name for name in judges}}))
    return fields


def _find_issues(method: Callable[..., Job[Any]], filled: Filled) -> Job[Any]:
    named = {name: filled[name] for name in ("embedding", "run") if filled.get(name)}
    return method(filled["kinds"] or None, wait=False, progress=False, **named)


KINDS: dict[str, Kind] = {
    "embedding": Kind("Embedding", "vectors, to find what looks alike", "embed", _embedding_fields, _embed),
    "map": Kind("Map", "a plane where what is alike lies together", "project", _map_fields, _project),
    "attributes": Kind("Attributes", "blur, noise, colours and more as columns", "enrich", _no_fields, _enrich),
    "learned": Kind(
        "Learned embedding",
        "vectors of a small network trained here",
        "learn_embedding",
        _learn_fields,
        _learn,
    ),
    "predictions": Kind("Predictions", "a class and a confidence as columns", "predict", _predict_fields, _predict),
    ISSUES: Kind("Find issues", "wrong labels, duplicates, outliers …", "find_issues", _issue_fields, _find_issues),
}


# ---- what is possible --------------------------------------------------------------------------------------------


def options_for(workspace: Workspace) -> StartableAnswer:
    """What can be started here now, with the fields of each kind and how many samples each target has."""
    kinds, note = _offered(workspace), _why_nothing(workspace)
    return {
        "targets": targets(workspace),
        "kinds": [] if note else list(kinds.values()),
        "suggested": None if note else _suggested(workspace, kinds),
        "torch": _has("torch"),
        "note": note,
    }


def targets(workspace: Workspace) -> list[TargetCount]:
    """What a job may be about: everything, what passes the filter where there is one, the selection if any."""
    found: list[TargetCount] = [{"target": "all", "count": len(workspace.context.view())}]
    if workspace.filter.clauses:
        found.append({"target": "filter", "count": workspace.visible_count()})
    if workspace.selection.count:
        found.append({"target": "selection", "count": workspace.selection.count})
    return found


def _offered(workspace: Workspace) -> dict[str, StartKind]:
    offered: dict[str, StartKind] = {}
    for name, kind in KINDS.items():
        if not hasattr(workspace.context.view_type, kind.method):
            continue
        fields = kind.fields(workspace)
        if fields is not None:
            offered[name] = {"kind": name, "title": kind.title, "about": kind.about, "fields": fields}
    return offered


def _why_nothing(workspace: Workspace) -> str | None:
    database = workspace.database
    if database.read_only:
        return f"{database.path.name} is open for reading only, so nothing that is computed could be kept."
    if not database.sample_count:
        return 'There are no samples yet. Add some in a cell: session.add_folder("photos")'
    return None


def _suggested(workspace: Workspace, kinds: Mapping[str, StartKind]) -> str | None:
    """The next thing most people want: vectors, then a map of them."""
    mapped = {one.embedding for one in workspace.places.projections()}
    if "map" in kinds and any(name not in mapped for name in _embeddings(workspace)):
        return "map"
    return next(iter(kinds), None)


def _view(workspace: Workspace, target: JobTarget) -> View:
    """The samples that a job is about.

    Raises:
        WrongField: there are none.
    """
    context = workspace.context
    view = context.view()
    if target == "selection":
        # What is selected now, and not by the time the job has begun.
        view = view.among(context.selected().nos(), "selected")
    if target == "filter":
        for clause in workspace.filter.clauses:
            view = view.where(clause.sql)
    if not len(view):
        raise WrongField("target", f"{_TARGETS[target]} has no samples.", hint="Choose another target.")
    return view


def _has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _embeddings(workspace: Workspace) -> list[str]:
    """The names of the embeddings, the oldest first."""
    return list(dict.fromkeys(known.name for known in vectors.embeddings(workspace.database)))


def _learned(workspace: Workspace) -> list[str]:
    """The networks that were trained here with labels, the latest first: they can predict."""
    known = models_used.listing(workspace.database).select(["model", "kind", "details"]).to_pylist()
    trained = [
        one["model"]
        for one in known
        if one["kind"] == "learned" and models_used.details_of(one["details"]).get("classes")
    ]
    return list(dict.fromkeys(reversed(trained)))


def _has_labels(workspace: Workspace) -> bool:
    from .answers.state import names

    return len(names(workspace, "labels")) > 1


def _free_run(workspace: Workspace) -> str:
    # Tables and columns do not tell capitals from small letters.
    columns = {name.lower() for name in workspace.database.columns()}
    taken = {run.name.lower() for run in runs.runs(workspace.database)}
    names = (f"v{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken and f"{name}_class" not in columns)


def _check_model(name: str, known: list[str]) -> None:
    if not name:
        raise WrongField("model", "The model has no name.", hint=f"Type {' or '.join(known[:2])}.")
    if not _MODEL.fullmatch(name):
        raise WrongField("model", f"{name[:60]!r} is no name of a model.", hint=did_you_mean(name, known))


def _text(name: str, label: str, value: str, completions: list[str] | tuple[str, ...], hint: str) -> StartField:
    return {
        "name": name,
        "label": label,
        "kind": "text",
        "value": value,
        "choices": [{"value": text, "text": text} for text in completions],
        "hint": hint,
    }


def _choice(name: str, label: str, value: str, choices: Mapping[str, str]) -> StartField:
    return {
        "name": name,
        "label": label,
        "kind": "choice",
        "value": value,
        "choices": [{"value": one, "text": text} for one, text in choices.items()],
        "hint": None,
    }


def _number(name: str, label: str, value: float, hint: str) -> StartField:
    return {"name": name, "label": label, "kind": "number", "value": f"{value:g}", "choices": [], "hint": hint}


def _filled(fields: list[StartField], given: Mapping[str, object]) -> Filled:
    """Each field with what was filled in, or what it begins with.

    Raises:
        WrongField: a choice that is none, a number out of bounds, or what can be no name of a model.
    """
    filled: dict[str, str] = {}
    for field in fields:
        name, label = field["name"], field["label"]
        value = str(given.get(name, field["value"])).strip()
        known = [choice["value"] for choice in field["choices"]]
        if field["kind"] == "choice" and value not in known:
            raise WrongField(name, f"{label}: there is no {value[:60]!r} here.", hint=did_you_mean(value, known))
        if field["kind"] == "number" and not 0 < float(value) <= LONGEST_MINUTES:
            raise WrongField(name, f"{label} cannot be {value}.", hint=f"More than 0, at most {LONGEST_MINUTES:g}.")
        if name == "model" and value not in known:  # what was trained here may be called anything
            _check_model(value, known)
        filled[name] = value
    return filled


# ---- beginning ---------------------------------------------------------------------------------------------------


def begin(workspace: Workspace, ask: StartJobAsk) -> Job[Any]:
    """Starts what was asked for; it goes on in a thread.

    Raises:
        WrongField: something that was filled in cannot be used; it says which field.
        DataideError: the job cannot be had, for another reason.
    """
    note = _why_nothing(workspace)
    if note:
        raise ActionError(note, code="not_startable")
    view = _view(workspace, ask["target"])
    kinds = _offered(workspace)
    offered = kinds.get(ask["kind"])
    if offered is None:
        raise WrongField(
            "kind", f"{ask['kind'][:60]!r} cannot be computed here.", hint=did_you_mean(ask["kind"], kinds)
        )
    filled = _filled(offered["fields"], ask["options"])
    kind = KINDS[ask["kind"]]
    return kind.start(getattr(view, kind.method), filled)
