// The log and the audit log of a KM at a syslog server (RFC 5424 over TLS, RFC 5425): a copy; what counts stays here.
//
// Lines and sealed events become frames in a spool on the disk, within a bound; a sender empties it. Nothing here waits for a
// server, and nothing of the KM waits for this.

import type { Limit } from "../../core/limits.ts";
import type { Clock, Log, Meter } from "../../core/ports.ts";
import type { Collect } from "../metrics/gauges.ts";
import { SyslogFormat } from "./format.ts";
import { Sender, type SyslogServer } from "./sender.ts";
import { Spool } from "./spool.ts";

/** `[syslog]`: the server and the spool. */
export interface SyslogOptions {
  readonly km: string;
  readonly server: SyslogServer;
  readonly dir: string;
  readonly maxBytes: Limit;
}

/** What the copy works with. */
export interface SyslogPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** 0 <= x < 1 */
  readonly fraction: () => number;
}

/** Where a copy of each line goes. */
export interface SyslogCopy {
  line(line: string): void;
  /** Lines of the audit log that are sealed and durable, their seal at the end. */
  audited(lines: Uint8Array): void;
}

/** The copy of log and audit log, until dispose. */
export interface Syslog extends SyslogCopy, AsyncDisposable {
  readonly gauges: Collect;
}

/** @throws Error when the folder cannot be used */
export async function openSyslog({ km, server, dir, maxBytes }: SyslogOptions, ports: SyslogPorts): Promise<Syslog> {
  const spool = await Spool.open({ dir, maxBytes, meter: ports.meter });
  const format = new SyslogFormat(km, process.pid);
  const sender = new Sender(server, spool, ports);
  return {
    line: (line) => spool.append(format.ofLog(line)),
    audited(lines) {
      const wallMs = ports.clock.wallMs();
      for (const line of Buffer.from(lines).toString("utf8").split("\n")) {
        if (line !== "") spool.append(format.ofAudit(line, wallMs));
      }
    },
    gauges: (set) => {
      set("syslog_connected", Number(sender.isConnected));
      set("syslog_waiting_bytes", spool.bytes);
    },
    async [Symbol.asyncDispose]() {
      await sender.close();
      await spool.close();
    },
  };
}
