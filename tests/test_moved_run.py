"""A run's edit lies beside its config.yml and is found there; a run opens wherever it lies and from any folder."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import pytest
import yaml
from nerfstudio.configs.method_configs import method_configs
from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image
from scene import write_scene
from tiny_run import Run, tiny_config, train

from disconerf_ns.cli import main
from disconerf_ns.errors import UserError
from disconerf_ns.runs import load_pipeline
from disconerf_ns.scene.edit import Edit
from disconerf_ns.training.same_scene import other_files


@pytest.fixture
def project(run: Run, tmp_path: Path) -> Path:
    """A folder with `data/balls` and a copy of the run in `outputs/RUN`, whose config.yml names paths from there."""
    write_scene(tmp_path / "project/data/balls")
    shutil.copytree(run.folder, tmp_path / "project/outputs/RUN")
    file = tmp_path / "project/outputs/RUN/config.yml"
    config = yaml.load(file.read_text(), Loader=yaml.Loader)
    manager = config.pipeline.datamanager
    config.data = manager.data = manager.dataparser.data = Path("data/balls")
    file.write_text(yaml.dump(config))
    return tmp_path / "project"


def edit_of(config: Path) -> Edit:
    _, pipeline, _, _ = eval_setup(config, test_mode="inference")
    return pipeline.model.current.value.edit


def test_a_copy_shows_and_keeps_its_own_edit(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """config.yml named the old folder's edit.json: the copy showed that edit, and the viewer saved there."""
    config = project / "outputs/RUN/config.yml"
    monkeypatch.chdir(project)
    theirs, own = Edit().hide(0), Edit().rename(0, "table")
    theirs.save(run.folder / "edit.json")
    try:
        assert edit_of(config) == Edit()
        own.save(config.parent / "edit.json")
        assert edit_of(config) == own
        assert load_pipeline(config).object_control._edit_file() == config.parent / "edit.json"
    finally:
        (run.folder / "edit.json").unlink()


