"""Stop 5: one OpenAI-compatible request -> a reply to judge, or a typed failure.

    file           what it does
    request        messages and settings -> the request's body and its exact bytes
    rates          a response's headers -> what the provider says is left
    failures       status, code, words, exception -> one Failure, in one place
    probabilities  what is told of a reply's tokens -> tokens that fit its text
    answers        a response's body, whole or in events -> Reply
    route          a connection -> where its requests go and with which headers
    exchange       one request under way, and a response that nobody has read yet
    endpoint       the client: the only place that opens a connection to a provider
    batch_files    the lines of a batch's files, in and out
    batches        requests by the thousand for half the price, through files: submit once, look, read line by line

Each request is sent once. Whether and when it is sent again is for ``lifecycle`` to say: the SDK's own retries are off,
since layers of retries multiply and hide paid attempts.
"""

from jobs.llm.answers import Answer
from jobs.llm.endpoint import Endpoint
from jobs.llm.exchange import RequestFailed
from jobs.llm.failures import classify, is_moderated, redact
from jobs.llm.rates import Rates, Window, rates_of
from jobs.llm.request import body, encode

__all__ = [
    "Answer",
    "Endpoint",
    "Rates",
    "RequestFailed",
    "Window",
    "body",
    "classify",
    "encode",
    "is_moderated",
    "rates_of",
    "redact",
]
