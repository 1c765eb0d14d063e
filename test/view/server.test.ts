// The view's server: who gets in, what is answered, what never is.

import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Admission } from "../../src/view/admission.ts";
import { NetworkState } from "../../src/view/network-state.ts";
import { startView, type ViewServer } from "../../src/view/server.ts";
import { type Simulated, simulatedNetwork } from "./simulated.ts";

let net: Simulated;
let state: NetworkState;
let view: ViewServer;
let next: string[];
beforeEach(async () => {
  net = simulatedNetwork(3);
  state = new NetworkState(net.shape, Date.now());
  next = [];
  view = await startView({ port: 0, state, used: (link) => void next.push(link) });
});
afterEach(async () => {
  await view[Symbol.asyncDispose]();
  vi.useRealTimers();
});

interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

async function ask(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answered> {
  const asking = request({ host: "127.0.0.1", port: view.port, path, method, headers, agent: false }).end();
  const [response]: IncomingMessage[] = await once(asking, "response");
  let text = "";
  for await (const chunk of response ?? []) text += chunk;
  return { status: response?.statusCode ?? 0, headers: response?.headers ?? {}, text };
}

const pathOf = (link: string): string => link.slice(link.indexOf("/?"));

/** Opens the link, and gives the cookie. */
async function enter(link = view.link): Promise<Record<string, string>> {
  const { headers } = await ask(pathOf(link));
  return { cookie: (headers["set-cookie"]?.[0] ?? "").split(";")[0] ?? "" };
}

describe("who gets in", () => {
  test("is a browser with the link, once: it gets a cookie that no script and no other site sees, and another link follows", async () => {
    const { link } = view;
    const first = await ask(pathOf(link));
    expect(first.status).toBe(200);
    expect(first.headers["set-cookie"]?.[0]).toMatch(/^qkm_view_\d+=[\w-]{22}; HttpOnly; SameSite=Strict; Path=\/$/);
    expect((await ask(pathOf(link))).status).toBe(403);
    expect(view.link).not.toBe(link);
    expect(next).toEqual([view.link]);
  });

  test("and who has the cookie; an old link then leads in, and spends nothing", async () => {
    const { link } = view;
    const cookie = await enter();
    expect((await ask("/", cookie)).text).toContain("<title>qkm view</title>");
    expect((await ask(pathOf(link), cookie)).status).toBe(200);
    expect(next).toHaveLength(1);
  });

  test.each(["/", "/api/events", "/api/detail?of=km:km-001", "/page/main.ts", "/?token=", "/?token=x"])(
    "nobody else: %s is refused without a word of the network",
    async (path) => {
      const { status, text } = await ask(path, { cookie: `qkm_view_${view.port}=${"A".repeat(22)}` });
      expect(status).toBe(403);
      expect(text).not.toContain("km-0");
    },
  );

  test("no page of another site, and none that has made its name lead here", async () => {
    const cookie = await enter();
    expect((await ask("/api/detail?of=km:km-001", { ...cookie, "sec-fetch-site": "cross-site" })).status).toBe(403);
    expect((await ask("/", { ...cookie, host: `evil.example:${view.port}` })).status).toBe(421);
    expect((await ask("/", { ...cookie, host: `localhost:${view.port}` })).status).toBe(200);
  });

  test("for twelve hours after the last use, and sixteen browsers at a time", () => {
    let nowMs = 0;
    const admission = new Admission(() => nowMs);
    const cookies = Array.from({ length: 17 }, () => admission.redeem(admission.token) ?? "");
    expect(cookies.map((cookie) => admission.admits(cookie))).toEqual([false, ...Array(16).fill(true)]);
    nowMs = 12 * 3_600_000;
    expect(admission.admits(cookies[5] ?? "")).toBe(true);
    nowMs += 1;
    expect([admission.admits(cookies[5] ?? ""), admission.admits(cookies[6] ?? "")]).toEqual([true, false]);
  });
});

test("everything is answered with a policy that allows nothing from elsewhere and no inline script", async () => {
  const cookie = await enter();
  for (const path of ["/", "/page/main.ts", "/vendor/uplot.js", "/api/history?of=network", "/nothing"]) {
    const { headers } = await ask(path, cookie);
    const policy = headers["content-security-policy"] ?? "";
    expect(policy, path).toContain("default-src 'none'");
    expect(policy, path).not.toMatch(/unsafe|\*|http/);
    expect(headers["x-content-type-options"], path).toBe("nosniff");
  }
});

test.each(["POST", "PUT", "DELETE", "OPTIONS"])("%s is refused: the view changes nothing", async (method) => {
  expect(await ask("/", await enter(), method)).toMatchObject({ status: 405, headers: { allow: "GET" } });
});

test("modules come without types, and name nothing that a browser does not find here", async () => {
  const cookie = await enter();
  const paths = new Set(["/page/main.ts"]);
  for (const path of paths) {
    const { status, headers, text } = await ask(path, cookie);
    expect([path, status, headers["content-type"]]).toEqual([path, 200, "text/javascript; charset=utf-8"]);
    for (const [, name = ""] of text.matchAll(/^import[^"]*"([^"]+)"/gm)) {
      paths.add(new URL(name, `http://x${path}`).pathname);
    }
  }
  expect([...paths]).toContain("/vendor/uplot.js");
});

test.each(["/page/../server.ts", "/page/tsconfig.json", "/%2e%2e/package.json", "/api", "/api/detail?of=km:x"])(
  "%s is not found",
  async (path) => {
    expect((await ask(path, await enter())).status).toBe(404);
  },
);

test("an open page is sent everything at once, and what is new within the second", async () => {
  await view[Symbol.asyncDispose]();
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  view = await startView({ port: 0, state, used: () => {} });
  const cookie = await enter();
  const asking = request({
    host: "127.0.0.1",
    port: view.port,
    path: "/api/events",
    headers: cookie,
    agent: false,
  }).end();
  const [response]: IncomingMessage[] = await once(asking, "response");
  const snapshots: { kms: { state: string }[]; faults: { message: string }[] }[] = [];
  let text = "";
  for await (const chunk of response ?? []) {
    text += chunk;
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) snapshots.push(JSON.parse(part.replace("data: ", "")));
    if (snapshots.length === 1) {
      for (const id of net.shape.kms) state.heard(id, await net.ask(id, { relays: 0, faults: 0 }), Date.now());
      vi.advanceTimersByTime(1_000);
    }
    if (snapshots.at(-1)?.kms.every((km) => km.state === "ready")) break;
  }
  expect(snapshots[0]?.kms.map((km) => km.state)).toEqual(["silent", "silent", "silent"]);
});
