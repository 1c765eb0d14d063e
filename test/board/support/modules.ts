// The modules of one link, simulated in a process on the host; each end is a Unix socket that QEMU plugs in as USB serial.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
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
  readonly #parts: AsyncDisposableStack;

  private constructor(sockets: readonly [string, string], parts: AsyncDisposableStack) {
    this.sockets = sockets;
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
    const sockets = [`${a}.sock`, `${b}.sock`] as const;
    for (const [pty, socket] of [
      [a, sockets[0]],
      [b, sockets[1]],
    ] as const) {
      const bridge = spawn(
        "setpriv",
        ["--pdeathsig", "TERM", "socat", `UNIX-LISTEN:${socket},fork`, `FILE:${pty},raw,echo=0`],
        {
          stdio: "ignore",
          detached: true, // a group of its own, with a child for each connection
        },
      );
      parts.defer(() => endGroup(bridge));
      await eventually(`${socket} is there`, () => existsSync(socket));
    }
    return new Modules(sockets, parts.move());
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
