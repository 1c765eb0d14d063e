// One connection that has not shown who it is, and what all of them together may take of a listener.

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Group } from "../core/tls-choices.ts";
import type { Refusal } from "./refusal.ts";
import type { DHE_PSK, ShownKey } from "./tls/pre-shared.ts";

/** What those without a certificate may take of a listener. */
export interface ArrivalLimits {
  /** Connections in all. When there are as many, the oldest silent one of the address with most makes room. */
  readonly most: number;
  /** Handshakes at once, each some 90 KB. */
  readonly handshakes: number;
  /**
   * A handshake that was silent for so long makes room when others wait; longer while those that end well take longer, as when
   * very many come at once. Milliseconds.
   */
  readonly graceMs: number;
  /** Handshakes begun a second that come to nothing, each some 1 ms of CPU time; those that end well do not count. */
  readonly failuresPerS: number;
  /** The same at once, after calm. */
  readonly failuresAtOnce: number;
  /** Who has waited for so long is of the backlog. Milliseconds. */
  readonly freshMs: number;
  /** Handshakes of the backlog begun a second that come to nothing. */
  readonly backlogPerS: number;
  /** The same at once. */
  readonly backlogAtOnce: number;
}

/** The limits of a listener whose configuration names none. */
export const ARRIVAL_LIMITS: ArrivalLimits = {
  most: 1_024,
  handshakes: 128,
  graceMs: 500,
  failuresPerS: 50,
  failuresAtOnce: 64,
  freshMs: 250,
  backlogPerS: 5,
  backlogAtOnce: 8,
};

/** How the keys of a connection were agreed, as log and counters name it. */
export type KeyExchange = Group | typeof DHE_PSK;

/** One connection on its way in. */
export interface Arrival {
  readonly socket: Socket;
  /** `address|port` */
  readonly from: string;
  readonly address: string;
  state: "hello" | "waiting" | "shaking" | "leaving";
  /** When its ClientHello was there; on `performance.now()`. */
  waitsMs: number;
  /** When its handshake began; on `performance.now()`. */
  beganMs: number;
  /** When it is late, if it has shown no certificate; on `performance.now()`. */
  readonly deadlineMs: number;
  timer: NodeJS.Timeout | undefined;
  group: KeyExchange;
  /** From its ServerHello on. */
  tls: TLSSocket | undefined;
  /** Whom the identity that it showed stands for, when it came with a pre-shared key. */
  shown: ShownKey | undefined;
  /** Why it is not let in with that. */
  denied: Refusal | undefined;
}

/** What is done with a connection on its way in. */
export interface ArrivalPorts {
  /** Begins the TLS handshake. */
  begin(arrival: Arrival): void;
  /** It is refused; what becomes of its socket is not the listener's. */
  refused(arrival: Arrival, refusal: Refusal): void;
}

/** By a quarter at most: what has come together shall not come back together. */
export const varied = (ms: number): number => ms * (0.75 + Math.random() / 2);

/** How log and pool name a connection: `address|port`. */
export const fromOf = ({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string =>
  `${remoteAddress}|${remotePort}`;

/** Node has no public way to end TLS and leave the socket. Where it has this one no more, the socket keeps its TLS state. */
export function freeTls(socket: TLSSocket): void {
  const free: unknown = Reflect.get(socket, "_destroySSL");
  if (typeof free === "function") Reflect.apply(free, socket, []);
}
