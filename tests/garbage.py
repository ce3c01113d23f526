"""What may stand in a file of a job folder after a crash of the machine, or after somebody has edited it."""

GARBAGE = [
    b"",
    b"\x00\xff\xfe garbage \n",
    b"null\n",
    b"[]\n",
    b"3\n",
    b'"text"\n',
    b"{}\n",
    b'{"time": "yesterday", "event": 3, "step": "x", "loss": "y", "status": [], "pid": {}, "kind": 1}\n',
    b'{"time": 1e400, "event": "phase", "phase": {"a": 1}, "total_steps": "many"}\n',
    b'{"event": "training", "time": 5, "total_steps": [1]}\n{"event": "prepared", "time": 6, "key": 7}\n',
    b'{"event": "resuming", "time": 5, "before_s": "long"}\n{"event": "progress", "time": 6, "done": "x", "what": 3}\n',
    b'{"step": true, "loss": 1}\n{"step": 2, "held_out_loss": "low"}\n{"resumed_from": "x"}\n',
    b'{"name": 3, "tags": {"a": 1}, "note": []}\n',
    b"{" * 5000,
]
FILES = ("recipe", "resolved", "process", "events", "metrics", "result", "about", "log")
# Rows and objects of the right form with values of the wrong kind: the hardest to read.
HARMFUL = GARBAGE[7:13]
