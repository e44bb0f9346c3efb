"""The loop that people write by hand: ``AsyncOpenAI`` on its aiohttp transport, so many at once, nothing kept and nothing judged.

``python -m tests.benchmarks.bare_sdk URL ROWS IN_FLIGHT`` prints JSON: seconds and CPU seconds. What the engine is measured beside.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import openai


async def loop(url: str, rows: int, in_flight: int) -> float:
    client = openai.AsyncOpenAI(
        api_key="none", base_url=url, max_retries=0, timeout=60, http_client=openai.DefaultAioHttpClient()
    )
    places = asyncio.Semaphore(in_flight)

    async def one(number: int) -> None:
        async with places:
            await client.chat.completions.create(
                model="stub-model", messages=[{"role": "user", "content": f"message number {number}"}], max_tokens=100
            )

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(rows)))
    took = time.monotonic() - began
    await client.close()
    return took


def main() -> None:
    url, rows, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    before = time.process_time()
    took = asyncio.run(loop(url, rows, in_flight))
    sys.stdout.write(json.dumps({"seconds": took, "cpu": time.process_time() - before}) + "\n")


if __name__ == "__main__":
    main()
