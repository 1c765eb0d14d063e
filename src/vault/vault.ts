// What the rest of qkm may ask of the vault: key bytes stay inside, names and tags come out.
//
// Room `vault`: the only place that touches key bytes. Records are sealed by the token (`epochs/`), lie in a store that is
// never trusted (`store/`), and are open in locked memory alone (`memory/`). What leaves is an ID, a tag, base64 written
// straight into memory that the caller gave, or bytes under a pad.

import type { Secret, SecretPool } from "../core/memory/secret.ts";

declare const blockIdKind: unique symbol;
/** The name of one stored block within this KM, for example `link:ab:1:42` or `local:7`. */
export type BlockId = string & { readonly [blockIdKind]: "block" };

declare const sealedKind: unique symbol;
/** Sealed bytes with their block's name and kind: the only bytes that the store takes. Opaque outside the vault. */
export interface Sealed {
  readonly [sealedKind]: true;
  readonly block: BlockId;
  readonly bytes: number;
}

/** A part of a block, in bytes. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Plain books: states, marks, bitmaps. Never a key byte. Survives structured cloning. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Changes that become durable together or not at all. Used once. Rows are put when nothing more is waited for before
 * `commit`: an older row would undo what another change has made durable meanwhile.
 */
export interface Change {
  put(table: string, id: string, row: Row): Change;
  remove(table: string, id: string): Change;
  /** Stores a sealed block or key-ID key under its name. */
  keep(sealed: Sealed): Change;
  /** Removes a block, its key-ID key and its copy in memory. */
  destroy(block: BlockId): Change;
  /**
   * Resolves when it is on the disk. When it rejects it may still have happened: what it was to permit must not happen,
   * what it was to forbid stays forbidden. What it was to remove is removed as soon as the store takes changes again, unless
   * a later change has written it anew.
   * @throws Fault STORE_UNAVAILABLE
   */
  commit(): Promise<void>;
}

/** The key that tags the key IDs of one KMA-key (its bytes 64–95), in locked memory. */
export interface KeyIdKey extends Disposable {
  /** BLAKE2b-128 of `message`, written to `tag` (16 bytes). */
  tag(message: Uint8Array, tag: Uint8Array): void;
}

/** A block in locked memory, pinned there until dispose; several may be open on the same block. */
export interface OpenBlock extends Disposable {
  readonly block: BlockId;
  readonly length: number;
  /** Poly1305 (16 bytes): key = bytes 0–31, over `context` ‖ bytes 32 … end. One-time: ask once per block, ever. */
  hopTag(context: Uint8Array): Uint8Array;
  /** Poly1305 (16 bytes): key = bytes 32–63, over `context` ‖ bytes 64 … end. */
  endTag(context: Uint8Array): Uint8Array;
  /** Bytes 64–95 as a key-ID key, and the same sealed apart, to be kept. @throws Fault HSM_UNAVAILABLE */
  keyIdKey(): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }>;
  /**
   * Writes the base64 (padded) of a range to `target` from `at` on, zeroes the range in this memory,
   * and returns the position behind it. @throws RangeError when the range or the target is out of bounds
   */
  emit(range: Range, target: Uint8Array, at: number): number;
  /** Zeroes a range in this memory that nobody will be given. @throws RangeError when it is out of bounds */
  wipe(range: Range): void;
  /**
   * The block XOR the pad behind its first 32 bytes, and the one-time tag (key-protocol 2, `otp`): Poly1305, key = the
   * pad's first 32 bytes, over `context` ‖ `key` as it travels. Zeroes the pads in this memory.
   * @throws RangeError as `EmptySlot.unmask`, and nothing has changed; Error when a part of the pads is zero (used before)
   */
  mask(pads: readonly PadPiece[], context: Uint8Array): Masked;
  /** Sealed under its name, to be kept. The memory stays until it is done, whatever is disposed. @throws Fault HSM_UNAVAILABLE */
  seal(): Promise<Sealed>;
}

/** A part of an open block that serves as pad; it may begin and end at any byte. */
export interface PadPiece {
  readonly open: OpenBlock;
  readonly range: Range;
}

