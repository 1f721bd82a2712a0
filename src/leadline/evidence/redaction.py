"""Secrets are taken out of evidence when it is recorded, not when it is shown.

What goes: values of flags, variables and headers whose name speaks of a secret; values of all environment-like words
(``NAME=value``); user information, query and fragment of URLs; known forms of tokens. What stays: the words themselves, paths,
host names, addresses and ports, without which nobody could make use of a case. Redacting twice changes nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import msgspec

from leadline.evidence.kinds import (
    KINDS,
    Birthplace,
    Connection,
    Descriptor,
    Goroutine,
    GoroutineGroup,
    GoRuntime,
    Pool,
    ProcessInfo,
)
from leadline.evidence.store import Evidence
from leadline.model import Gap, printable

__all__ = ["MARK", "RULES", "redact_arguments", "redact_command_line", "redact_text", "redacted"]

MARK = "[redacted]"
RULES = (
    "values of secret flags and headers",
    "values of environment-like words",
    "user information, query and fragment of URLs",
    "known forms of tokens",
    "bytes that are not UTF-8 written as escapes",
)
"""What is applied to every case, in words for its manifest."""

# Names that speak of a secret. "key" alone is left out ("--key=tls.key" is a path); "pass" must be a word of its own, so that
# "--bypass" does not match.
_SECRET_NAME = re.compile(
    r"(?i)(passw|passphrase|(?:^|[-_.])pass$|pwd|secret|token|credential|api[-_]?key|access[-_]?key|private[-_]?key|encryption[-_]?key"
    r"|signing[-_]?key|bearer|cookie|session|(?:^|[-_.])auth(?:orization)?$|(?:^|[-_.])dsn$|signature|(?:^|[-_.])sig$|salt)"
)
_ENVIRONMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)([^\s?#'\"]*)(\?[^\s#'\"]*)?(#[^\s'\"]*)?")
_PLAIN_AUTHORITY = re.compile(r"(?:\[[^\]]*\]|[^:@/]*)(?::\d*)?$")
_USER_AT = re.compile(r"^[^\s/:@=]+:(?!//)[^\s@]+@(?=[\w.\[(-])")
_QUERY = re.compile(r"\?[^\s?#=]+=\S*")
_TOKEN = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*|\bgh[pousr]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{16,}|\bxox[abeoprs]-[\w-]{10,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bsk-[\w-]{20,}|\bAIza[\w-]{30,}"
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic|digest|negotiate)\s+(?!\[redacted\])\S+")
_SCHEMES = ("bearer", "basic", "digest", "negotiate")
_HEADER = re.compile(r"^([A-Za-z][\w-]*):(?!//)\s*\S")
MAX_PASSES = 16
_PASSWORD_IN_SHORT_FLAG = ("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump")


def redact_text(text: str) -> str:
    """Return free text without user information, queries and fragments of URLs and without known forms of tokens.

    >>> redact_text("GET https://bob:hunter2@api.example/v1?key=1 failed")
    'GET https://[redacted]@api.example/v1?[redacted] failed'
    """
    if "://" in text:
        text = _URL.sub(_plain_url, text)
    return _TOKEN.sub(MARK, _SCHEME.sub(rf"\1 {MARK}", text))


def redact_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of a command without the secrets in them.

    >>> redact_arguments(["srv", "--token=abc", "--password", "x", "-listen=:80", "DB_URL=pg://u:p@h/d"])
    ('srv', '--token=[redacted]', '--password', '[redacted]', '-listen=:80', 'DB_URL=[redacted]')
    """
    kept = tuple(arguments)
    # Hiding a word may show that the next one is a secret: again, until nothing changes, so that doing it twice changes nothing.
    for _ in range(MAX_PASSES):
        before, kept = kept, _redact_once(kept)
        if kept == before:
            break
    return kept


def _redact_once(arguments: Sequence[str]) -> tuple[str, ...]:
    program = arguments[0].rpartition("/")[2] if arguments else ""
    kept: list[str] = []
    hide_next = False
    for argument in arguments:
        if hide_next and argument and not argument.startswith("--"):
            kept.append(MARK)
            hide_next = argument.lower() in _SCHEMES
            continue
        kept.append(_redact_argument(argument, program))
        hide_next = _announces_secret(argument, program)
    return tuple(kept)


