// The homes that node.toml named last, kept in the store: a start knows by them who has moved, and which former homes still count.

import { asFault } from "../../core/fault.ts";
import type { Pace } from "../../core/pace.ts";
import type { Clock, Log } from "../../core/ports.ts";
import type { Vault } from "../../vault/vault.ts";
import type { ApplicationTable } from "./application-table.ts";
import { DirectoryRows } from "./directory-rows.ts";
import { Edition } from "./edition.ts";

/** Where homes are kept, and whose. */
export interface ConfiguredHomesPorts {
  readonly vault: Pick<Vault, "rows" | "change">;
  readonly clock: Pick<Clock, "wallMs">;
  readonly pace: Pace;
  readonly log: Log;
  readonly applications: ApplicationTable;
}

/** Who told them, as the rows have it. */
const TELLER = "node.toml";

/** Keeps what the configuration says of homes from one start to the next. */
export class ConfiguredHomes {
  readonly #ports: ConfiguredHomesPorts;
  readonly #rows: DirectoryRows;
  #revision = 0;
  #kept = "";
  #writing: Promise<void> = Promise.resolve();

  constructor(ports: ConfiguredHomesPorts) {
    this.#ports = ports;
    this.#rows = new DirectoryRows(ports, { rows: "home", head: "homeHead" });
  }

  /** Reads what was kept, once, when the store's rows can be believed; then keeps what is now. What cannot be read is left out. */
  restore(): void {
    const { applications, log } = this.#ports;
    try {
      const found = this.#rows.read();
      if (found !== undefined) {
        this.#revision = found.head.revision;
        this.#kept = markOf(found.edition);
        applications.recall(found.edition);
      }
    } catch (err) {
      log.warn(
        { err },
        "where applications of node.toml were at home before cannot be read: only their homes now count",
      );
    }
    void this.keep();
  }

  /** Keeps what the configuration says now. What cannot be written is tried with the next change, or at the next start. */
  keep(): Promise<void> {
    this.#writing = this.#writing
      .then(() => this.#write())
      .catch((thrown: unknown) => {
        const fault = asFault(thrown).response;
        this.#ports.log.warn({ fault }, "the homes of node.toml's applications could not be kept in the store");
      });
    return this.#writing;
  }

  async #write(): Promise<void> {
    const edition = new Edition();
    for (const entry of this.#ports.applications.configuredHomes()) edition.apply(entry);
    const mark = markOf(edition);
    if (mark === this.#kept) return;
    const toldMs = Math.round(this.#ports.clock.wallMs());
    await this.#rows.writeWhole(edition, { revision: this.#revision + 1, toldMs, controller: TELLER });
    this.#revision++;
    this.#kept = mark;
  }
}

/** Differs when a home or a former one does. */
function markOf(edition: Edition): string {
  const moved = [...edition.entries()].flatMap(([app]) => edition.formerOf(app).map(({ km }) => `${app} ${km}`));
  return edition.size === 0 ? "" : [edition.fingerprint, ...moved].join("\n");
}
