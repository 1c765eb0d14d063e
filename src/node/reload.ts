// How a running KM takes another configuration: everything is prepared and checked first, then taken in one turn of the event loop.

import type { NodeConfig } from "../config.ts";
import type { SettableLog } from "../control/log.ts";
import { Fault, malformed } from "../core/fault.ts";
import type { ApplicationTable } from "../keys/directory/application-table.ts";
import type { ConfiguredHomes } from "../keys/directory/configured-homes.ts";
import type { KeyManager } from "../keys/manager/key-manager.ts";
import type { Kx } from "../kx/peers.ts";
import { type Identify, identifier } from "../net/tls/certificate-names.ts";
import type { OpenVault } from "../vault/open.ts";
import type { NodeCredentials } from "./credentials.ts";
import type { MoreDoors } from "./doors/more-doors.ts";
import type { NodeLinks } from "./links.ts";
import type { PreparedReload } from "./live-config.ts";
import { blockBytesOf, checkSlots, keyIdKeysOf, settingsOf } from "./settings.ts";

/** The parts of a node that a reload changes. */
export interface ReloadedParts {
  readonly log: SettableLog;
  readonly credentials: NodeCredentials;
  readonly vault: OpenVault;
  readonly applications: ApplicationTable;
  readonly homes: Pick<ConfiguredHomes, "keep">;
  readonly identities: Identities;
  readonly links: Pick<NodeLinks, "prepare">;
  readonly keys: KeyManager;
  readonly kx: Kx;
  readonly doors: Pick<MoreDoors, "prepare">;
}

/** Knows applications by certificates of other makes, as the configuration has them now. */
export class Identities {
  #identify: Identify | undefined;

  constructor({ apps }: Pick<NodeConfig, "apps">) {
    this.#identify = identifier(apps);
  }

  change({ apps }: Pick<NodeConfig, "apps">): void {
    this.#identify = identifier(apps);
  }

  readonly identify: Identify = (certificate) => this.#identify?.(certificate);
}

/** @throws Fault, Error when something cannot be taken before a restart: nothing has changed then */
export async function prepareReload(
  parts: ReloadedParts,
  { before, next }: { readonly before: NodeConfig; readonly next: NodeConfig },
): Promise<PreparedReload> {
  const { log, credentials, vault, applications, homes, identities, keys, kx, doors } = parts;
  checkSizes(before, next, vault);
  const material = credentials.read(next);
  const more = doors.prepare(next);
  const { settings, modules } = await prepareKeys(parts, next).catch((thrown: unknown) => {
    more.leave();
    throw thrown;
  });
  return {
    renewed: [...new Set([...material.changed, ...more.renewed])],
    take() {
      if (next.node.logLevel !== before.node.logLevel) log.level = next.node.logLevel;
      identities.change(next);
      applications.configure(settings.settings.apps);
      void homes.keep();
      keys.reconfigure(settings);
      modules.take();
      kx.change(next.peers);
      material.take();
      more.take();
      credentials.lookAgain();
      for (const { id, home } of before.apps) if (applications.homeOf(id) !== home) keys.disown(id);
    },
  };
}

async function prepareKeys({ vault, keys, links }: ReloadedParts, next: NodeConfig) {
  vault.growKeyIds(keyIdKeysOf(next, Math.max(next.peers.length, keys.peerCount)));
  const settings = await keys.prepareReconfigure(settingsOf(next));
  // The last that may fail: a module that is replaced is opened again when its successor cannot be.
  return { settings, modules: await links.prepare(next, settings) };
}

/** Locked memory is laid out at the start. @throws Fault MALFORMED_REQUEST */
function checkSizes(before: NodeConfig, next: NodeConfig, vault: OpenVault): void {
  if (blockBytesOf(next) > blockBytesOf(before)) {
    throw malformed("blocks of this size need a restart: the memory for them is laid out at a start");
  }
  try {
    checkSlots(next, vault);
  } catch (cause) {
    throw new Fault("MALFORMED_REQUEST", { text: cause instanceof Error ? cause.message : String(cause), cause });
  }
}
