// What a person types on the line: lines with editing and completion, single keys, and whatever else a bad line brings.
//
//   bytes ──accepted──> held (bounded) ──while somebody reads──> line editor or key
//
// Bytes are ASCII; garbage, breaks and bytes above are dropped. What is typed while nobody reads waits for who reads next.

import { createInterface, type Interface } from "node:readline";
import type { Readable } from "node:stream";
import { PassThrough, Writable } from "node:stream";

import { Escapes } from "./escapes.ts";

/** The person left, was idle for too long, or gave a line up. */
export class Ended extends Error {
  override readonly name = "Ended";
  readonly why: "hang-up" | "idle" | "end-of-input" | "interrupt";

  constructor(why: Ended["why"]) {
    super(`the console line ended: ${why}`);
    this.why = why;
  }
}

/** Whole lines that fit what was typed, and what of it they replace, as `node:readline` wants them. */
export type Completer = (line: string) => Promise<[found: string[], typed: string]>;

/** How a line is asked for. */
export interface LineOptions {
  readonly prompt: string;
  /** Not echoed, and in no history. */
  readonly secret?: true;
  /** Newest first; the line is added. */
  readonly history?: string[];
  readonly complete?: Completer;
  readonly signal: AbortSignal;
}

const CTRL_C = 3;
const NEWLINE = 10;
const RETURN = 13;
const ESCAPE = 27;
const DELETE = 127;
/** Control characters that the line editor knows: ^A ^B ^C ^D ^E ^F, backspace, tab, line ends, ^K ^L ^N ^P ^U ^W, escape. */
const EDITING = new Set([1, 2, CTRL_C, 4, 5, 6, 8, 9, NEWLINE, 11, 12, RETURN, 14, 16, 21, 23, ESCAPE, DELETE]);
/** As much as a certificate with those that sign it, pasted at once. */
const MOST_HELD = 65_536;
/** Characters typed for one line; what comes beyond is dropped, but for its end. */
const MOST_TYPED = 512;
const HISTORY = 100;

const isAccepted = (byte: number): boolean => (byte >= 32 && byte < DELETE) || EDITING.has(byte);

/** Makes lines of the bytes that a terminal sends: editing, history, completion. */
export class Keyboard {
  readonly #write: (text: string) => void;
  #held: number[] = [];
  #reader: ((byte: number) => void) | undefined;
  #afterReturn = false;
  readonly #hangUp = new AbortController();
  /** Called with each chunk that comes. */
  onActivity: () => void = () => {};
  /** Called for a Ctrl-C while nobody reads. */
  onInterrupt: () => void = () => {};

  /** `write` shows what is typed. */
  constructor(from: Readable, write: (text: string) => void) {
    this.#write = write;
    from.on("data", (chunk: Uint8Array) => this.#received(chunk));
    for (const event of ["end", "close", "error"]) from.on(event, () => this.#hangUp.abort(new Ended("hang-up")));
  }

  /** Aborts with `Ended` when the line is gone. */
  get gone(): AbortSignal {
    return this.#hangUp.signal;
  }

  #received(chunk: Uint8Array): void {
    this.onActivity();
    for (const byte of chunk) {
      const isSecondHalf = byte === NEWLINE && this.#afterReturn;
      this.#afterReturn = byte === RETURN;
      if (isSecondHalf || !isAccepted(byte)) continue;
      if (this.#reader !== undefined) this.#reader(byte);
      else if (byte === CTRL_C) this.onInterrupt();
      else if (this.#held.length < MOST_HELD) this.#held.push(byte);
    }
  }

  /** Drops what was typed and nobody has read. */
  forget(): void {
    this.#held = [];
  }

  /** @throws Ended when the line is gone, the signal aborts, or the person ends the line with ^C or ^D */
  async readLine({ prompt, secret, history, complete, signal }: LineOptions): Promise<string> {
    const ended = AbortSignal.any([signal, this.gone]);
    ended.throwIfAborted();
    const input = new PassThrough();
    const screen = this.#screen(secret === true);
    const editor = createInterface({
      ...{ input, output: screen, terminal: true, prompt: secret ? "" : prompt, historySize: history ? HISTORY : 0 },
      ...(history && { history: [...history], removeHistoryDuplicates: true }),
      ...(complete && { completer: completerOf(complete, () => isOpen) }),
    });
    let isOpen = true;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const abort = (): void => reject(ended.reason);
    ended.addEventListener("abort", abort, { once: true });
    editor.on("history", (lines) => history?.splice(0, history.length, ...lines));
    editor.once("line", resolve);
    editor.once("close", () => reject(new Ended("end-of-input")));
    editor.on("SIGINT", () => reject(new Ended("interrupt")));
    if (secret) this.#write(prompt);
    else editor.prompt();
    try {
      this.#feed(input);
      return await promise;
    } finally {
      isOpen = false;
      this.#reader = undefined;
      ended.removeEventListener("abort", abort);
      this.#close(editor, input, secret === true);
    }
  }

  #close(editor: Interface, input: PassThrough, secret: boolean): void {
    editor.close();
    input.destroy();
    if (secret && !this.gone.aborted) this.#write("\r\n");
  }

  /** Gives bytes to the editor up to the end of one line. */
  #feed(input: PassThrough): void {
    let typed = 0;
    const escapes = new Escapes();
    this.#read((byte) => {
      const characters = escapes.next(String.fromCharCode(byte));
      if (characters === "") return;
      if (byte >= 32 && byte < DELETE && ++typed > MOST_TYPED) return;
      if (byte === RETURN || byte === NEWLINE) this.#reader = undefined;
      input.write(characters);
    });
  }

  /** What is held goes first. */
  #read(reader: (byte: number) => void): void {
    this.#reader = reader;
    while (this.#reader !== undefined) {
      const byte = this.#held.shift();
      if (byte === undefined) return;
      this.#reader(byte);
    }
  }

  /** Where the editor draws. */
  #screen(isMuted: boolean): Writable & { columns?: number } {
    const screen: Writable & { columns?: number } = new Writable({
      decodeStrings: false,
      write: (text: string, _encoding, done) => {
        if (!isMuted) this.#write(text);
        done();
      },
    });
    screen.columns = 80;
    return screen;
  }

  /** The next key, as its character. @throws Ended when the line is gone or the signal aborts */
  async readKey(signal: AbortSignal): Promise<string> {
    const ended = AbortSignal.any([signal, this.gone]);
    ended.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const abort = (): void => reject(ended.reason);
    ended.addEventListener("abort", abort, { once: true });
    this.#read((byte) => {
      this.#reader = undefined;
      resolve(String.fromCharCode(byte));
    });
    try {
      return await promise;
    } finally {
      this.#reader = undefined;
      ended.removeEventListener("abort", abort);
    }
  }
}

type Answer = (error: Error | null, result?: [string[], string]) => void;

/** An editor that was closed meanwhile must not be answered. */
const completerOf =
  (complete: Completer, isOpen: () => boolean) =>
  (line: string, answer: Answer): void => {
    const nothing: Awaited<ReturnType<Completer>> = [[], line];
    void complete(line)
      .catch(() => nothing)
      .then((found) => {
        if (isOpen()) answer(null, found);
      });
  };
