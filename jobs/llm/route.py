"""Where a connection's requests go, with which headers and through which proxy, as the SDK would send them."""

from __future__ import annotations

import importlib
import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
from yarl import URL

from jobs.settings import Connection

PATH = "/chat/completions"
_OPENAI_HOST = "api.openai.com"
#: a client that sends nothing, for the SDK that is only asked how it would
_NOBODY = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda request: httpx2.Response(599)))


def load_sdk() -> None:
    """Load the SDK ahead of the first request, in a process that will ask."""
    importlib.import_module("openai")


def head(connection: Connection, key: str | None) -> tuple[URL, dict[str, str]]:
    """Where the chat requests of a connection go, and their headers."""
    # A process that asks no provider, as most do, starts in half the time without the SDK.
    import openai  # noqa: PLC0415

    # The SDK would fill what is left out from the environment: OpenAI's key would go to any other endpoint.
    client = openai.AsyncOpenAI(
        api_key=key or "", admin_api_key="", base_url=connection.base_url, max_retries=0, http_client=_NOBODY
    )
    headers = {name: value for name, value in client.default_headers.items() if isinstance(value, str)}
    if urlsplit(connection.base_url).hostname != _OPENAI_HOST:
        headers = {
            name: value for name, value in headers.items() if name not in ("OpenAI-Organization", "OpenAI-Project")
        }
    if key is not None:
        headers |= client.auth_headers
    own = {name.lower() for name in connection.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in own} | dict(connection.headers)
    return URL(f"{str(client.base_url).rstrip('/')}{PATH}", encoded=True), headers


def proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for an address; this machine's own servers are reached without one."""
    host = url.host or ""
    if _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(url.scheme)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
