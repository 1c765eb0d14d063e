// Debian's chromium, driven by Playwright, and a page of the view in it.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

/** Installs chromium if it is not there, which takes a minute. @throws Error when it cannot */
export async function openBrowser(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) installChromium();
  // Whoever runs tests as root, as in a container, has no sandbox; only our own pages are opened.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
}

function installChromium(): void {
  const command = "apt-get install -y --no-install-recommends chromium fonts-dejavu-core";
  if (process.getuid?.() !== 0) throw new Error(`chromium is missing; run this once: sudo ${command}`);
  for (const [program = "", ...args] of [["apt-get", "update", "-q"], command.split(" ")]) {
    const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, encoding: "utf8" } as const;
    const { status, stderr } = spawnSync(program, args, options);
    if (status !== 0) throw new Error(`${[program, ...args].join(" ")} failed: ${stderr}`);
  }
}

/** A page, and what went wrong in it. */
export interface Opened extends AsyncDisposable {
  readonly page: Page;
  /** Errors of scripts, refusals of the content security policy, requests that failed. */
  readonly complaints: readonly string[];
  /** Where requests went, by origin. */
  readonly origins: ReadonlySet<string>;
}

/** Opens the link in a browser of its own cookies, once the map is drawn. */
export async function openPage(browser: Browser, link: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  const origins = new Set<string>();
  page.on("console", (line) => {
    if (line.type() === "error" || line.type() === "warning") complaints.push(line.text());
  });
  page.on("pageerror", (error) => void complaints.push(error.message));
  page.on("request", (request) => void origins.add(new URL(request.url()).origin));
  await page.goto(link);
  await page.waitForSelector(".km[data-state=ready]");
  return { page, complaints, origins, [Symbol.asyncDispose]: () => context.close() };
}
