// The configuration of a running KM: what it is now, and how another one takes its place.
//
//   node.toml ──read, all of it──> every complaint, or: what a reload takes, what waits for a restart
//                                     └─prepare──> whoever runs with it agrees ──take──> in one go, logged and audited

import type { Known } from "../config/checks.ts";
import { ConfigError, readConfig, reloaded } from "../config/read.ts";
import type { ConfigChange } from "../config/reload.ts";
import type { Written } from "../config/schema.ts";
import type { NodeConfig } from "../config.ts";
import type { ControlCommands } from "../control/socket/dialogue.ts";
import { asFault, Fault } from "../core/fault.ts";
import type { Audit, Log } from "../core/ports.ts";

/** What a reload has changed, and what only the next start changes. */
export interface ReloadReport {
  readonly changed: readonly ReloadedKey[];
  readonly restart: readonly ReloadedKey[];
  /** Tables whose certificate, key, trust anchors or lists were read anew and differ. */
  readonly renewed: readonly string[];
}

/** A key as it is told: `apps.app-a3`, `supply.timeout_ms`. */
export type ReloadedKey = Pick<ConfigChange, "key" | "what">;

/** A configuration that fits what runs. */
export interface PreparedReload {
  readonly renewed: readonly string[];
  /** Takes it, at once and without fail. */
  take(): void;
}

/** Whoever runs with the configuration. @throws Fault, Error when it cannot take another: then nothing has changed */
export type Reloading = (next: NodeConfig) => Promise<PreparedReload>;

interface Ports {
  readonly log: Log;
  readonly audit?: Audit;
}

/** The configuration that is in force. */
export class LiveConfig {
  readonly #path: string;
  readonly #known: Known;
  #current: NodeConfig;
  #written: Written;
  #reloading: Reloading | undefined;
  #ports: Ports | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @throws ConfigError with every complaint */
  constructor(path: string, { materials, ...known }: Known) {
    this.#path = path;
    this.#known = { ...known, ...(materials && { materials }) };
    const { config, written } = readConfig(path, known);
    this.#current = config;
    this.#written = written;
  }

  get current(): NodeConfig {
    return this.#current;
  }

  /** The values that are in force, by table and key as in the file. */
  get written(): Written {
    return this.#written;
  }

  /** To whom changes are told from now on: the log, and the audit log where one is open. */
  told(ports: Ports): void {
    this.#ports = ports;
  }

  /** From now on reloads are given to `reloading`; the function returned ends that. */
  serve(reloading: Reloading): () => void {
    this.#reloading = reloading;
    return () => {
      if (this.#reloading === reloading) this.#reloading = undefined;
    };
  }

  /** Reads the file again and takes what can be taken; one after the other. @throws Fault MALFORMED_REQUEST with every complaint; nothing has changed then */
  reload(): Promise<ReloadReport> {
    const done = this.#last.then(() => this.#reload());
    this.#last = done.catch(() => {});
    return done;
  }

  async #reload(): Promise<ReloadReport> {
    try {
      const next = readConfig(this.#path, this.#known);
      const { config, written, changes } = reloaded(this.#path, this.#written, next.written, this.#known);
      if (this.#reloading === undefined) {
        throw new Fault("HSM_UNAVAILABLE", {
          text: "the key manager is still starting: it waits for its token or its store",
        });
      }
      const prepared = await this.#reloading(config);
      prepared.take();
      this.#current = config;
      this.#written = written;
      if (this.#ports !== undefined) tell(changes, prepared.renewed, this.#ports);
      const told = (isTaken: boolean) =>
        changes.filter((one) => one.isTaken === isTaken).map(({ key, what }) => ({ key, what }));
      return { changed: told(true), restart: told(false), renewed: prepared.renewed };
    } catch (thrown) {
      const fault =
        thrown instanceof ConfigError ? new Fault("MALFORMED_REQUEST", { text: thrown.message }) : asFault(thrown);
      this.#ports?.log.error(
        { event: "reload_refused", fault: fault.code, why: fault.message },
        "the configuration was not taken: nothing has changed",
      );
      throw fault;
    }
  }
}

/** `reload` takes what the file says now; `configuration` tells what is in force, by table and key of the file. */
export const reloadCommands = (live: LiveConfig): ControlCommands => ({
  reload: () => live.reload(),
  configuration: async () => live.written,
});

function tell(changes: readonly ConfigChange[], renewed: readonly string[], { log, audit }: Ports): void {
  for (const { key, what, from, to, isTaken } of changes) {
    if (isTaken) audit?.note("configuration_changed", { key, what });
    log.info(
      { event: isTaken ? "configuration_changed" : "restart_needed", key, what, from, to },
      isTaken ? "the configuration has changed" : "this change of the configuration needs a restart",
    );
  }
  for (const table of renewed) audit?.note("credentials_renewed", { table });
  if (renewed.length > 0) log.info({ event: "credentials_renewed", tables: renewed }, "renewed TLS files are in use");
  const taken = changes.filter(({ isTaken }) => isTaken).length;
  log.info({ event: "reloaded", changed: taken, restart: changes.length - taken }, "the configuration was read again");
}
