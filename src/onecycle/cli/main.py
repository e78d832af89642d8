"""The command `onecycle`: train on images, use what was trained, and see a demonstration."""

from pathlib import Path
from typing import Annotated, Any

import typer

from onecycle.cli.commands import examples, plain_errors
from onecycle.cli.page_options import Examples, Gpu, Icon, Theme, Title
from onecycle.cli.training import lr_find, train
from onecycle.core.addresses import place_of
from onecycle.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
demo = typer.Typer(help="Make a sample data set and train on it.", no_args_is_help=True)
app.add_typer(demo, name="demo")
app.add_typer(train, name="train")

Folder = Annotated[str, typer.Option(help="CSV: the folder of the images, seen from the CSV file.")]
Suffix = Annotated[str, typer.Option(help='CSV: what is missing at the names, such as ".jpg".')]
Seed = Annotated[int, typer.Option(help="The same seed gives the same split and the same run.")]
Out = Annotated[Path, typer.Option(help="The folder for the model and the plots.")]
Model = Annotated[Path, typer.Argument(help="model.onnx; model.safetensors is exported first.")]
_SOURCES = "Files, folders, addresses (s3://...), or a CSV of names or texts, or of series."
_DOOR, _RUN = "Who may ask", "How it runs"  # groups of options of `serve`
Sha256 = Annotated[
    str | None,
    typer.Option(help="Refuse a model file with another SHA-256 (64 digits, as sha256sum says)."),
]


def _require_sha256(model: Path | None, sha256: str | None) -> None:
    from onecycle.core.errors import UsageError
    from onecycle.runtime.file import read_exactly

    if sha256 is not None and model is None:
        raise UsageError("--sha256 is that of a model, and none was given: add --model")
    if sha256 is not None and model is not None:
        read_exactly(model, sha256)


