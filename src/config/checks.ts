// What the parts of a configuration must be to one another, and to the files that they name.

import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { NodeConfig } from "../config.ts";
import { markOf, uriOfApp } from "../core/certificate-names.ts";
import { Topology } from "../core/topology/topology.ts";
import { checkEtsi020 } from "./etsi020.ts";
import type { Path } from "./lines.ts";
import { once } from "./once.ts";
import { filesOf } from "./paths.ts";
import { checkPorts } from "./ports.ts";
import { SCHEMA, type Written } from "./schema.ts";
import { checkSkip } from "./skip.ts";

/** Reported of each thing that is wrong, and where. */
export type Complain = (path: Path, sentence: string) => void;

/** Names that exist in this build; a kind left out is not checked. */
export interface Known {
  readonly boards?: readonly string[];
  /** Looks into the certificates, keys and lists that are named; without it they have only to be there. */
  readonly materials?: (config: NodeConfig) => readonly Material[];
}

/** A file that cannot be used, at a key of a table. */
interface Material {
  readonly table: string;
  readonly key: string;
  readonly sentence: string;
}

/** Longest path that a Unix socket can have. */
const SOCKET_PATH_BYTES = 107;

/** Complains of values that do not fit each other, or what this program knows. */
export function checkRelations(config: NodeConfig, known: Known, complain: Complain): void {
  checkNode(config, known, complain);
  checkListeners(config, complain);
  checkTls(config, complain);
  checkRevocation(config, complain);
  checkSupply(config, complain);
  checkLinks(config, complain);
  checkPorts(config, complain);
  checkPeersAndApps(config, complain);
  checkCertificates(config, complain);
  checkFetchApps(config, complain);
  checkSkip(config, complain);
  checkEtsi020(config, complain);
  const { certificate, key } = config.syslog ?? {};
  if ((certificate === undefined) !== (key === undefined)) {
    complain(["syslog", certificate === undefined ? "certificate" : "key"], "belongs to the other: name both or none");
  }
  if (checkTopology(config, complain)) checkPaths(config, complain);
}

function checkNode({ node, memory, links, watchdog }: NodeConfig, known: Known, complain: Complain): void {
  if (watchdog.required && watchdog.device === "none") {
    complain(["watchdog", "required"], 'must be false where device is "none"');
  }
  if (known.boards && !known.boards.includes(node.board)) {
    complain(["node", "board"], `there is no board "${node.board}"; there is ${known.boards.join(", ")}`);
  }
  if (Buffer.byteLength(node.controlSocket) > SOCKET_PATH_BYTES) {
    complain(["node", "control_socket"], `the path is longer than ${SOCKET_PATH_BYTES} bytes; name a shorter one`);
  }
  const largest = Math.max(32_768, ...links.map((link) => link.blockBytes));
  if (memory.slabBytes % largest !== 0 || memory.slabBytes < 8 * largest) {
    complain(["memory", "slab_bytes"], `must be a multiple of ${largest} and at least ${8 * largest}`);
  }
}

function checkListeners(config: NodeConfig, complain: Complain): void {
  const taken = new Map<string, string>();
  for (const table of [
    "ak",
    "etsi014",
    "kx",
    "metrics",
    "monitoring",
    "controller",
    "etsi015",
    "skip",
    "etsi004",
    "etsi020",
  ] as const) {
    const listen = config[table]?.listen;
    if (listen === undefined) continue;
    const { host, port } = listen;
    const place = `${host}:${port}`;
    const other = taken.get(place);
    if (other !== undefined) complain([table, "listen"], `${place} is taken by [${other}]`);
    if (port !== 0) taken.set(place, table);
  }
}

/** What a door is told of TLS must leave something that can be negotiated, and say what it means. */
function checkTls(config: NodeConfig, complain: Complain): void {
  for (const table of ["ak", "etsi014", "skip", "etsi004", "etsi020"] as const) {
    const { minTls, groups, ciphers, requireHybrid } = config[table] ?? {};
    if (minTls === undefined || groups === undefined || ciphers === undefined) continue;
    if (requireHybrid && groups.some((group) => group !== "X25519MLKEM768")) {
      complain([table, "groups"], "require_hybrid allows X25519MLKEM768 alone: leave one of the two out");
    }
    if (minTls === "1.2" && (requireHybrid || groups.join() === "X25519MLKEM768")) {
      complain([table, "min_tls"], "TLS 1.2 has no X25519MLKEM768: allow another group, or TLS 1.3 alone");
    }
    const old = ciphers.filter((suite) => !suite.startsWith("TLS_"));
    if (ciphers.length > 0 && old.length === ciphers.length) {
      complain([table, "ciphers"], "must have one of TLS 1.3, such as TLS_AES_256_GCM_SHA384");
    }
    if (ciphers.length > 0 && (minTls === "1.2") !== old.length > 0) {
      complain([table, "ciphers"], 'those of TLS 1.2, "ECDHE-…", belong to min_tls = "1.2"');
    }
  }
}

function checkRevocation(config: NodeConfig, complain: Complain): void {
  for (const table of ["ak", "etsi014", "kx", "monitoring", "controller", "etsi015", "skip", "etsi004"] as const) {
    const tls = config[table]?.tls;
    if (tls?.requireCrl && tls.crl.length === 0) complain([table, "require_crl"], "needs the lists: name them in crl");
  }
}

