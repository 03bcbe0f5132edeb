"""A stand-in for the SEC's servers inside our own process: it knows one company, which we made up.

So a machine without internet, or without a contact for the SEC, sees a whole ingestion.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from ingestion.sources.companies.sample import company

ADDRESS = "http://sample.invalid"  # RFC 2606: nobody's; no request leaves the process
TICKER = "HW-SAMPLE"  # longer than any real one
CIK = company.CIK
CIKS = (CIK,)

_JSON, _HTML, _XML = "application/json", "text/html", "application/xml"
_NO_SUCH_FILE = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
_NO_SUCH_KEY = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as the SEC does (WSGI, PEP 3333)."""
    path = str(environ.get("PATH_INFO", ""))
    found = _routes().get(path)
    if found is not None:
        status, (kind, body) = "200 OK", found
    elif path.startswith("/Archives/"):
        status, kind, body = "403 Forbidden", _XML, _NO_SUCH_FILE
    else:
        status, kind, body = "404 Not Found", _XML, _NO_SUCH_KEY
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


@cache
def _routes() -> dict[str, tuple[str, bytes]]:
    tickers = {"0": {"cik_str": CIK, "ticker": TICKER, "title": company.NAME.upper()}}
    routes = {
        "/files/company_tickers.json": (_JSON, _json(tickers)),
        f"/submissions/CIK{CIK:010}.json": (_JSON, _json(company.submissions(TICKER))),
        f"/api/xbrl/companyfacts/CIK{CIK:010}.json": (_JSON, _json(company.facts())),
    }
    for filing in company.FILINGS:
        folder = f"/Archives/edgar/data/{CIK}/{filing.accession.replace('-', '')}"
        routes[f"{folder}/{filing.document}"] = (_HTML, company.document(filing).encode())
    return routes


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
