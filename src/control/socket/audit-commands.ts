// What the control socket offers of the audit log: its last events, notes of what people do, and the token's word on seals.

import { malformed } from "../../core/fault.ts";
import type { AuditWriter } from "../audit/audit-writer.ts";
import type { ControlArgs, ControlCommands } from "./dialogue.ts";

const MOST_EVENTS = 1000;
const MOST_SEALS = 256;
const LONGEST = 200;
const HEX = /^[0-9a-f]{64}$/;

/**
 *     audit        {count?}                       the last events, oldest first; 20 unless said
 *     audit_note   {actor, what}                  notes what a person did
 *     audit_last   {}                             {sequence, hash} of the last seal
 *     audit_check  {seals: [{hash, mac}]}         for each, whether the token made it
 */
export function auditCommands(auditWriter: AuditWriter): ControlCommands {
  const { audit } = auditWriter;
  return {
    audit: async ({ count = 20 }) => {
      if (!Number.isSafeInteger(count) || Number(count) < 1 || Number(count) > MOST_EVENTS) {
        throw malformed(`count must be 1 to ${MOST_EVENTS}`);
      }
      await audit.flush();
      return audit.recent(Number(count));
    },
    audit_note: async (args) => {
      audit.note("console", { actor: textOf(args, "actor"), what: textOf(args, "what") });
      return {};
    },
    audit_last: async () => {
      await audit.flush();
      return audit.last;
    },
    audit_check: async ({ seals }) => auditWriter.check(sealsOf(seals)),
  };
}

function textOf(args: ControlArgs, name: string): string {
  const value = args[name];
  if (typeof value === "string" && value !== "" && value.length <= LONGEST) return value;
  throw malformed(`${name} must be text of at most ${LONGEST} characters`);
}

function sealsOf(value: unknown): readonly { readonly hash: string; readonly mac: string }[] {
  if (!Array.isArray(value) || value.length > MOST_SEALS) throw malformed(`seals must be at most ${MOST_SEALS}`);
  return value.map((seal: unknown) => {
    const { hash, mac } = (typeof seal === "object" && seal !== null ? seal : {}) as Record<string, unknown>;
    if (typeof hash === "string" && typeof mac === "string" && HEX.test(hash) && HEX.test(mac)) return { hash, mac };
    throw malformed("a seal has a hash and a mac of 64 hexadecimal digits");
  });
}
