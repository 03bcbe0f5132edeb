"""Hosts whose encryption is not to be trusted: each is refused with its reason, and asked nothing. (URL72)"""

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ingestion import outside_connections
from ingestion.source import SourceError
from ingestion.sources.articles.fetching import Fetcher
from tests.articles.web import Site, article

pytestmark = pytest.mark.django_db(transaction=True)
HERE = x509.IPAddress(ip_address("127.0.0.1"))
PAGE = article("Ferries", "The ferry is back.")


def certificate(folder: Path, name: x509.GeneralName = HERE, days: int = 1) -> tuple[Path, Path]:
    """Make a certificate that signs itself, good for so many days; return its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "news")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(own, own, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "site.pem", folder / "site.key"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, secret


@contextmanager
def encrypted(pem: Path, key: Path) -> Iterator[Site]:
    """Serve a site with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    site = Site(encryption=context)
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def trusting(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[Callable[[Path], Fetcher]]:
    """Return a function that gives what fetches while it trusts a certificate."""
    settings.FETCH_ALLOW = ["127.0.0.1"]
    made: list[Fetcher] = []

    def trust(pem: Path) -> Fetcher:
        context = ssl.create_default_context(cafile=str(pem))
        monkeypatch.setattr(outside_connections, "tls", lambda: context)
        made.append(Fetcher(fetcher._job))
        return made[-1]

    yield trust
    for one in made:
        one.__exit__(None, None, None)


def refused(fetcher: Fetcher, site: Site) -> str:
    with pytest.raises(SourceError) as caught:
        fetcher.get(site.put("/a", PAGE))
    assert (caught.value.code, caught.value.retryable, site.asked) == ("url_tls", False, [])
    return caught.value.message


def test_a_page_comes_by_an_encryption_that_is_good(trusting, tmp_path):
    pem, key = certificate(tmp_path)
    with encrypted(pem, key) as site:
        assert trusting(pem).get(site.put("/a", PAGE)) is not None


def test_a_certificate_that_signs_itself_is_not_trusted(fetcher, settings, tmp_path):
    settings.FETCH_ALLOW = ["127.0.0.1"]
    with encrypted(*certificate(tmp_path)) as site:
        assert refused(fetcher, site) == "The host's certificate is signed by itself."


@pytest.mark.parametrize(
    ("name", "days", "said"),
    [(HERE, -1, "has expired"), (x509.DNSName("other.test"), 1, "is for another name")],
    ids=["expired", "another name"],
)
def test_a_certificate_must_be_valid_and_the_hosts_own(trusting, tmp_path, name, days, said):
    pem, key = certificate(tmp_path, name, days)
    with encrypted(pem, key) as site:
        assert refused(trusting(pem), site) == f"The host's certificate {said}."


class Old(socketserver.BaseRequestHandler):
    """Answers whatever a client says hello with by TLS 1.0, as servers did that know no other."""

    def handle(self) -> None:
        self.request.recv(65536)
        hello = b"\x03\x01" + bytes(32) + b"\x00" + b"\xc0\x13" + b"\x00"
        self.request.sendall(b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26" + hello)
        self.request.recv(65536)


def test_an_encryption_of_long_ago_is_not_used(fetcher, settings):
    settings.FETCH_ALLOW = ["127.0.0.1"]
    with socketserver.TCPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with pytest.raises(SourceError) as caught:
            fetcher.get(f"https://127.0.0.1:{server.server_address[1]}/")
        server.shutdown()
    assert (caught.value.code, caught.value.message) == ("url_tls", "The host's encryption is too old.")
