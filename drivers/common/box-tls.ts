// The TLS of a connection to a vendor's box: its files, and what goes wrong with certificates.

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { Fault } from "../../src/core/fault.ts";
import { CLEANSE_PLAINTEXT } from "../../src/core/tls-choices.ts";
import type { BoxOptions } from "../../src/device/key-box.ts";

/** What is wrong with a box, as `qkm status` shows it. */
export type BoxAlarm = "box-unreachable" | "box-certificate" | "own-certificate" | "box-refuses" | "box-answers-wrong";

/** A box that cannot be used, and the alarm for it. */
export class BoxFault extends Fault {
  readonly alarm: BoxAlarm;

  constructor(alarm: BoxAlarm, text: string, cause?: unknown) {
    super("BOX_UNAVAILABLE", { text, cause });
    this.alarm = alarm;
  }
}

/** Reads the files, so that a renewed certificate counts from the next connection on. @throws BoxFault */
export function boxTls({ tls, minTls, serverName }: BoxOptions): ConnectionOptions {
  const [cert, key, ca] = [read(tls.certificate), read(tls.key), read(tls.trust)];
  checkDates(tls.certificate, cert);
  return {
    ...{ cert, key, ca, minVersion: `TLSv${minTls}` as const, secureOptions: CLEANSE_PLAINTEXT },
    ...(serverName !== undefined && { servername: serverName }),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BoxFault("own-certificate", `${path} cannot be read`, cause);
  }
}

function checkDates(path: string, pem: string): void {
  const { validFromDate, validToDate } = certificateOf(path, pem);
  const now = Date.now();
  if (now > validToDate.getTime()) {
    throw new BoxFault("own-certificate", `${path} has expired (${validToDate.toISOString()}): put a new one there`);
  }
  if (now < validFromDate.getTime()) {
    throw new BoxFault("own-certificate", `${path} is not valid before ${validFromDate.toISOString()}`);
  }
}

function certificateOf(path: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new BoxFault("own-certificate", `${path} is no certificate`, cause);
  }
}

/** Of certificates that we do not take; Node names them so. */
const UNTRUSTED = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)/;

/** What a failed connection means. `place` is the box, such as `192.0.2.9:443`. */
export function boxFault(thrown: unknown, place: string): Fault {
  if (thrown instanceof Fault) return thrown;
  const { message, code = "" }: NodeJS.ErrnoException = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (UNTRUSTED.test(code)) {
    return new BoxFault("box-certificate", `the certificate of the box at ${place} is not taken: ${message}`, thrown);
  }
  const [, alert] = /ALERT_([A-Z_]+)$/.exec(code) ?? [];
  if (alert !== undefined) {
    const said = alert.toLowerCase().replaceAll("_", " ");
    return new BoxFault("own-certificate", `the box at ${place} refuses our certificate: ${said}`, thrown);
  }
  return new BoxFault("box-unreachable", `the box at ${place} does not answer: ${message}`, thrown);
}
