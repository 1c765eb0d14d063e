// Doors that a KM of the reference network has only when somebody asks for them: `qkm up --doors`.

import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { loadConfig } from "../../config/read.ts";
import { issue, type PemFiles } from "./certificates.ts";
import { endpointText } from "./node-toml.ts";
import { type AuthorityName, authorityFiles, type KmPlan, networkPlaces, nodePlaces } from "./plan.ts";
import { isFree } from "./ports.ts";
import { authoritiesIn, type Progress } from "./provision.ts";

/** One door of one KM. */
export interface DoorSite {
  /** Of the network. */
  readonly dir: string;
  readonly km: KmPlan;
  readonly others: readonly KmPlan[];
  readonly host: string;
  readonly port: number;
}

interface DoorRow {
  /** Its port, counted from the one before that of Ak. */
  readonly offset: number;
  readonly meaning: string;
  /** Who signs the certificates that it lets in. */
  readonly trust: AuthorityName;
  /** Tables of the configuration behind the listener's own keys. Makes files that they name, unless they are there. */
  further(site: DoorSite): readonly string[];
}

/** In the order in which they are written; a new door is a row here. */
export const MORE_DOORS = {
  skip: { offset: 6, meaning: "encryptors, Cisco SKIP", trust: "apps", further: skipTables },
  etsi004: { offset: 7, meaning: "key streams, ETSI GS QKD 004", trust: "apps", further: () => [] },
  etsi015: { offset: 8, meaning: "SDN controllers, ETSI GS QKD 015", trust: "controllers", further: () => [] },
  etsi020: { offset: 9, meaning: "other networks, ETSI GS QKD 020", trust: "kms", further: borderTables },
} as const satisfies Readonly<Record<string, DoorRow>>;

/** The name of a door that is closed unless it is asked for. */
export type MoreDoor = keyof typeof MORE_DOORS;
/** The names that `--doors` takes. */
export const MORE_DOOR_NAMES = Object.keys(MORE_DOORS) as readonly MoreDoor[];

const text = (value: string): string => JSON.stringify(value);

/** The tables of a door, as TOML. */
export function doorToml(door: MoreDoor, site: DoorSite): string {
  const { dir, km, host, port } = site;
  const places = networkPlaces(dir);
  const row: DoorRow = MORE_DOORS[door];
  const own = [
    `[${door}] # ${row.meaning}`,
    `listen = ${text(endpointText(host, port))}`,
    'certificate = "tls/server.pem"',
    'key = "tls/server.key"',
    `trust = ${text(relative(places.node(km.id), authorityFiles(places.authorities, row.trust).cert))}`,
  ];
  return `\n${[...own, ...row.further(site)].join("\n")}\n`;
}

/** The systems of SKIP are the KMs: each stands for its first application. */
function skipTables({ dir, km, others }: DoorSite): readonly string[] {
  const places = networkPlaces(dir);
  const remotes = others.flatMap(({ id, apps: [app] }) =>
    app === undefined ? [] : ["", "[[skip.remotes]]", `system = ${text(id)}`, `app = ${text(app)}`],
  );
  const keys = km.apps.flatMap((app) => {
    const path = pskFile(places.apps, app);
    provisionPsk(path);
    const file = relative(places.node(km.id), path);
    return ["", "[[skip.psk]]", `identity = ${text(app)}`, `app = ${text(app)}`, `key_file = ${text(file)}`];
  });
  return [...remotes, ...keys];
}

/** The name of a key manager of another network that a user may play. */
const FOREIGN = "foreign";

/** Every other KM may come as if it were of another network; and so may `foreign`, whose certificate anybody here may use. */
function borderTables({ dir, km, others }: DoorSite): readonly string[] {
  const places = networkPlaces(dir);
  const trust = join(places.authorities, "borders.pem");
  const anchors = (["kms", "km_servers"] as const).map((name) =>
    readFileSync(authorityFiles(places.authorities, name).cert, "utf8"),
  );
  writeFileSync(trust, anchors.join(""));
  const borders = [...others.map(({ id }) => id), FOREIGN].filter((id) => id !== km.id);
  return [
    'client_certificate = "tls/kx.pem"',
    'client_key = "tls/kx.key"',
    `server_trust = ${text(relative(places.node(km.id), trust))}`,
    ...borders.flatMap((id) => ["", "[[etsi020.borders]]", `id = ${text(id)}`]),
  ];
}

/** Where the certificate of a key manager of another network lies, which a user may play. */
const foreignFiles = (dir: string): PemFiles => ({
  cert: join(dir, "borders", `${FOREIGN}.pem`),
  key: join(dir, "borders", `${FOREIGN}.key`),
});

async function provisionForeign(dir: string, say: Progress): Promise<void> {
  const from = await authoritiesIn(networkPlaces(dir).authorities, say).get("kms");
  const files = foreignFiles(dir);
  const subject = {
    uri: `urn:qkm:km:${FOREIGN}`,
    usages: ["server", "client"],
    hosts: ["127.0.0.1", "localhost"],
  } as const;
  if (await issue(from, files, subject)) say(`certificate of a key manager of another network: ${files.cert}`);
}

/** Where an application's pre-shared key lies. */
export const pskFile = (dir: string, app: string): string => join(dir, `${app}.psk`);

function provisionPsk(path: string): void {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, `${randomBytes(32).toString("hex")}\n`, { flag: "wx", mode: 0o600 });
}

const TRIES = 100;

/** Writes those of the doors that a KM's configuration does not have to its end. @throws ConfigError */
export async function provisionDoors(
  doors: readonly MoreDoor[],
  site: Omit<DoorSite, "port">,
  say: Progress,
): Promise<void> {
  const path = nodePlaces(networkPlaces(site.dir).node(site.km.id)).config;
  if (MORE_DOOR_NAMES.every((door) => doors.includes(door))) allowMulticast(path, say);
  const before = readFileSync(path, "utf8");
  const missing = doors.filter((door) => !new RegExp(`^\\s*\\[\\s*${door}\\s*\\]`, "m").test(before));
  if (missing.length === 0) return;
  if (missing.includes("etsi020")) await provisionForeign(site.dir, say);
  const base = loadConfig(path).ak.listen.port - 1;
  for (const door of missing) {
    const port = await freePort(base + MORE_DOORS[door].offset, site.host);
    appendFileSync(path, doorToml(door, { ...site, port }));
    say(`[${door}] in ${path}`);
  }
}

/** Additional slaves of ETSI GS QKD 014 in the reference network with all doors. */
const MOST_SLAVES = 4;

/** Opens multicast at ETSI GS QKD 014 unless the configuration says something of it. */
function allowMulticast(path: string, say: Progress): void {
  const before = readFileSync(path, "utf8");
  if (/^\s*max_additional_slaves\s*=/m.test(before)) return;
  const after = before.replace(
    /^\s*\[\s*etsi014\s*\].*\n/m,
    (head) => `${head}max_additional_slaves = ${MOST_SLAVES}\n`,
  );
  writeFileSync(path, after);
  say(`max_additional_slaves of [etsi014] in ${path}`);
}

/** `wanted`, or the first free one of those 10 further on each. */
export async function freePort(wanted: number, host: string): Promise<number> {
  for (let tried = 0; tried < TRIES; tried++) {
    const port = wanted + 10 * tried;
    if (await isFree(port, host)) return port;
  }
  throw new Error(`no free port from ${wanted} on`);
}
