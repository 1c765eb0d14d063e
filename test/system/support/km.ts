// One KM of a network under test, as a process.

import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { KM_FLAGS } from "../../../src/cli/common/km-flags.ts";
import { nodePlaces } from "../../../src/cli/provision/plan.ts";
import { loadConfig } from "../../../src/config/read.ts";
import type { Endpoint, NodeConfig } from "../../../src/config.ts";
import { callControl } from "../../../src/control/socket/client.ts";
import type { KmReport } from "../../../src/control/status.ts";
import { MetricsPage } from "./metrics.ts";
import { type Ended, type LogLine, TestProcess } from "./process.ts";

const MAIN = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
/** What a KM may take to answer on any machine. */
const ANSWERS_MS = 60_000;

export class Km implements AsyncDisposable {
  readonly id: string;
  /** The node's folder. */
  readonly dir: string;
  /** Path of its node.toml. */
  readonly configPath: string;
  readonly #process: TestProcess;
  #config: NodeConfig | undefined;

  constructor(id: string, dir: string) {
    this.id = id;
    this.dir = dir;
    this.configPath = nodePlaces(dir).config;
    this.#process = new TestProcess(id, nodePlaces(dir).log);
  }

  /** As it was at the last start. */
  get config(): NodeConfig {
    this.#config ??= loadConfig(this.configPath);
    return this.#config;
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

  /** The log's length so far, for `logLines`. */
  get logBytes(): number {
    return this.#process.logBytes;
  }

  /** The log of all starts so far, from a byte on. */
  logLines(fromByte?: number): LogLine[] {
    return this.#process.logLines(fromByte);
  }

  get ak(): Endpoint {
    return this.config.ak.listen;
  }

  get etsiUrl(): string {
    const { host, port } = this.config.etsi014.listen;
    return `https://${host}:${port}`;
  }

  /** Resolves when it says `ready`. @throws Error with the log's last lines */
  start(): Promise<void> {
    this.#config = undefined;
    return this.#process.spawn([...KM_FLAGS, MAIN, this.configPath]);
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    return this.#process.kill(signal);
  }

  /** @throws NotRunning; Fault; Error */
  control(command: string): Promise<unknown> {
    return callControl(this.config.node.controlSocket, command, {}, ANSWERS_MS);
  }

  async status(): Promise<KmReport> {
    return (await this.control("status")) as KmReport;
  }

  /** Of this start: counters begin at 0 with each. */
  async metrics(): Promise<MetricsPage> {
    const { host, port } = this.config.metrics.listen;
    const page = await fetch(`http://${host}:${port}/metrics`, { signal: AbortSignal.timeout(ANSWERS_MS) });
    return new MetricsPage(await page.text());
  }

  /** While the KM is down: a copy of the store (and of the token) that `restore` puts back. */
  backUp(): Backup {
    const { storeDir } = this.config.node;
    const parts = { store: storeDir, token: nodePlaces(this.dir).token };
    for (const [name, path] of Object.entries(parts)) replace(path, join(this.dir, `backup-${name}`));
    return {
      restore: (...names) => {
        for (const name of names) replace(join(this.dir, `backup-${name}`), parts[name]);
      },
    };
  }

  /** While the KM is down. */
  deleteStore(): void {
    rmSync(this.config.node.storeDir, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

export interface Backup {
  restore(...names: ("store" | "token")[]): void;
}

function replace(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
}
