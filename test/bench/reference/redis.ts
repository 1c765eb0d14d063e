// Reference for keys in bulk: Redis over mutual TLS, which pops values from a list, asked by its own redis-benchmark.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Pattern, Rival } from "../duel.ts";
import type { Outcome } from "../load.ts";
import { Program } from "../program.ts";
import type { ServerFiles } from "./args.ts";

const SERVER = "redis-server";
const PROGRAMS = [SERVER, "redis-benchmark", "redis-cli"] as const;
const LIST = "keys";
/** What is popped in one round. */
const POPS = 1_024_000;
/** Beyond what is popped: no pop finds an empty list. */
const SPARE = 4_096;
const FILL_STEP = 1_024;
const TIMEOUT_MS = 120_000;

/** Why the figures have no Redis to be measured against, if so. */
export function redisMissing(): string | undefined {
  const missing = PROGRAMS.filter((program) => onPath(program) === undefined);
  if (missing.length === 0) return undefined;
  return `Redis is left out: ${missing.join(", ")} not found. To measure against it: sudo apt-get install redis-server redis-tools`;
}

const onPath = (program: string): string | undefined =>
  [...(process.env.PATH ?? "").split(":"), "/usr/bin", "/usr/local/bin"]
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));

/**
 * Bytes of the value whose answer, `$<length>\r\n<value>\r\n`, has as many bytes as `answerBytes`.
 * One less where no length fits: at the turn from 99 to 100, or from 999 to 1,000.
 */
export function valueBytes(answerBytes: number): number {
  for (let digits = 1; ; digits++) {
    const bytes = answerBytes - "$\r\n\r\n".length - digits;
    if (String(bytes).length <= digits) return bytes;
  }
}

/** Requests a second in what `redis-benchmark --csv` says. @throws Error when it says something else */
export function popsPerSecond(csv: string): number {
  const [, rate] = /^"LPOP [^"]*","([\d.]+)"/m.exec(csv) ?? [];
  if (rate === undefined) throw new Error(`redis-benchmark has measured nothing: ${csv.slice(0, 500)}`);
  return Number(rate);
}

export interface RedisPlan {
  /** What the server shows and trusts. */
  readonly server: ServerFiles;
  /** What its clients show and trust. */
  readonly client: ServerFiles;
  readonly pattern: Pattern;
  /** Popped at a time. */
  readonly values: number;
  /** Bytes of one answer with one value. */
  readonly answerBytes: number;
  /** A folder for its own. */
  readonly dir: string;
}

/** Without persistence: it writes nothing to a disk. */
export async function redisRival(plan: RedisPlan): Promise<Rival> {
  const dir = mkdtempSync(join(plan.dir, "redis-"));
  const port = await freePort();
  const tls = [
    "--tls-protocols",
    "TLSv1.3",
    "--tls-ciphersuites",
    "TLS_AES_256_GCM_SHA384",
    "--tls-auth-clients",
    "yes",
  ];
  const { certificate, key, trust } = plan.server;
  const files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", trust];
  const where = ["--bind", "127.0.0.1", "--port", "0", "--tls-port", String(port), "--dir", dir];
  const args = [...where, ...tls, ...files, "--save", "", "--appendonly", "no"];
  const program = await Program.start({
    command: "/bin/sh",
    args: ["-c", TIED, onPath(SERVER) ?? SERVER, ...args],
    ready: /Ready to accept connections/,
    log: join(dirname(dir), "redis.log"),
  });
  const rival = new RedisRival(plan, port, program);
  return {
    run: () => rival.run(),
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Ends the server when the other end of stdin is gone, whatever became of it. */
const TIED = `trap "" TERM; "$0" "$@" & server=$!; cat > /dev/null; kill $server; wait $server`;

class RedisRival {
  readonly #plan: RedisPlan;
  readonly #port: number;
  readonly #server: Program;
  readonly #value: string;

  constructor(plan: RedisPlan, port: number, server: Program) {
    this.#server = server;
    this.#plan = plan;
    this.#port = port;
    this.#value = "A".repeat(valueBytes(plan.answerBytes));
  }

  /** Fills the list anew, then pops. @throws Error when a pop found no value */
  async run(): Promise<Outcome> {
    const { values, pattern } = this.#plan;
    await this.#cli("DEL", LIST);
    await this.#cli("EVAL", FILL, "1", LIST, this.#value, String(FILL_STEP), String((POPS + SPARE) / FILL_STEP));
    const load = ["-c", String(pattern.connections), "-P", String(pattern.depth), "-n", String(POPS / values), "--csv"];
    const pop = ["LPOP", LIST, ...(values === 1 ? [] : [String(values)])];
    const before = this.#server.cpuSeconds();
    const perSecond = values * popsPerSecond(await this.#tool("redis-benchmark", ...load, ...pop));
    const cpuMicros = ((this.#server.cpuSeconds() - before) / POPS) * 1e6;
    const left = Number(await this.#cli("LLEN", LIST));
    if (!(left > 0 && left <= SPARE)) throw new Error(`Redis has ${left} values left instead of ${SPARE} or fewer`);
    return { perSecond, cpuMicros, answers: POPS, latencies: new Float64Array(0) };
  }

  #cli(...command: string[]): Promise<string> {
    return this.#tool("redis-cli", ...command);
  }

  async #tool(program: (typeof PROGRAMS)[number], ...args: string[]): Promise<string> {
    const { certificate, key, trust } = this.#plan.client;
    const tls = ["--tls", "--cert", certificate, "--key", key, "--cacert", trust];
    const where = ["-h", "127.0.0.1", "-p", String(this.#port)];
    const command = onPath(program) ?? program;
    const { stdout } = await promisify(execFile)(command, [...where, ...tls, ...args], { timeout: TIMEOUT_MS });
    return stdout;
  }
}

const FILL = `
  local values = {}
  for at = 1, ARGV[2] do values[at] = ARGV[1] end
  for _ = 1, ARGV[3] do redis.call("RPUSH", KEYS[1], unpack(values)) end
  return redis.call("LLEN", KEYS[1])`;

function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once("error", reject);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    server.close(() => resolve(port));
  });
  return promise;
}
