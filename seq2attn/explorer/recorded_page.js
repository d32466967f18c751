// A page that stands by itself and shows answers that were recorded.

import { RecordedEngine } from "./engine/recorded.js";
import { start } from "./page/app.js";

start(new RecordedEngine(JSON.parse(document.getElementById("answers").textContent)));
