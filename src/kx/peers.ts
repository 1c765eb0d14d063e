// All Kx connections of a key manager: who listens, who dials, and how they end.

import { Fault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Limit } from "../core/limits.ts";
import { type Audit, NO_AUDIT, type Random } from "../core/ports.ts";
import type { Channel } from "../net/channel.ts";
import { dialAny } from "../net/dial.ts";
import { listen } from "../net/listen.ts";
import type { SecureOptions, TlsMaterial } from "../net/tls/options.ts";
import { BufferPool } from "../wire/buffer-pool.ts";
import { nameOfGeneration } from "./generation.ts";
import type { KeepaliveTimes } from "./keepalive.ts";
import { type Dialled, keepDialled } from "./redial.ts";
import { dials, Roster, type RosterPorts } from "./roster.ts";
import type { Dialect } from "./server.ts";

/** Where a peer is, as the configuration tells it. */
export interface KxPeer {
  readonly id: KmId;
  /** Tried in turn: one, or one for each of its members. */
  readonly addresses: readonly [KxAddress, ...KxAddress[]];
  readonly dialect: Dialect;
}

/** Where a peer's Kx listener is. */
export interface KxAddress {
  readonly host: string;
  readonly port: number;
}

/** Who this KM is, where it listens, and its peers. */
export interface KxOptions {
  /** This KM. */
  readonly km: KmId;
  /** Port 0 is any free port. */
  readonly listen: KxAddress;
  /** PEM texts. */
  readonly tls: TlsMaterial;
  readonly peers: readonly KxPeer[];
  /** Of keys whose size a peer's 0x1103 leaves out. */
  readonly defaultKeyBits: Limit;
  /** Of this member, higher with each takeover; 0 for a KM that is one machine. */
  readonly generation: number;
  /** Default: 5 s of silence, and 5 s more. */
  readonly keepalive?: KeepaliveTimes;
}

/** What Kx needs of its node: whom requests go to, time, randomness, log, counters, audit log. */
export interface KxPorts extends Omit<RosterPorts, "buffers"> {
  readonly random: Random;
  readonly audit?: Audit;
}

/** All Kx connections of one KM; dispose it to close them. */
export interface Kx extends AsyncDisposable {
  readonly port: number;
  /** Peers connected now, in the order of their IDs. */
  connected(): readonly KmId[];
  /** Peers are these from now on. Who is none any more is disconnected; a new address is for the next connection. */
  change(peers: readonly KxPeer[]): void;
}

/** Beside one connection per peer: replacements on their way, and strangers until they are refused. */
const SPARE_CONNECTIONS = 32;
/** How long the pause grows between two rounds over several addresses. */
const MEMBERS_PAUSE_MS = 1_000;
const HYBRID = "X25519MLKEM768";

