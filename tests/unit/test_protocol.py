"""The golden messages are what both sides speak, and wrong messages are refused with a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dataide.errors import ProtocolError
from dataide.widgets import protocol, vocabulary
from dataide.widgets.wire import check

GOLDEN = Path(__file__).resolve().parents[1] / "protocol"
TYPESCRIPT = Path(__file__).resolve().parents[2] / "js" / "core"

PAGE = {"offset": 0, "limit": 1, "thumbs": True, "px": 1, "caption": None}
ACT = {"verb": "tag", "arguments": {"tag": "x"}, "target": {"type": "selection"}, "uuid": "u"}
RANGE = {"type": "range", "column": "x", "low": 0, "high": 1}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("op", sorted(protocol.ASKS))
def test_each_operation_has_a_golden_message_that_fits_its_types(op: str) -> None:
    message = golden(op)
    assert message["op"] == op
    assert check(message["ask"], protocol.ASKS[op], "ask") == message["ask"]
    assert check(message["answer"], protocol.ANSWERS[op], "answer") == message["answer"]


def test_the_envelope_of_each_direction_fits() -> None:
    messages = golden("messages")
    for message in messages["up"]:
        assert check(message, protocol.Upward, "message") == message
    state = next(message["body"] for message in messages["down"] if message.get("topic") == "state")
    assert check(state, vocabulary.SessionState) == state


def test_both_sides_know_the_same_operations() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(TYPESCRIPT.glob("protocol*.ts"))]
    blocks = [
        block for text in texts for block in re.findall(r"^export interface \w*Operations\b.*?^\}", text, re.M | re.S)
    ]
    names = [name for block in blocks for name in re.findall(r"^  (\w+): \{", block, re.MULTILINE)]
    spelled = {re.sub("[A-Z]", lambda letter: f"_{letter.group().lower()}", name) for name in names}
    assert spelled == set(protocol.ASKS) == set(protocol.ANSWERS)


@pytest.mark.parametrize(
    ("op", "body", "said"),
    [
        ("page", {}, "body.offset is missing"),
        ("page", PAGE | {"offset": 1.5}, "body.offset should be a whole"),
        ("page", PAGE | {"offset": True}, "body.offset should be a whole"),
        ("page", PAGE | {"offset": 10**300}, "below 2^53"),
        ("act", ACT | {"verb": "drop"}, "body.verb should be one of"),
        ("act", ACT | {"arguments": {"tag": 3}}, "arguments.tag should be a text"),
        ("select", {"shape": {"type": "circle"}, "mode": "add", "source": "x"}, "body.shape.type should be one of"),
        ("select", {"shape": 5, "mode": "add", "source": "x"}, "body.shape should be"),
        ("select", {"shape": {"type": "samples", "nos": [1] * 1001}, "mode": "add", "source": "x"}, "at most 1,000"),
        ("filter", {"source": "text", "clause": {"type": "sql", "text": "x" * 20_001}}, "at most 20,000"),
        ("filter", {"source": "facet:x", "clause": RANGE | {"low": "a"}}, "clause.low should be"),
        ("facets", {"columns": "label", "bars": 3}, "body.columns should be a list"),
    ],
)
def test_a_wrong_message_is_refused_with_the_place_that_is_wrong(op: str, body: Any, said: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        check(body, protocol.ASKS[op])
    assert said in refusal.value.message
    assert len(refusal.value.message) < 400


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    shape = {"type": "box", "projection": "p", "x0": number, "y0": 0, "x1": 1, "y1": 1}
    with pytest.raises(ProtocolError):
        check({"shape": shape, "mode": "replace", "source": "x"}, protocol.SelectAsk)


def test_names_of_a_later_version_are_ignored() -> None:
    assert check({"uuid": "u", "colour": "red"}, protocol.StepAsk) == {"uuid": "u"}
