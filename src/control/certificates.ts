// The certificates that a KM shows and trusts, read from the files that its configuration names, for whoever watches their expiry.

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { CERTIFICATE, Reported } from "./controller/tables.ts";

/** Paths of one door's PEM files. */
export interface DoorFiles {
  readonly certificate: string;
  readonly trust: string;
}

/** A renewed file is seen after this time; reading them at each question would cost the event loop some milliseconds. */
const READ_AGAIN_MS = 30_000;
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** `doors` is asked each time. The function returned reads the files, or gives what it read within the last half minute. `now` in milliseconds. */
export function certificateReader(
  doors: () => Readonly<Record<string, DoorFiles>>,
  now: () => number = () => performance.now(),
): () => readonly Reported<typeof CERTIFICATE>[] {
  let read: readonly Reported<typeof CERTIFICATE>[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (now() - readAt < READ_AGAIN_MS) return read;
    readAt = now();
    read = Object.entries(doors()).flatMap(([door, { certificate, trust }]) => [
      ...certificatesIn(certificate).map((one) => ({ door, use: "own", ...one })),
      ...certificatesIn(trust).map((one) => ({ door, use: "trust", ...one })),
    ]);
    return read;
  };
}

/** None when the file cannot be read: what is wrong with it is told where it is used. */
function certificatesIn(path: string): readonly Omit<Reported<typeof CERTIFICATE>, "door" | "use">[] {
  try {
    return (readFileSync(path, "utf8").match(PEM) ?? []).map((pem) => {
      const one = new X509Certificate(pem);
      return { subject: nameOf(one), not_after: one.validToDate.toISOString(), file: basename(path) };
    });
  } catch {
    return [];
  }
}

const nameOf = ({ subjectAltName, subject }: X509Certificate): string =>
  /URI:([^,]+)/.exec(subjectAltName ?? "")?.[1] ?? subject.replaceAll("\n", ", ");
