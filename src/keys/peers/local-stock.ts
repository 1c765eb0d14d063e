// Keys between two applications of this KM: KMA-keys of the token's random generator, source and destination at once.

import { asFault, type Fault } from "../../core/fault.ts";
import type { BlockId, Change, KeyIdKey } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET } from "../common/key-id.ts";
import type { Admission } from "../common/queues/admission.ts";
import { kmaRow, localBlock, TABLE } from "../common/rows.ts";
import { keySizes } from "../common/sizes.ts";
import { emptyBitmap, ReceivedKey } from "../fetch/received-key.ts";
import { ReceivedKeys } from "../fetch/received-keys.ts";
import type { KeySizes } from "../ports/keys.ts";
import { SourceKey } from "../supply/source-key.ts";
import { SourceStock } from "../supply/stock.ts";
import { type Filling, KeySupplier } from "../supply/supply.ts";

/** KMA-keys in stock: the token makes another at once. */
const STOCK = 2;
const RETRY_MS = 1000;

/** KMA-keys made by the token for two applications of this KM: stock and received keys in one. */
export class LocalStock implements Filling {
  readonly stock: SourceStock;
  readonly held: ReceivedKeys;
  readonly desk: KeySupplier;
  readonly #context: Context;
  readonly #blockBytes: number;
  #making: Promise<void> | undefined;
  #stopped = false;
  #stopRetry: (() => void) | undefined;

  constructor(context: Context, blockBytes: number, admission: Admission) {
    this.#context = context;
    this.#blockBytes = blockBytes;
    this.held = new ReceivedKeys(context, context.self);
    this.stock = new SourceStock(context, context.self, this.held);
    this.desk = new KeySupplier(context, this.stock, this, admission);
  }

  get sizes(): KeySizes {
    return keySizes(this.#context.policy.defaultKeyBits, this.#blockBytes);
  }

  get keyBytes(): number {
    return this.#blockBytes - FIRST_OFFSET;
  }

  obstacle(): Fault | undefined {
    return undefined;
  }

  drought(): Fault | undefined {
    return undefined;
  }

  expectedMs(): number {
    return 0;
  }

  kick(): void {
    const wanted = this.stock.size < STOCK || (this.desk.waiting > 0 && this.desk.missing > 0);
    const full = this.held.size >= this.#context.policy.maxHeld || this.#context.audit.obstacle() !== undefined;
    if (!wanted || full || this.#stopped || this.#making !== undefined || this.#stopRetry !== undefined) return;
    this.#making = this.#make().then(
      () => {
        this.#making = undefined;
        this.desk.pump();
      },
      (thrown: unknown) => {
        this.#making = undefined;
        this.#context.log.warn({ fault: asFault(thrown).code }, "no local KMA-key could be made");
        if (!this.#stopped) this.#stopRetry = this.#context.clock.after(RETRY_MS, () => this.#retry());
      },
    );
  }

  taken(): void {
    this.kick();
  }

  #retry(): void {
    this.#stopRetry = undefined;
    this.kick();
  }

  /** Makes no more; resolves when the one being made is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopRetry?.();
    await this.#making;
  }

  /** Two copies under two names, as if they lay at two KMs. */
  async #make(): Promise<void> {
    const serial = this.stock.nextSerial++;
    this.held.accept(serial);
    try {
      await this.#generate(serial);
    } catch (thrown) {
      const change = this.#context.vault.change();
      for (const end of ["source", "destination"] as const) change.destroy(localBlock(serial, end));
      const { self } = this.#context;
      change.remove(TABLE.source, kmaRow(self, serial)).remove(TABLE.held, kmaRow(self, serial));
      await change.commit().catch(() => {
        // A restart finds them, and uses or destroys them.
      });
      throw thrown;
    }
  }

  async #generate(serial: number): Promise<void> {
    const { self, vault, ages } = this.#context;
    const length = this.#blockBytes;
    const atSource = localBlock(serial, "source");
    const atDestination = localBlock(serial, "destination");
    using idKeys = new DisposableStack();
    const blocks = vault.change();
    for (const sealed of await vault.generate([atSource, atDestination], length)) blocks.keep(sealed);
    await blocks.put(TABLE.peer, self, this.stock.peerRow()).commit();
    const bornAt = ages.now();
    const change = vault.change();
    const sourceIdKey = idKeys.use(await this.#idKey(atSource, change));
    const key = new SourceKey({ serial, block: atSource, length, bornAt }, sourceIdKey);
    const fetched = emptyBitmap(length);
    const row = {
      peer: self,
      serial,
      block: atDestination,
      length,
      bornAt: ages.nowOn(),
      fetched,
      witness: FIRST_OFFSET,
    };
    const held = new ReceivedKey(row, idKeys.use(await this.#idKey(atDestination, change)));
    change.put(TABLE.held, kmaRow(self, serial), row);
    await change.put(TABLE.source, kmaRow(self, serial), this.stock.sourceRow(key, "ready", 0)).commit();
    const made = { peer: self, serial, route: "local", blocks: undefined, via: undefined, bytes: length };
    this.#context.audit.note("kma_key_made", made);
    idKeys.move();
    this.held.add(held);
    this.stock.add(key);
  }

  async #idKey(block: BlockId, change: Change): Promise<KeyIdKey> {
    using open = await this.#context.vault.open(block);
    const { key, sealed } = await open.keyIdKey();
    change.keep(sealed);
    return key;
  }
}
