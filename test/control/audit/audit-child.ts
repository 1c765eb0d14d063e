// A process of its own whose files cannot grow: notes events until the log is full, then gets room, and says what happened.

import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { AuditLog } from "../../../src/control/audit/audit-log.ts";
import { systemClock } from "../../../src/control/system.ts";
import { recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";
import { KM, TOKEN_KEY } from "./audit-kit.ts";

const [dir = ""] = process.argv.slice(2);
const limit = (bytes: number | "unlimited"): void =>
  void execFileSync("prlimit", ["--pid", String(process.pid), `--fsize=${bytes}:`]);

const mac = async (message: Uint8Array): Promise<Uint8Array> =>
  createHmac("sha256", TOKEN_KEY).update(message).digest();
limit(300 * 1024);
const options = { km: KM, dir, maxBytes: 1 << 20, keep: "newest", gatherMs: 10 } as const;
const audit = await AuditLog.open(options, { mac, clock: systemClock, ...recorder() });

let noted = 0;
const note = (): void => audit.note("console", { actor: "operator", what: `${"x".repeat(180)} ${++noted}` });
while (audit.obstacle() === undefined && noted < 5000) {
  note();
  if (noted % 50 === 0) await audit.flush();
}
const code = audit.obstacle()?.code;
const before = noted;
// What was begun when it became full is still logged; then it waits.
for (let more = 0; more < 1000; more++) {
  note();
  if (more % 50 === 0) await audit.flush();
}
const sealed = audit.last.sequence;
limit("unlimited");
await until("there is room again", () => audit.obstacle() === undefined);
await audit[Symbol.asyncDispose]();
process.stdout.write(JSON.stringify({ code, before, noted, sealed, last: audit.last.sequence }));
