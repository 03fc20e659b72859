"""A user's mistake gets one sentence that names the file, the value and the remedy."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nerfstudio.configs.dataparser_configs import all_dataparsers
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from scene import write_scene
from tiny_run import Run, tiny_config, train

from disconerf_ns import files
from disconerf_ns.compat.named_dataset import dataset_named, frame_unsaid
from disconerf_ns.errors import UserError
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "balls", views=4, width=24, height=18)


def start(config) -> None:
    config.setup(local_rank=0, world_size=1).setup()


def test_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*nowhere.*--data"):
        start(tiny_config(tmp_path / "nowhere", tmp_path / "out"))


@pytest.mark.parametrize(
    ("holds", "content", "sentence"),
    [
        ("transforms_train.json", None, r"it holds transforms_train\.json, so end the command with blender-data\."),
        ("meta_data.json", None, r"it holds meta_data\.json, so end the command with sdfstudio-data\."),
        ("sparse/0", None, r"it holds sparse/0, so end the command with colmap --colmap-path sparse/0\."),
        ("transforms.json", {"fl_x": None}, r"AssertionError: .*mend the dataset"),
        ("transforms.json", {"frames": []}, r"IndexError: .*mend the dataset"),
        ("transforms.json", {"frames": 1}, r"ZeroDivisionError.*all cameras stand in one place"),
    ],
)
def test_what_no_dataparser_can_read_is_named(
    data: Path, tmp_path: Path, holds: str, content: dict[str, Any] | None, sentence: str
) -> None:
    """These were tracebacks of nerfstudio's."""
    whole = json.loads((data / "transforms.json").read_text())
    (data / "transforms.json").unlink()
    (data / holds).parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        frames = {"frames": whole["frames"][:1]} if content.get("frames") == 1 else content
        changed = {
            key: value for key, value in {**whole, **frames}.items() if "_filenames" not in key and value is not None
        }
        (data / holds).write_text(json.dumps(changed))
    else:
        (data / holds).touch()
    with pytest.raises(UserError, match=rf"data: nerfstudio-data cannot read {data} \(.*{sentence}"):
        start(tiny_config(data, tmp_path / "out"))


def test_colmaps_model_in_another_folder_is_found(tmp_path: Path) -> None:
    """The sentence recommended colmap to who had named it."""
    (tmp_path / "sparse" / "0").mkdir(parents=True)
    parser = ColmapDataParserConfig(data=tmp_path)
    remedy = r"it holds sparse/0, so end the command with colmap --colmap-path sparse/0\."
    with pytest.raises(UserError, match=remedy), dataset_named(parser, tmp_path):
        parser.setup().get_dataparser_outputs()


@pytest.mark.parametrize(("name", "said"), [("sdfstudio-data", True), ("nerfstudio-data", False)])
def test_a_dataparser_that_turns_cameras_without_a_word_is_said(name: str, said: bool) -> None:
    """Exports were in another frame than the capture's, and said to be in it."""
    sentence = frame_unsaid(all_dataparsers[name])
    assert (sentence is not None) == said
    assert sentence is None or "are in the frame of its training, not in that of the capture" in sentence


def test_a_fault_that_is_no_datasets_stays_as_it_is(data: Path) -> None:
    with pytest.raises(ZeroDivisionError), dataset_named(NerfstudioDataParserConfig(data=data), data):
        1 / 0  # noqa: B018


def test_a_folder_that_cannot_be_written_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files, "TemporaryFile", refuse)
    config = tiny_config(data, Path("outputs"))
    with pytest.raises(UserError, match=r"outputs.* cannot be written \(Read-only.*another place with --output-dir\."):
        config.save_config()


def test_no_masks_at_all(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "bare", views=4, width=24, height=18, masks=False)
    with pytest.raises(UserError, match=r"bare/masks has no masks.*disconerf masks --data .*bare"):
        start(tiny_config(folder, tmp_path / "out"))


def test_masks_for_some_images_only(data: Path, tmp_path: Path) -> None:
    (data / "masks" / "exact" / "0002.json").unlink()
    with pytest.raises(UserError, match=r"masks for 3 of 4 training images; missing: 0002.png\. Run .*allow-missing"):
        start(tiny_config(data, tmp_path / "out"))
    config = tiny_config(data, tmp_path / "out")
    config.pipeline.datamanager.allow_missing_masks = True
    start(config)


