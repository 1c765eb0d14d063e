import { defineConfig } from "vitest/config";

// `vitest run --mode long` runs the long tests, and only those.
export default defineConfig(({ mode }) => ({
  test: {
    include: [mode === "long" ? "test/**/*.long.test.ts" : "test/**/*.test.ts"],
    exclude: mode === "long" ? ["node_modules/**"] : ["test/**/*.long.test.ts", "node_modules/**"],
    pool: "forks",
    testTimeout: mode === "long" ? 600_000 : 30_000,
    hookTimeout: 60_000,
  },
}));
