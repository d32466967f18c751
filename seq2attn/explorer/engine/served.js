// An engine that asks the server which the page came from.

const STORE = "seq2attn-api-key";

export class ServedEngine {
  constructor(address = "") {
    this.address = address;
  }

  /** The key of a server that wants one. This tab alone remembers it, and no address has it. */
  get key() {
    return sessionStorage.getItem(STORE) ?? "";
  }

  set key(key) {
    sessionStorage.setItem(STORE, key);
  }

  async runs() {
    return json(await fetch(`${this.address}/runs`));
  }

  async explain(request, { signal, image } = {}) {
    if (image) {
      const query = new URLSearchParams({ request: JSON.stringify(request) });
      const type = image.type.startsWith("image/") ? image.type : "application/octet-stream";
      return this.post(`/explain?${query}`, image, type, signal);
    }
    return this.post("/explain", JSON.stringify(request), "application/json", signal);
  }

  async post(path, body, type, signal) {
    const headers = { "content-type": type, ...(this.key && { authorization: `Bearer ${this.key}` }) };
    return json(await fetch(`${this.address}${path}`, { method: "POST", body, headers, signal }));
  }
}

async function json(response) {
  const tree = await response.json().catch(() => null);
  if (!response.ok) throw Object.assign(new Error(tree?.error ?? `${response.status} ${response.statusText}`), { needsKey: response.status === 403 });
  if (tree === null) throw new Error("the answer of the server is no JSON");
  return tree;
}
