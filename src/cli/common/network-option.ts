// `--network` and `--dir`: two names of the same network, which every command that works with one takes alike.

import { dirname, join } from "node:path";
import { type Command, Option } from "commander";
import { NETWORK_FILE, USUAL_NETWORK } from "./network.ts";

/** For a command that asks a running network: its action finds the path of network.json in `network`, whichever was given. */
export function withNetwork(command: Command, usual = USUAL_NETWORK): Command {
  return command
    .option("--network <file>", "network.json of a running network", usual)
    .addOption(new Option("--dir <dir>", "the folder of that network, in place of --network").conflicts("network"))
    .hook("preAction", (_, called) => {
      const { dir } = called.opts<{ readonly dir?: string }>();
      if (dir === undefined) return;
      called.setOptionValue("network", join(dir, NETWORK_FILE)).setOptionValue("dir", undefined);
    });
}

/** For a command that makes a network: its action finds the folder in `dir`, whichever was given. */
export function withNetworkDir(command: Command, about: string): Command {
  return command
    .option("--dir <dir>", about)
    .addOption(new Option("--network <file>", "network.json of that folder, in place of --dir").conflicts("dir"))
    .hook("preAction", (_, called) => {
      const { network } = called.opts<{ readonly network?: string }>();
      if (network !== undefined) called.setOptionValue("dir", dirname(network));
    });
}
