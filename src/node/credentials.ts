// The TLS material of every door of a node, read from the files that its configuration names; renewed when they change.
//
// Files are looked at every few seconds. Those that go together are seldom written in one step: material that does not fit
// is not taken, and looked at again each time until it does. Nobody is cut off by a half-written file.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { DoorTlsFiles, NodeConfig } from "../config.ts";
import { pause, TIMERS } from "../core/pause.ts";
import type { Log } from "../core/ports.ts";
import { anchorsIn, Credentials, type Expiry } from "../net/tls/credentials.ts";
import type { TlsMaterial } from "../net/tls/options.ts";
import { readRevocationLists } from "../net/tls/revocation-list.ts";
import { FurtherExpiries } from "./further-expiries.ts";

/** A table of the configuration that has TLS material. */
export type TlsTable = {
  [Table in keyof NodeConfig]-?: NonNullable<NodeConfig[Table]> extends { readonly tls: DoorTlsFiles } ? Table : never;
}[keyof NodeConfig];

/** What is wrong with a file that the configuration names: at which key of which table. */
export interface MaterialComplaint {
  readonly table: string;
  readonly key: keyof DoorTlsFiles;
  readonly sentence: string;
}

/** How often files are looked at; a renewed one is taken within a minute, also one that was half-written at first. */
const LOOK_MS = 5_000;

/** Every table of a configuration that has TLS material of a door. */
export const tlsTables = (config: NodeConfig): readonly (readonly [table: string, files: DoorTlsFiles])[] =>
  Object.entries(config).flatMap(([table, part]) => (hasTls(part) ? [[table, part.tls] as const] : []));

const hasTls = (part: unknown): part is { readonly tls: DoorTlsFiles } =>
  typeof part === "object" &&
  part !== null &&
  "tls" in part &&
  typeof part.tls === "object" &&
  part.tls !== null &&
  "requireCrl" in part.tls;

/** Reads one door's files. @throws Error when one cannot be read */
const readMaterial = ({ certificate, key, trust, crl, requireCrl }: DoorTlsFiles): TlsMaterial => ({
  certificate: readFileSync(certificate, "utf8"),
  key: readFileSync(key, "utf8"),
  trust: readFileSync(trust, "utf8"),
  crl: crl.map((path) => readFileSync(path, "utf8")),
  requireCrl,
});

/** Everything that is wrong with the files that a configuration names for its doors. */
export const materialComplaints = (config: NodeConfig): readonly MaterialComplaint[] =>
  tlsTables(config).flatMap(([table, files]) => complaintsOf(files).map((one) => ({ table, ...one })));

function complaintsOf(files: DoorTlsFiles): readonly Omit<MaterialComplaint, "table">[] {
  const complaints: Omit<MaterialComplaint, "table">[] = [];
  const attempt = <T>(key: keyof DoorTlsFiles, path: string, read: (text: string) => T): T | undefined => {
    // That it is not there is told elsewhere.
    if (!existsSync(path)) return undefined;
    try {
      return read(readFileSync(path, "utf8"));
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      complaints.push({ key, sentence: `${path} cannot be used: ${why}` });
      return undefined;
    }
  };
  const certificate = attempt("certificate", files.certificate, (text) => new X509Certificate(text));
  const key = attempt("key", files.key, createPrivateKey);
  if (certificate && key && !certificate.checkPrivateKey(key)) {
    complaints.push({ key: "key", sentence: `${files.key} is not the key of ${files.certificate}` });
  }
  const trust = attempt("trust", files.trust, anchorsIn);
  if (trust?.length === 0) complaints.push({ key: "trust", sentence: `${files.trust} has no certificate (PEM)` });
  for (const path of files.crl) attempt("crl", path, (text) => readRevocationLists(text, trust ?? []));
  return complaints;
}

/** What expires, and at which door. */
export interface DoorExpiry extends Expiry {
  readonly door: string;
}

/** Material that was read and fits. */
export interface ReadMaterial {
  /** Gives it to the doors; connections that are good no more are closed. */
  take(): void;
  /** Tables whose material differs from what is in use. */
  readonly changed: readonly string[];
}

