// What other rooms ask of the key manager around them, each by the interface that it has written for that.

import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { BorderHost, StoredBorderRow } from "../borders/border-host.ts";
import type { Context } from "../common/context.ts";
import { parseKeyId } from "../common/key-id.ts";
import type { Quotas } from "../common/quota.ts";
import { checkSize } from "../common/sizes.ts";
import type { ApplicationTable } from "../directory/application-table.ts";
import type { KeyFetcher } from "../fetch/fetch.ts";
import type { MulticastHost } from "../multicast/multicast-host.ts";
import type { LocalStock } from "../peers/local-stock.ts";
import type { Peer } from "../peers/peer.ts";
import type { PeerConnection } from "../ports/peers.ts";
import type { Routes } from "../routes/routes.ts";
import type { SessionHost } from "../sessions/session-host.ts";
import type { StreamHost } from "../streams/stream-host.ts";
import type { AppRequests } from "./app-requests.ts";
import type { SharedPeers } from "./shared-peers.ts";

/** The parts of the key manager that their answers come from. */
export interface Around {
  readonly context: Context;
  readonly quotas: Quotas;
  readonly apps: ApplicationTable;
  readonly sharedPeers: SharedPeers;
  readonly peers: ReadonlyMap<KmId, Peer>;
  readonly routes: Routes;
  readonly keyFetcher: KeyFetcher;
  readonly requests: AppRequests;
  /** @throws Fault when nothing may be done with keys now */
  readonly checkWorking: () => void;
}

/** To another KM, once its state exchange has ended. */
export function connectionTo(peers: ReadonlyMap<KmId, Peer>, km: KmId): PeerConnection | undefined {
  const peer = peers.get(km);
  return peer?.isSynchronised ? peer.connection : undefined;
}

/** Where an application of this network is. @throws Fault UNKNOWN_APPLICATION; NO_ROUTE for one of another network */
function homeOf(apps: ApplicationTable, app: AppId): KmId {
  const { home, border } = apps.get(app);
  if (border === undefined) return home;
  throw new Fault("NO_ROUTE", { text: `${app} is of another network: only keys, one by one, cross the border` });
}

/** What all of them ask. */
const common = ({ context, apps, peers, checkWorking }: Around) => ({
  ...{ context, checkWorking },
  homeOf: (app: AppId) => homeOf(apps, app),
  peerOf: (km: KmId) => connectionTo(peers, km),
});

/** What sessions ask. */
export const sessionHost = (around: Around): SessionHost => ({
  ...common(around),
  quotas: around.quotas,
  keyFetcher: around.keyFetcher,
  peers: () => around.peers.size,
  pairFor: (home) => around.sharedPeers.for(home),
  checkSize: (options, home) => checkSize(options, around.sharedPeers.sizes(home)),
  isCurrent: (connection) => around.peers.get(connection.id)?.connection === connection,
});

/** What multicast asks. */
export const multicastHost = (around: Around): MulticastHost => ({
  ...common(around),
  quotas: around.quotas,
  sizes: (home) => around.sharedPeers.sizes(home),
  supply: (request, answer) => around.requests.supply(request, answer),
  fetch: (request, answer) => around.requests.fetch(request, answer),
});

/** What key streams ask. */
export const streamHost = (around: Around): StreamHost => ({
  ...common(around),
  quotaBps: (app) => around.apps.get(app).quota.bitsPerS,
  sizes: (home) => around.sharedPeers.sizes(home),
  rateBps: (home) => rateOf(around.sharedPeers.for(home)),
  hops: (home) => around.routes.find(home, 1)[0]?.length ?? 0,
  ageMs: (home, keyId) => {
    const now = around.context.ages.now();
    return now - (bornAt(around.sharedPeers.of(home), keyId) ?? now);
  },
  supply: (request, answer) => around.requests.supply(request, answer),
  fetch: (request, answer) => around.requests.fetch(request, answer),
});

/** What borders ask; `rows` is what the store had of them at the start. */
export const borderHost = (around: Around, rows: readonly StoredBorderRow[]): BorderHost => ({
  ...{ context: around.context, rows, checkWorking: around.checkWorking },
  appOf: (id) => around.apps.find(id),
  fetch: (request, answer) => around.requests.fetchHere(request, answer),
  peerOf: (km) => connectionTo(around.peers, km),
  sizes: (km) => around.sharedPeers.sizes(km),
  supply: (km, request, answer) => around.sharedPeers.for(km).desk.request(request, answer),
  fetchFrom: (km, request, answer) => around.requests.fetchFrom(km, request, answer),
});

/** Far more than is ever at hand, so that the difference of two expectations is what the links bring. */
const MUCH_BYTES = 2 ** 40;

/** Bits a second that come for a stock; undefined when no rate is known. */
function rateOf(filling: Pick<Peer | LocalStock, "expectedMs">): number | undefined {
  const [once, twice] = [filling.expectedMs(MUCH_BYTES), filling.expectedMs(2 * MUCH_BYTES)];
  if (once === undefined || twice === undefined) return undefined;
  return (8000 * MUCH_BYTES) / (twice - once);
}

/** When the relay of a key's KMA-key began, by the age clock; undefined when it is used up. */
function bornAt(pair: Peer | LocalStock | undefined, keyId: string): number | undefined {
  const serial = parseKeyId(keyId)?.serial;
  return pair?.stock.keys().find((key) => key.serial === serial)?.bornAt;
}
