"""The masks of a dataset on disk: one SA-1B JSON file per image, found by its relative path, and a manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from disconerf_ns.errors import MaskError, UserError
from disconerf_ns.files import regular, write_new, write_whole
from disconerf_ns.masks import sa1b
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.keys import pair, pair_names
from disconerf_ns.masks.opening import read_bytes
from disconerf_ns.small_json import parsed

MANIFEST = "manifest.json"
BEGINNING = '{"image": '
"""First bytes of the mask files that this package writes."""
HEAD = 4096
"""Number of first bytes of a file that hold the facts about its image."""


class MaskStore:
    """A set of masks: `<root>/<key>.json` per image, and `<root>/manifest.json` with the generator and its parameters.

    >>> store = MaskStore.create(folder / "mine", {"generator": "by hand"})
    >>> store.save("0001", ImageMasks.from_arrays(np.eye(3, dtype=bool)[None]))
    >>> store.keys(), len(store.load("0001"))
    (['0001'], 1)

    Args:
        root: folder of the set; it need not exist yet.
        note: see the attribute.
    """

    def __init__(self, root: Path, note: str = ""):
        self.root = Path(root)
        self.note = note
        """Sentence that names the set and its alternatives if the program chose it, otherwise empty."""

    @classmethod
    def open(cls, root: Path) -> MaskStore:
        """The set in a folder.

        Raises:
            MaskError: there is no such folder, or it has no masks.
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
        """The only set in DATA/masks/, or the newest; the result's `note` names it.

        Args:
            data: the dataset's folder, or its transforms file.
        Raises:
            MaskError: the dataset has no masks.
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
        """Start a set with this manifest, or continue the set in the folder if its manifest agrees.

        Args:
            manifest: `generator`, `parameters` and `version`; the time `created` is added.
        Raises:
            MaskError: the folder has a set of another generator or with other parameters, or JSON files without a
                manifest.
        """
        store = cls(root)
        if foreign := store.foreign():
            raise MaskError(
                f"masks: {root} has no {MANIFEST}, so its JSON files, such as {foreign[0]}, may not be masks; name "
                "another folder with --output."
            )
        if store.keys() or not write_new(store.root / MANIFEST, _dated(manifest)):
            store.check_recipe(manifest)
        return store

    @classmethod
    def replace(cls, root: Path, manifest: dict[str, Any]) -> MaskStore:
        """Start a set in place of the one in the folder; only mask files that this package wrote are deleted.

        Raises:
            MaskError: the folder has JSON files without a manifest, so that they may not be masks.
        """
        store = cls(root)
        if foreign := store.foreign():
            raise MaskError(
                f"masks: {root} has no {MANIFEST}, so its files, such as {foreign[0]}, are not deleted; name another "
                "folder with --output, or delete them yourself."
            )
        for key in store.keys():  # first, so that a stop in between leaves none of them under the new manifest
            if store.about(key):
                store._path(key).unlink(missing_ok=True)
        write_whole(store.root / MANIFEST, _dated(manifest))
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
            raise MaskError(f"masks: {self.root / MANIFEST} is broken: `parameters` is not a JSON object. {_ANOTHER}")
        recorded = {"generator": self.manifest.get("generator"), **parameters}
        differing = [name for name in {**wanted, **recorded} if wanted.get(name) != recorded.get(name)]
        if differing:
            changes = ", ".join(f"{name} {recorded.get(name)} instead of {wanted.get(name)}" for name in differing)
            raise MaskError(
                f"masks: the masks in {self.root} were made with {changes}; name another folder with --output, or "
                "delete that one, as `disconerf masks --overwrite` does."
            )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Generator, parameters, version and time of the masks; empty without a manifest file.

        Raises:
            MaskError: the file is not a JSON object.
        """
        path = self.root / MANIFEST
        try:
            return _read(path) if path.is_file() else {}
        except MaskError as error:
            raise MaskError(str(error).replace(_REMAKE, _ANOTHER)) from error

    @property
    def created(self) -> float:
        """Time at which the set was started, in seconds since 1970: the manifest's, or else the folder's."""
        try:
            return datetime.fromisoformat(self.manifest["created"]).timestamp()
        except (MaskError, KeyError, TypeError, ValueError):
            return self.root.stat().st_mtime

    def keys(self) -> list[str]:
        """The keys of all mask files, sorted, without subfolders that have a manifest and thus are sets themselves."""
        paths = []
        for folder, subfolders, names in os.walk(self.root):
            subfolders[:] = [name for name in subfolders if not _is_manifest(Path(folder, name, MANIFEST))]
            inside = Path(folder).relative_to(self.root)
            paths += [(inside / name).as_posix() for name in names if name.endswith(".json") and name[0] != "."]
        return sorted(path.removesuffix(".json") for path in paths if path != MANIFEST)

    def _is_set(self) -> bool:
        """Whether the folder has mask files; without a manifest, the first JSON file must be of masks, or broken."""
        keys = self.keys()
        if not keys or (self.root / MANIFEST).is_file():
            return bool(keys)
        try:
            return "image" in _read(self._path(keys[0]))
        except MaskError:
            return True

    def foreign(self) -> list[str]:
        """JSON files that may belong to others: all of them in a folder without a manifest, otherwise none."""
        return [] if (self.root / MANIFEST).is_file() else [f"{key}.json" for key in self.keys()]

    def identity(self) -> str:
        """Text of the manifest on disk; it changes when another run replaces the set."""
        path = self.root / MANIFEST
        return path.read_text() if path.is_file() else ""

    def files_for(self, keys: Iterable[str]) -> dict[str, str]:
        """Stored keys by the keys of the images that they belong to, without images that have no masks.

        A file with exactly an image's key belongs to that image; `keys.pair_names` pairs the others.

        Args:
            keys: the keys of all images; if one is left out, a file that fits it as well looks unambiguous.
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
        """The stored key of one image, or None; unlike `files_for`, this cannot notice a file that fits several images.

        Raises:
            MaskError: several stored keys fit.
        """
        if self.holds(key):
            return key
        name = pair([f"{name}.json" for name in self._stored], [key], self.root).names.get(key)
        return None if name is None else name.removesuffix(".json")

    def holds(self, key: str) -> bool:
        """Whether there is a mask file with exactly this key."""
        return self._path(key).is_file() and f"{key}.json" != MANIFEST

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys of images without masks, among the keys of all images."""
        keys = list(keys)
        stored = self.files_for(keys)
        return [key for key in keys if key not in stored]

    def load(self, key: str) -> ImageMasks:
        """The masks of a stored key.

        Raises:
            MaskError: the file is missing or is not JSON, lacks a field, has RLE that cannot be decoded, or has masks
                whose size is not the image's.
        """
        path = self._path(key)
        content = _read(path)
        try:
            return sa1b.parse(content)
        except ValueError as error:
            raise MaskError(f"masks: {path} is broken: {error}. {_REMAKE}") from error

    def about(self, key: str) -> dict[str, Any]:
        """The `image` entry of a stored key's file, without its masks; empty if the file has none at its beginning.

        This package writes the entry first, so that thousands of files can be checked per second.
        """
        with regular(self._path(key)).open("rb") as file:
            head = file.read(HEAD).decode("utf-8", "ignore")
        try:
            image, _ = json.JSONDecoder().raw_decode(head.removeprefix(BEGINNING))
        except ValueError:
            return {}
        return image if head.startswith(BEGINNING) and isinstance(image, dict) else {}

    def written(self, key: str) -> float:
        """Time at which the file of a stored key was written, in seconds since 1970."""
        return self._path(key).stat().st_mtime

    def save(self, key: str, masks: ImageMasks, image: dict[str, Any] | None = None) -> None:
        """Write the masks of one image; readers see the old file or the new one, never half of it.

        Args:
            image: facts for the file's `image` entry besides the size, such as `file_name`.
        Raises:
            MaskError: the key would give the file the manifest's name.
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


_REMAKE = "If `disconerf masks` made it, delete it and run `disconerf masks` again."
_ANOTHER = "Name another folder with --output, or mend the file."


def _dated(manifest: dict[str, Any]) -> str:
    created = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    return json.dumps({"created": created, **manifest}, indent=2)


def _is_manifest(path: Path) -> bool:
    """Whether the file is a manifest, rather than the masks of an image named `manifest`."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(BEGINNING)) != BEGINNING.encode()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parsed(read_bytes(path))
    except FileNotFoundError:
        raise MaskError(f"masks: there is no file {path}; run `disconerf masks --data DATA` to make it.") from None
    except UserError as error:
        raise MaskError(f"masks: {path} cannot be read: {error}") from error
    except ValueError as error:
        raise MaskError(f"masks: {path} is broken ({error}). {_REMAKE}") from error
    if not isinstance(content, dict):
        raise MaskError(f"masks: {path} does not hold a JSON object. {_REMAKE}")
    return content
