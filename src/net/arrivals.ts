// Connections that have not shown a certificate: a bounded pool of its own, in which the newest are served first.
//
//   hello ──ClientHello──> waiting ──place, token──> shaking ──certificate──> gone from here
//     │                       │                         │
//     └──────── deadline: closed                        └── silent for too long, or displaced by a newcomer:
//                                                           leaving (its TLS state is freed) ── later: closed
//
// Whoever waits is asked by turns of the addresses, the newest of each first: under a flood it is the one that still waits.
// Who has waited for long is of the flood, more likely than not, and is begun at a slower pace: each handshake holds up supply.
// A socket that is closed at once comes back at once; so under pressure those that were put out are left standing.

import type { Socket } from "node:net";
import { Allowance } from "./allowance.ts";
import {
  type Arrival,
  type ArrivalLimits,
  type ArrivalPorts,
  freeTls,
  fromOf,
  type KeyExchange,
  varied,
} from "./arrival.ts";
import { Refusal } from "./refusal.ts";

/** Who ends well shows that the backlog is no flood: two more may begin for each. */
const GAIN = 2;
/** How much of it one that was quicker leaves. */
const SLOWEST_DECAY = 0.95;
const SLOW_FACTOR = 4;
/** In one of so many turns the oldest is first. */
const TURNS_TO_OLDEST = 4;
/** Sockets whose handshake was put out stand for so many times what a handshake may take. */
const STANDING = 12;

interface Patience {
  readonly limits: ArrivalLimits;
  /** From the connection to the certificate, about. */
  readonly handshakeMs: number;
  /** From ServerHello to the certificate. */
  readonly answerMs: number;
}

/** All connections of one listener that have not shown who they are. */
export class Arrivals {
  readonly #patience: Patience;
  readonly #ports: ArrivalPorts;
  readonly #byFrom = new Map<string, Arrival>();
  /** By address, the oldest first. */
  readonly #byAddress = new Map<string, Set<Arrival>>();
  /** By address, whose turn is next first; the newest last. */
  readonly #line = new Map<string, Arrival[]>();
  /** The oldest first. */
  readonly #shaking = new Set<Arrival>();
  /** About how long those took that were let in of late. */
  #slowestMs = 0;
  #turns = 0;
  readonly #failures: Allowance;
  readonly #backlog: Allowance;
  #wake: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;

  constructor(patience: Patience, ports: ArrivalPorts) {
    this.#patience = patience;
    this.#ports = ports;
    const { limits } = patience;
    this.#failures = new Allowance(limits.failuresPerS, limits.failuresAtOnce);
    this.#backlog = new Allowance(limits.backlogPerS, limits.backlogAtOnce);
  }

  get size(): number {
    return this.#byFrom.size;
  }

  /** Whether so many handshakes have come to nothing that those to come may have to wait. */
  get isPressed(): boolean {
    return this.#failures.left < this.#patience.limits.failuresAtOnce / 8;
  }

  /** The arrival that is in its handshake on this socket, under TLS or not. */
  shaking(socket: Pick<Socket, "remoteAddress" | "remotePort">): Arrival | undefined {
    const arrival = this.#byFrom.get(fromOf(socket));
    return arrival?.state === "shaking" ? arrival : undefined;
  }

