"""Where the data files that ship with stcsim are."""

from __future__ import annotations

from pathlib import Path


def data_folder(kind: str) -> Path:
    """Return the folder of shipped data called ``kind``, e.g. ``"arch_configs"``.

    An installed wheel carries it inside the package; in a checkout it stands at the top of the repository.
    """
    package = Path(__file__).resolve().parent
    packaged = package / "_data" / kind
    return packaged if packaged.is_dir() else package.parent / kind
