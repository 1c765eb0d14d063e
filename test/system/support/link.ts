// One link of a network under test: the process that simulates its two modules.

import { fileURLToPath } from "node:url";
import { networkPlaces } from "../../../src/cli/provision/plan.ts";
import type { ModuleOptions, PlannedLink } from "./plan.ts";
import { type Ended, type LogLine, TestProcess } from "./process.ts";

const QKM = fileURLToPath(new URL("../../../src/cli/qkm.ts", import.meta.url));

export class Link implements AsyncDisposable {
  readonly id: string;
  readonly #fixed: readonly string[];
  readonly #usual: ModuleOptions;
  readonly #process: TestProcess;

  constructor(dir: string, { id, kms: [a, b], module = {}, bare }: PlannedLink, blockBytes: number) {
    const places = networkPlaces(dir);
    this.id = id;
    this.#usual = { rateBitsPerS: 4_000_000, blockBytes, ...module };
    const ends = ["--a", places.module(id, a), "--b", places.module(id, b)];
    const pairing = bare ? [] : ["--pairing-key-file", places.pairingKey(id)];
    this.#fixed = [QKM, "module", "--link", id, ...ends, "--run-file", places.runFile(id), ...pairing];
    this.#process = new TestProcess(`link ${id}`, places.linkLog(id));
  }

  get pid(): number {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  get exited(): Promise<Ended> {
    return this.#process.exited;
  }

  get logPath(): string {
    return this.#process.logPath;
  }

  logLines(): LogLine[] {
    return this.#process.logLines();
  }

  /** With these options on top of the plan's. */
  start(options: ModuleOptions = {}): Promise<void> {
    return this.#process.spawn([...this.#fixed, ...flags({ ...this.#usual, ...options })]);
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    return this.#process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

const flags = (options: ModuleOptions): string[] =>
  Object.entries(options).flatMap(([name, value]) => [
    `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    String(value),
  ]);
