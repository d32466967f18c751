// An engine that asks the server which the page came from.

export class ServedEngine {
  constructor(address = "") {
    this.address = address;
  }

  async runs() {
    return json(await fetch(`${this.address}/runs`));
  }

  async explain(request, { signal, image } = {}) {
    if (image) {
      const query = new URLSearchParams({ request: JSON.stringify(request) });
      const type = image.type.startsWith("image/") ? image.type : "application/octet-stream";
      const options = { method: "POST", body: image, headers: { "content-type": type }, signal };
      return json(await fetch(`${this.address}/explain?${query}`, options));
    }
    const headers = { "content-type": "application/json" };
    return json(await fetch(`${this.address}/explain`, { method: "POST", body: JSON.stringify(request), headers, signal }));
  }
}

async function json(response) {
  const tree = await response.json().catch(() => null);
  if (!response.ok) throw new Error(tree?.error ?? `${response.status} ${response.statusText}`);
  if (tree === null) throw new Error("the answer of the server is no JSON");
  return tree;
}
