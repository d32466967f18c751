// The page of a server: the engine asks where the page came from. Where the server wants a key, the address of the
// page has it: /?api_key=KEY

import { ServedEngine } from "./engine/served.js";
import { start } from "./page/app.js";

start(new ServedEngine("", new URLSearchParams(location.search).get("api_key")));
