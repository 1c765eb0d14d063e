// `qkm up`: the reference network, everything real but the photons.

import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { host } from "../../../boards/host.ts";
import { pause, TIMERS } from "../../core/pause.ts";
import type { ViewServer } from "../../view/server.ts";
import { commandsToTry, whatStays } from "../common/attempt.ts";
import { readNetwork, USUAL_DIR, usualDir } from "../common/network.ts";
import { withNetworkDir } from "../common/network-option.ts";
import { installEtcd } from "../provision/etcd.ts";
import { MORE_DOOR_NAMES, type MoreDoor } from "../provision/more-doors.ts";
import { networkPlaces } from "../provision/plan.ts";
import { isFree, USUAL_BASE } from "../provision/ports.ts";
import { provisionReference } from "../provision/reference.ts";
import { SOURCE_NAMES, type Source } from "../provision/sources.ts";
import { takeOwnership } from "./owner.ts";
import { RunningNetwork } from "./running.ts";
import { CLOSE_SCREEN, drawScreen, OPEN_SCREEN, paint } from "./screen.ts";

const READY_POLL_MS = 50;
const SCREEN_MS = 1_000;
const TELL_MS = 10_000;

interface UpCommandOptions {
  readonly dir?: string;
  readonly cluster?: number | true;
  readonly ui: boolean;
  readonly rateBitsPerS: number;
  readonly doors: readonly MoreDoor[];
  readonly sources?: Source;
}

/** `qkm up`: the reference network, until Ctrl-C. */
export function registerUpCommand(program: Command): void {
  withNetworkDir(program.command("up"), `folder of the network (default: ${USUAL_DIR})`)
    .summary("run the reference network km-a ══ km-b ══ km-c")
    .description(
      "Runs three KMs, each with its own token and store, over two links with simulated QKD modules.\n" +
        "Provisions what is missing, shows a live table, and ends cleanly on Ctrl-C or SIGTERM.\n" +
        "When all is served, prints `ready DIR/network.json`: that file says where everything is.",
    )
    .argument("[module options...]", "options of `qkm module` for every link with modules, after --")
    .option("--doors <names>", `open these too, and keep them: all, or some of ${MORE_DOOR_NAMES.join(",")}`, doors, [])
    .addOption(
      new Option("--sources <kind>", "what feeds the link ab: modules, or a vendor's boxes; it stays so").choices(
        SOURCE_NAMES,
      ),
    )
    .option("--cluster [members]", "km-b as several members (2 unless said otherwise) on three etcd", positive)
    .option("--no-ui", "print one line when all is ready, and no table")
    .option("--rate-bits-per-s <n>", "key rate of each simulated link", positive, 2_000_000)
    .addHelpText(
      "after",
      "\nExamples:\n  qkm up --dir /tmp/net --no-ui\n  qkm up -- --lose-blocks 0.01 --restart-every-s 60",
    )
    .action(up);
}

function doors(text: string): readonly MoreDoor[] {
  if (text === "all") return MORE_DOOR_NAMES;
  return text.split(",").map((name) => {
    const door = MORE_DOOR_NAMES.find((one) => one === name);
    if (door === undefined) throw new InvalidArgumentError(`It must be all, or some of ${MORE_DOOR_NAMES.join(",")}.`);
    return door;
  });
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

async function up(further: readonly string[], options: UpCommandOptions): Promise<void> {
  const members = options.cluster === true ? 2 : (options.cluster ?? 1);
  const dir = resolve(options.dir ?? usualDir(members));
  const stop = stopAtSignals();
  const say = (line: string) => process.stderr.write(`${line}\n`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  using ownership = await takeOwnership(networkPlaces(dir).owner);
  if (members > 1) installEtcd(say);
  const basePort = options.dir === undefined ? USUAL_BASE : undefined;
  const { doors: open, sources: source, rateBitsPerS } = options;
  await provisionReference(dir, { board: host, basePort, doors: open, source, members }, say);
  await using network = await RunningNetwork.start({ dir, rateBitsPerS, moduleOptions: further, members }, ownership);
  try {
    await Promise.race([Promise.all([network.listening(), served(network, stop.signal, say)]), aborted(stop.signal)]);
    if (!stop.signal.aborted) await show(network, options, stop.signal);
  } finally {
    stop.abort();
  }
}

/** Says that all is ready, and shows the network until the signal. */
async function show(network: RunningNetwork, options: UpCommandOptions, stop: AbortSignal): Promise<void> {
  network.publish();
  process.stdout.write(`ready ${networkPlaces(network.dir).network}\n`);
  const commands = commandsToTry(network.dir, options.dir);
  await using view = options.ui ? await viewOf(network.dir, options.dir === undefined) : undefined;
  if (options.ui && process.stdout.isTTY) await showScreen(network, { commands, view }, stop);
  else if (options.ui) {
    const lines = [...(view ? [`look: ${view.link}`] : []), ["try:", ...commands].join("\n  ")];
    process.stderr.write(`${lines.join("\n")}\n`);
  }
  await aborted(stop);
  process.stderr.write(`${whatStays(network.dir)}\n`);
}

/** Aborts at the first signal to end; further ones change nothing, since npm passes each on a second time. */
function stopAtSignals(): AbortController {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => controller.abort());
  return controller;
}

/** Resolves when every pair of applications that has a route is served without waiting; tells meanwhile what is lacking. */
async function served(network: RunningNetwork, stop: AbortSignal, say: (line: string) => void): Promise<void> {
  let told = performance.now();
  while (!stop.aborted) {
    await network.pollStatus();
    const lacking = network.lacking();
    if (lacking.length === 0) return;
    if (performance.now() - told > TELL_MS) {
      say(`still waiting: ${lacking.join("; ")}`);
      told = performance.now();
    }
    await pause(TIMERS, READY_POLL_MS, stop);
  }
}

/** Where the view of the usual network is, if nothing else listens there. */
const USUAL_VIEW_PORT = 17_199;

/** Loaded only where somebody looks. Undefined for a network that somebody configured without controllers. */
async function viewOf(dir: string, isUsual: boolean): Promise<ViewServer | undefined> {
  const file = networkPlaces(dir).network;
  const network = readNetwork(file);
  if (network.kms.some(({ controller }) => controller === undefined)) return undefined;
  const [{ openView }, { domainOfNetwork }] = await Promise.all([
    import("../view/open.ts"),
    import("../controller/domain.ts"),
  ]);
  const port = isUsual && (await isFree(USUAL_VIEW_PORT, "127.0.0.1")) ? USUAL_VIEW_PORT : 0;
  const read = () => domainOfNetwork(file, readNetwork(file));
  return openView(read(), { port, again: read });
}

interface Shown {
  readonly commands: readonly string[];
  readonly view: ViewServer | undefined;
}

async function showScreen(network: RunningNetwork, { commands, view }: Shown, stop: AbortSignal): Promise<void> {
  const begun = performance.now();
  process.stdout.write(OPEN_SCREEN);
  while (!stop.aborted) {
    await Promise.all([network.pollStatus(), network.pollCounts()]);
    const kms = network.kms.map(({ id, child, status, counts }) => ({ id, pid: child.pid, report: status, counts }));
    const upSeconds = (performance.now() - begun) / 1000;
    const lines = drawScreen({ dir: network.dir, upSeconds, kms, faults: network.faults, commands, view: view?.link });
    process.stdout.write(paint(lines.slice(0, process.stdout.rows - 1)));
    await pause(TIMERS, SCREEN_MS, stop);
  }
  process.stdout.write(CLOSE_SCREEN);
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
