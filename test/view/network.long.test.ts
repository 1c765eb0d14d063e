// The view of a real network in a real browser, with modules, tokens and stores: what happens is shown.
// `SCREENSHOTS=1` writes the pictures of docs/view.md.

import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Domain } from "../../src/cli/controller/domain.ts";
import {
  authorityFiles,
  CONTROLLER,
  controllerFiles,
  networkPlaces,
  nodePlaces,
} from "../../src/cli/provision/plan.ts";
import { openView } from "../../src/cli/view/open.ts";
import { Topology } from "../../src/core/topology/topology.ts";
import { eventually } from "../system/support/eventually.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { Oracle } from "../system/support/oracle.ts";
import { line } from "../system/support/shapes.ts";
import { Traffic } from "../system/support/traffic.ts";
import { openBrowser, openPage } from "./browser.ts";

/** On any machine. What a KM knows is shown within two seconds where there is time to spare: poller.test.ts, server.test.ts. */
const SHOWN_MS = 60_000;

let browser: Browser;
let network: Network;
beforeAll(async () => {
  browser = await openBrowser();
  network = await startNetwork({ ...line(3), controller: true });
  await network.stocked();
}, 300_000);
afterAll(async () => {
  await browser?.close();
  await network?.[Symbol.asyncDispose]();
});

function domain(): Domain {
  const places = networkPlaces(network.dir);
  const own = controllerFiles(places.controllers, CONTROLLER);
  const trust = authorityFiles(places.authorities, "km_servers").cert;
  const [certificate = "", key = "", ca = ""] = [own.cert, own.key, trust].map((path) => readFileSync(path, "utf8"));
  const kms = network.kms.map(({ id, config }) => {
    const { host, port } = config.controller?.listen ?? { host: "", port: 0 };
    return { id, url: `https://${host}:${port}` };
  });
  const topology = new Topology(network.km("km-a").config.topology);
  return { kms, topology, tls: { certificate, key, trust: ca } };
}

const shown = (page: Page, what: string, ...states: readonly string[]) =>
  page.waitForSelector(`[data-what="${what}"]:is(${states.map((state) => `[data-state="${state}"]`).join()})`, {
    timeout: SHOWN_MS,
    state: "attached",
  });

async function picture(page: Page, name: string): Promise<void> {
  if (process.env.SCREENSHOTS !== "1") return;
  await page.screenshot({ path: fileURLToPath(new URL(`../../docs/view-${name}.png`, import.meta.url)) });
}

test("a link goes down, a KM dies, a token is pulled: the view shows each, and that it is over", async () => {
  await using view = await openView(domain(), { port: 0 });
  await using opened = await openPage(browser, view.link);
  const { page } = opened;
  const traffic = new Traffic(network, new Oracle());
  for (let times = 0; times < 8; times++) {
    const { toOne, toOther } = await traffic.bothWays("app-a", "app-c");
    await traffic.fetch([...toOne, ...toOther]);
  }
  await page.locator("#relay-list .good").first().waitFor();
  if (process.env.SCREENSHOTS === "1") await page.waitForTimeout(60_000);
  await picture(page, "light");

  const km = network.km("km-a");
  const lineOf = async () => (await km.status()).links[0]?.line;
  await network.link("ab").kill();
  await eventually("km-a has lost the line", async () => (await lineOf()) === "down");
  await shown(page, "link:ab", "half", "down");
  await page.getByText("link ab is down").first().waitFor({ timeout: SHOWN_MS });
  await network.link("ab").start();
  await eventually("km-a has the line again", async () => (await lineOf()) === "up");
  await eventually("the link is up", async () => (await shown(page, "link:ab", "up")) !== null);

  await network.km("km-c").kill();
  await shown(page, "km:km-c", "silent");
  await network.km("km-c").start();
  await shown(page, "km:km-c", "ready", "trouble");

  const tokens = join(nodePlaces(km.dir).token, "tokens");
  renameSync(tokens, `${tokens}-away`);
  await eventually("km-a misses its token", async () => (await km.status()).vault.token === "gone");
  await shown(page, "km:km-a", "trouble");
  await page.getByText("its security module is gone").first().waitFor({ timeout: SHOWN_MS });
  await page.locator('[data-what="km:km-a"]').click();
  await page.locator("#facts .bad", { hasText: "gone" }).waitFor({ timeout: SHOWN_MS });
  renameSync(`${tokens}-away`, tokens);
  await eventually("km-a has its token", async () => (await km.status()).vault.token === "ready");
  await page.locator("#facts .good", { hasText: "ready" }).first().waitFor({ timeout: SHOWN_MS });
  expect(opened.complaints).toEqual([]);
});

test("modules that disagree are shown at their link, with what it means", async () => {
  await using view = await openView(domain(), { port: 0 });
  const phone = { viewport: { width: 390, height: 844 }, colorScheme: "dark" } as const;
  await using opened = await openPage(browser, view.link, phone);
  const { page } = opened;
  await network.link("bc").kill("SIGTERM");
  await network.link("bc").start({ disagree: 1 });
  const traffic = new Traffic(network, new Oracle());
  const relayed = async () => {
    await traffic.bothWays("app-b", "app-c").catch(() => undefined);
    return (await network.km("km-b").metrics()).sum("qkm_kma_keys_ended_total", { reason: "mismatch" }) > 0;
  };
  await eventually("a tag did not fit", relayed, 120_000);
  await shown(page, "link:bc", "disagrees");
  await page.locator("#fault-list", { hasText: "BAD_TAG" }).waitFor({ timeout: SHOWN_MS });
  await picture(page, "phone");
});
