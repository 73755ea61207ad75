"""Exported programs (.pt2), checked before torch sees them.

`torch.export.load` runs what is in the file, in many ways: it unpickles weights and example inputs, evaluates
expressions of shapes as Python, imports modules that the description of inputs names, compiles names and guards into
Python code, and calls any function below `torch`, such as the one that creates files. So the archive is read here: each
text in it must follow a narrow grammar, whatever else is there is refused, and torch is given a copy that was written
from what was checked, without example inputs and remarks.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataide.errors import ModelError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED = re.compile(r"(?!__)[A-Za-z0-9_]+(\.(?!__)[A-Za-z0-9_]+)*")
_PLAIN = re.compile(r"[A-Za-z0-9_ ,.>-]{0,64}")  # modes, paddings, equations of einsum; no path, no bracket
_PAYLOAD = re.compile(r"(weight|tensor)_\d+")
_MODEL = re.compile(r"models/[^/]+\.json")
_FOLDERS = ("data/weights/", "data/constants/", "data/sample_inputs/", "extra/", ".data/")
_REMARKS = ("archive_format", "archive_version", "byteorder", ".format_version", ".storage_alignment")
_LONGEST_EXPRESSION = 2_000
_LARGEST_NUMBER = 1 << 63
# Of powers, those of powers multiplied: torch computes them out, which of 2 to the 10**10 takes for ever.
_LARGEST_EXPONENT = 64

_OPERATORS = re.compile(
    r"torch\.ops\.aten\.[a-z_][A-Za-z0-9_]*\.[A-Za-z0-9_]+"
    r"|torch\.ops\.torchvision\.(nms|roi_align|deform_conv2d)\.default"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)"
    r"|math\.(ceil|floor|trunc|sqrt)"
    r"|torch\.(sym_(int|float|max|min|not|ite|sqrt|sum)|_sym_sqrt)"
)
# These make files, read them, or print.
_FORBIDDEN = re.compile(r"torch\.ops\.aten\.(from_file|save|load|_print|warn|_test_.*)\..*")

_SYMBOL = re.compile(r"(s|u|zf|zuf)\d+")
_FUNCTIONS = frozenset(
    [
        *(
            "Symbol",
            "Integer",
            "Float",
            "Rational",
            "Add",
            "Mul",
            "Pow",
            "Max",
            "Min",
            "Mod",
            "Abs",
            "And",
            "Or",
            "Not",
        ),
        *("Eq", "Ne", "Equality", "Unequality", "GreaterThan", "LessThan", "StrictGreaterThan", "StrictLessThan"),
        *("FloorDiv", "ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv"),
        *("LShift", "RShift", "PowByNatural", "FloatPow", "FloatTrueDiv", "IntTrueDiv", "TruncToFloat", "TruncToInt"),
        *("IsNonOverlappingAndDenseIndicator", "RoundToInt", "RoundDecimal", "ToFloat", "Identity"),
    ]
)
# Their second number says how large, or how long, the outcome is.
_GROWING = frozenset(["Pow", "PowByNatural", "FloatPow", "LShift", "RShift", "RoundDecimal"])
_ASSUMED = frozenset(
    ["positive", "integer", "nonnegative", "negative", "nonpositive", "real", "finite", "zero", "even"]
)
_PARTS = (
    *(ast.Expression, ast.Load, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.USub, ast.Not, ast.And, ast.Or),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
_TREES = ("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")


@dataclass(frozen=True)
class Checked:
    """An exported program that runs nothing but its own arithmetic.

    Attributes:
        archive: what torch may load.
        operators: what it computes with.
    """

    archive: io.BytesIO
    operators: list[str]


def is_program(names: list[str]) -> bool:
    """Whether an archive with these entries is an exported program, of this or an earlier form."""
    inner = [name.partition("/")[2] for name in names]
    return any(_MODEL.fullmatch(one) or one.startswith("data/aotinductor/") for one in inner) or (
        "serialized_exported_program.json" in names
    )


def checked(path: Path) -> Checked:
    """Reads an exported program, and makes a copy of what is harmless.

    Raises:
        ModelError: there is something in it that would run, or that nobody knows.
    """
    try:
        return _Reader(path.name).read(path)
    except (zipfile.BadZipFile, OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ModelError(
            f"{path.name} is a damaged exported program, or one of a form that is not known: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}.",
            hint="Export it again with this torch: torch.export.save(program, 'model.pt2').",
            code="no_program",
        ) from None


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._operators: set[str] = set()

    def read(self, path: Path) -> Checked:
        with zipfile.ZipFile(path) as archive:
            entries = self._entries(archive)
            program = self._json(archive, entries, next(one for one in entries if _MODEL.fullmatch(one)))
            weights = self._payload(archive, entries, "data/weights/", "weights")
            constants = self._payload(archive, entries, "data/constants/", "constants")
        # Which shapes it was made for is checked by the operators themselves; guards would be compiled as Python.
        program["guards_code"] = []
        self._walk(program, ())
        if program.get("treespec_namedtuple_fields"):
            raise self._refused("classes of the program's own")
        plain = {
            "archive_format": b"pt2",
            "archive_version": b"0",
            "byteorder": b"little",
            ".data/version": b"3\n",
            "models/model.json": json.dumps(program).encode(),
            "data/sample_inputs/model.pt": b"",
            **weights,
            **constants,
        }
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as copy:
            for name, data in plain.items():
                copy.writestr(f"model/{name}", data)
        stream.seek(0)
        return Checked(stream, sorted(self._operators))

    # The archive -----------------------------------------------------------------------------------------------------

    def _entries(self, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
        """The entries by their names within the archive's one folder; all are of a known kind."""
        entries: dict[str, zipfile.ZipInfo] = {}
        folder = None
        for info in archive.infolist():
            first, _, name = info.filename.partition("/")
            if info.filename == "serialized_exported_program.json":
                raise ValueError("it was written by torch 2.7 or before")
            folder = folder or first
            if first != folder or not name or name in entries or ".." in name:
                raise self._refused(f"an entry {info.filename!r} where none belongs")
            if info.compress_type != zipfile.ZIP_STORED:
                raise self._refused(f"the compressed entry {name!r}, which torch does not write")
            if name.startswith("data/aotinductor/") or name.endswith((".so", ".dll", ".dylib", ".cubin", ".o")):
                raise self._refused(f"compiled code ({name})")
            # Remarks of its maker and example inputs are left where they are: nothing reads them.
            if not (_MODEL.fullmatch(name) or name in _REMARKS or name.startswith(_FOLDERS)):
                raise self._refused(f"an entry that is not of an exported program ({name})")
            entries[name] = info
        models = [name for name in entries if _MODEL.fullmatch(name)]
        if len(models) != 1:
            raise ValueError(f"there are {len(models)} models in it, and one is needed")
        if archive.read(entries["archive_format"]) != b"pt2":
            raise ValueError("its format is not 'pt2'")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise ValueError("its numbers have another order of bytes")
        return entries

    def _payload(
        self, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], folder: str, kind: str
    ) -> dict[str, bytes]:
        """Plain tensors by name of entry, and the table that says which is which."""
        tables = [name for name in entries if name.startswith(folder) and name.endswith(f"_{kind}_config.json")]
        pickled = [name for name in entries if name.startswith(folder) and name.endswith(".pt")]
        if pickled:
            raise self._refused(f"pickled {kind} ({pickled[0]})")
        if len(tables) != 1:
            raise ValueError(f"there are {len(tables)} tables of {kind} in it, and one is needed")
        table = self._json(archive, entries, tables[0])
        copied: dict[str, bytes] = {}
        for name, entry in table["config"].items():
            file = entry["path_name"]
            if entry["use_pickle"]:
                raise self._refused(f"pickled {kind}: {name}")
            if not isinstance(file, str) or not _PAYLOAD.fullmatch(file):
                raise self._refused(f"an object of Python among its {kind}: {name}")
            if not _DOTTED.fullmatch(name):
                raise self._refused(f"the name {name!r} of a tensor")
            copied[folder + file] = archive.read(entries[folder + file])
        self._walk(table["config"], ("config",))
        return {f"{folder}model_{kind}_config.json": json.dumps(table).encode(), **copied}

    def _json(self, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], name: str) -> dict[str, Any]:
        made = json.loads(archive.read(entries[name]))
        if not isinstance(made, dict):
            raise ValueError(f"{name} is no object of JSON")
        return made

    # Its texts -------------------------------------------------------------------------------------------------------

    def _walk(self, value: Any, path: tuple[str, ...]) -> None:
        """Checks each text and each name of a description; remarks are taken out, and devices are the CPU."""
        if isinstance(value, dict):
            for key in list(value):
                if key == "metadata":
                    value[key] = {}
                elif key in ("device", "as_device") and isinstance(value[key], dict):
                    value[key] = {"type": "cpu", "index": None}
                elif key in ("as_custom_obj", "custom_obj", "custom_obj_values", "script_object") and value[key]:
                    raise self._refused("an object of Python")
                else:
                    if not _DOTTED.fullmatch(key) and key != "":
                        raise self._refused(f"the name {key!r}")
                    self._walk(value[key], (*path, key))
        elif isinstance(value, list):
            for item in value:
                self._walk(item, path)
        elif isinstance(value, str):
            self._text(value, path[-1] if path else "")

    def _text(self, text: str, key: str) -> None:
        check = _TEXTS.get(key)
        if key in ("target", "as_operator"):
            if not _OPERATORS.fullmatch(text) or _FORBIDDEN.fullmatch(text):
                raise self._refused(f"the operator {text[:100]!r}")
            self._operators.add(text)
        elif key == "expr_str":
            if not is_expression(text):
                raise self._refused(f"an expression that is no arithmetic of sizes ({text[:100]!r})")
        elif key in ("in_spec", "out_spec"):
            if not _is_tree(text):
                raise self._refused(f"a description of inputs that names other classes ({text[:100]!r})")
        elif check is not None:
            if not check(text):
                raise self._refused(f"the text {text[:100]!r} as {key}")
        elif text and not _DOTTED.fullmatch(text):
            raise self._refused(f"the name {text[:100]!r}")

    def _refused(self, what: str) -> ModelError:
        return ModelError(
            f"{self._name} has {what} in it, which could run code that comes with the file.",
            hint="If you made the file or trust who did: trust=True.",
            code="untrusted",
        )


