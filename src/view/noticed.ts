// What the view notices itself when the state of a KM or a link changes, with what to do about it.

import { FAULTS } from "../core/fault.ts";
import type { FaultEvent, KmSummary, LinkSummary } from "./model.ts";

type Noticed = Omit<FaultEvent, "number" | "at">;

const LINE_REMEDY =
  "Look whether the module has power and its cable sits; the KM takes the line again by itself. Keys in stock are supplied meanwhile.";
const SILENT_REMEDY =
  "Look whether the process runs and its controller endpoint can be reached from here; its log says why it ended.";

const ETCD_REMEDY =
  "Look whether most voters of etcd run, and can be reached from this KM; it supplies up to its durable marks meanwhile.";

/** Undefined when the change is none to tell: it became well again, or is as before. */
export function noticedOfKm(before: KmSummary | undefined, now: KmSummary): Noticed | undefined {
  if (before?.why === now.why || now.why === "") return undefined;
  if (now.state === "silent" && before === undefined) return undefined;
  if (now.state !== "silent" && now.state !== "trouble") return undefined;
  const fault = now.state === "silent" ? null : faultOf(now.why);
  return {
    km: now.id,
    level: "error",
    message: now.state === "silent" ? `does not answer: ${now.why}` : now.why,
    fault,
    remedy: now.state === "silent" ? SILENT_REMEDY : remedyOf(fault, now.why),
    about: ["seen by the view"],
  };
}

function faultOf(why: string): keyof typeof FAULTS | null {
  if (why.includes("security module")) return "HSM_UNAVAILABLE";
  if (why.includes("PIN")) return "WRONG_PIN";
  if (why.includes("key store")) return "STORE_UNAVAILABLE";
  return why.includes("not synchronised") ? "PEER_UNAVAILABLE" : null;
}

function remedyOf(fault: keyof typeof FAULTS | null, why: string): string | null {
  if (fault !== null) return FAULTS[fault].manual;
  return why.includes("etcd") ? ETCD_REMEDY : null;
}

/** Like `noticedOfKm`. */
export function noticedOfLink(before: LinkSummary | undefined, now: LinkSummary): Noticed | undefined {
  if (before?.state === now.state) return undefined;
  if (now.state === "up" || now.state === "unknown") return undefined;
  const disagrees = now.state === "disagrees";
  return {
    km: now.kms.join(" ══ "),
    level: "error",
    message: `link ${now.id} ${disagrees ? "disagrees" : "is down"}: ${now.why}`,
    fault: disagrees ? "BAD_TAG" : null,
    remedy: disagrees ? FAULTS.BAD_TAG.manual : LINE_REMEDY,
    about: ["seen by the view"],
  };
}
