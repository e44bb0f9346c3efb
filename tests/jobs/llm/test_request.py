import json

import pytest

from jobs import errors
from jobs.llm import body, encode
from jobs.settings import Connection
from jobs.values import Message

CONNECTION = Connection(name="c")
USER = [Message(role="user", content="hi")]


def test_the_body_is_what_the_connection_wants() -> None:
    """The field for max_tokens is the connection's, settings stand beside it, and the schema is named and strict."""
    made = body(
        USER,
        model="m",
        connection=CONNECTION.model_copy(update={"max_tokens_field": "max_completion_tokens"}),
        max_tokens=99,
        response_format="json_schema",
        schema={"type": "object"},
        settings={"temperature": 0.2, "seed": 7},
        stream=True,
    )

    assert made == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 99,
        "temperature": 0.2,
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}},
        },
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert json.loads(encode(made)) == made


def test_a_plain_body_says_no_more_than_it_must() -> None:
    """Servers that know few fields must not meet others."""
    made = body(USER, model="m", connection=CONNECTION, max_tokens=9)

    assert set(made) == {"model", "messages", "max_tokens"}
    with_object = body(USER, model="m", connection=CONNECTION, max_tokens=9, response_format="json_object")
    assert with_object["response_format"] == {"type": "json_object"}


def test_log_probabilities_are_asked_for_where_they_are_wanted_whatever_the_settings_say() -> None:
    """A version that asks for them itself is as it was, and one that forbids them gives way to who needs them."""
    plain, wanted = (
        [
            body(USER, model="m", connection=CONNECTION, max_tokens=9, settings=settings, logprobs=logprobs)
            for settings in ({}, {"logprobs": False}, {"logprobs": True, "top_logprobs": 3})
        ]
        for logprobs in (False, True)
    )

    assert ["logprobs" in made for made in plain] == [False, True, True]
    assert plain[1]["logprobs"] is False
    assert [made["logprobs"] for made in wanted] == [True, True, True]
    assert [made.get("top_logprobs") for made in wanted] == [None, None, 3]


@pytest.mark.parametrize("field", ["model", "n", "stream", "max_tokens", "max_completion_tokens", "response_format"])
def test_settings_cannot_set_what_redrive_sets(field: str) -> None:
    """A setting that would be overwritten in silence is refused by name."""
    with pytest.raises(errors.PromptError, match=field):
        body(USER, model="m", connection=CONNECTION, max_tokens=9, settings={field: 1})


def test_a_json_schema_body_needs_its_schema() -> None:
    """The mistake is named before anything is sent."""
    with pytest.raises(errors.ContractError, match="schema"):
        body(USER, model="m", connection=CONNECTION, max_tokens=9, response_format="json_schema")


def test_lone_surrogates_never_break_a_request() -> None:
    """They are sent as U+FFFD, everything around them as it is."""
    sent = encode({"a": "x\ud800y😀"})

    assert json.loads(sent) == {"a": "x\ufffdy😀"}