_TEXTS: dict[str, Callable[[str], object]] = {
    "as_string": _PLAIN.fullmatch,
    "as_strings": _PLAIN.fullmatch,
    "torch_version": re.compile(r"[\w.+<=-]{0,40}").fullmatch,
    "verifiers": re.compile(r"\w{0,40}").fullmatch,
    "name": re.compile(rf"({_NAME.pattern})?").fullmatch,  # of an argument by position it is empty
    "as_name": _NAME.fullmatch,
    "forward_arg_names": _NAME.fullmatch,
}


def is_expression(text: str) -> bool:
    """Whether a text is arithmetic of sizes, as torch writes them: numbers, symbols and the functions it knows."""
    if len(text) > _LONGEST_EXPRESSION:
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    # What only stands as the name of a function, or of a symbol, is checked with its call.
    with_calls: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
                return False
            with_calls.add(id(node.func))
            if node.func.id == "Symbol":
                if not (node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)):
                    return False
                if not _NAME.fullmatch(node.args[0].value):
                    return False
                with_calls.add(id(node.args[0]))
            for keyword in node.keywords:
                if keyword.arg not in _ASSUMED or not isinstance(keyword.value, ast.Constant):
                    return False
    return all(id(node) in with_calls or _harmless(node) for node in ast.walk(tree)) and _is_bounded(tree)


