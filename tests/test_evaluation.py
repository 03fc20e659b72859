"""Scoring of a run: the true labels themselves score 1, views and their files find each other, mistakes are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exif import boxes, photograph, shown
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image
from tiny_run import Run

from disconerf_ns.errors import UserError
from disconerf_ns.evaluation import scores as evaluation
from disconerf_ns.evaluation.label_files import LabelFile, label_files, listed_void, read_truth, said_void
from disconerf_ns.evaluation.metrics import FRACTIONS
from disconerf_ns.evaluation.predictions import predict_labels
from disconerf_ns.evaluation.views import View, masks_of, views_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.label_image import read_label_image, write_label_image
from disconerf_ns.masks.numbers import Named
from disconerf_ns.masks.orientation import STORED
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.edit import Edit


def bordered() -> tuple[np.ndarray, np.ndarray]:
    """Labels 1 to 3 beside nothing, and the same with a border of 255 around every object."""
    labels = np.tile(np.repeat([0, 1, 2, 3], 6), (12, 1))
    border = np.zeros(labels.shape, bool)
    border[:, 5:-1:6] = border[:, 6::6] = True
    return labels, np.where(border, 255, labels)


@pytest.mark.parametrize("void", ["auto", (0, 255), frozenset({0, 255})])
def test_a_border_of_255_counts_nowhere(void: Named) -> None:
    """A perfect prediction scores 1 in everything, whether the border is named or judged."""
    labels, true = bordered()
    found = evaluation.compare(labels, true, void=void)
    assert found.field.objects.tolist() == [1, 2, 3]
    scored = evaluation.summarize([found], FRACTIONS)
    assert set(scored.views.values()) == set(scored.scene.values()) == {1.0}


def test_labels_from_0_with_a_negative_void() -> None:
    labels, _ = bordered()
    found = evaluation.compare(labels, labels - 1)
    assert found.field.objects.tolist() == [0, 1, 2] and evaluation.summarize([found]).scene["IoU"] == 1.0
    assert evaluation.compare(labels, labels - 1, void=None).field.objects.tolist() == [-1, 0, 1, 2]


def test_void_is_judged_for_all_label_images_and_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    labels, true = bordered()
    files = [LabelFile(tmp_path / "1.png", STORED), LabelFile(tmp_path / "2.png", STORED)]
    for file, content in zip(files, (labels, true)):
        Image.fromarray(content.astype(np.uint8)).save(file.path)
    assert listed_void(said_void(files, "auto")) == [0, 255]
    assert "ground truth: the number 255 stands apart from the others, so it marks borders" in capsys.readouterr().out
    assert listed_void(said_void(files, 0)) == [0]
    assert "ground truth: 255 is an object, since --void does not name it" in capsys.readouterr().out
    assert listed_void(said_void(files, None)) == []


def test_true_labels_of_other_types(tmp_path: Path) -> None:
    """32 bits and float are read from .tif; fractions, pages and smooth resizing are said; two files are too many."""
    labels, _ = bordered()
    for dtype in (np.int32, np.float32):
        Image.fromarray(labels.astype(dtype)).save(tmp_path / "1.tif")
        assert (label_files(tmp_path, [view("1", 12, 24)])[0].read() == labels).all()
    page = Image.fromarray(labels.astype(np.uint8))
    Image.fromarray(labels / np.float32(2)).save(tmp_path / "half.tif")
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page])
    smooth = Image.fromarray((labels * 9).astype(np.uint8)).resize((96, 48), Image.Resampling.BILINEAR)
    smooth.save(tmp_path / "smooth.png")
    for name, reason in (("half.tif", "not whole"), ("pages.tif", "2 pages"), ("smooth.png", "smooth resizing")):
        with pytest.raises(UserError, match=rf"ground truth: .*{name} cannot be used: .*{reason}"):
            read_truth(tmp_path / name)
    page.save(tmp_path / "1.png")
    with pytest.raises(UserError, match=r"1\.png and .*1\.tif are of one image; keep one"):
        label_files(tmp_path, [view("1", 12, 24)])


@pytest.fixture
def pipeline(run: Run):
    run.trainer.pipeline.eval()
    return run.trainer.pipeline


def image(path: Path, size: tuple[int, int] = (8, 6), mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path)
    return path


def view(key: str, height: int = 6, width: int = 8) -> View:
    return View("test", 0, key, Path(f"images/{key}.jpg"), height, width)


def test_exact_masks_and_exact_predictions_score_one(pipeline, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = pipeline.datamanager.eval_dataset.image_filenames

    def perfect(_pipeline, view: int, downscale: int = 1, granularity: float = 0.5) -> np.ndarray:
        labels = read_label_image(scene / "labels" / f"{names[view].stem}.png")
        return evaluation.resample(labels, 36 // downscale, 48 // downscale) + 5

    monkeypatch.setattr(evaluation, "predict_labels", perfect)
    scores = evaluation.evaluate(pipeline, scene / "labels", MaskStore.find(scene), downscale=2)
    for values in (scores.masks, scores.views, scores.scene):
        assert values == pytest.approx({"IoU": 1.0, "BD": 1.0, "SBD": 1.0})


def test_one_label_has_to_be_one_object_in_all_views(pipeline, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that are right in each view but swapped between views are right per view and wrong for the scene."""
    names = pipeline.datamanager.eval_dataset.image_filenames

    def swapped(_pipeline, view: int, downscale: int = 1, granularity: float = 0.5) -> np.ndarray:
        labels = read_label_image(scene / "labels" / f"{names[view].stem}.png")
        return (labels + view) % 5 + 1

    monkeypatch.setattr(evaluation, "predict_labels", swapped)
    scores = evaluation.evaluate(pipeline, scene / "labels", MaskStore.find(scene))
    assert scores.views["IoU"] == pytest.approx(1.0) and scores.scene["IoU"] < 0.8


