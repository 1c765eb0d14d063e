// `qkm audit`: verifies the audit log, shows it, and traces blocks and keys through it.

import { existsSync } from "node:fs";
import { Command } from "commander";
import { openToken } from "../../../drivers/pkcs11/process/open.ts";
import type { NodeConfig } from "../../config.ts";
import type { Witness } from "../../control/audit/audit-log.ts";
import { auditLabel } from "../../control/audit/audit-writer.ts";
import { checkSeals } from "../../control/audit/check.ts";
import { type SealCheck, type Verdict, verifyAudit } from "../../control/audit/verify.ts";
import { makeLog } from "../../control/log.ts";
import { callControl, NotRunning } from "../../control/socket/client.ts";
import { asFault } from "../../core/fault.ts";
import { auditNameOf } from "../../node/settings.ts";
import { ownDirectory } from "../../vault/store/owner.ts";
import { plural } from "../common/columns.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { openConfig } from "../run.ts";
import { registerShow } from "./show.ts";
import { registerTrace } from "./trace.ts";

/** Adds `qkm audit`. */
export function registerAuditCommand(program: Command): void {
  const audit = program.command("audit").summary("verify, show and trace the audit log of a KM");
  audit.addCommand(verifyCommand());
  registerShow(audit);
  registerTrace(audit);
}

const verifyCommand = (): Command =>
  new Command("verify")
    .argument("[node.toml]", "the node's configuration")
    .summary("verify an audit log from its first byte to its last")
    .description(
      "Recomputes the chain of hashes, and has the token confirm the seals: through the KM when it runs, otherwise by opening\n" +
        "the token. With --dir the chain alone is verified, which whoever can write the files could have made anew.\n" +
        `Exit code ${EXIT.failed} when something is wrong, with file and byte.`,
    )
    .option("--dir <folder>", "a folder of segments, such as a copy; without the token")
    .addHelpText(
      "after",
      "\nExamples:\n  qkm audit verify /etc/qkm/node.toml\n  qkm audit verify --dir /media/copy/audit",
    )
    .action(verify);

async function verify(path: string | undefined, { dir }: { readonly dir?: string }): Promise<void> {
  if ((path === undefined) === (dir === undefined)) {
    throw new CommandError(EXIT.usage, "say which: a node.toml, or --dir with a folder of segments.");
  }
  if (dir !== undefined) return report(await verifyAudit(existing(dir)), "without the token");
  const config = openConfig(path ?? "");
  const folder = existing(config.audit.dir);
  const witness = (await byTheKm(config)) ?? (await byTheToken(config));
  await using _closed = witness;
  report(await verifyAudit(folder, witness.check, witness.known), witness.who);
}

/** @throws CommandError */
function existing(dir: string): string {
  if (existsSync(dir)) return dir;
  throw new CommandError(EXIT.unavailable, `there is no folder ${dir}.`);
}

/** Who confirms the seals. */
interface Confirming extends AsyncDisposable {
  readonly check: SealCheck | undefined;
  readonly known: readonly Witness[];
  readonly who: string;
}

const NOTHING = async (): Promise<void> => {};

/** Undefined when the KM does not run. @throws Fault as the KM answered */
async function byTheKm({ node }: NodeConfig): Promise<Confirming | undefined> {
  try {
    const last = (await callControl(node.controlSocket, "audit_last")) as Witness;
    const check: SealCheck = async (seals) => {
      const plain = seals.map(({ hash, mac }) => ({ hash, mac }));
      return (await callControl(node.controlSocket, "audit_check", { seals: plain })) as boolean[];
    };
    return { check, known: [last], who: "confirmed by the KM's token", [Symbol.asyncDispose]: NOTHING };
  } catch (thrown) {
    if (thrown instanceof NotRunning) return undefined;
    throw thrown;
  }
}

/** As the token's only user. Without it the chain alone is verified. @throws Error when another process has the store */
async function byTheToken(config: NodeConfig): Promise<Confirming> {
  const { node, token: settings } = config;
  const name = auditNameOf(config);
  const release = ownDirectory(node.storeDir);
  try {
    const token = await openToken(settings, makeLog("error", process.stderr));
    const key = await token.macKey(auditLabel(name));
    const sequence = await token.counter(auditLabel(name));
    return {
      check: key && ((seals) => checkSeals(name, (message) => key.mac(message), seals)),
      known: [{ sequence }],
      who: key === undefined ? "the token has no key of an audit log" : "confirmed by the token",
      async [Symbol.asyncDispose]() {
        await token[Symbol.asyncDispose]();
        release();
      },
    };
  } catch (thrown) {
    release();
    const who = `without the token: ${asFault(thrown).message}`;
    return { check: undefined, known: [], who, [Symbol.asyncDispose]: NOTHING };
  }
}

/** @throws CommandError when something is wrong */
function report({ segments, batches, events, first, last, unsealed, confirmed, problems }: Verdict, who: string): void {
  const lines = [
    `${plural(events, "event")} in ${batches === 1 ? "1 batch" : `${batches} batches`} of ${plural(segments, "segment")}, seals ${first} to ${last}`,
    ...(unsealed > 0
      ? [`${plural(unsealed, "byte")} behind the last seal without a seal (a write under way, or a kill)`]
      : []),
    confirmed > 0
      ? `${plural(confirmed, "seal")}, and with them all before: ${who}`
      : `only the chain was verified: ${who}`,
    ...problems.map((problem) => `WRONG: ${problem}`),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  if (problems.length > 0) {
    throw new CommandError(
      EXIT.failed,
      `the audit log is not as it was written: ${plural(problems.length, "finding")}.`,
    );
  }
  process.stdout.write("PASS\n");
}
