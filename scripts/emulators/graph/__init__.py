"""An emulator of the part of Microsoft Graph v1.0 that the office extraction uses, over HTTP on loopback.

It is strict: what the service refuses is refused with the service's own status, code and body, and what this
emulator does not implement is answered with 501 `NotImplemented` naming the path or the option, never by
guessing. Its clock (`Date` header) is `tenant.now`, which stands still; only the life of tokens and the times of
a certificate's sign-in run on the real clock.

`/users/{id}` takes an object id or a user principal name, as the service does; a mere mail address needs a
`$filter` (or the switch `users_by_mail`). Mail and calendar paths take any address of the mailbox. Records
are shown whether or not they lie after `tenant.now`.
"""

from emulators.graph.refusals import Switches
from emulators.graph.rendering import BODY_TEXT, SUBJECT_TEXT
from emulators.graph.service import Emulator
from emulators.graph.serving import Handle, create_app, running
from emulators.server import Fault, LoggedRequest

__all__ = [
    "BODY_TEXT",
    "SUBJECT_TEXT",
    "Emulator",
    "Fault",
    "Handle",
    "LoggedRequest",
    "Switches",
    "create_app",
    "running",
]
