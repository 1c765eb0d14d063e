// `qkm forget` and `qkm accept-module`: what an operator begins anew at a KM that runs, at the cost of the key that there is.

import type { Command } from "commander";
import { confirm } from "./common/confirm.ts";
import { askKm } from "./common/control.ts";
import { openConfig } from "./run.ts";

interface Options {
  readonly yes?: true;
}

/** `qkm forget`: destroys what is shared with a peer, and begins anew. */
export function registerForgetCommand(program: Command): void {
  program
    .command("forget")
    .argument("<peer>", "the ID of the other KM")
    .argument("<node.toml>", "the configuration of this one, which runs")
    .summary("begin anew with another KM")
    .description(
      "Destroys all key that this KM shares with another one, and what it knows of the other's numbers. Do it at both ends,\n" +
        "when the two no longer agree: the alarm peer_leap. No serial that was given is given again.",
    )
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExample:\n  qkm forget km-b /etc/qkm/node.toml")
    .action(async (peer: string, path: string, options: Options) => {
      const { node } = openConfig(path);
      if (!options.yes) await confirm(`This destroys all key that ${node.id} shares with ${peer}.`, peer);
      await askKm(node.controlSocket, "forget", undefined, { peer });
      process.stdout.write(`${node.id} begins anew with ${peer}; do the same at ${peer}\n`);
    });
}

/** `qkm accept-module`: believes a module pair that counts from an earlier run. */
export function registerAcceptModuleCommand(program: Command): void {
  program
    .command("accept-module")
    .argument("<link>", "the ID of the link")
    .argument("<node.toml>", "the configuration of a KM at one of its ends, which runs")
    .summary("accept a new module pair on a link")
    .description(
      "Destroys all blocks of a link and the keys made of them at this end, and takes what its module brings from now on,\n" +
        "whatever its run. Do it at both ends, when a module pair was replaced: the alarm run_went_back.",
    )
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExample:\n  qkm accept-module ab /etc/qkm/node.toml")
    .action(async (link: string, path: string, options: Options) => {
      const { node } = openConfig(path);
      if (!options.yes) await confirm(`This destroys all blocks of ${link} at ${node.id}.`, link);
      await askKm(node.controlSocket, "accept_module", undefined, { link });
      process.stdout.write(`${node.id} takes what the module of ${link} brings; do the same at the other end\n`);
    });
}
