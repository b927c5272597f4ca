"""``hpcda list``: everything that a job can choose by name, with a sentence on each."""

from __future__ import annotations

from collections.abc import Collection

from hpcda.extensions import REGISTRIES


def list_choices(files: Collection[str] = ()) -> str:
    """One line each of what the registries hold: discretizations, losses, ways, activations and others.

    Args:
        files: Checksums of files whose objects are listed beside the package's own.
    """
    parts = []
    for registry in REGISTRIES:
        found = registry.known(files)
        width = max(len(one.name) for one in found)
        head = f"{registry.plural} ({registry.key})" if registry.key else registry.plural
        parts.append("\n".join([head, *(f"  {one.name:{width}}  {one.sentence}" for one in found)]))
    return "\n\n".join(parts)
