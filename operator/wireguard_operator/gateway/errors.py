"""How failures are answered: always ``{"detail": "a sentence"}`` with the status that the contract has for them."""

from __future__ import annotations

import logging
import math
import traceback
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from ..kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, KubeError, NotFound, TooManyRequests, Unavailable

logger = logging.getLogger(__name__)
RETRY_SECONDS = "2"
UNAVAILABLE = "the API server does not answer; nothing is known to have changed, try again"


class Detail(BaseModel):
    """Why not."""

    detail: str


class Refusal(HTTPException):
    """An answer other than success: status, sentence, headers."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


def too_many(seconds: float) -> Refusal:
    """429, and when to come again."""
    after = max(1, math.ceil(seconds))
    return Refusal(429, f"too many requests; try again in {after} s", {"Retry-After": str(after)})


def install(app: FastAPI) -> None:
    """Have the application answer in this form."""
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(KubeError, _kube)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - what it was registered for
    detail = error.detail
    if error.status_code == 404 and detail == "Not Found":
        detail = f"there is nothing at {request.url.path}; /docs lists what there is"
    elif error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}; /docs lists what is"
    return JSONResponse({"detail": detail}, error.status_code, error.headers)


async def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return JSONResponse({"detail": "; ".join(map(sentence_of, error.errors()))}, 422)


def sentence_of(entry: dict[str, Any]) -> str:
    """Field and fault. The value is left out: it may be a key that was put into the wrong field."""
    place = ".".join(str(part) for part in entry["loc"] if part not in ("body", "query", "path", "header"))
    if entry["type"] == "json_invalid":
        return f"the body is not JSON: {entry.get('ctx', {}).get('error', entry['msg'])}"
    message = str(entry["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


async def _kube(_: Request, error: Exception) -> JSONResponse:
    match error:
        case TooManyRequests() | Unavailable():
            logger.warning("answered 503: %s", error)
            return JSONResponse({"detail": UNAVAILABLE}, 503, {"Retry-After": RETRY_SECONDS})
        case Forbidden():
            # Not the caller's rights, which were looked at before: the gateway's own.
            logger.error("answered 503, the gateway's ServiceAccount may not: %s", error)
            return JSONResponse({"detail": "the gateway may not do this in this tenant; its log says why"}, 503)
        case NotFound():
            return JSONResponse({"detail": "the object is not there any more"}, 404)
        case AlreadyExists():
            return JSONResponse({"detail": "there is an object of that name"}, 409)
        case Conflict():
            return JSONResponse({"detail": "the object was changed meanwhile; read it and try again"}, 409)
        case Invalid():
            return JSONResponse({"detail": str(error)}, 422)
    logger.error("answered 500: %s", error)
    return JSONResponse({"detail": "the API server's answer was not understood; the log has it"}, 500)


def unexpected(error: Exception) -> JSONResponse:
    """500. The log has the place but not the exception's text, which may quote a body."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("answered 500: %s at\n%s", type(error).__name__, frames)
    return JSONResponse({"detail": "the gateway failed; its log has the request id"}, 500)
