"""Competitions on Kaggle by its official client: fetch and unpack the files, send an answer."""

import re
import shutil
from pathlib import Path as PurePath
from typing import Any

from onecycle.core.errors import ArchiveError, DownloadError, UsageError
from onecycle.core.paths import Path
from onecycle.fetch.archives import extract, is_archive

_CREDENTIALS = """no Kaggle credentials were found. Log in at kaggle.com, open Settings > API, then
  either set the environment variable KAGGLE_API_TOKEN to a new token,
  or "Create Legacy API Key" and put the file into ~/.kaggle/kaggle.json (chmod 600),
  or set KAGGLE_USERNAME and KAGGLE_KEY"""
_NESTED = 3  # archives in archives in archives: the Planet images are a tar in a 7z in a zip


def fetch_competition(competition: str, to: str | PurePath = "data") -> Path:
    """Bring all files of a competition to the folder `to/competition`, unpacked; returns it.

    An interrupted download goes on with the next call. Raises UsageError without credentials, and
    DownloadError where the service refuses (rules not accepted, no such competition).
    """
    competition = _check(competition)
    folder = Path(to) / competition
    api = _client()
    packed = Path(to) / ".kaggle" / f"{competition}.zip"
    packed.parent.mkdir(parents=True, exist_ok=True)
    try:
        api.competition_download_files(competition, path=str(packed.parent), quiet=False)
    except Exception as error:  # requests' and the client's own: all mean that it did not arrive
        raise _refusal(competition, error) from error
    whole = next(iter(packed.parent.glob(f"{competition}.*")), None)
    if whole is None:
        raise DownloadError(f"Kaggle sent no file for {competition!r}")
    if is_archive(whole):
        _unpack_nested(extract(whole, folder))
    else:  # a competition of one plain file
        folder.mkdir(exist_ok=True)
        shutil.copyfile(whole, folder / whole.name)
    return folder


def submit(competition: str, file: str | PurePath, message: str) -> str:
    """Send the answers in `file` (CSV) with a note to yourself; returns what the service says."""
    path = PurePath(file)
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    competition = _check(competition)
    try:
        answer = _client().competition_submit(str(path), message, competition, quiet=True)
    except UsageError:
        raise
    except Exception as error:
        raise _refusal(competition, error) from error
    if not answer.ref:
        raise DownloadError(f"{competition}: {answer.message or 'the answers were not taken'}")
    return str(answer.message)


def _check(competition: str) -> str:
    """The competition's name, also from its address."""
    is_address = competition.startswith("https://www.kaggle.com/")
    name = competition.rstrip("/").rpartition("/")[2] if is_address else competition
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UsageError(f"{competition!r} is no competition's name, such as 'digit-recognizer'")
    return name


def _client() -> Any:
    """The official client, logged in; it follows KAGGLE_API_ENVIRONMENT as kagglehub does."""
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi
        from kagglesdk import KaggleClient
    except ImportError as error:
        raise UsageError("Kaggle's client is missing: pip install 'onecycle[kaggle]'") from error

    class Client(KaggleApi):  # type: ignore[misc]
        def build_kaggle_client(self) -> Any:
            names = (self.CONFIG_NAME_USER, self.CONFIG_NAME_KEY, self.CONFIG_NAME_TOKEN)
            user, key, token = (self.config_values.get(name) for name in names)
            return KaggleClient(username=user, password=key, api_token=token)

    api = Client()
    try:
        api.authenticate()
    except SystemExit:
        raise UsageError(_CREDENTIALS) from None
    return api


def _refusal(competition: str, error: Exception) -> DownloadError:
    code = getattr(getattr(error, "response", None), "status_code", None)
    page = f"https://www.kaggle.com/c/{competition}"
    advice = {
        401: "Kaggle does not know these credentials; make a new key in Settings > API",
        403: f"accept the competition's rules first, at {page}/rules",
        404: f"there is no such competition, or it has ended for good: see {page}",
    }.get(code or 0, "call again to go on where it stopped")
    return DownloadError(f"{competition}: {error}; {advice}")


def _unpack_nested(files: list[Path]) -> None:
    """Archives among the files become their content, in their own folder."""
    for _ in range(_NESTED):
        archives = [file for file in files if is_archive(file)]
        files = []
        for archive in archives:
            files += extract(archive, archive.parent)
            archive.unlink()
    if left := [file for file in files if is_archive(file)]:
        raise ArchiveError(f"{left[0]}: archives in archives, more than {_NESTED} deep")