@demo.command("planet", epilog=examples("onecycle demo planet --tiles 200"))
@plain_errors
def demo_planet(
    out: Out = Path("demo-output"),
    tiles: Annotated[int, typer.Option(help="How many satellite tiles are drawn.")] = 500,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Several labels per image: draw satellite tiles, train in four stages, look at mistakes."""
    from onecycle.cli.demo import planet

    return {"stages": planet(out, tiles, seed), "model": str(out / "model.onnx")}


@demo.command("camvid", epilog=examples("onecycle demo camvid --scenes 80"))
@plain_errors
def demo_camvid(
    out: Out = Path("demo-output"),
    scenes: Annotated[int, typer.Option(help="How many street scenes are drawn.")] = 240,
    seed: Seed = 0,
) -> dict[str, Any]:
    """A class for every pixel: draw street scenes with their masks, train a U-Net on them."""
    from onecycle.cli.demo_camvid import camvid

    return {"stages": camvid(out, scenes, seed), "model": str(out / "model.onnx")}


@demo.command("imdb", epilog=examples("onecycle demo imdb --reviews 800"))
@plain_errors
def demo_imdb(
    out: Out = Path("demo-output"),
    reviews: Annotated[int, typer.Option(help="How many film reviews are written.")] = 2000,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Good or bad, from its text: a language model on film reviews, then a classifier."""
    from onecycle.cli.demo_imdb import imdb

    return {"stages": imdb(out, reviews, seed), "model": str(out / "model.onnx")}


app.command("lr-find", epilog=examples("onecycle lr-find photos/ --arch resnet34"))(lr_find)


@app.command(
    "predict",
    epilog=examples(
        "onecycle predict model.onnx photos/ --out answers.csv",
        "onecycle predict model.onnx reviews.csv --column text --out answers.parquet",
        "onecycle predict model.onnx photos/ --shard 2/8 --out answers/",
        "onecycle predict model.onnx s3://bucket/photos --out answers.parquet",
        "onecycle predict model.onnx photos/ --providers cuda,cpu --json",
        "onecycle predict roofs.onnx town.tif --tile 512 --out roofs.tif",
    ),
)
@plain_errors
def predict(
    model: Annotated[Path, typer.Argument(help="model.safetensors, or model.onnx as exported.")],
    sources: Annotated[
        list[Path],
        typer.Argument(parser=place_of, metavar="sources", help=_SOURCES),
    ],
    thresh: Annotated[
        float | None, typer.Option(help="Another decision threshold, for several labels.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "--csv",
            help="Write here: .csv, .parquet, or a folder of Parquet parts; --tile: .png, .tif.",
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="CSV: the column with the names or texts.")
    ] = None,
    label_col: Annotated[
        str | None, typer.Option(help="CSV with a series in each row: its labels, no step.")
    ] = None,
    folder: Folder = ".",
    suffix: Suffix = "",
    top: Annotated[
        int | None, typer.Option(help="Only the K likeliest classes, likeliest first.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="i/n: every n-th row, from the i-th on; n machines answer all."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads that read while the model computes (one per processor).",
            rich_help_panel=_RUN,
        ),
    ] = None,
    providers: Annotated[
        str | None,
        typer.Option(
            help="What computes, in the order of choice: cpu, or cuda,cpu with onnxruntime-gpu.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            help="Go on behind the answers of a command that was cut off, or begin anew.",
            rich_help_panel=_RUN,
        ),
    ] = True,
    tile: Annotated[
        int | None,
        typer.Option(help="Masks of large images: pixels a side that the model sees at a time."),
    ] = None,
    overlap: Annotated[
        int | None, typer.Option(help="By which tiles overlap (a quarter of --tile).")
    ] = None,
    sha256: Sha256 = None,
    as_json: bool = False,
) -> dict[str, Any]:
    """Say what a trained model sees in images, or makes of texts or series.

    With --json and without --out: a line of JSON for each answer. The exit code is 0 where every
    item was answered, 1 where some could not be read (their answers are empty), and 2 where nothing
    was done.
    """
    from onecycle.cli.predict import Running, Where
    from onecycle.cli.predict import predict as work

    _require_sha256(model, sha256)
    where, running = Where(column, folder, suffix, label_col), Running(workers, providers, resume)
    if tile is not None or overlap is not None:
        from onecycle.cli.tiles import predict_tiled

        others = thresh, top, shard, workers, providers
        return predict_tiled(model, sources, (tile, overlap), out, where, others)
    return work(model, sources, thresh, out, where, top, shard, running, as_json)


@app.command(
    "export", epilog=examples("onecycle export flowers/model.safetensors --precision fp16")
)
@plain_errors
def export(
    model: Annotated[Path, typer.Argument(help="model.safetensors of images or masks.")],
    out: Annotated[Path | None, typer.Option(help="The file (beside the weights).")] = None,
    precision: Annotated[str, typer.Option(help="fp32, or fp16 for half the size.")] = "fp32",
) -> dict[str, Any]:
    """Make the one file that answers without torch of weights that learn.save() wrote."""
    from onecycle.cli.ship import export as work

    return {"model": str(work(model, out, precision))}


@app.command(
    "eval",
    epilog=examples(
        "onecycle eval flowers/model.onnx more-photos/",
        "onecycle eval reviews.onnx new.csv --column review --label-col sentiment --json",
    ),
)
@plain_errors
def evaluate(
    model: Annotated[Path, typer.Argument(help="model.onnx, or model.safetensors.")],
    source: Annotated[
        Path, typer.Argument(help="A folder with one sub-folder per class, or a labelled table.")
    ],
    column: Annotated[str | None, typer.Option(help="Table: the names or texts.")] = None,
    label_col: Annotated[str | None, typer.Option(help="Table: the labels.")] = None,
    label_delim: Annotated[str | None, typer.Option(help="Between several labels.")] = None,
    folder: Folder = ".",
    suffix: Suffix = "",
) -> dict[str, Any]:
    """Say how good a model is on labelled items, in all and for each class, with counts.

    The exit code is 0 where every item was answered, 1 where some could not be read, and 2 where
    nothing was done.
    """
    from onecycle.cli.evaluate import evaluate as work
    from onecycle.cli.predict import Where

    return work(model, source, Where(column, folder, suffix), label_col, label_delim)


@app.command(
    "site",
    epilog=examples(
        "onecycle site model.onnx site/ --title Flowers --examples photos/best",
        "onecycle site model.onnx site/ --gpu",
    ),
)
@plain_errors
def site(
    model: Model,
    out: Annotated[Path, typer.Argument(help="A new folder for the site.")],
    title: Title = None,
    theme: Theme = None,
    icon: Icon = None,
    examples: Examples = None,
    gpu: Gpu = False,
    sha256: Sha256 = None,
) -> dict[str, Any]:
    """Write a web page that runs a model inside the visitor's browser, for any static host."""
    from onecycle.cli.ship import exported
    from onecycle.cli.ship import site as work

    _require_sha256(model, sha256)
    look = {"title": title, "theme": theme, "icon": icon, "examples": examples}
    return work(exported(model), out, look | {"gpu": gpu})


@app.command(
    "serve",
    epilog=examples(
        "onecycle serve model.onnx --port 8080",
        "onecycle serve model.onnx --lan --tokens tokens.txt",
    ),
)
@plain_errors
def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="0.0.0.0 answers other machines too.")] = "127.0.0.1",
    lan: Annotated[
        bool,
        typer.Option(
            "--lan",
            help="For a phone in the same network: listen on its address, show it as a QR code, "
            "make a certificate of it so that the camera may be used (onecycle[lan]).",
            rich_help_panel=_DOOR,
        ),
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="File of tokens, one a line; whoever asks needs one. Or ONECYCLE_TOKENS.",
            rich_help_panel=_DOOR,
        ),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            min=0, help="Requests a minute of one client. Or ONECYCLE_RATE.", rich_help_panel=_DOOR
        ),
    ] = None,
    proxies: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many of your proxies stand in front: X-Forwarded-For is believed so far. "
            "Or ONECYCLE_PROXIES.",
            rich_help_panel=_DOOR,
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="A site whose pages may ask (CORS), as https://www.example.org; several times for "
            "several. Or ONECYCLE_ORIGINS.",
            rich_help_panel=_DOOR,
        ),
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(help="TLS: the certificate (PEM).", rich_help_panel=_DOOR)
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="TLS: its key (PEM).", rich_help_panel=_DOOR)
    ] = None,
    log_requests: Annotated[
        bool | None,
        typer.Option(
            "--log-requests",
            help="A line of JSON a request, without its content. Or ONECYCLE_LOG_REQUESTS.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    max_memory: Annotated[
        int | None,
        typer.Option(
            min=100,
            help="MB above which a new worker takes over.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    title: Title = None,
    theme: Theme = None,
    icon: Icon = None,
    examples: Examples = None,
    sha256: Sha256 = None,
) -> None:
    """Serve the page and POST /api/predict for one model, without torch.

    A model file that is replaced is served from then on; of a bad one the log says why it is not.
    Standard output is the log, a JSON object a line.
    """
    from onecycle.cli.ship import exported, set_look
    from onecycle.cli.ship import serve as work

    _require_sha256(model, sha256)
    model = exported(model)
    set_look(model, {"title": title, "theme": theme, "icon": icon, "examples": examples})
    origins = tuple(origin) if origin else None
    given = {"rate": rate, "proxies": proxies, "origins": origins, "log_requests": log_requests}
    work(model, (host, port), tokens, given, (cert, key), max_memory, lan)


@app.command("clean", epilog=examples("onecycle clean photos/ --model model.onnx"))
@plain_errors
def clean(
    folder: Annotated[Path, typer.Argument(help="A folder with one sub-folder per class.")],
    model: Annotated[Path | None, typer.Option(help="export.onnx: shows its worst.")] = None,
    to: Annotated[Path | None, typer.Option(help="Where cleaned.csv goes.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on this machine.")] = 8010,
    sha256: Sha256 = None,
) -> dict[str, Any]:
    """A local page to relabel or leave out images; writes cleaned.csv, deletes nothing."""
    from onecycle.interpret.cleaner import clean as work

    _require_sha256(model, sha256)
    work(folder, model, to, port)
    return {"written": str(to or folder / "cleaned.csv")}


@app.command(
    "studio",
    epilog=examples(
        "onecycle studio photos/",
        "onecycle studio labels.csv --label-delim ' '",
        "onecycle studio reviews.csv --kind text",
        "onecycle studio streets/ --kind masks",
        "onecycle studio --lan",
    ),
)
@plain_errors
def studio(
    source: Annotated[
        Path | None,
        typer.Argument(help="A folder or a table; without it classes are made in the studio."),
    ] = None,
    kind: Annotated[str, typer.Option(help="images, masks, text or series.")] = "images",
    home: Annotated[
        Path | None, typer.Option(help="Its own folder (onecycle-studio/NAME of the source).")
    ] = None,
    label_delim: Annotated[
        str | None, typer.Option(help='Table: what stands between several labels, such as " ".')
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on this machine.")] = 8020,
    lan: Annotated[
        bool, typer.Option("--lan", help="Let phones of this network in, with the token.")
    ] = False,
) -> dict[str, Any]:
    """A local page for the whole way: data, training, mistakes, decisions, the page for phones.

    Nothing leaves this machine, and nothing below SOURCE is changed. Trainings go on when the page
    or the studio is closed.
    """
    from onecycle.cli.studio.start import start
    from onecycle.core.lazy import require_training

    require_training()
    return start(source, kind, home, label_delim, port, lan)


@app.command(
    "kaggle", epilog=examples("onecycle kaggle planet-understanding-the-amazon-from-space")
)
@plain_errors
def kaggle(
    competition: Annotated[str, typer.Argument(help="The name at the end of its address.")],
    to: Annotated[Path, typer.Option(help="The folder for its folder.")] = Path("data"),
    submit: Annotated[Path | None, typer.Option(help="Send these answers (CSV) instead.")] = None,
    message: Annotated[str, typer.Option(help="A note to yourself about the answers.")] = "",
) -> dict[str, Any]:
    """Fetch and unpack the files of a Kaggle competition, or send your answers to it."""
    from onecycle.core.errors import UsageError
    from onecycle.fetch import kaggle as work

    if submit is None and message:
        raise UsageError("--message goes with answers that are sent: give --submit FILE")
    if submit is not None and to != Path("data"):
        raise UsageError("--to is where files are fetched to: leave it out with --submit")
    if submit is not None:
        answer = work.submit(competition, submit, message)
        print(answer)
        return {"answer": str(answer)}
    found = work.fetch_competition(competition, to)
    print(f"the files are in {found}")
    return {"files": str(found)}


@app.command(
    "deploy",
    epilog=examples(
        "onecycle deploy model.onnx app/ --to docker",
        "onecycle deploy model.onnx app/ --to pages --title Flowers",
    ),
)
@plain_errors
def deploy(
    model: Model,
    out: Annotated[Path, typer.Argument(help="A new folder for what the host needs.")],
    to: Annotated[str, typer.Option(help="vercel, netlify, pages, docker, spaces or render.")],
    title: Title = None,
    theme: Theme = None,
    icon: Icon = None,
    examples: Examples = None,
    sha256: Sha256 = None,
) -> dict[str, Any]:
    """Write a folder that is ready for a host, and print the one command that sends it there."""
    from onecycle.cli.ship import deploy as work
    from onecycle.cli.ship import exported

    _require_sha256(model, sha256)
    look = {"title": title, "theme": theme, "icon": icon, "examples": examples}
    return work(exported(model), to, out, look)


@app.command("qr", epilog=examples("onecycle qr https://flowers.example.org"))
@plain_errors
def qr(
    address: Annotated[str, typer.Argument(help="Where the page is, from https:// on.")],
) -> dict[str, Any]:
    """Print the QR code of an address, to be opened with a phone's camera (onecycle[lan])."""
    from onecycle.cli.ship import print_qr_code

    return print_qr_code(address)


@app.command("version", epilog=examples("onecycle version --json"))
@plain_errors
def version() -> dict[str, Any]:
    """Print the version."""
    print(__version__)
    return {"version": __version__}


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """From labelled files to a trained model, and to a page on a phone.

    Begin with: onecycle demo planet, or your own: onecycle train images FOLDER.

    The exit code is 0 where all went well, 1 where some items could not be read, 2 where nothing
    was done, with one message that says why.
    """
