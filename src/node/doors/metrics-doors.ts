// Where metrics are read, and what of a KM they show.

import { healthGauges } from "../../control/health/health.ts";
import { kmGauges } from "../../control/metrics/km-gauges.ts";
import { processGauges } from "../../control/metrics/loop.ts";
import { startMetrics, startMonitoring } from "../../control/metrics/server.ts";
import type { Audit } from "../../core/ports.ts";
import { type Base, type Node, report } from "../parts.ts";

/** The gauges of a KM, and the doors where they are read. */
export async function openMetrics(base: Base, node: Node, parts: AsyncDisposableStack): Promise<void> {
  const { metrics } = base;
  metrics.collect(processGauges(node.loop));
  metrics.collect(healthGauges(base.health));
  metrics.collect(kmGauges(() => ({ report: report(base, node), connections: node.connections() })));
  await openMetricsDoors(base, parts);
}

/** Without an audit log nothing is noted. */
type MetricsParts = Pick<Base, "config" | "metrics" | "log" | "credentials"> & { readonly audit?: Audit };

/** The metrics' plain listener, and the one over TLS where the configuration has it. */
export async function openMetricsDoors(
  { config, metrics, log, credentials, audit }: MetricsParts,
  parts: AsyncDisposableStack,
): Promise<void> {
  parts.use(await startMetrics(config.metrics.listen, metrics, log));
  const { monitoring } = config;
  if (monitoring === undefined) return;
  const options = { listen: monitoring.listen, tls: credentials.of("monitoring") };
  parts.use(await startMonitoring(options, metrics, { log, meter: metrics.meter, ...(audit && { audit }) }));
}
