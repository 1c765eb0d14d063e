// The doors of QKDN controllers, and what they are told of a KM.

import { certificateReader } from "../../control/certificates.ts";
import type { ControllerState } from "../../control/controller/answers.ts";
import { startController } from "../../control/controller/endpoint.ts";
import { packageVersion } from "../audit.ts";
import { tlsTables } from "../credentials.ts";
import { type Base, type Node, report } from "../parts.ts";

/** Sessions of each role that a controller is told of. */
const SESSIONS_TOLD = 100;

/** The doors for controllers that the configuration has; what is returned tells their connections. */
export async function openControllerDoors(
  base: Base,
  node: Node,
  parts: AsyncDisposableStack,
): Promise<() => Readonly<Record<string, number>>> {
  const { config, log, metrics, audit, credentials } = base;
  const ports = { state: controllerState(base, node), log, meter: metrics.meter, audit };
  const open: Record<string, { readonly connections: number }> = {};
  const { controller, etsi015 } = config;
  if (controller !== undefined) {
    const options = { listen: controller.listen, tls: credentials.of("controller") };
    open.controller = parts.use(await startController(options, ports));
  }
  if (etsi015 !== undefined) {
    const { startEtsi015 } = await import("../../control/etsi015/server.ts");
    const options = { listen: etsi015.listen, tls: credentials.of("etsi015") };
    open.etsi015 = parts.use(await startEtsi015(options, ports));
  }
  return () => Object.fromEntries(Object.entries(open).map(([door, { connections }]) => [door, connections]));
}

/** Applications of the directory that a controller is told of beside those of the configuration. */
const APPS_TOLD = 1000;

/** Those of the configuration, and those that were supplied or fetched something since the start. */
function knownApps({ applications }: Node, counts: Pick<ReturnType<ControllerState["keys"]>, "supplied" | "fetched">) {
  const here = applications.configuredHere;
  const known = new Set<string>(here.map(({ id }) => id));
  const others = new Set([...counts.supplied.keys(), ...counts.fetched.keys()]);
  const { self } = applications.options;
  const told = [...others].filter((id) => !known.has(id) && applications.isHomed(id)).slice(0, APPS_TOLD);
  return [...here, ...told.map((id) => ({ id, home: self }))];
}

function controllerState({ config, live, health, faults, metrics, ...rest }: Base, node: Node): ControllerState {
  const keys = () => ({ supplied: metrics.sums("keys_supplied", "app"), fetched: metrics.sums("keys_fetched", "app") });
  return {
    report: () => report({ config, health, ...rest }, node),
    desk: () => node.keys?.routeAdmin,
    version: packageVersion(),
    board: config.node.board,
    get topology() {
      return live.current.topology;
    },
    apps: { count: () => node.applications.count, known: () => knownApps(node, keys()) },
    directory: node.directory,
    keys,
    faults: () => faults.read(),
    sessions: () => node.keys?.sessionViews(SESSIONS_TOLD) ?? [],
    certificates: certificateReader(() => Object.fromEntries(tlsTables(live.current))),
    loop: () => node.loop.read(),
    memoryBytes: () => process.memoryUsage.rss(),
    startedMs: Date.now() - process.uptime() * 1000,
  };
}
