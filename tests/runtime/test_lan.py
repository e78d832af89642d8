"""`onecycle serve --lan`: a phone in the same network finds the page, and may use its camera."""

import builtins
import json
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import cv2
import httpx
import numpy as np
import pytest
from cryptography import x509
from test_page import made, opened, until
from test_server import free_port, stopped
from typer.testing import CliRunner

from onecycle.cli import lan
from onecycle.cli.main import app
from onecycle.core.errors import UsageError

TOKEN = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def address():
    try:
        return lan.local_address()
    except UsageError as error:
        pytest.skip(str(error))


def test_the_address_is_one_of_this_machine_that_others_can_reach(address):
    assert not ip_address(address).is_loopback
    socket.create_server((address, 0)).close()
    assert lan.address_for("127.0.0.1") == lan.address_for("0.0.0.0") == address
    assert lan.address_for("192.168.7.8") == "192.168.7.8"
    with pytest.raises(UsageError, match="such as 192"):
        lan.address_for("here")


def test_without_a_network_the_error_says_what_to_give(monkeypatch):
    def refuse(*_):
        raise OSError("unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(UsageError, match=r"in no network.*--host"):
        lan.local_address()


@pytest.mark.parametrize("host", ["192.168.1.5", "fd00::7"])
def test_a_certificate_is_of_its_address_and_made_once(host, tmp_path):
    cert, key = lan.certificate(host, tmp_path)
    known = x509.load_pem_x509_certificate(cert.read_bytes())
    names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ip_address(host)]
    days = known.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=390) < days < timedelta(days=398)  # browsers take no longer one
    assert not key.stat().st_mode & 0o077
    before = cert.read_bytes(), key.read_bytes()
    assert lan.certificate(host, tmp_path) == (cert, key)
    assert (cert.read_bytes(), key.read_bytes()) == before
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)


@pytest.mark.parametrize("fault", ["it ends soon", "no key", "damaged"])
def test_a_certificate_that_is_of_no_use_is_made_anew(fault, tmp_path, monkeypatch):
    if fault == "it ends soon":
        with monkeypatch.context() as patch:
            patch.setattr(lan, "_DAYS", 3)
            cert, key = lan.certificate("10.0.0.3", tmp_path)
    else:
        cert, key = lan.certificate("10.0.0.3", tmp_path)
    before = cert.read_bytes()
    if fault == "no key":
        key.unlink()
    if fault == "damaged":
        cert.write_bytes(before[:90])
    lan.certificate("10.0.0.3", tmp_path)
    assert cert.read_bytes() != before
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)


def seen(text):
    """What a camera reads of a QR code of blocks."""
    lines = [line for line in text.splitlines() if set(line) & set("█▀▄")]
    wide = max(map(len, lines))
    rows = []
    for line in lines:
        upper = [mark in "█▀" for mark in line.ljust(wide)]
        rows += [upper, [mark in "█▄" for mark in line.ljust(wide)]]
    pixels = np.kron(np.array(rows, np.uint8) * 255, np.ones((8, 8), np.uint8))
    return cv2.QRCodeDetector().detectAndDecode(
        cv2.copyMakeBorder(pixels, *[32] * 4, 0, value=255)
    )[0]


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def test_a_camera_reads_the_address_that_is_shown():
    done = run("qr", "https://flowers.example.org/app")
    assert done.exit_code == 0
    assert seen(done.stdout) == "https://flowers.example.org/app"
    done = run("qr", "flowers.example.org")
    assert (done.exit_code, "begins with https://" in done.output) == (2, True)


def test_without_the_packages_the_address_is_shown_and_what_to_install(monkeypatch, capsys):
    real = builtins.__import__

    def lacking(name, *more):
        if name.partition(".")[0] in ("segno", "cryptography"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    assert lan.open_to_phones("192.168.1.5", 8000, given=False, guarded=True) is None
    said = capsys.readouterr().out
    assert "http://192.168.1.5:8000/" in said
    assert said.count("pip install 'onecycle[lan]'") == 2
    assert "that is a token" in said


@pytest.mark.slow
def test_a_phone_sees_its_camera_answered_after_it_took_certificate_and_token(
    browser, address, tmp_path, monkeypatch
):
    monkeypatch.setenv("ONECYCLE_HOME", str(tmp_path / "home"))
    (tmp_path / "tokens").write_text(TOKEN)
    model, port = made("category", tmp_path), free_port()
    command = ["serve", str(model), "--lan", "--port", str(port), "--tokens", "tokens"]
    with (tmp_path / "log").open("wb") as log, (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "onecycle", *command], cwd=tmp_path, stdout=log, stderr=said
        )
    try:
        cert = tmp_path / "home" / "certificates" / f"{address}.crt"
        url = f"https://{address}:{port}/"
        until_served(cert, url)
        said = (tmp_path / "said").read_text(encoding="utf-8")
        assert seen(said) == url
        for part in (str(cert), lan.fingerprint(cert), "Android", "iPhone", "password"):
            assert part in said
        trust = ssl.create_default_context(cafile=str(cert))
        assert httpx.get(url, verify=trust).status_code == 401
        phone = {"username": "any", "password": TOKEN}
        page = opened(
            browser, url, ignore_https_errors=True, http_credentials=phone, permissions=["camera"]
        )
        assert page.evaluate("isSecureContext")
        page.click("#live")
        until(page, "Number(document.body.dataset.answered) >= 2")
        # Chromium keeps no page with such a certificate for use without a network, as is said.
        assert all("SSL certificate error" in fault for fault in page.faults)
        page.context.close()
    finally:
        stopped(process)
    lines = (tmp_path / "log").read_text().splitlines()
    assert all("event" in json.loads(line) for line in lines)


def until_served(cert, url):
    for _ in range(300):
        try:
            trust = ssl.create_default_context(cafile=str(cert))
            if httpx.get(f"{url}healthz", verify=trust, timeout=1).status_code == 200:
                return
        except (OSError, httpx.HTTPError):
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")
