// Who the node is to others: for each of its private keys the doors, the certificate, and what a request asks for.

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { existsSync } from "node:fs";
import { isIPv6 } from "node:net";
import { hostname } from "node:os";
import { basename, join, resolve, sep } from "node:path";
import type { NodeConfig } from "../../../config.ts";
import { CommandError, EXIT } from "../../common/exit.ts";
import type { Subject } from "../../provision/certificates.ts";
import { clientDoors } from "../doors.ts";
import { moveWhole, readText, writeWhole } from "../files.ts";
import type { Medium } from "../medium.ts";
import { configIn } from "../node-config.ts";
import { type AppliancePlaces, appliancePlaces, ON_MEDIUM } from "../places.ts";
import type { Screen } from "../screen.ts";
import { fingerprintLine, isFor, leafOf } from "./chain.ts";
import type { RequestContent } from "./request.ts";

/** One private key of the node, and the doors that use it. */
export interface NodeIdentity {
  /** Of its files: `server` or `kx` unless the configuration names others. */
  readonly name: string;
  readonly key: string;
  readonly certificate: string;
  /** What its certificate must chain to, if that file is there. */
  readonly anchor: string;
  readonly subject: Subject;
}

/** A certificate request that waits to be signed, or was. */
export interface WaitingRequest {
  readonly name: string;
  readonly file: string;
  readonly pem: string;
  readonly content: RequestContent;
}

/** One for applications and controllers, one for other KMs. `hosts`: what the former know the node by. */
export function identitiesOf(config: NodeConfig, places: AppliancePlaces): readonly NodeIdentity[] {
  const uri = `urn:qkm:km:${config.node.id}`;
  const hosts = hostsIn(places) ?? usualHosts(config);
  const { kx } = config;
  const found = new Map<string, NodeIdentity>();
  for (const { tls } of clientDoors(config)) {
    const subject = { uri, usages: ["server"], hosts } as const;
    found.set(tls.key, identity(tls, places.trust("km_servers"), subject));
  }
  found.set(kx.tls.key, identity(kx.tls, kx.tls.trust, { uri, usages: ["server", "client"] }));
  return [...found.values()];
}

const identity = (tls: NodeConfig["kx"]["tls"], anchor: string, subject: Subject): NodeIdentity => ({
  name: basename(tls.key).replace(/\.[^.]*$/, ""),
  key: tls.key,
  certificate: tls.certificate,
  anchor,
  subject,
});

const HOST = /^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$/;
const MOST_HOSTS = 32;

/** Takes the medium's `hosts`. @throws CommandError naming the line that is wrong */
export function takeHosts(places: AppliancePlaces, medium: Medium, screen: Screen): void {
  const text = medium.text(ON_MEDIUM.hosts);
  if (text === undefined) return;
  const hosts = linesOf(text);
  const wrong = hosts.find((host) => !HOST.test(host));
  if (wrong !== undefined || hosts.length > MOST_HOSTS) {
    const what = wrong === undefined ? `more than ${MOST_HOSTS} lines` : `"${wrong}"`;
    throw new CommandError(EXIT.config, `the medium's "hosts" has ${what}: write one host name or address a line.`);
  }
  const content = `${hosts.join("\n")}\n`;
  if (readText(places.hosts) === content) return;
  writeWhole(places.hosts, content);
  screen.say(`names of this node for applications: ${hosts.join(", ")}`);
}

function hostsIn(places: AppliancePlaces): readonly string[] | undefined {
  const text = readText(places.hosts);
  return text === undefined ? undefined : linesOf(text);
}

const linesOf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "")
    .map((host) => (isIPv6(host) ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host));

/** Where the doors listen, or what the system is called if they listen everywhere. */
function usualHosts(config: NodeConfig): readonly string[] {
  const listened = clientDoors(config).map(({ listen }) => listen.host);
  const named = listened.filter((host) => host !== "0.0.0.0" && host !== "::");
  return [...new Set(named.length > 0 ? named : [hostname()].filter((name) => HOST.test(name)))];
}

/** Makes private keys and requests that are missing, and puts the requests on the medium. */
export async function takeIdentities(
  identities: readonly NodeIdentity[],
  places: AppliancePlaces,
  medium: Medium | undefined,
  screen: Screen,
): Promise<void> {
  for (const one of identities) await screen.attempt(() => takeIdentity(one, places, medium, screen));
}

