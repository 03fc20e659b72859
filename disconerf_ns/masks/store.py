"""The masks of a dataset on disk: an SA-1B JSON file per image, found by the relative path, and a manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from disconerf_ns.errors import MaskError
from disconerf_ns.files import write_new, write_whole
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.keys import pair_names

MANIFEST = "manifest.json"
BEGINNING = '{"image": '
"""How files of this package begin."""
HEAD = 4096
"""Bytes that hold what a file says of its image."""


class MaskStore:
    """A set of masks: `<root>/<key>.json` per image, and `<root>/manifest.json` that says what made them."""

    def __init__(self, root: Path, note: str = ""):
        self.root = Path(root)
        self.note = note
        """Which set was taken and what else was there, where the choice was the program's."""

    @classmethod
    def open(cls, root: Path) -> MaskStore:
        """The set in a folder.

        Raises:
            MaskError: no such folder, or no masks in it.
        """
        root = Path(root)
        if not root.is_dir():
            raise MaskError(f"masks: there is no folder {root}; make masks with `disconerf masks --data DATA`.")
        store = cls(root)
        if not store.keys():
            raise MaskError(
                f"masks: {root} has no masks (one JSON file per image); make some with `disconerf masks --data DATA`."
            )
        return store

    @classmethod
    def find(cls, data: Path) -> MaskStore:
        """The set of a dataset: the only one in DATA/masks/, or the newest; the result's `note` says which.

        Args:
            data: the dataset's folder, or its transforms file.
        Raises:
            MaskError: there is none.
        """
        data = Path(data)
        folder = (data.parent if data.suffix == ".json" else data) / "masks"
        if (folder / MANIFEST).is_file():
            roots = [folder]
        else:
            roots = [child for child in sorted(folder.iterdir()) if child.is_dir()] if folder.is_dir() else []
        stores = [store for store in map(cls, roots or [folder]) if store._is_set()]
        if not stores and cls(folder).keys():
            stores = [cls(folder)]
        if not stores:
            raise MaskError(f"masks: {folder} has no masks; make them with `disconerf masks --data {data}`.")
        newest = max(stores, key=lambda store: store.created)
        others = [store.root.name for store in stores if store is not newest]
        also = f" (the newest; also there: {', '.join(others)})" if others else ""
        return cls(newest.root, note=f"masks: taking {newest.root}{also}.")

    @classmethod
    def create(cls, root: Path, manifest: dict[str, Any]) -> MaskStore:
        """Start a set under this manifest (generator, parameters, version; `created` is added), or join it.

        Raises:
            MaskError: the folder has a set of another generator or with other parameters.
        """
        store = cls(root)
        if foreign := store.foreign():
            raise MaskError(
                f"masks: {root} has JSON files that nothing says are masks, such as {foreign[0]}, and no {MANIFEST}; "
                "name another folder with --output."
            )
        if store.keys() or not write_new(store.root / MANIFEST, _dated(manifest)):
            store.check_recipe(manifest)
        return store

    @classmethod
    def replace(cls, root: Path, manifest: dict[str, Any]) -> MaskStore:
        """Start a set instead of the one in the folder: what this package wrote is deleted, and no other file.

        Raises:
            MaskError: there are files and no manifest, so that nothing says what they are.
        """
        store = cls(root)
        if foreign := store.foreign():
            raise MaskError(
                f"masks: {root} has no {MANIFEST}, so its files, such as {foreign[0]}, are not deleted; name another "
                "folder with --output, or delete them yourself."
            )
        write_whole(store.root / MANIFEST, _dated(manifest))
        for key in store.keys():
            if store.about(key):
                store._path(key).unlink(missing_ok=True)
        return store

    def check_recipe(self, manifest: dict[str, Any]) -> None:
        """Refuse to mix masks made in different ways.

        Raises:
            MaskError: the folder has a set of another generator or with other parameters.
        """
        if not self.keys() and not (self.root / MANIFEST).is_file():
            return
        wanted = {"generator": manifest.get("generator"), **json.loads(json.dumps(manifest.get("parameters", {})))}
        parameters = self.manifest.get("parameters", {})
        if not isinstance(parameters, dict):
            raise MaskError(f"masks: {self.root / MANIFEST} is broken: its parameters are no object. {_ANOTHER}")
        found = {"generator": self.manifest.get("generator"), **parameters}
        differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
        if differing:
            changes = ", ".join(f"{name} {found.get(name)} instead of {wanted.get(name)}" for name in differing)
            raise MaskError(
                f"masks: those in {self.root} were made with {changes}; name another folder with --output, or replace "
                "them with --overwrite."
            )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What made the masks; empty where nothing was written down.

        Raises:
            MaskError: the file is not a JSON object.
        """
        path = self.root / MANIFEST
        try:
            return _read(path) if path.is_file() else {}
        except MaskError as error:
            raise MaskError(str(error).replace(_REMAKE, _ANOTHER)) from None

    @property
    def created(self) -> float:
        """When the set was made, in seconds since 1970: by its manifest, or else by the folder's own time."""
        try:
            return datetime.fromisoformat(self.manifest["created"]).timestamp()
        except (MaskError, KeyError, TypeError, ValueError):
            return self.root.stat().st_mtime

    def keys(self) -> list[str]:
        """The keys of all images that have a file of masks, sorted; a folder with a manifest is a set of its own."""
        found = []
        for folder, below, names in os.walk(self.root):
            below[:] = [name for name in below if not _is_manifest(Path(folder, name, MANIFEST))]
            inside = Path(folder).relative_to(self.root)
            found += [(inside / name).as_posix() for name in names if name.endswith(".json") and name[0] != "."]
        return sorted(name.removesuffix(".json") for name in found if name != MANIFEST)

    def _is_set(self) -> bool:
        """Whether there are masks: under a manifest, or a first file that has an image's entry, or is broken."""
        keys = self.keys()
        if not keys or (self.root / MANIFEST).is_file():
            return bool(keys)
        try:
            return "image" in _read(self._path(keys[0]))
        except MaskError:
            return True

    def foreign(self) -> list[str]:
        """Files among the keys' that nobody would want replaced: those of a folder without a manifest."""
        return [] if (self.root / MANIFEST).is_file() else [f"{key}.json" for key in self.keys()]

    def identity(self) -> str:
        """The manifest as it is on disk now: another one is there once another run has begun the set anew."""
        path = self.root / MANIFEST
        return path.read_text() if path.is_file() else ""

    def files_for(self, keys: Iterable[str]) -> dict[str, str]:
        """The stored keys of images, by the images' keys; an image without masks is not there.

        A file under exactly an image's key is that image's; the others are found as `keys.pair_names` says.

        Args:
            keys: those of all images, since one that is left out cannot be seen to fit the same file.
        Raises:
            MaskError: two stored keys fit one image, or one fits two images.
        """
        keys = list(keys)
        exact = {key: key for key in keys if self.holds(key)}
        if len(exact) == len(set(keys)):
            return exact
        names = [f"{name}.json" for name in self._stored if name not in exact]
        near = pair_names(names, [key for key in keys if key not in exact], self.root)
        return exact | {key: name.removesuffix(".json") for key, name in near.items()}

    def resolve(self, key: str) -> str | None:
        """The stored key of one image, None where there is none; `files_for` also sees what fits several images.

        Raises:
            MaskError: several stored keys fit.
        """
        return self.files_for([key]).get(key)

    def holds(self, key: str) -> bool:
        """Whether there is a file under exactly this key."""
        return self._path(key).is_file() and f"{key}.json" != MANIFEST

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the images' keys that have no masks."""
        keys = list(keys)
        found = self.files_for(keys)
        return [key for key in keys if key not in found]

    def load(self, key: str) -> ImageMasks:
        """The masks of a stored key.

        Raises:
            MaskError: the file is not there, not JSON, lacks a field, has RLE that cannot be decoded, or masks whose
                size is not the image's.
        """
        path = self._path(key)
        content = _read(path)
        try:
            return sa1b.parse(content)
        except ValueError as error:
            raise MaskError(f"masks: {path} is broken: {error}. {_REMAKE}") from None

    def about(self, key: str) -> dict[str, Any]:
        """What the file of a stored key says of its image, without reading the masks; empty where it says nothing.

        Files of this package begin with it, so thousands of them are looked at in a second.
        """
        with self._path(key).open("rb") as file:
            head = file.read(HEAD).decode("utf-8", "ignore")
        try:
            image, _ = json.JSONDecoder().raw_decode(head.removeprefix(BEGINNING))
        except ValueError:
            return {}
        return image if head.startswith(BEGINNING) and isinstance(image, dict) else {}

    def written(self, key: str) -> float:
        """When the file of a stored key was written, in seconds since 1970."""
        return self._path(key).stat().st_mtime

    def save(self, key: str, masks: ImageMasks, image: dict[str, Any] | None = None) -> None:
        """Write the masks of one image; other readers see the old file or the new one, never half of one.

        Args:
            image: more facts for the file's `image` entry, such as `file_name`.
        Raises:
            MaskError: the key is the manifest's.
        """
        if f"{key}.json" == MANIFEST:
            raise MaskError(f"masks: an image called {key} would replace {self.root / MANIFEST}; rename the image.")
        content = sa1b.record(masks, {"file_name": PurePosixPath(key).name, **(image or {})})
        write_whole(self._path(key), json.dumps(content))
        self.__dict__.pop("_stored", None)

    def _path(self, key: str) -> Path:
        return self.root / f"{key}.json"

    @cached_property
    def _stored(self) -> list[str]:
        return self.keys()


_REMAKE = "If `disconerf masks` made it, delete it and run the same command again."
_ANOTHER = "Name another folder with --output, or mend the file."


def _dated(manifest: dict[str, Any]) -> str:
    created = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    return json.dumps({"created": created, **manifest}, indent=2)


def _is_manifest(path: Path) -> bool:
    """Whether there is a manifest, and not the masks of an image that is called so."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(BEGINNING)) != BEGINNING.encode()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MaskError(f"masks: there is no file {path}; run `disconerf masks --data DATA` to make it.") from None
    except (ValueError, RecursionError) as error:
        raise MaskError(f"masks: {path} is not JSON ({error}). {_REMAKE}") from None
    if not isinstance(content, dict):
        raise MaskError(f"masks: {path} does not hold a JSON object. {_REMAKE}")
    return content
