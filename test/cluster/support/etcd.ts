// Three real etcd on the loopback address for tests, with certificates of their own; gone with the process that started them.

import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import {
  clientUrl,
  type EtcdPlan,
  etcdArgs,
  etcdClientFiles,
  installEtcd,
  provisionEtcd,
  provisionEtcdClient,
} from "../../../src/cli/provision/etcd.ts";
import { authorityFiles } from "../../../src/cli/provision/plan.ts";
import { authoritiesIn } from "../../../src/cli/provision/provision.ts";
import type { Etcd } from "../../../src/cluster/etcd.ts";
import { openGateway } from "../../../src/cluster/gateway.ts";
import { freePorts } from "../../support/ports.ts";

const VOTERS = 3;

export interface Voter {
  readonly plan: EtcdPlan;
  readonly url: string;
  readonly pid: number;
  /** Kills it as a crash does; its data stays. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  start(): Promise<void>;
}

export interface EtcdCluster extends AsyncDisposable {
  readonly dir: string;
  readonly voters: readonly Voter[];
  readonly tls: { readonly certificate: string; readonly key: string; readonly trust: string };
  client(timeoutMs?: number): Etcd;
}

/** Starts three voters; resolves when they have a leader. */
export async function startEtcd(): Promise<EtcdCluster> {
  const program = installEtcd(() => {});
  const dir = mkdtempSync(join(tmpdir(), "qkm-etcd-"));
  const authorities = authoritiesIn(join(dir, "ca"), () => {});
  const ports = await freePorts(2 * VOTERS);
  const plans = Array.from({ length: VOTERS }, (_, at) => ({
    name: `etcd-${at + 1}`,
    dir: join(dir, `etcd-${at + 1}`),
    host: "127.0.0.1",
    ports: { client: ports[2 * at] ?? 0, peer: ports[2 * at + 1] ?? 0 },
  }));
  for (const plan of plans) await provisionEtcd(authorities, plan, () => {});
  await provisionEtcdClient(authorities, "km", dir, () => {});
  const voters = plans.map((plan) => new Running(program, plan, etcdArgs(plan, plans, authorities.dir)));
  await Promise.all(voters.map((voter) => voter.start()));
  const files = etcdClientFiles(dir);
  const tls = {
    certificate: readFileSync(files.cert, "utf8"),
    key: readFileSync(files.key, "utf8"),
    trust: readFileSync(authorityFiles(authorities.dir, "etcd").cert, "utf8"),
  };
  return {
    dir,
    voters,
    tls,
    client: (timeoutMs = 20_000) => openGateway({ endpoints: plans.map(clientUrl), tls, timeoutMs }),
    async [Symbol.asyncDispose]() {
      await Promise.all(voters.map((voter) => voter.kill()));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

class Running implements Voter {
  readonly plan: EtcdPlan;
  readonly #program: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  constructor(program: string, plan: EtcdPlan, args: readonly string[]) {
    this.#program = program;
    this.plan = plan;
    this.#args = args;
  }

  get url(): string {
    return clientUrl(this.plan);
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async start(): Promise<void> {
    mkdirSync(this.plan.dir, { recursive: true });
    const child = spawn("setpriv", ["--pdeathsig", "KILL", this.#program, ...this.#args], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    this.#process = child;
    const log = createWriteStream(join(this.plan.dir, "log"), { flags: "a" });
    child.stdout.pipe(log);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.includes("serving client traffic securely")) resolve();
    });
    child.once("exit", (code, signal) => reject(new Error(`etcd ended (${signal ?? code}); see ${this.plan.dir}/log`)));
    await promise;
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }
}
