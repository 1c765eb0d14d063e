// The modules of a node's links: opened at the start, and opened and closed as links come and go with the configuration.

import { readFileSync, statSync } from "node:fs";
import { DRIVERS } from "../../drivers/index.ts";
import type { LinkConfig, NodeConfig } from "../config.ts";
import { asFault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Clock, Log, Meter, Random } from "../core/ports.ts";
import type { BoxDriver, ModuleDriver } from "../device/driver.ts";
import type { KeySource } from "../device/key-source.ts";
import type { BlockFeed } from "../keys/links/intake.ts";
import type { KeyManager } from "../keys/manager/key-manager.ts";
import type { PreparedSettings } from "../keys/manager/reconfiguration.ts";
import { parsePairingKey } from "../kq/pairing.ts";
import type { LocalVault } from "../vault/local-vault.ts";
import type { OpenVault } from "../vault/open.ts";
import { openBox } from "./boxes.ts";
import { INTAKE_SLOTS } from "./settings.ts";

/** What modules are opened with. */
export interface LinkPorts {
  readonly self: KmId;
  readonly vault: OpenVault;
  readonly keys: KeyManager;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly meter: Meter;
  readonly stop: AbortController;
}

interface OpenLink {
  readonly link: LinkConfig;
  /** What it was opened by. */
  readonly mark: string;
  readonly feed: BlockFeed;
  /** What `status` shows. */
  readonly source: Pick<KeySource, "status">;
  /** What is closed with it. */
  readonly parts: AsyncDisposableStack;
  readonly end: AbortController;
  /** Resolves when nothing is taken from it any more. */
  taking: Promise<void>;
}

/** All modules of a node; dispose it to close them. */
export class NodeLinks implements AsyncDisposable {
  readonly #ports: LinkPorts;
  readonly #open = new Map<string, OpenLink>();
  /** Locked memory that a link's driver fills; kept for when the link comes back. */
  readonly #pools = new Map<string, ReturnType<LocalVault["pool"]>>();
  readonly #regions = new Map<string, Uint8Array>();
  readonly #closing = new Map<string, Promise<void>>();

  constructor(ports: LinkPorts) {
    this.#ports = ports;
  }

  /** Undefined for a link that is not configured. */
  source(link: string): Pick<KeySource, "status"> | undefined {
    return this.#open.get(link)?.source;
  }

  /** Opens a link's driver and takes its blocks until the stop. @throws Error when it cannot be opened */
  async open(link: LinkConfig): Promise<void> {
    this.#attach(await this.#opened(link));
  }

  /**
   * Opens the modules of links that are new, and of those whose module is another one: what a port has is closed before. Nothing
   * is taken from them yet. @throws Error when one cannot be opened: all is as it was then
   */
  async prepare({ links }: Pick<NodeConfig, "links">, prepared: PreparedSettings): Promise<{ take(): void }> {
    const opened: OpenLink[] = [];
    const replaced: OpenLink[] = [];
    try {
      for (const link of links) {
        const open = this.#open.get(link.id);
        if (open?.mark === markOf(link)) continue;
        if (open !== undefined) {
          replaced.push(open);
          this.#open.delete(link.id);
          await close(open);
        }
        opened.push(await this.#opened(link, prepared));
      }
    } catch (thrown) {
      for (const one of opened) await close(one);
      for (const { link } of replaced) await this.#reopen(link);
      throw thrown;
    }
    const stays = new Set<string>(links.map(({ id }) => id));
    return {
      take: () => {
        for (const id of this.#open.keys()) if (!stays.has(id)) this.#close(id);
        for (const one of opened) this.#attach(one);
      },
    };
  }

  /** As it was before a reload that was not taken. */
  async #reopen(link: LinkConfig): Promise<void> {
    await this.open(link).catch((err: unknown) => {
      this.#ports.log.error(
        { link: link.id, err },
        "the module of this link could not be opened again: restart this KM",
      );
    });
  }

