from datetime import UTC, datetime

import genai_prices
import pytest

from jobs.prices import ceiling, cost, estimate_tokens, price_of
from jobs.settings import EMBEDDED, EMBEDDED_URL, OPENAI_URL, Connection, Price
from jobs.values import Usage

OPENAI = Connection(name="openai")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("gpt-4o-mini", OPENAI_URL),
        ("gpt-4o", OPENAI_URL),
        ("gpt-4.1-nano", OPENAI_URL),
        ("o3-mini", OPENAI_URL),
        ("claude-3-5-haiku-latest", "https://api.anthropic.com/v1"),
        ("gemini-2.0-flash", "https://generativelanguage.googleapis.com/v1beta/openai"),
        ("deepseek-chat", "https://api.deepseek.com/v1"),
        ("llama-3.3-70b-versatile", "https://api.groq.com/openai/v1"),
        ("mistral-small-latest", "https://api.mistral.ai/v1"),
    ],
)
@pytest.mark.parametrize("usage", [Usage(prompt=1000, completion=200), Usage(prompt=1000, completion=200, cached=400)])
def test_costs_agree_with_the_price_lists_own_reckoning(model: str, url: str, usage: Usage) -> None:
    """Our rule (cached tokens are inside the prompt) gives what genai-prices itself gives."""
    theirs = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=usage.prompt, output_tokens=usage.completion, cache_read_tokens=usage.cached),
        model,
        provider_api_url=url,
        genai_request_timestamp=datetime.fromtimestamp(NOON, UTC),
    )
    price = price_of(model, Connection(name="c", base_url=url), now=NOON)

    assert price is not None
    ours = cost(usage, price)

    assert ours == pytest.approx(float(theirs.total_price), rel=1e-9)
    assert ours > 0


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("a-model-of-ours", OPENAI_URL),
        ("gpt-4o-mini", "https://gateway.example.com/v1"),
        ("llama-3.3-70b-versatile", "http://127.0.0.1:8000/v1"),
        ("", OPENAI_URL),
        ("text-embedding-3-small", OPENAI_URL),
    ],
)
def test_a_price_that_is_not_known_is_none_and_never_zero(model: str, url: str) -> None:
    """A known model at an unknown address costs nobody knows what, and a model without a price for output is no chat model."""
    price = price_of(model, Connection(name="c", base_url=url))

    assert price is None
    assert cost(Usage(prompt=10, completion=10), price) is None
    assert ceiling(10, 10, price=price) is None


def test_the_operators_prices_come_first() -> None:
    """The exact model, then the entry for all, then the list."""
    mine, any_model = Price(input=9, output=9), Price(input=5, output=5)
    exact = Connection(name="c", prices={"gpt-4o": mine})
    both = Connection(name="c", prices={"gpt-4o": mine, "*": any_model})

    assert price_of("gpt-4o", both) == mine
    assert price_of("gpt-4o-mini", both) == any_model
    assert price_of("gpt-4o-mini", exact) == price_of("gpt-4o-mini", OPENAI) != any_model
    assert price_of("gpt-4o", Connection(name="c", prices={"gpt-4o": Price(input=0, output=0)})) == Price(
        input=0, output=0
    )


def test_the_embedded_model_is_known_to_cost_nothing() -> None:
    """It is the one price of 0 that nobody has to type."""
    price = price_of("smollm2-135m", Connection(name=EMBEDDED, base_url=f"{EMBEDDED_URL}smollm2-135m"))

    assert cost(Usage(prompt=1000, completion=1000), price) == 0.0


def test_the_frozen_url_of_a_run_decides() -> None:
    """A run keeps the price of the address that it was started for."""
    elsewhere = Connection(name="c", base_url="https://gateway.example.com/v1")

    assert price_of("gpt-4o-mini", elsewhere, base_url=OPENAI_URL) == price_of("gpt-4o-mini", OPENAI)


def test_a_price_can_depend_on_the_hour() -> None:
    """Where a provider has cheap hours, the hour of the request is what counts."""
    connection = Connection(name="c", base_url="https://api.deepseek.com/v1")
    day = datetime(2025, 6, 1, tzinfo=UTC).timestamp()

    prices = {price_of("deepseek-chat", connection, now=day + hour * 3600) for hour in (10, 20)}

    assert len(prices) == 2


@pytest.mark.parametrize(
    ("usage", "price", "dollars"),
    [
        (Usage(prompt=1_000_000), Price(input=2, output=8), 2.0),
        (Usage(completion=1_000_000), Price(input=2, output=8), 8.0),
        (Usage(prompt=1_000_000, cached=1_000_000), Price(input=2, output=8, cached=0.5), 0.5),
        (Usage(prompt=1_000_000, cached=1_000_000), Price(input=2, output=8), 2.0),
        (Usage(prompt=1_000_000, cached=1_000_000), Price(input=2, output=8, cached=0), 0.0),
        (Usage(prompt=1_000_000, cached=9_000_000), Price(input=2, output=8, cached=1), 1.0),
        (Usage(), Price(input=2, output=8), 0.0),
    ],
)
def test_tokens_are_charged_once_each(usage: Usage, price: Price, dollars: float) -> None:
    """Cached tokens are a part of the prompt and have their own rate where one is known."""
    assert cost(usage, price) == pytest.approx(dollars)


@pytest.mark.parametrize("price", [Price(input=2, output=8), Price(input=2, output=8, cached=3)])
def test_no_request_costs_more_than_its_ceiling(price: Price) -> None:
    """What is reserved for a call covers every way in which it can end."""
    most = ceiling(500, 100, price=price)

    assert most is not None
    for completion in (0, 50, 100):
        for cached in (0, 250, 500):
            paid = cost(Usage(prompt=500, completion=completion, cached=cached), price)
            assert paid is not None
            assert paid <= most


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 3), (b"12345678", 2)]
)
def test_tokens_are_estimated_from_bytes(text: str | bytes, tokens: int) -> None:
    """Four bytes to a token, so that scripts with long characters are not counted at a quarter."""
    assert estimate_tokens(text) == tokens
