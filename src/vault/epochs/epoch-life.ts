// The life of epochs: found when the token comes, begun, ended, and the rollback guard that moves with them.

import type { KmId } from "../../core/ids.ts";
import { type Limit, limitNow } from "../../core/limits.ts";
import type { Meter } from "../../core/ports.ts";
import type { Kek, Token, TokenInfo } from "../../device/token.ts";
import { Pause } from "../pause.ts";
import type { Scheme } from "../store/record.ts";
import type { ChangeOp } from "../store/record-store.ts";
import { type RowTags, VAULT_TABLE } from "../store/row-tags.ts";
import type { TokenLink } from "../token-link.ts";
import type { DataKeys } from "./data-keys.ts";
import { findKeks, kekLabel } from "./epochs.ts";
import { type GuardVerdict, RollbackGuard } from "./rollback-guard.ts";
import { type RotationParts, reseal, type Used } from "./rotation.ts";
import { checkRows } from "./row-check.ts";
import { answerWhoAsks, askWhetherAlone } from "./sole-use.ts";
import { recognise, rememberToken } from "./token-identity.ts";

/** What the life of epochs is made of. */
export interface EpochLifeParts extends RotationParts {
  readonly km: KmId;
  readonly link: TokenLink;
  readonly dataKeys: DataKeys;
  readonly meter: Meter;
  readonly rowTags: RowTags;
  /** The store that there was is damaged: that it is empty now was told. */
  readonly wasSetAside: boolean;
  /** Identity of the store's file, where it is one. */
  readonly home: () => string | undefined;
  /** `auto`: what the token suggests. */
  readonly mode: "auto" | Scheme;
  /** Records after which an epoch should end before its time. */
  readonly epochSeals: Limit;
}

/** How long a token is waited for when its KEKs are to be destroyed. */
interface TokenWait {
  /** One that is not there. */
  readonly comesMs: number;
  /** One that is there and does not answer. */
  readonly hangsMs: number;
}

