import aiohttp
import pytest

from jobs.llm import classify, is_moderated, redact
from jobs.llm.failures import MOST_WORDS, words_of
from jobs.redaction import Secrets
from jobs.values import FailureKind

THROTTLED, TRANSIENT, BLOCKED, TOO_LONG = (
    FailureKind.THROTTLED,
    FailureKind.TRANSIENT,
    FailureKind.BLOCKED,
    FailureKind.TOO_LONG,
)

TABLE = [
    # OpenAI
    (429, '{"error":{"message":"Rate limit reached for gpt-4o. Please try again in 6m0s. Add a payment method at '
          'https://x/account/billing","type":"requests","param":null,"code":"rate_limit_exceeded"}}', THROTTLED),
    (429, '{"error":{"message":"You exceeded your current quota, please check your plan and billing details.",'
          '"type":"insufficient_quota","param":null,"code":"insufficient_quota"}}', BLOCKED),
    (429, '{"error":{"message":"Request too large for gpt-4o in organization o on tokens per min (TPM): Limit 30000, '
          'Requested 40000.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}', TOO_LONG),
    (401, '{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}',
     BLOCKED),
    (403, '{"error":{"message":"Country, region, or territory not supported","type":"request_forbidden","code":null}}',
     BLOCKED),
    (404, '{"error":{"message":"The model `gpt-9` does not exist","type":"invalid_request_error",'
          '"code":"model_not_found"}}', BLOCKED),
    (400, '{"error":{"message":"This model\'s maximum context length is 8192 tokens. However, you requested 9000 tokens '
          '(8500 in the messages, 500 in the completion).","type":"invalid_request_error","param":"messages",'
          '"code":"context_length_exceeded"}}', TOO_LONG),
    (400, '{"error":{"message":"This model\'s maximum context length is 8192 tokens. However, you requested 9010 tokens '
          '(10 in the messages, 9000 in the completion).","type":"invalid_request_error",'
          '"code":"context_length_exceeded"}}', BLOCKED),
    (400, '{"error":{"message":"Unsupported parameter: \'max_tokens\' is not supported with this model. Use '
          '\'max_completion_tokens\' instead.","type":"invalid_request_error","code":"unsupported_parameter"}}', BLOCKED),
    (400, '{"error":{"message":"Invalid schema for response_format \'answer\': \'additionalProperties\' is required",'
          '"type":"invalid_request_error","param":"response_format","code":null}}', BLOCKED),
    (500, '{"error":{"message":"The server had an error","type":"server_error","code":null}}', TRANSIENT),
    (503, '{"error":{"message":"The engine is currently overloaded, please try again later","type":"server_error",'
          '"code":null}}', THROTTLED),
    # Azure
    (429, '{"error":{"code":"429","message":"Requests to the ChatCompletions Operation have exceeded call rate limit. '
          'Please retry after 26 seconds."}}', THROTTLED),
    (404, '{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}', BLOCKED),
    (401, '{"statusCode":401,"message":"Access denied due to missing subscription key."}', BLOCKED),
    # Anthropic, native and through its OpenAI-compatible form
    (529, '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', THROTTLED),
    (500, '{"error":{"code":null,"message":"Overloaded","type":"overloaded_error"}}', THROTTLED),
    (400, '{"error":{"message":"Your credit balance is too low to access the API","type":"invalid_request_error"}}',
     BLOCKED),
    (400, '{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum","type":"invalid_request_error"}}',
     TOO_LONG),
    (413, '{"error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}', TOO_LONG),
    # Gemini's OpenAI-compatible form
    (429, '[{"error":{"code":429,"message":"You exceeded your current quota. Please retry in 57.45s.",'
          '"status":"RESOURCE_EXHAUSTED"}}]', THROTTLED),
    (400, '[{"error":{"code":400,"message":"The input token count (40000) exceeds the maximum number of tokens allowed",'
          '"status":"INVALID_ARGUMENT"}}]', TOO_LONG),
    # vLLM, old and new
    (400, '{"object":"error","message":"This model\'s maximum context length is 4096 tokens. Please reduce the length '
          'of the messages.","type":"BadRequestError","param":null,"code":400}', TOO_LONG),
    (404, '{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}',
     BLOCKED),
    (422, '{"detail":[{"loc":["body","temperature"],"msg":"Input should be a number","type":"float"}]}', BLOCKED),
    # llama.cpp
    (400, '{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it",'
          '"type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}', TOO_LONG),
    (503, '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}', THROTTLED),
    # Ollama, OpenRouter, DeepSeek, gateways
    (404, '{"error":{"message":"model \\"x\\" not found, try pulling it first","type":"api_error","code":null}}', BLOCKED),
    (404, '{"error":"model not found"}', BLOCKED),
    (402, '{"error":{"message":"This request requires more credits","code":402}}', BLOCKED),
    (402, '{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}', BLOCKED),
    (502, "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", TRANSIENT),
    (503, "<html><body>upstream connect error</body></html>", TRANSIENT),
    (504, "", TRANSIENT),
    (520, "", TRANSIENT),
    (408, '{"error":{"message":"timed out"}}', TRANSIENT),
    (409, '{"error":{"message":"conflict"}}', TRANSIENT),
    (405, "Method Not Allowed", BLOCKED),
    (301, "", BLOCKED),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), TABLE, ids=lambda value: str(value)[:60])