def test_one_file_of_masks_for_two_images(data: Path, tmp_path: Path) -> None:
    """One of them is held out, so that training alone sees the file fit once."""
    text = (data / "transforms.json").read_text()
    for old, new in (("images/0000.png", "images/left/0001.png"), ("images/0001.png", "images/right/0001.png")):
        (data / new).parent.mkdir()
        (data / old).rename(data / new)
        text = text.replace(old, new)
    content = json.loads(text)
    content["train_filenames"].remove(new)
    content["val_filenames"] = content["test_filenames"] = [new]
    (data / "transforms.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"0001\.json in .*exact fits two images, left/0001 and right/0001"):
        start(tiny_config(data, tmp_path / "out"))


def test_masks_of_another_shape(data: Path, tmp_path: Path) -> None:
    store = MaskStore.open(data / "masks" / "exact")
    store.save("0001", ImageMasks.from_arrays(np.ones((1, 18, 18), bool)))
    with pytest.raises(UserError, match=r"0001\.json is for an image of 18 x 18, but 0001\.png is 24 x 18"):
        start(tiny_config(data, tmp_path / "out"))


def test_masks_of_another_size_but_the_same_shape_are_resampled(data: Path, tmp_path: Path) -> None:
    store = MaskStore.open(data / "masks" / "exact")
    left = np.zeros((1, 36, 48), bool)
    left[:, :, :24] = True
    store.save("0001", ImageMasks.from_arrays(left))
    config = tiny_config(data, tmp_path / "out")
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    datamanager = trainer.pipeline.datamanager
    index = [name.stem for name in datamanager.train_dataset.image_filenames].index("0001")
    masks = datamanager.view_masks(index).unpack().view(*datamanager.view_size(index), -1)
    middle = masks.shape[1] // 2
    assert masks[:, :middle].all() and not masks[:, middle:].any()


@pytest.mark.parametrize(
    "content", ["{", '{"image": {}}', '{"image": {"height": 18, "width": 24}, "annotations": [{}]}']
)
def test_broken_masks(data: Path, tmp_path: Path, content: str) -> None:
    (data / "masks" / "exact" / "0000.json").write_text(content)
    with pytest.raises(UserError, match=r"0000\.json"):
        start(tiny_config(data, tmp_path / "out"))


def test_an_image_without_masks_is_legal_but_a_set_without_any_is_not(data: Path, tmp_path: Path) -> None:
    store = MaskStore.open(data / "masks" / "exact")
    empty = ImageMasks.from_arrays(np.zeros((0, 18, 24), bool))
    store.save("0000", empty)
    train(tiny_config(data, tmp_path / "out", iterations=8))
    for key in store.keys():
        store.save(key, empty)
    with pytest.raises(UserError, match="holds no mask"):
        start(tiny_config(data, tmp_path / "out"))


def test_a_view_with_more_masks_than_slots(data: Path, tmp_path: Path) -> None:
    config = tiny_config(data, tmp_path / "out")
    config.pipeline.model.slots, config.pipeline.model.matching = 2, "view"
    with pytest.raises(
        UserError, match=r"up to 4 masks in one view, but there are 2 slots; start a run with --pipeline\.model\.slots"
    ):
        start(config)


def test_wrong_masks_folder(data: Path, tmp_path: Path) -> None:
    config = tiny_config(data, tmp_path / "out")
    config.pipeline.datamanager.masks = tmp_path / "elsewhere"
    with pytest.raises(UserError, match="elsewhere"):
        start(config)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.yml", None, "there is no .*gone.yml"),
        ("odd.yml", "just: text", "is not a run of nerfacto"),
        ("broken.yml", "a: [", "cannot be read"),
        ("lonely.ckpt", "x", "no config.yml"),
        ("folder", None, "there is no .*folder"),
    ],
)
def test_wrong_radiance_field(data: Path, tmp_path: Path, name: str, content: str | None, message: str) -> None:
    source = tmp_path / "run" / "nerfstudio_models" / name
    source.parent.mkdir(parents=True)
    if content is not None:
        source.write_text(content)
    config = tiny_config(data, tmp_path / "out")
    config.pipeline.radiance_field = source
    with pytest.raises(UserError, match=f"{message}.*--pipeline.radiance-field"):
        start(config)


def test_radiance_field_of_other_images(run: Run, data: Path, tmp_path: Path) -> None:
    config = tiny_config(data, tmp_path / "out")
    config.pipeline.radiance_field = run.config
    with pytest.raises(UserError, match="same"):
        start(config)


def test_a_checkpoint_whose_data_is_gone(run: Run, scene: Path, tmp_path: Path) -> None:
    from nerfstudio.utils.eval_utils import eval_setup

    moved = tmp_path / "run"
    shutil.copytree(run.folder, moved)
    config = moved / "config.yml"
    text = config.read_text().replace(f"- {scene.name}\n", "- elsewhere\n")
    config.write_text(text)
    with pytest.raises(UserError, match="there is no .*elsewhere"):
        eval_setup(config)


def test_ns_train_prints_the_sentence_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Python hands an error that ends a program to this hook."""
    from nerfstudio.scripts import train as ns_train

    monkeypatch.setattr("sys.excepthook", sys.__excepthook__)
    with pytest.raises(UserError) as raised:
        ns_train.main(tiny_config(tmp_path / "nowhere", tmp_path / "out"))
    capsys.readouterr()
    sys.excepthook(raised.type, raised.value, raised.tb)
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("disconerf: data: there is no")


@pytest.mark.slow
def test_ns_train_as_a_user_types_it_ends_with_the_sentence_and_code_1(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "ns-train"), "disconerf-small", "--vis", "tensorboard"]
    ended = subprocess.run(
        [sys.executable, *command, "--data", str(tmp_path / "nowhere")], capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert ended.stderr.strip().splitlines()[-1].startswith("disconerf: data: there is no")