def redact_command_line(text: str) -> str:
    """Return a command line without the secrets in it.

    Words quoted as :func:`shlex.join` does are told apart; in any other text words end at spaces. Prefer
    :func:`redact_arguments`, which knows where arguments end.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if words and _quoted(words) == text:
        return _quoted(redact_arguments(words))
    return " ".join(redact_arguments(text.split(" ")))


def redacted(evidence: Evidence) -> Evidence:
    """Return the evidence in the form in which it is recorded: without secrets, and as valid UTF-8."""
    kept = Evidence()
    for name in evidence.observed():
        kind = KINDS[name]
        kept.put_all(kind, [_redact_record(record) for record in evidence.all(kind)])
    return kept


def _redact_record(record: msgspec.Struct) -> msgspec.Struct:
    if isinstance(record, ProcessInfo):
        settings = {key: redact_command_line(value) for key, value in record.build_settings.items()}
        record = msgspec.structs.replace(
            record, cmdline=redact_command_line(record.cmdline), build_settings=settings
        )
    elif isinstance(record, Gap):
        record = msgspec.structs.replace(record, detail=redact_text(record.detail))
    elif isinstance(record, Descriptor):
        return (
            record if _is_utf8(record.name) else msgspec.structs.replace(record, name=printable(record.name))
        )
    elif isinstance(record, Birthplace):
        peers = tuple((redact_text(peer), count) for peer, count in record.peers)
        record = msgspec.structs.replace(record, peers=peers)
    elif isinstance(record, GoRuntime):
        record = msgspec.structs.replace(record, cause=redact_command_line(record.cause))
    elif isinstance(record, (Goroutine, GoroutineGroup)):
        if not record.labels:
            return record
        labels = {redact_text(key): _redact_value(key, value) for key, value in record.labels.items()}
        record = msgspec.structs.replace(record, labels=labels)
    elif isinstance(record, Connection):
        if record.host is None and record.request is None:
            return record
        host, request = record.host, record.request
        record = msgspec.structs.replace(
            record,
            host=None if host is None else redact_text(_USER_AT.sub(f"{MARK}@", host)),
            request=None if request is None else _QUERY.sub(f"?{MARK}", redact_text(request)),
        )
    elif isinstance(record, Pool):
        record = msgspec.structs.replace(record, name=redact_text(record.name))
    try:
        msgspec.json.encode(record)
    except UnicodeEncodeError:
        return msgspec.convert(_as_utf8(msgspec.to_builtins(record)), type(record))
    return record


def _redact_value(name: str, value: str) -> str:
    """Return the value of a named label: nothing of it when its name speaks of a secret."""
    if _SECRET_NAME.search(name):
        return MARK
    return redact_command_line(_QUERY.sub(f"?{MARK}", redact_text(_USER_AT.sub(f"{MARK}@", value))))


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _as_utf8(value: object) -> object:
    if isinstance(value, str):
        return value if _is_utf8(value) else printable(value)
    if isinstance(value, dict):
        return {_as_utf8(key): _as_utf8(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_utf8(item) for item in value]
    return value


def _plain_url(match: re.Match[str]) -> str:
    scheme, place, query, fragment = match.groups()
    authority, slash, path = place.partition("/")
    if "@" in authority or ("@" in path and not _PLAIN_AUTHORITY.match(authority)):
        # Also a password with a raw slash in it, where the authority ends before the "@".
        place = (
            f"{MARK}@{place.rpartition('@')[2]}"
            if "@" not in authority
            else f"{MARK}@{authority.rpartition('@')[2]}{slash}{path}"
        )
    return f"{scheme}{place}{'?' + MARK if query else ''}{'#' + MARK if fragment else ''}"


def _announces_secret(argument: str, program: str) -> bool:
    """Return whether the next argument is a secret: after ``--password``, ``Authorization:`` or ``Bearer``."""
    if program == "curl" and argument in ("-u", "--user"):
        return True
    if argument.lower() in _SCHEMES:
        return True
    is_name = "=" not in argument and (argument.startswith("-") or argument.endswith(":"))
    return is_name and bool(_SECRET_NAME.search(argument.strip("-:")))


def _redact_argument(argument: str, program: str) -> str:
    name, equals, value = argument.partition("=")
    if equals and value and _ENVIRONMENT.match(argument):
        return f"{name}={MARK}"
    if equals and value and " " not in name and "/" not in name and _SECRET_NAME.search(name.lstrip("-")):
        return f"{name}={MARK}"
    header = _HEADER.match(argument)
    if header and _SECRET_NAME.search(header[1]):
        return f"{header[1]}: {MARK}"
    if program in _PASSWORD_IN_SHORT_FLAG and argument.startswith("-p") and len(argument) > 2:
        return f"-p{MARK}"
    if " " in argument:
        return " ".join(_redact_once(argument.split(" ")))
    return redact_text(_USER_AT.sub(f"{MARK}@", argument) if "://" not in argument else argument)


def _quoted(words: Sequence[str]) -> str:
    """Return the words as a shell would read them, with the mark left unquoted."""
    return " ".join(shlex.quote(word.replace(MARK, "%@%")).replace("%@%", MARK) for word in words)
