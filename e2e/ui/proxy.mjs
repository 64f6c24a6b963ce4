// A TCP proxy between a browser and a coordinator that fails as networks and other proxies do.
import { createServer, connect } from "node:net";
import { once } from "node:events";

/**
 * Starts a proxy. `mode` says what it does with bytes of the coordinator: pass, blackhole (it keeps all
 * connections open and passes nothing), buffer (it passes nothing before it has 64 KiB), refuse.
 */
export const startProxy = async (t, target) => {
  const { hostname, port } = new URL(target);
  const sockets = new Set();
  const proxy = { mode: "pass" };
  const server = createServer((client) => {
    if (proxy.mode === "refuse") return client.destroy();
    const upstream = connect(Number(port), hostname);
    let kept = [];
    let size = 0;
    for (const s of [client, upstream]) {
      sockets.add(s);
      s.on("error", () => {});
      s.on("close", () => { sockets.delete(s); client.destroy(); upstream.destroy(); });
    }
    client.on("data", (b) => { if (proxy.mode !== "blackhole") upstream.write(b); });
    upstream.on("data", (b) => {
      if (proxy.mode === "blackhole") return;
      kept.push(b);
      size += b.length;
      if (proxy.mode === "buffer" && size < 64 << 10) return;
      for (const k of kept) client.write(k);
      kept = [];
      size = 0;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { for (const s of sockets) s.destroy(); server.close(); });
  return Object.assign(proxy, {
    http: `http://127.0.0.1:${server.address().port}`,
    /** Breaks all connections. */
    cut: () => { for (const s of sockets) s.destroy(); },
  });
};
