// The page that holds a model and runs it: the engine reads what stands in the page itself.

import { start } from "../page/app.js";
import { Engine } from "./engine.js";
import { fromBase64, fromHalf } from "./tensors.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);

// one turn later, so that the browser shows the page before the numbers are read
setTimeout(() => {
  try {
    start(new Engine(read("run"), fromHalf(fromBase64(read("parameters")))));
  } catch (error) {
    document.getElementById("status").textContent = error.message;
  }
});
