// Keys between two applications of this KM: KMA-keys of the token's random generator, source and destination at once.

import { asFault, type Fault } from "../core/fault.ts";
import type { Context } from "./context.ts";
import { emptyBitmap, HeldKey, HeldKeys } from "./held.ts";
import { FIRST_OFFSET } from "./key-id.ts";
import type { Quotas } from "./quota.ts";
import { kmaRow, localBlock, TABLE } from "./rows.ts";
import { SourceKey, SourceStock } from "./stock.ts";
import { type Filling, SupplyDesk } from "./supply.ts";

/** KMA-keys in stock: the token makes another at once. */
const STOCK = 2;
const RETRY_MS = 1000;

export class LocalStock implements Filling {
  readonly stock: SourceStock;
  readonly held: HeldKeys;
  readonly desk: SupplyDesk;
  readonly #context: Context;
  readonly #blockBytes: number;
  #making = false;
  #stopRetry: (() => void) | undefined;

  constructor(context: Context, blockBytes: number, quotas: Quotas) {
    this.#context = context;
    this.#blockBytes = blockBytes;
    this.stock = new SourceStock(context, context.self);
    this.held = new HeldKeys(context, context.self);
    this.stock.acceptance = () => this.held.acceptance();
    this.desk = new SupplyDesk(context, this.stock, this, quotas);
  }

  get keyBytes(): number {
    return this.#blockBytes - FIRST_OFFSET;
  }

  obstacle(): Fault | undefined {
    return undefined;
  }

  expectedMs(): number {
    return 0;
  }

  kick(): void {
    const wanted = this.stock.size < STOCK || (this.desk.waiting > 0 && this.desk.missing > 0);
    const full = this.held.size >= this.#context.policy.maxHeld;
    if (!wanted || full || this.#making || this.#stopRetry !== undefined) return;
    this.#making = true;
    this.#make().then(
      () => {
        this.#making = false;
        this.desk.pump();
      },
      (thrown: unknown) => {
        this.#making = false;
        this.#context.log.warn({ fault: asFault(thrown).code }, "no local KMA-key could be made");
        this.#stopRetry = this.#context.clock.after(RETRY_MS, () => {
          this.#stopRetry = undefined;
          this.kick();
        });
      },
    );
  }

  async #make(): Promise<void> {
    const { self, vault, ages } = this.#context;
    const serial = this.stock.nextSerial++;
    this.held.accept(serial);
    const block = localBlock(serial);
    const length = this.#blockBytes;
    await vault
      .change()
      .keep(await vault.generate(block, length))
      .put(TABLE.peer, self, this.stock.peerRow())
      .commit();
    using open = await vault.open(block);
    const atSource = await open.keyIdKey();
    const atDestination = await open.keyIdKey();
    const bornAt = ages.now();
    const key = new SourceKey({ serial, block, length, bornAt }, atSource.key);
    const row = { peer: self, serial, block, length, bornAt, fetched: emptyBitmap(length), witness: FIRST_OFFSET };
    const change = vault.change().keep(atSource.sealed).put(TABLE.held, kmaRow(self, serial), row);
    await change.put(TABLE.source, kmaRow(self, serial), this.stock.sourceRow(key, "ready", 0)).commit();
    this.held.add(new HeldKey(row, atDestination.key));
    this.stock.add(key);
  }
}
