"""Every number of the live wire. PROTOCOL.md names them; a test compares."""

from enum import IntEnum


class Close(IntEnum):
    """Why the server closes: 44xx do not reconnect by yourself, 45xx reconnect with backoff."""

    BINARY = 1003  # a binary frame; there are none in this protocol
    BAD_FRAMES = 4400
    SIGNED_OUT = 4401
    FORBIDDEN = 4403
    NO_SUCH_PATH = 4404
    HELLO_TIMEOUT = 4408
    REPLACED = 4409
    UPGRADE = 4426
    DRAINING = 4503
    SLOW = 4508
    TOO_MANY = 4529


PROTOCOL = 1  # the `v` of hello
MAX_FRAME = 16 * 1024  # bytes of a client's frame; above 64 KB the server's library closes with 1009
MAX_DEPTH = 16  # arrays and objects inside each other in a client's frame
MAX_ID = 2**31 - 1  # the largest `id` of a request
STREAMS_A_FRAME = 50
STREAMS_A_SOCKET = 100
STREAM_NAME = 200  # characters; longer names are nobody's
FRAMES = 60  # client frames ...
FRAMES_SECONDS = 10.0  # ... in this time; one more closes with 4529
STRIKES = 3  # malformed frames ...
STRIKES_SECONDS = 60.0  # ... in this time close with 4400
HELLO_SECONDS = 10.0
SEND_SECONDS = 15.0  # a send that has not returned by then closes with 4508

REQUESTS_A_USER = 20  # event streams and long polls of one user at once
CONNECTIONS = 1000  # of this process, whatever the transport
WAIT_SECONDS = 25  # a long poll's longest; proxies give up after 30 and more
ANSWER_SECONDS = 5.0  # in which the first answer about each stream comes, or 503
SEAT_SECONDS = 15.0  # a poller that comes back sooner is known, and its streams are still watched
POLL_MS = 1000  # what a client that does not wait is asked to leave between two polls
STALE_POLL_MS = 5000  # the same while the database is away
TURN_SECONDS = 300.0  # an event stream ends then, to be asked for anew with its last id
RETRY_MS = 2000  # after which an event stream is asked for anew
CURSOR = 8 * 1024  # characters of a cursor; one of 50 streams has 2,500
ENDED = 1000  # the code of a connection that ended because all was said

TICK = 0.05  # seconds hints are collected for, so that one query reads all that moved
CHECK_SECONDS = 1.0  # the position check: how long a lost hint can hide a change
STALE_SECONDS = 1.5  # a check that takes longer says that the database is away
STREAM_SECONDS = 0.2  # a stream is read and sent this often at most, unless its hint is urgent
SOCKET_SECONDS = 0.125  # a socket gets this many messages at most; frames wait for each other in one array
RETRY_SECONDS = 1.0  # pause after a failure of database or Redis
LIFETIME_SECONDS = 24 * 3600.0  # a connection older than this must sign in anew
RECHECK_SECONDS = 0.2  # pause between two looks at sessions and permissions that hints ask for
RENEWAL_SECONDS = 0.5  # how long a request may take to write its session anew after a change of password
FULL_MS = (1000, 5000)  # when who finds the process full is asked to come again, in milliseconds, spread
CONNECTS_SECONDS = 10.0  # in which a session may open as many sockets as the setting says
SPEAK_UP_SECONDS = 20.0  # a process says this often in Redis which sockets are open; unsaid thrice: gone
READERS = 8  # database connections a hub uses at once; more reads wait
PENDING_BYTES = 128 * 1024  # characters that may wait for a socket; above it is told states afresh, later
CREDIT_FRAMES = 64  # frames a client that acknowledges may have unread ...
CREDIT_BYTES = 128 * 1024  # ... and their characters; above either it is parked
PARKED_SECONDS = 15.0  # parked for longer closes with 4508
MESSAGE_BYTES = 48 * 1024  # characters of frames in one array; the rest goes into the next message
LAST_EVENTS = 50  # of a stream's history, for a newcomer
DRAIN_MS = 5000  # reconnects after a restart are spread over this time
