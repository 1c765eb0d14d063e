// Provisions what is missing of the reference network in one folder.

import { existsSync, mkdirSync } from "node:fs";
import type { Board } from "../../../boards/board.ts";
import { CommandError, EXIT } from "../common/exit.ts";
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
} from "./plan.ts";
import { choosePorts } from "./ports.ts";
import {
  authoritiesIn,
  type Progress,
  provisionApp,
  provisionConfig,
  provisionController,
  provisionIdentity,
  provisionPairingKey,
  provisionToken,
} from "./provision.ts";

const LOOPBACK = "127.0.0.1";

export interface ReferenceWish {
  readonly board: Board;
  readonly basePort: number | undefined;
  /** Beside those that every KM has. */
  readonly doors: readonly MoreDoor[];
}

/**
 * What is there stays as it is; `doors` are written to the end of configurations that lack them. The ports begin at `basePort` if all are free.
 * @throws CommandError when the folder has the configuration of some KMs only
 */
export async function provisionReference(
  dir: string,
  { board, basePort, doors }: ReferenceWish,
  say: Progress,
): Promise<void> {
  const places = networkPlaces(dir);
  const { kms, links } = REFERENCE;
  const missing = kms.filter(({ id }) => !existsSync(nodePlaces(places.node(id)).config));
  if (missing.length > 0 && missing.length < kms.length) {
    const files = missing.map(({ id }) => nodePlaces(places.node(id)).config);
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
  const ports = missing.length === 0 ? [] : await choosePorts(kms.length, basePort);
  for (const [at, km] of kms.entries()) {
    const { id } = km;
    const node = places.node(id);
    await provisionIdentity(authorities, { id, dir: node, hosts: [LOOPBACK, "localhost"] }, say);
    const token = provisionToken(id, node, board, say);
    const own = ports[at];
    if (own) provisionConfig({ dir: node, board, ports: own, ...token, ...neighbourhood(dir, id, ports) }, say);
    const others = kms.filter((one) => one !== km);
    await provisionDoors(doors, { dir, km, others, host: LOOPBACK }, say);
  }
}

/** What one KM of the reference network is told of itself and the others. */
function neighbourhood(dir: string, id: string, ports: readonly Ports[]) {
  const places = networkPlaces(dir);
  const trust = (name: AuthorityName) => authorityFiles(places.authorities, name).cert;
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
    peers: REFERENCE.kms.flatMap((km, at) =>
      km.id === id ? [] : [{ id: km.id, address: endpointText(LOOPBACK, ports[at]?.kx ?? 0) }],
    ),
    apps: REFERENCE.kms.flatMap((km) => km.apps.map((app) => ({ id: app, home: km.id }))),
    notes: [],
  };
}
