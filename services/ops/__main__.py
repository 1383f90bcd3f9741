"""The operator's command: `tandem audit`, `tandem broker`, `tandem demo`, `tandem dlq`, `tandem registry`, `tandem resend`, `tandem topics`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from services.ops import audit, broker, demo, dlq, registry, resend, topics
from tandem.errors import ExitStatus
from tandem.runner import Serve
from tandem.runner import main as run
from tandem.settings import LogSettings


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: its settings, and what it does with them."""

    settings: type[LogSettings]
    serve: Serve[Any]


COMMANDS = {
    "audit": Command(audit.AuditSettings, audit.serve),
    "broker": Command(broker.BrokerSettings, broker.serve),
    "demo": Command(demo.DemoSettings, demo.serve),
    "dlq": Command(dlq.DlqSettings, dlq.serve),
    "registry": Command(registry.RegistryServerSettings, registry.serve),
    "resend": Command(resend.ResendSettings, resend.serve),
    "topics": Command(topics.TopicsSettings, topics.serve),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names and return its exit status."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or [""]
    if name in COMMANDS:
        return run(COMMANDS[name].settings, COMMANDS[name].serve, rest)
    if name == "--version":
        sys.stdout.write(f"tandem {version('tandem')}\n")
        return ExitStatus.DONE
    asked = name in {"-h", "--help"}
    (sys.stdout if asked else sys.stderr).write(_usage(name))
    return ExitStatus.DONE if asked else ExitStatus.USAGE


def _usage(name: str) -> str:
    lines = [f"  {command:10}{(known.settings.__doc__ or '').strip()}" for command, known in COMMANDS.items()]
    wrong = f"error: there is no command {name}\n" if name and not name.startswith("-") else ""
    return "\n".join([f"{wrong}usage: tandem COMMAND [--help]", "       tandem --version", "", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