/** Opens the epochs when the token comes, begins new ones, and ends old ones. */
export class EpochLife {
  readonly #parts: EpochLifeParts;
  readonly #guard: RollbackGuard;
  readonly #opened = Promise.withResolvers<GuardVerdict>();
  #mode: Scheme;
  readonly #pause: Pause;
  #begun = false;
  /** The vault is being zeroised: a token is good for one thing only. */
  #condemned = false;
  #isClosed = false;
  #destroyed: number | undefined;
  #rotating = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(parts: EpochLifeParts) {
    this.#parts = parts;
    this.#guard = new RollbackGuard(parts);
    this.#mode = parts.mode === "auto" ? "direct" : parts.mode;
    this.#opened.promise.catch(() => {});
    this.#pause = new Pause(parts.clock);
  }

  get mode(): Scheme {
    return this.#mode;
  }

  /** Resolves when the token was there for the first time. */
  get opened(): Promise<GuardVerdict> {
    return this.#opened.promise;
  }

  /** True when the epoch has sealed enough, or an earlier rotation was not finished. */
  get spent(): boolean {
    const { epochs, epochSeals } = this.#parts;
    return epochs.seals >= limitNow(epochSeals) || (this.#rotating === 0 && this.#begun && epochs.old.length > 0);
  }

  /** Takes over an opened token; gives what is to be called when it is ready. @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE */
  async adopt(token: Token): Promise<() => void> {
    const { km, epochs, mode } = this.#parts;
    const keks = await findKeks(token, km);
    if (this.#condemned) return this.#destroyFound(keks);
    const { recordStore } = this.#parts;
    recognise(token.info, keks.size, this.#parts);
    if (this.#begun) await this.#guard.attend(token);
    else {
      await checkRows(token, this.#parts);
      // Before anything in the token is destroyed or made.
      if (keks.size > 0 && this.#guard.mayBeCopy) await this.#askWhetherAlone(token);
    }
    await rememberToken(token.info, recordStore);
    const current = await this.#current(token, keks);
    this.#mode = modeOf(mode, token.info);
    const verdict = this.#begun ? undefined : await this.#guard.open(token);
    epochs.adopt(keks, current);
    return verdict === undefined ? () => {} : this.#begin(verdict);
  }

  /** Looked after while the token is ready: is this KM alone on it? @throws Fault HSM_UNAVAILABLE when it is not */
  async attend(token: Token): Promise<void> {
    if (!this.#begun) return;
    await answerWhoAsks(token, this.#parts.km, this.#parts);
    await this.#guard.attend(token);
  }

  /** One after the other; each begins an epoch of its own. */
  rotate(used: Used): Promise<void> {
    const run = this.#last.then(() => this.#rotate(used));
    this.#last = run.catch(() => {});
    return run;
  }

  /** How often the epoch has sealed, to be committed with what it sealed. */
  sealsOp(): ChangeOp {
    const { current, seals } = this.#parts.epochs;
    return { op: "put", table: VAULT_TABLE, id: "seals", row: { epoch: current, seals } };
  }

  /** At an orderly stop. A token that is not there leaves the guard where it is. */
  async close(): Promise<void> {
    const { link, log } = this.#parts;
    this.#isClosed = true;
    this.#pause.wake();
    this.#opened.reject(new Error("the vault was closed before the token came"));
    if (!this.#begun || link.state !== "ready") return;
    try {
      await link.use((token) => this.#guard.move(token));
    } catch {
      log.warn({}, "the rollback guard could not be moved at the end");
    }
  }

  /** Destroys every KEK of this KM in the token, by label, now or when it comes; gives their number, if it is there now. */
  async destroyAll(): Promise<number | undefined> {
    const { km, link } = this.#parts;
    this.#condemned = true;
    this.#pause.wake();
    try {
      await link.use(async (token) => this.#destroyFound(await findKeks(token, km)));
    } catch {}
    return this.#destroyed;
  }

  /**
   * Waits for a token that was not there: for `comesMs`, or up to `hangsMs` while its openings do not fail but hang, since the
   * first of them may have to be overdue before the next one finds it well.
   */
  async destroyedWithin({ comesMs, hangsMs }: TokenWait): Promise<number | undefined> {
    const { clock, link } = this.#parts;
    const endMs = clock.monotonicMs() + hangsMs;
    link.tryNow();
    while (this.#destroyed === undefined && !link.isFinal) {
      await this.#pause.for(comesMs);
      if (link.openingMs < comesMs / 2 || clock.monotonicMs() >= endMs) break;
    }
    return this.#destroyed;
  }

  async #begin(verdict: GuardVerdict): Promise<() => void> {
    const { epochs, log } = this.#parts;
    epochs.seals = this.#sealsSoFar();
    await this.#destroyUnneeded();
    this.#begun = true;
    log.info({ epoch: epochs.current, mode: this.#mode, ...verdict }, "the vault is open");
    return () => this.#opened.resolve(verdict);
  }

  async #destroyFound(keks: ReadonlyMap<number, Kek>): Promise<() => void> {
    await destroyEach([...keks.values()]);
    this.#destroyed = keks.size;
    this.#pause.wake();
    return () => {};
  }

  async #rotate(used: Used): Promise<void> {
    const { clock, dataKeys, epochs, km, link, log } = this.#parts;
    const beganMs = clock.monotonicMs();
    this.#rotating += 1;
    try {
      await link.use(async (token) => {
        const found = await findKeks(token, km);
        const newest = Math.max(epochs.current, ...found.keys());
        // One that was cut off is brought to its end: a disk that stays full would cost a KEK with each try.
        if (newest === epochs.current && epochs.old.length > 0) return;
        // Before there is a new KEK: a disk that is full says so here.
        await this.#guard.move(token);
        await this.#destroyStrays(found);
        epochs.begin(newest + 1, await this.#generate(token, newest + 1));
      });
      const keks = await reseal(this.#parts, used);
      dataKeys.clear();
      await epochs.quiet();
      await link.use(() => destroyEach(keks));
      log.info({ epoch: epochs.current, ms: clock.monotonicMs() - beganMs }, "a new epoch: all is sealed anew");
    } finally {
      this.#rotating -= 1;
    }
  }

  /**
   * KEKs above the current one, under which nothing is sealed: made by a call that then failed, or by another member of this
   * KM that did not come to its end.
   */
  async #destroyStrays(found: ReadonlyMap<number, Kek>): Promise<void> {
    const { epochs, recordStore } = this.#parts;
    const needed = new Set([...recordStore.index.all()].map(({ head }) => head.epoch));
    const strays = [...found].filter(([epoch]) => epoch > epochs.current && !needed.has(epoch));
    await destroyEach(strays.map(([, kek]) => kek));
  }

  /** The newest epoch that token or store know of; a new one when the token has none, or has lost the newest. */
  async #current(token: Token, keks: Map<number, Kek>): Promise<number> {
    const inToken = Math.max(0, ...keks.keys());
    let inStore = 0;
    for (const { head } of this.#parts.recordStore.index.all()) inStore = Math.max(inStore, head.epoch);
    if (inToken > 0 && inToken >= inStore) return inToken;
    if (inStore > 0) this.#parts.log.error({ inStore, inToken }, "the token has lost the key of the newest epoch");
    const epoch = Math.max(inToken, inStore) + 1;
    keks.set(epoch, await this.#generate(token, epoch));
    return epoch;
  }

  #askWhetherAlone(token: Token): Promise<void> {
    const waiting = { pause: this.#pause, isOver: () => this.#condemned || this.#isClosed };
    return askWhetherAlone(token, this.#parts.km, waiting, this.#parts);
  }

  #generate(token: Token, epoch: number): Promise<Kek> {
    this.#parts.meter.add("epochs", {});
    return token.generate(kekLabel(this.#parts.km, epoch));
  }

  /** Never less than what the store holds of this epoch. */
  #sealsSoFar(): number {
    const { epochs, recordStore } = this.#parts;
    const row = recordStore.row("seals");
    const counted = row?.epoch === epochs.current && typeof row.seals === "number" ? row.seals : 0;
    return Math.max(counted, [...recordStore.index.all()].filter(({ head }) => head.epoch === epochs.current).length);
  }

  /** What a rotation left over when it was cut off after its last record. */
  async #destroyUnneeded(): Promise<void> {
    const { epochs, recordStore } = this.#parts;
    const needed = new Set([...recordStore.index.all()].map(({ head }) => head.epoch));
    for (const epoch of epochs.old) if (!needed.has(epoch)) await epochs.forget(epoch)?.destroy();
  }
}

/** What the configuration wants, as far as the token can do it. */
function modeOf(mode: "auto" | Scheme, { suggests, envelopeOnly }: TokenInfo): Scheme {
  if (envelopeOnly) return "envelope";
  return mode === "auto" ? suggests : mode;
}

async function destroyEach(keks: readonly Kek[]): Promise<void> {
  for (const kek of keks) await kek.destroy();
}