/** The credentials of a node's doors. */
export class NodeCredentials {
  readonly #log: Log;
  readonly #byTable = new Map<string, Credentials>();
  readonly #further = new FurtherExpiries();
  #config: NodeConfig;
  #seen = "";
  #warned = "";

  /** @throws Error when a file cannot be read or used */
  constructor(config: NodeConfig, log: Log) {
    this.#log = log;
    this.#config = config;
    for (const [table, files] of tlsTables(config)) this.#byTable.set(table, new Credentials(readMaterial(files)));
  }

  /** Those of a table that the configuration has. */
  of(table: TlsTable): Credentials {
    const found = this.#byTable.get(table);
    if (found === undefined) throw new Error(`[${table}] has no TLS material`);
    return found;
  }

  /** Reads the files that a configuration names for the doors that there are. @throws Error when something does not fit: nothing has changed then */
  read(config: NodeConfig): ReadMaterial {
    const read = tlsTables(config).flatMap(([table, files]) => {
      const credentials = this.#byTable.get(table);
      return credentials === undefined ? [] : [{ table, credentials, material: checked(readMaterial(files)) }];
    });
    const changed = read.filter(({ credentials, material }) => !isSame(credentials, material));
    return {
      changed: changed.map(({ table }) => table),
      take: () => {
        this.#config = config;
        for (const { credentials, material } of changed) credentials.renew(material);
      },
    };
  }

  /** What is to be renewed at each door, and of the connections that this KM opens to boxes, etcd and a syslog server. */
  get expiries(): readonly DoorExpiry[] {
    const doors = [...this.#byTable].flatMap(([door, { expiries }]) => expiries.map((one) => ({ door, ...one })));
    return [...doors, ...this.#further.of(this.#config)];
  }

  /** Whoever would not be let in now is closed. */
  lookAgain(): void {
    for (const credentials of this.#byTable.values()) credentials.lookAgain();
  }

  /** Looks at the files again and again until the signal; `taken` hears of the tables that were renewed. */
  async watch(signal: AbortSignal, taken: (tables: readonly string[]) => void): Promise<void> {
    this.#seen = await this.#look();
    while (!signal.aborted) {
      await pause(TIMERS, LOOK_MS, signal);
      const seen = await this.#look();
      if (signal.aborted || seen === this.#seen) continue;
      this.#takeRenewed(seen, taken);
    }
  }

  #takeRenewed(seen: string, taken: (tables: readonly string[]) => void): void {
    try {
      const read = this.read(this.#config);
      this.#seen = seen;
      if (read.changed.length === 0) return;
      read.take();
      taken(read.changed);
    } catch (err) {
      // Once for each state of the files: the next look may find the other half.
      if (this.#warned !== seen)
        this.#log.warn({ err }, "renewed TLS files are not taken yet: they do not fit together");
      this.#warned = seen;
    }
  }

  /** What tells whether a file is another: its place on the disk, its size, when it was changed. */
  async #look(): Promise<string> {
    const paths = tlsTables(this.#config).flatMap(([, { certificate, key, trust, crl }]) => [
      certificate,
      key,
      trust,
      ...crl,
    ]);
    const marks = [...new Set(paths)].map(async (path) => {
      const found = await stat(path).catch(() => undefined);
      return `${path} ${found?.ino} ${found?.size} ${found?.mtimeMs} ${found?.ctimeMs}`;
    });
    return (await Promise.all(marks)).join("\n");
  }
}

/** @throws Error when it cannot be used */
function checked(material: TlsMaterial): TlsMaterial {
  const { certificate, key, trust } = material;
  createSecureContext({ cert: certificate, key, ca: trust });
  new Credentials(material);
  return material;
}

const isSame = (one: TlsMaterial, other: TlsMaterial): boolean =>
  one.certificate === other.certificate &&
  one.key === other.key &&
  one.trust === other.trust &&
  one.requireCrl === other.requireCrl &&
  (one.crl ?? []).join("\n") === (other.crl ?? []).join("\n");
