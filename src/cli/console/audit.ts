// The audit log for the console: its last events, and its verification in a process of its own, for it may be long.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { NodeConfig } from "../../config.ts";
import { type AuditEntry, KmDown } from "../../console/node.ts";
import { lastEvents } from "../../control/audit/folder.ts";
import { askKm } from "./km.ts";

const QKM = fileURLToPath(new URL("../qkm.ts", import.meta.url));
/** Events that are looked through for those that are wanted. */
const MOST_EVENTS = 20_000;

/** The last so many with `part` in them, oldest first. A key manager that runs writes first what it has gathered. */
export async function auditEntries(
  config: NodeConfig | undefined,
  usualDir: string,
  { count, part }: { readonly count: number; readonly part: string },
): Promise<readonly AuditEntry[]> {
  await askKm(config, "audit", { count: 1 }).catch((thrown: unknown) => {
    if (!(thrown instanceof KmDown)) throw thrown;
  });
  const lines = lastEvents(config?.audit.dir ?? usualDir, part === "" ? count : MOST_EVENTS);
  const wanted = lines.filter((line) => part === "" || JSON.stringify(Object.values(line)).includes(part));
  return wanted.slice(-count).map(({ at, kind, ...fields }) => ({ time: at, event: kind, fields }));
}

/** What `qkm audit verify` says. @throws Error with what is wrong */
export function verifyAuditLog(config: string, signal: AbortSignal): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [QKM, "audit", "verify", config], { signal }, (error, stdout, stderr) => {
      const said = `${stdout}${stderr}`.trim();
      if (error === null) resolve(said.split("\n"));
      else reject(new Error(said === "" ? error.message : said));
    });
  });
}
