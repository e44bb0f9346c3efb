"""URLs that people write down: read before anything uses them, since what is read wrongly shows a password as host and port.

No message here repeats the address.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from jobs import errors

_PASSWORDS = (
    re.compile(r"[a-z][a-z0-9+.\-]*://[^:/@\s]*:(\S+)@", re.IGNORECASE),
    re.compile(r"[?&]password=([^&#\s]+)", re.IGNORECASE),
)


def passwords(text: str) -> list[str]:
    """The passwords of the URLs in a text, as they are written there and as they are sent."""
    found = [match[1] for pattern in _PASSWORDS for match in pattern.finditer(text)]
    return list(dict.fromkeys([*found, *map(unquote, found)]))


def shown(url: str) -> str:
    """A URL without user, password and query."""
    return re.split("[?#]", re.sub(r"(?<=://)[^/].*@", "***@", url))[0]


def redis(url: str, where: str) -> str:
    """The address of a Redis, as it is.

    Raises:
        InputError: it is none.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    # an @ that stands elsewhere: a slash or the like in the password has ended the host
    lost = parts.scheme != "unix" and "@" in url and "@" not in parts.netloc
    if parts.scheme not in ("redis", "rediss", "unix") or lost:
        raise errors.InputError(
            f"{where} is no redis://, rediss:// or unix:// address that can be read; in a password write %2F for /, "
            "%40 for @, %23 for #, %3F for ? and %25 for %"
        )
    return url


def base_url(url: str, where: str) -> str:
    """A connection's URL without the slash at its end; every run keeps it and every screen shows it, so it holds no secret.

    Raises:
        InputError: it holds one, or is no base URL.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise errors.InputError(f"{where} is no address that can be read") from None
    if "@" in parts.netloc:
        raise errors.InputError(
            f"{where} holds a user or a password, which every run would show: name the key's variable with key_env, "
            "or write a header"
        )
    if "?" in url or "#" in url:
        raise errors.InputError(f"{where} must end with its path: what follows a ? or a # has no place in a base URL")
    return url.rstrip("/")
