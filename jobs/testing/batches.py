"""The stand-in's files and batches: OpenAI's ``/files`` and ``/batches``, with the faults that such an endpoint has.

A batch moves when somebody looks at it and at no other time, so a test says how far it is. Each of its lines is answered as a
request would be, by the same scripts, and stands in the provider's books at the batch's share of the price.

    stub.batches.polls = 3               done at the third look; ``seconds`` sets a least time beside it
    stub.batches.expire_after = 40       expires with 40 lines done; ``complaints`` and ``most_tokens`` let it fail
    stub.batches.missing = {3}           lines of the input, from 0, that no file holds; ``twice`` holds those that come twice
    stub.batches.shuffled = stub.batches.cut = True    the output in another order, and ending inside its last line
    stub.batches.lose_create = 1         as many are made whose answer is lost; ``lose_upload``, ``refuse_content``, ``refuse_delete``
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from jobs.testing.batch import ENDED, Batch, StoredFile, complaint, read
from jobs.testing.script import Act, error_body
from jobs.testing.wire import Request, Wire, head_of

#: (a line's body, the key's header, the batch) -> status and body of the response
Execute = Callable[[bytes, str, str], tuple[int, bytes]]
_PATH = re.compile(r".*/(files|batches)(?:/([^/]+))?(?:/(content|cancel))?")
_PART = re.compile(rb'name="([^"]*)"(?:; filename="([^"]*)")?')


class Tray(Wire):
    """A wire to nobody, which keeps what is sent."""

    def __init__(self) -> None:
        super().__init__(lambda request, wire: None)
        self.parts: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Always: the batch takes it."""
        return True

    def send(self, *parts: bytes) -> None:
        """Keeps them."""
        self.parts += parts


