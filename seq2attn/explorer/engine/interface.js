// What the page asks of an engine. An engine answers questions about one model or several: a server, answers that
// stand in the page, or a model that runs in the browser.
//
//   engine.explain(request, { signal, image })   async; the answer, or an Error whose message is one line for people.
//       `request` and answer are the JSON of POST /explain, see docs/explorer.md. `signal` is an AbortSignal: the
//       page wants the newest answer alone. `image` is a File or Blob, for a run of images; the request then has no
//       text.
//
// All else is optional:
//
//   engine.runs()      async; [{ name, kind: "text" | "images", model, languages: [source, target], beam, attends,
//                      example }]. `example`: a text to begin with, or null. Without it there is one run, and
//                      requests name none.
//   engine.parts       the names that `request.parts` may hold. Without it: all.
//   engine.changes     false: it cannot force, hide, weigh or sharpen anything. The page then offers none of that.
//   engine.texts       the only texts that it answers, for the page to offer. Without it: any text.
//   engine.hasLinks    true: some answers have gold links.
//   engine.title       of the page, and
//   engine.view        what it shows first: fields of the state, see page/state.js.
//   engine.key         what a server may want. An Error of it with `needsKey` makes the page ask for one.

export const PARTS = ["self_attention", "candidates", "beam", "attribution", "confidence", "picture"];

/** The engine with a value for everything that it leaves out. */
export function completed(engine) {
  return {
    explain: (request, options) => engine.explain(request, options),
    runs: engine.runs ? () => engine.runs() : async () => [{ name: "", kind: "text", languages: [null, null] }],
    parts: engine.parts ?? PARTS,
    changes: engine.changes ?? true,
    texts: engine.texts ?? null,
    hasLinks: engine.hasLinks ?? false,
    title: engine.title ?? null,
    view: engine.view ?? {},
    enter: (key) => (engine.key = key),
  };
}
