// Syslog messages (RFC 5424) of log lines and audit events, framed for TLS (RFC 5425 4.3: the length, a space, the message).

import { hostname } from "node:os";

/** Facilities of RFC 5424 6.2.1: the log is `local0`, the audit log `log audit`. */
const LOCAL0 = 16;
const LOG_AUDIT = 13;
const SEVERITIES: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7 };
const NOTICE = 5;

/** Longer messages are cut: receivers must take 2,048 bytes, and should take 8,192 (RFC 5425 4.3.1). */
const MOST_MESSAGE_BYTES = 8000;

/** Printable ASCII without spaces, of a length that the field may have. */
const plain = (text: string, most: number): string => text.replaceAll(/[^\x21-\x7e]/g, "_").slice(0, most) || "-";

/** Makes messages of one KM; `pid` is its process. */
export class SyslogFormat {
  readonly #origin: string;

  /** APP-NAME is `qkm/<km>`. */
  constructor(km: string, pid: number, host = hostname()) {
    this.#origin = `${plain(host, 255)} ${plain(`qkm/${km}`, 48)} ${pid}`;
  }

  /** A frame with a line of the log, which is JSON with `level` and `time`. */
  ofLog(line: string): Buffer {
    const [, level = "info", time = ""] = /^\{"level":"(\w+)","time":"([^"]+)"/.exec(line) ?? [];
    return this.#frame(LOCAL0 * 8 + (SEVERITIES[level] ?? NOTICE), time, "log", line);
  }

  /** A frame with a line of the audit log: an event with `at` and `kind`, or the seal of those before it. */
  ofAudit(line: string, wallMs: number): Buffer {
    const [, at = new Date(wallMs).toISOString()] = /^\{"at":"([^"]+)"/.exec(line) ?? [];
    const kind = /"kind":"(\w+)"/.exec(line)?.[1] ?? "seal";
    return this.#frame(LOG_AUDIT * 8 + NOTICE, at, kind, line);
  }

  #frame(priority: number, time: string, id: string, text: string): Buffer {
    const head = `<${priority}>1 ${time || "-"} ${this.#origin} ${plain(id, 32)} - `;
    const message = Buffer.from(`${head}${text.trimEnd()}`);
    const cut = message.length <= MOST_MESSAGE_BYTES ? message : message.subarray(0, MOST_MESSAGE_BYTES);
    return Buffer.concat([Buffer.from(`${cut.length} `), cut]);
  }
}

/** The end of the last whole frame in the bytes from `from` on, and how many frames that are. */
export function wholeFrames(bytes: Uint8Array, from = 0): { readonly end: number; readonly count: number } {
  let [end, count] = [from, 0];
  for (;;) {
    const space = bytes.indexOf(0x20, end);
    const length = space < 0 ? Number.NaN : Number(Buffer.from(bytes.subarray(end, space)).toString("latin1"));
    if (!Number.isSafeInteger(length) || length <= 0 || space + 1 + length > bytes.length) return { end, count };
    end = space + 1 + length;
    count += 1;
  }
}
