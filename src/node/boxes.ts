// Links whose key comes from a vendor's boxes: the driver, and what agrees with the KM at the other end. Loaded by who has one.

import type { LinkConfig } from "../config.ts";
import type { KmId } from "../core/ids.ts";
import type { SecretPool } from "../core/memory/secret.ts";
import type { Clock, Log } from "../core/ports.ts";
import type { BoxDriver } from "../device/driver.ts";
import type { KeySource } from "../device/key-source.ts";
import type { BlockFeed } from "../keys/links/intake.ts";
import type { KeyManager } from "../keys/manager/key-manager.ts";
import type { PreparedSettings } from "../keys/manager/reconfiguration.ts";

/** What a link of boxes is opened with. */
interface BoxParts {
  readonly self: KmId;
  readonly keys: Pick<KeyManager, "openExchange" | "closeExchange">;
  /** Another configuration that has the link, before it is taken. */
  readonly prepared: PreparedSettings | undefined;
  /** Locked memory in which its blocks are made. */
  readonly pool: SecretPool;
  /** Locked memory for its answers, all zero. */
  readonly memory: (bytes: number) => Uint8Array;
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
  const { self, keys, prepared, pool, memory, parts, clock, log } = given;
  const { BlockExchange } = await import("../keys/sources/block-exchange.ts");
  const { id, port, blockBytes, options } = link;
  const where = { link: id, self, port, blockBytes };
  const opened = await driver.open(where, options, { clock, log, memory });
  const feed = parts.use(keys.openExchange(id, (host) => new BlockExchange(host, opened, pool), prepared));
  parts.defer(() => keys.closeExchange(id, feed));
  return { feed, source: opened };
}