function checkSupply({ supply }: NodeConfig, complain: Complain): void {
  if (supply.stockLow > supply.stockHigh) complain(["supply", "stock_low"], "must not be above stock_high");
  if (supply.maxHeld < supply.stockHigh) complain(["supply", "max_held"], "must not be below stock_high");
  if (supply.quotaBurstBits < supply.defaultKeyBits) {
    complain(["supply", "quota_burst_bits"], "must be enough for one key of default_key_bits");
  }
}

function checkLinks({ links, peers }: NodeConfig, complain: Complain): void {
  const ids = once("a link", complain);
  for (const [at, link] of links.entries()) {
    ids(link.id, ["links", at, "id"]);
    if (!peers.some((peer) => peer.id === link.peer)) {
      complain(["links", at, "peer"], `"${link.peer}" is not one of [[peers]]`);
    }
  }
}

/** Whether it is a graph: only then can routes be counted. */
function checkTopology({ node, links, topology }: NodeConfig, complain: Complain): boolean {
  const ids = new Set<string>(links.map(({ id }) => id));
  let right = topology.slice(0, links.length).every(({ kms: [a, b] }) => a !== b);
  for (const [at, { id, kms }] of topology.slice(links.length).entries()) {
    const wrong = (key: string, sentence: string): void => {
      right = false;
      complain(["topology", at, key], sentence);
    };
    if (ids.has(id)) wrong("link", `"${id}" is a link already`);
    if (kms[0] === kms[1]) wrong("kms", "must be two different KMs");
    else if (kms.includes(node.id)) wrong("kms", `"${node.id}" is this node: write its own links as [[links]]`);
    ids.add(id);
  }
  return right;
}

function checkPaths({ node, peers, topology }: NodeConfig, complain: Complain): void {
  const graph = new Topology(topology);
  for (const [at, { id, paths, dialect }] of peers.entries()) {
    if (paths === 1) continue;
    if (dialect === "strict") complain(["peers", at, "paths"], "must be 1 for a strict peer, which knows no parts");
    const routes = graph.disjoint(node.id, id);
    if (routes < paths) {
      const there = `[[links]] and [[topology]] have ${routes === 1 ? "1 route" : `${routes} routes`} to "${id}"`;
      complain(["peers", at, "paths"], `${there} that share no KM, not ${paths}; add links or lower paths`);
    }
  }
}

function checkPeersAndApps({ node, peers, apps, supply }: NodeConfig, complain: Complain): void {
  const peerIds = once("a peer", complain);
  for (const [at, peer] of peers.entries()) {
    peerIds(peer.id, ["peers", at, "id"]);
    if (peer.id === node.id) complain(["peers", at, "id"], `"${peer.id}" is this node itself`);
    if (peer.addresses.some(({ port }) => port === 0)) complain(["peers", at, "address"], "the port must not be 0");
  }
  const homes = new Set<string>([node.id, ...peers.map((peer) => peer.id)]);
  const appIds = once("an application", complain);
  for (const [at, app] of apps.entries()) {
    appIds(app.id, ["apps", at, "id"]);
    if (!homes.has(app.home)) complain(["apps", at, "home"], `"${app.home}" is neither this node nor one of [[peers]]`);
    if (app.quotaBurstBits !== undefined && app.quotaBurstBits < supply.defaultKeyBits) {
      complain(["apps", at, "quota_burst_bits"], "must be enough for one key of default_key_bits");
    }
  }
}

/** No certificate may fit two applications, as far as their names tell. */
function checkCertificates({ apps }: NodeConfig, complain: Complain): void {
  const ours = apps.filter(({ certificates }) => certificates.length === 0);
  const owners = new Map<string, string>(ours.map(({ id }) => [markOf({ uri: uriOfApp(id) }), id]));
  for (const [at, { id, certificates }] of apps.entries()) {
    for (const [index, name] of certificates.entries()) {
      const mark = markOf(name);
      const owner = owners.get(mark);
      if (owner !== undefined) {
        complain(["apps", at, "certificates", index], `a certificate with ${mark} is one of "${owner}" already`);
      }
      owners.set(mark, id);
    }
  }
}

function checkFetchApps({ node, peers, apps }: NodeConfig, complain: Complain): void {
  for (const [at, { dialect, fetchApps }] of peers.entries()) {
    const wrong = (sentence: string): void => complain(["peers", at, "fetch_apps"], sentence);
    if (dialect === "extended" && fetchApps.length > 0) wrong("is for strict peers: others say themselves who fetches");
    for (const name of fetchApps) {
      if (!apps.some(({ id, home }) => id === name && home === node.id)) {
        wrong(`no [[apps]] entry says that "${name}" is at home here`);
      }
    }
  }
}

/** The files named must be there, and those with secrets not open to others. Paths are relative to `dir`. */
export function checkFiles(written: Written, dir: string, complain: Complain): void {
  for (const { path, file, isSecret } of filesOf(SCHEMA, written)) {
    if (isSecret) secretFile(resolve(dir, file), path, complain);
    else isThere(resolve(dir, file), path, complain);
  }
}

function isThere(path: string, where: Path, complain: Complain): boolean {
  if (existsSync(path)) return true;
  complain(where, `there is no file ${path}`);
  return false;
}

function secretFile(path: string, where: Path, complain: Complain): void {
  if (!isThere(path, where, complain)) return;
  if ((statSync(path).mode & 0o007) !== 0) complain(where, `${path} is open to every user; run: chmod 600 '${path}'`);
}
