import pytest

from jobs.llm import Rates, Window, rates_of


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Rates()),
        ({"content-type": "x", "x-ratelimit-odd": "1"}, Rates()),
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "12ms",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "29976",
                "x-ratelimit-reset-tokens": "6m0s",
                "retry-after-ms": "250",
            },
            Rates(requests=Window(500, 0, 0.012), tokens=Window(30000, 29976, 360.0), retry_after=0.25),
        ),
        (
            {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "1970-01-01T00:17:10Z",
                "anthropic-ratelimit-output-tokens-remaining": "8000",
                "retry-after": "3",
            },
            Rates(requests=Window(50, 49, 30.0), output_tokens=Window(remaining=8000), retry_after=3.0),
        ),
        ({"x-ratelimit-limit": "20", "x-ratelimit-reset": "1060"}, Rates(requests=Window(20, None, 1060.0))),
        ({"x-ratelimit-reset": "1700000060000"}, Rates(requests=Window(reset=86_400.0))),
        (
            {
                "x-ratelimit-limit-requests": "0",
                "x-ratelimit-remaining-requests": "-1",
                "x-ratelimit-reset-requests": "",
            },
            Rates(),
        ),
        ({"x-ratelimit-limit-tokens": "nan", "x-ratelimit-remaining-tokens": "1e99"}, Rates()),
        ({"x-ratelimit-reset-requests": "yesterday"}, Rates()),
        ({"anthropic-ratelimit-requests-reset": "1969-01-01T00:00:00Z"}, Rates(requests=Window(reset=0.0))),
        ({"x-ratelimit-reset-requests": "1h2m3.5s"}, Rates(requests=Window(reset=3723.5))),
    ],
)
def test_limits_are_read_from_either_form_of_headers(headers: dict[str, str], expected: Rates) -> None:
    """OpenAI's durations and Anthropic's times end as seconds; figures that cannot be are left out."""
    assert rates_of(headers, now=1000.0) == expected
    assert bool(rates_of(headers, now=1000.0)) is (expected != Rates())
