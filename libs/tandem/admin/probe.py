"""`python -m tandem.admin.probe [readyz]`: a container's health check, from the standard library alone.

Exit status 0 when the service's admin port says yes, 1 with the reason on standard error when it says no or nothing.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

_SECONDS = 3.0
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- it is asked, not bound
_OK = 200


def main() -> int:
    """Ask for /livez, or the path that is the first argument."""
    path = f"/{sys.argv[1].lstrip('/')}" if len(sys.argv) > 1 else "/livez"
    host = os.environ.get("ADMIN_HOST", "")
    problem = ask(_WILDCARDS.get(host, host), os.environ.get("ADMIN_PORT", "").strip(), path)
    if problem:
        sys.stderr.write(f"{path}: {problem}\n")
    return 1 if problem else 0


def ask(host: str, port: str, path: str) -> str:
    """Return what is wrong; nothing when all is well."""
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        return f"ADMIN_PORT={port} is no port to ask; set it to a number for a health check"
    connection = HTTPConnection(host, int(port), timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(65536).decode(errors="replace")
    except (OSError, HTTPException, ValueError) as error:
        return f"no answer from {host}:{port} within {_SECONDS:g} s: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return "" if answer.status == _OK else f"{answer.status} {text.strip()}"


if __name__ == "__main__":
    sys.exit(main())
