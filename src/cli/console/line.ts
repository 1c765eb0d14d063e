// The line that the console is on: the terminal that it was called in, a serial device, or a pseudo-terminal that it makes.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { constants, openSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { ReadStream, WriteStream } from "node:tty";
import { CommandError, EXIT } from "../exit.ts";

/** Raw bytes both ways. The end of `input` is a hang-up. */
export interface Line extends AsyncDisposable {
  readonly input: Readable;
  readonly output: Writable;
}

/** Standard input and output, raw while they are a terminal; a supervisor has set the speed. */
export function ownTerminal(): Line {
  const { stdin, stdout } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  return {
    input: stdin,
    output: stdout,
    async [Symbol.asyncDispose]() {
      if (stdin.isTTY && !stdin.destroyed) stdin.setRawMode(false);
      stdin.destroy();
    },
  };
}

/** A serial device: 8 data bits, no parity, 1 stop bit, no modem lines. @throws CommandError */
export function serialDevice(path: string, baud: number): Line {
  try {
    const settings = [String(baud), "cs8", "-cstopb", "-parenb", "-crtscts", "clocal", "raw", "-echo"];
    execFileSync("stty", ["-F", path, ...settings], { stdio: ["ignore", "ignore", "pipe"] });
    const input = new ReadStream(openSync(path, constants.O_RDWR | constants.O_NOCTTY));
    const output = new WriteStream(openSync(path, constants.O_RDWR | constants.O_NOCTTY));
    input.setRawMode(true);
    return {
      input,
      output,
      async [Symbol.asyncDispose]() {
        input.destroy();
        output.destroy();
      },
    };
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message.trim() : String(thrown);
    throw new CommandError(EXIT.unavailable, `${path} cannot be used as a console line: ${why}`, thrown);
  }
}

const escaped = (path: string): string => path.replace(/[\\,:!"'([{]/g, "\\$&");

/** A new pseudo-terminal, found at `link`; it begins when somebody opens it and hangs up when nobody has it open. @throws CommandError */
export async function pseudoTerminal(link: string): Promise<Line> {
  const terminal = `PTY,rawer,mode=600,wait-slave,pty-interval=0.05,link=${escaped(link)}`;
  const socat = spawn("socat", ["-t", "0", terminal, "STDIO"], { stdio: ["pipe", "pipe", "inherit"] });
  const failed = once(socat, "error");
  await Promise.race([once(socat, "spawn"), failed.then(([cause]) => Promise.reject(cause))]).catch(
    (cause: unknown) => {
      throw new CommandError(
        EXIT.unavailable,
        "socat cannot be started, which makes pseudo-terminals; install it.",
        cause,
      );
    },
  );
  failed.catch(() => {});
  socat.stdin.on("error", () => {});
  const exit = once(socat, "exit");
  return {
    input: socat.stdout,
    output: socat.stdin,
    async [Symbol.asyncDispose]() {
      if (socat.exitCode === null && socat.signalCode === null) socat.kill("SIGTERM");
      await exit;
      socat.stdin.destroy();
      socat.stdout.destroy();
    },
  };
}
