"""Starlette with a page for everybody and one at /admin."""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def admin(_):
    print("ADMIN", flush=True)
    return PlainTextResponse("the admin page")


async def open_page(_):
    return PlainTextResponse("the open page")


app = Starlette(routes=[Route("/admin", admin), Route("/open", open_page)])
