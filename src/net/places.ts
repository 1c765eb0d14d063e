// Connections that were let in, shared fairly between identities: whoever has most makes room for one who has fewer.

import type { Socket } from "node:net";
import { type Limit, limitNow } from "../core/limits.ts";
import { Refusal } from "./refusal.ts";

interface Place {
  readonly id: string;
  readonly socket: Socket;
  bytesRead: number;
  /** When it was seen to have read something; on `performance.now()`. */
  usedMs: number;
}

/** What happens to connections that lose their place. */
export interface PlacesPorts {
  /** An open connection was closed: for another's sake, or because nobody used it. */
  closed(id: string, refusal: Refusal): void;
}

/** How often it is looked who has read something. */
const LOOK_MS = 1_000;
/** An identity that opens more than so many connections in this time, or twice as many as there are places, is hasty. */
const HASTY_MS = 10_000;
const HASTY = 512;

/** The places of one door, shared fairly between identities. */
export class Places implements Disposable {
  readonly #most: Limit;
  readonly #idleMs: number;
  readonly #ports: PlacesPorts;
  readonly #places = new Set<Place>();
  readonly #byId = new Map<string, Set<Place>>();
  /** Connections opened since, by identity. */
  readonly #opened = new Map<string, number>();
  #openedSinceMs = performance.now();
  readonly #timer: NodeJS.Timeout;

  /** A connection that has read nothing for `idleMs` is closed if its identity has another. */
  constructor(most: Limit, idleMs: number, ports: PlacesPorts) {
    this.#most = most;
    this.#idleMs = idleMs;
    this.#ports = ports;
    this.#timer = setInterval(() => this.#look(), Math.min(LOOK_MS, idleMs)).unref();
  }

  get size(): number {
    return this.#places.size;
  }

  /** Gives a connection its place until it is closed, or says why there is none. */
  take(id: string, socket: Socket): Refusal | undefined {
    if (this.size >= limitNow(this.#most) && !this.#makeRoom(id)) return new Refusal("too_many", `${this.size}`);
    const place: Place = { id, socket, bytesRead: socket.bytesRead, usedMs: performance.now() };
    this.#places.add(place);
    this.#count(id);
    this.#byId.set(id, (this.#byId.get(id) ?? new Set()).add(place));
    socket.once("close", () => this.#leave(place));
    return undefined;
  }

  /** Whether an identity opens connections as fast as no application needs: their handshakes are held to a pace. */
  isHasty(id: string): boolean {
    return (this.#opened.get(id) ?? 0) > Math.max(HASTY, 2 * limitNow(this.#most));
  }

  #count(id: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#openedSinceMs >= HASTY_MS) {
      this.#openedSinceMs = nowMs;
      this.#opened.clear();
    }
    this.#opened.set(id, (this.#opened.get(id) ?? 0) + 1);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const { socket } of this.#places) socket.destroy();
  }

  /** Of the identity with most, if it has so many that both have as many or more than the newcomer afterwards. */
  #makeRoom(id: string): boolean {
    let most: ReadonlySet<Place> = new Set();
    for (const same of this.#byId.values()) if (same.size > most.size) most = same;
    if (most.size <= (this.#byId.get(id)?.size ?? 0) + 1) return false;
    this.#look();
    let victim: Place | undefined;
    for (const place of most) if (victim === undefined || place.usedMs < victim.usedMs) victim = place;
    if (victim === undefined) return false;
    this.#end(victim, new Refusal("share", `${most.size}`));
    return true;
  }

  #look(): void {
    const nowMs = performance.now();
    for (const place of this.#places) {
      const { bytesRead } = place.socket;
      if (bytesRead !== place.bytesRead) place.usedMs = nowMs;
      place.bytesRead = bytesRead;
      const hasAnother = (this.#byId.get(place.id)?.size ?? 0) > 1;
      if (hasAnother && nowMs - place.usedMs >= this.#idleMs) this.#end(place, new Refusal("idle"));
    }
  }

  #end(place: Place, refusal: Refusal): void {
    this.#leave(place);
    this.#ports.closed(place.id, refusal);
    place.socket.destroy();
  }

  #leave(place: Place): void {
    if (!this.#places.delete(place)) return;
    const same = this.#byId.get(place.id);
    same?.delete(place);
    if (same?.size === 0) this.#byId.delete(place.id);
  }
}
