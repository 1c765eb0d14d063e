// Sends what is in the spool to a syslog server over TLS, and dials it again when it is away.

import { once } from "node:events";
import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import type { Clock, Log } from "../../core/ports.ts";
import { Backoff } from "../../net/backoff.ts";
import type { Spool } from "./spool.ts";

/** Where the copy of the log goes (RFC 5425), and whom to trust there. */
export interface SyslogServer {
  readonly host: string;
  readonly port: number;
  /** PEM: who signs the server's certificate, and what is shown to it, if it wants one. */
  readonly trust: string;
  readonly own: { readonly certificate: string; readonly key: string } | undefined;
}

/** What the sender works with. */
export interface SenderPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly fraction: () => number;
}

const CONNECT_MS = 10_000;
/** A server that takes nothing for so long is dialled again. */
const STALLED_MS = 30_000;

/** Sends what lies in the spool, in its order, and connects again when the server was away. */
export class Sender {
  readonly #server: SyslogServer;
  readonly #spool: Spool;
  readonly #ports: SenderPorts;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  /** Wakes whoever waits for frames, or for the end of the connection. */
  #wake: () => void = () => {};
  isConnected = false;

  /** Begins at once. */
  constructor(server: SyslogServer, spool: Spool, ports: SenderPorts) {
    this.#server = server;
    this.#spool = spool;
    this.#ports = ports;
    spool.onFrames(() => this.#wake());
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const backoff = new Backoff(this.#ports.fraction);
    const { host, port } = this.#server;
    let isAway = false;
    while (!this.#stop.signal.aborted) {
      const begun = this.#ports.clock.monotonicMs();
      const why = await this.#talk(() => {
        if (isAway) this.#ports.log.info({ server: `${host}:${port}` }, "the syslog server is back");
        isAway = false;
      }).catch((thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)));
      this.isConnected = false;
      if (this.#stop.signal.aborted) return;
      if (!isAway)
        this.#ports.log.warn({ server: `${host}:${port}`, why }, "the syslog server is away; lines are kept for it");
      isAway = true;
      backoff.lived(this.#ports.clock.monotonicMs() - begun);
      await this.#pause(backoff.nextMs());
    }
  }

  /** One connection, until it ends: gives why. @throws Error when there was none */
  async #talk(connected: () => void): Promise<string> {
    const { host, port, trust, own } = this.#server;
    const socket = connect({
      ...{ host, port, ca: trust, minVersion: "TLSv1.2", ...(isIP(host) === 0 && { servername: host }) },
      ...(own && { cert: own.certificate, key: own.key }),
    });
    const end = endOf(socket);
    const abort = (): void => void socket.destroy();
    this.#stop.signal.addEventListener("abort", abort);
    try {
      socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error("no answer")));
      await Promise.race([once(socket, "secureConnect"), end.then((why) => Promise.reject(new Error(why)))]);
      socket.setTimeout(0);
      // Nothing is awaited from it; reading shows when it goes.
      socket.resume();
      this.isConnected = true;
      connected();
      void end.then(() => this.#wake());
      return await Promise.race([end, this.#sendOn(socket)]);
    } finally {
      this.#stop.signal.removeEventListener("abort", abort);
      socket.destroy();
    }
  }

  /** Never ends by itself but when the server takes nothing. */
  async #sendOn(socket: TLSSocket): Promise<string> {
    for (;;) {
      const awaited = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const next = await this.#spool.peek();
      if (socket.destroyed) return "closed";
      if (next === undefined) {
        // Nothing is hung on the socket here: it would stay there for the connection's life, one for each line.
        await awaited;
        continue;
      }
      const isTaken = await this.#write(socket, next.bytes);
      if (!isTaken) return "it takes nothing";
      next.sent();
    }
  }

  async #write(socket: TLSSocket, bytes: Buffer): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cancel = this.#ports.clock.after(STALLED_MS, () => resolve(false));
    socket.write(bytes, (error) => resolve(error == null));
    const isTaken = await promise;
    cancel();
    return isTaken;
  }

  #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#ports.clock.after(ms, resolve);
    this.#stop.signal.addEventListener("abort", () => resolve(), { once: true });
    return promise.finally(cancel);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#running;
  }
}

/** Resolves with why the socket has closed. */
const endOf = (socket: TLSSocket): Promise<string> =>
  new Promise((resolve) => {
    let why = "it closed the connection";
    socket.on("error", ({ message }) => {
      why = message;
    });
    socket.once("close", () => resolve(why));
  });