def _is_bounded(tree: ast.AST) -> bool:
    """Whether its numbers stay small: exponents are small whole numbers or fractions, and Float has no precision."""
    waiting = [(tree, 1)]
    while waiting:
        node, exponent = waiting.pop()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "Float" and len(node.args) != 1:
                return False
            if node.func.id in _GROWING:
                by = _number(node.args[1]) if len(node.args) == 2 else None
                if by is None or exponent * by > _LARGEST_EXPONENT:
                    return False
                exponent *= max(by, 1)
        waiting += [(child, exponent) for child in ast.iter_child_nodes(node)]
    return True


def _number(node: ast.AST) -> int | None:
    """The size of a number that stands there as such, of a fraction that of its numerator; else None."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Integer", "Rational"):
        node = node.args[0] if node.args else node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return abs(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id != "" and bool(_SYMBOL.fullmatch(node.id))
    if isinstance(node, ast.Constant):
        value = node.value
        return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) <= _LARGEST_NUMBER)
    return isinstance(node, (ast.Call, ast.keyword, *_PARTS))


def _is_tree(text: str) -> bool:
    """Whether a description of nested inputs has only tuples, lists and dicts of tensors."""
    try:
        protocol, tree = json.loads(text)
    except (ValueError, TypeError):
        return False
    return protocol == 1 and _is_branch(tree)


def _is_branch(tree: Any) -> bool:
    if not isinstance(tree, dict) or set(tree) != {"type", "context", "children_spec"}:
        return False
    if tree["type"] is None:
        return tree["context"] is None and tree["children_spec"] == []
    if tree["type"] not in _TREES or not isinstance(tree["context"], str):
        return False
    try:
        context = json.loads(tree["context"])
    except ValueError:
        return False
    keys = context is None or (
        isinstance(context, list) and all(isinstance(key, str) and _NAME.fullmatch(key) for key in context)
    )
    return keys and isinstance(tree["children_spec"], list) and all(map(_is_branch, tree["children_spec"]))
