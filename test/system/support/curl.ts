// The distribution's curl, as an application's shell script would call it.

import { execFile, spawnSync } from "node:child_process";
import { appFiles, authorityFiles, networkPlaces } from "../../../src/cli/provision/plan.ts";
import type { Network } from "./network.ts";

export const hasCurl = spawnSync("curl", ["--version"]).status === 0;

export interface Curled {
  /** curl's exit code: 0 when there was an answer. */
  readonly exit: number;
  /** 0 when there was no answer. */
  readonly status: number;
  readonly body: string;
}

/** Calls the KM of `app` by its IP address, with its CA and never with -k. `path` is below /api/v1/keys/. */
export function curl(network: Network, app: string, path: string, more: readonly string[] = []): Promise<Curled> {
  const { apps, authorities } = networkPlaces(network.dir);
  const { cert, key } = appFiles(apps, app);
  const ca = authorityFiles(authorities, "km_servers").cert;
  const url = `${network.app(app).km.etsiUrl}/api/v1/keys/${path}`;
  const args = [
    "-sS",
    "--max-time",
    "15",
    "--cacert",
    ca,
    "--cert",
    cert,
    "--key",
    key,
    "-w",
    "\n%{http_code}",
    ...more,
    url,
  ];
  return new Promise((resolve) => {
    execFile("curl", args, (error, stdout) => {
      const lines = stdout.split("\n");
      const status = Number(lines.pop());
      resolve({ exit: error === null ? 0 : Number(error.code), status, body: lines.join("\n") });
    });
  });
}
