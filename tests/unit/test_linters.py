"""Linters on real boxes with planted faults, and each rule on what it is about."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import planted_boxes
from benchmarks.linters import recall_at
from benchmarks.planted_boxes import Boxes
from dataide.review import own_rules
from dataide.review.linters import Findings, Known, LinterError, Objects, forget, learn, lint, lint_one, linter, objects

SEEDS = (0, 1, 2)


@pytest.fixture(autouse=True)
def no_rules_stay() -> Iterator[None]:
    before = dict(own_rules.RULES)
    yield
    own_rules.RULES.clear()
    own_rules.RULES.update(before)


@pytest.fixture
def coco(shared_data: Callable[[str], Path]) -> Boxes:
    return planted_boxes.coco(shared_data("coco128"))


def table_of(boxes: Boxes) -> Objects:
    return objects(boxes.columns(), boxes.samples(), boxes.names)


def told(findings: Findings, *rules: str) -> set[int]:
    return {int(no) for rule in rules for no in findings.object_no[findings.of(rule)]}


def recall(findings: Findings, rows: np.ndarray, *rules: str) -> float:
    return float(np.isin(rows, list(told(findings, *rules))).mean())


def small(**columns: list[float]) -> Objects:
    """Objects of one picture of 640 x 480 px, but for `sample_no`; what is not given is a plain box of a cat."""
    count = len(next(iter(columns.values())))
    plain = {"sample_no": 0, "class_no": 0, "x": 10, "y": 10, "width": 50, "height": 40}
    filled = {name: np.full(count, value, float) for name, value in plain.items()}
    filled |= {"object_no": np.arange(count, dtype=float)} | {name: np.array(v, float) for name, v in columns.items()}
    samples = np.unique(filled["sample_no"])
    sizes = {
        "sample_no": samples,
        "width_px": np.full(len(samples), 640.0),
        "height_px": np.full(len(samples), 480.0),
    }
    return objects(filled, sizes, ["cat", "dog", "Cat "], vocabulary=["cat", "dog"])


# Real boxes.


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("jitter", [0.0, 0.03])
def test_all_boxes_drawn_twice_are_found(coco: Boxes, seed: int, jitter: float) -> None:
    boxes, copies = planted_boxes.doubled(coco, seed, jitter)
    findings = lint(table_of(boxes))
    assert recall(findings, copies, "duplicate_box") == 1
    assert len(findings.of("duplicate_box")) <= len(copies) + 10
    rows = [place for place in findings.of("duplicate_box") if findings.object_no[place] in copies]
    assert {findings[place].repair.act for place in rows} == {"delete"}


@pytest.mark.parametrize("seed", SEEDS)
def test_all_boxes_outside_inverted_or_empty_are_found_and_no_others(coco: Boxes, seed: int) -> None:
    assert not told(lint(table_of(coco)), "outside_image", "partly_outside", "inverted_box", "empty_box")
    boxes, rows = planted_boxes.pushed_out(coco, seed, wholly=False)
    findings = lint(table_of(boxes))
    assert told(findings, "partly_outside") == set(rows.tolist())
    for place in findings.of("partly_outside"):
        x, y, width, height = findings[place].repair.box or (-1, -1, 0, 0)
        at = coco.picture[findings.object_no[place]]
        assert x >= 0 and y >= 0 and x + width <= coco.width_px[at] and y + height <= coco.height_px[at]
    boxes, rows = planted_boxes.pushed_out(coco, seed, wholly=True)
    assert told(lint(table_of(boxes)), "outside_image") == set(rows.tolist())
    boxes, rows = planted_boxes.spoiled(coco, seed)
    findings = lint(table_of(boxes))
    assert told(findings, "inverted_box", "empty_box", "not_a_number") == set(rows.tolist())
    for place in findings.of("inverted_box"):
        assert findings[place].repair.box == pytest.approx(tuple(coco.box[findings.object_no[place]]))


def test_boxes_of_ten_times_the_size_are_found(coco: Boxes) -> None:
    plain, cut, flagged = [], [], []
    for seed in SEEDS:
        boxes, rows = planted_boxes.grown(coco, seed, 10, clip=False)
        plain.append(recall(lint(table_of(boxes)), rows, "too_large"))
        boxes, rows = planted_boxes.grown(coco, seed, 10, clip=True)
        findings = lint(table_of(boxes))
        cut.append(recall(findings, rows, "too_large"))
        flagged.append(len(findings.of("too_large")) / len(boxes.box))
    assert min(plain) >= 0.95 and np.mean(cut) >= 0.9
    # Not by flagging everything.
    assert max(flagged) <= 0.2


def test_swapped_classes_are_found_without_and_with_crops(coco: Boxes, shared_data: Callable[[str], Path]) -> None:
    vectors = planted_boxes.crops(shared_data("coco128"), coco)
    for how in ("uniform", "common"):
        found: dict[bool, list[float]] = {False: [], True: []}
        for seed in SEEDS:
            boxes, rows = planted_boxes.relabelled(coco, seed, how)
            for seen in (False, True) if how == "uniform" else (False,):
                findings = lint(table_of(boxes), vectors=vectors if seen else None)
                found[seen].append(recall_at(findings, rows, 0.2))
        assert min(found[False]) >= 0.3 and min(found[True], default=1) >= 0.4, how


def test_labels_exchanged_within_a_picture_are_found_with_crops(
    coco: Boxes, shared_data: Callable[[str], Path]
) -> None:
    vectors = planted_boxes.crops(shared_data("coco128"), coco)
    found, right = [], []
    for seed in SEEDS:
        boxes, rows = planted_boxes.relabelled(coco, seed, "exchanged")
        findings = lint(table_of(boxes), vectors=vectors)
        found.append(recall_at(findings, rows, 0.15))
        places = findings.of("class_swap")
        places = places[np.isin(findings.object_no[places], rows)]
        right.append((findings.repair[places, 0] == coco.kind[findings.object_no[places]]).mean())
    assert np.mean(found) >= 0.25 and np.mean(right) >= 0.6


def test_bccd_as_shipped(shared_data: Callable[[str], Path]) -> None:
    boxes = planted_boxes.bccd(shared_data("bccd"))
    findings = lint(table_of(boxes))
    assert len(told(findings, "empty_box", "inverted_box")) == 2
    assert len(findings.of("duplicate_box")) == 8 and (findings.data[findings.of("duplicate_box"), 0] > 0.8).all()
    assert not told(findings, "outside_image", "partly_outside", "not_a_number", "two_labels")


def test_one_picture_is_told_what_the_whole_set_is_told(coco: Boxes) -> None:
    boxes, _ = planted_boxes.grown(coco, 0, 10, clip=True)
    table = table_of(boxes)
    known = learn(table)
    whole = lint(table, known)
    told_of_whole = {
        (whole.sample_no[place], whole.rules[whole.rule[place]], *whole[place].objects) for place in range(len(whole))
    }
    told_of_each = set()
    for picture in np.unique(boxes.picture).tolist():
        columns = {name: values[boxes.picture == picture] for name, values in boxes.columns().items()}
        one = lint_one(columns, (boxes.width_px[picture], boxes.height_px[picture]), boxes.names, known)
        told_of_each |= {(picture, finding.rule, *finding.objects) for finding in one}
    assert told_of_each == told_of_whole and len(told_of_each) > 100


# One rule each.


def test_sentences_and_repairs_of_broken_boxes() -> None:
    findings = lint(small(x=[10, 60, 10, np.nan, 600, 700, 10], width=[50, -20, 0, 5, 80, 9, 1]))
    by_object = {finding.objects: finding for finding in findings if finding.severity != "hint"}
    boxes: dict[tuple[int, ...], object] = {key: finding.repair.box for key, finding in by_object.items()}
    assert boxes[1,] == (40, 10, 20, 40) and boxes[4,] == (600, 10, 40, 40)
    assert by_object[1,].rule == "inverted_box"
    assert by_object[2,].message == "The box is empty: 0 x 40 px."
    assert by_object[3,].rule == "not_a_number" and by_object[3,].repair.act == "delete"
    assert by_object[4,].message == "50% of the box lies outside the picture, by up to 40 px."
    assert by_object[5,].rule == "outside_image" and by_object[6,].rule == "too_small"
    assert all(0 <= finding.score < 0.5 for finding in by_object.values())


def test_two_labels_on_one_thing_and_a_crowd_is_only_a_hint() -> None:
    findings = lint(small(class_no=[0, 1, 0, 0], x=[10, 11, 200, 207], sample_no=[0, 0, 0, 0]))
    unlabelled = lint(small(class_no=[-1, 0, -1], x=[10, 10, 10])).counts()
    assert unlabelled == {"no_label": 2, "duplicate_box": 1}
    found = {finding.rule: finding for finding in findings}
    assert found["two_labels"].objects == (1, 0) and "dog and cat" in found["two_labels"].message
    assert found["duplicate_box"].severity == "hint" and found["duplicate_box"].repair.act == "none"


def test_masks_and_labels() -> None:
    table = objects(
        {
            "object_no": np.arange(4),
            "sample_no": np.zeros(4),
            "class_no": np.array([0, 2, -1, 7]),
            "x": np.array([10, 100, 200, 300.0]),
            "y": np.full(4, 10.0),
            "width": np.full(4, 50.0),
            "height": np.full(4, 40.0),
            "mask_area": np.array([0, np.nan, 1000, 9000.0]),
        },
        {"sample_no": np.array([0]), "width_px": np.array([640]), "height_px": np.array([480])},
        ["cat", "dog", "Cat "],
        vocabulary=["cat", "dog"],
    )
    findings = lint(table)
    assert told(findings, "empty_mask") == {0} and told(findings, "mask_outside_box") == {3}
    assert told(findings, "no_label") == {2} and told(findings, "unknown_label") == {1, 3}
    meant = next(finding for finding in findings if finding.objects == (1,))
    assert meant.repair.act == "relabel" and meant.repair.class_no == 0


def test_pictures_that_look_the_same() -> None:
    table = small(sample_no=[0, 1, 2, 2], class_no=[0, 0, 0, 1], x=[1, 1, 1, 300])
    samples = {
        "sample_no": np.arange(8),
        "group": np.array([4, 4, 4, 5, 5, -1, 6, 6]),
        "label_no": np.array([0, 0, 1, 0, 1, 1, 1, 1]),
    }
    findings = lint(table, samples=samples)
    labels = [findings[place] for place in findings.of("twins_differ")]
    assert [(found.sample_no, found.repair.class_no) for found in labels] == [(2, 0), (3, None), (4, None)]
    assert sorted(findings.sample_no[findings.of("twins_differ_in_objects")]) == [0, 1, 2]
    assert labels[0].objects == () and "3 pictures look the same" in labels[0].message


def film(count: int = 40) -> dict[str, np.ndarray]:
    """Two tracks that drift by 3 px a frame with some jitter, one frame a sample."""
    random = np.random.default_rng(0)
    frame = np.tile(np.arange(count), 2)
    track = np.repeat([7, 9], count)
    return {
        "object_no": np.arange(2 * count),
        "sample_no": frame,
        "class_no": np.repeat([0, 1], count),
        "x": 10.0 + 3 * frame + 200 * (track == 9) + random.normal(0, 0.5, 2 * count),
        "y": 50 + random.normal(0, 0.5, 2 * count),
        "width": 60 + random.normal(0, 0.5, 2 * count),
        "height": 40 + random.normal(0, 0.5, 2 * count),
        "track": track,
        "frame": frame,
    }


def of_film(columns: dict[str, np.ndarray]) -> Findings:
    samples = {"sample_no": np.arange(40), "width_px": np.full(40, 640), "height_px": np.full(40, 480)}
    return lint(objects(columns, samples, ["cat", "dog"]))


def test_tracks() -> None:
    rules = ("track_jump", "track_resize", "track_twice", "track_class")
    columns = film()
    assert not told(of_film(columns), *rules)
    columns["x"][20] += 150
    columns["x"][60] -= 1.5 * columns["width"][60]
    columns["width"][60] *= 4
    columns["class_no"][5] = 1
    # From frame 30 on track 7 is elsewhere: that is another thing, and no single box can be mended.
    columns["y"][30:40] += 250
    columns["frame"][71] = columns["frame"][70]
    columns["sample_no"][71] = columns["sample_no"][70]
    findings = of_film(columns)
    jumps = {findings[place].objects[0]: findings[place] for place in findings.of("track_jump")}
    assert set(jumps) == {20, 30} and jumps[30].repair.act == "none"
    x, *_ = jumps[20].repair.box or (0,)
    assert x == pytest.approx(70, abs=3)
    assert 60 in told(findings, "track_resize") and told(findings, "track_class") == {5}
    assert told(findings, "track_twice") == {71}


def test_shapes_and_sizes_that_a_class_never_has() -> None:
    random = np.random.default_rng(1)
    count = 600
    kind = random.integers(0, 2, count)
    side = np.where(kind == 0, 30.0, 90.0) * np.exp(random.normal(0, 0.1, count))
    columns = {
        "object_no": np.arange(count),
        "sample_no": np.arange(count) // 4,
        "class_no": kind,
        "x": random.uniform(5, 300, count),
        "y": random.uniform(5, 100, count),
        "width": side,
        "height": side * np.exp(random.normal(0, 0.1, count)),
    }
    columns["width"][3] *= 9
    columns["height"][3] /= 9
    columns["width"][7], columns["height"][7] = 300, 300
    columns["width"][11], columns["height"][11] = 4, 4
    nos = np.arange(150)
    samples = {"sample_no": nos, "width_px": np.full(150, 640), "height_px": np.full(150, 480)}
    findings = lint(objects(columns, samples, ["cat", "dog"]))
    assert 3 in told(findings, "impossible_aspect") and 7 in told(findings, "too_large")
    assert 11 in told(findings, "too_small_for_class")
    assert all(len(findings.of(rule)) <= 6 for rule in ("impossible_aspect", "too_large", "too_small_for_class"))


# Rules of one's own.


def test_a_rule_in_five_lines_and_one_in_sql() -> None:
    @linter
    def dog_on_the_left(picture):
        "A {label} of {width:.0f} px stands on the left."
        return (picture.label == "dog") & (picture.x < 100)

    flat = linter("width > 8 * height", name="flat", severity="hint", repair="delete")
    assert flat.where == "width > 8 * height"
    table = small(sample_no=[1, 0, 0], class_no=[1, 1, 0], x=[5, 300, 5])
    findings = lint(table, broken={"flat": np.array([False, False, True])})
    own = {finding.rule: finding for finding in findings if finding.rule in ("dog_on_the_left", "flat")}
    assert own["dog_on_the_left"].objects == (0,) and own["dog_on_the_left"].sample_no == 1
    assert own["dog_on_the_left"].message == "A dog of 50 px stands on the left."
    assert own["flat"].objects == (2,) and own["flat"].repair.act == "delete" and own["flat"].severity == "hint"
    forget("flat")
    assert "flat" not in lint(table, broken={"flat": np.ones(3, bool)}).counts()


def test_a_rule_that_fails_is_a_problem_and_the_others_run() -> None:
    linter(name="fails")(lambda picture: 1 / 0)
    linter(name="wrong_length")(lambda picture: np.ones(99, bool))
    linter(name="first", message="{braces that mean nothing")(lambda picture: [0])
    findings = lint(small(x=[10, 200]))
    assert [name for name, _ in findings.problems] == ["fails", "wrong_length"]
    assert "division by zero" in findings.problems[0][1] and "99 bools for 2" in findings.problems[1][1]
    assert [findings[place].message for place in findings.of("first")] == ["{braces that mean nothing"]


def test_rules_that_cannot_be() -> None:
    with pytest.raises(LinterError, match="no severity 'bad'"):
        linter("x > 1", name="a", severity="bad")  # type: ignore[call-overload]
    with pytest.raises(LinterError, match="exists already"):
        linter("x > 1", name="too_large")
    with pytest.raises(LinterError, match="There is no rule nothing"):
        forget("nothing")


# Bad input.


def test_little_to_learn_from() -> None:
    nothing = small(x=[])
    assert len(lint(nothing)) == 0 and learn(nothing).swaps is None
    one = small(x=[10])
    assert lint(one).counts() == {} and lint(one, learn(nothing)).counts() == {}
    alike = small(x=list(range(100)), sample_no=list(range(100)))
    assert lint(alike).counts() == {}, "one class, one size"
    nan = small(x=[np.nan] * 50)
    assert lint(nan).counts() == {"not_a_number": 50}


def test_pictures_of_unknown_size_and_classes_that_came_later(coco: Boxes) -> None:
    columns = coco.columns()
    unknown = {name: values[:0] for name, values in coco.samples().items()}
    findings = lint(objects(columns, unknown, coco.names))
    assert not told(findings, "too_large", "partly_outside", "class_swap")
    known = learn(table_of(coco))
    columns["class_no"] = np.full(len(coco.box), 80)
    findings = lint(objects(columns, coco.samples(), [*coco.names, "new"]), known)
    assert not told(findings, "class_swap", "impossible_aspect")
    with pytest.raises(LinterError, match="other classes"):
        lint(objects(coco.columns(), coco.samples(), ["else", *coco.names[1:]]), known)


def test_order_of_rows_does_not_matter(coco: Boxes) -> None:
    vectors = np.random.default_rng(0).standard_normal((len(coco.box), 8)).astype(np.float32)
    vectors[::9] = np.nan
    order = np.random.default_rng(1).permutation(len(coco.box))
    table = table_of(coco)
    known: Known = learn(table, vectors)
    straight = lint(table, known, vectors=vectors)
    mixed_table = objects({name: values[order] for name, values in coco.columns().items()}, coco.samples(), coco.names)
    mixed = lint(mixed_table, known, vectors=vectors[order])

    def as_set(findings: Findings) -> set[tuple[object, ...]]:
        return {
            (findings.rules[rule], no, other)
            for rule, no, other in zip(
                findings.rule, findings.object_no.tolist(), findings.other_no.tolist(), strict=True
            )
        }

    assert as_set(straight) == as_set(mixed)


def test_columns_that_do_not_fit() -> None:
    with pytest.raises(LinterError, match="no column width_px"):
        objects(film(), {"sample_no": np.arange(3)}, ["cat"])
    columns = film()
    columns["x"] = columns["x"][:5]
    with pytest.raises(LinterError, match="x has 5 values"):
        of_film(columns)
    with pytest.raises(LinterError, match="crop vectors"):
        lint(small(x=[1, 2]), vectors=np.zeros((3, 4), np.float32))
