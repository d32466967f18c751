"""A small server of trained runs: the LibreTranslate protocol, captions, explanations, and a page.

It needs Starlette and uvicorn, which the extra `serve` installs. `server.Server` is the way in; `application`
has the routes.
"""
