// A network that is only told of: as many KMs as wanted, which answer the questions of the view.

import type { NetworkShape } from "../../src/view/network-state.ts";
import type { AskOverview } from "../../src/view/poller.ts";
import type { LinkTold, Overview } from "../../src/view/summaries.ts";

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** What one KM tells; a test changes it. */
export interface SimulatedKm {
  readonly id: string;
  readonly node: Mutable<Overview["node"]>;
  readonly links: Mutable<LinkTold>[];
  readonly peers: Mutable<Overview["peers"][number]>[];
  readonly apps: Mutable<Overview["apps"][number]>[];
  readonly relays: Overview["relays"][number][];
  readonly faults: Overview["faults"][number][];
  /** Why it does not answer. */
  silence: string | undefined;
}

export interface Simulated {
  readonly shape: NetworkShape;
  readonly ask: AskOverview;
  /** @throws Error when there is none */
  km(id: string): SimulatedKm;
  /** Keys are supplied, rates waver, a relay ends somewhere. */
  turn(): void;
}

const idOf = (at: number): string => `km-${String(at + 1).padStart(3, "0")}`;

/** Repeatable numbers from 0 to 1 (a linear congruential generator). */
function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Sites in a square: each has a link to the nearest of those before it, half of them another to the next but one. */
export function simulatedNetwork(count: number, seed = 1): Simulated {
  const random = dice(seed);
  const sites = Array.from({ length: count }, () => ({ x: random(), y: random() }));
  const pairs = new Map<string, readonly [string, string]>();
  for (const [at, site] of sites.entries()) {
    const away = ({ x, y }: { x: number; y: number }) => Math.hypot(x - site.x, y - site.y);
    const near = sites.slice(0, at).toSorted((a, b) => away(a) - away(b));
    for (const other of near.slice(0, at % 2 === 0 ? 1 : 2)) {
      const before = sites.indexOf(other);
      pairs.set(`l-${before + 1}-${at + 1}`, [idOf(before), idOf(at)]);
    }
  }
  const links = [...pairs].map(([id, kms]) => ({ id, kms }));
  const ids = Array.from({ length: count }, (_, at) => idOf(at));
  const kms = new Map(ids.map((id) => [id, kmOf(id, ids, links)]));
  return {
    shape: { kms: ids, links },
    km(id) {
      const found = kms.get(id);
      if (found === undefined) throw new Error(`there is no ${id}`);
      return found;
    },
    turn: () => turn([...kms.values()], random),
    async ask(id, after) {
      const km = kms.get(id);
      if (km === undefined || km.silence !== undefined) throw new Error(km?.silence ?? "unknown");
      return {
        node: { ...km.node },
        links: km.links.map((link) => ({ ...link })),
        peers: km.peers.map((peer) => ({ ...peer })),
        apps: km.apps.map((app) => ({ ...app })),
        relays: km.relays.filter(({ number }) => number > after.relays),
        faults: km.faults.filter(({ number }) => number > after.faults),
        sessions: [],
        certificates: CERTIFICATES,
      };
    },
  };
}

const CERTIFICATES: Overview["certificates"] = [
  { door: "ak", use: "own", subject: "urn:qkm:km:x", not_after: "2999-01-01T00:00:00.000Z", file: "server.pem" },
];

function kmOf(id: string, ids: readonly string[], links: NetworkShape["links"]): SimulatedKm {
  const own = links.filter(({ kms }) => kms.includes(id));
  return {
    id,
    node: {
      ...{ km: id, version: "0.1.0", board: "host", ready: true, token: "ready", store: "ready", seal: "direct" },
      ...{ epoch: 1, waiting: 0, started_at: "2026-01-01T00:00:00.000Z", healthy: true, silent: [] },
      ...{ loop_delay_p50_ms: 0.2, loop_delay_p99_ms: 2, loop_delay_max_ms: 9, memory_bytes: 120e6 },
      ...{ sessions_initiator: 0, sessions_destination: 0, apps: 2, keys_supplied: 0, keys_fetched: 0, cluster: null },
    },
    links: own.map((link) => ({
      ...{ link: link.id, peer: link.kms.find((km) => km !== id) ?? "", line: "up", module: "Simulated" },
      ...{ agreement: "agreed", block_bytes: 32_768, stored_blocks: 256, usable_blocks: 128 },
      ...{
        measured_bits_per_s: 2e6,
        stated_bits_per_s: 2e6,
        qber: 0.02,
        pad_bytes_out: 0,
        pad_bytes_in: 0,
        alarms: [],
      },
    })),
    peers: ids.map((km) => ({
      ...{ km, reachable: true, connected: true, synchronised: true, stored_keys: 8168, kma_keys: 8, held: 8 },
      ...{ in_flight: 0, waiting: 0, relays_ready: 8, relays_failed: 0 },
    })),
    apps: ["a", "b"].map((name) => ({ app: `app-${id}-${name}`, home: id, supplied: 0, fetched: 0 })),
    relays: [],
    faults: [],
    silence: undefined,
  };
}

function turn(kms: readonly SimulatedKm[], random: () => number): void {
  for (const { node, links, apps } of kms) {
    node.loop_delay_p99_ms = 1 + 3 * random();
    for (const link of links) {
      link.measured_bits_per_s = 2e6 * (0.9 + 0.2 * random());
      link.qber = 0.018 + 0.004 * random();
    }
    for (const app of apps) app.supplied += Math.floor(20 * random());
    node.keys_supplied = apps.reduce((sum, { supplied }) => sum + supplied, 0);
  }
  for (let count = 0; count < 5; count++) {
    const km = kms[Math.floor(random() * kms.length)];
    const link = km?.links[Math.floor(random() * (km?.links.length ?? 0))];
    if (km !== undefined && link !== undefined) noteRelay(km, link.peer, "ready");
  }
}

/** A relay to a neighbour has ended. */
export function noteRelay({ relays }: SimulatedKm, destination: string, outcome: string): void {
  const number = (relays.at(-1)?.number ?? 0) + 1;
  relays.push({
    ...{ number, ended_at: new Date().toISOString(), destination, transit: [], outcome },
    ...{ failed_at: outcome === "ready" ? null : destination, ms: 12 },
  });
}
