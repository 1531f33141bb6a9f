"""A user's function on another machine: its source is sent there, or what is there is compared.

A worker that loaded its own file of the same name would judge another function.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from crosscheck.engines.user import sources


class Parcel(NamedTuple):
    """A function's source: `name` is its engine's, `file` and the keys of `files` are relative.

    Where there are no files the function is in a module that each machine is to have; `digest`
    is of its source.
    """

    name: str
    digest: str | None
    file: str = ""
    files: tuple[tuple[str, bytes], ...] = ()


def pack(engines: Iterable[str]) -> tuple[Parcel, ...]:
    """A parcel for each user's function among the engines.

    That of FILE.py:f holds the file and all that it imports from beside it.
    """
    return tuple(_packed(name) for name in engines if ":" in name)


def _packed(name: str) -> Parcel:
    place = sources.locate(name)
    digest = sources.digest(name)
    if place is None or not name.rpartition(":")[0].endswith(".py"):
        return Parcel(name, digest)
    contents = tuple(
        (path.relative_to(place.root).as_posix(), path.read_bytes())
        for path in sources.files(place)
    )
    return Parcel(name, digest, place.file.relative_to(place.root).as_posix(), contents)


class Unpacked:
    """Parcels on this machine: `addresses` holds pairs of an engine and where its function is.

    Files lie in a folder of their own until `close`.

    Raises ValueError where a module is another than where the run was started.
    """

    def __init__(self, parcels: Iterable[Parcel]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="crosscheck-shipped-")
        self.addresses = tuple(
            (parcel.name, self._address(number, parcel)) for number, parcel in enumerate(parcels)
        )

    def _address(self, number: int, parcel: Parcel) -> str:
        if not parcel.files:
            _require_same(parcel)
            return parcel.name
        root = Path(self._folder.name) / str(number)
        for path, content in parcel.files:
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return f"{root / parcel.file}:{parcel.name.rpartition(':')[2]}"

    def close(self) -> None:
        self._folder.cleanup()


def _require_same(parcel: Parcel) -> None:
    if sources.digest(parcel.name) != parcel.digest:
        raise ValueError(
            f"a Dask worker has no {parcel.name}, or another than here: install the same there, "
            "or name it as FILE.py:function, whose source is sent along"
        )
