"""A stand-in for a provider: a real OpenAI-compatible server on loopback with scripted faults, for tests and benchmarks only.

    file         what it does
    script       a request -> how it is to be answered: faults marked in the rows, faults by fractions, or one's own
    samples      a JSON Schema -> an answer that satisfies it
    tokens       a reply -> its tokens, as probable as a test says of each value
    ledger       what was asked and answered, as the provider's own books
    batches      files and batches, at half the price
    wire         HTTP/1.1 on a socket, as little of it as such a server needs
    provider     the server, in this process or (``python -m jobs.testing``) in its own

It is no model and is never shown as one. It shares its cores with what is measured against it, so it is built to cost
little: a request costs it a small part of what it costs the client.
"""

from jobs.testing.ledger import Entry, Ledger
from jobs.testing.provider import StubProvider
from jobs.testing.script import Act, Ask, Mix, Record, Script, marked

__all__ = ["Act", "Ask", "Entry", "Ledger", "Mix", "Record", "Script", "StubProvider", "marked"]
