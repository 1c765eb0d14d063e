// The modules of one link, simulated in a process on the host; each end is a Unix socket that QEMU plugs in as USB serial.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "../../system/support/eventually.ts";
import { TestProcess } from "../../system/support/process.ts";

const QKM = fileURLToPath(new URL("../../../src/cli/qkm.ts", import.meta.url));

export interface PairOptions {
  readonly link: string;
  /** A short path: sockets lie in it. */
  readonly dir: string;
  readonly seed: string;
  readonly pairingKeyFile: string;
  readonly rateBitsPerS: number;
  readonly bufferBlocks: number;
}

/** Started once both sockets are there. */
export class Modules implements AsyncDisposable {
  /** Unix sockets of the Tx and the Rx module. */
  readonly sockets: readonly [string, string];
  readonly #bridges: ReadonlyMap<string, ChildProcess>;
  readonly #parts: AsyncDisposableStack;

  private constructor(bridges: ReadonlyMap<string, ChildProcess>, parts: AsyncDisposableStack) {
    const [a = "", b = ""] = bridges.keys();
    this.sockets = [a, b];
    this.#bridges = bridges;
    this.#parts = parts;
  }

  static async start({ link, dir, seed, pairingKeyFile, ...of }: PairOptions): Promise<Modules> {
    await using parts = new AsyncDisposableStack();
    const [a, b] = [join(dir, `${link}-a`), join(dir, `${link}-b`)];
    const pair = parts.use(new TestProcess(`modules of ${link}`, join(dir, `${link}.log`)));
    const key = ["--seed", seed, "--run-file", join(dir, `${link}.run`), "--pairing-key-file", pairingKeyFile];
    const ends = ["--a", a, "--b", b, "--rate-bits-per-s", String(of.rateBitsPerS)];
    const room = ["--buffer-blocks", String(of.bufferBlocks)];
    await pair.spawn([QKM, "module", "--link", link, ...ends, ...room, ...key]);
    const bridges = new Map<string, ChildProcess>();
    for (const pty of [a, b]) {
      const socket = `${pty}.sock`;
      const bridge = spawn(
        "setpriv",
        ["--pdeathsig", "TERM", "socat", `UNIX-LISTEN:${socket},fork`, `FILE:${pty},raw,echo=0`],
        {
          stdio: "ignore",
          detached: true, // a group of its own, with a child for each connection
        },
      );
      parts.defer(() => endGroup(bridge));
      bridges.set(socket, bridge);
      await eventually(`${socket} is there`, () => existsSync(socket));
    }
    return new Modules(bridges, parts.move());
  }

  /** The module at this socket lets go of whoever is connected; the next may connect. */
  letGo(socket: string): void {
    const pid = this.#bridges.get(socket)?.pid;
    const children = pid === undefined ? "" : readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    for (const child of children.split(" ").filter((one) => one !== "")) process.kill(Number(child), "SIGTERM");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts.disposeAsync();
  }
}

async function endGroup(leader: ChildProcess): Promise<void> {
  if (leader.pid === undefined || leader.exitCode !== null) return;
  const exit = once(leader, "exit");
  process.kill(-leader.pid, "SIGTERM");
  await exit;
}