def test_field_is_scored_at_any_resolution(pipeline, scene: Path) -> None:
    whole = evaluation.evaluate(pipeline, scene / "labels", MaskStore.find(scene))
    half = evaluation.evaluate(pipeline, scene / "labels", MaskStore.find(scene), downscale=2)
    assert whole.views["IoU"] == pytest.approx(half.views["IoU"], abs=0.1) and whole.views["IoU"] > 0.5
    assert 5 < evaluation.psnr(pipeline, 0) < 60


def test_predicted_labels_are_the_numbers_of_objects(pipeline) -> None:
    scene = pipeline.model.current.value
    camera = pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device)
    rays = camera.generate_rays(0, keep_shape=True)
    ids = Frame(scene, rays.flatten(), tuple(rays.shape)).labels().id.view(rays.shape).numpy()
    by_id = {each.id: each.label_number for each in scene.objects} | {-1: 0}
    assert list(by_id.values()) == [1, 2, 3, 4, 0, 0], "neither the rest nor nothing is an object"
    predicted = predict_labels(pipeline, 0)
    assert (predicted == np.vectorize(by_id.get)(ids)).all() and len(np.unique(predicted)) > 3


def test_a_persons_edit_stays_and_is_not_scored(pipeline, scene: Path) -> None:
    """Evaluating a run forgot the edit for good."""
    current, plain = pipeline.model.current, predict_labels(pipeline, 0)
    before = current.value
    one, other = (each.id for each in before.objects[1:3])
    edited = current.replace(lambda now: now.with_edit(Edit().merge([one], other).hide(other)))
    try:
        assert (predict_labels(pipeline, 0) == plain).all()
        evaluation.evaluate(pipeline, scene / "labels", MaskStore.find(scene), downscale=4)
        pipeline.get_average_eval_image_metrics()
        assert current.value is edited
    finally:
        current.replace(lambda _: before)


def test_training_views_are_seen_from_the_poses_that_were_found(pipeline) -> None:
    before = [predict_labels(pipeline, view, split="train") for view in (2, 3)]
    optimizer = CameraOptimizerConfig(mode="SO3xR3").setup(num_cameras=14, device="cpu")
    optimizer.pose_adjustment.data[3, 0] = 0.5
    given, pipeline.model.camera_optimizer = pipeline.model.camera_optimizer, optimizer
    try:
        after = [predict_labels(pipeline, view, split="train") for view in (2, 3)]
    finally:
        pipeline.model.camera_optimizer = given
    unlike = [(a != b).mean() for a, b in zip(before, after)]
    assert unlike[0] < 0.01 and unlike[1] > 0.05


