"""What is in a container folder, in CycloneDX's form: packages, model, the page's runtime."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import metadata
from json import dumps
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from onecycle.version import __version__

SPEC = "1.6"


def bill_of_materials(
    versions: Mapping[str, str], needs: Mapping[str, Sequence[str]], files: Sequence[Path]
) -> str:
    """CycloneDX 1.6 as JSON; the same folder gives the same text.

    `versions` are the packages with their pinned versions, `needs` which of them each needs. Of the
    `files` (a model ends in .onnx) the digests are in it. Not in it is what the base image brings.
    """
    own = {"type": "library", "name": "onecycle", "version": __version__}
    own |= {"bom-ref": "onecycle", "purl": f"pkg:pypi/onecycle@{__version__}"}
    packages = [_package(name, version) for name, version in sorted(versions.items())]
    components = [own, *packages, *map(_file, files)]
    arrows = [{"ref": _ref(versions, n), "dependsOn": _refs(versions, needs[n])} for n in needs]
    inside = [{"ref": "app", "dependsOn": [c["bom-ref"] for c in components]}]
    app = {"type": "application", "name": "onecycle-app", "bom-ref": "app"}
    content = {"metadata": {"component": app}, "components": components}
    number = uuid5(NAMESPACE_URL, dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": SPEC, "version": 1}
    head |= {"$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json"}
    whole = {**head, "serialNumber": f"urn:uuid:{number}", **content}
    return dumps({**whole, "dependencies": inside + arrows}, indent=1) + "\n"


def _ref(versions: Mapping[str, str], name: str) -> str:
    return f"pkg:pypi/{name}@{versions[name]}"


def _refs(versions: Mapping[str, str], names: Sequence[str]) -> list[str]:
    return sorted({_ref(versions, name) for name in names})


def _package(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    found = {"type": "library", "name": name, "version": version, "bom-ref": purl, "purl": purl}
    known = metadata(name)
    if "License-Expression" not in known:  # older fields hold anything
        return found
    return found | {"licenses": [{"expression": known["License-Expression"]}]}


def _file(path: Path) -> dict[str, Any]:
    kind = "machine-learning-model" if path.suffix == ".onnx" else "file"
    digest = sha256(path.read_bytes()).hexdigest()
    hashes = [{"alg": "SHA-256", "content": digest}]
    return {"type": kind, "name": path.name, "bom-ref": f"sha256:{digest}", "hashes": hashes}
