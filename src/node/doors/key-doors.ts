// The doors of applications: Ak and ETSI 014, which every KM has, and those that its configuration adds.

import { startAk } from "../../ak/server.ts";
import type { Fault } from "../../core/fault.ts";
import { appId } from "../../core/ids.ts";
import { startEtsi014 } from "../../etsi014/server.ts";
import { SupplyRing } from "../../wire/ring.ts";
import type { Base, Node } from "../parts.ts";
import { limitsOf } from "../settings.ts";
import { openControllerDoors } from "./controller-doors.ts";
import { openMoreDoors } from "./more-doors.ts";

/** Ak and ETSI 014: they answer from the first moment on, with a refusal until the books are read. */
export async function openDoors(base: Base, node: Node, parts: AsyncDisposableStack): Promise<void> {
  const { config, live, log, metrics, clock, credentials } = base;
  const admit = (id: string): Fault | undefined => node.applications.admit(id);
  const doors = { door: node.requests, sessions: node.requests, admit, identify: node.identities.identify };
  const disowned = (id: string): void => node.keys?.disown(appId(id));
  const ports = { ...doors, disowned, clock, log, meter: metrics.meter, audit: base.audit };
  const ring = new SupplyRing(node.vault.lockedRegion(config.memory.ringBytes / 2));
  const memory = node.vault.lockedRegion(config.memory.ringBytes / 2);
  const limits = limitsOf(live);
  const places = { maxConnections: limits.places("etsi014"), mostSlaves: limits.slaves };
  const ak = parts.use(
    await startAk({ ...config.ak, tls: credentials.of("ak"), maxConnections: limits.places("ak") }, { ...ports, ring }),
  );
  const etsi = parts.use(
    await startEtsi014({ ...config.etsi014, ...places, tls: credentials.of("etsi014"), memory }, ports),
  );
  node.more = await openMoreDoors({
    ...{ live, ports, credentials, parts },
    memory: (bytes) => node.vault.lockedRegion(bytes),
  });
  const controllers = await openControllerDoors(base, node, parts);
  node.connections = () => ({
    ...{ ak: ak.connections, etsi014: etsi.connections },
    ...node.more?.connections(),
    ...controllers(),
  });
}