def test_a_run_opens_from_any_folder_and_after_its_project_was_moved(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = project.rename(tmp_path / "elsewhere") / "outputs/RUN/config.yml"
    shutil.move(config.parent, config.parent.with_name("renamed"))
    config = config.parent.with_name("renamed") / "config.yml"
    opened, pipeline, checkpoint, _ = eval_setup(config, test_mode="inference")
    assert checkpoint.parent.parent == config.parent == opened.get_base_dir(), (
        "nerfstudio's viewer names it in commands"
    )
    assert opened.data == tmp_path / "elsewhere/data/balls"
    assert Path(pipeline.datamanager.train_dataset.image_filenames[0]).is_relative_to(tmp_path / "elsewhere")


def test_data_that_is_nowhere_is_said_and_can_be_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The sentence named --data, an option of none of the commands that open a run."""
    monkeypatch.chdir(tmp_path)
    config = project / "outputs/RUN/config.yml"
    data = (project / "data/balls").rename(tmp_path / "gone")
    with pytest.raises(UserError, match=r"there is no data/balls, which .*yml names; .*disconerf relocate --load"):
        eval_setup(config, test_mode="inference")
    assert main(["relocate", "--load-config", str(config), "--data", str(tmp_path / "nowhere")]) == 1
    assert "there is no" in capsys.readouterr().err
    before = config.read_text()
    assert main(["relocate", "--load-config", str(config), "--data", str(tmp_path)]) == 1
    assert "cannot be read as the run's dataset" in capsys.readouterr().err and config.read_text() == before
    assert main(["relocate", "--load-config", str(config), "--data", str(data)]) == 0
    assert eval_setup(config, test_mode="inference")[0].data == data


def test_another_dataset_is_no_new_place_of_a_runs_own(
    run: Run, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Scores and films of a run were then those of other photographs' cameras."""
    other = write_scene(tmp_path / "other", views=5, width=32, height=24)
    config = next(project.rglob("config.yml"))
    before = config.read_text()
    assert main(["relocate", "--load-config", str(config), "--data", str(other)]) == 1
    assert "another dataset than the run was trained on" in capsys.readouterr().err
    assert config.read_text() == before


def edited(data: Path, names: dict[str, str]) -> None:
    """Replace words in a dataset's transforms.json."""
    file = data / "transforms.json"
    content = file.read_text()
    for old, new in names.items():
        assert old in content
        content = content.replace(old, new)
    file.write_text(content)


def test_photographs_that_are_not_those_of_the_training_are_said(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Other pictures in the same frame were taken without a word: smaller ones, and ones of something else."""
    config = next(project.rglob("config.yml"))
    before = config.read_text()

    def relocated(name: str, change) -> tuple[int, str]:
        data = write_scene(tmp_path / name)
        for image in sorted((data / "images").iterdir()):
            with Image.open(image) as picture:
                change(picture).save(image)
        code = main(["relocate", "--load-config", str(config), "--data", str(data)])
        printed = capsys.readouterr()
        return code, " ".join((printed.err if code else printed.out).split())

    code, said = relocated("same", lambda picture: picture.copy())
    assert code == 0 and "other files" not in said
    code, said = relocated("black", lambda picture: Image.new("RGB", picture.size))
    assert code == 0 and " names " in said
    assert re.search(r"14 of the 14 training photographs are other files than the run was trained on, such as", said)
    assert re.search(r"which has [\d,]+ bytes and had [\d,]+; masks, labels and scores of this run are those of", said)
    config.write_text(before)
    code, said = relocated("small", lambda picture: picture.resize((24, 18)))
    assert code == 1 and "photographs have another size than their cameras" in said and config.read_text() == before
    data = write_scene(tmp_path / "renamed")
    first = sorted((data / "images").iterdir())[0]
    first.rename(first.with_stem("new"))
    edited(data, {first.name: f"new{first.suffix}"})
    assert main(["relocate", "--load-config", str(config), "--data", str(data)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "is another dataset: the run was trained on 14 photographs, and there are 14 now: 1 are gone" in said


def test_files_of_photographs_are_told_by_size_and_bytes() -> None:
    keys, before = ["a", "b"], [[8, 6, 100], [8, 6, 200]]
    assert other_files(keys, before, [[8, 6, 100], [8, 6, 200]]) is None
    assert "1 of the 2 training" in (said := other_files(keys, before, [[8, 6, 100], [4, 3, 50]]) or "")
    assert "such as b, which has 4 x 3 pixels and had 8 x 6;" in said


def test_a_run_of_another_method_is_not_relocated(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = tmp_path / "config.yml"
    config.write_text(yaml.dump(method_configs["nerfacto"]))
    assert main(["relocate", "--load-config", str(config), "--data", str(tmp_path)]) == 1
    assert f"{config}: a run of nerfacto, which has no objects; name a disconerf run." in capsys.readouterr().err


def test_a_resumed_run_begins_with_the_edit_of_the_run_before(run: Run, tmp_path: Path) -> None:
    """Names, colours and hidden objects were gone without a word."""
    folder = shutil.copytree(run.folder, tmp_path / "before")
    edit = Edit().rename(0, "table").hide(1)
    edit.save(folder / "edit.json")
    config = tiny_config(run.trainer.config.data, tmp_path / "out", iterations=482)
    config.pipeline.object_iterations = copy.copy(run.trainer.config.pipeline.object_iterations)
    config.load_dir = folder / "nerfstudio_models"
    trainer = train(config)
    assert trainer.pipeline.model.current.value.edit == edit
    assert Edit.load(trainer.base_dir / "edit.json", trainer.pipeline.model.tree) == edit
    saved = yaml.load((trainer.base_dir / "config.yml").read_text(), Loader=yaml.Loader)
    assert saved.pipeline.edit is None and saved.data.is_absolute()


def test_an_edit_for_a_run_that_begins_anew_is_refused(run: Run, tmp_path: Path) -> None:
    config = tiny_config(run.trainer.config.data, tmp_path / "out", iterations=2)
    config.pipeline.edit = tmp_path / "edit.json"
    with pytest.raises(UserError, match="is about the objects of a trained run"):
        train(config)
