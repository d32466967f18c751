// The engine alone in a page, for tests that ask it from outside: no explorer is drawn.

import { Engine } from "../../seq2attn/explorer/model/engine.js";
import { fromBase64, fromHalf } from "../../seq2attn/explorer/model/tensors.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);

globalThis.engine = new Engine(read("run"), fromHalf(fromBase64(read("parameters"))));
