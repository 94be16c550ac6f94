"""The error tree. Each error also inherits the standard class that callers would catch, and pickles.

    AssayError
    ├── RowError (ValueError)                 a row that is no problem: names the file, the line and the field
    ├── UsageError (ValueError)               the call itself is wrong: an unknown recipe, format or option
    ├── InputError (OSError)                  a file that cannot be read or written
    ├── CatalogError (RuntimeError)           a catalog that is foreign, or of a newer version
    │   └── CatalogBusy                       a catalog that another process has open
    ├── HubError (OSError)                    the Hub refused or cannot be reached: says what was published and what was not
    └── FaultError (RuntimeError)             ours: becomes IE with `.slug` as its reason; retried once
        ├── SandboxUnavailable                the machine cannot give the isolation that was asked for
        ├── SlotDied                          a sandbox slot ended, or broke the protocol, while it had work
        ├── MachineBusy                       a program had no core for longer than it may take
        ├── WorkerDied                        a worker process of a verifier ended while it had work
        └── DeadlineExceeded                  an item took longer than its caller's deadline; not tried again

To add one: give it the nearest standard base and, below FaultError, a slug; keep its arguments positional so that it
pickles; add it to the tree above. What the response or the problem did wrong is no exception: it is a verdict.
"""
from __future__ import annotations

from typing import ClassVar

__all__ = ["AssayError", "CatalogBusy", "CatalogError", "DeadlineExceeded", "FaultError", "HubError", "InputError", "MachineBusy", "RowError",
           "SandboxUnavailable", "SlotDied", "UsageError", "WorkerDied"]


class AssayError(Exception):
    """Base of all errors of assay."""


class RowError(AssayError, ValueError):
    """A row that is not a problem. The message says which field, what was found and what to do."""


class UsageError(AssayError, ValueError):
    """The call itself is wrong; nothing was done."""


class InputError(AssayError, OSError):
    """A file cannot be read or written. The message names it."""


class CatalogError(AssayError, RuntimeError):
    """A catalog cannot be used: locked by another process, not a catalog, or written by a newer assay."""


class CatalogBusy(CatalogError):
    """Another process has the catalog open, and one of the two wants to write."""


class HubError(AssayError, OSError):
    """The Hub refused, or cannot be reached. The message says what was published and what was not."""


class FaultError(AssayError, RuntimeError):
    """Ours, not the response's and not the problem's: becomes IE with `slug` as its reason."""

    slug: ClassVar[str] = "internal_error"


class SandboxUnavailable(FaultError):
    """The isolation asked for cannot be had on this machine. The message says what is missing and how to get it."""

    slug = "sandbox_unavailable"


class SlotDied(FaultError):
    """A sandbox slot ended or broke the protocol while it had work. It is replaced; the work may be tried again."""

    slug = "slot_died"


class MachineBusy(FaultError):
    """A program, a compiler or a worker waited for a core three times as long as it may take in all. Nothing is known of it."""

    slug = "machine_busy"


class WorkerDied(FaultError):
    """A worker process ended while it had work, other than by the budget that its caller set."""

    slug = "worker_died"


class DeadlineExceeded(FaultError):
    """An item took longer than its caller's deadline, counted from the start of its work. Nothing is known of the response."""

    slug = "deadline_exceeded"
