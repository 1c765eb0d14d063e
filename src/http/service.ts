// HTTP at a door: limits, requests on admitted connections, orderly stop. TLS is the listener's, what requests mean the door's.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { FAULTS, type Fault } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import { forgetReadSoon } from "../core/memory/forget.ts";
import type { Clock, Meter } from "../core/ports.ts";
import { Head } from "./head.ts";
import { Parts } from "./parts.ts";
import type { Outlet } from "./send-keys.ts";
import { sendText } from "./send-text.ts";

/** What slow or large clients meet. Milliseconds and bytes. */
export const HTTP_LIMITS = {
  maxHeaderSize: 8192,
  /** For a whole head; also for the first byte of a connection. */
  headersTimeout: 10_000,
  /** For a whole request. */
  requestTimeout: 15_000,
  connectionsCheckingInterval: 2000,
  /** For the next request of an idle connection. */
  keepAliveTimeout: 60_000,
} as const;

/** Requests under way have this long to end at stop. */
export const DRAIN_MS = 5000;

/** Requests that may wait behind an unfinished one on a connection. */
const MOST_PIPELINED = 64;

/** One request of an authenticated application, and how it is answered. */
export interface HttpRequest {
  /** Who the certificate says. */
  readonly app: AppId;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly outlet: Outlet;
  /** Why nothing that it asks is done, at a key manager that is not its home. */
  readonly turnedAway: Fault | undefined;
}

/** Serves one request; the next of the same connection comes when its answer is out. Must not throw. */
export type Handler = (asked: HttpRequest) => void;

/** What every HTTP door is given: time, counters, log. */
export interface ServicePorts {
  readonly clock: Clock;
  readonly meter: Meter;
}

/** The door's name and the limits of its connections. */
export interface ServiceOptions {
  /** As counters name it. */
  readonly door: string;
  /** Where answers with keys are written. */
  readonly memory: Uint8Array;
  readonly limits?: Partial<typeof HTTP_LIMITS>;
  /** Keys come in bodies: what the connection brings is zeroed once node:http has read it. */
  readonly bringsKeys?: boolean;
}

interface Connection {
  readonly app: AppId;
  readonly turnedAway: Fault | undefined;
  /** Of the request that came last; they are answered in order. */
  last: ServerResponse | undefined;
}

function wipe(chunk: Uint8Array): void {
  chunk.fill(0);
  forgetReadSoon();
}

/** Serves connections whose certificate was examined. */
export class Service {
  readonly #http: Server;
  readonly #door: string;
  readonly #outlet: Outlet;
  readonly #handle: Handler;
  readonly #ports: ServicePorts;
  readonly #bringsKeys: boolean;
  readonly #connections = new Map<Socket, Connection>();
  readonly #waiting = new WeakMap<Socket, number>();
  readonly #gone = Promise.withResolvers<void>();
  #stopping = false;

  /** @throws RangeError when the memory is too small */
  constructor({ door, memory, limits, bringsKeys = false }: ServiceOptions, ports: ServicePorts, handle: Handler) {
    const { clock } = ports;
    const parts = new Parts(memory);
    const head = new Head(clock, HTTP_LIMITS.keepAliveTimeout);
    this.#door = door;
    this.#ports = ports;
    this.#bringsKeys = bringsKeys;
    this.#outlet = { parts, head, clock, closing: () => this.#stopping };
    this.#handle = handle;
    this.#http = createServer({ ...HTTP_LIMITS, ...limits }, (request, response) => this.#request(request, response));
    this.#http.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => this.#broken(error, socket));
    this.#http.on("connect", (_: IncomingMessage, socket: Socket) => this.#refuse(socket, "malformed"));
    // node:http watches over head and body timeouts from here on; it would itself when it listened.
    this.#http.emit("listening");
  }

