"""The web process: Streamlit on the app's pages, the same from whatever folder it is started.

``python -m workbench.web --home H --prompts P --port N --parent-fd N``. Streamlit looks for its configuration in the current
folder, so what must hold is given to it as flags: the theme of ``.streamlit/config.toml`` beside this package, and the
few settings that keep it on this machine.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The two heaviest things that a screen draws with: imported before the first visitor comes, who would wait for them.
import pandas as pd
import plotly.graph_objects as go
from streamlit.web import bootstrap

from jobs import api, logs, processes, settings

WARM = (pd, go, api)
APP = Path(__file__).with_name("app.py")
CONFIG = Path(__file__).parents[1] / ".streamlit" / "config.toml"
#: what holds whatever a configuration file says
FIXED: dict[str, Any] = {
    "server.address": "127.0.0.1",
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    "server.showEmailPrompt": False,
    "server.maxUploadSize": 100,
    "server.disconnectedSessionTTL": 1800,
    "browser.gatherUsageStats": False,
    "browser.serverAddress": "127.0.0.1",
    "client.toolbarMode": "minimal",
    "global.developmentMode": False,
}


def options(port: int, config: Path = CONFIG) -> dict[str, Any]:
    """Streamlit's options: the configuration file's, then the fixed ones, then the port."""
    found: dict[str, Any] = {}
    if config.exists():
        found = dict(_flat(tomllib.loads(config.read_text("utf-8"))))
    return found | FIXED | {"server.port": port}


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="workbench.web")
    parser.add_argument("--home", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parent-fd", type=int)
    parser.add_argument("--app", type=Path, default=APP, help="another script to serve")
    given = parser.parse_args(argv)
    place = settings.load(given.home, given.prompts)
    logs.configure(place.logs, "web", key_variables=place.key_variables, secrets=place.secrets)
    if given.parent_fd is not None:
        processes.end_with_parent(given.parent_fd, processes.stop_by_signal)
    flags = options(given.port)
    bootstrap.load_config_options(flags)
    bootstrap.run(
        str(given.app.resolve()),
        is_hello=False,
        args=["--home", str(place.home), "--prompts", str(place.prompts)],
        flag_options=flags,
    )


if __name__ == "__main__":
    main()
