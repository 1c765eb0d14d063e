// A person at a serial line: types, and waits for what the screen shows.

import type { Socket } from "node:net";

/** Escape sequences of the line editor and of the firmware. */
const SEQUENCE = new RegExp(`${String.fromCharCode(27)}(\\[[0-9;?=]*[A-Za-z]|[=>c])`, "g");
const DEADLINE_MS = 300_000;
const LAST_LINES = 40;

/** What a line brought, as a person reads it. */
export const asRead = (text: string): string => text.replaceAll(SEQUENCE, "").replaceAll("\r", "");

export class Terminal implements Disposable {
  readonly name: string;
  readonly #socket: Socket;
  readonly #waiting = new Set<() => void>();
  #raw = "";
  #seen = 0;
  #over = false;

  constructor(name: string, socket: Socket) {
    this.name = name;
    this.#socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#raw += text;
      this.#changed();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#over = true;
      this.#changed();
    });
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** All that was shown since the line was opened, as a person reads it. */
  get text(): string {
    return asRead(Buffer.from(this.#raw, "latin1").toString("utf8"));
  }

  /** The end of it. */
  get lastLines(): string {
    return this.text.split("\n").slice(-LAST_LINES).join("\n");
  }

  type(text: string): void {
    this.#socket.write(text);
  }

  /** Nothing that was shown so far counts any more. */
  forget(): void {
    this.#seen = this.text.length;
  }

  /**
   * What is shown since the last call, up to and with what is waited for.
   * @throws Error with the last lines of the screen, when it is not shown in time or the line ends
   */
  async shows(what: string | RegExp, deadlineMs = DEADLINE_MS): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const fail = (why: string): void =>
      reject(new Error(`${this.name} does not show ${what}: ${why}. It shows:\n${this.lastLines}`));
    const look = (): void => {
      const fresh = this.text.slice(this.#seen);
      const end = endOf(fresh, what);
      if (end === undefined) {
        if (this.#over) fail("the line has ended");
        return;
      }
      this.#seen += end;
      resolve(fresh.slice(0, end));
    };
    const timer = setTimeout(() => fail(`${deadlineMs / 1_000} s have passed`), deadlineMs);
    this.#waiting.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** Where it ends in the text. */
function endOf(text: string, what: string | RegExp): number | undefined {
  if (typeof what === "string") {
    const at = text.indexOf(what);
    return at < 0 ? undefined : at + what.length;
  }
  const found = what.exec(text);
  return found === null ? undefined : found.index + found[0].length;
}
