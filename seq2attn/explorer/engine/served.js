// An engine that asks the server which the page came from.

export class ServedEngine {
  /** `key`: what a server wants that was started with an API key. */
  constructor(address = "", key = null) {
    this.address = address;
    this.headers = key ? { authorization: `Bearer ${key}` } : {};
  }

  async runs() {
    return json(await fetch(`${this.address}/runs`, { headers: this.headers }));
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
    const headers = { ...this.headers, "content-type": type };
    return json(await fetch(`${this.address}${path}`, { method: "POST", body, headers, signal }));
  }
}

async function json(response) {
  const tree = await response.json().catch(() => null);
  if (!response.ok) throw new Error(tree?.error ?? `${response.status} ${response.statusText}`);
  if (tree === null) throw new Error("the answer of the server is no JSON");
  return tree;
}
