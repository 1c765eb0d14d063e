// Seals plaintext in locked memory into records and opens them again, by the KEK itself or by data keys under it.

import { randomFillSync } from "node:crypto";
import type { KmId } from "../../core/ids.ts";
import { SealBroken, type Token } from "../../device/token.ts";
import { parseRecord, recordAad, type Scheme, TAG_BYTES, writeRecord } from "../store/record.ts";
import { type Head, type Kind, type SealedRecord, sealedRecord } from "../store/sealed.ts";
import type { TokenLink } from "../token-link.ts";
import type { BlockId } from "../vault.ts";
import { type DataKeys, gcmOpen, gcmSeal, type KeySource } from "./data-keys.ts";
import type { Epochs } from "./epochs.ts";

/** Who seals, by which token, under which epochs. */
export interface SealerParts {
  readonly km: KmId;
  readonly link: TokenLink;
  readonly epochs: Epochs;
  readonly dataKeys: DataKeys;
  /** How new records are sealed; old ones say it themselves. */
  readonly scheme: () => Scheme;
}

/** Seals plaintext in locked memory into records and opens them. */
export class Sealer {
  readonly #parts: SealerParts;

  constructor(parts: SealerParts) {
    this.#parts = parts;
  }

  /** Seals under the current epoch; `plain` must stay as it is until then. @throws Fault HSM_UNAVAILABLE */
  seal(kind: Kind, block: BlockId, plain: Uint8Array): Promise<SealedRecord> {
    const { link, epochs, scheme } = this.#parts;
    return link.use(async (token) => {
      const ticket = epochs.ticket();
      try {
        const head = { kind, block, epoch: ticket.epoch, bytes: plain.length };
        const record = await this.#seal(head, plain, { scheme: scheme(), token });
        epochs.sealed(record, ticket);
        return record;
      } catch (thrown) {
        epochs.drop(ticket);
        throw thrown;
      }
    });
  }

  /**
   * Opens a record into the front of `into`, which has 16 bytes more than the plaintext.
   * @throws Fault HSM_UNAVAILABLE, SealBroken
   */
  open(head: Head, record: Uint8Array, into: Uint8Array): Promise<void> {
    const done = this.#parts.epochs.reading(head.epoch);
    return this.#parts.link.use((token) => this.#open(head, { record, token }, into)).finally(done);
  }

  async #open(head: Head, { record, token }: { record: Uint8Array; token: Token }, into: Uint8Array): Promise<void> {
    const { km, dataKeys } = this.#parts;
    const { iv, dataKey, sealed } = parseRecord(record, head.bytes);
    const aad = recordAad(km, head);
    const source = this.#source(head.epoch, token);
    const plain = into.subarray(0, head.bytes + TAG_BYTES);
    if (dataKey === undefined) await source.kek.open({ iv, aad, sealed, plain });
    else {
      const job = { iv, aad, sealed, plain: plain.subarray(0, head.bytes) };
      await dataKeys.forOld(dataKey, source, (key) => gcmOpen(key, job));
    }
  }

  async #seal(head: Head, plain: Uint8Array, how: { scheme: Scheme; token: Token }): Promise<SealedRecord> {
    const { km, dataKeys } = this.#parts;
    const source = this.#source(head.epoch, how.token);
    const { record, parts } = writeRecord(how.scheme, plain.length);
    const { iv, sealed, dataKey } = parts;
    const job = { iv: randomFillSync(iv), aad: recordAad(km, head), plain, sealed };
    if (dataKey === undefined) await source.kek.seal(job);
    else {
      await dataKeys.forNew(head.kind, source, (wrapped, key) => {
        dataKey.id.set(wrapped.id);
        dataKey.iv.set(wrapped.iv);
        dataKey.sealed.set(wrapped.sealed);
        gcmSeal(key, job);
      });
    }
    return sealedRecord(head, record);
  }

  /** @throws SealBroken when the token has no KEK of that epoch */
  #source(epoch: number, token: Token): KeySource {
    const { km, epochs } = this.#parts;
    const kek = epochs.kek(epoch);
    if (kek === undefined) throw new SealBroken(`the token has no key of epoch ${epoch}: what it sealed is lost`);
    return { km, token, kek, epoch };
  }
}