/**
 * Listens, and keeps every peer dialled whose ID sorts after ours. Dispose ends all dialogues, then the listener.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export async function startKx(options: KxOptions, ports: KxPorts): Promise<Kx> {
  const { km, defaultKeyBits, keepalive } = options;
  const known = new Map(options.peers.map((peer) => [peer.id, peer]));
  const peers = (): readonly KxPeer[] => [...known.values()];
  // Every dialogue gathers one frame at a time, and a replaced one may not be gone yet.
  const buffers = new BufferPool(() => 2 * known.size + SPARE_CONNECTIONS);
  const roster = new Roster({ km, peers, defaultKeyBits, ...(keepalive && { keepalive }) }, { ...ports, buffers });
  const listener = await startListener({ ...options, peers }, ports, roster);
  const stop = new AbortController();
  const dialled = new Map<KmId, AbortController>();
  const dialling = new Set<Promise<void>>();
  const dial = (id: KmId): void => {
    if (dialled.has(id) || !dials(km, id)) return;
    const end = new AbortController();
    dialled.set(id, end);
    const signal = AbortSignal.any([stop.signal, end.signal]);
    const sought = dialledPeer(options, ports, { peer: () => known.get(id), id, roster });
    const ended = keepDialled(sought, ports, signal).finally(() => dialling.delete(ended));
    dialling.add(ended);
  };
  for (const id of known.keys()) dial(id);
  const takingOver = options.generation > 0 ? takeOver(options, ports, { roster, signal: stop.signal }) : [];
  return {
    port: listener.port,
    connected: () => roster.connected(),
    change(next) {
      const left = new Set(known.keys()).difference(new Set(next.map(({ id }) => id)));
      for (const id of left) {
        dialled.get(id)?.abort();
        dialled.delete(id);
        known.delete(id);
        roster.remove(id);
      }
      for (const peer of next) {
        known.set(peer.id, peer);
        dial(peer.id);
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await roster.stop();
      await Promise.all([...dialling, ...takingOver]);
      await listener[Symbol.asyncDispose]();
    },
  };
}

interface Changing {
  readonly peers: () => readonly KxPeer[];
}

function startListener(
  options: Omit<KxOptions, "peers"> & Changing,
  { log, meter, audit = NO_AUDIT }: KxPorts,
  roster: Roster,
) {
  const { tls, peers } = options;
  // Strict peers come and go with the configuration.
  const groups = groupsFor("strict");
  const allowed = () => groupsFor(peers().some(({ dialect }) => dialect === "strict") ? "strict" : "extended");
  const maxConnections = () => 2 * peers().length + SPARE_CONNECTIONS;
  const admit = (id: string, serverName: string): Fault | undefined =>
    roster.welcome(id, serverName) === undefined
      ? new Fault("NOT_AUTHORIZED", { text: "it is no peer that dials this key manager" })
      : undefined;
  const opened = (channel: Channel): void => {
    const peer = peers().find(({ id }) => id === channel.id);
    if (peer?.dialect === "extended" && channel.group !== HYBRID) {
      meter.add("connections_refused", { door: "kx", reason: "group" });
      audit.note("connection_refused", { door: "kx", reason: "group", who: channel.id });
      log.warn({ peer: peer.id, group: channel.group }, `an extended peer must offer ${HYBRID}`);
      channel.close("the key exchange group is not allowed");
    } else if (peer !== undefined) roster.attach(peer.id, channel);
  };
  return listen(
    { ...options.listen, door: "kx", tls, kind: "km", groups, allowed, maxConnections },
    { log, meter, audit, admit, opened },
  );
}

/** Where it is may change from one dialling to the next. */
interface Sought {
  readonly id: KmId;
  readonly peer: () => KxPeer | undefined;
  readonly roster: Roster;
}

function dialledPeer(options: KxOptions, ports: KxPorts, { id, peer, roster }: Sought): Dialled {
  return {
    peer: id,
    ...((peer()?.addresses.length ?? 0) > 1 && { longestPauseMs: MEMBERS_PAUSE_MS }),
    dial: async (signal) => {
      const now = peer();
      if (now === undefined) throw new Error("it is no peer any more");
      return await dialPeer(options, ports, { peer: now, signal });
    },
    current: () => roster.current(id),
    attach: (channel) => roster.attach(id, channel),
  };
}

/**
 * Dials those who would dial us: they may still hang on to the member that was active before, which may be silent. Once:
 * when they have come or were reached, they dial again by themselves.
 */
function takeOver(
  options: KxOptions,
  ports: KxPorts,
  { roster, signal }: { readonly roster: Roster; readonly signal: AbortSignal },
): Promise<void>[] {
  const peers = options.peers.filter(({ id, dialect }) => !dials(options.km, id) && dialect === "extended");
  return peers.map((peer) => {
    const reached = new AbortController();
    const dialled = dialledPeer(options, ports, { id: peer.id, peer: () => peer, roster });
    const attach = (channel: Channel) => {
      reached.abort();
      if (roster.current(peer.id) === undefined) return roster.attach(peer.id, channel);
      channel.close("the peer has come by itself");
      return undefined;
    };
    const current = () => {
      const session = dialled.current();
      if (session !== undefined) reached.abort();
      return session && Promise.resolve();
    };
    return keepDialled({ ...dialled, attach, current }, ports, AbortSignal.any([signal, reached.signal]));
  });
}

async function dialPeer(
  { tls, generation }: KxOptions,
  ports: KxPorts,
  { peer, signal }: { readonly peer: KxPeer; readonly signal: AbortSignal },
): Promise<Channel> {
  const { id, addresses, dialect } = peer;
  const serverName = nameOfGeneration(generation);
  const groups = groupsFor(dialect);
  const options = {
    expect: id,
    signal,
    door: "kx",
    tls,
    kind: "km",
    groups,
    ...(serverName && { serverName }),
  } as const;
  return (await dialAny(addresses, options, ports)).channel;
}

/** A peer of another make may have nothing else than X25519. */
const groupsFor = (dialect: KxPeer["dialect"]): SecureOptions["groups"] =>
  dialect === "strict" ? [HYBRID, "X25519"] : [HYBRID];
