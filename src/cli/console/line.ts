// The line that the console is on: the terminal that it was called in, a serial device, or a pseudo-terminal that it makes.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { ReadStream, WriteStream } from "node:tty";
import { CommandError, EXIT } from "../common/exit.ts";

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

/**
 * A new pseudo-terminal, found at `path`: resolves when somebody has opened it, and hangs up when nobody has it open.
 * Undefined when the signal aborts before.
 *
 *     who opens PATH ── /dev/pts/N ── socat ── Unix socket, which socat connects then ── this process
 *
 * @throws CommandError
 */
export async function pseudoTerminal(path: string, signal: AbortSignal): Promise<Line | undefined> {
  const dir = mkdtempSync(join(tmpdir(), "qkm-console-"));
  const door = createServer().listen(join(dir, "line"));
  await once(door, "listening");
  const terminal = `PTY,rawer,mode=600,wait-slave,pty-interval=0.05,link=${escaped(path)}`;
  const socat = spawn("socat", ["-t", "0", terminal, `UNIX-CONNECT:${escaped(join(dir, "line"))}`], {
    stdio: ["ignore", "ignore", "inherit"],
    signal,
  });
  const ended = new Promise<Error>((resolve) => {
    socat.once("error", (cause) =>
      resolve(new Error("socat cannot be started, which makes pseudo-terminals", { cause })),
    );
    socat.once("close", (code) => resolve(new Error(`socat ended (${code}): can ${path} be made?`)));
  });
  const opened = once(door, "connection").then(([socket]) => socket as Socket);
  const socket = await Promise.race([opened, ended]);
  door.close();
  rmSync(dir, { recursive: true });
  if (signal.aborted) {
    await ended;
    return undefined;
  }
  if (socket instanceof Error) throw new CommandError(EXIT.unavailable, socket.message, socket);
  return {
    input: socket,
    output: socket,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      if (socat.exitCode === null && socat.signalCode === null) socat.kill("SIGTERM");
      await ended;
    },
  };
}
