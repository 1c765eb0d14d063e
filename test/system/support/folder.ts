// Provisions a planned network in a folder: authorities, certificates, tokens, configurations.

import { mkdirSync, writeFileSync } from "node:fs";
import { parse, stringify } from "smol-toml";
import { host } from "../../../boards/host.ts";
import { doorToml, MORE_DOORS } from "../../../src/cli/provision/more-doors.ts";
import { endpointText, nodeToml } from "../../../src/cli/provision/node-toml.ts";
import {
  appFiles,
  authorityFiles,
  CONTROLLER,
  controllerFiles,
  networkPlaces,
  nodePlaces,
  type Ports,
} from "../../../src/cli/provision/plan.ts";
import {
  authoritiesIn,
  provisionApp,
  provisionController,
  provisionIdentity,
  provisionPairingKey,
  provisionToken,
} from "../../../src/cli/provision/provision.ts";
import type { Overrides, Plan, PlannedKm } from "./plan.ts";

const LOOPBACK = "127.0.0.1";
const quietly = (): void => {};

type Tables = Record<string, unknown>;

/** `ports` has one entry for each KM of the plan, in its order. */
export async function provisionPlan(dir: string, plan: Plan, ports: readonly Ports[]): Promise<void> {
  const places = networkPlaces(dir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const authorities = authoritiesIn(places.authorities, quietly);
  for (const { id } of plan.links) provisionPairingKey(places.pairingKey(id), quietly);
  for (const app of plan.kms.flatMap(({ apps }) => apps)) {
    await provisionApp(authorities, app, appFiles(places.apps, app), quietly);
  }
  if (plan.controller) {
    const files = controllerFiles(places.controllers, CONTROLLER);
    await provisionController(authorities, CONTROLLER, files, quietly);
  }
  for (const km of plan.kms) {
    const node = places.node(km.id);
    await provisionIdentity(authorities, { id: km.id, dir: node, hosts: [LOOPBACK, "localhost"] }, quietly);
    const token = provisionToken(km.id, node, host, quietly);
    writeFileSync(nodePlaces(node).config, configText({ dir, plan, ports, km, token }), { mode: 0o600 });
  }
}

interface Writing {
  readonly dir: string;
  readonly plan: Plan;
  readonly ports: readonly Ports[];
  readonly km: PlannedKm;
  readonly token: ReturnType<typeof provisionToken>;
}

function configText({ dir, plan, ports, km, token }: Writing): string {
  const places = networkPlaces(dir);
  const own = ports[plan.kms.indexOf(km)];
  if (own === undefined) throw new Error(`no ports for ${km.id}`);
  const text = nodeToml({
    id: km.id,
    dir: places.node(km.id),
    board: host,
    host: LOOPBACK,
    ports: own,
    ...token,
    trust: {
      apps: authorityFiles(places.authorities, "apps").cert,
      kms: authorityFiles(places.authorities, "kms").cert,
      ...(plan.controller && { controllers: authorityFiles(places.authorities, "controllers").cert }),
    },
    links: plan.links
      .filter(({ kms }) => kms.includes(km.id))
      .map(({ id, kms: [one, two] }) => ({
        id,
        peer: one === km.id ? two : one,
        port: places.module(id, km.id),
        pairingKey: places.pairingKey(id),
      })),
    peers: plan.kms.flatMap(({ id }, at) =>
      id === km.id ? [] : [{ id, address: endpointText(LOOPBACK, ports[at]?.kx ?? 0) }],
    ),
    apps: plan.kms.flatMap(({ id: home, apps }) => apps.map((id) => ({ id, home }))),
    notes: [],
  });
  const tables: Tables = parse(text + doorsOf({ dir, plan, km }, own));
  for (const { id } of plan.links.filter(({ bare }) => bare)) {
    override(tables, { links: { [id]: { pairing_key_file: undefined } } });
  }
  if (plan.topology) tables.topology = farLinks(plan, km);
  for (const overrides of [plan.config, km.config]) override(tables, overrides ?? {});
  return stringify(tables);
}

function doorsOf({ dir, plan, km }: Pick<Writing, "dir" | "plan" | "km">, { ak }: Ports): string {
  const others = plan.kms.filter((one) => one !== km);
  const site = { dir, km, others, host: LOOPBACK };
  return (plan.doors ?? []).map((door) => doorToml(door, { ...site, port: ak - 1 + MORE_DOORS[door].offset })).join("");
}

/** The links that are not the KM's own. */
const farLinks = ({ links }: Plan, km: PlannedKm): Tables[] =>
  links.filter(({ kms }) => !kms.includes(km.id)).map(({ id, kms }) => ({ link: id, kms: [...kms] }));

/** Lays the overrides over the parsed TOML. */
function override(tables: Tables, { links, peers, apps, ...single }: Overrides): void {
  for (const [name, values] of Object.entries(single)) tables[name] = { ...(tables[name] as Tables), ...values };
  for (const [name, byId] of Object.entries({ links, peers, apps })) {
    const entries = (tables[name] ?? []) as Tables[];
    tables[name] = entries.map((entry) => ({ ...entry, ...byId?.["*"], ...byId?.[String(entry.id)] }));
  }
}
