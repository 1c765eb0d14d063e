// Provisions what is missing of the reference network in one folder.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Board } from "../../../boards/board.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { clientAddress, type EtcdPlan, provisionEtcd, provisionEtcdClient } from "./etcd.ts";
import { copyCommon } from "./members.ts";
import { type MoreDoor, provisionDoors } from "./more-doors.ts";
import { endpointText } from "./node-toml.ts";
import {
  type AuthorityName,
  appFiles,
  authorityFiles,
  CONTROLLER,
  controllerFiles,
  networkPlaces,
  nodePlaces,
  type Ports,
  REFERENCE,
  type RelayHop,
  stationsOf,
} from "./plan.ts";
import { choosePorts } from "./ports.ts";
import {
  type Authorities,
  authoritiesIn,
  type Progress,
  provisionApp,
  provisionConfig,
  provisionController,
  provisionIdentity,
  provisionPairingKey,
  provisionToken,
} from "./provision.ts";
import { provisionSource, type Source } from "./sources.ts";

const LOOPBACK = "127.0.0.1";

/** How a reference network is laid out. */
export interface ReferenceWish {
  readonly board: Board;
  /** The ports begin there if all are free. */
  readonly basePort: number | undefined;
  /** Beside those that every KM has. */
  readonly doors: readonly MoreDoor[];
  /** What feeds the link ab; undefined to leave it as it is, modules in a new folder. */
  readonly source?: Source | undefined;
  /** Of km-b; with more than one there are three voters of etcd. */
  readonly members: number;
}

const VOTERS = 3;

/**
 * What is there stays as it is; `doors` are written to the end of configurations that lack them.
 * @throws CommandError when the folder has the configuration of some KMs only
 */
export async function provisionReference(dir: string, options: ReferenceWish, say: Progress): Promise<void> {
  const { board, basePort, doors, members } = options;
  const places = networkPlaces(dir);
  const { kms, links } = REFERENCE;
  const stations = stationsOf(members);
  const missing = stations.filter(({ name }) => !existsSync(nodePlaces(places.node(name)).config));
  if (missing.length > 0 && missing.length < stations.length) {
    const files = missing.map(({ name }) => nodePlaces(places.node(name)).config);
    throw new CommandError(
      EXIT.config,
      `${files.join(" and ")} is missing; put it back, or remove ${dir} to begin anew.`,
    );
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const authorities = authoritiesIn(places.authorities, say);
  for (const { id } of links) provisionPairingKey(places.pairingKey(id), say);
  for (const id of kms.flatMap((km) => km.apps)) await provisionApp(authorities, id, appFiles(places.apps, id), say);
  await provisionController(authorities, CONTROLLER, controllerFiles(places.controllers, CONTROLLER), say);
  const voters = members > 1 ? VOTERS : 0;
  const ports = missing.length === 0 ? [] : await choosePorts(stations.length + voters, basePort);
  const etcd =
    voters === 0 ? [] : await provisionVoters(authorities, dir, { ports: ports.slice(stations.length) }, say);
  const plan = { dir, board, doors, stations, ports, etcd };
  for (const [at, station] of stations.entries()) await provisionStation(authorities, plan, { station, at }, say);
  if (options.source !== undefined) await provisionSource(options.source, { dir, stations }, say);
}

interface StationsPlan {
  readonly dir: string;
  readonly board: Board;
  readonly doors: readonly MoreDoor[];
  readonly stations: readonly RelayHop[];
  /** Of each station; empty when all have their configuration. */
  readonly ports: readonly Ports[];
  readonly etcd: readonly EtcdPlan[];
}

async function provisionStation(
  authorities: Authorities,
  plan: StationsPlan,
  { station, at }: { readonly station: RelayHop; readonly at: number },
  say: Progress,
): Promise<void> {
  const { dir, board, doors, ports, etcd } = plan;
  const places = networkPlaces(dir);
  const { km, member, name } = station;
  // What all members of a KM have in common is made once, in a folder of the KM's name.
  const common = places.node(km);
  await provisionIdentity(authorities, { id: km, dir: common, hosts: [LOOPBACK, "localhost"] }, say);
  const token = provisionToken(km, common, board, say);
  const own = places.node(name);
  if (member !== undefined) {
    await provisionEtcdClient(authorities, km, common, say);
    copyCommon(common, own);
  }
  const cluster = member !== undefined && {
    cluster: { member, endpoints: etcd.map(clientAddress), trust: authorityFiles(places.authorities, "etcd").cert },
  };
  const listen = ports[at];
  if (listen)
    provisionConfig({ dir: own, board, ports: listen, ...token, ...neighbourhood(plan, km), ...cluster }, say);
  const apps = REFERENCE.kms.find(({ id }) => id === km)?.apps ?? [];
  const others = REFERENCE.kms.filter(({ id }) => id !== km);
  await provisionDoors(doors, { dir, km: { id: name, apps }, others, host: LOOPBACK }, say);
}

/** What one KM of the reference network is told of itself and the others. */
function neighbourhood({ dir, stations, ports }: StationsPlan, id: string) {
  const places = networkPlaces(dir);
  const trust = (name: AuthorityName) => authorityFiles(places.authorities, name).cert;
  const addressesOf = (km: string) =>
    stations.flatMap((station, at) => (station.km === km ? [endpointText(LOOPBACK, ports[at]?.kx ?? 0)] : []));
  return {
    id,
    host: LOOPBACK,
    trust: { apps: trust("apps"), kms: trust("kms"), controllers: trust("controllers") },
    links: REFERENCE.links
      .filter((link) => link.kms.includes(id))
      .map((link) => ({
        id: link.id,
        peer: link.kms[link.kms[0] === id ? 1 : 0],
        port: places.module(link.id, id),
        pairingKey: places.pairingKey(link.id),
      })),
    topology: REFERENCE.links.filter((link) => !link.kms.includes(id)),
    peers: REFERENCE.kms.flatMap((km) => {
      const [address = "", ...further] = addressesOf(km.id);
      return km.id === id ? [] : [{ id: km.id, address, further }];
    }),
    apps: REFERENCE.kms.flatMap((km) => km.apps.map((app) => ({ id: app, home: km.id }))),
    notes: [],
  };
}

/** Where the voters of a network listen; empty in one without members. */
export function votersIn(dir: string): readonly EtcdPlan[] {
  const { etcdPlan } = networkPlaces(dir);
  return existsSync(etcdPlan) ? JSON.parse(readFileSync(etcdPlan, "utf8")) : [];
}

async function provisionVoters(
  authorities: Authorities,
  dir: string,
  { ports }: { readonly ports: readonly Ports[] },
  say: Progress,
): Promise<readonly EtcdPlan[]> {
  const places = networkPlaces(dir);
  const found = votersIn(dir);
  const plans =
    found.length > 0
      ? found
      : ports.map(({ ak, kx }, at) => {
          const name = `etcd-${at + 1}`;
          return { name, dir: places.etcd(name), host: LOOPBACK, ports: { client: ak, peer: kx } };
        });
  for (const plan of plans) await provisionEtcd(authorities, plan, say);
  if (found.length === 0) writeFileSync(places.etcdPlan, `${JSON.stringify(plans, undefined, 2)}\n`, { mode: 0o600 });
  return plans;
}