def test_every_providers_error_has_its_kind(status: int, body: str, kind: FailureKind) -> None:
    """The table of failure classes holds for the shapes that providers really send."""
    words = words_of(body.encode())

    failure = classify(status, words.code, message=words.message)

    assert failure.kind is kind, failure
    assert failure.status == status
    assert failure.message


@pytest.mark.parametrize(
    ("message", "headers", "wait"),
    [
        ("", {"retry-after": "7"}, 7.0),
        ("", {"retry-after": "0.5"}, 0.5),
        ("", {"retry-after": "Thu, 01 Jan 1970 00:20:00 GMT"}, 200.0),
        ("", {"retry-after-ms": "120", "retry-after": "1"}, 0.12),
        ("Please try again in 6m0s.", {}, 360.0),
        ("Please try again in 20ms.", {}, 0.02),
        ("Please retry after 26 seconds.", {}, 26.0),
        ("Please try again in 20s", {"retry-after": "3"}, 3.0),
        ("", {"retry-after": "soon"}, None),
        ("", {"retry-after": "-3"}, None),
        ("", {"retry-after": "1e12"}, 86_400.0),
        ("retry 3 times", {}, None),
    ],
)
def test_the_wait_asked_for_is_read_from_headers_then_words(
    message: str, headers: dict[str, str], wait: float | None
) -> None:
    """Whatever form a provider uses, the row waits at least that long; nonsense is no wait."""
    assert classify(429, None, message=message, headers=headers, now=1000.0).retry_after == wait


def test_a_blocked_run_is_told_no_wait() -> None:
    """A quota that is used up does not come back after the Retry-After that is sent with it."""
    failure = classify(429, "insufficient_quota", message="no money", headers={"retry-after": "5"})

    assert failure.kind is BLOCKED
    assert failure.retry_after is None


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (400, "content_filter", "The response was filtered due to the prompt triggering the policy", True),
        (400, "content_policy_violation", "", True),
        (400, "invalid_prompt", "Your prompt was flagged as potentially violating our usage policy", True),
        (400, "data_inspection_failed", "Input data may contain inappropriate content.", True),
        (400, None, "Content Exists Risk", True),
        (403, None, "Your chosen model requires moderation and your input was flagged for violence", True),
        (403, None, "You do not have access to this model", False),
        (400, "unsupported_parameter", "Unsupported parameter: 'foo'", False),
        (500, "content_filter", "", False),
        (None, None, "", False),
    ],
)
def test_a_moderations_refusal_is_told_from_a_bad_request(
    status: int | None, code: str | None, message: str, expected: bool
) -> None:
    """A refused row must not pause the run, and a refused key must not look like a refused row."""
    assert is_moderated(status, code, message=message) is expected


