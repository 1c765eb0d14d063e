// `qkm zeroise`: destroys all key of one KM, whether it runs or not.

import type { Command } from "commander";
import { openToken } from "../../drivers/pkcs11/process/open.ts";
import type { NodeConfig } from "../config.ts";
import { makeLog } from "../control/log.ts";
import { callControl, NotRunning } from "../control/socket/client.ts";
import { kekPrefix } from "../vault/epochs/epochs.ts";
import { ownDirectory } from "../vault/store/owner.ts";
import { removeDirectory } from "../vault/store/remove.ts";
import { plural } from "./common/columns.ts";
import { confirm } from "./common/confirm.ts";
import { openConfig } from "./run.ts";

/** Beyond what a KM waits for a token that hangs. */
const ZEROISE_TIMEOUT_MS = 90_000;

/** `qkm zeroise`: destroys all key of a KM, running or not. */
export function registerZeroiseCommand(program: Command): void {
  program
    .command("zeroise")
    .argument("<node.toml>", "the node's configuration")
    .summary("destroy all key of a KM")
    .description(
      "Destroys the key-encryption keys in the token and the key store, for good. A KM that runs does it itself and ends;\n" +
        "otherwise it is done here. Certificates and configuration stay.",
    )
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExample:\n  qkm zeroise /etc/qkm/node.toml --yes")
    .action(zeroise);
}

async function zeroise(path: string, options: { readonly yes?: true }): Promise<void> {
  const config = openConfig(path);
  const { id } = config.node;
  if (!options.yes) await confirm(`This destroys all key of ${id}.`, id);
  const how = await zeroiseNode(config);
  process.stdout.write(`${id} is zeroised: ${how}\n`);
}

/** Destroys all key of a KM, whether it runs or not. @returns how @throws Fault, Error */
export const zeroiseNode = async (config: NodeConfig): Promise<string> =>
  (await byTheKm(config)) ?? (await here(config));

/** Undefined when the KM does not run. @throws Fault as the KM answered */
async function byTheKm({ node }: NodeConfig): Promise<string | undefined> {
  try {
    await callControl(node.controlSocket, "zeroise", {}, ZEROISE_TIMEOUT_MS);
    return "the KM destroyed its keys and store, and ends";
  } catch (thrown) {
    if (thrown instanceof NotRunning) return undefined;
    throw thrown;
  }
}

/** On token and store, as their only owner. @throws Error when another process has the store; Fault of the token */
async function here({ node, token: settings }: NodeConfig): Promise<string> {
  const release = ownDirectory(node.storeDir);
  try {
    const log = makeLog("error", process.stderr);
    await using token = await openToken(settings, log);
    const keks = await token.find(kekPrefix(node.id));
    for (const kek of keks) await kek.destroy();
    removeDirectory(node.storeDir);
    return `${plural(keks.length, "key")} in the token and the store were destroyed`;
  } finally {
    release();
  }
}
