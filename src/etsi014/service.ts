// The HTTP side of ETSI GS QKD 014: limits, requests of admitted connections, orderly stop. TLS is the server's.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Socket } from "node:net";
import { FAULTS } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import type { Clock, Log, Meter } from "../core/ports.ts";
import type { KeyDoor } from "../keys/ports.ts";
import { Head } from "./container.ts";
import { makeHandler } from "./handler.ts";
import { Parts } from "./parts.ts";

/** How long an idle connection stays open; answers promise it. */
const KEEP_ALIVE_MS = 60_000;
/** Requests under way have this long to end at stop. */
const DRAIN_MS = 5000;

/** Options of the HTTP server: slow or large heads and bodies end the connection. */
export const HTTP_LIMITS = {
  maxHeaderSize: 8192,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: KEEP_ALIVE_MS,
  noDelay: true,
} as const;

export interface ServicePorts {
  readonly door: KeyDoor;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** Who is at the other end of an admitted connection. */
  readonly appOf: (socket: Socket) => AppId | undefined;
}

/**
 * Answers the requests of `server`, at most `maxConnections` at a time; `memory` is for answers with keys.
 * The function returned stops it: no new connections, requests under way drained, what is left cut off.
 */
export function serve(
  server: Server | HttpsServer,
  options: { readonly memory: Uint8Array; readonly maxConnections: number },
  ports: ServicePorts,
): () => Promise<void> {
  const { clock } = ports;
  const connections = new Set<Socket>();
  const underWay = new Set<ServerResponse>();
  let stopping = false;
  const closing = () => stopping;
  const outlet = { parts: new Parts(options.memory), head: new Head(clock, KEEP_ALIVE_MS), clock, closing };
  const handle = makeHandler({ ...ports, outlet });

  server.maxConnections = options.maxConnections;
  server.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  server.on("drop", () => ports.meter.add("connections_refused", { door: "etsi014", reason: "full" }));
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === "ECONNRESET" || error.code === "EPIPE") return void socket.destroy();
    ports.meter.add("frames_refused", { door: "etsi014", reason: REASONS[error.code ?? ""] ?? "malformed" });
    if ([...underWay].some((response) => response.socket === socket)) socket.destroy();
    else refuseBroken(socket);
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const app = ports.appOf(request.socket);
    if (app === undefined) return void request.socket.destroy();
    underWay.add(response);
    response.once("close", () => underWay.delete(response));
    handle(app, request, response);
  });

  return () => {
    stopping = true;
    return drain(server, connections, clock);
  };
}

/** Why node:http ended a connection, as the metrics name it. */
const REASONS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "head too large",
  ERR_HTTP_REQUEST_TIMEOUT: "too slow",
};

const BROKEN = JSON.stringify({ message: FAULTS.MALFORMED_REQUEST.text });
const BROKEN_ANSWER = `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${BROKEN.length}\r\n\r\n${BROKEN}`;

/** For what is no HTTP, too large a head, or too slow: strict clients know 400 only. */
function refuseBroken(socket: Socket): void {
  if (socket.writable) socket.write(BROKEN_ANSWER);
  socket.destroySoon();
}

async function drain(server: Server | HttpsServer, connections: ReadonlySet<Socket>, clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  const endDeadline = clock.after(DRAIN_MS, () => {
    for (const socket of connections) socket.destroy();
  });
  await promise;
  endDeadline();
}
