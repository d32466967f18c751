// A page that stands by itself and shows answers that were recorded.

import { RecordedEngine } from "./engine/recorded.js";
import { start } from "./page/app.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);

start(new RecordedEngine(read("answers"), read("about")));