class Batches:
    """All files and batches of one stand-in; its public fields may be changed while it runs."""

    def __init__(self, execute: Execute) -> None:
        #: share of the price that a line costs
        self.share = 0.5
        self.polls = 1
        self.seconds = 0.0
        self.expire_after: int | None = None
        self.complaints: Sequence[Mapping[str, Any]] = ()
        #: tokens that all batches under way may hold together
        self.most_tokens: int | None = None
        self.missing: Collection[int] = ()
        self.twice: Collection[int] = ()
        self.shuffled = False
        self.cut = False
        self.lose_upload = 0
        self.lose_create = 0
        #: answers to a file's content that are a 500, and such that break off in the middle
        self.refuse_content = 0
        self.break_content = 0
        #: deletions of a file that are a 500
        self.refuse_delete = 0
        #: how often a new file says that it is not taken in yet
        self.pending = 0
        self.lists_files = True
        self.lists_batches = True
        self.keeps_metadata = True
        #: what was done, for a test to hold against what should have been
        self.uploads = 0
        self.created = 0
        self.executed = 0
        self.all: dict[str, Batch] = {}
        self.files: dict[str, StoredFile] = {}
        self._execute = execute
        self._number = 0

    @staticmethod
    def takes(path: str) -> bool:
        """Whether a request to this path is for here."""
        return _PATH.fullmatch(path) is not None

    def set(self, told: Mapping[str, Any]) -> None:
        """Changes public fields by their names."""
        for name, value in told.items():
            if name.startswith("_") or name not in vars(self):
                raise ValueError(f"a batch has no {name!r}")
            setattr(self, name, value)

    def summary(self) -> dict[str, Any]:
        """What was done, in figures."""
        statuses = Counter(batch.status for batch in self.all.values())
        return {"uploads": self.uploads, "created": self.created, "executed": self.executed, "statuses": dict(statuses)}

    def serve(self, request: Request, wire: Wire, *, refused: Act | None = None) -> None:
        """Answers a request for which ``takes`` holds, or refuses it as told."""
        path, _, query = request.path.partition("?")
        found = _PATH.fullmatch(path)
        assert found is not None
        room, name, act = found.groups()
        asked = {key: values[-1] for key, values in parse_qs(query).items()}
        told: dict[str, Any] | bytes
        if refused is not None:
            status, told = refused.status, refused.body or b""
        elif room == "files":
            status, told = self._file(request, name, act, asked=asked)
        else:
            status, told = self._batch(request, name, act, asked=asked)
        if request.method == "POST" and status == 200 and name is None and self._is_lost(room):
            wire.reset()
            return
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        wire.send(head_of(status, len(body)))
        if act == "content" and status == 200 and self.break_content:
            self.break_content -= 1
            wire.send(body[: len(body) // 2])
            wire.close()
            return
        wire.send(body)
        wire.done()

    def _is_lost(self, room: str) -> bool:
        name = "lose_upload" if room == "files" else "lose_create"
        left = getattr(self, name)
        setattr(self, name, max(0, left - 1))
        return bool(left)

    # -- files -------------------------------------------------------------------------------------------------------------

    def _file(
        self, request: Request, name: str | None, act: str | None, *, asked: Mapping[str, str]
    ) -> tuple[int, dict[str, Any] | bytes]:
        if name is None and request.method == "POST":
            return self._upload(request.body)
        if name is None:
            if not self.lists_files:
                return _missing("list of files")
            found = [one for one in self.files.values() if asked.get("purpose", one.purpose) == one.purpose]
            newest = found if asked.get("order") == "asc" else found[::-1]
            return _page([(one.id, one.told) for one in newest], asked, most=10_000)
        file = self.files.get(name)
        if file is None:
            return _missing(f"file {name}")
        if request.method == "DELETE":
            if self.refuse_delete:
                self.refuse_delete -= 1
                return 500, error_body("The server had an error.", code="server_error")
            del self.files[name]
            return 200, {"id": name, "object": "file", "deleted": True}
        if act != "content":
            return 200, file.told()
        if self.refuse_content:
            self.refuse_content -= 1
            return 500, error_body("The server had an error.", code="server_error")
        return 200, file.content

    def _upload(self, body: bytes) -> tuple[int, dict[str, Any] | bytes]:
        fields: dict[str, tuple[str, bytes]] = {}
        boundary = body.partition(b"\r\n")[0]
        for part in (b"\r\n" + body).split(b"\r\n" + boundary)[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            if found := _PART.search(head):
                fields[found[1].decode()] = ((found[2] or b"").decode(), content)
        if "file" not in fields or "purpose" not in fields:
            return 400, error_body("file and purpose are required", code="missing_required_parameter")
        self.uploads += 1
        name, content = fields["file"]
        file = self._keep(name, content, purpose=fields["purpose"][1].decode())
        file.pending = self.pending
        return 200, file.told()

    def _keep(self, name: str, content: bytes, *, purpose: str) -> StoredFile:
        self._number += 1
        file = StoredFile(f"file-{self._number}", name, purpose, content, int(time.time()))
        self.files[file.id] = file
        return file

    # -- batches -----------------------------------------------------------------------------------------------------------

    def _batch(
        self, request: Request, name: str | None, act: str | None, *, asked: Mapping[str, str]
    ) -> tuple[int, dict[str, Any] | bytes]:
        if name is None and request.method == "POST":
            return self._create(request)
        if name is None:
            if not self.lists_batches:
                return _missing("list of batches")
            return _page([(one.id, one.told) for one in reversed(self.all.values())], asked, most=100)
        batch = self.all.get(name)
        if batch is None:
            return _missing(f"batch {name}")
        if act == "cancel":
            if batch.status in ENDED:
                message = f"Cannot cancel a batch with status '{batch.status}'."
                return 409, error_body(message, code="invalid_status")
            batch.turn("cancelling")
        else:
            self._advance(batch)
        return 200, batch.told()

    def _create(self, request: Request) -> tuple[int, dict[str, Any] | bytes]:
        told = json.loads(request.body)
        file = self.files.get(told.get("input_file_id"))
        if file is None or file.purpose != "batch":
            return 400, error_body("No such file, or not for a batch.", code="invalid_value")
        if told.get("endpoint") != "/v1/chat/completions" or told.get("completion_window") != "24h":
            return 400, error_body("Invalid endpoint or completion_window.", code="invalid_value")
        if file.pending:
            return 400, error_body(f"The input file '{file.id}' is in 'pending' state.", code="invalid_value")
        self.created += 1
        self._number += 1
        metadata = told.get("metadata") if self.keeps_metadata else None
        batch = Batch(f"batch_{self._number}", file, metadata, request.authorization, began=time.time())
        self.all[batch.id] = batch
        return 200, batch.told()

    def _advance(self, batch: Batch) -> None:
        """One look further."""
        if batch.status == "cancelling":
            self._end(batch, "cancelled")
        if batch.status in ENDED:
            return
        if batch.status == "validating":
            batch.lines, found = read(batch.file.content)
            batch.complaints = self.complaints or found or self._over(batch)
            if batch.complaints:
                batch.lines = []
                batch.turn("failed")
                return
            batch.turn("in_progress")
        batch.looks += 1
        gone = min(
            batch.looks / self.polls if self.polls > 0 else 1.0,
            (time.time() - batch.began) / self.seconds if self.seconds > 0 else 1.0,
        )
        total = len(batch.lines)
        most = total if self.expire_after is None else min(total, self.expire_after)
        self._work(batch, until=min(most, int(total * gone)))
        if gone >= 1:
            for number in range(most, total):
                message = "This request could not be executed before the completion window expired."
                error = {"code": "batch_expired", "message": message}
                batch.errors.append((number, self._line(batch, number, response=None, error=error)))
            self._end(batch, "expired" if most < total else "completed")

    def _over(self, batch: Batch) -> list[dict[str, Any]]:
        queued = sum(one.tokens for one in self.all.values() if one.status not in ENDED)
        if self.most_tokens is None or queued <= self.most_tokens:
            return []
        message = (
            f"Enqueued token limit reached. Limit: {self.most_tokens:,} enqueued tokens. "
            "Please try again once some in_progress batches have been completed."
        )
        return [complaint("token_limit_exceeded", message)]

    def _work(self, batch: Batch, *, until: int) -> None:
        while batch.done < until:
            number = batch.done
            batch.done += 1
            self.executed += 1
            sent = json.dumps(batch.lines[number]["body"], ensure_ascii=False).encode("utf-8", "surrogatepass")
            status, body = self._execute(sent, batch.authorization, batch.id)
            try:
                told = json.loads(body)
            except ValueError:
                told = body.decode("utf-8", "replace")
            response = {"status_code": status, "request_id": f"req_{batch.id}_{number}", "body": told}
            kept = batch.answers if status < 400 else batch.errors
            kept.append((number, self._line(batch, number, response=response, error=None)))

    def _line(self, batch: Batch, number: int, *, response: Any, error: Any) -> bytes:
        told = {
            "id": f"batch_req_{batch.id}_{number}",
            "custom_id": batch.lines[number]["custom_id"],
            "response": response,
            "error": error,
        }
        return json.dumps(told).encode() + b"\n"

    def _end(self, batch: Batch, status: str) -> None:
        times = {
            number: 0 if number in self.missing else 2 if number in self.twice else 1 for number in range(batch.done)
        }
        output = [line for number, line in batch.answers for _ in range(times[number])]
        if self.shuffled:
            random.Random(7).shuffle(output)
        if self.cut and output:
            output[-1] = output[-1][: len(output[-1]) // 2]
        errors = [line for number, line in batch.errors if number not in self.missing]
        if output:
            batch.output_file = self._keep(f"{batch.id}_output.jsonl", b"".join(output), purpose="batch_output").id
        if errors:
            batch.error_file = self._keep(f"{batch.id}_error.jsonl", b"".join(errors), purpose="batch_output").id
        batch.turn(status)


def _page(
    rows: Sequence[tuple[str, Callable[[], dict[str, Any]]]], asked: Mapping[str, str], *, most: int
) -> tuple[int, dict[str, Any]]:
    """One page of a list, newest first."""
    ids = [name for name, _ in rows]
    start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
    limit = int(asked.get("limit", min(most, 20)))
    if not 1 <= limit <= most:
        return 400, json.loads(error_body(f"limit must be 1 to {most}", code="invalid_value"))
    shown = [told() for _, told in rows[start : start + limit]]
    return 200, {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": start + limit < len(rows),
    }


def _missing(what: str) -> tuple[int, bytes]:
    return 404, error_body(f"There is no {what}.", code="not_found")
