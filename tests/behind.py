"""Real proxies before real web processes, with the configuration that docs/proxy.md shows."""

import http.client
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.engine import ROOT
from tests.waiting import until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CADDY = shutil.which("caddy")
PAGE = (ROOT / "docs" / "proxy.md").read_text()


def block(kind: str) -> str:
    """Return the configuration in docs/proxy.md."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate of localhost that signs itself; return its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "site.pem").write_bytes(signed.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "site.key").write_bytes(secret)
    return folder / "site.pem", folder / "site.key"


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Return a text with parts replaced, each of which must be in it."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(folder: Path, text: str, port: int, upstreams: Sequence[int | str]) -> Iterator[str]:
    """Run nginx with the text of a site: ours, at these ports, with a certificate of localhost.

    upstreams: ports of this machine, or addresses with their ports.
    """
    first, second = (
        f"127.0.0.1:{one}" if isinstance(one, int) else one for one in (upstreams[0], upstreams[-1])
    )
    pem, key = certificate(folder)
    site = replaced(
        text,
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server_name headway.example", "server_name localhost"),
        ("/etc/ssl/headway.example.pem", str(pem)),
        ("/etc/ssl/headway.example.key", str(key)),
        ("127.0.0.1:8000", first),
        ("127.0.0.1:8001", second),
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log warn;\n"
        f"events {{ }}\nhttp {{ access_log off;\n{temporary}{site}}}\n"
    )
    assert NGINX is not None
    command = [NGINX, "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    with _running(command, port, pem, folder / "error.log"):
        yield f"https://localhost:{port}"


@contextmanager
def caddy(folder: Path, text: str, port: int, upstreams: list[int]) -> Iterator[str]:
    """Run Caddy with the text of a site."""
    pem, key = certificate(folder)
    site = replaced(
        text,
        ("headway.example {\n", f"https://localhost:{port} {{\n\ttls {pem} {key}\n"),
        ("127.0.0.1:8000", f"127.0.0.1:{upstreams[0]}"),
        ("127.0.0.1:8001", f"127.0.0.1:{upstreams[-1]}"),
    )
    head = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(head + site)
    assert CADDY is not None
    command = [CADDY, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    with _running(command, port, pem, folder / "caddy.log"):
        yield f"https://localhost:{port}"


@contextmanager
def _running(command: list[str], port: int, pem: Path, log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=log.parent, env={"HOME": str(log.parent)}
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(OSError, http.client.HTTPException):
            context = ssl.create_default_context(cafile=str(pem))
            link = http.client.HTTPSConnection("localhost", port, timeout=2, context=context)
            link.request("GET", "/healthz")
            return link.getresponse().status == 200
        return False

    try:
        until(answers, 30, "the proxy")
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        if process.poll() is None:
            process.kill()
            process.wait(5)