async function takeIdentity(
  one: NodeIdentity,
  places: AppliancePlaces,
  medium: Medium | undefined,
  screen: Screen,
): Promise<void> {
  const key = keyOf(one, places) ?? makeKey(one, screen);
  const file = requestFile(places, one);
  const leaf = leafOf(one.certificate);
  const present = readText(file);
  const fits = present !== undefined && (isFor(leaf, key, one.subject) || (await isRequestFor(present, key, one)));
  const pem = fits ? present : await makeRequest(one, key, file, screen);
  const ends = leaf !== undefined && leaf.validToDate.getTime() < Date.now() + SOON_MS;
  if (ends) {
    const day = leaf.validToDate.toISOString().slice(0, 10);
    screen.say(`certificate ${one.name} ends on ${day}: have the request signed anew`);
  }
  if (medium !== undefined && (!fits || leaf === undefined || ends)) putRequest(one, pem, medium, screen);
}

const requestFile = (places: AppliancePlaces, { name }: NodeIdentity): string => join(places.requests, `${name}.csr`);

/** Loads the certificate library, which a node that has its certificates does without. */
const library = () => import("./request.ts");

async function makeRequest(one: NodeIdentity, key: KeyObject, file: string, screen: Screen): Promise<string> {
  const pem = await (await library()).newRequest(key, one.subject);
  writeWhole(file, pem, 0o644);
  screen.say(`certificate request ${one.name}: ${one.subject.uri}`);
  screen.say(fingerprintLine(createPublicKey(key).export({ type: "spki", format: "der" })));
  return pem;
}

/** Of the same key, name and hosts: a request is not made anew at each start. */
const isRequestFor = async (pem: string, key: KeyObject, { subject }: NodeIdentity): Promise<boolean> =>
  (await library()).isRequestFor(pem, key, subject);

/** Time enough to have a request signed. */
const SOON_MS = 60 * 86_400_000;

function putRequest({ name, subject }: NodeIdentity, pem: string, medium: Medium, screen: Screen): void {
  const id = subject.uri.split(":").slice(3).join("-");
  const file = join(ON_MEDIUM.requests, `${id}-${name}.csr`.replaceAll(/[^\w.@-]/g, "_"));
  if (medium.put(file, pem)) screen.say(`request on the medium: ${file}`);
  else screen.say(`the medium cannot be written: have the console print the request ${name}`);
}

/** A file that was cut, or never was a key, does not look like this. */
const WHOLE_KEY = /^-----BEGIN ([A-Z ]*PRIVATE KEY)-----\n[\s\S]+-----END \1-----\s*$/;

/**
 * Its private key. Undefined when there is none, or what is there is none. @throws CommandError when it is elsewhere, or is
 * whole and is not taken: whoever has a certificate for it must not lose it to a passing trouble
 */
export function keyOf({ key, name }: NodeIdentity, places: AppliancePlaces): KeyObject | undefined {
  const home = resolve(places.config, "..");
  if (!key.startsWith(home + sep)) {
    throw new CommandError(EXIT.config, `node.toml wants the private key ${key}: name a file in ${home}, or none.`);
  }
  const pem = readText(key);
  if (pem === undefined || !WHOLE_KEY.test(pem)) return undefined;
  try {
    return createPrivateKey(pem);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new CommandError(
      EXIT.failed,
      `the private key ${name} (${key}) is not taken: ${why}. It stays; start again, or remove it to have a new one made.`,
      thrown,
    );
  }
}

function makeKey({ key, name }: NodeIdentity, screen: Screen): KeyObject {
  if (existsSync(key)) {
    moveWhole(key, `${key}.before`);
    screen.refuse(`the private key ${name} cannot be read: it is ${key}.before now.`);
  }
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeWhole(key, privateKey.export({ type: "pkcs8", format: "pem" }));
  screen.say(`private key ${name} made; it never leaves this node`);
  return privateKey;
}

/** The node's certificate requests; none before it has a configuration. For the console. */
export async function requestsOf(dir: string): Promise<readonly WaitingRequest[]> {
  const places = appliancePlaces(dir);
  const config = configIn(places);
  if (config === undefined) return [];
  const { readRequest } = await library();
  const found: WaitingRequest[] = [];
  for (const one of identitiesOf(config, places)) {
    const file = requestFile(places, one);
    const pem = readText(file);
    if (pem !== undefined) found.push({ name: one.name, file, pem, content: await readRequest(pem) });
  }
  return found;
}
