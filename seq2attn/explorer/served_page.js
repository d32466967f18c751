// The page of a server: the engine asks where the page came from.

import { ServedEngine } from "./engine/served.js";
import { start } from "./page/app.js";

start(new ServedEngine());
