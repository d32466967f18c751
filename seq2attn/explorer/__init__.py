"""The explorer: a page in plain modules of JavaScript that shows what a model reads, and what a change does.

`index.html` is the page of a server; `bundle` makes one file of it. Nothing is built and nothing is loaded
from elsewhere. `engine/interface.js` says what the page asks of an engine.
"""
