// The HTTP endpoints that Prometheus scrapes: GET /metrics, plain on the loopback address, over TLS for monitors with a certificate.

import { createServer, type Server, type ServerResponse } from "node:http";
import type { Audit, Log, Meter } from "../../core/ports.ts";
import type { TlsMaterial } from "../../net/tls/options.ts";
import { listenTls } from "../../net/tls-listener.ts";
import type { Metrics } from "./metrics.ts";

/** The open endpoint; dispose it to close it. */
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
  const server = metricsServer(metrics, log);
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

/** Where metrics are served over TLS, and to whom. */
export interface MonitoringOptions {
  /** Port 0 is any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts; the trust anchor is that of monitors. */
  readonly tls: TlsMaterial;
}

/** Log and counters of the endpoint. */
export interface MonitoringPorts {
  readonly log: Log;
  readonly meter: Meter;
  readonly audit?: Audit;
}

/**
 * The same over TLS, for who has a certificate `urn:qkm:monitor:<id>` of the trust anchor.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export async function startMonitoring(
  { listen, tls }: MonitoringOptions,
  metrics: Metrics,
  ports: MonitoringPorts,
): Promise<MetricsServer> {
  const server = metricsServer(metrics, ports.log);
  // node:http watches over head and body timeouts from here on; it would itself when it listened.
  server.emit("listening");
  const listener = await listenTls(
    { ...listen, door: "monitoring", tls, kind: "monitor", groups: GROUPS, maxConnections: MOST_CONNECTIONS },
    { ...ports, admit: () => undefined },
    (socket) => void server.emit("connection", socket),
  );
  return {
    port: listener.port,
    async [Symbol.asyncDispose]() {
      server.close();
      await listener[Symbol.asyncDispose]();
    },
  };
}

/** Prometheus of today's distributions has no hybrid group. */
const GROUPS = ["X25519MLKEM768", "X25519"] as const;

const LIMITS = { headersTimeout: 5000, requestTimeout: 5000, maxHeaderSize: 8192 } as const;

const metricsServer = (metrics: Metrics, log: Log): Server =>
  createServer(LIMITS, (request, response) => {
    if (request.url !== "/metrics") say(response, 404, "the metrics are at /metrics\n");
    else if (request.method !== "GET") say(response, 405, "GET only\n", { Allow: "GET" });
    else void answer(metrics, response, log);
  });

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
