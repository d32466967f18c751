"""The LibreTranslate protocol: /languages, /translate, /detect and /frontend/settings.

Texts are split into lines and sentences; sentences of all requests are translated together. Fields beside the
protocol's: `run` chooses a run by its name, and answers may have `truncatedTokens`, the number of subwords
that were not read because a sentence was too long.
"""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seq2attn.data.text.paragraphs import Part, put_together, take_apart
from seq2attn.inference.results import Translation
from seq2attn.serving import asked
from seq2attn.serving.detection import Guess
from seq2attn.serving.errors import Refusal, short
from seq2attn.serving.languages import name_of
from seq2attn.serving.runs import ServedRun
from seq2attn.serving.service import Service
from seq2attn.serving.work import Detect, Translate

AUTO = "auto"
FORMATS = ("text", "html")


class LibreTranslate:
    """The routes of the protocol."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def languages(self, request: Request) -> Response:
        targets = self._service.runs.targets
        codes = dict.fromkeys([*targets, *(code for codes in targets.values() for code in codes)])
        every = [{"code": code, "name": name_of(code), "targets": targets.get(code, [])} for code in codes]
        return JSONResponse(every)

    async def settings(self, request: Request) -> Response:
        """What a web page of the protocol asks first."""
        texts = self._service.runs.of("text")
        pair: list[dict[str, str]] = [{"code": AUTO, "name": "Auto Detect"}] * 2
        if texts:
            pair = [{"code": code, "name": name_of(code)} for code in (texts[0].source, texts[0].target)]
        needs_key = bool(self._service.keys)
        return JSONResponse(
            {
                "apiKeys": needs_key,
                "keyRequired": needs_key,
                "charLimit": self._service.limits.characters,
                "frontendTimeout": 500,
                "suggestions": False,
                "filesTranslation": False,
                "supportedFilesFormat": [],
                "language": {"source": pair[0], "target": pair[1]},
            }
        )

    async def detect(self, request: Request) -> Response:
        fields = await self._service.fields(request)
        texts = asked.texts(fields, self._service.limits)
        sources = self._service.runs.sources
        if len(sources) < 2:
            only = f"runs read {sources[0]} alone" if sources else "no run reads text"
            raise Refusal(400, f"q: there is nothing to detect, because {only}")
        if not all(any(map(str.isalnum, text)) for text in texts):
            raise Refusal(400, "q: it has no letter")
        guesses = await self._guess(request, texts)
        answers = [[_as_json(guess) for guess in of_text] for of_text in guesses]
        return JSONResponse(answers if isinstance(fields["q"], list) else answers[0])

    async def translate(self, request: Request) -> Response:
        fields = await self._service.fields(request)
        limits = self._service.limits
        texts = asked.texts(fields, limits)
        of_html = asked.choice(fields, "format", FORMATS) == "html"
        count = asked.whole(fields, "alternatives", 0, 0, limits.alternatives)
        runs, guesses = await self._choose(request, fields, texts)
        parts = [take_apart(text, of_html) for text in texts]
        ranked = await self._translate(request, runs, parts, count + 1)
        best, others, truncated = [], [], 0
        for run, of_text, results in zip(runs, parts, ranked, strict=True):
            versions = [
                put_together(of_text, _version(results, place), run.target) for place in range(count + 1)
            ]
            distinct = list(dict.fromkeys(versions))
            best.append(distinct[0])
            others.append(distinct[1:])
            truncated += sum(each[0].truncated_tokens for each in results)
        single = not isinstance(fields["q"], list)
        answer: dict[str, Any] = {"translatedText": best[0] if single else best}
        if count:
            answer["alternatives"] = others[0] if single else others
        if guesses is not None:
            answer["detectedLanguage"] = guesses[0] if single else guesses
        if truncated:
            answer["truncatedTokens"] = truncated
        return JSONResponse(answer)

    async def _choose(
        self, request: Request, fields: dict[str, Any], texts: Sequence[str]
    ) -> tuple[list[ServedRun], list[dict[str, Any]] | None]:
        """The run that translates each text, and where languages were detected, which."""
        runs = self._service.runs
        if not runs.of("text"):
            raise Refusal(400, "this server has no run of text")
        if not asked.is_empty(fields.get("run")):
            return [runs.named(fields["run"], "text")] * len(texts), None
        for name in ("source", "target"):
            if not isinstance(fields.get(name), str):
                raise Refusal(400, f"{name}: the code of a language is needed, as /languages lists it")
        source, target = fields["source"].strip().lower(), fields["target"].strip().lower()
        if source == AUTO:
            if len(runs.sources) == 1:  # nothing to compute, and yet clients read what it is
                (only,) = runs.sources
                guesses = [_as_json(Guess(only, 1.0))] * len(texts)
                return [runs.between(only, target)] * len(texts), guesses
            readers = [code for code, targets in runs.targets.items() if target in targets]
            if not readers:
                raise Refusal(400, f"target {short(target)} is not supported")
            guesses = [_as_json(of_text[0]) for of_text in await self._guess(request, texts)]
            return [runs.between(guess["language"], target) for guess in guesses], guesses
        if source not in runs.sources:
            raise Refusal(400, f"source {short(source)} is not supported; choose {', '.join(runs.sources)}")
        return [runs.between(source, target)] * len(texts), None

    async def _guess(self, request: Request, texts: Sequence[str]) -> list[list[Guess]]:
        return await self._service.compute(request, Detect(tuple(self._service.runs.of("text"))), texts)

    async def _translate(
        self, request: Request, runs: Sequence[ServedRun], parts: Sequence[Sequence[Part]], count: int
    ) -> list[list[list[Translation]]]:
        """The translations of each sentence of each text. Those of one run are asked for together."""
        results: list[list[list[Translation]]] = [[] for _ in parts]
        for run in dict.fromkeys(runs):
            texts = [number for number, own in enumerate(runs) if own is run]
            owners = [number for number in texts for part in parts[number] if part.sentence]
            sentences = [part.content for number in texts for part in parts[number] if part.sentence]
            ranked = await self._service.compute(request, Translate(run, count), sentences)
            for number, each in zip(owners, ranked, strict=True):
                results[number].append(each)
        return results


def _version(results: Sequence[Sequence[Translation]], place: int) -> list[str]:
    """The sentences of the alternative of that number; a sentence with fewer has its last."""
    return [ranked[min(place, len(ranked) - 1)].text for ranked in results]


def _as_json(guess: Guess) -> dict[str, Any]:
    return {"confidence": round(100 * guess.probability, 1), "language": guess.language}
