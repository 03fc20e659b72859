"""The configuration of a run, read from its config.yml without running what the file names.

nerfstudio writes a run's options as YAML with Python tags and reads them with `yaml.Loader`, which calls any function
with any arguments where a tag says so. Options need far less: dataclasses, enumerations, paths, the classes that they
make, and one tensor.
"""

from __future__ import annotations

import io
import operator
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pickle import UnpicklingError
from types import FunctionType
from typing import Any

import torch
import yaml
from torch._utils import _rebuild_tensor_v2
from yaml.constructor import ConstructorError

from disconerf_ns.errors import reason

LARGEST = 2**19
"""Bytes of a config.yml, at most; those of nerfstudio's methods have less than 2**14."""
PLUGINS = "nerfstudio.method_configs", "nerfstudio.dataparser_configs"
"""Groups of entry points under which packages add methods and dataparsers to nerfstudio."""
FUNCTIONS = "nerfstudio.data.utils.", "nerfstudio.data.datamanagers.base_datamanager.", "disconerf_ns.config."
"""Modules whose functions options name: how batches are put together, also of photographs of several sizes, and what
makes the trainer."""


def read_config(file: Path) -> Any:
    """The content of a run's config.yml.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too large, no YAML, or names something that no option is made of.
    """
    if file.stat().st_size > LARGEST:
        raise ValueError(f"it has more than {LARGEST // 2**10} kB")
    try:
        return yaml.load(file.read_text(), Loader=OptionsLoader)
    except ConstructorError as error:
        raise ValueError(str(error.problem)) from error
    except (yaml.YAMLError, AttributeError, TypeError, RecursionError, RuntimeError) as error:
        raise ValueError(reason(error)) from error


@cache
def packages() -> frozenset[str]:
    """Packages whose classes options may name: nerfstudio, and the plugins that it imports anyway."""
    plugins = (point.module.split(".")[0] for group in PLUGINS for point in entry_points(group=group))
    return frozenset({"nerfstudio", "disconerf_ns", *plugins})


def is_admitted(thing: Any) -> bool:
    """Whether options may name something: a class of these packages, an optimizer of torch's, or one of few functions.

    What counts is where it is defined, since modules hold all that they import: `nerfstudio.utils.scripts.os` too.
    """
    home = f"{getattr(thing, '__module__', '')}."
    if isinstance(thing, type):
        return home.split(".")[0] in packages() or home.startswith("torch.optim.")
    return isinstance(thing, FunctionType) and home.startswith(FUNCTIONS)


def _storage(content: bytes) -> Any:
    try:
        return torch.load(io.BytesIO(content), weights_only=True)
    except UnpicklingError as error:
        raise TypeError("a tensor in it holds something else than numbers") from error


def _generic(kind: Any, parameters: Any) -> Any:
    """A data manager of a dataset, such as `VanillaDataManager[DepthDataset]`."""
    if not hasattr(kind, "__class_getitem__"):
        raise TypeError(f"{kind} takes no parameters")
    return operator.getitem(kind, parameters)


MADE: dict[str, Callable[..., Any]] = {
    **{f"{module}.{kind}": Path for module in ("pathlib", "pathlib._local") for kind in ("PosixPath", "WindowsPath")},
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch.storage._load_from_bytes": _storage,
    "_operator.getitem": _generic,
}
"""Functions that options call besides enumerations, by their names in the file; each is harmless, or is made so."""


class OptionsLoader(yaml.Loader):
    """`yaml.Loader` that makes what options are made of, and refuses the rest by name."""

    def find_python_module(self, name: str, mark: Any) -> Any:
        """No option is a module."""
        raise _refused(name, mark)

    def find_python_name(self, name: str, mark: Any) -> Any:
        """A class or function that options may name."""
        module, _, own = name.rpartition(".")
        if module.split(".")[0] not in packages() and not name.startswith("torch.optim."):
            raise _refused(name, mark)
        try:
            thing = getattr(import_module(module), own)
        except (ImportError, AttributeError) as error:
            raise ConstructorError(None, None, f"it names {name}, which is not installed here", mark) from error
        if not is_admitted(thing):
            raise _refused(name, mark)
        return thing

    def make_python_instance(
        self, name: str, node: Any, args: Any = None, kwds: Any = None, newobj: bool = False
    ) -> Any:
        """A dataclass without its fields, a member of an enumeration, a path, or a part of the tensor."""
        if not kwds and name in MADE:
            return MADE[name](*(args or ()))
        kind = self.find_python_name(name, node.start_mark)
        if newobj and not args and not kwds and isinstance(kind, type) and is_dataclass(kind):
            return object.__new__(kind)
        if not newobj and not kwds and isinstance(kind, type) and issubclass(kind, Enum):
            return kind(*(args or ()))
        raise _refused(name, node.start_mark)

    def set_python_instance_state(self, instance: Any, state: Any) -> None:
        """Fields of a dataclass; nothing else has any."""
        if not is_dataclass(instance) or not isinstance(state, dict):
            raise ConstructorError(None, None, f"it changes {type(instance).__name__}, which has no options")
        vars(instance).update(state)


def _refused(name: str, mark: Any) -> ConstructorError:
    return ConstructorError(None, None, f"it names {name}, which no option of a run is made of", mark)
