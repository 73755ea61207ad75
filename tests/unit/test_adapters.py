"""Models of timm, open_clip and transformers, with the real libraries and small models of random weights made here."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dataide as di
from dataide.errors import ModelError, UnknownSample
from dataide.inference import contract
from dataide.inference.models import adapters

torch = pytest.importorskip("torch", reason="models of these libraries need torch")
pytestmark = pytest.mark.torch

TEXTS = ["a red car", "a blue bird on a tree"]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """No test may reach a hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)


def load(name: str, **options):
    return adapters.load(contract.Load(1, "key", "adapter", name, options=options), lambda sentence: None, "cpu", 1)


def picture(seed: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 56, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def outcome(model, *images: Image.Image):
    prepared, problems = model.prepare([encoded(image) for image in images])
    assert not problems
    return model.compute(prepared).arrays


def texts(model, *given: str) -> np.ndarray:
    prepared, problems = model.prepare_text([one.encode() for one in given])
    assert not problems
    return model.compute(prepared).arrays["vectors"]


# timm ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def timm_folder(tmp_path) -> Path:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    model = timm.create_model("test_resnet", num_classes=3)
    timm.models.save_for_hf(model, tmp_path / "timm", model_config={"label_names": ["cat", "dog", "elk"]})
    return tmp_path / "timm"


def test_timm_embeds_as_timm_itself_does(timm_folder):
    import timm

    model = load(f"timm:local-dir:{timm_folder}")
    images = [picture(0), picture(1, "L")]
    found = outcome(model, *images)["vectors"]
    itself = timm.create_model(f"local-dir:{timm_folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(itself), is_training=False)
    with torch.inference_mode():
        expected = itself(torch.stack([transform(image.convert("RGB")) for image in images])).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert model.revision.startswith(f"timm:local-dir:{timm_folder}/")
    assert model.details["parameters"] == sum(one.numel() for one in itself.parameters())
    with pytest.raises(AttributeError):
        model.prepare_text([b"timm reads no texts"])


def test_timm_predicts_its_classes_by_name(timm_folder):
    model = load(f"timm:local-dir:{timm_folder}", task="classification")
    probabilities = outcome(model, picture(0), picture(1))["probabilities"]
    assert probabilities.shape == (2, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert model.details["classes"] == ["cat", "dog", "elk"]


def test_the_revision_is_that_of_the_weights(timm_folder):
    import timm

    first = load(f"timm:local-dir:{timm_folder}").revision
    assert load(f"timm:local-dir:{timm_folder}").revision == first
    timm.models.save_for_hf(timm.create_model("test_resnet", num_classes=3), timm_folder)
    assert load(f"timm:local-dir:{timm_folder}").revision != first


def test_a_wrong_name_of_timm_says_which_are_near():
    pytest.importorskip("timm", reason="timm is not installed")
    with pytest.raises(ModelError, match="resnet50") as caught:
        load("timm:resnet_50")
    assert caught.value.code == "unknown_model"


def test_without_a_network_the_error_says_what_to_bring():
    pytest.importorskip("timm", reason="timm is not installed")
    with pytest.raises(ModelError, match="cannot be had") as caught:
        load("timm:resnet10t.c3_in1k")
    assert caught.value.code == "no_weights"
    assert "timm:local-dir:" in str(caught.value)


# open_clip -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def clip_folder(tmp_path) -> Path:
    open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed")
    model_cfg = {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": {}}))
    made = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    torch.save(made.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder


def test_open_clip_gives_pictures_and_texts_vectors_of_one_space(clip_folder):
    import open_clip

    name = f"local-dir:{clip_folder}"
    model = load(f"open_clip:{name}")
    image = picture(2)
    itself, transform = open_clip.create_model_from_pretrained(name)
    itself.eval()
    with torch.inference_mode():
        pictures = itself.encode_image(transform(image)[None]).numpy()
        words = itself.encode_text(open_clip.get_tokenizer(name)(TEXTS)).numpy()
    np.testing.assert_allclose(outcome(model, image)["vectors"], pictures, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(texts(model, *TEXTS), words, rtol=1e-3, atol=1e-4)
    assert model.dimension == 12
    assert load(f"open_clip:{name}").revision == model.revision


def test_open_clip_says_which_weights_there_are():
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    with pytest.raises(ModelError, match="open_clip:ViT-B-32/"):
        load("open_clip:ViT-B-32")
    with pytest.raises(ModelError, match="open_clip:ViT-B-32"):
        load("open_clip:ViT-B32/openai")
    with pytest.raises(ModelError, match="cannot be had"):
        load("open_clip:ViT-B-32/laion2b_s34b_b79k")


def test_a_pickle_with_code_among_weights_runs_nothing(clip_folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Trap()}, clip_folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be had"):
        load(f"open_clip:local-dir:{clip_folder}")
    assert not (tmp_path / "ran").exists()


# transformers --------------------------------------------------------------------------------------------------------

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture
def vit_folder(tmp_path, transformers) -> Path:
    """A classifier, which was saved without a pooler as those of the hub are."""
    config = transformers.ViTConfig(image_size=32, patch_size=16, id2label={0: "cat", 1: "dog"}, **SIZES)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def test_transformers_embeds_without_a_pooler_of_random_numbers(vit_folder, transformers):
    model = load(f"transformers:{vit_folder}")
    image = picture(3)
    itself = transformers.ViTForImageClassification.from_pretrained(vit_folder).eval()
    pixels = transformers.AutoImageProcessor.from_pretrained(vit_folder)(images=image, return_tensors="pt")
    with torch.inference_mode():
        expected = itself.vit(**pixels).last_hidden_state[:, 0].numpy()
    np.testing.assert_allclose(outcome(model, image)["vectors"], expected, rtol=1e-3, atol=1e-4)


def test_transformers_predicts_its_classes_by_name(vit_folder, transformers):
    model = load(f"transformers:{vit_folder}", task="classification")
    image = picture(4)
    itself = transformers.ViTForImageClassification.from_pretrained(vit_folder).eval()
    pixels = transformers.AutoImageProcessor.from_pretrained(vit_folder)(images=image, return_tensors="pt")
    with torch.inference_mode():
        expected = itself(**pixels).logits.softmax(1).numpy()
    np.testing.assert_allclose(outcome(model, image)["probabilities"], expected, atol=1e-4)
    assert model.details["classes"] == ["cat", "dog"]


@pytest.fixture
def two_folder(tmp_path, transformers) -> Path:
    import tokenizers

    folder = tmp_path / "two"
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[EOS]", *words])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A [EOS]", special_tokens=[("[EOS]", 2)]
    )
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]"
    )
    wrapped.save_pretrained(folder)
    text = {**SIZES, "vocab_size": len(vocabulary), "max_position_embeddings": 20, "eos_token_id": 2, "pad_token_id": 0}
    vision = {**SIZES, "image_size": 32, "patch_size": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"shortest_edge": 32}
    transformers.CLIPImageProcessor(size=size, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_clip_of_transformers_gives_pictures_and_texts_vectors_of_one_space(two_folder, transformers):
    model = load(f"transformers:{two_folder}")
    image = picture(5)
    itself = transformers.CLIPModel.from_pretrained(two_folder).eval()
    pixels = transformers.AutoImageProcessor.from_pretrained(two_folder)(images=image, return_tensors="pt")
    tokens = transformers.AutoTokenizer.from_pretrained(two_folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        both = itself(pixel_values=pixels["pixel_values"], input_ids=tokens["input_ids"])
    # CLIP itself gives them at length one.
    for found, expected in (
        (outcome(model, image)["vectors"], both.image_embeds),
        (texts(model, *TEXTS), both.text_embeds),
    ):
        unit = found / np.linalg.norm(found, axis=1, keepdims=True)
        np.testing.assert_allclose(unit, expected.numpy(), rtol=1e-3, atol=1e-4)
    assert texts(model, "red car " * 100).shape == (1, 12), "a text that is too long is cut"
    with pytest.raises(ModelError, match="lack"):
        load(f"transformers:{two_folder}", task="classification")


def test_code_that_comes_with_a_model_runs_only_when_trusted(vit_folder, tmp_path):
    config = json.loads((vit_folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    config["model_type"] = "own"
    (vit_folder / "config.json").write_text(json.dumps(config))
    ran = tmp_path / "ran"
    (vit_folder / "own.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n")
    with pytest.raises(ModelError, match="trust=True") as caught:
        load(f"transformers:{vit_folder}")
    assert caught.value.code == "untrusted"
    assert not ran.exists()


# In a session --------------------------------------------------------------------------------------------------------


def test_a_session_embeds_and_finds_by_words_also_after_a_restart(two_folder, vit_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    name = f"transformers:{two_folder}"
    session: Any
    with di.open(tmp_path / "adapted.duckdb") as session:
        session.add_arrays(np.stack([np.asarray(picture(seed)) for seed in range(6)]), progress=False)
        report = session.embed(name, name="clip", progress=False)
        assert (report.embedded, report.dimension) == (6, 12)
        assert session.embed(name, name="clip", progress=False).embedded == 0
        found = session.similar("a red car", k=6)
        assert sorted(found.ids()) == sorted(session.ids())
        with pytest.raises(ModelError, match="cannot be had"):
            session.embed("transformers:nobody/nothing", progress=False)
        expected = found.to_pandas()[["sample_id", "similarity"]]
        session.embed(f"transformers:{vit_folder}", name="vit", progress=False)
        with pytest.raises(UnknownSample, match="no file of that name"):
            session.similar("a red car", embedding="vit")
        with pytest.raises(ModelError, match="reads pictures, not texts"):
            session.similar(text="a red car", embedding="vit")
    with di.open(tmp_path / "adapted.duckdb") as again:
        same = again.similar("a red car", k=6, embedding="clip", model=name).to_pandas()
        assert same["sample_id"].tolist() == expected["sample_id"].tolist()
        np.testing.assert_allclose(same["similarity"], expected["similarity"], atol=1e-5)


# All -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["timm", "open_clip", "transformers"])
def test_a_library_that_is_missing_is_named_with_how_to_get_it(library, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(ModelError, match=f"pip install {adapters.PACKAGES[library]}") as caught:
        load(f"{library}:any/thing")
    assert caught.value.code == "missing_extra"


def test_what_only_a_file_names_is_not_even_looked_for(monkeypatch):
    for library in adapters.PACKAGES:
        monkeypatch.setitem(__import__("sys").modules, library, None)  # imported, it would be missing
        with pytest.raises(ModelError, match="nothing is fetched because a file says so") as caught:
            load(f"{library}:any/thing", fetch=False)
        assert caught.value.code == "needs_model"
        assert f"model='{library}:any/thing'" in str(caught.value.hint)


def test_what_these_models_cannot_do_is_said_before_anything_is_fetched(monkeypatch):
    for library, task in (("timm", "detection"), ("transformers", "detection"), ("open_clip", "classification")):
        monkeypatch.setitem(__import__("sys").modules, library, None)
        with pytest.raises(ModelError, match=f"cannot be used for {task}"):
            load(f"{library}:any/thing", task=task)
    with pytest.raises(ModelError, match="names no model"):
        load("keras:thing")
