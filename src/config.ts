// A node's configuration: TOML text -> one frozen typed value, or every complaint at once.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import type { DriverName, LinkOptions } from "../drivers/index.ts";
import { type Complain, checkFiles, checkRelations, type Known } from "./config/checks.ts";
import { lineFinder, type Path } from "./config/lines.ts";
import { type ConfigMerge, mergeConfig } from "./config/reload.ts";
import { SCHEMA, type Written } from "./config/schema.ts";
import { configOf } from "./config/typed.ts";
import type { CertificateName } from "./core/certificate-names.ts";
import type { AppId, KmId, LinkId } from "./core/ids.ts";
import type { SessionPolicy, SupplyPolicy } from "./core/policy.ts";
import type { Group, MinTls, Suite } from "./core/tls-choices.ts";
import type { TopologyLink } from "./core/topology/topology.ts";

/** Where to listen or dial. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Certificate, private key and trust anchor of one listener or dialler, as paths to PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** The same with what is revoked, of who lets others in. */
export interface DoorTlsFiles extends TlsFiles {
  readonly crl: readonly string[];
  readonly requireCrl: boolean;
}

/** Everything one KM is told; paths are absolute, resolved against the file's directory. */
export interface NodeConfig {
  /** The file it came from. */
  readonly file: string;
  readonly node: {
    readonly id: KmId;
    readonly board: string;
    readonly storeDir: string;
    readonly controlSocket: string;
    /** Largest size of the store on disk. */
    readonly storeMaxBytes: number;
    readonly logLevel: "debug" | "info" | "warn" | "error";
  };
  readonly token: {
    readonly module: string;
    readonly label: string;
    readonly pinFile: string;
    /** SoftHSM's configuration file, exported as SOFTHSM2_CONF before the module is loaded. */
    readonly softhsmConf: string | undefined;
    /** What C_Initialize is given. */
    readonly parameters: string | undefined;
    readonly seal: "auto" | "direct" | "envelope";
    readonly epochMs: number;
    readonly epochSeals: number;
    /** Within which the token must answer a call. */
    readonly deadlineMs: number;
    /** `[memory] allow_unlocked`, for the memory shared with the token's process. */
    readonly allowUnlocked: boolean;
  };
  readonly memory: {
    readonly slabBytes: number;
    readonly ringBytes: number;
    readonly allowUnlocked: boolean;
  };
  readonly watchdog: {
    /** Path of the device, or `none`; undefined for the board's. */
    readonly device: string | undefined;
    readonly required: boolean;
  };
  readonly ak: DoorConfig;
  readonly etsi014: DoorConfig & {
    /** Additional slaves that a request may name; 0 for no multicast. */
    readonly mostSlaves: number;
  };
  readonly kx: { readonly listen: Endpoint; readonly tls: DoorTlsFiles };
  readonly metrics: { readonly listen: Endpoint };
  /** Where Prometheus connects over TLS, if it does. */
  readonly monitoring: { readonly listen: Endpoint; readonly tls: DoorTlsFiles } | undefined;
  /** Where the QKDN controller connects, if there is one. */
  readonly controller: { readonly listen: Endpoint; readonly tls: DoorTlsFiles } | undefined;
  /** Where an SDN controller reads over ETSI GS QKD 015, if there is one. */
  readonly etsi015: { readonly listen: Endpoint; readonly tls: DoorTlsFiles } | undefined;
  /** Doors that are closed unless they are configured. */
  readonly skip: SkipConfig | undefined;
  readonly etsi004: DoorConfig | undefined;
  readonly etsi020: Etsi020Config | undefined;
  /** What this KM shows and trusts where it connects to other networks. */
  readonly etsi020Client: { readonly tls: DoorTlsFiles } | undefined;
  /** Of a KM that is several machines; undefined for one that is a single machine. */
  readonly cluster: ClusterConfig | undefined;
  readonly supply: SupplyPolicy & {
    /** Quota of an app that names none. */
    readonly quotaBitsPerS: number;
    readonly quotaBurstBits: number;
  };
  readonly audit: {
    readonly dir: string;
    readonly maxBytes: number;
    readonly keep: "newest" | "all";
    readonly gatherMs: number;
  };
  /** Where a copy of log and audit log goes, if it does. */
  readonly syslog: SyslogConfig | undefined;
  readonly sessions: SessionPolicy;
  readonly links: readonly LinkConfig[];
  /** Every link of the network: this node's own, then those of `[[topology]]`. */
  readonly topology: readonly TopologyLink[];
  readonly peers: readonly PeerConfig[];
  readonly apps: readonly AppConfig[];
}

