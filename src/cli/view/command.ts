// `qkm view`: one page in a browser that shows a network as it is.

import { type Command, InvalidArgumentError } from "commander";
import { EXIT } from "../common/exit.ts";
import { readNetwork } from "../common/network.ts";
import { withNetwork } from "../common/network-option.ts";
import { domainOfNetwork, readDomain } from "../controller/domain.ts";
import { openView } from "./open.ts";

interface ViewOptions {
  readonly network: string;
  readonly port: number;
}

/** `qkm view`: serves the web page that watches a network. */
export function registerViewCommand(program: Command): void {
  withNetwork(program.command("view"))
    .argument("[domain.toml]", "KMs, links and certificate, as for `qkm controller`; without it, a running network")
    .summary("show a network in a browser")
    .description(
      "Serves one page on the loopback address: map, rates, QBER, stock, relays, faults with their remedies.\n" +
        "It reads what a QKDN controller reads, with a controller's certificate, and changes nothing.\n" +
        "Prints a link that opens the page in one browser, and the next one when it was used. Ctrl-C ends it.\n" +
        `Exit code ${EXIT.unavailable} when no network runs or the port is taken.`,
    )
    .option("--port <n>", "on the loopback address; any free one without it", port, 0)
    .addHelpText(
      "after",
      "\nExamples:\n  qkm view\n  qkm view domain.toml --port 17199\n\nFrom elsewhere: ssh -L 17199:127.0.0.1:17199 HOST, then open the link here.",
    )
    .action(view);
}

function port(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value < 65_536) return value;
  throw new InvalidArgumentError("It must be a whole number from 1 to 65535.");
}

async function view(file: string | undefined, options: ViewOptions): Promise<void> {
  const read = () =>
    file === undefined ? domainOfNetwork(options.network, readNetwork(options.network)) : readDomain(file);
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  const used = (next: string) => process.stdout.write(`opened; another browser: ${next}\n`);
  await using server = await openView(read(), { port: options.port, used, again: read });
  process.stdout.write(`${server.link}\n`);
  await stopped;
}
