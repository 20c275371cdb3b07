"""What workers of xdist write for their controller."""

import os
from pathlib import Path

from pytest_atexit._report._mailbox import Mailbox, post


def test_it_has_what_was_written_but_for_torn_lines() -> None:
    """In its order, half characters included; a line that its writer was killed in spoils no other one."""
    mailbox = Mailbox()
    path, _ = mailbox.address
    assert post(mailbox.address, {"id": "one", "command": "\udc80\n"})
    with Path(path).open("ab") as torn:
        torn.write(b'\n{"id": "tw')
    assert post(mailbox.address, {"id": "three"})
    assert [*mailbox.empty()] == [{"id": "one", "command": "\udc80\n"}, {"id": "three"}]


def test_it_is_gone_when_it_was_emptied() -> None:
    """Nothing is kept, and who still writes is told that it isn't there."""
    mailbox = Mailbox()
    path, _ = mailbox.address
    assert [*mailbox.empty()] == []
    assert not post(mailbox.address, {"id": "late"})
    assert not os.path.lexists(path)