/** What every door for applications is told. */
export interface DoorConfig {
  readonly listen: Endpoint;
  readonly tls: DoorTlsFiles;
  readonly requireHybrid: boolean;
  readonly minTls: MinTls;
  /** Empty for the defaults. */
  readonly groups: readonly Group[];
  readonly ciphers: readonly Suite[];
  readonly maxConnections: number;
}

/** The door for Cisco SKIP. */
export interface SkipConfig extends DoorConfig {
  /** This KM's system ID. */
  readonly system: string;
  readonly remotes: readonly { readonly system: string; readonly app: AppId }[];
  /** Who may come without a certificate; the files have the keys. */
  readonly psk: readonly { readonly identity: string; readonly app: AppId; readonly keyFile: string }[];
}

/** The border to other networks. */
export interface Etsi020Config extends DoorConfig {
  /** This door as other networks reach it; undefined for the address where it listens. */
  readonly callbackUrl: string | undefined;
  readonly timeoutMs: number;
  readonly borders: readonly BorderConfig[];
}

/** A key manager of another network. */
export interface BorderConfig {
  readonly id: KmId;
  readonly url: string | undefined;
  readonly isSynchronous: boolean;
  /** Its certificates, where they are of another make; empty for those with our URI. */
  readonly certificates: readonly CertificateName[];
}

/** `[cluster]`: this member, and the etcd that all members share. */
export interface ClusterConfig {
  readonly member: string;
  /** The voters of etcd. */
  readonly endpoints: readonly Endpoint[];
  readonly tls: TlsFiles;
  readonly leaseS: number;
}

/** A syslog server, and what waits for it. */
export interface SyslogConfig {
  readonly server: Endpoint;
  /** Paths of PEM files. */
  readonly trust: string;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly dir: string;
  readonly maxBytes: number;
}

/** One of `[[links]]`: a QKD link that ends here. */
export interface LinkConfig {
  readonly id: LinkId;
  readonly peer: KmId;
  readonly driver: DriverName;
  /** Device path of the module, `usb:VENDOR:PRODUCT:SERIAL`, `tcp:HOST:PORT`, or the URL of a box. */
  readonly port: string;
  readonly blockBytes: number;
  /** Parts of the link's blocks owned by the KM whose ID sorts first, and by the other. */
  readonly share: readonly [number, number];
  readonly keepBlocks: number;
  /** What a route over it costs. */
  readonly cost: number;
  /** What it says to its driver, by the driver's schema. */
  readonly options: LinkOptions;
}

/** One of `[[peers]]`: another KM. */
export interface PeerConfig {
  readonly id: KmId;
  /** Its Kx listeners: one, or one for each of its members. */
  readonly addresses: readonly [Endpoint, ...Endpoint[]];
  readonly dialect: "extended" | "strict";
  /** Who may fetch what a strict peer relays to us; empty for an extended one. */
  readonly fetchApps: readonly AppId[];
  /** Routes that share no KM, over which each KMA-key to it travels in parts; 1 for no parts. */
  readonly paths: number;
}

/** One of `[[apps]]`: an application and the KM that is its home. */
export interface AppConfig {
  readonly id: AppId;
  readonly home: KmId;
  /** In another network: the border of `home` over which keys for it leave. */
  readonly border: KmId | undefined;
  /** Its certificates, where they are of another make; empty for those with our URI. */
  readonly certificates: readonly CertificateName[];
  readonly quotaBitsPerS: number | undefined;
  readonly quotaBurstBits: number | undefined;
}

/** One thing that is wrong: where in the file, and what to do. */
export interface Complaint {
  readonly line: number;
  /** Such as `links[0].port`; empty when the text is no TOML. */
  readonly key: string;
  readonly sentence: string;
}

/** Everything that is wrong with a configuration, a line each: `file:line: key: sentence`. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly complaints: readonly Complaint[];

  constructor(file: string, complaints: readonly Complaint[]) {
    const line = (one: Complaint) => [`${file}:${one.line}`, ...(one.key ? [one.key] : []), one.sentence].join(": ");
    super(complaints.map(line).join("\n"));
    this.complaints = complaints;
  }
}

/**
 * Reads a configuration without looking at the files that it names. `file` is its path, to which others are relative.
 * @throws ConfigError with every complaint, in the order of lines
 */
export function parseConfig(text: string, file: string, known: Known = {}): NodeConfig {
  return read(text, file, ({ config }, complain) => checkRelations(config, known, complain)).config;
}

