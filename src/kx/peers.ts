// All Kx connections of a key manager: who listens, who dials, and how they end.

import { Fault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import { type Audit, NO_AUDIT, type Random } from "../core/ports.ts";
import type { Channel } from "../net/channel.ts";
import { dial } from "../net/dial.ts";
import { listen } from "../net/listen.ts";
import type { SecureOptions, TlsMaterial } from "../net/options.ts";
import { BufferPool } from "../wire/buffer-pool.ts";
import type { KeepaliveTimes } from "./keepalive.ts";
import { keepDialled } from "./redial.ts";
import { dials, Roster, type RosterPorts } from "./roster.ts";
import type { Dialect } from "./server.ts";

/** Where a peer is, as the configuration tells it. */
export interface KxPeer {
  readonly id: KmId;
  readonly address: KxAddress;
  readonly dialect: Dialect;
}

export interface KxAddress {
  readonly host: string;
  readonly port: number;
}

export interface KxOptions {
  /** This KM. */
  readonly km: KmId;
  /** Port 0 is any free port. */
  readonly listen: KxAddress;
  /** PEM texts. */
  readonly tls: TlsMaterial;
  readonly peers: readonly KxPeer[];
  /** Of keys whose size a peer's 0x1103 leaves out. */
  readonly defaultKeyBits: number;
  /** Default: 5 s of silence, and 5 s more. */
  readonly keepalive?: KeepaliveTimes;
}

export interface KxPorts extends Omit<RosterPorts, "buffers"> {
  readonly random: Random;
  readonly audit?: Audit;
}

export interface Kx extends AsyncDisposable {
  readonly port: number;
  /** Peers connected now, in the order of their IDs. */
  connected(): readonly KmId[];
}

/** Beside one connection per peer: replacements on their way, and strangers until they are refused. */
const SPARE_CONNECTIONS = 32;
const HYBRID = "X25519MLKEM768";

/**
 * Listens, and keeps every peer dialled whose ID sorts after ours. Dispose ends all dialogues, then the listener.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export async function startKx(options: KxOptions, ports: KxPorts): Promise<Kx> {
  const { km, peers, defaultKeyBits, keepalive } = options;
  // Every dialogue gathers one frame at a time, and a replaced one may not be gone yet.
  const buffers = new BufferPool(2 * peers.length);
  const roster = new Roster({ km, peers, defaultKeyBits, ...(keepalive && { keepalive }) }, { ...ports, buffers });
  const listener = await startListener(options, ports, roster);
  const stop = new AbortController();
  const dialling = peers
    .filter(({ id }) => dials(km, id))
    .map((peer) => {
      const dialPeer = (signal: AbortSignal): Promise<Channel> => dialOnce(options, ports, { peer, signal });
      const attach = (channel: Channel) => roster.attach(peer.id, channel);
      return keepDialled({ peer: peer.id, dial: dialPeer, attach }, ports, stop.signal);
    });
  return {
    port: listener.port,
    connected: () => roster.connected(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await roster.stop();
      await Promise.all(dialling);
      await listener[Symbol.asyncDispose]();
    },
  };
}

function startListener(options: KxOptions, { log, meter, audit = NO_AUDIT }: KxPorts, roster: Roster) {
  const { tls, peers } = options;
  const strict = peers.some(({ dialect }) => dialect === "strict");
  const groups = groupsFor(strict ? "strict" : "extended");
  const maxConnections = 2 * peers.length + SPARE_CONNECTIONS;
  const admit = (id: string): Fault | undefined =>
    roster.welcome(id) === undefined
      ? new Fault("NOT_AUTHORIZED", { text: "it is no peer that dials this key manager" })
      : undefined;
  const opened = (channel: Channel): void => {
    const peer = peers.find(({ id }) => id === channel.id);
    if (peer?.dialect === "extended" && channel.group !== HYBRID) {
      meter.add("connections_refused", { door: "kx", reason: "group" });
      audit.note("connection_refused", { door: "kx", reason: "group", who: channel.id });
      log.warn({ peer: peer.id, group: channel.group }, `an extended peer must offer ${HYBRID}`);
      channel.close("the key exchange group is not allowed");
    } else if (peer !== undefined) roster.attach(peer.id, channel);
  };
  return listen(
    { ...options.listen, door: "kx", tls, kind: "km", groups, maxConnections },
    { log, meter, audit, admit, opened },
  );
}

function dialOnce(
  { tls }: KxOptions,
  ports: KxPorts,
  { peer, signal }: { readonly peer: KxPeer; readonly signal: AbortSignal },
): Promise<Channel> {
  const { id, address, dialect } = peer;
  const { host, port } = address;
  return dial({ host, port, expect: id, signal, door: "kx", tls, kind: "km", groups: groupsFor(dialect) }, ports);
}

/** A peer of another make may have nothing else than X25519. */
const groupsFor = (dialect: KxPeer["dialect"]): SecureOptions["groups"] =>
  dialect === "strict" ? [HYBRID, "X25519"] : [HYBRID];
