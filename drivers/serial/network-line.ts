// One opened line that another machine passes on over TCP, such as ser2net: the same bytes as on the serial port.

import { connect, type Socket } from "node:net";
import type { NetworkPort } from "../../src/core/places/network-port.ts";
import { PortError } from "../../src/core/places/usb-port.ts";
import type { OpenLine } from "../../src/kq/host/reopen.ts";

const CONNECT_MS = 5_000;
/** Silence after which TCP asks whether the other machine is still there. */
const KEEP_ALIVE_MS = 5_000;

/** Bytes both ways until either end closes it; it never comes back. Only its Kq is protected: it needs a pairing key. */
export class NetworkLine implements OpenLine {
  readonly #socket: Socket;

  /** @throws PortError when nobody answers there */
  static async open({ host, port }: NetworkPort): Promise<NetworkLine> {
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error("no answer")), CONNECT_MS);
    socket.once("connect", resolve);
    // Stays, so that an error that comes later is never unhandled: `close` follows it.
    socket.on("error", reject);
    try {
      await promise;
      return new NetworkLine(socket);
    } catch (cause) {
      socket.destroy();
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PortError(`nobody passes the module's line on at ${host}:${port} (${reason}); is ser2net running?`);
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Lends each chunk to `each`; returns when the line has ended. */
  async read(each: (chunk: Buffer) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.on("close", () => resolve());
    this.#socket.on("end", () => this.#socket.destroy());
    this.#socket.on("data", (chunk: Buffer) => {
      try {
        each(chunk);
      } catch (thrown) {
        reject(thrown);
        this.#socket.destroy();
      } finally {
        // Node gives memory of its own for each chunk: what was in it is zeroed.
        chunk.fill(0);
      }
    });
    if (this.#socket.destroyed) resolve();
    await promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#socket.once("close", resolve);
      this.#socket.write(bytes, () => {
        this.#socket.off("close", resolve);
        resolve();
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
  }
}