  /** A fresh connection. Undefined when it has gone already. */
  add(socket: Socket, group: KeyExchange): Arrival | undefined {
    if (socket.destroyed || socket.remoteAddress === undefined) return undefined;
    if (this.size >= this.#patience.limits.most) this.#makeRoom();
    const handshakeMs = varied(this.#patience.handshakeMs);
    const arrival: Arrival = {
      socket,
      from: fromOf(socket),
      address: socket.remoteAddress,
      state: "hello",
      waitsMs: 0,
      beganMs: 0,
      deadlineMs: performance.now() + handshakeMs,
      timer: undefined,
      group,
      tls: undefined,
      shown: undefined,
      denied: undefined,
    };
    this.#byFrom.set(arrival.from, arrival);
    const same = this.#byAddress.get(arrival.address) ?? new Set();
    this.#byAddress.set(arrival.address, same.add(arrival));
    this.#arm(arrival, handshakeMs);
    socket.once("close", () => this.#remove(arrival));
    return arrival;
  }

  /** Its ClientHello is there. */
  waits(arrival: Arrival): void {
    if (arrival.state !== "hello" || !this.#has(arrival)) return;
    arrival.state = "waiting";
    arrival.waitsMs = performance.now();
    const same = this.#line.get(arrival.address) ?? [];
    same.push(arrival);
    this.#line.set(arrival.address, same);
    this.#next();
  }

  /** It has shown a certificate, or none, and is in the pool no more. */
  shown(arrival: Arrival): void {
    this.#remove(arrival);
  }

  /** It was let in. `isFree`: its handshake does not count among those that come to nothing. */
  letIn({ beganMs }: Arrival, isFree: boolean): void {
    if (isFree) {
      this.#failures.give(1);
      this.#backlog.give(GAIN);
    }
    this.#slowestMs = Math.max(performance.now() - beganMs, SLOWEST_DECAY * this.#slowestMs);
  }

  /** Refuses it and closes its socket. */
  fail(arrival: Arrival, refusal: Refusal): void {
    if (!this.#has(arrival)) return;
    this.#remove(arrival);
    this.#ports.refused(arrival, refusal);
    arrival.socket.destroy();
  }

  close(): void {
    clearTimeout(this.#wake);
    clearImmediate(this.#turn);
    for (const arrival of [...this.#byFrom.values()]) {
      this.#remove(arrival);
      arrival.socket.destroy();
    }
  }

  #has(arrival: Arrival): boolean {
    return this.#byFrom.get(arrival.from) === arrival;
  }

  #arm(arrival: Arrival, ms: number): void {
    clearTimeout(arrival.timer);
    arrival.timer = setTimeout(() => this.#late(arrival), ms);
  }

  #late(arrival: Arrival): void {
    // One that waits in a crowd stands, too: by then its turn has not come, and whoever is closed comes back as the newest.
    const leftMs = arrival.deadlineMs + (STANDING - 1) * this.#patience.handshakeMs - performance.now();
    if (arrival.state === "waiting" && this.size > this.#patience.limits.handshakes && leftMs > 0)
      this.#arm(arrival, leftMs);
    else if (arrival.state === "leaving") arrival.socket.destroy();
    else if (arrival.state === "shaking") this.#putOut(arrival, new Refusal("timeout"));
    else this.fail(arrival, new Refusal("timeout"));
  }

  /** Ends a handshake. Under pressure the socket is left standing, so that it is not opened again at once. */
  #putOut(arrival: Arrival, refusal: Refusal): void {
    if (this.size <= this.#patience.limits.handshakes || arrival.tls === undefined) {
      this.fail(arrival, refusal);
      return;
    }
    this.#shaking.delete(arrival);
    arrival.state = "leaving";
    this.#ports.refused(arrival, refusal);
    freeTls(arrival.tls);
    arrival.tls = undefined;
    this.#arm(arrival, varied(STANDING * this.#patience.handshakeMs));
    this.#next();
  }

  /**
   * Of the address with most: the oldest that is refused already or has waited for long, among which are those that have gone,
   * for a socket that waits is not read; else the oldest that has said nothing, else the oldest.
   */
  #makeRoom(): void {
    let most: ReadonlySet<Arrival> = new Set();
    for (const same of this.#byAddress.values()) if (same.size > most.size) most = same;
    const all = [...most];
    const sinceMs = performance.now() - this.#patience.limits.freshMs;
    const isStale = ({ state, waitsMs }: Arrival): boolean =>
      state === "leaving" || (state === "waiting" && waitsMs < sinceMs);
    const victim = all.find(isStale) ?? all.find(({ state }) => state === "hello") ?? all[0];
    if (victim === undefined) return;
    if (victim.state === "leaving") {
      this.#remove(victim);
      victim.socket.destroy();
    } else this.fail(victim, new Refusal("displaced"));
  }

  /** Takes it out of wherever it is. */
  #remove(arrival: Arrival): void {
    clearTimeout(arrival.timer);
    if (!this.#has(arrival)) return;
    this.#byFrom.delete(arrival.from);
    const same = this.#byAddress.get(arrival.address);
    same?.delete(arrival);
    if (same?.size === 0) this.#byAddress.delete(arrival.address);
    const line = this.#line.get(arrival.address);
    const place = arrival.state === "waiting" ? (line?.indexOf(arrival) ?? -1) : -1;
    if (place >= 0) line?.splice(place, 1);
    if (line?.length === 0) this.#line.delete(arrival.address);
    if (this.#shaking.delete(arrival)) this.#next();
  }

  /** Begins one handshake in each turn of the event loop, so that supply goes on between them. */
  #next(): void {
    if (this.#line.size > 0) this.#turn ??= setImmediate(this.#beginOne);
  }

  readonly #beginOne = (): void => {
    this.#turn = undefined;
    if (this.#line.size === 0) return;
    const fresh = this.#fresh();
    const paceMs = Math.max(this.#failures.untilMs, fresh === undefined ? this.#backlog.untilMs : 0);
    const waitMs = paceMs > 0 ? paceMs : this.#untilPlace();
    if (waitMs > 0) {
      // A newcomer may have to wait for less than those before it.
      clearTimeout(this.#wake);
      this.#wake = setTimeout(() => this.#next(), waitMs);
      return;
    }
    const arrival = this.#chosen(fresh);
    if (arrival !== undefined) {
      this.#failures.take();
      if (fresh === undefined) this.#backlog.take();
      arrival.state = "shaking";
      arrival.beganMs = performance.now();
      this.#shaking.add(arrival);
      this.#arm(arrival, this.#patience.answerMs);
      this.#ports.begin(arrival);
    }
    this.#next();
  };

  /** The first address by turns whose newest has not waited for long. */
  #fresh(): string | undefined {
    const sinceMs = performance.now() - this.#patience.limits.freshMs;
    for (const [address, same] of this.#line) if ((same.at(-1)?.waitsMs ?? 0) >= sinceMs) return address;
    return undefined;
  }

  /** The newest of an address; of the backlog now and then the oldest, so that nobody waits for ever. */
  #chosen(fresh: string | undefined): Arrival | undefined {
    const [first] = this.#line.keys();
    const address = fresh ?? first;
    const same = address === undefined ? undefined : this.#line.get(address);
    if (address === undefined || same === undefined) return undefined;
    this.#turns = (this.#turns + 1) % TURNS_TO_OLDEST;
    const arrival = fresh === undefined && this.#turns === 0 ? same.shift() : same.pop();
    this.#line.delete(address);
    if (same.length > 0) this.#line.set(address, same);
    return arrival;
  }

  /** Milliseconds; 0 when there is a place, which the oldest handshake of the address with most may have left for it. */
  #untilPlace(): number {
    const { handshakes, graceMs } = this.#patience.limits;
    if (this.#shaking.size < handshakes) return 0;
    const counts = new Map<string, number>();
    for (const { address } of this.#shaking) counts.set(address, (counts.get(address) ?? 0) + 1);
    const most = Math.max(...counts.values());
    for (const arrival of this.#shaking) {
      if (counts.get(arrival.address) !== most) continue;
      const waitMs = arrival.beganMs + Math.max(graceMs, SLOW_FACTOR * this.#slowestMs) - performance.now();
      if (waitMs > 0) return Math.ceil(waitMs);
      this.#putOut(arrival, new Refusal("displaced"));
      return 0;
    }
    return 0;
  }
}
