// Opens the vault of one KM: memory, store, then the token whenever it comes.

import type { KmId } from "../core/ids.ts";
import type { Limit } from "../core/limits.ts";
import type { SecretPool } from "../core/memory/secret.ts";
import { Pace } from "../core/pace.ts";
import type { Clock, Log, Meter } from "../core/ports.ts";
import type { Token } from "../device/token.ts";
import { Blocks } from "./blocks.ts";
import { DATA_KEY_REGION_BYTES, DataKeys } from "./epochs/data-keys.ts";
import { EpochLife } from "./epochs/epoch-life.ts";
import { Epochs } from "./epochs/epochs.ts";
import type { GuardVerdict } from "./epochs/rollback-guard.ts";
import { Sealer } from "./epochs/sealer.ts";
import { LocalVault } from "./local-vault.ts";
import { KeyIdKeys, keyIdRegionBytes } from "./memory/key-ids.ts";
import { LockedMemory } from "./memory/locked-memory.ts";
import { Slab } from "./memory/slab.ts";
import { setAsideIfDamaged } from "./store/check/set-aside.ts";
import { FileWatch } from "./store/file-watch.ts";
import { openLmdbStore } from "./store/lmdb-store.ts";
import { ownDirectory } from "./store/owner.ts";
import { openRecordStore, type RecordStore } from "./store/record-store.ts";
import { type RowRules, RowTags } from "./store/row-tags.ts";
import type { Store } from "./store/store.ts";
import { POLY1305_STATE_BYTES } from "./tags.ts";
import { TokenLink } from "./token-link.ts";
import type { Vault } from "./vault.ts";

/** Whose vault, where its store is, and how much memory it has. */
export interface VaultOptions {
  readonly km: KmId;
  /** The store's directory; made if it is not there. */
  readonly dir: string;
  /** Of sealed records on the disk. */
  readonly maxBytes: number;
  /** Of the largest block. */
  readonly blockBytes: number;
  readonly slabBytes: number;
  readonly allowUnlocked: boolean;
  readonly mode: "auto" | "direct" | "envelope";
  /** Records that one epoch may seal before `epochSpent`. */
  readonly epochSeals: Limit;
  /** Key-ID keys in locked memory at a time, 48 bytes each. */
  readonly keyIdKeys: number;
  /** What the tables above the vault are to it. */
  readonly rows: RowRules;
}

/** The token, the store, time and log. */
export interface VaultPorts {
  /** Gives an open token or rejects; a new one each time. WRONG_PIN is final. */
  readonly openToken: (stop: AbortSignal) => Promise<Token>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** What all that can wait in this process shares; one of its own when absent. */
  readonly pace?: Pace;
  /** Another store than LMDB in `dir`. */
  readonly openStore?: () => Promise<Store>;
}

/** A vault, and what only main needs of it. */
export interface OpenVault {
  readonly vault: Vault & AsyncDisposable & { pool(slots: number, bytes?: number): SecretPool };
  /** Resolves when the token was there for the first time; rejects only if the vault is closed before. */
  readonly ready: Promise<GuardVerdict>;
  /** Locked memory for the supply ring, zeroed with the rest by `zeroise`. @throws Fault MEMORY_NOT_LOCKED */
  lockedRegion(bytes: number): Uint8Array;
  /** Makes room for so many key-ID keys in all; there is never less than before. @throws Fault MEMORY_NOT_LOCKED */
  growKeyIds(keys: number): void;
  /** Runs a job on the token that is no business of the vault. @throws Fault HSM_UNAVAILABLE, and what the job throws */
  useToken<T>(job: (token: Token) => Promise<T>): Promise<T>;
}

/**
 * Resolves when memory is locked and the store is open; a token that is missing is waited for.
 * @throws Fault MEMORY_NOT_LOCKED; Error when the store is in use (with the pid) or cannot be opened
 */
