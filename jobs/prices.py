"""What tokens cost: the operator's own prices first, then the price list that ships with genai-prices, never the network.

A price that is not known is ``None`` all the way to the screen, since a 0 would be believed. So a price of the list is
taken only where the endpoint's URL is one that the list knows: the same model name behind a gateway or on one's own
machine costs something else. Where a provider charges more above some prompt length, the price is that of short prompts.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TieredPrices

from jobs.settings import EMBEDDED_URL, Connection, Price
from jobs.values import Usage

FREE = Price(input=0.0, output=0.0, cached=0.0)
#: the entry of a connection's prices that holds for every model it does not name
ANY_MODEL = "*"
_MILLION = 1_000_000
_HOUR = 3600


def price_of(
    model: str, connection: Connection, *, base_url: str | None = None, now: float | None = None
) -> Price | None:
    """The price of a model at a connection, in US dollars for a million tokens; None where nobody knows it.

    ``base_url`` is the URL that a run has frozen, if not the connection's own. ``now`` (epoch seconds) matters for
    the providers whose price depends on the hour.
    """
    own = connection.prices.get(model) or connection.prices.get(ANY_MODEL)
    if own is not None:
        return own
    url = base_url or connection.base_url
    if url.startswith(EMBEDDED_URL):
        return FREE
    hour = int((time.time() if now is None else now) // _HOUR)
    return _listed(model, url, hour)


def at_batch(price: Price | None, connection: Connection | None) -> Price | None:
    """That price at the connection's batch endpoint."""
    if price is None:
        return None
    share = Connection(name="").batch_price if connection is None else connection.batch_price
    cached = None if price.cached is None else price.cached * share
    return Price(input=price.input * share, output=price.output * share, cached=cached)


def is_free(price: Price) -> bool:
    """Whether a call at that price costs nothing, whatever became of it."""
    return not (price.input or price.output or price.cached)


def cost(usage: Usage, price: Price | None) -> float | None:
    """What these tokens cost in US dollars; None where the price is unknown.

    Cached tokens are inside ``usage.prompt`` and are charged as the rest of it where the price names no rate for them.
    """
    if price is None:
        return None
    cached = min(usage.cached, usage.prompt)
    rate = price.input if price.cached is None else price.cached
    return ((usage.prompt - cached) * price.input + cached * rate + usage.completion * price.output) / _MILLION


def ceiling(prompt_tokens: int, max_tokens: int, *, price: Price | None) -> float | None:
    """The most that one request can cost in US dollars, with nothing cached and ``max_tokens`` used up."""
    if price is None:
        return None
    return (prompt_tokens * max(price.input, price.cached or 0.0) + max_tokens * price.output) / _MILLION


def estimate_tokens(text: str | bytes) -> int:
    """About how many tokens a text has: four bytes of UTF-8 to one, at least 1 unless it is empty."""
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // 4)


@lru_cache(maxsize=1024)
def _listed(model: str, base_url: str, hour: int) -> Price | None:
    try:
        _, info = get_snapshot().find_provider_model(model, None, None, base_url)
    except LookupError:
        return None
    found = info.get_prices(datetime.fromtimestamp(hour * _HOUR, UTC))
    asked, answered = _rate(found.input_mtok), _rate(found.output_mtok)
    if asked is None or answered is None:
        return None
    return Price(input=asked, output=answered, cached=_rate(found.cache_read_mtok))


def _rate(listed: Decimal | TieredPrices | None) -> float | None:
    if listed is None:
        return None
    return float(listed.base if isinstance(listed, TieredPrices) else listed)
