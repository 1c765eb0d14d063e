// Notices that a store's file is gone from its folder, or another is in its place, while the store is open: what LMDB writes
// then goes to a file that nobody finds again.

import { statSync } from "node:fs";
import type { Clock, Log, Meter } from "../../core/ports.ts";

/** So often it is looked. */
const LOOK_MS = 5_000;

export interface FileWatchPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
}

/** The identity of a file on this machine; a copy has another. Undefined when there is none. */
export function identityOf(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.ino}.${stat.birthtimeNs}`;
}

/** Of one store, over all its openings in one process. */
export class FileWatch {
  readonly #ports: FileWatchPorts;
  #path = "";
  #identity: string | undefined;
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
    if (this.#identity === undefined || identityOf(path) === this.#identity) return;
    throw new Error(`${path} is not the file that this key manager has opened: restart it`);
  }

  opened(path: string): void {
    this.#path = path;
    this.#identity = identityOf(path);
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
    this.#isGone = false;
  }

  #lookLater(): () => void {
    return this.#ports.clock.after(LOOK_MS, () => {
      this.#look();
      this.#stop = this.#lookLater();
    });
  }

  #look(): void {
    const { log, meter } = this.#ports;
    const isGone = whereabouts(this.#path) !== this.#identity;
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

/** A file that cannot be looked at is no other file. */
function whereabouts(path: string): string | undefined {
  try {
    return identityOf(path);
  } catch {
    return undefined;
  }
}