  /** Takes a connection of `app` over, from which nothing was read. One that is turned away has one answer. */
  connected(socket: Socket, app: AppId, turnedAway?: Fault): void {
    if (this.#stopping) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, { app, turnedAway, last: undefined });
    socket.once("close", () => {
      this.#connections.delete(socket);
      this.#checkGone();
    });
    this.#http.emit("connection", socket);
    // Whoever listens too has node:http parse these chunks, and not read past them into a buffer of its own that it never
    // clears. It has copied what it passes on when it returns; this listener comes after its own.
    if (this.#bringsKeys) socket.on("data", wipe);
  }

  /** Ends idle connections, lets requests under way end, and cuts off what is left after `DRAIN_MS`. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const endDeadline = this.#ports.clock.after(DRAIN_MS, () => this.#cutOff());
    this.#http.close();
    this.#checkGone();
    await this.#gone.promise;
    endDeadline();
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const connection = this.#connections.get(socket);
    // node:http goes on with what the last chunk held after the socket is destroyed.
    if (connection === undefined || socket.destroyed) return;
    connection.last = response;
    const { app, turnedAway } = connection;
    if (turnedAway !== undefined) response.shouldKeepAlive = false;
    const asked: HttpRequest = { app, request, response, outlet: this.#outlet, turnedAway };
    const handle = isWellFormed(request) ? this.#handle : refuseHead;
    if (response.socket !== null) handle(asked);
    else this.#queue(socket, asked, handle);
  }

  /** Serves a pipelined request when the answer before it is out. */
  #queue(socket: Socket, asked: HttpRequest, handle: Handler): void {
    const before = this.#waiting.get(socket) ?? 0;
    if (before === MOST_PIPELINED) {
      this.#ports.meter.add("frames_refused", { door: this.#door, reason: "pipelined" });
      socket.destroy();
      return;
    }
    this.#waiting.set(socket, before + 1);
    asked.response.once("socket", () => {
      this.#waiting.set(socket, (this.#waiting.get(socket) ?? 1) - 1);
      handle(asked);
    });
  }

  /** What is no HTTP, too large or too slow: answered only when no answer is under way. */
  #broken(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === "ECONNRESET" || error.code === "EPIPE") {
      socket.destroy();
      return;
    }
    this.#refuse(socket, REASONS[error.code ?? ""] ?? "malformed");
  }

  /** Answers what cannot be understood and closes. While an earlier answer is under way there is no room for another. */
  #refuse(socket: Socket, reason: string): void {
    this.#ports.meter.add("frames_refused", { door: this.#door, reason });
    const last = this.#connections.get(socket)?.last;
    const hasRoom = last === undefined || last.destroyed || waitsForBody(last);
    if (socket.writable && hasRoom) socket.end(BROKEN_ANSWER, () => socket.destroy());
    else socket.destroy();
  }

  #checkGone(): void {
    if (this.#stopping && this.#connections.size === 0) this.#gone.resolve();
  }

  #cutOff(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }
}

/** Why node:http ended a connection, as the metrics name it. */
const REASONS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "head too large",
  ERR_HTTP_REQUEST_TIMEOUT: "too slow",
};

/** One Host at most (RFC 9112 3.2), and a version that we speak: llhttp lets 0.9 and 2.0 pass. */
function isWellFormed({ httpVersion, rawHeaders }: IncomingMessage): boolean {
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return false;
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts += 1;
  }
  return hosts <= 1;
}

const refuseHead: Handler = ({ response, outlet }) => sendText(outlet, response, 400, BROKEN, { Connection: "close" });

/** Whether a request whose body has not come whole has no answer yet: only a POST waits for its body. */
const waitsForBody = ({ socket, headersSent, req }: ServerResponse): boolean =>
  socket !== null && !headersSent && req.method === "POST" && !req.complete;

/** Strict clients know 400, 401 and 503 only. */
const BROKEN = JSON.stringify({ message: FAULTS.MALFORMED_REQUEST.text });
const BROKEN_ANSWER = [
  "HTTP/1.1 400 Bad Request",
  "Connection: close",
  "Content-Type: application/json",
  `Content-Length: ${BROKEN.length}`,
  "",
  BROKEN,
].join("\r\n");