def chained(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("exception", "kind", "code"),
    [
        (TimeoutError("no complete answer within 60 s"), TRANSIENT, "timeout"),
        (aiohttp.ServerDisconnectedError(), TRANSIENT, "reset"),
        (aiohttp.ClientOSError(104, "reset by peer"), TRANSIENT, "reset"),
        (chained(aiohttp.ClientConnectionError("x"), aiohttp.ServerDisconnectedError()), TRANSIENT, "reset"),
        (ConnectionResetError(104, "Connection reset by peer"), TRANSIENT, "reset"),
        (ConnectionRefusedError(111, "Connection refused"), TRANSIENT, "connect"),
        (chained(aiohttp.ClientPayloadError("not complete"), ValueError("length")), TRANSIENT, "cut"),
        (aiohttp.InvalidURL("http://"), BLOCKED, "url"),
        (aiohttp.NonHttpUrlClientError("ftp://x"), BLOCKED, "url"),
        (RuntimeError("Session is closed"), TRANSIENT, "transport"),
        (None, TRANSIENT, "transport"),
    ],
)  # fmt: skip
def test_a_broken_connection_is_named_by_its_innermost_cause(
    exception: Exception | None, kind: FailureKind, code: str
) -> None:
    """An operator reads what happened on the wire, not what a layer above made of it."""
    failure = classify(None, None, exception=exception)

    assert (failure.kind, failure.code) == (kind, code)
    assert failure.status is None
    assert failure.message


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        (b'{"error":{"message":"m","type":"t","code":"c"}}', "c", "m"),
        (b'{"error":{"message":"m","type":"t","code":429}}', "t", "m"),
        (b'{"error":"plain","error_type":"validation"}', "validation", "plain"),
        (b'{"detail":"Not Found"}', None, "Not Found"),
        (b'{"detail":[{"loc":["body","n"],"msg":"too big"},"odd"]}', None, "body.n: too big; odd"),
        (b'{"error":{"inner":1}}', None, '{"inner": 1}'),
        (b"[]", None, "[]"),
        (b"null", None, "null"),
        (b"<html><title>Gateway\n down</title><body>x</body></html>", None, "Gateway down"),
        (b"<h1>Busy</h1><script>var x = 1</script> later", None, "Busy later"),
        (b"\xff\xfe", None, "\ufffd"),
        (b"[" * 100_000, None, "[["),
    ],
)
def test_the_words_of_any_error_body_are_found(body: bytes, code: str | None, part: str) -> None:
    """However an endpoint answers, the banner shows its words and not a traceback."""
    words = words_of(body)

    assert words.code == code
    assert part in words.message
    assert len(words.message) <= MOST_WORDS


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abc123456789. Look at your settings",
        "Incorrect API key provided: sk-ab****************wxyz.",
        "gsk-0123456789abcdef is not valid",
        "got 'Authorization: Bearer my-own-secret-key-1'",
        "the key my-own-secret-key-1 is unknown",
        "AIzaSyA1234567890abcdef is expired",
        "gsk_0123456789abcdefghij is not valid",
        "look at https://me:0123456789abcdef@there/v1",
        "the key my-own-secret is unknown",
    ],
)
def test_no_key_stays_in_a_text(text: str) -> None:
    """A provider's echo of the key, whole or masked, does not reach a log or a screen."""
    clean = redact(text, Secrets(["my-own-secret-key-1"]))

    assert "[key]" in clean
    for part in ("abc123", "wxyz", "0123456789abcdef", "my-own-se", "AIza"):
        assert part not in clean


@pytest.mark.parametrize("before", range(MOST_WORDS - 25, MOST_WORDS + 2))
def test_words_are_redacted_before_they_are_cut(before: int) -> None:
    """Half a key at the end of a long message is no longer known as a key, so the key goes first."""
    key = "my-own-secret-key-1"
    for body in (f'{{"error": {{"message": "{"x" * before}{key} y"}}}}', f"{'x' * before}{key} y"):
        message = words_of(body.encode(), Secrets([key])).message
        assert "my-own" not in message
        assert len(message) <= MOST_WORDS


def test_ordinary_words_survive_redaction() -> None:
    """Only what looks like a key goes."""
    text = "ask-me-anything about risk-averse tasks"

    assert redact(text) == text
