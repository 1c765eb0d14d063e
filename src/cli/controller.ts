// `qkm controller`: a small QKDN controller, which finds routes for many KMs and sets them.

import { statSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { pause, TIMERS } from "../core/pause.ts";
import { coloured } from "./common/colours.ts";
import { CommandError, EXIT } from "./common/exit.ts";
import { readNetwork } from "./common/network.ts";
import { withNetwork } from "./common/network-option.ts";
import { type Domain, domainOfNetwork, readDomain } from "./controller/domain.ts";
import { goRound, type Mode } from "./controller/round.ts";
import { roundTables } from "./controller/tables.ts";

interface ControllerOptions {
  readonly network: string;
  readonly watch?: number | true;
  readonly look?: true;
  readonly giveBack?: true;
}

const USUAL_WATCH_S = 5;

/** Adds `qkm controller`. */
export function registerControllerCommand(program: Command): void {
  withNetwork(program.command("controller"))
    .argument("[domain.toml]", "KMs, links and certificate (TOML, or JSON by its name); without it, a running network")
    .summary("find routes for many KMs and set them")
    .description(
      "Asks every KM for its links and destinations, finds for each pair the routes that share no KM and cost least by hops and\n" +
        "stock, sets those that differ from what is set, and shows them. A KM that does not answer is left out of all routes.\n" +
        "Where domain.toml has [apps], it also tells every KM which one is the home of each application.\n" +
        `Exit code ${EXIT.unavailable} when a KM does not answer, ${EXIT.failed} when one refuses its routes.`,
    )
    .addOption(new Option("--once", "one round and an end (the default)").conflicts("watch"))
    .option("--watch [seconds]", `again and again, every so many seconds (${USUAL_WATCH_S})`, seconds)
    .addOption(new Option("--look", "change nothing").conflicts("giveBack"))
    .option("--give-back", "give all routes back to the KMs' own topology")
    .addHelpText(
      "after",
      `
Examples:
  qkm controller
  qkm controller domain.toml --watch 10
  qkm controller --give-back

domain.toml:
  certificate = "controllers/controller-1.pem"
  key = "controllers/controller-1.key"
  trust = "ca/km_servers.pem"     # who signs the KMs' certificates
  [[kms]]
  id = "km-a"
  url = "https://192.0.2.7:4164"
  [[links]]
  id = "ab"
  kms = ["km-a", "km-b"]
  cost = 1
  [apps]                          # the directory: the home of each application; left out: as it is
  app-a1 = "km-a"
  "app:7" = "km-a"`,
    )
    .action(controller);
}

function seconds(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError("It must be a number of seconds above 0, a day at most.");
}

async function controller(file: string | undefined, options: ControllerOptions): Promise<void> {
  const domain = file === undefined ? domainOfNetwork(options.network, readNetwork(options.network)) : readDomain(file);
  const mode: Mode = options.giveBack ? "give back" : options.look ? "look" : "set";
  if (options.watch === undefined) process.exitCode = await once(domain, mode);
  else
    await watch(
      file === undefined ? () => domain : followed(file, domain),
      mode,
      (options.watch === true ? USUAL_WATCH_S : options.watch) * 1000,
    );
}

async function once(domain: Domain, mode: Mode): Promise<number> {
  const round = await goRound(domain, mode);
  process.stdout.write(
    `${roundTables(domain, round)
      .map((line) => coloured(line))
      .join("\n")}\n`,
  );
  if (round.silent.size > 0) return EXIT.unavailable;
  return [...round.outcomes, ...round.directories].some(({ failed }) => failed) ? EXIT.failed : EXIT.ok;
}

/** The file as it is now; what it was before while it has mistakes, which are told once for each change. */
function followed(file: string, read: Domain): () => Domain {
  let domain = read;
  let at = changedAt(file);
  return () => {
    const now = changedAt(file);
    if (now === at) return domain;
    at = now;
    try {
      domain = readDomain(file);
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown;
      process.stderr.write(`${thrown.message}\nThe controller goes on with the file as it was.\n`);
    }
    return domain;
  };
}

/** 0 while there is no such file. */
const changedAt = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Until the process is told to end. Shows a round when it differs from the last one. */
async function watch(current: () => Domain, mode: Mode, everyMs: number): Promise<void> {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  let shown = "";
  while (!stop.signal.aborted) {
    const domain = current();
    const text = roundTables(domain, await goRound(domain, mode)).join("\n");
    if (text !== shown) process.stdout.write(`${new Date().toISOString()}\n${text}\n\n`);
    shown = text;
    await pause(TIMERS, everyMs, stop.signal);
  }
}
