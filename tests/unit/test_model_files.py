"""Models in files, with the real torch and one real child: what they compute, and what in them never runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataide.errors import ModelError
from dataide.inference.identity import identify
from dataide.inference.kernel import Kernel
from dataide.inference.models import archives
from dataide.inference.running import once

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

SIDE = 16
Change = Callable[[dict[str, bytes]], None]


def to_tensor(image):
    """As torchvision's Resize and ToTensor, without its import."""
    import torch

    pixels = np.asarray(image.resize((16, 16)), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


class Net(torch.nn.Module):  # type: ignore[name-defined]
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = torch.nn.Conv2d(3, 6, 3)
        self.norm = torch.nn.BatchNorm2d(6)
        self.head = torch.nn.Linear(6, 4)

    def forward(self, batch):
        return self.head(self.norm(self.convolution(batch)).relu().mean((2, 3)))


class Runs:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Several(torch.nn.Module):  # type: ignore[name-defined]
    """Sizes that are computed, a part without gradients, and outputs inside of each other."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3))

    def forward(self, batch):
        count = batch.shape[0]
        made = torch.nn.functional.interpolate(self.net(batch), size=(3, 3), mode="bilinear")
        with torch.no_grad():
            flat = made.reshape(2 * count, -1).reshape(count, -1)
        return {"features": torch.einsum("nd,nd->n", flat, flat)[:, None] + flat, "others": (made, [flat])}


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        made = Kernel("cpu", threads=1)
        yield made
        made.close()


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> dict[str, Path]:
    """Exported with any number of pictures up to 8, and with just 4."""
    folder = tmp_path_factory.mktemp("programs")
    module = Net().eval()
    batch = torch.zeros(4, 3, SIDE, SIDE)
    files = {name: folder / f"{name}.pt2" for name in ("any", "four")}
    some = {"batch": {0: torch.export.Dim("count", min=1, max=8)}}
    torch.export.save(torch.export.export(module, (batch,), dynamic_shapes=some), files["any"])
    torch.export.save(torch.export.export(module, (batch,)), files["four"])
    return files


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    made = []
    for seed in range(11):
        stream = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        made.append(stream.getvalue())
    return made


def expected(pictures: list[bytes], module=None) -> np.ndarray:
    module = module or Net()
    batch = torch.stack([to_tensor(Image.open(io.BytesIO(one))) for one in pictures])
    with torch.inference_mode():
        return module.eval()(batch).numpy()


def changed(source: Path, target: Path, change: Change) -> Path:
    """A copy of an archive with other entries; the names are those within its folder."""
    with zipfile.ZipFile(source) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"{target.stem}/{name}", data)
    return target


def in_json(name: str, change: Callable[[dict], None]) -> Change:
    def changes(entries: dict[str, bytes]) -> None:
        described = json.loads(entries[name])
        change(described)
        entries[name] = json.dumps(described).encode()

    return changes


def refusal(kernel: Kernel, model, pictures: list[bytes], **options) -> ModelError:
    with pytest.raises(ModelError) as caught:
        once(identify(model, transform=to_tensor, **options), pictures, kernel)
    return caught.value


@pytest.mark.parametrize("name", ["any", "four"])
def test_an_exported_program_computes_batches_of_any_size(kernel, programs, pictures, name):
    identity = identify(programs[name], transform=to_tensor, task="embedding")
    answer = once(identity, pictures, kernel)
    np.testing.assert_allclose(answer.arrays["vectors"], expected(pictures), atol=1e-5)
    assert answer.details["form"] == "exported program"
    assert answer.details["input"] == f"{'4' if name == 'four' else 'N'} x 3 x {SIDE} x {SIDE}"
    np.testing.assert_allclose(
        once(identity, pictures[:1], kernel).arrays["vectors"], expected(pictures[:1]), atol=1e-5
    )


def test_a_program_of_several_outputs_passes_the_check_and_the_obvious_one_is_taken(kernel, pictures, tmp_path):
    torch.manual_seed(0)
    module = Several().eval()
    some = {"batch": {0: torch.export.Dim("count", min=1, max=64)}}
    program = torch.export.export(module, (torch.zeros(2, 3, SIDE, SIDE),), dynamic_shapes=some)
    torch.export.save(program, tmp_path / "several.pt2")
    answer = once(identify(tmp_path / "several.pt2", transform=to_tensor), pictures, kernel)
    batch = torch.stack([to_tensor(Image.open(io.BytesIO(one))) for one in pictures])
    np.testing.assert_allclose(answer.arrays["vectors"], module(batch)["features"].detach().numpy(), atol=1e-4)


def test_an_exported_program_classifies(kernel, programs, pictures):
    identity = identify(programs["any"], transform=to_tensor, task="classification", classes=["a", "b", "c", "d"])
    answer = once(identity, pictures, kernel)
    wanted = torch.from_numpy(expected(pictures)).softmax(1).numpy()
    np.testing.assert_allclose(answer.arrays["probabilities"], wanted, atol=1e-5)
    assert answer.details["classes"] == ["a", "b", "c", "d"]
    error = refusal(kernel, programs["any"], pictures, task="classification", classes=["a", "b"])
    assert "any.pt2 gives 4 numbers for each sample, and there are 2 classes" in error.message


def test_a_program_for_four_gives_the_output_that_the_task_means(kernel, pictures, tmp_path):
    class Both(Net):
        def forward(self, batch):
            logits = super().forward(batch)
            return {"features": batch.mean((2, 3)), "last_hidden_state": batch.flatten(2).mT, "logits": logits}

    module = Both().eval()
    torch.export.save(torch.export.export(module, (torch.zeros(4, 3, SIDE, SIDE),)), tmp_path / "both.pt2")
    some = pictures[:6]
    batch = torch.stack([to_tensor(Image.open(io.BytesIO(one))) for one in some])
    answer = once(identify(tmp_path / "both.pt2", transform=to_tensor, task="classification"), some, kernel)
    wanted = module(batch)["logits"].softmax(1).detach().numpy()
    np.testing.assert_allclose(answer.arrays["probabilities"], wanted, atol=1e-5)
    error = refusal(kernel, tmp_path / "both.pt2", some, task="detection")
    assert "both.pt2 is an exported program, which takes a batch" in error.message


def test_tokens_are_averaged_also_where_batches_are_cut_and_filled_up(kernel, pictures, tmp_path):
    class Tokens(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, batch):
            return {"last_hidden_state": batch.flatten(2).mT}

    torch.export.save(torch.export.export(Tokens(), (torch.zeros(4, 3, SIDE, SIDE),)), tmp_path / "tokens.pt2")
    answer = once(identify(tmp_path / "tokens.pt2", transform=to_tensor, task="embedding"), pictures[:6], kernel)
    batch = torch.stack([to_tensor(Image.open(io.BytesIO(one))) for one in pictures[:6]])
    np.testing.assert_allclose(answer.arrays["vectors"], batch.mean((2, 3)).numpy(), atol=1e-5)


def test_a_program_that_is_loaded_already_is_to_be_saved(programs):
    program = torch.export.load(programs["any"])
    for given in (program, program.module()):
        with pytest.raises(ModelError, match="An exported program travels as a file") as caught:
            identify(given, transform=to_tensor)
        assert "torch.export.save" in str(caught.value.hint)


def test_pictures_of_another_shape_are_explained(kernel, programs, pictures):
    def small(image):
        return to_tensor(image)[:, :8]

    with pytest.raises(ModelError, match="exported for pictures of 3 x 16 x 16, and the transform makes 3 x 8 x 16"):
        once(identify(programs["any"], transform=small), pictures, kernel)


# What a program's file may hold, and torch.export.load would run ----------------------------------------------------


def evil_expression(made: Path) -> Change:
    def change(program: dict) -> None:
        sizes = program["graph_module"]["graph"]["tensor_values"]["batch"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = f"__import__('os').mkdir({str(made)!r}) or Symbol('s0')"

    return in_json("models/model.json", change)


def evil_attribute(made: Path) -> Change:
    """Without any name that stands out: the attribute of an allowed function."""

    def change(program: dict) -> None:
        sizes = program["graph_module"]["graph"]["tensor_values"]["batch"]["sizes"]
        loader = "FloorDiv.eval.__globals__['__builtins__']['__import__']"
        sizes[0]["as_expr"]["expr_str"] = f"{loader}('os').mkdir({str(made)!r}) or Symbol('s0')"

    return in_json("models/model.json", change)


def evil_weight(made: Path) -> Change:
    def change(entries: dict[str, bytes]) -> None:
        def use(table: dict) -> None:
            next(iter(table["config"].values()))["use_pickle"] = True

        in_json("data/weights/model_weights_config.json", use)(entries)
        stream = io.BytesIO()
        torch.save(Runs(made), stream)
        entries["data/weights/weight_0"] = stream.getvalue()

    return change


def evil_constant(made: Path) -> Change:
    def change(entries: dict[str, bytes]) -> None:
        entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        entries["data/constants/model_constants_config.json"] = json.dumps({"config": {"evil": entry}}).encode()
        entries["data/constants/opaque_obj_0"] = pickle.dumps(Runs(made))

    return change


def evil_old_weights(made: Path) -> Change:
    def change(entries: dict[str, bytes]) -> None:
        stream = io.BytesIO()
        torch.save(Runs(made), stream)
        entries["data/weights/model.pt"] = stream.getvalue()

    return change


def evil_enum(made: Path) -> Change:
    """The description of inputs names a module, and importing it runs it."""

    def change(program: dict) -> None:
        made.parent.joinpath("evil_module.py").write_text(f"import os; os.mkdir({str(made)!r})")
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        protocol, tree = json.loads(signature["in_spec"])
        tree["context"] = json.dumps({"__enum__": True, "fqn": "evil_module:Evil", "name": "x"})
        signature["in_spec"] = json.dumps([protocol, tree])

    return in_json("models/model.json", change)


LOADED = [evil_expression, evil_attribute, evil_weight, evil_constant, evil_old_weights, evil_enum]


@pytest.mark.parametrize("evil", LOADED)
def test_what_torch_would_run_is_refused_and_named(kernel, programs, pictures, tmp_path, monkeypatch, evil):
    made = tmp_path / "it_ran"
    file = changed(programs["any"], tmp_path / "evil.pt2", evil(made))
    monkeypatch.syspath_prepend(str(tmp_path))
    error = refusal(kernel, file, pictures[:1])
    assert error.code == "untrusted", error
    assert error.message.startswith("evil.pt2 has ") and "could run code that comes with the file" in error.message
    assert "trust=True" in str(error.hint)
    assert not made.exists()
    # The attack is one: torch itself runs it.
    with contextlib.suppress(Exception):  # afterwards it may fail at whatever the code gave back
        torch.export.load(file)
    assert made.exists()


def test_example_inputs_are_never_unpickled(kernel, programs, pictures, tmp_path):
    made = tmp_path / "it_ran"

    def change(entries: dict[str, bytes]) -> None:
        stream = io.BytesIO()
        torch.save((Runs(made),), stream)
        entries["data/sample_inputs/model.pt"] = stream.getvalue()

    file = changed(programs["any"], tmp_path / "evil.pt2", change)
    answer = once(identify(file, transform=to_tensor), pictures[:2], kernel)
    np.testing.assert_allclose(answer.arrays["vectors"], expected(pictures[:2]), atol=1e-5)
    assert not made.exists()
    torch.export.load(file)
    assert made.exists()


def guard(program: dict, text: str) -> None:
    program["guards_code"] = [text]


def node(program: dict, **changes) -> None:
    program["graph_module"]["graph"]["nodes"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda program: node(program, target="torch.ops.aten.from_file.default"), "aten.from_file"),
        (lambda program: node(program, target="torch.os.system"), "torch.os.system"),
        (lambda program: node(program, target="torch.ops.higher_order.aoti_call_delegate"), "aoti_call_delegate"),
        (lambda program: node(program, target="_operator.methodcaller"), "methodcaller"),
        (lambda program: node(program, name="x = __import__('os')\n"), "the text"),
        (lambda program: node(program, inputs=[{"name": "a", "arg": {"as_string": "/etc/passwd"}}]), "'/etc/passwd'"),
        (lambda program: node(program, inputs=[{"name": "a", "arg": {"as_custom_obj": {"name": "a"}}}]), "an object"),
        (
            lambda program: program["graph_module"]["module_call_graph"][0]["signature"].update(
                forward_arg_names=["x=__import__('os')"]
            ),
            "forward_arg_names",
        ),
        (lambda program: program["range_constraints"].update({"a b": {}}), "'a b'"),
        (
            lambda program: program["graph_module"]["signature"]["input_specs"][0]["parameter"].update(
                parameter_name="a.__class__.b"
            ),
            "a.__class__.b",
        ),
    ],
)
def test_programs_that_do_more_than_compute_are_refused(programs, tmp_path, change, words):
    file = changed(programs["any"], tmp_path / "evil.pt2", in_json("models/model.json", change))
    with pytest.raises(ModelError) as caught:
        archives.checked(file)
    assert caught.value.code == "untrusted"
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["data/aotinductor/model/code.so", "data/weights/lib.so", "run.py"])
def test_compiled_code_and_what_nobody_knows_is_refused(programs, tmp_path, name):
    file = changed(programs["any"], tmp_path / "evil.pt2", lambda entries: entries.update({name: b"\x7fELF"}))
    with pytest.raises(ModelError, match=name.rpartition("/")[2]) as caught:
        archives.checked(file)
    assert caught.value.code == "untrusted"


def test_guards_are_not_compiled_and_remarks_are_left_behind(programs, tmp_path):
    made = tmp_path / "it_ran"
    text = f"[__import__('os').mkdir({str(made)!r}), True][1]"
    change = in_json("models/model.json", lambda program: guard(program, text))
    file = changed(programs["any"], tmp_path / "evil.pt2", change)
    checked = archives.checked(file)
    assert checked.operators[0] == "torch.ops.aten.batch_norm.default"
    program = torch.export.load(checked.archive)
    program.module()(torch.zeros(2, 3, SIDE, SIDE))
    assert not made.exists()
    assert program.example_inputs is None
    torch.export.load(file).module()(torch.zeros(2, 3, SIDE, SIDE))
    assert made.exists(), "torch itself runs a guard"


def test_an_entry_that_stands_twice_is_refused(programs, tmp_path):
    # Which of the two counts is up to the reader, and torch has another one than Python.
    file = tmp_path / "twice.pt2"
    file.write_bytes(programs["any"].read_bytes())
    with zipfile.ZipFile(file, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(f"{folder}/models/model.json", "{}")
    with pytest.raises(ModelError, match="where none belongs"):
        archives.checked(file)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("Symbol('s77', positive=True, integer=True)", True),
        ("Add(Mul(Integer(2), Symbol('s0', integer=True)), Integer(-1))", True),
        ("Max(1, FloorDiv(s0 + 3, 2)) * 4", True),
        ("Symbol('s0').__class__", False),
        ("Symbol(__import__('os').getcwd())", False),
        ("Symbol('s0 or x')", False),
        ("s0.is_integer", False),
        ("[s0 for s0 in (1, 2)]", False),
        ("lambda: s0", False),
        ("eval('1')", False),
        ("Integer('1')", False),
        ("'s0'", False),
        ("f'{s0}'", False),
        ("s0 if s1 else s2", False),
        ("9**9**9", False),
        ("Add(Pow(Symbol('s0'), Integer(2)), Pow(s1, Integer(-1)), Pow(s2, Rational(1, 2)))", True),
        ("Pow(Pow(s0, Integer(8)), 8)", True),
        ("LShift(s0, 3)", True),
        ("Float(0.5)", True),
        ("Pow(2, 10000000000)", False),
        ("Pow(Integer(2), Integer(10000000000))", False),
        ("Pow(2, -10000000000)", False),
        ("Pow(Pow(s0, Integer(9)), 8)", False),
        ("Pow(2, Pow(10, 10))", False),
        ("Pow(2, 5 * 1000000)", False),
        ("Pow(2, s0)", False),
        ("PowByNatural(3, 10000000000)", False),
        ("LShift(1, 9223372036854775807)", False),
        ("RoundDecimal(5, -9223372036854775807)", False),
        ("Float(0.1, 1000000000)", False),
        ("os", False),
        ("(", False),
    ],
)
def test_expressions_are_arithmetic_of_sizes_and_nothing_else(text, good):
    assert archives.is_expression(text) is good


# Other files ----------------------------------------------------------------------------------------------------------


def test_with_trust_a_pickled_module_is_a_model_and_without_it_is_not_loaded(kernel, pictures, tmp_path):
    file = tmp_path / "whole.pt"
    torch.save(Net(), file)
    error = refusal(kernel, file, pictures)
    assert error.code == "untrusted"
    assert "whole.pt holds Python objects" in error.message and "Net" in error.message
    answer = once(identify(file, transform=to_tensor, trust=True), pictures, kernel)
    np.testing.assert_allclose(answer.arrays["vectors"], expected(pictures), atol=1e-5)
    made = tmp_path / "it_ran"
    torch.save(Runs(made), file)
    assert refusal(kernel, file, pictures).code == "untrusted"
    assert not made.exists()


def test_torchscript_needs_trust(kernel, pictures, tmp_path):
    file = tmp_path / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(Net().eval()), file)
    error = refusal(kernel, file, pictures)
    assert (error.code, error.message.partition(",")[0]) == ("untrusted", "script.pt is a TorchScript program")
    answer = once(identify(file, transform=to_tensor, trust=True), pictures, kernel)
    np.testing.assert_allclose(answer.arrays["vectors"], expected(pictures), atol=1e-5)


def test_weights_alone_ask_for_their_network(kernel, pictures, tmp_path):
    for name in ("weights.pt", "weights.safetensors"):
        torch.save(Net().state_dict(), tmp_path / name)
        error = refusal(kernel, tmp_path / name, pictures)
        assert f"{name} holds weights, and nothing says which network they are of" in error.message
        assert "model='resnet18', weights=" in str(error.hint)


@pytest.mark.parametrize("name", ["broken.pt2", "broken.pt", "cut.pt2"])
def test_damaged_files_are_named_and_the_kernel_goes_on(kernel, programs, pictures, tmp_path, name):
    whole = programs["any"].read_bytes()
    (tmp_path / name).write_bytes(whole[:-400] if name == "cut.pt2" else b"nothing of the kind")
    error = refusal(kernel, tmp_path / name, pictures)
    assert name in error.message
    assert once(identify(programs["any"], transform=to_tensor), pictures[:1], kernel).arrays["vectors"].shape == (1, 4)


def test_an_exported_program_has_no_layers_to_name(kernel, programs, pictures):
    error = refusal(kernel, programs["any"], pictures, layer="head")
    assert "any.pt2 has no layers to read any more" in error.message
