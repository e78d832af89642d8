"""For a phone in the same network: this machine's address, a certificate of it, and a QR code."""

import socket
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from onecycle.core.errors import UsageError
from onecycle.core.files import write_atomically
from onecycle.core.paths import own_folder

_DAYS = 397  # the most that browsers take of a certificate
_LEFT = timedelta(days=7)  # one that ends sooner is made anew


def local_address() -> str:
    """The address by which others in the network reach this machine; UsageError without one."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(("192.0.2.1", 9))  # nothing is sent: the system chooses whence it would
            found = asking.getsockname()[0]
    except OSError:
        found = ""
    if not found or ip_address(found).is_loopback:
        raise UsageError(
            "this machine seems to be in no network: connect it, or give its address, as in "
            "--host 192.168.1.5"
        )
    return found


def certificate(host: str, home: Path | None = None) -> tuple[Path, Path] | None:
    """The files of a self-signed certificate of an address, and of its key.

    Made once, and anew where it ends; kept in `home`, by default `certificates` below
    `$ONECYCLE_HOME`, or `~/.onecycle`. None where the package cryptography is not installed.
    """
    try:
        from cryptography import x509
    except ImportError:
        return None
    folder = home or own_folder("ONECYCLE_HOME", ".onecycle") / "certificates"
    cert, key = (folder / f"{host.replace(':', '-')}.{end}" for end in ("crt", "key"))
    try:
        known = x509.load_pem_x509_certificate(cert.read_bytes())
        if key.is_file() and known.not_valid_after_utc > datetime.now(UTC) + _LEFT:
            return cert, key
    except (OSError, ValueError):
        pass  # there is none, or none that can be read
    _make(host, cert, key)
    return cert, key


def _make(host: str, cert: Path, key: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"onecycle on {host}")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # the phone's clock may be behind
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    text = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    cert.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # for the user alone
    for path, content in ((key, text), (cert, made.public_bytes(serialization.Encoding.PEM))):
        write_atomically(path, partial(_write, content=content))
    key.chmod(0o600)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def fingerprint(cert: Path) -> str:
    """The SHA-256 by which a phone's user can tell that it is this one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    digest = x509.load_pem_x509_certificate(cert.read_bytes()).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def show(address: str) -> None:
    """Print an address, and its QR code; without the package segno what is missing."""
    print(f"\n  {address}\n")
    print(qr_code(address) or "its QR code needs the package segno: pip install 'onecycle[lan]'")


def qr_code(text: str) -> str | None:
    """A QR code as lines of blocks; None where the package segno is not installed."""
    try:
        import segno
    except ImportError:
        return None
    from io import StringIO

    drawn = StringIO()
    segno.make(text, error="m", micro=False).terminal(drawn, border=2, compact=True)
    lines = drawn.getvalue().splitlines()
    if sys.stdout.isatty():  # light is light, whatever the colours of the terminal
        lines = [f"\033[97;40m{line}\033[0m" for line in lines]
    return "\n".join(lines)


def open_to_phones(host: str, port: int, given: bool, guarded: bool) -> tuple[Path, Path] | None:
    """Say where a phone finds the page and what it will ask; the certificate that was made for it.

    `given` where the caller has a certificate, `guarded` where a token is wanted.
    """
    made = None if given else certificate(host)
    secure = given or made is not None
    print("For a phone in the same network:")
    show(f"http{'s' * secure}://{f'[{host}]' if ':' in host else host}:{port}/")
    if made:
        print(
            f"The certificate is one that this machine made for itself ({made[0]}, its SHA-256\n"
            f"{fingerprint(made[0])}), so the phone warns once:\n"
            "  Android: Advanced, then Proceed to ... (unsafe)\n"
            "  iPhone: Show Details, then visit this website\n"
            "Then the page asks whether it may use the camera. To keep it on the phone for use\n"
            "without a network, put it on a host: onecycle site, or onecycle deploy."
        )
    elif not secure:
        print(
            "Browsers let no page use the camera live without a certificate: pip install "
            "'onecycle[lan]'\nmakes one. Photos and files can be chosen all the same."
        )
    print(
        "The phone asks for a password: that is a token, under any name."
        if guarded
        else "Everybody in this network may ask: --tokens FILE lets in only those who have one."
    )
    return made


def address_for(host: str) -> str:
    """The address to listen on: the one given, if it is one that others can reach, or our own."""
    try:
        given = ip_address(host)
    except ValueError:
        raise UsageError(f"--lan wants an address such as 192.168.1.5, not {host!r}") from None
    return local_address() if given.is_loopback or given.is_unspecified else host
