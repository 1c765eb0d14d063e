// Sockets of those that were refused: they stay for a while, so that the peer can read why.

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { freeTls, varied } from "./arrival.ts";

/** After a refusal the peer has this long to read why before the socket is destroyed. */
const LINGER_MS = 1_000;

/** Under pressure a refusal comes so much later, about. */
const HELD_MS = 5_000;
const MOST_PARTING = 1_024;
/** Who is at the wrong key manager has this long to ask something and be told. */
const TURN_AWAY_MS = 10_000;
/** Of those, at a time; the oldest makes room. */
const MOST_TURNED_AWAY = 64;

/** Those that are sent off with an alert, and those that are told in the door's words. Dispose destroys their sockets. */
export class Parting implements Disposable {
  readonly #sentOff = new Set<Socket>();
  readonly #turnedAway = new Set<Socket>();

  get size(): number {
    return this.#sentOff.size + this.#turnedAway.size;
  }

  /** The door's words are read on this socket for a while. */
  stay(socket: TLSSocket): void {
    keep(socket, this.#turnedAway, { most: MOST_TURNED_AWAY, ms: TURN_AWAY_MS });
  }

  /**
   * Sends the alert that says why, if there is one, and closes. What the peer has sent is read, lest it lose the alert. Under
   * pressure all that comes later, for whoever is refused at once comes back at once. `raw`: the socket below TLS.
   */
  sendOff(socket: TLSSocket, raw: Socket, alert: Uint8Array | undefined, isPressed: boolean): void {
    if (alert === undefined) {
      socket.destroy();
      return;
    }
    const heldMs = isPressed ? varied(HELD_MS) : 0;
    keep(raw, this.#sentOff, { most: MOST_PARTING, ms: heldMs + LINGER_MS });
    if (heldMs === 0) {
      raw.end(alert);
      socket.resume();
      return;
    }
    // Not now: OpenSSL is at work below us.
    setImmediate(() => {
      if (!socket.destroyed) freeTls(socket);
    });
    const held = setTimeout(() => raw.resume().end(alert), heldMs);
    raw.once("close", () => clearTimeout(held));
  }

  [Symbol.dispose](): void {
    for (const socket of [...this.#sentOff, ...this.#turnedAway]) socket.destroy();
  }
}

/** Keeps a socket for a while. */
function keep(socket: Socket, among: Set<Socket>, { most, ms }: { readonly most: number; readonly ms: number }): void {
  const [oldest] = among;
  if (among.size >= most) oldest?.destroy();
  among.add(socket);
  const timer = setTimeout(() => socket.destroy(), ms);
  socket.once("close", () => {
    clearTimeout(timer);
    among.delete(socket);
  });
}
