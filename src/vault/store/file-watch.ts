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

/**
 * What tells a file from all others, from one start to the next; a copy has another. The inode alone would not do: it is free
 * for another file as soon as the store is closed. Undefined when there is none, or it cannot be looked at.
 */
function identityOf(path: string): string | undefined {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stat && `${stat.ino}.${stat.birthtimeNs}`;
  } catch {
    return undefined;
  }
}

/** Of one store, over all its openings in one process. */
export class FileWatch {
  readonly #ports: FileWatchPorts;
  #path = "";
  /** Of the file as it was first opened; undefined before, and when it was gone by then. */
  #identity: string | undefined;
  #wasOpened = false;
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
    if (!this.#wasOpened || this.#isInPlace(path)) return;
    this.#judge(true);
    throw new Error(`${path} is not the file that this key manager has opened: restart it`);
  }

  /** What was first opened stays what is expected: a file that was exchanged while it was opened anew is another one, too. */
  opened(path: string): void {
    this.#path = path;
    if (!this.#wasOpened) this.#identity = identityOf(path);
    this.#wasOpened = true;
    this.#stop ??= this.#lookLater();
    this.#look();
  }

  closed(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** The file is destroyed on purpose: the next one is another. */
  destroyed(): void {
    this.closed();
    this.#identity = undefined;
    this.#wasOpened = false;
    this.#isGone = false;
  }

  #lookLater(): () => void {
    return this.#ports.clock.after(LOOK_MS, () => {
      // First: whatever happens to this look, there is another.
      this.#stop = this.#lookLater();
      this.#look();
    });
  }

  #look(): void {
    this.#judge(!this.#isInPlace(this.#path));
  }

  #isInPlace(path: string): boolean {
    return this.#identity !== undefined && identityOf(path) === this.#identity;
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
