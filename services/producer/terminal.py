"""Lines that someone types on a terminal, with a prompt, a history and completion."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

_HISTORY = Path(".tandem/history")


@contextmanager
def typed_lines(
    words: Sequence[str], redirect: Callable[[], None]
) -> Iterator[Callable[[], Awaitable[str | None]]]:
    """Yield what returns the next line; `words` are completed, and `redirect` is called whenever `sys.stdout` has changed."""
    session = PromptSession[str](
        "tandem> ",
        completer=WordCompleter(words),
        complete_while_typing=False,  # it would keep lines free for its menu
        history=_history(_HISTORY),
    )
    try:
        with patch_stdout(raw=True):
            redirect()
            yield lambda: _typed(session)
    finally:
        redirect()


async def _typed(session: PromptSession[str]) -> str | None:
    try:
        return await session.prompt_async(handle_sigint=False)  # a signal that is no key is the runner's
    except (EOFError, KeyboardInterrupt):
        return None


def _history(path: Path) -> History:
    """That of earlier prompts in this folder, if it can be kept."""
    try:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)
