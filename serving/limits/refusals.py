"""What the service says when it does not take on a request, or does not finish it."""

from cellmark.schemas.errors import RequestError, SetupError


def busy(where: str, found: str, *, retry_after: int = 2) -> RequestError:
    """There is no room, or others wait already."""
    return RequestError.of(
        "SERVICE_BUSY",
        where=where,
        expected="room for one more request",
        found=found,
        remedy="Send it again after the seconds that the header Retry-After names.",
    ).with_headers(Retry_After=str(retry_after))


def too_many(rate: float, retry_after: int) -> RequestError:
    """A key asks faster than its rate."""
    return RequestError.of(
        "RATE_EXCEEDED",
        where="request",
        expected=f"at most {rate:g} requests a second with one key",
        found="more",
        remedy="Wait for the seconds that the header Retry-After names, or send more cells in each request.",
    ).with_headers(Retry_After=str(retry_after))


def over_deadline(seconds: float) -> RequestError:
    """A request took longer than it may."""
    return RequestError.of(
        "DEADLINE_EXCEEDED",
        where="request",
        expected=f"an answer within {seconds:g} s",
        found="work that had not ended, and was stopped",
        remedy="Send fewer cells at a time. The service's limit is CELLMARK_REQUEST_SECONDS.",
    )


def too_slow(found: str) -> RequestError:
    """A body did not come, or too slowly."""
    return RequestError.of(
        "REQUEST_TIMEOUT",
        where="body",
        expected="a body that arrives without long pauses",
        found=found,
        remedy="Send it again over a faster connection, or in smaller parts.",
    )


def gone() -> RequestError:
    """The client has left; nobody reads this."""
    return RequestError.of(
        "CLIENT_GONE",
        where="request",
        expected="a client that waits for its answer",
        found="a connection that was closed, so the work was stopped",
        remedy="Keep the connection open until the answer is there.",
    )


def stopping() -> RequestError:
    """The service ends."""
    return RequestError.of(
        "SERVICE_STOPPING",
        where="service",
        expected="a service that goes on",
        found="one that is being stopped",
        remedy="Send the request again in a moment, to another instance where there is one.",
    )


def disk_full(n_bytes: int | None = None) -> SetupError:
    """There is no room for a body on disk."""
    needed = "room for the body" if n_bytes is None else f"room for {n_bytes:,} bytes of a body"
    return SetupError.of(
        "DISK_FULL",
        where="TMPDIR",
        expected=f"{needed} on the disk of temporary files",
        found="too little",
        remedy="Send it again later, or send JSON, which needs no disk. Operators: free the disk of TMPDIR, or name "
        "a larger one.",
    )


def wrong_host(host: str) -> RequestError:
    """The header Host names somebody else."""
    return RequestError.of(
        "HOST_NOT_ALLOWED",
        where="Host",
        expected="a name that this service is reached by",
        found=host or "none",
        remedy="Use one of the names in the service's setting CELLMARK_ALLOWED_HOSTS, or add this name there.",
    )


def unclear_length(found: str) -> RequestError:
    """It is not clear where a body ends: what is read as two requests by one program is one for another."""
    return RequestError.of(
        "REQUEST_INVALID",
        where="headers",
        expected="either one Content-Length or Transfer-Encoding: chunked",
        found=found,
        remedy="Send one of them. If a proxy added the other, update it.",
    )
