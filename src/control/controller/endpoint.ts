// The QKDN controller's endpoint: HTTPS with a trust anchor of its own, on which the controller reads the node and sets routes.

import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Fault } from "../../core/fault.ts";
import type { TlsMaterial } from "../../net/tls/options.ts";
import { listenTls } from "../../net/tls-listener.ts";
import { type HandlerPorts, handle } from "./handler.ts";

/** Where the controller's door listens, and its certificates. */
export interface ControllerOptions {
  /** Port 0 is any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts; the trust anchor is that of controllers. */
  readonly tls: TlsMaterial;
}

/** The controller's door while it is open. */
export interface ControllerServer extends AsyncDisposable {
  readonly port: number;
  /** Connections open or on their way. */
  readonly connections: number;
}

const MOST_CONNECTIONS = 16;
/** What slow or large clients meet. Milliseconds and bytes. */
const LIMITS = {
  maxHeaderSize: 8192,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: 60_000,
} as const;
/** A connection on which nothing moves while it should. */
const STALLED_MS = 30_000;
/** Changes under way have this long to end at stop. */
const DRAIN_MS = 2000;

/**
 * Listens; dispose lets changes under way end, then closes.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export async function startController(options: ControllerOptions, ports: HandlerPorts): Promise<ControllerServer> {
  const controllers = new WeakMap<Socket, string>();
  const underWay = new Set<Promise<void>>();
  const http = createServer(LIMITS, (request, response) => {
    const answered = handle(ports, controllers.get(request.socket) ?? "", request, response).finally(() => {
      underWay.delete(answered);
    });
    underWay.add(answered);
  });
  watch(http, ports);
  // Every controller that the trust anchor has signed is one.
  const admit = (): Fault | undefined => undefined;
  const { listen, tls } = options;
  const groups = ["X25519MLKEM768", "X25519"] as const;
  const listener = await listenTls(
    { ...listen, door: "controller", tls, kind: "controller", groups, maxConnections: MOST_CONNECTIONS },
    { ...ports, admit },
    (socket, peer) => {
      controllers.set(socket, peer.id);
      http.emit("connection", socket);
    },
  );
  return {
    port: listener.port,
    get connections() {
      return listener.connections;
    },
    async [Symbol.asyncDispose]() {
      http.close();
      await withinMs(DRAIN_MS, Promise.all(underWay));
      await listener[Symbol.asyncDispose]();
    },
  };
}

function watch(http: Server, { meter }: HandlerPorts): void {
  http.setTimeout(STALLED_MS);
  http.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const isGone = error.code === "ECONNRESET" || error.code === "EPIPE";
    if (!isGone) meter.add("frames_refused", { door: "controller", reason: "malformed" });
    socket.destroy();
  });
  // node:http watches over head and body timeouts from here on; it would itself when it listened.
  http.emit("listening");
}

async function withinMs(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
