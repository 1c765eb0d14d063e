// What a reference server is told: one JSON argument.

import { readFileSync } from "node:fs";
import { contextOptions, type TlsMaterial } from "../../../src/net/tls/options.ts";

/** Paths of PEM files, as a KM's configuration has them. */
export interface ServerFiles {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** The arguments of this process. */
export const given = <T>(): T => JSON.parse(process.argv[2] ?? "{}") as T;

/** What the files hold. */
export const materialOf = ({ certificate, key, trust }: ServerFiles): TlsMaterial => ({
  certificate: readFileSync(certificate, "utf8"),
  key: readFileSync(key, "utf8"),
  trust: readFileSync(trust, "utf8"),
});

/** The TLS settings of a KM's doors: TLS 1.3, AES-256-GCM, X25519MLKEM768, client certificates required. */
export const serverTls = (files: ServerFiles) => ({
  ...contextOptions({ tls: materialOf(files) }, ["X25519MLKEM768"]),
  requestCert: true,
  rejectUnauthorized: true,
});

/** Says where it listens; ends when it is told, or with the process that started it. */
export function ready(port: number, dispose: () => Promise<void> = async () => {}): void {
  const end = () => void dispose().finally(() => process.exit());
  process.once("SIGTERM", end);
  process.stdin.once("end", end).resume();
  process.stdout.write(`ready ${port}\n`);
}
