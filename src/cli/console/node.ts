// The node that the console stands on, put together of its folder, its key manager and the system's commands.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseConfig } from "../../config/read.ts";
import type { NodeConfig } from "../../config.ts";
import { type ConsoleNode, KmDown } from "../../console/node.ts";
import { readOperators } from "../../console/operators.ts";
import { Fault } from "../../core/fault.ts";
import { appliancePlaces } from "../appliance/places.ts";
import { auditEntries, verifyAuditLog } from "./audit.ts";
import { nodeChecks } from "./checks.ts";
import { updateContents } from "./contents.ts";
import { logTail } from "./journal.ts";
import { askKm, runningKm } from "./km.ts";
import { installUpdate } from "./update.ts";

/** Where the console finds the node and what it may do to the system. */
export interface ConsolePlaces {
  /** The node's folder. */
  readonly dir: string;
  readonly board: string;
  /** Where the config medium is mounted, if there is one. */
  readonly medium: string;
  /** Folder of the file that asks for a restart of the machine. */
  readonly run: string;
}

/** A line for the system's journal. */
export type Journal = (line: string) => void;

const VERSION = new URL("../../../package.json", import.meta.url);

/** The node that a console stands on, by its files, its control socket and the system below. */
export function consoleNode(places: ConsolePlaces, journal: Journal): ConsoleNode {
  const files = appliancePlaces(places.dir);
  const config = configReader(files.config);
  return {
    get id() {
      return config()?.node.id;
    },
    board: places.board,
    version: String(JSON.parse(readFileSync(VERSION, "utf8")).version),
    km: runningKm(config),
    operators: () => (existsSync(files.operators) ? readOperators(readFileSync(files.operators, "utf8")) : []),
    note: (actor, what) => note(config(), { actor, what }, journal),
    configuration: () => readFileSync(files.config, "utf8"),
    modules: () => (config()?.links ?? []).map(({ id, driver, port }) => ({ link: id, driver, port })),
    audit: async (count, part) => await auditEntries(config(), files.audit, { count, part }),
    verifyAudit: (signal) => verifyAuditLog(files.config, signal),
    logs: (count) => logTail(count, files.log),
    checks: () => nodeChecks(config(), places.dir),
    zeroise: async () => await (await import("../zeroise.ts")).zeroiseNode(needed(config())),
    requests: async () => await (await import("../appliance/certificates/identities.ts")).requestsOf(places.dir),
    installCertificate: (pem) => installed(places.dir, pem),
    updates: () => updatesIn(places.medium),
    updateContents: (file) => updateContents(join(places.medium, file)),
    update: (file, said, signal) => installUpdate(join(places.medium, file), said, signal),
    reboot: () => askReboot(places.run),
  };
}

/** The file is read again when it has changed. Undefined while it is missing or wrong. */
function configReader(path: string): () => NodeConfig | undefined {
  let read: { readonly stamp: string; readonly config: NodeConfig | undefined } | undefined;
  return () => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const stamp = `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
    if (read?.stamp !== stamp) read = { stamp, config: parsed(path) };
    return read.config;
  };
}

function parsed(path: string): NodeConfig | undefined {
  try {
    return parseConfig(readFileSync(path, "utf8"), path);
  } catch {
    return undefined;
  }
}

function needed(config: NodeConfig | undefined): NodeConfig {
  if (config !== undefined) return config;
  throw new Error("this node has no configuration yet, or one that is wrong: qkm check tells more");
}

/** To the audit log; while the key manager is down, to the journal. @throws Fault when the audit log cannot take it */
/**
 * Into the system's journal, and into the audit log: a key manager that is down or hangs keeps nobody from anything.
 * @throws Fault as it answered: an audit log that cannot be written
 */
async function note(config: NodeConfig | undefined, entry: { actor: string; what: string }, journal: Journal) {
  const write = (more: object): void =>
    journal(JSON.stringify({ time: new Date().toISOString(), console: { ...entry, ...more } }));
  write({});
  await askKm(config, "audit_note", entry).catch((thrown: unknown) => {
    if (thrown instanceof Fault) throw thrown;
    if (!(thrown instanceof KmDown)) write({ notAudited: String(thrown) });
  });
}

async function installed(dir: string, pem: string): Promise<readonly string[]> {
  const { installCertificate } = await import("../appliance/install.ts");
  const { name, until, missing } = installCertificate(dir, pem);
  const rest = missing.length === 0 ? ["The node has all that it needs."] : ["Before it can run it needs:", ...missing];
  return [`certificate for ${name} installed, valid until ${until.toISOString().slice(0, 10)}`, ...rest];
}

const updatesIn = (medium: string): readonly string[] =>
  existsSync(medium) ? readdirSync(medium).filter((name) => /^[\w][\w.+-]*\.raucb$/.test(name)) : [];

/** A unit of the image watches for the file. @throws Error where there is none */
function askReboot(run: string): void {
  if (!existsSync(run)) throw new Error(`this machine is not started again from here: there is no ${run}`);
  writeFileSync(join(run, "reboot"), "");
}

/** Where failures to log in are counted between two starts of the console. */
export const failuresFile = (places: ConsolePlaces): string =>
  join(existsSync(places.run) ? places.run : dirname(appliancePlaces(places.dir).config), "console-failures");