def test_views_of_every_split(pipeline) -> None:
    test, train, both = (views_of(pipeline, split) for split in ("test", "train", "all"))
    assert [v.key for v in test] == ["0004", "0012"] and len(train) == 14
    assert {v.key for v in both} == {f"{i:04d}" for i in range(16)} and len(both) == 16
    assert (test[0].height, test[0].width) == (36, 48)


@pytest.mark.parametrize("split", ["train", "test"])
def test_views_and_labels_have_the_size_of_their_photographs(pipeline, monkeypatch: pytest.MonkeyPatch, split) -> None:
    """Labels of a run with `camera-res-scale-factor 0.5` had half the size of their photographs."""
    data, name = pipeline.datamanager, {"train": "train_dataset", "test": "eval_dataset"}[split]
    before = predict_labels(pipeline, 1, split=split)
    monkeypatch.setattr(data, name, InputDataset(getattr(data, name)._dataparser_outputs, scale_factor=0.5))
    assert getattr(data, name).cameras.height[1] == 18
    after, seen = predict_labels(pipeline, 1, split=split), views_of(pipeline, split)[1]
    assert after.shape == (seen.height, seen.width) == (36, 48) and (after == before).all()


def test_labels_are_found_by_path_or_by_plain_name(tmp_path: Path) -> None:
    image(tmp_path / "left" / "1.png"), image(tmp_path / "2.png")
    files = label_files(tmp_path, [view("left/1"), view("right/2")])
    assert [file.path for file in files] == [tmp_path / "left" / "1.png", tmp_path / "2.png"]
    with pytest.raises(UserError, match=r"2\.png would serve both left/2 and right/2; keep the images' subfolders"):
        label_files(tmp_path, [view("left/2"), view("right/2")])
    with pytest.raises(UserError, match=r"there is no .*left/3\.png"):
        label_files(tmp_path, [view("left/1"), view("left/3")])
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        label_files(tmp_path / "nowhere", [view("1")])


def test_labels_of_another_shape_or_in_colour_are_refused(tmp_path: Path) -> None:
    (
        image(tmp_path / "half.png", (4, 3)),
        image(tmp_path / "square.png", (6, 6)),
        image(tmp_path / "rgb.png", mode="RGB"),
    )
    assert label_files(tmp_path, [view("half")])
    with pytest.raises(UserError, match=r"square\.png is 6 x 6, but square.jpg is 8 x 6, another shape"):
        label_files(tmp_path, [view("square")])
    with pytest.raises(UserError, match=r"rgb\.png has 3 channels"):
        label_files(tmp_path, [view("rgb")])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_labels_of_either_depth_are_read(tmp_path: Path, kind: type) -> None:
    labels = np.array([[0, 1, 2], [200, 250, np.iinfo(kind).max]])
    Image.fromarray(labels.astype(kind)).save(tmp_path / "a.png")
    assert (read_label_image(tmp_path / "a.png") == labels).all()


def test_written_labels_are_read_back(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 2**16, (5, 7))
    write_label_image(labels, tmp_path / "deep" / "a.png")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]
    with Image.open(tmp_path / "deep" / "a.png") as written:
        assert written.mode.startswith("I;16")
    assert (read_label_image(tmp_path / "deep" / "a.png") == labels).all()


def test_objects_are_scored_by_label_with_their_partner() -> None:
    truth = np.array([[1, 1, 1, 1, 2, 2, 0, 5, 5]])
    predicted = np.array([[3, 3, 3, 1, 1, 1, 1, 0, 0]])
    scene = evaluation.whole_scene([evaluation.compare(predicted, truth)])
    one, two, five = evaluation.score_objects(scene)
    assert (one.label, one.area, one.iou, one.segment) == (1, 4, pytest.approx(3 / 4), "object_02")
    assert (two.label, two.area, two.iou, two.segment) == (2, 2, pytest.approx(2 / 3), "object_00")
    assert (five.label, five.area, five.iou, five.segment) == (5, 2, 0.0, None)