export async function openVault(options: VaultOptions, ports: VaultPorts): Promise<OpenVault> {
  const memory = new LockedMemory({ allowUnlocked: options.allowUnlocked, log: ports.log });
  let release = () => {};
  try {
    const slab = new Slab(memory.region(options.slabBytes), options.blockBytes);
    let wasSetAside = false;
    if (ports.openStore === undefined) {
      release = ownDirectory(options.dir);
      wasSetAside = await setAsideIfDamaged(options.dir, ports);
    }
    let changed = () => {};
    const watch = new FileWatch(ports);
    const rowTags = new RowTags(options.km, options.rows);
    const recordStore = await openStore(options, ports, { watch, rowTags, changed: () => changed() });
    const { vault, life, link, keyIds } = assemble({
      options,
      ports,
      memory,
      slab,
      recordStore,
      rowTags,
      wasSetAside,
      home: () => watch.identity,
      release,
      changed: () => changed(),
    });
    changed = () => vault.changed();
    link.start();
    return {
      vault,
      ready: life.opened,
      lockedRegion: (bytes) => memory.region(bytes),
      growKeyIds(keys) {
        if (keys > keyIds.places) keyIds.add(memory.region(keyIdRegionBytes(keys - keyIds.places)));
      },
      useToken: (job) => link.use(job),
    };
  } catch (thrown) {
    release();
    memory[Symbol.dispose]();
    throw thrown;
  }
}

/** Of a store of so many bytes: with room for what a commit writes before it frees the old pages. */
export const mapBytesOf = (maxBytes: number): number => Math.ceil((maxBytes * 1.25 + (64 << 20)) / 4096) * 4096;

function openStore(
  options: VaultOptions,
  ports: VaultPorts,
  { watch, ...own }: { readonly watch: FileWatch; readonly rowTags: RowTags; readonly changed: () => void },
): Promise<RecordStore> {
  const { dir, maxBytes, blockBytes } = options;
  const mapBytes = mapBytesOf(maxBytes);
  return openRecordStore({
    openStore: ports.openStore ?? (() => openLmdbStore({ dir, mapBytes, watch })),
    maxBytes,
    probeBytes: blockBytes + 16_384,
    clock: ports.clock,
    log: ports.log,
    meter: ports.meter,
    ...own,
  });
}

interface Ground {
  readonly options: VaultOptions;
  readonly ports: VaultPorts;
  readonly memory: LockedMemory;
  readonly slab: Slab;
  readonly recordStore: RecordStore;
  readonly rowTags: RowTags;
  readonly wasSetAside: boolean;
  readonly home: () => string | undefined;
  readonly release: () => void;
  readonly changed: () => void;
}

function assemble({ options, ports, memory, slab, recordStore, rowTags, wasSetAside, home, release, changed }: Ground) {
  const { km, blockBytes, mode, epochSeals } = options;
  const { clock, log, meter, openToken } = ports;
  const pace = ports.pace ?? new Pace({ turn: (then) => void setImmediate(then) });
  const epochs = new Epochs(clock);
  const dataKeys = new DataKeys(memory.region(DATA_KEY_REGION_BYTES));
  const keyIds = new KeyIdKeys(memory.region(keyIdRegionBytes(options.keyIdKeys)));
  const tagState = memory.region(POLY1305_STATE_BYTES);
  const link: TokenLink = new TokenLink({
    openToken,
    adopt: (token) => life.adopt(token),
    attend: (token) => life.attend(token),
    clock,
    log,
    meter,
    changed,
  });
  const sealer: Sealer = new Sealer({ km, link, epochs, dataKeys, scheme: () => life.mode });
  const shared = { recordStore, rowTags, wasSetAside, home, sealer, link, epochs, dataKeys, clock, log, pace };
  const life = new EpochLife({ ...shared, km, meter, mode, epochSeals, slot: slab.reserve() });
  const scratch = memory.region(slab.slotBytes);
  const blocks = new Blocks({ ...shared, slab, keyIds, tagState, scratch, blockBytes });
  const vault = new LocalVault({ ...shared, memory, slab, blockBytes, blocks, life, release });
  return { vault, life, link, keyIds };
}
