// Links whose key comes from a vendor's boxes: the driver, and what agrees with the KM at the other end. Loaded by who has one.

import type { LinkConfig } from "../config.ts";
import type { Clock, Log } from "../core/ports.ts";
import type { BoxDriver } from "../device/driver.ts";
import type { KeySource } from "../device/key-source.ts";
import type { BlockFeed } from "../keys/links/intake.ts";
import type { KeyManager } from "../keys/manager/key-manager.ts";
import type { OpenVault } from "../vault/open.ts";
import { INTAKE_SLOTS } from "./settings.ts";

/** What a link of boxes is opened with. */
interface BoxParts {
  readonly keys: KeyManager;
  readonly vault: OpenVault;
  readonly parts: AsyncDisposableStack;
  readonly clock: Clock;
  readonly log: Log;
}

/** The blocks of a box, and what `status` shows of it. */
interface OpenBox {
  readonly feed: BlockFeed;
  readonly source: Pick<KeySource, "status">;
}

/** Opens the box of a link; its blocks come when the KM at the other end has them too. @throws Error */
export async function openBox(link: LinkConfig, driver: BoxDriver, given: BoxParts): Promise<OpenBox> {
  const { keys, vault, parts, clock, log } = given;
  const book = keys.links.get(link.id);
  if (book === undefined) throw new Error(`the key manager has no link ${link.id}`);
  const { BlockExchange } = await import("../keys/sources/block-exchange.ts");
  const pool = vault.vault.pool(INTAKE_SLOTS, link.blockBytes);
  const { id, port, blockBytes, options } = link;
  const opened = await driver.open({ link: id, self: keys.context.self, port, blockBytes }, options, {
    clock,
    log,
    memory: (bytes) => vault.lockedRegion(bytes),
  });
  const feed = parts.use(keys.openExchange(book, (host) => new BlockExchange(host, opened, pool)));
  return { feed, source: opened };
}
