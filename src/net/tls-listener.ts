// Accepts TLS connections, examines who is there, and hands over those that are admitted.

import { createServer, type Server } from "node:net";
import type { TLSSocket } from "node:tls";
import { type AdmittedPeer, Gate } from "./gate.ts";
import { type ListenOptions, type NetPorts, TIMING } from "./tls/options.ts";

/** An open listener; dispose it to close it and its connections. */
export interface Listener extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Connections open or on their way. */
  readonly connections: number;
}

/**
 * Listens, and calls `admitted` with each socket that is through: nothing was read from it, errors are handled, and it
 * is destroyed with the listener. An HTTP server takes it with `server.emit("connection", socket)`.
 * @throws Error when the address cannot be listened on or the certificates cannot be used
 */
export async function listenTls(
  options: ListenOptions,
  ports: NetPorts,
  admitted: (socket: TLSSocket, peer: AdmittedPeer) => void,
): Promise<Listener> {
  const gate = new Gate(options, ports, admitted);
  const { keepAliveMs } = { ...TIMING, ...options.timing };
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }, (socket) =>
    gate.accept(socket),
  );
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  // From now on an error is one of accepting, such as too many open files; the listener goes on.
  server.on("error", (error) => ports.log.error({ door: options.door }, `a connection was lost: ${error.message}`));
  return listenerOf(server, gate);
}

function listenerOf(server: Server, gate: Gate): Listener {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a listener has no address");
  return {
    host: address.address,
    port: address.port,
    get connections() {
      return gate.connections;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      gate.close();
      await closed;
    },
  };
}
