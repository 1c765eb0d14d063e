// One client of the control socket: its requests are answered one after the other.

import type { Socket } from "node:net";
import { asFault, Fault } from "../../core/fault.ts";
import type { Log } from "../../core/ports.ts";
import { LineReader } from "./lines.ts";

/** Arguments of a command, still to be checked. */
export type ControlArgs = Readonly<Record<string, unknown>>;

/**
 * Answers once with what the promise gives, or line after line with what an async iterable gives, until the client is
 * gone. A Fault becomes the client's error; whatever else is thrown is logged and becomes INTERNAL.
 */
export type ControlCommand = (args: ControlArgs) => Promise<unknown> | AsyncIterable<unknown>;

/** Commands of the control socket by name. */
export type ControlCommands = Readonly<Record<string, ControlCommand>>;

/** Characters of a request. */
export const LONGEST_REQUEST = 65_536;
/** Requests that may wait behind the one being answered. */
const MOST_WAITING = 16;
/** A client that has not taken a line after this time is cut off. */
const WRITE_DEADLINE_MS = 10_000;

/** One client of the control socket. */
export class Dialogue {
  readonly #socket: Socket;
  readonly #commands: ControlCommands;
  readonly #log: Log;
  readonly #waiting: string[] = [];
  #busy = false;
  #ended = false;

  constructor(socket: Socket, commands: ControlCommands, log: Log) {
    this.#socket = socket;
    this.#commands = commands;
    this.#log = log;
  }

  begin(): void {
    const lines = new LineReader(LONGEST_REQUEST);
    this.#socket.on("data", (chunk: Uint8Array) => this.#received(lines, chunk));
    this.#socket.on("end", () => {
      this.#ended = true;
      if (!this.#busy) this.#socket.end();
    });
  }

  #received(lines: LineReader, chunk: Uint8Array): void {
    try {
      this.#waiting.push(...lines.push(chunk));
    } catch (thrown) {
      this.#socket.end(refusal(new Fault("MALFORMED_REQUEST", { text: String(thrown) })));
      return;
    }
    if (this.#waiting.length > MOST_WAITING) this.#socket.end(refusal(new Fault("BUSY")));
    else if (!this.#busy) void this.#serve();
  }

  async #serve(): Promise<void> {
    this.#busy = true;
    for (let line = this.#waiting.shift(); line !== undefined; line = this.#waiting.shift()) {
      await this.#answer(line);
    }
    this.#busy = false;
    if (this.#ended) this.#socket.end();
  }

  async #answer(line: string): Promise<void> {
    try {
      const { command, args } = this.#parsed(line);
      const given = command(args);
      if (given instanceof Promise) await this.#write(success(await given));
      else await this.#writeEach(given);
    } catch (thrown) {
      const fault = asFault(thrown);
      if (fault.code === "INTERNAL") this.#log.error({ err: fault.cause }, "a control command failed");
      await this.#write(refusal(fault));
    }
  }

  #parsed(line: string): { command: ControlCommand; args: ControlArgs } {
    const request = parseObject(line);
    const { command: name, args = {} } = request;
    if (typeof name !== "string" || !Object.hasOwn(this.#commands, name)) {
      const known = Object.keys(this.#commands).join(", ");
      throw new Fault("MALFORMED_REQUEST", { text: `there is no such command; the commands are: ${known}` });
    }
    const command = this.#commands[name];
    if (command === undefined || !isObject(args))
      throw new Fault("MALFORMED_REQUEST", { text: "args must be an object" });
    return { command, args };
  }

  async #writeEach(results: AsyncIterable<unknown>): Promise<void> {
    const iterator = results[Symbol.asyncIterator]();
    const gone = new Promise<undefined>((resolve) => this.#socket.once("close", () => resolve(undefined)));
    try {
      for (;;) {
        const step = await Promise.race([iterator.next(), gone]);
        if (step === undefined || step.done === true) return;
        await this.#write(success(step.value));
      }
    } finally {
      // Not awaited: a generator that waits for something ends only after that.
      iterator.return?.().catch(() => {});
    }
  }

  /** Waits until the client has taken the line, or is gone. */
  async #write(line: string): Promise<void> {
    const socket = this.#socket;
    if (!socket.writable) return;
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => socket.destroy(), WRITE_DEADLINE_MS);
      const done = (): void => {
        clearTimeout(deadline);
        socket.off("close", done);
        resolve();
      };
      socket.once("close", done);
      socket.write(line, done);
    });
  }
}

const success = (result: unknown): string => `${JSON.stringify({ ok: true, result: result ?? null })}\n`;

const refusal = ({ code, message }: Fault): string => `${JSON.stringify({ ok: false, error: { code, message } })}\n`;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (isObject(value)) return value;
  } catch (cause) {
    throw new Fault("MALFORMED_REQUEST", { text: "a request must be one line of JSON", cause });
  }
  throw new Fault("MALFORMED_REQUEST", { text: "a request must be a JSON object" });
}
