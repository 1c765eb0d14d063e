// The `response` of 0x1102 and 0x1104: `success`, or a fault as `CODE: sentence`.

import { FAULTS, Fault, type FaultCode, isSuccess } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import { check, type Message, type PayloadOf } from "../../wire/message.ts";

/** What is kept of a peer's sentence. */
const MAX_TEXT = 500;

/** A fault as the peer shall read it. */
export const responseOf = (fault: Fault): string => fault.response.slice(0, MAX_TEXT);

/** The fault that a peer's `response` states: `undefined` for success, INTERNAL with the whole text for an unknown code. */
export function faultOf(response: string, failedAt?: KmId): Fault | undefined {
  if (isSuccess(response)) return undefined;
  const where = failedAt === undefined ? {} : { failedAt };
  const stated = /^([A-Z_]+): (.+)$/s.exec(response);
  const code = stated?.[1];
  if (code === undefined || !isFaultCode(code)) {
    return new Fault("INTERNAL", { text: `the peer answers: ${response.slice(0, MAX_TEXT)}`, ...where });
  }
  return new Fault(code, { text: (stated?.[2] ?? "").slice(0, MAX_TEXT), ...where });
}

const isFaultCode = (code: string): code is FaultCode => Object.hasOwn(FAULTS, code);

/** An answer that is not what its table says; the connection can go on. */
export const unreadable = (sentence: string): Fault =>
  new Fault("INTERNAL", { text: `the peer's answer cannot be understood: ${sentence.slice(0, MAX_TEXT)}` });

/** Runs a check of an answer. @throws Fault INTERNAL instead of MALFORMED_REQUEST: the request was not at fault */
export function ofAnswer<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    throw thrown instanceof Fault ? unreadable(thrown.message) : thrown;
  }
}

/** An answer's payload as its message's type. @throws Fault INTERNAL */
export const checkAnswer = <M extends Message>(row: M, json: object): PayloadOf<M> =>
  ofAnswer(() => check(row, json) as PayloadOf<M>);