  async #opened(link: LinkConfig, prepared?: PreparedSettings): Promise<OpenLink> {
    await this.#closing.get(link.id);
    const mark = markOf(link);
    await using parts = new AsyncDisposableStack();
    const driver = DRIVERS[link.driver];
    const opened = await (driver.kind === "box"
      ? this.#box(link, driver, { prepared, parts })
      : this.#module(link, driver, parts));
    return { link, mark, ...opened, parts: parts.move(), end: new AbortController(), taking: Promise.resolve() };
  }

  #box(
    link: LinkConfig,
    driver: BoxDriver,
    { prepared, parts }: { readonly prepared: PreparedSettings | undefined; readonly parts: AsyncDisposableStack },
  ): Promise<Pick<OpenLink, "feed" | "source">> {
    const { self, keys, clock, log } = this.#ports;
    let regions = 0;
    const memory = (bytes: number): Uint8Array => this.#region(`${link.id} ${regions++} ${bytes}`, bytes);
    return openBox(link, driver, { self, keys, prepared, clock, log, parts, memory, pool: this.#pool(link) });
  }

  #region(name: string, bytes: number): Uint8Array {
    const region = this.#regions.get(name) ?? this.#ports.vault.lockedRegion(bytes);
    this.#regions.set(name, region);
    return region.fill(0);
  }

  async #module(
    link: LinkConfig,
    driver: ModuleDriver,
    parts: AsyncDisposableStack,
  ): Promise<Pick<OpenLink, "feed" | "source">> {
    const { clock, random, log, meter } = this.#ports;
    const { id, port, blockBytes, options } = link;
    const { pairing_key_file: keyFile } = options;
    const pairingKey = keyFile === undefined ? undefined : parts.use(parsePairingKey(readFileSync(keyFile)));
    const ports = { pool: this.#pool(link), clock, random, log, meter };
    const source = parts.use(await driver.open({ link: id, port, blockBytes, pairingKey }, options, ports));
    return { feed: source, source };
  }

  #pool({ id, blockBytes }: LinkConfig): ReturnType<LocalVault["pool"]> {
    const name = `${id} ${blockBytes}`;
    const pool = this.#pools.get(name) ?? this.#ports.vault.vault.pool(INTAKE_SLOTS, blockBytes);
    this.#pools.set(name, pool);
    return pool;
  }

  #attach(one: OpenLink): void {
    const { keys, log, stop } = this.#ports;
    const { id } = one.link;
    this.#open.set(id, one);
    const signal = AbortSignal.any([one.end.signal, stop.signal]);
    one.taking = keys.attach(id, one.feed, signal).catch((err: unknown) => {
      log.error({ link: id, err }, "a defect ended the intake of this link");
      stop.abort(asFault(err));
    });
  }

  #close(id: string): void {
    const one = this.#open.get(id);
    if (one === undefined) return;
    this.#open.delete(id);
    const closed = close(one)
      .catch((err: unknown) => this.#ports.log.error({ link: id, err }, "the module of this link could not be closed"))
      .finally(() => this.#closing.delete(id));
    this.#closing.set(id, closed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What was taken last ends with the key manager, which may wait for its token.
    for (const one of [...this.#open.values()].reverse()) await close({ ...one, taking: Promise.resolve() });
  }
}

/** What of a link's configuration its module is opened by: a pairing key that was replaced is another one. */
function markOf({ driver, port, blockBytes, options }: LinkConfig): string {
  const { pairing_key_file: file } = options as { readonly pairing_key_file?: string };
  const { ino, size, mtimeMs } = (file && statSync(file, { throwIfNoEntry: false })) || {};
  return JSON.stringify({ driver, port, blockBytes, options, ino, size, mtimeMs });
}

async function close({ parts, end, taking }: OpenLink): Promise<void> {
  end.abort();
  await parts[Symbol.asyncDispose]();
  await taking;
}
