// An update through RAUC, which checks its signature and writes it to the system slot that does not run.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** Lines that are kept to say why it failed. */
const LAST_LINES = 3;

/** Tells what RAUC says, line by line. @throws Error when it fails, is missing or is interrupted */
export async function installUpdate(file: string, said: (line: string) => void, signal: AbortSignal): Promise<void> {
  const rauc = spawn("rauc", ["install", file], { stdio: ["ignore", "pipe", "pipe"], signal });
  const ended = new Promise<number | Error>((resolve) => {
    rauc.once("error", resolve);
    rauc.once("close", (code) => resolve(code ?? -1));
  });
  const last: string[] = [];
  for (const stream of [rauc.stdout, rauc.stderr]) {
    eachLine(stream, (line) => {
      said(line);
      last.push(line);
      if (last.length > LAST_LINES) last.shift();
    });
  }
  const code = await ended;
  if (code === 0) return;
  if (!(code instanceof Error))
    throw new Error(`the update was not installed: ${last.at(-1) ?? `rauc ended (${code})`}`);
  if ("code" in code && code.code === "ENOENT") throw new Error("rauc is not installed here: this system has no slots");
  throw code;
}

function eachLine(stream: Readable, take: (line: string) => void): void {
  createInterface({ input: stream }).on("line", (line) => {
    if (line.trim() !== "") take(line);
  });
}