/** A masked KMA-key and its tag as they travel. */
export interface Masked {
  readonly key: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** Everything that a job needs in locked memory. */
export interface Job {
  /** `used` as in `open`. */
  readonly blocks: readonly { readonly block: BlockId; readonly used?: () => readonly Range[] }[];
  /** Empty slots, in each of which one block can be made. */
  readonly emptySlots: number;
}

/** All of it, pinned until dispose. */
export interface OpenJob extends Disposable {
  /** As asked, in their order; a block named twice is the same one. */
  readonly blocks: readonly OpenBlock[];
  readonly emptySlots: readonly EmptySlot[];
}

/** An empty slot of locked memory: one block is made in it, under the name that it is to have; zeroed with the job. */
export interface EmptySlot {
  /**
   * `key` XOR the pad behind its first 32 bytes. Those key the Poly1305 over `context` ‖ `key` (key-protocol 2, `otp`);
   * undefined and nothing made when the tag is another (constant time). The pads are zeroed in this memory either way.
   * @throws RangeError, and nothing has changed, when the pads overlap or are not 32 bytes longer than the key, or the key
   * is too long for a slot; Error when a part of the pads is zero (used before)
   */
  unmask(block: BlockId, masked: Masked, pads: readonly PadPiece[], context: Uint8Array): OpenBlock | undefined;
  /** The XOR of different blocks of one length (multipath). @throws RangeError when lengths differ or there are none */
  combine(block: BlockId, parts: readonly OpenBlock[]): OpenBlock;
}

/** The state of token, store and locked memory. */
export interface VaultHealth {
  /** The last two are final: nothing is tried again until a restart. */
  readonly token: "ready" | "gone" | "wrong-pin" | "unsuitable";
  /** Why it is not ready, as far as that is known. */
  readonly tokenReason?: string;
  readonly store: "ready" | "failing";
  readonly mode: "direct" | "envelope";
  readonly epoch: number;
  /** Slots of locked memory: all, those with blocks that are at work now, and those with blocks that drivers bring. */
  readonly slots: { readonly all: number; readonly pinned: number; readonly intake: number };
}

/** The contract of the vault: everything that the key manager may ask of key bytes. */
export interface Vault {
  health(): VaultHealth;
  /** Whether token and store are both ready: asked for with each request. */
  readonly isReady: boolean;
  /** Called after each change of `health().token` or `.store`; the function returned ends it. */
  onHealth(listener: () => void): () => void;
  /** Sets `slots` of the locked memory apart for one driver. */
  pool(slots: number): SecretPool;

  /** Seals what a driver brought. @throws Fault HSM_UNAVAILABLE */
  seal(block: BlockId, key: Secret): Promise<Sealed>;
  /**
   * Seals keys that came as base64, one behind the other, as one block; gives their lengths in bytes.
   * @param letters lent until it settles
   * @throws Fault MALFORMED_REQUEST when one is no base64, HSM_UNAVAILABLE; RangeError when a slot cannot hold them
   */
  sealLetters(
    block: BlockId,
    letters: readonly Uint8Array[],
  ): Promise<{ readonly sealed: Sealed; readonly lengths: readonly number[] }>;
  /**
   * New blocks from the token's random generator, `length` bytes that are the same under each name, sealed.
   * @throws Fault HSM_UNAVAILABLE
   */
  generate(blocks: readonly BlockId[], length: number): Promise<readonly Sealed[]>;
  /**
   * Brings a block into locked memory, waiting for a slot if all are pinned. What `used` tells when it is brought in is
   * zero there: the record has it until the next `rotate`. Who opens one block while holding another may wait for ever:
   * `openJob` opens several.
   * @throws Fault HSM_UNAVAILABLE; SealBroken when the record is not what was sealed; Error when there is none
   */
  open(block: BlockId, used?: () => readonly Range[]): Promise<OpenBlock>;
  /**
   * Opens all or none, in turn with all others who wait: while it waits for memory it holds nothing, so that no two jobs
   * wait for each other. A block named twice is opened once.
   * @throws like `open`; RangeError when the slab could never hold it
   */
  openJob(job: Job): Promise<OpenJob>;
  /**
   * The same as `open` without waiting, when the block is in locked memory already and the token is ready. It comes before
   * those who wait for memory: use it at once.
   */
  cached(block: BlockId): OpenBlock | undefined;
  /** The key-ID key that was kept for this block. @throws like `open` */
  keyIdKey(block: BlockId): Promise<KeyIdKey>;

  change(): Change;
  /**
   * All rows of a table as of the start, in the order of their IDs, from behind `after`; read once, before the first change,
   * and to the end before anything is waited for: what is left is asked for again.
   */
  rows(table: string, after?: string): Iterable<readonly [id: string, row: Row]>;
  /** Whether a sealed block of that name is stored. */
  has(block: BlockId): boolean;
  /** Names of all stored blocks. */
  blocks(): Iterable<BlockId>;

  /**
   * Begins an epoch: a new KEK; all records sealed anew with their used ranges zeroed, in slices; the old KEK destroyed.
   * `used` tells, at that moment, what of a block is used. @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE
   */
  rotate(used: (block: BlockId) => readonly Range[]): Promise<void>;
  /** True when the epoch has sealed so often that it should end before its time. */
  readonly epochSpent: boolean;
  /** Zeroes memory, destroys every KEK in the token, then the store. The vault is unusable after. */
  zeroise(): Promise<void>;
}