def test_a_view_of_nothing_does_not_lower_the_mean() -> None:
    full, void = np.array([[1, 1, 2, 2]]), np.zeros((1, 4), int)
    scores = evaluation.summarize([evaluation.compare(full, full), evaluation.compare(full, void)])
    assert scores.views["IoU"] == scores.scene["IoU"] == 1.0 and scores.masks == {}
    with pytest.raises(UserError, match=r"all pixels of the .* views have the label 0, which means no object.*--void"):
        evaluation.summarize([evaluation.compare(full, void)])
    assert evaluation.summarize([evaluation.compare(full, void, void=None)]).views["IoU"] == 0.5


def test_true_labels_of_another_size_are_compared_at_the_prediction_s() -> None:
    predicted = np.kron([[1, 2], [3, 4]], np.ones((4, 4), int))
    found = evaluation.compare(predicted, np.array([[1, 2], [3, 4]]))
    assert (found.truth == predicted).all()


def test_masks_have_to_cover_the_views(pipeline, scene: Path, tmp_path: Path) -> None:
    views = views_of(pipeline)
    assert masks_of(pipeline, views).root == MaskStore.find(scene).root
    store = MaskStore.create(tmp_path / "some", {})
    store.save("0004", ImageMasks.from_arrays(np.ones((1, 36, 48), bool)))
    with pytest.raises(UserError, match=r"some has masks for 1 of 2 evaluated views; missing: 0012"):
        masks_of(pipeline, views, tmp_path / "some")
    store.save("0012", ImageMasks.from_arrays(np.ones((1, 36, 36), bool)))
    with pytest.raises(UserError, match=r"0012\.json is 36 x 36, but 0012\.png is 48 x 36"):
        masks_of(pipeline, views, tmp_path / "some")


def test_missing_labels_are_named(pipeline, scene: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*\.png"):
        evaluation.evaluate(pipeline, tmp_path, MaskStore.find(scene))


def test_no_objects_and_no_held_out_views_are_said(pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pipeline.model.current.value
    pipeline.model.current.replace(lambda scene: scene.with_trained(replace(scene.trained, discovered=())))
    try:
        with pytest.raises(UserError, match="no objects yet"):
            predict_labels(pipeline, 0)
    finally:
        pipeline.model.current.replace(lambda _: before)
    monkeypatch.setattr(pipeline.datamanager.eval_dataset._dataparser_outputs, "image_filenames", [])
    with pytest.raises(UserError, match="holds no view out"):
        views_of(pipeline)


@pytest.mark.parametrize(("size", "orientation"), [((72, 96), 3), ((72, 96), 6), ((80, 80), 8)])
def test_labels_of_the_upright_picture_are_turned(
    size: tuple[int, int], orientation: int, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Half as large as the photographs, as labels may be; what was decided is said."""
    views, truth = [], {}
    for number in range(3):
        picture, labels = boxes(number, *size)
        photograph(tmp_path / f"images/{number}.jpg", picture, orientation)
        truth[number] = labels[::2, ::2]
        write_label_image(shown(truth[number], orientation).astype(int), tmp_path / f"labels/{number}.png")
        views.append(replace(view(str(number), *size), image=tmp_path / f"images/{number}.jpg"))
    for option in ("auto", "upright"):
        files = label_files(tmp_path / "labels", views, option)
        assert all((file.read() == truth[number]).all() for number, file in enumerate(files))
    said = capsys.readouterr().out
    assert said.count("eval: 3 of 3 photographs have an EXIF orientation; ") == 2
    assert said.count("drawn on the upright picture") == 2
    if orientation == 3:
        assert (label_files(tmp_path / "labels", views, "stored")[0].read() == shown(truth[0], 3)).all()
    photograph(views[0].image, np.zeros((*size, 3), np.uint8), orientation)
    if orientation == 3:
        with pytest.raises(UserError, match="ground truth: 1 of 1 .* not clear .* --orientation upright"):
            label_files(tmp_path / "labels", views[:1])
