// The HTTP endpoint that Prometheus scrapes: GET /metrics, meant for the loopback address.

import { createServer, type Server, type ServerResponse } from "node:http";
import type { Log } from "../../core/ports.ts";
import type { Metrics } from "./metrics.ts";

export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
}

const MOST_CONNECTIONS = 16;

/** @throws Error when the address cannot be listened on */
export async function startMetrics(
  listen: { readonly host: string; readonly port: number },
  metrics: Metrics,
  log: Log,
): Promise<MetricsServer> {
  const server = createServer({ headersTimeout: 5000, requestTimeout: 5000 }, (request, response) => {
    if (request.url !== "/metrics") say(response, 404, "the metrics are at /metrics\n");
    else if (request.method !== "GET") say(response, 405, "GET only\n", { Allow: "GET" });
    else void answer(metrics, response, log);
  });
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, () => resolve());
  });
  return {
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(metrics: Metrics, response: ServerResponse, log: Log): Promise<void> {
  try {
    say(response, 200, await metrics.text(), { "Content-Type": metrics.contentType });
  } catch (err) {
    log.error({ err }, "the metrics could not be collected");
    say(response, 500, "the metrics could not be collected; the log says why\n");
  }
}

function say(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  const length = { "Content-Length": String(Buffer.byteLength(text)) };
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8", ...length, ...headers }).end(text);
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the metrics endpoint has no port");
  return address.port;
}
