"""A server of the explorer for tests: the page's own files, and `seq2attn.explain` behind /explain."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import seq2attn
from seq2attn.errors import UserError
from seq2attn.explaining.explanation import explain

FOLDER = Path(seq2attn.__file__).parent / "explorer"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)


@contextmanager
def served(predictors: Mapping[str, Any]) -> Iterator[str]:
    """The address of a server of these runs."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = urlsplit(self.path).path.lstrip("/") or "index.html"
            if name == "runs":
                return self.answer(200, [_about(name, one) for name, one in predictors.items()])
            path = FOLDER / name
            if path.suffix not in TYPES or not path.is_file():
                return self.answer(404, {"error": "there is no such file"})
            return self.send(200, TYPES[path.suffix], path.read_bytes())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            query = parse_qs(urlsplit(self.path).query)
            tree = json.loads(query["request"][0]) if query else json.loads(body)
            predictor = predictors[tree.pop("run", next(iter(predictors)))]
            name = next(name for name, one in predictors.items() if one is predictor)
            source = body if query else tree.pop("text")
            try:
                with lock:
                    done = explain(predictor, source, run=name, **tree).to_dict()
            except UserError as error:
                return self.answer(400, {"error": str(error)})
            return self.answer(200, done)

        def answer(self, status: int, tree: Any) -> None:
            self.send(status, "application/json", json.dumps(tree).encode())

        def send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", f"{kind}; charset=utf-8")
            self.send_header("content-length", str(len(content)))
            self.send_header("content-security-policy", POLICY)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _about(name: str, predictor: Any) -> dict[str, Any]:
    model = predictor.config.model
    return {
        "name": name,
        "kind": model.modality.name,
        "model": model.decoder.kind,
        "languages": list(predictor.languages),
        "beam": predictor.config.search.beam,
        "attends": predictor.attends,
    }
