// Starts the process of a token, and ends it: in order, or at once when it hangs.

import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { Fault } from "../../../src/core/fault.ts";
import { lineReader, lineWriter, type Reply, type Request } from "./protocol.ts";
import { borrowRegion, type Region, type RegionOptions, returnRegion } from "./shared-memory.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
/** Node's own warnings have no place in the log of a key manager. */
const NODE_FLAGS = ["--disable-sigusr1", "--no-warnings"];
/** How long a killed process is waited for: one that the kernel cannot end yet is left to it. */
const KILL_WAIT_MS = 1000;

// Processes that were killed and have not ended. Until they have, no other is started: a driver of the kernel that hangs
// would gather them.
const lingering = new Set<ChildProcess>();

/** Who hears what the process says. */
export interface Listener {
  reply(reply: Reply): void;
  /** The process has ended, or talks nonsense; called once. */
  ended(why: string): void;
}

/** The process of a token, seen from the KM. */
export class TokenChild {
  readonly region: Region;
  readonly #process: ChildProcess;
  readonly #socket: Socket;
  readonly #write: (request: Request) => void;
  readonly #exit = Promise.withResolvers<void>();

  /** @throws Fault HSM_UNAVAILABLE, MEMORY_NOT_LOCKED */
  constructor(options: RegionOptions, listener: Listener) {
    const [stuck] = lingering;
    if (stuck !== undefined) {
      const text = `the process of the token that hung has not ended yet (pid ${stuck.pid}); it is waited for`;
      throw new Fault("HSM_UNAVAILABLE", { text });
    }
    this.region = borrowRegion(options);
    const stdio = ["ignore", "ignore", "inherit", "pipe", this.region.fd] as const;
    this.#process = spawn(process.execPath, [...NODE_FLAGS, MAIN], { stdio: [...stdio] });
    this.#socket = this.#process.stdio[3] as Socket;
    this.#write = lineWriter((lines) => void this.#socket.write(lines));
    this.#listen(listener);
  }

  send(request: Request): void {
    this.#write(request);
  }

  /** Ends it by its closed socket, or by force after `withinMs`. */
  async close(withinMs: number): Promise<void> {
    this.#socket.end();
    if (!(await this.#endsWithin(withinMs))) await this.kill();
  }

  /** Ends it at once, whatever it does. Resolves when it has ended, or cannot yet. */
  async kill(): Promise<void> {
    lingering.add(this.#process);
    this.#process.kill("SIGKILL");
    await this.#endsWithin(KILL_WAIT_MS);
  }

  #listen(listener: Listener): void {
    let told = false;
    const ended = (why: string): void => {
      if (told) return;
      told = true;
      listener.ended(why);
    };
    const read = lineReader((line) => listener.reply(JSON.parse(line) as Reply));
    this.#socket.setEncoding("utf8");
    this.#socket.on("data", (piece: string) => {
      try {
        read(piece);
      } catch (thrown) {
        ended(`it talks nonsense: ${thrown}`);
      }
    });
    this.#socket.on("error", () => ended("its socket is closed"));
    this.#process.on("error", (error) => {
      ended(`it cannot be started: ${error.message}`);
      this.#gone();
    });
    this.#process.on("exit", (code, signal) => {
      ended(`it ended with ${signal ?? code}`);
      this.#gone();
    });
  }

  /** Nobody else has the memory any more. */
  #gone(): void {
    lingering.delete(this.#process);
    this.#exit.resolve();
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(resolve, ms, false);
    void this.#exit.promise.then(() => resolve(true));
    const ended = await promise;
    clearTimeout(timer);
    return ended;
  }

  /** Gives the memory back when the process has ended, which may be after `kill` gave up waiting. */
  releaseRegion(): void {
    // Not in the same turn: whoever was refused because of the end still zeroes its place.
    void this.#exit.promise.then(() => setImmediate(returnRegion, this.region));
  }
}
