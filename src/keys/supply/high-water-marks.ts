// Durable marks that run ahead of carving, so that a request in the hot path waits for no disk (design 6).
//
//   0     96          carved                durable             length
//   |keys |  supplied  |  at most two chunks |  not touched yet  |

import type { Change, Vault } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { STEP } from "../common/key-id.ts";
import { type Demand, isPiece, type SourceKey } from "./source-key.ts";

/** The durable mark of an open KMA-key runs ahead of carving in such chunks, by two at most: that much a crash costs. */
export const CHUNK = 4096;
const AHEAD = 2 * CHUNK;
/** All marks together; under load several KMA-keys are open, for none may run further ahead. */
const MOST_AHEAD = 8 * AHEAD;
/** So many times what is carved while they are moved once: the fewer the moves, the less the disk costs each key. */
const AHEAD_OF_A_MOVE = 32;

/** The KMA-keys whose marks are moved. */
export interface MarkedKeys {
  /** Open ones first, each kind oldest first. */
  keys(): readonly SourceKey[];
  readonly open: readonly SourceKey[];
  /** Enters a key's new mark in a change; false when its mark may move no more. */
  enter(key: SourceKey, mark: number, change: Change): boolean;
  /** The mark is durable: the key is open from now on, if it is still there. */
  marked(key: SourceKey): boolean;
}

/** How far the durable marks have to be. */
type Targets = ReadonlyMap<SourceKey, number>;

/** Keeps the durable marks of the open KMA-keys ahead of what is carved. */
export class Marks {
  readonly #vault: Vault;
  readonly #keys: MarkedKeys;
  /** One at a time. */
  #moving: Promise<void> | undefined;
  /** Bytes carved since the marks that are being moved began to move. */
  #carvedMeanwhile = 0;
  /** So many bytes may be carved before it can be that little is left. */
  #untilLook = 0;
  /** How far all marks are to run ahead: some times what is carved while they are moved once. They move when half is left. */
  #aheadBytes = AHEAD;
  /** Somebody waits for marks, though KMA-keys are open: they do not run far enough ahead. */
  #areAwaited = false;

  constructor({ vault }: Pick<Context, "vault">, keys: MarkedKeys) {
    this.#vault = vault;
    this.#keys = keys;
  }

  /** `bytes` were carved: moves marks in the background when little is left below them. */
  carved(bytes: number): void {
    this.#carvedMeanwhile += bytes;
    this.#untilLook -= bytes;
    if (this.#moving !== undefined || this.#untilLook > 0) return;
    const left = this.#keys.open.reduce((sum, key) => sum + key.durable - key.carved, 0);
    this.#untilLook = left - this.#aheadBytes / 2;
    if (this.#untilLook >= 0) return;
    this.#begin(
      (pinned) => this.#bring(() => this.#aimAhead(), pinned),
      () => {},
    ).catch(() => {
      // The next request that needs the marks meets the same fault, and says so.
    });
  }

  /**
   * Makes ready what a demand needs: opens KMA-keys, moves durable marks, brings blocks into memory, all as far as the
   * stock reaches; then calls `then` while the blocks are still pinned.
   * @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE
   */
  prepare(demand: Demand, then: () => void = () => {}): Promise<void> {
    this.#areAwaited = this.#keys.open.length > 0;
    if (this.#moving !== undefined) return this.#moving.then(then);
    return this.#begin((pinned) => this.#aimFurther(demand, pinned), then);
  }

  /** Resolves when the marks under way have moved, or failed to. */
  async settled(): Promise<void> {
    await this.#moving?.catch(() => {
      // Whoever asked for it was told.
    });
  }

  #begin(aim: (pinned: DisposableStack) => Promise<Targets>, then: () => void): Promise<void> {
    this.#moving = this.#move(aim, then);
    return this.#moving;
  }

  async #move(aim: (pinned: DisposableStack) => Promise<Targets>, then: () => void): Promise<void> {
    using pinned = new DisposableStack();
    this.#carvedMeanwhile = 0;
    try {
      await this.#commit(await aim(pinned));
      const least = this.#areAwaited ? 2 * this.#aheadBytes : this.#aheadBytes >> 1;
      this.#aheadBytes = Math.min(Math.max(AHEAD, least, AHEAD_OF_A_MOVE * this.#carvedMeanwhile), MOST_AHEAD);
    } finally {
      this.#moving = undefined;
      this.#untilLook = 0;
      this.#areAwaited = false;
    }
    then();
  }

  #aim({ count, step, fits: isFit }: Demand): Targets {
    const targets = new Map<SourceKey, number>();
    let missing = count;
    for (const key of this.#keys.keys()) {
      if (!isPiece(key.left, { count, step }) || isFit?.(key) === false) continue;
      const fits = Math.min(missing, Math.floor(key.left / step));
      missing -= fits;
      targets.set(key, Math.min(key.length, key.carved + fits * step + CHUNK));
      if (missing === 0) break;
    }
    return targets;
  }

  /** For a demand, and as far as it goes for what will be asked next. */
  async #aimFurther(demand: Demand, pinned: DisposableStack): Promise<Targets> {
    return await this.#bring(() => this.#aimAhead(this.#aim(demand)), pinned).catch(() =>
      this.#bring(() => this.#aim(demand), pinned),
    );
  }

  /** For what will be asked next, over as many KMA-keys as it takes. */
  #aimAhead(needed: Targets = new Map()): Targets {
    const targets = new Map(needed);
    let missing = this.#aheadBytes;
    for (const key of this.#keys.keys()) {
      if (missing < STEP || targets.size >= MOST_AHEAD / AHEAD) break;
      const mark = Math.min(key.length, key.carved + AHEAD);
      missing -= mark - key.carved;
      if (mark > Math.max(key.durable, targets.get(key) ?? 0)) targets.set(key, mark);
    }
    return targets;
  }

  /** Opens all their blocks at once, so that nothing is held while memory is waited for. */
  async #bring(aim: () => Targets, pinned: DisposableStack): Promise<Targets> {
    for (;;) {
      const targets = aim();
      const blocks = [...targets.keys()].map((key) => ({
        block: key.block,
        used: () => [{ offset: 0, length: key.carved }],
      }));
      try {
        pinned.use(await this.#vault.openJob({ blocks, emptySlots: 0 }));
        return targets;
      } catch (thrown) {
        // One that others have used up meanwhile is gone, and so is its block: then there is something else to aim at.
        const there = new Set(this.#keys.keys());
        if ([...targets.keys()].every((key) => there.has(key))) throw thrown;
      }
    }
  }

  async #commit(targets: Targets): Promise<void> {
    const change = this.#vault.change();
    const moved = [...targets].filter(([key, mark]) => mark > key.durable && this.#keys.enter(key, mark, change));
    if (moved.length === 0) return;
    await change.commit();
    for (const [key, mark] of moved) {
      if (this.#keys.marked(key)) key.durable = Math.max(key.durable, mark);
    }
  }
}
