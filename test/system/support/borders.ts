// Borders of key managers under test: their configuration, and a key manager of another network with its certificate.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import { authority, issue } from "../../../src/cli/provision/certificates.ts";
import { authorityFiles, networkPlaces } from "../../../src/cli/provision/plan.ts";
import { ForeignKme } from "../../etsi020/foreign-kme.ts";
import { reload } from "./config-file.ts";
import type { Km } from "./km.ts";
import type { Network } from "./network.ts";

type Tables = Record<string, unknown>;

/** `https://host:port` of a KM's border. */
export function borderUrl({ id, config }: Km): string {
  const { host, port } = config.etsi020?.listen ?? {};
  if (host === undefined) throw new Error(`${id} has no border`);
  return `https://${host}:${port}`;
}

/** What a KM is told of another network: its key managers, and the applications that are reached over each. */
export interface Beyond {
  /** Those here; where they are left out, nothing of them changes. */
  readonly borders?: readonly Tables[];
  /** The KM that has the borders over which the applications are reached, if another. */
  readonly home?: string;
  readonly apps: Readonly<Record<string, string>>;
  /** Remote systems of SKIP, and the application that each stands for. */
  readonly systems?: Readonly<Record<string, string>>;
}

/** Gives a running KM these borders. */
export async function withBorders(km: Km, { borders, home = km.id, apps, systems = {} }: Beyond): Promise<void> {
  const tables = parse(readFileSync(km.configPath, "utf8")) as Tables;
  if (borders !== undefined) tables.etsi020 = { ...(tables.etsi020 as Tables), borders, timeout_ms: 10_000 };
  const known = (tables.apps as Tables[]).filter(({ id }) => !Object.hasOwn(apps, String(id)));
  tables.apps = [...known, ...Object.entries(apps).map(([id, border]) => ({ id, home, border }))];
  const skip = tables.skip as Tables | undefined;
  const remotes = Object.entries(systems).map(([system, app]) => ({ system, app }));
  if (skip !== undefined) skip.remotes = [...((skip.remotes as Tables[]) ?? []), ...remotes];
  writeFileSync(km.configPath, stringify(tables));
  await reload(km);
}

/** A key manager of another make, called `foreign`, that knows one KM. */
export async function foreignTo(network: Network, km: Km): Promise<ForeignKme> {
  const places = networkPlaces(network.dir);
  const anchor = authorityFiles(places.authorities, "kms");
  const files = { cert: join(network.dir, "foreign.pem"), key: join(network.dir, "foreign.key") };
  const subject = { uri: "urn:qkm:km:foreign", usages: ["server", "client"], hosts: ["127.0.0.1"] } as const;
  await issue(await authority(anchor, "kms"), files, subject);
  const anchors = [anchor, authorityFiles(places.authorities, "km_servers")].map(({ cert }) =>
    readFileSync(cert, "utf8"),
  );
  const own = { certificate: readFileSync(files.cert, "utf8"), key: readFileSync(files.key, "utf8") };
  return await ForeignKme.listening({ own, ca: anchors.join(""), peer: `urn:qkm:km:${km.id}` });
}
