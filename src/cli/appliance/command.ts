// `qkm appliance`: first boot of an appliance, its counterpart at the authority, and the ports for its firewall.

import { readFileSync, writeSync } from "node:fs";
import type { Command } from "commander";
import { BOARDS } from "../../../boards/index.ts";
import { parseConfig } from "../../config/read.ts";
import type { NodeConfig } from "../../config.ts";
import { boardOf } from "../board.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { clientDoors } from "./doors.ts";

interface ProvisionOptions {
  readonly board: string;
  readonly dir: string;
  readonly medium?: string;
}

/** Adds `qkm appliance`. */
export function registerApplianceCommand(program: Command): void {
  const appliance = program
    .command("appliance")
    .summary("first boot of an appliance, and what belongs to it")
    .description("What an appliance does at each start before its key manager, and what its authority does.");
  appliance
    .command("provision")
    .summary("take what the config medium brings, make what is missing, say what is needed still")
    .description(
      "Runs at each start of an appliance; see docs/provisioning.md. New PINs are shown once, on stdout.\n" +
        "When the node has all it needs, DIR/provisioned is there. Ends with 1 when something was refused.",
    )
    .requiredOption("--board <board>", `one of ${Object.keys(BOARDS).join(", ")}`)
    .requiredOption("--dir <dir>", "the appliance's folder")
    .option("--medium <dir>", "where the config medium is mounted, if there is one")
    .addHelpText("after", "\nExample:\n  qkm appliance provision --board host --dir /tmp/km-x --medium /run/medium")
    .action(provision);
  appliance
    .command("sign")
    .argument("<request...>", "certificate requests (PEM) of nodes")
    .summary("sign certificate requests with the authorities that qkm init made")
    .description("Shows what is in each request, asks, and writes the certificate. Overwrites nothing.")
    .requiredOption("--ca <dir>", "folder of the certificate authorities")
    .requiredOption("--out <dir>", "folder for the certificates, such as certificates/ of the config medium")
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExample:\n  qkm appliance sign --ca ca --out medium/certificates medium/requests/*.csr")
    .action(sign);
  appliance
    .command("ports")
    .summary("the TCP ports that a node listens on, for its firewall")
    .description("One port a line, in order; those of the loopback address are left out.")
    .requiredOption("--config <file>", "the node's configuration; the files that it names need not be there")
    .addHelpText("after", "\nExample:\n  qkm appliance ports --config /data/qkm/node.toml")
    .action(ports);
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function provision({ board, dir, medium }: ProvisionOptions): Promise<void> {
  const { provisionAppliance } = await import("./provision.ts");
  const write = (line: string): void => void writeSync(process.stdout.fd, `${line}\n`);
  const { refused } = await provisionAppliance(dir, boardOf(board), medium, write);
  if (refused > 0) process.exitCode = EXIT.failed;
}

async function sign(requests: readonly string[], options: { ca: string; out: string; yes?: true }): Promise<void> {
  const { signRequests } = await import("./certificates/sign.ts");
  await signRequests(requests, options, say);
}

function ports({ config }: { readonly config: string }): void {
  for (const port of portsOf(parseConfig(textOf(config), config))) say(String(port));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new CommandError(EXIT.unavailable, `${path} cannot be read: the node has no configuration yet.`, cause);
  }
}

/** Reachable from outside. */
export function portsOf(config: NodeConfig): readonly number[] {
  const doors = [...clientDoors(config), config.kx, config.metrics];
  const open = doors.map(({ listen }) => listen).filter(({ host, port }) => port !== 0 && !isLoopback(host));
  return [...new Set(open.map(({ port }) => port))].toSorted((a, b) => a - b);
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");
