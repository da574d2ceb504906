import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { after, test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { listen, stop } from "../testing/hub.ts";
import { isPublicAddress } from "./addresses.ts";
import { createHttpClient, type HttpOptions, readBody } from "./http.ts";
import { createPolicy, defaultAllowedHosts } from "./policy.ts";

async function serve(listener: RequestListener) {
  const server = createServer(listener);
  const origin = await listen(server);
  after(() => stop(server));
  return { server, origin, port: new URL(origin).port };
}

function client(options: Partial<HttpOptions> & { allowed?: string[]; trusted?: string[] } = {}) {
  const { allowed = [], trusted = [], ...rest } = options;
  const http = createHttpClient({
    policy: createPolicy({ allowedHosts: allowed, trustedOrigins: trusted }),
    proxy: {},
    userAgent: "test",
    idleTimeoutMs: 5_000,
    ...rest,
  });
  after(() => http.close());
  return http;
}

test("knows public addresses from all others", () => {
  for (const address of [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
  ])
    assert.ok(isPublicAddress(address), address);
  for (const address of [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "localhost",
    "",
  ])
    assert.ok(!isPublicAddress(address), address);
});

test("lets through the hosts on the list, on https, and origins that the operator trusts", () => {
  const policy = createPolicy({
    allowedHosts: [...defaultAllowedHosts, "files.example:8443"],
    trustedOrigins: ["http://10.0.0.7:8080"],
  });
  const allowed = (url: string) => {
    try {
      policy.check(new URL(url));
      return true;
    } catch (error) {
      assert.ok(isHydrogenError(error, "MODEL_HOST_REFUSED", "MODEL_ADDRESS_REFUSED"), url);
      return false;
    }
  };
  for (const url of [
    "https://huggingface.co/a",
    "https://cas-bridge.xethub.hf.co/x",
    "https://cdn-lfs.huggingface.co/x",
    "https://CIVITAI.com/x",
    "https://files.example:8443/x",
    "http://10.0.0.7:8080/x",
  ])
    assert.ok(allowed(url), url);
  for (const url of [
    "http://huggingface.co/a",
    "https://huggingface.co:8443/a",
    "https://huggingface.co./a",
    "https://huggingface.co.evil.example/a",
    "https://evilhuggingface.co/a",
    "https://user@huggingface.co/a",
    "https://user:pass@huggingface.co/a",
    "https://files.example/x",
    "https://10.0.0.7:8080/x",
    "http://10.0.0.7/x",
    "ftp://huggingface.co/a",
    "file:///etc/passwd",
  ])
    assert.ok(!allowed(url), url);
});

test("with every host allowed, private addresses stay refused however they are written", async () => {
  const http = client({ allowed: ["*"] });
  for (const url of [
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/",
  ])
    await assert.rejects(http.get(new URL(url)), { code: "MODEL_ADDRESS_REFUSED" }, url);
});

test("refuses a public name that resolves to a private address, and connects to none of them", async () => {
  const { server, port } = await serve((_request, response) => response.end("secret"));
  let connections = 0;
  server.on("connection", () => connections++);
  const http = client({
    allowed: [`evil.example:${port}`],
    lookup: async () => [
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ],
  });
  await assert.rejects(http.get(new URL(`https://evil.example:${port}/`)), { code: "MODEL_ADDRESS_REFUSED" });
  assert.equal(connections, 0);
});

test("checks every hop of a redirect", async () => {
  const inside = await serve((_request, response) => response.end("secret"));
  let insideConnections = 0;
  inside.server.on("connection", () => insideConnections++);
  for (const [location, code] of [
    [`${inside.origin}/latest/meta-data`, "MODEL_HOST_REFUSED"],
    [`https://127.0.0.1:${inside.port}/`, "MODEL_ADDRESS_REFUSED"],
    [`https://inside.example:${inside.port}/`, "MODEL_ADDRESS_REFUSED"],
    ["https://elsewhere.example/", "MODEL_HOST_REFUSED"],
    ["file:///etc/passwd", "MODEL_HOST_REFUSED"],
    ["https://user:pass@inside.example/", "MODEL_HOST_REFUSED"],
    ["http://[", "MODEL_SERVER_INVALID"],
  ] as const) {
    const outside = await serve((_request, response) => response.writeHead(302, { location }).end());
    const http = client({
      trusted: [outside.origin],
      allowed: [`inside.example:${inside.port}`],
      lookup: async () => [{ address: "127.0.0.1", family: 4 }],
    });
    await assert.rejects(http.get(new URL(outside.origin)), { code }, location);
  }
  assert.equal(insideConnections, 0);
  const loop = await serve((_request, response) => response.writeHead(302, { location: "/" }).end());
  await assert.rejects(client({ trusted: [loop.origin] }).get(new URL(loop.origin)), {
    code: "MODEL_SERVER_INVALID",
  });
});

test("a token goes to the first origin only, and not back to it over another", async () => {
  const seen: [string, string | undefined][] = [];
  const other = await serve((request, response) => {
    seen.push([request.url!, request.headers.authorization]);
    response.writeHead(302, { location: `${home.origin}/back` }).end();
  });
  const home = await serve((request, response) => {
    seen.push([request.url!, request.headers.authorization]);
    if (request.url === "/") response.writeHead(307, { location: "/again" }).end();
    else if (request.url === "/again") response.writeHead(302, { location: `${other.origin}/other` }).end();
    else response.end("ok");
  });
  const http = client({ trusted: [home.origin, other.origin] });
  const response = await http.get(new URL(home.origin), { token: "secret" });
  assert.equal((await readBody(response, 10)).toString(), "ok");
  assert.deepEqual(seen, [
    ["/", "Bearer secret"],
    ["/again", "Bearer secret"],
    ["/other", undefined],
    ["/back", undefined],
  ]);
});

test("goes through the proxy of the environment, except where told not to", async () => {
  const proxied: string[] = [];
  const proxy = await serve((request, response) => {
    proxied.push(request.url!);
    response.end("from the proxy");
  });
  proxy.server.on("connect", (request, socket) => {
    proxied.push(request.url!);
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  const direct = await serve((_request, response) => response.end("direct"));
  const proxyUrl = `http://user:hunter2@127.0.0.1:${proxy.port}`;
  const http = client({
    allowed: ["huggingface.co"],
    trusted: ["http://mirror.example", direct.origin],
    proxy: { HTTPS_PROXY: proxyUrl, http_proxy: proxyUrl, NO_PROXY: "127.0.0.1" },
  });
  const viaProxy = await http.get(new URL("http://mirror.example/x"));
  assert.equal((await readBody(viaProxy, 100)).toString(), "from the proxy");
  await assert.rejects(http.get(new URL("https://huggingface.co/x")), (error) => {
    assert.ok(isHydrogenError(error, "MODEL_UNREACHABLE"));
    assert.ok(!String((error.cause as Error).message).includes("hunter2"));
    return true;
  });
  assert.deepEqual(proxied, ["http://mirror.example/x", "huggingface.co:443"]);
  assert.equal((await readBody(await http.get(new URL(direct.origin)), 100)).toString(), "direct");
});

test("gives up on silence, on endless small answers, and at once on abort", async () => {
  const silent = await serve(() => undefined);
  const http = client({ trusted: [silent.origin], idleTimeoutMs: 100 });
  await assert.rejects(http.get(new URL(silent.origin)), { code: "MODEL_UNREACHABLE" });
  const patient = client({ trusted: [silent.origin] });
  const aborter = new AbortController();
  const reason = new Error("enough");
  silent.server.once("request", () => aborter.abort(reason));
  await assert.rejects(patient.get(new URL(silent.origin), { signal: aborter.signal }), reason);
  const long = await serve((_request, response) => response.end("x".repeat(1_000)));
  const response = await client({ trusted: [long.origin] }).get(new URL(long.origin));
  await assert.rejects(readBody(response, 999), { code: "MODEL_SERVER_INVALID" });
});
