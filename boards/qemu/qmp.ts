// QEMU's monitor: asks it for something, hears of what happens to the machine.

import { once } from "node:events";
import { connect, type Socket } from "node:net";

type Facts = Readonly<Record<string, unknown>>;

interface Waiting {
  resolve(result: unknown): void;
  reject(why: Error): void;
}

interface Message {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: Facts;
}

const RETRY_MS = 50;

/** QEMU's control connection (QMP): commands with answers, and events. */
export class Qmp implements Disposable {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  readonly #listeners = new Set<(event: string, data: Facts) => void>();
  #rest = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#read(text));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error("QEMU has ended"));
    });
  }

  /** As soon as QEMU listens at `path`. @throws Error when QEMU has ended before */
  static async open(path: string, ended: Promise<void>): Promise<Qmp> {
    let over = false;
    ended.then(() => {
      over = true;
    });
    for (;;) {
      const socket = connect(path);
      const open = await once(socket, "connect").then(
        () => true,
        () => false,
      );
      if (open) {
        const qmp = new Qmp(socket);
        await qmp.ask("qmp_capabilities");
        return qmp;
      }
      if (over) throw new Error("QEMU has ended");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** @throws Error with what QEMU says against it */
  ask(execute: string, args: Facts = {}): Promise<unknown> {
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    return answer;
  }

  /** The next such event: RESET, WATCHDOG, SHUTDOWN, DEVICE_DELETED and others. Ask for it before it can happen. */
  event(name: string, fits: (data: Facts) => boolean = () => true): Promise<Facts> {
    return new Promise((resolve, reject) => {
      const listener = (event: string, data: Facts): void => {
        if (event !== name || !fits(data)) return;
        this.#listeners.delete(listener);
        resolve(data);
      };
      this.#listeners.add(listener);
      this.#socket.once("close", () => reject(new Error(`QEMU has ended before ${name}`)));
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    const lines = `${this.#rest}${text}`.split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#message(JSON.parse(line));
  }

  #message(message: Message): void {
    if (message.event !== undefined) {
      for (const listener of [...this.#listeners]) listener(message.event, message.data ?? {});
    } else if (message.error !== undefined) this.#waiting.shift()?.reject(new Error(message.error.desc));
    else if ("return" in message) this.#waiting.shift()?.resolve(message.return);
  }
}
