// What the page shows, and how it stands in the address: a finding can be sent as a link.

export const NORMALISERS = ["softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk"];
export const SECTIONS = ["matrix", "heads", "candidates", "beam", "self"];

let first = {}; // what a page shows at first in place of what stands below

/** Let the page begin with other values. They are not in its address; all others are. */
export function begin(fields) {
  first = fields;
}

export function initial() {
  return {
    text: "",
    runs: [], // names; empty: the first
    beam: 0, // 0: that of the run
    mask: [], // source words from 1
    uniform: [], // "layer.head", or "all"
    temperature: 1,
    normaliser: "",
    edits: {}, // by run: { prefix: [ids], attend: { "step:word": weight } }
    head: "auto", // or "mean", or "layer.head"
    shift: null, // 0: the step that writes a word; 1: the step that reads it; null: as the run has it
    unit: "words",
    layer: "attention", // or "attribution"
    confidence: false,
    gold: true,
    open: ["matrix", "candidates"],
    language: null,
    theme: null,
    ...first,
  };
}

export const editsOf = (state, run) => state.edits[run] ?? { prefix: [], attend: {} };

/** Whether the output of a run is another than its own. */
export function isChanged(state, run) {
  const { prefix, attend } = editsOf(state, run);
  return Boolean(
    state.mask.length || state.uniform.length || state.temperature !== 1 || state.normaliser || prefix.length || Object.keys(attend).length,
  );
}

export function withoutChanges(state) {
  return { ...state, mask: [], uniform: [], temperature: 1, normaliser: "", edits: {} };
}

export function toHash(state) {
  const fields = new URLSearchParams(), usual = initial();
  const set = (name, value) => value && fields.set(name, value);
  const names = (runs) => runs.map(encodeURIComponent).join(",");
  set("text", state.text);
  set("runs", names(state.runs) !== names(usual.runs) && names(state.runs));
  set("beam", state.beam && String(state.beam));
  set("mask", state.mask.join(","));
  set("uniform", state.uniform.join(","));
  set("temperature", state.temperature !== 1 && String(state.temperature));
  set("normaliser", state.normaliser);
  const edits = Object.fromEntries(
    Object.entries(state.edits).filter(([, { prefix, attend }]) => prefix.length || Object.keys(attend).length),
  );
  set("edits", Object.keys(edits).length && JSON.stringify(edits));
  set("head", state.head !== "auto" && state.head);
  set("shift", state.shift !== null && String(state.shift));
  set("unit", state.unit !== usual.unit && state.unit);
  set("layer", state.layer !== "attention" && state.layer);
  set("confidence", state.confidence !== usual.confidence && (state.confidence ? "1" : "0"));
  set("gold", !state.gold && "0");
  set("open", state.open.join(",") !== usual.open.join(",") && (state.open.join(",") || "none"));
  set("language", state.language);
  set("theme", state.theme);
  return `#${fields}`;
}

/** The state of an address. What makes no sense there is left out. */
export function fromHash(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, "")), state = initial();
  const get = (name) => fields.get(name) ?? "";
  const list = (name) => get(name).split(",").filter(Boolean);
  const oneOf = (name, values, otherwise) => (values.includes(get(name)) ? get(name) : otherwise);
  state.text = get("text");
  if (fields.has("runs")) state.runs = list("runs").map(decoded).filter(Boolean);
  const beam = Number(get("beam"));
  state.beam = Number.isInteger(beam) && beam >= 1 && beam <= 8 ? beam : 0;
  state.mask = list("mask").map(Number).filter(isCount);
  state.uniform = list("uniform").filter((one) => one === "all" || /^\d{1,4}\.\d{1,4}$/.test(one));
  const temperature = Number(get("temperature") || 1);
  state.temperature = temperature >= 0.01 && temperature <= 100 ? temperature : 1;
  state.normaliser = oneOf("normaliser", NORMALISERS, "");
  state.edits = editsFrom(get("edits"));
  state.head = /^(mean|\d{1,4}\.\d{1,4})$/.test(get("head")) ? get("head") : "auto";
  state.shift = { 0: 0, 1: 1 }[get("shift")] ?? null;
  state.unit = oneOf("unit", ["words", "subwords"], state.unit);
  state.layer = oneOf("layer", ["attribution"], "attention");
  if (fields.has("confidence")) state.confidence = get("confidence") === "1";
  state.gold = get("gold") !== "0";
  if (fields.has("open")) state.open = list("open").filter((one) => SECTIONS.includes(one));
  state.language = oneOf("language", ["en", "zh"], null);
  state.theme = oneOf("theme", ["light", "dark"], null);
  return state;
}

const isCount = (number) => Number.isInteger(number) && number >= 1 && number < 1e6;

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function editsFrom(text) {
  let tree = {};
  try {
    tree = JSON.parse(text || "{}");
  } catch {
    return {};
  }
  const edits = {};
  for (const [run, one] of Object.entries(tree ?? {})) {
    const prefix = Array.isArray(one?.prefix) ? one.prefix.filter((id) => Number.isInteger(id) && id >= 0) : [];
    const attend = Object.entries(one?.attend ?? {}).filter(([key, weight]) => /^\d+:\d+$/.test(key) && weight >= 0 && weight <= 1);
    edits[run] = { prefix, attend: Object.fromEntries(attend) };
  }
  return edits;
}
