// The running key manager as the console asks it: over its control socket, and its metrics over HTTP.

import type { NodeConfig } from "../../config.ts";
import { type CertificateFacts, KmDown, type RunningKm } from "../../console/node.ts";
import type { RecentFault } from "../../control/recent-faults.ts";
import { callControl, NotRunning } from "../../control/socket/client.ts";
import type { KmReport } from "../../control/status.ts";
import type { SessionView } from "../../keys/report.ts";
import type { ReloadReport } from "../../node/live-config.ts";
import { endpointText } from "../provision/node-toml.ts";

/** A person waits for it. */
const TIMEOUT_MS = 3_000;
const METRICS_TIMEOUT_MS = 5_000;

/** `config` is asked at each call; it is undefined while the node has none. */
export function runningKm(config: () => NodeConfig | undefined): RunningKm {
  const ask = (command: string, args = {}) => askKm(config(), command, args);
  return {
    status: async () => (await ask("status")) as KmReport,
    sessions: async () => (await ask("sessions")) as readonly SessionView[],
    faults: async () => (await ask("faults")) as readonly RecentFault[],
    certificates: async () => (await ask("certificates")) as readonly CertificateFacts[],
    metrics: async () => await metricsOf(config()),
    setLink: async (link, use) => ((await ask("link", { link, use })) as { readonly changed: boolean }).changed,
    forget: async (peer) => void (await ask("forget", { peer })),
    acceptModule: async (link) => void (await ask("accept_module", { link })),
    reload: async () => (await ask("reload")) as ReloadReport,
    logLevel: async (level) => ((await ask("log_level", { level })) as { readonly level: string }).level,
  };
}

/** @throws KmDown; Fault as it answered */
export async function askKm(config: NodeConfig | undefined, command: string, args: object = {}): Promise<unknown> {
  if (config === undefined) throw new KmDown("this node has no configuration yet");
  try {
    return await callControl(config.node.controlSocket, command, { ...args }, TIMEOUT_MS);
  } catch (thrown) {
    if (thrown instanceof NotRunning) throw new KmDown("nobody answers at its control socket");
    throw thrown;
  }
}

async function metricsOf(config: NodeConfig | undefined): Promise<string> {
  if (config === undefined) throw new KmDown("this node has no configuration yet");
  const { host, port } = config.metrics.listen;
  const url = `http://${endpointText(host, port)}/metrics`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(METRICS_TIMEOUT_MS) }).catch(() => undefined);
  if (answer === undefined) throw new KmDown("nobody answers where its metrics are");
  return await answer.text();
}
