// The facts of a key manager at one moment, from its parts.

import type { LinkInventory } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { KeysProgress, KeysReport, LinkFacts, PeerFacts } from "../report.ts";
import type { StrictPeer } from "../strict/strict.ts";
import type { Parts } from "./parts.ts";

/** What `KeyManager.report` gives. */
export function reportOf(keys: Parts): KeysReport {
  const nowMs = keys.context.clock.monotonicMs();
  const { initiator, destination } = keys.sessions.sizes;
  return {
    links: [...keys.links.values()].filter(isConfigured).map((link) => linkFacts(link, nowMs)),
    peers: [
      localFacts(keys),
      ...[...keys.peers.values()].filter(isConfigured).map((peer) => peerFacts(keys, peer)),
      ...[...keys.strict].map(strictFacts),
    ],
    sessions: { initiator, destination },
  };
}

const isConfigured = (one: { readonly isConfigured: boolean }): boolean => one.isConfigured;

/** What `KeyManager.progress` gives. */
export function progressOf(keys: Parts): KeysProgress {
  const shared = [keys.local, ...keys.peers.values()];
  const sum = (amount: (one: (typeof shared)[number]) => number): number =>
    shared.reduce((total, one) => total + amount(one), 0);
  return {
    isAble: keys.availability.isAble,
    supply: { waiting: sum(({ desk }) => desk.waiting), ended: sum(({ desk }) => desk.waited) },
    relays: { inFlight: sum(({ stock }) => stock.inFlight), ended: sum(({ stock }) => stock.relaysEnded) },
    intake: new Map([...keys.links.keys()].map((link) => [link, keys.intakes.progress(link)])),
  };
}

function linkFacts(link: LinkInventory, nowMs: number): LinkFacts {
  const { id, peer, blockBytes } = link.settings;
  const interval = link.rate.interval(nowMs);
  return {
    id,
    peer,
    isUp: link.use.isOn,
    agreement: link.agreement,
    stored: link.stored,
    usable: link.usable,
    padBytes: { ...link.padBytes },
    blockBytes,
    measuredBitsPerS: interval === undefined ? 0 : Math.round((blockBytes * 8 * 1000) / interval),
  };
}

function amounts(keys: Parts, { stock, held, desk }: Pick<Peer, "stock" | "held" | "desk">) {
  return {
    storedKeys: stock.count(Math.ceil(keys.context.policy.defaultKeyBits / 64) * 8),
    kmaKeys: stock.size,
    held: held.size,
    inFlight: stock.inFlight,
    waiting: desk.waiting,
  };
}

function peerFacts(keys: Parts, peer: Peer): PeerFacts {
  const { id, connection, isSynchronised } = peer;
  const reachable = Number.isFinite(peer.keyBytes) && keys.routes.reaches(id);
  return {
    ...{ id, reachable, connected: connection !== undefined, synchronised: isSynchronised },
    ...amounts(keys, peer),
  };
}

function strictFacts({ id, peer, status, stock, held, desk }: StrictPeer): PeerFacts {
  const connected = peer !== undefined;
  return {
    ...{ id, reachable: true, connected, synchronised: connected, strict: true },
    storedKeys: status.storedKeys,
    kmaKeys: stock.book.size,
    held: held.book.size,
    inFlight: stock.allInFlight,
    waiting: desk.waiting,
  };
}

const localFacts = (keys: Parts): PeerFacts => ({
  ...{ id: keys.context.self, reachable: true, connected: true, synchronised: true },
  ...amounts(keys, keys.local),
});
