// Which of an application's connections is asked about a session, and which its keys are pushed to.

import { describe, expect, test } from "vitest";
import { appId } from "../../../src/core/ids.ts";
import type { AppLine } from "../../../src/keys/ports/sessions.ts";
import { AppLines } from "../../../src/keys/sessions/session-lines.ts";

const APP = appId("app-b1");
const lineOf = (app = APP): AppLine => ({ app, notify: async () => {}, push: async () => [] });

describe("the connections of an application", () => {
  test("are asked with the newest first, eight at most, and without any it is unavailable", () => {
    const lines = new AppLines(() => {});
    expect(() => lines.newestFirst(APP)).toThrow("app-b1 is not connected");
    const all = Array.from({ length: 10 }, () => lineOf());
    for (const line of all) lines.attach(line);
    lines.attach(lineOf(appId("app-b2")));
    expect(lines.newestFirst(APP)).toEqual(all.toReversed().slice(0, 8));
  });

  test("are pushed to over the one that took part last as long as it is open, then over the newest", () => {
    const gone: string[] = [];
    const lines = new AppLines((app) => gone.push(app));
    const [first, second] = [lineOf(), lineOf()];
    const [closeFirst, closeSecond] = [lines.attach(first), lines.attach(second)];
    expect(lines.lastOrNewest(APP, undefined)).toBe(second);
    expect(lines.lastOrNewest(APP, first)).toBe(first);
    closeFirst();
    expect(lines.lastOrNewest(APP, first)).toBe(second);
    closeSecond();
    expect(() => lines.lastOrNewest(APP, second)).toThrow("app-b1 is not connected");
    expect(gone).toEqual(["app-b1"]);
  });
});
