"""ONNX Runtime Web, by which the page computes: on the processor, and where asked for on a GPU."""

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onecycle.core.errors import UsageError
from onecycle.core.machine import onnx_runtime
from onecycle.runtime.kinds import InputSpec


class Build(NamedTuple):
    """Two scripts, the first of which a page imports, and the WebAssembly that they load."""

    scripts: tuple[str, str]
    wasm: str

    @property
    def files(self) -> tuple[str, ...]:
        """By their names in `runtime_folder`; the packed ones, by `make web`, replace the plain."""
        return (*self.scripts, self.wasm, f"{self.wasm}.gz", f"{self.wasm}.br")

    def is_in(self, folder: Path) -> bool:
        """Whether all of it lies in a folder, packed or not."""
        wasm = any((folder / name).is_file() for name in (self.wasm, f"{self.wasm}.gz"))
        return wasm and all((folder / name).is_file() for name in self.scripts)


CPU = Build(("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs"), "ort-wasm-simd-threaded.wasm")
GPU = Build(
    ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs"),
    "ort-wasm-simd-threaded.asyncify.wasm",
)
GPU_TOLERANCE = 1e-3  # of the largest value that the graph gives, and of 1 where all are smaller
_PROBED = 256  # values of each output that a page compares


def page_folder() -> Path:
    """Where the page's sources are: in the package, or beside it in a source checkout."""
    inside = Path(__file__).with_name("page")
    return inside if inside.is_dir() else Path(__file__).parents[3] / "web" / "page"


def runtime_folder(build: Build = CPU) -> Path:
    """Where ONNX Runtime Web is; UsageError that says how to get it."""
    inside = page_folder() / "ort"
    checkout = page_folder().parent / "node_modules" / "onnxruntime-web" / "dist"
    for folder in (inside, checkout):
        if build.is_in(folder):
            return folder
    raise UsageError(absent("ONNX Runtime Web" + (" for GPUs" if build is GPU else "")))


def absent(name: str) -> str:
    """What is said of a part of the page's runtime that is not here."""
    return (
        f"{name} is not here: it comes with a released onecycle; in a source checkout "
        "`make web` fetches it (needs npm), before an installation that is not editable"
    )


def site_files(build: Build, more: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A build as the page is told of it, and its files by their places in the site.

    Beside it lie `more` scripts, which few pages need. The folder is named after what is in it:
    browsers may keep it for a year, and a newer version of the page need not fetch it.
    """
    folder = runtime_folder(build)
    ready = folder / f"{build.wasm}.gz"
    wasm = ready.read_bytes() if ready.is_file() else pack((folder / build.wasm).read_bytes())
    for name in more:
        if not (folder / name).is_file():
            raise UsageError(absent(f"{name}, which this model's page needs,"))
    scripts = {name: (folder / name).read_bytes() for name in (*build.scripts, *more)}
    files = {**scripts, ready.name: wasm}
    home = f"ort/{digest(*files.values())}/"
    told = {"folder": home, "script": build.scripts[0], **part(f"{home}{build.wasm}", wasm)}
    return told, {f"{home}{name}": content for name, content in files.items()}


def digest(*parts: bytes) -> str:
    """Twelve hexadecimal digits that stand for a content."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def pack(data: bytes) -> bytes:
    """As gzip, which the page unpacks itself: not every host compresses a model or WebAssembly."""
    return gzip.compress(data, mtime=0)


def part(place: str, packed: bytes) -> dict[str, Any]:
    """A large file as the page is told of it: its name, its bytes, and those of its gzip."""
    whole = int.from_bytes(packed[-4:], "little")  # gzip ends with it
    return {"file": place, "bytes": whole, "packed": len(packed)}


# A GPU's driver may compute wrongly in silence: the page first asks it for an answer that is known.


def gpu_probe(model: bytes, given: InputSpec) -> dict[str, Any]:
    """An input of noise, and what the graph gives for it on this machine's processor.

    `worker.js` makes the same noise of `shape` and compares with `outputs`, by name every n-th
    value of an output, n so that there are 256 at most. UsageError for inputs that are no noise.
    """
    dtype = np.dtype(given.dtype)
    if dtype not in (np.uint8, np.float32):
        raise UsageError(
            f"a GPU is for images and series: inputs of kind {given.kind!r} run on the processor"
        )
    run = onnx_runtime().InferenceSession(model, providers=["CPUExecutionProvider"])
    axes = run.get_inputs()[0].shape[1:]
    shape = [1, *(axis if isinstance(axis, int) else 64 for axis in axes)]
    bits = np.arange(np.prod(shape), dtype=np.uint64) * 2654435761 >> 13 & 255
    noise = bits.astype(dtype) if dtype == np.uint8 else (bits / 255).astype(dtype)
    names = [output.name for output in run.get_outputs()]
    found = run.run(None, {given.tensor: noise.reshape(shape)})
    outputs: Mapping[str, list[float]] = {
        name: values.ravel()[:: -(-values.size // _PROBED)].astype(float).tolist()
        for name, values in zip(names, found, strict=True)
    }
    about = {"tensor": given.tensor, "type": dtype.name, "shape": shape, "outputs": outputs}
    return {**about, "tolerance": GPU_TOLERANCE}
