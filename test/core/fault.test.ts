// The fault table, and the one error that carries its rows.

import { describe, expect, test } from "vitest";
import { asFault, FAULTS, Fault, type FaultCode } from "../../src/core/fault.ts";

const codes = Object.keys(FAULTS) as FaultCode[];

describe("each row", () => {
  test.each(codes)("%s has a code, a short sentence, a sentence for the manual and a status", (code) => {
    const { http, text, manual, retry } = FAULTS[code];
    expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
    expect(text).toMatch(/^[a-z].*[^.]$/);
    expect(manual).toMatch(/^[A-Z].*\.$/);
    expect([400, 401, 503]).toContain(http);
    expect(http !== 503 && retry).toBe(false);
  });
});

test("ETSI GS QKD 014 Table 9 and 6: the sentences that clients look for", () => {
  expect(new Fault("KEY_SIZE_NOT_BYTES").etsi014Message).toBe("size shall be a multiple of 8");
  expect(new Fault("KEY_NOT_FOUND").etsi014Message).toBe("one or more keys specified are not found on KME");
  expect(new Fault("EXTENSION_UNSUPPORTED").etsi014Message).toBe(
    "not all extension_mandatory parameters are supported",
  );
});

test("a fault speaks as CODE: sentence, with the table's sentence unless it has its own", () => {
  expect(new Fault("BUSY").response).toBe("BUSY: too many requests are waiting");
  expect(new Fault("BUSY", { text: "wait" }).response).toBe("BUSY: wait");
});

test("what it adds is kept", () => {
  const cause = new Error("deep");
  const fault = new Fault("NO_ROUTE", { retryAfterMs: 5, details: [{ a: "b" }], failedAt: "km-b", cause });
  expect(fault).toMatchObject({ code: "NO_ROUTE", retryAfterMs: 5, details: [{ a: "b" }], failedAt: "km-b", cause });
});

test("whatever was thrown becomes a fault: faults as they are, defects as INTERNAL with their cause", () => {
  const fault = new Fault("BUSY");
  expect(asFault(fault)).toBe(fault);
  const defect = new TypeError("x");
  expect(asFault(defect)).toMatchObject({ code: "INTERNAL", cause: defect, message: FAULTS.INTERNAL.text });
  expect(asFault("text")).toMatchObject({ code: "INTERNAL", cause: "text" });
});
