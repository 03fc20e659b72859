"""Names by an image-text model: a small random CLIP, made here, through the same classes as the published ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import Run

from disconerf_ns.cli import main
from disconerf_ns.errors import UserError
from disconerf_ns.facts.crops import crop_around
from disconerf_ns.facts.image_text import ImageTextModel
from disconerf_ns.facts.naming import best_word, numbered, read_words
from disconerf_ns.runs import objects_of
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.names import LONGEST
from disconerf_ns.scene.objects import ObjectId


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CLIP of one layer and random weights, and a tokenizer that knows letters alone."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=24)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": len(tokens) - 2, "eos_token_id": len(tokens) - 1, "pad_token_id": len(tokens) - 1}
    config = CLIPConfig(
        text_config={**layers, **ends, "vocab_size": len(tokens), "max_position_embeddings": 24},
        vision_config={**layers, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    images = CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False)
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("# things\nball\n\nred ball\nfloor\nball\n")
    return path


@pytest.fixture
def name(run: Run, opened_run: None, tiny_clip: Path, words: Path, capsys):
    """Runs `objects name` and gives its exit code and the lines that it printed; its files are gone afterwards."""

    def call(*options: str) -> tuple[int, list[str]]:
        given = ["--vocabulary", str(words), "--checkpoint", str(tiny_clip), "--least-score", "0", "--views", "2"]
        code = main(["objects", "name", "--load-config", str(run.config), *given, *options])
        printed = capsys.readouterr()
        return code, [line for line in (printed.err if code else printed.out).splitlines() if "objects:" in line]

    yield call
    for file in ("edit.json", "edit_history.json", "names.json"):
        (run.folder / file).unlink(missing_ok=True)


def test_scores_are_the_softmax_of_clips_own_logits(tiny_clip: Path) -> None:
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    pictures = [np.full((20, 30, 3), 200, np.uint8), np.zeros((32, 32, 3), np.uint8)]
    sentences = ["a photo of a ball", "a cup"]
    ours = ImageTextModel(str(tiny_clip), "cpu").scores(pictures, sentences)
    inputs = CLIPProcessor.from_pretrained(tiny_clip)(
        text=sentences, images=[Image.fromarray(picture) for picture in pictures], return_tensors="pt", padding=True
    )
    theirs = CLIPModel.from_pretrained(tiny_clip)(**inputs).logits_per_image.softmax(-1)
    assert torch.allclose(ours, theirs, atol=1e-5) and ours.shape == (2, 2)


def test_a_model_that_cannot_be_had_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=r"nothing cannot be loaded as an image-text model .* with --checkpoint"):
        ImageTextModel(str(tmp_path / "nothing"), "cpu")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install disconerf_ns\[transformers\]"):
        ImageTextModel("openai/clip-vit-base-patch32", "cpu")


def test_a_vocabulary_has_two_words_or_more_without_comments_and_repeats(words: Path) -> None:
    assert read_words(words) == ("ball", "red ball", "floor")
    words.write_text("cup\n#mug\n")
    with pytest.raises(UserError, match=r"words\.txt: it has 1 words; write at least 2"):
        read_words(words)
    words.write_text("cup\n" + "x" * 61)
    with pytest.raises(UserError, match="61 characters"):
        read_words(words)
    words.write_text("cup\nrest\n")
    with pytest.raises(UserError, match=r"words\.txt: rest is what objects without a name are called"):
        read_words(words)
    with pytest.raises(UserError, match="not a vocabulary"):
        read_words(words.with_name("none.txt"))


def test_the_best_word_is_the_best_of_the_mean_over_views() -> None:
    """Means 0.45 and 0.55."""
    scores = np.array([[0.7, 0.3], [0.2, 0.8]])
    word = best_word(scores, ("cup", "mug"), 0.5)
    assert word is not None and word[0] == "mug" and word[1] == pytest.approx(0.55)
    assert best_word(scores, ("cup", "mug"), 0.6) is None


def test_equal_words_are_numbered_around_names_that_are_taken() -> None:
    words = {ObjectId(4): "cup", ObjectId(1): "cup", ObjectId(2): "mug", ObjectId(3): "cup"}
    assert numbered(words, taken=["cup 2"]) == {4: "cup", 1: "cup 3", 2: "mug", 3: "cup 4"}


def test_a_number_does_not_make_a_name_too_long() -> None:
    first, second = numbered({ObjectId(n): "w" * LONGEST for n in range(2)}, ()).values()
    assert first == "w" * LONGEST and second == "w" * (LONGEST - 2) + " 2"


def test_a_crop_is_sharp_inside_and_blurred_outside() -> None:
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (60, 80, 3), np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    crop = crop_around(photograph, mask)
    assert crop.shape == (26, 26, 3), "20 pixels, and 15 % of them at each side"
    assert np.array_equal(crop[4:22, 4:22], photograph[21:39, 31:49])
    beside = crop[0].astype(float)
    assert beside.std() < 0.5 * photograph.std()


def test_a_crop_at_the_photographs_edge_goes_on(words: Path) -> None:
    photograph = np.full((10, 10, 3), 7, np.uint8)
    mask = np.zeros((5, 5), bool)
    mask[0, 0] = True
    assert (crop_around(photograph, mask) == 7).all()


def test_objects_get_names_of_the_vocabulary_with_scores(run: Run, name) -> None:
    code, lines = name()
    assert code == 0, lines
    named = [each for each in objects_of(run.config) if each.number is not None]
    assert len(lines) == len(named) == len({each.title for each in named})
    rows = json.loads((run.folder / "names.json").read_text())["names"]
    for each, line in zip(named, lines):
        row = rows[str(each.id)]
        assert line == f"objects: {each.name} is called {each.title} now, score {row['score']:.2f}."
        assert each.title.startswith(row["word"]) and row["word"] in ("ball", "red ball", "floor")
        assert 0 < row["score"] < 1 and 1 <= len(row["views"]) <= 2
    assert all(each.title == "" for each in objects_of(run.config) if each.number is None)


def test_names_that_a_person_gave_stay_and_those_of_a_model_do_not(run: Run, name, words: Path, capsys) -> None:
    assert name()[0] == 0
    one = objects_of(run.config)[1]
    main(["objects", "rename", "1", "floor lamp", "--load-config", str(run.config)])
    capsys.readouterr()
    words.write_text("lamp\nchair\n")
    code, lines = name()
    assert code == 0 and not any("object_01" in line for line in lines)
    titles = {each.id: each.title for each in objects_of(run.config) if each.number is not None}
    assert titles.pop(one.id) == "floor lamp"
    assert all(title.startswith(("lamp", "chair")) for title in titles.values())
    assert name("--overwrite", "--objects", "1")[1][0].startswith("objects: object_01 is called ")
    assert next(each for each in objects_of(run.config) if each.id == one.id).title.startswith(("lamp", "chair"))
    assert main(["objects", "undo", "--load-config", str(run.config)]) == 0
    assert next(each for each in objects_of(run.config) if each.id == one.id).title == "floor lamp"


def test_no_name_where_no_word_fits(run: Run, name) -> None:
    code, lines = name("--least-score", "1")
    assert code == 0 and all("gets no name: no word fits" in line for line in lines)
    assert not (run.folder / "edit.json").exists() and not (run.folder / "names.json").exists()


def test_nothing_to_name_is_one_sentence(run: Run, name) -> None:
    edit = Edit()
    for each in objects_of(run.config):
        edit = edit.rename(each.id, f"thing {each.id}")
    edit.save(run.folder / "edit.json")
    assert name() == (
        1,
        ["disconerf: objects: every object has a name that a person gave; pass --overwrite to replace them."],
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--views", "0"], "--views is 0; it has to be from 1 to 1,000,000,000"),
        (["--least-score", "1.5"], "--least-score is 1.5; it has to be from 0 to 1"),
        (["--sentence", "a photo"], "has to have one {} for the word"),
        (["--granularity", "2"], "--granularity is 2.0"),
        (["--objects", "99", "--checkpoint", "./no/model"], "there is no 99; the scene has object_00"),
    ],
)
def test_options_are_checked_first(name, options: list[str], sentence: str) -> None:
    code, (line,) = name(*options)
    assert code == 1 and sentence in line
