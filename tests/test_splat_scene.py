"""A splatfacto run as the frozen scene: training, resuming, commands and files of a run over gaussians."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from splat_shapes import balls_as_splats
from tiny_run import Run, tiny_config, train

from benchmarks.splat_scene import write_splatfacto_run
from disconerf_ns import api
from disconerf_ns.cli import main
from disconerf_ns.errors import UserError
from disconerf_ns.gaussians.radiance import SplatRadiance
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.radiance_transfer import radiance_source
from disconerf_ns.runs import capture_frame
from disconerf_ns.scene.edit import Edit
from disconerf_ns.splat_model import SplatSceneModel
from disconerf_ns.taken_scene import BEHIND_SPLATS, adopted, take_over

ITERATIONS = 60


@pytest.fixture(scope="module", autouse=True)
def _few_voxels():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("disconerf_ns.gaussians.radiance.RESOLUTION", 128)
        yield


@pytest.fixture(scope="module")
def splats() -> Splats:
    """Gaussians of the scene, in the capture's coordinates."""
    return balls_as_splats()


@pytest.fixture(scope="module")
def splatfacto(run: Run, splats: Splats, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A splatfacto run of these gaussians, and of two that are not finite."""
    means = torch.cat([splats.means, splats.means[:2] * float("nan")])
    others = [torch.cat([column, column[:2]]) for column in splats.columns[1:]]
    folder = tmp_path_factory.mktemp("splatfacto") / "run"
    return write_splatfacto_run(folder, Splats(means, *others), 0, capture_frame(run.config).inverse())


def config_over(splatfacto: Path, scene: Path, outputs: Path, iterations: int = ITERATIONS):
    config = tiny_config(scene, outputs, iterations)
    config.pipeline.radiance_field = splatfacto
    return config


@pytest.fixture(scope="module")
def over_splats(splatfacto: Path, scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run over these gaussians."""
    config = config_over(splatfacto, scene, tmp_path_factory.mktemp("outputs"))
    trainer = train(config)
    return Run(trainer.base_dir / "config.yml", trainer)


@pytest.fixture(scope="module")
def loaded(over_splats: Run) -> api.Scene:
    return api.load(over_splats.config)


# -------------------------------------------------------------------- training


def test_the_scene_is_the_run_s_and_only_the_object_field_learns(over_splats: Run, splats: Splats) -> None:
    model = over_splats.trainer.pipeline.model
    assert isinstance(model, SplatSceneModel) and model.config.background == BEHIND_SPLATS
    to_scene = capture_frame(over_splats.config).inverse()
    torch.testing.assert_close(model.splats.means, splats.placed(to_scene).means, rtol=0, atol=1e-5)
    assert over_splats.trainer.optimizers.optimizers.keys() == {"object_field"}
    assert int(over_splats.trainer.pipeline.object_start) == 0


def test_what_was_left_out_is_said(splatfacto: Path, over_splats: Run) -> None:
    said = take_over(radiance_source(splatfacto), over_splats.trainer.pipeline.model)
    assert "gaussians taken from" in said and "without 2 that are not finite" in said


def test_held_out_rays_are_compared_while_it_trains(over_splats: Run) -> None:
    """nerfstudio adds up these losses at every 500th step, and ended where there were none."""
    trainer = over_splats.trainer
    rays, losses, metrics = trainer.pipeline.get_eval_loss_dict(0)
    assert losses.keys() == {"rgb_loss"} and metrics.keys() == {"psnr"}
    assert 0 < float(losses["rgb_loss"]) < 0.3 and rays["rgb"].shape[-1] == 3
    assert float(metrics["psnr"]) == pytest.approx(-10 * math.log10(float(losses["rgb_loss"])), abs=1e-3)


def test_objects_are_found_as_in_the_radiance_field(run: Run, over_splats: Run, scene: Path) -> None:
    """Three balls and the floor; their labels agree with the truth nearly as those of the splats field do."""
    found = {}
    for each in (run, over_splats):
        main(["eval", "--load-config", str(each.config), "--ground-truth", str(scene / "labels")])
        found[each.folder] = json.loads((each.folder / "eval_objects.json").read_text())["scores"]["scene"]["SBD"]
    assert found[over_splats.folder] > found[run.folder] - 0.1
    assert len([each for each in api.load(over_splats.config).objects if each.number is not None]) == 4


def test_a_run_over_gaussians_goes_on(over_splats: Run, splatfacto: Path, scene: Path, tmp_path: Path) -> None:
    config = config_over(splatfacto, scene, tmp_path, ITERATIONS + 5)
    config.load_dir = over_splats.folder / "nerfstudio_models"
    trainer = train(config)
    before, after = over_splats.trainer.pipeline.model.splats, trainer.pipeline.model.splats
    assert all(torch.equal(a, b) for a, b in zip(before.columns, after.columns))
    assert trainer._start_step == ITERATIONS


def test_going_on_without_the_gaussians_says_how(over_splats: Run, scene: Path, tmp_path: Path) -> None:
    config = tiny_config(scene, tmp_path, ITERATIONS + 5)
    config.load_dir = over_splats.folder / "nerfstudio_models"
    with pytest.raises(UserError, match="a run over gaussians goes on with --pipeline.radiance-field and its own"):
        train(config)
    config.pipeline.radiance_field = over_splats.config
    assert train(config)._start_step == ITERATIONS


def test_a_run_over_gaussians_is_taken_over_in_turn(over_splats: Run, scene: Path, tmp_path: Path) -> None:
    config = config_over(over_splats.config, scene, tmp_path, 3)
    trainer = train(config)
    before, after = over_splats.trainer.pipeline.model.splats, trainer.pipeline.model.splats
    assert all(torch.equal(a, b) for a, b in zip(before.columns, after.columns))
    assert trainer.pipeline.model.config.background == BEHIND_SPLATS


# -------------------------------------------------------------------- what is done with it


def test_pictures_show_the_gaussians(loaded: api.Scene, run: Run) -> None:
    camera = loaded.cameras("test")[0:1]
    assert isinstance(loaded.arranged.trained.radiance, SplatRadiance)
    ours, field = loaded.render("rgb", camera), api.load(run.config).render("rgb", camera)
    covered = loaded.render("accumulation", camera)[..., 0] > 0.9
    assert covered.float().mean() > 0.2
    assert (ours - field)[covered].abs().mean() < 0.08


def test_removed_and_moved_objects(loaded: api.Scene) -> None:
    camera, ball = loaded.cameras("test")[0:1], loaded.objects[1]
    shown = loaded.render("label", camera)[..., 0] == ball.label_number
    removed = loaded.edited(Edit().hide(ball.id))
    changed = (removed.render("edited", camera) - loaded.render("edited", camera)).abs().sum(-1) > 0.1
    assert (changed & shown).sum() > 0.4 * shown.sum()  # its lower side, which no photograph shows, is the floor's
    elsewhere = ~torch.nn.functional.max_pool2d(shown.float()[None], 5, 1, 2)[0].bool()
    assert (changed & elsewhere).float().mean() < 0.02


def test_the_scene_s_background_stays_under_an_edit(loaded: api.Scene) -> None:
    """Where nothing was removed and no gaussian is, a removed object turned the background white elsewhere."""
    camera, ball = loaded.cameras("test")[0:1], loaded.objects[1]
    nothing = loaded.render("accumulation", camera)[..., 0] < 1e-3
    assert nothing.any()
    scene = loaded.edited(Edit().hide(ball.id))
    empty = nothing & (scene.render("edited_mask", camera)[..., 0] < 1e-3)  # rays may graze what is completed
    assert empty.sum() > 0.99 * nothing.sum()
    edited = scene.render("edited", camera)[empty]
    torch.testing.assert_close(edited, torch.tensor(BEHIND_SPLATS).expand(len(edited), 3), rtol=0, atol=1e-3)


def test_export_splats_takes_the_scene_s_own_apart(over_splats: Run, splats: Splats, tmp_path: Path, capsys) -> None:
    from disconerf_ns.export.splats_ply import read_ply

    (tmp_path / "object_00_old_name.ply").write_bytes(b"")
    main(["export", "splats", "--load-config", str(over_splats.config), "--output-dir", str(tmp_path)])
    said = " ".join(capsys.readouterr().out.split())
    assert "also holds object_00_old_name.ply of an earlier export, which splats.json does not name" in said
    manifest = json.loads((tmp_path / "splats.json").read_text())
    assert manifest["source"]["splats"] is None and manifest["options"]["straddling"] == "keep"
    assert manifest["scene"] is None and not (tmp_path / "scene.ply").exists()
    parts = [read_ply(tmp_path / row["file"]) for row in manifest["objects"]]
    assert sum(map(len, parts)) == len(splats) and len(parts) >= 4
    means = Splats.cat(parts).means
    wanted = splats.placed(capture_frame(over_splats.config).inverse()).means
    torch.testing.assert_close(means.sort(0).values, wanted.sort(0).values, rtol=0, atol=1e-4)


def test_a_mesh_of_an_object_of_gaussians(over_splats: Run, tmp_path: Path) -> None:
    import trimesh

    name = api.load(over_splats.config).objects[1].name
    options = ["--output-dir", str(tmp_path), "--objects", name, "--what", "meshes", "--formats", "ply"]
    main(["export", "--load-config", str(over_splats.config), *options, "--resolution", "24"])
    (file,) = (tmp_path / "meshes").glob("*.ply")
    mesh = trimesh.load_mesh(file)
    extent = np.ptp(mesh.bounds, axis=0)
    assert len(mesh.faces) > 100 and extent.max() < 1.6 * extent.min()  # a ball


# -------------------------------------------------------------------- mistakes


def test_gaussians_in_another_frame_are_refused(splats: Splats, scene: Path, tmp_path: Path, run: Run) -> None:
    elsewhere = replace(capture_frame(run.config).inverse(), scale=3.0)
    folder = write_splatfacto_run(tmp_path / "run", splats, 0, elsewhere)
    with pytest.raises(UserError, match="puts the scene into another frame"):
        train(config_over(folder, scene, tmp_path / "outputs"))


def test_checkpoints_without_gaussians_are_refused(splatfacto: Path, over_splats: Run, tmp_path: Path) -> None:
    model = over_splats.trainer.pipeline.model
    folder = shutil.copytree(splatfacto, tmp_path / "run")
    (path,) = (folder / "nerfstudio_models").iterdir()
    torch.save({"pipeline": {"_model.field": torch.zeros(3)}}, path)
    with pytest.raises(UserError, match="cannot be read as gaussians .*; name another checkpoint with --pipeline"):
        take_over(radiance_source(folder), model)


def test_gaussians_none_of_which_is_finite_are_refused(splats: Splats, over_splats: Run, tmp_path: Path) -> None:
    broken = replace(splats, means=splats.means * float("nan"))
    folder = write_splatfacto_run(tmp_path / "run", broken, 0, capture_frame(over_splats.config).inverse())
    with pytest.raises(UserError, match="has no gaussian whose values are all finite; name an earlier"):
        take_over(radiance_source(folder), over_splats.trainer.pipeline.model)


def test_options_of_the_objects_and_the_background_are_kept(splats: Splats, over_splats: Run, tmp_path: Path) -> None:
    folder = write_splatfacto_run(tmp_path / "run", splats, 0, capture_frame(over_splats.config).inverse(), "white")
    config = tiny_config(tmp_path, tmp_path).pipeline.model
    config.tv_mult, config.eval_num_rays_per_chunk = 0.7, 123
    taken = adopted(radiance_source(folder), config)
    assert (taken.tv_mult, taken.eval_num_rays_per_chunk, taken.background) == (0.7, 123, (1.0, 1.0, 1.0))
    assert taken.object_field is config.object_field and not taken.enable_collider
