"""`disconerf relocate`: write the new place of a run's data into its config.yml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disconerf_ns.errors import UserError, reason
from disconerf_ns.files import write_whole


@dataclass
class Relocate:
    """Write the new place of a run's data into its config.yml, for all of nerfstudio's commands."""

    load_config: Path
    """config.yml of the run."""
    data: Path
    """The dataset's folder, or its transforms file, where it lies now."""
    masks: Path | None = None
    """Folder of the masks, if it is not in DATA/masks."""

    def __call__(self) -> None:
        """Change config.yml.

        Raises:
            UserError: the run, the data or the masks are not there, or the data are no dataset of the run's kind, or
                another one than the run's.
        """
        import yaml

        from disconerf_ns.compat.named_dataset import listed
        from disconerf_ns.compat.named_photos import check_sizes
        from disconerf_ns.masks.images import headers_of
        from disconerf_ns.masks.keys import image_key
        from disconerf_ns.runs import config_of_ours
        from disconerf_ns.trainer import stored_in
        from disconerf_ns.training.checkpoint_files import newest_whole
        from disconerf_ns.training.same_scene import files_of, other_files, other_photographs, same_frame

        config = config_of_ours(self.load_config)
        for path in (self.data, self.masks):
            if path is not None and not path.exists():
                raise UserError(f"relocate: there is no {path}; name the folder as it is now.")
        manager: Any = config.pipeline.datamanager
        config.data = manager.data = manager.dataparser.data = self.data.resolve()
        manager.masks = manager.masks if self.masks is None else self.masks.resolve()
        try:
            parsed = manager.dataparser.setup().get_dataparser_outputs("train")
        except Exception as error:  # each kind of dataset raises its own
            why = f"cannot be read as the run's dataset ({reason(error)})"
            raise UserError(f"relocate: {self.data} {why}; name the folder that it is in now.") from error
        if not same_frame(self.load_config.parent, parsed):
            raise UserError(
                f"relocate: {self.data} is another dataset than the run was trained on, or a part of it, since its "
                "cameras lie in another frame; name the one that the run was trained on."
            )
        stored = stored_in(newest_whole(self.load_config, "--load-config"))
        cameras, images = listed(parsed.cameras), parsed.image_filenames
        keys = [image_key(image, manager.data) for image in images]
        if "images" in stored and (said := other_photographs(stored["images"], keys)):
            raise UserError(f"relocate: {self.data} is another dataset: {said}; name the one of the training.")
        check_sizes(cameras, images, headers_of(images))
        write_whole(self.load_config, yaml.dump(config))
        print(f"relocate: {self.load_config} names {manager.data} now.")
        if "files" in stored and (said := other_files(keys, stored["files"], files_of(cameras, images))):
            print(f"relocate: {said}.")
