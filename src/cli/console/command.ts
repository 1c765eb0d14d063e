// `qkm console`: the serial console of an appliance, and the same on a terminal of a development machine.

import { existsSync } from "node:fs";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { Board } from "../../../boards/board.ts";
import { BOARDS } from "../../../boards/index.ts";
import { Login } from "../../console/login.ts";
import type { ConsoleNode } from "../../console/node.ts";
import { converse, logIn } from "../../console/shell.ts";
import { Ended, Keyboard } from "../../console/terminal/keyboard.ts";
import { Screen } from "../../console/terminal/screen.ts";
import type { Charset } from "../../console/terminal/text.ts";
import { systemClock } from "../../control/system.ts";
import { boardOf } from "../board.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { failuresIn } from "./failures.ts";
import { type Line, ownTerminal, pseudoTerminal, serialDevice } from "./line.ts";
import { consoleNode, failuresFile } from "./node.ts";

interface ConsoleOptions {
  readonly board: string;
  readonly dir: string;
  readonly line?: string;
  readonly pty?: string;
  readonly medium: string;
  readonly run: string;
  readonly charset?: Charset;
}

/** Adds `qkm console`. */
export function registerConsoleCommand(program: Command): void {
  program
    .command("console")
    .summary("the console of a node: login, then commands to see and change it")
    .description(
      "The serial console of an appliance; docs/console.md has its commands. Without --line and --pty it is on the\n" +
        "terminal that it is called in or that its supervisor gave it. People log in with name and PIN; on the host\n" +
        "board, where the node's folder has no operators.json, whoever calls it is an operator.",
    )
    .option("--board <board>", `one of ${Object.keys(BOARDS).join(", ")}`, "host")
    .requiredOption("--dir <dir>", "the node's folder, with its node.toml")
    .addOption(new Option("--line <device>", "a serial line").conflicts("pty"))
    .option("--pty <link>", "make a pseudo-terminal, to be found at this path")
    .option("--medium <dir>", "where the config medium is mounted, with updates", "/run/medium")
    .option("--run <dir>", "where the file that asks for a restart of the machine goes", "/run/qkm")
    .addOption(new Option("--charset <charset>", "what the terminal shows (default: as LANG says)").choices(CHARSETS))
    .addHelpText("after", "\nExample:\n  qkm console --dir .qkm/km-a")
    .action(consoleCommand);
}

const CHARSETS = ["utf8", "ascii"];

async function consoleCommand(options: ConsoleOptions): Promise<void> {
  const board = boardOf(options.board);
  const places = { ...options, dir: resolve(options.dir), board: board.name };
  const node = consoleNode(places, journal);
  const login = new Login(() => node.operators(), failuresIn(failuresFile(places)));
  const isHost = board.name === "host";
  if (!existsSync(places.dir)) throw new CommandError(EXIT.config, `there is no folder ${places.dir}.`);
  const isFree = isHost && !existsSync(join(places.dir, "operators.json"));
  const stop = stopAtSignals();
  const mayLeave = isHost && options.pty === undefined && options.line === undefined;
  const manner = { charset: options.charset ?? usualCharset(), isFree, mayLeave };
  do {
    await using line = await openLine(options, board, stop.signal);
    if (line === undefined) return;
    const hangUp = (): void => void line.input.destroy();
    stop.signal.addEventListener("abort", hangUp, { once: true });
    if (!stop.signal.aborted) await serve({ node, login, line }, manner);
    stop.signal.removeEventListener("abort", hangUp);
  } while (options.pty !== undefined && !stop.signal.aborted);
}

/** To stderr, unless that is the terminal itself. */
function journal(line: string): void {
  if (!process.stderr.isTTY) process.stderr.write(`${line}\n`);
}

function stopAtSignals(): AbortController {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.on(signal, () => stop.abort());
  return stop;
}

const usualCharset = (): Charset =>
  /utf-?8/i.test(process.env.LC_ALL || process.env.LC_CTYPE || process.env.LANG || "") ? "utf8" : "ascii";

/** Undefined when the signal aborts while nobody has come. */
async function openLine({ pty, line }: ConsoleOptions, board: Board, stop: AbortSignal): Promise<Line | undefined> {
  if (pty !== undefined) return await pseudoTerminal(resolve(pty), stop);
  if (line !== undefined) return serialDevice(line, board.consoleBaud);
  return process.stdin.isTTY || board.console === undefined
    ? ownTerminal()
    : serialDevice(board.console, board.consoleBaud);
}

interface Serving {
  readonly charset: Charset;
  /** Nobody has to log in. */
  readonly isFree: boolean;
  /** Log-out ends the console. */
  readonly mayLeave: boolean;
}

/** One person after the other, until the line is gone. */
async function serve(
  { node, login, line }: { readonly node: ConsoleNode; readonly login: Login; readonly line: Line },
  { charset, isFree, mayLeave }: Serving,
): Promise<void> {
  const screen = new Screen(line.output, charset);
  const keyboard = new Keyboard(line.input, (text) => screen.raw(text));
  const parts = { node, screen, keyboard, clock: systemClock, mayLeave };
  const self = { name: userInfo().username, role: "operator" } as const;
  try {
    do await converse(parts, isFree ? self : await logIn(parts, login));
    while (!mayLeave);
  } catch (thrown) {
    if (!(thrown instanceof Ended)) throw thrown;
  }
}
