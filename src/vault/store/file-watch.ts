// Notices that a store's file is gone from its folder, or another is in its place, while the store is open: what LMDB writes
// then goes to a file that nobody finds again.

import { statSync } from "node:fs";
import type { Clock, Log, Meter } from "../../core/ports.ts";

/** So often it is looked. */
const LOOK_MS = 5_000;

/** What watching a store's files needs. */
export interface FileWatchPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
}

/** What tells a file from all others, from one start to the next; a copy has another. Undefined when there is none. */
function identityOf(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.ino}.${stat.birthtimeNs}`;
}

/** While a file is open no other one has its inode. Undefined when there is none, or it cannot be looked at. */
function inodeOf(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}

/** Of one store, over all its openings in one process. */
export class FileWatch {
  readonly #ports: FileWatchPorts;
  #path = "";
  #identity: string | undefined;
  #inode: bigint | undefined;
  #isGone = false;
  #stop: (() => void) | undefined;

  constructor(ports: FileWatchPorts) {
    this.#ports = ports;
  }

  /** The file as it was opened. */
  get identity(): string | undefined {
    return this.#identity;
  }

  /**
   * Before the file is opened once more. Never a new file under a key manager that runs: it would lack the marks that are in
   * memory. @throws Error when it is another one
   */
  expect(path: string): void {
    if (this.#inode === undefined || inodeOf(path) === this.#inode) return;
    this.#judge(true);
    throw new Error(`${path} is not the file that this key manager has opened: restart it`);
  }

  opened(path: string): void {
    this.#path = path;
    this.#identity = identityOf(path);
    this.#inode = inodeOf(path);
    this.#stop ??= this.#lookLater();
  }

  closed(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** The file is destroyed on purpose: the next one is another. */
  destroyed(): void {
    this.closed();
    this.#identity = undefined;
    this.#inode = undefined;
    this.#isGone = false;
  }

  #lookLater(): () => void {
    return this.#ports.clock.after(LOOK_MS, () => {
      this.#look();
      this.#stop = this.#lookLater();
    });
  }

  #look(): void {
    this.#judge(inodeOf(this.#path) !== this.#inode);
  }

  #judge(isGone: boolean): void {
    const { log, meter } = this.#ports;
    if (isGone === this.#isGone) return;
    this.#isGone = isGone;
    const file = this.#path;
    if (!isGone) {
      log.info({ file }, "the file of the key store is in its place again");
      return;
    }
    meter.add("store_faults", { kind: "vanished" });
    meter.add("alarms", { alarm: "store_vanished" });
    log.error({ alarm: "store_vanished", file }, VANISHED);
  }
}

const VANISHED =
  "the file of the key store is gone from its folder, or another is in its place: this key manager goes on, and its keys are " +
  "lost when it ends. Find out who removed it; put no old copy there; restart when it suits";
