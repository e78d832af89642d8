"""Hummingbirds: from lists of addresses, as an image search gives them, to a page.

    python examples/hummingbirds.py               # drawn butterflies, from a server of its own
    python examples/hummingbirds.py --data birds  # birds/rufous.csv, birds/calliope.csv, ...

Each list holds the address of an image in every line, and gives its class the file's name.
"""

import http.server
import pathlib
import threading
from functools import partial

import typer

from onecycle.vision import *


def main(
    data: pathlib.Path | None = None, out: pathlib.Path = Path("birds"), quick: bool = False
) -> Path:
    """Fetch the images, train, export, and write the site into out/site."""
    n, size, epochs = (40, 32, 1) if quick else (400, 96, 6)
    root = Path(data or lists_of_a_local_server(out, n, size * 4 // 3))
    for listed in sorted(root.glob("*.csv")):
        download_images(listed, root / listed.stem, max_pics=200)  # what is there is kept
        verify_images(root / listed.stem, delete=True, max_size=500)
    bunch = ImageDataBunch.from_folder(
        root, train=".", valid_pct=0.2, seed=42, ds_tfms=get_transforms(), size=size, bs=16
    ).normalize(half_stats)
    learn = cnn_learner(bunch, models.small, pretrained="small", metrics=error_rate)
    learn.fit_one_cycle(epochs, 1e-2)
    learn.unfreeze().fit_one_cycle(epochs, slice(1e-3, 5e-3))
    model = learn.export((out / "birds.onnx").absolute())
    return write_site(model, out / "site", title="Which bird is it?")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def lists_of_a_local_server(out, n, size):
    """Drawn images behind addresses of this machine, listed by class."""
    drawn = butterflies_sample(out / "drawn", n, size)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=drawn))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (out / "lists").mkdir(exist_ok=True)
    lines: dict[str, list[str]] = {}
    for file in get_image_files(drawn / "images"):
        address = f"http://127.0.0.1:{server.server_port}/images/{file.name}"
        lines.setdefault(file.stem.rpartition("_")[0], []).append(address)
    for name, addresses in lines.items():
        (out / "lists" / f"{name}.csv").write_text("\n".join(addresses))
    return out / "lists"


if __name__ == "__main__":
    typer.run(main)
