// Fetched ranges made durable: one change for all fetches that come while the one before is on its way to the disk.

import type { Context } from "../common/context.ts";
import { kmaRow, TABLE } from "../common/rows.ts";
import type { ReceivedKey } from "./received-key.ts";
import type { ReceivedKeys, TakenFrom } from "./received-keys.ts";

/** What a fetch is told, once. What it throws concerns no other. */
export interface Fetching {
  /** Its marks are durable. */
  durable(): void;
  /** They may be durable or not; nothing may leave. */
  failed(thrown: unknown): void;
}

/** Commits fetched ranges; requests that come while a commit is under way share the next one. */
export class FetchCommits {
  readonly #vault: Context["vault"];
  readonly #log: Context["log"];
  /** What the next change has to write, and who waits for it. */
  #keys = new Map<ReceivedKey, ReceivedKeys>();
  #waiting: Fetching[] = [];
  /** Whose change was rejected and may have happened all the same: the disk may say of free ranges that they are fetched. */
  readonly #doubtful = new Map<ReceivedKey, ReceivedKeys>();
  #isRunning = false;

  constructor({ vault, log }: Pick<Context, "vault" | "log">) {
    this.#vault = vault;
    this.#log = log;
    vault.onHealth(() => {
      if (this.#doubtful.size > 0 && vault.health().store === "ready") this.#start();
    });
  }

  /** The ranges are marked in memory; those that come in the same turn of the event loop share a change. */
  add(wanted: Iterable<TakenFrom>, held: ReceivedKeys, fetching: Fetching): void {
    for (const { key } of wanted) this.#keys.set(key, held);
    this.#waiting.push(fetching);
    this.#start();
  }

  #start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    do {
      const [keys, fetchings] = [new Map([...this.#doubtful, ...this.#keys]), this.#waiting];
      this.#keys = new Map();
      this.#waiting = [];
      const failed = await this.#commit(keys).then(
        () => undefined,
        (thrown: unknown) => ({ thrown }),
      );
      this.#doubtful.clear();
      if (failed !== undefined) for (const [key, held] of keys) this.#doubtful.set(key, held);
      for (const fetching of fetchings) this.#tell(fetching, failed);
    } while (this.#waiting.length > 0);
    this.#isRunning = false;
  }

  #tell(fetching: Fetching, failed: { readonly thrown: unknown } | undefined): void {
    try {
      if (failed === undefined) fetching.durable();
      else fetching.failed(failed.thrown);
    } catch (err) {
      this.#log.error({ err }, "a fetch broke off when it was answered");
    }
  }

  async #commit(keys: ReadonlyMap<ReceivedKey, ReceivedKeys>): Promise<void> {
    const change = this.#vault.change();
    for (const [key, held] of keys) {
      // Of those in doubt some have ended meanwhile.
      if (key.pins > 0 || held.get(key.serial) === key)
        change.put(TABLE.held, kmaRow(held.peer, key.serial), held.row(key));
    }
    await change.commit();
  }
}
