"""A part of the agent: in which part what does the work of a function, and what `attempt` does."""

HOMES = {
    "register": "registering",
    "unregister": "unregistering",
    "_clear": "unregistering",
    "_exit": "leaving",
    "execv": "leaving",
    "execve": "leaving",
    "addaudithook": "leaving",
    "register_at_fork": "joining",
    "_register_atexit": "joining",
    "before_fork": "extending",
    "after_fork": "extending",
    "handler_raised": "failing",
    "note_ignored": "ignoring",
    "expect": "exiting",
}