/** Reads a configuration file and looks at the files that it names. @throws ConfigError with every complaint */
export const loadConfig = (path: string, known: Known = {}): NodeConfig => readConfig(path, known).config;

/** A configuration, and the values of its file with every default, from which it was made. */
export interface ReadConfig {
  readonly config: NodeConfig;
  readonly written: Written;
}

/** The same with what stands in the file. @throws ConfigError with every complaint */
export function readConfig(path: string, known: Known = {}): ReadConfig {
  return read(textOf(path), path, (made, complain) => checkAll(made, known, complain));
}

/** What runs after a reload of a file that says `next`, and what it changes. @throws ConfigError when it does not fit together */
export function reloaded(path: string, running: Written, next: Written, known: Known = {}): ReadConfig & ConfigMerge {
  const merge = mergeConfig(running, next);
  const lineOf = lineFinder(textOf(path));
  const complaints: Complaint[] = [];
  const config = configOf(merge.written, resolve(path));
  checkAll({ config, written: merge.written }, known, (at, sentence) =>
    complaints.push({ line: lineOf(at), key: keyOf(at), sentence }),
  );
  if (complaints.length === 0) return { ...merge, config: deepFreeze(config) };
  // The file itself is right: what is not taken before the next start is in the way of what would be.
  const rest = merge.changes.filter(({ isTaken }) => !isTaken).map(({ key }) => key);
  const [first] = complaints;
  throw new ConfigError(path, [
    ...complaints,
    { line: first?.line ?? 1, key: "", sentence: `this needs a restart, with: ${rest.join(", ")}` },
  ]);
}

function checkAll({ config, written }: ReadConfig, known: Known, complain: Complain): void {
  checkRelations(config, known, complain);
  checkFiles(written, dirname(config.file), complain);
  for (const { table, key, sentence } of known.materials?.(config) ?? []) complain([table, key], sentence);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(path, [{ line: 1, key: "", sentence: `the file cannot be read (${why})` }]);
  }
}

function read(text: string, file: string, check: (made: ReadConfig, complain: Complain) => void): ReadConfig {
  const lineOf = lineFinder(text);
  const complaints: Complaint[] = [];
  const complain = (path: Path, sentence: string) =>
    complaints.push({ line: lineOf(path), key: keyOf(path), sentence });

  const toml = tomlOf(text, file);
  const { issues = [] } = v.safeParse(SCHEMA, toml);
  for (const issue of issues) complain(pathOf(issue), sentenceOf(issue));
  const rest = v.safeParse(SCHEMA, without(toml, issues));
  if (rest.success) {
    const doubtful = new Set(issues.filter((issue) => !isUnknownName(issue)).map((issue) => pathOf(issue)[0]));
    const config = configOf(rest.output, resolve(file));
    check({ config, written: rest.output }, (path, sentence) => {
      if (!doubtful.has(path[0])) complain(path, sentence);
    });
    if (complaints.length === 0) return { config: deepFreeze(config), written: rest.output };
  }
  throw new ConfigError(
    file,
    complaints.toSorted((a, b) => a.line - b.line),
  );
}

/** A copy without the keys that are wrong, so that the rest can be checked too. */
function without(toml: unknown, issues: readonly Issue[]): unknown {
  const copy = structuredClone(toml);
  for (const issue of issues) {
    const key = issue.path?.findLast((item) => typeof item.key === "string");
    const path = pathOf(issue);
    const parent = path.slice(0, path.lastIndexOf(String(key?.key))).reduce<unknown>(member, copy);
    if (key && typeof parent === "object" && parent !== null) Reflect.deleteProperty(parent, String(key.key));
  }
  return copy;
}

const member = (of: unknown, key: string | number): unknown =>
  typeof of === "object" && of !== null ? Reflect.get(of, key) : undefined;

function tomlOf(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const sentence = `${error.message.split("\n")[0]} (column ${error.column})`;
    throw new ConfigError(file, [{ line: error.line, key: "", sentence }]);
  }
}

type Issue = v.InferIssue<typeof SCHEMA>;

const pathOf = (issue: Issue): Path =>
  (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));

const keyOf = (path: Path): string =>
  path.map((part, at) => (typeof part === "number" ? `[${part}]` : at === 0 ? part : `.${part}`)).join("");

const isUnknownName = (issue: Issue): boolean => issue.type === "strict_object" && issue.expected === "never";

function sentenceOf(issue: Issue): string {
  if (isUnknownName(issue)) return "this name is not known; see docs/configuration.md";
  if (issue.received === "undefined") return "is missing";
  return issue.type === "strict_object" ? "must be a table" : issue.message;
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === "object" && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
