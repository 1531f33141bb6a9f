"""A user's FILE.py as a real module: registered, its folder on the path while it loads and runs.

So it imports its neighbours, and what looks its module up by name works: dataclasses with
postponed annotations, pickling, the processes of multiprocessing. Two files of different folders
keep neighbours of the same name apart: two versions of one project can be compared.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, TracebackType

OURS = "crosscheck"
"""The package that is nobody's neighbour, though a file lie beside it."""

_folders: "dict[str, Folder]" = {}
"""The folders of the files that this process has loaded."""

_last: "list[Folder]" = []
"""The folder that was entered last, if any: its modules are those that are registered."""


class Folder:
    """A folder that is on the path, with its modules registered, in a `with`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.modules: dict[str, ModuleType] = {}
        self._others = frozenset(sys.modules)
        self._registered = 0

    def __enter__(self) -> "Folder":
        sys.path.insert(0, self.path)
        if _last and _last[0] is not self:
            _last[0].put_away()
            sys.modules.update(self.modules)
        _last[:] = [self]
        self._registered = len(sys.modules)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.path in sys.path:
            sys.path.remove(self.path)
        if len(sys.modules) != self._registered:
            self.remember()

    def remember(self) -> None:
        """Take stock of which registered modules are from this folder."""
        beside = Path(self.path)
        for name, module in list(sys.modules.items()):
            if name in self._others or name.partition(".")[0] == OURS:
                continue
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and beside in Path(file).parents and not _installed(file):
                self.modules[name] = module

    def put_away(self) -> None:
        """Unregister its modules, so that another folder's of the same names are imported."""
        self.remember()
        for name, module in self.modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _installed(file: str) -> bool:
    """Whether a package's installation put the file there: those are shared by all folders."""
    parts = Path(file).parts
    return "site-packages" in parts or "dist-packages" in parts


def folder_of(path: str) -> Folder:
    """The folder of this file, the same object each time."""
    place = str(Path(path).resolve().parent)
    return _folders.setdefault(place, Folder(place))


def load(path: str) -> ModuleType:
    """Run the file as a new module and register it, under its own name where that is free.

    Raises ValueError where there is no such file or it cannot be run.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    with folder_of(path) as folder:
        name = _free_name(Path(path).resolve(), folder)
        spec = importlib.util.spec_from_file_location(name, str(Path(path).resolve()))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            sys.modules.pop(name, None)
            if not isinstance(error, Exception):
                raise
            raise ValueError(f"cannot run {path}: {type(error).__name__}: {error}") from error
        folder.modules[name] = module
    return module


def _free_name(path: Path, folder: Folder) -> str:
    """The file's own name, unless another module has it: numpy.py must not replace NumPy."""
    name = path.stem
    known = sys.modules.get(name)
    if known is not None:
        mine = name in folder.modules or getattr(known, "__file__", None) == str(path)
        return name if mine else f"user_file_{name}"
    return name if _finds(name) in (None, str(path)) else f"user_file_{name}"


def _finds(name: str) -> str | None:
    """The file that importing this name would load, were the folders of users not on the path."""
    before = list(sys.path)
    try:
        sys.path[:] = [place for place in sys.path if place not in _folders]
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    finally:
        sys.path[:] = before
    return None if spec is None else spec.origin or ""
