// Writes a node's configuration as commented TOML.

import { relative } from "node:path";
import type { Board } from "../../../boards/board.ts";
import { DOORS, type Ports } from "./plan.ts";

/** What a node.toml is written from. */
export interface NodeFile {
  readonly id: string;
  readonly dir: string;
  readonly board: Board;
  /** Address on which the doors listen; metrics stay on the loopback address. */
  readonly host: string;
  readonly ports: Ports;
  readonly tokenLabel: string;
  readonly softhsmConf: string | undefined;
  /** Without one for controllers, no controller can connect. */
  readonly trust: { readonly apps: string; readonly kms: string; readonly controllers?: string };
  readonly links: readonly LinkFile[];
  /** Links of the network that are not the node's own. */
  readonly topology?: readonly { id: string; kms: readonly [string, string] }[];
  /** Of a KM with several members: which one this is, and where etcd listens. */
  readonly cluster?: { readonly member: string; readonly endpoints: readonly string[]; readonly trust: string };
  /** `further`: addresses of a peer's other members. */
  readonly peers: readonly { id: string; address: string; further?: readonly string[] }[];
  readonly apps: readonly { id: string; home: string }[];
  /** Further lines for the end of the file, such as examples. */
  readonly notes: readonly string[];
}

const text = (value: string): string => JSON.stringify(value);

/** The node's TOML; paths in it are relative to its folder. */
export function nodeToml(node: NodeFile): string {
  const at = (path: string) => text(relative(node.dir, path));
  const { memory, token } = node.board;
  const sections = [
    [`# Configuration of the key manager ${node.id}. Every key is explained in docs/configuration.md.`],
    ["[node]", `id = ${text(node.id)}`, `board = ${text(node.board.name)}`],
    [
      "[token]",
      `module = ${text(token.module)}`,
      `label = ${text(node.tokenLabel)}`,
      'pin_file = "pin"',
      ...(node.softhsmConf === undefined ? [] : [`softhsm_conf = ${at(node.softhsmConf)}`]),
      "epoch_s = 3_600 # a new key-encryption key every hour",
    ],
    ["[memory] # locked", `slab_bytes = ${memory.slabBytes}`, `ring_bytes = ${memory.ringBytes}`],
    ...DOORS.map((door) => doorLines(node, door, at)),
    clusterLines(node, at),
    [
      "[supply]",
      "stock_low = 4  # KMA-keys ready per destination:",
      "stock_high = 8 # one of 32 KiB holds 1,021 keys of 256 bits",
    ],
    ...node.links.map((link) => linkLines(link, at)),
    ...(node.topology ?? []).map(({ id, kms }) => [
      "[[topology]]",
      `link = ${text(id)}`,
      `kms = [${kms.map(text).join(", ")}]`,
    ]),
    ...node.peers.map(({ id, address, further = [] }) => [
      "[[peers]]",
      `id = ${text(id)}`,
      `address = ${text(address)}`,
      ...(further.length > 0 ? [`further_addresses = [${further.map(text).join(", ")}]`] : []),
    ]),
    ...node.apps.map(({ id, home }) => ["[[apps]]", `id = ${text(id)}`, `home = ${text(home)}`]),
    node.notes,
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

/** A link whose module is on a pseudo-terminal, or whose key comes from a simulated vendor's box. */
export interface LinkFile {
  readonly id: string;
  readonly peer: string;
  /** Path of the module's port, or the box's URL. */
  readonly port: string;
  readonly pairingKey: string;
  readonly box?: BoxFile;
}

/** Who the KM is to the box. */
interface BoxFile {
  readonly driver: string;
  readonly local: string;
  readonly remote: string;
  /** Paths. */
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** The lines of one link; `at` writes a path. */
export function linkLines({ id, peer, port, pairingKey, box }: LinkFile, at: (path: string) => string): string[] {
  const head = ["[[links]]", `id = ${text(id)}`, `peer = ${text(peer)}`];
  if (box === undefined) {
    return [...head, 'driver = "serial"', `port = ${at(port)}`, `pairing_key_file = ${at(pairingKey)}`];
  }
  return [
    ...[...head, `driver = ${text(box.driver)}`, `port = ${text(port)}`, "", "[links.box]"],
    ...[`local = ${text(box.local)}`, `remote = ${text(box.remote)}`],
    ...[`certificate = ${at(box.certificate)}`, `key = ${at(box.key)}`, `trust = ${at(box.trust)}`],
  ];
}

const MEANING = {
  ak: "applications, ITU-T Q.4161",
  kx: "other key managers, ITU-T Q.4163",
  etsi014: "applications, ETSI GS QKD 014",
  metrics: "Prometheus",
  controller: "the QKDN controller",
} as const;

function doorLines(node: NodeFile, door: (typeof DOORS)[number], at: (path: string) => string): string[] {
  const host = door === "metrics" ? "127.0.0.1" : node.host;
  const head = [`[${door}] # ${MEANING[door]}`, `listen = ${text(endpointText(host, node.ports[door]))}`];
  if (door === "metrics") return head;
  const own = door === "kx" ? "kx" : "server";
  const trust = {
    ak: node.trust.apps,
    etsi014: node.trust.apps,
    kx: node.trust.kms,
    controller: node.trust.controllers,
  }[door];
  if (trust === undefined) return [];
  return [...head, `certificate = "tls/${own}.pem"`, `key = "tls/${own}.key"`, `trust = ${at(trust)}`];
}

function clusterLines({ cluster }: NodeFile, at: (path: string) => string): string[] {
  if (cluster === undefined) return [];
  return [
    "[cluster] # this KM is several machines; see docs/cluster.md",
    `member = ${text(cluster.member)}`,
    `endpoints = [${cluster.endpoints.map(text).join(", ")}]`,
    'certificate = "tls/etcd.pem"',
    'key = "tls/etcd.key"',
    `trust = ${at(cluster.trust)}`,
  ];
}

/** `host:port`, with brackets around an IPv6 address. */
export const endpointText = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
